"""`discard_session`: a loop that was closed by hand leaves no connection and no warning."""

from __future__ import annotations

import asyncio
import gc
import ssl
import subprocess
import threading
import time
import warnings
from typing import TYPE_CHECKING

import aiohttp
import pytest

from jtc.storage.http_support.closed_loop import discard_session

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Server:
    """An HTTP server in a thread of its own, which counts its open connections."""

    def __init__(self, certificate: Path | None) -> None:
        self.connections = 0
        self.scheme = "http"
        self.tls = None
        if certificate:
            self.scheme = "https"
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(certificate)
        self.started = threading.Event()
        self.ended = threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self.serve()))

    async def serve(self) -> None:
        server = await asyncio.start_server(self.answer, "127.0.0.1", 0, ssl=self.tls)
        self.url = f"{self.scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self.started.set()
        while not self.ended.is_set():
            await asyncio.sleep(0.001)
        server.close()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer each request; the body of one for ``/part`` does not end."""
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                body = b"bo" if b" /part " in head else b"body"
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n" + body)
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            self.connections -= 1
            writer.close()

    def has(self, connections: int) -> bool:
        """Return whether it gets to this number of connections in 20 seconds."""
        until = time.monotonic() + 20
        while self.connections != connections and time.monotonic() < until:
            time.sleep(0.001)
        return self.connections == connections


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file: Path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    new = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost")
    subprocess.run(
        ["openssl", *new, "-keyout", file, "-out", file], check=True, capture_output=True
    )
    return file


@pytest.fixture(params=["http", "https"])
def server(request: pytest.FixtureRequest, certificate: Path) -> Iterator[Server]:
    server = Server(certificate if request.param == "https" else None)
    server.thread.start()
    assert server.started.wait(20)
    yield server
    server.ended.set()
    server.thread.join()


async def use(server: Server) -> tuple[aiohttp.ClientSession, aiohttp.ClientResponse]:
    """Return a session with a pooled connection, and a response whose body is still under way."""
    session = aiohttp.ClientSession()
    under_way = await session.get(f"{server.url}/part", ssl=False)
    async with session.get(server.url, ssl=False) as whole:
        assert await whole.read() == b"body"
    return session, under_way


def test_discard_session_closes_the_connections_of_a_closed_loop(server: Server) -> None:
    loop = asyncio.new_event_loop()
    session, under_way = loop.run_until_complete(use(server))
    loop.close()
    assert server.has(connections=2)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        discard_session(session, [under_way])
        assert session.closed
        assert server.has(connections=0)
        del session, under_way, loop
        gc.collect()
    assert [str(each.message) for each in caught] == []


def test_discard_session_closes_the_connections_of_a_stopped_loop_when_it_runs(
    server: Server,
) -> None:
    loop = asyncio.new_event_loop()
    session, under_way = loop.run_until_complete(use(server))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        discard_session(session, [under_way])
        assert session.closed
        loop.run_until_complete(asyncio.sleep(0.01))
        assert server.has(connections=0)
        loop.close()
        del session, under_way, loop
        gc.collect()
    assert [str(each.message) for each in caught] == []


def test_discard_session_ignores_requests_that_wait_in_a_closed_loop(server: Server) -> None:
    async def begin() -> tuple[aiohttp.ClientSession, aiohttp.ClientResponse]:
        session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1))
        under_way = await session.get(f"{server.url}/part", ssl=False)
        waiting.append(asyncio.ensure_future(session.get(server.url, ssl=False)))
        await asyncio.sleep(0)
        return session, under_way

    waiting: list[asyncio.Future[aiohttp.ClientResponse]] = []
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)  # the task that waits is destroyed
    session, under_way = loop.run_until_complete(begin())
    loop.close()
    discard_session(session, [under_way])
    assert server.has(connections=0)
    waiting.clear()


async def test_discard_session_of_a_closed_session_does_nothing() -> None:
    session = aiohttp.ClientSession()
    await session.close()
    discard_session(session)
    assert session.closed
