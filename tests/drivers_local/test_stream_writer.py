"""Writing of async sources: a worker writes while the source is asked for more."""

from __future__ import annotations

import asyncio
import errno
import random
import threading
from typing import TYPE_CHECKING

import pytest

from jtc.storage.drivers.local_driver._staged_file import StagedFile
from jtc.storage.exceptions import StorageFullException

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from jtc.storage.drivers.local_driver import LocalDriver

MIB = 1024 * 1024
PATIENCE = 60
"""Seconds in which what hangs if it is wrong must be done."""


class Held:
    """Makes all writes wait until `go`, and counts them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.going = threading.Event()
        self.entered = threading.Event()
        write = StagedFile.write

        def held(staged: StagedFile, content: bytes) -> None:
            self.entered.set()
            assert self.going.wait(PATIENCE)
            write(staged, content)

        monkeypatch.setattr(StagedFile, "write", held)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    held = Held(monkeypatch)
    yield held
    held.going.set()


async def test_chunks_of_any_sizes_come_out_in_order(driver: LocalDriver) -> None:
    chance = random.Random(7)
    sizes = [chance.choice((1, 999, 64 * 1024, MIB, 5 * MIB)) for _ in range(60)]
    chunks = [chance.randbytes(size) for size in sizes]

    async def source() -> AsyncIterator[bytes]:
        for number, chunk in enumerate(chunks):
            yield chunk
            if number % 7 == 0:
                await asyncio.sleep(0.001 * (number % 3))

    await driver.put("file", source())
    assert await driver.get("file") == b"".join(chunks)


async def test_a_source_is_asked_for_a_few_mib_more_than_are_written(
    driver: LocalDriver, held: Held
) -> None:
    asked = 0

    async def source() -> AsyncIterator[bytes]:
        nonlocal asked
        for _ in range(40):
            asked += 1
            yield bytes(MIB)

    putting = asyncio.create_task(driver.put("file", source()))
    await asyncio.to_thread(held.entered.wait, PATIENCE)
    # Enough iterations of the loop for it to take all, if it took more than its share.
    for _ in range(1000):
        await asyncio.sleep(0)
    assert asked <= 5
    held.going.set()
    await asyncio.wait_for(putting, PATIENCE)
    assert await driver.size("file") == 40 * MIB


async def test_a_disk_that_is_full_ends_the_reading_of_the_source(
    driver: LocalDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0

    async def source() -> AsyncIterator[bytes]:
        nonlocal asked
        while True:
            asked += 1
            yield bytes(MIB)

    def full(_staged: StagedFile, _content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(StagedFile, "write", full)
    with pytest.raises(StorageFullException):
        await asyncio.wait_for(driver.put("file", source()), PATIENCE)
    assert asked <= 10
    assert not await driver.exists("file")
