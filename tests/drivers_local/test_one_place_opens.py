"""`_safe_open.py` is the one place of the driver that opens a path in a worker.

`_path_root.py` is that place where the system opens no directories, and `_attributes.py` opens a
stream beside a file there. `_page_cache.py` opens, by `openat2` as well, what the kernel has in
memory.
Everywhere else a name is looked at, renamed or deleted in a directory that was opened there, and
what is read or written is a descriptor. This reads the sources, so that it sees every way.
"""

from __future__ import annotations

import ast
import os
import re
from pathlib import Path

import pytest

from jtc.storage.drivers import local_driver

SOURCES = sorted(Path(local_driver.__file__).parent.rglob("*.py"))

# They take a descriptor and nothing else, or no file at all.
BY_DESCRIPTOR = {
    "close", "copy_file_range", "dup", "fchmod", "fstat", "fsync", "ftruncate", "lseek", "preadv",
    "pread", "read", "write",
    "cpu_count", "fsencode", "fspath", "geteuid", "register_at_fork", "strerror",
}  # fmt: skip
# They take a path or a descriptor: these are the names that descriptors have here.
BY_EITHER = {"getxattr", "scandir", "setxattr", "stat", "utime"}
DESCRIPTORS = {"descriptor", "directory", "self.descriptor", "self.handle", "subject"}
# They take a name in a directory.
BY_NAME = {
    "link": {"dst_dir_fd"},
    "mkdir": {"dir_fd"},
    "rename": {"src_dir_fd", "dst_dir_fd"},
    "replace": {"src_dir_fd", "dst_dir_fd"},
    "rmdir": {"dir_fd"},
    "stat": {"dir_fd"},
    "unlink": {"dir_fd"},
}
# The root's own name, which is returned and compared; nothing is opened by them.
BY_WORD = {
    "os.path.abspath", "os.path.join", "os.path.normcase", "os.path.realpath", "os.PathLike"
}  # fmt: skip
MODULES_THAT_OPEN = {
    "aiofiles", "aiofiles.os", "aiofiles.ospath", "aiofiles.tempfile", "codecs", "fileinput",
    "glob", "importlib", "pathlib", "shutil", "subprocess", "tempfile",
}  # fmt: skip
OPENS = {"open", "io.open", "io.open_code", "FileIO", "io.FileIO", "eval", "exec", "__import__"}
OPENING = {"_attributes.py", "_path_root.py", "_safe_open.py"}
# They look at the root and at what is above it, and change nothing that was there.
DIAGNOSING = {"_diagnosis.py", "_diagnosis_access.py"}
# A class of our own, of a descriptor.
OWN_FILE = "class _OpenFile(io.FileIO)"


def violations(source: str) -> list[str]:
    """Name all by which a module opens, changes or looks at a path by itself.

    Also where the function is not called, but given to a caller, such as a worker.
    """
    tree = ast.parse(source)
    called = {node.func for node in ast.walk(tree) if isinstance(node, ast.Call)}
    bases = {
        base
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and ast.unparse(node).startswith(OWN_FILE)
        for base in node.bases
    }
    found = []
    for node in ast.walk(tree):
        said = _violation(node)
        if said is None and node not in called | bases:
            said = _mention(node)
        if said is not None:
            found.append(said)
    return found


def _mention(node: ast.AST) -> str | None:
    """Name a function that opens or takes a path, where it stands without being called."""
    if not isinstance(node, ast.Name | ast.Attribute):
        return None
    text = ast.unparse(node)
    if text in OPENS:
        return text
    name = text.removeprefix("os.")
    if name == text or "." in name or text in BY_WORD or name in BY_DESCRIPTOR:
        return None
    function = getattr(os, name, None)
    return text if callable(function) and not isinstance(function, type) else None


def _violation(node: ast.AST) -> str | None:
    if isinstance(node, ast.Import | ast.ImportFrom):
        names = [alias.name for alias in node.names]
        modules = {node.module} if isinstance(node, ast.ImportFrom) else set(names)
        bad = modules & MODULES_THAT_OPEN
        if isinstance(node, ast.ImportFrom):
            bad |= (modules & {"os"}) | ({"open", "FileIO"} & set(names))
        elif any(alias.name in {"os", "io"} and alias.asname for alias in node.names):
            bad |= {"os"}
        return ast.unparse(node) if bad else None
    if not isinstance(node, ast.Call):
        return None
    text = ast.unparse(node)
    called = ast.unparse(node.func)
    if called in OPENS:
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
        if path.name not in OPENING | DIAGNOSING
        and (said := violations(path.read_text(encoding="utf-8")))
    }
    assert len(SOURCES) > 8
    assert found == {}


def test_safe_open_opens_below_the_root_or_in_a_directory() -> None:
    (opening,) = (path for path in SOURCES if path.name == "_safe_open.py")
    opened = [
        text
        for text in violations(opening.read_text(encoding="utf-8"))
        if text.startswith("os.open(") and "dir_fd=" not in text
    ]
    assert sorted(opened) == [
        "os.open(self.lock_name, _LOCKING | NO_FOLLOW)",  # nothing is read from it or written
        "os.open(self.path, (PASSING if path else flags) | CLOSING)",  # the root itself
    ]


def test_files_by_path_are_opened_where_links_are_looked_for() -> None:
    opened = {
        path.name: [text for text in violations(path.read_text("utf-8")) if "open" in text]
        for path in SOURCES
        if path.name in {"_attributes.py", "_path_root.py"}
    }
    assert opened == {
        "_attributes.py": [
            "os.open(f'{subject}{_STREAM}', os.O_RDONLY | CLOSING)",
            "os.open(f'{subject}{_STREAM}', making)",
        ],
        "_path_root.py": [
            "os.open(full_name(name), _LOCKING)",
            "os.open(reserved.at(_LOCK), _LOCKING | os.O_CREAT, 384)",
            "os.open",  # by `patiently`, between two looks
        ],
    }


def test_openat2_is_called_by_safe_open_and_page_cache_only() -> None:
    callers = {
        path.name
        for path in SOURCES
        if path.name != "_system_calls.py"
        and {"openat2", "OPENAT2"} & set(re.findall(r"\w+", path.read_text(encoding="utf-8")))
    }
    assert callers == {"_safe_open.py", "_page_cache.py"}


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
        "import os as system",
        "from io import open",
        "import aiofiles",
        "await asyncio.to_thread(open, path)",
        "await run(os.open, path, os.O_RDONLY)",
        "look = os.stat",
        "partial(os.unlink, path)()",
    ],
)
def test_this_check_sees(line: str) -> None:
    assert violations(f"import os\n{line}") != []
