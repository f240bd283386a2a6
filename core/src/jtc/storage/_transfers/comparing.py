"""Comparison of the files of two directories, from their listings as far as these decide."""

from __future__ import annotations

import asyncio
from collections import deque
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple, get_args

from jtc.storage._transfers.left_out import LeftOut
from jtc.storage._transfers.merging import Pair, Tree, pairs
from jtc.storage._transfers.times import MTIME, has_same_time, may_be_copy
from jtc.storage.driver_support.derived import closing
from jtc.storage.driver_support.loop_budget import next_iteration, over_budget
from jtc.storage.exceptions import FileNotFoundException, StorageException
from jtc.storage.sync_plan import Difference, State
from jtc.storage.transfers import Compare

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from jtc.storage.models import FileInfo

__all__ = ["Comparison", "check_compare", "differences"]

_REQUESTS = 64
"""How many files' metadata are requested at once: as many as a disk has connections by default.
From a store 40 ms away, the round trips of 1,000 files are 0.6 s; with 32 at once they are 1.3."""
_WINDOW = 1024
"""How many files wait for the first of them, so that results keep their order."""

_ALGORITHMS = ("sha256", "sha512", "sha1", "md5", "crc32")
"""Checksums that both ends may have or compute, the most trusted first."""


def check_compare(compare: object) -> None:
    """Check the option `compare`.

    Raises:
        ValueError: It is none of those that there are.
    """
    if compare not in get_args(Compare):
        known = ", ".join(map(repr, get_args(Compare)))
        raise ValueError(f"compare is one of {known}, not {compare!r}")


class Comparison(NamedTuple):
    """How two files of one path are compared.

    Attributes:
        source: The source's directory.
        target: The target's directory.
        compare: ``"auto"``, ``"checksum"``, ``"mtime"`` or ``"size"``; see `Disk.plan_sync`.
        keeps_existing: A file that both have counts as the same, whatever it is.
        watches_target: What the target's listing leaves out is an error, too.
    """

    source: Tree
    target: Tree
    compare: Compare = "auto"
    keeps_existing: bool = False
    watches_target: bool = False

    def at_sight(self, one: FileInfo, other: FileInfo) -> bool | None:
        """Return whether two files are the same; None if what is known of them is not enough."""
        if self.keeps_existing:
            return True
        if one.size != other.size:
            return False
        if self.compare == "size":
            return True
        if self.compare != "mtime" and (same := _same_checksum(one, other)) is not None:
            return same
        # The source's metadata may have a checksum as well, or a time that its listing omits.
        waits = self.compare == "checksum" or (
            self.compare == "auto" and other.checksums and self.source.keeps_checksums()
        )
        if waits or not has_same_time(one, other):
            return None
        return None if self._has_unknown_time(one, other) else True

    def _has_unknown_time(self, one: FileInfo, other: FileInfo) -> bool:
        """Return whether metadata that a store's listing omits may keep another time.

        It has when files were written, in whole seconds: many are written in the same one.
        """
        return (
            one.last_modified % 1 == other.last_modified % 1 == 0
            and MTIME not in other.metadata
            and "metadata" in self.target.disk.capabilities.put_options
        )

    async def by_request(self, key: str, one: FileInfo, other: FileInfo) -> Difference:
        """Compare two files whose listings do not decide."""
        try:
            try:
                other = await self.target.disk.stat(self.target.path(key))
            except FileNotFoundException:
                return Difference(state=State.ONLY_SOURCE, path=key, source=one)
            if (same := self.at_sight(one, other)) is None:
                one = await self.source.disk.stat(self.source.path(key))
                same = await self._by_all(key, one, other)
        except StorageException as error:
            return Difference(state=State.ERROR, path=key, source=one, target=other, error=error)
        state = State.SAME if same else State.DIFFERENT
        return Difference(state=state, path=key, source=one, target=other)

    async def _by_all(self, key: str, one: FileInfo, other: FileInfo) -> bool:
        same = self.at_sight(one, other)
        if same is not None:
            return same
        if self.compare == "checksum":
            return await self._by_content(key, one, other)
        return may_be_copy(one, other)

    async def _by_content(self, key: str, one: FileInfo, other: FileInfo) -> bool:
        """Compare two files by a checksum, for which one of them is read, or both."""
        known = {*one.checksums, *other.checksums}
        algorithm = next((name for name in _ALGORITHMS if name in known), _ALGORITHMS[0])
        one_sum, other_sum = await asyncio.gather(
            _checksum(self.source, key, one, algorithm),
            _checksum(self.target, key, other, algorithm),
        )
        return one_sum == other_sum


async def _checksum(tree: Tree, key: str, info: FileInfo, algorithm: str) -> str:
    return info.checksums.get(algorithm) or await tree.disk.checksum(tree.path(key), algorithm)


def _same_checksum(one: FileInfo, other: FileInfo) -> bool | None:
    """Compare checksums by an algorithm that both files have; None if there is none."""
    if one.checksums and other.checksums:
        for algorithm in (*_ALGORITHMS, *one.checksums):
            known = one.checksums.get(algorithm), other.checksums.get(algorithm)
            if None not in known:
                return known[0] == known[1]
    return None


async def differences(
    comparison: Comparison,
    *,
    takes: Callable[[str], bool] | None = None,
    enters: Callable[[str], bool] | None = None,
    where: Callable[[FileInfo], bool] | None = None,
) -> AsyncGenerator[Difference, None]:
    """Compare all files of two directories, in the order of `pairs`.

    What a listing leaves out is an error, without metadata, which comes as soon as it is known; of
    what is in such a directory nothing is said.

    Args:
        comparison: The directories, and how their files are compared.
        takes: Returns whether the files of this path below the directories are compared.
        enters: Returns whether a directory of this path and ``/`` may have files that are compared.
        where: Returns whether a file is compared, by the source's metadata, or the target's where
            the source has none.

    Raises:
        FileNotFoundException: There is no source.
        StorageException: A listing failed, or is wrong.
    """
    window = _Window(comparison)
    source, target = comparison.source, comparison.target
    missing = LeftOut(source, takes, enters), LeftOut(target, takes, enters)
    watched = (missing[0], missing[1] if comparison.watches_target else None)
    try:
        async with closing(pairs(source, target, takes, watched)) as found:
            async for pair in found:
                if over_budget():
                    await next_iteration()  # a page of a listing does not wait
                for difference in chain(missing[0].take(), missing[1].take()):
                    yield difference
                if where is not None and not where(pair[1] or pair[2]):  # type: ignore[arg-type]
                    continue
                if _is_unknown(pair, *missing):
                    continue
                await window.add(pair)
                while (waiting := await window.take()) is not None:
                    yield waiting
        for difference in chain(*(each.take(at_end=True) for each in missing)):
            yield difference
        while (waiting := await window.take(at_end=True)) is not None:
            yield waiting
    finally:
        await window.stop()


def _is_unknown(pair: Pair, source: LeftOut, target: LeftOut) -> bool:
    """Return whether the side that lacks a file may have it where its listing does not look."""
    key, one, other = pair
    return (one is None and source.hides(key)) or (other is None and target.hides(key))


class _Window:
    """Differences in their order, of which some still wait for requests."""

    def __init__(self, comparison: Comparison) -> None:
        self._comparison = comparison
        self._waiting: deque[Difference | asyncio.Task[Difference]] = deque()
        self._requests = asyncio.Semaphore(_REQUESTS)

    async def add(self, pair: Pair) -> None:
        """Add two files of one path; wait while too many requests are under way."""
        key, one, other = pair
        if one is None or other is None:
            state = State.ONLY_TARGET if one is None else State.ONLY_SOURCE
            self._waiting.append(Difference(state=state, path=key, source=one, target=other))
        elif (same := self._comparison.at_sight(one, other)) is not None:
            state = State.SAME if same else State.DIFFERENT
            self._waiting.append(Difference(state=state, path=key, source=one, target=other))
        else:
            await self._requests.acquire()
            task = asyncio.create_task(self._comparison.by_request(key, one, other))
            task.add_done_callback(lambda _: self._requests.release())
            self._waiting.append(task)

    async def take(self, *, at_end: bool = False) -> Difference | None:
        """Return the next difference; None if it is still waited for, or there is none.

        Args:
            at_end: Wait for it; so is done, too, where many wait behind it.
        """
        waiting = self._waiting
        if not waiting:
            return None
        first = waiting[0]
        if isinstance(first, asyncio.Task):
            if not (first.done() or at_end or len(waiting) >= _WINDOW):
                return None
            first = await first
        waiting.popleft()
        return first

    async def stop(self) -> None:
        """Cancel the requests that are under way, and wait for their end."""
        tasks = [each for each in self._waiting if isinstance(each, asyncio.Task)]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled():
                task.exception()  # or asyncio would log it
