"""Concurrent operations: in one event loop, and in several loops and threads."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from jtc.storage.testing._suite import Suite

if TYPE_CHECKING:
    from jtc.storage import Disk

__all__ = ["ConcurrencyTests"]

_SIZE = 300_000


class ConcurrencyTests(Suite):
    """Whole or not at all, whatever else runs at the same time."""

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
                torn += await storage.get("a") not in contents
                await asyncio.sleep(0)
            return torn

        _, first, second = await asyncio.gather(write(), read(), read())
        assert first == second == 0

    async def test_a_file_exists_all_the_time_while_it_is_replaced(self, storage: Disk) -> None:
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

    async def test_many_threads_can_use_it(self, storage: Disk) -> None:
        async def work(number: int) -> bytes:
            for turn in range(3):
                await storage.put(f"{number}/{turn}", b"%d" % number)
            return await storage.get(f"{number}/2")

        def in_a_thread(number: int) -> bytes:
            return asyncio.run(work(number))

        got = await asyncio.gather(*(asyncio.to_thread(in_a_thread, n) for n in range(4)))
        assert got == [b"0", b"1", b"2", b"3"]
