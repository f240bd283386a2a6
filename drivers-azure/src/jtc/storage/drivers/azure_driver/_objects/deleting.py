"""Deletion of one file, of many, and of everything below a directory."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from jtc.storage import exceptions
from jtc.storage.drivers.azure_driver._objects import conditions, listing, metadata
from jtc.storage.http_support.conditions import OTHER_VERSION, one_version
from jtc.storage.http_support.each_of import each_of, first_failure
from jtc.storage.http_support.errors import may_have_acted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jtc.storage.drivers.azure_driver._transport.transport import Transport

__all__ = [
    "delete_directory",
    "delete_file",
    "delete_files",
    "delete_version",
    "remove_empty_directory",
]

_REPLACED_MEANWHILE = 10
"""How often a file may be replaced between the look at it and its deletion."""


async def delete_file(transport: Transport, path: str) -> bool:
    """Delete a file; of several that delete it at once, one gets True.

    Where the account keeps directories, one of that name must not be taken for it: it is looked at
    first, and deleted by its etag.
    """
    if not await transport.is_hierarchical():
        return await delete_version(transport, path, None)
    for _ in range(_REPLACED_MEANWHILE):
        try:
            etag = (await metadata.head(transport, path)).confirmed_etag
            return await delete_version(transport, path, etag)
        except exceptions.FileNotFoundException:
            return False
        except exceptions.PreconditionFailedException:
            continue
    raise exceptions.StorageUnavailableException("The file is replaced again and again")


async def delete_version(transport: Transport, path: str, etag: str | None) -> bool:
    """Delete a file if it is this version; False where there is none.

    What is gone when the request had to be sent twice was deleted by the first one: its answer
    was lost.

    Args:
        transport: The container.
        path: The file.
        etag: The version; None is any.

    Raises:
        PreconditionFailedException: It is another version.
    """
    headers = {} if etag is None else {"if-match": one_version(etag, conditions.NO_ETAG)}
    if transport.settings.delete_snapshots:
        headers["x-ms-delete-snapshots"] = "include"
    try:
        await transport.send(transport.requests.delete_blob(path, headers))
    except exceptions.FileNotFoundException as error:
        return may_have_acted(error)
    except exceptions.PreconditionFailedException as error:
        try:
            await metadata.head(transport, path)
        except exceptions.FileNotFoundException:  # Azure says the same where there is none
            return may_have_acted(error)
        raise exceptions.PreconditionFailedException(OTHER_VERSION) from error
    return True


async def delete_files(transport: Transport, paths: Sequence[str]) -> dict[str, bool | Exception]:
    """Delete files; return for each path whether it was there, or its error."""
    await transport.is_hierarchical()
    return {**await each_of(transport, paths, delete_file)}


async def delete_directory(transport: Transport, directory: str) -> None:
    """Delete everything below a directory, and what marks it.

    Raises:
        StorageException: Some files could not be deleted; the others are.
    """
    failure: exceptions.StorageException | None = None
    markers: list[str] = []
    async with aclosing(listing.list_pages(transport, f"{directory}/")) as pages:
        async for page in pages:
            files = [each.name for each in page.blobs if not each.is_directory]
            markers += [each.name for each in page.blobs if each.is_directory]
            failure = failure or first_failure(await each_of(transport, files, _delete_any))
    if failure is not None:
        raise failure
    if await listing.is_marked(transport, directory):
        markers.append(directory)
    # Directories from within.
    for marker in sorted(markers, key=lambda each: -each.count("/")):
        await _delete_any(transport, marker)


async def _delete_any(transport: Transport, name: str) -> None:
    await delete_version(transport, name, None)


async def remove_empty_directory(transport: Transport, directory: str) -> bool:
    """Delete what marks a directory if nothing else is below it; False where there is none.

    Nothing is lost in a race: a marker is no file, and files do not need it; and an account that
    keeps directories does not delete one with entries.
    """
    below = f"{directory}/"
    markers: list[str] = []
    async with aclosing(listing.list_pages(transport, below, delimiter="/", most=2)) as pages:
        async for page in pages:
            if page.directories or any(each.name != below for each in page.blobs):
                raise exceptions.PathConflictException("The directory is not empty")
            markers += [each.name for each in page.blobs]
    try:
        blob = await transport.send(transport.requests.get_properties(directory))
    except exceptions.FileNotFoundException:
        pass
    else:
        if blob.is_directory:
            markers.append(directory)
        elif not markers:
            raise exceptions.PathConflictException("A file is there, and no directory")
    for marker in markers:
        await _delete_any(transport, marker)
    return bool(markers)
