"""`Around`: the base of layers that do the same around every wait on the storage."""

from __future__ import annotations

import asyncio
import functools
from abc import abstractmethod
from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from jtc.storage.driver import ReadStream
from jtc.storage.driver_support.content import driver_content
from jtc.storage.layer import METHODS, Layer

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

__all__ = ["Around", "Wait"]

T = TypeVar("T")


class Wait(Protocol):
    """A wait on the storage, which is left while the caller's content is read."""

    def leave(self) -> None:
        """From now on the caller's content is waited for."""
        ...

    async def enter(self) -> None:
        """From now on the storage is waited for again."""
        ...

    def go_on(self) -> None:
        """Be as after `enter`, but wait for nothing: the reading was cancelled."""
        ...


class Around(Layer):
    """Does the same around every wait on the storage, and changes nothing else.

    A wait is a call; of a stream, the opening and then each chunk; of a listing, each entry. What
    the caller does between two chunks is no part of one, nor is the reading of an async source.
    """

    @abstractmethod
    def waiting(self, name: str, *, first: bool = True) -> AbstractAsyncContextManager[Wait]:
        """Return what is around one wait.

        Args:
            name: The contract's method.
            first: False for a stream's chunks, and a listing's entries after the first.
        """

    def wrap(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        """Return the method with `waiting` around its waits."""
        kind = METHODS[name].kind if name in METHODS else "awaitable"
        if kind == "value":
            return method
        wrapper = {
            "awaitable": self._around_writing if name in _WRITING else self._around_call,
            "stream": self._around_stream,
            "iterator": self._around_iterator,
        }[kind]
        return functools.wraps(method)(wrapper(name, method))

    def _around_call(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        async def call(*args: Any, **options: Any) -> Any:
            async with self.waiting(name):
                return await method(*args, **options)

        return call

    def _around_writing(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        async def write(path: str, content: Any, /, *options: Any) -> Any:
            async with self.waiting(name) as wait:
                return await method(path, self.left_alone(content, wait), *options)

        return write

    def _around_stream(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        async def open_read(*args: Any, **options: Any) -> ReadStream:
            async with self.waiting(name):
                stream: ReadStream = await method(*args, **options)
            return ReadStream(stream.info, self._steps(name, stream, first=False), stream.aclose)

        return open_read

    def _around_iterator(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def iterate(*args: Any, **options: Any) -> AsyncIterator[Any]:
            return self._steps(name, method(*args, **options), first=True)

        return iterate

    def left_alone(self, content: Any, wait: Wait) -> Any:
        """Return content whose reading is no part of the wait, where it is an async source."""
        if isinstance(content, AsyncIterable):
            return _OutsideOf(wait, driver_content(content))  # type: ignore[arg-type] # it is one
        return content

    async def _steps(self, name: str, items: AsyncIterable[T], *, first: bool) -> AsyncIterator[T]:
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


_WRITING = frozenset({"put", "write_file"})


class _OutsideOf(AsyncIterator[bytes]):
    """An async source whose reading is no part of a wait on the storage."""

    def __init__(self, wait: Wait, chunks: AsyncIterator[bytes]) -> None:
        self._wait = wait
        self._chunks = chunks

    async def __anext__(self) -> bytes:
        self._wait.leave()
        try:
            chunk = await anext(self._chunks)
        except asyncio.CancelledError:
            self._wait.go_on()  # a cancelled task must not have to wait before it may end
            raise
        except Exception:
            await self._wait.enter()
            raise
        await self._wait.enter()
        return chunk
