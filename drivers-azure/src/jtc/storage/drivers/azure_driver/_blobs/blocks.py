"""Uploads in blocks, of the caller's content or of another blob's bytes.

Blocks belong to a blob's name, and Azure keeps them apart from its content until a block list
names them; those that it does not name are then dropped, also those of other uploads that are under
way, and all are after a week. The ids of an upload are its own, so that no other one's block is
ever taken for one of its:
https://learn.microsoft.com/en-us/rest/api/storageservices/put-block-list
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import math
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from jtc.storage import exceptions
from jtc.storage.driver_support.content import in_thread
from jtc.storage.drivers.azure_driver._blobs import conditions
from jtc.storage.drivers.azure_driver._settings import MIB, MOST_BLOCKS
from jtc.storage.drivers.azure_driver._transport import errors
from jtc.storage.http_support.concurrency import Climb

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from jtc.storage.drivers.azure_driver._blobs.content_blocks import ContentBlocks
    from jtc.storage.drivers.azure_driver._transport.transport import Transport
    from jtc.storage.http_support.concurrency import Concurrency
    from jtc.storage.options import WriteOptions

    _Block = Coroutine[object, object, None]
    _Send = Callable[[_Block, int, Callable[[], None]], _Block]

__all__ = ["BlockUpload", "block_size"]

_MOST_MEMORY = 75 * MIB
"""Bytes of one upload's blocks at once, the one that is read included: a put of any length has to
fit into 150 MiB of a process, which takes 45 without it, and some for buffers."""

_COPIED_BLOCK = 256 * MIB
"""Bytes of a block that the store copies: nothing of it goes over the network."""


def block_size(wanted: int, size: int | None) -> int:
    """Return the size of an upload's blocks.

    Args:
        wanted: The size that is set.
        size: The file's length where it is known; more than 50,000 blocks are not possible.
    """
    if size is None or size <= wanted * MOST_BLOCKS:
        return wanted
    return math.ceil(size / MOST_BLOCKS / MIB) * MIB


class BlockUpload:
    """A file that is sent in blocks, and appears with the list of them.

    Args:
        transport: Where.
        path: What it becomes.
    """

    def __init__(self, transport: Transport, path: str) -> None:
        self._transport, self._path = transport, path
        self._id = os.urandom(16)
        self._count = self._size = 0

    def _block_id(self, number: int) -> str:
        # All ids of a blob's blocks have one length.
        return base64.b64encode(self._id + number.to_bytes(4, "big")).decode()

    def _ids(self) -> list[str]:
        return [self._block_id(number) for number in range(self._count)]

    def _next(self, size: int) -> str:
        if self._count == MOST_BLOCKS:
            message = f"The content has more than {MOST_BLOCKS} blocks: pass its size, or raise "
            raise exceptions.RejectedException(f"{message}part_size", reason="size")
        self._count, self._size = self._count + 1, self._size + size
        return self._block_id(self._count - 1)

    async def send_all(self, blocks: ContentBlocks, size: int) -> None:
        """Send blocks of `size` bytes, several at once; the source is read in this task.

        Async sources may hold cancel scopes that belong to a task. A block takes memory before it
        is read, and the next one is read while others are sent.
        """
        most = max(_MOST_MEMORY // size - 1, 1)
        async with _sending(self._transport, self._transport.http.uploads, most) as send:
            while True:
                body, release = await blocks.next(size)
                if not body:
                    release()
                    return
                try:
                    block_id = self._next(len(body))
                except BaseException:
                    release()
                    raise
                length = len(body)
                sending = self._put_block(block_id, body)
                del body  # the coroutine holds it as long as it is sent
                await send(sending, length, release)

    async def _put_block(self, block_id: str, body: bytes) -> None:
        headers: dict[str, str] = {}
        if self._transport.settings.checksums:
            headers["content-md5"] = await in_thread(_md5_text, body)
        requests = self._transport.requests
        await self._transport.send(requests.put_block(self._path, block_id, body, headers))

    async def copy_all(self, source: str, size: int, headers: dict[str, str]) -> None:
        """Have the store make blocks of another blob's bytes.

        Args:
            source: Its URL.
            size: Its length in bytes.
            headers: The source's condition and permission.
        """
        settings, requests = self._transport.settings, self._transport.requests
        step = max(_COPIED_BLOCK, block_size(settings.part_size, size))
        most = settings.max_concurrency
        async with _sending(self._transport, self._transport.http.copies, most) as send:
            for first in range(0, size, step):
                length = min(step, size - first)
                sent = {**headers, "x-ms-source-range": f"bytes={first}-{first + length - 1}"}
                block_id = self._next(length)
                copy = requests.put_block_from_url(self._path, block_id, source, sent, length)
                await send(self._transport.send(copy), length, _nothing)

    async def commit(self, headers: dict[str, str], options: WriteOptions) -> str:
        """Make the file appear; return its etag."""
        transport, path = self._transport, self._path
        sent = {**headers, **conditions.condition_headers(options)}
        request = transport.requests.put_block_list(path, self._ids(), sent, self._size)
        try:
            return await transport.send(request)
        except errors.BlocksLostException as error:
            if errors.may_have_acted(error) and (etag := await self._landed()):
                return etag
            if not options.overwrite and await self._etag_now():
                raise exceptions.FileExistsException(conditions.EXISTS) from error
            if options.if_match is not None and await self._etag_now() != options.if_match:
                message = conditions.OTHER_VERSION
                raise exceptions.PreconditionFailedException(message) from error
            raise
        except exceptions.PreconditionFailedException as error:
            if errors.may_have_acted(error) and (etag := await self._landed()):
                return etag
            raise conditions.refused(error, options) from error
        except exceptions.StorageUnavailableException as error:
            if errors.may_be_lost(error) and (etag := await self._landed()):
                return etag
            raise

    async def _etag_now(self) -> str | None:
        requests = self._transport.requests
        try:
            return (await self._transport.send(requests.get_properties(self._path))).confirmed_etag
        except exceptions.FileNotFoundException:
            return None

    async def _landed(self) -> str | None:
        """Return the file's etag if it is made of these blocks: the answer was lost, no more.

        No other upload has them, so that the answer is exact.
        """
        transport = self._transport
        try:
            etag = await self._etag_now()
            there = await transport.send(transport.requests.get_block_list(self._path))
            return etag if there == self._ids() and etag == await self._etag_now() else None
        except exceptions.StorageException:
            return None


def _nothing() -> None:
    pass


def _md5_text(body: bytes) -> str:
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()


@asynccontextmanager
async def _sending(transport: Transport, known: Concurrency, most: int) -> AsyncIterator[_Send]:
    """Enter a group of tasks that send blocks, as many at once as the path carries.

    More than one is sent only while connections are free: other requests wait for them too.
    """
    climb, may_send, busy = Climb(known, most), asyncio.Event(), 0

    async def send(sending: _Block, length: int, release: Callable[[], None]) -> None:
        nonlocal busy
        try:
            while busy and (busy >= climb.level or not transport.http.has_free_place()):
                may_send.clear()
                await may_send.wait()
            # It refuses where a block failed, and the source took no notice of its cancellation.
            task = group.create_task(sending)
        except BaseException:
            sending.close()
            release()
            raise
        busy += 1

        def ended(task: asyncio.Task[None]) -> None:
            nonlocal busy
            release()
            if not task.cancelled() and task.exception() is None:
                climb.moved(length)
                climb.ended(busy)
            busy -= 1
            may_send.set()

        task.add_done_callback(ended)

    async with _group() as group:
        yield send


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
