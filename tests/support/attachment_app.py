"""An application whose rows have attachments, on SQLite or PostgreSQL, with a disk in memory."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import Connection, ForeignKey, String, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from jtc.storage import Disk, StorageManager
from jtc.storage.attachments import Attachment, AttachmentList, Registry
from jtc.storage.attachments.sqlalchemy import attachment, attachments, connect, create_triggers
from jtc.storage.attachments.worker import run_outbox

__all__ = ["App"]


class App:
    """An application: its classes, its sessions, its disk.

    Args:
        outbox: What writes the outbox.
    """

    def __init__(self, outbox: Any) -> None:
        class Base(DeclarativeBase):
            pass

        self.Base = Base
        self.outbox_kind = outbox
        self._made: set[object] = set()
        self.storage = StorageManager()
        self.sessions = async_sessionmaker[AsyncSession](expire_on_commit=False)
        self.registry: Registry = connect(
            Base,
            self.sessions,
            namespace="app",
            secret="a secret of tests" * 3,
            storage=self.storage,
            outbox=outbox,
        )

        class User(Base):
            __tablename__ = "users"
            id: Mapped[int] = mapped_column(primary_key=True)
            email: Mapped[str | None] = mapped_column(String(80), unique=True)
            avatar: Mapped[Attachment | None] = attachment("media", "avatars")
            cover: Mapped[Attachment | None] = attachment("media", "covers")
            photos: Mapped[AttachmentList] = attachments("media", "photos", keep_latest=3)
            posts: Mapped[list[Post]] = relationship(
                back_populates="user", cascade="all, delete-orphan"
            )

        class Post(Base):
            __tablename__ = "posts"
            id: Mapped[int] = mapped_column(primary_key=True)
            user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
            picture: Mapped[Attachment | None] = attachment("media", "pictures")
            user: Mapped[User] = relationship(back_populates="posts")

        self.User: Any = User
        self.Post: Any = Post

    async def start(self, engine: AsyncEngine) -> None:
        """Make empty tables and an empty disk."""
        self.storage.configure({"default": "media", "disks": {"media": {"driver": "memory"}}})
        self.sessions.configure(bind=engine)
        self.engine = engine
        self.engine_name = engine.dialect.name
        async with engine.begin() as connection:
            await connection.run_sync(self._make_tables)

    def _make_tables(self, connection: Connection) -> None:
        tables = self.Base.metadata.tables
        if connection.engine.url in self._made:
            connection.execute(text(f"TRUNCATE {', '.join(tables)} RESTART IDENTITY"))
            return
        self.Base.metadata.create_all(connection)
        if self.outbox_kind == "trigger":
            create_triggers(connection, self.registry)
        if connection.dialect.name == "postgresql":
            self._made.add(connection.engine.url)

    @property
    def disk(self) -> Disk:
        """The disk."""
        return self.storage.disk("media")

    async def files(self) -> set[str]:
        """Return the paths of all files."""
        listed = {entry.path async for entry in self.disk.list(recursive=True)}
        return listed - {"app/.owner"}

    async def named(self) -> list[Attachment]:
        """Return what rows name."""
        records = self.registry.records
        assert records is not None
        fields = self.registry.fields.values()
        return [each for field in fields async for each in records.attachments(field)]

    async def remake_triggers(self) -> None:
        """Make the triggers again that a test has dropped."""
        async with self.engine.begin() as connection:
            await connection.run_sync(create_triggers, self.registry)

    async def outbox(self) -> set[str]:
        """Return the ids in the outbox."""
        return set(await self.outbox_list())

    async def outbox_list(self) -> list[str]:
        """Return the ids in the outbox, each as many times as it is there."""
        records = self.registry.records
        assert records is not None
        taken = await records.take(time.time() + 60, 1000, 0)
        return sorted(entry.attachment for entry in taken)

    async def work(self) -> None:
        """Wait for what goes on in the background, and run the worker."""
        await self.registry.aclose()
        keep, self.registry.keep = self.registry.keep, 0
        done = await run_outbox(self.registry)
        self.registry.keep = keep
        assert not done.failed
        assert not done.refused

    async def check(self) -> None:
        """Check that rows have their files; and after the worker's turn, that files have rows."""
        await self.registry.aclose()
        files = await self.files()
        named = {each.key for each in await self.named()}
        assert named <= files, "a row names a file that is not stored"
        await self.work()
        assert await self.files() == named
