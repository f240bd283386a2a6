"""Uploads of parts, several at once."""

from __future__ import annotations

import asyncio
import io
import math
from typing import TYPE_CHECKING

import pytest

from jtc.storage.exceptions import RejectedException, StorageException
from jtc.storage.http_support.requests import Answer, Request
from jtc.storage.http_support.transfers.content_parts import ContentParts
from jtc.storage.http_support.transfers.sending import part_size, send_all, to_its_end
from scripted_store import ALWAYS, Rule, refusal, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jtc.storage.http_support.client import HttpClient
    from scripted_store import ScriptedStore

    from .conftest import MakeClient

MIB = 2**20
CHUNK = 2**17
PART = 5 * CHUNK


def _nothing(_: Answer) -> None:
    pass


class Upload:
    """Parts that become files of their own."""

    def __init__(self, client: HttpClient) -> None:
        self.client = client

    async def part(self, number: int, body: bytes) -> None:
        await self.client.send(
            Request("Part", "PUT", f"/bucket/{number}", _nothing, body=body, asks_first=False)
        )

    async def send(self, content: object, most_parts: int = 100) -> None:
        memory = await self.client.memory()
        parts = ContentParts(content, memory, self.client.settings.memory_for_uploads)  # type: ignore[arg-type]
        try:
            await send_all(self.client, parts, PART, self.part, most_parts=most_parts)
        finally:
            parts.close()
        assert memory.are_free(memory.number)


async def chunks(number: int, read: list[int]) -> AsyncIterator[bytes]:
    for each in range(number):
        read.append(each)
        yield each.to_bytes(2, "big") * (CHUNK // 2)


async def test_send_all_sends_parts_of_one_length_and_the_rest(
    store: ScriptedStore, client: HttpClient
) -> None:
    content = bytes(range(256)) * (12 * CHUNK // 256) + b"rest"
    await Upload(client).send(io.BytesIO(content))
    found = [store.content(str(number)) or b"" for number in range(1, 4)]
    assert [len(each) for each in found] == [PART, PART, 2 * CHUNK + 4]
    assert b"".join(found) == content


async def test_send_all_of_nothing_is_one_part_of_no_bytes(
    store: ScriptedStore, client: HttpClient
) -> None:
    await Upload(client).send(b"")
    assert store.content("1") == b""
    assert len(store.requests) == 1


async def test_send_all_sends_several_parts_at_once_and_reads_on(
    store: ScriptedStore, client: HttpClient
) -> None:
    held = asyncio.Event()
    store.rule(Rule(hold=held, times=ALWAYS))
    read: list[int] = []
    sending = asyncio.create_task(Upload(client).send(chunks(42, read)))
    # Four parts are sent, and one is read.
    await until(lambda: len(read) == 25 and len(store.requests) == 4)
    held.set()
    await sending
    assert len(store.requests) == 9


async def test_send_all_raises_the_first_failure_itself_and_reads_no_further(
    store: ScriptedStore, client: HttpClient
) -> None:
    store.rule(Rule(answer=refusal(403, "Denied"), where=lambda it: it.key == "2"))
    read: list[int] = []
    with pytest.raises(StorageException, match="Part: HTTP 403"):
        await Upload(client).send(chunks(1000, read))
    assert len(read) < 300


async def test_send_all_that_is_cancelled_releases_its_memory(
    store: ScriptedStore, client: HttpClient
) -> None:
    silent = store.rule(Rule(silent=True, times=ALWAYS))
    read: list[int] = []
    upload = Upload(client)
    sending = asyncio.create_task(upload.send(chunks(42, read)))
    await silent.arrived.wait()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    memory = await client.memory()
    assert memory.are_free(memory.number)


async def test_send_all_of_more_parts_than_there_may_be_is_refused(
    store: ScriptedStore, client: HttpClient
) -> None:
    with pytest.raises(RejectedException, match="more than 2 parts"):
        await Upload(client).send(chunks(11, []), most_parts=2)
    await Upload(client).send(chunks(10, []), most_parts=2)
    assert store.content("3") is None


async def test_send_all_over_one_connection_sends_one_part_at_a_time(
    store: ScriptedStore, make_client: MakeClient
) -> None:
    client = make_client(store.endpoint_url, max_connections=1)
    await Upload(client).send(chunks(20, []))
    assert len(store.requests) == 4
    assert store.connections == 1


async def test_send_all_does_not_read_on_where_what_is_beside_fails(client: HttpClient) -> None:
    async def refused() -> None:
        raise StorageException("beside")

    async def part(_number: int, _body: bytes) -> None:
        await asyncio.Event().wait()

    read: list[int] = []
    parts = ContentParts(chunks(1000, read), await client.memory(), 128 * MIB)
    with pytest.raises(StorageException, match="beside"):
        await send_all(client, parts, PART, part, most_parts=1000, beside=refused())
    parts.close()
    memory = await client.memory()
    assert memory.are_free(memory.number)
    assert len(read) < 100


@pytest.mark.parametrize(
    ("size", "expected"),
    [(None, 5 * MIB), (10, 5 * MIB), (500 * MIB, 5 * MIB), (501 * MIB, 6 * MIB)],
)
def test_part_size_is_larger_where_there_would_be_too_many(size: int | None, expected: int) -> None:
    assert part_size(5 * MIB, size, 100) == expected
    if size is not None:
        assert math.ceil(size / expected) <= 100


async def test_to_its_end_raises_a_cancellation_afterwards() -> None:
    may_end, is_done = asyncio.Event(), False

    async def action() -> None:
        nonlocal is_done
        await may_end.wait()
        is_done = True

    task = asyncio.create_task(to_its_end(action()))
    await asyncio.sleep(0)
    for _ in range(2):
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert is_done
