"""A tree of files, and what moves it to a store and back: each is a process of its own.

python trees.py up|down STORE ROOT DIRECTORY WIDTH    moves it by ours, WIDTH files at once
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

KIB = 1024
SHARES = ((0.6, 4 * KIB), (0.3, 64 * KIB), (0.09, 512 * KIB), (0.01, 4096 * KIB))
"""The shares of small and of larger files."""


def make_tree(root: Path, count: int) -> None:
    """Write that many files in directories of a hundred."""
    sizes = [size for share, size in SHARES for _ in range(max(1, round(share * count)))]
    for number, size in enumerate(sizes):
        file = root / f"{number % 5}" / f"{number // 100}" / f"{number}.bin"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(os.urandom(size))


def digest_of(files: Iterator[tuple[str, bytes]]) -> str:
    """Return a digest of names and contents."""
    total = hashlib.sha256()
    for name, content in sorted(files):
        total.update(f"{name} {hashlib.sha256(content).hexdigest()}\n".encode())
    return total.hexdigest()


def files_of(root: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the names and contents of a tree."""
    for path in root.rglob("*"):
        if path.is_file():
            yield path.relative_to(root).as_posix(), path.read_bytes()


def commands(
    up: bool, store: dict[str, str], root: Path, directory: str, width: int | None
) -> dict[str, list[str]]:
    """Return the command of each that moves a tree between a bucket and `root`."""
    beside = Path(sys.executable).parent
    bucket, local = store["bucket"], str(root / directory)
    rclone_far, s5cmd_far = f":s3:{bucket}/{directory}", f"s3://{bucket}/{directory}/"
    rclone_width = ["--transfers", str(width), "--checkers", str(width)] if width else []
    return {
        "rclone": [
            f"{beside}/rclone",
            *("copy", *((local, rclone_far) if up else (rclone_far, local))),
            *("--config", "", "--s3-provider", "SeaweedFS", "--s3-region", store["region"]),
            *("--s3-endpoint", store["endpoint_url"], "--s3-no-check-bucket"),
            *("--s3-access-key-id", store["access_key"]),
            *("--s3-secret-access-key", store["secret_key"]),
            *rclone_width,
        ],
        "s5cmd": [
            f"{beside}/s5cmd",
            *("--endpoint-url", store["endpoint_url"], "--log", "error"),
            *(("--numworkers", str(width)) if width else ()),
            *("cp", *((f"{local}/*", s5cmd_far) if up else (f"{s5cmd_far}*", f"{local}/"))),
        ],
    }


def our_command(
    up: bool, store: dict[str, str], root: Path, directory: str, width: int
) -> list[str]:
    """Return the command that moves a tree by ours."""
    way = "up" if up else "down"
    return [sys.executable, __file__, way, json.dumps(store), str(root), directory, str(width)]


async def run(command: list[str], store: dict[str, str]) -> None:
    """Run a command to its end, or raise what it said."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env=os.environ
        | {
            "AWS_ACCESS_KEY_ID": store["access_key"],
            "AWS_SECRET_ACCESS_KEY": store["secret_key"],
            "AWS_REGION": store["region"],
        },
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        _, said = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode:
        raise RuntimeError(f"{command[0]}: {said.decode(errors='replace')[-500:]}")


async def main(way: str, store: dict[str, Any], root: str, directory: str, width: int) -> None:
    from jtc.storage import StorageManager

    disks = {"far": {"driver": "s3", **store}, "near": {"driver": "local", "root": root}}
    async with StorageManager.isolated({"disks": disks}) as manager:
        names = ("near", "far") if way == "up" else ("far", "near")
        source, target = (manager.disk(name) for name in names)
        entries = source.list(directory, recursive=True)

        async def worker() -> None:
            while (entry := await next_entry()) is not None:
                await source.copy(entry.path, entry.path, to=target)

        turn = asyncio.Lock()

        async def next_entry() -> Any:
            async with turn:
                return await anext(entries, None)

        await asyncio.gather(*(worker() for _ in range(width)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], json.loads(sys.argv[2]), *sys.argv[3:5], int(sys.argv[5])))
