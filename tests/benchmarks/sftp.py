"""The SFTP driver beside bare asyncssh, on one OpenSSH server, in turns.

``python tests/benchmarks/sftp.py [ROUNDS]`` prints the medians. A bare put is the open, the write
and the close of asyncssh; "and rename" adds the `posix_rename` without which a put is not whole.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

import asyncssh

from jtc.storage import StorageManager
from jtc.storage.drivers.sftp_driver import SFTPDriver
from openssh import OpenSSH

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from jtc.storage import Disk

_SMALL = bytes(range(256)) * 16
_LARGE = bytes(64 * 1024 * 1024)
_LISTED = 2_000
_REPEATS = {"large": 1, "list": 2}


class _Bare:
    """What a program does with asyncssh alone."""

    def __init__(self, sftp: asyncssh.SFTPClient, root: str) -> None:
        self._sftp, self._root = sftp, root

    async def put(self, name: str, content: bytes) -> None:
        async with self._sftp.open(f"{self._root}/{name}", "wb") as file:
            await file.write(content)

    async def put_and_rename(self, name: str, content: bytes) -> None:
        await self.put("staged", content)
        await self._sftp.posix_rename(f"{self._root}/staged", f"{self._root}/{name}")

    async def get(self, name: str) -> bytes:
        async with self._sftp.open(f"{self._root}/{name}", "rb") as file:
            return await file.read()

    async def stat(self, name: str) -> Any:
        return await self._sftp.stat(f"{self._root}/{name}")

    async def names(self, name: str) -> list[Any]:
        return [entry async for entry in self._sftp.scandir(f"{self._root}/{name}")]


async def _listed(disk: Disk) -> list[Any]:
    return [entry async for entry in disk.list("many")]


def _calls(bare: _Bare, disk: Disk) -> dict[str, tuple[str, list[tuple[str, Any]]]]:
    def put(content: bytes) -> list[tuple[str, Any]]:
        return [
            ("bare", lambda: bare.put("a", content)),
            ("bare and rename", lambda: bare.put_and_rename("a", content)),
            ("ours", lambda: disk.put("b", content)),
        ]

    return {
        "put 4 KiB": ("small", put(_SMALL)),
        "get 4 KiB": (
            "small",
            [("bare", lambda: bare.get("small")), ("ours", lambda: disk.get("small"))],
        ),
        "stat": (
            "small",
            [("bare", lambda: bare.stat("small")), ("ours", lambda: disk.stat("small"))],
        ),
        "put 64 MiB": ("large", put(_LARGE)),
        "get 64 MiB": (
            "large",
            [("bare", lambda: bare.get("large")), ("ours", lambda: disk.get("large"))],
        ),
        "list 2,000": (
            "list",
            [("bare", lambda: bare.names("many")), ("ours", lambda: _listed(disk))],
        ),
    }


async def _seconds(call: Callable[[], Awaitable[Any]], repeats: int) -> float:
    begun = time.perf_counter()
    for _ in range(repeats):
        await call()
    return (time.perf_counter() - begun) / repeats


async def _measure(server: OpenSSH, rounds: int) -> None:
    manager = StorageManager.isolated()
    manager.set_driver(SFTPDriver(**server.options), "sftp")
    disk = manager.disk("sftp")
    await disk.put("small", _SMALL)
    await disk.put("large", _LARGE)
    (server.files / "many").mkdir()
    for number in range(_LISTED):
        (server.files / "many" / f"{number:05}.txt").write_bytes(b"x")
    async with (
        asyncssh.connect(
            "127.0.0.1",
            server.port,
            username=server.username,
            client_keys=[asyncssh.import_private_key(server.private_key)],
            known_hosts=([asyncssh.import_public_key(server.host_key)], [], []),
            compression_algs=["none"],
            config=None,
        ) as connection,
        connection.start_sftp_client() as sftp,
    ):
        for name, (kind, calls) in _calls(_Bare(sftp, str(server.files)), disk).items():
            repeats = _REPEATS.get(kind, 50)
            times: dict[str, list[float]] = {way: [] for way, _ in calls}
            for number in range(rounds):
                # Each is first as often as another.
                for way, call in calls[number % len(calls) :] + calls[: number % len(calls)]:
                    times[way].append(await _seconds(call, repeats))
            medians = {way: statistics.median(each) for way, each in times.items()}
            ratios = {
                way: statistics.median(
                    ours / theirs for ours, theirs in zip(times["ours"], times[way], strict=True)
                )
                for way in medians
            }
            shown = ", ".join(f"{way} {each * 1000:.2f} ms" for way, each in medians.items())
            beside = ", ".join(
                f"{ratio:.2f} x {way}" for way, ratio in ratios.items() if way != "ours"
            )
            sys.stdout.write(f"{name}: {shown}; ours is {beside}\n")
            sys.stdout.flush()
    await manager.aclose()


if __name__ == "__main__":
    with OpenSSH() as served:
        asyncio.run(_measure(served, int(sys.argv[1]) if len(sys.argv) > 1 else 15))
