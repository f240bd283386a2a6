"""Spans: which there are, when they are current, and when they end."""

from __future__ import annotations

import asyncio
import gc
import sys
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode

from jtc.storage import (
    ListOptions,
    ReadOptions,
    ReadStream,
    StorageConfigException,
    StorageManager,
    WriteOptions,
)
from jtc.storage.driver import METHODS, Method
from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.layers.otel_layer import OpenTelemetry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from conftest import Telemetry

    from jtc.storage import Disk


def now() -> str:
    """Return the name of the span that is current, or nothing."""
    span: Any = trace.get_current_span()
    return getattr(span, "name", "")


class Watched(MemoryDriver):
    """Records which span is current at each point of its work."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    async def get(self, path: str, /) -> bytes:
        self.seen.append(now())
        await asyncio.sleep(0)
        self.seen.append(now())
        return await super().get(path)

    async def open_read(self, path: str, options: ReadOptions, /) -> ReadStream:
        self.seen.append(f"open {now()}")
        stream = await super().open_read(path, options)

        async def chunks() -> AsyncIterator[bytes]:
            async for chunk in stream:
                await asyncio.sleep(0)
                self.seen.append(f"chunk {now()}")
                yield chunk

        async def close() -> None:
            await asyncio.sleep(0)
            self.seen.append(f"close {now()}")
            await stream.aclose()

        return ReadStream(stream.info, chunks(), close)

    async def list_entries(self, prefix: str, options: ListOptions, /) -> AsyncIterator[Any]:
        try:
            async for entry in super().list_entries(prefix, options):
                self.seen.append(f"entry {now()}")
                yield entry
        finally:
            self.seen.append(f"left {now()}")


# Which


CALLS: dict[str, Callable[[Disk], Any]] = {
    "put": lambda d: d.put("b", b"1"),
    "write_file": lambda d: d.put("b", b"1", content_type="x/y"),
    "get": lambda d: d.get("a"),
    "exists": lambda d: d.exists("a"),
    "delete": lambda d: d.delete("a"),
    "size": lambda d: d.size("a"),
    "last_modified": lambda d: d.last_modified("a"),
    "stat": lambda d: d.stat("a"),
    "open_read": lambda d: d.get_range("a", 0, 1),
    "list_entries": lambda d: d.files(),
    "make_directory": lambda d: d.make_directory("new"),
    "move_directory": lambda d: d.driver.move_directory("dir", "moved"),
    "delete_directory": lambda d: d.delete_directory("new"),
    "copy_file": lambda d: d.copy("a", "b"),
    "move_file": lambda d: d.move("a", "b"),
    "copy_from": lambda d: d.driver.copy_from("b", d.driver.copy_source("a"), WriteOptions()),
    "visibility": lambda d: d.visibility("a"),
    "set_visibility": lambda d: d.set_visibility("a", "public"),
    "delete_many": lambda d: d.delete_many(["a"]),
    "delete_file": lambda d: d.delete("missing", if_match="etag"),
    "read_ranges": lambda d: d.driver.read_ranges("a", [(0, 1)], ReadOptions()),
    "update_metadata": lambda d: d.set_metadata("a", content_type="x/y"),
    "remove_empty_directory": lambda d: d.remove_empty_directory("empty"),
    "temporary_url": lambda d: d.temporary_url("a", 60),
    "temporary_upload_url": lambda d: d.temporary_upload_url("a", 60),
    "temporary_upload_form": lambda d: d.temporary_upload_form("a", 60, max_size=1),
    "check": lambda d: d.driver.check("c"),
    "aclose": lambda d: d.driver.aclose(),
}


class Signing(MemoryDriver):
    """A driver with every capability."""

    def __init__(self) -> None:
        super().__init__(base_url="https://files.example.test", secret="s" * 32)

    async def check(self, path: str, /) -> None:
        """Check nothing."""

    async def aclose(self) -> None:
        """Close nothing."""


@pytest.mark.parametrize("name", CALLS)
async def test_each_call_of_the_driver_is_a_span_with_attributes(
    telemetry: Telemetry, name: str
) -> None:
    driver = Signing()
    await driver.put("a", b"12345")
    await driver.make_directory("dir")
    await CALLS[name](telemetry.disk(driver))
    (span,) = telemetry.spans
    assert span.name == f"{name} d"
    assert span.kind is SpanKind.INTERNAL
    assert span.status.status_code is StatusCode.UNSET
    attributes = dict(span.attributes or {})
    attributes.pop("storage.io.size", None)
    attributes.pop("storage.operation.batch.size", None)
    assert attributes == {
        "storage.disk.name": "d",
        "storage.driver.name": "Signing",
        "storage.operation.name": name,
        "storage.operation.outcome": "success",
    }
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.name == "jtc.storage"
    assert span.instrumentation_scope.version == "1.0.0"


def test_calls_are_all_methods_that_do_not_only_compute() -> None:
    assert set(CALLS) == {name for name in METHODS if METHODS[name].kind != "value"}


async def test_method_that_only_computes_has_no_span(telemetry: Telemetry) -> None:
    disk = telemetry.disk(MemoryDriver())
    assert disk.url("a") == disk.path("a") == "memory://a"
    assert telemetry.spans == []


async def test_layer_of_a_configuration_records_the_paths_it_sees(telemetry: Telemetry) -> None:
    layer = {"name": "otel", "paths": True, **telemetry.providers}
    scope = {"name": "scoped", "prefix": "tenant"}
    for layers, path in (([layer, scope], "a"), ([scope, layer], "tenant/a")):
        telemetry.clear()
        disk = StorageManager.isolated(
            {"disks": {"media": {"driver": "memory", "layers": layers}}}
        ).disk("media")
        await disk.put("a", b"1")
        (span,) = telemetry.spans
        attributes = dict(span.attributes or {})
        assert span.name == "put media"
        assert attributes["storage.driver.name"] == "memory"
        assert attributes["storage.path"] == path


async def test_layer_on_no_disk_leaves_out_the_disks_name(telemetry: Telemetry) -> None:
    await OpenTelemetry(MemoryDriver(), **telemetry.providers).exists("a")
    (span,) = telemetry.spans
    assert span.name == "exists"
    assert "storage.disk.name" not in dict(span.attributes or {})


@pytest.mark.parametrize("paths", ["false", 1, None])
async def test_paths_option_is_a_bool(telemetry: Telemetry, paths: Any) -> None:
    with pytest.raises(StorageConfigException, match="paths is a bool"):
        await telemetry.disk(MemoryDriver(), paths=paths).exists("a")


async def test_method_of_a_later_contract_has_a_span_too(
    telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = OpenTelemetry(MemoryDriver(), paths=True, **telemetry.providers)
    effects = frozenset({"path"})
    for name, kind in (("link", "awaitable"), ("versions", "iterator"), ("mark", "value")):
        method = Method(effects, kind, 2 if name == "link" else 1, name)  # type: ignore[arg-type]
        monkeypatch.setitem(METHODS, name, method)  # type: ignore[arg-type] # it is a dict

    async def link(_path: str, _target: str, /) -> str:
        return now()

    async def versions(_path: str, /) -> AsyncIterator[str]:
        yield now()

    def mark(_path: str, /) -> str:
        return now()

    assert await layer.wrap("link", link)("a", "b") == "link"
    assert [item async for item in layer.wrap("versions", versions)("c")] == ["versions"]
    assert layer.wrap("mark", mark) is mark
    linked, listed = telemetry.spans
    attributes = dict(linked.attributes or {})
    assert (attributes["storage.path"], attributes["storage.target.path"]) == ("a", "b")
    assert (listed.name, dict(listed.attributes or {})["storage.path"]) == ("versions", "c")


# Current


async def test_span_is_current_while_the_driver_works_and_a_child_of_the_callers(
    telemetry: Telemetry,
) -> None:
    driver = Watched()
    disk = telemetry.disk(driver)
    await disk.put("a", b"1")
    telemetry.clear()
    with telemetry.tracing.get_tracer("test").start_as_current_span("request"):
        await disk.get("a")
        assert now() == "request"
    inner, outer = telemetry.spans
    assert driver.seen == ["get d", "get d"]
    assert inner.parent is not None
    assert outer.context is not None
    assert inner.parent.span_id == outer.context.span_id
    assert now() == ""


async def test_span_of_a_stream_is_current_for_the_driver_and_not_for_the_reader(
    telemetry: Telemetry,
) -> None:
    driver = Watched()
    disk = telemetry.disk(driver)
    await disk.put("a", b"123")
    telemetry.clear()
    with telemetry.tracing.get_tracer("test").start_as_current_span("request"):
        async with disk.stream("a", chunk_size=1) as stream:
            async for _ in stream:
                assert now() == "request"
                assert telemetry.spans == []
        assert [span.name for span in telemetry.spans] == ["open_read d"]
    assert driver.seen == [
        "open open_read d",
        *["chunk open_read d"] * 3,
        "close open_read d",
    ]
    assert dict(telemetry.spans[0].attributes or {})["storage.io.size"] == 3


async def test_span_of_a_listing_is_current_for_the_driver_and_not_for_the_reader(
    telemetry: Telemetry,
) -> None:
    driver = Watched()
    disk = telemetry.disk(driver)
    for name in ("a", "b"):
        await driver.put(name, b"")
    with telemetry.tracing.get_tracer("test").start_as_current_span("request"):
        async for _ in disk.list():
            assert now() == "request"
            assert telemetry.spans == []
    assert driver.seen == [*["entry list_entries d"] * 2, "left list_entries d"]
    assert telemetry.spans[0].name == "list_entries d"


async def test_two_streams_read_in_turns_keep_their_spans(telemetry: Telemetry) -> None:
    driver = Watched()
    disk = telemetry.disk(driver, paths=True)
    await disk.put("a", b"12")
    await disk.put("b", b"34")
    telemetry.clear()
    one, two = await disk.stream("a", chunk_size=1), await disk.stream("b", chunk_size=1)
    first, second = aiter(one), aiter(two)
    read = [await anext(each) for each in (first, second, first, second)]
    assert read == [b"1", b"3", b"2", b"4"]
    await one.aclose()
    await two.aclose()
    assert [dict(s.attributes or {})["storage.path"] for s in telemetry.spans] == ["a", "b"]
    assert now() == ""


async def test_stream_may_be_opened_read_and_closed_by_different_tasks(
    telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    disk = telemetry.disk(Watched())
    await disk.put("a", b"12")
    telemetry.clear()
    stream = await asyncio.create_task(_opened(disk))
    chunks = aiter(stream)
    assert await asyncio.create_task(_next(chunks)) == b"1"
    assert await asyncio.create_task(_next(chunks)) == b"2"
    await asyncio.create_task(stream.aclose())
    assert [span.name for span in telemetry.spans] == ["open_read d"]
    assert caplog.records == []  # a context that another task leaves is logged


async def _opened(disk: Disk) -> Any:
    return await disk.stream("a", chunk_size=1)


async def _next(chunks: AsyncIterator[bytes]) -> bytes:
    return await anext(chunks)


# The end


async def test_span_of_a_stream_that_is_left_early_ends_when_it_is_closed(
    telemetry: Telemetry,
) -> None:
    disk = telemetry.disk(Watched())
    await disk.put("a", b"123")
    telemetry.clear()
    async with disk.stream("a", chunk_size=1) as stream:
        async for _ in stream:
            break
    (span,) = telemetry.spans
    attributes = dict(span.attributes or {})
    assert attributes["storage.io.size"] == 1
    assert attributes["storage.operation.outcome"] == "success"


async def test_span_of_a_dropped_stream_ends_without_a_close(
    telemetry: Telemetry,
) -> None:
    layer: Any = telemetry.disk(MemoryDriver()).driver
    await layer.put("a", b"123")
    telemetry.clear()
    started = await layer.open_read("a", ReadOptions(chunk_size=1))
    chunks = aiter(started)
    assert await anext(chunks) == b"1"
    unread = await layer.open_read("a", ReadOptions())
    assert telemetry.spans == []
    del started, chunks, unread
    gc.collect()
    await _ended(telemetry, 2)
    sizes = [dict(span.attributes or {}).get("storage.io.size") for span in telemetry.spans]
    assert sorted(sizes, key=str) == [1, None]


def test_span_of_a_stream_that_outlives_its_loop_ends_when_it_is_dropped(
    telemetry: Telemetry,
) -> None:
    async def opened() -> Any:
        layer: Any = telemetry.disk(MemoryDriver()).driver
        await layer.put("a", b"123")
        telemetry.clear()
        return await layer.open_read("a", ReadOptions())

    stream = asyncio.run(opened())
    assert telemetry.spans == []
    del stream
    gc.collect()
    assert [span.name for span in telemetry.spans] == ["open_read d"]


async def test_span_of_a_listing_that_is_left_early_ends(
    telemetry: Telemetry,
) -> None:
    driver = Watched()
    disk = telemetry.disk(driver)
    for name in ("a", "b"):
        await driver.put(name, b"")
    async for _ in disk.list():
        break
    await _ended(telemetry, 1)
    assert driver.seen == ["entry list_entries d", "left list_entries d"]
    assert dict(telemetry.spans[0].attributes or {})["storage.operation.outcome"] == "success"


async def test_listing_that_was_never_started_has_no_span(telemetry: Telemetry) -> None:
    layer: Any = telemetry.disk(MemoryDriver()).driver
    layer.list_entries("", ListOptions())
    gc.collect()
    await asyncio.sleep(0)
    assert telemetry.spans == []


async def test_many_streams_leave_no_objects_behind(telemetry: Telemetry) -> None:
    driver = MemoryDriver()
    await driver.put("a", b"123")
    layer: Any = telemetry.disk(driver).driver

    async def use() -> None:
        stream = await layer.open_read("a", ReadOptions())
        async for _ in stream:
            pass
        await stream.aclose()
        await layer.get("a")

    for _ in range(20):
        await use()
    telemetry.clear()
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(300):
        await use()
    telemetry.clear()
    gc.collect()
    assert len(gc.get_objects()) - before < 300


async def _ended(telemetry: Telemetry, count: int) -> None:
    """Wait until the event loop has ended the spans of what was dropped."""
    async with asyncio.timeout(30):
        while len(telemetry.spans) < count:
            await asyncio.sleep(0.001)


def test_layer_needs_the_api_only() -> None:
    import subprocess

    code = (
        "import asyncio, sys\n"
        "sys.modules['opentelemetry.sdk'] = None\n"
        "from jtc.storage import Storage\n"
        "disk = Storage.disk('memory').with_layer('otel')\n"
        "asyncio.run(disk.put('a', b'1'))\n"
        "assert asyncio.run(disk.get('a')) == b'1'\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
