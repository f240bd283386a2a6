"""Checks of content while it is read: length, type, progress."""

from __future__ import annotations

from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any

from jtc.storage.driver_support.content import watch_content
from jtc.storage.driver_support.mime_types import (
    SNIFF_BYTES,
    checked_types,
    is_allowed,
    is_allowed_name,
    judge_type,
)
from jtc.storage.exceptions import IntegrityException, RejectedException
from jtc.storage.options import check_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from jtc.storage.driver import DriverContent
    from jtc.storage.driver_support.content import Watch
    from jtc.storage.options import Progress

__all__ = ["check_progress", "check_type", "check_types", "limits", "watch_limits"]


def watch_limits(path: str, content: DriverContent, options: Mapping[str, Any]) -> None:
    """Check content against the options of a put that `Disk` supports on every driver.

    Bytes are checked immediately, other content while it is read.

    Args:
        path: The file's path, for its type by name.
        content: A result of `driver_content`.
        options: The keywords of the put; those of `DISK_OPTIONS` count.

    Raises:
        TypeError: An option is of a wrong type.
        ValueError: `allowed_types` has what is no MIME type, or `min_size` is above `max_size`.
        RejectedException: The content is too long, too short, or of a type that is not allowed; or
            the name's extension is of another type, or unknown.
        IntegrityException: It has another length than `size`.
    """
    types = options.get("allowed_types")
    if types is not None:
        types = checked_types(types)
    progress = options.get("progress")
    check_progress(progress)
    watch = limits(
        size=options.get("size"),
        min_size=options.get("min_size"),
        max_size=options.get("max_size"),
        judge=None if types is None else lambda head: check_types(path, head, types),
        progress=progress,
        length=len(content) if isinstance(content, bytes) else None,
    )
    if watch is not None:
        watch_content(content, watch)


def check_progress(progress: object) -> None:
    """Check the option `progress`, which may be None.

    Raises:
        TypeError: It cannot be called, or is an async function.
    """
    if progress is not None and (not callable(progress) or iscoroutinefunction(progress)):
        raise TypeError(f"progress is a plain function that is not async, not {progress!r}")


def limits(
    *,
    size: int | None = None,
    min_size: int | None = None,
    max_size: int | None = None,
    judge: Callable[[bytes], None] | None = None,
    progress: Progress | None = None,
    length: int | None = None,
) -> Watch | None:
    """Return a function that checks content as it is read; None where there are no limits.

    Args:
        size: The length in bytes that the content must have.
        min_size: The smallest length in bytes.
        max_size: The largest length in bytes.
        judge: Gets the beginning, `SNIFF_BYTES` or the whole content, and raises to refuse it.
        progress: Called after each chunk.
        length: The length in bytes where it is known, for `progress`.

    Raises:
        TypeError: A limit is not a number of bytes.
        ValueError: `min_size` is above `max_size`.
        RejectedException: `size` is outside of the other limits.
    """
    if (size, min_size, max_size, judge, progress) == (None,) * 5:
        return None
    _check_sizes(size, min_size, max_size)
    done = 0
    head: bytes | None = None if judge is None else b""

    def watch(chunk: bytes) -> None:
        nonlocal done, head
        done += len(chunk)
        if max_size is not None and done > max_size:
            raise _too_long(max_size)
        if size is not None and (done > size or (not chunk and done < size)):
            raise _other_length(size)
        if min_size is not None and not chunk and done < min_size:
            raise _too_short(min_size)
        if head is not None and judge is not None:
            head += chunk[: SNIFF_BYTES - len(head)]
            # A driver that knows the size may never ask for the empty chunk at the end.
            if not chunk or len(head) >= SNIFF_BYTES or done == size:
                judge(head)
                head = None
        if progress is not None and chunk:
            progress(done, length if size is None else size)

    return watch


def check_types(path: str, head: bytes, allowed: Collection[str]) -> None:
    """Refuse a file whose content or whose name is not of an allowed type.

    Args:
        path: The file's path.
        head: The content's beginning.
        allowed: A result of `checked_types`.

    Raises:
        RejectedException: The content has another type, or the name's extension has, or is unknown.
    """
    check_type(judge_type(path, head), allowed)
    if not is_allowed_name(path, allowed):
        name = path.rpartition("/")[2][-100:]
        raise RejectedException(
            f"The name {name!r} has an extension of none of {', '.join(sorted(allowed))}",
            reason="type",
        )


def check_type(found: str, allowed: Collection[str]) -> None:
    """Refuse a MIME type that is not among the allowed ones.

    Raises:
        RejectedException: It is not.
    """
    if not is_allowed(found, allowed):
        raise RejectedException(
            f"The content is {found}, and not one of {', '.join(sorted(allowed))}", reason="type"
        )


def _check_sizes(size: int | None, least: int | None, most: int | None) -> None:
    for name, limit in (("size", size), ("min_size", least), ("max_size", most)):
        if limit is not None:
            check_bytes(name, limit)
    if least is not None and most is not None and least > most:
        raise ValueError(f"min_size ({least}) is above max_size ({most})")
    if size is not None and most is not None and size > most:
        raise _too_long(most)
    if size is not None and least is not None and size < least:
        raise _too_short(least)


def _other_length(size: int) -> IntegrityException:
    return IntegrityException(f"The content does not have the {size} bytes that were announced")


def _too_long(most: int) -> RejectedException:
    return RejectedException(f"The content is longer than {most} bytes", reason="size")


def _too_short(least: int) -> RejectedException:
    return RejectedException(f"The content is shorter than {least} bytes", reason="min_size")
