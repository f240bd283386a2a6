"""Mistakes that mypy and pyright must find: if one is not found, its comment is an error."""

# ruff: noqa: ARG002 - the signatures are the point; nothing is done here

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from jtc.storage import Storage
from jtc.storage.driver import SupportsListing, SupportsReading, SupportsWriting
from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.drivers.s3_driver import S3Driver

if TYPE_CHECKING:
    from jtc.storage import Disk, FakeDisk


async def options(disk: Disk) -> None:
    await disk.put("a", b"a", content_typ="text/plain")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await disk.put("a", b"a", overwrite="no")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await disk.put("a", b"a", metadata={"pages": 3})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
    await disk.put("a", b"a", if_source_match="etag")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await disk.put_json("a", {}, conten_type="text/plain")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await disk.copy("a", "b", if_match="etag")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await disk.set_metadata("a", visibility="public")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await disk.set_metadata("a", metadata={"pages": 3})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
    await disk.get("a", if_unmodified="etag")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await disk.get("a", "etag")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await disk.copy("a", "b", max_size=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    disk.open("a", "rb", content_type="text/plain")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    disk.open("a", "r+")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    disk.open("a", "r", content_type="text/plain")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    disk.open("a", "ab", overwrite=True)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    disk.open("a", "wb", encoding="utf-8")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]


async def contents(disk: Disk) -> None:
    await disk.put("a", 3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await disk.put("a", None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await disk.put("a", {"a": 1})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
    await disk.put("a", ["text"])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    with Path("a.txt").open() as text:
        await disk.put("a", text)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await disk.append("a", [b"a"])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def paths(disk: Disk, path: Path) -> None:
    await disk.get(path)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await disk.put(path, b"a")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await disk.get(b"a")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await disk.delete(["a", "b"])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await disk.copy("a", "b", to=MemoryDriver())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await disk.temporary_url("a")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await disk.temporary_url("a", "1h")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await disk.temporary_urls(["a"])  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await disk.temporary_url("a", 60, stable_for="1h")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await disk.get_ranges("a", [0, 10])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    await disk.get_ranges("a", [(0, 10, 20)])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    await disk.glob(path)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await disk.temporary_upload_form("a", 60)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def results(disk: Disk) -> None:
    _text: str = await disk.get("a")  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    disk.name = "other"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    async for entry in disk.list():
        entry.size.bit_length()  # type: ignore[union-attr]  # pyright: ignore[reportUnknownMemberType, reportAttributeAccessIssue]
    (await disk.entry("a")).path.upper()  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]
    _files: int = await disk.usage()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    await disk.list()  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    async with disk.open("a") as file:
        await file.write(b"a")  # type: ignore[attr-defined]  # pyright: ignore[reportUnknownMemberType, reportAttributeAccessIssue]
    async with disk.open("a", "wb") as written:
        await written.write("text")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    disk.driver_as(MemoryDriver).no_such_method()  # type: ignore[attr-defined]  # pyright: ignore[reportUnknownMemberType, reportAttributeAccessIssue]
    disk.driver.flush()  # type: ignore[attr-defined]  # pyright: ignore[reportUnknownMemberType, reportAttributeAccessIssue]


def s3_options() -> None:
    S3Driver("media", session_key="a")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    S3Driver("media", credentials=dict)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    S3Driver("media", addressing_style="host")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    S3Driver("media", sse_customer_key=32)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    S3Driver("media", conditions=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


class SevenMethods:
    async def put(self, path: str, content: object, /) -> str:
        return path


class OtherResults(MemoryDriver):
    async def get(self, path: str, /) -> str:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        return path


class OtherCapability:
    async def open_read(self, path: str, /) -> bytes:
        return b""

    async def list_entries(self, prefix: str, /, *, recursive: bool = False) -> list[str]:
        return [prefix]


def drivers(incomplete: SevenMethods, unrelated: OtherCapability) -> None:
    Storage.set_driver(incomplete)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Storage.extend("mine", SevenMethods)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Storage.set_driver(MemoryDriver)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    _reading: SupportsReading = unrelated  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    _listing: SupportsListing = unrelated  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    _writing: SupportsWriting = unrelated  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    MemoryDriver("http://example.test")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    MemoryDriver(base_uri="http://example.test")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Storage.build("memory")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Storage.configure(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def sync_disk(disk: Disk) -> None:
    disk.sync.put("a", 3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    disk.sync.put("a", b"a", content_typ="a/b")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    _text: str = disk.sync.get("a")  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    disk.sync.get_ranges("a", [0, 10])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    disk.sync.set_metadata("a", visibility="public")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    disk.sync.copy("a", "b", to=MemoryDriver())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def fakes(fake: FakeDisk) -> None:
    fake.fail("put", error="full")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    fake.fail("put", paths=["*.png"])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    fake.delay("get")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    fake.assert_exists("a", 1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
