"""Base class of layers that do the same around every wait for the storage."""

from __future__ import annotations

import asyncio
import functools
from abc import abstractmethod
from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from jtc.storage.driver import METHODS, ReadStream
from jtc.storage.driver_support.content import driver_content
from jtc.storage.layer import Layer

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

__all__ = ["Around", "Wait"]

T = TypeVar("T")

_WRITING = frozenset({"put", "write_file"})


class Wait(Protocol):
    """A wait for the storage, which pauses while the caller's content is read."""

    def pause(self) -> None:
        """Begin to wait for the caller's content."""
        ...

    async def resume(self) -> None:
        """Wait for the storage again."""
        ...

    def resume_now(self) -> None:
        """Do as `resume` does, but wait for nothing: the reading was cancelled."""
        ...


class Around(Layer):
    """Do the same around every wait for the storage, and change nothing else.

    A wait is a call; of a stream, the opening and then each chunk; of a listing, each entry. The
    time that the caller takes between two chunks is no part of a wait, and neither is the reading
    of an async source.
    """

    @abstractmethod
    def waiting(self, name: str, *, first: bool = True) -> AbstractAsyncContextManager[Wait]:
        """Return the context manager for one wait.

        Args:
            name: The contract's method.
            first: False for a stream's chunks, and a listing's entries after the first.
        """

    def wrap(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        """Return the method with `waiting` around its waits."""
        kind = METHODS[name].kind
        if kind == "value":
            return method
        wrapper = {
            "awaitable": self._around_write if name in _WRITING else self._around_call,
            "stream": self._around_stream,
            "iterator": self._around_iterator,
        }[kind]
        return functools.wraps(method)(wrapper(name, method))

    def pausing(self, content: Any, wait: Wait) -> Any:
        """Return content that pauses the wait while it is read, where it is an async source."""
        if isinstance(content, AsyncIterable):
            return _PausingSource(wait, driver_content(content))  # type: ignore[arg-type] # it is one
        return content

    def _around_call(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        async def call(*arguments: Any) -> Any:
            async with self.waiting(name):
                return await method(*arguments)

        return call

    def _around_write(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        async def write(path: str, content: Any, /, *options: Any) -> Any:
            async with self.waiting(name) as wait:
                return await method(path, self.pausing(content, wait), *options)

        return write

    def _around_stream(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        async def open_read(*arguments: Any) -> ReadStream:
            async with self.waiting(name):
                stream: ReadStream = await method(*arguments)
            return ReadStream(stream.info, self._items(name, stream, first=False), stream.aclose)

        return open_read

    def _around_iterator(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def iterate(*arguments: Any) -> AsyncIterator[Any]:
            return self._items(name, method(*arguments), first=True)

        return iterate

    async def _items(self, name: str, items: AsyncIterable[T], *, first: bool) -> AsyncIterator[T]:
        iterator = aiter(items)
        try:
            while True:
                async with self.waiting(name, first=first):
                    try:
                        item = await anext(iterator)
                    except StopAsyncIteration:
                        return
                first = False
                yield item
        finally:
            close = getattr(iterator, "aclose", None)
            if close is not None:
                await close()


class _PausingSource(AsyncIterator[bytes]):
    """An async source that pauses a wait for the storage while it is read."""

    def __init__(self, wait: Wait, chunks: AsyncIterator[bytes]) -> None:
        self._wait = wait
        self._chunks = chunks

    async def __anext__(self) -> bytes:
        self._wait.pause()
        try:
            chunk = await anext(self._chunks)
        except asyncio.CancelledError:
            self._wait.resume_now()  # a cancelled task must not have to wait before it ends
            raise
        except Exception:
            await self._wait.resume()
            raise
        await self._wait.resume()
        return chunk
