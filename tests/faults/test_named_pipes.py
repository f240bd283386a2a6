"""A FIFO in the root waits for a writer that never comes; a get of it must not."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

import pytest

from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.exceptions import FileNotFoundException

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GETS = 32


@pytest.mark.row(3)
async def test_gets_of_a_fifo_keep_no_thread(
    tmp_path: Path, report: Callable[[str], None], rounds: Callable[..., int]
) -> None:
    driver = LocalDriver(tmp_path)
    await driver.put("file", b"content")
    os.mkfifo(tmp_path / "fifo")

    async def get_fifo() -> object:
        try:
            async with asyncio.timeout(0.5):
                return await driver.get("fifo")
        except (TimeoutError, FileNotFoundException) as error:
            return type(error)

    outcomes = await asyncio.gather(*(get_fifo() for _ in range(GETS)))
    assert set(outcomes) <= {TimeoutError, FileNotFoundException}
    began = time.perf_counter()
    # The promise is half a second; other tests beside this one take their share of the machine.
    async with asyncio.timeout(rounds(1, brief=20) / 2):
        assert await driver.get("file") == b"content"
    took = time.perf_counter() - began
    waited = outcomes.count(TimeoutError)
    report(f"{GETS} gets of a FIFO, {waited} of them waited; a get afterwards took {took:.3f} s")
