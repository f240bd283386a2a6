"""Transfers of many files by their paths."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from jtc.storage._disk.base import DiskBase
from jtc.storage.transfers import DEFAULT_CONCURRENCY, TransferProgress, Transfers

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Iterable, Mapping

    from jtc.storage._disk import Disk
    from jtc.storage.driver_support.content import Content
    from jtc.storage.options import CopyOptions, PutOptions

__all__ = ["ManyFiles"]


class ManyFiles(DiskBase):
    """The methods `put_many`, `get_many` and `copy_many`."""

    __slots__ = ()

    def put_many(
        self,
        files: Mapping[str, Content]
        | Iterable[tuple[str, Content]]
        | AsyncIterable[tuple[str, Content]],
        *,
        concurrency: int = DEFAULT_CONCURRENCY,
        progress: Callable[[TransferProgress], object] | None = None,
        **options: Unpack[PutOptions],
    ) -> Transfers:
        """Store several files, several at once."""
        raise NotImplementedError

    def get_many(
        self,
        paths: Iterable[str] | AsyncIterable[str],
        *,
        concurrency: int = DEFAULT_CONCURRENCY,
        progress: Callable[[TransferProgress], object] | None = None,
    ) -> Transfers:
        """Read several files, several at once."""
        raise NotImplementedError

    def copy_many(
        self,
        paths: Mapping[str, str] | Iterable[tuple[str, str]] | AsyncIterable[tuple[str, str]],
        *,
        to: Disk | str | None = None,
        concurrency: int = DEFAULT_CONCURRENCY,
        progress: Callable[[TransferProgress], object] | None = None,
        **options: Unpack[CopyOptions],
    ) -> Transfers:
        """Copy several files, several at once."""
        raise NotImplementedError
