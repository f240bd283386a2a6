"""Transfers of the files and directories that a command names."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from jtc.storage import FileExistsException
from jtc.storage.cli._options import rate
from jtc.storage.cli._places.skipped import skipped
from jtc.storage.cli._places.targets import Job, pair
from jtc.storage.cli._terminal.output import write_error
from jtc.storage.cli._terminal.progress import bar
from jtc.storage.cli._transfers.filtering import check_patterns
from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.layer import unwrap_path
from jtc.storage.sync_plan import path_filter
from jtc.storage.transfers import DEFAULT_CONCURRENCY, Action

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from jtc.storage import Disk, FileInfo
    from jtc.storage.cli._places.locations import Location
    from jtc.storage.cli._places.skipped import Skipped
    from jtc.storage.cli._transfers.reporting import Report
    from jtc.storage.sync_plan import Difference, SyncPlan
    from jtc.storage.transfers import Compare

__all__ = [
    "Choice",
    "choose",
    "compare",
    "copy_all",
    "directory",
    "make_plan",
    "report_skipped",
    "run_plan",
]

_DESCRIPTORS = 3
"""How many files and connections a transfer has open."""

_DESCRIPTORS_BESIDE = 24
"""How many the program has open besides: for the event loop, listings, the plan."""

_MOST_DESCRIPTORS = 4096


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
    concurrency: int = DEFAULT_CONCURRENCY
    max_rate: float | None = None
    options: dict[str, Any] = field(default_factory=dict)
    shows_bar: bool = True
    dry_run: bool = False

    def __post_init__(self) -> None:
        self.concurrency = min(self.concurrency, _most_at_once())


def choose(
    include: Sequence[str] | None,
    exclude: Sequence[str] | None,
    transfers: int,
    bwlimit: str | None,
    options: dict[str, Any],
    *,
    quiet: bool,
    dry_run: bool,
) -> Choice:
    """Return the choice of the options that all commands have.

    Raises:
        UsageError: A value is invalid.
    """
    check_patterns(include, exclude)
    return Choice(
        include=include or (),
        exclude=exclude or (),
        concurrency=transfers,
        max_rate=rate(bwlimit),
        options=options,
        shows_bar=not quiet,
        dry_run=dry_run,
    )


def _most_at_once() -> int:
    """Return how many transfers the limit of open files leaves room for, raised if it may be."""
    try:
        import resource  # noqa: PLC0415 - not on Windows
    except ImportError:
        return DEFAULT_CONCURRENCY * _DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if resource.RLIM_INFINITY in {soft, hard}:
        return sys.maxsize
    if soft < (better := min(hard, _MOST_DESCRIPTORS)):
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (better, hard))
            soft = better
    return max(1, (soft - _DESCRIPTORS_BESIDE) // _DESCRIPTORS)


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
            await report_skipped(job.source, choice)
            async with await make_plan(job, choice) as plan:
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
    if choice.delete and not plan.is_complete:
        write_error("nothing is deleted: the source cannot be listed whole")
    if choice.dry_run:
        async for failed in plan.failures():
            report.add_result(failed)
        async for planned in plan:
            report.add(planned.action, planned.path, replaces=planned.replaces, size=planned.size)
        return
    with bar("copying", wanted=choice.shows_bar) as progress:
        results = plan.run(
            concurrency=choice.concurrency,
            progress=progress,
            max_rate=choice.max_rate,
            **choice.options,
        )
        async with results:
            async for result in results:
                report.add_result(result)


async def report_skipped(source: Location, choice: Choice) -> None:
    """Name the symbolic links of a directory of this machine, and what is no regular file."""
    if not choice.shows_bar:
        return
    takes = path_filter(choice.include, choice.exclude)
    for found in await asyncio.to_thread(_skipped, source):
        if takes is None or takes(found.path):
            path = f"{source.text.rstrip('/')}/{found.path}"
            write_error(f"{path!r} is {found.kind}, which is skipped")


def _skipped(source: Location) -> list[Skipped]:
    driver, path = unwrap_path(source.disk.driver, source.path)
    return list(skipped(driver.location, path)) if isinstance(driver, LocalDriver) else []


async def _copy_files(jobs: Sequence[Job], choice: Choice, report: Report) -> None:
    """Copy files that were named, from one disk to another or the same."""
    there = await _existing(jobs, choice) if report.shows_lines else frozenset()
    names = {job.path: job.name for job in jobs}
    if choice.dry_run:
        for job in jobs:
            is_there = job.path in there
            action = Action.SKIP if is_there and choice.existing == "keep" else Action.COPY
            report.add(action, job.name, replaces=is_there)
        return
    options = dict(choice.options)
    if choice.existing == "keep":
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
                    path = result.to_path or result.path
                    if choice.existing == "keep" and isinstance(result.error, FileExistsException):
                        report.add(Action.SKIP, names[path])
                    else:
                        report.add_result(result, name=names[path], replaces=path in there)


async def _existing(jobs: Sequence[Job], choice: Choice) -> frozenset[str]:
    """Return which targets exist."""
    room = asyncio.Semaphore(choice.concurrency)

    async def exists(job: Job) -> bool:
        async with room:
            return await job.target.disk.exists(job.path)

    found = await asyncio.gather(*map(exists, jobs))
    return frozenset(job.path for job, there in zip(jobs, found, strict=True) if there)
