"""Storage managers of the configurations that file systems name."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from jtc.storage import Storage, StorageManager
from jtc.storage.driver_support.fork_safety import reset_after_fork

if TYPE_CHECKING:
    import os

__all__ = ["Config", "Configurations", "absolute", "configurations"]

Config: TypeAlias = "Mapping[str, Any] | str | os.PathLike[str] | None"


class Configurations:
    """One manager for each configuration, so that all file systems of one share its connections.

    A file that has changed is another configuration.
    """

    def __init__(self) -> None:
        self._managers: dict[object, StorageManager] = {}
        self._after_fork()
        reset_after_fork(self)

    def _after_fork(self) -> None:
        self._lock = threading.Lock()

    def manager(self, config: Config) -> StorageManager:
        """Return the manager of a configuration; None is that of the program, `Storage`.

        Raises:
            StorageConfigException: The configuration cannot be read, or is invalid.
        """
        if config is None:
            return Storage
        key = identity(config)
        with self._lock:
            found = self._managers.get(key)
            if found is None:
                found = self._managers[key] = StorageManager.isolated(config)
            return found

    def clear(self) -> None:
        """Drop all managers: later file systems read their configurations again."""
        with self._lock:
            self._managers.clear()


def absolute(config: Config) -> Config:
    """Return a configuration that means the same after a change of the working directory."""
    return config if config is None or isinstance(config, Mapping) else str(Path(config).absolute())


def identity(config: Config) -> object:
    """Return a value that differs for two configurations that may have different disks."""
    if config is None or isinstance(config, Mapping):
        return _frozen(config)
    path = Path(config).absolute()
    try:
        stat = path.stat()
    except OSError:
        return (path,)  # the manager's error says why
    return path, stat.st_ino, stat.st_mtime_ns, stat.st_size


def _frozen(value: Any) -> object:
    if isinstance(value, Mapping):
        return "mapping", tuple((key, _frozen(each)) for key, each in value.items())
    if isinstance(value, (list, tuple)):
        return "list", tuple(map(_frozen, value))
    if value is None or isinstance(value, (bool, int, float, str, bytes)):
        return type(value).__name__, value
    return type(value).__name__, id(value)  # a session: the manager keeps it alive


configurations = Configurations()
"""Those of this process."""
