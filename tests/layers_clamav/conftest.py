"""Fixtures: real clamd daemons, and disks with the layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from clamd import ClamdMissing, RealClamd, scanned_disk
from jtc.storage.drivers.memory_driver import MemoryDriver

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jtc.storage import Disk


def _running(**settings: str) -> Iterator[RealClamd]:
    try:
        with RealClamd(**settings) as daemon:
            yield daemon
    except ClamdMissing as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def clamd() -> Iterator[RealClamd]:
    """Serve a daemon that reports what exceeds its limits, as docs/scanning.md sets one up."""
    yield from _running(
        MaxFileSize="1M",
        MaxScanSize="1M",
        StreamMaxLength="8M",
        AlertExceedsMax="yes",
        AlertEncrypted="yes",
    )


@pytest.fixture(scope="session")
def lax_clamd() -> Iterator[RealClamd]:
    """Serve a daemon that finds clean what exceeds its limits."""
    yield from _running(MaxFileSize="1M", MaxScanSize="4M", StreamMaxLength="8M")


@pytest.fixture
def own_clamd() -> Iterator[RealClamd]:
    """Serve a daemon that the test may stop and start."""
    yield from _running(MaxFileSize="1M", AlertExceedsMax="yes")


@pytest.fixture
def below() -> MemoryDriver:
    """Return the driver within the layer, from which everything stored can be read."""
    return MemoryDriver()


@pytest.fixture
def disk(clamd: RealClamd, below: MemoryDriver) -> Disk:
    """Return a disk that scans."""
    return scanned_disk(below, address=clamd.socket)
