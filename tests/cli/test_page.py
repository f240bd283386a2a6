"""docs/cli.md and its picture are what the commands write on a terminal."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from jtc.storage.cli._app import BUILT_IN

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/cli.md"


def test_page_and_picture_show_what_the_commands_write() -> None:
    done = subprocess.run(
        [sys.executable, "docs/generate_cli.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_page_has_each_command() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert [name for name in BUILT_IN if f"jtc-storage {name}" not in text] == []
