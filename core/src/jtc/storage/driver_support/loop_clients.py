"""Clients per event loop: each opened at a loop's first use, shared by its tasks, closed with it.

What speaks to a server (a session, a pool of connections) belongs to the event loop in which it was
made, and a driver serves several loops and threads.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import copy
import os
import threading
import weakref
from types import AsyncGeneratorType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from jtc.storage.driver_support.fork_safety import reset_after_fork
from jtc.storage.exceptions import StorageException, StorageTimeoutException

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from contextlib import AbstractAsyncContextManager

__all__ = ["LoopClients"]

T = TypeVar("T")

_OTHER_LOOP_SECONDS = 5.0
"""How long `aclose` waits for a loop to begin and to end the closing of its client."""


class LoopClients(Generic[T]):
    """Opens a client at an event loop's first use and closes it when the loop ends.

    The end of a loop is `loop.shutdown_asyncgens`, which `asyncio.run`, `asyncio.Runner` and
    uvicorn call. The client of a loop that was closed without it is discarded when another loop
    opens one. A pool that is garbage-collected closes its clients. A forked child opens clients of
    its own and leaves those of its parent as they are.

    Attributes:
        opened: The open clients, by loop, to be read only. A driver gets its client without a
            coroutine where there is one: ``clients.opened.get(loop) or await clients.get()``.

    Args:
        make: Returns a context whose value is a client: an object with ``__aenter__`` and
            ``__aexit__``, which run in different tasks of the loop, so that no task group is open
            between them. Not an ``@asynccontextmanager``: the loop would close its generator at the
            same time.
        discard: Closes a client's connections at once, without waiting: in any thread, where their
            loop does not run any more, or where its end cancelled ``__aexit__``.
        open_seconds: How long a client may take to open.
        close_seconds: How long a client may wait in its ``__aexit__`` for its requests: `aclose`
            waits five seconds longer.
    """

    opened: dict[asyncio.AbstractEventLoop, T]

    def __init__(
        self,
        make: Callable[[], AbstractAsyncContextManager[T]],
        discard: Callable[[T], None],
        *,
        open_seconds: float = 60.0,
        close_seconds: float = 0.0,
    ) -> None:
        self._make = make
        self._discard = discard
        self._open_seconds = open_seconds
        self._close_seconds = close_seconds
        self._slots: _Slots[T] = _Slots()
        self.opened = self._slots.opened
        # It has no reference to `self`.
        weakref.finalize(self, _close_all, self._slots)
        reset_after_fork(self)

    def _after_fork(self) -> None:
        self._slots.leave_to_parent()

    async def get(self) -> T:
        """Return the running loop's client, after opening it if it is the first use.

        The client opens in a task of its own, so a caller that is cancelled does not disturb the
        others. If it cannot be opened, all that wait for it get the error; the next call tries it
        again.

        Raises:
            StorageTimeoutException: The client does not open in time.
            Exception: What the client's context raised when it was entered.
        """
        loop = asyncio.get_running_loop()
        while True:
            slot = self._slots.by_loop.get(loop) or self._add(loop)
            if not slot.opening.done():
                # A task that waits so does not cancel what it waits for.
                await asyncio.wait([slot.opening])
            try:
                slot.opening.result()
            except _NotOpenedError as error:
                raise StorageTimeoutException(
                    "The backend's client did not open in time"
                ) from error
            except StorageException as error:
                # Each operation adds its path.
                raise copy.copy(error) from error
            if self._slots.by_loop.get(loop) is slot:
                return slot.client

    def _add(self, loop: asyncio.AbstractEventLoop) -> _Slot[T]:
        for slot in self._slots.taken_out(lambda each: each.loop.is_closed()):
            slot.discard_client()
        slot = _Slot(loop, self._discard, self._slots)
        with self._slots.lock:
            self._slots.by_loop[loop] = slot
        slot.start(self._make, self._open_seconds)
        return slot

    async def aclose(self) -> None:
        """Close the clients of all loops, all at the same time; a later use opens them afresh.

        Operations that begin meanwhile open another client. A client that is not closed in
        `close_seconds` and five seconds more goes on closing by itself.

        Raises:
            Exception: What a client's context raised when it was left, after all are closed.
        """
        slots = self._slots.taken_out()
        waiting = [asyncio.wrap_future(slot.close_in_its_loop()) for slot in slots]
        if waiting:
            limit = self._close_seconds + _OTHER_LOOP_SECONDS
            done, _ = await asyncio.wait(waiting, timeout=limit)
            for error in [each.exception() for each in done]:
                if error is not None:
                    raise error


class _NotOpenedError(Exception):
    """A client did not open in time."""


class _Slots(Generic[T]):
    """The slots of all loops; apart from `LoopClients`, whose finalizer needs them."""

    def __init__(self) -> None:
        self.by_loop: dict[asyncio.AbstractEventLoop, _Slot[T]] = {}
        self.opened: dict[asyncio.AbstractEventLoop, T] = {}
        # A garbage collection in a locked block may run the finalizer.
        self.lock = threading.RLock()
        self.pid = os.getpid()

    def taken_out(self, which: Callable[[_Slot[T]], bool] = lambda _: True) -> list[_Slot[T]]:
        """Return slots that are this caller's to close, and no other's."""
        with self.lock:
            found = [slot for slot in list(self.by_loop.values()) if which(slot)]
            for slot in found:
                self.opened.pop(slot.loop, None)
            return [slot for slot in found if self.by_loop.pop(slot.loop, None) is not None]

    def leave_to_parent(self) -> None:
        # The sockets and the loops' poll sets are shared with the parent. Closed here, or
        # found by the garbage collector, they would be taken out of the parent's loop as well.
        _inherited.extend(self.by_loop.values())
        self.lock = threading.RLock()
        self.pid = os.getpid()
        self.by_loop.clear()
        self.opened.clear()


class _Slot(Generic[T]):
    """One loop's client, from before it is open until after it is closed."""

    client: T
    opening: asyncio.Task[None]

    def __init__(
        self, loop: asyncio.AbstractEventLoop, discard: Callable[[T], None], slots: _Slots[T]
    ) -> None:
        self.loop = loop
        self._discard = discard
        self._slots = slots
        self._context: AbstractAsyncContextManager[T] | None = None
        self._leaving = asyncio.Lock()
        self._ended = False
        self._closed: concurrent.futures.Future[None] = concurrent.futures.Future()

    def start(self, make: Callable[[], AbstractAsyncContextManager[T]], seconds: float) -> None:
        self._holder = self._hold(make)
        self.opening = self.loop.create_task(self._open(seconds))
        self.opening.add_done_callback(self._after_opening)

    async def _open(self, seconds: float) -> None:
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                await anext(self._holder)
        except BaseException as error:
            self._take_out()
            if isinstance(error, TimeoutError) and limit.expired():
                raise _NotOpenedError from error
            raise
        with self._slots.lock:
            if self._slots.by_loop.get(self.loop) is self:
                self._slots.opened[self.loop] = self.client

    def _after_opening(self, opening: asyncio.Task[None]) -> None:
        # The exception is retrieved, also if all that waited for it are cancelled.
        if opening.cancelled() or opening.exception() is not None:
            self._ended = True
            self._take_out()
            self._finish()

    async def _hold(
        self, make: Callable[[], AbstractAsyncContextManager[T]]
    ) -> AsyncGenerator[None, None]:
        """Hold the context in a generator of the loop, which `shutdown_asyncgens` closes."""
        context = make()
        if isinstance(getattr(context, "gen", None), AsyncGeneratorType):
            raise TypeError(
                f"{make!r} returns an @asynccontextmanager, whose generator the event loop closes"
                " by itself: return an object with __aenter__ and __aexit__"
            )
        self.client = await context.__aenter__()
        self._context = context
        try:
            yield
        finally:
            self._ended = True
            self._take_out()
            try:
                await self._leave()
            finally:
                self._finish()

    async def _leave(self) -> None:
        """Leave the context once; a second caller waits for the first."""
        async with self._leaving:
            context, self._context = self._context, None
            if context is not None:
                try:
                    await context.__aexit__(None, None, None)
                except asyncio.CancelledError:
                    self._discard(self.client)
                    raise

    def _finish(self, error: BaseException | None = None) -> None:
        # It may be finished in several ways: the first counts.
        with contextlib.suppress(concurrent.futures.InvalidStateError):
            if error is None:
                self._closed.set_result(None)
            else:
                self._closed.set_exception(error)

    def _take_out(self) -> None:
        self._slots.taken_out(lambda each: each is self)

    def close_in_its_loop(self) -> concurrent.futures.Future[None]:
        """Begin to close the client in its loop if that runs, else discard it.

        Returns:
            A future that ends when the client is closed, in whatever way.
        """
        _closing.add(self)
        self._closed.add_done_callback(lambda _: _closing.discard(self))
        try:
            if self.loop.is_running():
                self.loop.call_soon_threadsafe(self._begin_closing)
                return self._closed
        except RuntimeError:
            pass  # the loop was closed in between
        self.discard_client()
        return self._closed

    def _begin_closing(self) -> None:
        # The end of the loop closes the client, and runs no further task to its end.
        if not self._ended:
            self._task = self.loop.create_task(self._close())
            self._task.add_done_callback(lambda _: self._finish())

    async def _close(self) -> None:
        await asyncio.wait([self.opening])
        try:
            await self._leave()
        except Exception as error:
            self._finish(error)
        finally:
            if not self._ended:
                await self._holder.aclose()

    def discard_client(self) -> None:
        """Discard the client without its loop."""
        context, self._context = self._context, None
        try:
            if context is not None:
                self._discard(self.client)
                # Nothing is left to wait for, so the generator ends in one step.
                with contextlib.suppress(StopIteration):
                    self._holder.aclose().send(None)
        finally:
            self._finish()


_inherited: list[_Slot[Any]] = []
"""Clients of this process's parent, which are never closed here."""

_closing: set[_Slot[Any]] = set()
"""A loop holds its tasks weakly: what is being closed is held here until it is done."""


def _close_all(slots: _Slots[T]) -> None:
    # A child that is forked while the garbage collector runs has its parent's slots.
    if slots.pid == os.getpid():
        for slot in slots.taken_out():
            slot.close_in_its_loop()
