"""Files that are stored compressed, and sent with their Content-Encoding."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Mount

from jtc.storage.asgi import DiskResponse, XAccel, serve
from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.drivers.memory_driver import MemoryDriver
from web_disks import disk_of

if TYPE_CHECKING:
    from pathlib import Path

    from jtc.storage import Disk
    from web_disks import Client

PLAIN = b"body { color: red }\n" * 500
STORED = gzip.compress(PLAIN, mtime=0)


async def test_content_encoding_is_sent_with_the_file(disk: Disk, client: Client) -> None:
    await disk.put("site.css", STORED, content_encoding="gzip")
    http = client(serve(disk, public=True))
    response = await http.get("/site.css")
    assert response.headers["content-encoding"] == "gzip"
    assert response.headers["content-length"] == str(len(STORED))
    assert response.headers["content-type"] == "text/css; charset=utf-8"
    assert response.content == PLAIN  # which the client unpacked
    assert (await http.head("/site.css")).headers["content-encoding"] == "gzip"
    part = {"Range": "bytes=10-19"}
    async with http.stream("GET", "/site.css", headers=part) as ranged:
        raw = b"".join([chunk async for chunk in ranged.aiter_raw()])
    # A range is one of the compressed content (RFC 9110, section 14).
    assert (ranged.status_code, raw) == (206, STORED[10:20])
    assert ranged.headers["content-encoding"] == "gzip"
    again = await http.get("/site.css", headers={"If-None-Match": response.headers["etag"]})
    assert again.status_code == 304
    assert "content-encoding" not in again.headers


async def test_content_encoding_is_kept_by_a_copy_and_by_metadata(
    disk: Disk, client: Client
) -> None:
    await disk.put("a.css", STORED, content_encoding="gzip")
    await disk.copy("a.css", "b.css", cache_control="max-age=5")
    await disk.set_metadata("b.css", cache_control="max-age=6")
    response = await client(DiskResponse(disk, "b.css")).get("/")
    assert response.headers["content-encoding"] == "gzip"
    assert response.content == PLAIN


async def test_gzip_middleware_does_not_compress_it_again(client: Client) -> None:
    disk = disk_of(MemoryDriver())
    await disk.put("a.css", STORED, content_encoding="gzip")
    app = Starlette(
        routes=[Mount("/", serve(disk, public=True))], middleware=[Middleware(GZipMiddleware)]
    )
    response = await client(app).get("/a.css")
    assert response.headers.get_list("content-encoding") == ["gzip"]
    assert response.content == PLAIN


@pytest.mark.parametrize("name", ["a.gz", "a.tar.gz", "a.tgz"])
async def test_archive_has_a_type_and_no_encoding(disk: Disk, client: Client, name: str) -> None:
    await disk.put(name, STORED)
    response = await client(serve(disk, public=True)).get(f"/{name}")
    assert response.headers["content-type"] == "application/gzip"
    assert "content-encoding" not in response.headers
    assert response.content == STORED


async def test_compressed_file_is_not_left_to_the_server_in_front(
    tmp_path: Path, client: Client
) -> None:
    disk = disk_of(LocalDriver(tmp_path))
    await disk.put("a.css", STORED, content_encoding="gzip")
    http = client(DiskResponse(disk, "a.css", accelerate=XAccel("/internal/")))
    response = await http.get("/")
    assert "x-accel-redirect" not in response.headers
    assert response.content == PLAIN


async def test_content_encoding_of_another_program_begins_no_header(client: Client) -> None:
    driver = MemoryDriver()
    disk = disk_of(driver)
    await disk.put("a.css", PLAIN)
    driver._files["a.css"] = driver._files["a.css"]._replace(content_encoding="gzip\r\nX: y")
    response = await client(DiskResponse(disk, "a.css")).get("/")
    assert "content-encoding" not in response.headers
