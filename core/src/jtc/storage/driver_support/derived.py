"""Reads and listings derived from a driver's other methods, where it lacks a capability."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

from jtc.storage._capabilities import ResolvedDriver, resolve
from jtc.storage.driver import ReadStream
from jtc.storage.driver_support.ranges import resolve_range
from jtc.storage.exceptions import (
    NotModifiedException,
    PreconditionFailedException,
    StorageUnavailableException,
)
from jtc.storage.models import DirectoryInfo, FileInfo
from jtc.storage.options import ListOptions, ReadOptions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jtc.storage.models import Entry

__all__ = [
    "ResolvedDriver",
    "check_version",
    "closing",
    "derived_stat",
    "is_same_version",
    "list_entries",
    "open_read",
    "read_all",
    "resolve",
]

T = TypeVar("T")

_ATTEMPTS = 5


async def open_read(resolved: ResolvedDriver, path: str, options: ReadOptions) -> ReadStream:
    """Open a file through its driver, or read it whole where the driver has no streams.

    Raises:
        NotModifiedException: `if_none_match` names the version that is there.
        PreconditionFailedException: `if_match` names another version.
    """
    if "reading" in resolved.capabilities:
        cached = options.if_none_match
        if cached is None or resolved.capabilities.supports("open_read", "if_none_match"):
            return await resolved.methods.open_read(path, options)
        stream = await resolved.methods.open_read(path, replace(options, if_none_match=None))
        if stream.info.etag == cached:
            await stream.aclose()  # nothing of it was read
            raise _not_modified()
        return stream
    info, content = await _whole(resolved, path)
    check_version(info, options.if_match, options.if_none_match)
    first, last = resolve_range(options.start, options.end, len(content))
    return ReadStream(info, _slices(content, first, last, options.chunk_size))


async def _whole(resolved: ResolvedDriver, path: str) -> tuple[FileInfo, bytes]:
    """Return the metadata and the content of one version of a file, without a stream."""
    info = await derived_stat(resolved, path)
    for _ in range(_ATTEMPTS):
        content = await resolved.methods.get(path)
        if info.etag is None:
            # No caller can take it for another version, and its time is not too late.
            info.size = len(content)
            return info, content
        before, info = info, await derived_stat(resolved, path)
        if is_same_version(before, info) and info.size == len(content):
            return info, content
    raise StorageUnavailableException("The file is replaced again and again while it is read")


def is_same_version(one: FileInfo, other: FileInfo) -> bool:
    """Return whether two looks at a file saw one version, as far as its metadata tells."""
    return (one.etag, one.size, one.last_modified) == (other.etag, other.size, other.last_modified)


async def read_all(stream: ReadStream) -> bytes:
    """Return the rest of a stream, and close it."""
    try:
        return b"".join([chunk async for chunk in stream])
    finally:
        await stream.aclose()


async def derived_stat(resolved: ResolvedDriver, path: str) -> FileInfo:
    """Return a file's metadata, by opening it where the driver has no `stat`, else by its size."""
    if "stat" in resolved.capabilities:
        return await resolved.methods.stat(path)
    if "reading" in resolved.capabilities:
        stream = await resolved.methods.open_read(path, ReadOptions(end=0))
        await stream.aclose()
        return stream.info
    return FileInfo(
        path=path,
        size=await resolved.methods.size(path),
        last_modified=await resolved.methods.last_modified(path),
    )


def check_version(info: FileInfo, if_match: str | None, if_none_match: str | None) -> None:
    """Compare a file's version with the conditions of a read.

    Raises:
        PreconditionFailedException: `if_match` names another version.
        NotModifiedException: `if_none_match` names this version.
    """
    if if_match is not None and info.etag != if_match:
        raise PreconditionFailedException("The file is not the version that if_match names")
    if if_none_match is not None and info.etag == if_none_match:
        raise _not_modified()


def list_entries(
    resolved: ResolvedDriver, prefix: str, options: ListOptions
) -> AsyncIterator[Entry]:
    """List through the driver, level by level where it cannot list directories recursively.

    Raises:
        UnsupportedOperationException: The driver has no listing.
    """
    methods = resolved.require("listing")
    supports = partial(resolved.capabilities.supports, "list_entries")
    if options.left_out is not None and not supports("left_out"):
        options = replace(options, left_out=None)
    if options.recursive and options.directories and not supports("directories"):
        return _walk(resolved, prefix, replace(options, recursive=False, directories=False))
    return methods.list_entries(prefix, options)


class closing(Generic[T]):  # noqa: N801 - as contextlib.aclosing
    """Close a listing when the block ends; one that is only dropped is closed at some later time.

    It is no generator: a loop that ends closes all generators at once, this one and what uses it.

    Args:
        items: Any async iterator; one without ``aclose`` has nothing to close.
    """

    def __init__(self, items: AsyncIterator[T]) -> None:
        self._items = items

    async def __aenter__(self) -> AsyncIterator[T]:
        return self._items

    async def __aexit__(self, *exc_info: object) -> None:
        close = getattr(self._items, "aclose", None)
        if close is not None and not getattr(self._items, "ag_running", False):
            await close()


async def _walk(resolved: ResolvedDriver, prefix: str, level: ListOptions) -> AsyncIterator[Entry]:
    base = f"{prefix}/" if prefix else ""
    start_after = level.start_after
    whole = replace(level, start_after=None)
    if start_after is not None and start_after.startswith(base):
        # It may lie in a directory of this level, which then comes first.
        child, slash, rest = start_after.removeprefix(base).partition("/")
        if slash:
            inside = _walk(resolved, base + child, level if rest else whole)
            async with closing(inside) as entries:
                async for entry in entries:
                    yield entry
            level = replace(level, start_after=f"{base}{child}/")
    async with closing(resolved.methods.list_entries(prefix, level)) as entries:
        async for entry in entries:
            yield entry
            if isinstance(entry, DirectoryInfo):
                async with closing(_walk(resolved, entry.path, whole)) as inside:
                    async for below in inside:
                        yield below


def _not_modified() -> NotModifiedException:
    return NotModifiedException("The file still is the version that if_none_match names")


async def _slices(content: bytes, first: int, last: int, size: int) -> AsyncIterator[bytes]:
    for at in range(first, last, size):
        yield content[at : min(at + size, last)]
