"""How simple the sources are, in figures: calls, code lines, long functions, circles, repetitions.

``make simplicity`` prints them, calls to S3 included; ``python tests/simplicity.py --list`` names
also each function that runs and each pair of places. The calls of S3 are counted where AWS_BUCKET
is set. Python 3.12 is the version to compare on: others inline other functions.
"""

from __future__ import annotations

import ast
import asyncio
import gc
import io
import os
import platform
import sys
import tempfile
import threading
import tokenize
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

__all__ = ["Function", "Source", "circles", "counted_calls", "functions", "repetitions", "sources"]

ROOT = Path(__file__).parents[1]
LONGEST = 50
SHARED = 6
# What stands in more places than this is a form of the language, not a repetition.
COMMON = 8
PATH = "simplicity.txt"
TRIES = 3

# Tokens that are no code.
_LAYOUT = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Source:
    """A module of a distribution.

    Attributes:
        folder: The distribution's `src`.
        file: The module's file.
    """

    folder: Path
    file: Path

    @property
    def distribution(self) -> str:
        return self.folder.parent.name

    @property
    def module(self) -> str:
        parts = self.file.relative_to(self.folder).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @property
    def kind(self) -> str:
        """`conformance` for what tests drivers, `generated`, or `product`."""
        if "testing" in self.file.relative_to(self.folder.parents[1]).parts:
            return "conformance"
        return "generated" if self.file.stem.strip("_") == "generated" else "product"

    @cached_property
    def text(self) -> str:
        return self.file.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @cached_property
    def code(self) -> list[int]:
        """The numbers of the lines that hold code: no docstring, comment or blank line."""
        lines: set[int] = set()
        for token in tokenize.generate_tokens(io.StringIO(self.text).readline):
            if token.type not in _LAYOUT:
                lines.update(range(token.start[0], token.end[0] + 1))
        for node in ast.walk(self.tree):
            if (
                isinstance(node, ast.Expr)
                and isinstance(node.value, ast.Constant)
                and isinstance(node.value.value, str)
            ):
                lines.difference_update(_lines_of(node))
        return sorted(lines)


@dataclass(frozen=True)
class Function:
    """A function and how many lines it has, from `def` to its end.

    Attributes:
        source: The module.
        name: The qualified name in it.
        line: Where it begins.
        lines: Its lines, the docstring's included.
    """

    source: Source
    name: str
    line: int
    lines: int

    def __str__(self) -> str:
        return f"{self.lines} lines: {_place(self.source, self.line)} {self.name}"


def sources(root: Path = ROOT) -> list[Source]:
    """Return the modules of every distribution, wherever it keeps them below its `src`."""
    return [
        Source(folder, file)
        for folder in sorted(root.glob("*/src"))
        for file in sorted(folder.rglob("*.py"))
    ]


def functions(source: Source) -> list[Function]:
    """Return the functions of a module, those inside others and in classes included."""

    def inside(node: ast.AST, names: tuple[str, ...]) -> Iterator[Function]:
        for child in ast.iter_child_nodes(node):
            within = names
            if isinstance(child, (*_FUNCTIONS, ast.ClassDef)):
                within = (*names, child.name)
            if isinstance(child, _FUNCTIONS):
                yield Function(source, ".".join(within), child.lineno, len(_lines_of(child)))
            yield from inside(child, within)

    return list(inside(source.tree, ()))


def circles(modules: list[Source]) -> list[list[str]]:
    """Return the groups of modules that all import one another, the largest first.

    Imports for types and imports in functions count; that a module's package is imported before it
    does not.
    """
    known = {source.module: source for source in modules}
    direct = {name: _imports(source, known) for name, source in known.items()}
    reached = {name: _reached(name, direct) for name in direct}
    found = {
        tuple(sorted(other for other in reached[name] if name in reached[other])) for name in direct
    }
    return sorted((list(names) for names in found if len(names) > 1), key=lambda n: (-len(n), n))


def repetitions(modules: list[Source]) -> list[tuple[str, str, int]]:
    """Return pairs of places that share lines, and how many, the longest first.

    Lines are compared to the letter, but for their indent; imports and lines without a letter or a
    digit are passed over.
    """
    lines = {source: _telling(source) for source in modules}
    places = defaultdict(list)
    for source, telling in lines.items():
        for at in range(len(telling) - SHARED + 1):
            places[tuple(text for _, text in telling[at : at + SHARED])].append((source, at))
    shared = {
        pair for group in places.values() if len(group) <= COMMON for pair in combinations(group, 2)
    }
    runs = []
    for (one, i), (other, j) in shared:
        if ((one, i - 1), (other, j - 1)) in shared:
            continue
        length = SHARED
        while ((one, i + length - SHARED + 1), (other, j + length - SHARED + 1)) in shared:
            length += 1
        runs.append((_place(one, lines[one][i][0]), _place(other, lines[other][j][0]), length))
    return sorted(runs, key=lambda run: (-run[2], run))


def counted_calls(root: Path = ROOT) -> dict[str, list[tuple[str, str]]]:
    """Return the functions of ours that run in the third call of an operation, on all threads.

    Each is a file and a qualified name. The disks are named ones of a configuration; the file is
    there already, at the disk's root.
    """
    recorder = _Recorder(tuple(f"{folder.resolve()}{os.sep}" for folder in root.glob("*/src")))
    # Before the event loop and any thread is started: a thread asks for its profile at its start.
    threading.setprofile(recorder)
    sys.setprofile(recorder)
    # Nor does what is collected run in a call that happens to be the third.
    gc.disable()
    try:
        return asyncio.run(_operations(recorder))
    finally:
        gc.enable()
        sys.setprofile(None)
        threading.setprofile(None)


class _Recorder:
    """A profile function that keeps which of our functions are called while it is `on`."""

    def __init__(self, folders: tuple[str, ...]) -> None:
        self.on = False
        self.called: set[tuple[str, str]] = set()
        self._folders = folders

    def __call__(self, frame: Any, event: str, _argument: Any) -> None:
        if self.on and event == "call":
            code = frame.f_code
            for folder in self._folders:
                if code.co_filename.startswith(folder):
                    self.called.add((code.co_filename.removeprefix(folder), code.co_qualname))

    async def third(self, call: Callable[[], Awaitable[object]]) -> list[tuple[str, str]]:
        """Return what ran in the third call; of a few tries, where the least did.

        On a busy machine, a call may have to wait where it otherwise does not.
        """
        return min([await self._try(call) for _ in range(TRIES)], key=len)

    async def _try(self, call: Callable[[], Awaitable[object]]) -> list[tuple[str, str]]:
        await asyncio.sleep(0)
        await call()
        await call()
        self.called.clear()
        self.on = True
        try:
            await call()
        finally:
            self.on = False
        return sorted(self.called)


async def _operations(recorder: _Recorder) -> dict[str, list[tuple[str, str]]]:
    from jtc.storage import StorageManager

    counted = {}
    with tempfile.TemporaryDirectory() as folder:
        local, memory = {"driver": "local", "root": folder}, {"driver": "memory"}
        managers = {
            "local": StorageManager.isolated({"disks": {"local": local}}),
            "memory": StorageManager.isolated({"disks": {"memory": memory}}),
        }
        if "AWS_BUCKET" in os.environ:
            managers["s3"] = StorageManager.isolated()
        for name, manager in managers.items():
            async with manager:
                disk = manager.disk(name)
                counted[f"{name} put"] = await recorder.third(partial(disk.put, PATH, b"x"))
                counted[f"{name} get"] = await recorder.third(partial(disk.get, PATH))
                await disk.delete(PATH)
    return counted


def _lines_of(node: ast.stmt) -> range:
    return range(node.lineno, (node.end_lineno or node.lineno) + 1)


def _place(source: Source, line: int) -> str:
    return f"{source.file.relative_to(source.folder.parents[1])}:{line}"


def _telling(source: Source) -> list[tuple[int, str]]:
    """Return the numbered lines that a repetition consists of."""
    lines = source.text.splitlines()
    imports = {
        line
        for node in ast.walk(source.tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for line in _lines_of(node)
    }
    return [
        (number, lines[number - 1].strip())
        for number in source.code
        if number not in imports and any(map(str.isalnum, lines[number - 1]))
    ]


def _imports(source: Source, known: dict[str, Source]) -> set[str]:
    """Return which of the known modules a module imports."""
    package = source.module.split(".")
    if source.file.stem != "__init__":
        package.pop()
    names = []
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) + 1 - node.level] if node.level else []
            base = ".".join([*start, *([node.module] if node.module else [])])
            names += [
                f"{base}.{alias.name}" if f"{base}.{alias.name}" in known else base
                for alias in node.names
            ]
    return known.keys() & set(names) - {source.module}


def _reached(name: str, direct: dict[str, set[str]]) -> set[str]:
    """Return the modules that one imports, by way of others too, and itself."""
    reached, waiting = {name}, [name]
    while waiting:
        more = direct[waiting.pop()] - reached
        reached |= more
        waiting += more
    return reached


def _print_calls(*, listed: bool) -> None:
    version = platform.python_version()
    print(f"Functions that run in the third call, on all threads (Python {version})")
    for operation, called in counted_calls().items():
        print(f"  {operation:11} {len(called):3} in {len({file for file, _ in called})} files")
        if listed:
            for file, name in called:
                print(f"    {file} {name}")
    if "AWS_BUCKET" not in os.environ:
        print("  S3: set AWS_BUCKET, or use `make simplicity`")


def _print_code(modules: list[Source]) -> None:
    kinds = ("product", "generated", "conformance")
    counts: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(kinds, 0))
    for source in modules:
        for row in (source.distribution, "total"):
            counts[row][source.kind] += len(source.code)
    print("\nCode lines, without docstrings, comments and blank lines")
    print(f"  {'':20} {'product':>11} {'generated':>11} {'conformance':>11} {'together':>11}")
    for row in [*sorted(counts.keys() - {"total"}), "total"]:
        figures = [*counts[row].values(), sum(counts[row].values())]
        print(f"  {row:20} " + " ".join(f"{figure:11,}" for figure in figures))


def _main() -> None:
    listed = "--list" in sys.argv[1:]
    _print_calls(listed=listed)
    modules = sources()
    _print_code(modules)

    print(f"\nFunctions over {LONGEST} lines")
    for function in (each for source in modules for each in functions(source)):
        if function.lines > LONGEST:
            print(f"  {function}")

    print("\nImport circles, imports for types included")
    for names in circles(modules):
        print(f"  {len(names)} modules: {', '.join(names)}")

    product = [source for source in modules if source.kind == "product"]
    repeated = repetitions(product)
    files = {(one.partition(":")[0], other.partition(":")[0]) for one, other, _ in repeated}
    print(f"\nPairs of places that share {SHARED} lines or more, to the letter, in the product")
    print(f"  {len(repeated)} in {len(files)} pairs of files")
    if listed:
        for one, other, length in repeated:
            print(f"  {length} lines: {one} ~ {other}")


if __name__ == "__main__":
    _main()
