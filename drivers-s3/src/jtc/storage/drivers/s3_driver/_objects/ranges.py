"""Ranges of one version of a file, each read over as many connections as it needs."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jtc.storage import exceptions
from jtc.storage.drivers.s3_driver._objects import metadata
from jtc.storage.drivers.s3_driver._transport import operations
from jtc.storage.http_support.errors import RangeException
from jtc.storage.http_support.token_bucket import RETRY_PRICE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jtc.storage.drivers.s3_driver._transport.transport import Transport
    from jtc.storage.http_support.connections import Connections
    from jtc.storage.http_support.requests import Body
    from jtc.storage.models import FileInfo

__all__ = ["WHOLE", "NoRangesError", "Range", "get", "other_range"]

_RETRY_SECONDS = 0.1
"""The pause before a broken connection is replaced, more or less by half, so that not all readers
come back at once; twice as long each time that no byte came."""

WHOLE = 200
"""The status of an answer that has the whole file."""


async def get(
    transport: Transport,
    key: str,
    start: int,
    end: int | None,
    conditions: Mapping[str, str],
    taken: Connections | None = None,
    most: int | None = None,
) -> operations.Object:
    """Request a file or a range of it: ``Range`` of RFC 9110, 14.1.2."""
    headers = dict(conditions)
    if start < 0:
        headers["range"] = f"bytes={start}"
    elif start or end is not None:
        headers["range"] = f"bytes={start}-{'' if end is None else end - 1}"  # the last is included
    elif transport.settings.checksums:
        headers["x-amz-checksum-mode"] = "ENABLED"
    return await transport.send(operations.get_object(key, headers, most=most), taken)


def other_range() -> exceptions.IntegrityException:
    """Return the error for an answer that has other bytes than were requested."""
    return exceptions.IntegrityException("The store sent another range than was requested")


def _unplaced_range() -> exceptions.StorageUnavailableException:
    """Return the error for an answer that does not say which range it has."""
    message = "The store answered with a range and did not say which one (Content-Range)"
    return exceptions.StorageUnavailableException(message)


def _replaced() -> exceptions.IntegrityException:
    message = "The file was replaced or deleted while it was read"
    return exceptions.IntegrityException(message, retryable=True)


class NoRangesError(Exception):
    """The store answered a range with the whole file, as RFC 9110 allows."""


@dataclass(slots=True, eq=False, repr=False)
class Range:
    """The bytes from `position` to `last` of one version of a file.

    Attributes:
        transport: Where.
        info: The version.
        position: The next byte that is read.
        last: The byte after the last.
        body: What they come from, which may have more of them; None where it must be requested.
        taken: Connections of which a place was taken for the first request.
        most: As that of a request.
    """

    transport: Transport
    info: FileInfo
    position: int
    last: int
    body: Body | None = None
    taken: Connections | None = None
    most: int | None = None

    async def read(self, size: int) -> bytes:
        """Return the next bytes, `size` at most; a broken connection is replaced."""
        budget, most = self.transport.budget, self.transport.settings.max_attempts
        failures = 0
        while True:
            try:
                if self.body is None:
                    self.body = await self._requested()
                piece = await self.body.read(min(size, self.last - self.position))
                if not piece:
                    raise exceptions.StorageUnavailableException("The connection broke off")
            except exceptions.StorageUnavailableException:
                self.close()
                failures += 1
                if failures >= most or not budget.take():
                    raise
                pause = _RETRY_SECONDS * 2 ** (failures - 1)
                await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
                continue
            budget.put_back(failures * RETRY_PRICE)
            self.position += len(piece)
            return piece

    async def _requested(self) -> Body:
        """Request what is missing, of the same version."""
        etag = self.info.etag
        conditions = {} if etag is None else {"if-match": etag}
        taken, self.taken = self.taken, None
        try:
            answer = await get(
                self.transport,
                self.info.path,
                self.position,
                self.last,
                conditions,
                taken,
                self.most,
            )
        except (
            exceptions.PreconditionFailedException,
            exceptions.FileNotFoundException,
            RangeException,
        ) as changed:
            raise _replaced() from changed
        # A store that ignores the condition, or has no etags, may still say that it is another one.
        is_same = answer.size in (None, self.info.size)
        is_same = is_same and (None in (etag, answer.etag) or answer.etag == etag)
        if not is_same or answer.first != self.position or isinstance(answer.content, bytes):
            metadata.close(answer)
            if is_same and answer.is_unplaced:
                raise _unplaced_range()
            if is_same and answer.status == WHOLE:
                raise NoRangesError from other_range()
            raise other_range() if is_same else _replaced()
        return answer.content

    def close(self) -> None:
        """Release the connection."""
        body, self.body = self.body, None
        taken, self.taken = self.taken, None
        if body is not None:
            body.close()
        if taken is not None:
            taken.places.release()
