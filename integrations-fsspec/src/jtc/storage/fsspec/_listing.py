"""Methods of `JtcFileSystem` that look files and directories up."""

from __future__ import annotations

import contextlib
import errno
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Never

from jtc.storage import DirectoryInfo, FileInfo, UnsupportedOperationException
from jtc.storage.fsspec._base import Base

if TYPE_CHECKING:
    from jtc.storage import Entry
    from jtc.storage.fsspec._base import Place

__all__ = ["Listing"]

_ROOT: dict[str, Any] = {"name": "", "size": 0, "type": "directory"}


class Listing(Base):
    """Methods that look files and directories up."""

    async def _info(self, path: str, **_: Any) -> dict[str, Any]:
        if not self._strip_protocol(path):
            return dict(_ROOT)
        place = await self._place(path)
        if not place.key:
            with contextlib.suppress(UnsupportedOperationException):
                await place.disk.directory_exists("")  # an error if there is no such disk
            return {**_ROOT, "name": place.name}
        entry = await place.disk.entry(place.key)
        if entry is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        return described(place, entry)

    async def _isfile(self, path: str) -> bool:
        try:
            return bool((await self._info(path))["type"] == "file")
        except FileNotFoundError:
            return False

    async def _isdir(self, path: str) -> bool:
        try:
            return bool((await self._info(path))["type"] == "directory")
        except FileNotFoundError:
            return False

    async def _ls(
        self, path: str, detail: bool = True, refresh: bool = False, **_: Any
    ) -> list[Any]:
        path = self._strip_protocol(path)
        entries = None if refresh else self.dircache.get(path)
        if entries is None:
            entries = self.dircache[path] = await self._listed(path)
        return list(entries) if detail else [entry["name"] for entry in entries]

    async def _listed(self, path: str) -> list[dict[str, Any]]:
        if not path:
            return [{**_ROOT, "name": name} for name in self._disks().disks()]
        place = await self._place(path)
        entries = [described(place, entry) async for entry in place.disk.list(place.key)]
        if entries:
            return entries
        info = await self._info(path)
        return [info] if info["type"] == "file" else []

    async def _find(
        self, path: str, maxdepth: int | None = None, withdirs: bool = False, **options: Any
    ) -> Any:
        path = self._strip_protocol(path)
        if not path or maxdepth is not None:
            return await super()._find(path, maxdepth=maxdepth, withdirs=withdirs, **options)
        place = await self._place(path)
        listing = place.disk.list(place.key, recursive=True, directories=withdirs)
        found = [described(place, entry) async for entry in listing]
        if withdirs or not found:
            with contextlib.suppress(FileNotFoundError):
                info = await self._info(path)
                if not found or info["type"] == "directory":
                    found.append(info)
        if not withdirs:
            found = [info for info in found if info["type"] == "file"]
        found.sort(key=lambda info: info["name"])
        if options.get("detail"):
            return {info["name"]: info for info in found}
        return [info["name"] for info in found]

    async def _du(
        self,
        path: str,
        total: bool = True,
        maxdepth: int | None = None,
        withdirs: bool = False,
        **_: Any,
    ) -> Any:
        found = await self._find(path, maxdepth=maxdepth, withdirs=withdirs, detail=True)
        sizes = {name: info["size"] for name, info in found.items()}
        return sum(sizes.values()) if total else sizes

    async def _modified(self, path: str) -> datetime:
        info = await self._info(path)
        if info["type"] != "file":
            raise IsADirectoryError(errno.EISDIR, "A directory has no time", str(path))
        return datetime.fromtimestamp(info["mtime"], UTC)

    async def _created(self, path: str) -> Never:
        raise NotImplementedError(
            f"A disk keeps when a file was written, and not when it was first created: call "
            f"modified({path!r})"
        )

    def invalidate_cache(self, path: str | None = None) -> None:
        """Forget kept listings.

        Args:
            path: The file or directory that has changed; None is everything.
        """
        super().invalidate_cache(path)
        if path is None:
            self.dircache.clear()
            return
        path = self._strip_protocol(path)
        while path:
            self.dircache.pop(path, None)
            path = self._parent(path)


def described(place: Place, entry: Entry) -> dict[str, Any]:
    """Return fsspec's description of an entry."""
    match entry:
        case DirectoryInfo():
            return {"name": place.path(entry.path), "size": 0, "type": "directory"}
        case FileInfo():
            return {
                "name": place.path(entry.path),
                "size": entry.size,
                "type": "file",
                "mtime": entry.last_modified,
                "etag": entry.etag,
                "content_type": entry.content_type,
            }
