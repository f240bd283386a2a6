"""Alembic: migrations that are generated, upgraded and downgraded."""

from __future__ import annotations

import functools
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect, text

from postgresql import PostgreSQL

MODELS = """
from sqlalchemy import ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker

from jtc.storage.attachments import Attachment, AttachmentList
from jtc.storage.attachments.sqlalchemy import attachment, attachments, connect


class Base(DeclarativeBase):
    pass


secret = "a secret of tests" * 3
registry = connect(Base, sessionmaker(), namespace="app", secret=secret, outbox="trigger")


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    avatar: Mapped[Attachment | None] = attachment("media", "avatars")
    photos: Mapped[AttachmentList] = attachments("media", "photos")
"""

ENVIRONMENT = """
from alembic import context
from sqlalchemy import create_engine

from models import Base

if context.is_offline_mode():
    context.configure(dialect_name="postgresql", target_metadata=Base.metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    with create_engine(context.config.get_main_option("sqlalchemy.url")).connect() as connection:
        context.configure(connection=connection, target_metadata=Base.metadata)
        with context.begin_transaction():
            context.run_migrations()
"""

PROGRAM = """
import sys
from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine

sys.path.insert(0, ".")
config = Config()
config.set_main_option("script_location", "scripts")
config.set_main_option("sqlalchemy.url", sys.argv[1])
command.revision(config, "all", autogenerate=True)
command.upgrade(config, "head", sql=True)
command.upgrade(config, "head")
from models import Base
with create_engine(sys.argv[1]).connect() as connection:
    assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
"""


@functools.cache
def template() -> str:
    import alembic

    folder = Path(alembic.__file__).parent / "templates/generic"
    return (folder / "script.py.mako").read_text()


def test_migration_is_generated_with_types_and_triggers(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path}/app.db"
    if kind == "postgresql":
        server: PostgreSQL = request.getfixturevalue("postgresql")
        url = server.url("psycopg", "migrated")
    (tmp_path / "scripts/versions").mkdir(parents=True)
    (tmp_path / "models.py").write_text(MODELS)
    (tmp_path / "scripts/env.py").write_text(ENVIRONMENT)
    (tmp_path / "scripts/script.py.mako").write_text(template())
    run(tmp_path, PROGRAM, url)
    (migration,) = (tmp_path / "scripts/versions").glob("*.py")
    written = migration.read_text()
    assert "import jtc.storage.attachments.sqlalchemy.migrations\n" in written
    assert "op.create_attachment_triggers('users', 'avatar')" in written
    assert written.index("create_table('users'") < written.index("create_attachment_triggers")
    engine = create_engine(url)
    with engine.begin() as connection:
        value = '{"id": "x", "disk": "media", "directory": "app/avatars"}'
        connection.execute(
            text(f"INSERT INTO users (id, avatar) VALUES (1, '{value}')".replace(":", r"\:"))
        )
        connection.execute(text("DELETE FROM users"))
        columns = "disk, directory, attachment"
        rows = connection.execute(text(f"SELECT {columns} FROM jtc_attachment_outbox")).all()
        assert rows == [("media", "app/avatars/x", "x")]
    downgrade = PROGRAM.partition("command.revision")[0] + 'command.downgrade(config, "base")\n'
    run(tmp_path, downgrade, url)
    assert inspect(engine).get_table_names() == ["alembic_version"]
    engine.dispose()


def run(folder: Path, program: str, url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program), url],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
