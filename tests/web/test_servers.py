"""The application in a real server, with curl and with clients that disconnect."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fastapi import FastAPI
from litestar import Litestar
from litestar.handlers import asgi, get
from litestar.types import Receive, Scope, Send
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.routing import Mount

from jtc.storage.asgi import DiskResponse, serve
from jtc.storage.driver import ReadStream
from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.drivers.s3_driver import S3Driver
from web_disks import SECRET, disk_of, running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from jtc.storage import Disk, FileInfo
    from jtc.storage.options import ReadOptions
    from web_disks import Client

DEADLINE = 30.0  # a limit for what happens soon, on a busy machine
CONTENT = os.urandom(3_000_000)


async def curl(*arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *("curl", "--silent", "--show-error", "--max-time", "60", "--noproxy", "*"),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return output.decode("latin-1")


async def test_curl_reads_ranges_and_resumes(disk: Disk, tmp_path: Path) -> None:
    await disk.put("d/a b.bin", CONTENT)
    saved = tmp_path / "saved"
    app = Starlette(routes=[Mount("/storage", serve(disk, public=True))])
    async with running(app) as base:
        url = f"{base}/storage/d/a%20b.bin"
        await curl("--output", str(saved), url)
        assert saved.read_bytes() == CONTENT
        for asked, expected in (
            ("0-0", CONTENT[:1]),
            ("1000-1999999", CONTENT[1000:2_000_000]),
            ("-7", CONTENT[-7:]),
            ("2999999-", CONTENT[-1:]),
            ("0-9,20-29", CONTENT),
        ):
            await curl("--range", asked, "--output", str(saved), url)
            assert saved.read_bytes() == expected, asked
        head = await curl("--range", "9999999-", "--output", os.devnull, "--dump-header", "-", url)
        assert "416" in head.splitlines()[0]
        assert "content-range: bytes */3000000" in head.lower()
        # A download that broke off goes on where it was.
        saved.write_bytes(CONTENT[:1_234_567])
        await curl("--continue-at", "-", "--output", str(saved), url)
        assert saved.read_bytes() == CONTENT
        etag = str(tmp_path / "etag")
        await curl("--etag-save", etag, "--output", str(saved), url)
        written = "%{http_code} %{size_download}"
        again = await curl(
            "--etag-compare", etag, "--write-out", written, "--output", os.devnull, url
        )
        assert again == "304 0"
        assert await curl("--head", "--write-out", written, "--output", os.devnull, url) == "200 0"


async def test_curl_uploads_by_a_presigned_put_and_by_a_form(tmp_path: Path) -> None:
    source, saved = tmp_path / "source", tmp_path / "saved"
    source.write_bytes(CONTENT)
    late: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await late[0](scope, receive, send)

    async with running(app) as base:
        disk = disk_of(LocalDriver(tmp_path / "root", f"{base}/storage", secret=SECRET))
        late.append(Starlette(routes=[Mount("/storage", serve(disk))]))
        put = await disk.temporary_upload_url("put.bin", 60, size=len(CONTENT))
        # Larger than a megabyte: curl asks with Expect: 100-continue whether to send it.
        status = ("--write-out", "%{http_code}")
        assert await curl("--upload-file", str(source), *status, put.url) == "200"
        assert await disk.get("put.bin") == CONTENT
        form = await disk.temporary_upload_form("form.bin", 60, max_size=len(CONTENT))
        fields = [part for item in form.fields.items() for part in ("--form", "=".join(item))]
        sent = await curl(*fields, "--form", f"file=@{source}", *status, form.url)
        assert sent == "204"
        url = await disk.temporary_url("form.bin", 60)
        await curl("--output", str(saved), url)
        assert saved.read_bytes() == CONTENT
        assert await curl(*status, "--output", os.devnull, url.replace("form", "put")) == "403"


class Stalled(MemoryDriver):
    """Sends one large chunk and then nothing more; records that its stream was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = asyncio.Event()

    async def open_read(self, path: str, options: ReadOptions, /) -> ReadStream:
        info = (await super().open_read(path, options)).info
        info.size = 10_000_000

        async def chunks() -> AsyncIterator[bytes]:
            yield bytes(1_000_000)
            await asyncio.Event().wait()

        async def close() -> None:
            self.closed.set()

        return ReadStream(info, chunks(), close)


async def pass_through(request: Any, call_next: Any) -> Any:
    return await call_next(request)


WRAPPED = pytest.mark.parametrize("wrapped", [False, True], ids=["bare", "with middleware"])


def mounted(wrapped: bool, at: str, disk: Disk, **options: Any) -> Starlette:
    middleware = [Middleware(BaseHTTPMiddleware, dispatch=pass_through)] if wrapped else []
    return Starlette(routes=[Mount(at, serve(disk, **options))], middleware=middleware)


@pytest.mark.parametrize("more_body", [False, True])
async def test_response_is_sent_where_middleware_repeats_the_body(more_body: bool) -> None:
    """What has read a body often gives it to the application as if each call were the first."""
    disk = disk_of(MemoryDriver())
    await disk.put("a.txt", b"content", visibility="public")
    files = serve(disk)
    received = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        del receive

        async def repeated() -> dict[str, Any]:
            nonlocal received
            received += 1
            return {"type": "http.request", "body": b"read", "more_body": more_body}

        await files(scope, repeated, send)

    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://files.test") as http:
        answer = await asyncio.wait_for(http.get("/a.txt"), 5)
    assert (answer.status_code, answer.content) == (200, b"content")
    # Behind the body's end one more message is awaited, which could be a disconnection.
    assert received == (100 if more_body else 2)


@WRAPPED
async def test_a_stalled_read_is_closed_when_the_client_disconnects(wrapped: bool) -> None:
    driver = Stalled()
    disk = disk_of(driver)
    await disk.put("a.bin", b"1")
    async with running(mounted(wrapped, "/", disk, public=True)) as base:
        reader, writer = await asyncio.open_connection(*httpx.URL(base).netloc.decode().split(":"))
        writer.write(b"GET /a.bin HTTP/1.1\r\nHost: a\r\n\r\n")
        await reader.readexactly(500_000)
        assert not driver.closed.is_set()
        writer.transport.abort()
        await asyncio.wait_for(driver.closed.wait(), DEADLINE)


class Silent(MemoryDriver):
    """Never responds in one of three places; records when it was called and when cancelled."""

    def __init__(self, at: str) -> None:
        super().__init__()
        self.at = at
        self.called, self.cancelled = asyncio.Event(), asyncio.Event()

    async def wait(self) -> None:
        self.called.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()

    async def stat(self, path: str, /) -> FileInfo:
        if self.at == "looking":
            await self.wait()
        return await super().stat(path)

    async def open_read(self, path: str, options: ReadOptions, /) -> ReadStream:
        if self.at == "opening":
            await self.wait()
        info = (await super().open_read(path, options)).info

        async def chunks() -> AsyncIterator[bytes]:
            await self.wait()
            yield b"1"

        async def close() -> None: ...

        return ReadStream(info, chunks(), close)


@WRAPPED
@pytest.mark.parametrize("at", ["looking", "opening", "reading"])
async def test_a_storage_call_is_cancelled_when_the_client_disconnects(
    at: str, wrapped: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Otherwise each client that disconnects would leave a connection to the storage in use."""
    driver = Silent(at)
    disk = disk_of(driver)
    await disk.put("a.bin", b"1")
    async with running(mounted(wrapped, "/", disk, public=True)) as base:
        _, writer = await asyncio.open_connection(*httpx.URL(base).netloc.decode().split(":"))
        ranged = "Range: bytes=0-0\r\n" if at == "looking" else ""
        writer.write(f"GET /a.bin HTTP/1.1\r\nHost: a\r\n{ranged}\r\n".encode())
        await asyncio.wait_for(driver.called.wait(), DEADLINE)
        assert not driver.cancelled.is_set()
        writer.transport.abort()
        await asyncio.wait_for(driver.cancelled.wait(), DEADLINE)
    assert "Traceback" not in caplog.text


@WRAPPED
async def test_an_upload_that_breaks_off_is_not_logged_as_an_error(
    wrapped: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    disk = disk_of(LocalDriver(tmp_path / "root", "/storage", secret=SECRET))
    put = await disk.temporary_upload_url("a.bin", 60)
    async with running(mounted(wrapped, "/storage", disk)) as base:
        _, writer = await asyncio.open_connection(*httpx.URL(base).netloc.decode().split(":"))
        writer.write(f"PUT {put.url} HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n12".encode())
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        # The server accepted the other connection before this one.
        async with httpx.AsyncClient() as http:
            assert (await http.get(f"{base}/storage/a.bin")).status_code == 404
    assert "Traceback" not in caplog.text
    assert await disk.all_files("") == []


class BreaksOff(Stalled):
    """Fails after its first chunk."""

    async def open_read(self, path: str, options: ReadOptions, /) -> ReadStream:
        stream = await super().open_read(path, options)

        async def chunks() -> AsyncIterator[bytes]:
            yield bytes(1_000_000)
            raise ConnectionResetError

        return ReadStream(stream.info, chunks(), stream.aclose)


async def test_a_storage_failure_after_the_response_began_closes_the_connection(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A part must not look like the whole file."""
    driver = BreaksOff()
    disk = disk_of(driver)
    await disk.put("a.bin", b"1")
    async with running(serve(disk, public=True)) as base, httpx.AsyncClient() as http:
        with pytest.raises(httpx.RemoteProtocolError):
            await http.get(f"{base}/a.bin")
    assert driver.closed.is_set()
    assert "StorageUnavailableException" in caplog.text


async def test_slow_reader_holds_no_more_than_two_chunks(disk: Disk) -> None:
    """A server keeps one chunk in its buffer, and the next one waits in `send`."""
    await disk.put("a.bin", CONTENT)
    held: list[int] = []
    full = asyncio.Event()

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        held.append(len(message.get("body", b"")))
        if len(held) == 3:  # the head and two chunks
            full.set()
            await asyncio.Event().wait()

    scope = {"type": "http", "method": "GET", "path": "/a.bin", "query_string": b"", "headers": []}
    task = asyncio.create_task(serve(disk, public=True)(scope, receive, send))
    await asyncio.wait_for(full.wait(), DEADLINE)
    task.cancel()
    await asyncio.wait([task])
    assert 0 < sum(held) <= 2 * 65_536


async def test_an_unavailable_storage_is_a_503(client: Client) -> None:
    # Nothing listens on port 9.
    driver = S3Driver("bucket", "us-east-1", "key", "secret", "http://127.0.0.1:9", max_attempts=1)
    http = client(serve(disk_of(driver), public=True))
    try:
        for answer in (await http.get("/a.txt"), await http.head("/a.txt")):
            assert answer.status_code == 503
            assert int(answer.headers["retry-after"]) > 0
            assert "127.0.0.1" not in answer.text
    finally:
        await driver.aclose()


async def test_links_are_not_served(tmp_path: Path, client: Client) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    root = tmp_path / "root"
    disk = disk_of(LocalDriver(root))
    await disk.put("a.txt", b"1")
    (root / "link.txt").symlink_to(tmp_path / "secret.txt")
    (root / "folder").symlink_to(tmp_path)
    os.mkfifo(root / "fifo")
    http = client(serve(disk, public=True))
    for path in ("link.txt", "folder/secret.txt", "fifo"):
        answer = await http.get(f"/{path}")
        assert answer.status_code == 404
        assert b"secret" not in answer.content


FRAMEWORKS = ["starlette", "fastapi", "litestar", "bare"]


def application(framework: str, disk: Disk) -> Any:
    """Mount a disk, and respond with one of its files, in the way of each framework."""

    async def download() -> DiskResponse:
        return DiskResponse(disk, "in/a.txt", filename="a b.txt")

    match framework:
        case "starlette":
            return Starlette(routes=[Mount("/storage", serve(disk, public=True))])
        case "fastapi":
            app = FastAPI()
            app.mount("/storage", serve(disk, public=True))
            app.get("/download", response_model=None)(download)
            return app
        case "litestar":
            files = serve(disk, public=True)

            # Static: Litestar adds a "/" to every other path.
            @asgi("/storage", is_static=True, copy_scope=True)
            async def storage(scope: Scope, receive: Receive, send: Send) -> None:
                await files(scope, receive, send)  # type: ignore[arg-type]

            return Litestar([storage, get("/download")(download)])
    return serve(disk, public=True)


@pytest.mark.parametrize("framework", FRAMEWORKS)
async def test_serve_is_mounted_in_every_framework(framework: str, client: Client) -> None:
    disk = disk_of(MemoryDriver())
    await disk.put("in/ä b.txt", b"0123456789")
    http = client(application(framework, disk))
    base = "" if framework == "bare" else "/storage"
    answer = await http.get(f"{base}/in/ä b.txt", headers={"Range": "bytes=2-3"})
    assert (answer.status_code, answer.content) == (206, b"23")
    assert (await http.get(f"{base}/in/missing")).status_code == 404
    assert (await http.get(f"{base}/in/")).status_code == 404
    assert (await http.head(f"{base}/in/ä b.txt")).headers["content-length"] == "10"


@pytest.mark.parametrize("framework", ["fastapi", "litestar"])
async def test_a_handler_returns_a_file(framework: str, client: Client) -> None:
    disk = disk_of(MemoryDriver())
    await disk.put("in/a.txt", b"0123456789")
    http = client(application(framework, disk))
    answer = await http.get("/download", headers={"Range": "bytes=-2"})
    assert (answer.status_code, answer.content) == (206, b"89")
    assert answer.headers["content-disposition"] == 'attachment; filename="a b.txt"'
    await disk.delete("in/a.txt")
    assert (await http.get("/download")).status_code == 404


async def test_disk_response_takes_the_options_of_a_file_response(client: Client) -> None:
    disk = disk_of(MemoryDriver())
    await disk.put("a.bin", b"1")
    ran = []
    response = DiskResponse(
        disk,
        "a.bin",
        filename="größe.pdf",
        media_type="application/pdf",
        content_disposition_type="inline",
        headers={"X-Own": "1", "Cache-Control": "no-store"},
        cache_control="public",
        background=BackgroundTask(ran.append, 1),
    )
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    answer = await client(response).get("/")
    assert answer.content == b"1"
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["content-disposition"].startswith("inline; filename=")
    assert answer.headers["x-own"] == "1"
    assert answer.headers["cache-control"] == "no-store"
    assert len(answer.headers.get_list("set-cookie")) == 2
    assert ran == [1]
    with pytest.raises(ValueError, match="disposition"):
        DiskResponse(disk, "a.bin", filename="a", content_disposition_type="form-data")


async def test_a_websocket_is_closed() -> None:
    app = serve(disk_of(MemoryDriver()), public=True)
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await app({"type": "websocket"}, send, send)  # type: ignore[arg-type]
    assert [message["type"] for message in sent] == ["websocket.close"]
    with pytest.raises(RuntimeError, match="lifespan"):
        await app({"type": "lifespan"}, send, send)  # type: ignore[arg-type]
