"""What all sync faces stand on: the async one behind."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from jtc.storage._disk import DiskOperations
from jtc.storage.sync._files import SyncStream
from jtc.storage.sync._portal import CallersChunks

if TYPE_CHECKING:
    from jtc.storage._disk import Disk
    from jtc.storage.driver_support.content import Content

__all__ = ["Face", "content_behind", "disk_behind"]

_WHOLE = (bytes, bytearray, memoryview, str, list, tuple, dict, set, frozenset)

D_co = TypeVar("D_co", bound=DiskOperations, covariant=True)


class Face(Generic[D_co]):
    """The sync face of a disk, or of all disks. It has no state but what is behind it."""

    __slots__ = ("_behind",)

    def __init__(self, behind: D_co) -> None:
        self._behind = behind

    def __repr__(self) -> str:
        return f"{self._behind!r}.sync"


def disk_behind(disk: Face[Disk] | Disk | str | None) -> Disk | str | None:
    """Return the async disk where a sync one is given."""
    return disk._behind if isinstance(disk, Face) else disk  # noqa: SLF001


def content_behind(content: Content) -> Content:
    """Return what the loop reads by itself where a stream of ours is given.

    What else is iterated is iterated in the caller's thread.
    """
    if isinstance(content, SyncStream):
        return content._as_content()  # noqa: SLF001
    by_itself = isinstance(content, (*_WHOLE, AsyncIterable)) or hasattr(content, "read")
    if isinstance(content, Iterable) and not by_itself:
        return CallersChunks(cast("Iterable[bytes]", content))
    return content
