"""Copies by the kernel where it can make them, and moves by a rename where that can be."""

from __future__ import annotations

import dataclasses
import errno
import os
import stat
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

from jtc.storage.driver_support.error_translation import reraise
from jtc.storage.drivers.local_driver._directories import (
    Directory,
    NoExclusiveRename,
    look,
    rename_exclusively,
    replace,
)
from jtc.storage.drivers.local_driver._metadata import declared_by, etag_of, other_version
from jtc.storage.drivers.local_driver._path_locks import PathLocks
from jtc.storage.drivers.local_driver._safe_open import Root, attempts
from jtc.storage.drivers.local_driver._sharing import patiently
from jtc.storage.drivers.local_driver._staged_file import StagedFile, check_place
from jtc.storage.exceptions import (
    FileNotFoundException,
    InvalidPathException,
    PreconditionFailedException,
    StorageException,
    StorageUnavailableException,
    UnsupportedOperationException,
)
from jtc.storage.paths import check_not_below

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jtc.storage.drivers.local_driver._metadata import Opened
    from jtc.storage.drivers.local_driver._worker_calls import CancelToken
    from jtc.storage.options import WriteOptions

__all__ = ["copy_file", "copy_from", "move_directory", "move_file", "replace_by_copy"]

# EBUSY is for the root of a file system.
_OTHER_FILE_SYSTEM = frozenset({errno.EXDEV, errno.EBUSY})


def copy_file(token: CancelToken, root: Root, src: str, dst: str, options: WriteOptions) -> str:
    """Copy a file with what was declared of it and its mode; return the new file's etag."""
    with _errors_of_target("copy", dst):
        return _copy(token, root, src, dst, options)[1]


def copy_from(
    token: CancelToken, root: Root, dst: str, from_root: Root, src: str, options: WriteOptions
) -> str:
    """Copy a file of another root with what was declared of it; return the new file's etag."""
    with _errors_of_target("copy", dst):
        with _opened(from_root, src) as source:
            _expected(source.status, src, options)
            staged = _staged_copy(token, root, source, dst)
        try:
            return staged.place(options, source.declared | declared_by(options))
        finally:
            staged.close()


def move_file(token: CancelToken, root: Root, src: str, dst: str, options: WriteOptions) -> str:
    """Move a file; return its etag.

    A file that gets new metadata is copied with it and then deleted, as is one that moves to
    another file system below the root, and where `overwrite=False` needs links that the file system
    lacks: readers may then find it under both names for a moment.
    """
    with _errors_of_target("move", dst):
        return _move(token, root, src, dst, options)


def move_directory(token: CancelToken, root: Root, src: str, dst: str) -> None:
    """Move a directory with everything below it by one rename, which replaces nothing."""
    check_not_below(dst, src)
    with _errors_of_target("move_directory", dst):
        for _ in attempts():
            if _rename_directory(token, root, src, dst):
                return
        raise _deleted_again()


@contextmanager
def _errors_of_target(operation: str, dst: str) -> Iterator[None]:
    """Name the target in all errors that do not name the source."""
    try:
        yield
    except (OSError, StorageException) as error:
        reraise(error, operation=operation, path=dst)


def _move(token: CancelToken, root: Root, src: str, dst: str, options: WriteOptions) -> str:
    if src != dst and not _changes(options):
        try:
            return _rename(token, root, src, dst, options)
        except NoExclusiveRename:
            pass
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
    old, new = _copy(token, root, src, dst, options)
    if src != dst:
        _delete_version(token, root, src, old)
    return new


def _copy(
    token: CancelToken, root: Root, src: str, dst: str, options: WriteOptions
) -> tuple[str, str]:
    """Copy a file; return the etags of the source and of the copy."""
    with _opened(root, src) as source:
        etag = _expected(source.status, src, options)
        if src == dst and options.overwrite and not _changes(options):
            return etag, etag
        staged = _staged_copy(token, root, source, dst)
    return etag, _place(staged, source, options)


@contextmanager
def _opened(root: Root, src: str) -> Iterator[Opened]:
    try:
        source = root.open_declared(src)
    except FileNotFoundError as error:
        raise FileNotFoundException("File not found", path=src) from error
    try:
        yield source
    finally:
        os.close(source.descriptor)


def _staged_copy(token: CancelToken, root: Root, source: Opened, dst: str) -> StagedFile:
    """Copy an open file's content into a staged file."""
    staged = StagedFile(root, dst, token)
    try:
        staged.copy_from(source.descriptor, source.status)
    except BaseException:
        staged.close()
        raise
    return staged


def _place(staged: StagedFile, source: Opened, options: WriteOptions) -> str:
    """Place a copy, when the source is closed: on Windows it could not be replaced before.

    Returns:
        The copy's etag.
    """
    try:
        return staged.place(options, source.declared | declared_by(options), source.mode)
    finally:
        staged.close()


def replace_by_copy(
    token: CancelToken, root: Root, path: str, status: os.stat_result, options: WriteOptions
) -> str:
    """Replace a file by a copy with other metadata, so that further names of it are left alone.

    Args:
        token: The call's.
        root: The disk's root.
        path: The file.
        status: Its status: another version is not replaced.
        options: What is to be different.

    Returns:
        The etag of the copy.

    Raises:
        PreconditionFailedException: The file was replaced meanwhile.
    """
    with _opened(root, path) as source:
        if etag_of(source.status) != etag_of(status):
            raise other_version()
        staged = _staged_copy(token, root, source, path)
    return _place(staged, source, dataclasses.replace(options, if_match=etag_of(status)))


def _changes(options: WriteOptions) -> bool:
    """Return whether the new file is to be other than the source."""
    return bool(declared_by(options)) or options.visibility is not None


def _rename(token: CancelToken, root: Root, src: str, dst: str, options: WriteOptions) -> str:
    parent, _, name = src.rpartition("/")
    new_parent, _, new_name = dst.rpartition("/")
    exclusive = options.if_source_match is not None or not options.overwrite
    for _ in attempts():
        with ExitStack() as held:
            try:
                source = root.open_directory(parent)
            except (FileNotFoundError, NotADirectoryError) as error:
                raise FileNotFoundException("File not found", path=src) from error
            held.callback(source.close)
            _expected(look(source, name), src, options)  # before a directory is made for nothing
            target = root.make_directory(new_parent, token)
            held.callback(target.close)
            held.enter_context(PathLocks(root, token, src, dst, required=exclusive))
            status = look(source, name)
            etag = _expected(status, src, options)
            there = check_place(target, new_name, options)
            rename = partial(
                _rename_once, root, (source, name), (target, new_name), status, there, options
            )
            if patiently(token, rename):
                return etag
    raise _deleted_again()


def _deleted_again() -> StorageUnavailableException:
    return StorageUnavailableException("The directory is deleted again and again meanwhile")


def _rename_directory(token: CancelToken, root: Root, src: str, dst: str) -> bool:
    """Rename a directory; return False if that of the target is gone."""
    parent, _, name = src.rpartition("/")
    new_parent, _, new_name = dst.rpartition("/")
    with ExitStack() as held:
        try:
            source = root.open_directory(parent)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise _no_directory(src) from error
        held.callback(source.close)
        status = look(source, name)
        if status is None or not stat.S_ISDIR(status.st_mode):
            raise _no_directory(src)
        target = root.make_directory(new_parent, token)
        held.callback(target.close)
        try:
            patiently(token, partial(_take_free_place, source, name, target, new_name))
        except FileNotFoundError:
            return False
        except OSError as error:
            if error.errno == errno.EINVAL:  # a volume that does not distinguish cases
                raise InvalidPathException(f"The target is below {src!r}", path=dst) from error
            if error.errno in _OTHER_FILE_SYSTEM:
                raise UnsupportedOperationException(
                    f"{src!r} and the target are on different file systems, or it is the root of "
                    "one: nothing can move it in one step. Copy the files, then delete them"
                ) from error
            raise
        if root.durable:
            target.sync()
            source.sync()
    return True


def _take_free_place(source: Directory, name: str, target: Directory, new_name: str) -> None:
    try:
        rename_exclusively(source, name, target, new_name)
    except NoExclusiveRename:
        # A rename replaces a directory only if that is empty: what comes meanwhile is not lost.
        os.mkdir(target.at(new_name), dir_fd=target.descriptor)
        try:
            replace(source, name, target, new_name)
        except BaseException:
            with suppress(OSError):
                os.rmdir(target.at(new_name), dir_fd=target.descriptor)
            raise


def _no_directory(path: str) -> FileNotFoundException:
    return FileNotFoundException("There is no such directory", path=path)


def _rename_once(
    root: Root,
    old: tuple[Directory, str],
    new: tuple[Directory, str],
    status: os.stat_result | None,
    there: os.stat_result | None,
    options: WriteOptions,
) -> bool:
    """Rename a file; return False if one of the directories is gone."""
    source, name = old
    target, new_name = new
    try:
        if options.overwrite:
            replace(source, name, target, new_name)
        else:
            rename_exclusively(source, name, target, new_name)
    except FileNotFoundError:
        return False  # the directory was deleted: make it again
    if there is not None and look(source, name) == status and _are_two_names(old, new):
        # Two names of one file, made by another program: rename() leaves both.
        os.unlink(source.at(name), dir_fd=source.descriptor)
    if root.durable:
        target.sync()
        source.sync()
    return True


def _are_two_names(old: tuple[Directory, str], new: tuple[Directory, str]) -> bool:
    """Return whether each name is that of an entry, and not another spelling of one entry's.

    A volume may not distinguish cases or Unicode forms: a file was renamed to such a spelling then.
    """
    for directory, name in (old, new):
        with directory.entries() as entries:
            if all(entry.name != name for entry in entries):
                return False
    return True


def _delete_version(token: CancelToken, root: Root, path: str, etag: str) -> None:
    """Delete a file unless it was replaced since."""
    parent, _, name = path.rpartition("/")
    directory = root.open_directory(parent)
    try:
        with PathLocks(root, token, path, required=True), token:
            status = look(directory, name)
            if status is not None and etag_of(status) == etag:
                os.unlink(directory.at(name), dir_fd=directory.descriptor)
    finally:
        directory.close()


def _expected(status: os.stat_result | None, src: str, options: WriteOptions) -> str:
    """Return the etag of a source that is a file, and the version that the options name."""
    if status is None or not stat.S_ISREG(status.st_mode):
        raise FileNotFoundException("File not found", path=src)
    etag = etag_of(status)
    if options.if_source_match not in (None, etag):
        raise PreconditionFailedException(
            "The file is not the version that if_source_match names", path=src
        )
    return etag
