"""Declared metadata: content types, headers to serve with, names and values."""

from __future__ import annotations

import gzip
import io
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage.testing._suite import DECLARED, Suite, needs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jtc.storage import Capabilities, Disk

__all__ = ["DeclaredMetadataTests"]


class DeclaredMetadataTests(Suite):
    """What is declared at a put, and returned by stat."""

    rules = "`write_file`, `stat`"

    @needs("stat", put=["content_type"])
    @pytest.mark.parametrize(
        "content_type", ["image/png", "application/x-own", "text/html; charset=utf-8"]
    )
    async def test_a_declared_content_type_is_kept(self, storage: Disk, content_type: str) -> None:
        await storage.put("a.bin", b"content", content_type=content_type)
        assert (await storage.stat("a.bin")).content_type == content_type

    @needs("stat", put=["content_type"])
    async def test_a_declared_content_type_beats_name_and_content(self, storage: Disk) -> None:
        await storage.put("a.png", b"\x89PNG\r\n\x1a\n", content_type="text/plain")
        assert (await storage.stat("a.png")).content_type == "text/plain"

    @needs("stat", put=["content_type"])
    async def test_mime_type_is_the_declared_content_type(self, disk: Disk) -> None:
        await disk.put("a.png", b"text", content_type="application/x-own")
        assert await disk.mime_type("a.png") == "application/x-own"

    @needs("stat", put=["content_type"])
    async def test_a_put_without_a_content_type_forgets_the_old_one(self, storage: Disk) -> None:
        await storage.put("a.txt", b"old", content_type="application/x-own")
        await storage.put("a.txt", b"new")
        assert (await storage.stat("a.txt")).content_type != "application/x-own"

    @needs("stat", put=["cache_control"])
    async def test_cache_control_is_kept(self, storage: Disk) -> None:
        await storage.put("a.txt", b"content", cache_control="public, max-age=60")
        assert (await storage.stat("a.txt")).cache_control == "public, max-age=60"

    @needs("stat", put=["content_disposition"])
    async def test_content_disposition_is_kept(self, storage: Disk) -> None:
        value = "attachment; filename=\"a.txt\"; filename*=UTF-8''%C3%A4.txt"
        await storage.put("a.txt", b"content", content_disposition=value)
        assert (await storage.stat("a.txt")).content_disposition == value

    @needs("stat", put=["content_encoding"])
    async def test_content_encoding_is_kept_and_nothing_is_decoded(self, disk: Disk) -> None:
        content = gzip.compress(b"content", mtime=0)
        await disk.put("a.css", content, content_encoding="gzip")
        assert (await disk.stat("a.css")).content_encoding == "gzip"
        assert await disk.get("a.css") == content
        stream = await disk.stream("a.css")
        async with stream:
            assert stream.info.content_encoding == "gzip"
            assert b"".join([chunk async for chunk in stream]) == content
        # Of what is in it, and not application/gzip.
        assert await disk.mime_type("a.css") == "text/css"
        await disk.copy("a.css", "b.css")
        assert (await disk.stat("b.css")).content_encoding == "gzip"
        await disk.put("a.css", b"content")
        assert (await disk.stat("a.css")).content_encoding is None

    @needs("stat", put=["content_encoding"], update=["content_encoding", "cache_control"])
    async def test_content_encoding_is_kept_where_other_fields_change(self, storage: Disk) -> None:
        await storage.put("a", b"content", content_encoding="gzip")
        await storage.set_metadata("a", cache_control="no-store")
        assert (await storage.stat("a")).content_encoding == "gzip"
        await storage.set_metadata("a", content_encoding="br")
        assert (await storage.stat("a")).content_encoding == "br"

    @needs("stat", put=["cache_control", "content_disposition"])
    async def test_a_put_without_headers_forgets_the_old_ones(self, storage: Disk) -> None:
        await storage.put("a", b"old", cache_control="no-store", content_disposition="inline")
        await storage.put("a", b"new")
        info = await storage.stat("a")
        assert info.cache_control is None
        assert info.content_disposition is None

    @needs("stat", put=["metadata"])
    @pytest.mark.parametrize(
        "value",
        [
            pytest.param("plain", id="a word"),
            pytest.param("MiXeD Case", id="mixed case"),
            pytest.param("", id="nothing"),
            pytest.param("  spaces around  ", id="spaces around"),
            pytest.param("größer", id="latin"),
            pytest.param("日本語", id="japanese"),
            pytest.param("\U0001f468\u200d\U0001f469\u200d\U0001f467", id="an emoji of several"),
            pytest.param("cafe\u0301", id="decomposed"),
            pytest.param("two\nlines\ttab", id="control characters"),
            pytest.param("50% %41 %", id="percents"),
            pytest.param("=?utf-8?b?Zm9v?=", id="what looks encoded"),
            pytest.param('"quoted", a=b; c\\d', id="punctuation"),
            pytest.param("x" * 500, id="long"),
        ],
    )
    async def test_a_metadata_value_is_kept_as_it_is(self, storage: Disk, value: str) -> None:
        await storage.put("a.txt", b"content", metadata={"key": value})
        assert dict((await storage.stat("a.txt")).metadata) == {"key": value}

    @needs("stat", put=["metadata"])
    @pytest.mark.parametrize("name", ["a", "x-y", "2024", "a-1-b", "content-type", "etag"])
    async def test_a_metadata_name_is_kept_as_it_is(self, storage: Disk, name: str) -> None:
        await storage.put("a.txt", b"content", metadata={name: "value"})
        assert dict((await storage.stat("a.txt")).metadata) == {name: "value"}

    @needs("stat", put=["metadata"])
    async def test_several_names_are_kept_apart(self, storage: Disk) -> None:
        metadata = {f"n{number}": f"v{number}" for number in range(10)}
        await storage.put("a.txt", b"content", metadata=metadata)
        assert dict((await storage.stat("a.txt")).metadata) == metadata

    @needs("stat", put=["metadata"])
    async def test_empty_metadata_is_none(self, storage: Disk) -> None:
        await storage.put("a.txt", b"content", metadata={})
        assert dict((await storage.stat("a.txt")).metadata) == {}

    @needs("stat", put=["metadata"])
    async def test_a_put_replaces_all_metadata(self, storage: Disk) -> None:
        await storage.put("a.txt", b"old", metadata={"one": "1", "two": "2"})
        await storage.put("a.txt", b"new", metadata={"two": "22"})
        assert dict((await storage.stat("a.txt")).metadata) == {"two": "22"}

    @needs("stat", put=["metadata"])
    async def test_a_put_without_metadata_forgets_the_old(self, storage: Disk) -> None:
        await storage.put("a.txt", b"old", metadata={"one": "1"})
        await storage.put("a.txt", b"new")
        assert dict((await storage.stat("a.txt")).metadata) == {}

    @needs("stat", put=["metadata"])
    async def test_a_deleted_files_metadata_does_not_come_back(self, storage: Disk) -> None:
        await storage.put("a.txt", b"old", metadata={"one": "1"})
        await storage.delete("a.txt")
        await storage.put("a.txt", b"new")
        assert dict((await storage.stat("a.txt")).metadata) == {}

    @needs("reading", put=["metadata", "content_type"])
    async def test_a_stream_has_metadata_and_content_type(self, storage: Disk) -> None:
        await storage.put("a.txt", b"1", metadata={"one": "ü"}, content_type="text/x-own")
        async with storage.stream("a.txt") as stream:
            assert dict(stream.info.metadata) == {"one": "ü"}
            assert stream.info.content_type == "text/x-own"

    @needs("stat", put=["metadata"])
    async def test_two_files_have_each_their_own_metadata(self, storage: Disk) -> None:
        await storage.put("a.txt", b"1", metadata={"of": "a"})
        await storage.put("b.txt", b"1", metadata={"of": "b"})
        assert (await storage.stat("a.txt")).metadata["of"] == "a"
        assert (await storage.stat("b.txt")).metadata["of"] == "b"

    @needs("stat", put=["metadata"])
    async def test_what_the_caller_does_to_the_mapping_later_changes_nothing(
        self, storage: Disk
    ) -> None:
        metadata = {"one": "1"}
        await storage.put("a.txt", b"content", metadata=metadata)
        metadata["one"] = "2"
        assert dict((await storage.stat("a.txt")).metadata) == {"one": "1"}

    @needs("stat", put=["metadata", "if_match", "overwrite"])
    async def test_append_keeps_the_metadata(self, disk: Disk) -> None:
        await disk.put("log", b"one", metadata={"kept": "yes"})
        await disk.append("log", b" two")
        assert dict((await disk.stat("log")).metadata) == {"kept": "yes"}

    @needs("stat", put=["metadata"])
    @pytest.mark.parametrize("kind", ["bytes", "no bytes", "an iterator", "a file", "a large file"])
    async def test_put_keeps_all_options_that_are_given_together(
        self, storage: Disk, capabilities: Capabilities, kind: str
    ) -> None:
        supported = capabilities.put_options
        declared = {name: DECLARED[name] for name in DECLARED if name in supported}
        conditions: list[dict[str, Any]] = [{}]
        if "overwrite" in supported:
            conditions.append({"overwrite": False})
        if "if_match" in supported:
            conditions.append({"if_match": ""})
        for condition in conditions:
            await storage.delete("a.bin")
            if "if_match" in condition:
                await storage.put("a.bin", b"old")
                condition["if_match"] = (await storage.stat("a.bin")).etag
            await storage.put("a.bin", _content(kind), **declared, **condition)
            info = await storage.stat("a.bin")
            found = {name: getattr(info, name) for name in declared}
            found["metadata"] = dict(info.metadata)
            assert found == declared, f"put() with {list(declared)} and {list(condition)}"

    @needs(put=["metadata"])
    @pytest.mark.parametrize("name", ["Upper", "under_score", "sp ace", "", "ü", "a:b", "a\r\nb"])
    async def test_a_name_that_not_every_backend_keeps_is_refused(
        self, disk: Disk, name: str
    ) -> None:
        with pytest.raises(ValueError, match=r"."):
            await disk.put("a.txt", b"content", metadata={name: "value"})
        assert await disk.exists("a.txt") is False


def _content(kind: str) -> Any:
    if kind == "an iterator":
        return _iterator()
    if kind.endswith("file"):
        return io.BytesIO(b"content" * (100_000 if "large" in kind else 1))
    return b"content" if kind == "bytes" else b""


async def _iterator() -> AsyncIterator[bytes]:
    yield b"con"
    yield b"tent"
