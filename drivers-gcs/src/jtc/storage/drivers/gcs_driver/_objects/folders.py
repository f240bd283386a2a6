"""Directories of a bucket with a hierarchical namespace: folders, which stay when they are empty.

https://cloud.google.com/storage/docs/hns-overview
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from jtc.storage import exceptions
from jtc.storage.drivers.gcs_driver._objects import deleting, metadata
from jtc.storage.drivers.gcs_driver._transport.operations import (
    delete_folder,
    list_folders,
    make_folder,
)

if TYPE_CHECKING:
    from jtc.storage.drivers.gcs_driver._transport.transport import Transport

__all__ = ["delete_directory", "make_directory", "remove_empty_directory"]


async def make_directory(transport: Transport, directory: str) -> None:
    """Make a folder and its parents; an existing one is no error."""
    with suppress(exceptions.PathConflictException):
        await transport.send(make_folder(transport.settings.bucket, f"{directory}/"))


async def remove_empty_directory(transport: Transport, directory: str) -> bool:
    """Delete a folder, in one step only if it is empty; return False where there is none.

    Raises:
        PathConflictException: The folder has entries, or only a file is there.
    """
    try:
        await transport.send(delete_folder(transport.settings.bucket, f"{directory}/"))
    except exceptions.FileNotFoundException as error:
        if await metadata.resource_now(transport, directory) is not None:
            message = "A file is there, and no directory"
            raise exceptions.PathConflictException(message) from error
        return False
    except (exceptions.PathConflictException, exceptions.PreconditionFailedException) as error:
        raise exceptions.PathConflictException("The directory is not empty") from error
    return True


async def delete_directory(transport: Transport, directory: str) -> None:
    """Delete all files below a folder, and then the folders, the deepest first."""
    await deleting.delete_directory(transport, directory)
    names: list[str] = []
    token = ""
    while True:
        page = await transport.send(list_folders(transport.settings.bucket, f"{directory}/", token))
        names += [each["name"] for each in page.items]
        if not page.token or page.token == token:
            break
        token = page.token
    for name in sorted(names, key=len, reverse=True):
        # One in which a file was put meanwhile stays.
        with suppress(exceptions.FileNotFoundException, exceptions.PathConflictException):
            await transport.send(delete_folder(transport.settings.bucket, name))
