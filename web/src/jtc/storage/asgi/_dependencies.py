"""Disks for handlers, and their end with the application's: FastAPI, Litestar, Starlette."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from jtc.storage import (
    Disk,
    Storage,
    StorageManager,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

__all__ = ["closing_disks", "disk"]


def disk(
    name: str | None = None, *, manager: StorageManager = Storage
) -> Callable[[], Awaitable[Disk]]:
    """Return a dependency that gives a disk to a handler.

    In FastAPI ``Annotated[Disk, Depends(disk("media"))]``, in Litestar
    ``dependencies={"media": Provide(disk("media"))}``; Starlette has no dependencies, and a handler
    there asks ``Storage.disk("media")``.

    Args:
        name: The disk; None is the default one.
        manager: Whose disk, if not that of `Storage`.

    Returns:
        An async function without parameters. It never fails: the disk's first operation does,
        where there is no such disk.
    """

    async def give_disk() -> Disk:
        return manager.disk(name)

    return give_disk


def closing_disks(
    manager: StorageManager = Storage,
) -> Callable[[Any], AbstractAsyncContextManager[None]]:
    """Return a lifespan that closes what the disks opened, when the server stops.

    ``FastAPI(lifespan=closing_disks())``, the same in Starlette, and in Litestar
    ``lifespan=[closing_disks()]``. In a lifespan of your own it is ``async with Storage:``.

    Args:
        manager: Whose disks, if not those of `Storage`.

    Returns:
        A function that takes the application and returns an async context manager.
    """

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        async with manager:
            yield

    return lifespan
