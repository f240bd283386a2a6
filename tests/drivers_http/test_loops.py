"""One client in several event loops and threads; tests/faults/test_forks.py has processes."""

from __future__ import annotations

import asyncio
import gc
import threading
import warnings
from typing import TYPE_CHECKING

import pytest

from jtc.storage.http_support.client import HttpClient
from jtc.storage.http_support.requests import Answer, Request
from jtc.storage.http_support.settings import HttpSettings

from .conftest import PlainService

if TYPE_CHECKING:
    from collections.abc import Iterator


class Server(threading.Thread):
    """A server in a thread of its own, which counts its connections."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.connections = 0
        self.started, self.ended = threading.Event(), threading.Event()

    def run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self.started.set()
        while not self.ended.is_set():
            await asyncio.sleep(0.001)
        server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody")
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.close()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server()
    server.start()
    assert server.started.wait(20)
    yield server
    server.ended.set()
    server.join(20)


@pytest.fixture
def client(server: Server) -> Iterator[HttpClient]:
    server.connections = 0
    client = HttpClient(HttpSettings(endpoint_url=server.url), PlainService(), "test")
    yield client
    asyncio.run(client.aclose())


def _document(answer: Answer) -> bytes:
    return answer.document


async def get(client: HttpClient) -> bytes:
    return await client.send(Request("Get", "GET", "/a", _document))


async def get_often(client: HttpClient) -> None:
    for _ in range(10):
        assert await get(client) == b"body"


def test_client_in_two_loops_has_connections_of_each(server: Server, client: HttpClient) -> None:
    asyncio.run(get_often(client))
    asyncio.run(get_often(client))
    assert server.connections == 2


def test_client_in_threads_at_once_has_connections_of_each(
    server: Server, client: HttpClient
) -> None:
    threads = [threading.Thread(target=lambda: asyncio.run(get_often(client))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.connections == 8


def test_client_whose_loop_was_closed_by_hand_leaves_no_warning(client: HttpClient) -> None:
    loop = asyncio.new_event_loop()
    loop.run_until_complete(get_often(client))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loop.close()
        del loop
        asyncio.run(get_often(client))
        gc.collect()
    assert [str(each.message) for each in caught] == []


async def test_client_that_is_closed_opens_connections_afresh(
    server: Server, client: HttpClient
) -> None:
    await get_often(client)
    await client.aclose()
    await get_often(client)
    assert server.connections == 2
    await client.aclose()
