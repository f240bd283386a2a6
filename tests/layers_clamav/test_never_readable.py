"""An infected file is never readable, not for an instant, whichever way it comes in.

Each way is tried while others read as fast as they can: through the layer, behind it, and over
HTTP. What exceeds a limit of the scanner is no exception.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import threading
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Mount, Route

from clamd import EICAR, scanned_disk
from infected_files import BEYOND
from jtc.storage import RejectedException, StorageException, StorageManager
from jtc.storage.asgi import put_request, serve
from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.layers.clamav_layer import release
from jtc.storage.layers.scoped import Scoped
from s3_fixtures import folder, make_driver
from web_disks import BASE, SECRET

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from starlette.requests import Request

    from clamd import RealClamd
    from jtc.storage import Disk
    from s3_fixtures import MakeDriver

__all__ = ["folder", "make_driver"]

TARGET = "files/a.bin"
CLEAN = b"clean"
LONGEST = 10_000_000
CONTENTS = [
    EICAR,
    BEYOND["deep in archives"][0],
    BEYOND["in a long file of an archive"][0],
    BEYOND["before the rest"][0],
]


class Site:
    """A disk with the layer, its driver, and an application that serves it."""

    def __init__(self, driver: Any, daemon: RealClamd, folder: Path) -> None:
        self.driver = driver
        self.folder = folder
        self.disk = scanned_disk(driver, address=daemon.socket, staging="unscanned")
        manager = StorageManager.isolated()
        manager.set_driver(driver, "files")
        self.raw = manager.disk("files")
        self.app = self._application(self.disk)
        self.looks = 0
        self.seen: list[str] = []

    def _application(self, disk: Disk) -> httpx.AsyncClient:
        async def upload(request: Request) -> Response:
            await put_request(disk, TARGET, request)
            return Response()

        routes = [
            Mount("/storage", serve(disk, public=True)),
            Route("/upload", upload, methods=["PUT"]),
        ]
        app = Starlette(routes=routes, exception_handlers={StorageException: _refused})
        return httpx.AsyncClient(transport=httpx.ASGITransport(app))

    @contextlib.asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Read the target, and what may be staged of it, until the block ends."""
        readers: list[Callable[[], Awaitable[bytes | None]]] = [
            lambda: self.disk.get(TARGET),
            lambda: self.disk.get(f"unscanned/{TARGET}"),
            lambda: self.raw.get(TARGET),
            lambda: self._fetched(f"{BASE}/{TARGET}"),
            lambda: self._fetched(f"{BASE}/unscanned/{TARGET}"),
            self._listed,
        ]
        tasks = [asyncio.create_task(self._watch(reader)) for reader in readers]
        ended = threading.Event()
        thread = threading.Thread(target=self._watch_file, args=[ended])
        thread.start()
        try:
            yield
        finally:
            ended.set()
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await asyncio.to_thread(thread.join)

    async def _watch(self, read: Callable[[], Awaitable[bytes | None]]) -> None:
        while True:
            with contextlib.suppress(StorageException):
                self._look(await read())
            await asyncio.sleep(0)

    def _watch_file(self, ended: threading.Event) -> None:
        while not ended.is_set():
            with contextlib.suppress(FileNotFoundError):
                self._look((self.folder / TARGET).read_bytes())

    def _look(self, content: bytes | None) -> None:
        self.looks += 1
        if content not in {None, CLEAN}:
            self.seen.append(repr(content[:100] if content else content))

    async def _fetched(self, url: str) -> bytes | None:
        answer = await self.app.get(url)
        return answer.content if answer.status_code == 200 else None

    async def _listed(self) -> bytes | None:
        paths = await self.disk.all_files()
        return None if set(paths) <= {TARGET, "incoming.bin"} else repr(paths).encode()


def _refused(_request: Any, error: Exception) -> Response:
    return Response(status_code=400 if isinstance(error, RejectedException) else 500)


async def chunks(content: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(content), 100_000):
        await asyncio.sleep(0)
        yield content[at : at + 100_000]


async def by_put(site: Site, content: bytes) -> None:
    await site.disk.put(TARGET, content)


async def by_stream(site: Site, content: bytes) -> None:
    await site.disk.put(TARGET, chunks(content))


async def by_file(site: Site, content: bytes) -> None:
    await site.disk.put(TARGET, io.BytesIO(content))


async def by_put_file(site: Site, content: bytes) -> None:
    await site.disk.put_file("files", io.BytesIO(content))  # a new name, which a listing shows


async def by_open(site: Site, content: bytes) -> None:
    async with site.disk.open(TARGET, "wb") as file:
        await file.write(content)


async def by_copy(site: Site, content: bytes) -> None:
    await site.raw.put("incoming.bin", content)
    await site.disk.copy("incoming.bin", TARGET)


async def by_move(site: Site, content: bytes) -> None:
    await site.raw.put("incoming.bin", content)
    await site.disk.move("incoming.bin", TARGET)


async def by_web_upload(site: Site, content: bytes) -> None:
    answer = await site.app.put("http://files.test/upload", content=chunks(content))
    if answer.status_code == 400:
        raise RejectedException("refused")


async def by_presigned_put(site: Site, content: bytes) -> None:
    request = await site.disk.temporary_upload_url(TARGET, 60)
    async with _client(site, request.url) as client:
        await client.put(request.url, headers=request.headers, content=content)
    await _released(site)


async def by_presigned_form(site: Site, content: bytes) -> None:
    form = await site.disk.temporary_upload_form(TARGET, 60, max_size=LONGEST)
    async with _client(site, form.url) as client:
        await client.post(form.url, data=form.fields, files={"file": content})
    await _released(site)


async def by_unscanned_put(site: Site, content: bytes) -> None:
    await site.raw.put(f"unscanned/{TARGET}", content)
    await release(site.disk, TARGET)


async def _released(site: Site) -> None:
    """Release what a client has sent, which the application may have refused already."""
    if not await site.raw.exists(f"unscanned/{TARGET}"):
        raise RejectedException("refused on arrival")
    await release(site.disk, TARGET)


@contextlib.asynccontextmanager
async def _client(site: Site, url: str) -> AsyncIterator[httpx.AsyncClient]:
    if url.startswith(BASE):
        yield site.app
    else:
        async with httpx.AsyncClient(timeout=60) as client:
            yield client


ON_S3 = [by_stream, by_presigned_put, by_presigned_form]
WAYS = [
    *ON_S3,
    by_copy,
    by_put,
    by_file,
    by_put_file,
    by_open,
    by_move,
    by_web_upload,
    by_unscanned_put,
]


async def try_all(site: Site, way: Callable[[Site, bytes], Awaitable[None]]) -> None:
    """Bring in infected files by one way, where there is no file, and then over one."""
    async with site.watched():
        with pytest.raises(RejectedException):
            await way(site, EICAR)
        assert not await site.raw.exists(TARGET)
        await site.disk.put(TARGET, CLEAN)
        for content in CONTENTS:
            with pytest.raises(RejectedException):
                await way(site, content)
    assert site.seen == []
    assert site.looks > 50
    assert await site.raw.get(TARGET) == CLEAN
    assert not await site.raw.exists(f"unscanned/{TARGET}")
    await site.app.aclose()


@pytest.mark.parametrize("way", WAYS)
async def test_local_disk_never_shows_an_infected_file(
    clamd: RealClamd, tmp_path: Path, way: Callable[[Site, bytes], Awaitable[None]]
) -> None:
    driver = LocalDriver(tmp_path, base_url=BASE, secret=SECRET)
    await try_all(Site(driver, clamd, tmp_path), way)


@pytest.mark.parametrize("way", ON_S3)
async def test_s3_disk_never_shows_an_infected_file(
    clamd: RealClamd,
    make_driver: MakeDriver,
    folder: str,
    tmp_path: Path,
    way: Callable[[Site, bytes], Awaitable[None]],
) -> None:
    await try_all(Site(Scoped(make_driver(), folder), clamd, tmp_path), way)


async def test_watching_sees_a_file_that_is_not_scanned(clamd: RealClamd, tmp_path: Path) -> None:
    # That the tests above can fail.
    site = Site(LocalDriver(tmp_path, base_url=BASE, secret=SECRET), clamd, tmp_path)
    async with site.watched():
        await site.raw.put(TARGET, EICAR)
        while len(site.seen) < 20:
            await asyncio.sleep(0.01)
    assert repr(EICAR) in site.seen
    await site.app.aclose()
