"""Ranges of one version of a file, each read over as many connections as it needs."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from jtc.storage import exceptions
from jtc.storage.http_support.errors import RangeException
from jtc.storage.http_support.token_bucket import RETRY_PRICE
from jtc.storage.http_support.transfers.answers import WHOLE

if TYPE_CHECKING:
    from collections.abc import Callable

    from jtc.storage.http_support.client import HttpClient
    from jtc.storage.http_support.connections import Connections
    from jtc.storage.http_support.requests import Body, Request
    from jtc.storage.http_support.transfers.answers import FileAnswer
    from jtc.storage.models import FileInfo

__all__ = ["NoRangesError", "Range", "Version", "other_range", "range_header"]

_RETRY_SECONDS = 0.1
"""The pause before a broken connection is replaced, more or less by half, so that not all readers
come back at once; twice as long each time that no byte came."""


def range_header(start: int, end: int | None) -> dict[str, str]:
    """Return the header ``Range`` for some bytes (RFC 9110, 14.1.2); none for all of them.

    Args:
        start: Where they begin; negative: that many before the file's end.
        end: Where they end, the last one not included; None is the file's end.
    """
    if start < 0:
        return {"range": f"bytes={start}"}
    if not start and end is None:
        return {}
    return {"range": f"bytes={start}-{'' if end is None else end - 1}"}  # the last is included


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


class Version(NamedTuple):
    """One version of a file, and how bytes of it are requested.

    Attributes:
        client: Who sends the requests.
        info: The version.
        request: Makes the request for the bytes from a position up to another one, under the
            condition that the file still is this version. Its result is a `FileAnswer`.
    """

    client: HttpClient
    info: FileInfo
    request: Callable[[int, int], Request[Any]]


@dataclass(slots=True, eq=False, repr=False)
class Range:
    """The bytes from `position` to `last` of one version of a file.

    Attributes:
        version: The version.
        position: The next byte that is read.
        last: The byte after the last.
        body: What they come from, which may have more of them; None where it must be requested.
        taken: Connections of which a place was taken for the first request.
        most: As that of a request.
    """

    version: Version
    position: int
    last: int
    body: Body | None = None
    taken: Connections | None = None
    most: int | None = None

    async def read(self, size: int) -> bytes:
        """Return the next bytes, `size` at most; a broken connection is replaced."""
        client = self.version.client
        budget, most = client.budget, client.settings.max_attempts
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
        client, info, make = self.version
        request = make(self.position, self.last)
        request.leave_open_from, request.most = -1, self.most
        taken, self.taken = self.taken, None
        try:
            answer: FileAnswer = await client.send(request, taken)
        except (
            exceptions.PreconditionFailedException,
            exceptions.FileNotFoundException,
            RangeException,
        ) as changed:
            raise _replaced() from changed
        # A store that ignores the condition, or has no etags, may still say that it is another one.
        is_same = answer.size in (None, info.size)
        is_same = is_same and (None in (info.etag, answer.etag) or answer.etag == info.etag)
        if not is_same or answer.first != self.position or isinstance(answer.content, bytes):
            answer.close()
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
