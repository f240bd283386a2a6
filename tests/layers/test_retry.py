"""The layer `retry`: what is retried, what is not, and how often."""

from __future__ import annotations

import io
import logging
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage import (
    FileNotFoundException,
    IntegrityException,
    Layer,
    PreconditionFailedException,
    ReadOptions,
    RejectedException,
    StorageConfigException,
    StorageManager,
    StorageTimeoutException,
    StorageUnavailableException,
    WriteOptions,
)
from jtc.storage.driver import METHODS, ReadStream
from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.drivers.s3_driver import S3Driver
from jtc.storage.layers.retry import Retry
from small_drivers import EightMethods

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from jtc.storage import Disk, ListOptions

WITHOUT_WAITS = {"delay": 0.0}


class Flaky(Layer):
    """Fails a number of times, before or after it does its work."""

    def __init__(self, inner: Any) -> None:
        self.failures = 0
        self.afterwards = False
        self.error: Callable[[], Exception] = lambda: StorageUnavailableException("Down")
        self.calls: list[str] = []
        super().__init__(inner)

    def fail(self, times: int, *, afterwards: bool = False) -> None:
        self.failures, self.afterwards = times, afterwards
        self.calls.clear()

    def wrap(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        if METHODS[name].kind in {"value", "iterator"}:
            return method

        async def flaky(*arguments: Any) -> Any:
            self.calls.append(name)
            fails = self.failures > 0
            self.failures -= fails
            if fails and not self.afterwards:
                raise self.error()
            result = await method(*arguments)
            if fails:
                raise self.error()
            return result

        return flaky


@pytest.fixture
def flaky() -> Flaky:
    return Flaky(MemoryDriver())


@pytest.fixture
async def disk(flaky: Flaky) -> Disk:
    manager = StorageManager.isolated({})
    manager.set_driver(flaky, "d")
    await manager.disk("d").put("dir/a", b"12345")
    return manager.disk("d").with_layer("retry", **WITHOUT_WAITS)


def through(driver: Any, **options: Any) -> Disk:
    manager = StorageManager.isolated({})
    manager.set_driver(driver, "d")
    return manager.disk("d").with_layer("retry", **WITHOUT_WAITS | options)


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def ranges(disk: Disk) -> None:
    driver: Any = disk.driver
    assert await driver.read_ranges("dir/a", [(0, 2), (3, 5)], ReadOptions()) == [b"12", b"45"]


RETRIED: dict[str, Callable[[Disk], Any]] = {
    "get": lambda d: d.get("dir/a"),
    "get_range": lambda d: d.get_range("dir/a", 1, 3),
    "read_ranges": ranges,
    "exists": lambda d: d.exists("dir/a"),
    "size": lambda d: d.size("dir/a"),
    "last_modified": lambda d: d.last_modified("dir/a"),
    "stat": lambda d: d.stat("dir/a"),
    "visibility": lambda d: d.visibility("dir/a"),
    "set_visibility": lambda d: d.set_visibility("dir/a", "public"),
    "make_directory": lambda d: d.make_directory("new"),
    "delete_directory": lambda d: d.delete_directory("dir"),
    "put": lambda d: d.put("b", b"1"),
    "put with an option": lambda d: d.put("b", b"1", content_type="x/y"),
    "put of text": lambda d: d.put("b", "1"),
    "put of a short stream": lambda d: d.put("b", chunks(b"1", b"2")),
    "put of a short file": lambda d: d.put("b", io.BytesIO(b"12")),
    "copy": lambda d: d.copy("dir/a", "b"),
    "set_metadata": lambda d: d.set_metadata("dir/a", content_type="x/y"),
    "copy_from": lambda d: d.driver.copy_from("b", d.driver.copy_source("dir/a"), WriteOptions()),
}
NOT_RETRIED: dict[str, Callable[[Disk], Any]] = {
    "delete": lambda d: d.delete("dir/a"),
    "delete if it matches": lambda d: d.delete("dir/a", if_match="etag"),
    "delete_many": lambda d: d.delete_many(["dir/a"]),
    "remove_empty_directory": lambda d: d.remove_empty_directory("dir"),
    "move": lambda d: d.move("dir/a", "b"),
    "move_directory": lambda d: d.driver.move_directory("dir", "new"),
    "put to create": lambda d: d.put("b", b"1", overwrite=False),
    "put if it matches": lambda d: d.put("dir/a", b"1", if_match="etag"),
    "copy to create": lambda d: d.copy("dir/a", "b", overwrite=False),
    "copy if it matches": lambda d: d.copy("dir/a", "b", if_source_match="etag"),
    "set_metadata if it matches": lambda d: d.set_metadata(
        "dir/a", content_type="x/y", if_match="etag"
    ),
}


@pytest.mark.parametrize("name", RETRIED)
@pytest.mark.parametrize("afterwards", [False, True])
async def test_safe_call_succeeds_after_failures(
    disk: Disk, flaky: Flaky, name: str, afterwards: bool
) -> None:
    flaky.fail(3, afterwards=afterwards)
    await RETRIED[name](disk)
    assert len(flaky.calls) == 4


@pytest.mark.parametrize("name", NOT_RETRIED)
async def test_call_with_an_ambiguous_result_is_not_retried(
    disk: Disk, flaky: Flaky, name: str
) -> None:
    flaky.fail(1)
    with pytest.raises(StorageUnavailableException):
        await NOT_RETRIED[name](disk)
    assert len(flaky.calls) == 1


async def test_content_is_stored_whole_after_a_retry(disk: Disk, flaky: Flaky) -> None:
    for content in (b"123", chunks(b"1", b"23"), io.BytesIO(b"123"), "123"):
        flaky.fail(2, afterwards=True)
        await disk.put("b", content)
        assert await disk.get("b") == b"123"


async def test_a_long_stream_is_sent_once_and_whole(flaky: Flaky) -> None:
    disk = through(flaky, buffer=10)
    await disk.put("b", chunks(b"12345", b"67890", b"abc", b"def"))
    assert await disk.get("b") == b"1234567890abcdef"
    flaky.fail(1)
    with pytest.raises(StorageUnavailableException):
        await disk.put("b", chunks(b"12345", b"67890", b"abc", b"def"))
    assert flaky.calls == ["write_file"]


async def test_a_spooled_file_is_rewound_for_a_driver_of_eight_methods() -> None:
    class Flaky8(EightMethods):
        attempts = 0

        async def put(self, path: str, content: Any, /) -> str:
            self.attempts += 1
            stored = await super().put(path, content)
            if self.attempts < 3:
                raise ConnectionError("reset")
            return stored

    driver = Flaky8()
    content = b"x" * 3_000_000
    await through(driver).put("a", chunks(content))
    assert driver.attempts == 3
    assert driver.kept["a"] == content


async def test_the_limits_of_a_put_hold_for_what_is_kept_to_be_sent_again(disk: Disk) -> None:
    with pytest.raises(RejectedException):
        await disk.put("b", chunks(b"123", b"456"), max_size=5)
    with pytest.raises(RejectedException):
        await disk.put("b.png", chunks(b"<html>"), allowed_types=["image/png"])
    with pytest.raises(IntegrityException):
        await disk.put("b", chunks(b"123"), size=5)
    assert await disk.missing("b")


async def test_error_of_the_content_is_not_retried(disk: Disk, flaky: Flaky) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"1"
        raise ConnectionResetError("the client left")

    flaky.fail(0)
    with pytest.raises(ConnectionResetError, match="the client left"):
        await disk.put("b", broken())
    assert flaky.calls == []


# Which errors, and how often


@pytest.mark.parametrize(
    ("error", "calls"),
    [
        (StorageUnavailableException("Down"), 4),
        (StorageTimeoutException("Slow"), 4),
        (StorageUnavailableException("Never again", retryable=False), 1),
        (ConnectionResetError(), 4),
        (TimeoutError(), 4),
        (OSError(5, "I/O error"), 4),
        (OSError(28, "No space left"), 1),
        (PermissionError(), 1),
        (FileNotFoundException("File not found"), 1),
        (RuntimeError("a fault"), 1),
    ],
)
async def test_only_retryable_errors_are_retried(
    disk: Disk, flaky: Flaky, error: Exception, calls: int
) -> None:
    flaky.error = lambda: error
    flaky.fail(99)
    with pytest.raises(Exception) as raised:
        await disk.get("dir/a")
    assert flaky.calls == ["get"] * calls
    assert raised.value is error or raised.value.__cause__ is error


async def test_last_error_names_disk_path_and_operation(disk: Disk, flaky: Flaky) -> None:
    flaky.fail(99)
    with pytest.raises(StorageUnavailableException) as raised:
        await disk.get("dir/a")
    assert (raised.value.disk, raised.value.path, raised.value.operation) == ("d", "dir/a", "get")


async def test_one_attempt_is_no_retry(flaky: Flaky) -> None:
    flaky.fail(1)
    with pytest.raises(StorageUnavailableException):
        await through(flaky, attempts=1).get("dir/a")
    assert flaky.calls == ["get"]


async def test_storage_that_is_down_soon_gets_one_request_per_call(flaky: Flaky) -> None:
    disk = through(flaky, budget=0.5)
    flaky.fail(1_000)
    for _ in range(20):
        with pytest.raises(StorageUnavailableException):
            await disk.get("dir/a")
    assert len(flaky.calls) == 20 + 10
    flaky.fail(0)
    for _ in range(8):
        await disk.exists("dir/a")
    flaky.fail(1_000)
    for _ in range(20):
        with pytest.raises(StorageUnavailableException):
            await disk.get("dir/a")
    assert len(flaky.calls) == 20 + 4  # eight successes earned half a token each


async def test_waits_grow_and_differ(flaky: Flaky) -> None:
    slept: list[float] = []
    retry: Any = Retry(flaky, attempts=6, delay=0.001, max_delay=0.004)
    original = retry._retrying.sleep

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        await original(0)

    retry._retrying = retry._retrying.copy(sleep=sleep)
    flaky.fail(5)
    assert not await retry.exists("dir/a")
    assert len(slept) == 5
    assert len(set(slept)) > 1
    for seconds, longest in zip(slept, (0.001, 0.002, 0.004, 0.004, 0.004), strict=True):
        assert 0 <= seconds <= longest


async def test_retries_are_logged_with_their_fields(
    disk: Disk, flaky: Flaky, caplog: pytest.LogCaptureFixture
) -> None:
    flaky.fail(1)
    with caplog.at_level(logging.INFO, "jtc.storage"):
        await disk.get("dir/a")
    (record,) = caplog.records
    assert record.name == "jtc.storage.retry"
    assert "get of 'dir/a' on the disk 'd' failed (StorageUnavailableException)" in caplog.text
    fields = vars(record)
    assert (fields["disk"], fields["operation"], fields["path"]) == ("d", "get", "dir/a")
    assert (fields["attempt"], fields["driver"]) == (1, "Flaky")


# Streams and listings


class Breaking(MemoryDriver):
    """A stream breaks off after some bytes; a listing after some entries."""

    def __init__(self) -> None:
        super().__init__()
        self.breaks: list[int] = []
        self.opened: list[ReadOptions] = []
        self.listed: list[ListOptions] = []

    @property
    def listed_after(self) -> list[str | None]:
        return [options.start_after for options in self.listed]

    async def open_read(self, path: str, options: ReadOptions, /) -> ReadStream:
        self.opened.append(options)
        stream = await super().open_read(path, options)
        return ReadStream(stream.info, self._some(aiter(stream)), stream.aclose)

    async def list_entries(self, prefix: str, options: ListOptions, /) -> Any:
        self.listed.append(options)
        async for entry in self._some(super().list_entries(prefix, options)):
            yield entry

    async def _some(self, items: Any) -> AsyncIterator[Any]:
        left = self.breaks.pop(0) if self.breaks else None
        async for item in items:
            if left == 0:
                raise StorageUnavailableException("Broke off")
            left = None if left is None else left - 1
            yield item


async def test_stream_resumes_where_it_broke_off() -> None:
    driver = Breaking()
    await driver.put("a", bytes(range(100)))
    etag = (await driver.stat("a")).etag
    disk = through(driver)
    for start, end in ((0, None), (5, 95), (-60, None)):
        driver.breaks = [2, 0, 3]
        driver.opened.clear()
        stream = disk.stream("a", start=start, end=end, chunk_size=10)
        assert b"".join([chunk async for chunk in stream]) == bytes(range(100))[start:end]
        first, last = range(100)[start:end][0], range(100)[start:end][-1] + 1
        assert driver.opened == [
            ReadOptions(start=start, end=end, chunk_size=10),
            ReadOptions(start=first + 20, end=last, if_match=etag, chunk_size=10),
            ReadOptions(start=first + 20, end=last, if_match=etag, chunk_size=10),
            ReadOptions(start=first + 50, end=last, if_match=etag, chunk_size=10),
        ]


async def test_resumed_stream_is_logged_as_other_retries_are(
    caplog: pytest.LogCaptureFixture,
) -> None:
    driver = Breaking()
    await driver.put("a", b"1" * 100)
    driver.breaks = [2]
    with caplog.at_level(logging.INFO, "jtc.storage"):
        assert len([chunk async for chunk in through(driver).stream("a", chunk_size=10)]) == 10
    (record,) = caplog.records
    fields = vars(record)
    assert (fields["disk"], fields["operation"], fields["path"]) == ("d", "open_read", "a")
    assert (fields["attempt"], fields["driver"]) == (1, "Breaking")
    assert "(StorageUnavailableException)" in caplog.text


async def test_stream_never_resumes_with_another_version() -> None:
    driver = Breaking()
    await driver.put("a", b"1" * 100)
    driver.breaks = [2]
    got: list[bytes] = []

    async def read_while_it_is_replaced() -> None:
        async for chunk in through(driver).stream("a", chunk_size=10):
            if len(got) == 1:
                await driver.put("a", b"2" * 100)
            got.append(chunk)

    with pytest.raises(PreconditionFailedException):
        await read_while_it_is_replaced()
    assert set(b"".join(got)) == {ord("1")}


async def test_resumed_stream_drops_if_none_match() -> None:
    driver = Breaking()
    await driver.put("a", b"1" * 30)
    driver.breaks = [1]
    stream = through(driver).stream("a", chunk_size=10, if_none_match='"other"')
    assert b"".join([chunk async for chunk in stream]) == b"1" * 30
    assert [options.if_none_match for options in driver.opened] == ['"other"', None]


async def test_stream_without_etag_is_not_resumed() -> None:
    class WithoutEtags(Breaking):
        async def open_read(self, path: str, options: ReadOptions, /) -> ReadStream:
            stream = await super().open_read(path, options)
            stream.info.etag = None
            return stream

    driver = WithoutEtags()
    await driver.put("a", b"1" * 100)
    driver.breaks = [2]
    with pytest.raises(StorageUnavailableException):
        async for _ in through(driver).stream("a", chunk_size=10):
            pass
    assert len(driver.opened) == 1


async def test_listing_resumes_after_its_last_entry() -> None:
    driver = Breaking()
    for path in ("a", "b/c", "d", "e"):
        await driver.put(path, b"")
    disk = through(driver)
    driver.breaks = [0, 2, 1]
    assert [entry.path async for entry in disk.list()] == ["a", "b", "d", "e"]
    assert driver.listed_after == [None, None, "b/", "d"]
    driver.listed.clear()
    driver.breaks = [1]
    assert [entry.path async for entry in disk.list(start_after="a", recursive=True)] == [
        "b/c",
        "d",
        "e",
    ]
    assert driver.listed_after == ["a", "b/c"]
    assert all(options.recursive for options in driver.listed)


# How it is set up


@pytest.mark.parametrize(
    "options",
    [{"attempts": 0}, {"delay": -1}, {"max_delay": -0.1}, {"budget": -1}, {"buffer": "much"}],
)
def test_invalid_option_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(StorageConfigException, match=next(iter(options))):
        Retry(MemoryDriver(), **options)


def test_driver_with_its_own_retries_is_warned_of() -> None:
    s3 = S3Driver("bucket", region="eu-north-1", access_key="a", secret_key="b")
    for driver in (s3, Layer(s3), Retry(MemoryDriver())):
        with pytest.warns(RuntimeWarning, match="attempts multiply"):
            Retry(driver)
    once = S3Driver("b", region="eu-north-1", access_key="a", secret_key="b", max_attempts=1)
    Retry(once)


async def test_alone_it_takes_what_its_driver_takes() -> None:
    driver = MemoryDriver()
    layer = Retry(driver)
    await layer.put("a", "text")
    await layer.put("b", io.BytesIO(b"file"))
    inner: Any = layer
    await inner.write_file("c", io.BytesIO(b"file"), WriteOptions())
    assert await driver.get("a") == b"text"
    assert await driver.get("b") == await driver.get("c") == b"file"


@pytest.mark.parametrize(("attempts", "budget"), [(1, 0.2), (3, 0.2), (3, 1)])
async def test_stream_that_breaks_at_once_is_opened_once_per_attempt(
    attempts: int, budget: float
) -> None:
    class Broken(MemoryDriver):
        opened = 0

        async def open_read(self, path: str, options: ReadOptions, /) -> ReadStream:
            self.opened += 1
            stream = await super().open_read(path, options)

            async def chunks() -> AsyncIterator[bytes]:
                raise ConnectionResetError("gone")
                yield b""

            return ReadStream(stream.info, chunks(), chunks().__anext__)

    driver = Broken()
    await driver.put("a", b"1234")
    retry: Any = Retry(driver, attempts=attempts, budget=budget, delay=0.001)
    stream = await retry.open_read("a", ReadOptions())
    with pytest.raises(ConnectionResetError, match="gone"):
        [chunk async for chunk in stream]
    assert driver.opened == attempts
