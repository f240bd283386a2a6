"""Runs of a plan: copies, then deletions, several at once, with a result per file."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from jtc.storage._transfers.bounded import bounded
from jtc.storage._transfers.meter import Meter
from jtc.storage._transfers.mixing import copied
from jtc.storage._transfers.rate_limit import Rate
from jtc.storage._transfers.times import may_be_copy, with_time
from jtc.storage.driver_support.content_checks import check_progress
from jtc.storage.driver_support.derived import closing
from jtc.storage.exceptions import (
    FileExistsException,
    FileNotFoundException,
    PreconditionFailedException,
    StorageException,
    UnsupportedOperationException,
)
from jtc.storage.options import check_concurrency
from jtc.storage.transfers import Action, FileResult

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from jtc.storage._transfers.merging import Tree
    from jtc.storage._transfers.plan_file import PlanFile, PlannedCopy
    from jtc.storage.transfers import TransferProgress

__all__ = ["SyncTrees", "check_run", "failed_result", "run_plan"]


class SyncTrees(NamedTuple):
    """The directories of a synchronization.

    Attributes:
        source: What is copied.
        target: What becomes like it.
        backup: Where replaced and deleted files go, if they are kept.
        copier: Returns what copies a file from the source's disk to the target's at a limited
            rate: it takes both paths and options.
    """

    source: Tree
    target: Tree
    backup: Tree | None
    copier: Callable[[Rate | None], Callable[[str, str, dict[str, Any]], Awaitable[object]]]

    @property
    def directories(self) -> dict[str, Tree]:
        """The directories by their names."""
        named = {"source": self.source, "target": self.target}
        return named if self.backup is None else {**named, "backup": self.backup}


def check_run(concurrency: int, progress: object, max_rate: object) -> None:
    """Check the arguments of `SyncPlan.run`.

    Raises:
        TypeError: One has a wrong type.
        ValueError: One is not above 0.
    """
    check_progress(progress)
    check_concurrency(concurrency)
    if max_rate is None:
        return
    if not isinstance(max_rate, (int, float)) or isinstance(max_rate, bool):
        raise TypeError(f"max_rate is a number of bytes per second, not {max_rate!r}")
    if not max_rate > 0:
        raise ValueError(f"max_rate is above 0, not {max_rate}")


async def run_plan(
    trees: SyncTrees,
    plan: PlanFile,
    *,
    total_files: int,
    total_bytes: int,
    concurrency: int,
    report: Callable[[TransferProgress], object] | None,
    max_rate: float | None,
    options: Mapping[str, Any],
) -> AsyncIterator[FileResult]:
    """Do what is planned, and yield the result of each file as it ends."""
    meter = Meter(report, total_files, total_bytes)
    run = _Run(trees, meter, max_rate, options)
    failed = 0
    async for key, error in plan.failures():
        failed += 1
        yield run.failure(key, error)
    async with closing(copied(plan, run.copy, concurrency)) as results:
        async for result in results:
            failed += result.error is not None
            yield result
    async with closing(run.deletions(plan, failed, concurrency)) as results:
        async for result in results:
            yield result


def failed_result(trees: SyncTrees, key: str, error: StorageException) -> FileResult:
    """Return the result of a file that could not be planned, or of a directory."""
    file = key.removesuffix("/")
    return FileResult(
        action=Action.COPY,
        path=trees.source.path(file),
        to_path=trees.target.path(file),
        error=error,
        is_directory=file != key,
    )


class _Run:
    """One run of a plan."""

    def __init__(
        self,
        trees: SyncTrees,
        meter: Meter,
        max_rate: float | None,
        options: Mapping[str, Any],
    ) -> None:
        self._trees = trees
        self._meter = meter
        self._options = options
        self._copy_file = trees.copier(None if max_rate is None else Rate(max_rate))
        source, target = trees.source.disk.capabilities, trees.target.disk.capabilities
        self._names_versions = "reading" in source
        self._is_careful = "overwrite" in target.put_options
        # A store that copies by itself would not keep the time of a file whose time may be set.
        self._adds_time = (
            "copy_source" in source
            and target.supports("copy_from", "metadata")
            and trees.source.disk.driver is not trees.target.disk.driver
        )

    def failure(self, key: str, error: StorageException) -> FileResult:
        """Return the result of a file that failed before."""
        result = failed_result(self._trees, key, error)
        self._meter.file(result.path).end(result)
        return result

    async def copy(self, planned: PlannedCopy) -> FileResult:
        """Copy one file."""
        result = self._result(planned.key)
        result.size = planned.source.size
        result.replaces = planned.target is not None
        counted = self._meter.file(result.path)
        options = dict(self._options)
        if counted.progress is not None:
            options["progress"] = counted.progress
        try:
            is_new = await self._make_room(planned)
            await self._check_source(planned, options)
            await self._copy(planned.key, options, is_new=is_new)
        except PreconditionFailedException as error:
            if await self._is_there(planned.key):
                result.action = Action.SKIP
            else:
                result.error = error
        except StorageException as error:
            result.error = error
        counted.end(result)
        return result

    def _result(self, key: str) -> FileResult:
        trees = self._trees
        return FileResult(
            action=Action.COPY, path=trees.source.path(key), to_path=trees.target.path(key)
        )

    async def _make_room(self, planned: PlannedCopy) -> bool:
        """Keep the file that is replaced, if it still is the one; return whether there is none."""
        if planned.target is None:
            return True
        target, backup = self._trees.target, self._trees.backup
        path = target.path(planned.key)
        try:
            found = await target.disk.stat(path)
        except FileNotFoundException:
            return True
        if not planned.target.is_of(found):
            raise PreconditionFailedException(
                "The target's file was changed after the plan was made: make another plan",
                path=path,
                disk=target.disk.name,
                operation="plan_sync",
            )
        if backup is not None:
            await target.disk.copy(path, backup.path(planned.key), to=backup.disk)
        return False

    async def _is_there(self, key: str) -> bool:
        """Return whether the target has the source's file meanwhile.

        What a killed process sent to a store may be stored after the next plan was made.
        """
        source, target = self._trees.source, self._trees.target
        try:
            one = await source.disk.stat(source.path(key))
            other = await target.disk.stat(target.path(key))
        except StorageException:
            return False
        return one.size == other.size and may_be_copy(one, other)

    async def _check_source(self, planned: PlannedCopy, options: dict[str, Any]) -> None:
        """Have the version copied that was planned, or none."""
        if planned.source.etag is not None and self._names_versions:
            options["if_source_match"] = planned.source.etag
            return
        source = self._trees.source
        path = source.path(planned.key)
        if not planned.source.is_of(await source.disk.stat(path)):
            raise self._other_source(path)

    async def _copy(self, key: str, options: dict[str, Any], *, is_new: bool) -> None:
        path, to_path = self._trees.source.path(key), self._trees.target.path(key)
        if self._adds_time:
            info = await self._trees.source.disk.stat(path)
            if info.last_modified_ns is None:
                self._adds_time = False  # no file system: its times are never set back
            else:
                options["metadata"] = with_time(options.get("metadata", info.metadata), info)
        try:
            if is_new and self._is_careful:
                with contextlib.suppress(UnsupportedOperationException):
                    await self._copy_file(path, to_path, {**options, "overwrite": False})
                    return
                self._is_careful = False  # the store does not keep the condition
            await self._copy_file(path, to_path, options)
        except PreconditionFailedException as error:
            if isinstance(error, FileExistsException):
                raise
            raise self._other_source(path) from error

    def _other_source(self, path: str) -> PreconditionFailedException:
        return PreconditionFailedException(
            "The source's file was changed after the plan was made: make another plan",
            path=path,
            disk=self._trees.source.disk.name,
            operation="plan_sync",
        )

    async def deletions(
        self, plan: PlanFile, failed: int, concurrency: int
    ) -> AsyncIterator[FileResult]:
        """Delete files of the target, or move them to the backup; none where a copy failed."""
        delete: Callable[[list[FileResult]], AsyncIterator[FileResult]] = self._delete
        if failed:
            delete = partial(self._cancel, failed)
        elif (backup := self._trees.backup) is not None:
            delete = partial(self._retire, backup, concurrency)
        async with closing(plan.deletions()) as batches:
            async for batch in batches:
                results = [
                    FileResult(action=Action.DELETE, path=self._trees.target.path(key), size=size)
                    for key, size in batch
                ]
                async with closing(delete(results)) as deleted:
                    async for result in deleted:
                        self._meter.add(result.path, files=1)
                        yield result

    async def _cancel(self, failed: int, results: list[FileResult]) -> AsyncIterator[FileResult]:
        for result in results:
            result.error = StorageException(
                f"It was not deleted, since {failed} files could not be copied",
                path=result.path,
                disk=self._trees.target.disk.name,
                operation="plan_sync",
            )
            yield result

    async def _delete(self, results: list[FileResult]) -> AsyncIterator[FileResult]:
        errors: dict[str, Any] = {}
        try:
            errors = await self._trees.target.disk.delete_many([each.path for each in results])
        except StorageException as error:
            errors = dict.fromkeys([each.path for each in results], error)
        for result in results:
            outcome = errors.get(result.path)
            result.error = outcome if isinstance(outcome, StorageException) else None
            yield result

    async def _retire(
        self, backup: Tree, concurrency: int, results: list[FileResult]
    ) -> AsyncIterator[FileResult]:
        target = self._trees.target
        start = len(target.path(""))

        async def retire(result: FileResult) -> FileResult:
            try:
                to_path = backup.path(result.path[start:])
                await target.disk.move(result.path, to_path, to=backup.disk)
            except FileNotFoundException:
                pass  # deleted by another program
            except StorageException as error:
                result.error = error
            return result

        moved: AsyncIterator[FileResult] = bounded(results, retire, concurrency)
        async with closing(moved) as each:
            async for result in each:
                yield result
