"""Background jobs in taskiq, with workers of their own on a Redis server."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from taskiq import InMemoryBroker
from taskiq_redis import RedisStreamBroker

from jtc.storage.attachments.queues import Job, Queue
from jtc.storage.attachments.taskiq import TaskiqQueue
from redis_server import REDIS, redis_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# As an application has it: the broker, the registry, its jobs, and the queue.
APPLICATION = """
import asyncio, os, pathlib
from taskiq_redis import RedisStreamBroker
from jtc.storage.attachments import Registry
from jtc.storage.attachments.taskiq import TaskiqQueue

folder = pathlib.Path(__file__).parent
options = {{"consumer_id": "0", "idle_timeout": 300, "unacknowledged_lock_timeout": 10}}
broker = RedisStreamBroker({url!r}, **options)
registry = Registry(namespace="app", secret="0123456789abcdef0123456789abcdef")
registry.queue = TaskiqQueue(broker, registry.run_job)

async def note(payload):
    if until := payload.get("until"):
        with (folder / "begun").open("a") as file:
            file.write(f"{{os.getpid()}}\\n")
        while not (folder / until).exists():
            await asyncio.sleep(0.05)
    (folder / payload["name"]).write_text("done")

registry.add_job("note", note)
"""


async def test_taskiq_queue_is_a_queue_that_runs_jobs_by_the_broker() -> None:
    done: list[Job] = []

    async def run(job: Job) -> None:
        done.append(job)

    broker = InMemoryBroker(await_inplace=True)
    queue = TaskiqQueue(broker, run, retry_on_error=True)
    assert isinstance(queue, Queue)
    job = Job(name="greet", payload={"name": "Größe"})
    await queue.enqueue(job)
    assert done == [job]
    (task,) = broker.get_all_tasks().values()
    assert task.labels["retry_on_error"] is True


@contextlib.contextmanager
def worker(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a worker, and kill it with all its processes."""
    command = [sys.executable, "-m", "taskiq", "worker", "application:broker", "--workers", "1"]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


async def appears(file: Path) -> None:
    for _ in range(400):
        if file.exists():
            return
        await asyncio.sleep(0.05)
    pytest.fail(f"{file.name} did not appear: {(file.parent / 'log').read_text()[-2000:]}")


@pytest.mark.skipif(REDIS is None, reason="redis-server is missing: make tools")
async def test_job_of_a_worker_that_is_killed_is_run_by_the_next_one(tmp_path: Path) -> None:
    with redis_server() as url:
        (tmp_path / "application.py").write_text(APPLICATION.format(url=url))
        broker = RedisStreamBroker(url)
        queue = TaskiqQueue(broker, lambda _job: asyncio.sleep(0))
        await broker.startup()
        try:
            with worker(tmp_path):
                payload = {"name": "finished", "until": "second"}
                await queue.enqueue(Job(name="note", payload=payload))
                await appears(tmp_path / "begun")
            assert not (tmp_path / "finished").exists()
            (tmp_path / "second").touch()
            with worker(tmp_path):
                # It takes the jobs of a worker that is gone when it has got one of its own.
                for _ in range(60):
                    await queue.enqueue(Job(name="note", payload={"name": "other"}))
                    await asyncio.sleep(0.1)
                    if (tmp_path / "finished").exists():
                        break
                await appears(tmp_path / "finished")
        finally:
            await broker.shutdown()
    begun = (tmp_path / "begun").read_text().split()
    assert len(set(begun)) == len(begun) == 2
