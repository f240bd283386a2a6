"""Installed drivers, layers and plugins, by entry points that are scanned once.

Drivers and layers are loaded by name at first use, so that a broken one affects only the disks that
use it.

Pluggy's `load_setuptools_entrypoints` is not used: it scans at every call, silently uses the first
of two duplicates, and stops at the first broken plugin.
"""

from __future__ import annotations

import logging
import re
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from jtc.storage._did_you_mean import closest
from jtc.storage.exceptions import StorageConfigException

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from importlib.metadata import EntryPoint

__all__ = [
    "DRIVERS",
    "LAYERS",
    "OFFICIAL",
    "PLUGINS",
    "installed_drivers",
    "installed_layers",
    "load_driver",
    "load_layer",
    "load_plugins",
    "missing",
]

DRIVERS = "jtc.storage.drivers"
"""An entry-point group: the name is the driver's, the value a class or a factory."""

LAYERS = "jtc.storage.layers"
"""An entry-point group: the name is the layer's, the value takes a driver and options."""

PLUGINS = "jtc.storage.plugins"
"""An entry-point group: the value is an object, a module or a class with hooks."""

OFFICIAL: Mapping[str, Mapping[str, str]] = {
    DRIVERS: {name: name for name in ("azure", "gcs", "local", "memory", "opendal", "s3", "sftp")},
    LAYERS: {
        "clamav": "clamav",
        "limit": "layers",
        "otel": "otel",
        "retry": "layers",
        "timeout": "layers",
        "validate": "layers",
    },
}
"""The names that official distributions provide, and the extra of jtc-storage for each."""

_KINDS = {DRIVERS: "driver", LAYERS: "layer", PLUGINS: "plugin"}

_log = logging.getLogger("jtc.storage")


class _Provider(NamedTuple):
    """A distribution that provides a name, and its entry point."""

    distribution: str
    entry_point: EntryPoint


def installed_drivers() -> list[str]:
    """Return the names of the drivers that are installed, loading none."""
    return sorted(_entry_points(DRIVERS))


def installed_layers() -> list[str]:
    """Return the names of the layers that are installed, loading none."""
    return sorted(_entry_points(LAYERS))


def load_driver(name: str) -> Callable[..., Any]:
    """Import a driver by its name.

    Args:
        name: The entry point's name.

    Returns:
        The class or factory, to be called with a disk's configuration.

    Raises:
        StorageConfigException: None is installed, it cannot be imported, or two distributions
            provide the name.
    """
    return _load(DRIVERS, name)


def load_layer(name: str) -> Callable[..., Any]:
    """Import a layer by its name.

    Args:
        name: The entry point's name.

    Returns:
        The class or factory, to be called with a driver and the layer's options.

    Raises:
        StorageConfigException: As for `load_driver`.
    """
    return _load(LAYERS, name)


def load_plugins() -> Iterator[tuple[str, Any]]:
    """Import all plugins, in the order of their names.

    Yields:
        A name, ``"distribution:name"``, and the plugin, or its error if it cannot be imported.
    """
    for name, providers in sorted(_entry_points(PLUGINS).items()):
        for distribution, entry_point in providers:
            plugin: Any
            try:
                plugin = _import(entry_point, PLUGINS, distribution)
            except StorageConfigException as error:
                plugin = error
            yield f"{distribution}:{name}", plugin


def _load(group: str, name: str) -> Callable[..., Any]:
    kind = _KINDS[group]
    providers = _entry_points(group).get(name, [])
    if not providers:
        raise StorageConfigException(missing(group, name))
    if len(providers) > 1:
        owners = " and ".join(provider.distribution for provider in providers)
        raise StorageConfigException(
            f"Two distributions provide the {kind} {name!r}: {owners}. Uninstall one of them"
        )
    distribution, entry_point = providers[0]
    factory = _import(entry_point, group, distribution)
    if not callable(factory):
        raise StorageConfigException(
            f"The {kind} {name!r} of {distribution} is neither a class nor a function"
        )
    return factory  # type: ignore[no-any-return] # callable, as was just checked


def _import(entry_point: EntryPoint, group: str, distribution: str) -> Any:
    try:
        return entry_point.load()
    except KeyboardInterrupt:
        raise
    # SystemExit too, and pytest's Skipped: a module that ends the program must not end ours.
    except BaseException as error:
        raise StorageConfigException(
            f"The {_KINDS[group]} {entry_point.name!r} of {distribution} cannot be imported "
            f"({type(error).__name__}: {error}). Repair or reinstall that distribution"
        ) from error


def _entry_points(group: str) -> Mapping[str, list[_Provider]]:
    return _scan()[group]


@cache
def _scan() -> Mapping[str, Mapping[str, list[_Provider]]]:
    from importlib import metadata  # noqa: PLC0415 - 20 ms, at first use

    found: dict[str, dict[str, dict[str, _Provider]]] = {group: {} for group in _KINDS}
    # Not metadata.entry_points(): one unreadable distribution would break every disk.
    for distribution in metadata.distributions():
        try:
            entry_points = [e for e in distribution.entry_points if e.group in found]
        except Exception as error:
            _log.warning("The entry points of %s cannot be read (%s)", _name(distribution), error)
            continue
        for entry_point in entry_points:
            provider = _Provider(_name(distribution), entry_point)
            # The same distribution on two paths counts once: the first path's, as for imports.
            # One name has several spellings (https://peps.python.org/pep-0503/#normalized-names).
            owner = re.sub(r"[-_.]+", "-", provider.distribution).lower()
            by_name = found[entry_point.group].setdefault(entry_point.name, {})
            by_name.setdefault(owner, provider)
    return {
        group: {name: list(by_owner.values()) for name, by_owner in by_name.items()}
        for group, by_name in found.items()
    }


def forget_scan() -> None:
    """Scan again at the next look-up, for programs that install distributions while they run."""
    _scan.cache_clear()


def _name(distribution: Any) -> str:
    try:
        name = distribution.metadata["Name"]
    except Exception:
        name = None  # an interrupted installation leaves a folder without METADATA
    return name or f"an unnamed distribution in {distribution.locate_file('')}"


def missing(group: str, name: str) -> str:
    """Return a message that a name is not installed, and what to do."""
    kind = _KINDS[group]
    text = f"No {kind} named {name!r} is installed."
    if name in OFFICIAL[group]:
        extra = OFFICIAL[group][name]
        return f"{text} Install it with: pip install 'jtc-storage[{extra}]'"
    installed = sorted(_entry_points(group))
    if not installed:
        return f"{text} There are none: install one, for example: pip install 'jtc-storage[local]'"
    close = closest(name, installed)
    hint = f" Did you mean {close!r}?" if close else ""
    return f"{text}{hint} There are: {', '.join(installed)}"
