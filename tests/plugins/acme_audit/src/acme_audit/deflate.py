"""A layer that keeps files compressed, and reads them as they were written.

A stored file begins with a mark and the length of its content, so that a `stat` reads only its
first bytes. The rest is in the zlib format (RFC 1950), whose checksum shows damage.
"""

from __future__ import annotations

import asyncio
import dataclasses
import struct
import zlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, BinaryIO

from jtc.storage import (
    FileInfo,
    FileNotFoundException,
    IntegrityException,
    ReadStream,
    UnsupportedOperationException,
)
from jtc.storage.driver_support.ranges import resolve_range
from jtc.storage.layer import Layer
from jtc.storage.options import DEFAULT_CHUNK_SIZE, ReadOptions

if TYPE_CHECKING:
    from jtc.storage import Entry
    from jtc.storage.driver import DriverContent, StorageDriver
    from jtc.storage.options import ListOptions, WriteOptions

__all__ = ["Deflate"]

_HEAD = struct.Struct(">4sQ")
_MARK = b"ACZ1"


class Deflate(Layer, guards={"content"}, passes={"update_metadata"}):
    """Keep files compressed.

    Args:
        inner: The driver within.
        level: From 1, the fastest, to 9, the smallest.

    Raises:
        ValueError: There is no such level.
    """

    def __init__(self, inner: StorageDriver, level: int = 6) -> None:
        if level not in range(1, 10):
            raise ValueError(f"A level is from 1 to 9, not {level!r}")
        super().__init__(inner)
        self._level = level

    async def put(self, path: str, content: bytes | str | BinaryIO, /) -> str:
        """Store a file."""
        content = content.encode() if isinstance(content, str) else content
        return await self.inner.put(path, await _packed(content, self._level))

    async def get(self, path: str, /) -> bytes:
        """Return a file's content."""
        return await asyncio.to_thread(_unpacked, await self.inner.get(path))

    async def size(self, path: str, /) -> int:
        """Return the length of a file's content, not of its compressed form."""
        if "reading" in self.unsupported:
            return _length(await self.inner.get(path))
        return (await self._metadata(path)).size

    def url(self, _path: str, /) -> str:
        """Refuse: the URL would lead to the compressed form."""
        raise UnsupportedOperationException(
            "A compressed file has no URL: read the file and serve its content"
        )

    async def stat(self, path: str, /) -> FileInfo:
        """Return a file's metadata, without the checksums, which are of the compressed form."""
        if "reading" not in self.unsupported:
            return await self._metadata(path)
        info = await self.inner.stat(path)
        return _as_written(info, _length(await self.inner.get(path)))

    async def open_read(self, path: str, options: ReadOptions, /) -> ReadStream:
        """Open a file for reading; the content before the range is decompressed too."""
        whole = dataclasses.replace(options, start=0, end=None)
        stream = await self.inner.open_read(path, whole)
        try:
            stored = aiter(stream)
            head = b""
            while len(head) < _HEAD.size and (chunk := await anext(stored, b"")):
                head += chunk
            length = _length(head)
            first, last = resolve_range(options.start, options.end, length)
        except BaseException:
            await stream.aclose()
            raise
        chunks = _inflated(head[_HEAD.size :], stored, first, last, length, options.chunk_size)
        return ReadStream(_as_written(stream.info, length), chunks, stream.aclose)

    async def write_file(
        self, path: str, content: DriverContent, options: WriteOptions, /
    ) -> str | None:
        """Store a file with options."""
        packed = await _packed(content, self._level)
        return await self.inner.write_file(
            path, packed, dataclasses.replace(options, size=len(packed))
        )

    async def list_entries(self, prefix: str, options: ListOptions, /) -> AsyncIterator[Entry]:
        """Yield what is below a directory, with one more request for each file's length."""
        async for entry in self.inner.list_entries(prefix, options):
            if not isinstance(entry, FileInfo):
                yield entry
                continue
            try:
                yield _as_written(entry, await self.size(entry.path))
            except (FileNotFoundException, FileNotFoundError):
                continue  # deleted meanwhile

    async def _metadata(self, path: str) -> FileInfo:
        stream = await self.inner.open_read(path, ReadOptions(end=_HEAD.size))
        try:
            head = b"".join([chunk async for chunk in stream])
        finally:
            await stream.aclose()
        return _as_written(stream.info, _length(head))


def _as_written(info: FileInfo, length: int) -> FileInfo:
    return dataclasses.replace(info, size=length, checksums={})


def _length(stored: bytes) -> int:
    if len(stored) < _HEAD.size or not stored.startswith(_MARK):
        raise IntegrityException(
            "The file was not stored through acme_deflate: read it without the layer"
        )
    length: int = _HEAD.unpack_from(stored)[1]
    return length


async def _packed(content: DriverContent, level: int) -> bytes:
    pack = zlib.compressobj(level)
    parts: list[bytes] = []
    length = 0

    def add(chunk: bytes) -> None:
        nonlocal length
        length += len(chunk)
        parts.append(pack.compress(chunk))

    def read(file: BinaryIO) -> None:
        while chunk := file.read(DEFAULT_CHUNK_SIZE):
            add(chunk)

    if isinstance(content, bytes):
        await asyncio.to_thread(add, content)
    elif isinstance(content, AsyncIterator):
        async for chunk in content:
            await asyncio.to_thread(add, chunk)
    else:
        try:
            await asyncio.to_thread(read, content)
        finally:
            content.close()  # the caller's own file stays open; a thread left behind stops
    return b"".join([_HEAD.pack(_MARK, length), *parts, pack.flush()])


def _unpacked(stored: bytes) -> bytes:
    length = _length(stored)
    unpack = zlib.decompressobj()
    try:
        content = unpack.decompress(stored[_HEAD.size :], length + 1)
    except zlib.error as error:
        raise _damaged() from error
    if len(content) != length or not unpack.eof:
        raise _damaged()
    return content


async def _inflated(
    begun: bytes, stored: AsyncIterator[bytes], first: int, last: int, length: int, size: int
) -> AsyncIterator[bytes]:
    """Yield the bytes from `first` to `last`, `size` at a time."""
    unpack = zlib.decompressobj()
    waiting = bytearray()
    at = 0
    data = begun
    while at < last or last == length:
        try:
            piece = unpack.decompress(data, size)
        except zlib.error as error:
            raise _damaged() from error
        data = unpack.unconsumed_tail
        waiting += piece[max(0, first - at) : max(0, last - at)]
        at += len(piece)
        while len(waiting) >= size:
            yield bytes(waiting[:size])
            del waiting[:size]
        if unpack.eof:
            break
        if not data and len(piece) < size and not (data := await anext(stored, b"")):
            break
    # The checksum is only known at the file's end; a range before that needs its bytes at least.
    if at < last or (last == length and not (unpack.eof and at == length)):
        raise _damaged()
    if waiting:
        yield bytes(waiting)


def _damaged() -> IntegrityException:
    return IntegrityException(
        "The stored file is damaged: it does not decompress to what was written"
    )
