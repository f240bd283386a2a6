"""Which drivers are installed: entry points, scanned once, loaded by name at first use.

Not pluggy's `load_setuptools_entrypoints`: that scans at every call, lets the first of two
duplicates win in silence, and stops at the first plugin that is broken.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import TYPE_CHECKING, Any

from jtc.storage.exceptions import StorageConfigException

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from importlib.metadata import EntryPoint

__all__ = ["GROUP", "OFFICIAL", "installed_drivers", "load_driver"]

GROUP = "jtc.storage.drivers"
"""The entry-point group: the name is the driver's, the value a class or a factory."""

OFFICIAL = ("local", "memory", "s3")
"""The drivers that an extra of jtc-storage brings."""


def installed_drivers() -> list[str]:
    """Return the names of the drivers that are installed, loading none."""
    return sorted(_entry_points())


def load_driver(name: str) -> Callable[..., Any]:
    """Import a driver by its name.

    Args:
        name: The entry point's name.

    Returns:
        The class or factory, to be called with a disk's configuration.

    Raises:
        StorageConfigException: None is installed, it cannot be imported, or two distributions
            claim the name.

    """
    claims = _entry_points().get(name, ())
    if not claims:
        raise StorageConfigException(_missing(name))
    if len(claims) > 1:
        owners = " and ".join(_owner(entry_point) for entry_point in claims)
        raise StorageConfigException(
            f"Two distributions claim the driver {name!r}: {owners}. Uninstall one of them"
        )
    (entry_point,) = claims
    try:
        factory = entry_point.load()
    except Exception as error:
        raise StorageConfigException(
            f"The driver {name!r} of {_owner(entry_point)} cannot be imported "
            f"({type(error).__name__}: {error}). Repair or reinstall that distribution"
        ) from error
    if not callable(factory):
        raise StorageConfigException(
            f"The driver {name!r} of {_owner(entry_point)} is neither a class nor a function"
        )
    return factory  # type: ignore[no-any-return] # callable, as was just seen


@cache
def _entry_points() -> Mapping[str, tuple[EntryPoint, ...]]:
    if sys.version_info >= (3, 12):
        from importlib import metadata  # noqa: PLC0415 - 20 ms, at first use
    else:
        # Not at import: it puts a finder of its own before the interpreter's.
        import importlib_metadata as metadata  # noqa: PLC0415

    found: dict[str, dict[str, EntryPoint]] = {}
    for entry_point in metadata.entry_points(group=GROUP):
        # The same distribution on two paths is one claim.
        found.setdefault(entry_point.name, {}).setdefault(_owner(entry_point), entry_point)
    return {name: tuple(by_owner.values()) for name, by_owner in found.items()}


def forget_scan() -> None:
    """Scan again at the next look-up, for programs that install distributions as they run."""
    _entry_points.cache_clear()


def _owner(entry_point: EntryPoint) -> str:
    return entry_point.dist.name if entry_point.dist is not None else entry_point.value


def _missing(name: str) -> str:
    text = f"No driver named {name!r} is installed."
    if name in OFFICIAL:
        return f"{text} Install it with: pip install 'jtc-storage[{name}]'"
    installed = installed_drivers()
    if not installed:
        return f"{text} No driver is: install one, such as: pip install 'jtc-storage[local]'"
    return f"{text} There are: {', '.join(installed)}"
