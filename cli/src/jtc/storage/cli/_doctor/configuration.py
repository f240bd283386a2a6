"""The configuration: the file of FILESYSTEM_CONFIG, or the disks that the environment makes."""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jtc.storage import StorageConfigException, StorageManager
from jtc.storage.cli._doctor.known_ids import closest_id, is_known
from jtc.storage.cli._doctor.model import error, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jtc.storage.driver_support.findings import Finding

__all__ = ["Configuration", "read_configuration"]

_KEYS = {"default", "disks", "doctor"}
_DOCTOR_KEYS = {"ignore", "disks"}
_MOST_BYTES = 4 * 1024 * 1024
_SECRET = re.compile(
    r"secret|password|passphrase|token|account_?key|secret_?key|connection_?string|private_?key"
    r"|customer_?key|credentials_info"
)
_NO_SECRET = re.compile(r"/|\./|~|.*\$\{")
_SECRET_VARIABLE = re.compile(r"SECRET|PASSWORD|PASSPHRASE|TOKEN|_KEY$|CONNECTION_STRING")
_LEAST_SECRET = 6
"""The length from which on a secret is looked for in texts: a shorter one may be a word."""
_VARIABLE = re.compile(r"(?<!\$)\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_ANY_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}?")

# Which driver a variable makes a disk of, where nothing is configured.
_DISK_BY_VARIABLE = {
    "FILESYSTEM_ROOT": "local",
    "AWS_BUCKET": "s3",
    "AZURE_STORAGE_CONTAINER": "azure",
    "AZURE_CONTAINER": "azure",
    "GCS_BUCKET": "gcs",
    "GOOGLE_CLOUD_STORAGE_BUCKET": "gcs",
    "GS_BUCKET_NAME": "gcs",
    "SFTP_HOST": "sftp",
    "OPENDAL_SCHEME": "opendal",
}


@dataclass
class Configuration:
    """The disks, and what is wrong with how they are configured.

    Attributes:
        source: Where they are configured, in words.
        manager: The disks that can be looked at.
        names: Their names.
        tables: The tables of all disks by their names; empty where nothing is configured.
        findings: What is wrong, with the disk's name or None.
        has_default: The configuration names a default disk.
        ignore: The ids of findings that are ignored.
        ignore_of: The ids that are ignored of a disk, by its name.
    """

    source: str
    manager: StorageManager
    names: list[str] = field(default_factory=list)
    tables: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    findings: list[tuple[str | None, Finding]] = field(default_factory=list)
    has_default: bool = False
    ignore: frozenset[str] = frozenset()
    ignore_of: dict[str, frozenset[str]] = field(default_factory=dict)

    def add(self, disk: str | None, *findings: Finding) -> None:
        """Take note of findings."""
        self.findings += [(disk, finding) for finding in findings]

    def driver_of(self, name: str) -> str:
        """Return the name of a disk's driver."""
        if name not in self.tables:
            return name
        return _interpolated(self.tables[name].get("driver", "none"))

    def layers_of(self, name: str) -> list[str]:
        """Return the names of a disk's layers, the outermost first."""
        layers = self.tables.get(name, {}).get("layers", ())
        names = [each["name"] if isinstance(each, Mapping) else each for each in layers]
        return [_interpolated(name) for name in names]

    def secrets(self) -> frozenset[str]:
        """Return the secrets of the configuration and the environment."""
        found = {value for table in self.tables.values() for _, value in _plain_secrets(table)}
        found |= {text for name, text in os.environ.items() if _SECRET_VARIABLE.search(name)}
        return frozenset(text for each in found if len(text := each.strip()) >= _LEAST_SECRET)

    def variables(self) -> dict[str, bool]:
        """Return the variables that the configuration uses, and whether each has a default."""
        found: dict[str, bool] = {}
        for name, default in _ANY_VARIABLE.findall(repr(self.tables)):
            found[name] = found.get(name, True) and bool(default)
        return found


def read_configuration() -> Configuration:
    """Read the configuration as the library does, and find what is wrong with it."""
    path = os.environ.get("FILESYSTEM_CONFIG")
    if not path:
        return _of_environment()
    found = Configuration(f"the file {str(Path(path).absolute())!r}", StorageManager.isolated({}))
    document = _read(path, found)
    if document is None:
        return found
    found.add(None, *_look_at_keys(document))
    _read_doctor(document.get("doctor", {}), found)
    tables = document.get("disks", {})
    tables = tables if isinstance(tables, Mapping) else {}
    found.tables = {
        name: each if isinstance(each, Mapping) else {} for name, each in tables.items()
    }
    found.has_default = "default" in document
    found.add(None, *_look_at_secrets(Path(path), found.tables))
    found.names = _usable(tables, found)
    found.add(None, *_look_at_default(document, tables, found))
    usable: dict[str, Any] = {"disks": {name: tables[name] for name in found.names}}
    if document.get("default") in found.names:
        usable["default"] = document["default"]
    found.manager = StorageManager.isolated(usable)
    return found


def _of_environment() -> Configuration:
    names = {os.environ.get("FILESYSTEM_DISK") or "local"}
    names |= {disk for variable, disk in _DISK_BY_VARIABLE.items() if os.environ.get(variable)}
    source = "the environment: FILESYSTEM_CONFIG is not set"
    return Configuration(source, StorageManager.isolated(), sorted(names))


def _read(path: str, found: Configuration) -> Mapping[str, Any] | None:
    """Return what a TOML file holds; None where it cannot be read, with the finding."""
    file = Path(path)
    try:
        if file.is_file() and file.stat().st_size <= _MOST_BYTES:
            return tomllib.loads(file.read_bytes().decode())
    except (OSError, ValueError, RecursionError):
        pass  # of which the library says what is wrong
    reason = "it is not what it should be"
    try:
        StorageManager.isolated(path)
    except StorageConfigException as refused:
        reason = refused.args[0] if refused.args else str(refused)
    found.add(
        None,
        error(
            id="config.unreadable",
            message="The configuration cannot be read: no disk can be used.",
            evidence=str(reason),
            fix="Correct the file, or FILESYSTEM_CONFIG",
            blocks=True,
        ),
    )
    return None


def _look_at_keys(document: Mapping[str, Any]) -> Iterator[Finding]:
    for key in sorted(document.keys() - _KEYS):
        close = get_close_matches(key, _KEYS, 1)
        yield error(
            id="config.key",
            message="The configuration has a key that there is not: no disk can be used.",
            evidence=repr(key),
            fix=f"Call it {close[0]!r}" if close else f"Its keys are {', '.join(sorted(_KEYS))}",
        )
    if not isinstance(document.get("disks", {}), Mapping) or not document.get("disks"):
        yield error(
            id="config.key",
            message="The configuration has no disks.",
            evidence=f"'disks' is {type(document.get('disks')).__name__}",
            fix="Add a table [disks.NAME] for each",
        )


def _read_doctor(table: object, found: Configuration) -> None:
    """Read what is ignored, and find ids that there are not."""
    table = table if isinstance(table, Mapping) else {"": table}
    of_disks = table.get("disks", {})
    of_disks = of_disks if isinstance(of_disks, Mapping) else {}
    places: dict[str | None, Any] = {None: table, **of_disks}
    for disk, place in places.items():
        ignore = place.get("ignore", ()) if isinstance(place, Mapping) else None
        wrong = [] if isinstance(place, Mapping) else [f"[doctor.disks.{disk}]"]
        if isinstance(place, Mapping):
            known = _DOCTOR_KEYS if disk is None else {"ignore"}
            wrong += [f"{key!r}" for key in place if key not in known]
        if not isinstance(ignore, list | tuple):
            wrong.append("'ignore', which is no list")
            ignore = ()
        wrong += [_unknown_id(str(each)) for each in ignore if not is_known(str(each))]
        found.add(
            None,
            *(
                warning(
                    id="config.ignore",
                    message="The table 'doctor' of the configuration has what there is not.",
                    evidence=each,
                    fix="[doctor] has ignore, a list of ids of docs/doctor.md, and "
                    "[doctor.disks.NAME] has one of that disk",
                )
                for each in wrong
            ),
        )
        ids = frozenset(str(each) for each in ignore)
        if disk is None:
            found.ignore = ids
        else:
            found.ignore_of[disk] = ids


def _unknown_id(name: str) -> str:
    close = closest_id(name)
    return f"{name!r}" + (f"; did you mean {close!r}?" if close else "")


def _usable(tables: Mapping[str, Any], found: Configuration) -> list[str]:
    """Return the names of the disks that can be made, and find why others cannot."""
    names = []
    for name, table in tables.items():
        try:
            StorageManager.isolated({"disks": {name: table}})
        except StorageConfigException as refused:
            found.add(
                str(name),
                error(
                    id="config.disk",
                    message="The table of this disk is invalid: no disk can be used.",
                    evidence=str(refused.args[0]),
                    fix=f"Correct [disks.{name}]",
                    blocks=True,
                ),
            )
            continue
        if unset := _unset_variables(table):
            found.add(str(name), *unset)
            continue
        names.append(str(name))
    return names


def _unset_variables(table: Mapping[str, Any]) -> list[Finding]:
    findings = []
    for key, value in table.items():
        for name in dict.fromkeys(_VARIABLE.findall(repr(value))):
            if name in os.environ:
                continue
            close = get_close_matches(name, list(os.environ), 1, 0.8)
            hint = f", and {close[0]} is" if close else ""
            findings.append(
                error(
                    id="config.variable",
                    message="The configuration needs a variable that is not set.",
                    evidence=f"{key} has ${{{name}}}, which is not set{hint}",
                    fix=f"Set {name}, correct its name, or give a default: ${{{name}:-…}}",
                    blocks=True,
                )
            )
    return findings


def _interpolated(name: object) -> str:
    """Return the name of a driver or a layer, which may be that of a variable."""
    return _ANY_VARIABLE.sub(lambda m: os.environ.get(m[1]) or m[2] or "", str(name))


def _look_at_default(
    document: Mapping[str, Any], tables: Mapping[str, Any], found: Configuration
) -> Iterator[Finding]:
    """Find a wrong default disk, and what else the library refuses of the whole file."""
    seen = {finding.id for _, finding in found.findings}
    chosen = os.environ.get("FILESYSTEM_DISK")
    if not found.has_default and chosen and chosen not in tables:
        yield error(
            id="config.default",
            message="The default disk is none that is configured: what names no disk fails.",
            evidence=f"FILESYSTEM_DISK is {chosen!r}; there are: {', '.join(tables) or 'none'}",
            fix="Correct FILESYSTEM_DISK, or name the default in the file",
        )
    if found.has_default and "config.disk" not in seen:
        try:
            StorageManager.isolated({"default": document["default"], "disks": tables})
        except StorageConfigException as refused:
            yield error(
                id="config.default",
                message="The default disk is none that is configured: no disk can be used.",
                evidence=str(refused.args[0]),
                fix="Correct 'default' at the top of the file",
            )
            return
    if not seen & {"config.disk", "config.key"}:
        try:
            StorageManager.isolated(document)
        except StorageConfigException as refused:
            yield error(
                id="config.key",
                message="The library refuses the configuration: no disk can be used.",
                evidence=str(refused.args[0]),
                fix="Correct the file",
            )


def _look_at_secrets(path: Path, tables: Mapping[str, Mapping[str, Any]]) -> Iterator[Finding]:
    """Find a file with secrets that other users of this machine can read."""
    names = sorted({key for table in tables.values() for key, _ in _plain_secrets(table)})
    mode = path.stat().st_mode
    if not names or os.name == "nt" or not mode & stat.S_IROTH:
        return
    if all(each.stat().st_mode & stat.S_IXOTH for each in path.resolve().parents):
        yield warning(
            id="config.readable-secrets",
            message="All users of this machine can read the configuration, which holds secrets.",
            evidence=f"{path}: mode {stat.S_IMODE(mode):04o}, with {', '.join(names)}",
            fix=f"chmod o-r {path}, or have them in variables: ${{NAME}}",
        )


def _plain_secrets(table: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield options that hold a secret, and not the name of a variable or a file, with it."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _plain_secrets(value)
        elif _SECRET.search(key):
            for each in value if isinstance(value, list) else [value]:
                if isinstance(each, str) and each and not _NO_SECRET.match(each):
                    yield key, each
