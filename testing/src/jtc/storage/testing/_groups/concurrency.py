"""Concurrent operations: in one event loop, and in several loops and threads."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from jtc.storage.exceptions import FileNotFoundException
from jtc.storage.testing._suite import Suite

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable

    from jtc.storage import Disk

__all__ = ["ConcurrencyTests"]

_SIZE = 300_000
_CONTENDING = {b"%d%d" % (number, number) for number in range(4)} | {b"content"}


class ConcurrencyTests(Suite):
    """Whole or not at all, whatever else runs at the same time."""

    rules = "every method"

    async def test_files_put_at_once_all_arrive(self, storage: Disk) -> None:
        paths = [f"d{number % 4}/{number}" for number in range(40)]
        await asyncio.gather(*(storage.put(path, path.encode()) for path in paths))
        assert [await storage.get(path) for path in paths] == [path.encode() for path in paths]

    async def test_of_puts_to_one_file_one_stays_whole(self, storage: Disk) -> None:
        contents = [bytes([65 + number]) * _SIZE for number in range(8)]
        await asyncio.gather(*(storage.put("a", content) for content in contents))
        assert await storage.get("a") in contents

    async def test_a_reader_never_sees_half_a_file(self, storage: Disk) -> None:
        contents = [b"o" * _SIZE, b"n" * (_SIZE // 2)]
        await storage.put("a", contents[0])
        done = asyncio.Event()

        async def write() -> None:
            for number in range(1, 21):
                await storage.put("a", contents[number % 2])
                await asyncio.sleep(0)
            done.set()

        async def read() -> int:
            torn = 0
            while not done.is_set():
                try:
                    torn += await storage.get("a") not in contents
                except FileNotFoundException:
                    assert not self.replaces_without_gap, "get() of a file that is replaced"
                await asyncio.sleep(0)
            return torn

        _, first, second = await asyncio.gather(write(), read(), read())
        assert first == second == 0

    async def test_a_file_exists_all_the_time_while_it_is_replaced(self, storage: Disk) -> None:
        if not self.replaces_without_gap:
            pytest.skip("the backend removes a file before it replaces it")
        await storage.put("a", b"old")
        done = asyncio.Event()

        async def write() -> None:
            for number in range(20):
                await storage.put("a", b"%d" % number)
                await asyncio.sleep(0)
            done.set()

        async def look() -> list[bool]:
            seen = []
            while not done.is_set():
                seen.append(await storage.exists("a"))
                await asyncio.sleep(0)
            return seen

        _, seen = await asyncio.gather(write(), look())
        assert False not in seen

    async def test_of_many_deleters_one_gets_true(self, storage: Disk) -> None:
        for _ in range(3):
            await storage.put("a", b"content")
            found = await asyncio.gather(*(storage.delete("a") for _ in range(6)))
            assert sorted(found) == [False] * 5 + [True]

    async def test_many_readers_all_get_the_content(self, storage: Disk) -> None:
        content = bytes(range(251)) * 400
        await storage.put("a", content)
        got = await asyncio.gather(*(storage.get("a") for _ in range(30)))
        assert set(got) == {content}

    async def test_copies_made_at_once_are_all_whole(self, storage: Disk) -> None:
        content = b"content" * 1000
        await storage.put("a", content)
        await asyncio.gather(*(storage.copy("a", f"copies/{n}") for n in range(8)))
        assert {await storage.get(f"copies/{n}") for n in range(8)} == {content}

    async def test_another_event_loop_can_use_it_meanwhile(self, storage: Disk) -> None:
        await storage.put("a", b"content")

        async def elsewhere() -> bytes:
            await storage.put("b", b"from another loop")
            return await storage.get("a")

        def in_a_thread() -> bytes:
            return asyncio.run(elsewhere())

        got, here = await asyncio.gather(asyncio.to_thread(in_a_thread), storage.get("a"))
        assert got == here == b"content"
        assert await storage.get("b") == b"from another loop"

    async def test_event_loops_one_after_another_can_use_it(self, storage: Disk) -> None:
        def in_a_thread(number: int) -> str:
            return asyncio.run(storage.put(str(number), b"%d" % number))

        for number in range(3):
            await asyncio.to_thread(in_a_thread, number)
        assert [await storage.get(str(number)) for number in range(3)] == [b"0", b"1", b"2"]

    async def test_event_loops_in_each_of_which_many_tasks_contend_can_use_it(
        self, storage: Disk
    ) -> None:
        def in_a_thread() -> set[bytes]:
            return asyncio.run(asyncio.wait_for(_contend(storage), self.patience))

        for _ in range(2):  # one loop after another: a lock of asyncio belongs to the first one
            assert await asyncio.to_thread(in_a_thread) <= _CONTENDING
        threads = [asyncio.to_thread(in_a_thread) for _ in range(2)]
        assert set().union(*await asyncio.gather(*threads)) <= _CONTENDING

    async def test_put_whose_source_waits_stops_no_other_call(self, storage: Disk) -> None:
        await storage.put("a", b"old")
        waiting, go_on = asyncio.Event(), asyncio.Event()

        async def source() -> AsyncIterator[bytes]:
            yield b"new"
            waiting.set()
            await go_on.wait()

        put = asyncio.create_task(storage.put("a", source()))
        await asyncio.wait_for(waiting.wait(), self.patience)
        try:
            calls: list[Awaitable[object]] = [storage.get("a"), storage.put("b", b"1")]
            found = await asyncio.wait_for(asyncio.gather(*calls), self.patience)
        finally:
            go_on.set()
            await put
        assert found == [b"old", "b"], "calls beside a put whose source waits"
        assert await storage.get("a") == b"new"

    async def test_get_after_put_is_not_the_content_of_a_get_that_began_before(
        self, storage: Disk
    ) -> None:
        for turns in range(12):
            await storage.put("a", b"old")
            reader = asyncio.create_task(storage.get("a"))
            for _ in range(turns):
                await asyncio.sleep(0)
            await storage.put("a", b"new")
            assert await reader in {b"old", b"new"}
            assert await storage.get("a") == b"new", "a get that follows a put"
            assert await storage.size("a") == 3

    async def test_many_threads_can_use_it(self, storage: Disk) -> None:
        async def work(number: int) -> bytes:
            for turn in range(3):
                await storage.put(f"{number}/{turn}", b"%d" % number)
            return await storage.get(f"{number}/2")

        def in_a_thread(number: int) -> bytes:
            return asyncio.run(work(number))

        got = await asyncio.gather(*(asyncio.to_thread(in_a_thread, n) for n in range(4)))
        assert got == [b"0", b"1", b"2", b"3"]


async def _contend(storage: Disk) -> set[bytes]:
    """Let many tasks of this loop write and read one file at once; return what they read."""

    async def source(number: int) -> AsyncIterator[bytes]:
        for _ in range(2):
            await asyncio.sleep(0)
            yield b"%d" % number

    await storage.put("a", b"content")
    puts = [storage.put("a", source(number)) for number in range(4)]
    plain = [storage.put("a", b"content") for _ in range(4)]
    others = [storage.put(f"b{number % 2}", b"content") for number in range(4)]
    reading = asyncio.gather(*(storage.get("a") for _ in range(4)))
    await asyncio.gather(*puts, *plain, *others)
    found = await reading
    await asyncio.gather(*(storage.delete(f"b{number}") for number in range(2)))
    return {*found, await storage.get("a")}
