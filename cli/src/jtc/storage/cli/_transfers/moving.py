"""Moves of the files and the directory that a command names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jtc.storage import StorageException
from jtc.storage.cli._exits import UsageError
from jtc.storage.cli._places.targets import pair
from jtc.storage.cli._terminal.progress import bar
from jtc.storage.cli._transfers.transferring import directory, report_skipped
from jtc.storage.driver_support.derived import closing
from jtc.storage.transfers import Action

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jtc.storage.cli._places.locations import Location
    from jtc.storage.cli._places.targets import Job
    from jtc.storage.cli._transfers.reporting import Report
    from jtc.storage.cli._transfers.transferring import Choice

__all__ = ["move_all"]


async def move_all(
    sources: Sequence[Location],
    target: Location,
    choice: Choice,
    report: Report,
    *,
    recursive: bool,
    merge: bool,
) -> None:
    """Move the files, or the directory, that a command line names.

    Args:
        sources: The files, or one directory.
        target: Where they go.
        choice: The options.
        report: Gets the results.
        recursive: Where a source is both a file and a directory, take the directory.
        merge: The target of a directory may exist.

    Raises:
        Failed: A file failed.
        UsageError: Sources and target do not go together.
    """
    jobs = await pair("mv", sources, target, recursive=recursive)
    for job in jobs:
        if job.is_directory:
            if not merge and not await _is_free(target):
                raise _exists(job)
            await _move_directory(job, choice, report)
        else:
            await _move_file(job, choice, report)
    report.finish()


async def _is_free(target: Location) -> bool:
    """Return whether there is no file below a directory."""
    async with closing(directory(target.disk, target.path).list(recursive=True)) as entries:
        async for _ in entries:
            return False
    return True


def _exists(job: Job) -> UsageError:
    return UsageError(
        f"The directory {job.target.text!r} exists. To move {job.source.text!r} into it, write "
        f"{job.target.text_of(job.source.name)!r}; to put the files of both together, add --merge"
    )


async def _move_file(job: Job, choice: Choice, report: Report) -> None:
    source, target = job.source, job.target
    replaces = report.shows_lines and await target.disk.exists(job.path)
    error = None
    if not choice.dry_run:
        try:
            await source.disk.move(source.path, job.path, to=target.disk)
        except StorageException as failed:
            error = failed
    report.add(Action.MOVE, job.name, replaces=replaces, error=error)


async def _move_directory(job: Job, choice: Choice, report: Report) -> None:
    source = job.source
    if choice.dry_run:
        async for entry in source.disk.list(source.path, recursive=True):
            report.add(Action.MOVE, source.relative(entry.path))
        return
    is_whole = False
    with bar("moving", wanted=choice.shows_bar) as progress:
        results = source.disk.move_directory(
            source.path,
            job.path,
            to=job.target.disk,
            concurrency=choice.concurrency,
            progress=progress,
        )
        async with results:
            async for result in results:
                if is_whole := result.is_directory and result.error is None:
                    report.add_directory(job.name)
                else:
                    report.add_result(result)
    if not is_whole:
        await report_skipped(job.source, choice)
