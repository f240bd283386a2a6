"""Run of a command's async work: the event loop, Ctrl-C, errors and the end of the disks."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from jtc.storage.cli._exits import FAILED, INTERRUPTED, USAGE, ClosedPipe, Failed, UsageError
from jtc.storage.cli._terminal.output import is_debugging, write_error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator

__all__ = ["ClosedPipe", "Failed", "UsageError", "for_each", "run", "status_of"]

T = TypeVar("T")

_CLOSING_SECONDS = 5.0
"""How long the end of the program waits for disks that close."""

_STOPPING = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run a command's work in an event loop, and close the disks.

    Ctrl-C cancels the work and waits for it; a second one ends the program at once.

    Raises:
        Failed: The work failed: the reason is on standard error.
        UsageError: The work found the command line wrong.
    """
    with asyncio.Runner() as runner:
        stopped = _Stopped()
        with _signals(runner.get_loop(), stopped):
            try:
                runner.run(_run(work, stopped))
            except asyncio.CancelledError:
                if not stopped.status:
                    raise
                raise Failed(stopped.status) from None
            except KeyboardInterrupt:  # from a question
                write_error("interrupted")
                raise Failed(INTERRUPTED) from None
            except BaseException as error:
                if (status := status_of(error)) is None:
                    raise
                raise Failed(status) from None


def status_of(error: BaseException) -> int | None:
    """Write an error to standard error, and return the exit status.

    Returns:
        The status; None if the error is not one that a command line shows: it is raised on.
    """
    from jtc.storage import StorageConfigException, StorageException  # noqa: PLC0415 - slow

    if isinstance(error, Failed):
        return error.status
    if isinstance(error, UsageError) or not isinstance(error, Exception):
        return None
    if isinstance(error, ExceptionGroup):
        statuses = [status_of(each) for each in error.exceptions]
        return max((status for status in statuses if status is not None), default=FAILED)
    if isinstance(error, (StorageException, OSError)):
        write_error(error)
        return USAGE if isinstance(error, StorageConfigException) else FAILED
    hint = "" if is_debugging() else ". For the traceback, run it again with --debug"
    write_error(error if is_debugging() else f"Unexpected {type(error).__name__}: {error}{hint}")
    return FAILED


async def for_each(places: Iterable[T], work: Callable[[T], Awaitable[None]]) -> None:
    """Do the same with each of several places: where it fails for one, go on with the others.

    Raises:
        Failed: It failed for one: the reason is on standard error.
    """
    failed = False
    for place in places:
        try:
            await work(place)
        except Exception as error:
            if isinstance(error, Failed) or status_of(error) is None:
                raise
            failed = True
    if failed:
        raise Failed


class _Stopped:
    """The exit status of the signal that stopped the work; 0 if none did."""

    status = 0
    task: asyncio.Task[Any] | None = None


async def _run(work: Coroutine[Any, Any, None], stopped: _Stopped) -> None:
    from jtc.storage import Storage  # noqa: PLC0415 - slow

    stopped.task = asyncio.current_task()
    try:
        await work
    finally:
        stopped.task = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSING_SECONDS):
                await Storage.aclose()


@contextlib.contextmanager
def _signals(loop: asyncio.AbstractEventLoop, stopped: _Stopped) -> Iterator[None]:
    """Have Ctrl-C, `kill` and a closed terminal cancel the work; the next one ends at once."""

    def stop(number: int, frame: object) -> None:
        del frame
        if stopped.status:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        stopped.status = 128 + number
        with contextlib.suppress(OSError):  # the terminal is gone
            write_error("interrupted: stopping (Ctrl-C again ends at once)")
        if stopped.task is not None:
            stopped.task.cancel()
        loop.call_soon_threadsafe(_nothing)  # a loop that waits for its sockets wakes up

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # What nohup has a process ignore, it goes on ignoring.
    caught = [each for each in _STOPPING if signal.getsignal(each) is not signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in caught}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _nothing() -> None:
    """Do nothing."""
