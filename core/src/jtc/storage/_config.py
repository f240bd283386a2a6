"""Configuration of disks, from a mapping or a TOML file, checked before any driver is made."""

from __future__ import annotations

import inspect
import os
import re
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jtc.storage._did_you_mean import closest
from jtc.storage.exceptions import StorageConfigException

__all__ = ["DEFAULT", "DiskConfig", "LayerConfig", "StorageConfig", "read_config"]

DEFAULT = "default"
"""The reserved name of the default disk."""

# ${NAME}, ${NAME:-default}, and $${...} for a literal ${...}. A single $ has no meaning: it occurs
# in secrets.
_VARIABLE = re.compile(
    r"(?P<escape>\$?)\$\{(?P<name>[^}:]*)(?::-(?P<default>[^}]*))?(?P<rest>[^}]*)\}"
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_KEYS = frozenset({"default", "disks", "doctor"})
"""The keys of a configuration; that of ``doctor`` is for the command line."""

_LARGEST_FILE = 4 * 1024 * 1024
"""Bytes of a configuration file. A hundred disks take some 30 kB."""

_DEEPEST = 64
"""The deepest nesting of tables; without a limit, users would see the interpreter's own error."""


@dataclass(frozen=True, slots=True)
class LayerConfig:
    """Configuration of one layer of a disk.

    Attributes:
        name: The layer's name.
        options: The keywords of the layer, besides the inner driver.
    """

    name: str
    options: Mapping[str, Any] = field(repr=False)  # may hold secrets

    @classmethod
    def parse(cls, disk: str, value: object) -> LayerConfig:
        """Check one entry of a disk's ``layers``: a name, or a table with ``name``.

        Raises:
            StorageConfigException: It is neither.
        """
        table = {"name": value} if isinstance(value, str) else value
        name = table.get("name") if isinstance(table, Mapping) else None
        if not isinstance(table, Mapping) or not isinstance(name, str) or not name:
            raise _error(
                "'layers' is a list of names, or of tables with a name: "
                'layers = ["read_only", {name = "retry", attempts = 4}]',
                disk,
            )
        options = _copy(table, disk)
        del options["name"]
        return cls(name, _checked_names(options, disk))

    def with_variables(self, disk: str, environ: Mapping[str, str]) -> LayerConfig:
        """Return this configuration with each ``${NAME}`` replaced by its variable.

        Raises:
            StorageConfigException: A variable is not set.
        """
        name = _interpolate(self.name, disk, "layers", environ)
        options = {
            key: _interpolate(value, disk, f"layers.{name}.{key}", environ)
            for key, value in self.options.items()
        }
        return LayerConfig(name, options)

    def maker(self, disk: str, factory: Callable[..., Any]) -> Callable[[Any], Any]:
        """Return a function that makes the layer around a driver.

        Args:
            disk: The disk's name, for messages.
            factory: The class or function of the layer's entry point.

        Raises:
            StorageConfigException: An option is unknown or missing. The returned function raises
                it if the layer refuses its options.
        """
        what = f"The layer {self.name!r}"
        _check_options(factory, self.options, disk, what, given=1)
        return lambda inner: call(lambda: factory(inner, **self.options), disk, what)


@dataclass(frozen=True, slots=True)
class DiskConfig:
    """Configuration of one disk; variables are looked up when the disk is first used.

    Attributes:
        driver: The driver's name.
        options: The keywords of the driver.
        disable: Capabilities that are disabled.
        layers: The layers around the driver, the outermost first.
    """

    driver: str
    options: Mapping[str, Any] = field(repr=False)  # may hold secrets
    disable: tuple[str, ...] = ()
    layers: tuple[LayerConfig, ...] = ()

    @classmethod
    def parse(cls, disk: str, table: object) -> DiskConfig:
        """Check one disk's table.

        Raises:
            StorageConfigException: It is not a table, has no driver, or an invalid key.
        """
        if not isinstance(table, Mapping):
            raise _error(f"A disk's configuration is a table, not {type(table).__name__}", disk)
        options = _copy(table, disk)
        driver = options.pop("driver", None)
        if not isinstance(driver, str) or not driver:
            raise _error('A disk\'s configuration names its driver: driver = "local"', disk)
        disable = options.pop("disable", ())
        if not isinstance(disable, (list, tuple)) or not all(isinstance(a, str) for a in disable):
            raise _error("'disable' is a list of capabilities", disk)
        layers = options.pop("layers", ())
        if not isinstance(layers, (list, tuple)):
            layers = (None,)  # not a valid layer: parse() raises
        return cls(
            driver,
            _checked_names(options, disk),
            tuple(disable),
            tuple(LayerConfig.parse(disk, layer) for layer in layers),
        )

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
            layers=tuple(layer.with_variables(disk, environ) for layer in self.layers),
        )

    def as_far_as_set(self, disk: str, environ: Mapping[str, str]) -> DiskConfig:
        """Return this configuration for a fake, where a variable that is not set is its name.

        Args:
            disk: The disk's name, for messages.
            environ: Where the names are looked up.
        """
        options = {}
        for name, value in self.options.items():
            try:
                options[name] = _interpolate(value, disk, name, environ)
            except StorageConfigException:
                # A table keeps its variables: what they are for, a fake does not ask.
                text = isinstance(value, str)
                options[name] = _VARIABLE.sub(lambda match: match["name"], value) if text else value
        return DiskConfig(self.driver, options, self.disable, self.layers)

    def make(self, disk: str, factory: Callable[..., Any]) -> Any:
        """Call the driver's factory.

        Args:
            disk: The disk's name, for messages.
            factory: The class or function of the driver's entry point.

        Raises:
            StorageConfigException: An option is unknown or missing, or the driver refuses its
                options.
        """
        what = f"The driver {self.driver!r}"
        _check_options(factory, self.options, disk, what)
        return call(lambda: factory(**self.options), disk, what)


@dataclass(frozen=True, slots=True)
class StorageConfig:
    """Configuration of all disks, the name of the default one, and where they come from."""

    default: str | None
    disks: Mapping[str, DiskConfig]
    source: str


def read_config(source: Mapping[str, Any] | str | os.PathLike[str]) -> StorageConfig:
    """Read a configuration.

    Args:
        source: A mapping with ``default``, ``disks`` and ``doctor``, or the path of a TOML file
            (https://toml.io/en/v1.0.0) with the same.

    Raises:
        StorageConfigException: It cannot be read, or is invalid.
    """
    origin = "a mapping"
    if not isinstance(source, Mapping):
        origin = f"the file {str(Path(source).absolute())!r}"
        source = _read_toml(Path(source))
    for key in source:
        if key not in _KEYS:
            close = closest(str(key), _KEYS)
            hint = f". Did you mean {close!r}?" if close else ""
            raise _error(f"A configuration has the keys {_names(_KEYS)}, not {key!r}{hint}")
    if not isinstance(source.get("doctor", {}), Mapping):
        raise _error("'doctor' is a table with 'ignore', a list of ids of findings")
    tables = source.get("disks", {})
    if not isinstance(tables, Mapping):
        raise _error("'disks' is a table with a table for each disk")
    if DEFAULT in tables:
        raise _error(
            f"The name {DEFAULT!r} is reserved for the default disk: give this disk another name",
            DEFAULT,
        )
    disks = {str(name): DiskConfig.parse(str(name), table) for name, table in tables.items()}
    default = source.get("default")
    if isinstance(default, str):
        default = _interpolate(default, DEFAULT, "default", os.environ)
    if default is not None and not (isinstance(default, str) and default in disks):
        raise _error(f"The default disk is {default!r}, but there are only: {_names(disks)}")
    return StorageConfig(default, disks, origin)


def call(make: Callable[[], Any], disk: str, what: str) -> Any:
    """Make a driver or a layer; convert its errors to a StorageConfigException.

    Raises:
        StorageConfigException: It could not be made.
    """
    try:
        return make()
    except StorageConfigException as error:
        error.disk = error.disk or disk
        raise
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit too, which would end the caller
        raise _error(
            f"{what} refuses its configuration ({type(error).__name__}: {error})",
            disk,
        ) from error


def _read_toml(path: Path) -> Mapping[str, Any]:
    import tomllib  # noqa: PLC0415 - imported only where it is used

    try:
        return tomllib.loads(_read_file(path).decode())
    except OSError as error:
        raise _error(f"The configuration {str(path)!r} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        # Not chained: it contains the whole text with its secrets. So do others since Python 3.14.
        wrong = f"it is not UTF-8 ({error.reason} at byte {error.start})"
    except ValueError as error:
        # A TOMLDecodeError, or a number with thousands of digits, or a path with a NUL.
        wrong = str(error)
    except RecursionError:
        wrong = "its tables or lists are nested too deeply"
    raise _error(f"The configuration {str(path)!r} is not TOML: {wrong}")


def _read_file(path: Path) -> bytes:
    """Return the content of a regular file; a device or a FIFO could be endless, or block."""
    with open(path, "rb", opener=_without_waiting) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise _error(f"The configuration {str(path)!r} is not a regular file")
        content = file.read(_LARGEST_FILE + 1)
    if len(content) > _LARGEST_FILE:
        raise _error(f"The configuration {str(path)!r} has more than {_LARGEST_FILE} bytes")
    return content


def _without_waiting(path: str, flags: int) -> int:
    # The call that opens a FIFO blocks until there is a writer. Windows has neither flag nor FIFOs.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _copy(value: Any, disk: str, depth: int = 0) -> Any:
    """Copy tables and lists, so that later changes do not affect disks; keep other values."""
    if depth > _DEEPEST:
        raise _error(f"Tables or lists are nested more than {_DEEPEST} deep", disk)
    if isinstance(value, Mapping):
        return {key: _copy(item, disk, depth + 1) for key, item in value.items()}
    return [_copy(item, disk, depth + 1) for item in value] if isinstance(value, list) else value


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
        return value or default  # as in a shell, an empty value counts as unset
    if value is None:
        raise _error(
            f"The option {key!r} needs the environment variable {name!r}, which is not set", disk
        )
    return value


def _checked_names(options: dict[Any, Any], disk: str) -> dict[str, Any]:
    for name in options:
        if not isinstance(name, str):
            raise _error(f"An option's name is a str, not {name!r}", disk)
    return options


def _check_options(
    factory: Callable[..., Any], options: Mapping[str, Any], disk: str, what: str, given: int = 0
) -> None:
    """Check options against a signature without its first `given` parameters."""
    try:
        parameters = list(inspect.signature(factory).parameters.values())[given:]
    except (TypeError, ValueError):
        return  # a factory in C has no signature: its own TypeError is used
    named = [p for p in parameters if p.kind in {p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY}]
    known = {p.name for p in named}
    anything = any(p.kind is p.VAR_KEYWORD for p in parameters)
    for name in options:
        if name not in known and not anything:
            close = closest(name, known)
            hint = f"Did you mean {close!r}? " if close else ""
            raise _error(
                f"{what} has no option {name!r}. {hint}It has: {_names(known)}",
                disk,
            )
    missing = [p.name for p in named if p.default is p.empty and p.name not in options]
    if missing:
        raise _error(f"{what} needs the options: {_names(missing)}", disk)


def _names(names: Any) -> str:
    return ", ".join(sorted(names)) or "none"


def _error(message: str, disk: str | None = None) -> StorageConfigException:
    return StorageConfigException(message, disk=disk)
