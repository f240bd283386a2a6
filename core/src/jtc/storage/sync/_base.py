"""Base class of the sync API: the async disk, or manager, behind it."""

from __future__ import annotations

from collections.abc import AsyncIterable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from jtc.storage._disk.base import DiskBase
from jtc.storage.sync._files import SyncStream
from jtc.storage.sync._portal import CallersChunks

if TYPE_CHECKING:
    from jtc.storage.driver_support.content import Content

__all__ = ["SyncApi", "async_disk", "content_behind", "contents_behind", "disk_behind"]

_WHOLE = (bytes, bytearray, memoryview, str, list, tuple, dict, set, frozenset)

D = TypeVar("D", bound=DiskBase)
D_co = TypeVar("D_co", bound=DiskBase, covariant=True)


class SyncApi(Generic[D_co]):
    """Sync API of a disk, or of a manager. Its only state is the async object behind it."""

    __slots__ = ("_behind",)

    def __init__(self, behind: D_co) -> None:
        self._behind = behind

    def __repr__(self) -> str:
        return f"{self._behind!r}.sync"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._behind,)  # as the async one is, or refuses to be


def disk_behind(disk: SyncApi[D] | D | str | None) -> D | str | None:
    """Return the async disk where a sync one is given."""
    return disk if disk is None or isinstance(disk, str) else async_disk(disk)


def async_disk(disk: SyncApi[D] | D) -> D:
    """Return the disk whose sync API this is; an async disk itself.

    Args:
        disk: A disk, a view of one, or `Storage`; sync or async.
    """
    return disk._behind if isinstance(disk, SyncApi) else disk  # noqa: SLF001


def content_behind(content: Content) -> Content:
    """Return content for the event loop to read, by itself if it is a stream of the sync API.

    Other iterables are iterated in the caller's thread.
    """
    if isinstance(content, SyncStream):
        return content._as_content()  # noqa: SLF001
    by_itself = isinstance(content, (*_WHOLE, AsyncIterable)) or hasattr(content, "read")
    if isinstance(content, Iterable) and not by_itself:
        return CallersChunks(cast("Iterable[bytes]", content))
    return content


def contents_behind(files: Any) -> Any:
    """Return the pairs of `put_many` with contents for the event loop to read.

    Other iterables are read in a worker thread: the caller's does not wait for each file.
    """
    if isinstance(files, AsyncIterable):
        return files
    pairs = files.items() if isinstance(files, Mapping) else files
    if isinstance(files, Collection):
        return [_behind(pair) for pair in pairs]
    return map(_behind, pairs)


def _behind(pair: Any) -> Any:
    path, content = pair
    return path, content._as_content() if isinstance(content, SyncStream) else content  # noqa: SLF001
