"""Transfers of many files in the sync API."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import (
    AsyncIterator,
    Callable,
    Collection,
    Iterable,
    Iterator,
)
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, Unpack

from jtc.storage.sync._files import SyncListing, _Owned
from jtc.storage.sync._portal import portal
from jtc.storage.transfers import DEFAULT_CONCURRENCY, Total

if TYPE_CHECKING:
    from jtc.storage.options import CopyManyOptions
    from jtc.storage.sync_plan import PlannedAction, SyncPlan
    from jtc.storage.transfers import FileResult, TransferProgress, Transfers, TransferSummary

__all__ = ["SyncSyncPlan", "SyncTransfers", "fed"]

T = TypeVar("T")


class SyncTransfers(_Owned, Iterator["FileResult"]):
    """Transfers of several files, several at once, which begin when they are iterated.

    Iteration yields a `FileResult` as each file ends, with its error if it failed; `wait` goes
    through all. Between two results, those that were begun go on. ``with`` stops, at the end of the
    block, what is under way; one that is dropped is stopped soon after.

    Args:
        transfers: The transfers.
        feed: Passes on the caller's iterator.
    """

    def __init__(self, transfers: Transfers, feed: Feed[Any] | None = None) -> None:
        self._transfers = transfers
        self._feed = feed

    def __repr__(self) -> str:
        return f"{self._transfers!r}.sync"

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> FileResult:
        result = self._take()
        if result is None:
            raise StopIteration
        return result

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def wait(self) -> TransferSummary:
        """Go through all files, and return their numbers.

        Raises:
            TransferException: A file failed; the others are transferred.
            StorageException: The source of the files failed.
        """
        total = Total(self._transfers.what)
        with self:
            for result in self:
                total.add(result)
        return total.checked()

    def close(self) -> None:
        """Stop what is under way; files that are done stay.

        Raises:
            RuntimeError: The process ends.
        """
        if not self._is_foreign():
            portal.finish(self._transfers.aclose())

    def _take(self) -> FileResult | None:
        self._check_owner()
        self._own()
        try:
            items = [] if self._feed is None else self._feed.read()
        except BaseException:
            self.close()  # interrupted: an error of the iterator comes out of the transfers
            raise
        return portal.run(self._next(items))

    async def _next(self, items: list[Any]) -> FileResult | None:
        if self._feed is not None:
            self._feed.add(items)
        return await anext(self._transfers, None)


class SyncSyncPlan:
    """What `plan_sync` found to do, kept in a temporary file; see `SyncPlan`.

    ``with`` and `close` remove the file.

    Args:
        plan: The plan.

    Attributes:
        counts: The numbers of files.
    """

    def __init__(self, plan: SyncPlan) -> None:
        self._plan = plan
        self.counts = plan.counts

    def __repr__(self) -> str:
        return f"{self._plan!r}.sync"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[PlannedAction]:
        """Return what is planned, in the order in which it is done."""
        return SyncListing(aiter(self._plan))

    @property
    def is_complete(self) -> bool:
        """Whether the source could be listed whole. If not, the plan has no deletions."""
        return self._plan.is_complete

    def failures(self) -> Iterator[FileResult]:
        """Return what cannot be done; see `SyncPlan.failures`. Iteration raises its errors."""
        return SyncListing(self._plan.failures())

    def run(
        self,
        *,
        concurrency: int = DEFAULT_CONCURRENCY,
        progress: Callable[[TransferProgress], object] | None = None,
        max_rate: float | None = None,
        **options: Unpack[CopyManyOptions],
    ) -> SyncTransfers:
        """Do what is planned; see `SyncPlan.run`. `progress` is called in another thread.

        Raises:
            RuntimeError: The plan was run already, or is closed.
            TypeError: An argument has a wrong type.
            ValueError: An argument is invalid.
        """
        return SyncTransfers(
            self._plan.run(concurrency=concurrency, progress=progress, max_rate=max_rate, **options)
        )

    def close(self) -> None:
        """Remove the plan's temporary file; nothing can be done with the plan any more.

        Raises:
            RuntimeError: The process ends.
        """
        portal.finish(self._plan.aclose())


class Feed(AsyncIterator[T], Generic[T]):
    """Items of an iterator that is read in the caller's thread, passed to the event loop.

    The iterator may depend on its thread: a database cursor, a lock that is held.

    Args:
        items: The iterator.
        ahead: How many items it is ahead of the results that were taken: as many as are worked on
            at once.
    """

    def __init__(self, items: Iterable[T], ahead: int) -> None:
        self._items = iter(items)
        self._missing = ahead
        self._read: deque[T] = deque()
        self._more = asyncio.Event()
        self._ended = False
        self._error: Exception | None = None

    def read(self) -> list[T]:
        """Read what a further result needs, in the caller's thread."""
        items: list[T] = []
        while self._missing and not self._ended:
            try:
                items.append(next(self._items))
            except StopIteration:
                self._ended = True
            except Exception as error:
                self._ended, self._error = True, error
            else:
                self._missing -= 1
        self._missing += 1  # for the result that comes next
        return items

    def add(self, items: list[T]) -> None:
        """Pass items on, in the event loop."""
        self._read.extend(items)
        self._more.set()

    async def __anext__(self) -> T:
        while not self._read:
            if self._error is not None:
                raise self._error
            if self._ended:
                raise StopAsyncIteration
            self._more.clear()
            await self._more.wait()
        return self._read.popleft()


def fed(
    start: Callable[[Any], Transfers], items: Any, concurrency: int = DEFAULT_CONCURRENCY
) -> SyncTransfers:
    """Return transfers of items, which are read in the caller's thread if they are an iterator.

    Args:
        start: Makes the transfers of items.
        items: The items, as the caller passed them.
        concurrency: How many are worked on at once.
    """
    if not isinstance(items, Iterable) or isinstance(items, Collection):
        return SyncTransfers(start(items))
    feed: Feed[Any] = Feed(items, concurrency)
    return SyncTransfers(start(feed), feed)
