"""Standard input and output, FIFOs and devices, as sources and targets."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import stat
import threading
from functools import partial
from queue import SimpleQueue
from typing import IO, TYPE_CHECKING, Any

from jtc.storage import StorageException
from jtc.storage.cli._exits import UsageError
from jtc.storage.cli._places.targets import Kind, kind_of
from jtc.storage.cli._running import for_each
from jtc.storage.cli._terminal.output import write_bytes
from jtc.storage.transfers import Action

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from jtc.storage.cli._places.locations import Location
    from jtc.storage.cli._transfers.reporting import Report
    from jtc.storage.cli._transfers.transferring import Choice

__all__ = ["is_special", "put_stream", "write_out", "write_special"]

_CHUNK = 1024 * 1024


def is_special(location: Location) -> bool:
    """Return whether a path of this machine is neither a regular file nor a directory."""
    try:
        mode = os.stat(location.text).st_mode  # noqa: PTH116 - follows /dev/fd/63 as open() does
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


async def put_stream(content: IO[bytes], target: Location, choice: Choice, report: Report) -> None:
    """Put what is read from a stream.

    Raises:
        UsageError: The target is a directory.
        Failed: It failed.
    """
    if target.is_directory_text or await kind_of(target) is Kind.DIRECTORY:
        raise UsageError(f"A stream has no name, and {target.text!r} is a directory: name a file")
    disk, path = target.disk, target.path
    name = f"{disk.name}:{path}"
    if choice.existing == "keep" and await disk.exists(path):
        report.add(Action.SKIP, name)
    elif choice.dry_run:
        report.add(Action.PUT, name)
    else:
        size = 0

        def count(done: int, _total: int | None) -> None:
            nonlocal size
            size = done

        try:
            await disk.put(path, _chunks(content), **choice.options, progress=count)
        except StorageException as error:
            report.add(Action.PUT, name, error=error)
        else:
            report.add(Action.PUT, name, size=size)
    report.finish()


async def _chunks(content: IO[bytes]) -> AsyncIterator[bytes]:
    """Yield what a stream has as it comes. A caller that stops need not wait for its end."""
    loop = asyncio.get_running_loop()
    wanted: SimpleQueue[asyncio.Future[bytes] | None] = SimpleQueue()
    # Of a pool, a thread that waits for a pipe would keep the program from ending.
    threading.Thread(target=_read, args=(content, loop, wanted), daemon=True).start()
    try:
        while True:
            answer: asyncio.Future[bytes] = loop.create_future()
            wanted.put(answer)
            if not (chunk := await answer):
                return
            yield chunk
    finally:
        wanted.put(None)


def _read(
    content: IO[bytes],
    loop: asyncio.AbstractEventLoop,
    wanted: SimpleQueue[asyncio.Future[bytes] | None],
) -> None:
    """Read a stream, a chunk for each future."""
    read: Callable[[int], bytes] = content.read
    with contextlib.suppress(io.UnsupportedOperation):
        # Not by the file object, whose lock the interpreter needs when it ends.
        read = partial(os.read, content.fileno())
    while (answer := wanted.get()) is not None:
        try:
            settle = partial(_settle, answer.set_result, read(_CHUNK))
        except OSError as error:
            settle = partial(_settle, answer.set_exception, error)
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(settle, answer)


def _settle(
    set_outcome: Callable[[Any], None], outcome: object, answer: asyncio.Future[bytes]
) -> None:
    if not answer.done():
        set_outcome(outcome)


async def write_out(sources: Sequence[Location], start: int = 0, end: int | None = None) -> None:
    """Write files, or a range of each, to standard output, one after the other.

    Raises:
        Failed: One failed.
    """

    async def write(source: Location) -> None:
        async with source.disk.stream(source.path, start=start, end=end) as chunks:
            async for chunk in chunks:
                write_bytes(chunk)

    await for_each(sources, write)


async def write_special(source: Location, target: str) -> None:
    """Write a file into a FIFO or a device."""
    with await asyncio.to_thread(open, target, "wb", 0) as file:  # a FIFO waits for its reader
        async with source.disk.stream(source.path) as chunks:
            async for chunk in chunks:
                await asyncio.to_thread(_write_all, file, chunk)


def _write_all(file: IO[bytes], chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:
        rest = rest[file.write(rest) :]
