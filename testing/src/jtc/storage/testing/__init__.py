"""The conformance kit: what a driver must do, as tests that it inherits by giving one factory.

::

    from jtc.storage.testing import DriverConformance

    class TestMyDriver(DriverConformance):
        async def make_driver(self):
            return MyDriver()

It needs pytest and pytest-asyncio, in either of its modes. The tests are chosen by the capabilities
that the driver claims: what is claimed must work, and what is not is skipped with that reason,
while `Disk` has to refuse it. Each test runs through `Disk`, and where `Disk` stands in for the
driver, on the driver alone too. What backends may do differently is said by the attributes of
`DriverConformance`.
"""

from __future__ import annotations

import pytest

# Before the tests' modules are imported, or their assertions would fail without a word.
pytest.register_assert_rewrite(f"{__name__}._groups", f"{__name__}._suite")

from jtc.storage.testing._conformance import DriverConformance  # noqa: E402
from jtc.storage.testing._path_cases import ACCEPTED_PATHS, REJECTED_PATHS, PathCase  # noqa: E402

__all__ = ["ACCEPTED_PATHS", "REJECTED_PATHS", "DriverConformance", "PathCase"]
