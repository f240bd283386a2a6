"""Copies, moves, comparisons and synchronizations of whole directories."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Unpack, cast

from jtc.storage._disk.base import DiskBase
from jtc.storage._disk.directories import Directories
from jtc.storage._disk.many_files import ManyFiles
from jtc.storage.paths import check_directory
from jtc.storage.transfers import DEFAULT_CONCURRENCY, TransferProgress, Transfers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from jtc.storage._disk import Disk
    from jtc.storage._transfers.merging import Tree
    from jtc.storage.models import FileInfo
    from jtc.storage.options import CopyManyOptions
    from jtc.storage.sync_plan import Difference, SyncPlan
    from jtc.storage.transfers import Compare

__all__ = ["Trees"]


class Trees(ManyFiles, Directories):
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
        """Copy all files below a directory.

        Raises:
            TypeError: An option is unknown, or an argument has a wrong type.
            ValueError: `concurrency` is below 1, or an option's value is invalid.
        """
        raise NotImplementedError

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
        """Move all files below a directory.

        Raises:
            TypeError: An option is unknown, or an argument has a wrong type.
            ValueError: `concurrency` is below 1, or an option's value is invalid.
        """
        raise NotImplementedError

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
            with its error.

        Raises:
            ValueError: A pattern or `compare` is invalid.
            TypeError: An argument has a wrong type.
        """
        from jtc.storage._transfers import comparing, filters  # noqa: PLC0415 - only where used

        try:
            comparing.check_compare(compare)
            takes = filters.compile_filters(include, exclude)
            pair = comparing.Comparison(_tree(self, prefix), self._named_tree(to), compare)
        except Exception as error:
            self._fail(error, "compare", prefix)
        return comparing.differences(pair, takes=takes, where=where)

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
        """Plan how to make another directory like this one."""
        raise NotImplementedError

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
