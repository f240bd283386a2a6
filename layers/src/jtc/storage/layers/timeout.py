"""The layer that ends operations whose storage does not answer in time: `Timeout`."""

from __future__ import annotations

import asyncio
import functools
import io
from typing import TYPE_CHECKING, Any, Self, cast

from jtc.storage.driver import METHODS, SIGNING_METHODS
from jtc.storage.driver_support.content import SourceFile
from jtc.storage.exceptions import StorageConfigException, StorageTimeoutException
from jtc.storage.layers.around import Around, Wait

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from jtc.storage.driver import StorageDriver

__all__ = ["Timeout"]


class Timeout(Around):
    """Raise StorageTimeoutException if the storage does not answer in time.

    Only time spent waiting for the storage counts. Reading the caller's content does not count, nor
    does what the caller does with a chunk, so that a slow client's upload of 20 GB succeeds.

    For drivers that have no timeouts of their own; the S3 driver has. Within a `retry` layer each
    attempt has its own time.

    Args:
        inner: The driver within.
        connect: The most seconds until a stream is open, or a listing has its first entry.
        total: The most seconds for one bounded request: a call; of a stream or a listing each
            further chunk or entry; of an upload the time from one piece of the content to the
            next, and from the last one to the end.

    Raises:
        StorageConfigException: A time is not above 0.
        StorageTimeoutException: From each method.
    """

    def __init__(self, inner: StorageDriver, *, connect: float = 10.0, total: float = 30.0) -> None:
        for name, seconds in (("connect", connect), ("total", total)):
            if not isinstance(seconds, (int, float)) or not seconds > 0:
                raise StorageConfigException(f"{name} is seconds above 0, not {seconds!r}")
        self._connect = min(connect, total)
        self._total = total
        super().__init__(inner)

    def wrap(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        """Return the method with a deadline for each wait."""
        limited = super().wrap(name, method)
        if name not in SIGNING_METHODS:
            return limited

        @functools.wraps(method)
        def sign(*arguments: Any) -> Any:
            # Without a task it cannot wait, and has no time to exceed: see `Disk.sync`.
            return (limited if _in_task() else method)(*arguments)

        return sign

    def waiting(self, name: str, *, first: bool = True) -> _Deadline:
        """Return a deadline."""
        opens = first and METHODS[name].kind in {"stream", "iterator"}
        return _Deadline(self._connect if opens else self._total)

    def pausing(self, content: Any, wait: Wait) -> Any:
        """Return content that stops the clock while it is read, also by a worker thread."""
        seekable = getattr(content, "seekable", None)
        if isinstance(content, io.IOBase) and callable(seekable) and not seekable():
            return _pausing_file(content, cast("_Deadline", wait))
        return super().pausing(content, wait)


class _Deadline:
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._timeout = asyncio.timeout(seconds)
        self._over = False

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over = True
        try:
            await self._timeout.__aexit__(exc_type, error, traceback)
        except TimeoutError as expired:
            raise StorageTimeoutException(
                f"The storage did not answer within {self._seconds:g} s"
            ) from expired

    def pause(self) -> None:
        self._set(None)

    async def resume(self) -> None:
        self.resume_now()

    def resume_now(self) -> None:
        self._set(asyncio.get_running_loop().time() + self._seconds)

    def _set(self, when: float | None) -> None:
        # A thread that was left behind may still be reading after the end of the operation.
        if not self._over and not self._timeout.expired():
            self._timeout.reschedule(when)


def _in_task() -> bool:
    try:
        return asyncio.current_task() is not None
    except RuntimeError:
        return False


def _pausing_file(file: Any, deadline: _Deadline) -> SourceFile:
    loop = asyncio.get_running_loop()

    def read(size: int) -> bytes:
        loop.call_soon_threadsafe(deadline.pause)
        try:
            chunk: bytes = file.read(size)
        finally:
            loop.call_soon_threadsafe(deadline.resume_now)
        return chunk

    return SourceFile(read)
