"""Uploads of parts, several at once: as many as the path carries, within memory."""

from __future__ import annotations

import asyncio
import functools
import math
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from jtc.storage import exceptions
from jtc.storage.http_support.concurrency import Climb
from jtc.storage.http_support.settings import MIB

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from jtc.storage.http_support.client import HttpClient
    from jtc.storage.http_support.concurrency import Concurrency
    from jtc.storage.http_support.transfers.content_parts import ContentParts

__all__ = ["PartSender", "part_size", "parts_at_once", "send_all", "to_its_end"]

_MOST_MEMORY = 75 * MIB
"""Bytes of one upload's parts at once, the one that is read included: a put of any length has to
fit into 150 MiB of a process, which takes 45 without it, and some for buffers."""


def part_size(wanted: int, size: int | None, most_parts: int) -> int:
    """Return the size of an upload's parts: all alike, as Cloudflare's R2 wants them.

    Args:
        wanted: The size that is set.
        size: The file's length where it is known.
        most_parts: How many parts there may be.
    """
    if size is None or size <= wanted * most_parts:
        return wanted
    return math.ceil(size / most_parts / MIB) * MIB


def _nothing() -> None:
    pass


class PartSender:
    """Sends parts in the tasks of a group, as many at once as the path carries.

    Args:
        client: Whose connections they take.
        climb: How many there may be.
        group: The group.
    """

    def __init__(self, client: HttpClient, climb: Climb, group: asyncio.TaskGroup) -> None:
        self._client, self._climb, self._group = client, climb, group
        self._may_send, self._busy = asyncio.Event(), 0

    async def send(
        self,
        sending: Coroutine[object, object, None],
        length: int,
        release: Callable[[], None] = _nothing,
    ) -> None:
        """Start to send a part, once fewer are under way than may be.

        Args:
            sending: What sends it.
            length: Its length in bytes.
            release: What releases its memory; it is called once, however this ends.
        """
        client = self._client
        try:
            while self._busy and (self._busy >= self._climb.level or not client.has_free_place()):
                self._may_send.clear()
                await self._may_send.wait()
            # It refuses where a part failed, and the source took no notice of its cancellation.
            task = self._group.create_task(sending)
        except BaseException:
            sending.close()
            release()
            raise
        self._busy += 1
        task.add_done_callback(functools.partial(self._ended, length, release))

    def _ended(self, length: int, release: Callable[[], None], task: asyncio.Task[None]) -> None:
        release()
        if not task.cancelled() and task.exception() is None:
            self._climb.moved(length)
            self._climb.ended(self._busy)
        self._busy -= 1
        self._may_send.set()


async def send_all(
    client: HttpClient,
    parts: ContentParts,
    size: int,
    part: Callable[[int, bytes], Coroutine[object, object, None]],
    *,
    most_parts: int,
    beside: Coroutine[object, object, object] | None = None,
) -> None:
    """Send parts of `size` bytes, several at once; the source is read in this task.

    Async sources may hold cancel scopes that belong to a task. A part takes memory before it is
    read, and the next one is read while others are sent. Content without bytes is one part.

    Args:
        client: Of whose connections and memory they take.
        parts: The content.
        size: The length of a part; the last one may be shorter.
        part: Returns what sends a part, given its number, from 1, and its bytes.
        most_parts: How many parts there may be.
        beside: What must succeed meanwhile, such as the request that begins an upload: where it
            fails, the source is not read on.

    Raises:
        RejectedException: There are more parts.
        StorageException: A part failed; this is the first one.
    """
    number, at_once = 0, max(_MOST_MEMORY // size - 1, 1)
    async with parts_at_once(client, client.uploads, at_once, beside) as sender:
        while True:
            body, release = await parts.next(size)
            if number == most_parts or (number and not body):
                release()
                if not body:
                    return
                raise exceptions.RejectedException(
                    f"The content has more than {most_parts} parts: pass its size, or raise "
                    "part_size",
                    reason="size",
                )
            number += 1
            length, sending = len(body), part(number, body)
            del body  # the coroutine holds it as long as it is sent
            await sender.send(sending, length, release)
            del sending


@asynccontextmanager
async def parts_at_once(
    client: HttpClient,
    known: Concurrency,
    most: int,
    beside: Coroutine[object, object, object] | None = None,
) -> AsyncIterator[PartSender]:
    """Enter a group of tasks that send parts, as many at once as the path carries.

    More than one is sent only while connections are free: other requests wait for them too.

    Args:
        client: Whose connections they take.
        known: What its transfers have found out: its `uploads`, or `copies`.
        most: The most parts at once.
        beside: What must succeed meanwhile.

    Raises:
        StorageException: A part failed; this is the first one.
    """
    async with _group() as group:
        if beside is not None:
            group.create_task(beside)
        yield PartSender(client, Climb(known, most), group)


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


async def to_its_end(action: Coroutine[object, object, None]) -> None:
    """Do something to its end, also if this task is cancelled meanwhile, which is raised then.

    Args:
        action: Such as to give up an upload; it must end by itself.
    """
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
