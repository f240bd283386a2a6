"""Generator of the sync API's methods from the async ones: `make sync`. A test compares them."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

from jtc.storage._disk import DiskOperations
from jtc.storage._fakes import FakeDisk
from jtc.storage._manager import StorageManager
from jtc.storage.driver import SIGNING_METHODS

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
FILE = ROOT / "core/src/jtc/storage/sync/_generated.py"

Function = ast.FunctionDef | ast.AsyncFunctionDef

HEAD = '''"""The sync API's methods, one for each async one. Written by `make sync`."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from jtc.storage._disk import DiskOperations
from jtc.storage._manager import StorageManager
from jtc.storage.sync._base import SyncApi, content_behind, disk_behind
from jtc.storage.sync._files import SyncListing, SyncStream
from jtc.storage.sync._portal import portal
{defaults}

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jtc.storage._fakes import FakeDisk
{imports}

__all__ = ["Assertions", "Management", "Operations"]

D = TypeVar("D")
D_co = TypeVar("D_co", bound=DiskOperations, covariant=True)
'''

# Methods that return a sync disk or file are written by hand, in _disks.py.
BY_HAND = {
    "aclose",
    "compare",
    "copy_directory",
    "copy_many",
    "get_many",
    "move_directory",
    "plan_sync",
    "put_many",
    "delay",
    "fail",
    "build",
    "disk",
    "fake",
    "guarded",
    "isolated",
    "open",
    "read_only",
    "scoped",
    "sync",
    "with_layer",
}
# Parameters that may be a sync disk or stream.
UNWRAPPED = {"Content": "content_behind", "Disk | str | None": "disk_behind"}
# They usually wait for nothing, and so work in an event loop too.
IN_PLACE = SIGNING_METHODS | {"temporary_urls"}
# Results that are iterated: the annotation of the sync method, and its class.
ITERATED = {
    "ByteStream": ("SyncStream", "SyncStream"),
    "AsyncIterator[Entry]": ("Iterator[Entry]", "SyncListing"),
}

CLASSES = {
    "Operations": (DiskOperations, "SyncApi[D_co]", "Disk", "Methods of a disk."),
    "Management": (
        StorageManager,
        "SyncApi[StorageManager]",
        "StorageManager",
        "Methods of the manager.",
    ),
    "Assertions": (FakeDisk, "", "FakeDisk", "Assertions of a faked disk."),
}


def generate() -> str:
    """Return the file's text."""
    used: set[str] = set()
    origins: dict[str, str] = {}
    body = []
    for name, (cls, base, behind, about) in CLASSES.items():
        inside = "_behind" if base else "_faked"
        parents = f"({base})" if base else ""
        body.append(f'class {name}{parents}:\n    """{about}"""\n\n    __slots__ = ()\n')
        if not base:
            body.append(f"    {inside}: {behind}\n")
        methods = {}
        for owner in _owners(cls, name):
            tree = ast.parse(inspect.getsource(sys.modules[owner.__module__]))
            origins |= _origins(tree, owner.__module__)
            for function in _functions(tree, owner.__name__):
                used |= _annotated(function)
                method = _method(function, behind).replace("self._behind.", f"self.{inside}.")
                methods[function.name] = method
        # After `list`, the name means the method in every annotation of the class.
        body += sorted(methods.values(), key=lambda method: method == methods.get("list"))
    lines = [_import(name, origins[name]) for name in sorted(used & origins.keys())]
    # Names in capitals are the constants that parameters have for defaults.
    defaults = [line for line in lines if line.split()[-1].isupper()]
    imports = "\n".join(f"    {line}" for line in lines if line not in defaults)
    head = HEAD.format(imports=imports, defaults="\n".join(defaults))
    return _formatted(head + "\n\n" + "\n".join(body))


def _import(name: str, module: str) -> str:
    return f"from {module} import {name}" if module else f"import {name}"


def _owners(cls: type, name: str) -> list[type]:
    if name != "Operations":
        return [cls]
    return [owner for owner in reversed(inspect.getmro(cls)) if owner.__module__.startswith("jtc.")]


def _functions(tree: ast.Module, cls: str) -> Iterator[Function]:
    (found,) = [n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == cls]
    for node in found.body:
        if not isinstance(node, Function) or node.name.startswith("_"):
            continue
        repeated = node.name == "name" and cls != "DiskBase"
        if node.name not in BY_HAND and not repeated:
            yield node


def _method(function: Function, owner: str) -> str:
    is_property = any(ast.unparse(d) == "property" for d in function.decorator_list)
    behind = f"self._behind.{function.name}"
    arguments = list(_arguments(function))
    call = behind if is_property else f"{behind}({', '.join(arguments)})"
    source = next((p.arg for p in function.args.args if _unwrapper(p) == "content_behind"), None)
    if function.name in IN_PLACE:
        call = f"portal.run_here({', '.join([behind, *arguments])})"
    elif isinstance(function, ast.AsyncFunctionDef):
        call = f"portal.run({call}, {source})" if source else f"portal.run({call})"
    signature = ast.unparse(function.args).replace("to: Disk |", "to: SyncApi[Disk] | Disk |")
    returns = ast.unparse(function.returns or ast.Constant(None))
    if returns in ITERATED:
        returns, iterator = ITERATED[returns]
        call = f"{iterator}({call})"
    lines = [
        *(["@property"] if is_property else []),
        f"def {function.name}({signature}) -> {returns}:",
        *(f"    {line}".rstrip() for line in _docstring(function, owner, is_property)),
        *([f"    {source} = content_behind({source})"] if source else []),
        f"    {call}" if returns == "None" else f"    return {call}",
    ]
    return "".join(f"    {line}\n" if line else "\n" for line in lines)


def _arguments(function: Function) -> Iterator[str]:
    for parameter in function.args.args[1:]:
        yield _value(parameter)
    if function.args.vararg is not None:
        yield f"*{function.args.vararg.arg}"
    for parameter in function.args.kwonlyargs:
        yield f"{parameter.arg}={_value(parameter)}"
    if function.args.kwarg is not None:
        yield f"**{function.args.kwarg.arg}"


def _value(parameter: ast.arg) -> str:
    unwrap = _unwrapper(parameter)
    # Content is unwrapped before: the call has to know it.
    wrapped = unwrap is None or unwrap == "content_behind"
    return parameter.arg if wrapped else f"{unwrap}({parameter.arg})"


def _unwrapper(parameter: ast.arg) -> str | None:
    return UNWRAPPED.get(ast.unparse(parameter.annotation) if parameter.annotation else "")


def _docstring(function: Function, owner: str, is_property: bool) -> list[str]:
    first = (ast.get_docstring(function) or "").partition("\n\n")[0].splitlines()
    if is_property:
        return [f'"""{first[0]}', *first[1:-1], '"""'] if first[1:] else [f'"""{first[0]}"""']
    see = f"It takes, returns and raises what `{owner}.{function.name}` does."
    return [f'"""{first[0]}', *first[1:], "", see, '"""']


def _annotated(function: Function) -> set[str]:
    places = [function.returns, function.args]
    return {
        node.id
        for place in places
        if place is not None
        for node in ast.walk(place)
        if isinstance(node, ast.Name)
    }


def _origins(tree: ast.Module, module: str) -> dict[str, str]:
    """Return the module of each imported name of a module, and of its own classes."""
    found = {n.name: module for n in tree.body if isinstance(n, ast.ClassDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            found |= {alias.name: node.module for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name: "" for alias in node.names}
    return found


def _formatted(source: str) -> str:
    ruff = Path(sysconfig.get_path("scripts")) / "ruff"
    name = f"--stdin-filename={FILE}"
    sort = ["check", "--fix", "--exit-zero", "--quiet", "--select=I,F401", name]
    for command in (sort, ["format", name]):
        source = subprocess.run(  # noqa: S603 - the text is ours
            [ruff, *command, "-"],
            input=source,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    return source


if __name__ == "__main__":
    text = generate()
    if "--check" in sys.argv:
        sys.exit(FILE.read_text() != text and f"{FILE} is out of date: make sync")
    FILE.write_text(text)
