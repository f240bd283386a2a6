"""Metadata of one file: size, last_modified, stat, checksums and types."""

from __future__ import annotations

import contextlib
import hashlib
import time
import zlib
from typing import TYPE_CHECKING

import pytest

from jtc.storage.models import FileInfo
from jtc.storage.testing._suite import Suite, needs, needs_empty_files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jtc.storage import Disk
    from jtc.storage.driver import StorageDriver
    from jtc.storage.models import Entry

__all__ = ["FileInfoTests"]

# How far the backend's clock may be from ours, in seconds: milliseconds or a time zone are not.
_CLOCK = 300


def _spoil(info: Entry) -> None:
    """Change a record, as a caller may, where it can be changed."""
    if isinstance(info, FileInfo):
        with contextlib.suppress(TypeError, AttributeError):
            info.metadata["spoilt"] = "yes"  # type: ignore[index]
        with contextlib.suppress(TypeError, AttributeError):
            info.path, info.size, info.etag = "spoilt", -1, "spoilt"


class FileInfoTests(Suite):
    """What a driver returns of a file without its content."""

    rules = "`size`, `last_modified`, `stat`"

    @pytest.fixture
    def elsewhere(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """Set a time zone 14 hours from UTC, where the system can change it."""
        if not hasattr(time, "tzset"):
            pytest.skip("the system cannot change the time zone of a process")
        with monkeypatch.context() as patch:
            patch.setenv("TZ", "JTC-14")
            time.tzset()
            yield
        time.tzset()

    async def test_the_size_is_in_bytes(self, storage: Disk) -> None:
        await storage.put("a.txt", "größe")
        assert await storage.size("a.txt") == 7

    @needs_empty_files
    async def test_an_empty_file_has_the_size_0(self, storage: Disk) -> None:
        await storage.put("empty", b"")
        assert await storage.size("empty") == 0

    async def test_the_size_follows_an_overwrite(self, storage: Disk) -> None:
        await storage.put("a.txt", b"12345")
        assert await storage.size("a.txt") == 5
        await storage.put("a.txt", b"12")
        assert await storage.size("a.txt") == 2

    async def test_a_missing_file_has_no_size(self, storage: Disk) -> None:
        with pytest.raises(FileNotFoundError):
            await storage.size("missing.txt")

    async def test_a_directory_has_no_size(self, storage: Disk) -> None:
        await storage.put("d/a.txt", b"content")
        with pytest.raises(FileNotFoundError):
            await storage.size("d")

    async def test_last_modified_is_in_seconds_since_1970(self, storage: Disk) -> None:
        await storage.put("a.txt", b"content")
        assert abs(await storage.last_modified("a.txt") - time.time()) < _CLOCK

    @pytest.mark.usefixtures("elsewhere")
    async def test_last_modified_is_in_utc_whatever_the_time_zone(self, storage: Disk) -> None:
        await storage.put("a.txt", b"content")
        assert abs(await storage.last_modified("a.txt") - time.time()) < _CLOCK
        assert abs((await storage.stat("a.txt")).last_modified - time.time()) < _CLOCK
        async with storage.stream("a.txt") as stream:
            assert abs(stream.info.last_modified - time.time()) < _CLOCK

    @needs("listing")
    @pytest.mark.usefixtures("elsewhere")
    async def test_listed_last_modified_is_in_utc_whatever_the_time_zone(
        self, storage: Disk
    ) -> None:
        await storage.put("a.txt", b"content")
        async for entry in storage.list():
            assert isinstance(entry, FileInfo)
            assert abs(entry.last_modified - time.time()) < _CLOCK

    async def test_size_and_last_modified_are_numbers(self, storage: Disk) -> None:
        await storage.put("a.txt", b"content")
        info = await storage.stat("a.txt")
        assert type(await storage.size("a.txt")) is type(info.size) is int
        assert type(await storage.last_modified("a.txt")) in {int, float}
        assert type(info.last_modified) in {int, float}

    async def test_last_modified_of_stream_and_copy_is_in_seconds_since_1970(
        self, storage: Disk
    ) -> None:
        await storage.put("a", b"content")
        await storage.copy("a", "b")
        await storage.put("c", iter([b"con", b"tent"]))
        await storage.move("a", "d")
        for path in ("b", "c", "d"):
            assert abs(await storage.last_modified(path) - time.time()) < _CLOCK, path
            assert abs((await storage.stat(path)).last_modified - time.time()) < _CLOCK, path

    async def test_last_modified_does_not_go_back_at_an_overwrite(self, storage: Disk) -> None:
        await storage.put("a.txt", b"old")
        before = await storage.last_modified("a.txt")
        await storage.put("a.txt", b"new")
        assert await storage.last_modified("a.txt") >= before

    async def test_reading_does_not_modify(self, storage: Disk) -> None:
        await storage.put("a.txt", b"content")
        before = await storage.last_modified("a.txt")
        await storage.get("a.txt")
        assert await storage.last_modified("a.txt") == before

    async def test_stat_returns_a_record_of_its_own(self, storage: Disk) -> None:
        await storage.put("a.txt", b"content")
        _spoil(await storage.stat("a.txt"))
        async with storage.stream("a.txt") as stream:
            assert (stream.info.path, stream.info.size) == ("a.txt", 7)
            _spoil(stream.info)
        info = await storage.stat("a.txt")
        assert (info.path, info.size) == ("a.txt", 7)
        assert "spoilt" not in info.metadata

    @needs("listing")
    async def test_list_yields_records_of_its_own(self, storage: Disk) -> None:
        await storage.put("a.txt", b"content")
        async for entry in storage.list():
            _spoil(entry)
        (info,) = [entry async for entry in storage.list()]
        assert isinstance(info, FileInfo)
        assert (info.path, info.size) == ("a.txt", 7)
        assert "spoilt" not in (await storage.stat("a.txt")).metadata

    @needs("stat", put=["metadata"])
    async def test_stat_metadata_is_not_the_stored_mapping(self, storage: Disk) -> None:
        await storage.put("a.txt", b"content", metadata={"one": "1"})
        _spoil(await storage.stat("a.txt"))
        assert dict((await storage.stat("a.txt")).metadata) == {"one": "1"}

    async def test_a_missing_file_was_never_modified(self, storage: Disk) -> None:
        with pytest.raises(FileNotFoundError):
            await storage.last_modified("missing.txt")

    async def test_a_directory_was_never_modified(self, storage: Disk) -> None:
        await storage.put("d/a.txt", b"content")
        with pytest.raises(FileNotFoundError):
            await storage.last_modified("d")

    async def test_stat_names_the_file(self, storage: Disk) -> None:
        await storage.put("d/a.txt", b"content")
        assert (await storage.stat("d/a.txt")).path == "d/a.txt"
        assert (await storage.stat("/d/a.txt")).path == "d/a.txt"

    async def test_stat_has_the_size(self, storage: Disk) -> None:
        await storage.put("a.txt", b"content")
        assert (await storage.stat("a.txt")).size == 7

    async def test_stat_agrees_with_last_modified(self, storage: Disk) -> None:
        await storage.put("a.txt", b"content")
        modified = (await storage.stat("a.txt")).last_modified
        assert modified == pytest.approx(await storage.last_modified("a.txt"), abs=1)

    async def test_stat_of_missing_file_fails(self, storage: Disk) -> None:
        with pytest.raises(FileNotFoundError):
            await storage.stat("missing.txt")

    async def test_stat_of_directory_fails(self, storage: Disk) -> None:
        await storage.put("d/a.txt", b"content")
        with pytest.raises(FileNotFoundError):
            await storage.stat("d")

    async def test_stat_of_deleted_file_fails(self, storage: Disk) -> None:
        await storage.put("a.txt", b"content")
        await storage.delete("a.txt")
        with pytest.raises(FileNotFoundError):
            await storage.stat("a.txt")

    async def test_stat_is_of_the_last_version(self, storage: Disk) -> None:
        for content in (b"1", b"333", b"four", b"22"):
            await storage.put("a.txt", content)
            assert (await storage.stat("a.txt")).size == len(content)

    @needs("stat")
    async def test_an_unchanged_file_keeps_its_etag(self, storage: Disk) -> None:
        await storage.put("a.txt", b"content")
        before = await storage.stat("a.txt")
        await storage.get("a.txt")
        assert (await storage.stat("a.txt")).etag == before.etag

    @needs("stat", put=["if_match"])
    async def test_another_content_of_the_same_size_has_another_etag(self, storage: Disk) -> None:
        etags = set()
        for number in range(10):
            await storage.put("a.txt", b"%d" % number)
            etags.add((await storage.stat("a.txt")).etag)
        assert None not in etags
        assert len(etags) == 10

    @needs("stat", put=["if_match"])
    async def test_etag_of_file_put_again_after_a_delete_is_another(self, storage: Disk) -> None:
        etags = set()
        for content in (b"one", b"two"):
            await storage.put("a.txt", content)
            etags.add((await storage.stat("a.txt")).etag)
            await storage.delete("a.txt")
        assert len(etags) == 2

    @needs("stat")
    async def test_a_plain_file_has_no_metadata(self, storage: Disk) -> None:
        await storage.put("a.txt", b"content")
        info = await storage.stat("a.txt")
        assert dict(info.metadata) == {}
        assert info.cache_control is None
        assert info.content_disposition is None

    @needs("stat")
    async def test_checksums_of_stat_are_right(self, storage: Disk, driver: StorageDriver) -> None:
        await storage.put("a.txt", b"older")
        await storage.stat("a.txt")
        await storage.put("a.txt", b"content")
        given = (await storage.stat("a.txt")).checksums
        right = {
            name: hashlib.new(name, b"content", usedforsecurity=False).hexdigest()
            for name in ("md5", "sha1", "sha256", "sha512")
        }
        right["crc32"] = f"{zlib.crc32(b'content'):08x}"
        assert {k: v for k, v in given.items() if k in right} == {
            k: v for k, v in right.items() if k in given
        }
        if getattr(driver, "keeps_checksums", True) is False:
            assert not given

    @pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha256", "crc32"])
    async def test_a_checksum_is_that_of_the_content(self, disk: Disk, algorithm: str) -> None:
        content = b"content" * 1000
        await disk.put("a.txt", content)
        if algorithm == "crc32":
            right = f"{zlib.crc32(content):08x}"
        else:
            right = hashlib.new(algorithm, content, usedforsecurity=False).hexdigest()
        assert await disk.checksum("a.txt", algorithm) == right

    async def test_a_missing_file_has_no_checksum(self, disk: Disk) -> None:
        with pytest.raises(FileNotFoundError):
            await disk.checksum("missing.txt")

    @pytest.mark.parametrize(
        ("path", "content_type"),
        [
            ("a.txt", "text/plain"),
            ("a.json", "application/json"),
            ("a.css", "text/css"),
            ("a.html", "text/html"),
        ],
    )
    async def test_a_text_has_the_type_that_its_name_says(
        self, disk: Disk, path: str, content_type: str
    ) -> None:
        await disk.put(path, b"plain text")
        assert await disk.mime_type(path) == content_type

    async def test_a_missing_file_has_no_type(self, disk: Disk) -> None:
        with pytest.raises(FileNotFoundError):
            await disk.mime_type("missing.txt")
