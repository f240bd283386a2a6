"""Deletion of one file, of many, and of everything below a directory."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, TypeVar

from jtc.storage import exceptions
from jtc.storage.drivers.s3_driver._objects import conditions, listing
from jtc.storage.drivers.s3_driver._transport import errors, operations
from jtc.storage.drivers.s3_driver._transport.xml import read_page

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from jtc.storage.drivers.s3_driver._transport.http import Transport

__all__ = [
    "delete_directory",
    "delete_file",
    "delete_files",
    "delete_version",
    "remove_empty_directory",
]

T = TypeVar("T")

_REPLACED_MEANWHILE = 10
"""How often a file may be replaced between the look at it and its deletion."""


async def delete_file(transport: Transport, key: str) -> bool:
    """Delete a file; of several that delete it at once, one gets True.

    By the etag of a HEAD. ``If-Match: *`` would be one request, but SeaweedFS then deletes an
    empty directory of that name and says that it was a file. A store that ignores the header
    deletes all the same, and only the race is not decided.
    """
    for _ in range(_REPLACED_MEANWHILE):
        etag = await conditions.etag_now(transport, key)
        if etag is None:
            return False
        try:
            return await delete_version(transport, key, etag or None)
        except exceptions.PreconditionFailedException:
            continue
    raise errors.ConflictException("The file is being replaced all the time")


async def delete_version(transport: Transport, key: str, etag: str | None) -> bool:
    """Delete a file if it is this version; False where there is none.

    What is gone when the request had to be sent twice was deleted by the first one: its answer
    was lost.

    Args:
        transport: The bucket.
        key: The file.
        etag: The version; None, of a store without etags, is any.

    Raises:
        PreconditionFailedException: It is another version, or was deleted meanwhile.
    """
    condition = {} if etag is None else {"if-match": etag}
    try:
        await conditions.despite_conflicts(transport, operations.delete_object(key, condition))
    except exceptions.FileNotFoundException as error:
        return errors.was_retried(error)
    except exceptions.PreconditionFailedException as error:
        if not errors.was_retried(error) or await conditions.etag_now(transport, key) is not None:
            raise
    except exceptions.UnsupportedOperationException:
        if etag is None:
            raise
        await _delete_any(transport, key)
    return True


async def _delete_any(transport: Transport, key: str) -> None:
    await transport.send(operations.delete_object(key, {}))


async def delete_files(transport: Transport, keys: Sequence[str]) -> dict[str, bool | Exception]:
    """Delete files; return for each key whether it was there, or its error."""
    results: dict[str, bool | Exception] = {}
    for first in range(0, len(keys), listing.PAGE):
        results |= await _delete_page(transport, keys[first : first + listing.PAGE])
    return results


async def _delete_page(transport: Transport, keys: Sequence[str]) -> dict[str, bool | Exception]:
    # A store answers "deleted" also for what was not there.
    found = await _each(transport, keys, conditions.etag_now)
    etags = {key: etag or None for key, etag in found.items() if isinstance(etag, str)}
    results: dict[str, bool | Exception] = {
        key: etag or False for key, etag in found.items() if not isinstance(etag, str)
    }
    answer = await _delete_at_once(transport, etags)
    results |= dict.fromkeys(answer.keys & etags.keys(), True)
    for key, error in _errors(transport, answer).items():
        # What was there at the HEAD, and is gone at a retry, the first request deleted.
        is_gone = isinstance(error, exceptions.FileNotFoundException)
        if not isinstance(error, exceptions.PreconditionFailedException):
            results[key] = answer.retried if is_gone else error
    # Refused as a whole, replaced or deleted since the HEAD, or not spoken of at all.
    rest = await _each(transport, [key for key in etags if key not in results], delete_file)
    return results | {key: result or answer.retried for key, result in rest.items()}


async def _each(
    transport: Transport, keys: Sequence[str], call: Callable[[Transport, str], Awaitable[T]]
) -> dict[str, T | exceptions.StorageException]:
    """Return the results for some keys, of which half of the connections are in use at once."""
    asyncio.get_running_loop()  # gather() would make a loop, as under trio, where none can run
    slots = asyncio.Semaphore(max(transport.settings.max_connections // 2, 1))

    async def one(key: str) -> T | exceptions.StorageException:
        async with slots:
            try:
                return await call(transport, key)
            except exceptions.StorageException as error:
                return error

    return dict(zip(keys, await asyncio.gather(*map(one, keys)), strict=True))


async def _delete_at_once(
    transport: Transport, etags: Mapping[str, str | None]
) -> operations.DeletedObjects:
    """Delete many keys in one request; the result lacks those that it cannot delete."""
    # XML cannot hold control letters.
    plain = {key: etag for key, etag in etags.items() if key.isprintable()}
    try:
        if plain:
            return await transport.send(operations.delete_objects(plain))
    except (exceptions.StoragePermissionException, exceptions.StorageConfigException):
        raise
    except exceptions.StorageException as error:
        # A store without the request says so in words of its own.
        if error.retryable or not isinstance(error.__cause__, errors.S3Refusal):
            raise
    return operations.DeletedObjects(frozenset(), {}, retried=False)


def _errors(transport: Transport, answer: operations.DeletedObjects) -> dict[str, Exception]:
    return {
        key: errors.exception_for(errors.S3Refusal(0, {"Code": code}), transport.settings.bucket)
        for key, code in answer.errors.items()
    }


async def delete_directory(transport: Transport, directory: str) -> None:
    """Delete all keys below a directory, its marker, and what is left of it.

    Raises:
        StorageException: Some keys could not be deleted; the others are.
    """
    below = f"{directory}/"
    async with aclosing(listing.list_pages(transport, below)) as pages:
        async for page in pages:
            etags = dict.fromkeys(each.key for each in page.objects)
            answer = await _delete_at_once(transport, etags)
            failed = _errors(transport, answer)
            rest = [key for key in etags if key not in answer.keys and key not in failed]
            results = failed | await _each(transport, rest, _delete_any)
            for key, error in results.items():
                if isinstance(error, exceptions.StorageException) and not isinstance(
                    error, exceptions.FileNotFoundException
                ):
                    error.path = key
                    raise error
    await _delete_emptied(transport, below)


async def _delete_emptied(transport: Transport, below: str) -> None:
    """Delete directories that a store keeps although nothing is in them; AWS keeps none."""
    if await conditions.etag_now(transport, below) is None:
        return
    listed = await transport.send(operations.list_objects(below, delimiter="/"))
    for inner in (await read_page(listed)).directories:
        await _delete_emptied(transport, inner)
    await _delete_any(transport, below)


async def remove_empty_directory(transport: Transport, directory: str) -> bool:
    """Delete a directory's marker if nothing else is below it; return False where there is none.

    Nothing is lost in a race: a marker is no file, and files do not need it.
    """
    below = f"{directory}/"
    listed = await transport.send(operations.list_objects(below, delimiter="/", max_keys=2))
    page = await read_page(listed)
    if page.directories or any(each.key != below for each in page.objects):
        raise exceptions.PathConflictException("The directory is not empty")
    if not page.objects and await conditions.etag_now(transport, below) is None:
        if await conditions.etag_now(transport, directory) is not None:
            raise exceptions.PathConflictException("A file is there, and no directory")
        return False
    await _delete_any(transport, below)
    return True
