"""Copies, made by the kernel where it can, and moves, which are renames where they can be."""

from __future__ import annotations

import errno
import os
import stat
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

from jtc.storage.drivers.local_driver._locking import locked
from jtc.storage.drivers.local_driver._metadata import declared_by, etag_of, read_declared
from jtc.storage.drivers.local_driver._renaming import NoExclusiveRename, rename_exclusively
from jtc.storage.drivers.local_driver._safe_open import ATTEMPTS, Root, look
from jtc.storage.drivers.local_driver._staged_file import Draft, check_place
from jtc.storage.exceptions import (
    FileNotFoundException,
    PreconditionFailedException,
    StorageUnavailableException,
)

if TYPE_CHECKING:
    from jtc.storage.drivers.local_driver._worker_calls import Turn
    from jtc.storage.options import WriteOptions

__all__ = ["copy_file", "move_file"]

# A call per piece, so that a cancelled copy ends soon.
_KERNEL_BYTES = 64 * 1024 * 1024
_PIECE = 1024 * 1024
# What kernels and file systems say that cannot copy between two files.
_NO_KERNEL_COPY = frozenset(
    {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM}
)


def copy_file(turn: Turn, root: Root, src: str, dst: str, options: WriteOptions) -> str:
    """Copy a file with what was declared of it and its mode; return the new file's etag."""
    return _copy(turn, root, src, dst, options)[1]


def move_file(turn: Turn, root: Root, src: str, dst: str, options: WriteOptions) -> str:
    """Move a file; return its etag.

    A file that gets new facts is copied with them and then deleted, as is one that moves to
    another file system below the root, and where `overwrite=False` needs links that the file system
    lacks: readers may then find it under both names for a moment.
    """
    if src != dst and not declared_by(options) and options.visibility is None:
        try:
            return _rename(turn, root, src, dst, options)
        except NoExclusiveRename:
            pass
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
    old, new = _copy(turn, root, src, dst, options)
    if src != dst:
        _delete_version(turn, root, src, old)
    return new


def _copy(turn: Turn, root: Root, src: str, dst: str, options: WriteOptions) -> tuple[str, str]:
    """Copy a file; return the etags of the source and of the copy."""
    try:
        source, facts = root.open_file(src)
    except FileNotFoundError as error:
        raise FileNotFoundException("File not found", path=src) from error
    try:
        etag = _expected(facts, src, options)
        if src == dst:
            return etag, etag
        with Draft(root, dst, turn) as draft:
            _copy_content(turn, root, source, draft)
            declared = read_declared(source) | declared_by(options)
            return etag, draft.place(options, declared, stat.S_IMODE(facts.st_mode) & 0o777)
    finally:
        os.close(source)


def _copy_content(turn: Turn, root: Root, source: int, draft: Draft) -> None:
    if sys.platform == "linux" and not root.portable:
        try:
            # Shares the blocks where the file system can (Btrfs, XFS), as FICLONE does.
            while os.copy_file_range(source, draft.fd, _KERNEL_BYTES):
                turn.check()
        except OSError as error:
            if error.errno not in _NO_KERNEL_COPY:
                raise
    while chunk := os.read(source, _PIECE):
        draft.write(chunk)


def _rename(turn: Turn, root: Root, src: str, dst: str, options: WriteOptions) -> str:
    parent, _, name = src.rpartition("/")
    new_parent, _, new_name = dst.rpartition("/")
    alone = options.if_source_match is not None or not options.overwrite
    for _ in range(ATTEMPTS):
        with ExitStack() as held:
            try:
                source = root.open_directory(parent)
            except (FileNotFoundError, NotADirectoryError) as error:
                raise FileNotFoundException("File not found", path=src) from error
            held.callback(os.close, source)
            _expected(look(source, name), src, options)  # before a directory is made for nothing
            target = root.make_directory(new_parent, turn)
            held.callback(os.close, target)
            _lock_both(held, turn, source, target, alone=alone)
            facts = look(source, name)
            etag = _expected(facts, src, options)
            taken = check_place(target, new_name, options)
            with turn:
                try:
                    if options.overwrite:
                        os.rename(name, new_name, src_dir_fd=source, dst_dir_fd=target)
                    else:
                        rename_exclusively(source, name, target, new_name)
                except FileNotFoundError:
                    continue  # somebody deleted the directory: make it again
                if taken and look(source, name) == facts:
                    # Two names of one file, made by another program: rename() leaves both.
                    os.unlink(name, dir_fd=source)
                if root.durable:
                    os.fsync(target)
                    os.fsync(source)
            return etag
    raise StorageUnavailableException("The directory is deleted again and again meanwhile")


def _lock_both(held: ExitStack, turn: Turn, source: int, target: int, *, alone: bool) -> None:
    """Lock the directories of a move, the source's `alone` where a condition depends on it."""
    key, other = ((facts.st_dev, facts.st_ino) for facts in (os.fstat(source), os.fstat(target)))
    # In one order for all, so that two moves never wait for each other; and only once each: a
    # process's second lock on a directory waits for its first.
    for place, directory in sorted({other: target, key: source}.items()):
        held.enter_context(locked(directory, turn, alone=alone and place == key))


def _delete_version(turn: Turn, root: Root, path: str, etag: str) -> None:
    """Delete a file unless it was replaced since."""
    parent, _, name = path.rpartition("/")
    directory = root.open_directory(parent)
    try:
        with locked(directory, turn, alone=True), turn:
            facts = look(directory, name)
            if facts is not None and etag_of(facts) == etag:
                os.unlink(name, dir_fd=directory)
    finally:
        os.close(directory)


def _expected(facts: os.stat_result | None, src: str, options: WriteOptions) -> str:
    """Return the etag of a source that is a file, and the version that the options name."""
    if facts is None or not stat.S_ISREG(facts.st_mode):
        raise FileNotFoundException("File not found", path=src)
    etag = etag_of(facts)
    if options.if_source_match not in (None, etag):
        raise PreconditionFailedException(
            "The file is not the version that if_source_match names", path=src
        )
    return etag
