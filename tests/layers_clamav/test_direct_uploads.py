"""Direct uploads: staged where nothing reads them through the layer, until they are released."""

from __future__ import annotations

import asyncio
import contextlib
import errno
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from clamd import EICAR, scanned_disk
from jtc.storage import (
    FileExistsException,
    FileNotFoundException,
    InvalidPathException,
    RejectedException,
    StorageConfigException,
    StorageException,
    StorageManager,
)
from jtc.storage.asgi import serve
from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.hookspecs import hookimpl
from jtc.storage.layers.clamav_layer import (
    Scan,
    ScannerAbsentException,
    discard,
    release,
    staged,
)
from jtc.storage.layers.scoped import Scoped
from jtc.storage.layers.validate import Validate
from web_disks import BASE, SECRET

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Callable
    from pathlib import Path

    from clamd import RealClamd
    from jtc.storage import Disk
    from jtc.storage.hookspecs import Uploaded


class Finding:
    """A scanner that finds EICAR; a test may have something happen meanwhile."""

    def __init__(self) -> None:
        self.meanwhile: Any = None

    async def scan(self, content: AsyncIterable[bytes], _size: int, /) -> str | None:
        whole = b"".join([chunk async for chunk in content])
        if self.meanwhile is not None:
            await self.meanwhile()
        return "Eicar" if EICAR in whole else None

    async def check(self) -> None:
        pass


@pytest.fixture
def scanner() -> Finding:
    return Finding()


@pytest.fixture
def raw() -> MemoryDriver:
    return MemoryDriver(base_url=BASE, secret=SECRET)


@pytest.fixture
def disk(raw: MemoryDriver, scanner: Finding) -> Disk:
    return scanned_disk(raw, Scan, scanner=scanner, staging="unscanned", max_size=1000)


@contextlib.asynccontextmanager
async def http(disk: Disk) -> AsyncIterator[httpx.AsyncClient]:
    app = Starlette(routes=[Mount("/storage", serve(disk, public=True))])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
        yield client


def of_driver(driver: Any) -> Disk:
    manager = StorageManager.isolated()
    manager.set_driver(driver, "files")
    return manager.disk("files")


async def send(disk: Disk, path: str, content: bytes, *, way: str, to: Disk) -> int:
    """Upload directly to an application that serves a disk; return the status."""
    async with http(to) as client:
        if way == "url":
            request = await disk.temporary_upload_url(path, 60)
            answer = await client.put(request.url, headers=request.headers, content=content)
        else:
            form = await disk.temporary_upload_form(path, 60, max_size=1000)
            answer = await client.post(form.url, data=form.fields, files={"file": content})
    return answer.status_code


@pytest.mark.parametrize("way", ["url", "form"])
async def test_direct_upload_is_readable_only_after_release(
    disk: Disk, raw: MemoryDriver, way: str
) -> None:
    assert await send(disk, "d/a.png", b"clean", way=way, to=disk) < 300
    assert await raw.get("unscanned/d/a.png") == b"clean"
    assert not await disk.exists("d/a.png")
    assert await release(disk, "d/a.png") == "d/a.png"
    assert await disk.get("d/a.png") == b"clean"
    assert (await disk.stat("d/a.png")).content_type == "image/png"
    assert not await raw.exists("unscanned/d/a.png")
    with pytest.raises(FileNotFoundException, match="No direct upload is staged") as raised:
        await release(disk, "d/a.png")
    assert raised.value.path == "d/a.png"


@pytest.mark.parametrize("way", ["url", "form"])
async def test_direct_upload_through_the_layer_is_scanned_on_arrival(
    disk: Disk, raw: MemoryDriver, way: str
) -> None:
    assert await send(disk, "a.txt", EICAR, way=way, to=disk) == 400
    assert not await raw.exists("unscanned/a.txt")


@pytest.mark.parametrize("way", ["url", "form"])
async def test_release_refuses_and_deletes_an_infected_upload(
    disk: Disk, raw: MemoryDriver, way: str
) -> None:
    # As it comes to a store of its own, which scans nothing.
    assert await send(disk, "a.txt", EICAR, way=way, to=of_driver(raw)) < 300
    assert await raw.get("unscanned/a.txt") == EICAR
    with pytest.raises(RejectedException, match="infected") as raised:
        await release(disk, "a.txt")
    assert raised.value.reason == "virus"
    assert await of_driver(raw).all_files() == []


async def test_release_keeps_the_upload_where_the_scanner_is_absent(
    raw: MemoryDriver, tmp_path: Path
) -> None:
    disk = scanned_disk(raw, address=str(tmp_path / "nothing.sock"), staging="unscanned")
    await raw.put("unscanned/a.txt", b"clean")
    with pytest.raises(ScannerAbsentException):
        await release(disk, "a.txt")
    assert await raw.exists("unscanned/a.txt")
    assert not await raw.exists("a.txt")


async def test_release_takes_options_and_keeps_what_was_declared(
    disk: Disk, raw: MemoryDriver
) -> None:
    await of_driver(raw).put("unscanned/a.txt", b"1", content_type="text/x-a", metadata={"a": "b"})
    await release(disk, "a.txt", metadata={"c": "d"}, cache_control="no-store")
    info = await disk.stat("a.txt")
    assert info.content_type == "text/x-a"
    assert (info.metadata, info.cache_control) == ({"c": "d"}, "no-store")
    await raw.put("unscanned/a.txt", b"2")
    with pytest.raises(FileExistsException):
        await release(disk, "a.txt", overwrite=False)
    assert await raw.exists("unscanned/a.txt")
    with pytest.raises(RejectedException):
        await release(disk, "a.txt", allowed_types=["image/png"])
    assert not await raw.exists("unscanned/a.txt")


async def test_release_stores_what_was_scanned_when_another_upload_comes_meanwhile(
    disk: Disk, raw: MemoryDriver, scanner: Finding
) -> None:
    async def replace() -> None:
        await raw.put("unscanned/a.txt", EICAR)

    await raw.put("unscanned/a.txt", b"clean")
    scanner.meanwhile = replace
    await release(disk, "a.txt")
    scanner.meanwhile = None
    assert await raw.get("a.txt") == b"clean"
    assert await raw.get("unscanned/a.txt") == EICAR
    with pytest.raises(RejectedException):
        await release(disk, "a.txt")
    assert await raw.get("a.txt") == b"clean"
    assert not await raw.exists("unscanned/a.txt")


async def test_release_without_conditional_delete_keeps_another_upload(scanner: Finding) -> None:
    class Plain(MemoryDriver):
        unsupported = frozenset({"conditional_delete"})

    raw = Plain()
    disk = scanned_disk(raw, Scan, scanner=scanner, staging="unscanned")

    async def replace() -> None:
        await raw.put("unscanned/a.txt", EICAR)

    await raw.put("unscanned/a.txt", b"clean")
    scanner.meanwhile = replace
    await release(disk, "a.txt")
    assert await raw.get("unscanned/a.txt") == EICAR
    scanner.meanwhile = None
    await raw.put("unscanned/b.txt", b"clean")
    await release(disk, "b.txt")
    assert not await raw.exists("unscanned/b.txt")


async def test_release_where_the_backend_has_no_conditions_deletes_the_upload(
    scanner: Finding,
) -> None:
    class WithoutConditions(MemoryDriver):
        async def delete_file(self, _path: str, _options: Any, /) -> bool:
            raise OSError(errno.EOPNOTSUPP, "No locks here")

    raw = WithoutConditions()
    disk = scanned_disk(raw, Scan, scanner=scanner, staging="unscanned")
    await raw.put("unscanned/a.txt", b"clean")
    await release(disk, "a.txt")
    assert not await raw.exists("unscanned/a.txt")

    async def released_by_another() -> None:
        await raw.delete("unscanned/b.txt")

    await raw.put("unscanned/b.txt", b"clean")
    scanner.meanwhile = released_by_another
    await release(disk, "b.txt")
    assert await raw.get("b.txt") == b"clean"


async def test_release_twice_at_once_stores_the_file_once(disk: Disk, raw: MemoryDriver) -> None:
    await raw.put("unscanned/a.txt", b"clean")
    done = await asyncio.gather(*(release(disk, "a.txt") for _ in range(5)), return_exceptions=True)
    assert "a.txt" in done
    assert all(each == "a.txt" or isinstance(each, FileNotFoundException) for each in done)
    assert await raw.get("a.txt") == b"clean"
    assert not await raw.exists("unscanned/a.txt")


async def test_release_is_an_upload_for_hooks_and_outer_layers(raw: MemoryDriver) -> None:
    uploads: list[str] = []

    class Plugin:
        @hookimpl
        def storage_uploaded(self, event: Uploaded) -> None:
            uploads.append(event.path)

    manager = StorageManager.isolated()
    manager.set_driver(raw, "files")
    manager.hooks.register(Plugin(), "uploads")
    scanned = manager.disk("files").with_layer(Scan, scanner=Finding(), staging="unscanned")
    small = scanned.with_layer(Validate, max_size=10)
    for path, length in (("a.txt", 10), ("b.txt", 11)):
        await raw.put(f"unscanned/{path}", bytes(length))
    await release(small, "a.txt")
    with pytest.raises(RejectedException):
        await release(small, "b.txt")
    assert uploads == ["a.txt"]
    assert not await raw.exists("b.txt")


async def test_release_on_a_scoped_view_has_paths_of_the_view(
    disk: Disk, raw: MemoryDriver
) -> None:
    tenant = disk.scoped("tenants/1")
    assert await send(tenant, "a.txt", b"clean", way="url", to=disk) < 300
    await raw.put("unscanned/b.txt", b"another's")
    assert [info.path async for info in staged(tenant)] == ["a.txt"]
    assert {info.path async for info in staged(disk)} == {"b.txt", "tenants/1/a.txt"}
    assert await release(tenant, "a.txt") == "a.txt"
    assert await raw.get("tenants/1/a.txt") == b"clean"


async def test_release_below_an_inner_scope_stays_within_it(raw: MemoryDriver) -> None:
    disk = scanned_disk(Scoped(raw, "tenants/1"), Scan, scanner=Finding(), staging="unscanned")
    await raw.put("tenants/1/unscanned/a.txt", b"clean")
    assert await release(disk, "a.txt") == "a.txt"
    assert await raw.get("tenants/1/a.txt") == b"clean"


async def test_discard_and_staged_serve_to_tidy_up(disk: Disk, raw: MemoryDriver) -> None:
    await raw.put("unscanned/d/old.txt", b"1")
    await disk.put("kept.txt", b"1")
    found = [info async for info in staged(disk)]
    assert [(info.path, info.size) for info in found] == [("d/old.txt", 1)]
    assert await discard(disk, "d/old.txt")
    assert not await discard(disk, "d/old.txt")
    assert [info async for info in staged(disk)] == []
    assert await disk.exists("kept.txt")


async def test_functions_need_a_layer_with_staging(raw: MemoryDriver, scanner: Finding) -> None:
    for disk in (of_driver(raw), scanned_disk(raw, Scan, scanner=scanner)):
        for call in (release(disk, "a"), discard(disk, "a"), anext(staged(disk))):
            with pytest.raises(StorageConfigException, match="option staging"):
                await call


async def streamed(disk: Disk, path: str) -> bytes:
    async with disk.stream(path) as stream:
        return b"".join([chunk async for chunk in stream])


async def opened(disk: Disk, path: str) -> bytes:
    async with disk.open(path, "rb") as file:
        return await file.read()


READERS: dict[str, Callable[[Disk, str], Any]] = {
    "get": lambda disk, path: disk.get(path),
    "get_range": lambda disk, path: disk.get_range(path, 0, 5),
    "get_ranges": lambda disk, path: disk.get_ranges(path, [(0, 5)]),
    "stream": streamed,
    "open": opened,
    "stat": lambda disk, path: disk.stat(path),
    "size": lambda disk, path: disk.size(path),
    "last_modified": lambda disk, path: disk.last_modified(path),
    "mime_type": lambda disk, path: disk.mime_type(path),
    "checksum": lambda disk, path: disk.checksum(path),
    "visibility": lambda disk, path: disk.visibility(path),
    "set_visibility": lambda disk, path: disk.set_visibility(path, "public"),
    "set_metadata": lambda disk, path: disk.set_metadata(path, content_type="text/html"),
    "copy": lambda disk, path: disk.copy(path, "b.txt"),
    "move": lambda disk, path: disk.move(path, "b.txt"),
    "temporary_url": lambda disk, path: disk.temporary_url(path, 60),
    "confirm_upload": lambda disk, path: disk.confirm_upload(path),
}


@pytest.mark.parametrize(
    "path",
    # What is another directory here is none on a file system that folds names.
    ["unscanned/a.txt", "/unscanned/a.txt", "Unscanned/a.txt", "ünscan\u200cned/a.txt"],
)
@pytest.mark.parametrize("reader", READERS)
async def test_staged_file_does_not_exist_through_the_layer(
    disk: Disk, raw: MemoryDriver, reader: str, path: str
) -> None:
    await raw.put(path.removeprefix("/"), EICAR)
    directory, _, name = path.removeprefix("/").partition("/")
    for view, seen in ((disk, path), (disk.scoped(directory), name)):
        with pytest.raises(FileNotFoundException):
            await READERS[reader](view, seen)
        assert not await view.exists(seen)
    with pytest.raises(FileNotFoundException):
        disk.path(path)
    assert not await raw.exists("b.txt")


async def test_staged_file_is_in_no_listing(disk: Disk, raw: MemoryDriver) -> None:
    await raw.put("unscanned/d/a.txt", EICAR)
    await disk.put("unscanned-too/a.txt", b"1")
    assert await disk.all_files() == ["unscanned-too/a.txt"]
    assert await disk.all_files("unscanned") == []
    entries = [entry.path async for entry in disk.list(recursive=True, directories=True)]
    assert entries == ["unscanned-too", "unscanned-too/a.txt"]
    assert (await disk.usage()).files == 1
    assert await disk.entry("unscanned") is None
    async with http(disk) as client:
        for url in ("unscanned/d/a.txt", "unscanned/", "UNSCANNED/d/a.txt"):
            assert (await client.get(f"{BASE}/{url}")).status_code == 404


async def test_staged_file_can_be_deleted(disk: Disk, raw: MemoryDriver) -> None:
    await raw.put("unscanned/a.txt", EICAR)
    assert await disk.delete("unscanned/a.txt")
    await raw.put("unscanned/a.txt", EICAR)
    await disk.delete_directory("unscanned")
    assert not await raw.exists("unscanned/a.txt")


async def test_presigning_refuses_what_could_not_be_released(disk: Disk) -> None:
    for path in ("unscanned/a.txt", "Unscanned", "a/" * 508 + "b"):
        with pytest.raises(InvalidPathException):
            await disk.temporary_upload_url(path, 60)
        with pytest.raises(InvalidPathException):
            await release(disk, path)
    with pytest.raises(RejectedException) as raised:
        await disk.temporary_upload_url("a.txt", 60, size=1001)
    assert raised.value.reason == "size"
    with pytest.raises(RejectedException):
        await disk.temporary_upload_form("a.txt", 60, max_size=5000, min_size=1001)


async def test_presigned_form_has_the_max_size_of_the_layer(disk: Disk, raw: MemoryDriver) -> None:
    form = await disk.temporary_upload_form("a.bin", 60, max_size=5000)
    async with http(of_driver(raw)) as client:
        for size, status in ((1001, 413), (1000, 204)):
            answer = await client.post(form.url, data=form.fields, files={"file": bytes(size)})
            assert answer.status_code == status
    none = await disk.temporary_upload_form("a.bin", 60, max_size=0)
    async with http(of_driver(raw)) as client:
        answer = await client.post(none.url, data=none.fields, files={"file": b"1"})
        assert answer.status_code == 413


async def test_errors_of_the_driver_are_those_of_a_disk(scanner: Finding, tmp_path: Path) -> None:
    driver = LocalDriver(tmp_path, base_url=BASE, secret=SECRET)
    disk = scanned_disk(driver, Scan, scanner=scanner, staging="unscanned")
    (tmp_path / "unscanned" / "a.txt").mkdir(parents=True)
    (tmp_path / "b.txt").mkdir()
    await driver.put("unscanned/b.txt", b"1")
    for path, operation in (("a.txt", "release"), ("b.txt", "put")):
        with pytest.raises(StorageException) as raised:
            await release(disk, path)
        error = raised.value
        assert (error.disk, error.operation, error.path) == ("files", operation, path)
    assert await driver.exists("unscanned/b.txt")


async def test_local_disk_stages_and_releases(clamd: RealClamd, tmp_path: Path) -> None:
    driver = LocalDriver(tmp_path, base_url=BASE, secret=SECRET)
    disk = scanned_disk(driver, address=clamd.socket, staging="unscanned")
    await send(disk, "a.txt", EICAR, way="url", to=of_driver(driver))
    await send(disk, "b.txt", b"clean", way="form", to=disk)
    with pytest.raises(RejectedException, match="Eicar"):
        await release(disk, "a.txt")
    await release(disk, "b.txt")
    assert sorted(p.name for p in tmp_path.rglob("*.txt")) == ["b.txt"]
