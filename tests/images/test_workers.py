"""Worker processes: their limits, their ends, and that none is left."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from jtc.storage import (
    RejectedException,
    StorageConfigException,
    StorageUnavailableException,
    images,
)
from jtc.storage.images import Processor
from pictures import noise, picture

SLOW = images.fit(1500, enlarge=True).blur(100).avif(effort=9)
"""A recipe that takes seconds."""


def children() -> set[int]:
    """Return the child processes of this process, zombies included."""
    found: set[int] = set()
    for thread in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            found.update(map(int, (thread / "children").read_text().split()))
    return found


async def until(condition) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


async def worker_of(processor: Processor) -> int:
    """Return the process id of a processor's only worker, which is idle."""
    before = children()
    await processor.inspect(picture())
    (worker,) = children() - before
    return worker


def ticks(process: int) -> int:
    """Return the processor time that a process has taken, in hundredths of a second."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


async def at_work(processor: Processor, worker: int) -> asyncio.Task[images.Rendered]:
    """Return a slow job that the worker works for."""
    before = ticks(worker)
    running = asyncio.create_task(processor.transform(noise(800, 600), SLOW))
    await until(lambda: ticks(worker) > before + 3)
    return running


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def environment_of(process: int) -> str:
    return Path(f"/proc/{process}/environ").read_text()


async def test_import_of_images_does_not_import_libvips() -> None:
    code = "import sys, jtc.storage.images; assert not {'pyvips', 'PIL', 'cffi'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


async def test_worker_has_no_secret_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a secret")
    with Processor(workers=1) as processor:
        worker = await worker_of(processor)
        assert "secret" not in environment_of(worker).lower()
        maps = Path(f"/proc/{worker}/maps").read_text()
        assert "vips" in maps
        limits = Path(f"/proc/{worker}/limits").read_text()
        assert str(512 << 20) in limits


async def test_worker_remains_for_the_next_image_and_ends_with_the_processor() -> None:
    processor = Processor(workers=1)
    worker = await worker_of(processor)
    before = children()
    await processor.inspect(picture())
    assert worker in children() == before
    processor.close()
    assert worker not in children()
    processor.close()
    assert await worker_of(processor) != worker
    processor.close()


async def test_no_more_workers_than_asked_for() -> None:
    before = children()
    with Processor(workers=2) as processor:
        original = noise(400, 300)
        await asyncio.gather(*[processor.inspect(original) for _ in range(8)])
        assert len(children() - before) == 2


def copies() -> int:
    """Return how many copies of images this process has in memory."""
    links = []
    for link in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # it was closed meanwhile
            links.append(str(link.readlink()))
    return sum("memfd:image" in link for link in links)


async def test_images_that_wait_for_a_worker_take_no_memory() -> None:
    before = most = copies()
    with Processor(workers=1) as processor:
        jobs = {asyncio.ensure_future(processor.inspect(picture())) for _ in range(20)}
        while jobs:
            done, jobs = await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
            assert all(each.result().width for each in done)
            most = max(most, copies())
    assert most <= before + 2  # one at work, and one that is about to be


async def test_image_that_is_refused_takes_no_memory_while_its_error_is_kept() -> None:
    before = copies()
    with Processor(workers=1) as processor:
        jobs = [processor.inspect(picture()[:200]) for _ in range(5)]
        errors = await asyncio.gather(*jobs, return_exceptions=True)
        assert [type(each) for each in errors] == [RejectedException] * 5
        assert copies() <= before  # that of a test before may have ended meanwhile


async def test_worker_that_hangs_is_killed_and_replaced() -> None:
    with Processor(workers=1, timeout=0.5) as processor:
        worker = await worker_of(processor)
        os.kill(worker, signal.SIGSTOP)
        with pytest.raises(RejectedException, match="longer than") as caught:
            await processor.inspect(picture())
        assert caught.value.reason == "time"
        assert worker not in children()
        assert (await processor.inspect(picture())).width == 60


async def test_worker_ends_itself_when_an_image_takes_too_long() -> None:
    with Processor(workers=1, timeout=0.3) as processor:
        worker = await worker_of(processor)
        with pytest.raises(RejectedException, match=r"longer than 0\.3 seconds") as caught:
            await processor.transform(noise(800, 600), SLOW)
        assert caught.value.reason == "time"
        assert worker not in children()


async def test_worker_that_is_killed_at_work_gives_an_error_that_may_be_retried() -> None:
    with Processor(workers=1) as processor:
        worker = await worker_of(processor)
        running = await at_work(processor, worker)
        os.kill(worker, signal.SIGKILL)
        with pytest.raises(StorageUnavailableException, match="SIGKILL") as caught:
            await running
        assert caught.value.retryable
        assert worker not in children()
        assert (await processor.inspect(picture())).width == 60


@pytest.mark.parametrize("crash", [signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS])
async def test_crash_of_a_decoder_is_a_fault_of_the_image(crash: signal.Signals) -> None:
    with Processor(workers=1) as processor:
        worker = await worker_of(processor)
        running = await at_work(processor, worker)
        os.kill(worker, crash)
        with pytest.raises(RejectedException, match=crash.name) as caught:
            await running
        assert caught.value.reason == "image"
        assert (await processor.inspect(picture())).width == 60


async def test_idle_worker_that_is_killed_leaves_no_zombie_and_no_error() -> None:
    with Processor(workers=1) as processor:
        worker = await worker_of(processor)
        os.kill(worker, signal.SIGKILL)
        await until(lambda: worker not in children())
        assert (await processor.inspect(picture())).width == 60


async def test_cancelled_caller_ends_its_worker_at_once() -> None:
    with Processor(workers=1) as processor:
        worker = await worker_of(processor)
        running = await at_work(processor, worker)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await until(lambda: worker not in children())
        assert (await processor.inspect(picture())).width == 60


async def test_cancellation_at_any_moment_leaves_the_processor_usable() -> None:
    original = noise(300, 200)
    with Processor(workers=2) as processor:
        before = descriptors()
        for number in range(40):
            running = asyncio.create_task(processor.transform(original, images.fit(50)))
            await asyncio.sleep(number * 0.0005)
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
        assert (await processor.inspect(picture())).width == 60
        # The sockets of two workers, and the thread's own loop.
        await until(lambda: descriptors() <= before + 6)


async def test_close_raises_in_those_that_wait() -> None:
    processor = Processor(workers=1)
    await processor.inspect(picture())
    running = [asyncio.create_task(processor.transform(noise(800, 600), SLOW)) for _ in range(3)]
    loop = processor._pool._loop
    assert loop is not None
    await until(lambda: len(asyncio.all_tasks(loop)) == 3)
    await asyncio.to_thread(processor.close)
    for task in running:
        with pytest.raises(StorageUnavailableException, match="closed"):
            await task


def test_threads_and_event_loops_share_a_processor() -> None:
    sizes: list[int] = []

    def inspect(processor: Processor) -> None:
        sizes.extend(asyncio.run(processor.inspect(picture())).width for _ in range(3))

    before = children()
    with Processor(workers=2) as processor:
        threads = [threading.Thread(target=inspect, args=(processor,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(children() - before) <= 2
    assert sizes == [60] * 12
    assert children() == before


def run_script(script: str, **options) -> subprocess.CompletedProcess[str]:
    support = Path(__file__).parents[1] / "support"
    code = f"import sys; sys.path.insert(0, {str(support)!r})\n" + textwrap.dedent(script)
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,
    )


def is_gone(process: int) -> bool:
    try:
        return "Z" in Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True


BEGIN = """
import asyncio, os, signal
from pathlib import Path
from pictures import picture
from jtc.storage import images

def children():
    return [
        int(child)
        for thread in Path("/proc/self/task").iterdir()
        for child in (thread / "children").read_text().split()
    ]

"""


async def test_workers_end_with_the_application() -> None:
    done = run_script(BEGIN + "asyncio.run(images.inspect(picture())); print(*children())")
    assert (done.returncode, done.stderr) == (0, "")
    assert is_gone(int(done.stdout))


async def test_workers_end_with_an_application_that_is_killed() -> None:
    done = run_script(
        BEGIN
        + "asyncio.run(images.inspect(picture())); print(*children(), flush=True)\n"
        + "os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert done.returncode == -signal.SIGKILL
    await until(lambda: is_gone(int(done.stdout)))


async def test_forked_process_has_workers_of_its_own() -> None:
    done = run_script(
        BEGIN
        + """
asyncio.run(images.inspect(picture()))
(ours,) = children()
if child := os.fork():
    assert os.waitpid(child, 0)[1] == 0
    assert asyncio.run(images.inspect(picture())).width == 60
    assert children() == [ours]
else:
    assert asyncio.run(images.inspect(picture())).width == 60
    (its,) = children()
    assert its != ours
"""
    )
    assert (done.returncode, done.stderr) == (0, "")


async def test_lack_of_descriptors_is_a_typed_error_and_passes() -> None:
    done = run_script(
        BEGIN
        + """
import resource
from jtc.storage import StorageException

_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
original = picture()
failed = 0
for spare in range(0, 14, 2):
    processor = images.Processor(workers=1)
    with asyncio.Runner() as runner:
        runner.run(asyncio.to_thread(int))
        used = max(int(each.name) for each in Path("/proc/self/fd").iterdir())
        resource.setrlimit(resource.RLIMIT_NOFILE, (used + spare, most))
        try:
            runner.run(processor.inspect(original))
        except StorageException:
            failed += 1
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        assert runner.run(processor.inspect(original)).width == 60
    processor.close()
assert failed > 2, failed
"""
    )
    # An event loop that Python could not begin warns that it is not closed.
    assert done.returncode == 0, done.stderr


async def test_application_without_a_main_guard_processes_images(tmp_path: Path) -> None:
    script = tmp_path / "app.py"
    script.write_text(
        "import asyncio\nfrom jtc.storage import images\n"
        f"print(asyncio.run(images.inspect({picture()!r})).width)\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert done.stdout == "60\n"


async def test_worker_that_cannot_start_is_an_error_that_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "path", [path for path in sys.path if "site-packages" not in path])
    with (
        Processor(workers=1) as processor,
        pytest.raises(StorageConfigException, match="No module named 'pyvips'"),
    ):
        await processor.inspect(picture())


async def test_heic_without_its_extra_is_refused_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "pillow_heif.py").write_text("raise ImportError('not installed')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with (
        Processor(workers=1) as processor,
        pytest.raises(RejectedException, match=r"jtc-storage-images\[heic\]") as caught,
    ):
        await processor.inspect(picture(kind="HEIF"))
    assert caught.value.reason == "type"
