"""Layers: drivers around a driver, each of which changes one thing and leaves all else as it is.

A layer is a driver. It binds the methods of the driver within on itself, so that what it does not
change costs nothing, and it says what it guards. A method with a guarded effect that the layer does
not define is unsupported: the disk then derives it through the layer, or says that it cannot. So an
capability that is newer than the layer can neither be forgotten nor slip past it.

::

    class Upper(Layer, guards={"content"}):
        async def get(self, path):
            return (await self.inner.get(path)).upper()
        ...
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Literal, NamedTuple, Protocol, cast

from jtc.storage._capabilities import methods_of, resolve
from jtc.storage.driver import (
    CAPABILITIES,
    StorageDriver,
    SupportsBulkDelete,
    SupportsClose,
    SupportsCopy,
    SupportsDirectories,
    SupportsListing,
    SupportsMove,
    SupportsReading,
    SupportsStat,
    SupportsTemporaryUploads,
    SupportsTemporaryUrls,
    SupportsUploadForms,
    SupportsVisibility,
    SupportsWriting,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping


__all__ = ["EFFECTS", "METHODS", "FullDriver", "Layer", "Method"]

EFFECTS: Mapping[str, str] = {
    "path": "it takes a path or gives one",
    "content": "a file's bytes, what follows from them, or an address that leads to them pass",
    "write": "it changes something, or lets somebody else do so",
}
"""What a method of the contract may do, and a layer may guard."""


class Method(NamedTuple):
    """What a layer has to know of one of the contract's methods.

    Attributes:
        effects: Names of `EFFECTS`.
        kind: What a call gives: a plain ``"value"``, an ``"awaitable"``, an awaitable that gives a
            ``"stream"`` (`ReadStream`), or an async ``"iterator"``.
    """

    effects: frozenset[str]
    kind: Literal["value", "awaitable", "stream", "iterator"] = "awaitable"


def _of(effects: str) -> frozenset[str]:
    return frozenset(effects.split())


METHODS: Mapping[str, Method] = {
    "put": Method(_of("path content write")),
    "get": Method(_of("path content")),
    "exists": Method(_of("path")),
    "delete": Method(_of("path write")),
    "size": Method(_of("path content")),
    "last_modified": Method(_of("path")),
    "url": Method(_of("path content"), "value"),
    "path": Method(_of("path"), "value"),
    "stat": Method(_of("path content")),
    "open_read": Method(_of("path content"), "stream"),
    "write_file": Method(_of("path content write")),
    "list_entries": Method(_of("path content"), "iterator"),
    "make_directory": Method(_of("path write")),
    "delete_directory": Method(_of("path write")),
    "copy_file": Method(_of("path write")),
    "move_file": Method(_of("path write")),
    "visibility": Method(_of("path")),
    "set_visibility": Method(_of("path write")),
    "temporary_url": Method(_of("path content")),
    "temporary_upload_url": Method(_of("path content write")),
    "temporary_upload_form": Method(_of("path content write")),
    "delete_many": Method(_of("path write")),
    "aclose": Method(_of("")),
}
"""Each method of the contract."""

_UNKNOWN = Method(frozenset(EFFECTS))


class FullDriver(
    StorageDriver,
    SupportsStat,
    SupportsReading,
    SupportsWriting,
    SupportsListing,
    SupportsDirectories,
    SupportsCopy,
    SupportsMove,
    SupportsVisibility,
    SupportsTemporaryUrls,
    SupportsTemporaryUploads,
    SupportsUploadForms,
    SupportsBulkDelete,
    SupportsClose,
    Protocol,
):
    """The type of `Layer.inner`: a layer's method is called only where the inner driver has it."""


class Layer:
    """A driver around another one. Inherit, say what is guarded, define what is changed.

    Keywords of the class statement, each a collection of names; a subclass adds to its parents':

    * ``guards``: names of `EFFECTS`. Methods with such an effect are the layer's own, or
    unsupported.
      Of the eight methods of `StorageDriver`, each must be defined or be in ``passes``.
    * ``passes``: methods that are the inner driver's own on purpose, in spite of a guarded effect.
    * ``adds``: capabilities that the layer has also where the inner driver has not. A method of any
      other capability is called only where the inner driver has that capability.

    Args:
        inner: The driver within. What it withholds, this layer has not either.

    Attributes:
        inner: The driver within.
        unsupported: The capabilities that this instance does without.
        supported_options: The inner driver's `SupportsWriting.supported_options`. A layer that
        writes by itself and
            supports more, or less, sets its own.
        disk: The disk's name, once the layer is on a disk.
        driver_name: The name of the driver beneath all layers, once the layer is on a disk.

    Raises:
        TypeError: When the class is made: a guarded method is not defined, or a name is unknown.
        StorageConfigException: `inner` is no driver.
    """

    guards: ClassVar[frozenset[str]] = frozenset()
    passes: ClassVar[frozenset[str]] = frozenset()
    adds: ClassVar[frozenset[str]] = frozenset()

    disk: str | None = None
    driver_name: str | None = None

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
        # What one parent lets pass, another one may guard.
        inherited = frozenset(
            name
            for name in nothing.union(*(parent.passes for parent in parents))
            if all(parent._treats(name) for parent in parents)  # noqa: SLF001 - a base of its own
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
                f"The layer {cls.__name__} guards {_list(cls.guards)}, and so defines "
                f"{_list(f'{name}()' for name in missing)}, or names them in 'passes'"
            )

    def __init__(self, inner: StorageDriver) -> None:
        capabilities = resolve(inner).capabilities
        self.inner = cast("FullDriver", inner)
        self.unsupported: frozenset[str] = frozenset(CAPABILITIES) - capabilities.names - self.adds
        self.supported_options: Mapping[str, frozenset[str]] = {
            "write_file": capabilities.put_options,
            "copy_file": capabilities.copy_options,
            "move_file": capabilities.move_options,
        }
        self.read_only: bool = getattr(inner, "read_only", False)
        for protocol in (StorageDriver, *(CAPABILITIES[name] for name in capabilities.names)):
            for name in methods_of(protocol):
                if not hasattr(type(self), name) and self._treats(name):
                    setattr(self, name, self.wrap(name, getattr(inner, name)))

    def wrap(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:  # noqa: ARG002
        """Return what stands in for a method that the layer does not define: the method itself.

        A layer that does the same around every call overrides this, and so is around those
        methods too that later versions of the contract bring.

        Args:
            name: The method's name; `METHODS` tells its kind.
            method: The inner driver's.

        Returns:
            A callable with the same signature (`functools.wraps` keeps it).
        """
        return method

    def inner_path(self, path: str) -> str:
        """Return the path under which the inner driver knows a file: the same one.

        A layer that guards ``path`` defines this, so that a copy of a file onto itself is seen
        for what it is, also where the two ways to it lead through other layers.
        """
        return path

    @classmethod
    def _treats(cls, name: str) -> bool:
        """Tell whether a method is defined, let pass, or not guarded."""
        effects = METHODS.get(name, _UNKNOWN).effects
        return hasattr(cls, name) or name in cls.passes or not effects & cls.guards

    if TYPE_CHECKING:  # bound by the constructor: the types say what every layer has

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
