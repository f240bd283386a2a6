"""One disk in many event loops, threads and forked children."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

from google_store import GoogleStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

DRIVERS = ("gcs", "local", "memory", "s3")

# -W error and -X dev: what is not closed is an error on stderr. asyncio imports the module of its
# threads at their first use, and CPython has a race there: what that module registers while
# another thread forks (to take a lock before, to release it after) releases what it did not take.
PROGRAM = """
import asyncio, concurrent.futures.thread, contextlib, os, signal, sys, threading, time
from jtc.storage import StorageManager

storage = StorageManager.isolated({"default": "disk", "disks": {"disk": eval(sys.argv[1])}})


async def use(name):
    text = name + "." * 300_000  # so much takes a turn among the threads that move content
    await asyncio.gather(*(storage.put(f"forks/{name}-{n}", text) for n in range(4)))
    assert await storage.get_text(f"forks/{name}-3") == text
"""

LOOPS = """
loops = int(sys.argv[2])
for number in range(loops):
    asyncio.run(use(f"loop-{number}"))

errors = []


def work(name):
    try:
        for number in range(loops // 10 + 1):
            asyncio.run(use(f"{name}-{number}"))
    except BaseException as error:
        errors.append(repr(error))


threads = [threading.Thread(target=work, args=(f"thread-{n}",)) for n in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
sys.exit("; ".join(errors) or None)
"""

# The child must end by itself; else the parent kills it, and says so.
CHILDREN = """
async def use_and_close(name):
    await use(name)
    await storage.aclose()


def in_child(run, name):
    began = time.monotonic()
    pid = os.fork()
    if not pid:
        status = 3
        try:
            run(use_and_close(name))
            status = 0
        except BaseException as error:
            print(type(error), error, file=sys.stderr, flush=True)
        finally:
            os._exit(status)
    while time.monotonic() - began < 10:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status), time.monotonic() - began
        time.sleep(0.002)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return "hung", time.monotonic() - began


def in_thread(coroutine):
    thread = threading.Thread(target=asyncio.run, args=(coroutine,))
    thread.start()
    thread.join()


def while_locked(locks):
    held, done = threading.Event(), threading.Event()

    def hold():
        with contextlib.ExitStack() as stack:
            for lock in locks:
                stack.enter_context(lock)
            held.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    results.append(in_child(asyncio.run, "locked"))
    done.set()
    thread.join()


results = []


def tell():
    print(len(results), max(seconds for _, seconds in results))
    failed = [result for result in results if result[0]]
    sys.exit(str(failed) if failed else None)
"""

FORKS = """
asyncio.run(use("parent"))
driver = storage.driver
kind = eval(sys.argv[1])["driver"]
locks = [each._lock for each in (storage, driver) if hasattr(each, "_lock")]
if "s3" == kind:
    from jtc.storage.drivers.s3_driver._transport import sdk_keys
    locks += [driver._transport.keys._lock, driver._transport._clients._slots.lock]
    locks += [sdk_keys._import_lock.held]
if "gcs" == kind:
    tokens = driver._transport.tokens
    locks += [tokens._lock, tokens._loading, driver._transport._clients._slots.lock]
if "local" == kind:
    from jtc.storage.drivers.local_driver import _path_locks
    workers = driver._root.workers
    locks += [workers.processor_slots] * os.cpu_count() + [workers._lock, *_path_locks._mutexes]
while_locked(locks)
results.append(in_child(asyncio.run, "after-a-loop"))


async def busy():
    until = time.monotonic() + float(sys.argv[2])
    number = 0
    while time.monotonic() < until:
        await use(f"busy-{threading.get_ident()}-{number % 5}")
        number += 1


workers = [threading.Thread(target=lambda: asyncio.run(busy())) for _ in range(4)]
for thread in workers:
    thread.start()
while any(thread.is_alive() for thread in workers):
    results.append(in_child(asyncio.run, "beside-threads"))


async def parent():
    working = [asyncio.ensure_future(use(f"running-{n}")) for n in range(4)]
    await asyncio.sleep(0)
    results.append(in_child(asyncio.run, "in-a-loop"))
    results.append(in_child(in_thread, "in-a-loop-by-thread"))
    await asyncio.gather(*working)
    await use("parent-again")


asyncio.run(parent())
tell()
"""

# In the parent another thread has the only place, then every lock.
LAYERS = """
view = storage.disk().scoped("view")


async def use(name):
    storage.hooks.plugins()
    await view.put(name, name)
    assert await storage.get_text(f"view/{name}") == name


held, done = threading.Event(), threading.Event()


async def hold():
    async with storage.driver.waiting("get"):
        held.set()
        await asyncio.to_thread(done.wait)


thread = threading.Thread(target=asyncio.run, args=(hold(),))
thread.start()
held.wait()
results.append(in_child(asyncio.run, "full"))
done.set()
thread.join()
asyncio.run(use("parent"))
while_locked([storage.hooks._lock, storage.driver._semaphore._lock, storage.driver._rate._lock])
view = storage.disk().scoped("view")
while_locked([view._resolved._lock])
tell()
"""


@pytest.fixture(params=DRIVERS)
def options(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, Any]]:
    if request.param == "s3":
        store = request.getfixturevalue("seaweedfs")
        yield {"driver": "s3", "bucket": store.bucket, **store.options}
    elif request.param == "gcs":
        with GoogleStore() as google:
            yield {"driver": "gcs", "bucket": google.bucket, **google.options}
    elif request.param == "local":
        yield {"driver": "local", "root": str(tmp_path)}
    else:
        yield {"driver": request.param}


def run(program: str, options: dict[str, Any], argument: float) -> str:
    done = subprocess.run(
        [
            *(sys.executable, "-X", "dev", "-W", "error"),
            # From Python 3.12 on each fork beside threads warns, which is what is tried here.
            *("-W", "ignore:This process:DeprecationWarning"),
            *("-c", textwrap.dedent(PROGRAM + program), repr(options), str(argument)),
        ],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    noise = [line for line in done.stderr.splitlines() if not line.startswith("Executing <")]
    assert (done.returncode, noise) == (0, [])
    return done.stdout


@pytest.mark.row(11)
def test_one_disk_serves_many_loops_and_threads(
    options: dict[str, Any],
    rounds: Callable[..., int],
    report: Callable[[str], None],
) -> None:
    loops = rounds(50, brief=10)
    run(LOOPS, options, loops)
    report(f"{options['driver']}: {loops} loops, 4 threads, 0 errors, 0 warnings")


@pytest.mark.row(11)
def test_a_forked_child_uses_the_disk_as_its_parent_does(
    options: dict[str, Any],
    rounds: Callable[..., int],
    report: Callable[[str], None],
) -> None:
    forks, longest = run(CHILDREN + FORKS, options, rounds(4, brief=1)).split()
    report(
        f"{options['driver']}: {forks} forks, all worked, the longest took {float(longest):.2f} s"
    )


@pytest.mark.row(11)
def test_a_forked_child_has_the_layers_and_hooks_without_what_its_parent_held(
    report: Callable[[str], None],
) -> None:
    limit = {"name": "limit", "operations": 1, "bytes_per_second": 1_000_000_000}
    forks, _ = run(CHILDREN + LAYERS, {"driver": "memory", "layers": [limit]}, 0).split()
    report(f"limit, a view and hooks: {forks} forks, all worked")
