"""Streams of `Disk.stream`."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, NoReturn, Self

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Generator

    from jtc.storage.driver import ReadStream
    from jtc.storage.models import FileInfo


__all__ = ["ByteStream"]

# Holds the tasks that close dropped streams: a loop keeps only weak references to its tasks.
_closing: set[asyncio.Task[None]] = set()


class ByteStream:
    """A file's bytes in chunks. Iterate, await or enter it, once.

    * ``async for chunk in stream`` opens it, yields `bytes` and closes it;
    * ``await stream`` opens it, raises its errors now, and returns it;
    * ``async with stream`` opens it, and closes it however the block ends.

    A stream that is dropped without being closed is closed soon after.

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
        """The metadata of the version that is read, once the stream is open.

        Raises:
            RuntimeError: The stream is not open yet.
        """
        if self._info is None:
            raise RuntimeError("Open the stream first: 'await stream' or 'async with stream'")
        return self._info

    def descriptor(self) -> int | None:
        """Return a new descriptor of a local file, at the first byte of an open stream; or None.

        For servers that send a file by themselves (``sendfile``), before anything is read. None is
        for other disks, and where a layer may change what is read. The caller closes it.

        Raises:
            OSError: The process has too many open files.
        """
        duplicate = None if self._stream is None else self._stream.duplicate
        return None if duplicate is None else duplicate()

    async def _open(self) -> Self:
        opener, self._opener = self._opener, None
        if opener is None:
            if self._stream is None:
                raise RuntimeError("A stream is read once: call stream() again")
            return self
        try:
            self._loop = asyncio.get_running_loop()
            self._stream = await opener()
        except Exception as error:
            self._fail(error)
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
        """Close the file. Does nothing the second time."""
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
    has_begun = False

    async def close() -> None:
        nonlocal has_begun
        has_begun = True
        await stream.aclose()

    def ended(task: asyncio.Task[None]) -> None:
        _closing.discard(task)
        # A loop that ends cancels all of its tasks, once: those that have not begun, too.
        if task.cancelled() and not has_begun and not task.get_loop().is_closed():
            begin()

    def begin() -> None:
        task = asyncio.ensure_future(close())
        _closing.add(task)
        task.add_done_callback(ended)

    begin()
