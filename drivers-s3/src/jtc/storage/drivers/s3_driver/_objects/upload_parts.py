"""Uploads in parts, of the caller's content or of another object's bytes."""

from __future__ import annotations

import asyncio
import functools
import logging
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from hashlib import md5
from typing import TYPE_CHECKING

from jtc.storage import exceptions
from jtc.storage.drivers.s3_driver._objects import conditions
from jtc.storage.drivers.s3_driver._transport import errors, operations
from jtc.storage.http_support.conditions import condition_headers
from jtc.storage.http_support.errors import may_be_lost, may_have_acted
from jtc.storage.http_support.transfers.sending import parts_at_once, send_all, to_its_end

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

    from jtc.storage.drivers.s3_driver._objects.content_parts import CheckedParts
    from jtc.storage.drivers.s3_driver._transport.transport import Transport
    from jtc.storage.options import WriteOptions


__all__ = ["MAX_PARTS", "Upload", "upload_in_parts"]

logger = logging.getLogger("jtc.storage")

MAX_PARTS = 10_000
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html"""


@asynccontextmanager
async def upload_in_parts(
    transport: Transport,
    key: str,
    headers: dict[str, str],
    options: WriteOptions,
    *,
    checksums: bool = True,
) -> AsyncIterator[Upload]:
    """Begin a multipart upload, and abort it where it fails, also by a cancellation.

    Args:
        transport: Where.
        key: What it becomes.
        headers: Those of the file.
        options: The conditions under which it appears.
        checksums: Whether it has CRC-32s, if the disk has any.
    """
    upload = Upload(transport, key, options, checksums and transport.settings.checksums)
    await upload.check()
    # The first parts are read meanwhile.
    upload.beginning = asyncio.ensure_future(upload.begin(headers))
    try:
        yield upload
    except BaseException:
        await to_its_end(upload.abort())
        raise


@dataclass(slots=True, eq=False, repr=False)
class Upload:
    """A multipart upload.

    Attributes:
        transport: Where.
        key: What it becomes.
        options: The conditions under which it appears.
        checksums: Whether it has CRC-32s.
        beginning: The request that begins it.
    """

    transport: Transport
    key: str
    options: WriteOptions
    checksums: bool
    beginning: asyncio.Future[operations.CreatedUpload] = field(init=False)
    _parts: list[operations.Part] = field(default_factory=list)

    async def check(self) -> None:
        """Look whether its conditions hold."""
        await conditions.check_target(self.transport, "parts", self.key, self.options)

    async def begin(self, headers: dict[str, str]) -> operations.CreatedUpload:
        """Have the store begin it; an upload that may be left of an attempt is logged."""
        try:
            created = await self._create(headers)
        except exceptions.StorageUnavailableException as error:
            if may_be_lost(error):
                self._warn_of_another()
            raise
        if created.is_repeated:
            self._warn_of_another()
        return created

    def _warn_of_another(self) -> None:
        logger.warning(
            "The answer to the beginning of a multipart upload of %r was lost: the store may keep "
            "an upload that takes room; S3Driver.abort_stale_uploads() clears it",
            self.key,
        )

    async def _create(self, headers: dict[str, str]) -> operations.CreatedUpload:
        send, learned = self.transport.send, self.transport.learned
        create = functools.partial(operations.create_upload, self.key, headers)
        whole = self.checksums and learned.whole_checksums
        try:
            return await send(create(checksums=self.checksums, whole=whole))
        except exceptions.UnsupportedOperationException as error:
            if not whole or not errors.is_for_checksums(error):
                raise
            # Cloudflare's R2 has CRC-32s of parts only.
            created = await send(create(checksums=True, whole=False))
            learned.whole_checksums = False
            return created

    async def _begun(self) -> operations.CreatedUpload:
        # A task that waits so does not cancel what it waits for.
        await asyncio.wait([self.beginning])
        return self.beginning.result()

    async def abort(self) -> None:
        """Give it up, once it has begun; that this fails is not raised.

        A request that was sent and not waited for may have taken effect: an upload that began so
        would stay forever.
        """
        await asyncio.wait([self.beginning])
        if self.beginning.cancelled() or self.beginning.exception() is not None:
            return
        upload_id = self.beginning.result().upload_id
        try:
            await self.transport.send(operations.abort_upload(self.key, upload_id))
        except (errors.NoUploadException, exceptions.FileNotFoundException):
            return
        except exceptions.StorageException as error:
            # What failed before is what the caller must receive.
            logger.warning(
                "The multipart upload of %r could not be aborted (%s); "
                "S3Driver.abort_stale_uploads() clears it",
                self.key,
                type(error).__name__,
            )

    async def send_all(self, parts: CheckedParts, size: int) -> None:
        """Send parts of `size` bytes, several at once; the source is read in this task."""
        checksums = self.transport.settings.checksums

        def part(number: int, body: bytes) -> Coroutine[object, object, None]:
            return self._send_part(number, body, parts.part_crc32 if checksums else None)

        await send_all(
            self.transport, parts, size, part, most_parts=MAX_PARTS, beside=self._begun()
        )

    async def _send_part(self, number: int, body: bytes, crc32: int | None) -> None:
        upload_id = (await self._begun()).upload_id
        request = operations.upload_part(self.key, upload_id, number, body, crc32)
        del body  # the request holds it
        self._parts.append(operations.Part(number, *await self.transport.send(request)))

    async def copy_all(self, source: str, size: int, step: int, headers: dict[str, str]) -> None:
        """Have the store copy an object's bytes, `step` a part.

        Args:
            source: The bucket's name, a ``/`` and the key.
            size: The object's length in bytes.
            step: The length of a part.
            headers: The source's condition.
        """
        transport = self.transport
        most = transport.settings.max_concurrency
        async with parts_at_once(transport, transport.copies, most, self._begun()) as sender:
            for number, first in enumerate(range(0, size, step), start=1):
                last = min(first + step, size) - 1
                sent = headers | {"x-amz-copy-source-range": f"bytes={first}-{last}"}
                length = last + 1 - first
                await sender.send(self._copy_part(number, source, sent, length), length)

    async def _copy_part(
        self, number: int, source: str, headers: dict[str, str], size: int
    ) -> None:
        upload_id = (await self._begun()).upload_id
        request = operations.copy_part(self.key, upload_id, number, source, headers, size)
        self._parts.append(operations.Part(number, *await self.transport.send(request)))

    async def complete(self, size: int, crc32: int | None = None) -> str:
        """Make the file appear; return its etag.

        Args:
            size: The length in bytes of all parts.
            crc32: Their CRC-32, if it is known.
        """
        await self.check()
        begun = await self._begun()
        self._parts.sort()
        request = operations.complete_upload(
            self.key,
            begun.upload_id,
            self._parts,
            condition_headers(self.options, conditions.NO_ETAG),
            crc32 if begun.has_full_checksum else None,
        )
        try:
            # A conflict is not sent again: AWS wants the whole upload anew.
            return (await self.transport.send(request)).etag
        except (exceptions.PreconditionFailedException, exceptions.FileNotFoundException) as error:
            meant = conditions.refused(error, self.options)
            raise await conditions.unless_landed(
                self.transport, self.key, error, meant, size, crc32
            ) from error
        except exceptions.StorageUnavailableException as error:
            if _is_lost(error) and (etag := await self._landed(size, crc32)):
                return etag
            raise

    async def _landed(self, size: int, crc32: int | None) -> str | None:
        """Return the file's etag if it is made of these parts: the answer was lost, no more."""
        with suppress(exceptions.StorageException):
            there = await conditions.landed(self.transport, self.key, size, crc32)
            if there is not None and there.etag != self.options.if_match:
                is_same = crc32 is not None and "crc32" in there.checksums
                return there.etag if is_same or there.etag == _etag_of(self._parts) else None
        return None


def _is_lost(error: exceptions.StorageUnavailableException) -> bool:
    """Return whether a completion that failed may have been made all the same."""
    if isinstance(error, errors.NoUploadException):
        return may_have_acted(error)
    return error.retryable and not isinstance(error, errors.ConflictException)


def _etag_of(parts: list[operations.Part]) -> str | None:
    """Return the etag that most stores give a file of these parts: by the MD5 of their MD5s."""
    try:
        digests = b"".join(bytes.fromhex(part.etag.strip('"')) for part in parts)
    except ValueError:
        return None
    return f'"{md5(digests, usedforsecurity=False).hexdigest()}-{len(parts)}"'
