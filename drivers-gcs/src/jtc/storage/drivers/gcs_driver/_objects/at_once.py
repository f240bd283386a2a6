"""One call for each of many paths, of which some are under way at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from jtc.storage import exceptions

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from jtc.storage.drivers.gcs_driver._transport.transport import Transport

__all__ = ["each_of"]

T = TypeVar("T")


async def each_of(
    transport: Transport, paths: Iterable[str], call: Callable[[Transport, str], Awaitable[T]]
) -> dict[str, T | exceptions.StorageException]:
    """Return the results for some paths, of which half of the connections are in use at once."""
    asyncio.get_running_loop()  # gather() would make a loop, as under trio, where none can run
    results: dict[str, T | exceptions.StorageException] = {}
    remaining = iter(paths)

    async def work() -> None:
        for path in remaining:
            try:
                results[path] = await call(transport, path)
            except exceptions.StorageException as error:
                results[path] = error

    async with asyncio.TaskGroup() as group:
        for _ in range(max(transport.settings.max_connections // 2, 1)):
            group.create_task(work())
    return results
