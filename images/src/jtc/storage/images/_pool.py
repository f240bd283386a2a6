"""Worker processes of an application's process, for all its threads and event loops."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Final

from jtc.storage.driver_support.fork_safety import reset_after_fork
from jtc.storage.exceptions import RejectedException, StorageUnavailableException
from jtc.storage.images._worker_process import Answer, Job, WorkerLimits, WorkerProcess

if TYPE_CHECKING:
    from collections.abc import Callable

    from jtc.storage.images._sources import Descriptor

__all__ = ["WorkerPool"]

_JOBS_OF_A_WORKER: Final = 500
"""Then a worker is replaced: its address space is limited, and fragments."""


class WorkerPool:
    """Runs jobs in worker processes, which start at first use and remain.

    One event loop in a daemon thread has all of them, so that jobs of any thread and event loop
    share them.

    Args:
        count: How many processes there are at most.
        limits: What each may take.
    """

    def __init__(self, count: int, limits: WorkerLimits) -> None:
        self._count = count
        self._limits = limits
        self._abandoned: list[object] = []
        self._reset()
        reset_after_fork(self)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._idle: list[WorkerProcess] = []
        self._all: set[WorkerProcess] = set()
        self._closing = False

    def _after_fork(self) -> None:
        for worker in self._all:
            worker.abandon()
        # They are the other process's; here, nothing may close them.
        self._abandoned += [self._loop, self._thread, self._all]
        self._reset()

    async def run(self, opening: Callable[[], Descriptor], job: Job) -> Answer:
        """Run a job on some content. The errors are those of `WorkerProcess.run`.

        Cancelled, it ends the worker that runs the job.

        Args:
            opening: Opens the content, in a thread, when it is the job's turn: what waits takes no
                memory.
            job: The job.
        """
        with self._lock:
            loop = self._running_loop()
            running = asyncio.run_coroutine_threadsafe(self._run(opening, job), loop)
        return await asyncio.wrap_future(running)

    def close(self) -> None:
        """End all workers, and the thread. The next job starts new ones."""
        with self._lock:
            loop, thread = self._loop, self._thread
            if loop is None or thread is None:
                return
            self._closing = True
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            self._reset()

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            # Not the application's kind of loop, which may watch child processes.
            loop = asyncio.SelectorEventLoop()
            thread = threading.Thread(
                target=self._serve, args=(loop,), name="jtc-storage-images", daemon=True
            )
            try:
                thread.start()
            except RuntimeError as error:
                loop.close()
                raise StorageUnavailableException(
                    "The thread of the image workers cannot be started"
                ) from error
            self._slots = asyncio.Semaphore(self._count)
            self._loop, self._thread = loop, thread
        return self._loop

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
            loop.run_until_complete(self._finish())
        finally:
            loop.close()

    async def _finish(self) -> None:
        jobs = asyncio.all_tasks() - {asyncio.current_task()}
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
        for worker in self._all:
            worker.kill()
        await asyncio.sleep(0)  # in which the transports close, and the callers have their errors

    async def _run(self, opening: Callable[[], Descriptor], job: Job) -> Answer:
        try:
            async with self._slots:
                content = await asyncio.to_thread(opening)
                try:
                    return await self._run_with_worker(content, job)
                finally:
                    content.close()
        except asyncio.CancelledError:
            if self._closing:
                raise StorageUnavailableException("The image workers were closed") from None
            raise

    async def _run_with_worker(self, content: Descriptor, job: Job) -> Answer:
        while True:
            worker = await self._take()
            first = worker.jobs == 0
            try:
                return await worker.run(content.number, job)
            except RejectedException as error:
                # What earlier jobs left behind in its address space may be the cause.
                if error.reason != "memory" or first:
                    raise
            finally:
                self._give_back(worker)

    async def _take(self) -> WorkerProcess:
        while self._idle:
            worker = self._idle.pop()
            if worker.alive:
                return worker
            self._discard(worker)  # it was killed while it had nothing to do
        worker = await WorkerProcess.start(self._limits)
        self._all.add(worker)
        return worker

    def _give_back(self, worker: WorkerProcess) -> None:
        if worker.usable and worker.jobs < _JOBS_OF_A_WORKER and not self._closing:
            self._idle.append(worker)
        else:
            self._discard(worker)

    def _discard(self, worker: WorkerProcess) -> None:
        self._all.discard(worker)
        worker.kill()
