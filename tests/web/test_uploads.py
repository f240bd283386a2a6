"""Uploads in FastAPI, Starlette and Litestar: dependencies, bodies, error responses."""

from __future__ import annotations

import asyncio
import io
import json
import re
from typing import TYPE_CHECKING, Annotated, Any

import httpx
import pytest
import uvicorn
from fastapi import Depends, FastAPI, Request, UploadFile
from litestar import Litestar
from litestar import Request as LitestarRequest
from litestar import post as litestar_post
from litestar import put as litestar_put
from litestar.datastructures import UploadFile as LitestarUpload
from litestar.di import NamedDependency, Provide
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath
from starlette.applications import Starlette
from starlette.datastructures import UploadFile as StarletteUpload
from starlette.responses import JSONResponse
from starlette.routing import Route
from uvicorn.lifespan.on import LifespanOn

from jtc.storage import (
    Disk,
    FileExistsException,
    FileNotFoundException,
    IntegrityException,
    InvalidPathException,
    NotModifiedException,
    PathConflictException,
    PreconditionFailedException,
    ReadOnlyException,
    RejectedException,
    Storage,
    StorageConfigException,
    StorageException,
    StorageFullException,
    StorageManager,
    StoragePermissionException,
    StorageTimeoutException,
    StorageUnavailableException,
    UnsupportedOperationException,
)
from jtc.storage.asgi import (
    closing_disks,
    disk,
    put_request,
    put_request_file,
    status_of,
    storage_problem,
)
from jtc.storage.drivers.memory_driver import MemoryDriver
from web_disks import running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from web_disks import Client

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(200)
LIMITS: Any = {"max_size": 1000, "allowed_types": ["image/png", "text/plain", "text/csv"]}
DEADLINE = 30.0
Media = Annotated[Disk, Depends(disk("media"))]


@pytest.fixture(params=["memory", "local"], name="media")
def configured_media(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    """Give the disk that `disk("media")` gives to the handlers."""
    if request.param == "local":
        Storage.configure({"disks": {"media": {"driver": "local", "root": str(tmp_path / "root")}}})
    else:
        Storage.configure({"disks": {"media": {"driver": "memory"}}})
    yield Storage.disk("media")
    Storage.forget("media")
    Storage._config = None


def fastapi_app() -> Any:
    app = FastAPI()
    app.add_exception_handler(StorageException, storage_problem)

    @app.put("/raw/{path:path}")
    async def raw(path: str, request: Request, media: Media) -> str:
        return await put_request(media, path, request, **LIMITS)

    @app.post("/raw")
    async def named(request: Request, media: Media) -> str:
        return await put_request_file(media, "in", request, **LIMITS)

    @app.post("/form")
    async def form(file: UploadFile, media: Media) -> str:
        return await media.put_file("in", file, **LIMITS)

    return app


async def _raw(request: Any) -> JSONResponse:
    media = Storage.disk("media")
    path = await put_request(media, request.path_params["path"], request, **LIMITS)
    return JSONResponse(path)


async def _named(request: Any) -> JSONResponse:
    return JSONResponse(await put_request_file(Storage.disk("media"), "in", request, **LIMITS))


async def _form(request: Any) -> JSONResponse:
    async with request.form() as form:
        return JSONResponse(await Storage.disk("media").put_file("in", form["file"], **LIMITS))


def starlette_app() -> Any:
    return Starlette(
        routes=[
            Route("/raw/{path:path}", _raw, methods=["PUT"]),
            Route("/raw", _named, methods=["POST"]),
            Route("/form", _form, methods=["POST"]),
        ],
        exception_handlers={StorageException: storage_problem},
    )


@litestar_put("/raw/{path:path}", media_type="application/json")
async def _litestar_raw(
    path: FromPath[str], request: LitestarRequest, media: NamedDependency[Disk]
) -> str:
    return await put_request(media, path, request, **LIMITS)


@litestar_post("/raw", media_type="application/json", status_code=200)
async def _litestar_named(request: LitestarRequest, media: NamedDependency[Disk]) -> str:
    return await put_request_file(media, "in", request, **LIMITS)


@litestar_post("/form", media_type="application/json", status_code=200)
async def _litestar_form(
    data: Annotated[dict[str, LitestarUpload], Body(media_type=RequestEncodingType.MULTI_PART)],
    media: NamedDependency[Disk],
) -> str:
    return await media.put_file("in", data["file"], **LIMITS)


def litestar_app() -> Any:
    return Litestar(
        [_litestar_raw, _litestar_named, _litestar_form],
        dependencies={"media": Provide(disk("media"))},
        exception_handlers={StorageException: storage_problem},  # type: ignore[dict-item]
        logging_config=None,  # its own removes the log handlers of pytest
    )


APPS = {"fastapi": fastapi_app, "starlette": starlette_app, "litestar": litestar_app}


@pytest.fixture(params=list(APPS))
def app(request: pytest.FixtureRequest) -> Any:
    return APPS[request.param]()


async def paths(media: Disk) -> list[str]:
    return [entry.path async for entry in media.list("", recursive=True)]


async def test_a_body_and_a_form_go_to_the_disk(app: Any, media: Disk, client: Client) -> None:
    http = client(app)
    answer = await http.put("/raw/a/ä b.png", content=PNG, headers={"Content-Type": "text/html"})
    assert (answer.status_code, answer.text.strip('"')) == (200, "a/ä b.png")
    assert await media.get("a/ä b.png") == PNG
    # The client's Content-Type is ignored.
    assert await media.mime_type("a/ä b.png") == "image/png"
    for answer in (
        await http.post("/raw", content=PNG),
        await http.post("/form", files={"file": ("../a.html", PNG)}),
    ):
        path = answer.text.strip('"')
        assert re.fullmatch(r"in/[0-9a-f]{32}\.png", path)
        assert await media.get(path) == PNG


async def unannounced(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 100):
        yield content[start : start + 100]


async def test_a_refused_upload_says_why_and_stores_nothing(
    app: Any, media: Disk, client: Client
) -> None:
    http = client(app)
    for content in (PNG * 5, unannounced(PNG * 5)):
        answer = await http.put("/raw/a.png", content=content)
        assert answer.status_code == 413
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json() == {
            "title": "Content Too Large",
            "status": 413,
            "detail": "The content is longer than 1000 bytes",
            "reason": "size",
        }
    program = b"\x7fELF" + bytes(50)
    for answer in (
        await http.put("/raw/a.png", content=program),
        await http.put("/raw/a.html", content=b"<script>"),
        await http.post("/raw", content=program),
        await http.post("/form", files={"file": ("a.png", program)}),
    ):
        assert (answer.status_code, answer.json()["reason"]) == (415, "type")
    for headers, status in (
        ({"Content-Encoding": "gzip"}, 415),
        ({"Content-Range": "bytes 0-9/20"}, 400),
    ):
        assert (await http.put("/raw/a.png", content=PNG, headers=headers)).status_code == status
    answer = await http.put("/raw/a%5Cb.png", content=PNG)
    assert answer.status_code == 400
    assert "backslash" in answer.json()["detail"]
    assert await paths(media) == []


FIELD = b'--b\r\nContent-Disposition: form-data; name="csrf"\r\n\r\ntoken\r\n'
NOT_CHOSEN = (
    b'--b\r\nContent-Disposition: form-data; name="other"; filename=""\r\n'
    b"Content-Type: application/octet-stream\r\n\r\n\r\n"
)
END = b"--b--\r\n"
FORM = {"Content-Type": "multipart/form-data; boundary=b"}


def file_part(content: bytes, filename: str = "a.csv") -> bytes:
    head = f'--b\r\nContent-Disposition: form-data; name="f"; filename="{filename}"\r\n\r\n'
    return head.encode() + content + b"\r\n"


ENCODED_PART = file_part(b"MQ==").replace(
    b"\r\n\r\n", b"\r\nContent-Transfer-Encoding: base64\r\n\r\n"
)


@pytest.mark.parametrize("pieces", [1, 7, 10_000])
async def test_put_request_of_a_form_stores_its_one_file(
    app: Any, media: Disk, client: Client, pieces: int
) -> None:
    http = client(app)
    around = [b"", FIELD, NOT_CHOSEN, FIELD + NOT_CHOSEN]
    for before, after in zip(around, reversed(around), strict=True):
        body = before + file_part(b"a,b\r\n1,2") + after + END

        async def content(body: bytes = body) -> AsyncIterator[bytes]:
            for start in range(0, len(body), pieces):
                yield body[start : start + pieces]

        answer = await http.put("/raw/a.csv", content=content(), headers=FORM)
        assert (answer.status_code, answer.text.strip('"')) == (200, "a.csv")
        assert await media.get("a.csv") == b"a,b\r\n1,2"
    answer = await http.post("/raw", content=file_part(b"a,b") + END, headers=FORM)
    # Text keeps the client's extension, as in a form that a framework has read.
    assert re.fullmatch(r"in/[0-9a-f]{32}\.csv", answer.text.strip('"'))
    assert await media.get(answer.text.strip('"')) == b"a,b"


@pytest.mark.parametrize(
    ("body", "headers", "status", "detail"),
    [
        (END, FORM, 400, "has no file"),
        (FIELD + END, FORM, 400, "has no file"),
        (NOT_CHOSEN + END, FORM, 400, "has no file"),
        (FIELD + NOT_CHOSEN + FIELD + END, FORM, 400, "has no file"),
        (file_part(b"1") + file_part(b"2") + END, FORM, 400, "more than one file"),
        (file_part(b"1") + file_part(b"2", "") + END, FORM, 400, "more than one file"),
        (file_part(b"1"), FORM, 400, "incomplete"),
        (b"no form at all", FORM, 400, "malformed"),
        (FIELD * 10_000 + file_part(b"1") + END, FORM, 400, "too long"),
        (file_part(b"1") + FIELD * 10_000 + END, FORM, 400, "too long"),
        (file_part(bytes(2000)) + END, FORM, 413, "longer than 1000 bytes"),
        (file_part(b"\x7fELF" + bytes(50)) + END, FORM, 415, "application/octet-stream"),
        (file_part(b"1") + END, {"Content-Type": "multipart/form-data"}, 415, "boundary"),
        (file_part(b"1") + END, {"Content-Type": " Multipart/Mixed; boundary=b"}, 415, "alone"),
        # What a form without enctype sends: the name of the file only.
        (b"file=a.png", {"Content-Type": "application/x-www-form-urlencoded"}, 415, "enctype"),
        (b"f=a", {"Content-Type": "Application/X-WWW-Form-Urlencoded; charset=x"}, 415, "enctype"),
        (ENCODED_PART + END, FORM, 400, "Content-Transfer-Encoding"),
    ],
)
async def test_put_request_of_a_form_without_one_file_stores_nothing(
    media: Disk, client: Client, body: bytes, headers: dict[str, str], status: int, detail: str
) -> None:
    http = client(fastapi_app())
    await media.put("a.png", PNG)
    for method, url in (("PUT", "/raw/a.png"), ("POST", "/raw")):
        answer = await http.request(method, url, content=body, headers=headers)
        assert answer.status_code == status
        assert detail in answer.json()["detail"]
    assert await paths(media) == ["a.png"]
    assert await media.get("a.png") == PNG


async def test_put_request_of_a_body_that_was_read_before_stores_nothing(
    media: Disk, client: Client
) -> None:
    async def store_again(request: Request) -> JSONResponse:
        async for _ in request.stream():
            pass
        return JSONResponse(await put_request(media, "a.png", request))

    await media.put("a.png", PNG)
    http = client(Starlette(routes=[Route("/", store_again, methods=["POST"])]))
    with pytest.raises(IntegrityException, match="was read before: store the UploadFile"):
        await http.post("/", content=file_part(b"1") + END, headers=FORM)
    assert await media.get("a.png") == PNG


async def test_put_of_an_upload_that_was_not_chosen_keeps_the_old_file(
    app: Any, media: Disk, client: Client
) -> None:
    """A framework has read the form, and gives the empty part to the handler."""
    await media.put("a.png", PNG)
    body = NOT_CHOSEN.replace(b"other", b"file") + END
    answer = await client(app).post("/form", content=body, headers=FORM)
    # FastAPI's and Litestar's own checks may refuse it before the handler.
    assert answer.status_code in {400, 422}
    assert await paths(media) == ["a.png"]


class BlockingUpload(io.BytesIO):
    """An upload of a WSGI framework, which is read without `await`."""

    filename = ""


async def test_put_of_an_empty_upload_without_a_name_stores_nothing(disk: Disk) -> None:
    chosen = StarletteUpload(io.BytesIO(), filename="a.txt", size=0)
    not_chosen = StarletteUpload(io.BytesIO(), filename="", size=0)
    blocking = BlockingUpload()
    await disk.put("a.txt", b"old")
    for upload in (not_chosen, blocking, StarletteUpload(io.BytesIO(), filename="")):
        for put in (
            lambda: disk.put("a.txt", upload),  # noqa: B023 - called before the next one
            lambda: disk.put("a.txt", upload, size=0),  # noqa: B023
            lambda: disk.put_file("in", upload),  # noqa: B023
        ):
            with pytest.raises(RejectedException, match="without a file"):
                await put()
    assert [entry.path async for entry in disk.list("", recursive=True)] == ["a.txt"]
    assert await disk.get("a.txt") == b"old"
    await disk.put("a.txt", chosen)
    assert await disk.get("a.txt") == b""


async def test_put_request_of_a_form_stores_an_empty_file_that_was_chosen(
    app: Any, media: Disk, client: Client
) -> None:
    body = file_part(b"", "a.txt") + END
    assert (await client(app).put("/raw/a.txt", content=body, headers=FORM)).status_code == 200
    assert await media.get("a.txt") == b""


async def test_the_conditions_of_a_request_hold(app: Any, media: Disk, client: Client) -> None:
    http = client(app)
    new = {"If-None-Match": "*"}
    assert (await http.put("/raw/a.png", content=PNG, headers=new)).status_code == 200
    answer = await http.put("/raw/a.png", content=PNG + b"2", headers=new)
    assert (answer.status_code, answer.json()["status"]) == (412, 412)
    old = {"If-Match": f'"{(await media.stat("a.png")).etag}"'}
    assert (await http.put("/raw/a.png", content=PNG + b"3", headers=old)).status_code == 200
    assert (await http.put("/raw/a.png", content=PNG + b"4", headers=old)).status_code == 412
    assert (await http.put("/raw/b.png", content=PNG, headers=old)).status_code == 412
    assert await media.get("a.png") == PNG + b"3"
    assert await paths(media) == ["a.png"]


async def test_conditions_of_the_handler_win_over_those_of_the_request(
    media: Disk, client: Client
) -> None:
    app = FastAPI()
    app.add_exception_handler(StorageException, storage_problem)

    @app.put("/new")
    async def new(request: Request, media: Media) -> str:
        return await put_request(media, "a.txt", request, overwrite=False)

    @app.put("/any")
    async def any_(request: Request, media: Media) -> str:
        return await put_request(media, "a.txt", request, overwrite=True)

    http = client(app)
    assert (await http.put("/new", content=b"1")).status_code == 200
    # No condition of the request failed: the file is in the way.
    assert (await http.put("/new", content=b"2")).status_code == 409
    matching = {"If-Match": f'"{(await media.stat("a.txt")).etag}"'}
    assert (await http.put("/new", content=b"2", headers=matching)).status_code == 412
    assert (await http.put("/any", content=b"2", headers={"If-None-Match": "*"})).status_code == 412
    assert await media.get("a.txt") == b"1"
    assert (await http.put("/any", content=b"2", headers=matching)).status_code == 200


async def test_put_request_min_size_refuses_a_shorter_body(media: Disk, client: Client) -> None:
    app = FastAPI()
    app.add_exception_handler(StorageException, storage_problem)

    @app.put("/")
    async def put(request: Request, media: Media) -> str:
        return await put_request(media, "a.txt", request, min_size=3)

    http = client(app)
    for content in (b"12", unannounced(b"12"), b""):
        answer = await http.put("/", content=content)
        assert answer.status_code == 400
        assert answer.json()["detail"] == "The content is shorter than 3 bytes"
        assert answer.json()["reason"] == "min_size"
    assert await paths(media) == []
    assert (await http.put("/", content=b"123")).status_code == 200


@pytest.mark.usefixtures("media")
async def test_progress_gets_the_announced_length(client: Client) -> None:
    calls: list[tuple[int, int | None]] = []
    app = FastAPI()

    @app.put("/")
    async def put(request: Request, media: Media) -> str:
        progress = lambda done, total: calls.append((done, total))  # noqa: E731
        return await put_request(media, "a.bin", request, progress=progress)

    http = client(app)
    await http.put("/", content=bytes(5000))
    assert calls[-1] == (5000, 5000)
    await http.put("/", content=unannounced(bytes(500)))
    assert calls[-1] == (500, None)
    assert [done for done, _ in calls[1:]] == sorted(done for done, _ in calls[1:])


class Listening(MemoryDriver):
    """Records when a put has begun and when it is over."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.over = asyncio.Event(), asyncio.Event()

    async def write_file(self, path: str, content: Any, options: Any, /) -> str | None:
        async def seen() -> AsyncIterator[bytes]:
            async for chunk in content:
                self.begun.set()
                yield chunk

        try:
            return await super().write_file(path, seen(), options)
        finally:
            self.over.set()


# Litestar reads a form before any handler, and leaves an incomplete one to the garbage collector.
@pytest.mark.parametrize(
    ("name", "kind"),
    [(name, "raw") for name in APPS] + [("fastapi", "form"), ("starlette", "form")],
)
async def test_a_client_that_disconnects_stores_nothing(
    name: str, kind: str, media: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    """A real server: the connection is closed before the end of the body."""
    driver = Listening()
    if "MemoryDriver" in repr(media.driver):
        Storage.set_driver(driver, "media")
    await media.put("old.png", PNG)
    driver.begun.clear()
    driver.over.clear()
    lines = {
        "raw": "PUT /raw/old.png HTTP/1.1\r\n",
        "form": "POST /form HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=b\r\n",
    }
    part = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
    async with running(APPS[name]()) as base:
        host, port = httpx.URL(base).host, httpx.URL(base).port
        for _ in range(10):
            _, writer = await asyncio.open_connection(host, port)
            writer.write(f"{lines[kind]}Host: a\r\nContent-Length: 900\r\n\r\n".encode())
            writer.write((part if kind == "form" else b"") + PNG)
            await writer.drain()
            if kind == "raw" and media.driver is driver:
                await asyncio.wait_for(driver.begun.wait(), DEADLINE)
                writer.transport.abort()
                await asyncio.wait_for(driver.over.wait(), DEADLINE)
                driver.begun.clear()
                driver.over.clear()
            else:
                await asyncio.sleep(0.02)
                writer.transport.abort()
        # uvicorn waits for all handlers before it ends.
    assert await paths(media) == ["old.png"]
    assert await media.get("old.png") == PNG
    assert await media.all_files("") == ["old.png"]
    # Frameworks log a disconnect while they read a form themselves.
    if name == "fastapi" or (name, kind) == ("starlette", "raw"):
        assert "Traceback" not in caplog.text


ERRORS = [
    (FileNotFoundException("File not found"), 404),
    (InvalidPathException("A path must not be empty"), 400),
    (InvalidPathException("No such thing as inner/secret.txt"), 400),
    (ReadOnlyException("read-only"), 403),
    (StoragePermissionException("Denied for AKIASECRET"), 500),
    (PathConflictException("There is a file where a directory is needed"), 409),
    (FileExistsException("The file exists already"), 409),
    (PreconditionFailedException("Another version"), 409),
    (RejectedException("The content is longer", reason="size"), 413),
    (RejectedException("The content is shorter", reason="min_size"), 400),
    (RejectedException("The content is text/html", reason="type"), 415),
    (RejectedException("Send it plain", reason="encoding"), 415),
    (RejectedException("Not on Sundays", reason="predicate"), 400),
    (RejectedException("No inner/secret.txt"), 400),
    (RejectedException(), 400),
    (IntegrityException("The content has not the 5 bytes"), 400),
    (UnsupportedOperationException("The driver 'x' does not support it"), 501),
    (StorageUnavailableException("http://10.0.0.1:9 refused"), 503),
    (StorageTimeoutException("bucket-17 did not answer"), 503),
    (StorageFullException("No space left on /dev/sda1"), 507),
    (StorageConfigException("No driver for bucket-17"), 500),
    (StorageException("The driver failed"), 500),
]


@pytest.mark.parametrize("name", list(APPS))
@pytest.mark.parametrize(
    ("error", "status"), ERRORS, ids=[f"{type(e).__name__}-{s}" for e, s in ERRORS]
)
async def test_every_error_is_a_problem_without_anything_internal(
    name: str, error: StorageException, status: int, client: Client
) -> None:
    error.path, error.disk, error.operation = "inner/secret.txt", "media-inner", "put"
    answer = await client(raising(name, error)).get("/")
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert int(answer.headers["content-length"]) == len(answer.content)
    problem = answer.json()
    assert set(problem) - {"reason"} == {"title", "status", "detail"}
    assert problem["status"] == status
    for inner in ("inner", "secret", "akia", "10.0.0.1", "bucket", "/dev", "driver"):
        assert inner not in answer.text.lower()
    if isinstance(error, RejectedException):
        assert problem["reason"] == error.reason
    if status == 503:
        assert int(answer.headers["retry-after"]) > 0
    # 412 with a condition in the request; otherwise as in status_of().
    if isinstance(error, PreconditionFailedException):
        assert status_of(error) == 412
        answer = await client(raising(name, error)).get("/", headers={"If-Match": '"a"'})
        assert (answer.status_code, answer.json()["title"]) == (412, "Precondition Failed")
    else:
        assert status_of(error) == status


@pytest.mark.parametrize("name", list(APPS))
async def test_storage_problem_sends_no_body_for_not_modified(name: str, client: Client) -> None:
    error = NotModifiedException("The file still is the version", path="a.txt")
    answer = await client(raising(name, error)).get("/", headers={"If-None-Match": '"a"'})
    assert (answer.status_code, answer.content) == (304, b"")
    for header in ("content-type", "content-length", "cache-control"):
        assert header not in answer.headers
    assert status_of(error) == 304


def raising(name: str, error: Exception) -> Any:
    """Make an application whose one handler raises."""
    from litestar import get as litestar_get

    async def fail() -> None:
        raise error

    async def starlette_fail(_: Any) -> None:
        raise error

    if name == "litestar":
        return Litestar(
            [litestar_get("/")(fail)],
            exception_handlers={StorageException: storage_problem},  # type: ignore[dict-item]
            logging_config=None,  # its own removes the log handlers of pytest
        )
    if name == "starlette":
        return Starlette(
            routes=[Route("/", starlette_fail)],
            exception_handlers={StorageException: storage_problem},
        )
    app = FastAPI()
    app.add_exception_handler(StorageException, storage_problem)
    app.get("/")(fail)
    return app


@pytest.mark.parametrize("name", list(APPS))
@pytest.mark.parametrize(
    "error", [StorageConfigException("No disk 'x'"), StorageException("The storage failed")]
)
async def test_a_fault_of_the_program_is_500_and_logged(
    name: str, error: StorageException, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(raising(name, error)) as base, httpx.AsyncClient() as http:
        answer = await http.get(base)
    assert answer.status_code == 500
    assert str(error.message) not in answer.text
    assert type(error).__name__ in caplog.text


def test_storage_problem_raises_other_exceptions() -> None:
    with pytest.raises(KeyError):
        storage_problem(None, KeyError("a"))  # type: ignore[arg-type]


async def test_a_message_with_a_lone_surrogate_is_sent_with_a_question_mark() -> None:
    from starlette.requests import Request as Plain

    plain = Plain({"type": "http", "headers": []})
    answer = storage_problem(plain, RejectedException("a\ud800b"))
    assert json.loads(answer.body)["detail"] == "a?b"


@pytest.mark.parametrize("name", list(APPS))
async def test_the_lifespan_closes_what_was_opened(name: str) -> None:
    closed: list[str] = []

    class Closing(MemoryDriver):
        async def aclose(self) -> None:
            closed.append("media")

    manager = StorageManager.isolated({"disks": {"media": {"driver": "closing"}}})
    manager.extend("closing", Closing)
    lifespan = closing_disks(manager)
    app: Any = {
        "fastapi": lambda: FastAPI(lifespan=lifespan),
        "starlette": lambda: Starlette(lifespan=lifespan),
        "litestar": lambda: Litestar([], lifespan=[lifespan]),
    }[name]()
    server = LifespanOn(uvicorn.Config(app, log_config=None))
    await server.startup()
    assert not server.should_exit
    given = await disk("media", manager=manager)()
    await given.put("a.txt", b"1")
    assert not closed
    await server.shutdown()
    assert closed == ["media"]


async def test_the_dependency_without_a_name_is_the_default_disk() -> None:
    with Storage.fake() as fake:
        await (await disk()()).put("a.txt", b"1")
        fake.assert_exists("a.txt")
