"""Variants after their recipes changed."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from attachment_database import HOUR, Database
from jtc.storage.attachments import Attachment
from jtc.storage.attachments.derivations import Derivation, derive
from jtc.storage.attachments.sweeping import regenerate, sweep
from jtc.storage.attachments.verify import verify
from jtc.storage.attachments.worker import run_outbox


def recipe(version: int) -> Derivation:
    def made(content: bytes) -> bytes:
        if content == b"poison":
            raise ValueError(content)
        return content * version

    return derive(made, version=version, content_type="text/plain", extension=".txt", takes="bytes")


def database_with(root: Path, version: int, **more: Any) -> Database:
    """Return the database with the recipes of a release of the application."""
    variants = {"thumb": recipe(version), "card": recipe(version + 100), **more}
    return Database(root, variants=variants, eager=["thumb"])


def names(database: Database, attachment: Attachment) -> set[str]:
    directory = database.root / attachment.disk / attachment.own_directory
    return {each.name for each in directory.iterdir()}


def file(version: int, variant: str = "thumb") -> str:
    return f"{variant}-{recipe(version).fingerprint}.txt"


def forget(database: Database, seconds: float) -> None:
    """Let time pass: what the owner marker says of recipes was written earlier."""
    path = database.root / "media/app/.owner"
    values = json.loads(path.read_text())
    values["recipes"] = {key: time_ - seconds for key, time_ in values["recipes"].items()}
    path.write_text(json.dumps(values))


async def test_regenerate_makes_eager_variants_and_updates_rows(tmp_path: Path) -> None:
    old = database_with(tmp_path, 1)
    avatar = await old.saved(1)
    photo = await old.saved(1, old.photos)
    new = database_with(tmp_path, 2)

    done = await regenerate(new.registry)
    assert (done.changed, done.made, done.failed, done.lost) == (2, 0, 0, 0)
    for field, before in ((new.avatar, avatar), (new.photos, photo)):
        ((row,),) = new.records.rows(field).values()
        assert row.variants["thumb"].file == file(2)
        assert row.id == before.id
        assert await row_content(new, row) == b"texttext"
        assert names(new, row) == {before.file, file(1), file(2)}
    assert [each async for each in verify(new.registry)] == []
    assert (await regenerate(new.registry)).changed == 0
    assert new.records.outbox() == []


async def row_content(database: Database, row: Attachment) -> bytes:
    path = f"{row.own_directory}/{row.variants['thumb'].file}"
    return await database.registry.disk(row.disk).get(path)


async def test_regenerate_makes_lazy_variants_when_asked(tmp_path: Path) -> None:
    database = database_with(tmp_path, 1)
    attachment = await database.saved(1)
    done = await regenerate(database.registry, lazy=True)
    assert (done.changed, done.made) == (0, 1)
    assert names(database, attachment) == {attachment.file, file(1), file(101, "card")}


async def test_regenerate_takes_variants_that_are_not_declared_out_of_rows(tmp_path: Path) -> None:
    old = database_with(tmp_path, 1)
    await old.saved(1)
    new = Database(tmp_path, variants={"card": recipe(101)})
    assert (await regenerate(new.registry)).changed == 1
    ((row,),) = new.records.rows(new.avatar).values()
    assert row.variants == {}


async def test_regenerate_continues_after_attachment_that_fails(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plain = Database(tmp_path)
    poison = await plain.stored(content=b"poison")
    plain.records.save(plain.avatar, 1, poison)
    lost = await plain.saved(2)
    await plain.registry.disk("media").delete(lost.key)
    await plain.saved(3)
    new = database_with(tmp_path, 1)

    done = await regenerate(new.registry)
    assert (done.changed, done.failed) == (1, 2)
    assert names(new, poison) == {poison.file}
    assert poison.id in caplog.text
    assert lost.id in caplog.text


async def test_regenerate_leaves_variants_of_a_recipe_that_is_the_same(tmp_path: Path) -> None:
    old = Database(
        tmp_path, variants={"thumb": recipe(1), "back": recipe(7)}, eager=["thumb", "back"]
    )
    poison = await old.saved(1)
    new = Database(
        tmp_path, variants={"thumb": recipe(1), "back": recipe(8)}, eager=["thumb", "back"]
    )
    (tmp_path / "media" / poison.key).write_bytes(b"poison")

    assert (await regenerate(new.registry)).failed == 1
    assert [each async for each in verify(new.registry)] == []
    ((row,),) = new.records.rows(new.avatar).values()
    assert row.variants == poison.variants


async def test_regenerate_makes_only_what_is_missing(tmp_path: Path) -> None:
    made: list[str] = []

    def recipes(version: int) -> dict[str, Derivation]:
        def named(name: str, number: int) -> Derivation:
            def make(content: bytes) -> bytes:
                made.append(name)
                return content

            return derive(
                make, version=number, content_type="text/plain", extension=".txt", takes="bytes"
            )

        return {"thumb": named("thumb", 1), "back": named("back", version)}

    await Database(tmp_path, variants=recipes(1), eager=["thumb", "back"]).saved(1)
    assert sorted(made) == ["back", "thumb"]
    new = Database(tmp_path, variants=recipes(2), eager=["thumb", "back"])
    assert (await regenerate(new.registry)).changed == 1
    assert sorted(made) == ["back", "back", "thumb"]


async def test_regenerate_writes_no_row_that_was_changed_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = database_with(tmp_path, 1)
    first = await old.saved(1)
    new = database_with(tmp_path, 2)
    replace = new.records.replace

    async def late(field: Any, before: Attachment, after: Attachment) -> bool:
        new.records.save(new.avatar, 1, first.with_properties(title="A title"))
        return await replace(field, before, after)

    monkeypatch.setattr(new.records, "replace", late)
    done = await regenerate(new.registry)
    assert (done.changed, done.lost) == (0, 1)
    monkeypatch.undo()
    assert (await regenerate(new.registry)).changed == 1
    ((row,),) = new.records.rows(new.avatar).values()
    assert row.properties == {"title": "A title"}


async def test_sweep_deletes_files_of_recipes_that_were_declared_last_before_keep(
    tmp_path: Path,
) -> None:
    old = database_with(tmp_path, 1)
    attachment = await old.saved(1)
    await regenerate(old.registry, lazy=True)
    await run_outbox(old.registry)
    new = database_with(tmp_path, 2)
    await run_outbox(new.registry)
    await regenerate(new.registry)
    everything = {attachment.file, file(1), file(101, "card"), file(2)}

    early = await sweep(new.registry)
    assert (early.found, early.deleted, early.kept) == (2, 0, 2)
    assert names(new, attachment) == everything

    forget(new, 2 * HOUR)
    for each in (tmp_path / "media" / attachment.own_directory).iterdir():
        os.utime(each, (time.time() - 2 * HOUR,) * 2)
    counted = await sweep(new.registry, dry_run=True)
    assert (counted.found, counted.deleted, counted.kept) == (2, 2, 0)
    assert names(new, attachment) == everything
    done = await sweep(new.registry)
    assert (done.found, done.deleted, done.kept, done.failed) == (2, 2, 0, 0)
    assert names(new, attachment) == {attachment.file, file(2)}


async def test_sweep_keeps_what_rows_name(tmp_path: Path) -> None:
    old = database_with(tmp_path, 1)
    attachment = await old.saved(1)
    await run_outbox(old.registry)
    new = database_with(tmp_path, 2)
    await run_outbox(new.registry)
    forget(new, 2 * HOUR)
    assert (await sweep(new.registry)).found == 0
    assert names(new, attachment) == {attachment.file, file(1)}


async def test_sweep_keeps_files_whose_row_was_regenerated_lately(tmp_path: Path) -> None:
    old = database_with(tmp_path, 1)
    attachment = await old.saved(1)
    await run_outbox(old.registry)
    new = database_with(tmp_path, 2)
    await run_outbox(new.registry)
    forget(new, 2 * HOUR)
    await regenerate(new.registry)
    assert (await sweep(new.registry)).kept == 1
    os.utime(tmp_path / "media" / attachment.own_directory / file(2), (0, 0))
    assert (await sweep(new.registry)).deleted == 1


async def test_sweep_waits_from_now_for_recipes_that_no_run_has_declared(tmp_path: Path) -> None:
    old = database_with(tmp_path, 1)
    attachment = await old.saved(1)
    new = database_with(tmp_path, 2)
    await regenerate(new.registry)
    os.utime(tmp_path / "media" / attachment.own_directory / file(2), (0, 0))
    assert (await sweep(new.registry)).kept == 1
    assert (await sweep(new.registry)).kept == 1
    forget(new, 2 * HOUR)
    assert (await sweep(new.registry)).deleted == 1


async def test_sweep_waits_again_after_a_release_was_taken_back(tmp_path: Path) -> None:
    old = database_with(tmp_path, 1)
    attachment = await old.saved(1)
    await run_outbox(old.registry)
    new = database_with(tmp_path, 2)
    await regenerate(new.registry)
    os.utime(tmp_path / "media" / attachment.own_directory / file(2), (0, 0))
    await sweep(new.registry)
    forget(new, 2 * HOUR)
    await run_outbox(old.registry)
    assert (await sweep(new.registry)).kept == 1


async def test_sweep_leaves_markers_and_files_that_are_not_ours(tmp_path: Path) -> None:
    database = Database(tmp_path)
    attachment = await database.saved(1)
    directory = tmp_path / "media" / attachment.own_directory
    for name in (".making-thumb-00000000", "notes.txt", "by hand-1.txt"):
        (directory / name).write_bytes(b"")
    for _ in range(2):
        assert (await sweep(database.registry)).found == 0
        forget(database, 2 * HOUR)
    assert len(names(database, attachment)) == 4
