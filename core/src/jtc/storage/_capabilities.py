"""What a driver can do: resolved once, when a disk gets its driver, and then only looked up.

By `getattr` and signature, never by `isinstance` on a Protocol: that costs up to 7 µs a call, and
since Python 3.12 it does not see what a wrapper forwards by ``__getattr__``. The signature decides
because a class may have a method of that name which means something else.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from jtc.storage.driver import CAPABILITIES, StorageDriver
from jtc.storage.exceptions import (
    ReadOnlyException,
    StorageConfigException,
    UnsupportedOperationException,
)

if TYPE_CHECKING:
    from jtc.storage.driver import (
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

__all__ = ["Capabilities", "ResolvedDriver", "resolve"]

T = TypeVar("T")

_WRITING_CAPABILITIES = frozenset(
    {"directories", "move", "temporary_uploads", "upload_forms", "writing"}
)
_NO_OPTIONS: Mapping[str, frozenset[str]] = {}


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a disk's driver says it can do, beyond the eight methods.

    What only the backend knows (a bucket without ACLs, a file system without extended attributes)
    is not here: it is an `UnsupportedOperationException` at the call.

    Attributes:
        names: Names of `jtc.storage.driver.CAPABILITIES`, such as ``"listing"``.
        put_options: The options of a put that are supported, such as ``"overwrite"``.
        copy_options: Those of a copy within the disk.
        move_options: Those of a move within the disk.
    """

    names: frozenset[str]
    put_options: frozenset[str]
    copy_options: frozenset[str]
    move_options: frozenset[str]

    def __contains__(self, capability: object) -> bool:
        return capability in self.names


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedDriver:
    """A driver, and for each capability the driver again, or None where it lacks the capability.

    Attributes:
        driver: The driver.
        name: What messages call it.
        capabilities: The same, for users.
        disabled: Capabilities that an operator switched off, on top of the driver's
        ``unsupported``.
    """

    driver: StorageDriver
    name: str
    capabilities: Capabilities
    disabled: frozenset[str] = frozenset()
    stat: SupportsStat | None = None
    reading: SupportsReading | None = None
    writing: SupportsWriting | None = None
    listing: SupportsListing | None = None
    directories: SupportsDirectories | None = None
    copy: SupportsCopy | None = None
    move: SupportsMove | None = None
    visibility: SupportsVisibility | None = None
    temporary_urls: SupportsTemporaryUrls | None = None
    temporary_uploads: SupportsTemporaryUploads | None = None
    upload_forms: SupportsUploadForms | None = None
    bulk_delete: SupportsBulkDelete | None = None
    close: SupportsClose | None = None

    def need(self, capability: T | None, name: str) -> T:
        """Return a capability, such as ``resolved.listing``, that a method cannot do without.

        Raises:
            UnsupportedOperationException: The driver lacks it, or a layer or the configuration
                withholds it.
        """
        if capability is None:
            if name in _WRITING_CAPABILITIES:
                self.check_writable()
            from jtc.storage._layering import why_lacking  # noqa: PLC0415 - it imports this module

            raise UnsupportedOperationException(why_lacking(self, name))
        return capability

    def check_writable(self) -> None:
        """Refuse a write to a read-only view, whatever else would be wrong with it.

        Raises:
            ReadOnlyException: The driver only reads.
        """
        if getattr(self.driver, "read_only", False):
            raise ReadOnlyException("The disk is a read-only view")


def resolve(
    driver: object, *, name: str | None = None, disabled: Collection[str] = ()
) -> ResolvedDriver:
    """Find out what a driver can do.

    Args:
        driver: Any object with the eight methods.
        name: What messages call it; its class's name unless told.
        disabled: Capabilities to do without, on top of the driver's own ``unsupported``.

    Raises:
        StorageConfigException: It is a class, lacks one of the eight methods, or there is no
            capability of such a name to disable.
    """
    if isinstance(driver, type):
        raise StorageConfigException(
            f"{driver.__name__!r} is a class: a disk takes an instance of it, made with its options"
        )
    name = name or type(driver).__name__
    lacking = [method for method in methods_of(StorageDriver) if not _has(driver, method)]
    if lacking:
        raise StorageConfigException(
            f"{name!r} is no storage driver: it lacks {', '.join(f'{m}()' for m in lacking)}"
        )
    switched_off = _known(disabled)
    unsupported = frozenset(getattr(driver, "unsupported", ())) | switched_off
    claimed = {
        capability: driver
        for capability, protocol in CAPABILITIES.items()
        if capability not in unsupported and _claims(driver, protocol)
    }
    supported_options = driver.supported_options if "writing" in claimed else _NO_OPTIONS  # type: ignore[attr-defined]
    nothing: frozenset[str] = frozenset()
    capabilities = Capabilities(
        names=frozenset(claimed),
        put_options=frozenset(supported_options.get("write_file", nothing)),
        copy_options=frozenset(supported_options.get("copy_file", nothing)),
        move_options=frozenset(supported_options.get("move_file", nothing)),
    )
    return ResolvedDriver(
        driver=driver,  # type: ignore[arg-type] # it has the eight methods, as was just seen
        name=name,
        capabilities=capabilities,
        disabled=switched_off,
        **claimed,  # type: ignore[arg-type]
    )


def _known(capabilities: Collection[str]) -> frozenset[str]:
    if isinstance(capabilities, str) or not all(name in CAPABILITIES for name in capabilities):
        raise StorageConfigException(
            f"'disable' is a list of capabilities: {', '.join(CAPABILITIES)}; not {capabilities!r}"
        )
    return frozenset(capabilities)


def _claims(driver: object, protocol: type) -> bool:
    if "supported_options" in vars(protocol) and not isinstance(
        getattr(driver, "supported_options", None), Mapping
    ):
        return False
    return all(
        _has(driver, name) and _fits(getattr(driver, name), protocol, name)
        for name in methods_of(protocol)
    )


def _has(driver: object, name: str) -> bool:
    return callable(getattr(driver, name, None))


@cache
def methods_of(protocol: type) -> tuple[str, ...]:
    """Return the names of a Protocol's methods."""
    return tuple(
        name
        for name, member in vars(protocol).items()
        if inspect.isfunction(member) and not name.startswith("_")
    )


def _fits(method: Callable[..., Any], protocol: type, name: str) -> bool:
    """Tell whether a method can be called as the Protocol's is."""
    function = getattr(method, "__func__", None)
    if function is None:
        return _accepts(method, protocol, name, bound=True)
    return _accepts_cached(function, protocol, name)


@lru_cache(maxsize=1024)
def _accepts_cached(function: Callable[..., Any], protocol: type, name: str) -> bool:
    return _accepts(function, protocol, name, bound=False)


def _accepts(function: Callable[..., Any], protocol: type, name: str, *, bound: bool) -> bool:
    positional, keywords = _call(protocol, name)
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        # A builtin without a signature (dict.copy before Python 3.13) is none of ours.
        return False
    try:
        signature.bind(*[None] * (positional + (not bound)), **dict.fromkeys(keywords))
    except TypeError:
        return False
    return True


@cache
def _call(protocol: type, name: str) -> tuple[int, tuple[str, ...]]:
    """Return how many positional arguments a Protocol's method takes, and which keywords."""
    parameters = list(inspect.signature(getattr(protocol, name)).parameters.values())[1:]
    keywords = tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)
    return len(parameters) - len(keywords), keywords
