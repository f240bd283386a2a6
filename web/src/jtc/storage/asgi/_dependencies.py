"""Dependencies that give a disk to a handler, and a lifespan that closes all disks."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from jtc.storage import Disk, Storage, StorageManager

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

__all__ = ["closing_disks", "disk"]


def disk(
    name: str | None = None, *, manager: StorageManager = Storage
) -> Callable[[], Awaitable[Disk]]:
    """Return a dependency that gives a disk to a handler.

    In FastAPI ``Annotated[Disk, Depends(disk("media"))]``, in Litestar
    ``dependencies={"media": Provide(disk("media"))}``. Starlette has no dependencies: a handler
    calls ``Storage.disk("media")``.

    Args:
        name: The name of the disk; None is the default disk.
        manager: The manager that has the disk.

    Returns:
        An async function without parameters. It never raises: where there is no such disk, the
        first operation of the disk does.
    """

    async def give_disk() -> Disk:
        return manager.disk(name)

    return give_disk


def closing_disks(
    manager: StorageManager = Storage,
) -> Callable[[Any], AbstractAsyncContextManager[None]]:
    """Return a lifespan that closes all disks when the server stops.

    ``FastAPI(lifespan=closing_disks())``, the same in Starlette, and in Litestar
    ``lifespan=[closing_disks()]``. In a lifespan of your own, write ``async with Storage:``.

    Args:
        manager: The manager whose disks are closed.

    Returns:
        A function that takes the application and returns an async context manager.
    """

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        async with manager:
            yield

    return lifespan
