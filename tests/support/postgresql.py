"""A private PostgreSQL server of Debian's programs, on a socket in a directory of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Self

__all__ = ["BINARIES", "PostgreSQL"]


def _binaries() -> Path | None:
    newest = max(
        Path("/usr/lib/postgresql").glob("*/bin/postgres"),
        key=lambda path: float(path.parts[-3]),
        default=shutil.which("postgres"),
    )
    return None if newest is None else Path(newest).parent


BINARIES = _binaries()
"""The directory of initdb and postgres, or None."""

_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "16MB",
    "max_connections": "60",
    "autovacuum": "off",
    "deadlock_timeout": "200ms",
}


class PostgreSQL:
    """A server that runs while the object is a context, as a user that is not root."""

    def __init__(self) -> None:
        assert BINARIES is not None
        self._binaries = BINARIES
        self._folder = Path(tempfile.mkdtemp(prefix="jtc-postgresql-"))
        self._user: dict[str, Any] = {}
        if os.geteuid() == 0:
            accounts = {entry.pw_name: entry for entry in pwd.getpwall()}
            account = accounts.get("postgres") or pwd.getpwuid(65534)
            self._user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
            os.chown(self._folder, account.pw_uid, account.pw_gid)
        self._databases = {"postgres"}
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, driver: str, database: str = "postgres") -> str:
        """Return the URL of a database, which is created if there is none, for ``asyncpg``, …."""
        if database not in self._databases:
            createdb = [self._binaries / "createdb", "-h", self._folder, "-U", "tester"]
            self._run([*createdb, "--maintenance-db=postgres", database])
            self._databases.add(database)
        return f"postgresql+{driver}://tester@/{database}?host={self._folder}"

    def __enter__(self) -> Self:
        data = self._folder / "data"
        initdb = [self._binaries / "initdb", "-D", data, "-U", "tester", "-A", "trust"]
        self._run([*initdb, "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"])
        settings = [f"--{name}={value}" for name, value in _SETTINGS.items()]
        log = (self._folder / "log").open("wb")
        with log:
            self._process = subprocess.Popen(
                [self._binaries / "postgres", "-D", data, "-k", self._folder, "-h", "", *settings],
                stdout=log,
                stderr=log,
                cwd="/",
                **self._user,
            )
        deadline = time.monotonic() + 30
        ready = [self._binaries / "pg_isready", "-q", "-h", self._folder]
        while subprocess.run(ready, check=False, cwd="/").returncode:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self._folder / "log").read_text())
            time.sleep(0.02)
        return self

    def __exit__(self, *_exc_info: object) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)  # without a last write of its files
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, command: list[Any]) -> None:
        done = subprocess.run(command, capture_output=True, check=False, cwd="/", **self._user)
        if done.returncode:
            raise RuntimeError(done.stdout.decode() + done.stderr.decode())
