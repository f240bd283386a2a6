"""Fixtures for all tests."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# The tests are no package (importlib mode), so that helpers beside them are found by this.
sys.path.insert(0, str(Path(__file__).parent))

from seaweedfs import SeaweedFS

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def seaweedfs() -> Iterator[SeaweedFS]:
    """Serve a real S3 store with one bucket; started at first use, for the whole run."""
    with SeaweedFS() as store:
        yield store
