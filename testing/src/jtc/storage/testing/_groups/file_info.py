"""Metadata of one file: size, last_modified, stat, checksums and types."""

from __future__ import annotations

import hashlib
import time
import zlib
from typing import TYPE_CHECKING

import pytest

from jtc.storage.testing._suite import Suite, needs

if TYPE_CHECKING:
    from jtc.storage import Disk

__all__ = ["FileInfoTests"]

# How far the backend's clock may be from ours, in seconds: milliseconds or a time zone are not.
_CLOCK = 300


class FileInfoTests(Suite):
    """What a driver returns of a file without its content."""

    async def test_the_size_is_in_bytes(self, storage: Disk) -> None:
        await storage.put("a.txt", "größe")
        assert await storage.size("a.txt") == 7

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
        for content in (b"1", b"", b"four", b"22"):
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

    @needs("stat")
    async def test_a_plain_file_has_no_metadata(self, storage: Disk) -> None:
        await storage.put("a.txt", b"content")
        info = await storage.stat("a.txt")
        assert dict(info.metadata) == {}
        assert info.cache_control is None
        assert info.content_disposition is None

    @needs("stat")
    async def test_checksums_of_stat_are_right(self, storage: Disk) -> None:
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
