"""One driver in many event loops and threads: nothing leaks, nothing warns."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import textwrap
import threading
import weakref
from pathlib import Path

import pytest

from jtc.storage.drivers.s3_driver import S3Driver
from s3_ways import WAYS, clients_of, send


@pytest.fixture(params=WAYS)
def make(request):
    """Make drivers that go both ways."""
    return lambda **options: send(S3Driver(**options), request.param)


@pytest.fixture
def options(seaweedfs):
    return {"bucket": seaweedfs.bucket, **seaweedfs.options}


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


async def use(driver, path="file"):
    await asyncio.gather(*(driver.put(f"loops/{path}-{n}", b"1") for n in range(4)))
    assert await driver.get(f"loops/{path}-0") == b"1"


def test_fifty_loops_without_closing_leave_no_descriptor(make, options):
    driver = make(**options)
    asyncio.run(use(driver))
    gc.collect()
    before = descriptors()
    for _ in range(50):
        asyncio.run(use(driver))
    gc.collect()
    assert descriptors() <= before
    assert clients_of(driver)._slots == {}


def test_threads_have_clients_of_their_own_and_one_call_closes_all(make, options):
    driver = make(**options)
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
        slots = clients_of(driver)._slots
        assert len(slots) == 5
        await driver.aclose()
        assert slots == {}
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


async def test_many_first_users_share_one_client_even_if_the_first_is_cancelled(make, options):
    driver = make(**options)
    tasks = [asyncio.create_task(driver.exists("a")) for _ in range(64)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert answers[1:] == [False] * 63
    assert len(clients_of(driver)._slots) == 1
    await driver.aclose()


async def test_client_that_cannot_be_made_fails_all_callers_and_is_tried_again(make, options):
    driver = make(bucket="b", profile="no-such-profile", endpoint_url=options["endpoint_url"])
    for _ in range(2):
        answers = await asyncio.gather(
            *(driver.exists("a") for _ in range(3)), return_exceptions=True
        )
        assert ["no-such-profile" in str(answer) for answer in answers] == [True] * 3
    assert clients_of(driver)._slots == {}


def test_loop_closed_by_hand_is_released_at_next_use(make, options):
    driver = make(**options)
    before = None
    for _ in range(5):
        loop = asyncio.new_event_loop()
        loop.run_until_complete(use(driver))
        loop.close()
        del loop
        gc.collect()
        assert len(clients_of(driver)._slots) == 1
        before = before or descriptors()
    assert descriptors() <= before + 8
    asyncio.run(driver.aclose())
    assert clients_of(driver)._slots == {}


async def test_dropped_drivers_take_their_connections_along(make, options):
    driver = make(**options)
    await use(driver)
    await driver.aclose()
    gc.collect()
    before = descriptors()
    for _ in range(10):
        driver = make(**options)
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


def test_missing_sdk_error_says_how_to_install_it():
    program = (
        "import asyncio, sys; sys.modules['aioboto3'] = None\n"
        "from jtc.storage.drivers.s3_driver import S3Driver\n"
        "from jtc.storage.exceptions import StorageConfigException\n"
        "try:\n    asyncio.run(S3Driver('b').get('a'))\n"
        "except StorageConfigException as error:\n"
        "    sys.exit(0 if \"pip install 'jtc-storage[s3]'\" in str(error) else str(error))\n"
        "sys.exit('no error')"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


async def test_one_task_in_a_round_of_the_loop_makes_its_request(options):
    driver = S3Driver(**options)
    await use(driver)
    rounds = 0
    begun = []

    async def count_rounds():
        nonlocal rounds
        while True:
            rounds += 1
            await asyncio.sleep(0)

    async def begin():
        await driver._bucket._clients.get()
        begun.append(rounds)

    counting = asyncio.ensure_future(count_rounds())
    await asyncio.gather(*(begin() for _ in range(100)))
    counting.cancel()
    assert len(set(begun)) == 100
    await driver.aclose()
