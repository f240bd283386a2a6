"""Staged files: written below ``.jtc/opendal`` and renamed to their target when they are whole."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
from functools import partial
from typing import TYPE_CHECKING

from jtc.storage.drivers.opendal_driver._listing import entries_of
from jtc.storage.drivers.opendal_driver._metadata import is_directory, key
from jtc.storage.drivers.opendal_driver._services import REMOVES_ITS_TARGET
from jtc.storage.exceptions import (
    FileNotFoundException,
    InvalidPathException,
    PathConflictException,
    StorageException,
    StorageUnavailableException,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from opendal import AsyncOperator

    from jtc.storage.drivers.opendal_driver._calls import Calls

__all__ = ["Staging", "check_name", "check_target", "rename"]

_log = logging.getLogger("jtc.storage")

_DIRECTORY = ".jtc/opendal"

_IN_URLS = frozenset("?#;")

_TOO_OLD = 24 * 3600.0
"""Seconds after which a staged file is no longer under way."""

_BETWEEN_SWEEPS = 3600.0
_SECONDS_TO_REMOVE = 5.0


class Staging:
    """The staged files of one driver."""

    def __init__(self) -> None:
        self._next_sweep = 0.0
        self._removing: set[asyncio.Task[None]] = set()

    @staticmethod
    def new_name() -> str:
        """Return the path of a staged file that no other writer has."""
        return f"{_DIRECTORY}/{uuid.uuid4().hex}"

    async def finish(self, calls: Calls, staged: str, path: str) -> None:
        """Rename a staged file to its target.

        Raises:
            PathConflictException: There is a file where a directory is needed.
            StorageException: The service failed.
        """
        # Once it is sent, the server may have removed the target already: the rename goes on when
        # this is cancelled, and the staged file stays where its outcome is unknown.
        try:
            await asyncio.shield(asyncio.ensure_future(rename(calls, staged, path)))
        except StorageUnavailableException:
            raise
        except StorageException:
            self.remove(calls, staged)
            raise
        if time.monotonic() >= self._next_sweep:
            self._next_sweep = time.monotonic() + _BETWEEN_SWEEPS
            try:
                await self._sweep(calls)
            except StorageException as error:
                _log.debug("Old staged files were not removed: %s", error)

    def remove(self, calls: Calls, staged: str) -> None:
        """Begin to remove a staged file that was not finished, after an error or a cancellation."""

        async def remove() -> None:
            with contextlib.suppress(StorageException, TimeoutError):
                async with asyncio.timeout(_SECONDS_TO_REMOVE):
                    await calls.send(lambda operator: operator.delete(staged))

        task = asyncio.get_running_loop().create_task(remove())
        self._removing.add(task)
        task.add_done_callback(self._removing.discard)

    async def _sweep(self, calls: Calls) -> None:
        """Remove what killed processes left."""
        old = time.time() - _TOO_OLD
        async for entry in entries_of(calls, _DIRECTORY):
            at, path = entry.metadata.last_modified, entry.path
            if not path.endswith("/") and at is not None and at.timestamp() < old:
                await calls.send(partial(_delete, path))


def _delete(path: str, operator: AsyncOperator) -> Awaitable[None]:
    return operator.delete(path)


async def rename(calls: Calls, src: str, dst: str) -> None:
    """Rename a file, in place of an existing one.

    Raises:
        FileNotFoundException: There is no source.
        StorageException: The service failed.
    """
    attempts = 0

    def once(operator: AsyncOperator) -> Awaitable[None]:
        nonlocal attempts
        attempts += 1
        return operator.rename(key(calls, src), key(calls, dst))

    try:
        await calls.send(once, reads=False)
    except FileNotFoundException:
        # The answer to an attempt that succeeded may be lost.
        if attempts == 1:
            raise


async def check_name(calls: Calls, path: str) -> None:
    """Check that a rename to a path goes there.

    Raises:
        InvalidPathException: The server would rename to another path.
    """
    if calls.settings.scheme not in REMOVES_ITS_TARGET or _IN_URLS.isdisjoint(path):
        return
    if not await _keeps_names(calls):
        raise InvalidPathException(
            "The WebDAV server moves a file to another path where a name has one of '?', '#' and "
            "';'. With staged=False it is written directly, and a reader may see half of it"
        )


async def check_target(calls: Calls, path: str) -> None:
    """Check that a rename removes no directory.

    Raises:
        PathConflictException: There is one.
    """
    if calls.settings.scheme in REMOVES_ITS_TARGET and await is_directory(calls, path):
        raise PathConflictException("There is a directory where a file is needed")


async def _keeps_names(calls: Calls) -> bool:
    """Return whether a rename keeps characters that have a meaning in URLs; tried once."""
    if calls.keeps_names is None:
        staged = f"{_DIRECTORY}/{uuid.uuid4().hex}"
        target = f"{staged}-?#;"
        await calls.send(lambda operator: operator.write(staged, b"-"), reads=False)
        await rename(calls, staged, target)
        found = await calls.send(lambda operator: operator.exists(target))
        # Where the name was cut at one of them.
        for path in (f"{staged}-", f"{staged}-?", f"{staged}-?#", target):
            await calls.send(partial(_delete, path))
        calls.keeps_names = found
    return calls.keeps_names
