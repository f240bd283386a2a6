"""How files and directories go."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from jtc.storage.driver_support.error_translation import reraise
from jtc.storage.drivers.local_driver._locking import locked
from jtc.storage.drivers.local_driver._safe_open import Root, look
from jtc.storage.exceptions import StorageException
from jtc.storage.paths import check_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jtc.storage.drivers.local_driver._worker_calls import Turn

__all__ = ["delete_directory", "delete_file", "delete_files"]


def delete_file(turn: Turn, root: Root, path: str) -> bool:
    """Delete a file; False if there is none. Of several that try at once, one gets True."""
    parent, _, name = path.rpartition("/")
    try:
        directory = root.open_directory(parent)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        with locked(directory, turn):
            facts = look(directory, name)
            if facts is None or not stat.S_ISREG(facts.st_mode):
                return False
            with turn:
                os.unlink(name, dir_fd=directory)
            return True
    except FileNotFoundError:
        return False
    finally:
        os.close(directory)


def delete_files(turn: Turn, root: Root, paths: Sequence[str]) -> dict[str, bool | Exception]:
    """Delete files; say for each whether it was there, or what went wrong with it."""
    results: dict[str, bool | Exception] = {}
    for path in dict.fromkeys(paths):
        turn.check()
        try:
            try:
                results[path] = delete_file(turn, root, check_path(path))
            except (OSError, StorageException) as error:
                reraise(error, operation="delete", path=path)
        except StorageException as error:
            results[path] = error
    return results


def delete_directory(turn: Turn, root: Root, path: str) -> None:
    """Delete a directory and all below it. Links in it go, and what they name stays.

    A file that is put there meanwhile may stay, as if it had been put afterwards.
    """
    # Each directory is opened anew, by its path: the descriptors do not add up with the depth,
    # and a directory that was moved away or replaced by a link is not followed.
    pending = [(path, False)]
    while pending:
        at, emptied = pending.pop()
        with suppress(FileNotFoundError, NotADirectoryError):
            if emptied:
                _remove_directory(turn, root, at)
            else:
                pending.append((at, True))
                pending.extend((f"{at}/{name}", False) for name in _empty(turn, root, at))


def _empty(turn: Turn, root: Root, path: str) -> list[str]:
    """Delete what is in a directory but the directories; return their names."""
    directories = []
    directory = root.open_directory(path)
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    directories.append(entry.name)
                    continue
                with suppress(FileNotFoundError), turn:
                    os.unlink(entry.name, dir_fd=directory)
    finally:
        os.close(directory)
    return directories


def _remove_directory(turn: Turn, root: Root, path: str) -> None:
    parent, _, name = path.rpartition("/")
    directory = root.open_directory(parent)
    try:
        with turn:
            os.rmdir(name, dir_fd=directory)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
    finally:
        os.close(directory)
