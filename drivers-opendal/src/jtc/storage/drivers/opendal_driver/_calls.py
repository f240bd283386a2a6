"""Calls of OpenDAL: each with a deadline, attempts, and errors of ours."""

from __future__ import annotations

import asyncio
import random
import time
import weakref
from typing import TYPE_CHECKING, TypeVar

from jtc.storage.drivers.opendal_driver._errors import (
    OpenDALError,
    is_of_lost_connection,
    is_of_stale_connection,
    is_temporary,
    translated,
)
from jtc.storage.drivers.opendal_driver._runtime import runtime
from jtc.storage.drivers.opendal_driver._services import (
    HAS_TRUE_ETAGS,
    IN_PROCESS,
    UNKEPT,
    WRITES_WHOLE,
)
from jtc.storage.drivers.opendal_driver._settings import make_operator
from jtc.storage.exceptions import StorageTimeoutException

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from opendal import AsyncOperator
    from opendal.types import Metadata

    from jtc.storage.drivers.opendal_driver._settings import Settings

__all__ = ["Calls"]

T = TypeVar("T")

_BYTES_A_SECOND = 64 * 1024
"""The slowest transfer that is waited for."""

_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 2.0

_STALE_CONNECTIONS = 16
"""Idle connections that a call may find dropped one after another, without a pause."""


class Calls:
    """Calls of one service, from any event loop.

    Attributes:
        settings: Those of the driver.
        keeps_names: Whether a rename keeps any name; None before it was tried.
        made_at: When the driver was made, in seconds since 1970 UTC.
        claims: The names of OpenDAL's capabilities that the service has and keeps.
        stages: Whether a file is written beside its target and then renamed.
        has_etags: Whether the service's etags name versions.

    Args:
        settings: Those of the driver.

    Raises:
        StorageConfigException: OpenDAL refuses an option, or one is missing.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.keeps_names: bool | None = None
        self.made_at = time.time()
        self._operator: AsyncOperator | None = make_operator(settings)
        capability = self._operator.capability()
        self.claims = frozenset(
            name
            for name in dir(capability)
            if not name.startswith("_") and getattr(capability, name)
        ) - UNKEPT.get(settings.scheme, frozenset())
        whole = settings.scheme in WRITES_WHOLE
        stages = not whole if settings.staged is None else settings.staged
        self.stages = stages and "rename" in self.claims
        self.tears = not whole and not self.stages and settings.staged is not False
        self.has_etags = (
            settings.scheme in HAS_TRUE_ETAGS if settings.etags is None else settings.etags
        )
        self._slots: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = (
            weakref.WeakKeyDictionary()
        )

    @property
    def operator(self) -> AsyncOperator:
        """OpenDAL's client, which keeps the service's connections."""
        if self._operator is None:
            self._operator = make_operator(self.settings)
        return self._operator

    def close(self) -> None:
        """Drop the client, whose connections close when no call uses them; a use makes another."""
        if self.settings.scheme not in IN_PROCESS:
            self._operator = None

    async def send(
        self,
        call: Callable[[AsyncOperator], Awaitable[T]],
        *,
        size: int = 0,
        again: bool = True,
        reads: bool = True,
    ) -> T:
        """Make a call, again where it failed for a time, and return its result.

        Args:
            call: Called with OpenDAL's client for each attempt.
            size: How many bytes it moves.
            again: Whether a second attempt is harmless.
            reads: The call needs a file that is there.

        Raises:
            StorageTimeoutException: It did not end in time; waiting for other calls does not count.
            StorageException: The service's error.
        """
        seconds = self.settings.request_timeout + size / _BYTES_A_SECOND
        async with self._slot():
            try:
                async with asyncio.timeout(seconds):
                    return await self._attempts(call, again=again, reads=reads)
            except TimeoutError:
                raise self.late(seconds) from None

    async def send_patiently(
        self,
        call: Callable[[AsyncOperator], Awaitable[T]],
        look: Callable[[AsyncOperator], Awaitable[Metadata]],
    ) -> T:
        """Make a call that moves content of a length that is asked for only where it takes long.

        Args:
            call: As for `send`.
            look: Called with OpenDAL's client for the file's metadata, which has its length.

        Raises:
            StorageTimeoutException: It did not end in time.
            StorageException: The service's error.
        """
        loop = asyncio.get_running_loop()
        seconds = self.settings.request_timeout
        asking: asyncio.Task[None] | None = None

        async def ask() -> None:
            found = await self._attempts(look, again=True, reads=True)
            if (when := limit.when()) is not None and not limit.expired():
                limit.reschedule(when + found.content_length / _BYTES_A_SECOND)

        def begin() -> None:
            nonlocal asking
            asking = loop.create_task(ask())

        async with self._slot():
            slow = loop.call_later(seconds / 2, begin)
            limit = asyncio.timeout(seconds)
            try:
                async with limit:
                    return await self._attempts(call, again=True, reads=True)
            except TimeoutError:
                raise self.late(seconds) from None
            finally:
                slow.cancel()
                if asking is not None:
                    asking.cancel()
                    await asyncio.gather(asking, return_exceptions=True)

    def _slot(self) -> asyncio.Semaphore:
        runtime.use()
        loop = asyncio.get_running_loop()
        slots = self._slots.get(loop)
        if slots is None:
            slots = asyncio.Semaphore(self.settings.max_concurrency)
            self._slots[loop] = slots
        return slots

    async def _attempts(
        self, call: Callable[[AsyncOperator], Awaitable[T]], *, again: bool, reads: bool
    ) -> T:
        attempts = self.settings.max_attempts if again else 1
        pause = _FIRST_PAUSE
        stale = _STALE_CONNECTIONS if again else 0
        while True:
            attempts -= 1
            try:
                return await runtime.noted(call(self.operator))
            except OpenDALError as error:
                if stale and is_of_stale_connection(error):
                    # An idle connection was dropped: OpenDAL's pool may have more of them.
                    stale -= 1
                    attempts += 1
                    continue
                if attempts and is_of_lost_connection(error):
                    self.close()
                    continue
                if not attempts or not is_temporary(error):
                    raise self.translated(error, reads=reads) from None
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
            pause = min(2 * pause, _LONGEST_PAUSE)

    def late(self, seconds: float) -> StorageTimeoutException:
        """Return the error of a call that did not end in time."""
        return StorageTimeoutException(
            f"The service {self.settings.scheme!r} did not answer within {seconds:.3g} s"
        )

    def translated(self, error: Exception, *, reads: bool = True) -> Exception:
        """Return an error of OpenDAL as one of ours."""
        return translated(
            error,
            reads=reads,
            service=self.settings.scheme,
            secrets=self.settings.secrets,
        )
