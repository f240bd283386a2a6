"""Fixtures for tests of the program `jtc-storage`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

# Variables of the machine that runs the tests would be taken for a user's.
FOREIGN = ("AWS_", "AZURE_", "FILESYSTEM_", "GCS_", "JTC_", "OPENDAL_", "SFTP_")


@dataclass(frozen=True)
class Done:
    """The end of a program.

    Attributes:
        status: Its exit status.
        out: Its standard output.
        err: Its standard error.
    """

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def json(self) -> list[Any]:
        return [json.loads(line) for line in self.lines]


@dataclass
class Cli:
    """The program `jtc-storage`, run as a process.

    Attributes:
        directory: Its working directory.
        environ: Its environment.
    """

    directory: Path
    environ: dict[str, str]

    def command(self, *arguments: str) -> list[str]:
        """Return the command line that runs it."""
        return [sys.executable, "-m", "jtc.storage", *arguments]

    def __call__(
        self, *arguments: str, stdin: str = "", environ: Mapping[str, str] | None = None
    ) -> Done:
        """Run a command, and wait for its end."""
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.directory,
            env={**self.environ, **(environ or {})},
            input=stdin.encode(),
            capture_output=True,
            timeout=60,
            check=False,
        )
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """Run the program in an empty directory, without the variables of this machine."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    kept.pop("NO_COLOR", None)
    kept["AWS_CONFIG_FILE"] = kept["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
    directory = tmp_path / "work"
    directory.mkdir()
    return Cli(directory, kept)


@pytest.fixture
def configured(cli: Cli, tmp_path: Path) -> Callable[..., Cli]:
    """Return a function that configures disks, by their tables."""

    def configure(**disks: Mapping[str, str]) -> Cli:
        file = tmp_path / "storage.toml"
        lines = []
        for name, table in disks.items():
            lines.append(f"[disks.{name}]")
            lines += [f"{key} = {json.dumps(value)}" for key, value in table.items()]
        file.write_text("\n".join(lines))
        cli.environ["FILESYSTEM_CONFIG"] = str(file)
        return cli

    return configure


@pytest.fixture
def media(configured: Callable[..., Cli], tmp_path: Path) -> tuple[Cli, Path]:
    """Configure a local disk `media`; return the program and the directory of the disk."""
    root = tmp_path / "media"
    root.mkdir()
    return configured(media={"driver": "local", "root": str(root)}), root
