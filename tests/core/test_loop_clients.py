"""`LoopClients`: one client per event loop, opened once, closed with its loop, never shared."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import threading
import weakref
from typing import TYPE_CHECKING, Self

import pytest

from jtc.storage.driver_support import loop_clients
from jtc.storage.driver_support.loop_clients import LoopClients
from jtc.storage.exceptions import StorageTimeoutException, StorageUnavailableException

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


class Client:
    """What belongs to a loop; its context records what happens to it."""

    def __init__(self, made: list[Client]) -> None:
        made.append(self)
        self.loop = asyncio.get_running_loop()
        self.events: list[str] = []
        self.may_open = asyncio.Event()
        self.may_open.set()
        self.may_close = asyncio.Event()
        self.may_close.set()
        self.error: Exception | None = None

    async def __aenter__(self) -> Self:
        self.events.append("opening")
        await self.may_open.wait()
        await asyncio.sleep(0)
        if self.error:
            raise self.error
        self.events.append("opened")
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        assert asyncio.get_running_loop() is self.loop
        self.events.append("closing")
        await self.may_close.wait()
        await asyncio.sleep(0)
        if self.error:
            raise self.error
        self.events.append("closed")


OPENED = ["opening", "opened"]
CLOSED = [*OPENED, "closing", "closed"]
DISCARDED = [*OPENED, "discarded"]


class Pool:
    """`LoopClients`, and all clients that it made."""

    def __init__(self, **options: float) -> None:
        made: list[Client] = []
        self.made = made
        self.clients: LoopClients[Client] = LoopClients(
            lambda: Client(made), lambda client: client.events.append("discarded"), **options
        )

    def is_empty(self) -> bool:
        return not self.clients.opened and not self.clients._slots.by_loop


@pytest.fixture(autouse=True)
def nothing_is_left_closing() -> Iterator[None]:
    yield
    assert not loop_clients._closing


@pytest.fixture
def pool() -> Pool:
    return Pool()


async def until(condition) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.001)


async def test_tasks_of_one_loop_share_one_client_and_find_it_without_a_coroutine(pool):
    loop = asyncio.get_running_loop()
    assert loop not in pool.clients.opened
    found = await asyncio.gather(*(pool.clients.get() for _ in range(64)))
    assert found == pool.made * 64
    assert len(pool.made) == 1
    assert pool.clients.opened == {loop: pool.made[0]}
    assert await pool.clients.get() is pool.made[0]
    await pool.clients.aclose()
    assert pool.is_empty()
    assert pool.made[0].events == CLOSED


def test_loop_closes_its_client_when_it_ends(pool):
    for _ in range(20):
        asyncio.run(pool.clients.get())
        assert pool.is_empty()
    with asyncio.Runner() as runner:
        runner.run(pool.clients.get())
        runner.run(pool.clients.get())
    assert [client.events for client in pool.made] == [CLOSED] * 21


def test_loop_that_ends_with_an_error_closes_its_client(pool):
    async def fail():
        await pool.clients.get()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        asyncio.run(fail())
    assert pool.made[0].events == CLOSED


def in_threads(pool, count, work):
    """Run `work` in loops of several threads until the block ends; all have clients then."""

    @contextlib.contextmanager
    def running():
        failures, threads = [], []
        opened, done = threading.Barrier(count + 1, timeout=20), threading.Event()

        async def run():
            await pool.clients.get()
            await asyncio.to_thread(opened.wait)
            await work()
            while not done.is_set():
                await asyncio.sleep(0.001)

        def main():
            try:
                asyncio.run(run())
            except BaseException as error:
                failures.append(error)

        threads.extend(threading.Thread(target=main) for _ in range(count))
        for thread in threads:
            thread.start()
        try:
            opened.wait()
            yield
        finally:
            done.set()
            for thread in threads:
                thread.join()
        assert failures == []

    return running()


async def nothing():
    pass


async def test_three_threads_have_clients_of_their_own_and_one_call_closes_all(pool):
    mine = await pool.clients.get()
    with in_threads(pool, 3, nothing):
        assert len({client.loop for client in pool.made}) == 4
        assert len(pool.clients.opened) == 4
        await pool.clients.aclose()
        assert pool.is_empty()
        assert [client.events for client in pool.made] == [CLOSED] * 4
        again = await pool.clients.get()
        assert again is not mine
        assert again.events == OPENED
    await pool.clients.aclose()


async def test_aclose_closes_the_clients_of_all_loops_at_the_same_time(pool):
    with in_threads(pool, 3, nothing):
        for client in pool.made:
            client.loop.call_soon_threadsafe(client.may_close.clear)
        closing = asyncio.create_task(pool.clients.aclose())
        # If one waited for another, only one would begin.
        await until(lambda: all("closing" in client.events for client in pool.made))
        assert not closing.done()
        for client in pool.made:
            client.loop.call_soon_threadsafe(client.may_close.set)
        await closing
    assert [client.events for client in pool.made] == [CLOSED] * 3


async def test_use_while_a_client_closes_opens_another(pool):
    first = await pool.clients.get()
    first.may_close.clear()
    closing = asyncio.create_task(pool.clients.aclose())
    await until(lambda: "closing" in first.events)
    assert pool.is_empty()
    second = await pool.clients.get()
    assert second is not first
    assert second.events == OPENED
    first.may_close.set()
    await closing
    assert first.events == CLOSED
    assert pool.clients.opened == {second.loop: second}
    await pool.clients.aclose()


async def test_aclose_returns_after_its_limit_and_the_client_closes_by_itself(monkeypatch):
    monkeypatch.setattr("jtc.storage.driver_support.loop_clients._OTHER_LOOP_SECONDS", 0.02)
    pool = Pool(close_seconds=0.02)
    client = await pool.clients.get()
    client.may_close.clear()
    await pool.clients.aclose()
    assert client.events == [*OPENED, "closing"]
    client.may_close.set()
    await until(lambda: client.events == CLOSED)


async def test_cancelled_aclose_does_not_cancel_the_closing(pool):
    client = await pool.clients.get()
    client.may_close.clear()
    closing = asyncio.create_task(pool.clients.aclose())
    await until(lambda: "closing" in client.events)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    client.may_close.set()
    await until(lambda: client.events == CLOSED)


async def test_aclose_raises_what_a_context_raised_after_all_are_closed(pool):
    failing = await pool.clients.get()
    failing.error = OSError("cannot close")
    with in_threads(pool, 2, nothing):
        with pytest.raises(OSError, match="cannot close"):
            await pool.clients.aclose()
        assert [client.events for client in pool.made[1:]] == [CLOSED] * 2
    assert pool.is_empty()


async def test_aclose_while_a_client_opens_closes_it_and_its_users_get_another(pool):
    made = pool.made
    pool.clients._make = lambda: Waiting(made)
    using = asyncio.create_task(pool.clients.get())
    await until(lambda: made)
    closing = asyncio.create_task(pool.clients.aclose())
    await until(pool.is_empty)
    pool.clients._make = lambda: Client(made)
    made[0].may_open.set()
    await closing
    assert made[0].events == CLOSED
    assert await using is made[1]
    assert pool.clients.opened == {made[1].loop: made[1]}
    await pool.clients.aclose()


class Waiting(Client):
    """A client that opens when its `may_open` is set."""

    def __init__(self, made: list[Client]) -> None:
        super().__init__(made)
        self.may_open.clear()


async def test_aclose_while_a_client_opens_that_no_user_waits_for_leaves_nothing(pool):
    made = pool.made
    pool.clients._make = lambda: Waiting(made)
    using = asyncio.create_task(pool.clients.get())
    await until(lambda: made)
    using.cancel()
    closing = asyncio.create_task(pool.clients.aclose())
    await until(pool.is_empty)
    made[0].may_open.set()
    await closing
    assert made[0].events == CLOSED
    assert pool.is_empty()


async def test_aclose_while_a_client_fails_to_open_leaves_the_error_to_its_users(pool):
    made = pool.made
    pool.clients._make = lambda: Waiting(made)
    using = asyncio.create_task(pool.clients.get())
    await until(lambda: made)
    closing = asyncio.create_task(pool.clients.aclose())
    await until(pool.is_empty)
    made[0].error = OSError("no server")
    made[0].may_open.set()
    await closing
    with pytest.raises(OSError, match="no server"):
        await using
    assert pool.is_empty()


async def test_aclose_returns_when_another_loop_ends_meanwhile(pool):
    with in_threads(pool, 1, nothing):
        client = pool.made[0]
        client.loop.call_soon_threadsafe(client.may_close.clear)
        closing = asyncio.create_task(pool.clients.aclose())
        await until(lambda: "closing" in client.events)
    # The end of the loop cancelled the task that was closing the client.
    await closing
    assert client.events == [*OPENED, "closing", "discarded"]


async def test_aclose_of_a_pool_that_was_never_used_does_nothing(pool):
    await pool.clients.aclose()
    assert pool.made == []


def test_aclose_in_a_later_loop_meets_no_client_of_an_earlier_one(pool):
    asyncio.run(pool.clients.get())
    asyncio.run(pool.clients.aclose())
    assert pool.made[0].events == CLOSED


async def test_cancelled_first_user_leaves_the_client_to_the_others(pool):
    made = pool.made
    pool.clients._make = lambda: Waiting(made)
    tasks = [asyncio.create_task(pool.clients.get()) for _ in range(8)]
    await until(lambda: made)
    tasks[0].cancel()
    await asyncio.wait(tasks[:1])
    made[0].may_open.set()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(found[0], asyncio.CancelledError)
    assert found[1:] == pool.made * 7
    assert pool.made[0].events == OPENED
    await pool.clients.aclose()


async def test_cancelled_only_user_leaves_an_open_client_for_the_next_one(pool):
    made = pool.made
    pool.clients._make = lambda: Waiting(made)
    task = asyncio.create_task(pool.clients.get())
    await until(lambda: made)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    made[0].may_open.set()
    assert await pool.clients.get() is pool.made[0]
    await pool.clients.aclose()


async def test_client_that_cannot_be_opened_fails_all_users_and_is_tried_again(pool):
    made = pool.made

    def failing():
        client = Client(made)
        client.error = StorageUnavailableException("no server")
        return client

    pool.clients._make = failing
    for attempt in (1, 2):
        errors = await asyncio.gather(
            *(pool.clients.get() for _ in range(3)), return_exceptions=True
        )
        assert [str(error) for error in errors] == ["no server"] * 3
        # The disk adds a path to each.
        assert len(set(map(id, errors))) == 3
        assert len(made) == attempt
    assert pool.is_empty()
    pool.clients._make = lambda: Client(made)
    assert await pool.clients.get() is made[-1]
    await pool.clients.aclose()


async def test_client_that_does_not_open_in_time_is_a_timeout_and_is_tried_again():
    pool = Pool(open_seconds=0.02)
    made = pool.made
    pool.clients._make = lambda: Waiting(made)
    errors = await asyncio.gather(*(pool.clients.get() for _ in range(3)), return_exceptions=True)
    assert [type(error) for error in errors] == [StorageTimeoutException] * 3
    assert len(set(map(id, errors))) == 3
    assert made[0].events == ["opening"]
    assert pool.is_empty()
    pool.clients._make = lambda: Client(made)
    assert await pool.clients.get() is made[1]
    await pool.clients.aclose()


async def test_timeout_of_a_context_itself_is_raised_unchanged(pool):
    made = pool.made

    def failing():
        client = Client(made)
        client.error = TimeoutError("of the server")
        return client

    pool.clients._make = failing
    with pytest.raises(TimeoutError, match="of the server") as caught:
        await pool.clients.get()
    assert type(caught.value) is TimeoutError


async def test_asynccontextmanager_is_refused_with_a_reason():
    @contextlib.asynccontextmanager
    async def make() -> AsyncIterator[int]:
        yield 1

    clients: LoopClients[int] = LoopClients(make, print)
    with pytest.raises(TypeError, match="__aenter__ and __aexit__"):
        await clients.get()


def test_client_of_a_loop_closed_by_hand_is_discarded_at_the_next_opening(pool):
    for number in range(3):
        loop = asyncio.new_event_loop()
        loop.run_until_complete(pool.clients.get())
        loop.close()
        assert len(pool.clients.opened) == 1
        assert [client.events for client in pool.made] == [DISCARDED] * number + [OPENED]
    asyncio.run(pool.clients.aclose())
    assert [client.events for client in pool.made] == [DISCARDED] * 3
    assert pool.is_empty()


def test_client_of_a_stopped_loop_is_kept_until_aclose_discards_it(pool):
    loop = asyncio.new_event_loop()
    client = loop.run_until_complete(pool.clients.get())
    asyncio.run(pool.clients.get())
    assert loop.run_until_complete(pool.clients.get()) is client
    asyncio.run(pool.clients.aclose())
    assert client.events == DISCARDED
    # The loop opens another one, and its end does not touch the discarded one.
    assert loop.run_until_complete(pool.clients.get()) is not client
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
    assert client.events == DISCARDED
    assert pool.made[-1].events == CLOSED
    assert pool.is_empty()


def test_discarded_client_of_a_stopped_loop_leaves_nothing_to_be_finished(pool):
    loop = asyncio.new_event_loop()
    client = loop.run_until_complete(pool.clients.get())
    holder = weakref.ref(pool.clients._slots.by_loop[loop]._holder)
    asyncio.run(pool.clients.aclose())
    gc.collect()
    assert holder() is None
    assert not loop._ready  # type: ignore[attr-defined]
    loop.close()
    assert client.events == DISCARDED


def test_discarded_client_of_a_loop_that_ends_is_not_closed_as_well(pool):
    loop = asyncio.new_event_loop()
    client = loop.run_until_complete(pool.clients.get())
    asyncio.run(pool.clients.aclose())
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
    assert client.events == DISCARDED


def test_loop_that_ends_during_an_aclose_of_another_closes_its_client_once(pool):
    """One closes it, the other waits: no generator is closed twice at the same time."""
    loop = asyncio.new_event_loop()
    reports = []
    loop.set_exception_handler(lambda _, context: reports.append(context))
    client = loop.run_until_complete(pool.clients.get())
    client.may_close.clear()

    async def end():
        closing = asyncio.create_task(pool.clients.aclose())
        await until(lambda: "closing" in client.events)
        ending = asyncio.create_task(loop.shutdown_asyncgens())
        await asyncio.sleep(0.01)
        assert not ending.done()
        client.may_close.set()
        await asyncio.gather(closing, ending)

    loop.run_until_complete(end())
    gc.collect()  # a task that failed reports it now
    loop.close()
    assert client.events == CLOSED
    assert reports == []


def test_aclose_that_meets_a_loop_at_its_end_waits_for_it(pool):
    async def end():
        client = await pool.clients.get()
        client.may_close.clear()
        (slot,) = pool.clients._slots.taken_out()
        ending = asyncio.create_task(asyncio.get_running_loop().shutdown_asyncgens())
        await until(lambda: "closing" in client.events)
        closed = slot.close_in_its_loop()
        await asyncio.sleep(0.01)
        assert not closed.done()
        client.may_close.set()
        await ending
        assert closed.done()

    loop = asyncio.new_event_loop()
    loop.run_until_complete(end())
    loop.close()
    assert pool.made[0].events == CLOSED


def test_aclose_does_not_wait_for_an_opening_in_a_stopped_loop(pool):
    made = pool.made
    pool.clients._make = lambda: Waiting(made)

    async def begin():
        using = asyncio.create_task(pool.clients.get())
        await until(lambda: made)
        return using

    async def go_on():
        made[0].may_open.set()
        return await using

    loop = asyncio.new_event_loop()
    using = loop.run_until_complete(begin())
    asyncio.run(pool.clients.aclose())
    assert pool.is_empty()
    pool.clients._make = lambda: Client(made)
    assert loop.run_until_complete(go_on()) is made[1]
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
    assert [client.events for client in made] == [CLOSED] * 2


async def test_collected_pool_closes_its_client_in_the_running_loop():
    pool = Pool()
    client = await pool.clients.get()
    alive = weakref.ref(pool.clients)
    del pool
    gc.collect()
    assert alive() is None
    await until(lambda: client.events == CLOSED)


async def test_collected_pool_closes_clients_of_other_threads_in_their_loops():
    pool = Pool()
    made = pool.made
    opened, done = threading.Event(), threading.Event()

    async def wait_for(client_pool):
        await client_pool.pop().clients.get()
        opened.set()
        while not done.is_set():
            await asyncio.sleep(0.001)

    thread = threading.Thread(target=lambda held: asyncio.run(wait_for(held)), args=([pool],))
    thread.start()
    try:
        await asyncio.to_thread(opened.wait)
        del pool
        await asyncio.to_thread(gc.collect)
        await until(lambda: made[0].events == CLOSED)
    finally:
        done.set()
        thread.join()


def test_collected_pool_discards_the_clients_of_loops_that_do_not_run():
    pool = Pool()
    made = pool.made
    loops = [asyncio.new_event_loop() for _ in range(2)]
    loops[0].run_until_complete(pool.clients.get())
    loops[1].run_until_complete(pool.clients.get())
    loops[1].close()
    del pool
    gc.collect()
    assert [client.events for client in made] == [DISCARDED] * 2
    loops[0].close()


async def test_collected_pool_of_another_process_is_left_alone():
    pool = Pool()
    client = await pool.clients.get()
    slots = pool.clients._slots
    slots.pid = -1  # as if the garbage collector ran between a fork and its hooks
    del pool
    gc.collect()
    assert list(slots.opened.values()) == [client]
    await asyncio.sleep(0.01)
    assert client.events == OPENED


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forked_child_opens_its_own_and_leaves_the_parents_client(pool):
    loop = asyncio.new_event_loop()
    client = loop.run_until_complete(pool.clients.get())
    inherited = weakref.ref(pool.clients._slots.by_loop[loop])
    held, done = threading.Event(), threading.Event()

    def hold():
        with pool.clients._slots.lock:
            held.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    pid = os.fork()
    if not pid:
        status = 1
        try:
            opened = pool.clients.opened == {}
            asyncio.run(pool.clients.get())
            loop.close()
            asyncio.run(pool.clients.aclose())
            pool.clients = None  # type: ignore[assignment]
            gc.collect()
            own = pool.made[1].events == CLOSED and len(pool.made) == 2
            kept = inherited() is not None and client.events == OPENED
            status = 0 if opened and own and kept else 2
        finally:
            os._exit(status)
    done.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert loop.run_until_complete(pool.clients.get()) is client
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
    assert client.events == CLOSED
