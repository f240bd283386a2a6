"""Conformance tests of a third party's driver, which has the eight methods only."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

# Its distribution is not installed here; tests/packaging shows that it can be.
sys.path.insert(0, str(Path(__file__).parents[1] / "plugins" / "acme" / "src"))

import pytest
from acme_storage import AcmeDriver

from jtc.storage.testing import DriverConformance

# Coverage doubles the time, and would measure no line that other tests do not measure.
pytestmark = pytest.mark.no_cover


class UnreachableAcmeDriver(AcmeDriver):
    """Fails as if its database were on a host that is down."""

    def _run(self, statement: str, *values: object) -> list[Any]:
        if statement.startswith("CREATE"):
            return super()._run(statement, *values)
        raise ConnectionError("refused")


class TestAcmeDriver(DriverConformance):
    stands_alone = False
    # A statement that a thread has begun goes on when the task is cancelled.
    changes_nothing_after_cancellation = False

    def make_driver(self) -> AcmeDriver:
        return AcmeDriver()

    def make_failing_driver(self) -> AcmeDriver:
        return UnreachableAcmeDriver()
