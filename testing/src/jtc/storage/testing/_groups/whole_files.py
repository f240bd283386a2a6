"""Whole files: put, get, exists, delete."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jtc.storage.exceptions import UnsupportedOperationException
from jtc.storage.testing._suite import Suite, also_alone, assert_same, must_raise, needs_empty_files

if TYPE_CHECKING:
    from jtc.storage import Disk

__all__ = ["WholeFileTests"]


class WholeFileTests(Suite):
    """Files as wholes."""

    rules = "`put`, `get`, `exists`, `delete`"

    async def test_what_was_put_is_what_is_got(self, storage: Disk) -> None:
        await storage.put("a.txt", b"content")
        assert await storage.get("a.txt") == b"content"

    @also_alone
    async def test_put_returns_the_path(self, storage: Disk) -> None:
        assert await storage.put("some/where/a.txt", b"1") == "some/where/a.txt"

    async def test_put_replaces_a_longer_file_whole(self, storage: Disk) -> None:
        await storage.put("a.txt", b"a long content")
        await storage.put("a.txt", b"short")
        assert await storage.get("a.txt") == b"short"

    async def test_put_replaces_a_shorter_file_whole(self, storage: Disk) -> None:
        await storage.put("a.txt", b"short")
        await storage.put("a.txt", b"a long content")
        assert await storage.get("a.txt") == b"a long content"

    @needs_empty_files
    async def test_put_replaces_a_file_by_an_empty_one(self, storage: Disk) -> None:
        await storage.put("a.txt", b"content")
        await storage.put("a.txt", b"")
        assert await storage.get("a.txt") == b""

    async def test_a_get_after_a_put_sees_no_older_content(self, storage: Disk) -> None:
        for number in range(5):
            await storage.put("a.txt", b"%d" % number)
            assert await storage.get("a.txt") == b"%d" % number

    async def test_got_content_is_bytes(self, storage: Disk) -> None:
        await storage.put("a.txt", bytearray(b"content"))
        assert type(await storage.get("a.txt")) is bytes

    async def test_an_empty_file_is_kept_or_refused(self, storage: Disk) -> None:
        await storage.put("a.txt", b"content")
        if self.keeps_empty_files:
            await storage.put("a.txt", b"")
            assert await storage.get("a.txt") == b""
        else:
            with must_raise(UnsupportedOperationException, "put('a.txt', b'')"):
                await storage.put("a.txt", b"")
            assert await storage.get("a.txt") == b"content"

    @needs_empty_files
    async def test_an_empty_file_has_no_bytes(self, storage: Disk) -> None:
        await storage.put("empty", b"")
        assert await storage.get("empty") == b""

    @needs_empty_files
    async def test_an_empty_file_exists(self, storage: Disk) -> None:
        await storage.put("empty", b"")
        assert await storage.exists("empty") is True

    @needs_empty_files
    async def test_an_empty_file_is_deleted_like_any_other(self, storage: Disk) -> None:
        await storage.put("empty", b"")
        assert await storage.delete("empty") is True
        assert await storage.exists("empty") is False

    async def test_every_byte_survives(self, storage: Disk) -> None:
        await storage.put("bytes", bytes(range(256)))
        assert await storage.get("bytes") == bytes(range(256))

    async def test_line_ends_survive(self, storage: Disk) -> None:
        await storage.put("lines.txt", b"unix\nwindows\r\nmac\r")
        assert await storage.get("lines.txt") == b"unix\nwindows\r\nmac\r"

    async def test_what_is_no_utf8_survives(self, storage: Disk) -> None:
        await storage.put("latin.txt", b"caf\xe9 \xff\xfe")
        assert await storage.get("latin.txt") == b"caf\xe9 \xff\xfe"

    async def test_what_looks_compressed_is_not_unpacked(self, storage: Disk) -> None:
        await storage.put("a.txt.gz", b"\x1f\x8b\x08\x00 not really")
        assert await storage.get("a.txt.gz") == b"\x1f\x8b\x08\x00 not really"

    async def test_megabytes_survive(self, storage: Disk) -> None:
        content = bytes(range(251)) * 25_000
        await storage.put("large", content)
        assert_same(await storage.get("large"), content)

    async def test_a_missing_file_cannot_be_got(self, storage: Disk) -> None:
        with pytest.raises(FileNotFoundError):
            await storage.get("missing.txt")

    async def test_a_missing_file_in_a_missing_directory_cannot_be_got(self, storage: Disk) -> None:
        with pytest.raises(FileNotFoundError):
            await storage.get("no/such/directory/missing.txt")

    async def test_a_deleted_file_cannot_be_got(self, storage: Disk) -> None:
        await storage.put("a.txt", b"content")
        await storage.delete("a.txt")
        with pytest.raises(FileNotFoundError):
            await storage.get("a.txt")

    async def test_a_file_exists_once_it_is_put(self, storage: Disk) -> None:
        assert await storage.exists("a.txt") is False
        await storage.put("a.txt", b"content")
        assert await storage.exists("a.txt") is True

    async def test_a_deleted_file_does_not_exist(self, storage: Disk) -> None:
        await storage.put("a.txt", b"content")
        await storage.delete("a.txt")
        assert await storage.exists("a.txt") is False

    async def test_nothing_exists_in_a_missing_directory(self, storage: Disk) -> None:
        assert await storage.exists("no/such/directory/a.txt") is False

    async def test_the_beginning_of_a_name_does_not_exist(self, storage: Disk) -> None:
        await storage.put("report.txt", b"1")
        assert await storage.exists("report") is False

    async def test_delete_returns_true_for_a_file(self, storage: Disk) -> None:
        await storage.put("a.txt", b"content")
        assert await storage.delete("a.txt") is True

    async def test_delete_returns_false_for_a_missing_file(self, storage: Disk) -> None:
        assert await storage.delete("missing.txt") is False

    async def test_delete_returns_false_in_a_missing_directory(self, storage: Disk) -> None:
        assert await storage.delete("no/such/directory/a.txt") is False

    async def test_the_second_delete_returns_false(self, storage: Disk) -> None:
        await storage.put("a.txt", b"content")
        await storage.delete("a.txt")
        assert await storage.delete("a.txt") is False

    async def test_delete_leaves_names_that_begin_alike(self, storage: Disk) -> None:
        for path in ("a", "a.txt", "ab"):
            await storage.put(path, path.encode())
        await storage.delete("a")
        assert await storage.get("a.txt") == b"a.txt"
        assert await storage.get("ab") == b"ab"

    async def test_delete_leaves_other_files_of_the_directory(self, storage: Disk) -> None:
        await storage.put("d/one", b"1")
        await storage.put("d/two", b"2")
        await storage.delete("d/one")
        assert await storage.get("d/two") == b"2"

    async def test_a_deleted_file_can_be_put_again(self, storage: Disk) -> None:
        await storage.put("a.txt", b"old")
        await storage.delete("a.txt")
        await storage.put("a.txt", b"new")
        assert await storage.get("a.txt") == b"new"

    async def test_a_put_needs_no_directory_made(self, storage: Disk) -> None:
        await storage.put("one/two/three/a.txt", b"deep")
        assert await storage.get("one/two/three/a.txt") == b"deep"

    async def test_the_same_name_in_two_directories_is_two_files(self, storage: Disk) -> None:
        await storage.put("one/a.txt", b"1")
        await storage.put("two/a.txt", b"2")
        assert await storage.get("one/a.txt") == b"1"
        assert await storage.get("two/a.txt") == b"2"

    async def test_names_differ_by_case(self, storage: Disk) -> None:
        await storage.put("readme", b"small")
        await storage.put("README", b"large")
        assert await storage.get("readme") == b"small"
        assert await storage.get("README") == b"large"

    async def test_names_differ_by_their_unicode_form(self, storage: Disk) -> None:
        composed, decomposed = "caf\u00e9", "cafe\u0301"
        await storage.put(composed, b"composed")
        await storage.put(decomposed, b"decomposed")
        assert await storage.get(composed) == b"composed"
        assert await storage.get(decomposed) == b"decomposed"

    async def test_a_directory_does_not_exist_as_a_file(self, storage: Disk) -> None:
        await storage.put("d/a.txt", b"content")
        assert await storage.exists("d") is False

    async def test_a_directory_cannot_be_got(self, storage: Disk) -> None:
        await storage.put("d/a.txt", b"content")
        with pytest.raises(FileNotFoundError):
            await storage.get("d")

    async def test_a_directory_is_not_deleted_as_a_file(self, storage: Disk) -> None:
        await storage.put("d/a.txt", b"content")
        assert await storage.delete("d") is False
        assert await storage.get("d/a.txt") == b"content"

    async def test_a_file_below_a_file_does_not_exist(self, storage: Disk) -> None:
        await storage.put("a", b"content")
        assert await storage.exists("a/b") is False
        assert await storage.delete("a/b") is False
        with pytest.raises(FileNotFoundError):
            await storage.get("a/b")

    async def test_missing_is_the_opposite_of_exists(self, disk: Disk) -> None:
        assert await disk.missing("a.txt") is True
        await disk.put("a.txt", b"a")
        assert await disk.missing("a.txt") is False

    async def test_text_comes_back_as_text(self, disk: Disk) -> None:
        await disk.put("a.txt", "größer 日本 \U0001f600")
        assert await disk.get_text("a.txt") == "größer 日本 \U0001f600"

    async def test_json_comes_back_as_it_was(self, disk: Disk) -> None:
        value = {"name": "größer", "numbers": [1, 2.5, None, True]}
        await disk.put_json("a.json", value)
        assert await disk.get_json("a.json") == value

    async def test_append_adds_to_the_end(self, disk: Disk) -> None:
        await disk.put("log", b"one")
        await disk.append("log", b" two")
        assert await disk.get("log") == b"one two"

    async def test_append_makes_a_missing_file(self, disk: Disk) -> None:
        await disk.append("log", b"one")
        assert await disk.get("log") == b"one"

    async def test_prepend_adds_to_the_beginning(self, disk: Disk) -> None:
        await disk.put("log", b"two")
        await disk.prepend("log", b"one ")
        assert await disk.get("log") == b"one two"

    async def test_prepend_makes_a_missing_file(self, disk: Disk) -> None:
        await disk.prepend("log", b"one")
        assert await disk.get("log") == b"one"
