"""The diagnosis of a disk in memory."""

from jtc.storage.driver_support.findings import Finding, Severity

__all__ = ["LOST_AT_END"]

LOST_AT_END = Finding(
    id="memory.lost-at-end",
    severity=Severity.NOTICE,
    message="Files are in the memory of each process alone, and are lost at its end.",
    evidence="the driver is memory",
    fix='Use driver = "local" for files that are to stay',
)
