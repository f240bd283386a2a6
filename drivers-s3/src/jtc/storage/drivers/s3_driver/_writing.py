"""Writes: one request for what fits in one, else an upload in parts that appears as a whole."""

from __future__ import annotations

import asyncio
import base64
import logging
import math
from typing import TYPE_CHECKING, Any, Self

from jtc.storage.driver_support.mime_types import SNIFF_BYTES, infer_type
from jtc.storage.drivers.s3_driver._errors import ConflictException, sent_again
from jtc.storage.drivers.s3_driver._metadata import (
    driver_parameters,
    file_info,
    header_parameters,
    quoted_etag,
)
from jtc.storage.drivers.s3_driver._settings import MIB
from jtc.storage.drivers.s3_driver._sources import Parts
from jtc.storage.exceptions import (
    FileExistsException,
    FileNotFoundException,
    PreconditionFailedException,
    RejectedException,
    StorageException,
    StorageUnavailableException,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from jtc.storage.driver import DriverContent
    from jtc.storage.drivers.s3_driver._bucket import Bucket
    from jtc.storage.drivers.s3_driver._sources import Part
    from jtc.storage.options import WriteOptions

__all__ = [
    "Upload",
    "condition_parameters",
    "despite_conflicts",
    "in_group",
    "part_size",
    "refused",
    "unless_landed",
    "write_file",
]

logger = logging.getLogger("jtc.storage")

MAX_PARTS = 10_000
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html"""

_CONFLICT_DELAYS = (0.05, 0.2, 1.0)
"""Seconds before a conditional write that met another one is sent again."""


async def write_file(
    bucket: Bucket, key: str, content: DriverContent, options: WriteOptions
) -> str | None:
    """Store a file whole, or leave what was there; return its etag."""
    settings = bucket.settings
    parameters = {
        **driver_parameters(settings.driver_options, options),
        **header_parameters(options),
    }
    parts = Parts(content)
    head = await parts.head(settings.multipart_threshold + 1)
    if "ContentType" not in parameters:
        parameters["ContentType"] = infer_type(key, head[:SNIFF_BYTES])
    if len(head) <= settings.multipart_threshold:
        return await _put_object(bucket, key, await parts.next(len(head)), parameters, options)
    size = len(content) if isinstance(content, bytes) else options.size
    del content, head
    async with Upload(bucket, key, parameters) as upload:
        await _send_parts(upload, parts, part_size(settings.part_size, size))
        return await upload.complete(options)


async def _put_object(
    bucket: Bucket, key: str, part: Part, parameters: dict[str, Any], options: WriteOptions
) -> str | None:
    async def put() -> Any:
        return await bucket.call(
            "put_object",
            moves=len(part.content),
            Key=key,
            Body=part.content,
            **_checksum(bucket, part.crc32),
            **parameters,
            **condition_parameters(options),
        )

    try:
        answer = await despite_conflicts(put)
    except (PreconditionFailedException, FileNotFoundException) as error:
        meant = refused(error, options)
        raise await unless_landed(
            bucket, key, error, meant, size=len(part.content), crc32=part.crc32
        ) from error
    return quoted_etag(answer.get("ETag"))


async def despite_conflicts(send: Callable[[], Awaitable[Any]]) -> Any:
    """Send a conditional request, again where another one was under way.

    AWS answers 409 to one of two at once, and says to send it again:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
    """
    for delay in _CONFLICT_DELAYS:
        try:
            return await send()
        except ConflictException:
            await asyncio.sleep(delay)
    return await send()


def condition_parameters(options: WriteOptions) -> dict[str, Any]:
    """Return the request parameters of `overwrite` and `if_match`."""
    parameters: dict[str, Any] = {}
    if not options.overwrite:
        parameters["IfNoneMatch"] = "*"
    if options.if_match is not None:
        parameters["IfMatch"] = options.if_match
    return parameters


def refused(error: StorageException, options: WriteOptions) -> StorageException:
    """Return what a refused condition of a write means. AWS says 404 where nothing is there."""
    if isinstance(error, PreconditionFailedException) and not options.overwrite:
        return FileExistsException("The file exists already")
    if options.if_match is not None:
        return PreconditionFailedException("The file is not the version that if_match names")
    return error


async def unless_landed(
    bucket: Bucket,
    key: str,
    error: StorageException,
    meant: StorageException,
    *,
    size: int,
    crc32: int | None = None,
) -> StorageException:
    """Return what a refused condition means, unless the write itself may have made it false.

    Where the answer to a write is lost, the SDK retries it, and the second one meets the file of
    the first. Called refused, an `append` would add its bytes once more, and a file that one of
    several writers was to make would seem to be made by none of them.

    Args:
        bucket: Where.
        key: What was written.
        error: The refusal.
        meant: What it means if nothing landed.
        size: The length in bytes of what was sent.
        crc32: Its CRC-32, if that is known.
    """
    if not sent_again(error):
        return meant
    mode: dict[str, Any] = {"ChecksumMode": "ENABLED"} if bucket.settings.checksums else {}
    try:
        there = file_info(key, await bucket.head(key, **mode))
    except FileNotFoundException:
        return meant
    known = there.checksums.get("crc32")
    if there.size != size:
        return meant
    if crc32 is not None and known is not None and known != f"{crc32:08x}":
        return meant
    return StorageUnavailableException(
        "An answer of the store was lost: the file that is there may be the one that was sent",
        path=key,
        retryable=False,
    )


def _checksum(bucket: Bucket, crc32: int) -> dict[str, Any]:
    if not bucket.settings.checksums:
        return {}
    return {"ChecksumCRC32": _crc32_text(crc32)}


def _crc32_text(crc32: int) -> str:
    return base64.b64encode(crc32.to_bytes(4, "big")).decode()


def part_size(wanted: int, size: int | None) -> int:
    """Return the size of an upload's parts: all alike, as Cloudflare's R2 wants them.

    Args:
        wanted: The size that is set.
        size: The file's length where it is known; more than 10,000 parts are not possible.
    """
    if size is None or size <= wanted * MAX_PARTS:
        return wanted
    return math.ceil(size / MAX_PARTS / MIB) * MIB


async def _send_parts(upload: Upload, parts: Parts, size: int) -> None:
    """Send all parts, `max_concurrency` at once; the source is read in this task alone.

    Async sources may hold cancel scopes that belong to a task. Memory holds `max_concurrency`
    parts, one of which is being read.
    """

    async def send_all(group: asyncio.TaskGroup) -> None:
        slots = asyncio.Semaphore(upload.bucket.settings.max_concurrency)
        while True:
            await slots.acquire()
            part = await parts.next(size)
            if not part.content:
                return
            group.create_task(upload.send(part)).add_done_callback(lambda _: slots.release())

    await in_group(send_all)


async def in_group(body: Callable[[asyncio.TaskGroup], Awaitable[None]]) -> None:
    """Run something with a task group, and raise its first failure itself, not in a group."""
    failure: BaseException | None = None
    try:
        async with asyncio.TaskGroup() as group:
            await body(group)
    except BaseExceptionGroup as failures:
        failure = failures.exceptions[0]
    if failure is not None:
        # Outside of `except`: the group would become the context of its own member.
        raise failure


class Upload:
    """A multipart upload: completed as a whole, or aborted, also by a cancellation.

    Args:
        bucket: Where.
        key: What it becomes.
        parameters: Those of CreateMultipartUpload.
    """

    def __init__(self, bucket: Bucket, key: str, parameters: dict[str, Any]) -> None:
        self.bucket = bucket
        self.key = key
        self._parameters = parameters
        self._id = ""
        self._parts: list[dict[str, Any]] = []
        self._sent = 0
        self._size = 0
        self._total_crc32: int | None = None
        self._full_object = False

    async def __aenter__(self) -> Self:
        await settled(self._create(), undo=self._abort)
        return self

    async def _create(self) -> None:
        checksum: dict[str, Any] = {}
        if self.bucket.settings.checksums:
            checksum = {"ChecksumAlgorithm": "CRC32", "ChecksumType": "FULL_OBJECT"}
        answer = await self.bucket.call(
            "create_multipart_upload", Key=self.key, **checksum, **self._parameters
        )
        self._id = answer["UploadId"]
        # A store without checksums of the whole does not answer with the type.
        self._full_object = answer.get("ChecksumType") == "FULL_OBJECT"

    async def __aexit__(self, exc_type: object, *exc_info: object) -> None:
        if exc_type is not None:
            await settled(self._abort())

    async def _abort(self) -> None:
        try:
            await self.bucket.call("abort_multipart_upload", Key=self.key, UploadId=self._id)
        except StorageException as error:
            # What failed before is what the caller must hear of.
            logger.warning(
                "The multipart upload of %r could not be aborted (%s); "
                "S3Driver.abort_stale_uploads() clears it",
                self.key,
                type(error).__name__,
            )

    def _number(self) -> int:
        self._sent += 1
        if self._sent > MAX_PARTS:
            raise RejectedException(
                f"The content has more than {MAX_PARTS} parts: pass its size, or raise part_size",
                reason="size",
            )
        return self._sent

    def send(self, part: Part) -> Coroutine[Any, Any, None]:
        """Take the next number now, and return the sending of a part."""
        self._total_crc32 = part.total_crc32
        self._size += len(part.content)
        return self._send(self._number(), part)

    async def _send(self, number: int, part: Part) -> None:
        answer = await self.bucket.call(
            "upload_part",
            moves=len(part.content),
            Key=self.key,
            UploadId=self._id,
            PartNumber=number,
            Body=part.content,
            **_checksum(self.bucket, part.crc32),
        )
        self._keep(number, answer)

    def copy(self, source: dict[str, str], first: int, last: int, if_match: str) -> Any:
        """Take the next number now, and return the copying of some bytes of another object."""
        self._size += last - first
        return self._copy(self._number(), source, first, last, if_match)

    async def _copy(
        self, number: int, source: dict[str, str], first: int, last: int, if_match: str
    ) -> None:
        answer = await self.bucket.call(
            "upload_part_copy",
            moves=last - first,
            Key=self.key,
            UploadId=self._id,
            PartNumber=number,
            CopySource=source,
            CopySourceRange=f"bytes={first}-{last - 1}",
            CopySourceIfMatch=if_match,
        )
        self._keep(number, answer["CopyPartResult"])

    def _keep(self, number: int, answer: dict[str, Any]) -> None:
        part = {"PartNumber": number, "ETag": quoted_etag(answer["ETag"])}
        if answer.get("ChecksumCRC32"):
            part["ChecksumCRC32"] = answer["ChecksumCRC32"]
        self._parts.append(part)

    async def complete(self, options: WriteOptions) -> str | None:
        """Make the file appear; return its etag."""
        checksum: dict[str, Any] = {}
        if self._full_object and self._total_crc32 is not None:
            checksum = {
                "ChecksumType": "FULL_OBJECT",
                "ChecksumCRC32": _crc32_text(self._total_crc32),
            }
        self._parts.sort(key=lambda part: int(part["PartNumber"]))
        try:
            answer = await self.bucket.call(
                "complete_multipart_upload",
                Key=self.key,
                UploadId=self._id,
                MultipartUpload={"Parts": self._parts},
                **checksum,
                **condition_parameters(options),
            )
        except (PreconditionFailedException, FileNotFoundException) as error:
            meant = refused(error, options)
            raise await unless_landed(
                self.bucket, self.key, error, meant, size=self._size, crc32=self._total_crc32
            ) from error
        return quoted_etag(answer.get("ETag"))


async def settled(
    action: Coroutine[Any, Any, None], undo: Callable[[], Coroutine[Any, Any, None]] | None = None
) -> None:
    """Do something to its end, also if this task is cancelled meanwhile.

    A request that was sent and not waited for may have taken effect: an upload that began so
    would stay for ever.

    Args:
        action: What must be finished.
        undo: What takes it back, done to its end as well, if the task was cancelled meanwhile.
    """
    task = asyncio.ensure_future(action)
    cancellation: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancellation = error
    if cancellation is None:
        task.result()
        return
    if undo is not None and not task.cancelled() and task.exception() is None:
        await settled(undo())
    raise cancellation
