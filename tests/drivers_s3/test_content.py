"""Content cut into parts, and `driver_options` as headers."""

from __future__ import annotations

import datetime as dt
import io
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jtc.storage.drivers.s3_driver._driver_options import DRIVER_OPTIONS, driver_headers
from jtc.storage.drivers.s3_driver._objects.content_parts import CheckedParts
from jtc.storage.drivers.s3_driver._objects.crc32 import combined
from jtc.storage.exceptions import UnsupportedOperationException
from jtc.storage.http_support.connections import Places

CONTENT = bytes(range(256)) * 8192

PLACES = Places("max_transfer_memory", 1, 60.0)


async def chunks(*lengths: int):
    at = 0
    for length in lengths:
        yield CONTENT[at : at + length]
        at += length


async def all_parts(parts: CheckedParts, size: int) -> list[bytes]:
    found = []
    while True:
        part, release = await parts.next(size)
        release()
        assert parts.part_crc32 == zlib.crc32(part)
        if not part:
            return found
        found.append(part)


@pytest.mark.parametrize("size", [1000, 1_048_576, 3_000_000])
@pytest.mark.parametrize("source", ["bytes", "file", "chunks"])
async def test_checked_parts_are_of_one_length_but_the_last(source: str, size: int):
    content: Any = {
        "bytes": CONTENT,
        "file": io.BytesIO(CONTENT),
        "chunks": chunks(1, 0, 500_000, 0, 0, len(CONTENT)),
    }[source]
    parts = CheckedParts(content, PLACES, PLACES.number)
    assert (await parts.head(10))[:10] == CONTENT[:10]
    found = await all_parts(parts, size)
    assert b"".join(found) == CONTENT
    assert {len(part) for part in found[:-1]} <= {size}
    assert (parts.size, parts.crc32) == (len(CONTENT), zlib.crc32(CONTENT))


MOMENT = dt.datetime(2030, 1, 1, 12, 30, 15, tzinfo=dt.timezone(dt.timedelta(hours=2)))


@pytest.mark.parametrize(
    ("name", "value", "header"),
    [
        ("Expires", MOMENT, "Tue, 01 Jan 2030 10:30:15 GMT"),
        ("ObjectLockRetainUntilDate", MOMENT, "2030-01-01T10:30:15Z"),
        ("BucketKeyEnabled", True, "true"),
        ("BucketKeyEnabled", False, "false"),
        ("Tagging", "a=b&c=d%20e", "a=b&c=d%20e"),
        ("Tagging", {"a": "b", "c": "d e&f"}, "a=b&c=d+e%26f"),
        ("SSEKMSEncryptionContext", "eyJhIjoiYiJ9", "eyJhIjoiYiJ9"),
        ("StorageClass", "GLACIER", "GLACIER"),
    ],
)
def test_driver_headers_writes_a_value_as_s3_does(name: str, value: object, header: str):
    assert list(driver_headers({name: value}).values()) == [header]


@pytest.mark.parametrize("name", sorted(DRIVER_OPTIONS))
@pytest.mark.parametrize("value", [5, None, "zürich", "a\nb", b"1"])
def test_driver_headers_of_a_wrong_value_names_the_option(name: str, value: object):
    with pytest.raises(ValueError, match=name):
        driver_headers({name: value})


def test_driver_headers_of_an_unknown_name_lists_the_others():
    with pytest.raises(UnsupportedOperationException, match=r"'StorageClas'.*StorageClass"):
        driver_headers({"StorageClas": "GLACIER"})


@given(st.binary(), st.binary(), st.integers(0, 300_000))
def test_combined_crc32_is_that_of_both_contents(one: bytes, other: bytes, zeros: int) -> None:
    other += bytes(zeros)
    found = combined(zlib.crc32(one), zlib.crc32(other), len(other))
    assert found == zlib.crc32(one + other)
