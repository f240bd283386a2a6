"""The command `cp`: copies."""

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
from jtc.storage.cli._places.locations import locate
from jtc.storage.cli._running import run
from jtc.storage.cli._transfers.reporting import Report
from jtc.storage.cli._transfers.transferring import choose, copy_all
from jtc.storage.transfers import DEFAULT_CONCURRENCY, Action

EXAMPLES = (
    "jtc-storage cp s3:a.pdf s3:archive/",
    "jtc-storage cp s3:photos backup:photos",
    "jtc-storage cp --dry-run --exclude '*.tmp' s3:photos backup:photos",
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
    """Copy files, and the contents of a directory, within a disk or from one to another.

    A file goes into a target that is a directory, or ends with a slash. Of a directory, the
    contents go to the target, and files that are there and the same are skipped.
    """
    places = [locate(source) for source in sources]
    place = locate(target)
    if place.is_local and any(each.is_local for each in places):
        raise UsageError("Both are paths of this machine, which the system's cp copies")
    new = new_file_options(type, visibility, cache_control, metadata)
    choice = choose(include, exclude, transfers, bwlimit, new, quiet=quiet, dry_run=dry_run)
    if ignore_existing:
        choice.existing = "keep"
    report = Report(Action.COPY, lines=verbose, json=json, quiet=quiet, dry_run=dry_run)
    run(copy_all("cp", places, place, choice, report, recursive=recursive))
