"""Packages that `make demo` installs, from a dry run of make."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from importlib.metadata import requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
MOST_PACKAGES = 12
"""All that a tour of files may bring along; the tests bring ten times as many."""


def plan(**environ: str) -> str:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "MAKE", "MFLAGS"))}
    command = ["make", "--dry-run", "--always-make", "demo"]
    done = subprocess.run(
        command, cwd=ROOT, env=clean | environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def folders(planned: str) -> list[str]:
    """Return the distributions that are installed out of the checkout."""
    return re.findall(r" -e (\S+)", planned)


def packages(planned: str) -> set[str]:
    """Return the names of those distributions and of all that they require."""
    found: set[str] = set()
    waiting = [
        tomllib.loads((ROOT / folder / "pyproject.toml").read_text())["project"]["name"]
        for folder in folders(planned)
    ]
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in found:
            continue
        found.add(name)
        for line in requires(name) or []:
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(requirement.name)
    return found


def test_make_demo_installs_few_packages() -> None:
    planned = plan()
    assert {"core", "drivers-local"} <= set(folders(planned))
    assert "--group" not in planned
    assert len(packages(planned)) <= MOST_PACKAGES, packages(planned)


def test_make_demo_installs_s3_driver_only_for_bucket() -> None:
    assert "drivers-s3" not in folders(plan())
    assert "drivers-s3" in folders(plan(AWS_BUCKET="pictures"))


def test_make_demo_prints_before_it_installs() -> None:
    first = plan().splitlines()[0]
    assert first.startswith('echo "==> Installing ')
