"""The commands of maintenance."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from attachment_database import HOUR, Database
from jtc.storage.attachments.__main__ import main
from jtc.storage.attachments.worker import run_outbox

APP = """
import sys
sys.path[:0] = {paths!r}
from pathlib import Path
from attachment_database import Database
database = Database(Path({root!r}))
registry = database.registry
def made():
    return registry
async def awaited():
    return registry
number = 7
"""


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    """Return a database that the application `shop` has, in the working directory."""
    support = Path(__file__).parents[1] / "support"
    text = APP.format(paths=[str(support)], root=str(tmp_path / "data"))
    (tmp_path / "shop.py").write_text(textwrap.dedent(text))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "shop", raising=False)
    return Database(tmp_path / "data")


def run(*arguments: str) -> int:
    return main(["--app", "shop:registry", *arguments])


def printed(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


async def in_thread(*arguments: str) -> int:
    """Run a command while the test's own loop runs."""
    return await asyncio.to_thread(run, *arguments)


async def test_purge_command_counts_then_deletes(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    old = [await database.stored() for _ in range(3)]
    database.make_old(*old)
    assert await in_thread("--json", "purge", "--dry-run") == 0
    assert printed(capsys)["found"] == 3
    assert await in_thread("purge", "--max-delete", "2") == 1
    assert "max-delete" in capsys.readouterr().err
    assert await in_thread("purge", "--max-delete=-1") == 0
    assert "deleted: 3\n" in capsys.readouterr().out
    assert not any(database.has(each) for each in old)


async def test_purge_command_reports_what_is_not_ours(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    await database.registry.disk("media").put("app/notes.txt", b"")
    assert await in_thread("purge") == 1
    assert "unknown: app/notes.txt\n" in capsys.readouterr().out


async def test_verify_command_prints_a_line_for_each_dangling_row(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    attachment = await database.saved(1)
    await database.saved(2)
    assert await in_thread("verify") == 0
    await database.registry.disk("media").delete(attachment.key)
    assert await in_thread("verify") == 1
    assert f"users.avatar: media: {attachment.key}\n" in capsys.readouterr().out
    assert await in_thread("--json", "verify", "--field", "users.avatar") == 1
    assert printed(capsys)["missing"] == [attachment.key]
    assert await in_thread("verify", "--field", "albums.photos") == 0


async def test_adopt_command_takes_over_what_purge_refuses(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    await run_outbox(Database(database.root, file="theirs.sqlite").registry)
    assert await in_thread("purge") == 1
    assert "adopt" in capsys.readouterr().err
    assert await in_thread("work", "--once") == 1
    assert await in_thread("adopt", "--disk", "medai") == 2
    assert "did you mean 'media'" in capsys.readouterr().err
    assert await in_thread("adopt") == 0
    assert capsys.readouterr().out.startswith("media: db-")
    assert await in_thread("purge") == 0


async def test_work_command_deletes_until_it_is_terminated(database: Database) -> None:
    dropped = await database.saved(1)
    await database.saved(1)
    database.records.age_outbox(2 * HOUR)
    command = [sys.executable, "-m", "jtc.storage.attachments", "--app", "shop:registry", "work"]
    with subprocess.Popen([*command, "--interval", "0.05"], stderr=subprocess.PIPE) as process:
        give_up = time.monotonic() + 30
        while database.has(dropped) and time.monotonic() < give_up:
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
    assert not database.has(dropped)
    assert (process.returncode, errors) == (0, b"")
    assert database.records.outbox() == []


async def test_variants_and_move_commands(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    await database.saved(1)
    assert await in_thread("variants", "sweep", "--dry-run", "--json") == 0
    assert printed(capsys) == {"found": 0, "deleted": 0, "kept": 0, "failed": 0}
    assert await in_thread("--json", "variants", "regenerate", "--lazy") == 0
    assert printed(capsys)["changed"] == 0
    assert await in_thread("--json", "move") == 0
    assert printed(capsys) == {"moved": 0, "missing": 0, "waiting": 0, "failed": 0}


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("name", ["registry", "made", "awaited"])
def test_app_is_a_registry_or_a_function_that_returns_it(name: str) -> None:
    assert main(["--app", f"shop:{name}", "verify"]) == 0


@pytest.mark.usefixtures("database")
def test_app_is_read_from_pyproject(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[tool.jtc-storage.attachments]\napp = "shop:registry"\n'
    )
    assert main(["verify"]) == 0


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(
    ("app", "message"),
    [
        (None, "--app myapp.db:registry"),
        ("shop", "a module and a name"),
        ("shoppe:registry", "No module named 'shoppe'"),
        ("shop:registri", "registri"),
        ("shop:number", "names int, not a Registry"),
    ],
)
def test_wrong_app_is_explained(
    app: str | None, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*(["--app", app] if app else []), "verify"]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.usefixtures("database")
def test_wrong_field_or_command_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("verify", "--field", "users.avatr") == 2
    assert "did you mean 'users.avatar'" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        run("variants")
    assert ended.value.code == 2
