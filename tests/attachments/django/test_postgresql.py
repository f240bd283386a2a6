"""The tests of this directory that need a database, on PostgreSQL."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from django_project import POSTGRESQL
from postgresql import BINARIES, PostgreSQL

HERE = Path(__file__).parent
# Of the others the database is no part.
CHOSEN = (
    "test_records or test_triggers or rollback or rolled or threads or outdated or delete or "
    "replaces or meanwhile or claim_is or child or commit or queries"
)
TESTS = ("test_saving.py", "test_records.py", "test_triggers.py")


@pytest.mark.skipif(BINARIES is None, reason="PostgreSQL is missing: make tools")
def test_models_work_alike_on_postgresql() -> None:
    with PostgreSQL() as server:
        command = [sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider"]
        done = subprocess.run(
            [*command, *(str(HERE / test) for test in TESTS), "-k", CHOSEN],
            env=os.environ | {POSTGRESQL: server.url("psycopg").rpartition("=")[2]},
            cwd=HERE.parents[2],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 0, done.stdout[-4000:]
    assert " passed" in done.stdout
