"""Columns of attachments: their types, and mistakes that mypy and pyright must find."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_type

from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from jtc.storage.attachments import Attachment, AttachmentList
from jtc.storage.attachments.sqlalchemy import attachment, attachments, claim, duplicate, store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session


class Base(DeclarativeBase):
    """The tables."""


class User(Base):
    """A user."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None]
    avatar: Mapped[Attachment | None] = attachment("media", "avatars", max_size="5MB")
    passport: Mapped[Attachment] = attachment("media", "passports")
    photos: Mapped[AttachmentList] = attachments("media", "photos", keep_latest=20)
    files: Mapped[Sequence[Attachment]] = attachments("media", "files")
    wrong: Mapped[int] = attachment("media", "wrong")  # type: ignore[assignment]  # pyright: ignore[reportUnknownVariableType]
    shouted: Mapped[Attachment | None] = attachment("media", "shouted", max_siez=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue, reportUnknownVariableType]


async def uses(session: AsyncSession, me: User, token: str) -> None:
    """Use columns as they are meant."""
    me.avatar = await store(User.avatar, b"a", session=session, name="a.txt")
    me.passport = await store(User.passport, b"a", session=session)
    me.photos = me.photos.with_added(await store(User.photos, b"a", session=session))
    me.files = [await store(User.files, b"a", session=session)]
    me.avatar = await claim(User.avatar, token, owner=me.id, session=session)
    me.avatar = await duplicate(me.passport, session=session, to=User.avatar)
    assert_type(me.photos, AttachmentList)


async def sessions(one: Session, other: async_scoped_session[AsyncSession]) -> None:
    """Use other kinds of sessions."""
    await store(User.avatar, b"a", session=one)
    await store(User.avatar, b"a", session=other)


async def mistakes(session: AsyncSession, me: User) -> None:
    """Use what is not a column of attachments."""
    await store(User.id, b"a", session=session)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await store(User.name, b"a", session=session)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await store(me.avatar, b"a", session=session)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await store(User.avatar, b"a")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await claim(User.id, "t", owner=1, session=session)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await duplicate(me.avatar, session=session)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    me.photos.append(me.passport)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    me.avatar = {"id": "x"}  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
