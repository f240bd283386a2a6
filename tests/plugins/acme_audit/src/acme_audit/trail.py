"""A plugin that writes an audit trail and vetoes deletions of files on legal hold."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jtc.storage import StoragePermissionException
from jtc.storage.hookspecs import hookimpl

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jtc.storage.hookspecs import (
        AfterCopy,
        AfterDelete,
        AfterGet,
        AfterMove,
        AfterPut,
        BeforeDelete,
        BeforeMove,
        Event,
        Failed,
    )

__all__ = ["HELD", "AuditTrail"]

HELD = "legal-hold"
"""The directory whose files may not be deleted or moved."""

_log = logging.getLogger("acme.audit")


class AuditTrail:
    """Write an audit trail, and keep files below `HELD`.

    Args:
        environ: The environment; ``ACME_AUDIT_LOG`` in it names the file.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        file = environ.get("ACME_AUDIT_LOG")
        self._file = Path(file) if file else None
        self._lock = threading.Lock()

    @hookimpl
    def storage_before_delete(self, event: BeforeDelete) -> None:
        """Veto the deletion of a file on legal hold."""
        self._refuse_held(event)

    @hookimpl
    def storage_before_move(self, event: BeforeMove) -> None:
        """Veto the move of a file on legal hold: it would be gone from there."""
        self._refuse_held(event)

    @hookimpl
    async def storage_after_put(self, event: AfterPut) -> None:
        """Record that a file was stored."""
        await self._write("put", event, size=event.size)

    @hookimpl
    async def storage_after_get(self, event: AfterGet) -> None:
        """Record that a file was read."""
        await self._write("get", event, size=event.size)

    @hookimpl
    async def storage_after_delete(self, event: AfterDelete) -> None:
        """Record that a file was deleted."""
        await self._write("delete", event, found=event.found)

    @hookimpl
    async def storage_after_copy(self, event: AfterCopy) -> None:
        """Record that a file was copied."""
        await self._write("copy", event, to=[event.to_disk, event.to_path])

    @hookimpl
    async def storage_after_move(self, event: AfterMove) -> None:
        """Record that a file was moved."""
        await self._write("move", event, to=[event.to_disk, event.to_path])

    @hookimpl
    async def storage_failed(self, event: Failed) -> None:
        """Record that an operation failed, and with which error."""
        await self._write("failed", event, error=type(event.error).__name__)

    def _refuse_held(self, event: Event) -> None:
        # By the key too: in a scoped view of the directory, the path does not begin with its name.
        if any(f"{path}/".startswith(f"{HELD}/") for path in (event.path, event.key)):
            raise StoragePermissionException(
                "The file is on legal hold: it may not be deleted or moved"
            )

    async def _write(self, what: str, event: Event, **more: Any) -> None:
        entry = {
            "at": time.time(),
            "event": what,
            "operation": event.operation,
            "disk": event.disk,
            "path": event.key,
            **more,
        }
        if self._file is None:
            _log.info(
                "%s of %r on the disk %r", what, event.key, event.disk, extra={"audit": entry}
            )
        else:
            await asyncio.to_thread(self._append, self._file, json.dumps(entry))

    def _append(self, file: Path, line: str) -> None:
        with self._lock, file.open("a") as lines:
            lines.write(f"{line}\n")
