"""Base class of the `Disk` mixins: the current driver, and errors with the disk's name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from jtc.storage._config import DEFAULT
from jtc.storage._shortened import shortened
from jtc.storage.driver_support.content import raised_by_source
from jtc.storage.driver_support.error_translation import reraise
from jtc.storage.exceptions import PathConflictException, StorageException
from jtc.storage.layer import unwrap_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from jtc.storage._capabilities import ResolvedDriver
    from jtc.storage._hooks import HookedOperation, Hooks

__all__ = ["NO_FILE", "DiskBase", "Manager"]

NO_FILE = (FileNotFoundError, IsADirectoryError, NotADirectoryError, PathConflictException)
"""Errors of a driver if there is no file, but perhaps a directory."""


class Manager(Protocol):
    """The part of `StorageManager` that disks use."""

    hooks: Hooks

    @property
    def name(self) -> str:
        """The name of the default disk."""
        ...

    def disk(self, name: str | None = None) -> DiskBase:
        """Return a disk by its name."""
        ...

    async def _load_disk(self, name: str) -> None:
        """Import what a disk needs."""
        ...


class DiskBase(ABC):
    """A disk's name, and its driver, which is looked up at each operation."""

    __slots__ = ()

    _resolved: Callable[[], ResolvedDriver]
    """Returns the current driver; raises StorageConfigException if there is none."""

    _ready: Callable[[], ResolvedDriver | None]
    """Returns the current driver; None if it has to be imported first, by `_load`."""

    async def _load(self) -> ResolvedDriver:
        """Return the driver after its import, which does not block the event loop."""
        await self._manager._load_disk(self.name)  # noqa: SLF001
        return self._resolved()

    @property
    @abstractmethod
    def name(self) -> str:
        """The disk's name."""

    @property
    @abstractmethod
    def _manager(self) -> Manager:
        """The manager of this disk and of all others."""

    def _operation(
        self,
        hooks: Hooks,
        kind: str,
        operation: str,
        path: str,
        resolved: ResolvedDriver,
        source: object = None,
        **before: Any,
    ) -> HookedOperation:
        """Return an operation that calls the hooks of the plugins; see `Hooks.operation`."""

        def explain(error: Exception) -> Exception:
            if raised_by_source(source, error) or not isinstance(
                error, (StorageException, OSError)
            ):
                return error
            return self._explained(error, operation, path)

        return hooks.operation(
            kind,
            disk=self._own_name(),
            driver=resolved.name,
            operation=operation,
            path=path,
            key=unwrap_path(resolved.driver, path)[1],
            explain=explain,
            **before,
        )

    def _own_name(self) -> str:
        """Return the name of the disk for events: for "default", the name of the default disk."""
        name = self.name
        return self._manager.name if name == DEFAULT else name

    def _explained(self, error: Exception, operation: str, path: str) -> StorageException:
        try:
            self._fail(error, operation, path)
        except StorageException as explained:
            return explained

    def _fail(self, error: Exception, operation: str, path: str | None = None) -> NoReturn:
        if isinstance(error, StorageException):
            error.operation = operation  # the method that the user called, not the driver's
        if isinstance(error, (TypeError, ValueError)) and not isinstance(error, StorageException):
            of = "" if path is None else f" of {shortened(str(path))!r}"
            error.add_note(f"in {operation}(){of} on the disk {self.name!r}")
        reraise(error, operation=operation, path=path, disk=self.name)
