"""One call for each of many paths, of which some are under way at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from jtc.storage import exceptions

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from jtc.storage.http_support.client import HttpClient

__all__ = ["each_of", "first_failure"]

C = TypeVar("C", bound="HttpClient")
K = TypeVar("K")
T = TypeVar("T")


async def each_of(
    client: C, keys: Sequence[K], call: Callable[[C, K], Awaitable[T]]
) -> dict[K, T | exceptions.StorageException]:
    """Return the results for some keys, of which half of the connections are in use at once.

    Args:
        client: What is passed to each call.
        keys: What the calls are for.
        call: Makes the result for one key.

    Returns:
        By key the result, or the error of the store.
    """
    asyncio.get_running_loop()  # gather() would make a loop, as under trio, where none can run
    results: dict[K, T | exceptions.StorageException] = {}
    remaining = iter(keys)

    async def work() -> None:
        for key in remaining:
            try:
                results[key] = await call(client, key)
            except exceptions.StorageException as error:
                results[key] = error

    at_once = min(max(client.settings.max_connections // 2, 1), len(keys))
    await asyncio.gather(*(work() for _ in range(at_once)))
    return results


def first_failure(results: Mapping[str, object]) -> exceptions.StorageException | None:
    """Return the first error among results, with its path; a file that is gone is none."""
    for path, error in results.items():
        is_gone = isinstance(error, exceptions.FileNotFoundException)
        if isinstance(error, exceptions.StorageException) and not is_gone:
            error.path = path
            return error
    return None
