"""What modules import: nothing that one system lacks, and nothing before it is needed."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import other_systems

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


SOURCES = sorted(ROOT.glob("*/src/**/*.py"))
IN_A_POSIX_PROCESS = {"serving.py": "the program of jtc.storage.images' worker, which has rlimits"}
LACKING = {*other_systems.ON_LINUX_ONLY, *other_systems.ON_POSIX_ONLY, "AF_UNIX", "SIGKILL"}
SUSPECT = re.compile("|".join({*LACKING, *ON_SOME_SYSTEMS}))


def at_import(tree: ast.AST) -> list[ast.AST]:
    """Return what runs when a module is imported, less what asks for the system first."""
    found: list[ast.AST] = []
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If | ast.IfExp):
            asked = ast.unparse(node.test)
            if "sys.platform" in asked or "hasattr(os" in asked or asked == "TYPE_CHECKING":
                continue
        found += [node, *at_import(node)]
    return found


def needed_of_posix(source: str) -> list[str]:
    """Name what a module needs when it is imported that Windows lacks."""
    found: list[str] = []
    if not SUSPECT.search(source):
        return found
    for node in at_import(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name in ON_SOME_SYSTEMS]
        elif isinstance(node, ast.ImportFrom) and node.module in ON_SOME_SYSTEMS:
            found.append(str(node.module))
        elif isinstance(node, ast.Attribute) and node.attr in LACKING:
            found.append(ast.unparse(node))
    return found


def test_modules_of_all_distributions_import_on_windows() -> None:
    needed = {
        str(path.relative_to(ROOT)): found
        for path in SOURCES
        if path.name not in IN_A_POSIX_PROCESS
        and (found := needed_of_posix(path.read_text(encoding="utf-8")))
    }
    assert len(SOURCES) > 300
    assert needed == {}


@pytest.mark.parametrize(
    "line", ["import fcntl", "from resource import getrlimit", "X = os.O_NOFOLLOW", "os.fork()"]
)
def test_check_of_imports_on_windows_sees(line: str) -> None:
    assert needed_of_posix(f"import os\n{line}") != []
    assert needed_of_posix(f"import os\nif sys.platform != 'win32':\n    {line}") == []
    assert needed_of_posix(f"import os\ndef f():\n    {line}") == []


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
