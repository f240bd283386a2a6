"""Code of driver authors, with its types. Checked by mypy and pyright, and never run."""

# ruff: noqa: ARG002 - the signatures are the point; nothing is done here

from __future__ import annotations

import os
from typing import TYPE_CHECKING, BinaryIO, Self, assert_type

from jtc.storage import (
    DeleteOptions,
    FileInfo,
    Layer,
    ListOptions,
    ReadOptions,
    ReadStream,
    SignOptions,
    Storage,
    StorageDriver,
    WriteOptions,
)
from jtc.storage.driver import (
    CopySource,
    DriverContent,
    SupportsBulkDelete,
    SupportsClose,
    SupportsConditionalDelete,
    SupportsCopy,
    SupportsCopyFrom,
    SupportsCopySource,
    SupportsDirectories,
    SupportsDirectoryMove,
    SupportsEmptyDirectoryRemoval,
    SupportsHealthCheck,
    SupportsListing,
    SupportsMetadataUpdate,
    SupportsMove,
    SupportsRanges,
    SupportsReading,
    SupportsStat,
    SupportsTemporaryUploads,
    SupportsTemporaryUrls,
    SupportsUploadForms,
    SupportsVisibility,
    SupportsWriting,
)
from jtc.storage.driver_support.loop_clients import LoopClients
from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.drivers.s3_driver import S3Driver

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

    from jtc.storage import Entry


class EightMethods:
    """A driver by its methods alone. Whatever its parameters are called is its own affair."""

    async def put(self, name: str, data: bytes | str | BinaryIO) -> str:
        return name

    async def get(self, name: str) -> bytes:
        return b""

    async def exists(self, name: str) -> bool:
        return False

    async def delete(self, name: str) -> bool:
        return False

    async def size(self, name: str) -> int:
        return 0

    async def last_modified(self, name: str) -> float:
        return 0.0

    def url(self, name: str) -> str:
        return name

    def path(self, name: str) -> str:
        return name


class WithCapabilities(EightMethods):
    """Some capabilities, written as the contract's documentation has them."""

    supported_options: Mapping[str, frozenset[str]] = {"write_file": frozenset({"content_type"})}
    unsupported = frozenset({"copy"})

    async def stat(self, path: str, /) -> FileInfo:
        return FileInfo(path=path, size=0, last_modified=0.0)

    async def open_read(self, path: str, options: ReadOptions, /) -> ReadStream:
        assert_type(options.start, int)
        assert_type(options.if_match, str | None)

        async def chunks() -> AsyncIterator[bytes]:
            yield b""

        async def close() -> None:
            return None

        return ReadStream(await self.stat(path), chunks(), close)

    async def write_file(
        self, path: str, content: DriverContent, options: WriteOptions, /
    ) -> str | None:
        if isinstance(content, bytes):
            assert_type(content, bytes)
        return options.content_type

    async def read_ranges(
        self, path: str, ranges: Sequence[tuple[int, int]], options: ReadOptions, /
    ) -> Sequence[bytes]:
        return [b"" for _ in ranges]

    async def update_metadata(self, path: str, options: WriteOptions, /) -> str | None:
        return options.content_type

    async def list_entries(self, prefix: str, options: ListOptions, /) -> AsyncIterator[Entry]:
        assert_type(options.recursive, bool)
        assert_type(options.start_after, str | None)
        yield await self.stat(prefix)

    def copy_source(self, path: str, /) -> CopySource:
        return CopySource(self, path)

    async def copy_from(self, dst: str, source: CopySource, options: WriteOptions, /) -> str | None:
        return options.if_source_match

    async def move_directory(self, src: str, dst: str, /) -> None:
        return None

    async def remove_empty_directory(self, path: str, /) -> bool:
        return False

    async def delete_file(self, path: str, options: DeleteOptions, /) -> bool:
        assert_type(options.if_match, str | None)
        return False

    async def check(self, path: str, /) -> None:
        return None

    async def temporary_url(self, path: str, options: SignOptions, /) -> str:
        assert_type(options.expires_in, float)
        assert_type(options.stable_for, float | None)
        return path


def a_class_with_the_methods_is_a_driver() -> None:
    driver: StorageDriver = EightMethods()
    Storage.set_driver(driver)
    Storage.set_driver(EightMethods(), "mine")
    Storage.extend("mine", EightMethods)
    assert_type(Storage.driver_as(EightMethods), EightMethods)


def an_authors_capabilities_fit(driver: WithCapabilities) -> None:
    _all: StorageDriver = driver
    _stat: SupportsStat = driver
    _reading: SupportsReading = driver
    _writing: SupportsWriting = driver
    _ranges: SupportsRanges = driver
    _metadata_update: SupportsMetadataUpdate = driver
    _listing: SupportsListing = driver
    _directory_move: SupportsDirectoryMove = driver
    _copy_source: SupportsCopySource = driver
    _copy_from: SupportsCopyFrom = driver
    _empty_directory_removal: SupportsEmptyDirectoryRemoval = driver
    _conditional_delete: SupportsConditionalDelete = driver
    _temporary_urls: SupportsTemporaryUrls = driver
    _health_check: SupportsHealthCheck = driver


def memory_has_its_capabilities(driver: MemoryDriver) -> None:
    _all: StorageDriver = driver
    _stat: SupportsStat = driver
    _reading: SupportsReading = driver
    _writing: SupportsWriting = driver
    _ranges: SupportsRanges = driver
    _metadata_update: SupportsMetadataUpdate = driver
    _listing: SupportsListing = driver
    _directories: SupportsDirectories = driver
    _directory_move: SupportsDirectoryMove = driver
    _empty_directory_removal: SupportsEmptyDirectoryRemoval = driver
    _copy: SupportsCopy = driver
    _copy_source: SupportsCopySource = driver
    _copy_from: SupportsCopyFrom = driver
    _move: SupportsMove = driver
    _visibility: SupportsVisibility = driver
    _temporary_urls: SupportsTemporaryUrls = driver
    _temporary_uploads: SupportsTemporaryUploads = driver
    _upload_forms: SupportsUploadForms = driver
    _bulk_delete: SupportsBulkDelete = driver
    _conditional_delete: SupportsConditionalDelete = driver


def local_has_its_capabilities(driver: LocalDriver) -> None:
    _all: StorageDriver = driver
    _stat: SupportsStat = driver
    _reading: SupportsReading = driver
    _writing: SupportsWriting = driver
    _ranges: SupportsRanges = driver
    _metadata_update: SupportsMetadataUpdate = driver
    _listing: SupportsListing = driver
    _directories: SupportsDirectories = driver
    _directory_move: SupportsDirectoryMove = driver
    _empty_directory_removal: SupportsEmptyDirectoryRemoval = driver
    _copy: SupportsCopy = driver
    _copy_source: SupportsCopySource = driver
    _copy_from: SupportsCopyFrom = driver
    _move: SupportsMove = driver
    _visibility: SupportsVisibility = driver
    _temporary_urls: SupportsTemporaryUrls = driver
    _temporary_uploads: SupportsTemporaryUploads = driver
    _upload_forms: SupportsUploadForms = driver
    _bulk_delete: SupportsBulkDelete = driver
    _conditional_delete: SupportsConditionalDelete = driver


def s3_has_its_capabilities(driver: S3Driver) -> None:
    _all: StorageDriver = driver
    _stat: SupportsStat = driver
    _reading: SupportsReading = driver
    _writing: SupportsWriting = driver
    _listing: SupportsListing = driver
    _directories: SupportsDirectories = driver
    _copy: SupportsCopy = driver
    _copy_source: SupportsCopySource = driver
    _copy_from: SupportsCopyFrom = driver
    _move: SupportsMove = driver
    _visibility: SupportsVisibility = driver
    _temporary_urls: SupportsTemporaryUrls = driver
    _temporary_uploads: SupportsTemporaryUploads = driver
    _upload_forms: SupportsUploadForms = driver
    _bulk_delete: SupportsBulkDelete = driver
    _conditional_delete: SupportsConditionalDelete = driver
    _metadata_update: SupportsMetadataUpdate = driver
    _empty_directory_removal: SupportsEmptyDirectoryRemoval = driver
    _health_check: SupportsHealthCheck = driver
    _close: SupportsClose = driver


class Upper(Layer, guards={"content"}):
    """A layer is written without a cast or an ignored error."""

    async def put(self, path: str, content: bytes | str | BinaryIO, /) -> str:
        return await self.inner.put(path, content)

    async def get(self, path: str, /) -> bytes:
        content = await self.inner.get(path)
        assert_type(content, bytes)
        return content.upper()

    async def size(self, path: str, /) -> int:
        info = await self.inner.stat(path)
        assert_type(info, FileInfo)
        return info.size

    def url(self, path: str, /) -> str:
        return self.inner.url(path)


async def a_layer_is_a_driver(driver: StorageDriver) -> None:
    layered: StorageDriver = Upper(driver)
    layered = Upper(Upper(driver))
    assert_type(await layered.get("a"), bytes)
    assert_type(Upper(driver).disk, str | None)


class Client:
    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None: ...

    def discard(self) -> None: ...


async def clients_per_event_loop(loop: asyncio.AbstractEventLoop) -> None:
    clients = LoopClients(Client, Client.discard, open_seconds=10, close_seconds=5)
    assert_type(clients, LoopClients[Client])
    assert_type(clients.opened.get(loop) or await clients.get(), Client)
    await clients.aclose()


async def the_official_ones_are_used_alone(root: Path) -> None:
    memory = MemoryDriver()
    assert_type(await memory.put("a.txt", "text"), str)
    assert_type(await memory.get("a.txt"), bytes)
    assert_type(memory.count(), int)
    assert_type(memory.all_paths(), list[str])
    memory.flush()
    assert_type(MemoryDriver.from_env(os.environ), MemoryDriver)

    assert_type(LocalDriver(root=root, base_url="https://example.test"), LocalDriver)
    assert_type(LocalDriver(root="files"), LocalDriver)
    assert_type(LocalDriver.from_env(os.environ), LocalDriver)

    s3 = S3Driver(
        bucket="media",
        region="eu-central-1",
        access_key="key",
        secret_key="secret",
        endpoint_url="https://s3.example.test",
        public_url="https://cdn.example.test",
        session_token=None,
        profile=None,
    )
    assert_type(s3, S3Driver)
    assert_type(S3Driver.from_env({"AWS_BUCKET": "media"}), S3Driver)
    assert_type(await s3.open_read("a.txt", ReadOptions(start=-10)), ReadStream)
    await s3.aclose()
