"""Layers of a disk: put around each of its drivers once."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING, Any, Protocol

from jtc.storage._capabilities import resolve
from jtc.storage.driver_support.fork_safety import reset_after_fork
from jtc.storage.exceptions import StorageConfigException
from jtc.storage.layer import Layer

if TYPE_CHECKING:
    from collections.abc import Callable

    from jtc.storage._capabilities import ResolvedDriver
    from jtc.storage.driver import StorageDriver

__all__ = ["LayerResolver", "layered", "why_lacking"]


class Manager(Protocol):
    """The manager of the disks, as far as layers use it."""

    def disk(self, name: str) -> Any:
        """Return a disk by its name."""
        ...


def layered(
    resolved: ResolvedDriver,
    make: Callable[[StorageDriver], StorageDriver],
    disk: str,
    manager: Manager,
) -> ResolvedDriver:
    """Put a layer around a disk's driver.

    Args:
        resolved: The driver.
        make: Makes the layer around a driver.
        disk: The disk's name.
        manager: The disk's manager.

    Raises:
        StorageConfigException: The layer is not a driver.
    """
    driver = resolved.driver
    if resolved.disabled:
        within = Layer(driver)
        within.unsupported |= resolved.disabled
        driver = within
    layer = make(driver)
    if isinstance(layer, Layer):
        layer.disk, layer.driver_name = disk, resolved.name
        layer.find_disk = _finder(manager)
    return resolve(layer, name=resolved.name)


def _finder(manager: Manager) -> Callable[[str], Any]:
    """Return a function that finds a disk of a manager, which a layer does not keep alive."""
    reference = weakref.ref(manager)

    def find_disk(name: str) -> Any:
        if (found := reference()) is None:
            raise StorageConfigException(
                f"The manager of the disk {name!r} does not exist any more"
            )
        return found.disk(name)

    return find_disk


def why_lacking(resolved: ResolvedDriver, capability: str) -> str:
    """Return a message why a disk lacks a capability: its configuration, a layer, or the driver.

    Args:
        resolved: The disk's driver, which lacks the capability.
        capability: The capability's name.
    """
    from jtc.storage.driver_support.url_signing import (  # noqa: PLC0415 - imports hmac and json
        SIGNING_CAPABILITIES,
    )

    text = f"The driver {resolved.name!r} does not have the capability {capability!r}"
    disabled = f"{text}: the disk's configuration disables it"
    if capability in resolved.disabled:
        return disabled
    driver: Any = resolved.driver
    while isinstance(driver, Layer):
        if capability in resolve(driver.inner).capabilities:
            if type(driver) is Layer:  # from layered()
                return disabled
            return f"{text}: the layer {type(driver).__name__} around it takes it away"
        driver = driver.inner
    # Its own attribute: a fake forwards that of the memory driver.
    unsigned = getattr(driver, "__dict__", {}).get("signer", ...) is None
    if capability in SIGNING_CAPABILITIES and unsigned:
        return f"{text}: to sign URLs it needs the option 'secret'"
    return text


class LayerResolver:
    """Finds a layered disk's driver; the layer is made once for each driver that the disk gets."""

    __slots__ = ("__weakref__", "_disk", "_find", "_last", "_lock", "_make", "_manager", "_ready")

    def __init__(
        self,
        find: Callable[[], ResolvedDriver],
        ready: Callable[[], ResolvedDriver | None],
        make: Callable[[StorageDriver], StorageDriver],
        disk: str,
        manager: Manager,
    ) -> None:
        self._manager = manager
        self._find = find
        self._ready = ready
        self._make = make
        self._disk = disk
        self._lock = threading.Lock()
        self._last: tuple[ResolvedDriver | None, ResolvedDriver | None] = (None, None)
        reset_after_fork(self)

    def _after_fork(self) -> None:
        self._lock = threading.Lock()

    def __call__(self) -> ResolvedDriver:
        """Return the layer around the current driver."""
        return self._around(self._find())

    def ready(self) -> ResolvedDriver | None:
        """Return the layer around the current driver; None if that has to be imported first."""
        inner = self._ready()
        if inner is None:
            return None
        seen, outer = self._last
        return outer if seen is inner and outer is not None else self._around(inner)

    def _around(self, inner: ResolvedDriver) -> ResolvedDriver:
        seen, outer = self._last
        if outer is None or seen is not inner:
            # One layer for all threads: two limits would let twice as much through.
            with self._lock:
                seen, outer = self._last
                if outer is None or seen is not inner:
                    outer = layered(inner, self._make, self._disk, self._manager)
                    self._last = (inner, outer)  # one assignment: it is read without the lock
        return outer
