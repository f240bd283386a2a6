"""A driver for jtc-storage that keeps files in an SQLite database, and imports nothing of it."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["AcmeDriver"]


class AcmeDriver:
    """Keep files as rows of a table.

    Args:
        database: The SQLite file.
        timeout: Seconds to wait for another process's write.
    """

    def __init__(self, *, database: str = ":memory:", timeout: float = 5.0) -> None:
        self._database = database
        # Used from worker threads, one at a time under the lock.
        self._connection = sqlite3.connect(database, timeout=timeout, check_same_thread=False)
        self._lock = threading.Lock()
        weakref.finalize(self, self._connection.close)
        self._run(
            "CREATE TABLE IF NOT EXISTS files (path TEXT PRIMARY KEY, content BLOB, written REAL)"
        )

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> AcmeDriver:
        """Open the database that the environment names."""
        return cls(database=environ.get("ACME_DATABASE", ":memory:"))

    async def put(self, path: str, content: bytes | str | BinaryIO, /) -> str:
        """Store a file whole; return its path."""
        await asyncio.to_thread(self._put, path, content)
        return path

    async def get(self, path: str, /) -> bytes:
        """Return a file's content."""
        content: bytes = await self._column("content", path)
        return content

    async def exists(self, path: str, /) -> bool:
        """Return whether there is a file."""
        return bool(await asyncio.to_thread(self._run, "SELECT 1 FROM files WHERE path = ?", path))

    async def delete(self, path: str, /) -> bool:
        """Delete a file; return False if there was none."""
        statement = "DELETE FROM files WHERE path = ? RETURNING path"
        return bool(await asyncio.to_thread(self._run, statement, path))

    async def size(self, path: str, /) -> int:
        """Return a file's length in bytes."""
        size: int = await self._column("length(content)", path)
        return size

    async def last_modified(self, path: str, /) -> float:
        """Return when a file was written, in seconds since 1970 UTC."""
        written: float = await self._column("written", path)
        return written

    def url(self, path: str, /) -> str:
        """Return a URL."""
        return f"acme:///{quote(path)}"

    def path(self, path: str, /) -> str:
        """Return the database and the row."""
        return f"{self._database}#{path}"

    def _put(self, path: str, content: bytes | str | BinaryIO) -> None:
        if isinstance(content, str):
            content = content.encode()
        data = content if isinstance(content, bytes) else content.read()
        self._run("REPLACE INTO files VALUES (?, ?, ?)", path, data, time.time())

    async def _column(self, column: str, path: str) -> Any:
        statement = f"SELECT {column} FROM files WHERE path = ?"  # one of three names, see above
        rows = await asyncio.to_thread(self._run, statement, path)
        if not rows:
            raise FileNotFoundError(path)
        return rows[0][0]

    def _run(self, statement: str, *values: object) -> list[Any]:
        with self._lock, self._connection:
            return self._connection.execute(statement, values).fetchall()
