"""`opening.py` is the one place of the driver that opens a local path.

Everywhere else a name is looked at, renamed or deleted in a directory that was opened there, and
what is read or written is a descriptor. This reads the sources, so that it sees every way.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from jtc.storage.drivers import local_driver

SOURCES = sorted(Path(local_driver.__file__).parent.glob("*.py"))

# They take a descriptor and nothing else, or no file at all.
BY_DESCRIPTOR = {
    "close", "copy_file_range", "dup", "fchmod", "fstat", "fsync", "lseek", "preadv",
    "read", "write",
    "cpu_count", "fsencode", "fspath", "geteuid", "register_at_fork", "strerror",
}  # fmt: skip
# They take a path or a descriptor: these are the names that descriptors have here.
BY_EITHER = {"getxattr", "scandir", "setxattr", "utime"}
DESCRIPTORS = {"descriptor", "directory", "self.fd"}
# They take a name in a directory.
BY_NAME = {
    "link": {"dst_dir_fd"},
    "mkdir": {"dir_fd"},
    "rename": {"src_dir_fd", "dst_dir_fd"},
    "rmdir": {"dir_fd"},
    "stat": {"dir_fd"},
    "unlink": {"dir_fd"},
}
# The root's own name, which is told and compared; nothing is opened by them.
BY_WORD = {"os.path.abspath", "os.path.join", "os.path.realpath", "os.PathLike"}
MODULES_THAT_OPEN = {"codecs", "fileinput", "glob", "pathlib", "shutil", "tempfile"}


def violations(source: str) -> list[str]:
    """Name every call of a module that opens, changes or looks at a path by itself."""
    tree = ast.parse(source)
    return [said for node in ast.walk(tree) if (said := _violation(node)) is not None]


def _violation(node: ast.AST) -> str | None:
    if isinstance(node, ast.Import | ast.ImportFrom):
        names = [alias.name for alias in node.names]
        modules = {node.module} if isinstance(node, ast.ImportFrom) else set(names)
        bad = modules & MODULES_THAT_OPEN or (
            modules == {"os"} and isinstance(node, ast.ImportFrom)
        )
        return ast.unparse(node) if bad else None
    if not isinstance(node, ast.Call):
        return None
    text = ast.unparse(node)
    called = ast.unparse(node.func)
    if called in {"open", "io.open", "io.open_code", "FileIO", "io.FileIO", "eval", "exec"}:
        return text
    if not called.startswith("os.") or called in BY_WORD:
        return None
    name = called.removeprefix("os.")
    first = ast.unparse(node.args[0]) if node.args else ""
    given = {keyword.arg for keyword in node.keywords}
    allowed = (
        name in BY_DESCRIPTOR
        or (name in BY_EITHER and first in DESCRIPTORS)
        or (name in BY_NAME and BY_NAME[name] <= given)
    )
    return None if allowed else text


def test_no_other_module_of_the_driver_opens_a_path() -> None:
    found = {
        path.name: said
        for path in SOURCES
        if path.name != "opening.py" and (said := violations(path.read_text(encoding="utf-8")))
    }
    assert len(SOURCES) > 8
    assert found == {}


def test_the_one_place_opens_beneath_the_root_or_in_a_directory() -> None:
    (opening,) = (path for path in SOURCES if path.name == "opening.py")
    opened = [
        text
        for text in violations(opening.read_text(encoding="utf-8"))
        if text.startswith("os.open(") and "dir_fd=" not in text
    ]
    assert opened == ["os.open(self.path, flags | os.O_CLOEXEC)"]  # the root itself


@pytest.mark.parametrize(
    "line",
    [
        "open(path)",
        "os.open(path, os.O_RDONLY)",
        "os.open(name, os.O_RDONLY, dir_fd=directory)",
        "os.stat(path)",
        "os.unlink(path)",
        "os.rename(a, b, src_dir_fd=directory)",
        "os.scandir(path)",
        "os.utime(path)",
        "os.makedirs(path)",
        "os.path.exists(path)",
        "io.FileIO(path)",
        "import shutil",
        "from pathlib import Path",
        "from os import open as o",
    ],
)
def test_this_check_sees(line: str) -> None:
    assert violations(f"import os\n{line}") != []
