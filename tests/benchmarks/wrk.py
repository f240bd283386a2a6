"""Load by wrk on what serves a directory: requests per second, and percentiles of the latency.

The ways take turns, a second each. Where wrk or nginx is not installed, its rows or ways are left
out, and the page says so.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack, contextmanager
from email.utils import formatdate
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from measuring import Row

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from nginx import NGINX, write_configuration

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["KINDS", "STATIC", "loaded", "missing_tools"]

WRK = shutil.which("wrk")
STATIC = "Starlette's StaticFiles"
FRONTS = ("behind nginx, X-Accel-Redirect", "behind nginx's cache", "nginx alone")
_CONNECTIONS = 64
_MILLISECONDS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


_WRITTEN = 1_600_000_000
"""When the files were written, in seconds since 1970."""


class Kind(NamedTuple):
    """A kind of request.

    Attributes:
        work: Its name in rows.
        name: The file.
        header: A header.
    """

    work: str
    name: str
    header: str = "Accept: */*"


# nginx takes no later date than the file's own for "not modified".
KINDS = (
    Kind("1 KiB", "1k.bin"),
    Kind("64 KiB", "64k.bin"),
    Kind("1 MiB", "1m.bin"),
    Kind("64 KiB of 1 MiB, by a range", "1m.bin", "Range: bytes=65536-131071"),
    Kind("304 for 1 KiB", "1k.bin", f"If-Modified-Since: {formatdate(_WRITTEN, usegmt=True)}"),
)


def missing_tools() -> list[str]:
    """Return what is not installed."""
    return [name for name, found in (("wrk", WRK), ("nginx", NGINX)) if found is None]


async def loaded(
    root: Path, server: tuple[int, int], paths: dict[str, str], kinds: int, rounds: int
) -> list[Row]:
    """Compare all ways under load; return three rows for each kind of request.

    Args:
        root: The directory that is served.
        server: The application's port, and its process.
        paths: The path of the directory by way, in the application. At ``/storage`` it must answer
            with ``X-Accel-Redirect``; where there is a query, with content that a cache may keep.
        kinds: How many kinds of requests, for each of which there are four rows.
        rounds: The number of rounds.
    """
    if WRK is None:
        return []
    for name, size in (("1k.bin", 1024), ("64k.bin", 65_536), ("1m.bin", 1024 * 1024)):
        (root / name).write_bytes(bytes(size))
        os.utime(root / name, (_WRITTEN, _WRITTEN))
    port, process = server
    rows: list[Row] = []
    with ExitStack() as stack:
        bases = {way: f"http://127.0.0.1:{port}{path}/{{}}" for way, path in paths.items()}
        if NGINX is not None:
            bases |= stack.enter_context(_fronts(root, port))
        for url in bases.values():
            for name in {kind.name for kind in KINDS}:
                urllib.request.urlopen(url.format(name)).read()  # into caches
        for kind in KINDS[:kinds]:
            rows += await _compare(kind, bases, process, rounds)
    return rows


async def _compare(kind: Kind, bases: dict[str, str], process: int, rounds: int) -> list[Row]:
    rows = tuple(
        Row(f"{kind.work}, {what}", unit, {way: [] for way in bases})
        for what, unit in (
            ("64 connections", "requests/s"),
            ("the median of 64 connections", "ms"),
            ("the 99th percentile of 64 connections", "ms"),
            ("the application's processor time a request", "µs"),
        )
    )
    order = list(bases)
    for _ in range(rounds):
        for way in order:
            before = _processor_seconds(process)
            requests, *figures = await asyncio.to_thread(_load, kind, bases[way].format(kind.name))
            spent = _processor_seconds(process) - before
            for row, figure in zip(rows, (*figures, spent / requests * 1e6), strict=True):
                row.wall[way].append(figure)
        order.append(order.pop(0))
    return list(rows)


def _processor_seconds(process: int) -> float:
    """Return the processor time of a process, all threads."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _load(kind: Kind, url: str) -> tuple[float, float, float, float]:
    """Return the requests, those per second, and the median and 99th percentile of ms."""
    command = [str(WRK), "-t1", f"-c{_CONNECTIONS}", "-d1", "--latency", "--timeout", "10", "-H"]
    said = subprocess.run(
        [*command, kind.header, url], check=True, capture_output=True, text=True
    ).stdout
    assert "Non-2xx" not in said, said
    assert "Socket errors" not in said, said
    rate = float(re.findall(r"Requests/sec: +([\d.]+)", said)[0])
    median, high = (
        float(figure) * _MILLISECONDS[unit]
        for figure, unit in re.findall(r"(?:50|99)% +([\d.]+)(\w+)", said)
    )
    count = int(re.findall(r"(\d+) requests in", said)[0])
    return count, rate, median, high


@contextmanager
def _fronts(root: Path, port: int) -> Iterator[dict[str, str]]:
    """Run nginx in front of the application, and give the URL of its files by way."""
    accelerated, cached, alone = (_free_port() for _ in FRONTS)
    folder = root.parent / "nginx"
    folder.mkdir()
    directory = f"server {{ listen 127.0.0.1:{alone}; location /storage/ {{ alias {root}/; }} }}"
    configuration = write_configuration(
        folder, root, f"127.0.0.1:{port}", (accelerated, cached), directory
    )
    server = subprocess.Popen([str(NGINX), "-c", str(configuration), "-p", str(folder)])
    try:
        _wait_for(alone)
        places = (
            f"{accelerated}/storage/{{}}",
            f"{cached}/storage/{{}}?cached",
            f"{alone}/storage/{{}}",
        )
        yield {way: f"http://127.0.0.1:{place}" for way, place in zip(FRONTS, places, strict=True)}
    finally:
        server.terminate()
        server.wait()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait_for(port: int) -> None:
    for _ in range(500):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError(f"nginx does not listen on {port}")
