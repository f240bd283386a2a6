"""Base class of `JtcFileSystem`: configuration, paths, event loops, and pickling."""

from __future__ import annotations

import asyncio
import errno
import os
from typing import TYPE_CHECKING, Any, NamedTuple, Never

from fsspec.asyn import get_loop, iothread, reset_lock
from fsspec.spec import make_instance
from fsspec.utils import stringify_path, tokenize

from jtc.storage import InvalidPathException, StorageConfigException
from jtc.storage.fsspec._concurrency import current_bulk
from jtc.storage.fsspec._configurations import Config, absolute, configurations, identity
from jtc.storage.fsspec._transaction import DiskTransaction
from jtc.storage.fsspec._untyped import AsyncFileSystem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jtc.storage import Disk, StorageManager

__all__ = ["Base", "Place"]

_DEFAULT = "default"
"""The disk of URLs without one, ``jtc:///path``; the name is reserved for it in configurations."""


class Place(NamedTuple):
    """Where a path leads.

    Attributes:
        disk: The disk.
        name: Its name within paths.
        key: The file's path on the disk; ``""`` is its root.
    """

    disk: Disk
    name: str
    key: str

    def path(self, key: str) -> str:
        """Return the path of another file on this disk."""
        return f"{self.name}/{key}"


class Base(AsyncFileSystem):
    """A file system's configuration, and its disks, which are looked up at each operation.

    Its options are described in `JtcFileSystem`.
    """

    protocol = "jtc"
    # An instance of another configuration must never be returned: a file may have changed, and a
    # relative path mean another one. Connections belong to the configuration's manager.
    cachable = False
    mirror_sync_methods = False
    transaction_type = DiskTransaction

    _pid: int
    _transaction: DiskTransaction | None

    def __init__(
        self,
        *,
        config: Config = None,
        disk: str | None = None,
        asynchronous: bool = False,
        loop: asyncio.AbstractEventLoop | None = None,
        batch_size: int | None = None,
        use_listings_cache: bool = False,
        listings_expiry_time: float | None = None,
        max_paths: int | None = None,
        pickled_from: Mapping[str, str] | None = None,
        **unknown: Never,
    ) -> None:
        if unknown:
            raise TypeError(
                f"jtc:// has no storage option {next(iter(unknown))!r}: its options are config, "
                "disk, batch_size, use_listings_cache, listings_expiry_time and max_paths"
            )
        super().__init__(
            asynchronous=asynchronous,
            loop=None if asynchronous else loop or _blocking_loop(),
            batch_size=batch_size,
            use_listings_cache=use_listings_cache,
            listings_expiry_time=listings_expiry_time,
            max_paths=max_paths,
        )
        self._config = absolute(config)
        self._default_disk = disk
        self._pickled_from = pickled_from
        self._found_here: set[str] = set()
        self._manager: StorageManager | None = None
        key = (identity(self._config), disk, asynchronous, use_listings_cache)
        self._token: str = tokenize(type(self).__qualname__, key)
        if pickled_from is None:
            self._manager = configurations.manager(self._config)

    def __repr__(self) -> str:
        if self._config is None:
            source = "Storage"
        else:
            source = repr(self._config) if isinstance(self._config, str) else "a mapping"
        return f"<{type(self).__name__} config={source}>"

    @property
    def _fs_token(self) -> str:
        return self._token

    # fsspec sets it after the constructor.
    @property
    def storage_options(self) -> dict[str, Any]:
        """The options that make such a file system in any directory of this machine."""
        return self._storage_options

    @storage_options.setter
    def storage_options(self, options: dict[str, Any]) -> None:
        self._storage_options = options
        if "config" in options:
            self._storage_options = {**options, "config": self._config}

    def __reduce__(self) -> tuple[Any, ...]:
        options = {**self.storage_options, "pickled_from": self._sources()}
        return make_instance, (type(self), (), options)

    @property
    def fsid(self) -> str:
        """An identifier of the configuration."""
        return f"jtc_{self._token}"

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop of the blocking methods; a forked process has its own."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._loop = None if self.asynchronous else _blocking_loop()
        return self._loop

    @classmethod
    def clear_instance_cache(cls) -> None:
        """Drop the managers of all configurations: later file systems read them again."""
        super().clear_instance_cache()
        configurations.clear()

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(each) for each in path]
        text: str = stringify_path(path)
        for prefix in (f"{cls.protocol}://", f"{cls.protocol}::"):
            if text.startswith(prefix):
                text = text.removeprefix(prefix)
                if text.startswith("/"):  # a URL without a disk
                    text = _DEFAULT + text
        return text.removeprefix("/").rstrip("/")

    def start_transaction(self) -> Any:
        """Begin a transaction; see `transaction`.

        Raises:
            NotImplementedError: The file system is asynchronous.
        """
        self._transaction = self.transaction_type(self)
        return super().start_transaction()

    def forget_transaction(self) -> None:
        """Write files at once again: the transaction has ended."""
        self._intrans = False
        self._transaction = None

    async def _place(self, path: Any) -> Place:
        """Return where a path leads.

        Raises:
            InvalidPathException: It names no disk.
            StorageConfigException: There is no such disk, in a process that unpickled this.
        """
        if (operation := current_bulk()) is not None:
            operation.join()
        name, _, key = self._strip_protocol(path).partition("/")
        if not name:
            raise InvalidPathException(
                "The path names no disk: write 'disk/path', or 'jtc:///path' for the default disk",
                path=str(path),
            )
        if self._pickled_from is not None and name not in self._found_here:
            await self._find_here(name)
        return Place(self._disk(name), name, key)

    async def _file(self, path: Any) -> Place:
        """Return where a file's path leads.

        Raises:
            IsADirectoryError: It is the root of a disk.
        """
        place = await self._place(path)
        if not place.key:
            raise IsADirectoryError(errno.EISDIR, "It is a disk, and no file", str(path))
        return place

    def _disk(self, name: str) -> Disk:
        return self._disks().disk(self._default_disk if name == _DEFAULT else name)

    def _disks(self) -> StorageManager:
        if self._manager is None:
            self._manager = configurations.manager(self._config)
        return self._manager

    async def _find_here(self, name: str) -> None:
        """Check that the disk of a file system that was unpickled exists in this process too.

        Raises:
            StorageConfigException: It does not; the message says where it came from there.
        """
        try:
            # In a thread: the first use of a disk imports its driver.
            await asyncio.to_thread(lambda: self._disk(name).driver)
        except StorageConfigException as error:
            there = self._pickled_from or {}
            source = there.get(name) or there.get(_DEFAULT) or "another configuration"
            raise StorageConfigException(
                f"{error.message}. The file system was pickled by a process whose disk came from "
                f"{source}: give this process the same configuration, by FILESYSTEM_CONFIG, by "
                "Storage.configure(), or by storage_options={'config': 'storage.toml'}",
                disk=name,
            ) from error
        self._found_here.add(name)

    def _sources(self) -> Mapping[str, str]:
        """Return where each disk comes from, for the process that unpickles this."""
        if self._pickled_from is not None:
            return self._pickled_from
        manager = self._disks()
        try:
            names = [*manager.disks(), _DEFAULT]
        except StorageConfigException:
            return {}  # it cannot be read here either
        return {name: manager.source_of(name) for name in names}


def _blocking_loop() -> asyncio.AbstractEventLoop:
    """Return fsspec's own event loop; in a forked process, one of its own."""
    if iothread[0] is not None and not iothread[0].is_alive():
        reset_lock()  # older versions of fsspec would return the parent's, in which nothing runs
    loop: asyncio.AbstractEventLoop = get_loop()
    return loop
