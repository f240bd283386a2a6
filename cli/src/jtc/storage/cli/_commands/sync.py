"""The command `sync`: one directory is made like another one."""

from typing import Annotated, Literal

import typer

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
    Source,
    Target,
    Type,
    Verbose,
    Visible,
    Yes,
    new_file_options,
)
from jtc.storage.cli._places.locations import locate
from jtc.storage.cli._running import run
from jtc.storage.cli._transfers.combined import Combined, combined_lines
from jtc.storage.cli._transfers.filtering import (
    Checksum,
    FilesFrom,
    MaxAge,
    MaxSize,
    MinAge,
    MinSize,
    SizeOnly,
    comparison,
    make_filter,
)
from jtc.storage.cli._transfers.reporting import Report
from jtc.storage.cli._transfers.synchronizing import synchronize
from jtc.storage.cli._transfers.transferring import choose
from jtc.storage.transfers import DEFAULT_CONCURRENCY, Action

EXAMPLES = (
    "jtc-storage sync ./site cdn:www",
    "jtc-storage sync --delete --max-delete 100 --exclude '*.tmp' ./site cdn:www",
    "jtc-storage sync --delete --dry-run --combined - s3:photos backup:photos",
)


Delete = Annotated[bool, typer.Option("--delete", help="Delete what only the target has.")]
MaxDelete = Annotated[
    int | None,
    typer.Option(
        "--max-delete", min=0, metavar="N", show_default=False, help="Refuse more deletions."
    ),
]
BackupDir = Annotated[
    str | None,
    typer.Option(
        "--backup-dir",
        metavar="PATH",
        show_default=False,
        help="Move there what would be replaced or deleted.",
    ),
]
Immutable = Annotated[
    bool, typer.Option("--immutable", help="Fail for each file that differs, and keep it.")
]


def command(
    source: Source,
    target: Target,
    *,
    delete: Delete = False,
    max_delete: MaxDelete = None,
    backup_dir: BackupDir = None,
    ignore_existing: IgnoreExisting = False,
    immutable: Immutable = False,
    checksum: Checksum = False,
    size_only: SizeOnly = False,
    include: Include = None,
    exclude: Exclude = None,
    files_from: FilesFrom = None,
    min_size: MinSize = None,
    max_size: MaxSize = None,
    min_age: MinAge = None,
    max_age: MaxAge = None,
    type: Type = None,  # noqa: A002 - the option's name
    visibility: Visible = None,
    cache_control: CacheControl = None,
    metadata: Metadata = None,
    transfers: Concurrency = DEFAULT_CONCURRENCY,
    bwlimit: BandwidthLimit = None,
    combined: Combined = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    verbose: Verbose = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Copy what differs from a directory to another one; with --delete, make them alike.

    Files that are the same are skipped: their checksums say so, or their sizes and times. Deletions
    come last, and are asked for, or need --yes.
    """
    new = new_file_options(type, visibility, cache_control, metadata)
    choice = choose(include, exclude, transfers, bwlimit, new, quiet=quiet, dry_run=dry_run)
    choice.where = make_filter(min_size, max_size, min_age, max_age, files_from)
    choice.compare = comparison(checksum=checksum, size_only=size_only)
    choice.existing = _existing(ignore=ignore_existing, immutable=immutable)
    choice.delete, choice.max_delete = delete, _checked(max_delete, delete=delete)
    backup = None if backup_dir is None else locate(backup_dir)
    report = Report(Action.COPY, lines=verbose, json=json, quiet=quiet, dry_run=dry_run)
    with combined_lines(combined) as line:
        run(synchronize(locate(source), locate(target), backup, choice, report, line, yes=yes))


def _existing(*, ignore: bool, immutable: bool) -> Literal["replace", "keep", "refuse"]:
    if ignore and immutable:
        raise UsageError("--ignore-existing and --immutable exclude each other: pass one of them")
    return "keep" if ignore else "refuse" if immutable else "replace"


def _checked(max_delete: int | None, *, delete: bool) -> int | None:
    if max_delete is not None and not delete:
        raise UsageError("--max-delete limits --delete, which is not given")
    return max_delete
