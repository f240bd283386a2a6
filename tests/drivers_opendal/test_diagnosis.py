"""The diagnosis of disks by OpenDAL: what their services do not keep."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage.cli._doctor.known_ids import IDS
from jtc.storage.driver_support.findings import DiagnosisOptions, Severity
from jtc.storage.drivers.opendal_driver import OpenDALDriver

if TYPE_CHECKING:
    from pathlib import Path

KNOWN = Severity.ERROR, Severity.WARNING


async def faults(options: dict[str, Any], *, writable: bool = True) -> list[str]:
    driver = OpenDALDriver(**options)
    found = [each async for each in driver.diagnose(DiagnosisOptions(writable=writable))]
    await driver.aclose()
    assert all(each.message.endswith(".") and each.evidence for each in found)
    assert {each.id for each in found} <= IDS
    return [each.id for each in found if each.severity in KNOWN]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"scheme": "webdav", "endpoint": "https://dav.example.com"}, []),
        ({"scheme": "webdav", "endpoint": "http://127.0.0.1:8080"}, []),
        ({"scheme": "webdav", "endpoint": "http://dav.example.com"}, ["opendal.plain"]),
        ({"scheme": "redis", "endpoint": "redis://10.0.0.1:6379"}, ["opendal.plain"]),
        ({"scheme": "memory"}, ["opendal.in-memory"]),
        ({"scheme": "http", "endpoint": "https://example.com"}, ["opendal.read-only"]),
        ({"scheme": "webdav", "endpoint": "https://a", "staged": False}, []),
    ],
)
async def test_diagnose_names_what_the_service_does_not_keep(
    options: dict[str, Any], expected: list[str]
) -> None:
    assert await faults(options) == expected


async def test_diagnose_of_service_that_tears_writes_says_whether_they_are_accepted() -> None:
    options = {"scheme": "webhdfs", "endpoint": "https://hdfs.example.com"}
    assert await faults(options) == ["opendal.torn-writes"]
    assert await faults({**options, "accept_torn_writes": True}) == ["opendal.torn-writes"]
    assert await faults(options, writable=False) == []


async def test_diagnose_of_local_service_has_no_fault(tmp_path: Path) -> None:
    assert await faults({"scheme": "fs", "root": str(tmp_path)}) == []
