"""Quarantine: infected files, kept on another disk."""

from __future__ import annotations

import logging
import secrets
import time
from typing import TYPE_CHECKING, Any, BinaryIO

from jtc.storage import Disk, Storage
from jtc.storage.exceptions import StorageConfigException

if TYPE_CHECKING:
    from jtc.storage import DiskOperations
    from jtc.storage.layer import Layer

__all__ = ["Quarantine"]

_log = logging.getLogger("jtc.storage.clamav")

_LONGEST_TEXT = 200
"""Metadata has little room: 2 KB on S3, where each character may take several bytes."""


class Quarantine:
    """Another disk, on which infected files are kept.

    Args:
        disk: The disk; or its name, which is looked up when it is needed.

    Raises:
        StorageConfigException: It is neither.
    """

    def __init__(self, disk: object) -> None:
        if not isinstance(disk, str | Disk):
            raise StorageConfigException(f"'quarantine' is a disk or its name, not {disk!r}")
        self._given = disk

    def _disk(self, layer: Layer) -> DiskOperations:
        if isinstance(self._given, Disk):
            return self._given
        return (layer.find_disk or Storage.disk)(self._given)

    async def check(self, layer: Layer) -> None:
        """Check that the disk works.

        Args:
            layer: The layer, whose manager has the disk of a name.

        Raises:
            StorageException: It does not.
        """
        await self._disk(layer).check()

    async def keep(self, layer: Layer, content: bytes | BinaryIO, **described: str) -> str | None:
        """Store an infected file under a new key.

        Args:
            layer: As for `check`.
            content: The file.
            **described: Texts to be stored beside it as metadata, where the disk has it.

        Returns:
            Where it is; None if it could not be stored, which is logged.
        """
        key = f"{time.strftime('%Y-%m-%d', time.gmtime())}/{secrets.token_hex(16)}"
        try:
            disk = self._disk(layer)
            options: dict[str, Any] = {
                "content_type": "application/octet-stream",
                "metadata": {name: text[-_LONGEST_TEXT:] for name, text in described.items()},
            }
            supported = disk.capabilities.put_options
            given = {name: value for name, value in options.items() if name in supported}
            await disk.put(key, content, **given)
        except Exception:
            # The file is refused in any case, and its reason must not be hidden by this.
            _log.exception("An infected file could not be kept in quarantine: %s", described)
            return None
        return f"{disk.name}:{key}"
