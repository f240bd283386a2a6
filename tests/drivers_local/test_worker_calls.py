"""Limits of how many workers do the same at once."""

from __future__ import annotations

import asyncio
import os
import threading
import time

import pytest

from jtc.storage.drivers.local_driver import _workers as workers

CONTENT = bytes(1024 * 1024)
PROCESSORS = os.cpu_count() or 1


class Crowd:
    """Counts the threads in a system call at once, and keeps each there for a moment."""

    def __init__(self, call):
        self._call = call
        self._lock = threading.Lock()
        self._inside = 0
        self.most = 0

    def __call__(self, descriptor, content):
        size = content if isinstance(content, int) else len(content)
        if size < len(CONTENT):
            return self._call(descriptor, content)
        with self._lock:
            self._inside += 1
            self.most = max(self.most, self._inside)
        time.sleep(0.005)
        try:
            return self._call(descriptor, content)
        finally:
            with self._lock:
                self._inside -= 1


@pytest.fixture
def many_threads(monkeypatch):
    monkeypatch.setattr(workers, "_THREADS", PROCESSORS + 8)


@pytest.mark.usefixtures("many_threads")
async def test_content_is_moved_by_one_worker_for_each_processor(driver, monkeypatch, workers_idle):
    await workers_idle()  # of other tests
    reads, writes = Crowd(os.read), Crowd(os.write)
    monkeypatch.setattr(os, "read", reads)
    monkeypatch.setattr(os, "write", writes)
    names = [f"{number}" for number in range(4 * PROCESSORS + 16)]
    await asyncio.gather(*(driver.put(name, CONTENT) for name in names))
    assert set(await asyncio.gather(*map(driver.get, names))) == {CONTENT}
    assert (reads.most, writes.most) == (PROCESSORS, PROCESSORS)


async def test_a_put_that_waits_for_a_processor_can_be_cancelled(driver, monkeypatch):
    await driver.put("a", b"old")
    no_slots = threading.Semaphore(0)
    monkeypatch.setattr(driver._root.workers, "processor_slots", no_slots)
    putting = asyncio.ensure_future(driver.put("a", CONTENT))
    await asyncio.sleep(0.05)
    assert await driver.get("a") == b"old"  # a few bytes take no slot
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting
    no_slots.release()
    await asyncio.sleep(0.2)
    assert await driver.get("a") == b"old"
