"""Background jobs in taskiq: `TaskiqQueue`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jtc.storage.attachments.queues import Job

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from taskiq import AsyncBroker

__all__ = ["TASK", "TaskiqQueue"]

TASK = "jtc.storage.attachments.run_job"
"""The name of the task that runs jobs."""


class TaskiqQueue:
    """A queue whose jobs a worker of taskiq runs.

    The application and the worker make it in the same module: here it adds jobs to the broker, and
    there it registers the task that runs them.

    Args:
        broker: The broker. One that acknowledges, such as `RedisStreamBroker`, gives a job whose
            worker was killed to another one.
        run: `Registry.run_job`.
        **labels: Labels of the task, which brokers and middlewares read: ``retry_on_error=True``.
    """

    def __init__(
        self, broker: AsyncBroker, run: Callable[[Job], Awaitable[None]], **labels: Any
    ) -> None:
        async def run_job(job: str) -> None:
            await run(Job.from_json(job))

        self._task = broker.register_task(run_job, task_name=TASK, **labels)

    async def enqueue(self, job: Job) -> None:
        """Add a job to the broker.

        Raises:
            SendTaskError: The broker did not accept it.
            TypeError: JSON cannot hold the payload.
            ValueError: JSON cannot hold the payload.
        """
        await self._task.kiq(job.to_json())
