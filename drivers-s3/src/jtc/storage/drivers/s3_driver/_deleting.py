"""Deletion of one file, of many, and of everything below a directory."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from jtc.storage.drivers.s3_driver._errors import ConflictException, refusal, sent_again
from jtc.storage.drivers.s3_driver._listing import PAGE, key_pages
from jtc.storage.drivers.s3_driver._writing import despite_conflicts
from jtc.storage.exceptions import (
    FileNotFoundException,
    PreconditionFailedException,
    StorageException,
    UnsupportedOperationException,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jtc.storage.drivers.s3_driver._bucket import Bucket

__all__ = ["delete_directory", "delete_file", "delete_files", "delete_version"]

_REPLACED_MEANWHILE = 10
"""How often a file may be replaced between the look at it and its deletion."""


async def delete_file(bucket: Bucket, key: str) -> bool:
    """Delete a file; of several that delete it at once, one gets True.

    By the etag of a HEAD. ``If-Match: *`` would be one request, but SeaweedFS then deletes an
    empty directory of that name and says that it was a file. A store that ignores the header
    deletes all the same, and only the race is not decided.
    """
    for _ in range(_REPLACED_MEANWHILE):
        try:
            etag = (await bucket.head(key))["ETag"]
        except FileNotFoundException:
            return False
        try:
            return await delete_version(bucket, key, etag)
        except PreconditionFailedException:
            continue
    raise ConflictException("The file is being replaced all the time")


async def delete_version(bucket: Bucket, key: str, etag: str) -> bool:
    """Delete a file if it is this version; False where there is none.

    What is gone when the request had to be sent twice was deleted by the first one: its answer
    was lost.

    Raises:
        PreconditionFailedException: It is another version, or was deleted meanwhile.
    """

    async def delete() -> Any:
        return await bucket.call("delete_object", Key=key, IfMatch=etag)

    try:
        await despite_conflicts(delete)
    except FileNotFoundException as error:
        return sent_again(error)
    except PreconditionFailedException as error:
        if not sent_again(error) or await _is_there(bucket, key):
            raise
    except UnsupportedOperationException:
        await bucket.call("delete_object", Key=key)
    return True


async def _is_there(bucket: Bucket, key: str) -> bool:
    try:
        await bucket.head(key)
    except FileNotFoundException:
        return False
    return True


async def delete_files(bucket: Bucket, keys: Sequence[str]) -> dict[str, bool | Exception]:
    """Delete files; return for each key whether it was there, or its error."""
    slots = asyncio.Semaphore(bucket.settings.max_connections // 2 or 1)
    results: dict[str, bool | Exception] = {}
    for first in range(0, len(keys), PAGE):
        page = keys[first : first + PAGE]
        # A store answers "deleted" also for what was not there.
        etags = await asyncio.gather(*(_etag(bucket, key, slots) for key in page))
        there: dict[str, str] = {}
        for key, etag in zip(page, etags, strict=True):
            if isinstance(etag, str):
                there[key] = etag
            else:
                results[key] = False if etag is None else etag
        results |= await _delete_page(bucket, there, slots)
    return results


async def _etag(bucket: Bucket, key: str, slots: asyncio.Semaphore) -> str | Exception | None:
    async with slots:
        try:
            etag: str = (await bucket.head(key))["ETag"]
        except FileNotFoundException:
            return None
        except StorageException as error:
            return error
        return etag


async def _delete_page(
    bucket: Bucket, etags: dict[str, str], slots: asyncio.Semaphore
) -> dict[str, bool | Exception]:
    if not etags:
        return {}
    objects = [{"Key": key, "ETag": etag} for key, etag in etags.items()]
    try:
        answer = await bucket.call("delete_objects", Delete={"Objects": objects})
    except UnsupportedOperationException:
        answers = await asyncio.gather(*(_delete_one(bucket, key, slots) for key in etags))
        return dict(zip(etags, answers, strict=True))
    results: dict[str, bool | Exception] = {
        deleted["Key"]: True for deleted in answer.get("Deleted", ())
    }
    # What was there at the HEAD, and is gone at a retry, was deleted by the first request.
    retried = bool(answer.get("ResponseMetadata", {}).get("RetryAttempts"))
    again: list[str] = []
    for problem in answer.get("Errors", ()):
        error = refusal(problem.get("Code", ""), 0, bucket.name)
        if isinstance(error, FileNotFoundException):
            results[problem["Key"]] = retried
        elif isinstance(error, PreconditionFailedException):
            again.append(problem["Key"])
        else:
            results[problem["Key"]] = error
    # Replaced or deleted since the HEAD, or not spoken of at all.
    again += [key for key in etags if key not in results and key not in again]
    answers = await asyncio.gather(*(_delete_one(bucket, key, slots) for key in again))
    return results | {
        key: retried if answer is False else answer
        for key, answer in zip(again, answers, strict=True)
    }


async def _delete_one(bucket: Bucket, key: str, slots: asyncio.Semaphore) -> bool | Exception:
    async with slots:
        try:
            return await delete_file(bucket, key)
        except StorageException as error:
            return error


async def delete_directory(bucket: Bucket, directory: str) -> None:
    """Delete all keys below a directory, its marker, and what is left of it.

    Raises:
        StorageException: Some keys could not be deleted; the others are.
    """
    below = f"{directory}/"
    async with aclosing(key_pages(bucket, below)) as pages:
        async for keys in pages:
            await _delete_keys(bucket, keys)
    await _delete_emptied(bucket, below)


async def _delete_keys(bucket: Bucket, keys: list[str]) -> None:
    if not keys:
        return
    try:
        answer = await bucket.call(
            "delete_objects", Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True}
        )
    except UnsupportedOperationException:
        for key in keys:
            await bucket.call("delete_object", Key=key)
        return
    for problem in answer.get("Errors", ()):
        error = refusal(problem.get("Code", ""), 0, bucket.name)
        if not isinstance(error, FileNotFoundException):
            error.path = problem.get("Key")
            raise error


async def _delete_emptied(bucket: Bucket, below: str) -> None:
    """Delete directories that a store keeps although nothing is in them; AWS keeps none."""
    try:
        await bucket.head(below)
    except FileNotFoundException:
        return
    page = await bucket.list_page(Prefix=below, Delimiter="/")
    for inner in page.get("CommonPrefixes", ()):
        await _delete_emptied(bucket, inner["Prefix"])
    await bucket.call("delete_object", Key=below)
