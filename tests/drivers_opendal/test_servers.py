"""The OpenDAL driver on WebDAV and FTP: whole files, refusals, and servers that fail."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage import (
    FileNotFoundException,
    InvalidPathException,
    PathConflictException,
    StorageException,
    StoragePermissionException,
    StorageTimeoutException,
    StorageUnavailableException,
    UnsupportedOperationException,
)
from jtc.storage.drivers.opendal_driver import OpenDALDriver
from jtc.storage.options import ListOptions, ReadOptions
from jtc.storage.testing._connection_faults import ConnectionFaults

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from ftp import FTP
    from served_directory import ServedDirectory
    from webdav import WebDAV

LARGE = bytes(range(256)) * 80_000


@pytest.fixture(params=["webdav", "ftp"])
def server(request: pytest.FixtureRequest) -> ServedDirectory:
    found: ServedDirectory = request.getfixturevalue(request.param)
    found.empty()
    return found


@pytest.fixture
def dav(webdav: WebDAV) -> WebDAV:
    webdav.empty()
    return webdav


def made(server: ServedDirectory, **options: Any) -> OpenDALDriver:
    return OpenDALDriver(**{**server.options, **options})


def staged(server: ServedDirectory) -> list[Path]:
    return [path for path in (server.directory / ".jtc").rglob("*") if path.is_file()]


async def test_wrong_password_is_a_permission_error_of_each_call(dav: WebDAV) -> None:
    driver = made(dav, password="wrong-password")
    for call in (driver.get("a"), driver.exists("a"), driver.put("a", b""), driver.delete("a")):
        with pytest.raises(StoragePermissionException, match="credentials") as caught:
            await call
        assert "wrong-password" not in str(caught.value)
    with pytest.raises(StoragePermissionException):
        _ = [entry async for entry in driver.list_entries("", list_options())]


def list_options() -> Any:
    from jtc.storage.options import ListOptions

    return ListOptions()


async def test_server_that_is_down_is_unavailable_and_used_again_once_up(
    server: ServedDirectory,
) -> None:
    driver = made(server, max_attempts=1, request_timeout=5)
    await driver.put("a", b"content")
    server.kill()
    try:
        for call in (driver.get("a"), driver.exists("a"), driver.put("a", b"new")):
            with pytest.raises(StorageUnavailableException):
                await call
    finally:
        server.start(server.port)
    assert await driver.get("a") == b"content"


async def test_put_whose_server_dies_leaves_the_old_file(server: ServedDirectory) -> None:
    driver = made(server, max_attempts=1, request_timeout=5)
    await driver.put("a", b"old")
    putting = asyncio.ensure_future(driver.put("a", LARGE * 5))
    try:
        for _ in range(2_000):
            parts = [*server.directory.glob("a.*"), *staged(server)]
            if any(path.stat().st_size for path in parts):
                break
            await asyncio.sleep(0.001)
        server.kill()
        with pytest.raises(StorageUnavailableException):
            await putting
    finally:
        server.start(server.port)
    assert (server.directory / "a").read_bytes() == b"old"


async def test_get_whose_server_dies_is_never_a_part(server: ServedDirectory) -> None:
    (server.directory / "a").write_bytes(LARGE * 8)
    driver = made(server, max_attempts=1, request_timeout=5)
    reading = asyncio.ensure_future(driver.get("a"))
    await asyncio.sleep(0.05)
    server.kill()
    try:
        found = await reading
    except StorageUnavailableException:
        pass
    else:
        assert len(found) == len(LARGE) * 8
    finally:
        server.start(server.port)


async def test_write_of_ftp_is_staged_by_opendal_and_never_seen_in_part(ftp: FTP) -> None:
    ftp.empty()
    driver = made(ftp)
    await driver.put("a", b"old")
    putting = asyncio.ensure_future(driver.put("a", LARGE * 3))
    while not putting.done():
        assert (ftp.directory / "a").stat().st_size in {3, len(LARGE) * 3}
        await asyncio.sleep(0.001)
    await putting
    assert [path.name for path in ftp.directory.iterdir()] == ["a"]


async def test_put_of_ftp_that_is_cancelled_lands_whole_and_leaves_no_part(ftp: FTP) -> None:
    ftp.empty()
    driver = made(ftp)
    putting = asyncio.ensure_future(driver.put("a", LARGE * 3))
    await asyncio.sleep(0.01)
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting
    for _ in range(500):
        if [path.name for path in ftp.directory.iterdir()] == ["a"]:
            break
        await asyncio.sleep(0.01)
    assert (ftp.directory / "a").stat().st_size == len(LARGE) * 3


async def test_empty_file_by_ftp_is_refused_and_old_one_stays(ftp: FTP) -> None:
    ftp.empty()
    driver = made(ftp)
    await driver.put("a", b"old")
    with pytest.raises(UnsupportedOperationException, match="empty"):
        await driver.put("a", b"")
    assert await driver.get("a") == b"old"


async def test_name_that_ftp_would_list_as_another_is_refused(ftp: FTP) -> None:
    ftp.empty()
    driver = made(ftp)
    for path in ("a/ b", "a/ b/c", "a/\u2003b"):
        with pytest.raises(InvalidPathException, match="begins with a space"):
            await driver.put(path, b"1")
    await driver.put("a /b", b"1")
    listed = driver.list_entries("", ListOptions(recursive=True))
    assert [each.path async for each in listed] == ["a /b"]


async def test_directory_that_ftp_does_not_delete_is_an_error(ftp: FTP) -> None:
    ftp.empty()
    driver = made(ftp)
    await driver.put("a/b", b"1")
    (ftp.directory / "a" / " c").write_bytes(b"of another program")
    with pytest.raises(PathConflictException, match="not empty"):
        await driver.delete_directory("a")


async def test_missing_root_of_ftp_is_named(ftp: FTP) -> None:
    ftp.empty()
    with pytest.raises(StorageException, match="root '/none/such'"):
        await made(ftp, root="/none/such").put("a", b"content")


async def test_put_of_webdav_is_never_seen_in_part(dav: WebDAV) -> None:
    driver = made(dav)
    await driver.put("a", b"old")
    putting = asyncio.ensure_future(driver.put("a", LARGE * 3))
    sizes = set()
    while not putting.done():
        # wsgidav removes a target before it renames.
        sizes.add((dav.directory / "a").stat().st_size if (dav.directory / "a").exists() else None)
        await asyncio.sleep(0.001)
    await putting
    assert sizes <= {3, None, len(LARGE) * 3}
    assert not staged(dav)


async def test_cancelled_put_of_webdav_leaves_no_staged_file(dav: WebDAV) -> None:
    driver = made(dav)
    putting = asyncio.ensure_future(driver.put("a", LARGE * 3))
    for _ in range(2_000):
        if staged(dav):
            break
        await asyncio.sleep(0.001)
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting
    for _ in range(500):
        if not staged(dav):
            break
        await asyncio.sleep(0.01)
    assert not staged(dav)
    assert await driver.exists("a") is False


async def test_put_removes_staged_files_of_killed_processes(dav: WebDAV) -> None:
    folder = dav.directory / ".jtc" / "opendal"
    folder.mkdir(parents=True)
    for name, age in {"old": 25 * 3600, "new": 3600}.items():
        (folder / name).write_bytes(b"part")
        os.utime(folder / name, (time.time() - age,) * 2)
    await made(dav).put("a", b"content")
    assert [path.name for path in staged(dav)] == ["new"]


async def test_put_to_directory_of_webdav_is_refused_and_it_stays(dav: WebDAV) -> None:
    driver = made(dav)
    await driver.put("d/a", b"content")
    with pytest.raises(PathConflictException):
        await driver.put("d", b"file")
    assert await driver.delete("d") is False
    with pytest.raises(PathConflictException):
        await driver.move_file("d/a", "d", write_options())
    assert await driver.get("d/a") == b"content"


def write_options() -> Any:
    from jtc.storage.options import WriteOptions

    return WriteOptions()


async def test_page_that_lists_a_directory_of_webdav_is_no_file(dav: WebDAV) -> None:
    driver = made(dav)
    await driver.put("d/a", b"content")
    with pytest.raises(FileNotFoundException):
        await driver.get("d")
    await driver.put("page.html", b"<!DOCTYPE html>")
    assert await driver.get("page.html") == b"<!DOCTYPE html>"


async def test_name_that_webdav_server_would_cut_is_refused_unless_written_directly(
    dav: WebDAV,
) -> None:
    driver = made(dav)
    await driver.put("a", b"old")
    with pytest.raises(InvalidPathException, match="staged=False"):
        await driver.put("a?b", b"new")
    assert await driver.get("a") == b"old"
    assert not staged(dav)
    direct = made(dav, staged=False)
    await direct.put("a?b", b"new")
    assert await direct.get("a?b") == b"new"
    assert await direct.get("a") == b"old"


async def test_stalled_server_ends_each_call_in_time_and_is_used_again(
    server: ServedDirectory,
) -> None:
    with ConnectionFaults() as faults:
        host, port = faults.through("127.0.0.1", server.port)
        endpoint = f"{server.url_scheme}://{host}:{port}"
        driver = made(server, endpoint=endpoint, request_timeout=0.5)
        await driver.put("a", b"content")
        faults.stall()
        began = time.monotonic()
        calls = (driver.get("a"), driver.exists("a"), driver.delete("a"), listed(driver))
        ended = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(each, StorageTimeoutException) for each in ended), ended
        assert time.monotonic() - began < 30
        faults.resume()
        assert await driver.get("a") == b"content"


async def listed(driver: OpenDALDriver) -> list[Any]:
    return [entry async for entry in driver.list_entries("", list_options())]


async def test_large_range_and_stream_are_exact(server: ServedDirectory) -> None:
    (server.directory / "a").write_bytes(LARGE)
    driver = made(server)
    if "reading" in driver.unsupported:
        assert await driver.get("a") == LARGE
        return
    for start, end in ((0, None), (5_000_001, None), (3, 9_000_000)):
        stream = await driver.open_read("a", ReadOptions(start=start, end=end))
        assert b"".join([chunk async for chunk in stream]) == LARGE[start:end]
        await stream.aclose()


async def test_write_of_fs_takes_a_stream_piece_by_piece(tmp_path: Path) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(LARGE), 1_000_000):
            yield LARGE[at : at + 1_000_000]

    driver = OpenDALDriver("fs", root=str(tmp_path))
    await driver.write_file("a", pieces(), write_options())
    assert (tmp_path / "a").read_bytes() == LARGE


async def test_write_of_fs_whose_source_fails_leaves_nothing(tmp_path: Path) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield LARGE
        raise ZeroDivisionError

    driver = OpenDALDriver("fs", root=str(tmp_path))
    with pytest.raises(ZeroDivisionError):
        await driver.write_file("a", pieces(), write_options())
    for _ in range(500):
        if not [path for path in tmp_path.rglob("*") if path.is_file()]:
            break
        await asyncio.sleep(0.01)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


async def test_aclose_drops_the_client_and_a_use_makes_another(server: ServedDirectory) -> None:
    driver = made(server)
    await driver.put("a", b"content")
    await driver.aclose()
    assert await driver.get("a") == b"content"
    await driver.aclose()


async def test_get_that_takes_longer_than_a_request_may_goes_on_while_bytes_come() -> None:
    content = bytes(10 * 65_536)

    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        try:
            asked = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:  # a connection that OpenDAL did not need
            return
        head = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
        writer.write(head % len(content))
        if asked.startswith(b"GET"):
            for at in range(0, len(content), 65_536):
                writer.write(content[at : at + 65_536])
                await asyncio.sleep(0.1)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    driver = OpenDALDriver("http", endpoint=endpoint, request_timeout=0.6, max_concurrency=1)
    began = time.monotonic()
    assert await driver.get("a") == content
    assert time.monotonic() - began > 0.6
    with pytest.raises(UnsupportedOperationException, match="read-only"):
        await driver.put("a", b"content")
    server.close()
    for writer in writers:
        writer.close()
    await asyncio.sleep(0.05)
