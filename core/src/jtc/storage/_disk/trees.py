"""Copies, moves, comparisons and synchronizations of whole directories."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Unpack, cast

from jtc.storage._disk.base import DiskBase
from jtc.storage._disk.copy_ways import Series
from jtc.storage._disk.directory_copies import DirectoryCall, DirectoryCopies
from jtc.storage.options import DEFAULT_CONCURRENCY, check_many_options
from jtc.storage.paths import check_directory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

    from jtc.storage._disk import Disk
    from jtc.storage._transfers.merging import Tree
    from jtc.storage._transfers.planning import SyncRules
    from jtc.storage._transfers.rate_limit import Rate
    from jtc.storage.models import FileInfo
    from jtc.storage.options import CopyManyOptions
    from jtc.storage.sync_plan import Difference, SyncPlan
    from jtc.storage.transfers import Compare, TransferProgress, Transfers

__all__ = ["Trees"]


class Trees(DirectoryCopies):
    """The methods `copy_directory`, `move_directory`, `compare` and `plan_sync`."""

    __slots__ = ()

    def copy_directory(
        self,
        src: str,
        dst: str,
        *,
        to: Disk | str | None = None,
        concurrency: int = DEFAULT_CONCURRENCY,
        progress: Callable[[TransferProgress], object] | None = None,
        **options: Unpack[CopyManyOptions],
    ) -> Transfers:
        """Copy all files below a directory, at any depth, several at once.

        Files that are at the target already are skipped, so that a copy that was stopped goes on
        where it was when it is called again: those that are the same as `plan_sync` compares them
        with ``compare="auto"``. With options that change the copies, nothing is skipped. Others
        are replaced; what only the target has stays.

        Each file is copied as `copy` does: within one store by the store itself. On another disk a
        copy keeps its source's time as metadata, under ``mtime``, where the driver has metadata.
        Directories without files are not copied.

        Args:
            src: The directory, ``""`` for the root.
            dst: The directory of the copies.
            to: The disk, or the name of the disk, of the copies; None is this disk.
            concurrency: The number of files that are copied at once.
            progress: Called while files are copied, and as each one ends.
            **options: See `CopyManyOptions`; they are those of all files.

        Returns:
            The results as the files end, or, by ``await``, their numbers: see `Transfers`. It
            raises FileNotFoundException if there is no directory `src`, and InvalidPathException
            if `dst` is the same directory or inside of it, also through another view or disk.

        Raises:
            TypeError: An option is unknown, or an argument has a wrong type.
            ValueError: `concurrency` is below 1, or an option's value is invalid.
        """
        check_many_options(options, method="copy_directory")
        disk = self._target_disk(to)
        call = DirectoryCall("copy", src, disk, dst, concurrency, progress, options)
        return self._transfers(
            call.operation, lambda: self._copied_directory(call), concurrency, progress
        )

    def move_directory(
        self,
        src: str,
        dst: str,
        *,
        to: Disk | str | None = None,
        concurrency: int = DEFAULT_CONCURRENCY,
        progress: Callable[[TransferProgress], object] | None = None,
        **options: Unpack[CopyManyOptions],
    ) -> Transfers:
        """Move all files below a directory, at any depth, several at once.

        A driver with the capability ``directory_move`` moves the directory in one step, if there is
        nothing at the target. Otherwise each file is moved as `move` does, and is deleted only
        after its copy is stored; a file that the target has is replaced. Called again, it moves
        what is left. Directories that it leaves empty are removed, where the driver can do that
        without a race.

        Args:
            src: The directory, ``""`` for the root.
            dst: The new path of the directory.
            to: The disk, or the name of the disk, of the new directory; None is this disk.
            concurrency: The number of files that are moved at once.
            progress: Called while files are moved, and as each one ends.
            **options: See `CopyManyOptions`; they are those of all files.

        Returns:
            The results as the files end, or the one of the directory: see `copy_directory`.

        Raises:
            TypeError: An option is unknown, or an argument has a wrong type.
            ValueError: `concurrency` is below 1, or an option's value is invalid.
        """
        check_many_options(options, method="move_directory")
        disk = self._target_disk(to)
        call = DirectoryCall("move", src, disk, dst, concurrency, progress, options)
        return self._transfers(
            call.operation, lambda: self._moved_directory(call), concurrency, progress
        )

    def compare(
        self,
        prefix: str = "",
        *,
        to: Disk | str,
        include: Iterable[str] = (),
        exclude: Iterable[str] = (),
        where: Callable[[FileInfo], bool] | None = None,
        compare: Compare = "auto",
    ) -> AsyncIterator[Difference]:
        """Compare all files below a directory with those below another one.

        The arguments are those of `plan_sync`. Nothing is changed.

        Args:
            prefix: The directory of this disk, ``""`` for the root. It must exist.
            to: The other disk; or its name, also with a directory, as in ``"cdn:www"``.
            include: Patterns of the files that are compared; without any, all are.
            exclude: Patterns of files that are left out.
            where: Returns whether a file is compared, by its metadata in the listing.
            compare: How two files are compared.

        Returns:
            An async iterator of a `Difference` for each path, also for equal files, mostly in the
            order of keys. It raises FileNotFoundException if the directory is missing, and
            StorageException if a listing fails; a file that cannot be compared is a `Difference`
            with its error, and so is what a listing leaves out, such as a directory that may not be
            read.

        Raises:
            ValueError: A pattern or `compare` is invalid.
            TypeError: An argument has a wrong type.
        """
        from jtc.storage._transfers import comparing, filters  # noqa: PLC0415 - only where used

        try:
            comparing.check_compare(compare)
            takes, enters = filters.compile_both(include, exclude)
            pair = comparing.Comparison(
                _tree(self, prefix), self._named_tree(to), compare, watches_target=True
            )
        except Exception as error:
            self._fail(error, "compare", prefix)
        return comparing.differences(pair, takes=takes, enters=enters, where=where)

    async def plan_sync(
        self,
        prefix: str = "",
        *,
        to: Disk | str,
        include: Iterable[str] = (),
        exclude: Iterable[str] = (),
        where: Callable[[FileInfo], bool] | None = None,
        compare: Compare = "auto",
        existing: Literal["replace", "keep", "refuse"] = "replace",
        delete: bool = False,
        max_delete: int | None = None,
        backup: Disk | str | None = None,
    ) -> SyncPlan:
        """Plan how to make another directory like this one; nothing changes before `SyncPlan.run`.

        `jtc.storage.sync_plan` says how files are compared and what patterns mean.

        Args:
            prefix: The directory of this disk, ``""`` for the root. It must exist.
            to: The disk that becomes like it, its root; or its name: ``"cdn"``, ``"cdn:www"``.
            include: Patterns of the files that are looked at; without any, all are.
            exclude: Patterns of files that are neither copied nor deleted.
            where: Returns whether a file is looked at, by its metadata in the source's listing; by
                the target's where the source has no such file.
            compare: How two files of one path are compared.
            existing: ``"keep"`` replaces no file; ``"refuse"`` has an error for each that differs.
            delete: Delete the files that only the target has; none if the source's listing leaves
                anything out that may matter, such as a directory that may not be read.
            max_delete: The most deletions. Needed where the source has no files at all.
            backup: A disk, or ``"disk:directory"``, for the files that are replaced or deleted.

        Raises:
            FileNotFoundException: There is no such directory.
            InvalidPathException: A path breaks the path policy; or one directory holds another one.
            RejectedException: There would be more deletions than `max_delete`.
            StorageException: A listing failed, or the temporary directory is full.
            ValueError: A pattern or an option is invalid.
            TypeError: An argument has a wrong type.
        """
        from jtc.storage._transfers.planning import SyncRules  # noqa: PLC0415

        rules = SyncRules(include, exclude, where, compare, existing, delete, max_delete)
        return await self._planned(prefix, to, backup, rules)

    async def _planned(self, prefix: str, to: object, backup: object, rules: SyncRules) -> SyncPlan:
        from jtc.storage._transfers.planning import check_no_overlap, make_plan  # noqa: PLC0415
        from jtc.storage._transfers.running import SyncTrees  # noqa: PLC0415
        from jtc.storage.sync_plan import SyncPlan  # noqa: PLC0415

        try:
            rules.check()
            kept = None if backup is None else self._named_tree(backup)
            target = self._named_tree(to)
            copier = partial(self._copier, target)
            trees = SyncTrees(_tree(self, prefix), target, kept, copier)
            for tree in trees.directories.values():
                disk = cast("Disk", tree.disk)
                _ = disk._ready() or await disk._load()  # noqa: SLF001
            await check_no_overlap(trees)
            contents, counts = await make_plan(trees.source, trees.target, rules)
        except Exception as error:
            self._fail(error, "plan_sync", prefix)
        return SyncPlan(trees, contents, counts)

    def _copier(
        self, target: Tree, rate: Rate | None
    ) -> Callable[[str, str, dict[str, Any]], Awaitable[object]]:
        """Return what copies a file of a synchronization; see `SyncTrees`."""
        from jtc.storage._transfers.rate_limit import LimitedRate  # noqa: PLC0415

        disk: Disk = cast("Disk", self)
        to = cast("Disk", target.disk)
        if rate is not None and self._resolved().driver is not to.driver:
            disk = disk.with_layer(partial(LimitedRate, rate=rate))
        series = Series("plan_sync", apart=True)

        async def copy(src: str, dst: str, options: dict[str, Any]) -> object:
            return await disk._transfer("copy", src, dst, to, options, series)  # noqa: SLF001

        return copy

    def _named_tree(self, to: object) -> Tree:
        """Return the directory that an argument ``to`` names: of a disk it is the root."""
        if isinstance(to, str):
            name, _, directory = to.partition(":")
            return _tree(self._manager.disk(name), directory)
        if not isinstance(to, DiskBase):
            kind = type(to).__name__
            raise TypeError(f"A disk, its name or 'disk:directory' is needed, not {kind}")
        return _tree(to, "")


def _tree(disk: DiskBase, directory: str) -> Tree:
    from jtc.storage._transfers.merging import Tree  # noqa: PLC0415 - only where it is used

    return Tree(cast("Disk", disk), check_directory(directory))
