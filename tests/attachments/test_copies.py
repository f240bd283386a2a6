"""Copies of attachments for other records."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from attachment_fields import FixedRecipe, added, local_registry
from jtc.storage.attachments import Field, Variant
from jtc.storage.attachments.plain import delete, duplicate, store
from jtc.storage.exceptions import FileNotFoundException, RejectedException

if TYPE_CHECKING:
    from pathlib import Path

PDF = b"%PDF-1.7\n" + bytes(range(100))


async def test_duplicate_copies_original_and_recorded_variants(tmp_path: Path) -> None:
    registry = local_registry(tmp_path)
    field = added(registry, variants={"thumb": FixedRecipe("ffffffff")})
    first = await store(field, PDF, name="me.pdf", properties={"album": 7})
    thumb = Variant(
        recipe="00000000", file="thumb-00000000.webp", content_type="image/webp", size=5, width=9
    )
    await field.disk.put(f"{first.own_directory}/{thumb.file}", b"thumb")
    first = first.changed(variants={"thumb": thumb})

    second = await duplicate(first, field)
    assert second.id != first.id
    assert second.stored_at > first.stored_at
    assert second.changed(id=first.id, etag=first.etag, stored_at=first.stored_at) == first
    await delete(field, first)
    assert await field.disk.get(second.key) == PDF
    assert await field.disk.get(f"{second.own_directory}/{thumb.file}") == b"thumb"
    assert second.etag == (await field.disk.stat(second.key)).etag
    assert (await field.disk.stat(second.key)).content_type == "application/pdf"
    assert await field.disk.directories("app/avatars") == [second.own_directory]


async def test_duplicate_for_other_field_has_its_limits(tmp_path: Path) -> None:
    registry = local_registry(tmp_path)
    field = added(registry)
    other = Field("archive", "covers", types={"application/*"}, properties={"cover": True})
    registry.add("albums.cover", other)
    first = await store(field, PDF, name="me.pdf")

    second = await duplicate(first, field, to=other)
    assert (second.disk, second.directory, second.field) == ("archive", "app/covers", other)
    assert second.properties == {"cover": True}
    assert await other.disk.get(second.key) == PDF
    with pytest.raises(RejectedException):
        await duplicate(await store(field, b"text"), field, to=other)
    assert len(await other.disk.directories("app/covers")) == 1


async def test_duplicate_of_a_field_that_moved_goes_to_its_current_disk(tmp_path: Path) -> None:
    first = await store(added(local_registry(tmp_path)), PDF)
    later = local_registry(tmp_path)
    field = Field("archive", "faces", moved_from=[("media", "avatars")])
    later.add("users.avatar", field)
    second = await duplicate(field.load(first.to_json()), field)
    assert second.key == f"app/faces/{second.id}/original.pdf"
    assert await later.disk("archive").get(second.key) == PDF


async def test_duplicate_of_what_is_gone_leaves_nothing(tmp_path: Path) -> None:
    field = added(local_registry(tmp_path))
    first = await store(field, PDF)
    await delete(field, first)
    with pytest.raises(FileNotFoundException):
        await duplicate(first, field)
    assert await field.disk.all_files() == []
