"""Capabilities of a driver, resolved once when a disk gets its driver.

They are found by `getattr` and signature, never by `isinstance` on a Protocol: that costs up to
7 µs a call, and since Python 3.12 it does not see methods that a wrapper forwards by
``__getattr__``. The signature counts because a class may have a method of the same name with
another meaning.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from jtc.storage.driver import BASE_OPTIONS, CAPABILITIES, METHODS, StorageDriver
from jtc.storage.driver_support.standalone import without_checks
from jtc.storage.exceptions import (
    ReadOnlyException,
    StorageConfigException,
    UnsupportedOperationException,
)

if TYPE_CHECKING:
    from jtc.storage.driver import FullDriver

__all__ = ["Capabilities", "ResolvedDriver", "methods_of", "resolve"]

_NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Capabilities of a disk's driver beyond the eight methods, and the options that it supports.

    Limits of the backend (a bucket without ACLs, a file system without extended attributes) are not
    included: they are an `UnsupportedOperationException` at the call.

    Attributes:
        names: Names of `jtc.storage.driver.CAPABILITIES`, such as ``"listing"``.
        options: The options that each method of the driver supports, by the method's name.
    """

    names: frozenset[str]
    options: Mapping[str, frozenset[str]]

    def __contains__(self, capability: object) -> bool:
        return capability in self.names

    def supports(self, method: str, option: str) -> bool:
        """Return whether a method of the driver, such as ``"open_read"``, supports an option."""
        return option in self.options.get(method, _NOTHING)

    @property
    def put_options(self) -> frozenset[str]:
        """The supported options of a put, such as ``"overwrite"``."""
        return self.options.get("write_file", _NOTHING)

    @property
    def copy_options(self) -> frozenset[str]:
        """The supported options of a copy within the disk."""
        return self.options.get("copy_file", _NOTHING)

    @property
    def move_options(self) -> frozenset[str]:
        """The supported options of a move within the disk."""
        return self.options.get("move_file", _NOTHING)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedDriver:
    """A driver with its capabilities.

    Attributes:
        driver: The driver.
        name: Its name in messages.
        capabilities: Its capabilities beyond the eight methods.
        methods: Its methods of the contract, for checked paths. A method is present only if
            `capabilities` has its capability.
        disabled: Capabilities that an operator disabled, beyond the driver's ``unsupported``.
    """

    driver: StorageDriver
    name: str
    capabilities: Capabilities
    methods: FullDriver
    disabled: frozenset[str] = _NOTHING

    def require(self, capability: str, otherwise: str | None = None) -> FullDriver:
        """Return the driver's methods if it has a capability.

        Args:
            capability: The capability's name.
            otherwise: What else the caller can do, for the message.

        Raises:
            UnsupportedOperationException: It does not; the message says whether the driver, a layer
                or the configuration is the reason.
        """
        if capability not in self.capabilities.names:
            if capability in _WRITING:
                self.check_writable()
            from jtc.storage._layering import why_lacking  # noqa: PLC0415 - imports this module

            why = why_lacking(self, capability)
            raise UnsupportedOperationException(f"{why}; {otherwise}" if otherwise else why)
        return self.methods

    def check_option(self, method: str, option: str, value: object) -> None:
        """Check an option that the driver may not support; None and False are the defaults.

        Raises:
            UnsupportedOperationException: It is set and not supported.
        """
        if value not in {None, False} and not self.capabilities.supports(method, option):
            raise UnsupportedOperationException(
                f"The driver {self.name!r} does not support the option {option!r} of "
                f"{METHODS[method].operation}()"
            )

    def check_writable(self) -> None:
        """Check that the driver may write, before any other check of a write.

        Raises:
            ReadOnlyException: The driver only reads.
        """
        if getattr(self.driver, "read_only", False):
            raise ReadOnlyException("The disk is a read-only view")


def resolve(
    driver: object, *, name: str | None = None, disabled: Collection[str] = ()
) -> ResolvedDriver:
    """Resolve the capabilities of a driver.

    Args:
        driver: Any object with the eight methods.
        name: Its name in messages; by default its class's.
        disabled: Capabilities to disable, beyond the driver's own ``unsupported``.

    Raises:
        StorageConfigException: It is a class, lacks one of the eight methods, or `disabled` has an
            unknown name.
    """
    name = name or type(driver).__name__
    _check_driver(driver, name)
    switched_off = _known(disabled)
    options = getattr(driver, "supported_options", None)
    names = _capabilities(driver, switched_off, has_options=isinstance(options, Mapping))
    methods = [
        method
        for protocol in (StorageDriver, *(CAPABILITIES[each] for each in names))
        for method in methods_of(protocol)
    ]
    more = options if isinstance(options, Mapping) else {}
    return ResolvedDriver(
        driver=cast("StorageDriver", driver),
        name=name,
        capabilities=Capabilities(
            names,
            {m: BASE_OPTIONS.get(m, _NOTHING) | frozenset(more.get(m, ())) for m in methods},
        ),
        methods=cast(
            "FullDriver",
            SimpleNamespace(**{m: without_checks(getattr(driver, m)) for m in methods}),
        ),
        disabled=switched_off,
    )


def _check_driver(driver: object, name: str) -> None:
    if isinstance(driver, type):
        raise StorageConfigException(
            f"{driver.__name__!r} is a class: a disk takes an instance of it, made with its options"
        )
    lacking = [method for method in methods_of(StorageDriver) if not _has(driver, method)]
    if lacking:
        raise StorageConfigException(
            f"{name!r} is not a storage driver: it lacks {', '.join(f'{m}()' for m in lacking)}"
        )


def _capabilities(driver: object, disabled: frozenset[str], *, has_options: bool) -> frozenset[str]:
    unsupported = disabled.union(getattr(driver, "unsupported", ()))
    return frozenset(
        capability
        for capability, protocol in CAPABILITIES.items()
        if capability not in unsupported
        and (has_options or "supported_options" not in vars(protocol))
        and all(
            _has(driver, method) and _fits(getattr(driver, method), protocol, method)
            for method in methods_of(protocol)
        )
        and not _is_outdated(type(driver), capability)
    )


_CONTENT_METHODS = {
    "copy_source": ("get", "open_read", "read_ranges"),
    "copy_from": ("put", "write_file"),
}
"""What reads or writes the content that a store copies by itself."""


def _is_outdated(cls: type, capability: str) -> bool:
    """Return whether a subclass reads or writes content in another way than the inherited copy."""
    methods = _CONTENT_METHODS.get(capability, ())
    for each in cls.__mro__ if methods else ():
        if capability in vars(each):  # the method has the capability's name
            return False
        if any(method in vars(each) for method in methods):
            return True
    return False


def _known(capabilities: Collection[str]) -> frozenset[str]:
    if isinstance(capabilities, str) or not all(name in CAPABILITIES for name in capabilities):
        raise StorageConfigException(
            f"'disable' is a list of capabilities: {', '.join(CAPABILITIES)}; not {capabilities!r}"
        )
    return frozenset(capabilities)


def _has(driver: object, name: str) -> bool:
    return callable(getattr(driver, name, None))


@cache
def methods_of(protocol: type) -> tuple[str, ...]:
    """Return the names of a Protocol's methods."""
    return tuple(name for name, member in vars(protocol).items() if hasattr(member, "contract"))


_WRITING = frozenset(
    name
    for name, protocol in CAPABILITIES.items()
    if methods_of(protocol)
    and all("write" in METHODS[method].effects for method in methods_of(protocol))
)


def _fits(method: Callable[..., Any], protocol: type, name: str) -> bool:
    """Return whether a method can be called as the Protocol's is."""
    function = getattr(method, "__func__", None)
    if function is None:
        return _accepts(method, protocol, name, bound=True)
    return _accepts_cached(function, protocol, name)


@lru_cache(maxsize=1024)
def _accepts_cached(function: Callable[..., Any], protocol: type, name: str) -> bool:
    return _accepts(function, protocol, name, bound=False)


def _accepts(function: Callable[..., Any], protocol: type, name: str, *, bound: bool) -> bool:
    """Return whether a function takes as many positional arguments as the Protocol's method."""
    taken = len(inspect.signature(getattr(protocol, name)).parameters)  # with self
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        # A builtin without a signature (dict.copy before Python 3.13) is not a method of a driver.
        return False
    try:
        signature.bind(*[None] * (taken - bound))
    except TypeError:
        return False
    return True
