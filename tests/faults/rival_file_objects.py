"""The run of `test_killed_transactions.py` with advanced-alchemy's FileObject: `make rivals`."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import sqlite3
import sys
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from advanced_alchemy.config import SQLAlchemyAsyncConfig
from advanced_alchemy.types import FileObject, StoredObject
from advanced_alchemy.types.file_object import storages
from advanced_alchemy.types.file_object.backends.obstore import ObstoreBackend
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.pool import NullPool

from killed_workers import Action, KilledWorkers, serve

ROUNDS = 500


class Base(DeclarativeBase):
    """The base of the mapped classes."""


class Item(Base):
    """A row with a file."""

    __tablename__ = "items"
    id: Mapped[int] = mapped_column(primary_key=True)
    file: Mapped[FileObject | None] = mapped_column(StoredObject(backend="media"))


def config(root: Path) -> SQLAlchemyAsyncConfig:
    """Return the configuration of the application, with the listener that stores files."""
    if not storages.is_registered("media"):
        storages.register_backend(ObstoreBackend(key="media", fs=f"file://{root}/media"))
    return SQLAlchemyAsyncConfig(
        connection_string=f"sqlite+aiosqlite:///{root}/rows.sqlite",
        engine_config=_engine_config(),
        enable_file_object_listener=True,
    )


def _engine_config() -> Any:
    from advanced_alchemy.config import EngineConfig

    return EngineConfig(poolclass=NullPool)


def new_file(chance: random.Random) -> FileObject:
    """Return a file that is stored after the commit."""
    return FileObject(
        backend="media", filename=f"{uuid4().hex}.bin", content=chance.randbytes(2000)
    )


async def begin(root: Path) -> Mapping[str, tuple[Action, float]]:
    """Return what a worker does, once it is ready."""
    sessions = config(root).create_session_maker()

    async def any_item(session: AsyncSession) -> Any:
        return await session.scalar(select(Item).order_by(func.random()).limit(1))

    async def create(chance: random.Random) -> None:
        async with sessions() as session:
            session.add(Item(file=new_file(chance)))
            await session.commit()

    async def replace(chance: random.Random) -> None:
        async with sessions() as session:
            if (item := await any_item(session)) is not None:
                item.file = new_file(chance)
                await session.commit()

    async def delete(_chance: random.Random) -> None:
        async with sessions() as session:
            if (item := await any_item(session)) is not None:
                await session.delete(item)
                await session.commit()

    async def undo(chance: random.Random) -> None:
        async with sessions() as session:
            item = await any_item(session) or Item()
            item.file = new_file(chance)
            session.add(item)
            await session.flush()
            if chance.random() < 0.5:
                await session.rollback()

    async with sessions() as session:
        await any_item(session)
    return {
        "created": (create, 0.35),
        "replaced": (replace, 0.25),
        "deleted": (delete, 0.12),
        "rolled-back": (undo, 0.18),
    }


def counts(root: Path) -> tuple[int, int, int]:
    """Return the number of rows, of those without a file, and of files without a row."""
    with sqlite3.connect(root / "rows.sqlite") as connection:
        rows = connection.execute("SELECT file FROM items").fetchall()
    named = {json.loads(row[0])["filename"] for row in rows if row[0] is not None}
    stored = {each.name for each in (root / "media").iterdir()}
    return len(rows), len(named - stored), len(stored - named)


async def make_tables(root: Path) -> None:
    """Make the tables."""
    async with config(root).get_engine().begin() as connection:
        await connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        await connection.run_sync(Base.metadata.create_all)


def main() -> None:
    """Run it, and print the counts."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "media").mkdir()
        asyncio.run(make_tables(root))
        with KilledWorkers(Path(__file__), root, seed=18) as workers:
            for _ in range(ROUNDS):
                workers.kill_two()
        rows, dangling, orphans = counts(root)
        sys.stdout.write(
            f"advanced-alchemy's FileObject: {workers.kills} kills ({workers.done()} before): "
            f"{dangling} of {rows} committed rows without their files, {orphans} files without a "
            "row\n"
        )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        logging.disable()
        where = Path(sys.argv[1])
        serve(where, int(sys.argv[2]), partial(begin, where), OperationalError)
    else:
        main()
