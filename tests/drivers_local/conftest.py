"""What the local driver's tests stand on."""

from __future__ import annotations

import codecs
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from local_ways import ALL_WAYS, descriptors_below, local_driver, temporaries_below, workers_idle

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from jtc.storage.drivers.local_driver import LocalDriver


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture(params=ALL_WAYS)
def driver(request: pytest.FixtureRequest, root: Path) -> LocalDriver:
    """The driver, in all its ways."""
    return local_driver(root, request.param)


@pytest.fixture
def temporaries(root: Path) -> Callable[[], list[str]]:
    """Names the temporary files there are."""
    return lambda: temporaries_below(root)


@pytest.fixture
def descriptors(tmp_path: Path) -> Callable[[], list[str]]:
    """Names the open files of this process that are below the test's temporary directory."""
    return lambda: descriptors_below(tmp_path)


@pytest.fixture(name="workers_idle")
def _workers_idle() -> Callable[[], Awaitable[None]]:
    """Waits until the threads have done all that they were given."""
    return workers_idle


OTHER_USER = 65534


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A directory to be a root; until the test ends, this process has no rights beyond its owner's.

    It belongs to root otherwise, who may read and write everything.
    """
    place = Path(tempfile.mkdtemp(prefix="jtc-unprivileged-"))
    codecs.lookup("ascii")  # afterwards the standard library may be out of reach
    privileged = os.geteuid() == 0
    if privileged:
        os.chown(place, OTHER_USER, OTHER_USER)
        os.setegid(OTHER_USER)
        os.seteuid(OTHER_USER)
    try:
        yield place
    finally:
        if privileged:
            os.seteuid(0)
            os.setegid(0)
        shutil.rmtree(place)
