"""Blocking methods of a file system whose own methods are async."""

from __future__ import annotations

import asyncio
import functools
import inspect
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from fsspec import AbstractFileSystem
from fsspec.asyn import AsyncFileSystem

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

__all__ = ["add_blocking_methods", "run"]

T = TypeVar("T")
C = TypeVar("C", bound=type)


class _HasLoop(Protocol):
    @property
    def loop(self) -> asyncio.AbstractEventLoop | None: ...


def run(fs: _HasLoop, make: Callable[[], Awaitable[T]]) -> T:
    """Run a coroutine in a file system's event loop, and return its result.

    Unlike `fsspec.asyn.sync`, an interrupted call is cancelled in its loop, and a timeout keeps its
    message.

    Args:
        fs: The file system.
        make: Makes the coroutine.

    Raises:
        RuntimeError: The file system is asynchronous, or its loop runs in this thread.
        Exception: What the coroutine raises.
    """
    loop = fs.loop
    if loop is None:
        raise RuntimeError(
            "This file system was made with asynchronous=True: await its methods with an "
            "underscore ('await fs._cat_file(...)'), and open files by open_async()"
        )
    if _running_loop() is loop:
        raise NotImplementedError(
            "A blocking method was called in the event loop that has to answer it: await the "
            "method with an underscore"
        )

    async def call() -> T:
        return await make()

    future = asyncio.run_coroutine_threadsafe(call(), loop)
    try:
        return future.result()
    except BaseException:
        future.cancel()  # the caller was interrupted
        raise


def add_blocking_methods(cls: C) -> C:
    """Give a class a method ``name`` for each async method ``_name``.

    fsspec adds them to each instance, which takes longer than a request to a near store.
    """
    for name in dir(cls):
        public, method = name[1:], getattr(cls, name)
        default = getattr(AbstractFileSystem, public, None)
        known = default is not None or hasattr(AsyncFileSystem, name)
        if name[:1] != "_" or not known or getattr(cls, public, None) is not default:
            continue
        if inspect.iscoroutinefunction(method):
            setattr(cls, public, _blocking(name, default or method))
        elif inspect.isasyncgenfunction(method):
            setattr(cls, public, _iterated(name, default or method))
    return cls


def _blocking(name: str, documented: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(documented)
    def method(self: Any, *args: Any, **options: Any) -> Any:
        return run(self, lambda: getattr(self, name)(*args, **options))

    return method


def _iterated(name: str, documented: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(documented)
    def method(self: Any, *args: Any, **options: Any) -> Iterator[Any]:
        generator = getattr(self, name)(*args, **options)
        try:
            while True:
                try:
                    yield run(self, generator.__anext__)
                except StopAsyncIteration:
                    return
        finally:
            run(self, generator.aclose)

    return method


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
