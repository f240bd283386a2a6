"""Code of users, with its types. Checked by mypy and pyright, and never run."""

from __future__ import annotations

import csv
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, assert_type

from aiobotocore.session import AioSession

from jtc.storage import (
    BuiltDisk,
    ByteStream,
    Capabilities,
    DirectoryInfo,
    Disk,
    Entry,
    FakeDisk,
    FileInfo,
    MetadataOptions,
    NotModifiedException,
    PresignedForm,
    PresignedRequest,
    PutOptions,
    Storage,
    StorageConfigException,
    StorageDriver,
    StorageException,
    StorageManager,
    Usage,
    Visibility,
    sync,
)
from jtc.storage.django import DiskStorage
from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.drivers.s3_driver import (
    AIOBOTO3_AVAILABLE,
    DRIVER_OPTIONS,
    S3Driver,
    S3Refusal,
)
from jtc.storage.files import ReadableFile, TextFile, WritableFile
from jtc.storage.hookspecs import AfterGet, BeforePut, Failed, hookimpl
from jtc.storage.layers.clamav_layer import Clamd, Scan, Scanner, discard, release, staged
from jtc.storage.layers.retry import Retry
from jtc.storage.layers.scoped import Scoped
from jtc.storage.layers.validate import Validate
from jtc.storage.sync import (
    SyncBuiltDisk,
    SyncDisk,
    SyncFakeDisk,
    SyncStorage,
    SyncStream,
    SyncTransfers,
)
from jtc.storage.sync_plan import Difference, PlannedAction, SyncPlan
from jtc.storage.transfers import FileResult, TransferProgress, Transfers, TransferSummary


async def whole_files(disk: Disk) -> None:
    assert_type(await Storage.put("a.txt", b"a"), str)
    assert_type(await Storage.get("a.txt"), bytes)
    assert_type(await disk.put("a.txt", b"a"), str)
    assert_type(await disk.get("a.txt"), bytes)
    assert_type(await disk.get_text("a.txt"), str)
    assert_type(await disk.get_text("a.txt", encoding="latin-1"), str)
    assert_type(await disk.put_json("a.json", {"a": [1, None]}), str)
    assert_type(await disk.append("a.txt", "more"), str)
    assert_type(await disk.prepend("a.txt", b"before"), str)
    assert_type(await disk.exists("a.txt"), bool)
    assert_type(await disk.missing("a.txt"), bool)
    assert_type(await disk.delete("a.txt"), bool)
    assert_type(await disk.download("a.txt", "copy.txt"), FileInfo)
    await Storage.download("a", Path("b"), if_none_match="etag", progress=lambda done, _: done)
    assert_type(await disk.delete("a.txt", if_match="etag"), bool)
    assert_type(await disk.delete_many(["a.txt"]), dict[str, bool | StorageException])
    await disk.delete_many({"a.txt", "b.txt"})
    await disk.delete_many(path for path in ("a.txt", "b.txt"))


def show(progress: TransferProgress) -> None:
    assert_type(progress.files, int)
    assert_type(progress.total_files, int | None)


async def rows() -> AsyncIterator[tuple[str, bytes]]:
    yield "a.txt", b"a"


async def many_files(disk: Disk) -> None:
    contents: dict[str, bytes] = {"a.txt": b"a"}
    transfers = disk.put_many(contents, visibility="public", max_size=10, progress=show)
    assert_type(transfers, Transfers)
    assert_type(await transfers, TransferSummary)
    await Storage.put_many({"a.txt": b"a", "b.txt": "b", "c.txt": Path("c")})
    await disk.put_many(rows(), concurrency=4)
    await disk.put_many((str(number), b"") for number in range(9))
    async with disk.get_many(["a.txt"]) as results:
        async for result in results:
            assert_type(result, FileResult)
            assert_type(result.content, bytes | None)
            assert_type(result.error, StorageException | None)
    await disk.copy_many({"a": "b"}, to="s3", cache_control="no-store")
    await disk.copy_many([("a", "b")], to=disk)
    assert_type(await disk.copy_directory("a", "b", to=disk, overwrite=False), TransferSummary)
    assert_type(disk.move_directory("a", "b", progress=show), Transfers)
    async for difference in disk.compare("a", to="s3:b", include=["*.html"]):
        assert_type(difference, Difference)
    async with await disk.plan_sync("a", to=disk, delete=True, backup="s3:old") as plan:
        assert_type(plan, SyncPlan)
        assert_type([action async for action in plan], list[PlannedAction])
        assert_type(await plan.run(progress=show, max_rate=1e6), TransferSummary)


def many_files_without_await(disk: SyncDisk, other: Disk) -> None:
    contents: dict[str, bytes] = {"a.txt": b"a"}
    assert_type(disk.put_many(contents, content_type="text/plain").wait(), TransferSummary)
    disk.put_many({"a.txt": disk.stream("a"), "b.txt": disk.open("b")}).wait()
    with disk.get_many(iter(["a.txt"])) as transfers:
        assert_type(transfers, SyncTransfers)
        for result in transfers:
            assert_type(result, FileResult)
    disk.copy_many({"a": "b"}, to=disk).wait()
    disk.copy_directory("a", "b", to=other, progress=show).close()
    Storage.sync.move_directory("a", "b", to=disk).wait()
    assert_type(list(disk.compare(to=disk)), list[Difference])
    with disk.plan_sync(to=disk, where=lambda info: info.size > 1, backup=disk) as plan:
        assert_type(list(plan), list[PlannedAction])
        assert_type(plan.run().wait(), TransferSummary)


class Upload:
    """Reads as FastAPI's ``UploadFile`` does."""

    filename: str | None = "a.png"

    async def read(self, size: int = -1) -> bytes:
        raise NotImplementedError


async def contents(disk: Disk, file: BinaryIO, upload: Upload) -> None:
    def some() -> Iterator[bytes]:
        yield b"a"

    async def others() -> AsyncIterator[bytes]:
        yield b"a"

    await disk.put("a", b"a")
    await disk.put("a", bytearray(b"a"))
    await disk.put("a", memoryview(b"a"))
    await disk.put("a", "text")
    await disk.put("a", Path("a.txt"))
    await disk.put("a", file)
    await disk.put("a", BytesIO(b"a"))
    await disk.put("a", upload)
    await disk.put("a", [b"a", b"b"])
    await disk.put("a", some())
    await disk.put("a", others())
    await disk.put("a", disk.stream("b"))
    with Path("a.txt").open("rb") as opened:
        await disk.put("a", opened)
    assert_type(await disk.put_file("avatars", upload), str)
    assert_type(await disk.put_file_as("avatars", upload, "me.png"), str)


async def options(disk: Disk) -> None:
    await disk.put(
        "a.txt",
        b"a",
        content_type="text/plain",
        cache_control="no-store",
        content_disposition="inline",
        metadata={"author": "me"},
        visibility=Visibility.PUBLIC,
        overwrite=False,
        if_match=None,
        size=1,
        min_size=1,
        max_size=10,
        allowed_types=["text/*"],
        progress=lambda done, total: done / (total or 1),
        driver_options={"storage_class": "GLACIER"},
    )
    await disk.put("a.txt", b"a", visibility="public")
    kept: PutOptions = {"content_type": "text/plain", "overwrite": False}
    await disk.put("a.txt", b"a", **kept)
    await disk.put_file("a", b"a", **kept)
    await disk.put_json("a.json", {}, **kept)
    await disk.copy("a", "b", overwrite=False, if_source_match="etag", metadata={})


async def conditions(disk: Disk, etag: str | None) -> None:
    assert_type(await disk.get("a.txt", if_match=etag), bytes)
    assert_type(await disk.get("a.txt", if_none_match=etag), bytes)
    assert_type(await disk.get_range("a.txt", 0, 10, if_match=etag, if_none_match=etag), bytes)
    assert_type(await disk.get_ranges("a.txt", [(0, 10), (-5, None)], if_match=etag), list[bytes])
    assert_type(await disk.get_ranges("a.txt", ((n, n + 1) for n in range(3))), list[bytes])
    assert_type(disk.stream("a.txt", if_match=etag, if_none_match=etag), ByteStream)
    assert_type(await disk.stat("a.txt", if_match=etag, if_none_match=etag), FileInfo)
    try:
        await disk.get("a.txt", if_none_match=etag)
    except NotModifiedException as error:
        assert_type(error.path, str | None)


async def metadata(disk: Disk) -> None:
    assert_type(await disk.size("a.txt"), int)
    assert_type(await disk.last_modified("a.txt"), float)
    assert_type(await disk.mime_type("a.txt"), str)
    assert_type(await disk.checksum("a.txt"), str)
    assert_type(await disk.confirm_upload("a.txt", options={"filename": "a"}), FileInfo)
    await disk.checksum("a.txt", algorithm="md5")
    info = await disk.stat("a.txt")
    assert_type(info, FileInfo)
    assert_type(info.etag, str | None)
    assert_type(info.metadata.get("author"), str | None)
    await disk.set_metadata(
        "a.txt",
        content_type="text/plain",
        cache_control="no-store",
        content_disposition="inline",
        metadata={"author": "me"},
        if_match=info.etag,
    )
    kept: MetadataOptions = {"content_type": "text/plain", "metadata": {}}
    await disk.set_metadata("a.txt", **kept)


async def streams(disk: Disk) -> None:
    stream = disk.stream("a.txt", start=-10, end=None, chunk_size=1024)
    assert_type(stream, ByteStream)
    async for chunk in stream:
        assert_type(chunk, bytes)
    assert_type(await disk.stream("a.txt"), ByteStream)
    async with disk.stream("a.txt") as entered:
        assert_type(entered, ByteStream)
        assert_type(entered.info, FileInfo)
    assert_type(await disk.get_range("a.txt", 0, 10), bytes)
    assert_type(await disk.get_range("a.txt", -10), bytes)


async def open_files(disk: Disk) -> None:
    async with disk.open("a.txt") as file:
        assert_type(file, ReadableFile)
        assert_type(await file.read(10), bytes)
        assert_type(await file.readline(), bytes)
        assert_type(await file.seek(0), int)
        async for line in file:
            assert_type(line, bytes)
    async with disk.open("a.txt", "rb") as again:
        assert_type(again, ReadableFile)
    async with disk.open("a.txt", "wb", content_type="text/plain") as written:
        assert_type(written, WritableFile)
        assert_type(await written.write(b"a"), int)
    async with disk.open("a.txt", "xb") as made:
        assert_type(made, WritableFile)
    async with disk.open("a.txt", "ab") as appended:
        assert_type(appended, WritableFile)
    assert_type(await disk.open("a.txt"), ReadableFile)
    assert_type(await disk.open("a.txt", "wb"), WritableFile)


async def read_and_write_as_files_do(disk: Disk) -> None:
    async with disk.open("a.txt") as file:
        assert_type(await file.read1(), bytes)
        assert_type(await file.readinto(bytearray(3)), int)
        assert_type(await file.readlines(), list[bytes])
        assert_type(await anext(file), bytes)
        assert_type(file.name, str)
        assert_type(file.mode, str)
        assert_type(file.closed, bool)
    async with disk.open("a.txt", "wb") as written:
        await written.writelines([b"a", bytearray(b"b")])
        assert_type(await written.truncate(3), int)
        position: int = await written.tell() + written.tell()
        assert_type(await written.seek(position), int)


async def open_as_text(disk: Disk) -> None:
    async with disk.open("a.txt", "r", encoding="utf-8", errors="strict", newline="") as file:
        assert_type(file, TextFile)
        assert_type(await file.read(10), str)
        assert_type(await file.readlines(), list[str])
        async for line in file:
            assert_type(line, str)
    async with disk.open("a.txt", "w", encoding="latin-1", overwrite=False) as written:
        assert_type(written, TextFile)
        assert_type(await written.write("a"), int)
    async with disk.open("a.txt", "xt", content_type="text/csv") as made:
        assert_type(made, TextFile)
    async with disk.open("a.txt", "a", newline="\r\n") as appended:
        assert_type(appended, TextFile)


async def listing(disk: Disk) -> None:
    last: Entry | None = None
    async for entry in disk.list("img", recursive=True, start_after=last):
        assert_type(entry, FileInfo | DirectoryInfo)
        assert_type(entry.path, str)
        if isinstance(entry, FileInfo):
            assert_type(entry.size, int)
        else:
            assert_type(entry, DirectoryInfo)
        last = entry
    disk.list(start_after="img/a.png")
    assert_type(disk.list(), AsyncIterator[FileInfo | DirectoryInfo])
    assert_type(await disk.files("img"), list[str])
    assert_type(await disk.all_files(), list[str])
    assert_type(await disk.directories(), list[str])
    assert_type(await disk.all_directories(), list[str])
    assert_type(await disk.directory_exists("img"), bool)
    assert_type(disk.list("img", recursive=True, directories=True), AsyncIterator[Entry])
    assert_type(await disk.glob("img/**/*.png"), list[str])
    usage = await disk.usage("img")
    assert_type(usage, Usage)
    assert_type(usage.files, int)
    assert_type(usage.bytes, int)
    there = await disk.entry("img")
    assert_type(there, FileInfo | DirectoryInfo | None)
    if isinstance(there, FileInfo):
        assert_type(there.size, int)
    await disk.make_directory("img")
    await disk.delete_directory("img")
    assert_type(await disk.remove_empty_directory("img"), bool)


async def copies(disk: Disk) -> None:
    assert_type(await disk.copy("a", "b"), str)
    assert_type(await disk.copy("a", "b", to="s3"), str)
    assert_type(await disk.move("a", "b", to=Storage.disk("s3"), visibility="private"), str)
    await disk.move("a", "b", to="s3", progress=lambda done, total: done / (total or 1))


async def urls(disk: Disk) -> None:
    assert_type(await disk.visibility("a"), Visibility)
    await disk.set_visibility("a", Visibility.PUBLIC)
    await disk.set_visibility("a", "private")
    assert_type(disk.url("a"), str)
    assert_type(disk.path("a"), str)
    assert_type(await disk.temporary_url("a", 60), str)
    assert_type(await disk.temporary_url("a", timedelta(hours=1), content_type="a/b"), str)
    assert_type(await disk.temporary_url("a", 60, stable_for=timedelta(hours=1)), str)
    assert_type(await disk.temporary_urls(["a", "b"], 60, stable_for=3600), dict[str, str])
    assert_type(await disk.temporary_urls({"a"}, timedelta(hours=1)), dict[str, str])
    request = await disk.temporary_upload_url("a", 60, content_type="image/png", size=10)
    assert_type(request, PresignedRequest)
    assert_type(request.headers["content-type"], str)
    form = await disk.temporary_upload_form("a", 60, min_size=1, max_size=10)
    assert_type(form, PresignedForm)
    assert_type(form.fields["key"], str)


async def views(disk: Disk) -> None:
    assert_type(disk.scoped("tenants/1"), Disk)
    assert_type(disk.read_only(), Disk)
    assert_type(Storage.scoped("a").read_only().name, str)
    assert_type(disk.capabilities, Capabilities)
    assert_type("listing" in disk.capabilities, bool)
    assert_type(disk.capabilities.put_options, frozenset[str])
    assert_type(disk.capabilities.supports("open_read", "if_none_match"), bool)
    await disk.check()


def scope(driver: StorageDriver) -> StorageDriver:
    return Scoped(driver, "a")


def layers(disk: Disk) -> None:
    assert_type(disk.with_layer("retry", attempts=4), Disk)
    assert_type(Storage.with_layer(Validate, max_size=10), Disk)
    assert_type(disk.with_layer(scope), Disk)
    assert_type(disk.driver_as(Retry), Retry)


async def scanning(disk: Disk, scanner: Scanner) -> None:
    scanned = disk.with_layer(Scan, scanner=scanner, staging="unscanned")
    assert_type(scanned.driver_as(Scan).scanner, Scanner)
    assert_type(await release(scanned, "a", overwrite=False), str)
    assert_type(await discard(scanned, "a"), bool)
    async for upload in staged(scanned):
        assert_type(upload, FileInfo)
    clamd: Scanner = Clamd("127.0.0.1:3310", max_size=None)
    await clamd.check()
    await release(scanned, "a", overwrit=True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


class Plugin:
    @hookimpl
    def storage_before_put(self, event: BeforePut) -> None:
        assert_type(event.size, int | None)
        assert_type(event.path, str)

    @hookimpl(tryfirst=True)
    async def storage_after_get(self, event: AfterGet) -> None:
        assert_type(event.duration, float)

    @hookimpl
    def storage_failed(self, event: Failed) -> None:
        assert_type(event.error, BaseException)


def hooks() -> None:
    Storage.hooks.register(Plugin())
    Storage.hooks.register(Plugin, "named")
    assert_type(Storage.hooks.plugins(), list[str])
    assert_type(Storage.hooks.broken, dict[str, StorageConfigException])
    Storage.hooks.unregister("named")


async def drivers(disk: Disk) -> None:
    assert_type(disk.driver, StorageDriver)
    assert_type(await disk.driver.get("a"), bytes)
    assert_type(disk.driver_as(MemoryDriver), MemoryDriver)
    disk.driver_as(MemoryDriver).flush()
    assert_type(disk.driver_as(LocalDriver), LocalDriver)
    assert_type(Storage.driver_as(S3Driver), S3Driver)


async def a_mapping_of_keys() -> Mapping[str, object]:
    return {"access_key": "key", "secret_key": "secret", "expires_at": datetime.now(UTC)}


@dataclass
class Keys:
    access_key: str
    secret_key: str
    token: str | None = None
    expires_at: float | None = None


async def keys_as_an_object() -> Keys:
    return Keys("key", "secret")


class Vault:
    async def keys(self) -> dict[str, str]:
        return {"access_key": "key", "secret_key": "secret"}


async def s3_disks(vault: Vault) -> None:
    if AIOBOTO3_AVAILABLE:
        S3Driver("media", session="aioboto3")
    S3Driver("media", session=AioSession(profile="media"))
    S3Driver("media", credentials=a_mapping_of_keys)
    S3Driver("media", credentials=keys_as_an_object)
    S3Driver("media", credentials=vault.keys)
    S3Driver("media", anonymous=True, requester_pays=True, use_fips=None)
    S3Driver("media", sse_customer_key=bytes(32))
    S3Driver("media", sse_customer_key="A" * 43 + "=", ca_bundle="ca.pem", verify=True)
    S3Driver("media", conditions={"put", "delete"}, max_transfer_memory=2**26, pool_timeout=1)
    S3Driver("media", addressing_style="virtual", proxy="http://proxy:3128", copy_timeout=60)
    assert_type(DRIVER_OPTIONS, frozenset[str])
    driver = S3Driver(
        "media", driver_options={"StorageClass": "STANDARD_IA", "Tagging": {"a": "b"}}
    )
    Storage.set_driver(driver, "s3")
    disk = Storage.disk("s3")
    assert_type(await disk.temporary_url("a", 60, stable_for=60), str)
    assert_type(disk.sync.temporary_url("a", 60, stable_for=timedelta(minutes=1)), str)
    await disk.put("a", b"a", driver_options={"BucketKeyEnabled": True})
    assert_type(await disk.driver_as(S3Driver).abort_stale_uploads(older_than=3600), int)


async def refusals(disk: Disk) -> None:
    try:
        await disk.get("a")
    except StorageException as error:
        refusal = error.__cause__
        if isinstance(refusal, S3Refusal):
            assert_type(refusal.status, int)
            assert_type(refusal.code, str)
            assert_type(refusal.message, str)
            assert_type(refusal.request_id, str)
            assert_type(refusal.is_repeated, bool)
            assert_type(refusal.retry_after, float)


def make(*, url: str) -> MemoryDriver:
    return MemoryDriver(base_url=url)


async def manager() -> None:
    assert_type(Storage, StorageManager)
    assert_type(StorageManager(), StorageManager)
    assert_type(StorageManager.isolated({"disks": {}}), StorageManager)
    assert_type(Storage.disk(), Disk)
    assert_type(Storage.disk("s3"), Disk)
    assert_type(Storage.name, str)
    Storage.set_driver(MemoryDriver())
    Storage.set_driver(LocalDriver(root="files"), "files")
    Storage.configure({"default": "a", "disks": {"a": {"driver": "memory"}}})
    Storage.configure("storage.toml")
    Storage.configure(Path("storage.toml"))
    Storage.extend("mine", MemoryDriver)
    Storage.extend("mine", make)
    Storage.forget()
    assert_type(Storage.disks(), list[str])
    assert_type(Storage.drivers(), list[str])
    built = Storage.build({"driver": "memory"})
    assert_type(built, BuiltDisk)
    async with Storage.build({"driver": "local", "root": "/srv/a"}) as entered:
        assert_type(entered, BuiltDisk)
        assert_type(await entered.get("a"), bytes)
    async with Storage as same:
        assert_type(same, StorageManager)
    await Storage.aclose()


def takes_a_disk(disk: Disk) -> None:
    """A built and a faked disk are disks."""


def fakes() -> None:
    takes_a_disk(Storage.build({"driver": "memory"}))
    with Storage.fake("s3", "local") as disk:
        takes_a_disk(disk)
        disk.assert_exists("a.txt", b"a")
        disk.disk("local").assert_empty()
        assert_type(disk.fail("put", times=2, error=TimeoutError), FakeDisk)
        disk.fail("get", None, OSError("full"), paths="*.png").delay("list", 0.05, times=1).reset()
    with Storage.fake("s3").fail("put") as failing:
        assert_type(failing, FakeDisk)


def sync_reads_and_listings(sync_disk: SyncDisk) -> None:
    assert_type(sync_disk.get("a.txt", if_none_match="etag"), bytes)
    assert_type(sync_disk.get_ranges("a.txt", [(0, 10), (-5, None)]), list[bytes])
    assert_type(sync_disk.stat("a.txt", if_match="etag"), FileInfo)
    sync_disk.set_metadata("a.txt", metadata={"author": "me"})
    assert_type(sync_disk.glob("**/*.png"), list[str])
    assert_type(sync_disk.usage(), Usage)
    assert_type(sync_disk.entry("a"), FileInfo | DirectoryInfo | None)
    assert_type(sync_disk.remove_empty_directory("a"), bool)
    assert_type(sync_disk.temporary_urls(["a"], 60, stable_for=60), dict[str, str])
    assert_type(
        sync_disk.list(recursive=True, directories=True), Iterator[FileInfo | DirectoryInfo]
    )


def sync_files(sync_disk: SyncDisk) -> None:
    with sync_disk.open("a.txt", "ab") as appended:
        assert_type(appended, sync.SyncWritableFile)
    with sync_disk.open("a.txt", "r", encoding="utf-8") as text:
        assert_type(text, sync.SyncTextFile)
        assert_type(text.read(10), str)
    with sync_disk.open("a.txt", "w", newline="", content_type="text/csv") as table:
        assert_type(table, sync.SyncTextFile)
        csv.writer(table).writerow(["a", 1])
    with sync_disk.open("a.txt", "at", errors="replace") as more:
        assert_type(more, sync.SyncTextFile)


def sync_disks(disk: Disk) -> None:
    assert_type(Storage.sync, SyncStorage)
    assert_type(disk.sync, SyncDisk)
    assert_type(Storage.sync.disk("s3"), SyncDisk)
    sync_disk = disk.sync
    assert_type(sync_disk.put("a.txt", b"a", content_type="text/plain"), str)
    assert_type(sync_disk.get("a.txt"), bytes)
    assert_type(Storage.sync.get("a.txt"), bytes)
    assert_type(sync_disk.delete("a.txt", if_match="etag"), bool)
    assert_type(sync_disk.download("a.txt", Path("copy.txt"), if_match="etag"), FileInfo)
    assert_type(sync_disk.delete_many(["a.txt"]), dict[str, bool | StorageException])
    assert_type(sync_disk.stat("a.txt"), FileInfo)
    assert_type(sync_disk.files(), list[str])
    assert_type(sync_disk.list(), Iterator[FileInfo | DirectoryInfo])
    assert_type(sync_disk.stream("a.txt"), SyncStream)
    assert_type(next(sync_disk.stream("a.txt")), bytes)
    with sync_disk.stream("a.txt") as stream:
        assert_type(stream.info, FileInfo)
    sync_disk.put("b.txt", sync_disk.stream("a.txt"))
    sync_disk.put("b.txt", disk.stream("a.txt"))
    assert_type(sync_disk.copy("a", "b", to=sync_disk), str)
    sync_disk.move("a", "b", to=disk)
    sync_disk.copy("a", "b", to="s3", overwrite=False)
    sync_disk.copy("a", "b", to="s3", progress=print)
    assert_type(sync_disk.scoped("a").read_only().with_layer("retry"), SyncDisk)
    assert_type(sync_disk.driver_as(MemoryDriver), MemoryDriver)
    assert_type(sync_disk.capabilities, Capabilities)
    assert_type(sync_disk.url("a"), str)
    with sync_disk.open("a.txt") as read:
        assert_type(read, sync.SyncReadableFile)
        assert_type(read.read(10), bytes)
        assert_type(read.info, FileInfo)
    with sync_disk.open("a.txt", "wb", content_type="text/plain") as written:
        assert_type(written, sync.SyncWritableFile)
        assert_type(written.write(b"a"), int)
    with Storage.sync.build({"driver": "memory"}) as built:
        assert_type(built, SyncBuiltDisk)
    takes_a_sync_disk(Storage.build({"driver": "memory"}).sync)
    with Storage.sync.fake("s3") as fake:
        takes_a_sync_disk(fake)
        fake.assert_exists("a.txt", b"a")
        assert_type(fake.fail("put").delay("get", 1), SyncFakeDisk)
    with Storage.sync as same:
        assert_type(same, SyncStorage)
    Storage.sync.configure({"disks": {}})
    assert_type(Storage.sync.disks(), list[str])


def takes_a_sync_disk(disk: SyncDisk) -> None:
    """A built and a faked one are sync disks."""


def django_storage() -> None:
    storage = DiskStorage("media", allow_overwrite=True)
    assert_type(storage.disk, SyncDisk)
    assert_type(storage.url("a"), str)
