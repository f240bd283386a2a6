"""Calls of every public operation that sends requests to a store."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from jtc.storage.drivers.s3_driver import S3Driver
from scripted_store import StoredObject

if TYPE_CHECKING:
    from jtc.storage import Disk
    from scripted_store import ScriptedStore

__all__ = ["CALLS", "IN_PARTS", "LARGE", "fill"]

LARGE = b"content of more bytes than the threshold"

IN_PARTS = {"multipart_threshold": 20, "copy_threshold": 20}
"""Options by which `LARGE` is uploaded and copied in parts."""


def fill(store: ScriptedStore) -> None:
    """Put into a store what the calls need, and nothing else."""
    store.objects.clear()
    store.uploads.clear()
    for key, content in (("a", b"content"), ("large", LARGE), ("d/1", b"1"), ("d/2", b"2")):
        store.objects[key] = StoredObject(content, {"content-type": "text/plain"})


async def _stream(disk: Disk) -> None:
    async for _ in disk.stream("a"):
        pass


async def _list(disk: Disk) -> None:
    async for _ in disk.list("", recursive=True):
        pass


async def _delete_many(disk: Disk) -> None:
    for result in (await disk.delete_many(["a", "large"])).values():
        if isinstance(result, Exception):
            raise result


CALLS: dict[str, Callable[[Disk], Awaitable[object]]] = {
    "put": lambda disk: disk.put("new", b"content"),
    "put in parts": lambda disk: disk.put("new", LARGE),
    "put if new": lambda disk: disk.put("new", b"content", overwrite=False),
    "append": lambda disk: disk.append("a", b"more"),
    "get": lambda disk: disk.get("a"),
    "stream": _stream,
    "get_range": lambda disk: disk.get_range("a", 1, 3),
    "stat": lambda disk: disk.stat("a"),
    "exists": lambda disk: disk.exists("a"),
    "checksum": lambda disk: disk.checksum("a"),
    "list": _list,
    "directory_exists": lambda disk: disk.directory_exists("d"),
    "make_directory": lambda disk: disk.make_directory("new"),
    "delete": lambda disk: disk.delete("a"),
    "delete_many": _delete_many,
    "delete_directory": lambda disk: disk.delete_directory("d"),
    "copy": lambda disk: disk.copy("a", "new"),
    "copy in parts": lambda disk: disk.copy("large", "new"),
    "move": lambda disk: disk.move("a", "new"),
    "move in parts": lambda disk: disk.move("large", "new"),
    "visibility": lambda disk: disk.visibility("a"),
    "set_visibility": lambda disk: disk.set_visibility("a", "public"),
    "set_metadata": lambda disk: disk.set_metadata("a", content_type="text/html"),
    "abort_stale_uploads": lambda disk: disk.driver_as(S3Driver).abort_stale_uploads(),
}
