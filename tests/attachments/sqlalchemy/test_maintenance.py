"""Maintenance over the rows of SQLAlchemy, on SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

import pytest
from sqlalchemy import text

from attachment_app import App
from jtc.storage.attachments import Attachment
from jtc.storage.attachments.adopt import adopt
from jtc.storage.attachments.derivations import derive
from jtc.storage.attachments.moving import move
from jtc.storage.attachments.purge import purge
from jtc.storage.attachments.sqlalchemy import store
from jtc.storage.attachments.sweeping import regenerate
from jtc.storage.attachments.verify import verify
from jtc.storage.attachments.worker import run_outbox


async def user_with_files(app: App) -> Attachment:
    """Commit a user with an avatar and two photos; return the avatar."""
    async with app.sessions() as session:
        user = app.User()
        user.avatar = await store(app.User.avatar, b"avatar", session=session)
        user.photos = [
            await store(app.User.photos, content, session=session) for content in (b"1", b"2")
        ]
        session.add(user)
        await session.commit()
        return user.avatar


async def age_outbox(app: App) -> None:
    async with app.sessions() as session, session.begin():
        await session.execute(
            text("UPDATE jtc_attachment_outbox SET dropped_at = dropped_at - 100000")
        )


async def test_run_outbox_deletes_what_is_due_once(app: App) -> None:
    for _ in range(6):
        await user_with_files(app)
    async with app.sessions() as session:
        for key in range(1, 6):
            await session.delete(await session.get(app.User, key))
        await session.commit()
    assert (await run_outbox(app.registry)).deleted == 0
    await age_outbox(app)
    both = await asyncio.gather(run_outbox(app.registry), run_outbox(app.registry))
    assert sum(each.deleted for each in both) == 15
    assert not any(each.failed or each.refused for each in both)
    assert len(await app.files()) == 3
    assert [each async for each in verify(app.registry)] == []


async def test_run_outbox_keeps_what_a_row_names(app: App) -> None:
    avatar = await user_with_files(app)
    assert app.registry.records is not None
    await app.registry.records.add_to_outbox([avatar])
    await age_outbox(app)
    done = await run_outbox(app.registry)
    assert (done.deleted, done.named) == (0, 1)
    assert len(await app.files()) == 3


@pytest.mark.parametrize("changed", ["before the pass", "during the pass"])
async def test_run_outbox_keeps_file_that_a_later_entry_names(
    app: App, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    monkeypatch.setattr(app.registry, "keep", 3600)
    records = app.registry.records
    assert records is not None
    async with app.sessions() as session:
        avatar = await store(app.User.avatar, b"one", session=session)
        session.add(app.User(avatar=avatar))
        with contextlib.suppress(ValueError):
            async with session.begin_nested():
                raise ValueError  # which leaves it open whether a row names the file
        await session.commit()
    async with app.engine.begin() as connection:
        await connection.execute(text("UPDATE jtc_attachment_outbox SET dropped_at = 0"))

    async def drop() -> None:
        async with app.sessions() as session:
            (await session.get(app.User, 1)).avatar = None
            await session.commit()

    if changed == "before the pass":
        await drop()
    else:
        take = records.take

        async def take_and_drop(*arguments: Any) -> Any:
            taken = await take(*arguments)
            if taken:
                await drop()
            return taken

        monkeypatch.setattr(records, "take", take_and_drop)
    assert (await run_outbox(app.registry)).deleted == 0
    assert await app.disk.exists(avatar.key)
    assert await app.outbox_list() == [avatar.id]
    await app.check()


async def test_purge_finds_files_without_row_only(app: App, monkeypatch: Any) -> None:
    await user_with_files(app)
    dropped = await user_with_files(app)
    async with app.sessions() as session:
        user = await session.get(app.User, 2)
        user.avatar = None
        await session.commit()
    orphan = f"app/photos/{'0f' * 16}/original.txt"
    await app.disk.put(orphan, b"no row")
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 200_000)
    done = await purge(app.registry, dry_run=True)
    assert (done.found, done.unknown_count) == (1, 0)
    assert await app.disk.exists(dropped.key)


async def test_move_and_regenerate_change_rows_only_where_they_are_the_same(app: App) -> None:
    avatar = await user_with_files(app)
    field = app.registry.field("users.avatar")
    photos = app.registry.field("users.photos")
    recipe = derive(
        bytes.upper, version=1, content_type="text/plain", extension=".txt", takes="bytes"
    )
    before = (field.directory, photos.directory)
    try:
        field.moved_from = [("media", field.directory)]
        photos.moved_from = [("media", photos.directory)]
        field.directory, photos.directory = "faces", "pictures"
        field.variants, field.eager = {"upper": recipe}, ("upper",)
        assert (await move(app.registry)).moved == 3
        assert (await regenerate(app.registry)).changed == 1
        assert [each async for each in verify(app.registry)] == []
        async with app.sessions() as session:
            user = await session.get(app.User, 1)
            assert user.avatar.id == avatar.id
            assert user.avatar.directory == "app/faces"
            assert user.avatar.variants["upper"].recipe == recipe.fingerprint
            assert [each.directory for each in user.photos] == ["app/pictures"] * 2
        assert len(await app.outbox()) == 3
        await age_outbox(app)
        assert (await run_outbox(app.registry)).deleted == 3
        assert [each async for each in verify(app.registry)] == []
    finally:
        field.directory, photos.directory = before
        field.moved_from = photos.moved_from = ()
        field.variants, field.eager = {}, ()


async def test_adopt_raises_the_counter_above_the_marker(app: App) -> None:
    await run_outbox(app.registry)
    content = await app.disk.get("app/.owner")
    await app.disk.put("app/.owner", content.replace(b'"counter": 1', b'"counter": 41'))
    assert list((await run_outbox(app.registry)).refused) == ["media"]
    await adopt(app.registry)
    assert app.registry.records is not None
    assert await app.registry.records.counter() == 42
    assert (await run_outbox(app.registry)).refused == {}


async def test_move_with_triggers_drops_the_old_files_once(triggered: App) -> None:
    avatar = await user_with_files(triggered)
    fields = [triggered.registry.field(name) for name in ("users.avatar", "users.photos")]
    before = [field.directory for field in fields]
    try:
        for field in fields:
            field.moved_from = [("media", field.directory)]
            field.directory = f"moved/{field.directory}"
        assert (await move(triggered.registry)).moved == 3
        assert triggered.registry.records is not None
        entries = await triggered.registry.records.take(time.time() + 60, 100, 0)
        assert len(entries) == 3
        assert avatar.own_directory in {entry.directory for entry in entries}
        await age_outbox(triggered)
        assert (await run_outbox(triggered.registry)).deleted == 3
        assert [each async for each in verify(triggered.registry)] == []
        assert len(await triggered.files()) == 3
    finally:
        for field, directory in zip(fields, before, strict=True):
            field.directory, field.moved_from = directory, ()
