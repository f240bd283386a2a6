"""Leases: marker files by which one process of all does a piece of work.

A marker is created only where there is none. Its holder writes it again while it works, and each
write is conditional on the etag of the last one; a marker that was not written for the length of a
lease is taken over in the same way. Ages are measured by the store's clock: those of the machines
may differ.

On a disk without conditional writes two processes may both hold a lease. What they do must be safe
then, if wasteful.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jtc.storage.exceptions import (
    FileNotFoundException,
    PreconditionFailedException,
    RejectedException,
    StorageException,
)

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from jtc.storage import Disk

__all__ = ["Lease", "Leases", "RememberedFailure"]

_CLOCK_PREFIX = ".clock-"
_CLOCK_SECONDS = 300.0
"""For how long the difference of two clocks is taken for known."""

_RESOLUTION = 2.0
"""Seconds: stores round the time of a write."""

_MOST_REMEMBERED = 1024

_MOST_ATTEMPTS = 3
"""After this number of holders that were killed, the work is taken for what kills them."""


class RememberedFailure(RejectedException):
    """The work failed before, and a marker remembers it for a while."""

    def __init__(self, message: str = "", *, reason: str = "failed", **context: Any) -> None:
        super().__init__(message, reason=reason, **context)


@dataclass(frozen=True, slots=True)
class _Marker:
    """A marker as it was read.

    Attributes:
        attempt: How many holders there were, with this one.
        failed: Why the work failed; None while it is under way.
        etag: The etag of the file.
        written_at: When it was written, by the store's clock.
    """

    attempt: int
    failed: str | None
    etag: str | None
    written_at: float


class Leases:
    """The leases on markers of one disk.

    Args:
        disk: The disk.
        seconds: For how long a holder that writes its marker no more keeps its lease.
        remember: For how many seconds a failure is remembered.
    """

    def __init__(self, disk: Disk, *, seconds: float, remember: float) -> None:
        self.disk = disk
        self.seconds = seconds
        self._remember = remember
        self._clock: tuple[float, float] | None = None  # its difference to ours, learnt when
        self._from_future: dict[tuple[str, str | None], float] = {}

    async def take(self, path: str) -> Lease | None:
        """Return a lease if no other process holds one.

        Args:
            path: The marker.

        Raises:
            RememberedFailure: The work failed not long ago.
            FileNotFoundException: The directory was deleted meanwhile.
            StorageException: The storage failed.
        """
        found = await self._read(path)
        if found is not None:
            most = self._remember if found.failed is not None else self.seconds
            if not await self._is_over(found, path, most):
                if found.failed is not None:
                    raise RememberedFailure("It failed before", reason=found.failed, path=path)
                return None
        killed = found.attempt if found is not None and found.failed is None else 0
        lease = Lease(self, path, attempt=killed + 1, etag=None if found is None else found.etag)
        try:
            await lease.begin(failed="killed" if killed >= _MOST_ATTEMPTS else None)
        except PreconditionFailedException:
            return None
        if killed >= _MOST_ATTEMPTS:
            raise RememberedFailure(
                f"{killed} processes were killed while they worked on it",
                reason="killed",
                path=path,
            )
        return lease

    def learn(self, written_at: float) -> None:
        """Learn the store's clock by the time of a file that was written just now."""
        now = time.time()
        self._clock = (written_at - now, now)

    async def _is_over(self, marker: _Marker, path: str, most: float) -> bool:
        """Return whether a marker has not been written for longer than a number of seconds."""
        age = await self._age(marker, path)
        if age >= -_RESOLUTION:
            return age > most + _RESOLUTION
        # The store's clock was set back, or it lies: by our clock, since we first saw this marker.
        if len(self._from_future) >= _MOST_REMEMBERED:
            self._from_future.clear()
        now = time.monotonic()
        return now - self._from_future.setdefault((path, marker.etag), now) > most

    async def _age(self, marker: _Marker, path: str) -> float:
        """Return for how many seconds a marker has not been written, by the store's clock."""
        now = time.time()
        if self._clock is None or not 0 <= now - self._clock[1] <= _CLOCK_SECONDS:
            probe = f"{path.rpartition('/')[0]}/{_CLOCK_PREFIX}{secrets.token_hex(8)}"
            await self.disk.put(probe, b"")
            try:
                self.learn(await self.disk.last_modified(probe))
            finally:
                await self.disk.delete(probe)
        difference = 0.0 if self._clock is None else self._clock[0]
        return time.time() + difference - marker.written_at

    async def _read(self, path: str) -> _Marker | None:
        try:
            async with self.disk.stream(path) as stream:
                content = b"".join([chunk async for chunk in stream])
                info = stream.info
        except FileNotFoundException:
            return None
        try:
            values = json.loads(content)
            attempt, failed = int(values["attempt"]), values.get("failed")
        except (ValueError, TypeError, KeyError):
            attempt, failed = 1, None  # as of a process that was killed
        return _Marker(attempt, failed, info.etag, info.last_modified)


class Lease:
    """A marker that this process holds, and writes again until the block ends.

    Leaving the block removes the marker, unless `fail` made it remember a failure.

    Args:
        leases: Those of the disk.
        path: The marker.
        attempt: How many holders there were, with this one.
        etag: The etag of the marker that is taken over; None where there is none.
    """

    def __init__(self, leases: Leases, path: str, *, attempt: int, etag: str | None) -> None:
        self._leases = leases
        self._disk = leases.disk
        self._path = path
        self._attempt = attempt
        self._etag = etag
        self._owner = secrets.token_hex(8)
        self._writes = 0
        self._kept = self._lost = False
        self._ending = asyncio.Event()
        self._renewing: asyncio.Task[None] | None = None

    async def begin(self, *, failed: str | None = None) -> None:
        """Write the marker for the first time.

        Raises:
            PreconditionFailedException: Another process was faster.
            FileNotFoundException: The directory was deleted meanwhile.
        """
        await self._write(failed)

    async def __aenter__(self) -> Self:
        self._renewing = asyncio.create_task(self._renew())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stop()
        if not self._kept and not self._lost:
            # A marker that is left ends by itself: it must not hide what the block raised.
            with suppress(StorageException):
                await self._remove()

    async def fail(self, reason: str) -> None:
        """Make the marker remember, for other processes too, that the work cannot be done.

        Args:
            reason: A word without anything internal.
        """
        await self._stop()
        with suppress(FileNotFoundException, PreconditionFailedException):
            await self._write(reason)
        self._kept = True

    async def _stop(self) -> None:
        # Not cancelled: of a write that was sent, the etag has to be known.
        self._ending.set()
        if self._renewing is not None:
            await asyncio.wait([self._renewing])

    async def _renew(self) -> None:
        while not await self._ends_within(self._leases.seconds / 3):
            try:
                await self._write(None)
            except (FileNotFoundException, PreconditionFailedException):
                self._lost = True  # what is under way goes on: it is safe to do it twice
                return
            except StorageException:
                continue  # the next one may succeed before the lease ends

    async def _ends_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                return await self._ending.wait()
        return False

    async def _write(self, failed: str | None) -> None:
        values = {"owner": self._owner, "attempt": self._attempt, "writes": self._writes}
        if failed is not None:
            values["failed"] = failed
        supported = self._disk.capabilities.put_options
        content = json.dumps(values).encode()
        if self._etag is not None and "if_match" in supported:
            await self._disk.put(self._path, content, if_match=self._etag)
        elif self._etag is None and self._writes == 0 and "overwrite" in supported:
            await self._disk.put(self._path, content, overwrite=False)
        else:
            await self._disk.put(self._path, content)
        self._writes += 1
        info = await self._disk.stat(self._path)
        self._etag = info.etag
        self._leases.learn(info.last_modified)

    async def _remove(self) -> None:
        if self._etag is not None and "conditional_delete" in self._disk.capabilities:
            with suppress(PreconditionFailedException):
                await self._disk.delete(self._path, if_match=self._etag)
        else:
            await self._disk.delete(self._path)
