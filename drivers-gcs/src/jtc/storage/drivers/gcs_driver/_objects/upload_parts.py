"""Uploads in chunks, one after the other, of which the store says how much it has."""

from __future__ import annotations

import asyncio
import functools
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from jtc.storage import exceptions
from jtc.storage.drivers.gcs_driver._objects.content_parts import checksum_text
from jtc.storage.drivers.gcs_driver._transport import errors, operations

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jtc.storage.drivers.gcs_driver._objects.content_parts import CheckedParts
    from jtc.storage.drivers.gcs_driver._transport.operations import Resource
    from jtc.storage.drivers.gcs_driver._transport.transport import Transport
    from jtc.storage.http_support.requests import Request

__all__ = ["Upload"]


class Upload:
    """An upload in chunks: nothing is to be seen of it before its last one.

    One that a killed process leaves is invisible too, and Google drops it after a week.

    Args:
        transport: Where.
        path: What it becomes.
    """

    def __init__(self, transport: Transport, path: str) -> None:
        self._transport, self._path = transport, path
        self._id = ""

    async def send_all(
        self, chunks: CheckedParts, fields: Mapping[str, Any], query: Mapping[str, str]
    ) -> Resource:
        """Upload a content; the next chunk is read while one is sent.

        Args:
            chunks: The content; it is read in this task, whose cancel scopes it may hold.
            fields: The file's.
            query: The conditions under which it appears, and what else is no field.

        Raises:
            PreconditionFailedException: A condition does not hold, at the beginning or the end.
        """
        begin = operations.begin_upload(self._transport.settings.bucket, self._path, fields, query)
        self._id = await self._transport.send(begin)
        if not self._id:
            raise exceptions.StorageUnavailableException(
                "The store's answer cannot be understood: it does not name the upload",
                retryable=False,
            )
        sending: asyncio.Task[Resource | None] | None = None
        held: list[Callable[[], None]] = []
        size, first = self._transport.settings.part_size, 0
        try:
            while True:
                # A chunk that is full may be the last: then none, of no bytes, ends the upload. To
                # read on first would keep memory for which others wait.
                chunk, release = await chunks.next(size)
                held.append(release)
                if sending is not None:
                    await sending
                total = chunks.size if len(chunk) < size else None
                sending = asyncio.create_task(self._send(first, chunk, total, chunks.crc32c))
                sending.add_done_callback(functools.partial(_release, held.pop()))
                if total is not None:
                    return await self._completed(sending)
                first += len(chunk)
                del chunk
        except BaseException as error:
            await self._give_up(sending, error)
            raise
        finally:
            for release in held:
                release()

    @staticmethod
    async def _completed(sending: asyncio.Task[Resource | None]) -> Resource:
        resource = await sending
        if resource is None:
            message = "The store has all of the content, and did not make a file of it"
            raise exceptions.StorageUnavailableException(message)
        return resource

    async def _send(
        self, first: int, chunk: bytes, total: int | None, crc32c: int
    ) -> Resource | None:
        """Send a chunk, and again what the store does not have of it.

        Returns:
            The file, after the last chunk.
        """
        headers = {} if total is None else {"x-goog-hash": f"crc32c={checksum_text(crc32c)}"}
        position, last, failures = first, first + len(chunk), 0
        while True:
            request = operations.upload_chunk(
                self._transport.settings.bucket,
                self._path,
                self._id,
                position,
                chunk[position - first :],
                total=total,
                headers=headers,
            )
            answer = await self._attempt(request, total, failures)
            if not isinstance(answer, int):
                return answer
            if answer == last and total is None:
                return None
            if not first <= answer <= last:
                raise _lost()
            failures = failures + 1 if answer <= position else 0
            if failures > self._transport.settings.max_attempts:
                message = "The store takes nothing more of the content"
                raise exceptions.StorageUnavailableException(message)
            position = answer

    async def _attempt(
        self, request: Request[Resource | int], total: int | None, failures: int
    ) -> Resource | int:
        """Return the file, or how many bytes the store has, which is asked for after a failure."""
        settings = self._transport.settings
        try:
            return await self._transport.send(request)
        except exceptions.FileNotFoundException as error:
            raise _lost() from error
        except exceptions.StorageUnavailableException as error:
            is_lost = isinstance(error, errors.LostUploadException)
            if is_lost or not error.retryable or failures >= settings.max_attempts:
                raise
        query = operations.query_upload(settings.bucket, self._path, self._id, total)
        return await self._transport.send(query)

    async def _give_up(
        self, sending: asyncio.Task[Resource | None] | None, error: BaseException
    ) -> None:
        """Have the store drop what it has, also if this task is cancelled; not waited for then."""
        if sending is not None:
            sending.cancel()
            await asyncio.wait([sending])
            if not sending.cancelled():
                sending.exception()  # `error` is the same, or came first
        if isinstance(error, (errors.LostUploadException, exceptions.PreconditionFailedException)):
            return
        cancelling = asyncio.ensure_future(self._cancel())
        while not cancelling.done():
            try:
                await asyncio.wait([cancelling])
            except asyncio.CancelledError:
                continue  # it ends by its time limit, and the first cancellation is raised

    async def _cancel(self) -> None:
        # What failed before is what the caller receives.
        with suppress(exceptions.StorageException):
            bucket = self._transport.settings.bucket
            await self._transport.send(operations.cancel_upload(bucket, self._path, self._id))


def _lost() -> errors.LostUploadException:
    return errors.LostUploadException("The store has lost the upload: put the file again")


def _release(release: Callable[[], None], _: object) -> None:
    release()
