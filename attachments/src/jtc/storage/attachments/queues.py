"""Background jobs, the `Queue` that they go to, and the queue within the process.

A job hastens what would happen without it: a variant is made at its first request too, and what the
outbox holds is deleted by the worker. So a job that is lost, as its process was killed, breaks no
promise.
"""

from __future__ import annotations

import asyncio
import contextvars
import hashlib
import json
import logging
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

__all__ = ["InProcessQueue", "Job", "Queue"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One piece of background work: a name, and what its function gets.

    It may run several times, also at once: a function must be idempotent.

    Attributes:
        name: The name of a function: one of the library's own, or of `Registry.add_job`.
        payload: Values that JSON can hold.
    """

    name: str
    payload: Mapping[str, Any] = field(default_factory=dict)

    @property
    def idempotency_key(self) -> str:
        """The same for all jobs of this name and payload: 64 characters of ``[0-9a-f]``."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def to_json(self) -> str:
        """Return the text that a queue holds.

        Raises:
            TypeError: JSON cannot hold the payload.
            ValueError: JSON cannot hold the payload.
        """
        value = {"name": self.name, "payload": dict(self.payload)}
        return json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Job:
        """Return the job of a text that `to_json` returned."""
        value = json.loads(text)
        return cls(name=value["name"], payload=value["payload"])


@runtime_checkable
class Queue(Protocol):
    """Where jobs go. A process of the application takes them and calls `Registry.run_job`."""

    async def enqueue(self, job: Job) -> None:
        """Accept a job, to be run once or several times.

        Raises:
            Exception: It was not accepted.
        """
        ...


class InProcessQueue:
    """A queue of the process: a job is a task of the event loop that enqueued it.

    A job that waits already is not added again. One that fails is repeated after a pause, and
    logged as an error when it has failed for the last time. A loop that ends cancels its jobs:
    `aclose` waits for them.

    Args:
        run: `Registry.run_job`.
        at_once: How many jobs run at the same time in one event loop.
        most: How many there may be in one event loop, those that wait included: `enqueue` then
            waits for one to end.
        attempts: How often a job runs at most.
        pause: For how many seconds a job waits after its first failure; each next time twice as
            long.
    """

    def __init__(
        self,
        run: Callable[[Job], Awaitable[None]],
        *,
        at_once: int = 2,
        most: int = 1000,
        attempts: int = 4,
        pause: float = 1.0,
    ) -> None:
        self._run = run
        self._at_once = at_once
        self._most = most
        self._attempts = attempts
        self._pause = pause
        self._lock = threading.Lock()
        self._loops: dict[asyncio.AbstractEventLoop, _LoopJobs] = {}

    async def enqueue(self, job: Job) -> None:
        """Add a job, after waiting for room if there is none.

        A job that enqueues another one does not wait: all might, for each other.

        Raises:
            TypeError: JSON cannot hold the payload.
            ValueError: JSON cannot hold the payload.
        """
        text = job.to_json()  # as a queue of another process would have it
        jobs = self._jobs()
        if asyncio.current_task() not in jobs.tasks:
            while len(jobs.tasks) >= self._most:
                await asyncio.wait(jobs.tasks, return_when=asyncio.FIRST_COMPLETED)
        if text in jobs.waiting:
            return
        jobs.waiting.add(text)
        # Not the context of the caller: its request will have ended.
        task = asyncio.create_task(self._work(jobs, text), context=contextvars.Context())
        jobs.tasks.add(task)
        task.add_done_callback(jobs.tasks.discard)

    async def aclose(self) -> None:
        """Wait until no job of this event loop is left, at the end of a program."""
        tasks = self._jobs().tasks
        while tasks:
            await asyncio.wait(tasks)

    def _jobs(self) -> _LoopJobs:
        loop = asyncio.get_running_loop()
        with self._lock:
            if loop not in self._loops:
                for closed in [each for each in self._loops if each.is_closed()]:
                    del self._loops[closed]
                self._loops[loop] = _LoopJobs(self._at_once)
            return self._loops[loop]

    async def _work(self, jobs: _LoopJobs, text: str) -> None:
        job, pause = Job.from_json(text), self._pause
        for attempt in range(1, self._attempts + 1):
            try:
                async with jobs.gate:
                    jobs.waiting.discard(text)  # one that comes now finds other data
                    await self._run(job)
            except Exception:
                if attempt == self._attempts:
                    _log.exception("The job %r failed %d times: %s", job.name, attempt, text)
                    return
                _log.info("The job %r failed, and is repeated", job.name, exc_info=True)
            else:
                return
            if text in jobs.waiting:
                return  # that one is the repetition
            jobs.waiting.add(text)
            await asyncio.sleep(pause)
            pause *= 2


class _LoopJobs:
    """The jobs of one event loop."""

    def __init__(self, at_once: int) -> None:
        self.gate = asyncio.Semaphore(at_once)
        self.tasks: set[asyncio.Task[None]] = set()
        self.waiting: set[str] = set()
