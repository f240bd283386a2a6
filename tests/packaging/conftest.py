"""The distributions as they are published, and environments that have nothing else."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
import venv
import zipfile
from dataclasses import dataclass
from email import message_from_bytes
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pyproject_hooks import BuildBackendHookCaller

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from email.message import Message

ROOT = Path(__file__).parents[2]
FOLDERS = {
    "jtc-storage": ROOT / "core",
    "jtc-storage-attachments": ROOT / "attachments",
    "jtc-storage-clamav": ROOT / "layers-clamav",
    "jtc-storage-cli": ROOT / "cli",
    "jtc-storage-django": ROOT / "integrations-django",
    "jtc-storage-images": ROOT / "images",
    "jtc-storage-layers": ROOT / "layers",
    "jtc-storage-local": ROOT / "drivers-local",
    "jtc-storage-memory": ROOT / "drivers-memory",
    "jtc-storage-otel": ROOT / "layers-otel",
    "jtc-storage-s3": ROOT / "drivers-s3",
    "jtc-storage-azure": ROOT / "drivers-azure",
    "jtc-storage-fsspec": ROOT / "integrations-fsspec",
    "jtc-storage-gcs": ROOT / "drivers-gcs",
    "jtc-storage-http": ROOT / "drivers-http",
    "jtc-storage-opendal": ROOT / "drivers-opendal",
    "jtc-storage-sftp": ROOT / "drivers-sftp",
    "jtc-storage-testing": ROOT / "testing",
    "jtc-storage-web": ROOT / "web",
    "jtc-storage-acme": ROOT / "tests/plugins/acme",
    "jtc-storage-acme-audit": ROOT / "tests/plugins/acme_audit",
}

# The build backend looks for its own program on PATH, where an environment need not be.
ENVIRON = {
    **{name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
    "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
}


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """Run a program; return its output, or fail with what it said."""
    done = subprocess.run(
        command, cwd=cwd, env=ENVIRON, capture_output=True, text=True, check=False, timeout=300
    )
    if done.returncode:
        pytest.fail(f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}", pytrace=False)
    return done.stdout


@dataclass(frozen=True)
class Wheel:
    """A built wheel, and where it was built from."""

    file: Path
    folder: Path

    @cached_property
    def contents(self) -> dict[str, bytes]:
        """Each file by its name, without the folders."""
        with zipfile.ZipFile(self.file) as archive:
            return {
                entry.filename: archive.read(entry)
                for entry in archive.infolist()
                if not entry.is_dir()
            }

    @property
    def modules(self) -> dict[str, bytes]:
        """What is installed to be imported."""
        return {n: data for n, data in self.contents.items() if ".dist-info/" not in n}

    def about(self, name: str) -> bytes:
        """Return a file of the wheel's ``dist-info``."""
        (found,) = [n for n in self.contents if n.endswith(f".dist-info/{name}")]
        return self.contents[found]

    @cached_property
    def metadata(self) -> Message:
        return message_from_bytes(self.about("METADATA"))

    @cached_property
    def requirements(self) -> list[Requirement]:
        return [Requirement(line) for line in self.metadata.get_all("Requires-Dist", [])]


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """Return what builds the sdist and, from that, the wheel: so neither lacks anything."""

    def build(folder: Path) -> Path:
        out = tmp_path_factory.mktemp("wheel")
        run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, folder)
        (file,) = out.glob("*.whl")
        return file

    return build


@pytest.fixture(scope="session")
def wheels(build: Callable[[Path], Path]) -> dict[str, Wheel]:
    """Build every distribution of ours, and the third parties'."""
    return {name: Wheel(build(folder), folder) for name, folder in FOLDERS.items()}


@pytest.fixture(scope="session")
def build_editable(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """Return what makes of a checkout what ``pip install -e`` installs (PEP 660)."""

    def runner(command: Any, cwd: Any = None, extra_environ: Any = None) -> None:
        environ = {**ENVIRON, **(extra_environ or {})}
        subprocess.run(command, cwd=cwd, env=environ, capture_output=True, check=True, timeout=60)

    def build(folder: Path) -> Path:
        backend = tomllib.loads((folder / "pyproject.toml").read_text())["build-system"]
        hooks = BuildBackendHookCaller(str(folder), backend["build-backend"], runner=runner)
        out = tmp_path_factory.mktemp("editable")
        return out / hooks.build_editable(str(out))

    return build


@pytest.fixture(scope="session")
def find_links(wheels: dict[str, Wheel], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return folders with our wheels and their dependencies: the registry is asked this once.

    Those of S3 and of images are left out: they are large, and tested elsewhere. (The registry has
    no wheel of pyvips.)
    """
    needed = {
        str(requirement).partition(";")[0]
        for name, wheel in wheels.items()
        if name not in {"jtc-storage-images", "jtc-storage-s3"}
        for requirement in wheel.requirements
        if requirement.name not in FOLDERS
        and (requirement.marker is None or requirement.marker.evaluate({"extra": ""}))
    }
    downloads = tmp_path_factory.mktemp("downloads")
    constraints = ROOT / "constraints.txt"
    run(
        *(sys.executable, "-m", "pip", "download", "--quiet", "--only-binary", ":all:"),
        *("--dest", downloads, "--constraint", constraints, *sorted(needed)),
    )
    return [downloads, *(wheel.file.parent for wheel in wheels.values())]


@pytest.fixture
def resolve(wheels: dict[str, Wheel], tmp_path: Path) -> Callable[..., dict[str, str]]:
    """Return a function that lists what pip would install with the S3 driver's wheel.

    Of each package pip requests the metadata only; it downloads and installs none.
    """

    def resolve(*requirements: str, extra: str, constraints: dict[str, str]) -> dict[str, str]:
        file = tmp_path / "constraints.txt"
        file.write_text("".join(f"{name}=={version}\n" for name, version in constraints.items()))
        report = run(
            *(sys.executable, "-m", "pip", "install", "--quiet", "--only-binary", ":all:"),
            *("--dry-run", "--ignore-installed", "--report", "-", "--constraint", file),
            *(wheels[name].file for name in ("jtc-storage", "jtc-storage-http")),
            f"{wheels['jtc-storage-s3'].file}{extra}",
            *requirements,
        )
        found = [package["metadata"] for package in json.loads(report)["install"]]
        return {canonicalize_name(each["name"]): each["version"] for each in found}

    return resolve


class Environment:
    """A virtual environment with nothing in it but what is installed here."""

    def __init__(self, folder: Path, find_links: Sequence[Path]) -> None:
        venv.create(folder, with_pip=False)
        self.python = folder / "bin/python"
        self._links = [part for links in find_links for part in ("--find-links", str(links))]

    def install(self, *requirements: str | Path) -> None:
        """Install as a user would, but only what was built or downloaded before."""
        links = ("--no-index", *self._links)
        self._pip("install", "--quiet", "--no-compile", *links, *map(str, requirements))

    def uninstall(self, name: str) -> None:
        self._pip("uninstall", "--quiet", "--yes", name)

    def installed(self) -> dict[str, str]:
        """Return the version of each distribution that is there."""
        return {
            re.sub(r"[-_.]+", "-", entry["name"]).lower(): entry["version"]
            for entry in json.loads(self._pip("list", "--format", "json"))
        }

    def execute(self, script: str) -> str:
        """Run a script, in which every warning is an error; return what it printed."""
        return run(self.python, "-I", "-W", "error", "-c", script, cwd=self.python.parent)

    def _pip(self, *arguments: str) -> str:
        # By the pip of the tests: one of its own would take most of the time.
        return run(sys.executable, "-m", "pip", "--python", self.python, *arguments)


@pytest.fixture(scope="module")
def environment(
    find_links: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Environment]:
    """Return what makes an environment, the same one for the same requirements."""
    made: dict[tuple[str, ...], Environment] = {}

    def make(*requirements: str) -> Environment:
        if requirements not in made:
            environment = Environment(tmp_path_factory.mktemp("venv"), find_links)
            if requirements:
                environment.install(*requirements)
            made[requirements] = environment
        return made[requirements]

    return make


@pytest.fixture
def new_environment(find_links: list[Path], tmp_path: Path) -> Environment:
    """Return an environment that a test may change."""
    return Environment(tmp_path / "venv", find_links)
