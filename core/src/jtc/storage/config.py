"""The configuration: a mapping or a TOML file that names disks, checked before anything is made."""

from __future__ import annotations

import difflib
import inspect
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jtc.storage.exceptions import StorageConfigException

__all__ = ["DEFAULT", "DiskConfig", "StorageConfig", "read_config"]

DEFAULT = "default"
"""The reserved name of the default disk."""

# ${NAME}, ${NAME:-default}, and $${...} for a literal ${...}. A lone $ is a letter like others:
# secrets have them.
_VARIABLE = re.compile(
    r"(?P<escape>\$?)\$\{(?P<name>[^}:]*)(?::-(?P<default>[^}]*))?(?P<rest>[^}]*)\}"
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class DiskConfig:
    """One disk, as it was written: variables are looked up when it is first used.

    Attributes:
        driver: The driver's name.
        options: What the driver is called with.
        disable: Abilities to do without.
    """

    driver: str
    options: Mapping[str, Any] = field(repr=False)  # may hold secrets
    disable: tuple[str, ...] = ()

    @classmethod
    def parse(cls, disk: str, table: object) -> DiskConfig:
        """Check one disk's table.

        Raises:
            StorageConfigException: It is not a table, names no driver, or has odd keys.
        """
        if not isinstance(table, Mapping):
            raise _error(f"A disk's configuration is a table, not {type(table).__name__}", disk)
        options = _copy(table)
        driver = options.pop("driver", None)
        if not isinstance(driver, str) or not driver:
            raise _error('A disk\'s configuration names its driver: driver = "local"', disk)
        disable = options.pop("disable", ())
        if not isinstance(disable, (list, tuple)) or not all(isinstance(a, str) for a in disable):
            raise _error("'disable' is a list of abilities", disk)
        for name in options:
            if not isinstance(name, str):
                raise _error(f"An option's name is a str, not {name!r}", disk)
        return cls(driver, options, tuple(disable))

    def with_variables(self, disk: str, environ: Mapping[str, str]) -> DiskConfig:
        """Return this configuration with each ``${NAME}`` replaced by its variable.

        Args:
            disk: The disk's name, for messages.
            environ: Where the names are looked up.

        Raises:
            StorageConfigException: A variable is not set.
        """
        return DiskConfig(
            driver=_interpolate(self.driver, disk, "driver", environ),
            options={k: _interpolate(v, disk, k, environ) for k, v in self.options.items()},
            disable=tuple(_interpolate(name, disk, "disable", environ) for name in self.disable),
        )

    def make(self, disk: str, factory: Callable[..., Any]) -> Any:
        """Call the driver's factory.

        Args:
            disk: The disk's name, for messages.
            factory: What the driver's entry point gave.

        Raises:
            StorageConfigException: An option is unknown or lacking, or the driver refuses its
                options.
        """
        _check_options(factory, self.options, disk, self.driver)
        return call(lambda: factory(**self.options), disk, self.driver)


@dataclass(frozen=True, slots=True)
class StorageConfig:
    """All disks, and which of them is the default one."""

    default: str | None
    disks: Mapping[str, DiskConfig]


def read_config(source: Mapping[str, Any] | str | os.PathLike[str]) -> StorageConfig:
    """Read a configuration.

    Args:
        source: A mapping with ``default`` and ``disks``, or the path of a TOML file
            (https://toml.io/en/v1.0.0) with the same.

    Raises:
        StorageConfigException: It cannot be read, or is not of this form.
    """
    if not isinstance(source, Mapping):
        source = _read_toml(Path(source))
    if unknown := [key for key in source if key not in {"default", "disks"}]:
        raise _error(f"A configuration has the keys 'default' and 'disks', not {unknown}")
    tables = source.get("disks", {})
    if not isinstance(tables, Mapping):
        raise _error("'disks' is a table with a table for each disk")
    if DEFAULT in tables:
        raise _error(f"{DEFAULT!r} is no disk's own name: it means the default disk", DEFAULT)
    disks = {str(name): DiskConfig.parse(str(name), table) for name, table in tables.items()}
    default = source.get("default")
    if isinstance(default, str):
        default = _interpolate(default, DEFAULT, "default", os.environ)
    if default is not None and not (isinstance(default, str) and default in disks):
        raise _error(f"The default disk is {default!r}, but there are only: {_names(disks)}")
    return StorageConfig(default, disks)


def call(make: Callable[[], Any], disk: str, driver: str) -> Any:
    """Make a driver; whatever it raises becomes a StorageConfigException that says where.

    Raises:
        StorageConfigException: The driver could not be made.
    """
    try:
        return make()
    except StorageConfigException as error:
        error.disk = error.disk or disk
        raise
    except Exception as error:
        raise _error(
            f"The driver {driver!r} refuses its configuration ({type(error).__name__}: {error})",
            disk,
        ) from error


def _read_toml(path: Path) -> Mapping[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise _error(f"The configuration {str(path)!r} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _error(f"The configuration {str(path)!r} is not TOML: {error}") from error


def _copy(value: Any) -> Any:
    """Copy tables and lists, so that changing them later changes no disk; keep all else."""
    if isinstance(value, Mapping):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value


def _interpolate(value: Any, disk: str, key: str, environ: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return _VARIABLE.sub(lambda match: _variable(match, disk, key, environ), value)
    if isinstance(value, list):
        return [_interpolate(item, disk, key, environ) for item in value]
    if isinstance(value, dict):
        return {k: _interpolate(v, disk, f"{key}.{k}", environ) for k, v in value.items()}
    return value


def _variable(match: re.Match[str], disk: str, key: str, environ: Mapping[str, str]) -> str:
    if match["escape"]:
        return match[0][1:]
    name, default = match["name"], match["default"]
    if match["rest"] or not _NAME.fullmatch(name):
        raise _error(f"The option {key!r} has a ${{...}} that names no variable", disk)
    if "${" in (default or ""):
        raise _error(f"The option {key!r} has a ${{...}} within the default of another", disk)
    value = environ.get(name)
    if default is not None:
        return value or default  # as in a shell, an empty value counts as none
    if value is None:
        raise _error(
            f"The option {key!r} needs the environment variable {name!r}, which is not set", disk
        )
    return value


def _check_options(
    factory: Callable[..., Any], options: Mapping[str, Any], disk: str, driver: str
) -> None:
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):
        return  # a factory in C has no signature: its own TypeError must do
    named = [p for p in parameters if p.kind in {p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY}]
    known = {p.name for p in named}
    anything = any(p.kind is p.VAR_KEYWORD for p in parameters)
    for name in options:
        if name not in known and not anything:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"Did you mean {close[0]!r}? " if close else ""
            raise _error(
                f"The driver {driver!r} has no option {name!r}. {hint}It has: {_names(known)}",
                disk,
            )
    lacking = [p.name for p in named if p.default is p.empty and p.name not in options]
    if lacking:
        raise _error(f"The driver {driver!r} needs the options: {_names(lacking)}", disk)


def _names(names: Any) -> str:
    return ", ".join(sorted(names)) or "none"


def _error(message: str, disk: str | None = None) -> StorageConfigException:
    return StorageConfigException(message, disk=disk)
