"""Check of a container: that it is there, keeps conditions, and what the credentials permit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jtc.storage import exceptions
from jtc.storage.drivers.azure_driver._objects import deleting, writing
from jtc.storage.drivers.azure_driver._objects.listing import list_itself
from jtc.storage.options import WriteOptions

if TYPE_CHECKING:
    from jtc.storage.drivers.azure_driver._transport.transport import Transport

__all__ = ["check"]


async def check(transport: Transport, path: str) -> None:
    """Write, list and delete a file below a path that nothing uses.

    Raises:
        StorageException: What the credentials do not permit, or the store does not keep.
    """
    async for _ in list_itself(transport, path):
        break
    probe = f"{path}/probe"
    try:
        await writing.write_file(transport, probe, b"1", WriteOptions(overwrite=False))
        try:
            await writing.write_file(transport, probe, b"2", WriteOptions(overwrite=False))
        except exceptions.FileExistsException:
            pass
        else:
            raise exceptions.UnsupportedOperationException(
                "The store ignores conditions: overwrite=False would lose files"
            )
    finally:
        await deleting.delete_version(transport, probe, None)
