"""Whether a disk does its work."""

from __future__ import annotations

from jtc.storage._disk.read_write import WholeFiles
from jtc.storage.exceptions import IntegrityException

__all__ = ["Checking"]


class Checking(WholeFiles):
    """check."""

    __slots__ = ()

    async def check(self) -> None:
        """Find out whether the disk can be reached, written and read, for a health check.

        A small file ``.jtc-check-…`` is written, read back and deleted.

        Raises:
            StorageException: It cannot; the error says which step failed and why.
        """
        import secrets  # noqa: PLC0415 - only who asks pays for it

        path = f".jtc-check-{secrets.token_hex(8)}"
        content = secrets.token_bytes(16)
        await self.put(path, content)
        try:
            if await self.get(path) != content:
                raise IntegrityException(
                    "The disk gave back other bytes than it got",
                    disk=self.name,
                    operation="check",
                    path=path,
                )
        finally:
            await self.delete(path)
