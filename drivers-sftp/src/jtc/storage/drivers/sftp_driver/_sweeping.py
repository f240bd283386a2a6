"""Removal of the staged files that killed processes left."""

from __future__ import annotations

import asyncio
import logging
import secrets
import stat
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import asyncssh

from jtc.storage.drivers.sftp_driver._directories import read_directory
from jtc.storage.drivers.sftp_driver._looks import is_directory, lstat
from jtc.storage.exceptions import StorageException
from jtc.storage.paths import TEMPORARY_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jtc.storage.drivers.sftp_driver._looks import Root
    from jtc.storage.drivers.sftp_driver._sessions import Session, Sessions

__all__ = ["STALE_SECONDS", "sweep_beside", "sweep_soon"]

_logger = logging.getLogger("jtc.storage")

STALE_SECONDS = 86_400
"""A staged file that was not written to for this long has no writer: SFTP has no locks to tell."""

_EACH_SECONDS = 3600.0


def sweep_soon(client: Sessions, session: Session, root: Root) -> None:
    """Begin to look into the reserved directory, once an hour at most; wait for nothing."""
    now = asyncio.get_running_loop().time()
    if client.swept is not None and now - client.swept < _EACH_SECONDS:
        return
    client.swept = now
    session.spawn(_sweep(session, root))


def sweep_beside(session: Session, root: Root, names: Iterable[tuple[bytes, int]]) -> None:
    """Begin to remove staged files that were found beside others; wait for nothing.

    Args:
        session: The session.
        root: The disk's.
        names: Where they are, and when they were written.
    """
    session.spawn(_remove_stale(session, root, [*names]))


async def _sweep(session: Session, root: Root) -> None:
    with suppress(OSError, StorageException):
        if not is_directory(await lstat(session, root.staging)):
            return
        found = [
            (root.staging + b"/" + name, modified)
            for name, mode, _, modified in await read_directory(session, root.staging)
            if name.startswith(TEMPORARY_PREFIX.encode()) and stat.S_ISREG(mode)
        ]
        await _remove_stale(session, root, found)


async def _remove_stale(session: Session, root: Root, found: list[tuple[bytes, int]]) -> None:
    with suppress(OSError, StorageException, asyncssh.Error):
        if not any(time.time() - modified > STALE_SECONDS / 2 for _, modified in found):
            return
        # By the server's clock: this machine's may differ.
        now = await _server_time(session, root)
        for place, modified in found:
            if now - modified > STALE_SECONDS:
                with suppress(FileNotFoundError):
                    await session.request(session.sftp.remove, place)
                _logger.info("Removed a staged file that a killed process left: %r", place)


async def _server_time(session: Session, root: Root) -> int:
    name = root.staging + f"/{TEMPORARY_PREFIX}{secrets.token_hex(8)}".encode()
    file = await session.open(name, "xb", 0o600)
    try:
        return (await session.request(file.stat)).mtime or 0
    finally:
        session.close_later(file)
        await session.clean_up(session.request(session.sftp.remove, name))
