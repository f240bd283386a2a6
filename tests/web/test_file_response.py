"""`DiskResponse` beside Starlette's `FileResponse`: arguments, headers, OpenAPI."""

from __future__ import annotations

import inspect
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import FileResponse
from starlette.routing import Mount

from jtc.storage.asgi import DiskResponse, XAccel, ZipResponse, serve
from jtc.storage.drivers.memory_driver import MemoryDriver
from web_disks import disk_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from jtc.storage import Disk
    from web_disks import Client

CONTENT = b"0123456789"


def test_disk_response_takes_every_argument_of_file_response() -> None:
    theirs = inspect.signature(FileResponse.__init__).parameters
    ours = inspect.signature(DiskResponse.__init__).parameters
    for name, parameter in theirs.items():
        if name == "stat_result":  # of the machine's files only
            continue
        assert name in ours
        assert ours[name].default == parameter.default


@pytest.mark.parametrize("wrong", ["media", disk_of(MemoryDriver()).sync, None])
def test_responses_and_serve_refuse_what_is_no_disk(wrong: Any) -> None:
    makers: list[Callable[[], object]] = [
        lambda: serve(wrong),
        lambda: DiskResponse(wrong, "a.txt"),
        lambda: ZipResponse(wrong, ["a.txt"]),
    ]
    for make in makers:
        with pytest.raises(TypeError, match=r"Pass a disk, such as Storage\.disk\(.media.\), not"):
            make()


@pytest.mark.parametrize("wrong", [True, "/internal/", XAccel])
def test_accelerate_refuses_what_names_no_files(wrong: Any) -> None:
    disk = disk_of(MemoryDriver())
    with pytest.raises(TypeError, match="accelerate is XAccel"):
        serve(disk, accelerate=wrong)
    with pytest.raises(TypeError, match="accelerate is XAccel"):
        DiskResponse(disk, "a.txt", accelerate=wrong)


@pytest.mark.parametrize("method", ["get", "post"])
async def test_response_class_disk_response_has_an_openapi_schema(
    client: Client, method: str
) -> None:
    disk = disk_of(MemoryDriver())
    await disk.put("a.txt", CONTENT)
    app = FastAPI()

    @getattr(app, method)("/a", response_class=DiskResponse)
    async def read() -> DiskResponse:
        return DiskResponse(disk, "a.txt")

    http = client(app)
    schema = (await http.get("/openapi.json")).json()
    assert list(schema["paths"]["/a"][method]["responses"]) == ["200"]
    assert (await http.request(method.upper(), "/a")).content == CONTENT


async def test_status_code_is_sent_and_conditions_are_ignored(disk: Disk, client: Client) -> None:
    await disk.put("404.html", CONTENT)
    http = client(DiskResponse(disk, "404.html", status_code=404, active=True))
    etag = (await http.get("/")).headers["etag"]
    for headers in ({}, {"Range": "bytes=0-1"}, {"If-None-Match": etag}, {"If-Match": '"x"'}):
        response = await http.get("/", headers=headers)
        assert (response.status_code, response.content) == (404, CONTENT)
        assert "content-range" not in response.headers
        response = await http.head("/", headers=headers)
        assert (response.status_code, response.content) == (404, b"")
        assert response.headers["content-length"] == "10"


async def test_status_code_may_be_changed_before_the_response_is_sent(client: Client) -> None:
    disk = disk_of(MemoryDriver())
    await disk.put("a.txt", CONTENT)
    response = DiskResponse(disk, "a.txt")
    response.status_code = 203
    assert (await client(response).get("/")).status_code == 203
    assert (await client(DiskResponse(disk, "b.txt", status_code=201)).get("/")).status_code == 404


async def test_etag_in_headers_is_compared(disk: Disk, client: Client) -> None:
    await disk.put("a.txt", CONTENT)
    own = (await disk.stat("a.txt")).etag
    http = client(DiskResponse(disk, "a.txt", headers={"ETag": '"mine"'}))
    for name, value, status, content in (
        ("If-None-Match", '"mine"', 304, b""),
        ("If-None-Match", 'W/"mine"', 304, b""),
        ("If-None-Match", f'"{own}"', 200, CONTENT),
        ("If-Match", '"mine"', 200, CONTENT),
        ("If-Match", f'"{own}"', 412, None),
        ("If-Range", '"mine"', 206, b"01"),
        ("If-Range", f'"{own}"', 200, CONTENT),
    ):
        headers = {name: value, **({"Range": "bytes=0-1"} if name == "If-Range" else {})}
        response = await http.get("/", headers=headers)
        assert response.status_code == status, headers
        if content is not None:
            assert response.content == content
            assert response.headers.get_list("etag") == ['"mine"']
        assert (await http.head("/", headers=headers)).status_code == (
            status if status != 206 else 200
        )


async def test_etag_added_to_the_headers_later_is_compared_too(client: Client) -> None:
    disk = disk_of(MemoryDriver())
    await disk.put("a.txt", CONTENT)
    response = DiskResponse(disk, "a.txt")
    response.headers["ETag"] = 'W/"mine"'
    http = client(response)
    assert (await http.get("/", headers={"If-None-Match": 'W/"mine"'})).status_code == 304
    weak = {"If-Range": 'W/"mine"', "Range": "bytes=0-1"}
    assert (await http.get("/", headers=weak)).status_code == 200


async def test_last_modified_in_headers_is_compared(disk: Disk, client: Client) -> None:
    await disk.put("a.txt", CONTENT)
    then = formatdate(1_000_000_000, usegmt=True)
    http = client(DiskResponse(disk, "a.txt", headers={"last-modified": then}))
    response = await http.get("/", headers={"If-Modified-Since": then})
    assert (response.status_code, response.headers["last-modified"]) == (304, then)
    response = await http.get("/", headers={"If-Range": then, "Range": "bytes=0-1"})
    assert response.status_code == 206
    before = formatdate(999_999_999, usegmt=True)
    assert (await http.get("/", headers={"If-Modified-Since": before})).status_code == 200
    assert (await http.get("/", headers={"If-Unmodified-Since": before})).status_code == 412


async def test_headers_replace_those_of_the_file_but_not_its_length(client: Client) -> None:
    disk = disk_of(MemoryDriver())
    await disk.put("a.txt", CONTENT, cache_control="no-store")
    own = {
        "Cache-Control": "max-age=5",
        "Content-Disposition": 'inline; filename="b"',
        "Content-Type": "image/x-own",
        "Content-Length": "99",
        "Content-Range": "bytes 0-98/99",
    }
    http = client(DiskResponse(disk, "a.txt", headers=own, filename="c"))
    response = await http.get("/")
    assert response.content == CONTENT
    for name in ("Cache-Control", "Content-Disposition", "Content-Type"):
        assert response.headers.get_list(name) == [own[name]]
    assert response.headers["content-length"] == "10"
    assert "content-range" not in response.headers
    etag = {"If-None-Match": response.headers["etag"]}
    response = await http.get("/", headers=etag)
    assert response.headers["cache-control"] == "max-age=5"
    for name in ("content-type", "content-disposition", "content-length", "content-range"):
        assert name not in response.headers


async def test_page_declared_by_headers_is_sandboxed(client: Client) -> None:
    disk = disk_of(MemoryDriver())
    await disk.put("a.txt", b"<script>alert(1)</script>")
    http = client(DiskResponse(disk, "a.txt", headers={"content-type": "text/html"}))
    response = await http.get("/")
    assert response.headers["content-type"] == "text/html"
    assert "sandbox" in response.headers["content-security-policy"]


async def test_filename_gives_the_type_where_the_path_gives_none(
    disk: Disk, client: Client
) -> None:
    await disk.put("a", b"\x00\x01")
    response = await client(DiskResponse(disk, "a", filename="photo.png")).get("/")
    assert response.headers["content-type"] == "image/png"
    given = DiskResponse(disk, "a", filename="photo.png", media_type="image/jpeg")
    assert (await client(given).get("/")).headers["content-type"] == "image/jpeg"


async def test_background_runs_once_after_every_response(client: Client) -> None:
    disk = disk_of(MemoryDriver())
    await disk.put("a.txt", CONTENT)
    ran: list[int] = []
    http = client(DiskResponse(disk, "a.txt", background=BackgroundTask(ran.append, 1)))
    for headers in ({}, {"Range": "bytes=0-1"}, {"If-None-Match": "*"}, {"Range": "bytes=99-"}):
        await http.get("/", headers=headers)
    await http.head("/")
    assert len(ran) == 5


async def test_gzip_middleware_compresses_a_whole_file_and_no_part(client: Client) -> None:
    disk = disk_of(MemoryDriver())
    content = CONTENT * 500
    await disk.put("a.txt", content)
    app = Starlette(
        routes=[Mount("/", serve(disk, public=True))], middleware=[Middleware(GZipMiddleware)]
    )
    http = client(app)
    response = await http.get("/a.txt")
    assert response.headers["content-encoding"] == "gzip"
    assert response.headers["vary"] == "Accept-Encoding"
    assert response.content == content
    response = await http.get("/a.txt", headers={"Range": "bytes=0-4999"})
    assert (response.status_code, response.content) == (206, content[:5000])
    assert "content-encoding" not in response.headers


async def test_compressed_file_has_its_own_type_and_no_encoding(disk: Disk, client: Client) -> None:
    await disk.put("a.tar.gz", b"\x1f\x8b\x08" + bytes(30))
    response = await client(serve(disk, public=True)).get("/a.tar.gz")
    assert response.headers["content-type"] == "application/gzip"
    assert "content-encoding" not in response.headers
