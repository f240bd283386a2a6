"""The command `put`: files and directories of this machine go to a disk."""

import sys

from jtc.storage.cli._exits import UsageError
from jtc.storage.cli._options import (
    BandwidthLimit,
    CacheControl,
    Concurrency,
    DryRun,
    Exclude,
    IgnoreExisting,
    Include,
    Json,
    Metadata,
    Quiet,
    Recursive,
    Sources,
    Target,
    Type,
    Verbose,
    Visible,
    new_file_options,
)
from jtc.storage.cli._places.locations import STANDARD, locate
from jtc.storage.cli._places.streams import is_special, put_stream
from jtc.storage.cli._running import run
from jtc.storage.cli._transfers.reporting import Report
from jtc.storage.cli._transfers.transferring import choose, copy_all
from jtc.storage.transfers import DEFAULT_CONCURRENCY, Action

EXAMPLES = (
    "jtc-storage put report.pdf s3:reports/",
    "jtc-storage put --exclude '.git/**' ./site cdn:www",
    "pg_dump app | jtc-storage put - s3:dumps/app.sql",
)


def command(
    sources: Sources,
    target: Target,
    *,
    recursive: Recursive = False,
    include: Include = None,
    exclude: Exclude = None,
    ignore_existing: IgnoreExisting = False,
    type: Type = None,  # noqa: A002 - the option's name
    visibility: Visible = None,
    cache_control: CacheControl = None,
    metadata: Metadata = None,
    transfers: Concurrency = DEFAULT_CONCURRENCY,
    bwlimit: BandwidthLimit = None,
    dry_run: DryRun = False,
    verbose: Verbose = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Send files, and the contents of a directory, to a disk. "-" is standard input.

    A file goes into a target that is a directory, or ends with a slash. Of a directory, the
    contents go to the target, and files that are there and the same are skipped.
    """
    place = locate(target)
    if place.is_local:
        raise UsageError(f"{target!r} is a path of this machine: a disk's is disk:path")
    new = new_file_options(type, visibility, cache_control, metadata)
    choice = choose(include, exclude, transfers, bwlimit, new, quiet=quiet, dry_run=dry_run)
    if ignore_existing:
        choice.existing = "keep"
    report = Report(Action.PUT, lines=verbose, json=json, quiet=quiet, dry_run=dry_run)
    if sources == [STANDARD]:
        if sys.stdin is None:
            raise UsageError("Standard input is closed")
        run(put_stream(sys.stdin.buffer, place, choice, report))
        return
    places = [locate(source) for source in sources]
    for each in places:
        if not each.is_local:
            raise UsageError(f"{each.text!r} is on a disk: cp copies it to another one")
    if len(places) == 1 and is_special(places[0]):
        with open(places[0].text, "rb") as content:  # noqa: PTH123 - a FIFO
            run(put_stream(content, place, choice, report))
        return
    run(copy_all("put", places, place, choice, report, recursive=recursive))
