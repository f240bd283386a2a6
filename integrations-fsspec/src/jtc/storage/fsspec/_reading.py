"""Methods of `JtcFileSystem` that read files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fsspec.callbacks import DEFAULT_CALLBACK
from fsspec.utils import isfilelike

from jtc.storage.fsspec._concurrency import bulk, gather_limited
from jtc.storage.fsspec._listing import Listing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fsspec.callbacks import Callback

__all__ = ["Reading"]

AT_ONCE = 64
"""How many files are read or deleted at once, unless `batch_size` says another number."""


class Reading(Listing):
    """Methods that read files."""

    async def _cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **_: Any
    ) -> bytes:
        place = await self._file(path)
        if start is None and end is None:
            return await place.disk.get(place.key)
        first, last = start or 0, end
        if last is not None and (first < 0 or last < 0):  # from the end, as in a slice
            size = (await place.disk.stat(place.key)).size
            first, last, _step = slice(first, last).indices(size)
        last = last if last is None else max(first, last)
        return await place.disk.get_range(place.key, first, last)

    async def read_range(self, path: str, start: int, end: int, etag: str | None) -> bytes:
        """Return a range of one version of a file, for an open file.

        Args:
            path: The file.
            start: The first byte.
            end: The byte after the last.
            etag: The etag that the file must have; None is any.

        Raises:
            PreconditionFailedException: The file is another version.
            StorageException: The storage failed.
        """
        place = await self._file(path)
        return await place.disk.get_range(place.key, start, end, if_match=etag)

    async def _cat(
        self,
        path: Any,
        recursive: bool = False,
        on_error: str = "raise",
        batch_size: int | None = None,
        **options: Any,
    ) -> Any:
        if recursive:  # the files only
            given = await self._expand_path(path)
            found = [await self._find(each) for each in given]
            path = sorted({file for files in found for file in files})
        async with bulk():
            return await super()._cat(path, on_error=on_error, batch_size=batch_size, **options)

    async def _get(self, rpath: Any, lpath: Any, *args: Any, **options: Any) -> Any:
        async with bulk():
            return await super()._get(rpath, lpath, *args, **options)

    async def _cat_ranges(
        self,
        paths: list[str],
        starts: Any,
        ends: Any,
        max_gap: int | None = None,  # noqa: ARG002 - the disk has its own
        batch_size: int | None = None,
        on_error: str = "return",
        **_: Any,
    ) -> list[Any]:
        begins, stops = _spread(starts, len(paths)), _spread(ends, len(paths))
        wanted: dict[str, list[int]] = {}
        for index, path in enumerate(paths):
            wanted.setdefault(path, []).append(index)
        contents: list[Any] = [None] * len(paths)

        async def read(path: str) -> None:
            indexes = wanted[path]
            spans = [(begins[index], stops[index]) for index in indexes]
            try:
                found: list[Any] = await self._spans(path, spans)
            except Exception as error:
                if on_error != "return":
                    raise
                found = [error] * len(indexes)
            for index, content in zip(indexes, found, strict=True):
                contents[index] = content

        await gather_limited(read, wanted, self._at_once(batch_size))
        return contents

    async def _spans(self, path: str, spans: list[tuple[int | None, int | None]]) -> list[bytes]:
        """Return ranges of one file, all of one version if they are counted from its beginning."""
        plain = all((start or 0) >= 0 and (end is None or end >= 0) for start, end in spans)
        if len(spans) == 1 or not plain:
            return [await self._cat_file(path, start, end) for start, end in spans]
        place = await self._file(path)
        ranges = [
            (start or 0, end if end is None else max(start or 0, end)) for start, end in spans
        ]
        return await place.disk.get_ranges(place.key, ranges)

    async def _get_file(
        self, rpath: str, lpath: Any, callback: Callback = DEFAULT_CALLBACK, **_: Any
    ) -> None:
        place = await self._place(rpath)

        def progress(done: int, total: int | None) -> None:
            callback.set_size(total)
            callback.absolute_update(done)

        if not place.key:
            _make_local_directory(lpath)
        elif isfilelike(lpath):
            async for chunk in place.disk.stream(place.key):
                lpath.write(chunk)
        else:
            try:
                _make_local_directory(Path(lpath).parent)
                await place.disk.download(place.key, lpath, progress=progress)
            except FileNotFoundError:
                if not await self._isdir(rpath):
                    raise
                _make_local_directory(lpath)

    def _at_once(self, batch_size: int | None) -> int:
        limit = batch_size or self.batch_size or AT_ONCE
        return limit if limit > 0 else 1_000_000  # -1: all of them


def _spread(value: Any, length: int) -> Sequence[int | None]:
    if value is None or isinstance(value, int):
        return [value] * length
    values = list(value)
    if len(values) != length:
        raise ValueError("cat_ranges() takes as many starts and ends as paths")
    return values


def _make_local_directory(path: str | Path) -> None:
    """Make a directory of this machine and its parents, if they do not exist."""
    Path(path).mkdir(parents=True, exist_ok=True)
