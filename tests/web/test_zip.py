"""`ZipResponse`: many files as one archive, whole or not at all, with a length known before."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import zipfile
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fastapi import FastAPI
from litestar import Litestar, get

from jtc.storage import Disk, Storage
from jtc.storage.asgi import ZipResponse
from jtc.storage.asgi._zip_archive import Member, archive_chunks, archive_length, find_members
from jtc.storage.driver import ReadStream
from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.exceptions import InvalidPathException, PathConflictException
from web_disks import disk_of, running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from jtc.storage.options import ReadOptions
    from web_disks import Client

FILES = {
    "in/a.txt": b"0123456789",
    "in/empty": b"",
    "in/deep/größe 日本.bin": os.urandom(300_000),
}


@pytest.fixture
async def filled(disk: Disk) -> Disk:
    for path, content in FILES.items():
        await disk.put(path, content)
    await disk.put("out.txt", b"not in the directory")
    return disk


def unpacked(archive: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        assert opened.testzip() is None
        return {name: opened.read(name) for name in opened.namelist()}


async def test_directory_is_one_archive(filled: Disk, client: Client) -> None:
    http = client(ZipResponse(filled, "in", filename="größe.zip"))
    response = await http.get("/")
    assert response.status_code == 200
    assert unpacked(response.content) == {
        path.removeprefix("in/"): content for path, content in FILES.items()
    }
    headers = response.headers
    assert headers["content-type"] == "application/zip"
    assert headers["content-length"] == str(len(response.content))
    assert headers["content-disposition"].startswith("attachment; ")
    assert "gr%C3%B6%C3%9Fe.zip" in headers["content-disposition"]
    assert headers["cache-control"] == "private, no-cache"
    assert headers["x-content-type-options"] == "nosniff"
    head = await http.head("/")
    assert (head.content, head.headers) == (b"", headers)
    again = await http.get("/", headers={"If-None-Match": headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["cache-control"] == "private, no-cache"
    ranged = await http.get("/", headers={"Range": "bytes=0-1"})
    assert (ranged.status_code, ranged.content) == (200, response.content)
    await filled.put("in/a.txt", b"changed")
    changed = await http.get("/", headers={"If-None-Match": headers["etag"]})
    assert unpacked(changed.content)["a.txt"] == b"changed"


@pytest.mark.parametrize("directory", ["", "in", "in/deep"])
async def test_names_are_relative_to_the_directory(
    filled: Disk, client: Client, directory: str
) -> None:
    response = await client(ZipResponse(filled, directory)).get("/")
    expected = {f"/{path}": content for path, content in FILES.items()}
    if not directory:
        expected["/out.txt"] = b"not in the directory"
    start = f"/{directory}/" if directory else "/"
    assert unpacked(response.content) == {
        path.removeprefix(start): content
        for path, content in expected.items()
        if path.startswith(start)
    }


async def test_paths_keep_their_names_and_a_mapping_gives_others(
    filled: Disk, client: Client
) -> None:
    response = await client(ZipResponse(filled, ["out.txt", "/in/a.txt"])).get("/")
    assert unpacked(response.content) == {
        "out.txt": b"not in the directory",
        "in/a.txt": FILES["in/a.txt"],
    }
    named = {"eins/ä.txt": "in/a.txt", "zwei.txt": "in/a.txt"}
    response = await client(ZipResponse(filled, named)).get("/")
    assert unpacked(response.content) == dict.fromkeys(named, FILES["in/a.txt"])
    response = await client(ZipResponse(filled, [])).get("/")
    assert unpacked(response.content) == {}


async def test_times_of_the_files_are_kept(client: Client, tmp_path: Path) -> None:
    if shutil.which("unzip") is None:
        pytest.skip("unzip is not installed")
    disk = disk_of(MemoryDriver())
    await disk.put("a.txt", b"1")
    response = await client(ZipResponse(disk, ["a.txt"])).get("/")
    (tmp_path / "a.zip").write_bytes(response.content)
    subprocess.run(["unzip", "-q", "a.zip"], cwd=tmp_path, check=True)
    written = (await disk.stat("a.txt")).last_modified
    assert (tmp_path / "a.txt").stat().st_mtime == int(written)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o644


async def test_missing_file_is_a_404(filled: Disk, client: Client) -> None:
    for files in (["in/a.txt", "in/missing"], "missing", {"a": "missing"}):
        response = await client(ZipResponse(filled, files)).get("/")
        assert (response.status_code, response.text) == (404, "Not Found\n")


@pytest.mark.parametrize(
    "name",
    ["../a", "a/../b", "/a", "a/", "a//b", "", ".", "a\\b", "C:a", "c:/a", "a\nb", "a\u202eb"],
)
def test_unsafe_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidPathException):
        ZipResponse(disk_of(MemoryDriver()), {name: "a.txt"})


def test_name_that_is_there_twice_is_refused() -> None:
    disk = disk_of(MemoryDriver())
    with pytest.raises(InvalidPathException, match="two files of one name"):
        ZipResponse(disk, ["a.txt", "/a.txt"])
    with pytest.raises(PathConflictException, match="a file and a directory"):
        ZipResponse(disk, {"a/b/c": "a.txt", "a": "b.txt"})


async def changed_meanwhile(how: str, disk: Disk) -> None:
    if how == "replaced":
        await disk.put("b.bin", b"x" * 1_000_000)
    elif how == "longer":
        await disk.put("b.bin", b"x" * 2_000_000)
    else:
        await disk.delete("b.bin")


@pytest.mark.parametrize("how", ["replaced", "longer", "deleted"])
async def test_file_that_changes_meanwhile_closes_the_connection(signing: Disk, how: str) -> None:
    for name in ("a.bin", "b.bin", "c.bin"):
        await signing.put(name, bytes(1_000_000))
    driver: Any = signing.driver
    opened = driver.open_read

    async def change_after_the_first(path: str, options: ReadOptions) -> ReadStream:
        if path == "b.bin":
            await changed_meanwhile(how, signing)
        result: ReadStream = await opened(path, options)
        return result

    driver.open_read = change_after_the_first
    signing._manager.set_driver(driver, "media")
    received = b""
    async with running(ZipResponse(signing, "")) as base, httpx.AsyncClient() as http:
        with pytest.raises(httpx.RemoteProtocolError):  # noqa: PT012 - it breaks off somewhere
            async with http.stream("GET", base) as response:
                assert response.status_code == 200
                async for chunk in response.aiter_bytes():
                    received += chunk
    assert len(received) < int(response.headers["content-length"])
    assert not zipfile.is_zipfile(io.BytesIO(received))


class Short(MemoryDriver):
    """Ends each stream too early, without an error."""

    async def open_read(self, path: str, options: ReadOptions, /) -> ReadStream:
        stream = await super().open_read(path, options)

        async def chunks() -> AsyncIterator[bytes]:
            yield b"12"

        return ReadStream(stream.info, chunks(), stream.aclose)


async def test_stream_that_ends_early_closes_the_connection() -> None:
    disk = disk_of(Short())
    await disk.put("a.txt", b"0123456789")
    async with running(ZipResponse(disk, "")) as base, httpx.AsyncClient() as http:
        with pytest.raises(httpx.RemoteProtocolError):
            await http.get(base)


@pytest.mark.parametrize("limit", [1000, 200_000, None])
async def test_length_is_known_with_and_without_zip64(
    monkeypatch: pytest.MonkeyPatch, limit: int | None
) -> None:
    disk = disk_of(MemoryDriver())
    for number, size in enumerate((0, 1, 900, 1000, 1001, 150_000, 199_000, 201_000)):
        await disk.put(f"größe/{number}" if number % 2 else f"{number}", bytes(size))
    if limit is not None:
        monkeypatch.setattr(zipfile, "ZIP64_LIMIT", limit)
        monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 5)
    members = await find_members(disk, "")
    archive = b"".join([chunk async for chunk in archive_chunks(disk, members)])
    assert archive_length(members) == len(archive)
    assert (b"PK\x06\x06" in archive) == (limit is not None)
    assert len(unpacked(archive)) == 8
    assert unpacked(archive) == {each.name: bytes(each.size) for each in members}


def test_length_of_a_large_archive_is_known_without_reading_it() -> None:
    size = 6 * 1024**3
    members = [Member(f"{number}", f"{number}", size, "e", 1e9) for number in range(100)]
    # By the format: a header of 30 bytes, one of 46 at the end, names, Zip64's sizes, times.
    assert 100 * size < archive_length(members) < 100 * size + 100 * 250 + 100


@pytest.mark.parametrize("moment", [-1e10, 0.0, 3e9, 1e13])
async def test_any_time_is_written(moment: float) -> None:
    member = Member("a", "a", 0, None, moment)
    info = member.zip_info()
    assert 1980 <= info.date_time[0] <= 2107
    assert archive_length([member]) > 22


async def test_etag_in_headers_is_compared(client: Client) -> None:
    disk = disk_of(MemoryDriver())
    await disk.put("a.txt", b"1")
    http = client(ZipResponse(disk, "", headers={"ETag": '"mine"'}))
    response = await http.get("/", headers={"If-None-Match": '"mine"'})
    assert (response.status_code, response.headers["etag"]) == (304, '"mine"')
    assert (await http.get("/", headers={"If-None-Match": '"other"'})).status_code == 200
    assert (await http.get("/", headers={"If-Match": '"mine"'})).status_code == 200
    assert (await http.get("/", headers={"If-Match": '"other"'})).status_code == 412
    then = {"If-Modified-Since": "Sun, 06 Nov 1994 08:49:37 GMT"}
    http = client(ZipResponse(disk, "", headers={"Last-Modified": then["If-Modified-Since"]}))
    assert (await http.get("/", headers=then)).status_code == 304


async def test_handler_of_litestar_returns_an_archive(client: Client) -> None:
    disk = disk_of(MemoryDriver())
    await disk.put("in/a.txt", b"1")

    async def download() -> ZipResponse:
        return ZipResponse(disk, "in")

    response = await client(Litestar([get("/zip")(download)])).get("/zip")
    assert unpacked(response.content) == {"a.txt": b"1"}


async def test_handler_returns_an_archive(client: Client) -> None:
    app = FastAPI()
    ran: list[int] = []

    @app.get("/zip", response_class=ZipResponse)
    async def download() -> ZipResponse:
        from starlette.background import BackgroundTask

        return ZipResponse(
            Storage.disk("memory"),
            "in",
            headers={"X-Own": "1", "Content-Length": "3", "Cache-Control": "no-store"},
            status_code=203,
            background=BackgroundTask(ran.append, 1),
        )

    with Storage.fake("memory"):
        await Storage.disk("memory").put("in/a.txt", b"1")
        http = client(app)
        response = await http.get("/zip")
    assert (response.status_code, response.headers["x-own"]) == (203, "1")
    assert response.headers["cache-control"] == "no-store"
    assert unpacked(response.content) == {"a.txt": b"1"}
    assert ran == [1]
    assert "200" in (await http.get("/openapi.json")).json()["paths"]["/zip"]["get"]["responses"]
