"""A tree of files, and what it has."""

from __future__ import annotations

import hashlib
import os
import random
from pathlib import Path

from measuring import MIB

__all__ = ["digests_of", "make_tree"]

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
