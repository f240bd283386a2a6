"""Triggers: raw SQL, bulk statements and cascades of the database write the outbox."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import delete, text, update
from sqlalchemy.dialects.mysql import dialect as mysql
from sqlalchemy.dialects.oracle import dialect as oracle
from sqlalchemy.dialects.sqlite import dialect as sqlite
from sqlalchemy.ext.asyncio import create_async_engine

from attachment_app import App
from jtc.storage.attachments import Attachment
from jtc.storage.attachments.sqlalchemy import drop_triggers, store
from jtc.storage.attachments.sqlalchemy._triggers import Triggers
from jtc.storage.exceptions import StorageConfigException, UnsupportedOperationException


async def fill(app: App) -> dict[str, Attachment]:
    """Commit a user with an attachment in each column, and one of a post."""
    async with app.sessions() as session:
        user, post = app.User(), app.Post()
        user.posts = [post]
        user.avatar = await store(app.User.avatar, b"a", session=session)
        user.photos = [await store(app.User.photos, b"p", session=session) for _ in range(2)]
        post.picture = await store(app.Post.picture, b"i", session=session)
        session.add(user)
        await session.commit()
        first, second = user.photos
        return {"avatar": user.avatar, "one": first, "two": second, "picture": post.picture}


async def run(app: App, sql: str) -> None:
    async with app.sessions() as session:
        if app.engine_name == "sqlite":
            await session.execute(text("PRAGMA foreign_keys = ON"))
        await session.execute(text(sql))
        await session.commit()


async def test_raw_update_and_delete_write_the_outbox(triggered: App) -> None:
    files = await fill(triggered)
    await run(triggered, "UPDATE users SET email = 'a@example.com'")
    assert await triggered.outbox() == set()
    await run(triggered, "UPDATE users SET avatar = NULL")
    assert await triggered.outbox() == {files["avatar"].id}
    await run(triggered, "DELETE FROM posts")
    assert await triggered.outbox() == {files["avatar"].id, files["picture"].id}
    await triggered.check()
    assert await triggered.files() == {files["one"].key, files["two"].key}


async def test_cascade_of_the_database_writes_the_outbox(triggered: App) -> None:
    files = await fill(triggered)
    await run(triggered, "DELETE FROM users")
    assert await triggered.outbox() == {each.id for each in files.values()}
    await triggered.check()
    assert await triggered.files() == set()


async def test_bulk_statements_write_the_outbox(triggered: App) -> None:
    files = await fill(triggered)
    async with triggered.sessions() as session:
        await session.execute(update(triggered.User).values(avatar=None))
        await session.execute(delete(triggered.Post))
        await session.commit()
    assert await triggered.outbox() == {files["avatar"].id, files["picture"].id}
    await triggered.check()


async def test_truncate_writes_the_outbox(triggered: App) -> None:
    if triggered.engine_name != "postgresql":
        pytest.skip("SQLite has no TRUNCATE")
    files = await fill(triggered)
    await run(triggered, "TRUNCATE users CASCADE")
    assert await triggered.outbox() == {each.id for each in files.values()}
    await triggered.check()


async def test_session_writes_one_entry_for_what_it_drops(triggered: App) -> None:
    files = await fill(triggered)
    async with triggered.sessions() as session:
        user = await session.get(triggered.User, 1)
        one, two = user.photos
        user.photos = [two, one]
        await session.commit()
        assert await triggered.outbox() == set()
        user.photos = [two.with_properties(alt="x")]
        user.avatar = second = await store(triggered.User.avatar, b"b", session=session)
        await session.flush()
        user.avatar = third = await store(triggered.User.avatar, b"c", session=session)
        await session.flush()
        user.avatar = second
        await session.commit()
    assert await triggered.outbox_list() == sorted([files["avatar"].id, one.id, third.id])
    await triggered.check()


async def test_rolled_back_statement_leaves_no_entry(triggered: App) -> None:
    await fill(triggered)
    async with triggered.sessions() as session:
        await session.execute(text("UPDATE users SET avatar = NULL"))
        await session.rollback()
    assert await triggered.outbox() == set()
    await triggered.check()


async def test_replace_by_maintenance_writes_one_entry(triggered: App) -> None:
    files = await fill(triggered)
    records = triggered.registry.records
    assert records is not None
    field = triggered.registry.field("users.photos")
    moved = files["one"].changed(directory="app/elsewhere")
    await triggered.disk.copy(files["one"].key, moved.key)
    assert await records.replace(field, files["one"], moved)
    assert await triggered.outbox_list() == [files["one"].id]
    assert not await records.replace(field, files["one"], moved)
    changed = moved.with_properties(alt="x")
    assert await records.replace(field, moved, changed)
    assert await triggered.outbox_list() == [files["one"].id]


def test_trigger_of_sqlite_compares_long_lists_in_few_steps() -> None:
    """The database is locked meanwhile, for half a minute with a list of 4,000 once."""

    def thousands_of_steps(length: int) -> int:
        photos = [{"id": f"{n}", "disk": "media", "directory": "app/p"} for n in range(length)]
        with closing(sqlite3.connect(":memory:")) as database:
            database.execute("CREATE TABLE users (photos JSON)")
            database.execute(
                "CREATE TABLE jtc_attachment_outbox (disk, directory, attachment, dropped_at)"
            )
            for statement in Triggers(table="users", column="photos").create(sqlite()):
                database.execute(statement)
            database.execute("INSERT INTO users VALUES (?)", [json.dumps(photos)])
            steps: list[None] = []
            database.set_progress_handler(lambda: steps.append(None), 1000)
            database.execute("UPDATE users SET photos = ?", [json.dumps(photos[:0:-1])])
            dropped = database.execute("SELECT attachment FROM jtc_attachment_outbox").fetchall()
            assert dropped == [("0",)]
            return len(steps)

    assert thousands_of_steps(2000) < 8 * thousands_of_steps(500)


async def test_missing_triggers_are_found_before_anything_is_lost(triggered: App) -> None:
    await fill(triggered)
    engine = create_async_engine(triggered.engine.url)
    async with engine.begin() as connection:
        await connection.run_sync(drop_triggers, triggered.registry)
    try:
        async with triggered.sessions(bind=engine) as session:
            user = await session.get(triggered.User, 1)
            user.avatar = None
            with pytest.raises(StorageConfigException, match=r"'users\.avatar'|users\.avatar, "):
                await session.commit()
    finally:
        await triggered.remake_triggers()
        await engine.dispose()


def test_triggers_of_mysql_are_made_as_text() -> None:
    create = Triggers(table="users", column="photos").create(mysql())
    assert [each.split()[:2] for each in create] == [["DROP", "TRIGGER"]] * 2 + [
        ["CREATE", "TRIGGER"]
    ] * 2
    assert all("JSON_TABLE(" in each for each in create[2:])


def test_triggers_of_another_database_are_refused() -> None:
    with pytest.raises(UnsupportedOperationException, match="oracle"):
        Triggers(table="users", column="photos").create(oracle())


def test_names_of_triggers_are_short_enough_and_differ() -> None:
    names: set[Any] = {Triggers(table="t" * 70, column=column).name for column in "ab"}
    assert len(names) == 2
    assert all(len(name) == 60 for name in names)
