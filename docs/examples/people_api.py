"""People with pictures: an API whose rows have attachments, and a list of thumbnails.

Run it with `uvicorn people_api:app` in this folder, where `jtc-storage[attachments,local]`,
`fastapi`, `python-multipart`, `aiosqlite` and `uvicorn` are installed. `DATABASE_URL` names another
database (``postgresql+asyncpg://…``), `FILESYSTEM_DISK` another disk.
"""

import asyncio
import contextlib
import html
import os
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, FastAPI, Form, HTTPException, UploadFile
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, ConfigDict
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from jtc.storage import Storage, StorageException, images
from jtc.storage.asgi import storage_problem
from jtc.storage.attachments import Attachment, AttachmentList
from jtc.storage.attachments.asgi import route
from jtc.storage.attachments.sqlalchemy import attachment, attachments, claim, connect, hold, store
from jtc.storage.attachments.worker import work

DISK = os.environ.get("FILESYSTEM_DISK", "local")
engine = create_async_engine(os.environ.get("DATABASE_URL", "sqlite+aiosqlite:///people.db"))
sessions = async_sessionmaker(engine, expire_on_commit=False)


class Base(DeclarativeBase):
    """The base of the mapped classes."""


class Person(Base):
    """A person, an avatar and up to 20 photos."""

    __tablename__ = "people"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    avatar: Mapped[Attachment | None] = attachment(
        DISK,
        "avatars",
        max_size="5MB",
        types=images.WEB,
        variants={"thumb": images.cover(200, 200), "card": images.fit(800, 600)},
        eager=["thumb"],
        default_url="/no-avatar.svg",
    )
    photos: Mapped[AttachmentList] = attachments(
        DISK, "photos", types=images.WEB, variants={"thumb": images.cover(200, 200)}, keep_latest=20
    )


# Generate a secret by `python -c 'import secrets; print(secrets.token_urlsafe(48))'`.
registry = connect(
    Base, sessions, namespace="people", secret=os.environ.get("ATTACHMENTS_SECRET", "x" * 32)
)


@contextlib.asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Make the tables, delete the files of dropped rows every minute, and close all at the end."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with Storage:
        await registry.check()
        stop = asyncio.Event()
        worker = asyncio.create_task(work(registry, stop=stop))
        yield
        stop.set()
        await worker
        await registry.aclose()
    await engine.dispose()


app = FastAPI(lifespan=lifespan)
app.add_exception_handler(StorageException, storage_problem)
app.mount("/attachments", route(registry))


async def new_session() -> AsyncIterator[AsyncSession]:
    """Give a request its session."""
    async with sessions() as session:
        yield session


Session = Annotated[AsyncSession, Depends(new_session)]


class Out(BaseModel):
    """A person as clients see one: attachments by their URLs, without keys or disks."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    name: str
    avatar: Attachment | None
    photos: AttachmentList


async def find(session: AsyncSession, number: int) -> Person:
    """Return a person, or answer 404."""
    person = await session.get(Person, number)
    if person is None:
        raise HTTPException(404)
    return person


@app.post("/people", status_code=201, response_model=Out)
async def create(
    session: Session, name: Annotated[str, Form()], avatar: UploadFile | None = None
) -> Person:
    """Create a person: the row and its file, or neither."""
    person = Person(name=name)
    if avatar is not None:
        person.avatar = await store(Person.avatar, avatar, session=session)
    session.add(person)
    await session.commit()
    return person


@app.put("/people/{number}/avatar", response_model=Out)
async def replace_avatar(session: Session, number: int, avatar: UploadFile) -> Person:
    """Replace an avatar: the former file is deleted a day after the commit."""
    person = await find(session, number)
    person.avatar = await store(Person.avatar, avatar, session=session)
    await session.commit()
    return person


@app.delete("/people/{number}/avatar", response_model=Out)
async def remove_avatar(session: Session, number: int) -> Person:
    """Remove an avatar."""
    person = await find(session, number)
    person.avatar = None
    await session.commit()
    return person


@app.post("/people/{number}/photos", response_model=Out)
async def add_photos(session: Session, number: int, photos: list[UploadFile]) -> Person:
    """Add photos: all of them, or none."""
    person = await find(session, number)
    added = [await store(Person.photos, photo, session=session) for photo in photos]
    person.photos = person.photos.with_added(*added)
    await session.commit()
    return person


@app.delete("/people/{number}", status_code=204)
async def delete(session: Session, number: int) -> None:
    """Delete a person; the files follow a day after the commit."""
    await session.delete(await find(session, number))
    await session.commit()


@app.post("/forms/avatar")
async def hold_avatar(avatar: UploadFile, visitor: Annotated[str, Form()]) -> dict[str, str]:
    """Store the file of a form that is not complete yet, and return a token for it.

    An application knows the visitor by its own session, not by what a form says.
    """
    held = await hold(Person.avatar, avatar, owner=visitor)
    return {"token": held.token, "preview": held.attachment.url("thumb")}


@app.post("/forms/people", status_code=201, response_model=Out)
async def create_by_form(
    session: Session,
    name: Annotated[str, Form()],
    visitor: Annotated[str, Form()],
    token: Annotated[str, Form()],
) -> Person:
    """Create a person from a form whose file came before."""
    avatar = await claim(Person.avatar, token, owner=visitor, session=session)
    person = Person(name=name, avatar=avatar)
    session.add(person)
    await session.commit()
    return person


@app.get("/admin", response_class=HTMLResponse)
async def admin(session: Session) -> str:
    """List 200 people with their thumbnails: one query, and no call of the storage."""
    people = await session.scalars(select(Person).order_by(Person.id).limit(200))
    field = registry.field("people.avatar")
    rows = "".join(
        f'<li><img src="{html.escape(field.url_of(person.avatar, "thumb") or "")}" width=200 '
        f'height=200 loading=lazy alt="">{html.escape(person.name)}</li>'
        for person in people
    )
    return f"<!doctype html><title>People</title><ul>{rows}</ul>"
