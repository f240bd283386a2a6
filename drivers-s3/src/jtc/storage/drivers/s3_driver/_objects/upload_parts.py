"""Uploads in parts, of the caller's content or of another object's bytes."""

from __future__ import annotations

import asyncio
import functools
import logging
import math
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from hashlib import md5
from typing import TYPE_CHECKING

from jtc.storage import exceptions
from jtc.storage.drivers.s3_driver._objects import conditions
from jtc.storage.drivers.s3_driver._transport import errors, operations
from jtc.storage.http_support.concurrency import Climb
from jtc.storage.http_support.errors import may_be_lost, may_have_acted
from jtc.storage.http_support.settings import MIB

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine

    from jtc.storage.drivers.s3_driver._objects.content_parts import ContentParts
    from jtc.storage.drivers.s3_driver._transport.transport import Transport
    from jtc.storage.http_support.concurrency import Concurrency
    from jtc.storage.options import WriteOptions

    _Make = Callable[[str, int], operations.Request[operations.Stored]]
    """Makes a part's request, given the upload's id and the part's number."""

    _Send = Callable[..., Awaitable[None]]

__all__ = ["Upload", "part_size", "upload_in_parts"]

logger = logging.getLogger("jtc.storage")

_MAX_PARTS = 10_000
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html"""

_MOST_MEMORY = 75 * MIB
"""Bytes of one upload's parts at once, the one that is read included: a put of any length has to
fit into 150 MiB of a process, which takes 45 without it, and some for buffers."""


def part_size(wanted: int, size: int | None) -> int:
    """Return the size of an upload's parts: all alike, as Cloudflare's R2 wants them.

    Args:
        wanted: The size that is set.
        size: The file's length where it is known; more than 10,000 parts are not possible.
    """
    if size is None or size <= wanted * _MAX_PARTS:
        return wanted
    return math.ceil(size / _MAX_PARTS / MIB) * MIB


def _nothing() -> None:
    pass


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
        await _settled(upload.abort())
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

    async def send_all(self, parts: ContentParts, size: int) -> None:
        """Send parts of `size` bytes, several at once; the source is read in this task.

        Async sources may hold cancel scopes that belong to a task. A part takes memory before it
        is read, and the next one is read while others are sent.
        """
        checksums = self.transport.settings.checksums
        number = 0
        most = max(_MOST_MEMORY // size - 1, 1)
        async with self._sending(self.transport.uploads, most) as send:
            while True:
                body, crc32, release = await parts.next(size)
                if number == _MAX_PARTS or (number and not body):
                    release()
                    if not body:
                        return
                    raise exceptions.RejectedException(
                        f"The content has more than {_MAX_PARTS} parts: pass its size, or raise "
                        "part_size",
                        reason="size",
                    )
                number += 1
                make = functools.partial(
                    operations.upload_part, self.key, body=body, crc32=crc32 if checksums else None
                )
                length = len(body)
                del body  # `make` holds it as long as it is sent
                await send(number, length, make, release)
                del make

    async def copy_all(self, source: str, size: int, step: int, headers: dict[str, str]) -> None:
        """Have the store copy an object's bytes, `step` a part.

        Args:
            source: The bucket's name, a ``/`` and the key.
            size: The object's length in bytes.
            step: The length of a part.
            headers: The source's condition.
        """
        most = self.transport.settings.max_concurrency
        async with self._sending(self.transport.copies, most) as send:
            for number, first in enumerate(range(0, size, step), start=1):
                last = min(first + step, size) - 1
                sent = headers | {"x-amz-copy-source-range": f"bytes={first}-{last}"}
                length = last + 1 - first
                make = functools.partial(
                    operations.copy_part, self.key, source=source, headers=sent, size=length
                )
                await send(number, length, make)

    @asynccontextmanager
    async def _sending(self, known: Concurrency, most: int) -> AsyncIterator[_Send]:
        """Enter a group of tasks that send parts, as many at once as the path carries.

        More than one is sent only while connections are free: other requests wait for them too.
        """
        climb, may_send, busy = Climb(known, most), asyncio.Event(), 0

        async def send(
            number: int, length: int, make: _Make, release: Callable[[], None] = _nothing
        ) -> None:
            nonlocal busy
            sending = self._send(number, make)
            try:
                while busy and (busy >= climb.level or not self.transport.has_free_place()):
                    may_send.clear()
                    await may_send.wait()
                # It refuses where a part failed, and the source took no notice of its cancellation.
                task = group.create_task(sending)
            except BaseException:
                sending.close()
                release()
                raise
            busy += 1
            task.add_done_callback(functools.partial(ended, length, release))

        def ended(length: int, release: Callable[[], None], task: asyncio.Task[None]) -> None:
            nonlocal busy
            release()
            if not task.cancelled() and task.exception() is None:
                climb.moved(length)
                climb.ended(busy)
            busy -= 1
            may_send.set()

        async with _group() as group:
            # Where it is refused, the source is not read on.
            group.create_task(self._begun())
            yield send

    async def _send(self, number: int, make: _Make) -> None:
        begun = await self._begun()
        stored = await self.transport.send(make(begun.upload_id, number))
        self._parts.append(operations.Part(number, *stored))

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
            conditions.condition_headers(self.options),
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


@asynccontextmanager
async def _group() -> AsyncIterator[asyncio.TaskGroup]:
    """Enter a task group that raises its first failure itself, not in an exception group."""
    failure: BaseException | None = None
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as failures:
        failure = failures.exceptions[0]
    if failure is not None:
        # Outside of `except`: the group would become the context of its own member.
        raise failure


async def _settled(action: Coroutine[object, object, None]) -> None:
    """Do something to its end, also if this task is cancelled meanwhile."""
    task = asyncio.ensure_future(action)
    cancellation: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancellation = error
    if cancellation is not None:
        raise cancellation from (None if task.cancelled() else task.exception())
    task.result()
