"""A call of each method of a disk, by its name."""

from __future__ import annotations

import inspect
import tempfile
from typing import TYPE_CHECKING, Any

from jtc.storage import Disk

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["CALLS", "operations"]


async def _written(disk: Disk) -> None:
    async with disk.open("new", "wb") as file:
        await file.write(b"1")


async def _downloaded(disk: Disk) -> None:
    with tempfile.TemporaryDirectory() as directory:
        await disk.download("a", f"{directory}/a")


async def _all(items: Any) -> None:
    async for _ in items:
        pass


async def _now(make: Callable[[], object]) -> None:
    make()


CALLS: dict[str, Callable[[Disk], Awaitable[Any]]] = {
    "all_directories": lambda disk: disk.all_directories(),
    "all_files": lambda disk: disk.all_files(),
    "append": lambda disk: disk.append("a", "x"),
    "check": lambda disk: disk.check(),
    "checksum": lambda disk: disk.checksum("a"),
    "confirm_upload": lambda disk: disk.confirm_upload("a"),
    "copy": lambda disk: disk.copy("a", "b"),
    "delete": lambda disk: disk.delete("a"),
    "delete_directory": lambda disk: disk.delete_directory("a"),
    "delete_many": lambda disk: disk.delete_many(["a"]),
    "directories": lambda disk: disk.directories(),
    "directory_exists": lambda disk: disk.directory_exists("a"),
    "download": _downloaded,
    "entry": lambda disk: disk.entry("a"),
    "exists": lambda disk: disk.exists("a"),
    "files": lambda disk: disk.files(),
    "get": lambda disk: disk.get("a"),
    "get_json": lambda disk: disk.get_json("a"),
    "get_range": lambda disk: disk.get_range("a", 0),
    "get_ranges": lambda disk: disk.get_ranges("a", [(0, 1)]),
    "get_text": lambda disk: disk.get_text("a"),
    "glob": lambda disk: disk.glob("*"),
    "last_modified": lambda disk: disk.last_modified("a"),
    "list": lambda disk: _all(disk.list()),
    "make_directory": lambda disk: disk.make_directory("d"),
    "mime_type": lambda disk: disk.mime_type("a"),
    "missing": lambda disk: disk.missing("a"),
    "move": lambda disk: disk.move("a", "b"),
    "open": _written,
    "path": lambda disk: _now(lambda: disk.path("a")),
    "prepend": lambda disk: disk.prepend("a", "x"),
    "put": lambda disk: disk.put("a", b"1"),
    "put_file": lambda disk: disk.put_file("d", b"1"),
    "put_file_as": lambda disk: disk.put_file_as("d", b"1", "a"),
    "put_json": lambda disk: disk.put_json("a", 1),
    "remove_empty_directory": lambda disk: disk.remove_empty_directory("d"),
    "set_metadata": lambda disk: disk.set_metadata("a", content_type="text/csv"),
    "set_visibility": lambda disk: disk.set_visibility("a", "public"),
    "size": lambda disk: disk.size("a"),
    "stat": lambda disk: disk.stat("a"),
    "stream": lambda disk: _all(disk.stream("a")),
    "temporary_upload_form": lambda disk: disk.temporary_upload_form("a", 9, max_size=1),
    "temporary_upload_url": lambda disk: disk.temporary_upload_url("a", 9),
    "temporary_url": lambda disk: disk.temporary_url("a", 9),
    "temporary_urls": lambda disk: disk.temporary_urls(["a"], 9),
    "url": lambda disk: _now(lambda: disk.url("a")),
    "usage": lambda disk: disk.usage(),
    "visibility": lambda disk: disk.visibility("a"),
}
NO_OPERATIONS = {"driver_as", "read_only", "scoped", "with_layer"} | {
    # Transfers of many files, each of which is an operation.
    *("put_many", "get_many", "copy_many", "copy_directory", "move_directory"),
    *("compare", "plan_sync"),
}


def operations() -> list[str]:
    """Return the names of the methods of a disk."""
    return [
        name
        for name, _ in inspect.getmembers(Disk, inspect.isfunction)
        if not name.startswith("_") and name not in NO_OPERATIONS
    ]
