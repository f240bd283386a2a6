"""Places on the command line: ``disk:path``, and the files of this machine."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jtc.storage.cli._exits import UsageError

if TYPE_CHECKING:
    from jtc.storage import Disk, FileNotFoundException

__all__ = [
    "STANDARD",
    "Location",
    "disk_names",
    "locate",
    "split",
]

STANDARD = "-"
"""Standard input or output, for the commands that take it."""

_DRIVE = re.compile(r"[A-Za-z]:(?:[\\/]|$)")

# A disk of each directory of this machine, by its name: the directory.
_local_disks: dict[str, Disk] = {}


@dataclass(frozen=True, slots=True)
class Location:
    """A file or directory, or a place for one.

    Attributes:
        disk: Its disk. A file of this machine is on a disk, too, whose root is a directory above.
        path: The path on the disk, without a slash at its end; ``""`` is the root.
        is_local: It is on this machine, and was not written with a disk's name.
        text: How it was written.
    """

    disk: Disk
    path: str
    is_local: bool
    text: str

    @property
    def is_directory_text(self) -> bool:
        """Whether it was written as a directory: with a slash at its end, or as a whole disk."""
        return self.path == "" or self.text.endswith(("/", os.sep))

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    def within(self, path: str) -> str:
        """Return the path on the disk of one that is relative to this location."""
        return f"{self.path}/{path}" if self.path and path else self.path or path

    def text_of(self, path: str) -> str:
        """Return a path that is relative to this location as the command line takes it."""
        if not path:
            return self.text
        ends = self.text.endswith(("/", os.sep)) or not (self.is_local or self.path)
        return f"{self.text}{'' if ends else '/'}{path}"

    def relative(self, path: str) -> str:
        """Return a path of the disk relative to this location, as listings show it."""
        return path[len(self.path) + 1 :] if self.path else path

    def missing(self, operation: str) -> FileNotFoundException:
        """Return the error of an operation that there is nothing at this location."""
        from jtc.storage import FileNotFoundException  # noqa: PLC0415 - slow

        return FileNotFoundException(
            f"There is no file or directory {self.text!r}{_bucket_note(self)}",
            path=self.path,
            disk=self.disk.name,
            operation=operation,
        )


def locate(text: str, *, follow: bool = True) -> Location:
    """Return the disk and the path that a text of the command line names.

    Args:
        text: ``disk:path``, or a path of this machine. ``./a:b`` and ``/a:b`` are files.
        follow: Where the last part of a path of this machine is a link, take what it leads to.
            Otherwise the disk refuses it.

    Raises:
        UsageError: There is no disk of that name, the text is empty, or it is a URL.
        StorageConfigException: The configuration cannot be read.
    """
    from jtc.storage import Storage  # noqa: PLC0415 - slow

    disk, path = split(text)
    if disk is None:
        return _locate_local(path, text, follow=follow)
    known = disk_names()
    if disk not in known and disk != "default":
        raise UsageError(_no_such_disk(disk, known, text))
    if path.startswith("//"):
        parts = path.strip("/").split("/")
        raise UsageError(
            f"{text!r} is a URL. The disk {disk!r} is a bucket already: write "
            f"'{disk}:{'/'.join(parts[1:])}', without the bucket's name"
        )
    path = path.removeprefix("/").rstrip("/")
    return Location(Storage.disk(disk), path, is_local=False, text=text)


def _bucket_note(location: Location) -> str:
    """Return how a path is written without the name of its bucket; empty if it has none."""
    from jtc.storage.layer import unwrap  # noqa: PLC0415 - slow

    first, _, rest = location.path.partition("/")
    store = "" if location.is_local else getattr(unwrap(location.disk.driver), "location", None)
    if not store or store.rstrip("/").rpartition("/")[2] != first:
        return ""
    disk = location.text.partition(":")[0]
    return f" (the disk is the bucket {first!r} already: write '{disk}:{rest}')"


def split(text: str, *, windows: bool = os.name == "nt") -> tuple[str | None, str]:
    r"""Split a text into the name of a disk and a path; without a disk's name, it is None.

    Args:
        text: A text of the command line.
        windows: Read drives (``C:\``) and backslashes as Windows does.

    Raises:
        UsageError: The text is empty, or names standard input or output.
    """
    if not text:
        raise UsageError("A path is empty: the current directory is '.', a whole disk is 'disk:'")
    if text == STANDARD:
        raise UsageError("'-' is not taken here; a file of this name is './-'")
    disk, colon, path = text.partition(":")
    separators = "/\\" if windows else "/"
    if not colon or not disk or any(each in disk for each in separators):
        return None, text
    if windows and _DRIVE.match(text):
        return None, text
    return disk, path


def disk_names() -> list[str]:
    """Return the names of the disks: those configured, or else the drivers that are installed.

    Raises:
        StorageConfigException: The configuration cannot be read.
    """
    from jtc.storage import Storage  # noqa: PLC0415 - slow

    names = set(Storage.disks()) - _local_disks.keys()
    if not os.environ.get("FILESYSTEM_CONFIG"):
        names.update(Storage.drivers())
    return sorted(names)


def _locate_local(path: str, text: str, *, follow: bool) -> Location:
    whole = os.path.realpath(path)
    if not follow and not text.endswith(("/", os.sep)):
        parent, name = os.path.split(os.path.abspath(path))  # noqa: PTH100 - resolves no link
        whole = str(Path(os.path.realpath(parent), name))
    root = Path(whole)
    parts: list[str] = []
    # A directory that a file system is mounted on is the root of a disk of its own.
    while not parts or not root.is_dir():
        if root.parent == root or (not parts and root.is_mount()):
            break
        parts.append(root.name)
        root = root.parent
    disk = _local_disk(str(root))
    return Location(disk, "/".join(reversed(parts)), is_local=True, text=text)


def _local_disk(root: str) -> Disk:
    if root not in _local_disks:
        from jtc.storage import Storage  # noqa: PLC0415 - slow
        from jtc.storage.cli._places.local_driver import MachineFiles  # noqa: PLC0415 - slow

        Storage.set_driver(MachineFiles(root), root)
        _local_disks[root] = Storage.disk(root)
    return _local_disks[root]


def _no_such_disk(disk: str, known: list[str], text: str) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - imported only for a message

    close = get_close_matches(disk, known, 1, 0.5)
    meant = f" Did you mean '{close[0]}:{text.partition(':')[2]}'?" if close else ""
    there = ", ".join(known) or "none: configure one in the file that FILESYSTEM_CONFIG names"
    if not os.environ.get("FILESYSTEM_CONFIG"):
        there += " (the drivers: other names are in the file of --config or FILESYSTEM_CONFIG)"
    return (
        f"There is no disk {disk!r}.{meant} There are: {there}. A file of this name is './{text}'"
    )
