"""The OpenDAL driver in forked children, in several event loops and threads, and at the end."""

from __future__ import annotations

import subprocess
import sys

import pytest

CHILD = """
import asyncio, os, sys, tempfile
from jtc.storage import StorageUnavailableException
from jtc.storage.drivers.opendal_driver import OpenDALDriver

driver = OpenDALDriver("fs", root=tempfile.mkdtemp())


async def use(driver):
    await driver.put("a", b"content")
    assert await driver.get("a") == b"content"


if sys.argv[1] == "after":
    asyncio.run(use(driver))
if os.fork():
    status = os.waitstatus_to_exitcode(os.wait()[1])
    asyncio.run(use(driver))  # the parent's goes on
    sys.exit(status)
for each in (driver, OpenDALDriver("fs", root=tempfile.mkdtemp())):
    try:
        asyncio.run(use(each))
    except StorageUnavailableException as error:
        print(error.retryable, error)
    else:
        print("works")
sys.stdout.flush()
os._exit(0)
"""

LOOPS = """
import asyncio, tempfile, threading
from jtc.storage.drivers.opendal_driver import OpenDALDriver

driver = OpenDALDriver("fs", root=tempfile.mkdtemp(), max_concurrency=3)
errors = []


async def use(name):
    text = name.encode() * 10_000
    await asyncio.gather(*(driver.put(f"{name}-{n}", text) for n in range(8)))
    found = await asyncio.gather(*(driver.get(f"{name}-{n}") for n in range(8)))
    assert found == [text] * 8
    asyncio.ensure_future(driver.get(f"{name}-1"))  # cancelled with its loop


def work(name):
    try:
        for number in range(5):
            asyncio.run(use(f"{name}-{number}"))
    except BaseException as error:
        errors.append(repr(error))


threads = [threading.Thread(target=work, args=(f"thread-{n}",)) for n in range(4)]
for thread in threads:
    thread.start()
work("main")
for thread in threads:
    thread.join()
print(errors)
"""

END = """
import asyncio, sys, tempfile, threading, time
from jtc.storage.drivers.opendal_driver import OpenDALDriver
from jtc.storage.drivers.opendal_driver._runtime import runtime


async def use():
    driver = OpenDALDriver("fs", root=tempfile.mkdtemp())
    await driver.put("a", b"content")
    held.append(runtime.noted(asyncio.get_running_loop().create_future()))


def hold():  # as a thread of OpenDAL that the system lets wait
    time.sleep(float(sys.argv[1]))
    held.clear()
    print("released", flush=True)


held = []
asyncio.run(use())
threading.Thread(target=hold, daemon=True).start()
"""


# A busy machine's slow callbacks, which asyncio reports with "-X dev", are no errors.
QUIET = "import logging; logging.getLogger('asyncio').setLevel(logging.ERROR)"


def run(program: str, *arguments: str) -> str:
    program = f"{QUIET}\n{program}"
    command = [sys.executable, "-W", "error", "-X", "dev", "-c", program, *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert ended.returncode == 0, ended.stderr
    assert not ended.stderr
    return ended.stdout


def test_fork_before_first_use_leaves_both_able_to_work() -> None:
    assert run(CHILD, "before") == "works\nworks\n"


def test_fork_after_use_is_an_error_that_names_the_way_out_in_the_child() -> None:
    for line in run(CHILD, "after").splitlines():
        assert line.startswith("False OpenDAL's threads do not survive a fork")
        assert "'spawn'" in line
        assert "'forkserver'" in line


@pytest.mark.parametrize("way", ["spawn", "forkserver"])
def test_child_by_another_way_than_fork_works(way: str, tmp_path: object) -> None:
    import asyncio
    import multiprocessing

    asyncio.run(_use(str(tmp_path)))
    child = multiprocessing.get_context(way).Process(target=_in_child, args=(str(tmp_path),))
    child.start()
    child.join(60)
    assert child.exitcode == 0


def _in_child(root: str) -> None:
    import asyncio

    asyncio.run(_use(root))


async def _use(root: str) -> None:
    from jtc.storage.drivers.opendal_driver import OpenDALDriver

    driver = OpenDALDriver("fs", root=root)
    await driver.put("a", b"content")
    assert await driver.get("a") == b"content"


def test_loops_and_threads_share_one_driver() -> None:
    assert run(LOOPS) == "[]\n"


def test_end_of_process_waits_until_threads_have_no_call_in_hand() -> None:
    assert run(END, "0.2") == "released\n"


def test_end_of_process_does_not_wait_forever() -> None:
    assert run(END, "300") == ""
