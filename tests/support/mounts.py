"""Real file systems of other kinds, mounted by their FUSE drivers."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# (make the file system, mount it): by the names of their packages in Debian.
KINDS = {
    "FAT": (["mkfs.vfat"], ["fusefat", "-o", "rw+"]),
    "NTFS": (["mkfs.ntfs", "-F", "-q", "-f"], ["lowntfs-3g", "-o", "ignore_case"]),
    "NTFS with streams": (
        ["mkfs.ntfs", "-F", "-q", "-f"],
        ["ntfs-3g", "-o", "streams_interface=windows"],
    ),
}
# A user's PATH may lack what makes file systems.
PATH = f"{os.environ['PATH']}{os.pathsep}/usr/sbin{os.pathsep}/sbin"


def mounted(kind: str, folder: Path) -> Iterator[Path]:
    """Mount a new file system of a kind below a directory, and yield where, as a fixture does."""
    make, mount = map(list, KINDS[kind])
    for command in (make, mount):
        found = shutil.which(command[0], path=PATH)
        if found is None:
            pytest.skip(f"{command[0]} is not installed")
        command[0] = found
    if os.geteuid():
        pytest.skip("mounting needs root")
    image, place = folder / "image", folder / "mounted"
    with image.open("wb") as file:
        file.truncate(64 * 1024 * 1024)
    place.mkdir()
    subprocess.run([*make, str(image)], check=True, capture_output=True)
    # What it says goes to a file: the process that stays behind would hold a pipe open.
    with (folder / "said").open("wb") as said:
        subprocess.run([*mount, str(image), str(place)], check=False, stdout=said, stderr=said)
    if not place.is_mount():
        pytest.skip(f"{kind} cannot be mounted here: {(folder / 'said').read_text().strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)
