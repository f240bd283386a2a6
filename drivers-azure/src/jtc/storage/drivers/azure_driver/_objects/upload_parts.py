"""Uploads in blocks, of the caller's content or of another blob's bytes.

Blocks belong to a blob's name, and Azure keeps them apart from its content until a block list
names them; those that it does not name are then dropped, also those of other uploads that are under
way, and all are after a week. The ids of an upload are its own, so that no other one's block is
ever taken for one of its:
https://learn.microsoft.com/en-us/rest/api/storageservices/put-block-list
"""

from __future__ import annotations

import base64
import hashlib
import os
from typing import TYPE_CHECKING

from jtc.storage import exceptions
from jtc.storage.driver_support.content import in_thread
from jtc.storage.drivers.azure_driver._objects import conditions
from jtc.storage.drivers.azure_driver._settings import MIB, MOST_BLOCKS
from jtc.storage.drivers.azure_driver._transport import errors
from jtc.storage.http_support.conditions import EXISTS, OTHER_VERSION, condition_headers
from jtc.storage.http_support.errors import may_have_acted
from jtc.storage.http_support.transfers.sending import part_size, parts_at_once, send_all

if TYPE_CHECKING:
    from jtc.storage.drivers.azure_driver._transport.transport import Transport
    from jtc.storage.http_support.transfers.content_parts import ContentParts
    from jtc.storage.options import WriteOptions

__all__ = ["Upload"]

_COPIED_BLOCK = 256 * MIB
"""Bytes of a block that the store copies: nothing of it goes over the network."""


class Upload:
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
        return [self._block_id(number) for number in range(1, self._count + 1)]

    async def send_all(self, parts: ContentParts, size: int | None) -> None:
        """Send blocks, several at once.

        Args:
            parts: The content.
            size: Its length in bytes, where it is known.
        """
        transport = self._transport
        wanted = part_size(transport.settings.part_size, size, MOST_BLOCKS)
        await send_all(transport, parts, wanted, self._put_block, most_parts=MOST_BLOCKS)
        self._size = parts.size

    async def _put_block(self, number: int, body: bytes) -> None:
        if not body:
            return  # Azure takes no block of no bytes: the list is empty then
        self._count = max(self._count, number)
        headers: dict[str, str] = {}
        if self._transport.settings.checksums:
            headers["content-md5"] = await in_thread(_md5_text, body)
        put_block = self._transport.requests.put_block
        await self._transport.send(put_block(self._path, self._block_id(number), body, headers))

    async def copy_all(self, source: str, size: int, headers: dict[str, str]) -> None:
        """Have the store make blocks of another blob's bytes.

        Args:
            source: Its URL.
            size: Its length in bytes.
            headers: The source's condition and permission.
        """
        transport, copy = self._transport, self._transport.requests.put_block_from_url
        step = part_size(_COPIED_BLOCK, size, MOST_BLOCKS)
        most, known = transport.settings.max_concurrency, transport.copies
        async with parts_at_once(transport, known, most) as sender:
            for self._count, first in enumerate(range(0, size, step), start=1):
                length = min(step, size - first)
                sent = {**headers, "x-ms-source-range": f"bytes={first}-{first + length - 1}"}
                block_id = self._block_id(self._count)
                request = copy(self._path, block_id, source, sent, length)
                await sender.send(transport.send(request), length)
        self._size = size

    async def commit(self, headers: dict[str, str], options: WriteOptions) -> str:
        """Make the file appear; return its etag."""
        transport, path = self._transport, self._path
        sent = {**headers, **condition_headers(options, conditions.NO_ETAG)}
        request = transport.requests.put_block_list(path, self._ids(), sent, self._size)
        try:
            return await transport.send(request)
        except errors.BlocksLostException as error:
            if may_have_acted(error) and (etag := await self._landed()):
                return etag
            if not options.overwrite and await self._etag_now():
                raise exceptions.FileExistsException(EXISTS) from error
            if options.if_match is not None and await self._etag_now() != options.if_match:
                message = OTHER_VERSION
                raise exceptions.PreconditionFailedException(message) from error
            raise
        except exceptions.PreconditionFailedException as error:
            if may_have_acted(error) and (etag := await self._landed()):
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


def _md5_text(body: bytes) -> str:
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
