"""Base class of layers: drivers around a driver that change one thing each.

A layer binds the methods of the inner driver to itself, so that unchanged methods cost nothing, and
declares the effects that it guards. A method with a guarded effect that the layer does not define
is unsupported: the disk then derives it through the layer, or raises UnsupportedOperationException.
So a capability that is newer than the layer cannot bypass it. That is also why a copy between two
disks of one store, of which no byte is read here, is two methods: the source's layers are asked for
`copy_source`, which passes a file's content, the target's for `copy_from`, which writes it.

::

    class Upper(Layer, guards={"content"}):
        async def get(self, path):
            return (await self.inner.get(path)).upper()
        ...
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, cast

from jtc.storage._capabilities import methods_of, resolve
from jtc.storage.driver import CAPABILITIES, EFFECTS, METHODS, FullDriver, StorageDriver

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

__all__ = ["Layer", "layers_of", "unwrap", "unwrap_path"]


class Layer:
    """A driver around another one. A subclass declares what it guards and defines what it changes.

    Keywords of the class statement, each a collection of names; a subclass adds to its parents':

    * ``guards``: names of `EFFECTS`. Methods with such an effect are the layer's own, or
      unsupported. Of the eight methods of `StorageDriver`, each must be defined or be in
      ``passes``.
    * ``passes``: methods that remain the inner driver's own in spite of a guarded effect.
    * ``adds``: capabilities that the layer has even if the inner driver lacks them. A method of any
      other capability is called only if the inner driver has that capability.

    Args:
        inner: The inner driver. Capabilities that it lacks, this layer lacks too.

    Attributes:
        inner: The inner driver.
        unsupported: The capabilities that this instance lacks.
        supported_options: The inner driver's `SupportsWriting.supported_options`. A layer that
            writes by itself and supports other options sets its own.
        lists_in_key_order: The inner driver's, see `jtc.storage.driver`; False where the layer
            guards ``path``, unless it sets its own.
        keeps_checksums: The inner driver's, see `jtc.storage.driver`.
        disk: The disk's name, once the layer is on a disk.
        driver_name: The name of the driver below all layers, once the layer is on a disk.
        find_disk: Returns another disk of the same manager by its name, once the layer is on a
            disk; for layers that use a second disk.

    Raises:
        TypeError: When the class is made: a guarded method is not defined, or a name is unknown.
        StorageConfigException: `inner` is not a driver.
    """

    guards: ClassVar[frozenset[str]] = frozenset()
    passes: ClassVar[frozenset[str]] = frozenset()
    adds: ClassVar[frozenset[str]] = frozenset()

    disk: str | None = None
    driver_name: str | None = None
    find_disk: Callable[[str], Any] | None = None  # a `Disk`, whose module imports this one

    def __init_subclass__(
        cls,
        *,
        guards: Collection[str] = (),
        passes: Collection[str] = (),
        adds: Collection[str] = (),
        **keywords: Any,
    ) -> None:
        super().__init_subclass__(**keywords)
        parents = [base for base in cls.__bases__ if issubclass(base, Layer)]
        nothing: frozenset[str] = frozenset()
        # A method that one parent passes may be guarded by another.
        inherited = frozenset(
            name
            for name in nothing.union(*(parent.passes for parent in parents))
            if all(parent._treats(name) for parent in parents)  # noqa: SLF001 - a base class
        )
        cls.guards = nothing.union(*(parent.guards for parent in parents))
        cls.guards |= _checked(cls, "guards", guards, EFFECTS)
        cls.passes = inherited | _checked(cls, "passes", passes, METHODS)
        cls.adds = nothing.union(*(parent.adds for parent in parents))
        cls.adds |= _checked(cls, "adds", adds, CAPABILITIES)
        missing = [name for name in methods_of(StorageDriver) if not cls._treats(name)]
        if "path" in cls.guards and cls.inner_path is Layer.inner_path:
            missing.append("inner_path")
        if missing:
            raise TypeError(
                f"The layer {cls.__name__} guards {_list(cls.guards)}: define "
                f"{_list(f'{name}()' for name in missing)}, or name them in 'passes'"
            )

    def __init__(self, inner: StorageDriver) -> None:
        capabilities = resolve(inner).capabilities
        self.inner = cast("FullDriver", inner)
        self.unsupported: frozenset[str] = frozenset(CAPABILITIES) - capabilities.names - self.adds
        self.supported_options: Mapping[str, frozenset[str]] = dict(capabilities.options)
        self.read_only: bool = getattr(inner, "read_only", False)
        # A layer that changes paths says so itself if it keeps their order.
        self.lists_in_key_order: bool = "path" not in self.guards and getattr(
            inner, "lists_in_key_order", False
        )
        self.keeps_checksums: bool = getattr(inner, "keeps_checksums", True)
        for protocol in (StorageDriver, *(CAPABILITIES[name] for name in capabilities.names)):
            for name in methods_of(protocol):
                if not hasattr(type(self), name) and self._treats(name):
                    setattr(self, name, self.wrap(name, getattr(inner, name)))

    def wrap(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:  # noqa: ARG002
        """Return a replacement of a method that the layer does not define: here the method itself.

        A layer that does the same around every call overrides this; methods of later versions of
        the contract are then wrapped too.

        Args:
            name: The method's name; `METHODS` has its kind.
            method: The inner driver's method.

        Returns:
            A callable with the same signature (`functools.wraps` keeps it).
        """
        return method

    def inner_path(self, path: str) -> str:
        """Return the inner driver's path of a file: here the same path.

        A layer that guards ``path`` defines this, so that a copy of a file onto itself is detected
        even through different layers.
        """
        return path

    @classmethod
    def _treats(cls, name: str) -> bool:
        """Return whether a method is defined, passed, or not guarded."""
        return hasattr(cls, name) or name in cls.passes or not METHODS[name].effects & cls.guards

    if TYPE_CHECKING:  # bound by the constructor

        async def put(self, path: str, content: bytes | str | BinaryIO, /) -> str: ...
        async def get(self, path: str, /) -> bytes: ...
        async def exists(self, path: str, /) -> bool: ...
        async def delete(self, path: str, /) -> bool: ...
        async def size(self, path: str, /) -> int: ...
        async def last_modified(self, path: str, /) -> float: ...
        def url(self, path: str, /) -> str: ...
        def path(self, path: str, /) -> str: ...


def _checked(
    cls: type, keyword: str, names: Collection[str], known: Mapping[str, Any]
) -> frozenset[str]:
    unknown = [repr(names)] if isinstance(names, str) else [n for n in names if n not in known]
    if unknown:
        raise TypeError(
            f"The layer {cls.__name__} has {keyword}={_list(unknown)}; it is a collection of: "
            f"{', '.join(known)}"
        )
    return frozenset(names)


def _list(names: Any) -> str:
    return ", ".join(sorted(names))


def layers_of(driver: object) -> Iterator[Any]:
    """Yield the layers of a driver, the outermost first, and then the driver itself."""
    while driver is not None:
        yield driver
        driver = getattr(driver, "inner", None)


def unwrap(driver: StorageDriver) -> StorageDriver:
    """Return the driver below all layers."""
    return unwrap_path(driver, "")[0]


def unwrap_path(driver: StorageDriver, path: str) -> tuple[StorageDriver, str]:
    """Return the driver below all layers, and its path of a file."""
    while isinstance(driver, Layer):
        path = driver.inner_path(path)
        driver = driver.inner
    return driver, path
