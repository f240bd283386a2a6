"""Disks: named storage with all operations on files."""

from __future__ import annotations

from inspect import isfunction
from typing import TYPE_CHECKING, Any, Self, TypeVar

from jtc.storage._config import LayerConfig
from jtc.storage._discovery import load_layer
from jtc.storage._disk.copying import Copying
from jtc.storage._disk.directories import Directories
from jtc.storage._disk.downloads import Downloads
from jtc.storage._disk.file_metadata import FileMetadata
from jtc.storage._disk.generated_names import GeneratedNames
from jtc.storage._disk.many_files import ManyFiles
from jtc.storage._disk.streaming import Streaming
from jtc.storage._disk.trees import Trees
from jtc.storage._disk.urls import Urls
from jtc.storage._layering import LayerResolver
from jtc.storage.layer import layers_of
from jtc.storage.layers.read_only import ReadOnly
from jtc.storage.layers.scoped import Scoped
from jtc.storage.paths import check_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from jtc.storage._capabilities import Capabilities, ResolvedDriver
    from jtc.storage._disk.base import Manager
    from jtc.storage.driver import StorageDriver
    from jtc.storage.sync._disks import SyncBuiltDisk, SyncDisk

__all__ = ["BuiltDisk", "Disk", "DiskOperations"]

D = TypeVar("D")

_READ_ONLY = "/read only"
"""The step of a read-only view; no directory of a scoped view begins with ``/``."""


class DiskOperations(
    Streaming,
    Downloads,
    GeneratedNames,
    Trees,
    ManyFiles,
    FileMetadata,
    Copying,
    Urls,
    Directories,
):
    """The methods of `Disk`, which `Storage` has too for the default disk."""

    __slots__ = ()

    _steps: tuple[str, ...] | None
    """The views that lead from the disk of this name to this one; None if it is not pickled."""

    @property
    def driver(self) -> StorageDriver:
        """The current driver, as it was set or made.

        Raises:
            StorageConfigException: There is none.
        """
        try:
            return self._resolved().driver
        except Exception as error:
            self._fail(error, "driver")

    def driver_as(self, cls: type[D]) -> D:
        """Return the driver below views and layers, as an instance of its class.

        Args:
            cls: The class, such as `MemoryDriver`.

        Raises:
            TypeError: Neither the driver nor one of its layers is an instance.
            StorageConfigException: There is no driver.
        """
        layers = list(layers_of(self.driver))
        for driver in layers:
            if isinstance(driver, cls):
                return driver
        raise TypeError(
            f"The disk {self.name!r} has the driver {type(layers[-1]).__name__}, not {cls.__name__}"
        )

    @property
    def capabilities(self) -> Capabilities:
        """The driver's capabilities and supported options; its backend may have further limits.

        Raises:
            StorageConfigException: There is no driver.
        """
        try:
            return self._resolved().capabilities
        except Exception as error:
            self._fail(error, "capabilities")

    def scoped(self, prefix: str) -> Disk:
        """Return a view of one directory: paths of arguments, results and errors begin below it.

        Raises:
            InvalidPathException: The prefix breaks the path policy, or is empty.
        """
        try:
            checked = check_path(prefix)
        except Exception as error:
            self._fail(error, "scoped", prefix)
        return self._layered(lambda inner: Scoped(inner, checked), checked)

    def read_only(self) -> Disk:
        """Return a view whose methods that write raise ReadOnlyException."""
        return self._layered(ReadOnly, _READ_ONLY)

    def with_layer(self, layer: str | Callable[..., StorageDriver], **options: Any) -> Disk:
        """Return a view of this disk with one more layer around its driver.

        Args:
            layer: The name of an installed layer, such as ``"retry"``; or a class or function that
                takes a driver and options, and returns a driver, usually a `Layer`.
            **options: Its options.

        Raises:
            StorageConfigException: No layer of this name is installed, or it does not have these
                options. Their values are checked when the disk is first used.
        """
        try:
            if isinstance(layer, str):
                name, factory = layer, load_layer(layer)
            else:
                name, factory = getattr(layer, "__name__", repr(layer)), layer
            make = LayerConfig(name, options).maker(self.name, factory)
        except Exception as error:
            self._fail(error, "with_layer")
        return self._layered(make)

    # A view has no state to copy, and a manager belongs to its process.
    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _memo: object) -> Self:
        return self

    def _layered(
        self, make: Callable[[StorageDriver], StorageDriver], step: str | None = None
    ) -> Disk:
        """Return a view.

        Args:
            make: Makes its layer.
            step: The directory of a scoped view, or `_READ_ONLY`; None for a view that is not
                pickled.
        """
        resolved = LayerResolver(self._resolved, self._ready, make, self.name, self._manager)
        steps = self._steps
        views = None if steps is None or step is None else (*steps, step)
        return Disk(self.name, self._manager, resolved, resolved.ready, views)


# Errors and warnings name a method as users find it: "coroutine 'Disk.put' was never awaited".
for _mixin in DiskOperations.__mro__[:-1]:
    for _function in vars(_mixin).values():
        if isfunction(_function):
            _function.__qualname__ = f"Disk.{_function.__name__}"


class Disk(DiskOperations):
    """Named storage whose driver is looked up at each operation; `Storage.disk` makes it.

    It is immutable, so it can be kept at module level and shared between tasks, threads and event
    loops; `Storage.configure`, `set_driver` and `fake` affect it immediately.

    A disk of `Storage` is pickled as its name, and the views `scoped` and `read_only` of it with
    their steps: the other process looks the disk up in its own configuration. Others refuse.
    """

    # A slot in place of the base's property: one call less at each operation.
    __slots__ = ("_manager", "_name", "_ready", "_resolved", "_steps")  # pyright: ignore[reportIncompatibleMethodOverride]

    _manager: Manager
    _name: str
    _steps: tuple[str, ...] | None

    def __init__(
        self,
        name: str,
        manager: Manager,
        resolved: Callable[[], ResolvedDriver],
        ready: Callable[[], ResolvedDriver | None] | None = None,
        steps: tuple[str, ...] | None = None,
    ) -> None:
        object.__setattr__(self, "_name", name)
        object.__setattr__(self, "_manager", manager)
        object.__setattr__(self, "_resolved", resolved)
        object.__setattr__(self, "_ready", resolved if ready is None else ready)
        object.__setattr__(self, "_steps", steps)

    def __reduce__(self) -> tuple[Any, ...]:
        if self._steps is None:
            raise TypeError(
                f"{self!r} cannot be pickled, since no name leads to it: a disk of "
                "Storage.disk(name) can be, and views of it by scoped() and read_only(). Pickle "
                "that one, or options without secrets, and make this one there"
            )
        return _named_disk, (self._manager, self._name, self._steps)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"A disk is immutable: {name!r} cannot be set")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._name!r}>"

    @property
    def name(self) -> str:
        """The disk's name."""
        return self._name

    @property
    def sync(self) -> SyncDisk:
        """This disk without `await`, for code that is not async: see `jtc.storage.sync`."""
        from jtc.storage.sync._disks import SyncDisk  # noqa: PLC0415 - imported only where it is used

        return SyncDisk(self)


def _named_disk(manager: Any, name: str, steps: tuple[str, ...]) -> Disk:
    """Return a disk that was pickled."""
    disk: Disk = manager.disk(name)
    for step in steps:
        disk = disk.read_only() if step == _READ_ONLY else disk.scoped(step)
    return disk


class BuiltDisk(Disk):
    """A disk of `Storage.build`, which has one driver and cannot be looked up by a name.

    ``async with Storage.build({...}) as disk`` closes the driver at the end.
    """

    __slots__ = ()

    @property
    def sync(self) -> SyncBuiltDisk:
        """This disk without `await`; ``with`` closes it."""
        from jtc.storage.sync._disks import SyncBuiltDisk  # noqa: PLC0415

        return SyncBuiltDisk(self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the driver; a later operation opens it again.

        Raises:
            StorageException: The storage failed.
        """
        try:
            resolved = self._resolved()
            if "close" in resolved.capabilities:
                await resolved.methods.aclose()
        except Exception as error:
            self._fail(error, "aclose")
