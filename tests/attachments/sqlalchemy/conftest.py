"""Fixtures: an application with attachments, on SQLite and on PostgreSQL."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from attachment_app import App
from postgresql import BINARIES, PostgreSQL


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """Run a PostgreSQL server, started at first use."""
    if BINARIES is None:
        pytest.skip("PostgreSQL is not installed: make tools")
    with PostgreSQL() as server:
        yield server


_application = functools.cache(App)


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    """Name the kind of database."""
    name: str = request.param
    return name


async def running(
    outbox: str, kind: str, folder: Path, request: pytest.FixtureRequest
) -> AsyncIterator[App]:
    if kind == "sqlite":
        url = f"sqlite+aiosqlite:///{folder}/app.db"
    else:
        server: PostgreSQL = request.getfixturevalue("postgresql")
        url = server.url("asyncpg", f"by_{outbox}")
    engine = create_async_engine(url, poolclass=NullPool)
    app = _application(outbox)
    await app.start(engine)
    yield app
    await app.registry.aclose()
    await engine.dispose()


@pytest.fixture
async def app(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[App]:
    """Give an application whose sessions write the outbox."""
    async for each in running("session", kind, tmp_path, request):
        yield each


@pytest.fixture
async def triggered(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[App]:
    """Give an application whose database writes the outbox."""
    async for each in running("trigger", kind, tmp_path, request):
        yield each
