"""Files are stored whole, from their beginning; others are refused, and nothing is stored."""

from __future__ import annotations

import array
import asyncio
import bz2
import contextlib
import gzip
import io
import itertools
import mmap
import os
import socket
import tarfile
import tempfile
import threading
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiofiles
import aiofiles.tempfile
import aiohttp
import anyio
import pytest
from aiohttp.base_protocol import BaseProtocol
from django.core.files.base import ContentFile, File
from django.core.files.uploadedfile import InMemoryUploadedFile
from starlette.datastructures import UploadFile

from jtc.storage import Disk, IntegrityException, StorageManager
from jtc.storage.driver_support.content import driver_content
from jtc.storage.drivers import LocalDriver, MemoryDriver
from jtc.storage.layers.limit import Limit
from jtc.storage.layers.retry import Retry
from jtc.storage.options import WriteOptions
from small_drivers import EightMethods, Writing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

# Coverage doubles the time, and would measure no line that other tests do not measure.
pytestmark = pytest.mark.no_cover

BODY = b"0123456789" * 1000
ROLLED = 4000
"""Bytes from which the spooled files of these tests go to the disk."""


class Target:
    """A place to store to, and to look at afterwards."""

    def __init__(
        self, driver: Any, store: Callable[[str, Any], Awaitable[Any]], *, is_sync: bool = False
    ) -> None:
        self.driver = driver
        self.store = store
        self.is_sync = is_sync

    async def stored(self) -> bytes | None:
        if not await self.driver.exists("a"):
            return None
        content: bytes = await self.driver.get("a")
        return content


def _disk(driver: Any) -> Disk:
    manager = StorageManager.isolated({})
    manager.set_driver(driver, "d")
    return manager.disk("d")


def _alone(driver: Any) -> Target:
    async def write(path: str, content: Any) -> None:
        await driver.write_file(path, content, WriteOptions())

    return Target(driver, write)


def _sync(driver: Any) -> Target:
    disk = _disk(driver)
    put = disk.sync.put
    return Target(driver, lambda path, c: asyncio.to_thread(put, path, c), is_sync=True)


async def _put_file(disk: Disk, content: Any) -> None:
    await disk.move(await disk.put_file("", content), "a")


TARGETS: dict[str, Callable[[Path], Target]] = {
    "eight methods": lambda _: Target(d := EightMethods(), _disk(d).put),
    "writing": lambda _: Target(d := Writing(), _disk(d).put),
    "memory": lambda _: Target(d := MemoryDriver(), _disk(d).put),
    "put with options": lambda _: Target(
        d := MemoryDriver(),
        lambda path, content, disk=None: (disk or _disk(d)).put(path, content, min_size=1),
    ),
    "put_file": lambda _: Target(d := MemoryDriver(), lambda _, c: _put_file(_disk(d), c)),
    "put_file_as": lambda _: Target(
        d := MemoryDriver(), lambda path, c: _disk(d).put_file_as("", c, path)
    ),
    "local": lambda tmp: Target(d := LocalDriver(root=tmp / "disk"), _disk(d).put),
    "retry": lambda _: Target(d := MemoryDriver(), _disk(Retry(d)).put),
    "retry of eight methods": lambda _: Target(d := EightMethods(), _disk(Retry(d)).put),
    "memory alone": lambda _: Target(d := MemoryDriver(), d.put),
    "memory alone, write_file": lambda _: _alone(MemoryDriver()),
    "local alone": lambda tmp: Target(d := LocalDriver(root=tmp / "disk"), d.put),
    "local alone, write_file": lambda tmp: _alone(LocalDriver(root=tmp / "disk")),
    "a layer alone": lambda _: Target(d := MemoryDriver(), Limit(d, operations=1).put),
    "sync API": lambda _: _sync(MemoryDriver()),
}


@pytest.fixture(params=TARGETS)
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Target:
    return TARGETS[request.param](tmp_path)


def _plain(tmp: Path) -> Path:
    path = tmp / "plain"
    path.write_bytes(BODY)
    return path


def _written(file: Any) -> Any:
    file.write(BODY)
    return file


def _read(file: Any) -> Any:
    file.read(7)
    return file


def _zipped() -> Any:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", BODY)
    return zipfile.ZipFile(packed).open("a")


def _tarred(tmp: Path) -> Any:
    with tarfile.open(tmp / "a.tar", "w") as archive:
        archive.add(_plain(tmp), "a")
    content = io.BytesIO((tmp / "a.tar").read_bytes())
    return tarfile.open(fileobj=content).extractfile("a")


def _mapped(tmp: Path) -> Any:
    with _plain(tmp).open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


class Seeks:
    """A file object with neither `tell` nor `seekable`."""

    def __init__(self, content: bytes) -> None:
        self._file = io.BytesIO(content)
        self.read = self._file.read
        self.seek = self._file.seek


FILES: dict[str, Callable[[Path], Any]] = {
    "BytesIO just written": lambda _: _written(io.BytesIO()),
    "BytesIO partly read": lambda _: _read(io.BytesIO(BODY)),
    "buffered reader": lambda tmp: _read(_plain(tmp).open("rb")),
    "raw file": lambda tmp: _read(_plain(tmp).open("rb", buffering=0)),
    "w+b just written": lambda tmp: _written((tmp / "new").open("w+b")),
    "a+b": lambda tmp: _plain(tmp).open("a+b"),
    "r+b": lambda tmp: _read(_plain(tmp).open("r+b")),
    "temporary file": lambda _: _written(tempfile.TemporaryFile()),  # noqa: SIM115
    "named temporary file": lambda _: _written(tempfile.NamedTemporaryFile()),  # noqa: SIM115
    "spooled file in memory": lambda _: _written(tempfile.SpooledTemporaryFile()),  # noqa: SIM115
    "rolled spooled file": lambda _: _written(tempfile.SpooledTemporaryFile(ROLLED)),  # noqa: SIM115
    "zip member": lambda _: _read(_zipped()),
    "tar member": lambda tmp: _read(_tarred(tmp)),
    "gzip": lambda tmp: _read(_compressed(tmp, gzip)),
    "bz2": lambda tmp: _read(_compressed(tmp, bz2)),
    "mmap": lambda tmp: _read(_mapped(tmp)),
    "seek without tell": lambda _: _read(Seeks(BODY)),
    "Django's ContentFile": lambda _: _read(ContentFile(BODY)),
    "Django's File": lambda tmp: _read(File(_plain(tmp).open("rb"))),
    "the file of Django's File": lambda tmp: _read(File(_plain(tmp).open("rb"))).file,
    "Django's upload in memory": lambda _: _read(
        InMemoryUploadedFile(io.BytesIO(BODY), "f", "a", "text/plain", len(BODY), None)
    ),
}


def _compressed(tmp: Path, module: Any) -> Any:
    with module.open(tmp / "compressed", "wb") as file:
        file.write(BODY)
    return module.open(tmp / "compressed", "rb")


@pytest.mark.parametrize("kind", FILES)
async def test_put_stores_a_seekable_file_from_its_beginning(
    kind: str, target: Target, tmp_path: Path
) -> None:
    file = FILES[kind](tmp_path)
    await target.store("a", file)
    assert await target.stored() == BODY
    assert not getattr(file, "closed", False)
    if hasattr(file, "close"):
        file.close()


async def test_put_stores_an_upload_that_was_read_whole(target: Target) -> None:
    for most in (ROLLED, 2 * len(BODY)):
        file = tempfile.SpooledTemporaryFile(most)  # noqa: SIM115 - an upload
        upload = UploadFile(file, size=0, filename="a")  # type: ignore[arg-type]
        await upload.write(BODY)
        await target.store("a", upload)
        assert await target.stored() == BODY
        assert await upload.read() == b""
        await target.store("a", upload)
        assert await target.stored() == BODY
        assert not upload.file.closed
        await upload.close()


async def test_put_stores_async_files_from_their_beginning(target: Target, tmp_path: Path) -> None:
    if target.is_sync:
        pytest.skip("these files belong to this event loop")
    source = _plain(tmp_path)
    async with aiofiles.open(source, "rb") as file, await anyio.open_file(source, "rb") as other:
        for each in (file, other):
            await each.read(7)
            await target.store("a", each)
            assert await target.stored() == BODY
            assert not each.closed


async def _written_async(opening: Any) -> Any:
    file = await opening.__aenter__()
    await file.write(BODY)
    return file


ASYNC_FILES: dict[str, Callable[[], Any]] = {
    "anyio's spooled file": anyio.SpooledTemporaryFile,
    "anyio's rolled spooled file": lambda: anyio.SpooledTemporaryFile(max_size=ROLLED),
    "anyio's temporary file": anyio.TemporaryFile,
    "anyio's named temporary file": anyio.NamedTemporaryFile,
    "aiofiles' spooled file": lambda: aiofiles.tempfile.SpooledTemporaryFile(max_size=ROLLED),
    "aiofiles' temporary file": aiofiles.tempfile.TemporaryFile,
}


@pytest.mark.parametrize("kind", ASYNC_FILES)
async def test_put_stores_an_async_file_that_was_just_written(kind: str) -> None:
    disk = _disk(MemoryDriver())
    opening = ASYNC_FILES[kind]()
    async with contextlib.AsyncExitStack() as stack:
        file = await _written_async(opening)
        stack.push_async_exit(opening.__aexit__)
        await disk.put("a", file)
    assert await disk.get("a") == BODY


async def test_put_stores_an_upload_of_litestar_from_its_beginning() -> None:
    datastructures = pytest.importorskip("litestar.datastructures")
    disk = _disk(MemoryDriver())
    upload = datastructures.UploadFile("a/b", "a", file_data=BODY)
    await upload.read(7)
    await disk.put("a", upload)
    assert await disk.get("a") == BODY
    await upload.close()


async def test_put_stores_a_stream_of_aiohttp_unless_it_was_read_to_its_end() -> None:
    disk = _disk(MemoryDriver())
    protocol = BaseProtocol(asyncio.get_running_loop())
    for was_read in (False, True):
        stream = aiohttp.StreamReader(protocol, 2**16)
        stream.feed_data(BODY)
        stream.feed_eof()
        if was_read:
            assert await stream.read() == BODY
            with pytest.raises(IntegrityException, match="has nothing more"):
                await disk.put("b", stream)
        else:
            await disk.put("b", stream)
            assert await disk.get("b") == BODY
    empty = aiohttp.StreamReader(protocol, 2**16)
    empty.feed_eof()
    await disk.put("b", empty)
    assert await disk.get("b") == b""


async def test_put_stores_our_own_open_files_from_their_beginning(target: Target) -> None:
    if isinstance(target.driver, (EightMethods, Writing)):
        pytest.skip("the drivers of our own suffice")
    other = _disk(MemoryDriver())
    await other.put("b", BODY)
    file = await asyncio.to_thread(other.sync.open, "b")
    try:
        await asyncio.to_thread(file.read, 7)
        await target.store("a", file)
        assert await target.stored() == BODY
    finally:
        await asyncio.to_thread(file.close)


async def test_put_stores_an_open_async_file_of_another_disk_whole() -> None:
    source, disk = _disk(MemoryDriver()), _disk(MemoryDriver())
    await source.put("b", BODY)
    async with source.open("b") as file:
        await file.read(7)
        await disk.put("a", file)
        assert await disk.get("a") == BODY


async def test_put_stores_the_rest_of_a_file_by_the_documented_way(
    target: Target, tmp_path: Path
) -> None:
    with _plain(tmp_path).open("rb") as file:
        file.seek(9000)
        await target.store("a", iter(lambda: file.read(65536), b""))
    assert await target.stored() == BODY[9000:]


async def test_put_stores_from_a_pipe_what_is_left_of_it(target: Target) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"skipped")
    os.write(writing, BODY)
    os.close(writing)
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        assert pipe.read(7) == b"skipped"
        await target.store("a", pipe)
    assert await target.stored() == BODY


async def test_put_stores_from_a_socket_what_is_left_of_it(target: Target) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, ours.makefile("rb") as file:
        threading.Thread(target=lambda: (theirs.sendall(BODY), theirs.close())).start()
        assert file.read(10) == BODY[:10]
        await target.store("a", file)
    assert await target.stored() == BODY[10:]


@pytest.mark.parametrize(
    "view",
    [
        memoryview(array.array("I", range(10))),
        memoryview(array.array("d", range(10)))[::2],
        memoryview(array.array("H", range(12))).cast("B").cast("H", (3, 4)),
    ],
)
async def test_put_stores_the_bytes_of_any_memoryview(view: memoryview, target: Target) -> None:
    await target.store("a", view)
    assert await target.stored() == view.tobytes()
    await target.store("a", [view])
    assert await target.stored() == view.tobytes()


# What is refused.


BIG = BODY * 200


def _gzip_over_a_pipe() -> Iterator[Any]:
    reading, writing = os.pipe()
    os.write(writing, gzip.compress(BIG))
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        yield gzip.GzipFile(fileobj=pipe)


async def test_put_reads_gzip_over_a_pipe_that_was_not_read_yet(target: Target) -> None:
    for file in _gzip_over_a_pipe():
        await target.store("a", file)
    assert await target.stored() == BIG


async def test_put_refuses_a_file_that_cannot_be_rewound(target: Target) -> None:
    for file in _gzip_over_a_pipe():
        assert file.seekable()
        assert len(file.read(1_000_000)) == 1_000_000  # more than its buffer holds
        with pytest.raises(IntegrityException, match="at byte 1000000, and cannot go back"):
            await target.store("a", file)
    assert await target.stored() is None


async def test_put_refuses_a_member_of_a_tar_stream_that_was_read(
    target: Target, tmp_path: Path
) -> None:
    (tmp_path / "big").write_bytes(BIG)
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.add(tmp_path / "big", "a")
    with tarfile.open(tmp_path / "a.tar", "r|") as archive:
        member: Any = archive.extractfile(next(iter(archive)))
        assert len(member.read(50_000)) == 50_000
        with pytest.raises(IntegrityException, match="at byte 50000, and cannot go back"):
            await target.store("a", member)
    assert await target.stored() is None


@pytest.mark.parametrize("mode", ["wb", "ab", "xb"])
async def test_put_refuses_a_file_that_is_not_open_for_reading(
    mode: str, target: Target, tmp_path: Path
) -> None:
    with (tmp_path / "new").open(mode) as file:
        with pytest.raises(IntegrityException, match="not open for reading"):
            await target.store("a", file)
        file.write(BODY)
        with pytest.raises(IntegrityException, match="not open for reading"):
            await target.store("a", file)
    async with aiofiles.open(tmp_path / "other", "wb") as other:
        if target.is_sync:
            return
        with pytest.raises(IntegrityException, match="not open for reading"):
            await target.store("a", other)
    assert await target.stored() is None


async def test_put_refuses_a_closed_file(target: Target, tmp_path: Path) -> None:
    files: list[Any] = [
        make(tmp_path) for kind, make in FILES.items() if kind != "seek without tell"
    ]
    upload = UploadFile(io.BytesIO(BODY), filename="a")
    async with aiofiles.open(_plain(tmp_path), "rb") as file:
        pass
    for each in [*files, upload.file]:
        each.close()
    for each in [*files, upload, file]:
        if each.closed if hasattr(each, "closed") else True:
            with pytest.raises(IntegrityException, match="closed file"):
                await target.store("a", each)
    assert await target.stored() is None


async def test_put_refuses_a_text_file_wherever_it_is(target: Target, tmp_path: Path) -> None:
    with _plain(tmp_path).open(encoding="ascii") as file:
        for _ in range(2):
            with pytest.raises(TypeError, match="binary mode"):
                await target.store("a", file)
            file.read(7)
    assert await target.stored() is None


def _generator(*pieces: bytes) -> Iterator[bytes]:
    yield from pieces


async def _async_generator(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def test_put_refuses_a_generator_that_has_ended(target: Target) -> None:
    consumed, closed = _generator(BODY), _generator(BODY)
    assert list(consumed) == [BODY]
    closed.close()  # type: ignore[attr-defined]
    expression = (piece for piece in [BODY])
    assert b"".join(expression) == BODY
    for content in (consumed, closed, expression):
        with pytest.raises(IntegrityException, match="read to its end"):
            await target.store("a", content)
    assert await target.stored() is None


async def test_put_refuses_an_async_generator_that_has_ended(target: Target) -> None:
    consumed = _async_generator(BODY)
    assert [piece async for piece in consumed] == [BODY]
    with pytest.raises(IntegrityException, match="read to its end"):
        await target.store("a", consumed)
    assert await target.stored() is None


async def test_put_refuses_a_generator_that_was_read_to_its_last_chunk(target: Target) -> None:
    content = _generator(BODY)
    assert next(content) == BODY
    later = _async_generator(BODY)
    assert await anext(later) == BODY
    for each in (content, later):
        with pytest.raises(IntegrityException, match="has nothing more"):
            await target.store("a", each)
    assert await target.stored() is None


class Response(io.RawIOBase):
    """A response of urllib3 or botocore: it tells how much was read, and cannot go back."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self._file = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        return self._file.read(size)

    def tell(self) -> int:
        return self._file.tell()


async def test_put_refuses_a_response_that_was_read_to_its_end(target: Target) -> None:
    response = Response(BODY)
    assert response.read() == BODY
    with pytest.raises(IntegrityException, match="has nothing more"):
        await target.store("a", response)
    assert await target.stored() is None
    response = Response(BODY)
    assert response.read(10) == BODY[:10]
    await target.store("a", response)
    assert await target.stored() == BODY[10:]


async def test_put_stores_the_rest_of_a_generator_and_an_empty_one(target: Target) -> None:
    begun = _generator(b"head", BODY)
    assert next(begun) == b"head"
    later = _async_generator(b"head", BODY)
    assert await anext(later) == b"head"
    for each in (begun, later, itertools.chain([BODY], _generator())):
        await target.store("a", each)
        assert await target.stored() == BODY


async def test_put_stores_empty_generators() -> None:
    disk = _disk(MemoryDriver())
    for content in (_generator(), _async_generator(), iter([]), (b"" for _ in range(3))):
        await disk.put("a", content)
        assert await disk.get("a") == b""


async def test_put_refuses_a_stream_of_the_sync_api_that_was_read(target: Target) -> None:
    other = _disk(MemoryDriver())
    await other.put("b", BODY)
    disk = _disk(target.driver)

    def store() -> None:
        stream = other.sync.stream("b")
        assert b"".join(stream) == BODY
        disk.sync.put("a", stream)

    with pytest.raises(IntegrityException, match="read to its end"):
        await asyncio.to_thread(store)
    assert await target.stored() is None


@pytest.mark.parametrize("size", [0, len(BODY) - 1, len(BODY) + 1])
async def test_put_refuses_an_upload_of_another_size_than_it_says(
    size: int, target: Target
) -> None:
    uploads: list[Any] = [
        UploadFile(io.BytesIO(BODY), size=size, filename="a"),
        InMemoryUploadedFile(io.BytesIO(BODY), "f", "a", "text/plain", size, None),
    ]
    for upload in uploads:
        with pytest.raises(IntegrityException, match=f"says that it has {size} bytes"):
            await target.store("a", upload)
    assert await target.stored() is None


async def test_put_refuses_one_file_that_two_puts_read_at_once(
    target: Target, tmp_path: Path
) -> None:
    """The second one rewinds the file while the first one reads it."""
    with _plain(tmp_path).open("rb") as file:
        first = driver_content(file)
        assert first.read(10)  # type: ignore[union-attr]
        await target.store("a", file)
        assert await target.stored() == BODY
        with pytest.raises(IntegrityException, match="read by two at once"):
            first.readall()  # type: ignore[union-attr]


async def test_put_stores_a_file_that_grows_while_it_is_read(
    target: Target, tmp_path: Path
) -> None:
    path = _plain(tmp_path)

    class Growing:
        """A log: another program writes to it."""

        def __init__(self, file: Any) -> None:
            self._file = file

        def read(self, size: int = -1, /) -> bytes:
            chunk: bytes = self._file.read(size)
            if chunk and path.stat().st_size == len(BODY):
                with path.open("ab") as log:
                    log.write(b"more")
            return chunk

        @property
        def size(self) -> int:
            return path.stat().st_size

    with path.open("rb") as file:
        await target.store("a", Growing(file))
    assert await target.stored() == BODY + b"more"


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc")
async def test_put_stores_files_whose_length_the_system_does_not_know(target: Target) -> None:
    for path in ("/proc/version", "/sys/kernel/mm/transparent_hugepage/enabled"):
        if Path(path).exists():
            with Path(path).open("rb") as file:
                await target.store("a", file)
            assert await target.stored() == Path(path).read_bytes()


async def test_put_seeks_where_it_reads_and_not_in_the_event_loop(target: Target) -> None:
    if isinstance(target.driver, Writing):
        pytest.skip("this driver reads in the event loop")
    loop_thread = threading.get_ident()
    threads: set[int] = set()

    class Slow(io.BytesIO):
        def seek(self, *arguments: Any) -> int:
            threads.add(threading.get_ident())
            return super().seek(*arguments)

        def tell(self) -> int:
            threads.add(threading.get_ident())
            return super().tell()

    # As `Disk` converts it: a layer that is used alone looks at the file itself.
    await target.store("a", driver_content(_written(Slow())))
    assert await target.stored() == BODY
    assert threads
    assert loop_thread not in threads


async def test_put_stores_a_picture_that_was_looked_at_whole(target: Target) -> None:
    image = pytest.importorskip("PIL.Image")
    picture = io.BytesIO()
    image.new("RGB", (64, 64), "red").save(picture, "PNG")
    upload = UploadFile(io.BytesIO(picture.getvalue()), filename="a.png")
    image.open(upload.file).load()
    await target.store("a", upload)
    assert await target.stored() == picture.getvalue()
