"""Outcomes of many operations on a disk, to compare a fake with what it fakes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jtc.storage import StorageException

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from jtc.storage import Disk

    Note = Callable[[str, Awaitable[Any]], Awaitable[None]]

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"


async def outcomes(disk: Disk) -> list[tuple[str, Any]]:
    """Return the result, or the class of the error, of each of many operations."""
    found: list[tuple[str, Any]] = []

    async def note(what: str, call: Awaitable[Any]) -> None:
        try:
            found.append((what, await call))
        except (StorageException, ValueError, TypeError) as error:
            found.append((what, type(error).__name__))

    async def look(path: str) -> None:
        await note(f"visibility {path}", disk.visibility(path))
        await note(f"type {path}", _content_type(disk, path))
        await note(f"mime {path}", disk.mime_type(path))

    await _kept(disk, note, look)
    found.extend((way, getattr(disk, way)("d e/ä.txt")[-12:]) for way in ("url", "path"))
    await _conflicts(disk, note)
    await _options(disk, note)
    return found


async def _kept(disk: Disk, note: Note, look: Callable[[str], Awaitable[None]]) -> None:
    await note("put", disk.put("a/plain.txt", "text"))
    await note("put", disk.put("a/picture", PNG))
    await note("put", disk.put("a/public.txt", "x", visibility="public"))
    await note("put", disk.put("a/private.txt", "x", visibility="private"))
    await note("put", disk.put("a/typed", "x", content_type="text/csv", metadata={"k": "v"}))
    await note("copy", disk.copy("a/plain.txt", "b/plain.txt"))
    await note("copy", disk.copy("a/public.txt", "b/public.txt"))
    await note("copy", disk.copy("a/private.txt", "b/private.txt"))
    await note("copy", disk.copy("a/private.txt", "b/opened.txt", visibility="public"))
    await note("copy", disk.copy("a/typed", "b/typed"))
    await note("move", disk.move("b/public.txt", "c/public.txt"))
    await note("put again", disk.put("a/public.txt", "y"))
    await note("put again", disk.put("a/private.txt", "y", content_type="text/csv"))
    for path in await disk.all_files():
        await look(path)


async def _conflicts(disk: Disk, note: Note) -> None:
    await note("put below a file", disk.put("a/plain.txt/x", "x"))
    await note("put on a directory", disk.put("a", "x"))
    await note("copy below a file", disk.copy("a/plain.txt", "a/typed/x"))
    await note("copy on a directory", disk.copy("a/plain.txt", "b"))
    await note("move on a directory", disk.move("c/public.txt", "b"))
    await note("copy a missing file", disk.copy("missing", "a/typed/x"))
    await note("get a directory", disk.get("a"))
    await note("get below a file", disk.get("a/typed/x"))
    await note("exists below a file", disk.exists("a/typed/x"))
    await note("stat a directory", _content_type(disk, "a"))
    await note("delete a directory's name", disk.delete("a"))
    await note("delete below a file", disk.delete("a/typed/x"))
    await note("make a directory", disk.make_directory("m/n"))
    await note("put on it", disk.put("m/n", "x"))
    await note("make one where a file is", disk.make_directory("a/typed"))
    await note("make one below a file", disk.make_directory("a/typed/x/y"))
    await note("files of a file", disk.files("a/typed"))
    await note("empty", disk.put("e/f/g.txt", ""))
    await note("empty", disk.delete("e/f/g.txt"))
    await note("directory is left", disk.directory_exists("e/f"))
    await note("directories", disk.all_directories())


async def _options(disk: Disk, note: Note) -> None:
    await note("exclusive", disk.put("a/typed", "x", overwrite=False))
    await note("stale", disk.put("a/typed", "x", if_match="0"))
    await note("long", disk.put("x" * 255, "x"))
    await note("too long", disk.put("x" * 256, "x"))
    await note("cases", disk.put("Case.txt", "1"))
    await note("cases", disk.exists("case.txt"))
    await note("option", disk.put("o", "x", driver_options={"StorageClass": "STANDARD"}))
    await note("option", disk.put("o", "x", driver_options={"Nonsense": "1"}))
    await note("header", disk.put("o", "x", content_disposition='attachment; filename="ä"'))
    await note("metadata", disk.put("o", "x", metadata={"Key": "v"}))
    await note("delete", disk.delete_directory("a"))
    await note("delete", disk.delete_directory("c/public.txt"))
    await note("all", disk.all_files())


async def _content_type(disk: Disk, path: str) -> str | None:
    return (await disk.stat(path)).content_type
