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


def url(name: str, folder: Path, request: pytest.FixtureRequest) -> str:
    if name == "sqlite":
        return f"sqlite+aiosqlite:///{folder}/app.db"
    server: PostgreSQL = request.getfixturevalue("postgresql")
    return server.url("asyncpg", "in_session")


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return url(request.param, tmp_path, request)


@pytest.fixture
async def app(database: str) -> AsyncIterator[App]:
    engine = create_async_engine(database, poolclass=NullPool)
    application = _application("session")
    await application.start(engine)
    yield application
    await application.registry.aclose()
    await engine.dispose()
