"""One client for each event loop, shared by the loop's tasks and closed with it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import weakref
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from jtc.storage.driver_support.fork_safety import reset_after_fork
from jtc.storage.exceptions import StorageTimeoutException

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

__all__ = ["LoopClients"]

T = TypeVar("T")

_OPENING_SECONDS = 60.0
"""How long a client may take to open: the SDK's import, and where the credentials come from."""

_OTHER_LOOP_SECONDS = 5.0
"""How long `aclose` waits for another thread's loop to close its client."""


class LoopClients(Generic[T]):
    """Opens a client at a loop's first use and closes it when the loop ends.

    The client lives in an async generator that is started in its loop, so that
    `loop.shutdown_asyncgens` closes it: `asyncio.run`, `asyncio.Runner` and uvicorn call that. A
    loop that is closed by hand never does: its client is let go of at the next opening. A pool
    that is dropped takes its clients along.

    Args:
        make: Returns the context whose value is a client. Not an ``@asynccontextmanager``: its
            generator would be finished by the loop at the same time as ours.
        discard: Lets go of a client's connections without a running loop.
        places: How many tasks of one loop may use its client at once.
        in_turns: Whether one task in a round of the loop gets the client: making and signing a
            request takes the SDK a millisecond or more in which nothing else runs, and a thousand
            puts at once would hold up the loop for more than a second.
    """

    def __init__(
        self,
        make: Callable[[], AbstractAsyncContextManager[T]],
        discard: Callable[[T], None],
        places: int,
        *,
        in_turns: bool = True,
    ) -> None:
        self._make = make
        self._discard = discard
        self._places = places
        self._in_turns = in_turns
        self._lock = threading.Lock()
        self._slots: dict[int, _Slot[T]] = {}
        # `self` must not be reachable from it.
        self._finalizer = weakref.finalize(self, _drop_all, self._slots, os.getpid())
        reset_after_fork(self)

    def _after_fork(self) -> None:
        # Their sockets and their loops' poll sets are the parent's. Closed here, or found by the
        # garbage collector, they would be taken out of the parent's loop as well.
        _inherited.extend(self._slots.values())
        self._lock = threading.Lock()
        self._slots = {}
        self._finalizer.detach()
        self._finalizer = weakref.finalize(self, _drop_all, self._slots, os.getpid())

    async def get(self) -> T:
        """Return the running loop's client.

        Raises:
            StorageTimeoutException: It takes too long to open.
        """
        return await (await self._slot()).take_turn()

    def use(self) -> Use[T]:
        """Return a context with the running loop's client, entered by `places` tasks at a time."""
        return Use(self._slot)

    async def _slot(self) -> _Slot[T]:
        loop = asyncio.get_running_loop()
        # A slot holds its loop, so no other loop has the same id meanwhile.
        slot = self._slots.get(id(loop))
        if slot is None or not slot.is_open:
            try:
                async with asyncio.timeout(_OPENING_SECONDS):
                    slot = await self._opened(loop)
            except TimeoutError as error:
                raise StorageTimeoutException(
                    "The SDK was not ready in time: see where its credentials come from"
                ) from error
        return slot

    async def _opened(self, loop: asyncio.AbstractEventLoop) -> _Slot[T]:
        with self._lock:
            self._sweep()
            slot = self._slots.get(id(loop))
            if slot is None:
                slot = _Slot(
                    loop,
                    self._make,
                    self._discard,
                    self._places,
                    self._slots,
                    in_turns=self._in_turns,
                )
                self._slots[id(loop)] = slot
        # Shielded: the first of many users may be cancelled, and the others still wait.
        await asyncio.shield(slot.opening)
        return slot

    def _sweep(self) -> None:
        for slot in [each for each in self._slots.values() if each.loop.is_closed()]:
            slot.drop()

    async def aclose(self) -> None:
        """Close the clients of all loops; a use afterwards opens them afresh."""
        with self._lock:
            slots = list(self._slots.values())
            self._slots.clear()
        for slot in slots:
            await slot.aclose()


class Use(Generic[T]):
    """A client's use for one request, from the moment that there is a place for it."""

    def __init__(self, find: Callable[[], Awaitable[_Slot[T]]]) -> None:
        self._find = find

    async def __aenter__(self) -> T:
        slot = await self._find()
        await slot.places.acquire()
        try:
            client = await slot.take_turn()
        except BaseException:
            slot.places.release()
            raise
        self._places = slot.places
        return client

    async def __aexit__(self, *exc_info: object) -> None:
        self._places.release()


class _Slot(Generic[T]):
    """One loop's client, from before it is open until after it is closed."""

    value: T

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        make: Callable[[], AbstractAsyncContextManager[T]],
        discard: Callable[[T], None],
        places: int,
        slots: dict[int, _Slot[T]],
        *,
        in_turns: bool,
    ) -> None:
        self.loop = loop
        self.is_open = False
        self.places = asyncio.Semaphore(places)
        self._turn = asyncio.Lock() if in_turns else None
        self._discard = discard
        self._slots = slots
        self._holder = self._hold(make)
        self.opening = loop.create_task(self._open())
        # Where every waiting task was cancelled, nobody else asks how it went.
        self.opening.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def take_turn(self) -> T:
        """Return the client, where it is used in turns to one task in a round of the loop."""
        if self._turn is not None:
            async with self._turn:
                await asyncio.sleep(0)
        return self.value

    async def _open(self) -> None:
        try:
            self.value = await anext(self._holder)
        except BaseException:
            self._forget()
            raise
        self.is_open = True

    async def _hold(
        self, make: Callable[[], AbstractAsyncContextManager[T]]
    ) -> AsyncGenerator[T, None]:
        context = make()
        client = await context.__aenter__()
        try:
            yield client
        finally:
            self._forget()
            await context.__aexit__(None, None, None)

    def _forget(self) -> None:
        self.is_open = False
        if self._slots.get(id(self.loop)) is self:
            del self._slots[id(self.loop)]

    async def aclose(self) -> None:
        if self.loop is asyncio.get_running_loop():
            await self._close_here()
        elif self.loop.is_running():
            closing = asyncio.run_coroutine_threadsafe(self._close_here(), self.loop)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.wrap_future(closing), _OTHER_LOOP_SECONDS)
        else:
            self.drop()

    async def _close_here(self) -> None:
        # Whoever waits for a client that cannot be opened is told there.
        with contextlib.suppress(Exception):
            await asyncio.shield(self.opening)
        self.is_open = False
        await self._holder.aclose()

    def drop(self) -> None:
        """Let go of the client where its loop does not run."""
        was_open = self.is_open
        self._forget()
        if was_open:
            self._discard(self.value)

    def drop_later(self) -> None:
        """Close the client in its loop if that runs, else let go of it."""
        if not self.loop.is_running():
            self.drop()
            return
        closing = self._close_here()
        try:
            self.loop.call_soon_threadsafe(_start, self.loop, closing)
        except RuntimeError:
            # The loop was closed in between.
            closing.close()
            self.drop()


_inherited: list[_Slot[Any]] = []
"""Clients of this process's parent, which nobody may let go of."""

_background: set[asyncio.Task[Any]] = set()
"""A loop holds its tasks weakly: these must be finished all the same."""


def _start(loop: asyncio.AbstractEventLoop, closing: Any) -> None:
    task = loop.create_task(closing)
    _background.add(task)
    task.add_done_callback(_background.discard)


def _drop_all(slots: dict[int, _Slot[T]], pid: int) -> None:
    # A forked child shares the sockets and the poll set of its parent's loop: not its to close.
    if pid != os.getpid():
        return
    for slot in list(slots.values()):
        slot.drop_later()
