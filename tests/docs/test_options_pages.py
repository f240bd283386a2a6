"""Each distribution's page has the options that there are, and no others."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from jtc.storage.drivers.azure_driver import AzureDriver
from jtc.storage.drivers.gcs_driver import GCSDriver
from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.drivers.opendal_driver import OpenDALDriver
from jtc.storage.drivers.s3_driver import S3Driver
from jtc.storage.drivers.sftp_driver import SFTPDriver
from jtc.storage.layers.otel_layer import OpenTelemetry

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("folder", "factory"),
    [
        ("drivers-azure", AzureDriver),
        ("drivers-gcs", GCSDriver),
        ("drivers-local", LocalDriver),
        ("drivers-memory", MemoryDriver),
        ("drivers-opendal", OpenDALDriver),
        ("drivers-s3", S3Driver),
        ("drivers-sftp", SFTPDriver),
        ("layers-otel", OpenTelemetry),
    ],
)
def test_the_table_of_options_is_the_constructors(folder: str, factory: Any) -> None:
    (table,) = re.findall(
        r"^\| option \|.*\n((?:\|.*\n)+)",
        (ROOT / folder / "README.md").read_text(),
        flags=re.MULTILINE,
    )
    first = [row.split("|")[1] for row in table.splitlines()]
    listed = [name for cell in first for name in re.findall(r"`(\w+)`", cell)]
    assert sorted(listed) == sorted({*inspect.signature(factory).parameters} - {"inner"})


def test_the_numbers_of_the_s3_page_are_the_defaults() -> None:
    page = (ROOT / "drivers-s3" / "README.md").read_text()
    defaults = {n: p.default for n, p in inspect.signature(S3Driver).parameters.items()}
    units = {"": 1, " MiB": 1024**2, " GiB": 1024**3}
    compared = 0
    for names, default in re.findall(
        r"^\| (`[^|]*) \|[^|]*\| (\d[^|]*) \|$", page, flags=re.MULTILINE
    ):
        options = re.findall(r"`(\w+)`", names)
        numbers = re.findall(r"(\d+)( [MG]iB)?", default)
        for option, (number, unit) in zip(options, numbers, strict=True):
            assert defaults[option] == int(number) * units[unit], option
            compared += 1
    assert compared == 12
