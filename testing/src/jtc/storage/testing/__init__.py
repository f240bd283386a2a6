"""Conformance tests: what a driver must do, as tests that a class inherits.

::

    from jtc.storage.testing import DriverConformance

    class TestMyDriver(DriverConformance):
        async def make_driver(self):
            return MyDriver()

They need pytest and pytest-asyncio, in either of its modes. The tests are chosen by the
capabilities and options that the driver claims: what is claimed must work; what is not claimed is
skipped with that reason, and `Disk` must derive or refuse it. Each test runs through `Disk`; those
of paths, content, errors and streams run on the driver alone too. The attributes of
`DriverConformance` declare what backends may do differently.
"""

from __future__ import annotations

import pytest

# Before the tests' modules are imported, or their assertions would fail without an explanation.
pytest.register_assert_rewrite(f"{__name__}._groups", f"{__name__}._suite")

from jtc.storage.testing._conformance import DriverConformance  # noqa: E402
from jtc.storage.testing._connection_faults import ConnectionFaults  # noqa: E402
from jtc.storage.testing._path_cases import ACCEPTED_PATHS, REJECTED_PATHS, PathCase  # noqa: E402

__all__ = [
    "ACCEPTED_PATHS",
    "REJECTED_PATHS",
    "ConnectionFaults",
    "DriverConformance",
    "PathCase",
]
