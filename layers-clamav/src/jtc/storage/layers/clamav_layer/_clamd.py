"""The scanner `Clamd`: ClamAV's daemon, over TCP or a Unix socket."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import threading
import time
import weakref
from typing import TYPE_CHECKING, TypeVar

from jtc.storage.driver_support.fork_safety import reset_after_fork
from jtc.storage.exceptions import (
    RejectedException,
    StorageConfigException,
    StorageTimeoutException,
    StorageUnavailableException,
)
from jtc.storage.layers.clamav_layer._probes import EXCEEDED, prove
from jtc.storage.layers.clamav_layer._scanner import ScannerAbsentException
from jtc.storage.layers.clamav_layer._session import Address, Session

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Awaitable

__all__ = ["DEFAULT_ADDRESS", "DEFAULT_MAX_SIZE", "Clamd"]

T = TypeVar("T")

DEFAULT_ADDRESS = "/run/clamav/clamd.ctl"
"""The socket of Debian's clamav-daemon."""
DEFAULT_MAX_SIZE = 25 * 1024 * 1024
"""At most the MaxFileSize and the StreamMaxLength of all versions of clamd, as they come."""

_OURS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""What this process or machine lacks. It does not make a scanner absent: a client could bring it
about, by many uploads at once."""

_PREFIX, _CLEAN, _FOUND = "stream: ", "stream: OK", " FOUND"
_TOO_LONG = "INSTREAM size limit exceeded"


class Clamd:
    """ClamAV's daemon as a `Scanner`: a connection for each file.

    Before the first file, and again whenever another version answers, the daemon was away, or
    `probe_interval` has passed, it is probed on the same connection: it must find the EICAR test
    file, and must refuse what exceeds its limits. That is either ``AlertExceedsMax yes``, or a file
    of `max_size` that it looks at whole. The probes are in clamd's log, and call its `VirusEvent`.

    Args:
        address: The path of its Unix socket, or ``"host:port"``.
        max_size: The longest file in bytes that is sent; None sends any, and needs
            ``AlertExceedsMax yes``.
        alerts: Require ``AlertExceedsMax yes``. Without it, archives that are nested too deeply or
            hold too much count as clean, which is logged as a warning.
        concurrency: The most files at once in each event loop; clamd's MaxThreads is 10.
        connect_timeout: Seconds until a connection is open and clamd has answered once.
        scan_timeout: Seconds to send and judge one file: more than clamd's MaxScanTime.
        probe_interval: Seconds after which the daemon is probed again.

    Raises:
        StorageConfigException: An option is invalid.
    """

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        max_size: int | None = DEFAULT_MAX_SIZE,
        alerts: bool = False,
        concurrency: int = 8,
        connect_timeout: float = 5.0,
        scan_timeout: float = 180.0,
        probe_interval: float = 3600.0,
    ) -> None:
        if max_size is not None:
            _check_number("max_size", max_size, whole=True)
        _check_number("concurrency", concurrency, whole=True)
        for name, seconds in (
            ("connect_timeout", connect_timeout),
            ("scan_timeout", scan_timeout),
            ("probe_interval", probe_interval),
        ):
            _check_number(name, seconds)
        self._address = Address.parse(address)
        self._max_size = max_size
        self._alerts = alerts
        self._concurrency = concurrency
        self._connect_timeout = connect_timeout
        self._scan_timeout = scan_timeout
        self._probe_interval = probe_interval
        self._proved: dict[str, float] = {}
        """When each version was probed; shared by all loops, and replaced rather than changed."""
        self._turns: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Turns]
        self._after_fork()
        reset_after_fork(self)

    def _after_fork(self) -> None:
        self._lock = threading.Lock()
        self._turns = weakref.WeakKeyDictionary()

    def __repr__(self) -> str:
        return f"<Clamd at {self._address.text}>"

    async def ping(self) -> None:
        """Ask the daemon for a sign of life.

        Raises:
            ScannerAbsentException: It cannot be reached.
            StorageUnavailableException: It is not clamd that answers.
        """
        async with self._session() as (session, _):
            answer = await self._in_time(self._connect_timeout, session.ask("PING"))
        if answer != "PONG":
            raise _failed(answer)

    async def version(self) -> str:
        """Return the versions of the daemon and its database, as it says them.

        Raises:
            ScannerAbsentException: It cannot be reached.
            StorageUnavailableException: It is not clamd that answers.
        """
        async with self._session() as (_, version):
            return version

    async def check(self) -> None:
        """Probe the daemon, whenever it was probed before.

        Raises:
            ScannerAbsentException: It cannot be reached.
            StorageConfigException: It would let something pass unseen; the message says what to
                set in clamd.conf.
            StorageUnavailableException: It failed.
        """
        self._proved = {}
        async with self._session() as (session, version):
            await self._prove(session, version)

    async def scan(self, content: AsyncIterable[bytes], size: int, /) -> str | None:
        """Judge a file; see `Scanner`.

        Raises:
            ScannerAbsentException: The daemon cannot be reached.
            StorageConfigException: It would let something pass unseen.
            RejectedException: The file is longer than `max_size`, or exceeds a limit of the daemon;
                the `reason` is ``"size"`` or ``"unscannable"``.
            StorageUnavailableException: The daemon failed.
        """
        if self._max_size is not None and size > self._max_size:
            raise RejectedException(
                f"The content is longer than the {self._max_size} bytes that are scanned",
                reason="size",
            )
        turns = self._turns_of_loop()
        async with turns.files, self._session() as (session, version):
            if not self._is_proved(version):
                async with turns.probes:
                    if not self._is_proved(version):
                        await self._prove(session, version)
            found = await self._judge(session, content)
        if found is not None and found.startswith(EXCEEDED):
            raise RejectedException(
                f"The content exceeds a limit of the scanner ({found})", reason="unscannable"
            )
        return found

    @contextlib.asynccontextmanager
    async def _session(self) -> AsyncIterator[tuple[Session, str]]:
        """Open a session with a daemon that answers; yield it and the daemon's version."""
        session: Session | None = None
        try:
            try:
                async with asyncio.timeout(self._connect_timeout):
                    session = Session(await self._address.connect())
                    version = await session.ask("VERSION")
            except OSError as error:
                if error.errno in _OURS:
                    raise StorageUnavailableException(
                        f"No connection to the scanner can be opened: {error.strerror}",
                        errno=error.errno,
                    ) from error
                self._proved = {}  # the daemon that comes back may have other limits
                reason = str(error) or f"no answer in {self._connect_timeout:g} seconds"
                raise ScannerAbsentException(
                    f"The scanner at {self._address.text} cannot be reached ({reason}): start "
                    "clamd, or correct the option 'address'"
                ) from error
            yield session, version
        finally:
            if session is not None:
                session.close()

    async def _prove(self, session: Session, version: str) -> None:
        async def judge(content: AsyncIterator[bytes], _size: int) -> str | None:
            return await self._judge(session, content)

        try:
            await prove(judge, max_size=self._max_size, alerts=self._alerts)
        except RejectedException as error:
            raise StorageConfigException(
                f"The scanner takes no file of max_size ({self._max_size} bytes), and may say of "
                "shorter ones that it does not look at that they are clean: set 'AlertExceedsMax "
                "yes' in clamd.conf and restart clamd; or set max_size to at most its "
                "StreamMaxLength and MaxFileSize"
            ) from error
        self._proved = {**self._proved, version: time.monotonic()}

    def _is_proved(self, version: str) -> bool:
        when = self._proved.get(version)
        return when is not None and time.monotonic() - when < self._probe_interval

    async def _judge(self, session: Session, content: AsyncIterable[bytes]) -> str | None:
        answer = await self._in_time(self._scan_timeout, session.ask("INSTREAM", content))
        if answer == _CLEAN:
            return None
        if answer.startswith(_PREFIX) and answer.endswith(_FOUND):
            return answer.removeprefix(_PREFIX).removesuffix(_FOUND) or "unnamed"
        if answer.startswith(_TOO_LONG):
            raise RejectedException(
                "The content is longer than the scanner takes (StreamMaxLength of clamd.conf)",
                reason="unscannable",
            )
        raise _failed(answer)

    async def _in_time(self, seconds: float, answer: Awaitable[T]) -> T:
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                return await answer
        except OSError as error:
            self._proved = {}
            if limit.expired():
                raise StorageTimeoutException(
                    f"The scanner at {self._address.text} did not answer in {seconds:g} seconds"
                ) from error
            raise StorageUnavailableException(
                f"The connection to the scanner at {self._address.text} broke: {error}"
            ) from error

    def _turns_of_loop(self) -> _Turns:
        loop = asyncio.get_running_loop()
        with self._lock:
            turns = self._turns.get(loop)
            if turns is None:
                turns = self._turns[loop] = _Turns(self._concurrency)
            return turns


class _Turns:
    """The turns of one event loop.

    Attributes:
        files: For files that are judged.
        probes: For the one task that probes the daemon, while the others wait.
    """

    def __init__(self, concurrency: int) -> None:
        self.files = asyncio.Semaphore(concurrency)
        self.probes = asyncio.Lock()


def _check_number(name: str, value: float, *, whole: bool = False) -> None:
    fits = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
    if not fits or not value > 0:
        raise StorageConfigException(f"{name!r} is a number above 0, not {value!r}")


def _failed(answer: str) -> StorageUnavailableException:
    return StorageUnavailableException(f"The scanner failed: it answered {answer[:200]!r}")
