"""Kinds of mapped classes and sessions: inheritance, mixins, dataclasses, composite keys, sync."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import (
    Column,
    ForeignKey,
    Integer,
    String,
    Table,
    create_engine,
    event,
    select,
    text,
)
from sqlalchemy.dialects.mysql import dialect as mysql
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    MappedAsDataclass,
    Session,
    mapped_column,
    scoped_session,
    sessionmaker,
)
from sqlalchemy.schema import CreateTable

from jtc.storage import StorageManager
from jtc.storage.attachments import Attachment, AttachmentList, Field, Registry
from jtc.storage.attachments.sqlalchemy import (
    AttachmentNotStagedException,
    attachment,
    attachments,
    connect,
    store,
)
from jtc.storage.attachments.sqlalchemy._homes import home_of_registry
from jtc.storage.attachments.sqlalchemy.column_types import AttachmentType
from jtc.storage.exceptions import StorageConfigException

SECRET = "a secret of tests" * 3


class HasPicture:
    """A mixin: each class has a column, and a field, of its own."""

    picture: Mapped[Attachment | None] = attachment("media", "pictures")


class Schema:
    """Classes that are mapped after `connect`."""

    def __init__(self, storage: StorageManager, sessions: sessionmaker[Session]) -> None:
        class Base(DeclarativeBase):
            pass

        self.Base: Any = Base
        self.registry: Registry = connect(
            Base, sessions, namespace="app", secret=SECRET, storage=storage
        )

        class Animal(HasPicture, Base):
            __tablename__ = "animals"
            id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
            kind: Mapped[str] = mapped_column(String(20))
            __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "animal"}  # noqa: RUF012 - as SQLAlchemy has it

        class Dog(Animal):
            __tablename__ = "dogs"
            id: Mapped[uuid.UUID] = mapped_column(ForeignKey("animals.id"), primary_key=True)
            collar: Mapped[Attachment | None] = attachment("media", "collars", column_name="tag")
            __mapper_args__ = {"polymorphic_identity": "dog"}  # noqa: RUF012 - as SQLAlchemy has it

        class Cat(Animal):
            toys: Mapped[AttachmentList] = attachments("media", "toys")
            __mapper_args__ = {"polymorphic_identity": "cat"}  # noqa: RUF012 - as SQLAlchemy has it

        class Page(HasPicture, Base):
            __tablename__ = "pages"
            book: Mapped[int] = mapped_column(primary_key=True)
            number: Mapped[int] = mapped_column(primary_key=True)
            scans: Mapped[AttachmentList] = attachments("media", "scans", deferred=True)

        self.Animal: Any = Animal
        self.Dog: Any = Dog
        self.Cat: Any = Cat
        self.Page: Any = Page

    async def outbox(self) -> set[str]:
        """Take everything from the outbox; return the ids."""
        records = self.registry.records
        assert records is not None
        return {entry.attachment for entry in await records.take(4e9, 1000, 0)}


storage = StorageManager.isolated({"default": "media", "disks": {"media": {"driver": "memory"}}})
sessions = sessionmaker[Session](expire_on_commit=False)
schema = Schema(storage, sessions)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """Give a sync session on a new file of SQLite."""
    engine = create_engine(f"sqlite:///{tmp_path}/app.db")
    schema.Base.metadata.create_all(engine)
    sessions.configure(bind=engine)
    with sessions() as own:
        yield own
    engine.dispose()


def stored(session: Any, attribute: Any, content: bytes = b"x") -> Attachment:
    return asyncio.run(store(attribute, content, session=session))


def exists(file: Attachment) -> bool:
    return asyncio.run(storage.disk("media").exists(file.key))


def test_sync_session_without_commit_deletes_its_files(session: Session) -> None:
    page = schema.Page(book=1, number=1, picture=stored(session, schema.Page.picture))
    session.add(page)
    session.flush()
    assert exists(page.picture)
    picture = page.picture
    session.rollback()
    assert not exists(picture)


@pytest.mark.usefixtures("session")
def test_scoped_session_is_accepted() -> None:
    scope = scoped_session(sessions)
    picture = stored(scope, schema.Page.picture)
    scope.add(schema.Page(book=1, number=1, picture=picture))
    scope.commit()
    assert exists(picture)
    scope.remove()


def test_composite_key_and_deferred_list_drop_their_files(session: Session) -> None:
    pages = []
    for number in (1, 2):
        scans = [stored(session, schema.Page.scans) for _ in range(2)]
        pages.append(schema.Page(book=1, number=number, scans=scans))
    session.add_all(pages)
    session.commit()
    session.expunge_all()
    gone = {each.id for each in pages[0].scans}
    session.delete(session.get(schema.Page, (1, 1)))
    session.get(schema.Page, (1, 2)).scans = pages[1].scans[:1]
    session.commit()
    assert asyncio.run(schema.outbox()) == gone | {pages[1].scans[1].id}


def test_inheritance_drops_files_of_both_tables(session: Session) -> None:
    dog = schema.Dog(picture=stored(session, schema.Dog.picture))
    dog.collar = stored(session, schema.Dog.collar)
    cat = schema.Cat(toys=[stored(session, schema.Cat.toys)])
    session.add_all([dog, cat])
    session.commit()
    assert set(session.scalars(select(schema.Animal))) == {dog, cat}
    gone = {dog.picture.id, dog.collar.id, cat.toys[0].id}
    session.delete(dog)
    cat.toys = []
    session.commit()
    assert asyncio.run(schema.outbox()) == gone


def test_mixin_gives_each_table_a_field_of_its_own() -> None:
    fields = schema.registry.fields
    assert set(fields) == {
        "animals.picture",
        "animals.toys",
        "dogs.tag",
        "pages.picture",
        "pages.scans",
    }
    assert fields["animals.picture"] is not fields["pages.picture"]


def test_file_of_the_other_class_of_a_mixin_is_refused(session: Session) -> None:
    picture = stored(session, schema.Dog.picture)
    session.add(schema.Page(book=1, number=1, picture=picture))
    with pytest.raises(AttachmentNotStagedException, match=r"stored for 'animals\.picture'"):
        session.flush()


def test_merged_object_keeps_its_own_file_and_no_other(session: Session) -> None:
    page = schema.Page(book=1, number=1, picture=stored(session, schema.Page.picture))
    session.add(page)
    session.commit()
    session.expunge_all()
    session.merge(page)
    session.commit()
    session.merge(schema.Page(book=2, number=1, picture=page.picture))
    with pytest.raises(AttachmentNotStagedException):
        session.flush()


def test_row_that_is_deleted_and_added_again_in_one_flush(session: Session) -> None:
    """SQLAlchemy makes one UPDATE of the two."""
    first = schema.Page(book=1, number=1, picture=stored(session, schema.Page.picture))
    session.add(first)
    session.commit()
    session.delete(first)
    second = schema.Page(book=1, number=1, picture=stored(session, schema.Page.picture))
    session.add(second)
    session.commit()
    assert asyncio.run(schema.outbox()) == {first.picture.id}
    assert exists(second.picture)


def test_key_that_changes_keeps_the_file(session: Session) -> None:
    page = schema.Page(book=1, number=1, picture=stored(session, schema.Page.picture))
    session.add(page)
    session.commit()
    page.number = 7
    page.picture = page.picture.with_properties(alt="x")
    session.commit()
    assert asyncio.run(schema.outbox()) == set()
    page.picture = None
    page.number = 8
    session.commit()
    assert len(asyncio.run(schema.outbox())) == 1


def test_dataclasses_have_defaults() -> None:
    class Base(MappedAsDataclass, DeclarativeBase):
        pass

    class Item(Base):
        __tablename__ = "items"
        id: Mapped[int] = mapped_column(primary_key=True, init=False)
        picture: Mapped[Attachment | None] = attachment("media", "pictures")
        photos: Mapped[AttachmentList] = attachments("media", "photos")

    item = Item()
    assert item.picture is None
    assert list(item.photos) == []
    with pytest.raises(TypeError, match=r"store\(\)"):
        Item(picture={"id": "x"})  # type: ignore[arg-type]


def test_table_without_class_is_registered_too() -> None:
    class Base(DeclarativeBase):
        pass

    kind = AttachmentType(Field("media", "plain"))
    key = Column("id", Integer, primary_key=True)
    Table("plain", Base.metadata, key, Column("file", kind))
    registry = connect(Base, sessions, namespace="app", secret=SECRET, storage=storage)
    assert list(registry.fields) == ["plain.file"]


def test_table_without_primary_key_is_refused() -> None:
    class Base(DeclarativeBase):
        pass

    Table("plain", Base.metadata, Column("file", AttachmentType(Field("media", "plain"))))
    with pytest.raises(StorageConfigException, match="'plain' has no primary key"):
        connect(Base, sessions, namespace="app", secret=SECRET, storage=storage)


def test_outbox_of_unknown_kind_is_refused() -> None:
    with pytest.raises(StorageConfigException, match="'triggers'"):
        connect(
            DeclarativeBase,
            sessions,
            namespace="app",
            secret=SECRET,
            outbox="triggers",  # type: ignore[arg-type]
        )


def test_cascade_of_the_database_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    class Base(DeclarativeBase):
        pass

    with caplog.at_level(logging.WARNING):
        connect(Base, sessions, namespace="app", secret=SECRET, storage=storage)

        class Owner(Base):
            __tablename__ = "owners"
            id: Mapped[int] = mapped_column(primary_key=True)

        class Thing(HasPicture, Base):
            __tablename__ = "things"
            id: Mapped[int] = mapped_column(
                ForeignKey("owners.id", ondelete="CASCADE"), primary_key=True
            )

    assert "'things' with their 'owners' (ON DELETE CASCADE)" in caplog.text


def test_maintenance_refuses_to_work_without_all_classes(session: Session) -> None:
    session.add(schema.Page(book=1, number=1, picture=stored(session, schema.Page.picture)))
    session.commit()

    class Base(DeclarativeBase):
        pass

    registry = connect(Base, sessions, namespace="app", secret=SECRET, storage=storage)
    assert registry.records is not None
    with pytest.raises(StorageConfigException, match=r"'pages\.picture', which this process"):
        asyncio.run(registry.records.referenced(["x"]))
    assert schema.registry.records is not None
    assert list(asyncio.run(schema.registry.records.referenced(["x"]))) == []


def test_field_in_use_is_written_down_once(session: Session) -> None:
    home_of_registry(schema.registry).known_fields.clear()
    session.add(schema.Page(book=1, number=1, picture=stored(session, schema.Page.picture)))
    session.flush()
    session.rollback()
    session.add(schema.Page(book=1, number=1, picture=stored(session, schema.Page.picture)))
    session.commit()
    names = select(home_of_registry(schema.registry).tables.fields.c.name)
    assert session.scalars(names).all() == ["pages.picture"]


def test_file_is_kept_from_the_commit_on(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    page = schema.Page(book=1, number=1, picture=stored(session, schema.Page.picture))
    session.add(page)
    session.commit()
    page.picture = None
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: 1000.0)
        session.flush()
    before = time.time()
    session.commit()
    records = schema.registry.records
    assert records is not None
    (entry,) = asyncio.run(records.take(4e9, 10, 0))
    assert entry.dropped_at >= before


def test_flush_of_many_rows_takes_few_statements(session: Session) -> None:
    pages = [schema.Page(book=1, number=number) for number in range(100)]
    for page in pages:
        page.picture = stored(session, schema.Page.picture)
    session.add_all(pages)
    session.commit()
    session.expunge_all()
    pages = list(session.scalars(select(schema.Page)))
    statements: list[str] = []
    engine = session.get_bind()
    event.listen(engine, "before_cursor_execute", lambda *each: statements.append(each[2]))
    for page in pages[:50]:
        session.delete(page)
    for page in pages[50:]:
        page.picture = None
    session.commit()
    assert len(statements) <= 6, statements
    assert len(asyncio.run(schema.outbox())) == 100


def test_tables_are_made_on_mysql_too() -> None:
    for table in schema.Base.metadata.sorted_tables:
        assert str(CreateTable(table).compile(dialect=mysql()))


def test_json_of_a_row_can_be_queried(session: Session) -> None:
    page = schema.Page(book=1, number=1, picture=stored(session, schema.Page.picture))
    session.add(page)
    session.add(schema.Page(book=1, number=2))
    session.commit()
    found = session.scalars(
        select(schema.Page).where(schema.Page.picture["type"].as_string() == "text/plain")
    )
    assert list(found) == [page]
    assert session.scalar(select(schema.Page.number).where(schema.Page.picture.is_(None))) == 2
    assert session.execute(text("SELECT scans FROM pages")).scalars().all() == ["[]", "[]"]
