"""Sessions: what a transaction stores, replaces and deletes, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm.exc import ObjectDeletedError, StaleDataError

from attachment_app import App
from jtc.storage.attachments import Attachment
from jtc.storage.attachments.plain import store as store_only
from jtc.storage.attachments.sqlalchemy import (
    IGNORE,
    AttachmentNotStagedException,
    claim,
    duplicate,
    hold,
    store,
)
from jtc.storage.attachments.tokens import TokenException
from jtc.storage.attachments.uploads import begin_upload
from jtc.storage.exceptions import StorageException, UnsupportedOperationException


async def add_user(app: App, content: bytes = b"one", **values: Any) -> Attachment:
    """Commit a user with an avatar; return that."""
    async with app.sessions() as session:
        avatar = await store(app.User.avatar, content, session=session)
        session.add(app.User(avatar=avatar, **values))
        await session.commit()
        return avatar


async def test_store_and_commit_names_stored_file(app: App) -> None:
    async with app.sessions() as session:
        user = app.User()
        user.avatar = await store(app.User.avatar, b"hello", session=session, name="me.txt")
        session.add(user)
        await session.commit()
    async with app.sessions() as session:
        user = await session.get(app.User, 1)
        assert user.avatar.name == "me.txt"
        assert len(user.photos) == 0
        assert await app.disk.get(user.avatar.key) == b"hello"
    await app.check()
    assert len(await app.files()) == 1


async def test_replaced_and_cleared_and_deleted_files_are_in_outbox(app: App) -> None:
    first = await add_user(app)
    async with app.sessions() as session:
        user = await session.get(app.User, 1)
        user.avatar = second = await store(app.User.avatar, b"two", session=session)
        await session.commit()
        assert await app.outbox() == {first.id}
        user.avatar = None
        await session.commit()
        assert await app.outbox() == {first.id, second.id}
        user.photos = [await store(app.User.photos, b"p", session=session)]
        await session.commit()
        await session.delete(user)
        await session.commit()
        assert len(await app.outbox()) == 3
    await app.check()
    assert await app.files() == set()


async def test_expired_attribute_that_is_replaced_drops_its_file(app: App) -> None:
    first = await add_user(app)
    async with app.sessions() as session:
        user = await session.get(app.User, 1)
        session.expire(user)
        new = await store(app.User.avatar, b"two", session=session)
        user.avatar = new  # the old value is not loaded, and the history of it empty
        await session.commit()
    assert await app.outbox() == {first.id}
    await app.check()


async def test_two_racing_sessions_lose_no_file(app: App) -> None:
    await add_user(app)
    async with app.sessions() as one, app.sessions() as other:
        mine, theirs = await one.get(app.User, 1), await other.get(app.User, 1)
        await one.rollback()
        await other.rollback()
        mine.avatar = await store(app.User.avatar, b"two", session=one)
        theirs.avatar = await store(app.User.avatar, b"three", session=other)
        await asyncio.gather(one.commit(), other.commit())
    assert len(await app.outbox()) == 2
    await app.check()
    assert len(await app.files()) == 1


@pytest.mark.parametrize("kind", ["postgresql"])
@pytest.mark.parametrize("by", ["replacement", "deletion"])
async def test_row_that_another_session_deletes_and_inserts_again_loses_no_file(
    app: App, by: str
) -> None:
    first = await add_user(app)
    async with app.sessions() as one, app.sessions() as two:
        user = await one.get(app.User, 1)
        await two.delete(await two.get(app.User, 1))
        await two.flush()
        second = await store(app.User.avatar, b"two", session=two)
        two.add(app.User(id=1, avatar=second))
        await two.flush()
        if by == "replacement":
            user.avatar = await store(app.User.avatar, b"three", session=one)
        else:
            await one.delete(user)
        commit = asyncio.create_task(one.commit())
        async with app.sessions() as third:
            waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
            while not await third.scalar(waiting):
                await third.rollback()
                await asyncio.sleep(0.01)
        await two.commit()
        await commit
    assert await app.outbox() == {first.id, second.id}
    await app.check()


async def test_savepoint_rolled_back_and_file_assigned_again(app: App) -> None:
    first = await add_user(app)
    async with app.sessions() as session:
        user = await session.get(app.User, 1)
        new = await store(app.User.avatar, b"two", session=session)
        savepoint = await session.begin_nested()
        user.avatar = new
        await session.flush()
        await savepoint.rollback()
        await session.refresh(user)
        assert user.avatar.id == first.id
        user.avatar = new
        await session.commit()
    await app.check()
    assert await app.files() == {new.key}


@pytest.mark.parametrize("end", ["rollback", "close"])
async def test_savepoint_that_ends_without_release_leaves_orphan_in_outbox(
    app: App, end: str
) -> None:
    first = await add_user(app)
    async with app.sessions() as session:
        user = await session.get(app.User, 1)
        new = await store(app.User.avatar, b"two", session=session)
        savepoint = await session.begin_nested()
        user.avatar = new
        await session.flush()
        inner = savepoint.sync_transaction
        assert inner is not None
        await session.run_sync(lambda _session: getattr(inner, end)())
        await session.commit()
    assert await app.outbox() == {new.id}
    await app.check()
    assert await app.files() == {first.key}


async def test_savepoint_released_keeps_its_file(app: App) -> None:
    async with app.sessions() as session:
        async with session.begin_nested():
            session.add(app.User(avatar=await store(app.User.avatar, b"one", session=session)))
        await session.commit()
    assert await app.outbox() == set()
    await app.check()
    assert len(await app.files()) == 1


async def test_savepoint_released_and_transaction_rolled_back_leaves_nothing(app: App) -> None:
    """Python's sqlite3 would commit the savepoint: it begins no transaction before one."""
    async with app.sessions() as session:
        async with session.begin_nested():
            session.add(app.User(avatar=await store(app.User.avatar, b"one", session=session)))
        await session.rollback()
    await app.check()
    assert await app.files() == set()
    assert await app.named() == []


async def test_two_assignments_without_flush_leave_one_file(app: App) -> None:
    first = await add_user(app)
    async with app.sessions() as session:
        user = await session.get(app.User, 1)
        user.avatar = second = await store(app.User.avatar, b"two", session=session)
        user.avatar = await store(app.User.avatar, b"three", session=session)
        await session.commit()
    assert await app.outbox() == {first.id, second.id}
    await app.check()
    assert len(await app.files()) == 1


async def test_attachment_assigned_again_in_one_transaction_leaves_the_outbox(app: App) -> None:
    await add_user(app)
    async with app.sessions() as session:
        user = await session.get(app.User, 1)
        user.avatar = second = await store(app.User.avatar, b"two", session=session)
        await session.flush()
        user.avatar = third = await store(app.User.avatar, b"three", session=session)
        await session.flush()
        user.avatar = second
        await session.commit()
    assert second.id not in await app.outbox()
    assert third.id in await app.outbox()
    await app.check()
    assert await app.files() == {second.key}


@pytest.mark.parametrize("ending", ["close", "rollback", "error", "no transaction"])
async def test_session_that_ends_without_commit_deletes_staged_files(app: App, ending: str) -> None:
    with contextlib.suppress(ZeroDivisionError):
        async with app.sessions() as session:
            avatar = await store(app.User.avatar, b"one", session=session)
            if ending != "no transaction":
                session.add(app.User(avatar=avatar))
                await session.flush()
            if ending == "rollback":
                await session.rollback()
            if ending == "close":
                await session.close()
            raise ZeroDivisionError
    await app.registry.aclose()
    assert await app.files() == set()
    assert await app.outbox() == set()


async def test_commit_that_violates_constraint_leaves_no_file(app: App) -> None:
    first = await add_user(app, email="me@example.com")
    with pytest.raises(IntegrityError):
        await add_user(app, b"two", email="me@example.com")
    await app.registry.aclose()
    assert await app.files() == {first.key}
    await app.check()


async def test_commit_whose_result_is_unknown_leaves_file_to_the_outbox(app: App) -> None:
    async with app.sessions() as session:
        avatar = await store(app.User.avatar, b"one", session=session)
        session.add(app.User(avatar=avatar))
        raw = (await session.connection()).sync_connection

        def commit_and_fail(_connection: Any) -> None:
            raw.dialect.do_commit = type(raw.dialect).do_commit.__get__(raw.dialect)
            raise OSError("the answer was lost")

        def lost(connection: Any) -> None:
            type(raw.dialect).do_commit(raw.dialect, connection)
            commit_and_fail(connection)

        raw.dialect.do_commit = lost
        with pytest.raises(OSError, match="lost"):
            await session.commit()
    await app.registry.aclose()
    assert await app.files() == {avatar.key}  # the row is there
    assert {each.id for each in await app.named()} == await app.outbox() == {avatar.id}
    await app.check()
    assert await app.files() == {avatar.key}


async def test_commit_refuses_file_that_purge_may_have_deleted(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.registry, "keep", 1)
    held = await hold(app.User.avatar, b"one", owner=1)
    async with app.sessions() as session:
        avatar = await claim(app.User.avatar, held.token, owner=1, session=session)
        session.add(app.User(avatar=avatar))
        later = time.time() + 3
        monkeypatch.setattr(time, "time", lambda: later)
        with pytest.raises(StorageException, match="'purge' leaves"):
            await session.commit()
        await session.rollback()
    monkeypatch.undo()
    assert await app.named() == []


async def test_assigning_attachment_of_another_row_raises_and_loses_nothing(app: App) -> None:
    avatar = await add_user(app)
    async with app.sessions() as session:
        me = await session.get(app.User, 1)
        you = app.User(avatar=me.avatar)
        session.add(you)
        with pytest.raises(AttachmentNotStagedException, match=r"'users\.avatar' .*duplicate\(\)"):
            await session.flush()
        you.avatar = await duplicate(me.avatar, session=session)
        await session.commit()
        assert you.avatar.id != me.avatar.id
        assert await app.disk.get(you.avatar.key) == b"one"
    assert await app.outbox() == set()
    await app.check()
    assert avatar.key in await app.files()


async def test_key_that_two_rows_share_is_deleted_with_the_last(app: App) -> None:
    avatar = await add_user(app)
    async with app.sessions() as session:
        session.add(app.User())
        await session.flush()
        copy = "UPDATE users SET avatar = (SELECT avatar FROM users WHERE id = 1) WHERE id = 2"
        await session.execute(text(copy))
        await session.commit()
    for left in ({avatar.key}, set()):
        async with app.sessions() as session:
            await session.delete((await session.scalars(select(app.User))).first())
            await session.commit()
        assert await app.outbox() == {avatar.id}
        await app.check()
        assert await app.files() == left


async def test_staged_file_is_for_one_row_and_one_column(app: App) -> None:
    async with app.sessions() as session:
        new = await store(app.User.avatar, b"one", session=session)
        session.add_all(users := [app.User(avatar=new), app.User(avatar=new)])
        with pytest.raises(AttachmentNotStagedException, match="two rows"):
            await session.flush()
        users[1].avatar = None
        users[0].cover = new
        with pytest.raises(AttachmentNotStagedException, match=r"stored for 'users\.avatar'"):
            await session.flush()
        users[0].cover = None
        await session.flush()
        users[1].avatar = new
        with pytest.raises(AttachmentNotStagedException, match="this transaction wrote"):
            await session.flush()
        users[0].avatar = None  # from one row to another one is fine while it is staged
        await session.commit()
    assert await app.outbox() == set()
    await app.check()
    assert await app.files() == {new.key}


@pytest.mark.parametrize("leaves", ["by expunge", "as garbage", "by delete", "by savepoint"])
async def test_staged_file_of_object_that_left_the_session_is_its_rows(
    app: App, leaves: str
) -> None:
    async with app.sessions() as session:
        avatar = await store(app.User.avatar, b"one", session=session)
        savepoint = await session.begin_nested()
        session.add(user := app.User(avatar=avatar))
        await session.flush()
        if leaves == "by savepoint":
            await savepoint.rollback()
        elif leaves == "by delete":
            await session.delete(user)
            await session.flush()
        elif leaves == "by expunge":
            session.expunge(user)
        del user
        gc.collect()
        session.add(app.User(avatar=avatar))
        if leaves in ("by delete", "by savepoint"):
            await session.commit()
        else:
            with pytest.raises(AttachmentNotStagedException, match="use duplicate"):
                await session.commit()
    await app.check()


async def test_attachment_stored_in_another_session_is_refused(app: App) -> None:
    async with app.sessions() as one, app.sessions() as other:
        new = await store(app.User.avatar, b"one", session=one)
        other.add(app.User(avatar=new))
        with pytest.raises(AttachmentNotStagedException):
            await other.commit()
    await app.check()
    assert await app.files() == set()


async def test_lists_keep_order_and_drop_what_is_left_out(app: App) -> None:
    async with app.sessions() as session:
        user = app.User()
        session.add(user)
        for content in (b"1", b"2", b"3"):
            photo = await store(app.User.photos, content, session=session)
            user.photos = user.photos.with_added(photo)
        await session.commit()
        one, two, three = user.photos
        user.photos = [three, one, two]
        await session.commit()
        assert await app.outbox() == set()
        four = await store(app.User.photos, b"4", session=session)
        user.photos = user.photos.with_added(four, at=0)
        assert list(user.photos) == [four, three, two]  # keep_latest=3: the oldest is dropped
        await session.commit()
        assert await app.outbox() == {one.id}
        with pytest.raises(AttributeError):
            user.photos.append(four)
        with pytest.raises(ValueError, match="twice"):
            user.photos = [four, four]
    async with app.sessions() as session:
        user = await session.get(app.User, 1)
        assert list(user.photos) == [four, three, two]
    await app.check()


async def test_one_attachment_in_two_lists_is_refused(app: App) -> None:
    async with app.sessions() as session:
        photo = await store(app.User.photos, b"1", session=session)
        session.add_all([app.User(photos=[photo]), app.User(photos=[photo])])
        with pytest.raises(AttachmentNotStagedException, match="two rows"):
            await session.commit()
    await app.check()


@pytest.mark.parametrize("value", [{"id": "x"}, "x", b"x", 1])
def test_assigning_anything_else_is_refused(app: App, value: Any) -> None:
    with pytest.raises(TypeError, match=r"store\(\)"):
        app.User().avatar = value
    with pytest.raises(TypeError, match=r"store\(\)"):
        app.User(photos=[value])
    with pytest.raises(TypeError, match=r"store\(\)"):
        app.User(photos=value)


async def test_properties_change_keeps_place_and_variants_of_the_row(app: App) -> None:
    """A background job moved the file, after the object was loaded."""
    first = await add_user(app)
    async with app.sessions() as session:
        user = await session.get(app.User, 1)
        await session.rollback()
        moved = first.changed(directory="app/elsewhere")
        await app.disk.copy(first.key, moved.key)
        assert await app.registry.records.replace(app.registry.field("users.avatar"), first, moved)
        assert await app.outbox() == {first.id}
        user.avatar = first.with_properties(alt="me")
        await session.commit()
        assert user.avatar.directory == "app/elsewhere"
        assert user.avatar.properties == {"alt": "me"}
        assert not await app.registry.records.replace(
            app.registry.field("users.avatar"), moved, first
        )


async def test_delete_cascades_of_the_session_drop_files(app: App) -> None:
    async with app.sessions() as session:
        user = app.User()
        picture = await store(app.Post.picture, b"1", session=session)
        other = await store(app.Post.picture, b"2", session=session)
        user.posts = [app.Post(picture=picture), app.Post(picture=other)]
        session.add(user)
        await session.commit()
        user.posts = user.posts[1:]  # only the flush finds that the other is an orphan
        await session.commit()
        assert await app.outbox() == {picture.id}
        await session.delete(user)
        await session.commit()
        assert await app.outbox() == {picture.id, other.id}
    await app.check()
    assert await app.files() == set()


async def test_bulk_statements_are_refused_unless_ignored(app: App) -> None:
    avatar = await add_user(app)
    cls = app.User
    async with app.sessions() as session:
        for statement, parameters in (
            (update(cls).values(avatar=None), None),
            (update(cls), [{"id": 1, "avatar": None}]),
            (delete(cls).where(cls.id == 1), None),
            (insert(cls), [{"avatar": avatar}]),
            (insert(cls).values(avatar=avatar), None),
        ):
            with pytest.raises(UnsupportedOperationException, match=r"users\."):
                await session.execute(statement, parameters)
        await session.execute(update(cls).values(email="me@example.com"))
        await session.execute(update(cls), [{"id": 1, "email": "you@example.com"}])
        await session.execute(insert(cls), [{"email": "third@example.com"}])
        ignored = {IGNORE: True}
        await session.execute(delete(cls).where(cls.id == 99), execution_options=ignored)
        await session.commit()
        assert (await session.scalars(select(cls.avatar).where(cls.id == 1))).one() == avatar


async def test_token_is_used_once_and_again_after_a_rollback(app: App) -> None:
    field = app.registry.field("users.avatar")
    upload = await store_only(field, b"one")
    token = app.registry.issue_token(field, upload, 7)
    async with app.sessions() as session:
        session.add(app.User(avatar=await claim(app.User.avatar, token, owner=7, session=session)))
        await session.flush()
        await session.rollback()
    await app.registry.aclose()
    assert await app.files() == {upload.key}
    async with app.sessions() as session:
        session.add(app.User(avatar=await claim(app.User.avatar, token, owner=7, session=session)))
        await session.commit()
    async with app.sessions() as session:
        with pytest.raises(TokenException, match="used before"):
            await claim(app.User.avatar, token, owner=7, session=session)
        assert await session.scalar(select(app.User.id)) is not None  # the transaction goes on
        with pytest.raises(TokenException, match="not valid here"):
            await claim(app.User.avatar, token, owner=8, session=session)
        with pytest.raises(TokenException, match="not valid here"):
            await claim(app.User.cover, token, owner=7, session=session)
    await app.check()
    assert await app.files() == {upload.key}


async def test_two_claims_of_one_token_at_the_same_time_commit_once(app: App) -> None:
    field = app.registry.field("users.avatar")
    upload = await store_only(field, b"one")
    token = app.registry.issue_token(field, upload, 7)

    async def claim_and_commit() -> None:
        async with app.sessions() as session:
            avatar = await claim(app.User.avatar, token, owner=7, session=session)
            session.add(app.User(avatar=avatar))
            await session.commit()

    results = await asyncio.gather(claim_and_commit(), claim_and_commit(), return_exceptions=True)
    assert sorted(type(each).__name__ for each in results) == ["NoneType", "TokenException"]
    assert [each.id for each in await app.named()] == [upload.id]
    await app.check()


async def test_claim_of_direct_upload_leaves_nothing_behind(app: App) -> None:
    upload = await begin_upload(app.registry.field("users.avatar"), owner=7, presigned=False)
    await app.disk.put(upload.path, b"one")
    for end in ("rollback", "commit"):
        async with app.sessions() as session:
            avatar = await claim(app.User.avatar, upload.token, owner=7, session=session)
            session.add(app.User(avatar=avatar))
            await session.flush()
            await getattr(session, end)()
        await app.registry.aclose()
        assert await app.files() == (
            {upload.path} if end == "rollback" else {upload.path, avatar.key}
        )
    async with app.sessions() as session:
        with pytest.raises(TokenException, match="used before"):
            await claim(app.User.avatar, upload.token, owner=7, session=session)
    await app.check()
    assert await app.files() == {avatar.key}


async def test_row_deleted_while_it_is_replaced_leaves_no_file(app: App) -> None:
    await add_user(app)
    async with app.sessions() as one, app.sessions() as other:
        mine, theirs = await one.get(app.User, 1), await other.get(app.User, 1)
        await one.rollback()
        await other.rollback()
        mine.avatar = await store(app.User.avatar, b"two", session=one)
        await other.delete(theirs)
        results = await asyncio.gather(one.commit(), other.commit(), return_exceptions=True)
        lost = (ObjectDeletedError, StaleDataError)
        assert all(each is None or isinstance(each, lost) for each in results)
    await app.check()
    assert await app.files() == set()


async def test_store_into_session_that_ends_meanwhile_deletes_the_file(app: App) -> None:
    async def chunks(session: Any) -> Any:
        yield b"one"
        await session.close()

    async with app.sessions() as session:
        with pytest.raises(StorageException, match="ended while"):
            await store(app.User.avatar, chunks(session), session=session)
    assert await app.files() == set()


async def test_store_of_other_attribute_is_refused(app: App) -> None:
    async with app.sessions() as session:
        with pytest.raises(TypeError, match=r"User\.email"):
            await store(app.User.email, b"one", session=session)


async def test_cancelled_store_or_commit_keeps_rows_and_files_together(app: App) -> None:
    await add_user(app)

    async def replace() -> None:
        async with app.sessions() as session:
            user = await session.get(app.User, 1)
            user.avatar = await store(app.User.avatar, b"two", session=session)
            await session.commit()

    for turns in range(4, 40, 4):
        task = asyncio.create_task(replace())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        gc.collect()  # a connection whose call was cancelled may hold the lock of SQLite until then
        await app.check()
        assert len(await app.files()) == 1
