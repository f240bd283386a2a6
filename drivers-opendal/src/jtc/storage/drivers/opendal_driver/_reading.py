"""Reading: whole files, streams and ranges."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from jtc.storage.driver import ReadStream
from jtc.storage.driver_support.derived import check_version, is_same_version
from jtc.storage.driver_support.ranges import resolve_range
from jtc.storage.drivers.opendal_driver._errors import OpenDALError
from jtc.storage.drivers.opendal_driver._metadata import (
    file_info,
    is_value,
    key,
    look,
    may_be_index,
    stat,
    value_info,
)
from jtc.storage.drivers.opendal_driver._runtime import runtime
from jtc.storage.drivers.opendal_driver._services import CUTS_READS
from jtc.storage.exceptions import (
    IntegrityException,
    PreconditionFailedException,
    StorageUnavailableException,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from opendal.file import AsyncFile
    from opendal.types import Metadata

    from jtc.storage.drivers.opendal_driver._calls import Calls
    from jtc.storage.models import FileInfo
    from jtc.storage.options import ReadOptions

__all__ = ["open_stream", "read_all"]

_ATTEMPTS = 5
_SMALL = 1024 * 1024
"""A range of fewer bytes is read in one call."""


async def read_all(calls: Calls, path: str) -> bytes:
    """Return a file's content.

    Raises:
        FileNotFoundException: There is no file.
    """
    before = None
    for _ in range(2 * _ATTEMPTS):
        content = await calls.send_patiently(
            lambda operator: operator.read(key(calls, path)),
            lambda operator: operator.stat(key(calls, path)),
        )
        if may_be_index(calls, content):
            await look(calls, path)
        if calls.settings.scheme not in CUTS_READS:
            return content
        after = (await look(calls, path)).content_length
        if len(content) in {before, after}:
            return content
        before = after
    raise StorageUnavailableException(
        "The service sent another number of bytes than the file has: the connection was cut, or "
        "the file is replaced again and again"
    )


async def open_stream(calls: Calls, path: str, options: ReadOptions) -> ReadStream:
    """Open one version of a file for reading.

    Raises:
        FileNotFoundException: There is no file.
        PreconditionFailedException: `if_match` names another version.
        NotModifiedException: `if_none_match` names this version.
    """
    found = await look(calls, path)
    if is_value(calls, found):
        return await _open_value(calls, path, found, options)
    info = file_info(calls, path, found)
    for _ in range(_ATTEMPTS):
        check_version(info, options.if_match, options.if_none_match)
        first, last = resolve_range(options.start, options.end, info.size)
        if first == last:
            return ReadStream(info, _none())
        try:
            reading = await _Reading.begin(calls, path, info, first, last, options.chunk_size)
        except (PreconditionFailedException, IntegrityException):
            info = await stat(calls, path)
            continue
        # The bytes may be those of a version that came after the look.
        again = info if reading.is_pinned else await stat(calls, path)
        if is_same_version(again, info):
            return ReadStream(info, reading.chunks(), reading.close)
        await reading.close()
        info = again
    raise IntegrityException("The file is replaced again and again while it is read")


async def _open_value(calls: Calls, path: str, found: Metadata, options: ReadOptions) -> ReadStream:
    """Open a file of a service, such as a database, that says nothing of its version."""
    content = await read_all(calls, path)
    info = value_info(calls, path, found, content)
    check_version(info, options.if_match, options.if_none_match)
    first, last = resolve_range(options.start, options.end, info.size)
    return ReadStream(info, _slices(content, first, last, options.chunk_size))


async def _slices(content: bytes, first: int, last: int, size: int) -> AsyncGenerator[bytes, None]:
    for at in range(first, last, size):
        yield content[at : min(at + size, last)]


class _Reading:
    """A range that is being read; it has its first bytes, so that its version is known."""

    def __init__(
        self,
        calls: Calls,
        file: AsyncFile | None,
        first: bytes,
        *,
        length: int,
        chunk_size: int,
        is_pinned: bool,
    ) -> None:
        self.is_pinned = is_pinned
        self._calls = calls
        self._file = file
        self._first = first
        self._left = length
        self._chunk_size = chunk_size

    @classmethod
    async def begin(
        cls, calls: Calls, path: str, info: FileInfo, first: int, last: int, chunk_size: int
    ) -> _Reading:
        length = last - first
        given: dict[str, Any] = {}
        if calls.has_etags and info.etag is not None and "read_with_if_match" in calls.claims:
            given["if_match"] = info.etag
        is_pinned = bool(given)
        if first or last < info.size:
            given |= {"offset": first, "size": length}
        if length <= _SMALL:
            file = None
            begun = await calls.send(
                lambda operator: operator.read(key(calls, path), **given), size=length
            )
        else:
            file = await calls.send(lambda operator: operator.open(key(calls, path), "rb", **given))
            try:
                begun = await _read(calls, file, min(chunk_size, length))
            except BaseException:
                await _close(calls, file)
                raise
        if file is None and len(begun) != length:
            raise IntegrityException("The file was replaced while it was read")
        return cls(calls, file, begun, length=length, chunk_size=chunk_size, is_pinned=is_pinned)

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        chunk, self._first = self._first, b""
        size = self._chunk_size
        while True:
            self._left -= len(chunk)
            for at in range(0, len(chunk), size):
                yield chunk[at : at + size]
            if self._left <= 0:
                return
            if self._file is None:
                raise IntegrityException("The stream was closed while it was read")
            chunk = await _read(self._calls, self._file, min(size, self._left))

    async def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            await _close(self._calls, file)


async def _close(calls: Calls, file: AsyncFile) -> None:
    with suppress(*OpenDALError):  # TimeoutError too; nothing was written
        async with asyncio.timeout(calls.settings.request_timeout):
            await runtime.noted(file.close())


async def _read(calls: Calls, file: AsyncFile, size: int) -> bytes:
    found = await calls.send(lambda _: file.read(size), size=size, again=False)
    if not found:
        raise IntegrityException("The file ended before its length: it was replaced meanwhile")
    return found


async def _none() -> AsyncGenerator[bytes, None]:
    return
    yield b""
