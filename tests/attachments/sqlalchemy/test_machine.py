"""A state machine of sessions: at no time does a committed row name a file that is not stored."""

from __future__ import annotations

import asyncio
import functools
import shutil
import tempfile
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from sqlalchemy import event, select
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm.exc import ObjectDeletedError, StaleDataError
from sqlalchemy.pool import NullPool

from attachment_app import App
from jtc.storage.attachments.sqlalchemy import AttachmentNotStagedException, duplicate, store

T = TypeVar("T")

ROWS = st.integers(0, 2)
PLACES = st.sampled_from(["avatar", "cover", "photos"])

application = functools.cache(App)


class Sessions(RuleBasedStateMachine):
    """One session after another, with savepoints, on a SQLite file."""

    outbox = "session"

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.mkdtemp()
        self.app = application(self.outbox)
        engine = create_async_engine(
            f"sqlite+aiosqlite:///{self.folder}/app.db", poolclass=NullPool
        )
        event.listen(engine.sync_engine, "connect", fast)
        self.run(self.app.start(engine))
        self.session = self.app.sessions()
        self.savepoints: list[Any] = []
        self.rows: list[Any] = []
        self.seen: list[Any] = []

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    @rule(index=ROWS, place=PLACES)
    def replace(self, index: int, place: str) -> None:
        """Store a file and assign it, also to an attribute that has expired."""
        column = getattr(self.app.User, place)
        new = self.run(store(column, b"x", session=self.session))
        self.seen.append((place, new))
        self.safely(self.assign(self.row(index), place, new))

    @precondition(lambda self: self.seen)
    @rule(index=ROWS, which=st.integers(0, 9))
    def assign_again(self, index: int, which: int) -> None:
        """Assign what was stored before: it may be another row's, or long gone."""
        place, old = self.seen[-1 - which % len(self.seen)]
        self.safely(self.assign(self.row(index), place, old))

    @rule(index=ROWS, other=ROWS, do=st.sampled_from(["clear", "duplicate", "delete"]))
    def change(self, index: int, other: int, do: str) -> None:
        row = self.row(index)
        if do == "clear":
            row.avatar = row.photos = None
        else:
            self.safely(
                self.duplicate(row, self.row(other)) if do == "duplicate" else self.delete(row)
            )

    @rule(do=st.sampled_from(["begin", "release", "roll back"]))
    def savepoint(self, do: str) -> None:
        async def begin() -> None:
            self.savepoints.append(await self.session.begin_nested())

        if do == "begin" and len(self.savepoints) < 2:
            self.safely(begin())
        elif do != "begin" and self.savepoints:
            savepoint = self.savepoints.pop()
            self.safely(savepoint.commit() if do == "release" else savepoint.rollback())
            self.run(self.check())

    @rule(do=st.sampled_from(["flush", "expire", "commit", "roll back", "close"]))
    def transaction(self, do: str) -> None:
        if do == "flush":
            self.safely(self.session.flush())
        elif do == "expire":
            self.session.expire_all()
        elif do == "commit":
            self.safely(self.session.commit())
            self.savepoints.clear()
        else:
            self.run(self.rollback() if do == "roll back" else self.end_session())
        self.run(self.check())

    def row(self, index: int) -> Any:
        """Return one of the rows; a new one where there are fewer."""
        if index >= len(self.rows):
            self.rows.append(self.app.User())
            self.session.add(self.rows[-1])
        return self.rows[min(index, len(self.rows) - 1)]

    async def assign(self, row: Any, place: str, new: Any) -> None:
        if place != "photos":
            setattr(row, place, new)
            return
        before = await self.session.run_sync(lambda _session: row.photos)
        if before.find(new.id) is None:
            row.photos = before.with_added(new, at=0)

    async def duplicate(self, row: Any, other: Any) -> None:
        avatar = await self.session.run_sync(lambda _session: row.avatar)
        if avatar is not None and await self.app.disk.exists(avatar.key):
            other.avatar = await duplicate(avatar, session=self.session)

    async def delete(self, row: Any) -> None:
        self.rows.remove(row)
        if row in self.session.new:
            self.session.expunge(row)
        elif row in self.session:
            await self.session.delete(row)

    async def rollback(self) -> None:
        await self.session.rollback()
        await self.begin_again()

    async def end_session(self) -> None:
        """Close the session without a commit, and let the worker have its turn."""
        await self.session.close()
        await self.app.check()
        self.session = self.app.sessions()
        await self.begin_again()

    async def begin_again(self) -> None:
        self.savepoints.clear()
        self.rows = list(await self.session.scalars(select(self.app.User)))
        await self.session.commit()

    def safely(self, work: Coroutine[Any, Any, Any]) -> None:
        """Do what may be refused, and then begin again."""
        try:
            self.run(work)
        except (AttachmentNotStagedException, StaleDataError, ObjectDeletedError):
            self.run(self.rollback())

    async def check(self) -> None:
        files = await self.app.files()
        assert {each.key for each in await self.app.named()} <= files

    def teardown(self) -> None:
        self.run(self.end_session())
        self.run(self.session.close())
        self.run(self.app.engine.dispose())
        self.runner.close()
        shutil.rmtree(self.folder)


class SessionsWithTriggers(Sessions):
    """The same, where triggers write the outbox."""

    outbox = "trigger"


def fast(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA journal_mode = MEMORY")


@pytest.mark.parametrize("machine", [Sessions, SessionsWithTriggers])
def test_sessions_keep_rows_and_files_together(machine: type[Sessions]) -> None:
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        machine,
        settings=settings(
            max_examples=20,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
