"""Deletions of files and directories."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from jtc.storage.drivers.local_driver._directories import Directory, is_directory, look
from jtc.storage.drivers.local_driver._metadata import etag_of, other_version
from jtc.storage.drivers.local_driver._path_locks import PathLocks
from jtc.storage.drivers.local_driver._safe_open import Root, reraise_at
from jtc.storage.drivers.local_driver._sharing import patiently
from jtc.storage.exceptions import PathConflictException, StorageException

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jtc.storage.drivers.local_driver._worker_calls import CancelToken

__all__ = ["delete_directory", "delete_file", "delete_files", "remove_empty_directory"]


def delete_file(token: CancelToken, root: Root, path: str, if_match: str | None = None) -> bool:
    """Delete a file; False if there is none. Of several that try at once, one gets True.

    Raises:
        PreconditionFailedException: The file has another etag than `if_match`, and stays.
    """
    parent, _, name = path.rpartition("/")
    try:
        directory = root.open_directory(parent)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        status = look(directory, name)
        if status is None or not stat.S_ISREG(status.st_mode):
            return False
        with PathLocks(root, token, path, required=if_match is not None):
            patiently(token, partial(_unlink, directory, name, if_match))
    except FileNotFoundError:
        return False
    else:
        return True
    finally:
        directory.close()


def _check_etag(directory: Directory, name: str, if_match: str) -> None:
    status = look(directory, name)
    if status is not None and etag_of(status) != if_match:
        raise other_version()


def _unlink(directory: Directory, name: str, if_match: str | None = None) -> None:
    if if_match is not None:
        _check_etag(directory, name, if_match)
    os.unlink(directory.at(name), dir_fd=directory.descriptor)


def delete_files(
    token: CancelToken, root: Root, paths: Sequence[str]
) -> dict[str, bool | Exception]:
    """Delete files; return for each whether it was there, or its error."""
    results: dict[str, bool | Exception] = {}
    for path in paths:
        token.check()
        try:
            results[path] = delete_file(token, root, path)
        except (OSError, StorageException) as error:
            results[path] = error
    return results


def delete_directory(token: CancelToken, root: Root, path: str) -> None:
    """Delete a directory and all below it. Links in it are deleted, and what they name stays.

    A file that is put there meanwhile may stay, as if it had been put afterwards.
    """
    # Each directory is opened again by its path: the descriptors do not add up with the depth,
    # and a directory that was moved away or replaced by a link is not followed.
    pending = [(path, False)]
    while pending:
        at, emptied = pending.pop()
        try:
            if emptied:
                _remove_directory(token, root, at)
            else:
                pending.append((at, True))
                pending.extend((f"{at}/{name}", False) for name in _empty(token, root, at))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            reraise_at(at, error)


def _empty(token: CancelToken, root: Root, path: str) -> list[str]:
    """Delete what is in a directory except the directories; return their names."""
    directories = []
    directory = root.open_directory(path)
    try:
        with directory.entries() as entries:
            for entry in entries:
                if is_directory(entry):
                    directories.append(entry.name)
                    continue
                with suppress(FileNotFoundError):
                    patiently(token, partial(_unlink, directory, entry.name))
    finally:
        directory.close()
    return directories


def _remove_directory(token: CancelToken, root: Root, path: str) -> None:
    parent, _, name = path.rpartition("/")
    directory = root.open_directory(parent)
    try:
        with token:
            os.rmdir(directory.at(name), dir_fd=directory.descriptor)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
    finally:
        directory.close()


def remove_empty_directory(token: CancelToken, root: Root, path: str) -> bool:
    """Remove a directory if it is empty; return False where there is none."""
    parent, _, name = path.rpartition("/")
    try:
        directory = root.open_directory(parent)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        status = look(directory, name)
        if status is None:
            return False
        if not stat.S_ISDIR(status.st_mode):
            raise PathConflictException("A file is there, and no directory")
        with token:
            os.rmdir(directory.at(name), dir_fd=directory.descriptor)
    except FileNotFoundError:
        return False
    except OSError as error:
        # POSIX allows either number for a directory that is not empty.
        if error.errno == errno.EEXIST:
            raise PathConflictException("The directory is not empty") from error
        raise
    else:
        return True
    finally:
        directory.close()
