"""Attachments from URLs and data URIs."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from attachment_fields import PNG, added, local_registry
from certificates import loopback_certificate
from jtc.storage.attachments.plain import store
from jtc.storage.attachments.remote import _is_permitted, fetch, from_data_uri
from jtc.storage.exceptions import RejectedException

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

HERE = ["127.0.0.1/32"]


class Server:
    """A web server of this machine, and the requests that it got."""

    def __init__(self) -> None:
        self.requests: list[web.BaseRequest] = []
        self.port = 0

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}/{path}"

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests.append(request)
        match request.path.partition("/")[2].split("/"):
            case ["to", *rest]:
                answer = web.Response(status=302, headers={"Location": "/".join(rest)})
                answer.force_close()  # or the next request would use this connection
                return answer
            case ["loop"]:
                return web.Response(status=307, headers={"Location": "/loop"})
            case ["named"]:
                disposition = 'attachment; filename="../from server.png"'
                return web.Response(body=PNG, headers={"Content-Disposition": disposition})
            case ["zipped"]:
                return web.Response(body=b"x", headers={"Content-Encoding": "gzip"})
            case ["long"]:
                return await self.long(request)
            case ["short"]:
                return await self.long(request, length=5000)
            case ["slow"]:
                await asyncio.sleep(30)
            case ["gone"]:
                return web.Response(status=404)
        return web.Response(body=PNG)

    async def long(self, request: web.BaseRequest, length: int | None = None) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = length
        await response.prepare(request)
        await response.write(bytes(3000))
        if length is not None and request.transport is not None:
            request.transport.close()
        return response


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    runner = web.ServerRunner(web.Server(made.answer), shutdown_timeout=0.1)
    await runner.setup()
    # Any address of the loopback network reaches it.
    with socket.socket() as bound:
        bound.bind(("0.0.0.0", 0))
        made.port = bound.getsockname()[1]
        await web.SockSite(runner, bound).start()
        yield made
        await runner.cleanup()


async def received(url: str, **options: Any) -> bytes:
    async with fetch(url, **options) as upload:
        return b"".join([chunk async for chunk in iterate(upload)])


async def iterate(upload: Any) -> AsyncIterator[bytes]:
    while chunk := await upload.read(1000):
        yield chunk


async def reason(url: str, **options: Any) -> str:
    with pytest.raises(RejectedException) as refused:
        await received(url, **options)
    return refused.value.reason


async def test_fetch_is_content_for_store(tmp_path: Path, server: Server) -> None:
    field = added(local_registry(tmp_path), types={"image/png"}, max_size="1kB")
    async with fetch(server.url("a%20b.png?size=2"), allowed_networks=HERE) as upload:
        made = await store(field, upload)
    assert (made.name, made.content_type, made.size) == ("a b.png", "image/png", len(PNG))
    async with fetch(server.url("named"), allowed_networks=HERE) as upload:
        assert (await store(field, upload)).name == "from server.png"
    async with fetch(server.url("long"), allowed_networks=HERE) as upload:
        with pytest.raises(RejectedException):
            await store(field, upload)
    assert len(await field.disk.all_files()) == 2


async def test_fetch_refuses_each_way_to_this_machine(server: Server) -> None:
    for host in ("127.0.0.1", "localhost", "0.0.0.0", "[::1]"):
        assert await reason(server.url("a.png", host)) == "address", host
    for host in ("127.1", "2130706433", "0x7f.1", "0177.0.0.1", "127.0.0.1."):
        # The client refuses some of them by itself.
        assert await reason(server.url("a.png", host)) in {"address", "remote"}, host
    assert await reason(server.url("a.png", "[::ffff:127.0.0.1]")) == "address"
    assert server.requests == []


async def test_fetch_checks_each_redirect(server: Server) -> None:
    inside = server.url("secret", "127.0.0.2")
    assert await reason(server.url(f"to/{inside}"), allowed_networks=HERE) == "address"
    assert await reason(server.url("to/file:///etc/passwd"), allowed_networks=HERE) == "url"
    assert await reason(server.url("to/http://127.0.0.1:22/"), allowed_networks=HERE) == "url"
    assert await reason(server.url("loop"), allowed_networks=HERE) == "remote"
    assert len(server.requests) == 3 + 6
    assert await received(server.url("to//b.png"), allowed_networks=HERE) == PNG


async def test_fetch_of_a_name_with_another_address_the_second_time_is_refused(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter(["127.0.0.1", "127.0.0.2"])

    async def resolve(_loop: object, host: str, port: int, **_: Any) -> list[Any]:
        assert host == "rebinding.test"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", resolve)
    url = server.url("a.png", "rebinding.test")
    start = server.url(f"to/{url}", "rebinding.test")
    assert await reason(start, allowed_networks=HERE) == "address"
    (request,) = server.requests
    assert request.host == f"rebinding.test:{server.port}"


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1",
        "100.100.100.200",
        "127.0.0.1",
        "168.63.129.16",
        "169.254.169.254",
        "172.16.0.1",
        "192.0.0.192",
        "192.168.1.1",
        "0.0.0.0",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:10.0.0.1",
        "2002:a00:1::",
        "64:ff9b::10.0.0.1",
        "64:ff9b::169.254.169.254",
        "64:ff9b:1::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%lo",
        "ff02::1",
    ],
)
def test_fetch_permits_no_internal_address(address: str) -> None:
    assert not _is_permitted(ipaddress.ip_address(address), [])


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1", "64:ff9b::5db8:d822"])
def test_fetch_permits_public_address(address: str) -> None:
    assert _is_permitted(ipaddress.ip_address(address), [])


async def test_fetch_by_https_verifies_the_name_of_the_url(tmp_path: Path) -> None:
    certificate, serving = loopback_certificate(tmp_path)
    trusting = ssl.create_default_context(cafile=certificate)
    made = Server()
    runner = web.ServerRunner(web.Server(made.answer), shutdown_timeout=0.1)
    await runner.setup()
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        made.port = bound.getsockname()[1]
        await web.SockSite(runner, bound, ssl_context=serving).start()
        url = f"https://127.0.0.1:{made.port}/a.png"
        assert await received(url, allowed_networks=HERE, ssl_context=trusting) == PNG
        assert await reason(url, allowed_networks=HERE) == "remote"
        # The certificate is that of the IP, which the name leads to.
        other = url.replace("127.0.0.1", "localhost")
        assert await reason(other, allowed_networks=HERE, ssl_context=trusting) == "remote"
        await runner.cleanup()
    assert len(made.requests) == 1


async def test_fetch_has_limits_of_size_and_time(server: Server) -> None:
    assert await reason(server.url("long"), allowed_networks=HERE, max_size=2000) == "size"
    assert await reason(server.url("a.png"), allowed_networks=HERE, max_size=10) == "size"
    assert await reason(server.url("slow"), allowed_networks=HERE, max_seconds=0.2) == "remote"


async def test_fetch_refuses_what_is_no_whole_file(server: Server) -> None:
    for path in ("gone", "zipped", "short"):
        assert await reason(server.url(path), allowed_networks=HERE) == "remote"
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        assert await reason(f"http://127.0.0.1:{port}/", allowed_networks=HERE) == "remote"


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://example.org/a",
        "http://",
        "a.png",
        "//example.org/a",
        "http://user:password@example.org/",
        "http://example.org:22/",
        "http://example.org:99999/",
        "http://[::1/",
        "gopher://127.0.0.1:6379/_x",
    ],
)
async def test_fetch_refuses_url(url: str) -> None:
    assert await reason(url) == "url"


@pytest.mark.parametrize(
    ("uri", "content"),
    [
        ("data:text/plain;base64,aGVsbG8=", b"hello"),
        ("data:;base64,aGVsbG8", b"hello"),
        ("DATA:text/plain;charset=utf-8;BASE64,aGVsbG8%3D", b"hello"),
        ("data:,a%20b%00", b"a b\x00"),
        ("data:,", b""),
        ("data:text/plain,a,b", b"a,b"),
    ],
)
def test_from_data_uri_decodes(uri: str, content: bytes) -> None:
    assert from_data_uri(uri) == content


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("http://example.org", "url"),
        ("data:text/plain", "url"),
        ("", "url"),
        ("data:;base64,a*b", "url"),
        ("data:;base64,a", "url"),
        ("data:;base64,ä", "url"),
        ("data:," + "x" * 11, "size"),
        ("data:;base64," + "AAAA" * 4, "size"),
        ("data:," + "x" * 1_000_000, "size"),
    ],
)
def test_from_data_uri_refuses(uri: str, why: str) -> None:
    with pytest.raises(RejectedException) as refused:
        from_data_uri(uri, max_size=10)
    assert refused.value.reason == why
