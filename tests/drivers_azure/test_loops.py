"""One driver in many event loops, threads and forked children: nothing leaks, nothing warns."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from jtc.storage.drivers.azure_driver import AzureDriver


@pytest.fixture
def make(azurite):
    return lambda: AzureDriver(azurite.container, **azurite.options)


def opened(driver):
    return driver._transport._clients.opened


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


async def use(driver, path="file"):
    await asyncio.gather(*(driver.put(f"loops/{path}-{n}", b"1") for n in range(4)))
    assert await driver.get(f"loops/{path}-0") == b"1"


def test_twenty_loops_without_closing_leave_no_descriptor(make):
    driver = make()
    asyncio.run(use(driver))
    gc.collect()
    before = descriptors()
    for _ in range(20):
        asyncio.run(use(driver))
    gc.collect()
    assert descriptors() <= before
    assert opened(driver) == {}


def test_threads_have_connections_of_their_own(make):
    driver, failures = make(), []

    def run(name):
        try:
            for _ in range(3):
                asyncio.run(use(driver, name))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(f"thread-{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


async def test_closed_driver_opens_afresh(make):
    driver = make()
    await use(driver)
    await driver.aclose()
    assert opened(driver) == {}
    await use(driver)
    await driver.aclose()


FORKS = """
import asyncio, os, signal, sys
from jtc.storage.drivers.azure_driver import AzureDriver

driver = AzureDriver(sys.argv[1], sys.argv[2])


async def use(name):
    await driver.put(name, name.encode())
    assert await driver.get(name) == name.encode()
    await driver.aclose()


async def main():
    await driver.put("parent", b"1")
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        try:
            asyncio.set_event_loop(None)
            asyncio.events._set_running_loop(None)
            asyncio.run(use("child"))
        finally:
            os._exit(0 if sys.exception() is None else 1)
    _, status = await asyncio.to_thread(os.waitpid, child, 0)
    assert status == 0, status
    await use("parent")


asyncio.run(main())
"""


def test_forked_child_opens_connections_of_its_own(azurite):
    arguments = [azurite.container, azurite.connection_string]
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", textwrap.dedent(FORKS), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
