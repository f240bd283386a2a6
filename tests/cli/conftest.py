"""Fixtures for tests of the program `jtc-storage`."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from azure_fixtures import azurite
from google_store import GoogleStore
from jtc.storage import Storage, StorageManager
from jtc.storage.cli import _app, _installed
from jtc.storage.cli._places import locations

if TYPE_CHECKING:
    from seaweedfs import SeaweedFS

__all__ = ["azurite"]

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
    """The program `jtc-storage`.

    Attributes:
        directory: Its working directory.
        environ: Its environment.
    """

    directory: Path
    environ: dict[str, str]

    def command(self, *arguments: str) -> list[str]:
        """Return the command line that runs it as a process."""
        return [sys.executable, "-m", "jtc.storage", *arguments]

    def process(
        self, *arguments: str, stdin: str = "", environ: Mapping[str, str] | None = None
    ) -> Done:
        """Run a command as a process of its own, and wait for its end."""
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

    def __call__(
        self, *arguments: str, stdin: str = "", environ: Mapping[str, str] | None = None
    ) -> Done:
        """Run a command in this process, as in a new one: that takes a tenth of the time."""
        before = dict(os.environ)
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.directory)
            try:
                # Options of the program set variables, too.
                os.environ.clear()
                os.environ.update(self.environ, **(environ or {}))
                time.tzset()
                if _in_event_loop():
                    with ThreadPoolExecutor(1) as pool:
                        return pool.submit(_run_here, arguments, stdin, patch).result()
                return _run_here(arguments, stdin, patch)
            finally:
                os.environ.clear()
                os.environ.update(before)
                time.tzset()


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _run_here(arguments: Sequence[str], stdin: str, patch: pytest.MonkeyPatch) -> Done:
    streams = [io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8")]
    streams += [io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2)]
    for name, stream in zip(("stdin", "stdout", "stderr"), streams, strict=True):
        patch.setattr(sys, name, stream)
    # The manager of a new process.
    before = dict(Storage.__dict__)
    Storage.__dict__.update(StorageManager.isolated().__dict__)
    locations._local_disks.clear()
    _installed.installed.cache_clear()
    logger = logging.getLogger("jtc.storage")
    handlers, filters = logger.handlers[:], logger.filters[:]
    try:
        status = _app.run_program(arguments)
    finally:
        Storage.__dict__.update(before)
        locations._local_disks.clear()
        logger.handlers[:], logger.filters[:] = handlers, filters
    out, err = (stream.buffer.getvalue().decode() for stream in map(_flushed, streams[1:]))
    return Done(status, out, err)


def _flushed(stream: io.TextIOWrapper) -> Any:
    stream.flush()
    return stream


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


@dataclass
class Inside:
    """The program with two local disks, `media` and `other`, and a working directory.

    Attributes:
        cli: The program.
        root: The root of the disk `media`.
        other: The root of the disk `other`.
    """

    cli: Cli
    root: Path
    other: Path

    @property
    def directory(self) -> Path:
        """The working directory."""
        return self.cli.directory

    def __call__(self, *arguments: str, stdin: str = "") -> Done:
        """Run a command."""
        return self.cli(*arguments, stdin=stdin)

    def tree(self, directory: Path | None = None) -> dict[str, str]:
        """Return the files below a directory, or the disk `media`: their contents by paths."""
        base = self.root if directory is None else directory
        files = sorted(
            path for path in base.rglob("*") if path.is_file() and ".jtc" not in path.parts
        )
        return {str(path.relative_to(base)): path.read_text() for path in files}

    def make(self, files: Mapping[str, str], directory: Path | None = None) -> None:
        """Write files below a directory, or on the disk `media`."""
        for name, content in files.items():
            path = (self.root if directory is None else directory) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)


@pytest.fixture
def inside(configured: Callable[..., Cli], tmp_path: Path) -> Inside:
    """Configure two local disks."""
    root, other = tmp_path / "media", tmp_path / "other"
    root.mkdir()
    other.mkdir()
    tables = {path.name: {"driver": "local", "root": str(path)} for path in (root, other)}
    return Inside(configured(**tables), root, other)


@pytest.fixture(scope="session")
def google_store() -> Iterator[GoogleStore]:
    """Serve a store with Google's API; started at first use, for the whole run."""
    with GoogleStore() as store:
        yield store


@pytest.fixture(scope="session")
def s3_client(seaweedfs: SeaweedFS) -> Iterator[Any]:
    """Look into SeaweedFS without the driver."""
    client = seaweedfs.client()
    yield client
    client.close()
