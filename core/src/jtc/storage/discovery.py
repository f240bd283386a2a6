"""Which drivers are installed: entry points, scanned once, loaded by name at first use.

Not pluggy's `load_setuptools_entrypoints`: that scans at every call, lets the first of two
duplicates win in silence, and stops at the first plugin that is broken.
"""

from __future__ import annotations

import logging
import re
import sys
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from jtc.storage.exceptions import StorageConfigException

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from importlib.metadata import EntryPoint

__all__ = ["GROUP", "OFFICIAL", "installed_drivers", "load_driver"]

GROUP = "jtc.storage.drivers"
"""The entry-point group: the name is the driver's, the value a class or a factory."""

OFFICIAL = ("local", "memory", "s3")
"""The drivers that an extra of jtc-storage brings."""

_log = logging.getLogger("jtc.storage")


class _Claim(NamedTuple):
    """A driver's name, as a distribution claims it."""

    distribution: str
    entry_point: EntryPoint


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
    claims = _entry_points().get(name, [])
    if not claims:
        raise StorageConfigException(_missing(name))
    if len(claims) > 1:
        owners = " and ".join(claim.distribution for claim in claims)
        raise StorageConfigException(
            f"Two distributions claim the driver {name!r}: {owners}. Uninstall one of them"
        )
    distribution, entry_point = claims[0]
    try:
        factory = entry_point.load()
    except Exception as error:
        raise StorageConfigException(
            f"The driver {name!r} of {distribution} cannot be imported "
            f"({type(error).__name__}: {error}). Repair or reinstall that distribution"
        ) from error
    if not callable(factory):
        raise StorageConfigException(
            f"The driver {name!r} of {distribution} is neither a class nor a function"
        )
    return factory  # type: ignore[no-any-return] # callable, as was just seen


@cache
def _entry_points() -> Mapping[str, list[_Claim]]:
    if sys.version_info >= (3, 12):
        from importlib import metadata  # noqa: PLC0415 - 20 ms, at first use
    else:
        # Not at import: it puts a finder of its own before the interpreter's.
        import importlib_metadata as metadata  # noqa: PLC0415

    found: dict[str, dict[str, _Claim]] = {}
    # Not metadata.entry_points(): one distribution that cannot be read would break every disk.
    for distribution in metadata.distributions():
        try:
            entry_points = distribution.entry_points.select(group=GROUP)
        except Exception as error:
            _log.warning("The entry points of %s cannot be read (%s)", _name(distribution), error)
            continue
        for entry_point in entry_points:
            claim = _Claim(_name(distribution), entry_point)
            # The same distribution on two paths is one claim: the first path's, as for imports.
            # One name has several spellings (https://peps.python.org/pep-0503/#normalized-names).
            owner = re.sub(r"[-_.]+", "-", claim.distribution).lower()
            found.setdefault(entry_point.name, {}).setdefault(owner, claim)
    return {name: list(by_owner.values()) for name, by_owner in found.items()}


def forget_scan() -> None:
    """Scan again at the next look-up, for programs that install distributions as they run."""
    _entry_points.cache_clear()


def _name(distribution: Any) -> str:
    try:
        name = distribution.metadata["Name"]
    except Exception:
        name = None  # an interrupted installation leaves a folder without METADATA
    return name or f"an unnamed distribution in {distribution.locate_file('')}"


def _missing(name: str) -> str:
    text = f"No driver named {name!r} is installed."
    if name in OFFICIAL:
        return f"{text} Install it with: pip install 'jtc-storage[{name}]'"
    installed = installed_drivers()
    if not installed:
        return f"{text} No driver is: install one, such as: pip install 'jtc-storage[local]'"
    return f"{text} There are: {', '.join(installed)}"
