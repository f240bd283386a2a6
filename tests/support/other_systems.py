"""What Python has on Windows and on macOS, on Linux: what those lack is taken away.

Run as a script, `python other_systems.py win32|darwin CODE ROOT`, it becomes such a system and runs
code; with "win32 on NTFS" the file system below has streams of its own. It is no such system: the
file system below is Linux's. On "Windows",

- `os` has no calls for descriptors of directories, and no `fork`; `fcntl` and others are missing;
- ``a:b`` is a stream of the file ``a``, which goes with it, and no name of a listing;
- a file that this process has open can be neither replaced nor deleted, as Python opens files;
- `os.rename` replaces nothing, and `msvcrt.locking` locks ranges.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import struct
import sys
import threading
from types import ModuleType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable

ON_LINUX_ONLY = (
    "O_NOATIME", "O_PATH", "O_TMPFILE", "RWF_NOWAIT", "copy_file_range", "getxattr", "listxattr",
    "removexattr", "setxattr",
)  # fmt: skip
ON_POSIX_ONLY = (
    "O_CLOEXEC", "O_DIRECTORY", "O_NOCTTY", "O_NOFOLLOW", "O_NONBLOCK", "SEEK_DATA", "SEEK_HOLE",
    "chown", "fchmod", "fchown", "fdatasync", "fork", "geteuid", "getgid", "getuid", "mkfifo",
    "posix_fadvise", "pread", "preadv", "pwrite", "pwritev", "readv", "register_at_fork",
    "sendfile", "setsid", "statvfs", "sysconf", "writev",
)  # fmt: skip
POSIX_MODULES = ("fcntl", "grp", "posix", "pty", "pwd", "resource", "termios")
BY_DIRECTORY = {
    "link": ("src_dir_fd", "dst_dir_fd"),
    "mkdir": ("dir_fd",),
    "open": ("dir_fd",),
    "rename": ("src_dir_fd", "dst_dir_fd"),
    "replace": ("src_dir_fd", "dst_dir_fd"),
    "rmdir": ("dir_fd",),
    "stat": ("dir_fd",),
    "unlink": ("dir_fd",),
}
SHARING_VIOLATION, ACCESS_DENIED = 32, 5


def become(platform: str, *, has_streams: bool = False) -> None:
    """Make this process look like one on another system; jtc.storage is not to be imported yet."""
    import aiofiles.threadpool  # noqa: F401 - it looks at the system, and is not ours

    assert not [name for name in sys.modules if name.startswith("jtc.storage.drivers.local")]
    if platform == "win32":
        _make_locking()
        for name in POSIX_MODULES:
            sys.modules[name] = None  # type: ignore[assignment]
        _become_windows(has_streams=has_streams)
    else:
        import fcntl

        fcntl.F_FULLFSYNC = 51  # type: ignore[attr-defined]
    for name in ON_LINUX_ONLY + (ON_POSIX_ONLY if platform == "win32" else ()):
        if hasattr(os, name):
            delattr(os, name)
    sys.platform = platform


def _make_locking() -> None:
    import fcntl

    msvcrt: Any = ModuleType("msvcrt")
    msvcrt.LK_NBLCK, msvcrt.LK_UNLCK = 2, 0
    modes = {msvcrt.LK_NBLCK: fcntl.F_WRLCK, msvcrt.LK_UNLCK: fcntl.F_UNLCK}
    call, command = fcntl.fcntl, fcntl.F_OFD_SETLK

    def locking(descriptor: int, mode: int, count: int) -> None:
        place = os.lseek(descriptor, 0, os.SEEK_CUR)
        assert place < 2**31
        try:
            call(descriptor, command, struct.pack("hhqqi4x", modes[mode], 0, place, count, 0))
        except OSError as error:
            raise PermissionError(errno.EACCES, "Permission denied") from error

    msvcrt.locking = locking
    sys.modules["msvcrt"] = msvcrt


def _become_windows(*, has_streams: bool) -> None:
    os.O_BINARY, os.O_NOINHERIT = 0, os.O_CLOEXEC  # type: ignore[attr-defined]
    plain = {name: getattr(os, name) for name in (*BY_DIRECTORY, "scandir", "utime", "lstat")}
    library = ctypes.CDLL

    def no_library(name: str | None, *args: Any, **kwargs: Any) -> Any:
        if name is None:
            raise TypeError("bad argument type for built-in operation")
        return library(name, *args, **kwargs)

    ctypes.CDLL = no_library  # type: ignore[assignment, misc]

    def by_name(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            for keyword in BY_DIRECTORY[name]:
                if kwargs.pop(keyword, None) is not None:
                    raise NotImplementedError(f"{keyword} unavailable on this platform")
            return function(*map(_plain_name, args), **kwargs)

        return call

    files = _Files(plain, has_streams=has_streams)
    for name in BY_DIRECTORY:
        setattr(os, name, by_name(name, getattr(files, name, plain[name])))
    os.scandir = files.scandir  # type: ignore[assignment]
    os.utime = files.utime
    os.lstat = lambda path: plain["lstat"](_plain_name(path))


def _plain_name(argument: Any) -> Any:
    """Return a path without the prefix of long ones."""
    return argument.removeprefix("\\\\?\\") if isinstance(argument, str) else argument


def _streams_of(path: str) -> str:
    """Return how the names of the files begin that stand for a file's streams."""
    folder, _, name = path.rpartition("/")
    return f"{folder}/:{hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()}:"


class _Files:
    """Files as Windows has them."""

    def __init__(self, plain: dict[str, Callable[..., Any]], *, has_streams: bool) -> None:
        self._plain = plain
        self._has_streams = has_streams
        self._lock = threading.RLock()

    def open(self, path: str, flags: int, mode: int = 0o777) -> int:
        """Open a file, and no directory."""
        path = os.fspath(path)
        stream = path.rpartition("/")[2].partition(":")[2]
        if stream and not self._has_streams:
            file = path.removesuffix(f":{stream}")
            self._plain["stat"](file)
            path = f"{_streams_of(file)}{stream}"
        if os.path.isdir(path):  # noqa: PTH112
            raise PermissionError(errno.EACCES, "Permission denied", path)
        opened: int = self._plain["open"](path, flags, mode)
        return opened

    def utime(self, path: str, times: Any = None, *, ns: tuple[int, ...] = ()) -> None:
        """Set the times of a path, in steps of 100 ns."""
        assert not isinstance(path, int)
        self._plain["utime"](
            _plain_name(path), times, **{"ns": tuple(t - t % 100 for t in ns)} if ns else {}
        )

    def rename(self, old: str, new: str) -> None:
        """Rename to a free name."""
        with self._lock:
            if os.path.lexists(new):
                raise FileExistsError(errno.EEXIST, "File exists", new)
            self.replace(old, new)

    def replace(self, old: str, new: str) -> None:
        """Rename a file that is not open, in place of one that is not open."""
        old, new = os.fspath(old), os.fspath(new)
        with self._lock:
            self._check(old, SHARING_VIOLATION)
            self._check(new, ACCESS_DENIED)
            self._drop_streams(new)
            self._plain["rename"](old, new)
            for stream in self._streams(old):
                self._plain["rename"](stream, _streams_of(new) + stream.rpartition(":")[2])

    def unlink(self, path: str) -> None:
        """Delete a file that is not open, with its streams."""
        path = os.fspath(path)
        self._check(path, SHARING_VIOLATION)
        self._plain["unlink"](path)
        self._drop_streams(path)

    def scandir(self, path: str = ".") -> _Entries:
        """List what is no stream."""
        assert not isinstance(path, int)
        return _Entries(self._plain["scandir"](_plain_name(path)))

    def _streams(self, path: str) -> list[str]:
        try:
            found = (
                [] if self._has_streams else list(self._plain["scandir"](path.rpartition("/")[0]))
            )
        except FileNotFoundError:
            return []
        return [entry.path for entry in found if entry.path.startswith(_streams_of(path))]

    def _drop_streams(self, path: str) -> None:
        for stream in self._streams(path):
            self._plain["unlink"](stream)

    @staticmethod
    def _check(path: str, number: int) -> None:
        for descriptor in os.listdir("/proc/self/fd"):  # noqa: PTH208
            try:
                opened = os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115
            except OSError:
                continue
            if opened == path:
                error = PermissionError(errno.EACCES, "The file is open", path)
                error.winerror = number  # type: ignore[attr-defined]
                raise error


class _Entries:
    """The entries of a directory, to be used as `os.scandir` gives them."""

    def __init__(self, entries: Any) -> None:
        self._entries = entries

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._entries.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        return next(entry for entry in self._entries if ":" not in entry.name)


if __name__ == "__main__":
    system, _, volume = sys.argv[1].partition(" on ")
    become(system, has_streams=volume == "NTFS")
    exec(compile(sys.argv[2], "<code>", "exec"), {"ROOT": sys.argv[3]})
