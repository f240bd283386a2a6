"""Private attributes of other libraries: one file uses some, because nothing public does it."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]

CLOSED_LOOP = "drivers-http/src/jtc/storage/http_support/closed_loop.py"

OTHERS = {CLOSED_LOOP: "its docstring lists each, and says why"}
"""Files that use private attributes of other libraries."""

OURS = {
    "core/src/jtc/storage/_disk/base.py": {"self._manager": "its Protocol has the method"},
    "core/src/jtc/storage/_disk/copying.py": {"target_disk": "a Disk"},
    "core/src/jtc/storage/_disk/many_files.py": {"target": "a Disk"},
    "core/src/jtc/storage/_disk/trees.py": {"disk": "a Disk"},
    "core/src/jtc/storage/_hooks.py": {"hooks": "a Hooks, of which it is a part"},
    "core/src/jtc/storage/_manager.py": {
        "StorageManager": "the class itself",
        "manager": "a StorageManager in its `__new__`",
        "self.disk()": "a Disk",
    },
    "core/src/jtc/storage/_transfers/merging.py": {"self.disk": "its Protocol has the method"},
    "core/src/jtc/storage/driver_support/fork_safety.py": {"owner": "its Protocol has the method"},
    "core/src/jtc/storage/layer.py": {"parent": "a base class, which is a Layer"},
    "core/src/jtc/storage/layers/scoped.py": {"self._scope": "a Scoped, of which it is a part"},
    "core/src/jtc/storage/sync/_base.py": {
        "disk": "a SyncApi",
        "content": "a SyncStream",
    },
    **{
        f"drivers-{name}/src/jtc/storage/drivers/{name}_driver/_driver.py": {
            "source.driver": "a driver of the class, which a file is copied from"
        }
        for name in ("azure", "gcs", "local", "memory", "s3")
    },
}
"""Objects of ours whose private attributes another class of ours uses, by file."""

# Public, in spite of their names.
NAMED_TUPLES = {"_asdict", "_field_defaults", "_fields", "_make", "_replace"}
PYTHON = {"_exit", "_current_frames"}  # docs.python.org has them, in os and sys
FSSPEC = {"_expand_path", "_intrans"}  # of the contract between fsspec and file systems
DJANGO = {"_base_manager", "_meta", "_state"}  # docs.djangoproject.com has a page on each


ITSELF = {"self", "cls", "super()", "type(self)"}


def is_private(name: object) -> bool:
    return isinstance(name, str) and name.startswith("_") and not name.startswith("__")


def uses(tree: ast.AST) -> Iterator[tuple[int, str, str]]:
    """Return the line, the object and the name of each use of a private attribute or module."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=value, attr=name):
                yield from use(node, ast.unparse(value), name)
            case ast.Call(
                func=ast.Name(id="getattr" | "setattr" | "hasattr" | "delattr"),
                args=[value, ast.Constant(value=name), *_],
            ):
                yield from use(node, ast.unparse(value), name)
            case ast.ImportFrom(module=str() as module, names=names, level=0):
                for alias in names:
                    yield from imported(node, f"{module}.{alias.name}")
            case ast.Import(names=names):
                for alias in names:
                    yield from imported(node, alias.name)


def use(node: ast.expr, value: str, name: object) -> Iterator[tuple[int, str, str]]:
    if is_private(name) and name not in NAMED_TUPLES | PYTHON | DJANGO and value not in ITSELF:
        yield node.lineno, value, str(name)


def imported(node: ast.stmt, name: str) -> Iterator[tuple[int, str, str]]:
    if not name.startswith("jtc.") and any(map(is_private, name.split("."))):
        yield node.lineno, "import", name


def defined(tree: ast.AST) -> set[str]:
    """Return the names that classes define: methods, attributes of the class and of `self`."""
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                found.add(name)
            case ast.Attribute(attr=name, ctx=ast.Store()) | ast.Name(id=name, ctx=ast.Store()):
                found.add(name)
    return found


SOURCES = sorted(source.relative_to(ROOT).as_posix() for source in ROOT.glob("*/src/**/*.py"))
TREES = {name: ast.parse((ROOT / name).read_text(encoding="utf-8")) for name in SOURCES}


@pytest.mark.parametrize("name", SOURCES)
def test_source_uses_no_private_attribute_of_another_library(name: str) -> None:
    if name in OTHERS:
        return
    ours = OURS.get(name, {})
    wrong = [
        f"{name}:{line}: {value}.{attribute}"
        for line, value, attribute in uses(TREES[name])
        if value not in ours
    ]
    assert not wrong, "\n".join(wrong)


def test_own_private_attributes_are_defined_in_our_sources() -> None:
    """Else they are those of a base class of another library."""
    known = set().union(*map(defined, TREES.values()))
    wrong = [
        f"{name}:{node.lineno}: {ast.unparse(node)}"
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and is_private(node.attr)
        and ast.unparse(node.value) in ITSELF
        and node.attr not in known | NAMED_TUPLES | FSSPEC
    ]
    assert not wrong, "\n".join(wrong)


def test_exceptions_are_of_uses_that_exist() -> None:
    found = {name: {value for _, value, _ in uses(tree)} for name, tree in TREES.items()}
    for name in OTHERS:
        assert found[name], name
    for name, values in OURS.items():
        assert set(values) <= found[name], name


def test_docstring_of_closed_loop_lists_each_private_attribute() -> None:
    text = ast.get_docstring(TREES[CLOSED_LOOP]) or ""
    missing = {name for *_, name in uses(TREES[CLOSED_LOOP]) if f"{name}`" not in text}
    assert not missing


@pytest.mark.parametrize(
    "text",
    [
        "connector._close()",
        "session._retry_connection = False",
        "self.session._conns",
        "getattr(transport, '_ssl_protocol', None)",
        "from asyncio import _get_running_loop",
        "from asyncio._private import thing",
        "import asyncio._private",
    ],
)
def test_uses_finds_private_attributes_and_modules(text: str) -> None:
    assert len(list(uses(ast.parse(text)))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "self._x = cls._x",
        "copy._replace(a=1)",
        "object.__new__(a)",
        "from jtc.storage._manager import StorageManager",
        "from __future__ import annotations",
        "getattr(self, '_stream', None)",
    ],
)
def test_uses_finds_nothing_else(text: str) -> None:
    assert list(uses(ast.parse(text))) == []
