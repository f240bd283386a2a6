"""The plugin: what happened, line by line, and what must not happen."""

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
"""The directory whose files stay."""

_log = logging.getLogger("acme.audit")


class AuditTrail:
    """Keep an audit trail, and files below `HELD`.

    Args:
        environ: Where ``ACME_AUDIT_LOG`` is looked up.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        file = environ.get("ACME_AUDIT_LOG")
        self._file = Path(file) if file else None
        self._lock = threading.Lock()

    @hookimpl
    def storage_before_delete(self, event: BeforeDelete) -> None:
        """Forbid it for a file that is held."""
        self._refuse_held(event)

    @hookimpl
    def storage_before_move(self, event: BeforeMove) -> None:
        """Forbid it for a file that is held: a move takes it away."""
        self._refuse_held(event)

    @hookimpl
    async def storage_after_put(self, event: AfterPut) -> None:
        """Write that a file was stored."""
        await self._write("put", event, size=event.size)

    @hookimpl
    async def storage_after_get(self, event: AfterGet) -> None:
        """Write that a file was read."""
        await self._write("get", event, size=event.size)

    @hookimpl
    async def storage_after_delete(self, event: AfterDelete) -> None:
        """Write that a file was deleted."""
        await self._write("delete", event, found=event.found)

    @hookimpl
    async def storage_after_copy(self, event: AfterCopy) -> None:
        """Write that a file was copied."""
        await self._write("copy", event, to=[event.to_disk, event.to_path])

    @hookimpl
    async def storage_after_move(self, event: AfterMove) -> None:
        """Write that a file was moved."""
        await self._write("move", event, to=[event.to_disk, event.to_path])

    @hookimpl
    async def storage_failed(self, event: Failed) -> None:
        """Write that something was tried, and what came of it."""
        await self._write("failed", event, error=type(event.error).__name__)

    def _refuse_held(self, event: Event) -> None:
        # By the key too: in a view of what is held, the path says nothing of it.
        if any(f"{path}/".startswith(f"{HELD}/") for path in (event.path, event.key)):
            raise StoragePermissionException("The file is on legal hold, and has to stay")

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
