"""Copies and moves within the store."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from jtc.storage.drivers.s3_driver._deleting import delete_version
from jtc.storage.drivers.s3_driver._metadata import (
    driver_parameters,
    header_parameters,
    kept_parameters,
    quoted_etag,
    size_of,
)
from jtc.storage.drivers.s3_driver._settings import GIB, MIN_PART_SIZE
from jtc.storage.drivers.s3_driver._visibility import ensure_visibility
from jtc.storage.drivers.s3_driver._writing import (
    Upload,
    condition_parameters,
    despite_conflicts,
    in_group,
    part_size,
    refused,
    unless_landed,
)
from jtc.storage.exceptions import (
    FileExistsException,
    PreconditionFailedException,
    StorageException,
)

if TYPE_CHECKING:
    from jtc.storage.drivers.s3_driver._bucket import Bucket
    from jtc.storage.options import WriteOptions

__all__ = ["copy_file", "move_file"]

_COPY_PART = GIB
"""Nothing of a copied part goes over the network, so it may be large; the last is the rest."""


async def copy_file(bucket: Bucket, src: str, dst: str, options: WriteOptions) -> str | None:
    """Copy a file with its content type and metadata; return the new file's etag."""
    _, etag = await _copied(bucket, src, dst, options)
    return etag


async def move_file(bucket: Bucket, src: str, dst: str, options: WriteOptions) -> str | None:
    """Copy a file, and then delete that very version of the original.

    Raises:
        PreconditionFailedException: The original was replaced or deleted meanwhile: it is left
            as it is, and the copy stays.
    """
    source_etag, etag = await _copied(bucket, src, dst, options)
    if src != dst:
        try:
            await delete_version(bucket, src, source_etag)
        except PreconditionFailedException as error:
            raise PreconditionFailedException(
                "The file was replaced or deleted while it was moved; the copy stays"
            ) from error
    return etag


async def _copied(
    bucket: Bucket, src: str, dst: str, options: WriteOptions
) -> tuple[str, str | None]:
    """Return the etags of the original and of the copy."""
    # First in any case: a missing file is the source, the copy is of this version, and a large file
    # must be copied in parts.
    answer = await bucket.head(src)
    source_etag: str = quoted_etag(answer["ETag"]) or ""
    if options.if_source_match is not None and options.if_source_match != source_etag:
        raise PreconditionFailedException(
            "The source is not the version that if_source_match names"
        )
    if src == dst:
        return source_etag, source_etag
    try:
        if size_of(answer) > bucket.settings.copy_threshold:
            etag = await _copy_in_parts(bucket, src, dst, options, answer)
        else:
            etag = await _copy_at_once(bucket, src, dst, options, answer)
    except PreconditionFailedException as error:
        if isinstance(error, FileExistsException):
            error.path = dst
            raise
        meant = await _condition_that_failed(bucket, src, source_etag, options, error)
        meant.path = dst if isinstance(meant, FileExistsException) else src
        raise await unless_landed(bucket, dst, error, meant, size=size_of(answer)) from error
    except StorageException as error:
        error.path = error.path or dst
        raise
    await ensure_visibility(bucket, dst, options.visibility)
    return source_etag, etag


async def _copy_at_once(
    bucket: Bucket, src: str, dst: str, options: WriteOptions, original: dict[str, Any]
) -> str | None:
    parameters = driver_parameters(bucket.settings.driver_options, options)
    changed = header_parameters(options)
    if changed.keys() - {"ACL"} or parameters.keys() & {"ContentEncoding", "ContentLanguage"}:
        # S3 keeps all of the original's headers or none.
        parameters = {
            "MetadataDirective": "REPLACE",
            **kept_parameters(original, options),
            **parameters,
        }
    else:
        parameters |= changed
    if "Tagging" in parameters:
        parameters["TaggingDirective"] = "REPLACE"

    async def copy() -> Any:
        return await bucket.call(
            "copy_object",
            moves=size_of(original),
            Key=dst,
            CopySource={"Bucket": bucket.name, "Key": src},
            CopySourceIfMatch=original["ETag"],
            **parameters,
            **condition_parameters(options),
        )

    answer = await despite_conflicts(copy)
    return quoted_etag(answer["CopyObjectResult"].get("ETag"))


async def _copy_in_parts(
    bucket: Bucket, src: str, dst: str, options: WriteOptions, original: dict[str, Any]
) -> str | None:
    size = size_of(original)
    wanted = max(min(_COPY_PART, bucket.settings.copy_threshold), MIN_PART_SIZE)
    step = part_size(wanted, size)
    parameters = {
        **driver_parameters(bucket.settings.driver_options, options),
        **kept_parameters(original, options),
    }
    source = {"Bucket": bucket.name, "Key": src}
    async with Upload(bucket, dst, parameters) as upload:

        async def copy_all(group: asyncio.TaskGroup) -> None:
            slots = asyncio.Semaphore(bucket.settings.max_concurrency)
            for first in range(0, size, step):
                await slots.acquire()
                last = min(first + step, size)
                copying = upload.copy(source, first, last, original["ETag"])
                group.create_task(copying).add_done_callback(lambda _: slots.release())

        await in_group(copy_all)
        return await upload.complete(options)


async def _condition_that_failed(
    bucket: Bucket,
    src: str,
    source_etag: str,
    options: WriteOptions,
    error: PreconditionFailedException,
) -> PreconditionFailedException:
    """Return which condition failed, since S3 answers both alike: of the source, or the target."""
    now = quoted_etag((await bucket.head(src))["ETag"])
    if now != source_etag:
        return PreconditionFailedException("The source was replaced while it was copied")
    meant = refused(error, replace(options, if_match=None))
    return meant if isinstance(meant, PreconditionFailedException) else error
