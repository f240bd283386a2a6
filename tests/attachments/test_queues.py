"""Background jobs: the registry's functions, and the queue within the process."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage.attachments import Registry
from jtc.storage.attachments.queues import InProcessQueue, Job, Queue
from jtc.storage.exceptions import StorageConfigException

if TYPE_CHECKING:
    from collections.abc import Mapping


class Work:
    """Remembers the jobs that ran, and fails or waits as it is set to."""

    def __init__(self) -> None:
        self.done: list[Job] = []
        self.failures = 0
        self.most = self._running = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, job: Job) -> None:
        self._running += 1
        self.most = max(self.most, self._running)
        try:
            await self.gate.wait()
            if self.failures:
                self.failures -= 1
                raise LookupError("no database")
            self.done.append(job)
        finally:
            self._running -= 1


def job(number: int = 1) -> Job:
    return Job(name="work", payload={"number": number})


async def enqueue(queue: Queue, *numbers: int) -> None:
    for number in numbers:
        await queue.enqueue(job(number))


def test_job_is_the_same_after_its_text() -> None:
    given = Job(name="make", payload={"name": "Größe", "sizes": [1, 2]})
    assert Job.from_json(given.to_json()) == given


def test_idempotency_key_of_job_follows_from_name_and_payload() -> None:
    keys = {
        Job(name="a", payload={"x": 1, "y": 2}).idempotency_key,
        Job(name="a", payload={"y": 2, "x": 1}).idempotency_key,
        Job(name="b", payload={"x": 1, "y": 2}).idempotency_key,
        Job(name="a", payload={"x": 2, "y": 1}).idempotency_key,
    }
    assert len(keys) == 3


async def test_enqueue_refuses_a_payload_that_json_cannot_hold() -> None:
    queue = InProcessQueue(Work())
    with pytest.raises(TypeError, match="bytes"):
        await queue.enqueue(Job(name="work", payload={"content": b"1"}))


async def test_aclose_waits_for_all_jobs_and_for_those_that_they_enqueue() -> None:
    done: list[int] = []

    async def run(each: Job) -> None:
        await asyncio.sleep(0)
        number = each.payload["number"]
        done.append(number)
        if number < 3:
            await queue.enqueue(job(number + 1))

    queue = InProcessQueue(run, most=1)
    await enqueue(queue, 1)
    await queue.aclose()
    assert done == [1, 2, 3]


async def test_jobs_run_beside_the_caller_and_no_more_at_once_than_set() -> None:
    work = Work()
    work.gate.clear()
    queue = InProcessQueue(work, at_once=3)
    await enqueue(queue, *range(10))
    await asyncio.sleep(0)
    assert (work.done, work.most) == ([], 3)
    work.gate.set()
    await queue.aclose()
    assert [each.payload["number"] for each in work.done] == list(range(10))
    assert work.most == 3


async def test_enqueue_waits_for_room() -> None:
    work = Work()
    work.gate.clear()
    queue = InProcessQueue(work, most=2)
    await enqueue(queue, 1, 2)
    third = asyncio.create_task(enqueue(queue, 3))
    await asyncio.sleep(0.01)
    assert not third.done()
    work.gate.set()
    await third
    await queue.aclose()
    assert len(work.done) == 3


async def test_job_that_waits_is_not_added_again_and_one_that_runs_is() -> None:
    work = Work()
    work.gate.clear()
    queue = InProcessQueue(work, at_once=1)
    await enqueue(queue, 1)
    await asyncio.sleep(0)  # the first one runs
    await enqueue(queue, 1, 1, 1)
    work.gate.set()
    await queue.aclose()
    assert work.done == [job(), job()]


async def test_job_that_fails_is_repeated_until_it_succeeds(
    caplog: pytest.LogCaptureFixture,
) -> None:
    work = Work()
    work.failures = 2
    queue = InProcessQueue(work, attempts=3, pause=0.001)
    with caplog.at_level(logging.WARNING, "jtc.storage"):
        await enqueue(queue, 1, 2, 3)
        await queue.aclose()
    assert sorted(each.payload["number"] for each in work.done) == [1, 2, 3]
    assert caplog.records == []


async def test_job_that_fails_each_time_is_logged_with_its_payload(
    caplog: pytest.LogCaptureFixture,
) -> None:
    work = Work()
    work.failures = 3
    queue = InProcessQueue(work, attempts=3, pause=0.001)
    await enqueue(queue, 7)
    await queue.aclose()
    (record,) = [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert "'work' failed 3 times" in record.getMessage()
    assert '"number": 7' in record.getMessage()
    assert record.exc_info is not None
    assert record.exc_info[0] is LookupError
    assert work.failures == 0
    assert work.done == []


async def test_job_that_failed_and_was_enqueued_again_runs_once_more() -> None:
    runs = 0

    async def run(each: Job) -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            await queue.enqueue(each)
            raise LookupError("the first time")

    queue = InProcessQueue(run, pause=0.001)
    await enqueue(queue, 1)
    await queue.aclose()
    assert runs == 2


async def test_job_does_not_see_the_context_of_its_caller() -> None:
    request: contextvars.ContextVar[str] = contextvars.ContextVar("request")
    seen: list[str | None] = []

    async def run(_job: Job) -> None:
        seen.append(request.get(None))

    request.set("of the caller")
    queue = InProcessQueue(run)
    await enqueue(queue, 1)
    await queue.aclose()
    assert seen == [None]


def test_queue_serves_one_event_loop_after_the_other_and_keeps_none() -> None:
    loops: list[weakref.ref[asyncio.AbstractEventLoop]] = []
    done: list[Job] = []

    async def run(each: Job) -> None:
        await asyncio.sleep(0)
        done.append(each)

    queue = InProcessQueue(run, at_once=1)

    async def main() -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        await enqueue(queue, 1, 2)
        await queue.aclose()

    for _ in range(3):
        asyncio.run(main())
    gc.collect()
    assert len(done) == 6
    assert sum(loop() is not None for loop in loops) <= 1


def test_job_of_a_loop_that_ends_is_cancelled_without_a_message(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        await enqueue(InProcessQueue(lambda _job: asyncio.sleep(3600)), 1)
        await asyncio.sleep(0)

    asyncio.run(main())
    assert caplog.records == []


# The registry


@pytest.fixture
def registry() -> Registry:
    return Registry(namespace="app", secret="0123456789abcdef0123456789abcdef")


async def test_registry_runs_a_job_of_the_application(registry: Registry) -> None:
    seen: list[Mapping[str, Any]] = []

    async def greet(payload: Mapping[str, Any]) -> None:
        seen.append(payload)

    registry.add_job("greet", greet)
    registry.add_job("greet", greet)  # a module that is imported twice
    assert isinstance(registry.queue, InProcessQueue)
    await registry.enqueue("greet", {"name": "Ada"})
    await registry.enqueue("greet")
    await registry.queue.aclose()
    assert seen == [{"name": "Ada"}, {}]


async def test_registry_refuses_two_functions_of_one_name(registry: Registry) -> None:
    registry.add_job("greet", lambda _payload: asyncio.sleep(0))
    with pytest.raises(StorageConfigException, match="two background jobs 'greet'"):
        registry.add_job("greet", lambda _payload: asyncio.sleep(0))


async def test_registry_refuses_a_job_that_it_has_not(registry: Registry) -> None:
    registry.add_job("greet", lambda _payload: asyncio.sleep(0))
    for refused in (registry.enqueue("great"), registry.run_job(Job(name="great"))):
        with pytest.raises(StorageConfigException, match=r"'great'.*'greet'"):
            await refused


async def test_registry_gives_jobs_to_the_queue_that_is_set(registry: Registry) -> None:
    class Celery:
        """As in docs/attachments.md."""

        jobs: list[str] = []  # noqa: RUF012 - of one test

        async def enqueue(self, job: Job) -> None:
            self.jobs.append(job.to_json())

    registry.add_job("greet", lambda _payload: asyncio.sleep(0))
    registry.queue = Celery()
    await registry.enqueue("greet", {"name": "Ada"})
    assert [Job.from_json(text).payload for text in Celery.jobs] == [{"name": "Ada"}]
