"""An application with attachments whose workers are killed at any moment."""

from __future__ import annotations

import random
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import aiosqlite  # noqa: F401 - what the workers need is imported before they are forked
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.pool import NullPool

from jtc.storage import StorageManager
from jtc.storage.attachments import Attachment, Registry
from jtc.storage.attachments.derivations import derive
from jtc.storage.attachments.sqlalchemy import attachment, connect, store
from jtc.storage.attachments.worker import run_outbox
from jtc.storage.drivers import LocalDriver  # noqa: F401
from killed_workers import Action, serve

__all__ = ["KEEP", "SCRIPT", "application", "start"]

SCRIPT = Path(__file__)

KEEP = 0.3
"""Seconds for which dropped files are kept."""


class Base(DeclarativeBase):
    """The base of the mapped classes."""


class Item(Base):
    """A row with a file."""

    __tablename__ = "items"
    id: Mapped[int] = mapped_column(primary_key=True)
    file: Mapped[Attachment | None] = attachment(
        "media",
        "items",
        variants={
            "back": derive(
                lambda content: content[::-1],
                version=1,
                content_type="text/plain",
                extension=".txt",
                takes="bytes",
            )
        },
        eager=["back"],
    )


_storage = StorageManager.isolated()
_sessions = async_sessionmaker[AsyncSession](expire_on_commit=False)
_registry = connect(
    Base, _sessions, namespace="app", secret="attachments-" * 4, storage=_storage, keep=KEEP
)


def application(root: Path) -> Registry:
    """Return the registry of an application whose data are below a root."""
    disks = {"media": {"driver": "local", "root": str(root / "media")}}
    _storage.configure({"default": "media", "disks": disks})
    _sessions.configure(
        bind=create_async_engine(f"sqlite+aiosqlite:///{root}/rows.sqlite", poolclass=NullPool)
    )
    return _registry


async def start(root: Path) -> Registry:
    """Make the tables of an application."""
    registry = application(root)
    engine = create_async_engine(f"sqlite+aiosqlite:///{root}/rows.sqlite", poolclass=NullPool)
    async with engine.begin() as connection:
        await connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        await connection.run_sync(Base.metadata.create_all)
    await engine.dispose()
    return registry


async def _begin(root: Path) -> Mapping[str, tuple[Action, float]]:
    registry = application(root)
    await registry.disk("media").exists("warm")
    async with _sessions() as session:
        await _any_item(session)

    async def work(_chance: random.Random) -> None:
        await run_outbox(registry, lease=0.2)

    return {
        "created": (_create, 0.35),
        "replaced": (_replace, 0.25),
        "deleted": (_delete, 0.12),
        "rolled-back": (_undo, 0.18),
        "cleaned": (work, 0.1),
    }


async def _create(chance: random.Random) -> None:
    async with _sessions() as session:
        item = Item(file=await store(Item.file, chance.randbytes(2000), session=session))
        session.add(item)
        await session.commit()


async def _any_item(session: AsyncSession) -> Any:
    return await session.scalar(select(Item).order_by(func.random()).limit(1))


async def _replace(chance: random.Random) -> None:
    async with _sessions() as session:
        if (item := await _any_item(session)) is not None:
            item.file = await store(Item.file, chance.randbytes(2000), session=session)
            await session.commit()


async def _delete(_chance: random.Random) -> None:
    async with _sessions() as session:
        if (item := await _any_item(session)) is not None:
            await session.delete(item)
            await session.commit()


async def _undo(chance: random.Random) -> None:
    async with _sessions() as session:
        item = await _any_item(session) or Item()
        item.file = await store(Item.file, chance.randbytes(2000), session=session)
        session.add(item)
        await session.flush()
        if chance.random() < 0.5:
            await session.rollback()


if __name__ == "__main__":
    _root = Path(sys.argv[1])
    serve(_root, int(sys.argv[2]), partial(_begin, _root), OperationalError)
