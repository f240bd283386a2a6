"""docs/api.md is what the code says, and says what each public method raises."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, get_type_hints, is_typeddict

import pytest

from jtc.storage import Disk, StorageManager
from jtc.storage.sync import SyncDisk

ROOT = Path(__file__).parents[2]

MODULES = [
    "jtc.storage",
    "jtc.storage.drivers.local_driver",
    "jtc.storage.drivers.memory_driver",
    "jtc.storage.drivers.s3_driver",
    "jtc.storage.layers.otel_layer",
    "jtc.storage.asgi",
    "jtc.storage.sync",
    "jtc.storage.django",
]

# These cannot fail: they only make, return or release something.
RAISES_NOTHING = {
    "Accelerator.header",
    "ByteStream.aclose",
    "Capabilities.supports",
    "DiskOperations.read_only",
    "DiskStorage.get_valid_name",
    "FakeDisk.disk",
    "FakeDisk.reset",
    "FakeDisk.restore",
    "Hooks.operation",
    "Hooks.plugins",
    "Layer.inner_path",
    "Layer.wrap",
    "LocalDriver.delete_many",
    "MemoryDriver.all_paths",
    "MemoryDriver.count",
    "MemoryDriver.delete_many",
    "MemoryDriver.diagnose",
    "MemoryDriver.flush",
    "MemoryDriver.from_env",
    "OpenDALDriver.diagnose",
    "OpenTelemetry.wrap",
    "ReadStream.aclose",
    "S3Driver.aclose",
    "StorageManager.disk",
    "StorageManager.drivers",
    "StorageManager.forget",
    "SyncFakeDisk.disk",
    "SyncOperations.read_only",
    "SyncStorage.disk",
    "SyncStream.release",
    "SyncTextFile.abort",
    "SyncTextFile.mode",
    "SyncWritableFile.abort",
    "XAccel.header",
    "XSendfile.header",
}


def public_methods() -> list[tuple[str, Any]]:
    found: dict[str, Any] = {}
    for module_name in MODULES:
        module = importlib.import_module(module_name)
        for name in module.__all__:
            value = getattr(module, name)
            if not inspect.isclass(value) or getattr(value, "_is_protocol", False):
                continue
            for owner in inspect.getmro(value):
                if not owner.__module__.startswith("jtc."):
                    continue
                for method, member in vars(owner).items():
                    function = getattr(member, "__func__", member)
                    ours = inspect.isfunction(function) and function.__module__ == owner.__module__
                    if ours and not method.startswith("_"):
                        found[f"{owner.__name__}.{method}"] = function
    return sorted(found.items())


@pytest.mark.parametrize(
    ("name", "function"), public_methods(), ids=[n for n, _ in public_methods()]
)
def test_every_public_method_says_what_it_raises(name: str, function: Any) -> None:
    text = inspect.getdoc(function) or ""
    assert text, f"{name} has no docstring"
    says = "Raises:" in text or "raises" in text
    assert says or name in RAISES_NOTHING, f"{name} does not say what it raises"


# Django finds them by their names.
DJANGO_APP = re.compile(r"\.django\.(apps|management|migrations|models|urls)\b")


def test_api_page_has_every_module_without_an_underscore_and_no_other() -> None:
    sources = [source for folder in ROOT.glob("*/src") for source in folder.rglob("*.py")]
    dotted = {
        ".".join(source.relative_to(source.parents[i]).with_suffix("").parts)
        for source in sources
        for i, parent in enumerate(source.parents)
        if parent.name == "src"
    }
    public = {
        name.removesuffix(".__init__")
        for name in dotted
        if not any(part.startswith("_") for part in name.removesuffix(".__init__").split("."))
        and not DJANGO_APP.search(name)
    }
    headings = set(re.findall(r"^## `([\w.]+)`$", (ROOT / "docs/api.md").read_text(), re.MULTILINE))
    assert headings == public


def sections() -> dict[str, str]:
    """Return the page's text about each class, without its methods."""
    page = (ROOT / "docs/api.md").read_text()
    found = re.findall(r"^### class `(\w+)`\n(.*?)(?=^#{2,4} |\Z)", page, re.MULTILINE | re.DOTALL)
    return dict(found)


RECORDS = [
    value
    for module in ("jtc.storage", "jtc.storage.options", "jtc.storage.models")
    for value in vars(importlib.import_module(module)).values()
    if inspect.isclass(value)
    and not value.__name__.startswith("_")
    and value.__module__.startswith("jtc.")
    and (is_typeddict(value) or dataclasses.is_dataclass(value))
]


@pytest.mark.parametrize("record", {cls.__name__: cls for cls in RECORDS}.values())
def test_api_page_lists_every_field_of_a_record_and_every_keyword(record: type) -> None:
    listed = set(re.findall(r"^- `(\w+)`: ", sections()[record.__name__], re.MULTILINE))
    fields = (
        set(get_type_hints(record))
        if is_typeddict(record)
        else {field.name for field in dataclasses.fields(record)}
    )
    assert fields <= listed


def test_api_page_has_no_text_where_a_parameter_is_named() -> None:
    page = (ROOT / "docs/api.md").read_text()
    assert not re.findall(r"^- `[^`]*\s[^`]*`.*|^- .*::.*", page, re.MULTILINE)


def test_errors_name_methods_as_users_find_them() -> None:
    storage = StorageManager.isolated({})
    with pytest.warns(RuntimeWarning, match=r"'Disk\.put' was never awaited"):
        storage.put("a.txt", b"")  # type: ignore[unused-coroutine] # as a beginner calls it
    with pytest.raises(TypeError, match=r"^Disk\.copy\(\) missing"):
        storage.copy()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"^SyncDisk\.put\(\) missing"):
        storage.sync.put()  # type: ignore[call-arg]
    for cls in (Disk, SyncDisk):
        for name, function in inspect.getmembers(cls, inspect.isfunction):
            if not name.startswith("_"):
                assert function.__qualname__ == f"{cls.__name__}.{name}"


def test_the_page_is_what_the_code_says() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "generate_api.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_sync_methods_are_what_the_async_ones_say() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "generate_sync.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
