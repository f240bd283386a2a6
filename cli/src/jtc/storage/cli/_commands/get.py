"""The command `get`: files and directories of a disk come to this machine."""

from jtc.storage.cli._exits import UsageError
from jtc.storage.cli._options import (
    BandwidthLimit,
    Concurrency,
    DryRun,
    Exclude,
    IgnoreExisting,
    Include,
    Json,
    Quiet,
    Recursive,
    Sources,
    Target,
    Verbose,
)
from jtc.storage.cli._places.locations import STANDARD, locate
from jtc.storage.cli._places.streams import is_special, write_out, write_special
from jtc.storage.cli._running import run
from jtc.storage.cli._transfers.reporting import Report
from jtc.storage.cli._transfers.transferring import choose, copy_all
from jtc.storage.transfers import DEFAULT_CONCURRENCY, Action

EXAMPLES = (
    "jtc-storage get s3:reports/2024.pdf .",
    "jtc-storage get --include '*.jpg' s3:photos ./photos",
    "jtc-storage get s3:dumps/app.sql - | psql app",
)


def command(
    sources: Sources,
    target: Target,
    *,
    recursive: Recursive = False,
    include: Include = None,
    exclude: Exclude = None,
    ignore_existing: IgnoreExisting = False,
    transfers: Concurrency = DEFAULT_CONCURRENCY,
    bwlimit: BandwidthLimit = None,
    dry_run: DryRun = False,
    verbose: Verbose = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fetch files, and the contents of a directory, from a disk. "-" is standard output.

    A file goes into a target that is a directory, or ends with a slash. Of a directory, the
    contents go to the target, and files that are there and the same are skipped.
    """
    places = [locate(source) for source in sources]
    for each in places:
        if each.is_local:
            raise UsageError(f"{each.text!r} is a path of this machine: a disk's is disk:path")
    if target == STANDARD:
        run(write_out(places))
        return
    place = locate(target)
    if not place.is_local:
        raise UsageError(f"{target!r} is on a disk: cp copies from one to another")
    choice = choose(include, exclude, transfers, bwlimit, {}, quiet=quiet, dry_run=dry_run)
    if ignore_existing:
        choice.existing = "keep"
    report = Report(Action.GET, lines=verbose, json=json, quiet=quiet, dry_run=dry_run)
    if len(places) == 1 and is_special(place):
        run(write_special(places[0], target))
        return
    run(copy_all("get", places, place, choice, report, recursive=recursive))
