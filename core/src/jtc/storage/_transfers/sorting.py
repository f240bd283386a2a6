"""Listings sorted by their keys in little memory: sorted runs in a temporary file, merged."""

from __future__ import annotations

import heapq
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING, TypeAlias

from jtc.storage._transfers.records import Records
from jtc.storage.driver_support.content import in_thread
from jtc.storage.driver_support.derived import closing
from jtc.storage.models import FileInfo, listed_file

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from jtc.storage._transfers.records import Block, Record

__all__ = ["ListedFile", "in_key_order"]

ListedFile: TypeAlias = "tuple[str, FileInfo]"
"""A file's path below the directory that is listed, and its metadata as the listing has it."""

# list.sort() holds the interpreter's lock: 8 ms for as many.
_RUN = 20_000
# The runs of ten million files keep 500 blocks in memory while they are merged.
_BLOCK = 100
_PAGE = 1000
_MORE_FIELDS = (
    "content_type",
    "cache_control",
    "content_disposition",
    "content_encoding",
    "metadata",
    "checksums",
)
_key = itemgetter(0)


async def in_key_order(files: AsyncIterator[ListedFile]) -> AsyncIterator[ListedFile]:
    """Yield files sorted by their keys, once all have been read.

    Raises:
        StorageFullException: The temporary directory is full.
        StorageUnavailableException: It cannot be used.
    """
    run: list[ListedFile] = []
    merging: _Runs | None = None
    try:
        async with closing(files) as each:
            async for file in each:
                run.append(file)
                if len(run) == _RUN:
                    merging = merging or _Runs()
                    await in_thread(merging.add, run)
                    run = []
        run.sort(key=_key)
        if merging is None:
            for file in run:
                yield file
            return
        pages = merging.pages(run)
        while page := await in_thread(next, pages, None):
            for file in page:
                yield file
    finally:
        if merging is not None:
            merging.close()


class _Runs:
    """Sorted runs in a temporary file."""

    def __init__(self) -> None:
        self._records = Records()
        self._runs: list[list[Block]] = []
        self.close = self._records.close

    def add(self, run: list[ListedFile]) -> None:
        """Sort a run and write it. Blocks."""
        run.sort(key=_key)
        blocks = [
            self._records.append([_packed(*file) for file in run[at : at + _BLOCK]])
            for at in range(0, len(run), _BLOCK)
        ]
        self._runs.append(blocks)

    def pages(self, last: list[ListedFile]) -> Iterator[list[ListedFile]]:
        """Yield the files of all runs, and of the last one, which is in memory. Blocks."""
        merged = heapq.merge(last, *map(self._files, self._runs), key=_key)
        while page := list(islice(merged, _PAGE)):
            yield page

    def _files(self, blocks: list[Block]) -> Iterator[ListedFile]:
        for block in blocks:
            yield from map(_unpacked, self._records.read(block))


def _packed(key: str, info: FileInfo) -> Record:
    more = {name: value for name in _MORE_FIELDS if (value := getattr(info, name))}
    if "metadata" in more:
        more["metadata"] = dict(info.metadata)
    if "checksums" in more:
        more["checksums"] = dict(info.checksums)
    record = [key, info.path, info.size, info.last_modified, info.etag]
    return [*record, more] if more else record


def _unpacked(record: Record) -> ListedFile:
    key, path, size, last_modified, etag, *more = record
    info = listed_file(path, size, last_modified, etag)
    for fields in more:
        for name, value in fields.items():
            setattr(info, name, value)
    return key, info
