"""Disks with one planted fault each, for tests of the doctor.

A `Planted` is a row of a table: what is planted, and the ids of exactly those findings that are
faults. `Ground` is where it is planted: a configuration, an environment and directories of the test
alone.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from jtc.storage._discovery import forget_scan
from jtc.storage.cli._doctor import distributions
from jtc.storage.cli._doctor.model import Diagnosis
from jtc.storage.cli._doctor.run import diagnose
from jtc.storage.driver_support.findings import DiagnosisOptions, Severity

__all__ = ["FOREIGN", "SECRET", "Ground", "Planted", "faults_of", "forget_installed", "ids_of"]

# Variables of the machine that runs the tests would be taken for a user's.
FOREIGN = (
    *("AWS_", "AZURE_", "FILESYSTEM_", "GCS_", "GOOGLE_", "GS_", "JTC_", "OPENDAL_", "SFTP_"),
    "STORAGE_EMULATOR_HOST",
)

SECRET = "hush-0123456789-0123456789-0123456789"
"""A secret that no report may show."""


@dataclass
class Ground:
    """The place of one test, where a fault is planted.

    Attributes:
        request: The test's, for fixtures of servers that are started when they are needed.
        folder: A directory of the test.
        monkeypatch: The test's.
        disks: The tables of the disks; empty is no configuration but the environment.
        top: What else the configuration has: ``default``, ``doctor``.
        text: The configuration's text, in place of `disks` and `top`.
        is_written: The configuration is written; the test may have done something to the file.
        during: What is open while the doctor looks: a proxy, a server in its event loop.
    """

    request: pytest.FixtureRequest
    folder: Path
    monkeypatch: pytest.MonkeyPatch
    disks: dict[str, dict[str, Any]] = field(default_factory=dict)
    top: dict[str, Any] = field(default_factory=dict)
    text: str | None = None
    is_written: bool = False
    during: list[Callable[[], AbstractAsyncContextManager[object]]] = field(default_factory=list)

    @property
    def root(self) -> Path:
        """The root of the local disk `media`."""
        return Path(self.disks["media"]["root"])

    def fixture(self, name: str) -> Any:
        """Return a fixture, started at its first use; one that is no coroutine."""
        return self.request.getfixturevalue(name)

    def set(self, **variables: str) -> None:
        """Set variables of the environment."""
        for name, value in variables.items():
            self.monkeypatch.setenv(name, value)

    def install(
        self,
        distribution: str,
        entry_points: Mapping[str, Mapping[str, str]],
        module: str = "",
        *,
        version: str = "1.0.0",
        requires: str = "",
    ) -> None:
        """Install a distribution for the test: a module of its name, and its entry points.

        Args:
            distribution: Its name; that of the module has underscores.
            entry_points: What follows the module's name, by name and by group.
            module: The module's source; without it there is none.
            version: Its version.
            requires: A distribution that it needs.
        """
        site = self.folder / "site"
        site.mkdir(exist_ok=True)
        name = distribution.replace("-", "_")
        if module:
            (site / f"{name}.py").write_text(dedent(module), encoding="utf-8")
        information = site / f"{name}-{version}.dist-info"
        information.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {distribution}", f"Version: {version}"]
        lines += [f"Requires-Dist: {requires}"] if requires else []
        (information / "METADATA").write_text("\n".join(lines) + "\n", encoding="utf-8")
        lines = []
        for group, values in entry_points.items():
            lines.append(f"[{group}]")
            lines += [f"{key} = {name}{value}" for key, value in values.items()]
        (information / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")
        self.monkeypatch.syspath_prepend(site)
        self.monkeypatch.delitem(sys.modules, name, raising=False)
        forget_installed()

    def at_end(self, function: Callable[[], object]) -> None:
        """Have a function called when the test ends."""
        self.request.addfinalizer(function)

    def write(self) -> Path:
        """Write the configuration, which only its owner may read."""
        file = self.folder / "storage.toml"
        text = self.text
        if text is None:
            lines = [f"{name} = {_toml(value)}" for name, value in self.top.items()]
            for name, table in self.disks.items():
                lines.append(f"[disks.{name}]")
                lines += [f"{key} = {_toml(value)}" for key, value in table.items()]
            text = "\n".join(lines)
        self.is_written = True
        file.write_text(text, encoding="utf-8")
        file.chmod(0o600)
        self.monkeypatch.setenv("FILESYSTEM_CONFIG", str(file))
        return file

    def diagnose(self, **options: Any) -> Diagnosis:
        """Have the doctor look at what is configured."""
        if not self.is_written and (self.disks or self.top or self.text):
            self.write()
        return asyncio.run(self._diagnose(DiagnosisOptions(**options)))

    async def _diagnose(self, options: DiagnosisOptions) -> Diagnosis:
        async with AsyncExitStack() as stack:
            for each in self.during:
                await stack.enter_async_context(each())
            return await diagnose([], options)


@dataclass(frozen=True)
class Planted:
    """One fault.

    Attributes:
        name: What is wrong, as the test's id has it.
        plant: Plants it.
        found: The ids of the errors and warnings that the doctor has to find, and no other.
        base: The healthy disk it is planted on: the name of a function of the test's table.
        options: Those of the diagnosis.
        not_visible: Ids of what may not be looked at, which is no fault.
        fault: The row of the list of known faults that it is, such as ``"A3"``.
    """

    name: str
    plant: Callable[[Ground], object]
    found: frozenset[str] | set[str]
    base: str = "local"
    options: Mapping[str, Any] = field(default_factory=dict)
    not_visible: frozenset[str] | set[str] = frozenset()
    fault: str = ""


def ids_of(diagnosis: Diagnosis, *severities: Severity) -> set[str]:
    """Return the ids of the findings of some severities."""
    return {each.id for _, each in diagnosis.found if each.severity in severities}


def faults_of(diagnosis: Diagnosis) -> set[str]:
    """Return the ids of the errors and warnings."""
    return ids_of(diagnosis, Severity.ERROR, Severity.WARNING)


def forget_installed() -> None:
    """Forget what is installed, of which the library and the doctor look once."""
    forget_scan()
    distributions.forget()


def _toml(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(os.fspath(value) if isinstance(value, Path) else value)
