"""Puts that are cancelled at any moment: whole or not at all, and nothing afterwards."""

from __future__ import annotations

import asyncio
import io
import random
import time
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage.drivers.memory_driver import MemoryDriver
from local_ways import WAYS, descriptors_below, local_driver, temporaries_below, workers_idle

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

SIZE = 3 * 1024 * 1024


async def stream(content: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(content), 300_000):
        yield content[at : at + 300_000]
        await asyncio.sleep(0)


KINDS: dict[str, Callable[[bytes], Any]] = {"bytes": bytes, "file": io.BytesIO, "stream": stream}


@pytest.mark.row(7)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", [*WAYS, "memory"])
async def test_a_cancelled_put_is_whole_or_nothing_and_nothing_changes_afterwards(
    tmp_path: Path, name: str, kind: str, report: Callable[[str], None], rounds: Callable[..., int]
) -> None:
    root = tmp_path / "root"
    driver: Any = MemoryDriver() if name == "memory" else local_driver(root, name)
    make = KINDS[kind]
    current = b"\0" * SIZE
    await driver.put("d/a", current)
    began = time.perf_counter()
    for _ in range(5):
        await driver.put("d/b", make(current))
    whole = (time.perf_counter() - began) / 5
    chance = random.Random(7)
    cancellations = rounds(200, brief=40)
    cancelled = torn = later = other = 0
    for number in range(1, cancellations + 1):
        content = bytes([number % 251]) * SIZE
        task = asyncio.create_task(driver.put("d/a", make(content)))
        await asyncio.sleep(chance.uniform(0, whole))
        asked = task.cancel()
        await asyncio.wait([task])
        seen = await driver.get("d/a")
        etag = (await driver.stat("d/a")).etag
        if task.cancelled():
            cancelled += 1
        else:
            # Too late is a cancellation only where the put has returned already.
            other += asked or task.exception() is not None or seen != content
        torn += seen not in (current, content)
        await asyncio.sleep(0.002)
        later += (await driver.stat("d/a")).etag != etag
        current = seen
    await workers_idle()
    await asyncio.get_running_loop().shutdown_default_executor()
    left = len(temporaries_below(root)), len(descriptors_below(tmp_path))
    report(
        f"{name}, {kind}: {cancellations} cancellations, {cancelled} as `CancelledError` and the "
        f"rest too late, {torn} torn, {later} changed afterwards, {left[0]} temporaries, "
        f"{left[1]} descriptors"
    )
    assert (torn, later, other, *left) == (0, 0, 0, 0, 0)
    assert cancelled or name == "memory", "no cancellation came in time"
