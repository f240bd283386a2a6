"""How a file comes to be: written without a name, then given its name in one step.

Linux makes a file without a name (O_TMPFILE) that vanishes with the process
(https://man7.org/linux/man-pages/man2/open.2.html). `link` gives it a free name; since `link`
replaces nothing, a name that is taken is replaced by `rename`, from a reserved name that lives for
the time of one system call. Elsewhere the whole file is written under the reserved name.
Directories are made last, so that a put that fails leaves none behind.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import stat
import threading
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Self

from jtc.storage.content import SourceFile
from jtc.storage.drivers.local_driver.locking import locked
from jtc.storage.drivers.local_driver.metadata import (
    declared_by,
    etag_of,
    mode_of,
    write_declared,
)
from jtc.storage.drivers.local_driver.opening import ATTEMPTS, Root, look
from jtc.storage.drivers.local_driver.renaming import rename_exclusively
from jtc.storage.drivers.local_driver.threads import Call, moving, run
from jtc.storage.exceptions import (
    FileExistsException,
    PathConflictException,
    PreconditionFailedException,
    StorageUnavailableException,
)
from jtc.storage.paths import TEMPORARY_PREFIX

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jtc.storage.drivers.local_driver.metadata import Declared
    from jtc.storage.drivers.local_driver.threads import Turn
    from jtc.storage.options import WriteOptions

__all__ = ["Draft", "check_place", "sweep", "write_file", "write_stream"]

_READ_BYTES = 1024 * 1024
_WRITE_BYTES = 4 * 1024 * 1024
_BATCH_BYTES = 1024 * 1024

# A temporary that its process left behind is younger than this only by a clock that was set back.
_STALE_SECONDS = 3600.0

_O_TMPFILE = getattr(os, "O_TMPFILE", 0)
# What file systems and kernels without O_TMPFILE say.
_NO_TMPFILE = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL})


def write_file(
    turn: Turn, root: Root, path: str, content: bytes | SourceFile, options: WriteOptions
) -> str:
    """Write a file whole, or leave what was there; return its etag."""
    try:
        with Draft(root, path, turn) as draft:
            if isinstance(content, bytes):
                draft.write(content)
            else:
                while chunk := content.read(_READ_BYTES):
                    draft.write(chunk)
            return draft.place(options, declared_by(options))
    finally:
        if isinstance(content, SourceFile):
            content.close()


async def write_stream(
    root: Root, path: str, chunks: AsyncIterator[bytes], options: WriteOptions
) -> str:
    """Write what an async source yields, as `write_file` does.

    Chunks are joined to batches, and one batch is written while the next one is gathered: as fast
    as a thread that waits for the source, but no thread waits. Such threads would be used up by a
    few slow uploads, and for ever where the source itself reads from this disk.
    """
    draft: Draft | None = None
    writing: Call[None] | None = None
    try:
        batch: list[bytes] = []
        length = 0
        async for chunk in chunks:
            batch.append(chunk)
            length += len(chunk)
            if length < _BATCH_BYTES:
                continue
            if draft is None:
                draft = await run(_open_draft, root, path, discard=Draft.close)
            if writing is not None:
                await writing.result()
            writing = Call(draft.write_batch, batch)
            batch, length = [], 0
        if draft is None:
            return await run(write_file, root, path, b"".join(batch), options)
        if writing is not None:
            await writing.result()
            writing = None
        return await run(draft.write_last, batch, options)
    finally:
        try:
            if writing is not None:
                await writing.call_off()
        finally:
            if draft is not None:
                await Call(_close_draft, draft).ended()


class Draft:
    """A new file that nobody sees until it is placed; closing it removes what was not placed.

    Args:
        root: The disk's root.
        path: Where the file will be.
        turn: The call that is under way.
    """

    __slots__ = (
        "_directory",
        "_lock",
        "_name",
        "_parent",
        "_root",
        "_temporary",
        "_there",
        "_turn",
        "fd",
    )

    def __init__(self, root: Root, path: str, turn: Turn) -> None:
        self._root = root
        self._turn = turn
        self._lock = threading.Lock()
        self._parent, _, self._name = path.rpartition("/")
        self._open()

    def _open(self) -> None:
        for _ in range(ATTEMPTS):
            # In the nearest directory there is: those below it are made when the file is placed.
            self._directory, self._there = self._root.open_nearest(self._parent, self._turn)
            try:
                self.fd, self._temporary = _open_new(self._directory, self._root)
            except OSError as error:
                # In a directory that was deleted meanwhile, ext4 says EPERM.
                gone = error.errno == errno.ENOENT or not os.fstat(self._directory).st_nlink
                os.close(self._directory)
                if not gone:
                    raise
            else:
                return
        raise _restless()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def write(self, content: bytes) -> None:
        """Write all of it at the end of the file."""
        rest = memoryview(content)
        while rest:
            self._turn.check()
            with moving(self._turn, len(rest)):
                rest = rest[os.write(self.fd, rest[:_WRITE_BYTES]) :]

    def write_batch(self, turn: Turn, batch: list[bytes]) -> None:
        """Write chunks as one, in a call of its own."""
        # Called off in a write that hangs, the draft is closed by another thread: not meanwhile.
        with self._lock:
            turn.check()
            self._turn = turn
            self.write(b"".join(batch))

    def write_last(self, turn: Turn, batch: list[bytes], options: WriteOptions) -> str:
        """Write the last chunks and place the file, in a call of its own."""
        with self._lock:
            turn.check()
            self._turn = turn
            self.write(b"".join(batch))
            return self.place(options, declared_by(options))

    def wait(self) -> Self:
        """Hold only the file's own descriptor until the next write."""
        if self._temporary is None:
            os.close(self._directory)
            self._directory = -1
            self._there = False
        return self

    def place(self, options: WriteOptions, declared: Declared, mode: int | None = None) -> str:
        """Give the file its facts and its name.

        Args:
            options: What must hold of the file that is there, and the new one's visibility.
            declared: What to keep beside the content.
            mode: Permission bits, unless the options say a visibility; None is the umask's.

        Returns:
            The new file's etag.

        Raises:
            PreconditionFailedException: A condition of the options does not hold.
            PathConflictException: What is there is no file.
        """
        etag = self._seal(options, declared, mode)
        for _ in range(ATTEMPTS):
            target = self._open_target(options)
            try:
                with locked(target, self._turn, alone=options.if_match is not None):
                    self._place(target, options)
                    return etag
            except FileNotFoundError:
                self._there = False  # somebody deleted the directory: make it again
            finally:
                if target != self._directory:
                    os.close(target)
        raise _restless()

    def _seal(self, options: WriteOptions, declared: Declared, mode: int | None) -> str:
        if declared:
            write_declared(self.fd, declared)
        if options.visibility is not None:
            mode = mode_of(options.visibility)
        if mode is not None:
            os.fchmod(self.fd, mode)
        # The kernel's own stamp may be one tick (4 ms) for many files: no version to tell.
        now = time.time_ns()
        os.utime(self.fd, ns=(now, now))
        if self._root.durable:
            os.fsync(self.fd)
        etag = etag_of(os.fstat(self.fd))
        if self._temporary is not None:
            # A network file system writes at the close, and may fail there: before the rename.
            descriptor, self.fd = self.fd, -1
            os.close(descriptor)
        return etag

    def _open_target(self, options: WriteOptions) -> int:
        if self._there:
            return self._directory
        if options.if_match is None:
            return self._root.make_directory(self._parent, self._turn)
        try:
            return self._root.open_directory(self._parent)
        except FileNotFoundError as error:
            raise _other_version() from error

    def _place(self, target: int, options: WriteOptions) -> None:
        taken = check_place(target, self._name, options)
        with self._turn:
            if taken or not self._link(target, options):
                self._replace(target)
            if self._root.durable:
                os.fsync(target)

    def _link(self, target: int, options: WriteOptions) -> bool:
        """Give the file a name that was free; False if it is taken meanwhile, and may be."""
        try:
            if self._temporary is None:
                os.link(f"/proc/self/fd/{self.fd}", self._name, dst_dir_fd=target)
            elif options.overwrite:
                return False  # a rename does it in one call, and where there are no links
            else:
                rename_exclusively(self._directory, self._temporary, target, self._name)
                self._temporary = None
        except FileExistsError:
            if options.overwrite:
                return False
            raise
        return True

    def _replace(self, target: int) -> None:
        if self._temporary is not None:
            os.rename(self._temporary, self._name, src_dir_fd=self._directory, dst_dir_fd=target)
            self._temporary = None
            return
        temporary = _temporary_name()
        os.link(f"/proc/self/fd/{self.fd}", temporary, dst_dir_fd=target)
        try:
            os.rename(temporary, self._name, src_dir_fd=target, dst_dir_fd=target)
        except BaseException:
            os.unlink(temporary, dir_fd=target)
            raise

    def close(self) -> None:
        """Let go of the descriptors, and of a file that was not placed."""
        with self._lock:
            if self._temporary is not None:
                with suppress(OSError):  # an error that there may be already tells more
                    os.unlink(self._temporary, dir_fd=self._directory)
                self._temporary = None
            for descriptor in (self.fd, self._directory):
                if descriptor >= 0:
                    os.close(descriptor)
            self.fd = self._directory = -1


def check_place(directory: int, name: str, options: WriteOptions) -> bool:
    """Tell whether a name is taken, by a file that the options let a new one replace.

    Raises:
        PreconditionFailedException: They do not.
        PathConflictException: It is no file.
    """
    there = look(directory, name)
    if there is None:
        if options.if_match is not None:
            raise _other_version()
        return False
    if not stat.S_ISREG(there.st_mode):
        raise PathConflictException("A directory, or what is no file, stands where the file goes")
    if not options.overwrite:
        raise FileExistsException("The file exists already")
    if options.if_match is not None and options.if_match != etag_of(there):
        raise _other_version()
    return True


def sweep(directory: int, name: str) -> None:
    """Remove a temporary that its process, killed in a put, left behind."""
    with suppress(OSError):
        facts = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if not stat.S_ISREG(facts.st_mode) or time.time() - facts.st_ctime < _STALE_SECONDS:
            return
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
        try:
            # The writer of a slow upload holds this lock for as long as it lives.
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(name, dir_fd=directory)
        finally:
            os.close(descriptor)


def _open_new(directory: int, root: Root) -> tuple[int, str | None]:
    """Open a new file for writing; return its descriptor, and its name if it has to have one."""
    if _O_TMPFILE and not root.portable and _has_proc():
        try:
            flags = _O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC
            return os.open(".", flags, 0o666, dir_fd=directory), None
        except OSError as error:
            if error.errno not in _NO_TMPFILE:
                raise
    name = _temporary_name()
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
    descriptor = os.open(name, flags, 0o666, dir_fd=directory)
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    return descriptor, name


@cache
def _has_proc() -> bool:
    """Tell whether there is /proc, by way of which a file without a name gets one."""
    return Path("/proc/self/fd").is_dir()


def _temporary_name() -> str:
    return TEMPORARY_PREFIX + secrets.token_hex(8)


def _open_draft(turn: Turn, root: Root, path: str) -> Draft:
    return Draft(root, path, turn).wait()


def _close_draft(_turn: Turn, draft: Draft) -> None:
    draft.close()


def _other_version() -> PreconditionFailedException:
    return PreconditionFailedException("The file is not the version that if_match names")


def _restless() -> StorageUnavailableException:
    return StorageUnavailableException("The directory is deleted again and again meanwhile")
