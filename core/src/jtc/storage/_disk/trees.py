"""Copies, moves, comparisons and synchronizations of whole directories."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Unpack

from jtc.storage._disk.directories import Directories
from jtc.storage._disk.many_files import ManyFiles
from jtc.storage.transfers import DEFAULT_CONCURRENCY, TransferProgress, Transfers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from jtc.storage._disk import Disk
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
        """Compare all files below a directory with those below another one."""
        raise NotImplementedError

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
