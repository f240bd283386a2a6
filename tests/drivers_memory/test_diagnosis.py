"""The diagnosis of a disk in memory."""

from __future__ import annotations

from jtc.storage.driver_support.findings import DiagnosisOptions, Severity
from jtc.storage.drivers.memory_driver import MemoryDriver


async def test_diagnose_says_that_files_are_lost_at_the_end_of_the_process() -> None:
    found = [each async for each in MemoryDriver().diagnose(DiagnosisOptions())]
    assert [(each.id, each.severity) for each in found] == [("memory.lost-at-end", Severity.NOTICE)]
