"""Files of this machine that a download replaces whole or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import stat
import sys
import threading
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from jtc.storage.driver_support.content import Fallible, in_thread
from jtc.storage.exceptions import StorageUnavailableException
from jtc.storage.paths import TEMPORARY_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import FileIO

__all__ = ["LocalFile"]

_BATCH_BYTES = 1024 * 1024
"""Bytes for which a thread is called: writing them takes longer than the call."""

_AHEAD_BYTES = 4 * 1024 * 1024
"""With this many bytes that are not written yet, no more are taken until the thread has ended."""

_MOST_CHUNKS = 1024
"""IOV_MAX of Linux and macOS."""

_SEPARATORS = (os.sep, os.altsep or os.sep)
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_REFUSED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


class LocalFile(Fallible):
    """A new file, written beside the path where it is going to be.

    A worker thread writes what there is, goes on while it finds more, and ends. Nothing is opened
    before there is something to write. The file belongs to its owner only until it is complete;
    then it has the permission bits of the file that it replaces, else those that the umask leaves.

    Args:
        path: Where to; a symbolic link there is replaced itself.

    Raises:
        TypeError: `path` is no path, or one of bytes.
        ValueError: `path` is empty.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__()
        name = os.fspath(path)
        if not isinstance(name, str):
            raise TypeError(f"local_path is a str or os.PathLike[str], not {type(path).__name__}")
        if not name:
            raise ValueError("local_path is empty: name the file to write")
        self._name = name
        self._path = Path(name)
        self._temporary = self._path  # once there is one
        self._taken = 0
        self._task: asyncio.Task[None] | None = None
        # What follows is shared with the worker thread.
        self._chunks: deque[bytes] = deque()
        self._written = 0
        self._lock = threading.Lock()
        self._file: FileIO | None = None
        self._given_up = False
        self._ended = False

    async def write(self, chunk: bytes) -> None:
        """Have a chunk written; return when the next one may follow.

        Raises:
            OSError: The file cannot be written. The error names it, and what to do.
        """
        self._chunks.append(chunk)
        self._taken += len(chunk)
        ahead = self._taken - self._written
        if ahead >= _BATCH_BYTES and (self._task is None or self._task.done()):
            await self._call(self._write)
        if ahead >= _AHEAD_BYTES:
            await self._settled()

    async def place(self) -> None:
        """Write the rest, and put the file in the place of the one before.

        Raises:
            OSError: The file cannot be written. The error names it, and what to do.
        """
        await self._call(self._write_last)
        await self._settled()

    async def discard(self) -> None:
        """Remove what was written, unless it was placed; return when nothing changes any more."""
        if self._ended or self._task is None:
            return
        self._given_up = True
        self._task.cancel()
        if self._lock.acquire(blocking=False):  # no thread is at work, and none will begin
            nothing = self._file is None
            self._lock.release()
            if nothing:
                return
        try:
            removal = asyncio.ensure_future(in_thread(self._remove))
            removal.add_done_callback(_ignored)
            await asyncio.shield(removal)
        except StorageUnavailableException:  # no thread can be started
            self._remove()

    async def _call(self, function: Callable[[], None]) -> None:
        """Call a thread once the one before has ended."""
        await self._settled()
        self._task = asyncio.get_running_loop().create_task(in_thread(function))
        self._task.add_done_callback(_ignored)

    async def _settled(self) -> None:
        if self._task is not None:
            await self._task

    def _write(self) -> None:
        """Write what there is, in a worker thread."""
        with self._lock, self._failing():
            if not self._given_up:
                self._append(_BATCH_BYTES)

    def _write_last(self) -> None:
        """Write the rest, and replace the file, in a worker thread."""
        with self._lock, self._failing():
            if self._given_up:
                return
            file = self._append(1)
            if sys.platform != "win32":  # there the directory says who may read its files
                os.fchmod(file.fileno(), self._mode())
            file.close()  # some file systems say only now that there is no room
            if not self._given_up:
                self._temporary.replace(self._path)
                self._ended = True

    def _remove(self) -> None:
        """Remove the temporary file once no thread writes it, in a worker thread."""
        with self._lock:
            if self._file is None or self._ended:
                return
            self._ended = True
            with contextlib.suppress(OSError):
                self._file.close()
            with contextlib.suppress(OSError):
                self._temporary.unlink()

    def _append(self, least: int) -> FileIO:
        """Write what there is, while it is at least `least` bytes; return the open file."""
        if self._file is None:
            self._file = self._open()
        while self._taken - self._written >= least and not self._given_up:
            batch = [self._chunks.popleft() for _ in range(len(self._chunks))]
            _write_all(self._file, batch)
            self._written += sum(map(len, batch))
        return self._file

    def _open(self) -> FileIO:
        """Create the temporary file, where no directory or device is in its way."""
        self._path = self._path.absolute()  # the working directory may change
        mode = self._mode_there()
        if mode is not None and stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, "")
        if mode is not None and not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "A device or a pipe is there")
        if self._name.endswith(_SEPARATORS):
            raise FileNotFoundError(errno.ENOENT, "")
        self._temporary = self._beside()
        return open(self._temporary, "xb", buffering=0, opener=_private)

    def _mode(self) -> int:
        """Return the permission bits of the file that is replaced, else those of a new file."""
        if (mode := self._mode_there()) is not None:
            return stat.S_IMODE(mode) & 0o777
        # The umask cannot be read without a change that other threads would see.
        probe = self._beside()
        descriptor = os.open(probe, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        try:
            probe.unlink()
            return stat.S_IMODE(os.fstat(descriptor).st_mode)
        finally:
            os.close(descriptor)

    def _mode_there(self) -> int | None:
        """Return the mode of what is replaced; None where a link leads to itself or to nothing."""
        try:
            return self._path.stat().st_mode
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            return None

    def _beside(self) -> Path:
        return self._path.with_name(TEMPORARY_PREFIX + os.urandom(8).hex())

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        """Name the path, and what to do, in a system error of the block."""
        try:
            yield
        except OSError as error:
            self.failure = OSError(error.errno, _advice(error), self._name)
            raise self.failure from error
        except ValueError as error:  # a null character
            self.failure = error
            raise


def _write_all(file: FileIO, batch: list[bytes]) -> None:
    """Write chunks by one system call, for each may have to wait for the interpreter's lock."""
    for at in range(0, len(batch), _MOST_CHUNKS):
        chunks = batch[at : at + _MOST_CHUNKS]
        if sys.platform == "win32":
            written = file.write(b"".join(chunks))
        else:
            written = os.writev(file.fileno(), chunks)
        if written < sum(map(len, chunks)):
            rest = memoryview(b"".join(chunks))[written:]
            while rest:
                rest = rest[file.write(rest) :]


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _ignored(task: asyncio.Task[None]) -> None:
    """Read a task's error, so that it is not reported if no one waits for it any more."""
    if not task.cancelled():
        task.exception()


def _advice(error: OSError) -> str:
    """Return what is wrong with a local path, and what to do."""
    number = error.errno
    if number == errno.ENOENT:
        return "There is no such directory to write the file to: make it first"
    if number == errno.ENOTDIR:
        return "A file is in the way where a directory is needed: name another path"
    if number == errno.ELOOP:
        return "A symbolic link in this path leads to itself: name another path"
    if number == errno.EISDIR:
        return "A directory is there: name the file in it"
    if number in _FULL:
        return "There is no room for the file: free some, or name a path on another file system"
    if number in _REFUSED:
        return "This process may not write the file: name a directory that it may write to"
    words = error.strerror or (os.strerror(number) if number else str(error))
    return f"The file cannot be written: {words}"
