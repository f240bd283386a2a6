"""Storing of uploads as new attachments."""

from __future__ import annotations

import asyncio
import gzip
import io
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from attachment_fields import PNG, added, local_registry
from jtc.storage import images
from jtc.storage.attachments._ingest import ingest
from jtc.storage.attachments.fakes import fake_disks
from jtc.storage.exceptions import (
    IntegrityException,
    RejectedException,
    StorageException,
    StorageUnavailableException,
)
from jtc.storage.layer import Layer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from jtc.storage.models import FileInfo


class Upload:
    """A file with a client's name, as frameworks pass it."""

    def __init__(self, content: bytes, filename: str) -> None:
        self._file = io.BytesIO(content)
        self.filename = filename

    async def read(self, size: int = -1) -> bytes:
        return self._file.read(size)


def stored(root: Path) -> list[str]:
    """Return the files on the disk `media`."""
    top = root / "media"
    return sorted(str(each.relative_to(top)) for each in top.rglob("*") if each.is_file())


async def test_ingest_stores_original_under_unguessable_key(tmp_path: Path) -> None:
    field = added(local_registry(tmp_path))
    first = await ingest(field, Upload(PNG, "me.png"))
    second = await ingest(field, Upload(PNG, "me.png"))

    assert first.id != second.id
    assert len(first.id) == 32
    assert first.key == f"app/avatars/{first.id}/original.png"
    assert stored(tmp_path) == sorted([first.key, second.key])
    assert await field.disk.get(first.key) == PNG
    assert (first.name, first.content_type, first.size) == ("me.png", "image/png", len(PNG))
    assert first.etag == (await field.disk.stat(first.key)).etag
    assert first.field is field


async def test_ingest_judges_type_by_content(tmp_path: Path) -> None:
    field = added(local_registry(tmp_path))
    page = await ingest(field, Upload(b"<script>alert(1)</script>", "me.png"))
    table = await ingest(field, Upload(b"a,b\n1,2\n", "report.csv"))
    bytes_ = await ingest(field, Upload(bytes(range(32)), "movie.mp4"))

    assert (page.content_type, page.file) == ("text/plain", "original.txt")
    assert (table.content_type, table.file) == ("text/csv", "original.csv")
    assert (bytes_.content_type, bytes_.file) == ("application/octet-stream", "original.bin")
    assert (await field.disk.stat(page.key)).content_type == "text/plain"


async def test_ingest_takes_svg_only_where_the_field_names_it_in_full(tmp_path: Path) -> None:
    registry = local_registry(tmp_path)
    svg = b"<svg xmlns='http://www.w3.org/2000/svg'/>"
    named = added(registry, "icons.file", types={"image/svg+xml", "image/png"})
    family = added(registry, "users.avatar", types={"image/*"})

    icon = await ingest(named, Upload(svg, "icon.SVG"))
    assert (icon.content_type, icon.file) == ("image/svg+xml", "original.svg")
    with pytest.raises(RejectedException) as refused:
        await ingest(family, Upload(svg, "icon.svg"))
    assert refused.value.reason == "type"


async def test_ingest_keeps_kinds_of_text_that_the_field_names(tmp_path: Path) -> None:
    types = {
        "application/manifest+json",
        "application/octet-stream",
        "application/x-compress",
        "text/css",
        "text/html",
        "text/plain",
        "text/vtt",
    }
    registry = local_registry(tmp_path)
    field = added(registry, types=types)
    for sent, content, stored_as, content_type in (
        ("a.vtt", b"WEBVTT", "original.vtt", "text/vtt"),
        ("a.CSS", b"a {}", "original.css", "text/css"),
        ("a.html", b"<p>", "original.html", "text/html"),
        ("a.webmanifest", b"{}", "original.webmanifest", "application/manifest+json"),
        ("a.Z", b"\x1f\x9d\x90" + bytes(9), "original.z", "application/x-compress"),
        ("a.bat", b"del *", "original.txt", "text/plain"),
        ("a.php", b"<?php", "original.txt", "text/plain"),
        ("a.phpx", bytes(range(32)), "original.bin", "application/octet-stream"),
        ("a.css", bytes(range(32)), "original.bin", "application/octet-stream"),
    ):
        made = await ingest(field, Upload(content, sent))
        assert (made.file, made.content_type) == (stored_as, content_type)
        assert registry.verify(*made.url().split("?")).file == stored_as


@pytest.mark.parametrize(
    ("settings", "content", "reason"),
    [
        ({"max_size": "1kB"}, bytes(1001), "size"),
        ({"min_size": 10}, b"short", "min_size"),
        ({"types": {"image/png"}}, b"GIF89a" + bytes(20), "type"),
        ({"max_size": "1kB", "analyzers": [lambda _file: {}]}, bytes(1001), "size"),
    ],
)
async def test_ingest_refuses_what_breaks_a_limit_and_leaves_nothing(
    tmp_path: Path, settings: dict[str, Any], content: bytes, reason: str
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(content), 100):
            yield content[start : start + 100]

    field = added(local_registry(tmp_path), **settings)
    for upload in (content, io.BytesIO(content), chunks()):
        with pytest.raises(RejectedException) as refused:
            await ingest(field, upload)
        assert refused.value.reason == reason
    assert stored(tmp_path) == []


async def test_ingest_that_is_cancelled_leaves_nothing(tmp_path: Path) -> None:
    field = added(local_registry(tmp_path))
    begun = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(9000)
            begun.set()
            await asyncio.sleep(0)

    task = asyncio.create_task(ingest(field, endless()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not list((tmp_path / "media").rglob("original*"))


async def test_ingest_of_failing_content_raises_its_error_and_leaves_nothing(
    tmp_path: Path,
) -> None:
    field = added(local_registry(tmp_path))

    def broken() -> Iterator[bytes]:
        yield bytes(20_000)
        raise LookupError("the client went away")

    with pytest.raises(LookupError, match="went away"):
        await ingest(field, broken())
    assert stored(tmp_path) == []


async def test_ingest_runs_analyzers_on_the_content(tmp_path: Path) -> None:
    async def first(file: Any) -> dict[str, Any]:
        return {"first": file.read(4).decode("latin-1")}

    def whole(file: Any) -> dict[str, Any]:
        return {"length": len(file.read())}

    field = added(local_registry(tmp_path), analyzers=[first, whole], properties={"from": "web"})
    for content in (PNG, PNG + bytes(2_000_000)):
        made = await ingest(field, io.BytesIO(content), properties={"album": 7})
        assert made.properties == {
            "from": "web",
            "album": 7,
            "first": "\x89PNG",
            "length": len(content),
        }
        assert await field.disk.get(made.key) == content


async def test_ingest_whose_analyzer_raises_stores_nothing(tmp_path: Path) -> None:
    def refuses(_file: Any) -> dict[str, Any]:
        raise RejectedException("A song needs a title", reason="title")

    field = added(local_registry(tmp_path), analyzers=[refuses])
    with pytest.raises(RejectedException, match="title"):
        await ingest(field, PNG)
    assert stored(tmp_path) == []


async def test_ingest_leaves_the_callers_file_open(tmp_path: Path) -> None:
    field = added(local_registry(tmp_path))
    file = io.BytesIO(PNG)
    await ingest(field, file)
    assert not file.closed
    local = tmp_path / "holiday.png"
    local.write_bytes(PNG)
    assert (await ingest(field, local)).name == "holiday.png"
    with gzip.open(tmp_path / "a.gz", "wb") as packed:
        packed.write(PNG)
    with gzip.open(tmp_path / "a.gz") as unpacked:
        assert (await ingest(field, unpacked)).size == len(PNG)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("..\\..\\C:\\me.png", "me.png"),
        ("/etc/passwd", "passwd"),
        ("..", ""),
        ("a\x00b\r\nc.png", "abc.png"),
        ("cod\u202egpj.exe", "codgpj.exe"),
        ("Bildschirmfoto 9.41\u202fPM.png", "Bildschirmfoto 9.41\u202fPM.png"),
        ("می\u200cکنم.png", "می\u200cکنم.png"),
        ("👩\u200d👩\u200d👧.png", "👩\u200d👩\u200d👧.png"),
        ("x" * 500 + ".png", "x" * 196 + ".png"),
        ("\ud800.png", ".png"),
    ],
)
async def test_ingest_cleans_the_clients_name(tmp_path: Path, sent: str, shown: str) -> None:
    field = added(local_registry(tmp_path))
    assert (await ingest(field, Upload(PNG, sent))).name == shown


async def test_ingest_onto_a_disk_that_fails_raises_its_error(tmp_path: Path) -> None:
    field = added(local_registry(tmp_path))
    (tmp_path / "media").write_text("a file where the root should be")
    with pytest.raises(StorageException):
        await ingest(field, PNG)


@pytest.mark.parametrize("operation", ["put", "stat"])
async def test_ingest_cancelled_while_the_store_works_leaves_nothing(
    tmp_path: Path, operation: str
) -> None:
    registry = local_registry(tmp_path)
    field = added(registry)
    with fake_disks(registry) as fakes:
        disk = fakes.disk("media").delay(operation, 60)
        task = asyncio.create_task(ingest(field, b"content"))
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()  # once more, while the directory is deleted
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.05)
        disk.assert_empty()


@pytest.mark.parametrize("operation", ["put", "stat"])
async def test_ingest_onto_a_store_that_fails_at_each_step_leaves_nothing(
    tmp_path: Path, operation: str
) -> None:
    registry = local_registry(tmp_path)
    field = added(registry)
    with fake_disks(registry) as fakes:
        disk = fakes.disk("media").fail(operation, times=1)
        with pytest.raises(StorageUnavailableException):
            await ingest(field, b"content")
        disk.assert_empty()


async def test_ingest_whose_remains_cannot_be_deleted_logs_where_they_are(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    registry = local_registry(tmp_path)
    field = added(registry)
    with fake_disks(registry) as fakes:
        fakes.disk("media").fail("stat").fail("delete_directory")
        with pytest.raises(StorageUnavailableException) as error:
            await ingest(field, b"content")
        assert error.value.operation == "stat"
        fakes.disk("media").assert_count(1)
    assert "remain in 'app/avatars/" in caplog.text


async def test_ingest_onto_a_store_that_lies_about_the_length_is_refused(tmp_path: Path) -> None:
    class Shortening(Layer):
        async def stat(self, path: str) -> FileInfo:
            return replace(await self.inner.stat(path), size=3)

    registry = local_registry(tmp_path)
    field = added(registry)
    driver = registry.disk("media").driver
    registry.storage.set_driver(Shortening(driver), "media")
    with pytest.raises(IntegrityException, match="7 bytes were stored"):
        await ingest(field, b"content")
    assert stored(tmp_path) == []


async def test_ingest_of_an_image_makes_its_eager_variants(tmp_path: Path) -> None:
    field = added(
        local_registry(tmp_path),
        types={"image/*"},
        variants={"thumb": images.cover(4, 4), "card": images.fit(1, 1)},
        eager=["thumb"],
    )
    made = await ingest(field, PNG)
    assert (made.width, made.height) == (2, 2)
    assert made.placeholder is not None
    assert made.variants["thumb"].width == 4
    assert stored(tmp_path) == sorted(
        [made.key, f"{made.own_directory}/{field.variant_file('thumb')}"]
    )
    with pytest.raises(RejectedException):
        await ingest(field, PNG[:40])
    assert len(stored(tmp_path)) == 2
