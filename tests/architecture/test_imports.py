"""What modules import: nothing that one system lacks, and nothing before it is needed."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SUPPORT = sorted(
    [
        *(ROOT / "core/src/jtc/storage/driver_support").glob("*.py"),
        *(ROOT / "drivers-http/src/jtc/storage/http_support").rglob("*.py"),
    ]
)

# https://docs.python.org/3/library/intro.html#notes-on-availability
ON_SOME_SYSTEMS = {"fcntl", "grp", "msvcrt", "posix", "pwd", "resource", "termios", "winreg"}


@pytest.mark.parametrize("module", SUPPORT, ids=lambda module: module.stem)
def test_support_of_drivers_imports_nothing_that_one_system_lacks(module: Path) -> None:
    imported = {
        name.partition(".")[0]
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8")))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert not imported & ON_SOME_SYSTEMS


def test_pytest_plugin_imports_nothing_of_jtc_when_pytest_starts(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(
        "import sys\n"
        "assert 'pytest_jtc_storage' in sys.modules\n"
        "assert not [name for name in sys.modules if name.partition('.')[0] == 'jtc']\n"
    )
    (tmp_path / "test_nothing.py").write_text("def test_nothing(fake_storage): pass\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
