"""What the local driver's tests stand on."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.drivers.local_driver.opening import Root
from jtc.storage.paths import TEMPORARY_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture(params=["linux", "portable"])
def driver(request: pytest.FixtureRequest, root: Path) -> LocalDriver:
    """The driver, with what only Linux has and without."""
    driver = LocalDriver(root)
    driver._root = Root(str(root), portable=request.param == "portable")
    return driver


@pytest.fixture
def temporaries(root: Path) -> Callable[[], list[str]]:
    """Names the temporary files there are."""
    return lambda: [
        name for _, _, names in os.walk(root) for name in names if name.startswith(TEMPORARY_PREFIX)
    ]


@pytest.fixture
def descriptors() -> Callable[[], list[str]]:
    """Names the open files of this process that are below a temporary directory of the tests."""

    def named() -> list[str]:
        found = []
        for number in Path("/proc/self/fd").iterdir():
            try:
                target = str(number.readlink())
            except FileNotFoundError:
                continue
            if "pytest-of-" in target:
                found.append(target)
        return found

    return named


@pytest.fixture
def workers_idle() -> Callable[[], object]:
    """Waits until the threads have done all that they were given."""
    return lambda: asyncio.get_running_loop().shutdown_default_executor()
