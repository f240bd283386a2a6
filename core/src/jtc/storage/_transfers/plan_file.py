"""What a plan holds: its copies, deletions and failures, in a temporary file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from jtc.storage import exceptions
from jtc.storage._transfers.records import Records
from jtc.storage.driver_support.content import in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jtc.storage._transfers.records import Block
    from jtc.storage.models import FileInfo

__all__ = ["PlanFile", "PlannedCopy", "Version"]

_BLOCK = 1000
"""S3 deletes as many files in one request."""

_LARGE = 16 * 1024 * 1024
"""From this length on, a file takes several parts, and much longer than a small one."""


class Version(NamedTuple):
    """What tells one version of a file from another.

    Attributes:
        size: Its length in bytes.
        etag: Its etag, if the driver has any.
        last_modified: When it was written.
    """

    size: int
    etag: str | None
    last_modified: float

    @classmethod
    def of(cls, info: FileInfo) -> Version:
        """Return the version that a file's metadata is of."""
        return cls(info.size, info.etag, info.last_modified)

    def is_of(self, info: FileInfo) -> bool:
        """Return whether a file's metadata is of this version."""
        if self.etag is not None and info.etag is not None:
            return self.etag == info.etag
        return (self.size, self.last_modified) == (info.size, info.last_modified)


class PlannedCopy(NamedTuple):
    """A copy that is planned.

    Attributes:
        key: The path below both directories.
        source: The version that is copied.
        target: The version that is replaced; None if the target has no such file.
    """

    key: str
    source: Version
    target: Version | None

    @property
    def is_large(self) -> bool:
        """Whether it takes much longer than most copies."""
        return self.source.size >= _LARGE


class _Section:
    """Records of one kind, of which the last ones are in memory."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._blocks: list[Block] = []
        self._last: list[list[Any]] = []

    async def add(self, *record: Any) -> None:
        self._last.append([*record])
        if len(self._last) >= _BLOCK:
            last, self._last = self._last, []
            self._blocks.append(await in_thread(self._records.append, last))

    async def blocks(self) -> AsyncIterator[list[list[Any]]]:
        for block in self._blocks:
            yield await in_thread(self._records.read, block)
        if self._last:
            yield self._last


class PlanFile:
    """The actions of a plan, in the order of their keys.

    Attributes:
        is_complete: The source's listing left nothing out.
    """

    def __init__(self) -> None:
        self.is_complete = True
        self._records = Records()
        self._copies = _Section(self._records)
        self._large_copies = _Section(self._records)  # which are among the others too
        self._deletions = _Section(self._records)
        self._failures = _Section(self._records)
        self.close = self._records.close

    async def add_copy(self, key: str, source: FileInfo, target: FileInfo | None) -> None:
        """Add a copy.

        Raises:
            StorageFullException: The temporary directory is full.
        """
        replaced = None if target is None else Version.of(target)
        planned = PlannedCopy(key, Version.of(source), replaced)
        await self._copies.add(*planned)
        if planned.is_large:
            await self._large_copies.add(*planned)

    async def add_deletion(self, key: str, size: int) -> None:
        """Add the deletion of a file of the target."""
        await self._deletions.add(key, size)

    def drop_deletions(self) -> None:
        """Take all deletions back."""
        self._deletions = _Section(self._records)

    async def add_failure(self, key: str, error: exceptions.StorageException) -> None:
        """Add a file that cannot be compared or must not be replaced, or what is not listed."""
        kind = type(error).__name__
        await self._failures.add(key, kind, error.message, error.path, error.disk, error.operation)

    def copies(self) -> AsyncIterator[PlannedCopy]:
        """Yield the copies."""
        return _planned(self._copies)

    def large_copies(self) -> AsyncIterator[PlannedCopy]:
        """Yield those of large files."""
        return _planned(self._large_copies)

    async def deletions(self) -> AsyncIterator[list[tuple[str, int]]]:
        """Yield the keys and lengths of files to delete, many at a time."""
        async for block in self._deletions.blocks():
            yield [(key, size) for key, size in block]

    async def failures(self) -> AsyncIterator[tuple[str, exceptions.StorageException]]:
        """Yield the keys of files that failed, with their errors."""
        async for block in self._failures.blocks():
            for key, kind, message, path, disk, operation in block:
                cls = getattr(exceptions, kind if kind in exceptions.__all__ else "", None)
                cls = cls or exceptions.StorageException  # a third party's
                yield key, cls(message, path=path, disk=disk, operation=operation)


async def _planned(copies: _Section) -> AsyncIterator[PlannedCopy]:
    async for block in copies.blocks():
        for key, source, target in block:
            replaced = None if target is None else Version(*target)
            yield PlannedCopy(key, Version(*source), replaced)
