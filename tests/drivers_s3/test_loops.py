"""One driver in many event loops and threads: nothing leaks, nothing warns."""

from __future__ import annotations

import asyncio
import collections
import gc
import subprocess
import sys
import textwrap
import threading
import weakref
from pathlib import Path

import botocore
import pytest

from jtc.storage.driver_support import loop_budget
from jtc.storage.drivers.s3_driver import S3Driver
from jtc.storage.exceptions import StorageConfigException, StorageUnavailableException


@pytest.fixture
def options(seaweedfs):
    return {"bucket": seaweedfs.bucket, **seaweedfs.options}


def opened(driver):
    """Return the clients of a driver, by their event loops."""
    return driver._transport._clients.opened


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


async def use(driver, path="file"):
    await asyncio.gather(*(driver.put(f"loops/{path}-{n}", b"1") for n in range(4)))
    assert await driver.get(f"loops/{path}-0") == b"1"


def test_fifty_loops_without_closing_leave_no_descriptor(options):
    driver = S3Driver(**options)
    asyncio.run(use(driver))
    gc.collect()
    before = descriptors()
    for _ in range(50):
        asyncio.run(use(driver))
    gc.collect()
    assert descriptors() <= before
    assert opened(driver) == {}


def test_threads_have_clients_of_their_own_and_one_call_closes_all(options):
    driver = S3Driver(**options)
    failures = []
    used, done = threading.Barrier(5, timeout=60), threading.Event()

    async def work(name):
        await use(driver, name)
        used.wait()
        while not done.is_set():
            await asyncio.sleep(0.01)

    def run(name):
        try:
            asyncio.run(work(name))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(f"thread-{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()

    async def close_all():
        await use(driver)
        await asyncio.to_thread(used.wait)
        assert len(opened(driver)) == 5
        await driver.aclose()
        assert opened(driver) == {}
        # Afterwards it opens afresh.
        await use(driver)
        await driver.aclose()

    try:
        asyncio.run(close_all())
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert failures == []


async def test_many_first_users_share_one_client_even_if_the_first_is_cancelled(options):
    driver = S3Driver(**options)
    tasks = [asyncio.create_task(driver.exists("a")) for _ in range(64)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert answers[1:] == [False] * 63
    assert len(opened(driver)) == 1
    await driver.aclose()


async def test_client_that_cannot_be_opened_fails_all_callers_and_is_tried_again(tmp_path):
    bundle = tmp_path / "ca.pem"
    driver = S3Driver(
        bucket="b",
        access_key="id",
        secret_key="secret",
        endpoint_url="https://127.0.0.1:1",
        ca_bundle=str(bundle),
        max_attempts=1,
    )

    async def refused(error):
        calls = (driver.exists("a") for _ in range(3))
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(answer) for answer in answers] == [error] * 3

    await refused(StorageConfigException)
    assert opened(driver) == {}
    bundle.write_text(Path(botocore.__file__).with_name("cacert.pem").read_text())
    await refused(StorageUnavailableException)
    await driver.aclose()


def test_loop_closed_by_hand_is_released_at_next_use(options):
    driver = S3Driver(**options)
    before = None
    for _ in range(5):
        loop = asyncio.new_event_loop()
        loop.run_until_complete(use(driver))
        loop.close()
        del loop
        gc.collect()
        assert len(opened(driver)) == 1
        before = before or descriptors()
    assert descriptors() <= before + 8
    asyncio.run(driver.aclose())
    assert opened(driver) == {}


async def test_dropped_drivers_take_their_connections_along(options):
    driver = S3Driver(**options)
    await use(driver)
    await driver.aclose()
    gc.collect()
    before = descriptors()
    for _ in range(10):
        driver = S3Driver(**options)
        await use(driver)
    alive = weakref.ref(driver)
    del driver
    gc.collect()
    for _ in range(100):
        await asyncio.sleep(0.01)
        if descriptors() <= before:
            break
    assert alive() is None
    assert descriptors() <= before


def test_a_whole_program_ends_without_a_warning(options):
    program = textwrap.dedent(
        """
        import asyncio, contextlib, sys
        from jtc.storage.drivers.s3_driver import S3Driver
        from jtc.storage.options import ListOptions, ReadOptions

        driver = S3Driver(**eval(sys.argv[1]))

        async def use():
            await asyncio.gather(*(driver.put(f"loops/p{n}", b"1") for n in range(4)))
            stream = await driver.open_read("loops/p0", ReadOptions())
            async with contextlib.aclosing(driver.list_entries("loops", ListOptions())) as entries:
                await anext(entries)

        for _ in range(3):
            asyncio.run(use())
        loop = asyncio.new_event_loop()
        loop.run_until_complete(use())
        loop.close()
        another = S3Driver(**eval(sys.argv[1]))
        asyncio.run(another.exists("a"))
        """
    )
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", program, repr(options)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    noise = [line for line in done.stderr.splitlines() if not line.startswith("Executing <")]
    assert (done.returncode, noise) == (0, [])


def test_importing_and_making_a_driver_imports_no_sdk():
    program = (
        "import sys; from jtc.storage.drivers.s3_driver import S3Driver; S3Driver('b'); "
        "found = {'aioboto3', 'aiobotocore', 'botocore', 'boto3', 'aiohttp'} & set(sys.modules); "
        "sys.exit(f'imported: {found}' if found else 0)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


async def test_requests_made_at_once_are_spread_over_iterations_of_the_loop(options, monkeypatch):
    driver = S3Driver(**options)
    await use(driver)
    monkeypatch.setattr(loop_budget, "_SECONDS", 0.0)
    rounds = 0
    begun = collections.Counter()
    place = driver._transport._place

    async def count_rounds():
        nonlocal rounds
        while True:
            rounds += 1
            await asyncio.sleep(0)

    async def count_begun():
        begun[rounds] += 1
        return await place()

    monkeypatch.setattr(driver._transport, "_place", count_begun)
    counting = asyncio.ensure_future(count_rounds())
    await asyncio.gather(*(driver.exists("loops/file-0") for _ in range(100)))
    counting.cancel()
    assert begun.total() == 100
    assert max(begun.values()) <= loop_budget._BATCH + 1
    await driver.aclose()


def test_loop_that_ends_closes_a_listing_that_is_left_open(options):
    """Between two pages, of which the next one is requested already."""
    program = textwrap.dedent(
        """
        import asyncio, sys
        from jtc.storage.drivers.s3_driver import S3Driver
        from jtc.storage.drivers.s3_driver._objects import listing
        from jtc.storage.options import ListOptions

        listing.PAGE = 1
        driver = S3Driver(**eval(sys.argv[1]))

        async def use():
            for number in range(5):
                await driver.put(f"left-open/{number}", b"1")
            global entries
            entries = driver.list_entries("left-open", ListOptions())
            for _ in range(3):
                await anext(entries)

        asyncio.run(use())
        """
    )
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", program, repr(options)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    noise = [line for line in done.stderr.splitlines() if not line.startswith("Executing <")]
    assert (done.returncode, noise) == (0, [])
