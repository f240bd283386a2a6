"""The command `rm`: deletions."""

from collections.abc import AsyncIterator, Sequence
from typing import Annotated

import typer

from jtc.storage.cli._exits import UsageError
from jtc.storage.cli._options import DryRun, Json, Places, Quiet, Verbose, Yes
from jtc.storage.cli._places.locations import Location, locate
from jtc.storage.cli._places.targets import Kind, kind_of
from jtc.storage.cli._running import run
from jtc.storage.cli._terminal.questions import confirm
from jtc.storage.cli._transfers.reporting import Report
from jtc.storage.driver_support.derived import closing
from jtc.storage.transfers import Action

EXAMPLES = (
    "jtc-storage rm s3:reports/2024.pdf",
    "jtc-storage rm -r s3:cache s3:tmp",
    "jtc-storage rm -r --dry-run s3:cache",
)

_AT_ONCE = 10_000
"""How many files are listed before they are deleted: not every store can be listed meanwhile."""


def command(
    paths: Places,
    *,
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Directories, with all that is below.")
    ] = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    verbose: Verbose = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Delete files of a disk, and directories with -r. A whole disk ("disk:") needs --yes."""
    places = [locate(path) for path in paths]
    report = Report(Action.DELETE, lines=verbose, json=json, quiet=quiet, dry_run=dry_run)
    for place in places:
        _check(place, recursive=recursive)
    if not dry_run:
        for place in places:
            if not place.path:
                confirm(f"Delete all files of the disk {place.text!r}?", yes=yes)
    run(_delete(places, report, recursive=recursive, dry_run=dry_run))


def _check(place: Location, *, recursive: bool) -> None:
    if place.is_local:
        raise UsageError(
            f"{place.text!r} is a path of this machine, which the system's rm deletes. A disk's "
            f"path has its name before it: disk:{place.text}"
        )
    if not place.path and not recursive:
        raise UsageError(f"{place.text!r} is a whole disk: with -r, all its files are deleted")


async def _delete(
    places: list[Location], report: Report, *, recursive: bool, dry_run: bool
) -> None:
    kinds = [await kind_of(place, prefer_directory=recursive) for place in places]
    for place, kind in zip(places, kinds, strict=True):
        if kind is Kind.DIRECTORY and not recursive:
            raise UsageError(
                f"{place.text!r} is a directory: with -r, it and its files are deleted"
            )
    for place, kind in zip(places, kinds, strict=True):
        if kind is Kind.NOTHING:
            report.add(Action.DELETE, place.text, error=place.missing("delete"))
        elif kind is Kind.FILE:
            await _delete_files(place, [place.path], report, dry_run=dry_run)
        else:
            await _delete_directory(place, report, dry_run=dry_run)
    report.finish()


async def _delete_directory(place: Location, report: Report, *, dry_run: bool) -> None:
    failed = report.numbers.failed
    async for paths in _batches(place):
        await _delete_files(place, paths, report, dry_run=dry_run)
    if dry_run or report.numbers.failed > failed:
        return
    # What stays are directories without files, where the store has such.
    if "directories" not in place.disk.capabilities:
        return
    if place.path:
        await place.disk.delete_directory(place.path)
        return
    for directory in await place.disk.directories():
        await place.disk.delete_directory(directory)


async def _batches(place: Location) -> AsyncIterator[list[str]]:
    paths: list[str] = []
    while True:
        after = paths[-1] if paths else None
        listing = place.disk.list(place.path, recursive=True, start_after=after)
        paths = []
        async with closing(listing):
            async for entry in listing:
                paths.append(entry.path)
                if len(paths) == _AT_ONCE:
                    break
        if paths:
            yield paths
        if len(paths) < _AT_ONCE:
            return


async def _delete_files(
    place: Location, paths: Sequence[str], report: Report, *, dry_run: bool
) -> None:
    results = {} if dry_run else await place.disk.delete_many(paths)
    for path in paths:
        found = results.get(path, True)
        error = None if isinstance(found, bool) else found
        report.add(Action.DELETE, f"{place.disk.name}:{path}", error=error)
