"""Copies and moves of the files of whole directories, as results that come one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

from jtc.storage._disk.copy_ways import Series
from jtc.storage._disk.directories import Directories
from jtc.storage._disk.many_files import ManyFiles, with_progress
from jtc.storage.driver_support.derived import closing
from jtc.storage.driver_support.error_translation import translated
from jtc.storage.exceptions import (
    FileExistsException,
    PathConflictException,
    StorageException,
    UnsupportedOperationException,
)
from jtc.storage.layer import unwrap_path
from jtc.storage.models import DirectoryInfo
from jtc.storage.paths import check_directory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Mapping

    from jtc.storage._disk.base import DiskBase
    from jtc.storage._disk.many_files import Report
    from jtc.storage._transfers.merging import Tree, TreeDisk
    from jtc.storage._transfers.places import Overlap
    from jtc.storage.sync_plan import Difference
    from jtc.storage.transfers import FileResult

__all__ = ["DirectoryCall", "DirectoryCopies"]


class DirectoryCall(NamedTuple):
    """A copy or a move of a directory.

    Attributes:
        kind: ``"copy"`` or ``"move"``.
        src: The directory.
        target_disk: The disk of the copies.
        dst: The directory of the copies.
        concurrency: The number of files at once.
        report: The caller's function for the progress.
        options: The options as the user passed them.
    """

    kind: str
    src: str
    target_disk: DiskBase
    dst: str
    concurrency: int
    report: Report | None
    options: Mapping[str, Any]

    @property
    def operation(self) -> str:
        """The method that the user called."""
        return f"{self.kind}_directory"

    @property
    def changes(self) -> bool:
        """Whether an option changes the copies, so that those that are there are not enough."""
        return any(v is not None for name, v in self.options.items() if name != "overwrite")


class _Trees(NamedTuple):
    """The two directories of a call."""

    source: Tree
    target: Tree
    overlap: Overlap


class DirectoryCopies(ManyFiles, Directories):
    """The engine of `copy_directory` and `move_directory`."""

    __slots__ = ()

    async def _copied_directory(self, call: DirectoryCall) -> AsyncIterator[FileResult]:
        from jtc.storage._transfers.comparing import Comparison, differences  # noqa: PLC0415

        trees = await self._apart(call)
        if call.changes:
            found = _all_files(trees.source)
        else:
            found = _of_source(differences(Comparison(trees.source, trees.target)))
        async with closing(self._each_file(call, trees, found)) as results:
            async for result in results:
                yield result

    async def _moved_directory(self, call: DirectoryCall) -> AsyncIterator[FileResult]:
        from jtc.storage._transfers.meter import Meter  # noqa: PLC0415 - only where it is used

        trees = await self._apart(call)
        try:
            whole = await self._move_at_once(call, trees)
        except Exception as error:
            self._fail(error, call.operation, call.src)
        if whole is not None:
            Meter(call.report).file(call.src).end(whole)
            yield whole
            return
        found = _all_files(trees.source)
        async with closing(self._each_file(call, trees, found)) as results:
            async for result in results:
                yield result
        async for result in self._remove_empty(call, trees.source):
            yield result

    async def _apart(self, call: DirectoryCall) -> _Trees:
        """Check what is the same for all files, and that the directories are apart."""
        from jtc.storage._transfers.merging import Tree  # noqa: PLC0415 - only where it is used
        from jtc.storage._transfers.places import check_apart  # noqa: PLC0415

        await self._check_copies(call.operation, call.target_disk, call.options)
        try:
            source = Tree(cast("TreeDisk", self), check_directory(call.src))
            target = Tree(cast("TreeDisk", call.target_disk), check_directory(call.dst))
            if call.kind == "move":
                self._resolved().check_writable()
            overlap = await check_apart(
                (source.disk.driver, source.directory), (target.disk.driver, target.directory)
            )
        except Exception as error:
            self._fail(error, call.operation, call.src)
        return _Trees(source, target, overlap)

    def _each_file(
        self, call: DirectoryCall, trees: _Trees, found: AsyncIterator[Difference]
    ) -> AsyncIterator[FileResult]:
        """Copy or move the files of the source, or skip those that are the same."""
        from jtc.storage._transfers.bounded import bounded  # noqa: PLC0415
        from jtc.storage._transfers.meter import Meter  # noqa: PLC0415
        from jtc.storage.sync_plan import State  # noqa: PLC0415
        from jtc.storage.transfers import Action, FileResult  # noqa: PLC0415

        meter = Meter(call.report)
        series = Series(call.operation, apart=True)

        async def transfer(result: FileResult, found: Difference) -> FileResult:
            path, to_path = result.path, trees.target.path(found.path)
            counted = meter.file(path)
            try:
                given = with_progress(call.options, counted)
                copied = await self._transfer(
                    call.kind, path, to_path, call.target_disk, given, series, found.source
                )
                result.size = result.size if copied.size is None else copied.size
            except Exception as error:
                result.error = self._file_error(error, call.operation, path)
            counted.end(result)
            return result

        def begin(found: Difference) -> FileResult | Coroutine[Any, Any, FileResult]:
            result = FileResult(
                action=Action.SKIP if found.state is State.SAME else Action(call.kind),
                path=trees.source.path(found.path).removesuffix("/"),
                to_path=trees.target.path(found.path).removesuffix("/"),
                size=None if found.source is None else found.source.size,
                is_directory=found.path.endswith("/"),
            )
            error = found.error
            if trees.overlap.has(found.path):
                error = PathConflictException("The copy would be inside of the source")
            if error is not None:
                result.action = Action(call.kind)
                result.error = self._explained(error, call.operation, result.path)
            elif found.state is not State.SAME:
                return transfer(result, found)
            meter.file(result.path).end(result)
            return result

        return bounded(found, begin, call.concurrency)

    async def _move_at_once(self, call: DirectoryCall, trees: _Trees) -> FileResult | None:
        """Move the directory by the driver in one step; None where that is not possible."""
        from jtc.storage.transfers import Action, FileResult  # noqa: PLC0415

        resolved = self._resolved()
        src, dst = trees.source.directory, trees.target.directory
        is_within = resolved.driver is trees.target.disk.driver
        if not (is_within and src and dst) or call.changes or trees.overlap.inner is not None:
            return None
        if "directory_move" not in resolved.capabilities:
            return None
        try:
            if (hooks := self._manager.hooks.active) is None:
                await resolved.methods.move_directory(src, dst)
            else:
                to = {
                    "to_disk": self._own_name(),
                    "to_path": dst,
                    "to_key": unwrap_path(resolved.driver, dst)[1],
                }
                async with self._operation(
                    hooks, "move", call.operation, src, resolved, to=to, options=dict(call.options)
                ) as hooked:
                    await resolved.methods.move_directory(src, dst)
                    hooked.report(etag=None, size=None)
        except (StorageException, OSError) as error:
            # There is something at the target, or it is on another file system: file by file.
            if isinstance(translated(error), (FileExistsException, UnsupportedOperationException)):
                return None
            raise
        return FileResult(action=Action.MOVE, path=src, to_path=dst, is_directory=True)

    async def _remove_empty(self, call: DirectoryCall, source: Tree) -> AsyncIterator[FileResult]:
        """Remove the directories that a move left empty; yield those that could not be removed."""
        from jtc.storage.transfers import Action, FileResult  # noqa: PLC0415

        resolved = self._resolved()
        if "empty_directory_removal" not in resolved.capabilities:
            return
        async with closing(_deepest_first(self, source.directory)) as directories:
            async for directory in directories:
                try:
                    await self.remove_empty_directory(directory)
                except PathConflictException:
                    continue  # what could not be moved is there, or what came meanwhile
                except StorageException as error:
                    ours = self._explained(error, call.operation, directory)
                    yield FileResult(
                        action=Action.DELETE, path=directory, error=ours, is_directory=True
                    )


async def _all_files(source: Tree) -> AsyncIterator[Difference]:
    from jtc.storage._transfers.left_out import LeftOut  # noqa: PLC0415 - only where it is used
    from jtc.storage.sync_plan import Difference, State  # noqa: PLC0415

    left_out = LeftOut(source)
    async with closing(source.files(must_exist=True, left_out=left_out)) as files:
        async for key, info in files:
            for failed in left_out.take():
                yield failed
            yield Difference(state=State.ONLY_SOURCE, path=key, source=info)
    for failed in left_out.take(at_end=True):
        yield failed


async def _of_source(found: AsyncIterator[Difference]) -> AsyncIterator[Difference]:
    """Leave out what only the target has."""
    async with closing(found) as differences:
        async for difference in differences:
            if difference.source is not None or difference.error is not None:
                yield difference


async def _deepest_first(disk: Directories, directory: str) -> AsyncIterator[str]:
    """Yield the directories below one, each after those below it, and then the directory itself.

    A listing has each directory before its entries, so that those above the last one are enough.
    """
    above = [directory] if directory else []
    listed = disk.list(directory, recursive=True, directories=True)
    async with closing(listed) as entries:
        async for entry in entries:
            if not isinstance(entry, DirectoryInfo):
                continue
            while above and not entry.path.startswith(f"{above[-1]}/"):
                yield above.pop()
            above.append(entry.path)
    while above:
        yield above.pop()
