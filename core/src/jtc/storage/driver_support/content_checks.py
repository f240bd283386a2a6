"""Checks of content while it is read: its length, its type, its progress."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jtc.storage.driver_support.content import watch_content
from jtc.storage.driver_support.mime_types import SNIFF_BYTES, is_allowed, judge_type
from jtc.storage.exceptions import IntegrityException, RejectedException

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from jtc.storage.driver import DriverContent
    from jtc.storage.driver_support.content import Watch
    from jtc.storage.options import Progress

__all__ = ["announced_size", "check_type", "counted", "limits", "watched"]


def watched(path: str, source: DriverContent, options: Mapping[str, Any]) -> DriverContent:
    """Keep content to the limits that `Disk` sees to itself.

    Args:
        path: The file's path, for its type by name.
        source: What `driver_content` made.
        options: The keywords of the put; `size`, `max_size`, `allowed_types` and `progress` count.

    Returns:
        The same content; what is still to be read raises when it is read.

    Raises:
        TypeError: An option is of a wrong kind.
        RejectedException: It is too long, or of a type that is not allowed.
        IntegrityException: It has another length than `size`.
    """
    watch = _watch(path, options, len(source) if isinstance(source, bytes) else None)
    if watch is not None:
        watch_content(source, watch)
    return source


def announced_size(source: DriverContent, options: Mapping[str, Any]) -> int | None:
    """Return the length of content in bytes where it is known before it is read."""
    size = options.get("size")
    return len(source) if isinstance(source, bytes) else size if isinstance(size, int) else None


def counted(source: DriverContent) -> Callable[[], int]:
    """Return what tells how many bytes of content were read so far."""
    if isinstance(source, bytes):
        return lambda: len(source)
    lengths = [0]

    def count(chunk: bytes) -> None:
        lengths[0] += len(chunk)

    watch_content(source, count)
    return lambda: lengths[0]


def limits(
    *,
    size: int | None = None,
    max_size: int | None = None,
    judge: Callable[[bytes], None] | None = None,
    progress: Progress | None = None,
    length: int | None = None,
) -> Watch | None:
    """Return what keeps content to its limits as it is read; None where there are none.

    Args:
        size: The length in bytes that it must have.
        max_size: The most bytes.
        judge: Gets the beginning, `SNIFF_BYTES` or all there is, and raises where it is refused.
        progress: Told of each chunk.
        length: The length in bytes where it is known, for `progress`.

    Raises:
        TypeError: A limit is no number of bytes.
        RejectedException: The announced size is too much.
    """
    if size is None and max_size is None and judge is None and progress is None:
        return None
    _check_size(size, max_size)
    done = 0
    head: bytes | None = None if judge is None else b""

    def watch(chunk: bytes) -> None:
        nonlocal done, head
        done += len(chunk)
        if max_size is not None and done > max_size:
            raise _too_long(max_size)
        if size is not None and (done > size or (not chunk and done < size)):
            raise IntegrityException(f"The content has not the {size} bytes that were announced")
        if head is not None and judge is not None:
            head += chunk[: SNIFF_BYTES - len(head)]
            # A driver that was told the size may never ask for the empty chunk at the end.
            if not chunk or len(head) >= SNIFF_BYTES or done == size:
                judge(head)
                head = None
        if progress is not None and chunk:
            progress(done, length if size is None else size)

    return watch


def check_type(found: str, allowed: Collection[str]) -> None:
    """Refuse a MIME type that is not among the allowed ones.

    Raises:
        RejectedException: It is not.
    """
    if not is_allowed(found, allowed):
        raise RejectedException(
            f"The content is {found}, and not one of {', '.join(sorted(allowed))}", reason="type"
        )


def _watch(path: str, options: Mapping[str, Any], length: int | None) -> Watch | None:
    types = options.get("allowed_types")
    if isinstance(types, str):
        raise TypeError("allowed_types is a collection of MIME types, not one str")
    return limits(
        size=options.get("size"),
        max_size=options.get("max_size"),
        judge=None if types is None else lambda head: check_type(judge_type(path, head), types),
        progress=options.get("progress"),
        length=length,
    )


def _check_size(size: int | None, most: int | None) -> None:
    for name, limit in (("size", size), ("max_size", most)):
        if limit is not None and (not isinstance(limit, int) or limit < 0):
            raise TypeError(f"{name} is a number of bytes, not {limit!r}")
    if size is not None and most is not None and size > most:
        raise _too_long(most)


def _too_long(most: int) -> RejectedException:
    return RejectedException(f"The content is longer than {most} bytes", reason="size")
