"""Sessions with a server: one per event loop, renewed when it ends or stalls."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import random
import socket
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar, cast

import asyncssh

from jtc.storage.drivers.sftp_driver._connecting import LoginBroken, open_connections
from jtc.storage.drivers.sftp_driver._errors import ConnectionEnded, exception_for, is_end
from jtc.storage.exceptions import (
    StorageException,
    StoragePermissionException,
    StorageTimeoutException,
    StorageUnavailableException,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from jtc.storage.drivers.sftp_driver._settings import Settings

__all__ = ["Session", "Sessions"]

P = ParamSpec("P")
T = TypeVar("T")

_LARGEST_BLOCK = 256 * 1024 - 1024
"""Bytes of one request at most: OpenSSH ends a connection with a message above 256 KiB."""

_REFUSED_SECONDS = 5.0
"""How long a login that was refused is not tried again: servers lock out who tries often."""

_BACKOFF = 0.1
_ENDING_SECONDS = 0.05
_CLEANUP_SECONDS = 5.0
"""How long a cancelled call may go on to remove what it left."""


class Session:
    """A connection with one SFTP session, used by all tasks of its event loop.

    Args:
        connections: That of the session last, after those that it goes through.
        sftp: The session.
        settings: The driver's.

    Attributes:
        sftp: The session.
        settings: The driver's.
        block: Bytes of one read or write.
        has_staging: Whether the reserved directory is known to be one.
        created_modes: What the server makes of the mode of a new file.
    """

    def __init__(
        self,
        connections: list[asyncssh.SSHClientConnection],
        sftp: asyncssh.SFTPClient,
        settings: Settings,
    ) -> None:
        self.sftp = sftp
        self.settings = settings
        limits = sftp.limits
        sizes = [each for each in (limits.max_read_len, limits.max_write_len) if each]
        self.block = min([*sizes, _LARGEST_BLOCK])
        self.has_staging = False
        self.created_modes: dict[int | None, int | None] = {}
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._stalled = False
        self._waiting = 0
        self._answered = 0.0
        self._watch: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._is_closing = False
        self._canary = self._loop.create_task(self._wait_for_end())

    @property
    def is_open(self) -> bool:
        """Whether requests are answered."""
        return self.can_send and not self._ends

    @property
    def can_send(self) -> bool:
        """Whether requests can be sent; at the end of the loop, nothing is answered any more."""
        return not (self._stalled or self._connections[-1].is_closed())

    @property
    def _ends(self) -> bool:
        return self._canary.done() or self._canary.cancelling() > 0

    async def _wait_for_end(self) -> None:
        """End what waits for answers when all tasks of the loop are cancelled.

        The task of asyncssh that receives answers is one of them.
        """
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if not self._is_closing:
                await asyncio.sleep(_ENDING_SECONDS)
                for task in self._tasks:
                    task.cancel()
            raise

    async def request(
        self, call: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Return the answer to a request, a method of asyncssh with its arguments.

        Raises:
            ConnectionEnded: The connection ended before.
            StorageTimeoutException: The server answers nothing for `request_timeout` seconds.
            FileNotFoundError: The server has no such file.
            StorageException: It refuses.
        """
        if not self._waiting:
            self._answered = self._loop.time()
            if self._watch is None:
                self._look_again(self.settings.request_timeout)
        self._waiting += 1
        try:
            answer = await call(*args, **kwargs)
        except (asyncssh.Error, OSError) as error:
            raise self._exception(error) from error
        finally:
            self._waiting -= 1
        self._answered = self._loop.time()
        return answer

    def _exception(self, error: Exception) -> Exception:
        at = self.settings.login.at
        if self._stalled:
            seconds = self.settings.request_timeout
            return StorageTimeoutException(
                f"The SFTP server {at} did not answer within {seconds:g} s ('request_timeout')"
            )
        if is_end(error) or not self.is_open:
            return ConnectionEnded(f"The connection to the SFTP server {at} ended")
        self._answered = self._loop.time()
        return exception_for(error)

    def _look_again(self, seconds: float) -> None:
        self._watch = self._loop.call_later(seconds, self._look)

    def _look(self) -> None:
        """End the connection if the server owes an answer and gives none."""
        self._watch = None
        if not self._waiting:
            return
        left = self._answered + self.settings.request_timeout - self._loop.time()
        if left > 0:
            self._look_again(left)
            return
        self._stalled = True
        self.abort()

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Begin work that may outlive its caller; its errors are not reported."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._spawned)
        return task

    def _spawned(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()

    async def open(
        self, path: bytes, flags: str, mode: int | None = None
    ) -> asyncssh.SFTPClientFile:
        """Open a file. If this is cancelled, the file is closed when it is open.

        Args:
            path: The path at the server.
            flags: As of `open`: ``"rb"``, or ``"xb"`` for a new file.
            mode: The permission bits of a new file.
        """
        attributes = asyncssh.SFTPAttrs() if mode is None else asyncssh.SFTPAttrs(permissions=mode)
        opening = self.spawn(self._open(path, flags, attributes))
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(self._close_late)
            raise

    async def _open(
        self, path: bytes, flags: str, attributes: asyncssh.SFTPAttrs
    ) -> asyncssh.SFTPClientFile:
        return await self.request(self.sftp.open, path, flags, attributes, block_size=None)

    async def read(self, file: asyncssh.SFTPClientFile, size: int, at: int) -> bytes:
        """Return bytes of an open file from a position on; fewer only at its end."""
        return cast("bytes", await self.request(file.read, size, at))

    def _close_late(self, opening: asyncio.Task[asyncssh.SFTPClientFile]) -> None:
        if not opening.cancelled() and opening.exception() is None:
            self.close_later(opening.result())

    def close_later(self, file: asyncssh.SFTPClientFile) -> None:
        """Close a file that was read, without waiting for the answer."""
        if self.can_send:
            self.spawn(self.request(file.close))

    async def uncancelled(self, work: Coroutine[Any, Any, T]) -> T:
        """Return the result of work that ends also if this is cancelled, which is then raised."""
        task = self.spawn(work)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            # A server that answers nothing ends it.
            await asyncio.wait([task])
            raise

    async def clean_up(self, work: Awaitable[object]) -> None:
        """Do what remains after a failure or a cancellation, within a few seconds."""
        with contextlib.suppress(StorageException, OSError):
            async with asyncio.timeout(_ENDING_SECONDS if self._ends else _CLEANUP_SECONDS):
                await work

    def abort(self) -> None:
        """End the connection at once."""
        self._is_closing = True
        with contextlib.suppress(RuntimeError):  # its loop is closed
            self._canary.cancel()
        for connection in reversed(self._connections):
            with contextlib.suppress(RuntimeError):  # its loop is closed
                connection.abort()

    async def aclose(self) -> None:
        """End the session and its connection."""
        if self._watch is not None:
            self._watch.cancel()
        try:
            if self._tasks and not self._ends:
                await asyncio.wait(self._tasks, timeout=1)
            async with asyncio.timeout(1):
                for connection in reversed(self._connections):
                    connection.close()
                    await connection.wait_closed()
        except TimeoutError:
            pass
        finally:
            self.abort()

    def discard(self) -> None:
        """Shut the connection's socket down, in any thread, without its loop."""
        for connection in self._connections:
            transport = connection.get_extra_info("socket")
            if transport is not None:
                with contextlib.suppress(OSError):
                    transport.shutdown(socket.SHUT_RDWR)


class Sessions:
    """The client of one event loop: one session at a time.

    Args:
        settings: The driver's.

    Attributes:
        settings: The driver's.
        stages_beside: Whether the reserved directory cannot be used.
        swept: When what killed processes left was last looked for, by the loop's clock.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.stages_beside = False
        self.swept: float | None = None
        self._session: Session | None = None
        self._opening: asyncio.Task[Session] | None = None
        self._places = asyncio.Semaphore(settings.max_concurrency)
        self._refused: tuple[float, StorageException] | None = None
        self._in_use = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._closing = False

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._closing = True
        # At the end of the loop, what is in use is what was left open.
        if self._session is not None and self._session.is_open:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CLEANUP_SECONDS):
                    await self._idle.wait()
        opening, self._opening = self._opening, None
        if opening is not None:
            opening.cancel()
        session, self._session = self._session, None
        if session is not None:
            await session.aclose()

    def discard(self) -> None:
        """Close the connection at once, in any thread, without the loop."""
        session, self._session = self._session, None
        if session is not None:
            session.discard()

    async def run(self, work: Callable[[Session], Awaitable[T]]) -> T:
        """Return what a function of a session returns; again with a new one if its ends.

        Args:
            work: May be called again after a `ConnectionEnded`, and raises another exception where
                that would be wrong.

        Raises:
            StorageUnavailableException: There is no connection.
            Exception: What the function raises.
        """
        await self.take_place()
        try:
            return await self.run_in_place(work)
        finally:
            self.release_place()

    async def run_in_place(self, work: Callable[[Session], Awaitable[T]]) -> T:
        """Do as `run` does, for a caller that has a place."""
        attempt = 1
        while True:
            session = await self.session()
            try:
                return await work(session)
            except ConnectionEnded:
                if attempt >= self.settings.max_attempts:
                    raise
            attempt += 1

    async def take_place(self) -> None:
        """Wait for one of `max_concurrency` places.

        Raises:
            StorageTimeoutException: None is free within `pool_timeout`.
        """
        if self._places.locked():
            seconds = self.settings.pool_timeout
            try:
                async with asyncio.timeout(seconds):
                    await self._places.acquire()
            except TimeoutError:
                raise StorageTimeoutException(
                    f"No place among {self.settings.max_concurrency} ('max_concurrency') was free "
                    f"within {seconds:g} seconds ('pool_timeout'): are streams closed that were "
                    "opened?"
                ) from None
        else:
            await self._places.acquire()
        self._in_use += 1
        self._idle.clear()

    def release_place(self) -> None:
        """Give a place to the next one that waits."""
        self._places.release()
        self._in_use -= 1
        if not self._in_use:
            self._idle.set()

    async def session(self) -> Session:
        """Return the open session, after opening one where there is none.

        Raises:
            StorageException: None can be opened.
        """
        session = self._session
        if session is not None:
            if session.is_open:
                return session
            self._session = None
            session.abort()
        if self._closing:
            raise StorageUnavailableException("The driver was closed meanwhile")
        if self._opening is None:
            self._opening = self._loop.create_task(self._open())
            self._opening.add_done_callback(self._opened)
        opening = self._opening
        # A task that waits so does not cancel what it waits for.
        await asyncio.wait([opening])
        if opening.cancelled():
            raise StorageUnavailableException("The driver was closed meanwhile")
        try:
            return opening.result()
        except StorageException as error:
            raise copy.copy(error) from error  # each operation adds its path

    def _opened(self, opening: asyncio.Task[Session]) -> None:
        if self._opening is opening:
            self._opening = None
        if not opening.cancelled() and opening.exception() is None:
            if self._closing:
                opening.result().abort()
            else:
                self._session = opening.result()

    async def _open(self) -> Session:
        if self._refused is not None:
            since, error = self._refused
            if self._loop.time() - since < _REFUSED_SECONDS:
                raise error
            self._refused = None
        attempt = 1
        while True:
            try:
                return await self._open_once()
            except LoginBroken:
                if attempt >= self.settings.max_attempts:
                    raise
            except StoragePermissionException as error:
                self._refused = self._loop.time(), error
                raise
            await asyncio.sleep(_BACKOFF * 2**attempt * random.uniform(0.5, 1))  # noqa: S311
            attempt += 1

    async def _open_once(self) -> Session:
        connections = await open_connections(self.settings)
        at = self.settings.login.at
        try:
            async with asyncio.timeout(self.settings.connect_timeout):
                sftp = await connections[-1].start_sftp_client(path_encoding=None)
            return Session(connections, sftp, self.settings)
        except BaseException as error:
            for connection in reversed(connections):
                connection.abort()
            if isinstance(error, TimeoutError):
                raise StorageTimeoutException(
                    f"The SSH server {at} opened no SFTP session in time ('connect_timeout')"
                ) from error
            if isinstance(error, (asyncssh.Error, OSError)):
                raise LoginBroken(
                    f"The SSH server {at} opens no SFTP session: it has no subsystem 'sftp', or "
                    "permits no further session (MaxSessions)"
                ) from error
            raise
