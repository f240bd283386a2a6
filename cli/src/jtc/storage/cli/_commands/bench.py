"""The command `bench`: how fast a disk is."""

import asyncio
import math
import os
import secrets
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from jtc.storage import Disk, IntegrityException, StorageException
from jtc.storage.cli._exits import Failed, UsageError
from jtc.storage.cli._options import Concurrency, Directory, Json, Yes
from jtc.storage.cli._options import size as read_size
from jtc.storage.cli._places.locations import Location, locate
from jtc.storage.cli._running import run
from jtc.storage.cli._terminal.output import size_text, write, write_error, write_json
from jtc.storage.cli._terminal.questions import confirm
from jtc.storage.transfers import DEFAULT_CONCURRENCY

EXAMPLES = (
    "jtc-storage bench s3: --yes",
    "jtc-storage bench --files 500 --size 64K ./uploads",
    "jtc-storage bench --json --yes s3:tmp",
)

_PREFIX = ".jtc-bench-"
_LARGEST = 1024**3
_LANDING_SECONDS = 1.0
"""A request that was sent before Ctrl-C may take effect after what is there was deleted."""


def command(
    path: Directory = ".",
    *,
    files: Annotated[
        int, typer.Option(min=1, max=100_000, metavar="N", help="How many small files.")
    ] = 100,
    size: Annotated[str, typer.Option(metavar="SIZE", help="The size of a small file.")] = "4K",
    large: Annotated[str, typer.Option(metavar="SIZE", help="The size of the large file.")] = "32M",
    transfers: Concurrency = DEFAULT_CONCURRENCY,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Measure how fast a disk is: small files one by one and at once, and a large one.

    It writes below a directory of its own, .jtc-bench-..., and removes that at its end. The
    requests and the bytes cost money where the store charges for them, so that a disk needs a yes.
    """
    small_size, large_size = read_size(size, "--size"), read_size(large, "--large")
    if max(small_size, large_size) > _LARGEST:
        raise UsageError("--size and --large are at most 1G: a file is held in memory")
    location = locate(path)
    if location.is_local and not Path(location.text).is_dir():
        raise UsageError(f"{location.text!r} is not a directory")
    total = size_text(2 * files * small_size + large_size)
    if not location.is_local:
        confirm(
            f"Send {8 * files + 2} requests or more, and {total} there and back, to {path!r}? "
            "A store may charge for them.",
            yes=yes,
        )
    work = _Work(location, files, small_size, large_size, transfers)
    run(_measure(work, json=json))


@dataclass(frozen=True, slots=True)
class _Work:
    """What is measured.

    Attributes:
        location: The directory below which files are written.
        files: The number of small files.
        size: The length in bytes of a small one.
        large: The length in bytes of the large one.
        transfers: How many files are sent at once.
    """

    location: Location
    files: int
    size: int
    large: int
    transfers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Figures:
    """What was measured of one operation.

    Attributes:
        operation: The method.
        files: How many files it was called for.
        size: The length in bytes of each.
        transfers: How many at once.
        median: Seconds of a call.
        p95: Seconds that 95 % of the calls took at most.
        files_per_second: Of all calls together.
        bytes_per_second: The same.
    """

    operation: str
    files: int
    size: int
    transfers: int
    median: float
    p95: float
    files_per_second: float
    bytes_per_second: float


async def _measure(work: _Work, *, json: bool) -> None:
    disk = work.location.disk
    prefix = work.location.within(f"{_PREFIX}{secrets.token_hex(4)}")
    if not json:
        write(f"{'':8} {'size':>6} {'files':>6} {'at once':>8} {'median':>10} {'95 %':>10} "
              f"{'files/s':>9} {'bytes/s':>9}")  # fmt: skip
    try:
        async for figures in _figures(disk, prefix, work):
            if json:
                write_json(asdict(figures))
            else:
                write(_line(figures))
    except BaseException:
        with suppress(Failed):
            await _remove(disk, prefix)
            await asyncio.sleep(_LANDING_SECONDS)
            await _remove(disk, prefix)
        raise
    await _remove(disk, prefix)


async def _remove(disk: Disk, prefix: str) -> None:
    """Delete what was written, or say what is left."""
    try:
        await disk.delete_directory(prefix)
    except StorageException as error:
        write_error(f"{prefix!r} may be left on the disk {disk.name!r}: delete it. {error}")
        raise Failed from None


async def _figures(disk: Disk, prefix: str, work: _Work) -> AsyncIterator[_Figures]:
    for transfers in dict.fromkeys((1, min(work.transfers, work.files))):
        paths = [f"{prefix}/{transfers}/{number:05}" for number in range(work.files)]
        async for figures in _operations(disk, paths, work.size, transfers):
            yield figures
    async for figures in _operations(disk, [f"{prefix}/large"], work.large, 1):
        if figures.operation in {"put", "get"}:
            yield figures


async def _operations(
    disk: Disk, paths: list[str], size: int, transfers: int
) -> AsyncIterator[_Figures]:
    content = os.urandom(size)

    async def put(path: str) -> None:
        await disk.put(path, content)

    async def get(path: str) -> None:
        if await disk.get(path) != content:
            raise IntegrityException(
                "The content is not what was stored", path=path, disk=disk.name, operation="get"
            )

    async def stat(path: str) -> None:
        await disk.stat(path)

    async def delete(path: str) -> None:
        await disk.delete(path)

    for operation in (put, stat, get, delete):
        seconds, whole = await _timed(operation, paths, transfers)
        moves = operation in (put, get)
        yield _Figures(
            operation=operation.__name__,
            files=len(paths),
            size=size,
            transfers=transfers,
            median=statistics.median(seconds),
            p95=sorted(seconds)[math.ceil(0.95 * len(seconds)) - 1],
            files_per_second=len(paths) / whole,
            bytes_per_second=len(paths) * size / whole if moves else 0.0,
        )


async def _timed(
    operation: Callable[[str], Awaitable[None]], paths: list[str], transfers: int
) -> tuple[list[float], float]:
    """Return the seconds of each call, and of all together."""
    seconds: list[float] = []
    waiting = iter(paths)

    async def worker() -> None:
        for path in waiting:
            begun = time.perf_counter()
            await operation(path)
            seconds.append(time.perf_counter() - begun)

    begun = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(transfers):
            group.create_task(worker())
    return seconds, time.perf_counter() - begun


def _line(figures: _Figures) -> str:
    rate = size_text(int(figures.bytes_per_second)) if figures.bytes_per_second else ""
    return (
        f"{figures.operation:8} {size_text(figures.size):>6} {figures.files:>6} "
        f"{figures.transfers:>8} {_milliseconds(figures.median):>10} "
        f"{_milliseconds(figures.p95):>10} {figures.files_per_second:>9,.0f} {rate:>9}"
    ).rstrip()


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:,.2f} ms"
