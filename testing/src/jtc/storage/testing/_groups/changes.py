"""Reads after a change: none is older than the change, whatever was read before it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage.models import FileInfo
from jtc.storage.testing._suite import Suite

if TYPE_CHECKING:
    from collections.abc import Callable

    from jtc.storage import Disk

__all__ = ["ChangeTests"]

# What changes a file: the call, and what is at "d/a" and "d/b" afterwards. Before, both are files.
_CHANGES: dict[str, tuple[Callable[[Disk], Any], bytes | None, bytes | None]] = {
    "put": (lambda disk: disk.put("d/a", b"changed"), b"changed", b"bb"),
    "put of a stream": (lambda disk: disk.put("d/a", [b"chan", b"ged"]), b"changed", b"bb"),
    "append": (lambda disk: disk.append("d/a", b"+"), b"a+", b"bb"),
    "delete": (lambda disk: disk.delete("d/a"), None, b"bb"),
    "delete_many": (lambda disk: disk.delete_many(["d/a", "d/b"]), None, None),
    "delete_directory": (lambda disk: disk.delete_directory("d"), None, None),
    "copy onto it": (lambda disk: disk.copy("d/b", "d/a"), b"bb", b"bb"),
    "move onto it": (lambda disk: disk.move("d/b", "d/a"), b"bb", None),
    "move away": (lambda disk: disk.move("d/a", "d/c"), None, b"bb"),
}


class ChangeTests(Suite):
    """For layers and drivers that keep what they have read."""

    rules = "every method"

    @pytest.mark.parametrize("change", _CHANGES)
    async def test_no_read_is_older_than_the_last_change(self, disk: Disk, change: str) -> None:
        call, *expected = _CHANGES[change]
        if change == "delete_directory" and "listing" not in disk.capabilities:
            pytest.skip("the driver does not claim the capability 'listing'")
        await disk.put("d/a", b"a")
        await disk.put("d/b", b"bb")
        for path in ("d/a", "d/b", "d/c"):
            await _seen(disk, path)
        await call(disk)
        for path, content in zip(("d/a", "d/b"), expected, strict=True):
            assert await _seen(disk, path) == content, f"{path!r} after {change}"

    async def test_file_that_was_missing_exists_once_it_is_made(self, disk: Disk) -> None:
        await disk.put("a", b"content")
        for path in ("b", "c", "d", "e"):
            assert await _seen(disk, path) is None
        await disk.copy("a", "b")
        await disk.move("a", "c")
        await disk.put("d", b"content")
        await disk.put("e", [b"con", b"tent"])
        assert await _seen(disk, "a") is None
        for path in ("b", "c", "d", "e"):
            assert await _seen(disk, path) == b"content"


async def _seen(disk: Disk, path: str) -> bytes | None:
    """Return a file's content, by all methods that look at it, or None where all see none."""
    listed: dict[str, int] | None = None
    if "listing" in disk.capabilities:
        entries = [entry async for entry in disk.list(recursive=True)]
        listed = {entry.path: entry.size for entry in entries if isinstance(entry, FileInfo)}
    try:
        content = await disk.get(path)
    except FileNotFoundError:
        assert await disk.exists(path) is False
        assert path not in (listed or {})
        for method in (disk.size, disk.last_modified, disk.stat):
            with pytest.raises(FileNotFoundError):
                await method(path)
        return None
    assert await disk.exists(path) is True
    assert await disk.size(path) == (await disk.stat(path)).size == len(content)
    assert listed is None or listed.get(path) == len(content), f"{path!r} is listed"
    assert b"".join([chunk async for chunk in disk.stream(path)]) == content
    assert await disk.get_range(path, 0, 1) == content[:1]
    return content
