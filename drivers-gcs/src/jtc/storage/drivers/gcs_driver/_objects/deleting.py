"""Deletion of one file, of many, and of everything below a directory."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from jtc.storage import exceptions
from jtc.storage.drivers.gcs_driver._objects import conditions, listing, metadata
from jtc.storage.drivers.gcs_driver._transport.operations import delete_object, list_objects
from jtc.storage.http_support.conditions import OTHER_VERSION
from jtc.storage.http_support.each_of import each_of, first_failure
from jtc.storage.http_support.errors import may_have_acted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jtc.storage.drivers.gcs_driver._transport.transport import Transport

__all__ = [
    "delete_directory",
    "delete_file",
    "delete_files",
    "delete_if_match",
    "remove_empty_directory",
]


async def delete_file(transport: Transport, path: str) -> bool:
    """Delete a file; of several that delete it at once, one gets True.

    What is gone when the request had to be sent twice was deleted by the first one: its answer was
    lost.
    """
    try:
        await transport.send(delete_object(transport.settings.bucket, path, {}))
    except exceptions.FileNotFoundException as error:
        return may_have_acted(error)
    return True


async def delete_if_match(transport: Transport, path: str, if_match: str) -> bool:
    """Delete a file if it is a certain version; return False where there is no file.

    Raises:
        PreconditionFailedException: It is another version.
    """
    request = delete_object(transport.settings.bucket, path, conditions.if_version(if_match))
    try:
        await transport.send(request)
    except exceptions.FileNotFoundException as error:
        return may_have_acted(error)
    except exceptions.PreconditionFailedException as error:
        # Which of the two a missing file is answered by is not documented.
        if await metadata.resource_now(transport, path) is not None:
            raise exceptions.PreconditionFailedException(OTHER_VERSION) from error
        return may_have_acted(error)
    return True


async def delete_files(transport: Transport, paths: Sequence[str]) -> dict[str, bool | Exception]:
    """Delete files; return for each whether it was there, or its error."""
    return dict(await each_of(transport, paths, delete_file))


async def delete_directory(transport: Transport, directory: str) -> None:
    """Delete all keys below a directory, and its marker.

    Raises:
        StorageException: Some keys could not be deleted; the others are.
    """
    failure: exceptions.StorageException | None = None
    async with aclosing(listing.list_pages(transport, f"{directory}/")) as pages:
        async for page in pages:
            keys = [each["name"] for each in page.items]
            failure = failure or first_failure(await each_of(transport, keys, delete_file))
    if failure is not None:
        raise failure


async def remove_empty_directory(transport: Transport, directory: str) -> bool:
    """Delete a directory's marker if nothing else is below it; return False where there is none.

    Nothing is lost in a race: a marker is no file, and files do not need it.
    """
    below = f"{directory}/"
    page = await transport.send(
        list_objects(transport.settings.bucket, below, delimiter="/", limit=2)
    )
    if page.prefixes or any(each["name"] != below for each in page.items):
        raise exceptions.PathConflictException("The directory is not empty")
    if page.items:
        await delete_file(transport, below)
        return True
    if await metadata.resource_now(transport, directory) is not None:
        raise exceptions.PathConflictException("A file is there, and no directory")
    return False
