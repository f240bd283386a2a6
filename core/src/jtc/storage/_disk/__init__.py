"""`Disk`: a name for some storage, and everything one can do with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeVar

from jtc.storage._config import LayerConfig
from jtc.storage._discovery import load_layer
from jtc.storage._disk.copying import Copying
from jtc.storage._disk.generated_names import Uploads
from jtc.storage._disk.health_check import Checking
from jtc.storage._disk.listing import Listing
from jtc.storage._disk.metadata import Facts
from jtc.storage._disk.streaming import Reading
from jtc.storage._disk.urls import Access
from jtc.storage._layering import LayerResolver
from jtc.storage.layers.read_only import ReadOnly
from jtc.storage.layers.scoped import Scoped
from jtc.storage.paths import check_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from jtc.storage._capabilities import Capabilities, ResolvedDriver
    from jtc.storage._manager import StorageManager
    from jtc.storage.driver import StorageDriver
    from jtc.storage.sync import SyncBuiltDisk, SyncDisk

__all__ = ["BuiltDisk", "Disk", "DiskOperations"]

D = TypeVar("D")


class DiskOperations(Reading, Uploads, Facts, Copying, Access, Checking, Listing):
    """Every method that a `Disk` has, and `Storage` for the default disk."""

    __slots__ = ()

    @property
    def driver(self) -> StorageDriver:
        """The driver of this moment, as it was set or made.

        Raises:
            StorageConfigException: There is none.
        """
        try:
            return self._resolved().driver
        except Exception as error:
            self._fail(error, "driver")

    def driver_as(self, cls: type[D]) -> D:
        """Return the driver as an instance of its class, looking beneath views and layers.

        Args:
            cls: The class, such as `MemoryDriver`, whose own methods are wanted.

        Raises:
            TypeError: Neither the driver nor what it wraps is one.
            StorageConfigException: There is no driver.
        """
        driver: Any = self.driver
        while not isinstance(driver, cls):
            inner = getattr(driver, "inner", None)
            if inner is None:
                raise TypeError(
                    f"The disk {self.name!r} has the driver {type(driver).__name__}, "
                    f"not {cls.__name__}"
                )
            driver = inner
        return driver

    @property
    def capabilities(self) -> Capabilities:
        """What the driver can do beyond the eight methods, as far as it knows beforehand.

        Raises:
            StorageConfigException: There is no driver.
        """
        try:
            return self._resolved().capabilities
        except Exception as error:
            self._fail(error, "capabilities")

    def scoped(self, prefix: str) -> Disk:
        """Return a view of one directory, whose paths, in, out and in errors, begin below it.

        Raises:
            InvalidPathException: The prefix breaks the path policy, or is empty.
        """
        try:
            checked = check_path(prefix)
        except Exception as error:
            self._fail(error, "scoped", prefix)
        return self._layered(lambda inner: Scoped(inner, checked))

    def read_only(self) -> Disk:
        """Return a view that raises ReadOnlyException from everything that would write."""
        return self._layered(ReadOnly)

    def with_layer(self, layer: str | Callable[..., StorageDriver], **options: Any) -> Disk:
        """Return a view of this disk with one more layer around its driver.

        Args:
            layer: The name of an installed layer, such as ``"retry"``; or a class or function that
                takes a driver, and options, and returns a driver: mostly a `Layer`.
            **options: What it takes besides the driver.

        Raises:
            StorageConfigException: No layer of this name is installed, or it does not have these
                options. What its values are, it looks at when the disk is first used.
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

    # A late-bound view has no state of its own to copy, and a manager stands for a process.
    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _memo: object) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"{self!r} cannot be pickled: pass its name, and ask Storage.disk(name) for it there"
        )

    def _layered(self, make: Callable[[StorageDriver], StorageDriver]) -> Disk:
        return Disk(self.name, self._manager(), LayerResolver(self._resolved, make, self.name))


class Disk(DiskOperations):
    """A late-bound view of some storage: the driver is looked up at each operation.

    Immutable, so it can be kept at module level and shared between tasks, threads and event
    loops; `Storage.configure`, `set_driver` and `fake` reach it at once. `Storage.disk` makes it.
    """

    __slots__ = ("_find", "_made_by", "_name")

    _find: Callable[[], ResolvedDriver]
    _made_by: StorageManager
    _name: str

    def __init__(
        self, name: str, manager: StorageManager, find: Callable[[], ResolvedDriver]
    ) -> None:
        object.__setattr__(self, "_name", name)
        object.__setattr__(self, "_made_by", manager)
        object.__setattr__(self, "_find", find)

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
        from jtc.storage.sync import SyncDisk  # noqa: PLC0415 - only who asks pays for it

        return SyncDisk(self)

    def _resolved(self) -> ResolvedDriver:
        return self._find()

    def _manager(self) -> StorageManager:
        return self._made_by


class BuiltDisk(Disk):
    """A disk that `Storage.build` made: it has no name to look it up by, and one driver for good.

    ``async with Storage.build({...}) as disk`` closes the driver at the end.
    """

    __slots__ = ("__weakref__",)  # the manager closes those that are still in use

    @property
    def sync(self) -> SyncBuiltDisk:
        """This disk without `await`; ``with`` closes it."""
        from jtc.storage.sync import SyncBuiltDisk  # noqa: PLC0415

        return SyncBuiltDisk(self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Let go of what the driver holds; a use afterwards opens it afresh.

        Raises:
            StorageException: The storage failed.
        """
        try:
            resolved = self._resolved()
            if resolved.close is not None:
                await resolved.close.aclose()
        except Exception as error:
            self._fail(error, "aclose")
