"""Methods of `JtcFileSystem` that write, copy, move and delete files and directories."""

from __future__ import annotations

import contextlib
import errno
import os
from contextlib import asynccontextmanager
from glob import has_magic
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fsspec.callbacks import DEFAULT_CALLBACK

from jtc.storage import PathConflictException, UnsupportedOperationException
from jtc.storage.fsspec._concurrency import bulk, current_bulk
from jtc.storage.fsspec._reading import Reading
from jtc.storage.fsspec._transaction import StagedFile

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from fsspec.callbacks import Callback

    from jtc.storage.fsspec._base import Place

__all__ = ["Writing"]

_CHUNK = 1024 * 1024


class Writing(Reading):
    """Methods that write, copy, move and delete."""

    async def _put(self, lpath: Any, rpath: Any, *args: Any, **options: Any) -> Any:
        async with bulk() as operation:
            result = await super()._put(lpath, rpath, *args, **options)
        await self._make_directories(operation.directories)
        return result

    async def _copy(self, path1: Any, path2: Any, *args: Any, **options: Any) -> Any:
        async with bulk() as operation:
            result = await super()._copy(path1, path2, *args, **options)
        await self._make_directories(operation.directories)
        return result

    async def _pipe(self, path: Any, *args: Any, **options: Any) -> Any:
        async with bulk():
            return await super()._pipe(path, *args, **options)

    async def _make_directories(self, wanted: set[str]) -> None:
        """Make the directories that a copy of many files has asked for, one by one.

        fsspec asks for all at once, each with its parents, and stores delay writes of one key that
        come at the same time: SeaweedFS by a second each.
        """
        above = {self._parent(path) for path in wanted}
        for path in sorted(wanted - above):  # which makes the others too
            if (place := await self._place(path)).key:
                await self._make_directory(place, path)

    async def _pipe_file(
        self, path: str, value: Any, mode: str = "overwrite", **options: Any
    ) -> None:
        content = value if isinstance(value, bytes) else bytes(memoryview(value))
        await self._put_content(path, content, mode, **options)

    async def _put_file(
        self,
        lpath: str,
        rpath: str,
        callback: Callback = DEFAULT_CALLBACK,
        mode: str = "overwrite",
        **options: Any,
    ) -> None:
        local = Path(lpath)
        if (size := _size(local)) is None:
            await self._makedirs(rpath, exist_ok=True)
            return
        callback.set_size(size)

        def progress(done: int, _total: int | None) -> None:
            callback.absolute_update(done)

        await self._put_content(rpath, local, mode, progress=progress, **options)

    async def _put_content(
        self, path: str, content: bytes | Path, mode: str, **options: Any
    ) -> None:
        place = await self._file(path)
        if mode == "create":
            options["overwrite"] = False
        async with self.os_errors(path):
            if self._intrans:
                staged = await _staged(place, content, options)
                self.transaction.files.append(StagedFile(self, path, staged))
            else:
                await place.disk.put(place.key, content, **options)
        self.invalidate_cache(path)

    async def _touch(self, path: str, truncate: bool = True, **options: Any) -> None:
        if not truncate and await self._exists(path):
            raise NotImplementedError("A disk cannot change the time of a file that it keeps")
        await self._pipe_file(path, b"", **options)

    async def _cp_file(self, path1: str, path2: str, **options: Any) -> None:
        source, target = await self._place(path1), await self._place(path2)
        operation = current_bulk()
        moving = None if operation is None else operation.moving
        transfer = source.disk.copy
        if moving is not None:
            moving[path1] = False
            transfer = source.disk.move
        if source.key:
            async with self.os_errors(path2):
                try:
                    await transfer(source.key, target.key, to=target.disk, **options)
                except FileNotFoundError:
                    # Where directories are what is below them, their files may have moved before.
                    is_left = any(each.startswith(f"{path1.rstrip('/')}/") for each in moving or ())
                    if not is_left and not await self._isdir(path1):
                        raise
                    if moving is not None:
                        moving[path1] = True
                else:
                    self.invalidate_cache(path2)
                    return
        await self._makedirs(path2, exist_ok=True)

    async def _mv(
        self,
        path1: Any,
        path2: Any,
        recursive: bool = False,
        maxdepth: int | None = None,
        **options: Any,
    ) -> None:
        if path1 == path2:
            return
        one = isinstance(path1, str) and isinstance(path2, str) and not has_magic(path1)
        if not one or not await self._isfile(path1):
            await self._mv_many(path1, path2, recursive, {"maxdepth": maxdepth, **options})
            return
        if path2.endswith("/") or await self._isdir(path2):
            path2 = f"{path2.rstrip('/')}/{path1.rpartition('/')[2]}"
        await self._mv_file(path1, path2, **options)

    async def _mv_many(
        self, path1: Any, path2: Any, recursive: bool, options: dict[str, Any]
    ) -> None:
        """Move files one by one, and remove the directories that are empty then.

        What was not moved stays: what came meanwhile, and what is deeper than `maxdepth`.
        """
        if isinstance(path1, str) and isinstance(path2, str):
            source, target = self._strip_protocol(path1), self._strip_protocol(path2)
            if f"{target}/".startswith(f"{source}/"):
                raise OSError(errno.EINVAL, "A directory cannot be moved into itself", path2)
        async with bulk() as operation:
            operation.moving = {}
            await super()._copy(path1, path2, recursive=recursive, on_error="raise", **options)
        await self._make_directories(operation.directories)
        if not operation.moving:
            raise await self._missing(str(path1))
        directories = [path for path, is_one in operation.moving.items() if is_one]
        for path in sorted(directories, key=lambda path: path.count("/"), reverse=True):
            try:
                await _remove_directory(await self._place(path))
            except OSError:
                if not recursive:
                    raise
        self.invalidate_cache(None)

    async def _mv_file(self, path1: str, path2: str, **options: Any) -> None:
        source, target = await self._file(path1), await self._file(path2)
        async with self.os_errors(path2):
            await source.disk.move(source.key, target.key, to=target.disk, **options)
        self.invalidate_cache(path1)
        self.invalidate_cache(path2)

    async def _rm_file(self, path: str, **_: Any) -> None:
        place = await self._file(path)
        if not await place.disk.delete(place.key):
            raise await self._missing(path)
        self.invalidate_cache(path)

    async def _rm(
        self,
        path: Any,
        recursive: bool = False,
        batch_size: int | None = None,  # noqa: ARG002 - the disk has its own
        maxdepth: int | None = None,
        **_: Any,
    ) -> None:
        if recursive and maxdepth is None and await self._remove_tree(path):
            return
        paths = await self._expand_path(path, recursive=recursive, maxdepth=maxdepth)
        places = [await self._place(each) for each in paths]
        directories = []
        for place, deleted in await self._delete(place for place in places if place.key):
            if isinstance(deleted, Exception):
                raise deleted
            if not deleted and not recursive:
                raise await self._missing(place.path(place.key))
            if not deleted:  # a directory, or one that vanished with its files
                directories.append(place)
        for place in sorted(directories, key=lambda place: place.key.count("/"), reverse=True):
            await _remove_directory(place)
        for each in paths:
            self.invalidate_cache(each)

    async def _remove_tree(self, path: Any) -> bool:
        """Delete one directory with all that it holds; return False where the path is no such."""
        if not isinstance(path, str) or has_magic(path) or not await self._isdir(path):
            return False
        place = await self._place(path)
        if place.key:
            await place.disk.delete_directory(place.key)
            self.invalidate_cache(None)
        return bool(place.key)

    async def _delete(self, places: Iterable[Place]) -> list[tuple[Place, bool | Exception]]:
        """Delete files; return whether each was there, or its error."""
        by_disk: dict[str, list[Place]] = {}
        for place in places:
            by_disk.setdefault(place.name, []).append(place)
        outcome: list[tuple[Place, bool | Exception]] = []
        for group in by_disk.values():
            found = await group[0].disk.delete_many([place.key for place in group])
            outcome += [(place, found[place.key]) for place in group]
        return outcome

    async def _mkdir(self, path: str, create_parents: bool = True, **_: Any) -> None:
        place = await self._place(path)
        if await self._exists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        if not create_parents and not await self._isdir(self._parent(path)):
            raise FileNotFoundError(errno.ENOENT, "It has no parent directory", str(path))
        await self._make_directory(place, path)

    async def _makedirs(self, path: str, exist_ok: bool = False) -> None:
        operation = current_bulk()
        if exist_ok and operation is not None:
            operation.directories.add(self._strip_protocol(path))
        elif not exist_ok:
            await self._mkdir(path)
        elif not await self._has_directory(place := await self._place(path)):
            await self._make_directory(place, path)

    async def _has_directory(self, place: Place) -> bool:
        """Return whether a directory needs no making: fsspec asks for it before each new file."""
        if not place.key:
            return True
        with contextlib.suppress(UnsupportedOperationException):
            return await place.disk.directory_exists(place.key)
        return False

    async def _make_directory(self, place: Place, path: str) -> None:
        async with self.os_errors(path):
            if "directories" in place.disk.capabilities:
                await place.disk.make_directory(place.key)
        self.invalidate_cache(path)

    async def _rmdir(self, path: str) -> None:
        place = await self._file(path)
        try:
            found = await place.disk.remove_empty_directory(place.key)
        except PathConflictException as error:
            number = errno.ENOTDIR if await self._isfile(path) else errno.ENOTEMPTY
            raise OSError(number, os.strerror(number), str(path)) from error
        if not found:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        self.invalidate_cache(path)

    async def _missing(self, path: str) -> OSError:
        """Return the error for a file that is not there."""
        if await self._isdir(path):
            return IsADirectoryError(errno.EISDIR, "A directory: pass recursive=True", str(path))
        return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))

    @asynccontextmanager
    async def os_errors(self, path: str) -> AsyncIterator[None]:
        """Raise the errors that users of fsspec expect where a file or directory is in the way.

        Raises:
            IsADirectoryError: There is a directory at the path.
            FileExistsError: There is a file at the path.
            NotADirectoryError: There is a file above it.
        """
        try:
            yield
        except PathConflictException as error:
            number = errno.ENOTDIR
            with contextlib.suppress(FileNotFoundError):
                info = await self._info(path)
                number = errno.EISDIR if info["type"] == "directory" else errno.EEXIST
            raise OSError(number, str(error), str(path)) from error  # its class is the number's


def _size(path: Path) -> int | None:
    """Return the length of a file of this machine; None for a directory."""
    return None if path.is_dir() else path.stat().st_size


async def _staged(place: Place, content: bytes | Path, options: dict[str, Any]) -> Any:
    """Return a file with some content, which is stored when it is closed."""
    progress = options.pop("progress", None)
    mode = "xb" if options.pop("overwrite", True) is False else "wb"
    file: Any = await place.disk.open(place.key, mode, **options)  # type: ignore[call-overload]
    try:
        if isinstance(content, bytes):
            await file.write(content)
            return file
        with content.open("rb") as local:
            size = os.fstat(local.fileno()).st_size
            while chunk := local.read(_CHUNK):
                await file.write(chunk)
                if progress is not None:
                    progress(file.tell(), size)
    except BaseException:
        await file.abort()
        raise
    return file


async def _remove_directory(place: Place) -> None:
    """Remove a directory that held nothing but what was deleted before."""
    if "empty_directory_removal" in place.disk.capabilities:
        try:
            await place.disk.remove_empty_directory(place.key)
        except PathConflictException as error:
            path = place.path(place.key)
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), path) from error
        except UnsupportedOperationException:
            pass  # the backend has no directories of their own
