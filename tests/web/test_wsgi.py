"""The WSGI application: in Flask and Django, under servers, and what a server may do to it."""

from __future__ import annotations

import asyncio
import inspect
import io
import os
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import flask
import httpx
import pytest
import waitress.server

from jtc.storage import Disk, Storage, StorageException, asgi
from jtc.storage.driver import ReadStream
from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.hookspecs import hookimpl
from jtc.storage.wsgi import DiskResponse, ZipResponse, mount, serve
from web_disks import SECRET, disk_of

CONTENT = bytes(range(256)) * 8_000  # 2,048,000 bytes: more than the socket's buffers


class QuietHandler(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def under_wsgiref(app: Any) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app, WSGIServer, QuietHandler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def under_waitress(app: Any) -> Iterator[str]:
    server = waitress.server.create_server(app, host="127.0.0.1", port=0, threads=4)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.effective_port}"
    finally:
        server.trigger.pull_trigger(server.close)
        thread.join(10)


SERVERS: dict[str, Callable[[Any], Any]] = {"wsgiref": under_wsgiref, "waitress": under_waitress}


def in_flask(disk: Disk) -> Any:
    app = flask.Flask("shop")

    @app.get("/")
    def home() -> str:
        return "home"

    @app.get("/invoices/<name>")
    def invoice(name: str) -> Any:
        return DiskResponse(disk.sync, f"private/{name}", filename="Rechnung ü.pdf")

    @app.get("/archive")
    def archive() -> Any:
        return ZipResponse(disk.sync, "private", filename="all.zip")

    app.wsgi_app = mount(app.wsgi_app, {"/storage": serve(disk)})  # type: ignore[method-assign]
    return app


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> Any:
    return SERVERS[request.param]


@pytest.fixture
def secret_disk(tmp_path: Path) -> Disk:
    return disk_of(LocalDriver(tmp_path / "root", "/storage", secret=SECRET))


def test_flask_serves_files_beside_its_own_pages(secret_disk: Disk, server: Any) -> None:
    disk = secret_disk.sync
    disk.put("logo ü.png", CONTENT, visibility="public")
    disk.put("private/1.pdf", b"%PDF")
    with server(in_flask(secret_disk)) as url, httpx.Client(base_url=url) as http:
        assert http.get("/").text == "home"
        answer = http.get("/storage/logo ü.png")
        assert (answer.status_code, answer.content) == (200, CONTENT)
        assert answer.headers["content-type"] == "image/png"
        etag = {"If-None-Match": answer.headers["etag"]}
        assert http.get("/storage/logo ü.png", headers=etag).status_code == 304
        part = http.get("/storage/logo ü.png", headers={"Range": "bytes=-5"})
        assert (part.status_code, part.content) == (206, CONTENT[-5:])
        assert part.headers["content-range"] == f"bytes 2047995-2047999/{len(CONTENT)}"
        head = http.head("/storage/logo ü.png")
        assert (head.content, head.headers["content-length"]) == (b"", str(len(CONTENT)))
        assert http.get("/storage/private/1.pdf").status_code == 404
        assert http.get("/storage/missing").status_code == 404
        assert http.delete("/storage/logo ü.png").status_code == 405
        invoice = http.get("/invoices/1.pdf", headers={"Range": "bytes=1-2"})
        assert (invoice.status_code, invoice.content) == (206, b"PD")
        assert "filename*=UTF-8''Rechnung%20%C3%BC.pdf" in invoice.headers["content-disposition"]
        assert http.get("/invoices/2.pdf").status_code == 404
        disk.put("private/3.pdf", CONTENT)
        archive = http.get("/archive")
        assert archive.headers["content-length"] == str(len(archive.content))
        with zipfile.ZipFile(io.BytesIO(archive.content)) as opened:
            assert opened.namelist() == ["1.pdf", "3.pdf"]
            assert opened.read("3.pdf") == CONTENT
        assert http.get("/invoices/3.pdf").content == CONTENT
        assert http.head("/invoices/3.pdf").headers["content-length"] == str(len(CONTENT))


def test_presigned_requests_are_answered(secret_disk: Disk, server: Any) -> None:
    disk = secret_disk.sync
    with server(in_flask(secret_disk)) as url, httpx.Client(base_url=url) as http:
        upload = disk.temporary_upload_url("a.bin", 60, size=len(CONTENT))
        answer = http.request(upload.method, upload.url, content=CONTENT, headers=upload.headers)
        assert answer.status_code == 200
        assert disk.get("a.bin") == CONTENT
        answer = http.get(disk.temporary_url("a.bin", 60))
        assert (answer.status_code, answer.content) == (200, CONTENT)
        form = disk.temporary_upload_form("b.bin", 60, max_size=3_000_000)
        answer = http.post(form.url, data=form.fields, files={"file": CONTENT})
        assert answer.status_code == 204
        assert disk.get("b.bin") == CONTENT
        small = disk.temporary_upload_form("c.bin", 60, max_size=10)
        answer = http.post(small.url, data=small.fields, files={"file": b"x" * 11})
        assert answer.status_code == 413
        assert not disk.exists("c.bin")


def call(app: Any, path: str = "/a.bin", **more: Any) -> tuple[str, dict[str, str], Any]:
    environ: dict[str, Any] = {"PATH_INFO": path, "SCRIPT_NAME": "", "QUERY_STRING": "", **more}
    setup_testing_defaults(environ)
    begun: list[Any] = []
    body = app(environ, lambda status, headers: begun.extend([status, dict(headers)]))
    return begun[0], begun[1], body


def test_server_closes_file_of_client_that_disconnects(tmp_path: Path, server: Any) -> None:
    class Slow(LocalDriver):
        async def open_read(self, path: str, options: Any, /) -> ReadStream:
            stream = await super().open_read(path, options)
            return ReadStream(stream.info, aiter(stream), stream.aclose)  # without a descriptor

    for driver in (LocalDriver(tmp_path), Slow(tmp_path)):
        disk = disk_of(driver)
        disk.sync.put("a.bin", CONTENT * 10)
        before = open_files(tmp_path)
        with server(serve(disk, public=True)) as url:
            with httpx.Client() as http, http.stream("GET", f"{url}/a.bin") as answer:
                assert len(next(answer.iter_raw(1000))) == 1000
            until = time.monotonic() + 20
            while open_files(tmp_path) > before and time.monotonic() < until:
                time.sleep(0.01)
            assert open_files(tmp_path) == before


@pytest.mark.parametrize("read", [0, 1, 3])
def test_close_ends_stream_of_client_that_disconnected(tmp_path: Path, read: int) -> None:
    disk = disk_of(LocalDriver(tmp_path))
    disk.sync.put("a.bin", CONTENT)
    before = open_files(tmp_path)
    status, _, body = call(serve(disk, public=True))
    assert status == "200 OK"
    assert [len(next(body)) for _ in range(read)] == [65_536] * read
    assert open_files(tmp_path) == before + 1
    body.close()
    body.close()
    assert open_files(tmp_path) == before
    assert list(body) == []


def open_files(below: Path) -> int:
    targets = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            targets.append(str(link.readlink()))
        except OSError:
            continue
    return sum(target.startswith(f"{below}/") for target in targets)


def test_body_that_ends_is_closed_without_close(tmp_path: Path) -> None:
    disk = disk_of(LocalDriver(tmp_path))
    disk.sync.put("a.bin", CONTENT)
    before = open_files(tmp_path)
    _, _, body = call(serve(disk, public=True))
    assert b"".join(body) == CONTENT
    assert open_files(tmp_path) == before


class Wrapper:
    """What a server makes of a file that it sends by itself."""

    def __init__(self, file: Any, _block_size: int) -> None:
        self.file = file

    def __iter__(self) -> Any:
        return iter([self.file.read()])

    def close(self) -> None:
        self.file.close()


@pytest.mark.parametrize(
    ("kind", "asked", "wrapped"),
    [
        ("local", "", True),
        ("local", "bytes=1000000-", True),
        ("local", "bytes=-70000", True),
        ("local", "bytes=5-1000000", False),  # a server may send up to the end of the file
        ("local", "bytes=-10", False),
        ("hooked", "", False),  # the event has the number of bytes
        ("layer", "", False),  # it may change what is read
        ("scoped", "", True),
        ("memory", "", False),
    ],
)
def test_server_sends_rest_of_local_file_by_its_file_wrapper(
    tmp_path: Path, kind: str, asked: str, wrapped: bool
) -> None:
    disk = disk_of(MemoryDriver() if kind == "memory" else LocalDriver(tmp_path))
    if kind == "scoped":
        disk = disk.scoped("d")
    disk.sync.put("a.bin", CONTENT)
    if kind == "hooked":
        disk._manager.hooks.register(Hook())
    if kind == "layer":
        disk = disk.with_layer("retry")
    before = open_files(tmp_path)
    request = {"HTTP_RANGE": asked} if asked else {}
    app = serve(disk, public=True)
    _, headers, expected = call(app, **request)
    sent = b"".join(expected)
    _, same_headers, body = call(app, **request, **{"wsgi.file_wrapper": Wrapper})
    assert isinstance(body, Wrapper) is wrapped
    if wrapped:
        assert os.fstat(body.file.fileno()).st_size == len(CONTENT)
    assert b"".join(body) == sent
    body.close()
    assert same_headers == headers
    assert headers["content-length"] == str(len(sent))
    assert open_files(tmp_path) == before


class Hook:
    @hookimpl
    def storage_after_get(self, event: Any) -> None:
        assert event.path


def test_client_that_disconnects_during_upload_stores_nothing() -> None:
    driver = MemoryDriver(base_url="/storage", secret=SECRET)
    disk = disk_of(driver)
    upload = disk.sync.temporary_upload_url("a.bin", 60)
    query = upload.url.partition("?")[2]

    class Broken(io.BytesIO):
        def read(self, _size: int | None = -1, /) -> bytes:
            raise ConnectionResetError

    app = mount(serve(disk), {"/storage": serve(disk)})
    for stream in (io.BytesIO(b"123"), Broken()):
        status, _, body = call(
            app,
            "/storage/a.bin",
            REQUEST_METHOD="PUT",
            QUERY_STRING=query,
            CONTENT_LENGTH="4",
            **{"wsgi.input": stream},
        )
        assert status.startswith("400")
        body.close()
        assert not disk.sync.exists("a.bin")


@pytest.mark.parametrize("length", [None, "", "x", "-5", "4"])
def test_chunked_body_needs_server_that_decodes_it(length: str | None) -> None:
    disk = disk_of(MemoryDriver(base_url="/storage", secret=SECRET))
    upload = disk.sync.temporary_upload_url("a.bin", 60)
    request: dict[str, Any] = {
        "REQUEST_METHOD": "PUT",
        "QUERY_STRING": upload.url.partition("?")[2],
        "HTTP_TRANSFER_ENCODING": "chunked",
        "SCRIPT_NAME": "/storage",
    }
    if length is not None:
        request["CONTENT_LENGTH"] = length
    status, headers, body = call(serve(disk), **request, **{"wsgi.input": io.BytesIO(b"1234")})
    assert status == "411 Length Required"
    assert headers["content-type"].startswith("text/plain")
    body.close()
    assert not disk.sync.exists("a.bin")
    request["wsgi.input_terminated"] = True
    status, _, body = call(serve(disk), **request, **{"wsgi.input": io.BytesIO(b"1234")})
    assert (status, b"".join(body)) == ("200 OK", b"")
    assert disk.sync.get("a.bin") == b"1234"


@pytest.mark.parametrize("port", ["", "unix", None])
def test_unix_socket_has_no_address(port: str | None) -> None:
    disk = disk_of(MemoryDriver())
    disk.sync.put("a.bin", b"1", visibility="public")
    environ = {} if port is None else {"REMOTE_ADDR": "", "REMOTE_PORT": port}
    status, _, body = call(
        serve(disk), SERVER_NAME="unix:/run/x", SERVER_PORT=port or "", **environ
    )
    assert (status, b"".join(body)) == ("200 OK", b"1")


def test_error_before_response_is_raised_and_storage_error_is_status() -> None:
    class Failing(MemoryDriver):
        async def stat(self, path: str, /) -> Any:
            raise StorageException("broken", path=path)

    disk = disk_of(Failing())
    status, headers, body = call(serve(disk))
    assert status == "500 Internal Server Error"
    assert headers["cache-control"] == "no-store"
    assert b"".join(body) == b"Internal Server Error\n"

    async def broken(_scope: Any, _receive: Any, _send: Any) -> None:
        raise LookupError("broken")

    from jtc.storage.wsgi import WsgiApplication

    with pytest.raises(LookupError, match="broken"):
        call(WsgiApplication(broken))

    async def silent(_scope: Any, _receive: Any, _send: Any) -> None:
        pass

    with pytest.raises(RuntimeError, match="before its response"):
        call(WsgiApplication(silent))


def test_error_after_response_began_is_raised(tmp_path: Path) -> None:
    disk = disk_of(LocalDriver(tmp_path))
    disk.sync.put("a.bin", CONTENT)
    _, _, body = call(serve(disk, public=True))
    assert len(next(body)) == 65_536
    (tmp_path / "a.bin").write_bytes(b"short")  # in place, not by a disk
    with pytest.raises(Exception, match=r"a\.bin"):
        list(body)
    body.close()


def test_application_takes_disks_of_both_apis_and_the_manager() -> None:
    with Storage.fake() as faked:
        faked.sync.put("a.txt", b"1", visibility="public")
        for disk in (Storage, Storage.sync, Storage.disk(), Storage.sync.disk()):
            status, _, body = call(validator(serve(disk)), "/a.txt")
            assert (status, b"".join(body)) == ("200 OK", b"1")
            body.close()


async def test_application_in_event_loop_says_so() -> None:
    with pytest.raises(RuntimeError, match="An event loop runs in this thread"):
        call(serve(disk_of(MemoryDriver())))


def test_options_are_those_of_the_asgi_application() -> None:
    for ours, theirs in (
        (serve, asgi.serve),
        (DiskResponse, asgi.DiskResponse),
        (ZipResponse, asgi.ZipResponse),
    ):
        options = dict(inspect.signature(theirs).parameters)
        options.pop("background", None)  # a WSGI server runs none
        assert list(inspect.signature(ours).parameters) == list(options)
        for name, parameter in inspect.signature(ours).parameters.items():
            assert parameter.default == options[name].default


def test_mount_prefers_longest_path_and_moves_it_to_script_name() -> None:
    def named(name: str) -> Any:
        def app(environ: Any, start_response: Any) -> list[bytes]:
            start_response("200 OK", [])
            return [f"{name} {environ['SCRIPT_NAME']} {environ['PATH_INFO']}".encode()]

        return app

    app = mount(named("main"), {"/a": named("a"), "/a/b": named("ab")})
    for path, expected in {
        "/": b"main  /",
        "/ab": b"main  /ab",
        "/a": b"a /a ",
        "/a/c": b"a /a /c",
        "/a/b/c": b"ab /a/b /c",
    }.items():
        assert call(app, path)[2] == [expected]
    assert call(app, "/a/c", SCRIPT_NAME="/x")[2] == [b"a /x/a /c"]
    for wrong in ("a", "/a/", "", "/"):
        with pytest.raises(ValueError, match="mount"):
            mount(named("main"), {wrong: named("a")})


def test_requests_of_many_threads_are_answered_at_the_same_time() -> None:
    class Waiting(MemoryDriver):
        arrived = 0

        async def visibility(self, path: str, /) -> Any:
            type(self).arrived += 1
            until = time.monotonic() + 30
            while self.arrived < 4 and time.monotonic() < until:
                await asyncio.sleep(0.001)
            return await super().visibility(path)

    disk = disk_of(Waiting())
    disk.sync.put("a.bin", b"1", visibility="public")
    app = serve(disk)
    results: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: results.append(b"".join(call(app)[2]))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [b"1"] * 4
    assert Waiting.arrived == 4
