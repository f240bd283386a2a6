"""Reading piece by piece: what `Disk.stream` returns, and how a file is opened for it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, NoReturn, Self

from jtc.storage.driver import DEFAULT_CHUNK_SIZE, ReadStream
from jtc.storage.exceptions import PreconditionFailedException
from jtc.storage.models import FileInfo
from jtc.storage.driver_support.ranges import resolve_range

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Generator

    from jtc.storage._capabilities import ResolvedDriver

__all__ = ["ByteStream"]

# Holds the tasks that close dropped streams: a loop keeps only weak references to its tasks.
_closing: set[asyncio.Task[None]] = set()


class ByteStream:
    """A file's bytes as they come. Iterate, await or enter it, once.

    * ``async for chunk in stream`` opens it, yields `bytes` and closes it;
    * ``await stream`` opens it now, so that errors come now, and returns it;
    * ``async with stream`` opens it, and closes it however the block ends.

    Whatever is left open when the stream is dropped is closed soon after.

    Args:
        opener: Opens the file.
        fail: Raises an error again with its context.
    """

    def __init__(
        self,
        opener: Callable[[], Awaitable[ReadStream]],
        fail: Callable[[Exception], NoReturn],
    ) -> None:
        self._opener: Callable[[], Awaitable[ReadStream]] | None = opener
        self._fail = fail
        self._info: FileInfo | None = None
        self._stream: ReadStream | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def info(self) -> FileInfo:
        """The facts of these very bytes, once the stream is open.

        Raises:
            RuntimeError: The stream was not opened yet.
        """
        if self._info is None:
            raise RuntimeError("Open the stream first: 'await stream' or 'async with stream'")
        return self._info

    async def _open(self) -> Self:
        opener, self._opener = self._opener, None
        if opener is None:
            if self._stream is None:
                raise RuntimeError("A stream is read once: ask the disk for another one")
            return self
        try:
            self._stream = await opener()
        except Exception as error:
            self._fail(error)
        self._loop = asyncio.get_running_loop()
        self._info = self._stream.info
        return self

    def __await__(self) -> Generator[None, None, Self]:
        return self._open().__await__()

    async def __aenter__(self) -> Self:
        return await self._open()

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    # A generator, so that the loop closes it when a `break` drops it.
    async def __aiter__(self) -> AsyncIterator[bytes]:
        await self._open()
        stream = self._stream
        if stream is None:
            return
        try:
            async for chunk in stream:
                yield chunk
        except Exception as error:
            self._fail(error)
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Let go of the file. Does nothing the second time."""
        stream, self._stream = self._stream, None
        if stream is None:
            return
        try:
            await stream.aclose()
        except Exception as error:
            self._fail(error)

    def __del__(self) -> None:
        stream = getattr(self, "_stream", None)
        if stream is None or self._loop is None or self._loop.is_closed():
            return
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            self._loop.call_soon_threadsafe(_close_soon, stream)


def _close_soon(stream: ReadStream) -> None:
    task = asyncio.ensure_future(stream.aclose())
    _closing.add(task)
    task.add_done_callback(_closing.discard)


async def open_read(
    resolved: ResolvedDriver,
    path: str,
    *,
    start: int = 0,
    end: int | None = None,
    chunk_size: int = DEFAULT_CHUNK_SIZE,
    if_match: str | None = None,
) -> ReadStream:
    """Open a file through its driver, or read it whole where the driver has no streams."""
    if resolved.reading is not None:
        return await resolved.reading.open_read(
            path, start=start, end=end, if_match=if_match, chunk_size=chunk_size
        )
    content = await resolved.driver.get(path)
    info = await derived_stat(resolved, path)
    if if_match is not None and info.etag != if_match:
        raise PreconditionFailedException("The file is another version by now")
    info.size = len(content)
    first, last = resolve_range(start, end, len(content))
    return ReadStream(info, _slices(content, first, last, chunk_size))


async def read_all(stream: ReadStream) -> bytes:
    """Return what a stream still has, and let go of it."""
    try:
        return b"".join([chunk async for chunk in stream])
    finally:
        await stream.aclose()


async def derived_stat(resolved: ResolvedDriver, path: str) -> FileInfo:
    """Return a file's facts, by `size` and `last_modified` where the driver has no `stat`."""
    if resolved.stat is not None:
        return await resolved.stat.stat(path)
    return FileInfo(
        path=path,
        size=await resolved.driver.size(path),
        last_modified=await resolved.driver.last_modified(path),
    )


async def _slices(content: bytes, first: int, last: int, size: int) -> AsyncIterator[bytes]:
    for at in range(first, last, size):
        yield content[at : min(at + size, last)]
