"""Deletion of one file, of many, and of everything below a directory."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

from jtc.storage import exceptions
from jtc.storage.drivers.s3_driver._objects import conditions, listing
from jtc.storage.drivers.s3_driver._transport import errors, operations
from jtc.storage.drivers.s3_driver._transport.xml import read_page
from jtc.storage.http_support.conditions import OTHER_VERSION, one_version
from jtc.storage.http_support.each_of import each_of, first_failure
from jtc.storage.http_support.errors import may_have_acted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from jtc.storage.drivers.s3_driver._transport.transport import Transport
    from jtc.storage.drivers.s3_driver._transport.xml import Page

__all__ = [
    "delete_directory",
    "delete_existing",
    "delete_existing_at_once",
    "delete_file",
    "delete_files",
    "delete_if_match",
    "delete_version",
    "remove_empty_directory",
]

_REPLACED_MEANWHILE = 10
"""How often a file may be replaced between the look at it and its deletion."""

_PAGES_AT_ONCE = 4
"""How many pages of a directory are deleted at once, while further ones are listed."""

_ANY_VERSION = "*"
_MISSING = (exceptions.FileNotFoundException, exceptions.PreconditionFailedException)
"""What is raised where `_ANY_VERSION` finds none."""


async def delete_file(transport: Transport, key: str) -> bool:
    """Delete a file; of several that delete it at once, one gets True.

    By the etag of a HEAD, unless the store is known to answer ``If-Match: *`` truthfully:
    SeaweedFS then deletes an empty directory of that name and says that it was a file. A store that
    ignores the header deletes all the same, and only the race is not decided.
    """
    if conditions.is_shown(transport, "delete_any"):
        return await delete_existing(transport, key)
    for _ in range(_REPLACED_MEANWHILE):
        etag = await conditions.etag_now(transport, key)
        if etag is None:
            return False
        try:
            return await delete_version(transport, key, etag or None)
        except exceptions.PreconditionFailedException:
            continue
    raise errors.ConflictException("The file is being replaced all the time")


async def delete_existing(transport: Transport, key: str) -> bool:
    """Delete a file under the condition that there is one; return whether there was.

    AWS answers 404 where there is none or a delete marker, other stores 412. What is missing after
    an answer was lost was deleted by that request, as far as anyone can say.
    """
    request = operations.delete_object(key, {"if-match": _ANY_VERSION})
    try:
        await conditions.despite_conflicts(transport, request)
    except _MISSING as error:
        if not transport.learned.has_bucket:
            await conditions.etag_now(transport, key)  # raises if it is the bucket that is missing
        return may_have_acted(error)
    return True


async def delete_if_match(transport: Transport, key: str, if_match: str) -> bool:
    """Delete a file if it is a certain version; return False where there is no file.

    Raises:
        PreconditionFailedException: It is another version.
        UnsupportedOperationException: The store does not keep conditions of deletions.
    """
    conditions.check_kept(transport, "delete")
    etag = one_version(if_match, conditions.NO_ETAG)
    if not conditions.is_shown(transport, "delete"):
        # Some engines ignore the condition: a look leaves only a moment for the race.
        now = await conditions.etag_now(transport, key)
        if now is None:
            return False
        if now != etag:
            raise exceptions.PreconditionFailedException(OTHER_VERSION)
    request = operations.delete_object(key, {"if-match": etag})
    try:
        await conditions.despite_conflicts(transport, request)
    except exceptions.FileNotFoundException as error:
        return may_have_acted(error)
    except exceptions.PreconditionFailedException as error:
        # Some say 412 to a missing file as well.
        if await conditions.etag_now(transport, key) is not None:
            raise exceptions.PreconditionFailedException(OTHER_VERSION) from error
        return may_have_acted(error)
    return True


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
        return may_have_acted(error)
    except exceptions.PreconditionFailedException as error:
        if not may_have_acted(error) or await conditions.etag_now(transport, key) is not None:
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
    pages = [tuple(keys[at : at + listing.PAGE]) for at in range(0, len(keys), listing.PAGE)]
    if conditions.is_shown(transport, "delete_many"):
        for found in (await each_of(transport, pages, delete_existing_at_once)).values():
            if isinstance(found, exceptions.StorageException):
                raise found
            results |= found
    elif transport.learned.bulk_conditions is False or conditions.is_shown(transport, "delete_any"):
        results |= await each_of(transport, keys, delete_file)
    else:
        for page in pages:
            results |= await _delete_page(transport, page)
    return results


async def delete_existing_at_once(
    transport: Transport, keys: Sequence[str]
) -> dict[str, bool | Exception]:
    """Delete files in one request, each under the condition that there is one."""
    answer = await _delete_at_once(transport, dict.fromkeys(keys, _ANY_VERSION))
    results: dict[str, bool | Exception] = dict.fromkeys(answer.keys & {*keys}, True)
    for key, error in _errors(transport, answer).items():
        results[key] = answer.is_repeated if isinstance(error, _MISSING) else error
    return results | await _rest(transport, keys, results, answer)


async def _rest(
    transport: Transport,
    keys: Iterable[str],
    results: Mapping[str, object],
    answer: operations.DeletedObjects,
) -> dict[str, bool | Exception]:
    """Delete files that the answer to a request for all of them leaves open, one by one.

    What is gone then was deleted by that request, where it was sent before or the answer does not
    name the file, as that of JuiceFS.
    """
    if answer.unnamed:
        transport.learned.bulk_conditions = False  # nothing is learned of the next files either
    rest = await each_of(transport, [key for key in keys if key not in results], delete_file)
    return {
        key: result or answer.is_repeated or key in answer.unnamed for key, result in rest.items()
    }


async def _delete_page(transport: Transport, keys: Sequence[str]) -> dict[str, bool | Exception]:
    # A store answers "deleted" also for what was not there.
    found = await each_of(transport, keys, conditions.etag_now)
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
            results[key] = answer.is_repeated if is_gone else error
    # Refused as a whole, replaced or deleted since the HEAD, or not spoken of at all.
    return results | await _rest(transport, etags, results, answer)


async def _delete_at_once(
    transport: Transport, etags: Mapping[str, str | None]
) -> operations.DeletedObjects:
    """Delete many keys in one request; the result lacks those that it cannot delete."""
    # XML cannot hold control letters.
    plain = {key: etag for key, etag in etags.items() if key.isprintable()}
    try:
        if plain:
            answer = await transport.send(operations.delete_objects(plain))
            unnamed = plain.keys() - answer.keys - answer.errors.keys()
            return answer._replace(unnamed=frozenset(unnamed))
    except (exceptions.StoragePermissionException, exceptions.StorageConfigException):
        raise
    except exceptions.StorageException as error:
        # A store without the request says so in words of its own.
        if error.retryable or not isinstance(error.__cause__, errors.S3Refusal):
            raise
    return operations.DeletedObjects(frozenset(), {}, is_repeated=False)


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
    deletions: list[asyncio.Task[None]] = []
    try:
        async with aclosing(listing.list_pages(transport, below)) as pages:
            async for page in pages:
                if len(deletions) == _PAGES_AT_ONCE:
                    await deletions.pop(0)
                deletions.append(asyncio.create_task(_delete_listed(transport, page)))
        while deletions:
            await deletions.pop(0)
    finally:
        for deletion in deletions:
            deletion.cancel()
        await asyncio.gather(*deletions, return_exceptions=True)
    if transport.learned.keeps_directories is not False:
        await _delete_emptied(transport, below)


async def _delete_listed(transport: Transport, page: Page) -> None:
    keys = dict.fromkeys(each.key for each in page.objects)
    answer = await _delete_at_once(transport, keys)
    failed = _errors(transport, answer)
    rest = [key for key in keys if key not in answer.keys and key not in failed]
    _raise_first(failed | await each_of(transport, rest, _delete_any))


def _raise_first(results: Mapping[str, object]) -> None:
    if (failure := first_failure(results)) is not None:
        raise failure


async def _delete_emptied(transport: Transport, below: str) -> None:
    """Delete directories that a store keeps although nothing is in them; AWS keeps none."""
    if await conditions.etag_now(transport, below) is None:
        return
    levels = [[below]]
    while levels[-1]:
        found = await each_of(transport, levels[-1], _directories_in)
        _raise_first(found)
        levels.append(
            [inner for each in found.values() if isinstance(each, list) for inner in each]
        )
    for level in reversed(levels):
        _raise_first(await each_of(transport, level, _delete_any))


async def _directories_in(transport: Transport, below: str) -> list[str]:
    async with aclosing(listing.list_pages(transport, below, delimiter="/")) as pages:
        return [each async for page in pages for each in page.directories]


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
