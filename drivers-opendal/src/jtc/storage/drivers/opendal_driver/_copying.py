"""Copies and moves by the service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jtc.storage.drivers.opendal_driver._metadata import key, stat
from jtc.storage.drivers.opendal_driver._staging import check_name, check_target, rename

if TYPE_CHECKING:
    from jtc.storage.drivers.opendal_driver._calls import Calls
    from jtc.storage.drivers.opendal_driver._staging import Staging

__all__ = ["copy_file", "move_file"]


async def copy_file(calls: Calls, staging: Staging, src: str, dst: str) -> None:
    """Copy a file; onto itself, nothing changes.

    Raises:
        FileNotFoundException: There is no source.
    """
    size = (await stat(calls, src)).size
    if src == dst:
        return
    await check_name(calls, dst)
    target = staging.new_name() if calls.stages else dst
    try:
        await calls.send(
            lambda operator: operator.copy(key(calls, src), key(calls, target)),
            size=size,
            reads=False,
        )
        await check_target(calls, dst)
    except BaseException:
        if calls.stages:
            staging.remove(calls, target)
        raise
    if calls.stages:
        await staging.finish(calls, target, dst)


async def move_file(calls: Calls, src: str, dst: str) -> None:
    """Rename a file; onto itself, nothing changes.

    Raises:
        FileNotFoundException: There is no source; a directory is none.
        PathConflictException: A directory is at the target.
    """
    await stat(calls, src)
    if src != dst:
        await check_name(calls, dst)
        await check_target(calls, dst)
        await rename(calls, src, dst)
