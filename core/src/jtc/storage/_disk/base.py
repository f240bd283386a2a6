"""What all groups of methods stand on: the driver of this moment, and errors that name the disk."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import NoneType
from typing import TYPE_CHECKING, Any, NoReturn

from jtc.storage._config import DEFAULT
from jtc.storage._layering import unwrap_path
from jtc.storage.driver_support.content import raised_by_source
from jtc.storage.driver_support.error_translation import reraise
from jtc.storage.exceptions import StorageException
from jtc.storage.paths import no_path

if TYPE_CHECKING:
    from jtc.storage._capabilities import ResolvedDriver
    from jtc.storage._hooks import Hooks, Operation
    from jtc.storage._manager import StorageManager
    from jtc.storage.driver import DriverContent

__all__ = ["DiskBase"]


class DiskBase(ABC):
    """A name, and the driver behind it, which is looked up at each operation."""

    __slots__ = ()

    @property
    @abstractmethod
    def name(self) -> str:
        """The disk's name."""

    @abstractmethod
    def _resolved(self) -> ResolvedDriver:
        """Return the driver of this moment.

        Raises:
            StorageConfigException: There is none.
        """

    @abstractmethod
    def _manager(self) -> StorageManager:
        """Return the manager that knows the other disks by their names."""

    def _operation(
        self,
        hooks: Hooks,
        kind: str,
        operation: str,
        path: str,
        resolved: ResolvedDriver,
        source: DriverContent | None = None,
        **told: Any,
    ) -> Operation:
        """Return what tells the plugins of an operation; see `Hooks.operation`."""

        def explain(error: Exception) -> Exception:
            if raised_by_source(source, error) or not isinstance(
                error, (StorageException, OSError)
            ):
                return error
            return self._explained(error, operation, path)

        return hooks.operation(
            kind,
            disk=self._told_name(),
            driver=resolved.name,
            operation=operation,
            path=path,
            key=unwrap_path(resolved.driver, path)[1],
            explain=explain,
            **told,
        )

    def _told_name(self) -> str:
        """Return the disk's own name, so that the default disk gets past no hook as "default"."""
        name = self.name
        return self._manager().name if name == DEFAULT else name

    def _explained(self, error: Exception, operation: str, path: str) -> StorageException:
        try:
            self._fail(error, operation, path)
        except StorageException as explained:
            return explained

    def _fail(self, error: Exception, operation: str, path: str | None = None) -> NoReturn:
        if isinstance(error, StorageException):
            error.operation = operation  # what the user called, not what the driver did for it
        if isinstance(error, TypeError) and not isinstance(path, (str, NoneType)):
            # A memoised check_path() never sees what cannot be hashed, such as a list of paths.
            raise no_path(path) from None
        if isinstance(error, (TypeError, ValueError)) and not isinstance(error, StorageException):
            error.add_note(f"in {operation}() of {path!r} on the disk {self.name!r}")
        reraise(error, operation=operation, path=path, disk=self.name)
