"""Transfers of many files: their results, their progress, and plans of a synchronization.

::

    async for result in Storage.copy_directory("drafts/7", "posts/7"):
        if result.error:
            log(result.path, result.error)

    plan = await Storage.disk("local").plan_sync("site", to="cdn:www", delete=True)
    print(plan.counts)
    await plan.run()
"""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator, Callable, Generator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

from jtc.storage.exceptions import TransferException
from jtc.storage.models import TransferSummary
from jtc.storage.options import DEFAULT_CONCURRENCY

if TYPE_CHECKING:
    from jtc.storage.exceptions import StorageException

__all__ = [
    "DEFAULT_CONCURRENCY",
    "Action",
    "Compare",
    "FileResult",
    "TransferProgress",
    "TransferSummary",
    "Transfers",
]

Compare: TypeAlias = Literal["auto", "checksum", "mtime", "size"]
"""How two files of one path are compared: see `Disk.plan_sync`."""


class Action(StrEnum):
    """What is done, or planned, with one file."""

    PUT = "put"
    GET = "get"
    COPY = "copy"
    MOVE = "move"
    DELETE = "delete"
    SKIP = "skip"


@dataclass(slots=True, kw_only=True)
class FileResult:
    """What became of one file.

    Attributes:
        action: What was done, or failed.
        path: The file's path on the disk whose method was called: the source of a copy or move,
            the target of a put; of a deletion by a plan, the path on the target's disk.
        to_path: The path on the target's disk, of a copy or move.
        size: Its length in bytes, if it is known.
        content: The bytes, of `get_many` only.
        error: Why it failed; None if it did not.
        is_directory: The result is that of a whole directory, which the backend moved at once.
        replaces: The target had a file of this path; None where it was not looked for.
    """

    action: Action
    path: str
    to_path: str | None = None
    size: int | None = None
    content: bytes | None = None
    error: StorageException | None = None
    is_directory: bool = False
    replaces: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferProgress:
    """How far a transfer has come, for bars.

    Attributes:
        files: Files that are done, the failed ones included.
        bytes: Bytes that have been transferred.
        total_files: Files in all; None where that is not known yet.
        total_bytes: Bytes in all; None where that is not known yet.
        path: The file that this call is about.
    """

    files: int
    bytes: int
    total_files: int | None
    total_bytes: int | None
    path: str


_MOST_ERRORS = 100


class Transfers(AsyncIterator[FileResult]):
    """Transfers of several files, several at once, which begin when they are iterated or awaited.

    ``async for`` yields a `FileResult` as each file ends, with its error if it failed. ``await``
    goes through all and raises at the end if one failed; cancelled, it stops what is under way, and
    waits for its end. No target is ever a part of a file. A loop that is left early does the same
    within ``async with``; without it, what is under way is stopped soon after::

        async with disk.get_many(paths) as results:
            async for result in results:
                ...

    Args:
        start: Starts the transfers: returns their results.
        what: The operation and its disk, for messages, such as ``"put_many() on the disk 'a'"``.

    Attributes:
        what: The operation and its disk.
    """

    def __init__(self, start: Callable[[], AsyncIterator[FileResult]], what: str) -> None:
        self._start = start
        self.what = what
        self._results: AsyncIterator[FileResult] | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.what}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def __anext__(self) -> FileResult:
        if self._results is None:
            self._results, self._start = self._start(), _nothing
        return await anext(self._results)

    def __await__(self) -> Generator[Any, Any, TransferSummary]:
        return self._finish().__await__()

    async def aclose(self) -> None:
        """Stop what is under way; files that are done stay."""
        if self._results is None:
            self._start = _nothing
            self._results = _nothing()
        close = getattr(self._results, "aclose", None)
        if close is not None:
            await close()

    def __del__(self) -> None:
        if getattr(self, "_results", None) is None and hasattr(self, "what"):
            warnings.warn(
                f"{self.what} was never awaited nor iterated: nothing was transferred",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )

    async def _finish(self) -> TransferSummary:
        total = Total(self.what)
        async with self:
            async for result in self:
                total.add(result)
        return total.checked()


class Total:
    """What the results of a transfer add up to: numbers, and the first errors.

    Args:
        what: The operation and its disk, for the message.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._summary = TransferSummary()
        self._errors: list[StorageException] = []

    def add(self, result: FileResult) -> None:
        """Count one more result."""
        summary = self._summary
        if result.error is not None:
            summary.failed += 1
            if len(self._errors) < _MOST_ERRORS:
                self._errors.append(result.error)
        elif result.action is Action.SKIP:
            summary.skipped += 1
        elif result.action is Action.DELETE:
            summary.deleted += 1
        else:
            summary.files += 1
            summary.bytes += result.size or 0

    def checked(self) -> TransferSummary:
        """Return the numbers.

        Raises:
            TransferException: A file failed.
        """
        summary, errors = self._summary, self._errors
        if not errors:
            return summary
        raise TransferException(
            f"{summary.failed} of {summary.total} files failed in {self._what}, the first with: "
            f"{errors[0]}",
            summary=summary,
            errors=errors,
        ) from errors[0]


async def _nothing() -> AsyncIterator[FileResult]:
    nothing: tuple[FileResult, ...] = ()
    for result in nothing:
        yield result
