"""The local driver with what only Linux has, without, and by paths, here and in other processes."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

from jtc.storage.drivers.local_driver import LocalDriver, _workers
from jtc.storage.drivers.local_driver._path_root import PathRoot
from jtc.storage.drivers.local_driver._safe_open import Root
from jtc.storage.paths import RESERVED_DIRECTORY, TEMPORARY_PREFIX

WAYS = ("linux", "portable")
"""With what only Linux has, and with what POSIX and macOS have."""

ALL_WAYS = (*WAYS, "by path")
"""Also the way of Windows. Here, an attribute stands for a stream of NTFS, and `fcntl` locks."""

USUAL_WAY = {"win32": "by path", "linux": "linux"}.get(sys.platform, "portable")
"""That of this system."""


def local_driver(root: Path, way: str, *, durable: bool = False, **options: Any) -> LocalDriver:
    """Make a driver: "linux" with openat2, O_TMPFILE and the rest, "portable" without."""
    driver = LocalDriver(root, durable=durable, **options)
    modes = driver._root.modes
    if way == "by path":
        driver._root = PathRoot(str(root), durable=durable, modes=modes)
    else:
        driver._root = Root(str(root), durable=durable, portable=way == "portable", modes=modes)
    return driver


async def workers_idle() -> None:
    """Wait until the threads of all devices have done all that they were given."""
    for workers in {*_workers._by_device.values(), *_workers._by_root.values()}:
        for executor in (workers._executor, workers._reading):
            if executor is not None:
                await asyncio.to_thread(executor.shutdown)
        workers._after_fork()  # new threads from now on


def make_readable_from_cache(path: Path) -> None:
    """Give a file, or a link, an access time that no read sets: then no worker is needed for it."""
    status = path.lstat()
    times = status.st_ctime_ns + 60 * 10**9, status.st_mtime_ns - 10**9
    os.utime(path, ns=times, follow_symlinks=False)


def names_in(root: Path) -> list[str]:
    """Return the names in a root, sorted, without the reserved directory."""
    return sorted(path.name for path in root.iterdir() if path.name != RESERVED_DIRECTORY)


def temporaries_below(root: Path) -> list[str]:
    """Return the names of the temporary files, in whatever directory."""
    return [
        name for _, _, names in os.walk(root) for name in names if name.startswith(TEMPORARY_PREFIX)
    ]


def descriptors_below(folder: Path, process: int | str = "self") -> list[str]:
    """Return what a process has open below a directory."""
    found = []
    for number in Path(f"/proc/{process}/fd").iterdir():
        try:
            target = str(number.readlink())
        except FileNotFoundError:
            continue
        if target.startswith(str(folder)):
            found.append(target)
    return found


_PREPARE = f"""
import asyncio, io, os, resource, sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parent)!r})
from jtc.storage.exceptions import StorageException
from jtc.storage.models import Visibility
from jtc.storage.options import WriteOptions
from local_ways import local_driver
root = Path(sys.argv[1])
driver = local_driver(root, sys.argv[2], durable="durable" in sys.argv[3:])
"""


def python(code: str, root: Path, way: str, *further: object) -> list[str]:
    """Return the command that runs code in another process, where `driver` is one like ours."""
    program = _PREPARE + textwrap.dedent(code)
    return [sys.executable, "-c", program, str(root), way, *map(str, further)]


def run_python(code: str, root: Path, way: str, **kwargs: Any) -> subprocess.CompletedProcess[str]:
    """Run code in another process to its end."""
    return subprocess.run(
        python(code, root, way), capture_output=True, text=True, check=False, timeout=120, **kwargs
    )
