"""Metrics: values, units and attributes."""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage import ReadOptions, ReadStream, RejectedException, StorageManager
from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.drivers.memory_driver import MemoryDriver
from small_drivers import EightMethods

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from conftest import Telemetry

    from jtc.storage import Disk

BASE = {"storage.disk.name": "d", "storage.driver.name": "MemoryDriver"}


async def test_operations_are_counted_by_disk_driver_operation_and_outcome(
    telemetry: Telemetry,
) -> None:
    disk = telemetry.disk(MemoryDriver())
    await disk.put("a", b"1")
    await disk.put("b", b"2")
    await disk.get("a")
    with pytest.raises(FileNotFoundError):
        await disk.get("missing")
    counted = {
        (p.operation, p.attributes["storage.operation.outcome"]): p.point.value
        for p in telemetry.points("storage.operations")
    }
    assert counted == {
        ("put", "success"): 2,
        ("get", "success"): 1,
        ("get", "not_found"): 1,
    }
    for point in telemetry.points("storage.operations"):
        assert point.attributes.items() >= BASE.items()
        assert len(point.attributes) == 4
    assert telemetry.points("storage.errors") == []


async def test_disks_are_counted_each(telemetry: Telemetry) -> None:
    layers = [{"name": "otel", **telemetry.providers}]
    manager = StorageManager.isolated(
        {"disks": {name: {"driver": "memory", "layers": layers} for name in ("one", "two")}}
    )
    for name in ("one", "two", "two"):
        await manager.disk(name).exists("a")
    counted = {
        point.attributes["storage.disk.name"]: point.point.value
        for point in telemetry.points("storage.operations")
    }
    assert counted == {"one": 1, "two": 2}


async def _chunks() -> AsyncIterator[bytes]:
    yield b"123"
    yield b"45"


def _file() -> Any:
    file = io.BytesIO()
    file.write(b"12345")
    return file


class _Unseekable(io.RawIOBase):
    def __init__(self) -> None:
        self._left = [b"123", b"45"]

    def readable(self) -> bool:
        return True

    def read(self, _size: int | None = -1, /) -> bytes:
        return self._left.pop(0) if self._left else b""


CONTENTS: dict[str, Callable[[], Any]] = {
    "bytes": lambda: b"12345",
    "a bytearray": lambda: bytearray(b"12345"),
    "text": lambda: "12€",
    "a file": _file,
    "a file without seek": _Unseekable,
    "an async iterator": _chunks,
    "an iterable": lambda: [b"123", b"45"],
}


@pytest.mark.parametrize("through", ["a disk", "the layer alone"])
@pytest.mark.parametrize("driver", [MemoryDriver, EightMethods])
@pytest.mark.parametrize("kind", CONTENTS)
async def test_bytes_that_are_stored_are_counted_for_each_kind_of_content(
    telemetry: Telemetry, kind: str, driver: Callable[[], Any], through: str
) -> None:
    if driver is EightMethods and through == "the layer alone" and kind not in {"bytes", "a file"}:
        pytest.skip("the eight methods get bytes or a file")
    disk = telemetry.disk(driver())
    await (disk if through == "a disk" else disk.driver).put("a", CONTENTS[kind]())
    assert _moved(telemetry) == {"write": 5}
    assert len(await disk.get("a")) == 5


async def test_upload_that_fails_moves_no_bytes(telemetry: Telemetry) -> None:
    with pytest.raises(RejectedException):
        await telemetry.disk(MemoryDriver()).put("a", _chunks(), max_size=4)
    assert _moved(telemetry) == {}


@pytest.mark.parametrize("size", [0, 1_000_000])
async def test_bytes_of_a_local_file_are_counted_both_ways(
    telemetry: Telemetry, tmp_path: Path, size: int
) -> None:
    source = tmp_path / "source"
    source.write_bytes(bytes(size))
    disk = telemetry.disk(LocalDriver(tmp_path / "root"))
    await disk.put("a", source)
    assert await disk.get("a") == bytes(size)
    assert _moved(telemetry) == {"write": size, "read": size}


async def test_bytes_that_are_read_are_counted(telemetry: Telemetry) -> None:
    driver = MemoryDriver()
    await driver.put("a", b"12345")
    disk = telemetry.disk(driver)
    assert await _read(disk) == [b"12345", b"234", [b"12", b"34", b"5"], [b"12", b"2345"]]
    assert _moved(telemetry) == {"read": 5 + 3 + 5 + 6}


async def _read(disk: Disk) -> list[Any]:
    return [
        await disk.get("a"),
        await disk.get_range("a", 1, 4),
        [chunk async for chunk in disk.stream("a", chunk_size=2)],
        await disk.get_ranges("a", [(0, 2), (1, 5)]),
    ]


async def test_copy_within_the_disk_moves_no_bytes(telemetry: Telemetry) -> None:
    driver = MemoryDriver()
    await driver.put("a", b"12345")
    await telemetry.disk(driver).copy("a", "b")
    assert _moved(telemetry) == {}


def _moved(telemetry: Telemetry) -> dict[str, int]:
    moved: dict[str, int] = {}
    for point in telemetry.points("storage.io"):
        direction = point.attributes["storage.io.direction"]
        moved[direction] = moved.get(direction, 0) + point.point.value
    return moved


class Slow(MemoryDriver):
    """Takes a tenth of a second to open, and as long for each chunk."""

    async def open_read(self, path: str, options: ReadOptions, /) -> ReadStream:
        stream = await super().open_read(path, options)
        await asyncio.sleep(0.1)

        async def chunks() -> AsyncIterator[bytes]:
            async for chunk in stream:
                await asyncio.sleep(0.1)
                yield chunk

        return ReadStream(stream.info, chunks(), stream.aclose)


async def test_duration_of_a_stream_leaves_out_its_readers_time(
    telemetry: Telemetry,
) -> None:
    disk = telemetry.disk(Slow())
    await disk.put("a", b"12")
    async for _ in disk.stream("a", chunk_size=1):
        await asyncio.sleep(1)
    (point,) = [
        point
        for point in telemetry.points("storage.operation.duration")
        if point.operation == "open_read"
    ]
    (span,) = [span for span in telemetry.spans if span.name == "open_read d"]
    assert span.start_time is not None
    assert span.end_time is not None
    lasted = (span.end_time - span.start_time) / 1e9
    assert 0.28 < point.point.sum < lasted - 1.9


async def test_durations_are_in_seconds_with_buckets_for_them(telemetry: Telemetry) -> None:
    await telemetry.disk(MemoryDriver()).exists("a")
    (point,) = telemetry.points("storage.operation.duration")
    assert point.point.count == 1
    assert point.point.explicit_bounds[0] == 0.0001
    assert point.point.explicit_bounds[-1] == 300
    assert point.attributes == {
        **BASE,
        "storage.operation.name": "exists",
        "storage.operation.outcome": "success",
    }


@pytest.mark.parametrize(
    "metric", ["storage.operations", "storage.operation.duration", "storage.io", "storage.errors"]
)
async def test_metric_has_an_exemplar_of_its_span(telemetry: Telemetry, metric: str) -> None:
    driver = MemoryDriver()
    await driver.put("a", b"1")
    disk = telemetry.disk(driver)
    if metric == "storage.errors":
        with pytest.raises(ValueError, match="parts"):
            await disk.driver.get("../a")
    else:
        await disk.get("a")
    (point,) = telemetry.points(metric)
    (span,) = telemetry.spans
    (exemplar,) = point.point.exemplars
    assert span.context is not None
    assert exemplar.span_id == span.context.span_id


async def test_instruments_have_units(telemetry: Telemetry) -> None:
    disk = telemetry.disk(MemoryDriver())
    await disk.put("a", b"1")
    with pytest.raises(ValueError, match="parts"):
        await disk.driver.get("../a")
    data: Any = telemetry.reader.get_metrics_data()
    units = {m.name: m.unit for m in data.resource_metrics[0].scope_metrics[0].metrics}
    assert units == {
        "storage.operations": "{operation}",
        "storage.operation.duration": "s",
        "storage.io": "By",
        "storage.errors": "{error}",
    }
