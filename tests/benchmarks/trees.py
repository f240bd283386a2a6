"""A tree of files, and what moves it to a store and back by the library alone.

python trees.py up|again|down PLACES WIDTH    WIDTH files at once
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from measuring import MIB

__all__ = ["digests_of", "library_command", "make_tree"]

KIB = 1024


def make_tree(root: Path, small: int, large: int) -> None:
    """Write files of 1 to 100 KiB in directories of a hundred, and some of 64 MiB."""
    numbers = random.Random(0)
    for number in range(small):
        file = root / f"{number // 1000:02}" / f"{number // 100:03}" / f"{number:05}.bin"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(os.urandom(numbers.randint(KIB, 100 * KIB)))
    (root / "large").mkdir(parents=True)
    for number in range(large):
        (root / "large" / f"{number:02}.bin").write_bytes(os.urandom(64 * MIB))


def digests_of(root: Path) -> dict[str, str]:
    """Return the digest of each file below a directory, by its path there."""
    found = {}
    for path in root.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            found[path.relative_to(root).as_posix()] = digest
    return found


def library_command(
    way: str, store: Mapping[str, str], tree: Path, back: Path, width: int | None
) -> list[str]:
    """Return the command that moves a tree by the library."""
    given = json.dumps({"store": dict(store), "tree": str(tree), "back": str(back)})
    return [sys.executable, __file__, way, given, str(width or 16)]


async def main(way: str, store: dict[str, Any], tree: str, back: str, width: int) -> None:
    from jtc.storage import StorageManager

    near = {"driver": "local", "root": back if way == "down" else tree}
    disks = {"far": {"driver": "s3", **store}, "near": near}
    async with StorageManager.isolated({"disks": disks}) as manager:
        name = Path(tree).name
        source, prefix, to = ("far", name, "near") if way == "down" else ("near", "", f"far:{name}")
        plan = await manager.disk(source).plan_sync(prefix, to=to)
        await plan.run(concurrency=width)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], **json.loads(sys.argv[2]), width=int(sys.argv[3])))
