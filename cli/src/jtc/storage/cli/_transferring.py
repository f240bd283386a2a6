"""Transfers of the files and directories that a command names."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from jtc.storage import FileExistsException
from jtc.storage.cli._left_out import left_out
from jtc.storage.cli._output import write_error
from jtc.storage.cli._progress import bar
from jtc.storage.cli._targets import Job, pair
from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.layer import unwrap_path
from jtc.storage.sync_plan import path_filter
from jtc.storage.transfers import Action

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from jtc.storage import Disk, FileInfo
    from jtc.storage.cli._left_out import LeftOut
    from jtc.storage.cli._locations import Location
    from jtc.storage.cli._reporting import Report
    from jtc.storage.sync_plan import Difference, SyncPlan
    from jtc.storage.transfers import Compare, FileResult

__all__ = [
    "Choice",
    "compare",
    "copy_all",
    "directory",
    "make_plan",
    "report_left_out",
    "report_result",
    "run_plan",
]

_SIGNS = {Action.DELETE: "-", Action.SKIP: "="}


@dataclass(slots=True, kw_only=True)
class Choice:
    """What the options of a command choose.

    Attributes:
        include: Patterns of files of a directory.
        exclude: Patterns of files of a directory that are left out.
        where: Judges a file of a directory by its size and time.
        compare: How two files are compared.
        existing: What becomes of a file that is there, and differs.
        delete: Delete what only the target has.
        max_delete: The largest number of deletions.
        backup: Where files go that are replaced or deleted.
        concurrency: How many files are transferred at once.
        max_rate: Bytes a second.
        options: Those of each new file, such as its visibility.
        shows_bar: Show a bar on a terminal, and warnings.
        dry_run: Do nothing.
    """

    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    where: Callable[[FileInfo], bool] | None = None
    compare: Compare = "auto"
    existing: Literal["replace", "keep", "refuse"] = "replace"
    delete: bool = False
    max_delete: int | None = None
    backup: Disk | None = None
    concurrency: int = 16
    max_rate: float | None = None
    options: dict[str, Any] = field(default_factory=dict)
    shows_bar: bool = True
    dry_run: bool = False


async def copy_all(
    command: str,
    sources: Sequence[Location],
    target: Location,
    choice: Choice,
    report: Report,
    *,
    recursive: bool,
) -> None:
    """Copy the files, or the contents of the directory, that a command line names.

    Args:
        command: The command's name, for messages.
        sources: The files, or one directory.
        target: Where they go.
        choice: The options.
        report: Gets the results.
        recursive: Where a source is both a file and a directory, take the directory.

    Raises:
        Failed: A file failed.
        UsageError: Sources and target do not go together.
    """
    jobs = await pair(command, sources, target, recursive=recursive)
    for job in jobs:
        if job.is_directory:
            report.numbers.failed += await report_left_out(job.source, choice)
            plan = await make_plan(job, choice)
            await run_plan(plan, choice, report)
    files = [job for job in jobs if not job.is_directory]
    if files:
        await _copy_files(files, choice, report)
    report.finish()


async def make_plan(job: Job, choice: Choice) -> SyncPlan:
    """Compare a directory with its target, and plan what is done."""
    with bar("comparing", wanted=choice.shows_bar):
        return await directory(job.source.disk, job.source.path).plan_sync(
            to=directory(job.target.disk, job.path),
            include=choice.include,
            exclude=choice.exclude,
            where=choice.where,
            compare=choice.compare,
            existing=choice.existing,
            delete=choice.delete,
            max_delete=choice.max_delete,
            backup=choice.backup,
        )


def compare(source: Location, target: Location, choice: Choice) -> AsyncIterator[Difference]:
    """Compare the files of two directories."""
    return directory(source.disk, source.path).compare(
        to=directory(target.disk, target.path),
        include=choice.include,
        exclude=choice.exclude,
        where=choice.where,
        compare=choice.compare,
    )


def directory(disk: Disk, path: str) -> Disk:
    """Return a directory as a disk: paths below it have one form, whatever its own path is."""
    return disk.scoped(path) if path else disk


async def run_plan(plan: SyncPlan, choice: Choice, report: Report) -> None:
    """Do what is planned, or say what would be done."""
    report.count_same(plan.counts.unchanged)
    if choice.dry_run:
        async for planned in plan:
            sign = "-" if planned.action is Action.DELETE else "*" if planned.replaces else "+"
            report.add(sign, planned.path, action=planned.action, size=planned.size)
        return
    with bar("copying", wanted=choice.shows_bar) as progress:
        results = plan.run(
            concurrency=choice.concurrency, progress=progress, max_rate=choice.max_rate
        )
        async with results:
            async for result in results:
                report_result(result, report)


async def report_left_out(source: Location, choice: Choice) -> int:
    """Say which files of a directory of this machine no listing has.

    Returns:
        How many of them were to be transferred: not so links, and what is no regular file.
    """
    failed = 0
    logging.getLogger("jtc.storage").addFilter(_is_news)
    takes = path_filter(choice.include, choice.exclude)
    for found in await asyncio.to_thread(_left_out, source):
        if takes is not None and not takes(found.path):
            continue
        path = f"{source.text.rstrip('/')}/{found.path}" if found.path else source.text
        if found.is_error:
            failed += 1
            write_error(f"{path!r} is left out: {found.reason}")
        elif choice.shows_bar:
            write_error(f"{path!r} {found.reason}")
    return failed


def _is_news(record: logging.LogRecord) -> bool:
    """Return whether a warning of the library is none of how many names a listing leaves out."""
    return not record.msg.startswith("Left out ")


def _left_out(source: Location) -> list[LeftOut]:
    driver, path = unwrap_path(source.disk.driver, source.path)
    return list(left_out(driver.location, path)) if isinstance(driver, LocalDriver) else []


async def _copy_files(jobs: Sequence[Job], choice: Choice, report: Report) -> None:
    """Copy files that were named, from one disk to another or the same."""
    if choice.dry_run:
        for job in jobs:
            there = await job.target.disk.exists(job.path)
            if there and choice.existing == "keep":
                report.add("=", job.path, action=Action.SKIP)
            else:
                report.add("*" if there else "+", job.path, action=Action.COPY)
        return
    options = dict(choice.options)
    if choice.existing != "replace":
        options["overwrite"] = False
    by_disk: dict[Disk, list[Job]] = {}
    for job in jobs:
        by_disk.setdefault(job.source.disk, []).append(job)
    with bar("copying", wanted=choice.shows_bar) as progress:
        for disk, group in by_disk.items():
            results = disk.copy_many(
                [(job.source.path, job.path) for job in group],
                to=group[0].target.disk,
                concurrency=choice.concurrency,
                progress=progress,
                **options,
            )
            async with results:
                async for result in results:
                    if choice.existing == "keep" and isinstance(result.error, FileExistsException):
                        report.add("=", result.to_path or result.path, action=Action.SKIP)
                    else:
                        report_result(result, report)


def report_result(result: FileResult, report: Report) -> None:
    """Report what became of a file."""
    sign = _SIGNS.get(result.action, "+")
    path = result.to_path or result.path
    report.add(sign, path, action=result.action, size=result.size, error=result.error)
