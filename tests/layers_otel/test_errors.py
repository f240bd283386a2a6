"""Calls that fail: what is recorded of them, and what never is."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.trace import StatusCode

from jtc.storage import (
    FileExistsException,
    FileNotFoundException,
    NotModifiedException,
    PathConflictException,
    PreconditionFailedException,
    ReadOptions,
    ReadStream,
    RejectedException,
    SignOptions,
    StorageException,
    StorageUnavailableException,
)
from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.models import FileInfo

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from conftest import Telemetry
    from opentelemetry.sdk.trace import ReadableSpan

    from jtc.storage import Disk, ListOptions

SECRET_PATH = "contracts/merger-with-initech.pdf"
SECRET_KEY = "wJalrXUtnFEMI-K7MDENG"


class Failing(MemoryDriver):
    """Fails with one error at each point where a driver can fail."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    async def get(self, _path: str, /) -> bytes:
        await asyncio.sleep(0)
        raise self.error

    async def delete_many(self, paths: Any, /) -> Any:
        return {path: self.error if "bad" in path else True for path in paths}

    async def list_entries(self, _prefix: str, _options: ListOptions, /) -> AsyncIterator[Any]:
        yield FileInfo(path="a", size=0, last_modified=0)
        raise self.error

    async def open_read(self, path: str, _options: ReadOptions, /) -> ReadStream:
        async def chunks() -> AsyncIterator[bytes]:
            yield b"123"
            raise self.error

        async def close() -> None:
            if "close" in path:
                raise self.error

        info = FileInfo(path=path, size=6, last_modified=0)
        return ReadStream(info, chunks() if "close" not in path else _none(), close)


async def _none() -> AsyncIterator[bytes]:
    return
    yield


async def _stream(disk: Disk, path: str) -> None:
    async with disk.stream(path) as stream:
        async for _ in stream:
            pass


WAYS: dict[str, Callable[[Disk], Any]] = {
    "get": lambda d: d.get("a"),
    "list_entries": lambda d: d.files(),
    "open_read": lambda d: _stream(d, "a"),
    "open_read, when it is closed": lambda d: _stream(d, "close"),
}


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


@pytest.mark.parametrize("way", WAYS)
async def test_error_is_the_spans_status_and_an_event_and_is_counted(
    telemetry: Telemetry, way: str
) -> None:
    with pytest.raises(StorageUnavailableException):
        await WAYS[way](telemetry.disk(Failing(StorageUnavailableException("Down"))))
    (span,) = telemetry.spans
    assert span.status.status_code is StatusCode.ERROR
    assert attributes(span)["error.type"] == "StorageUnavailableException"
    assert attributes(span)["storage.operation.outcome"] == "error"
    (event,) = span.events
    assert event.name == "exception"
    recorded = dict(event.attributes or {})
    assert recorded["exception.type"] == "jtc.storage.exceptions.StorageUnavailableException"
    stack = str(recorded["exception.stacktrace"])
    assert "test_errors.py" in stack
    assert f"in Failing.{way.partition(',')[0]}" in stack
    (point,) = telemetry.points("storage.errors")
    assert point.point.value == 1
    assert point.attributes == {
        "storage.disk.name": "d",
        "storage.driver.name": "Failing",
        "storage.operation.name": way.partition(",")[0],
        "error.type": "StorageUnavailableException",
    }
    (duration,) = telemetry.points("storage.operation.duration")
    assert duration.attributes["error.type"] == "StorageUnavailableException"


@pytest.mark.parametrize(
    "error",
    [StorageUnavailableException("Down"), TimeoutError(), KeyError("bug"), OSError(5, "EIO")],
    ids=lambda error: type(error).__name__,
)
async def test_the_error_that_is_raised_is_the_drivers_own(
    telemetry: Telemetry, error: Exception
) -> None:
    layer: Any = telemetry.disk(Failing(error)).driver
    with pytest.raises(type(error)) as raised:
        await layer.get("a")
    assert raised.value is error
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None


async def _unmodified(disk: Disk) -> None:
    driver: Any = disk.driver
    etag = (await driver.inner.stat("a")).etag
    await driver.open_read("a", ReadOptions(if_none_match=etag))


ANSWERS: dict[str, tuple[type[Exception], str, Callable[[Disk], Any]]] = {
    "get": (FileNotFoundException, "not_found", lambda d: d.get("gone")),
    "size": (FileNotFoundException, "not_found", lambda d: d.size("gone")),
    "stat": (FileNotFoundException, "not_found", lambda d: d.stat("gone")),
    "open_read": (FileNotFoundException, "not_found", lambda d: d.stream("gone")),
    "update_metadata": (
        FileNotFoundException,
        "not_found",
        lambda d: d.set_metadata("gone", content_type="x/y"),
    ),
    "copy_file": (FileNotFoundException, "not_found", lambda d: d.copy("gone", "b")),
    "open_read if none match": (NotModifiedException, "not_modified", _unmodified),
    "remove_empty_directory": (
        PathConflictException,
        "conflict",
        lambda d: d.remove_empty_directory("full"),
    ),
    "write_file": (
        FileExistsException,
        "precondition_failed",
        lambda d: d.put("a", b"", overwrite=False),
    ),
    "write_file if": (
        PreconditionFailedException,
        "precondition_failed",
        lambda d: d.put("a", b"", if_match="other"),
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_answer_that_is_raised_is_no_error(telemetry: Telemetry, name: str) -> None:
    error, outcome, call = ANSWERS[name]
    driver = MemoryDriver()
    await driver.put("a", b"1")
    await driver.put("full/a", b"1")
    with pytest.raises(error):
        await call(telemetry.disk(driver))
    (span,) = telemetry.spans
    assert span.name.split()[0] == name.split(maxsplit=1)[0]
    assert span.status.status_code is StatusCode.UNSET
    assert span.events == ()
    assert attributes(span)["storage.operation.outcome"] == outcome
    assert "error.type" not in attributes(span)
    assert telemetry.points("storage.errors") == []


async def test_conflict_elsewhere_is_an_error(telemetry: Telemetry) -> None:
    with pytest.raises(PathConflictException):
        await telemetry.disk(Failing(PathConflictException("A directory"))).get("a")
    assert attributes(telemetry.spans[0])["storage.operation.outcome"] == "error"


async def test_builtin_error_of_a_driver_is_an_answer_too(
    telemetry: Telemetry,
) -> None:
    with pytest.raises(FileNotFoundException):
        await telemetry.disk(Failing(FileNotFoundError("gone"))).get("a")
    assert attributes(telemetry.spans[0])["storage.operation.outcome"] == "not_found"


async def _leaving() -> AsyncIterator[bytes]:
    yield b"12345"
    raise ConnectionResetError("the client left")


def _left(_size: int) -> bytes:
    raise TimeoutError("the client waits")


ERRORS_OF_CONTENT: dict[str, tuple[type[Exception], str, Callable[[Disk, Path], Any]]] = {
    "a client that leaves": (
        ConnectionResetError,
        "source_failed",
        lambda d, _: d.put("a", _leaving()),
    ),
    "a client that waits": (
        TimeoutError,
        "source_failed",
        lambda d, _: d.put("a", SimpleNamespace(read=_left)),
    ),
    "a source that is not there": (
        FileNotFoundError,
        "source_failed",
        lambda d, folder: d.put("a", folder / "gone"),
    ),
    "a limit of the call": (
        RejectedException,
        "rejected",
        lambda d, _: d.put("a", _leaving(), max_size=3),
    ),
    "a rule of a layer around it": (
        RejectedException,
        "rejected",
        lambda d, _: d.with_layer("validate", max_size=3).put("a", _leaving()),
    ),
}


@pytest.mark.parametrize("kind", ["memory", "local"])
@pytest.mark.parametrize("name", ERRORS_OF_CONTENT)
async def test_error_of_the_content_is_no_error_of_the_storage(
    telemetry: Telemetry, tmp_path: Path, name: str, kind: str
) -> None:
    error, outcome, put = ERRORS_OF_CONTENT[name]
    driver = MemoryDriver() if kind == "memory" else LocalDriver(tmp_path / "root")
    with pytest.raises(error):
        await put(telemetry.disk(driver), tmp_path)
    (span,) = telemetry.spans
    assert attributes(span)["storage.operation.outcome"] == outcome
    assert "error.type" not in attributes(span)
    assert span.status.status_code is StatusCode.UNSET
    assert telemetry.points("storage.errors") == []
    (counted,) = telemetry.points("storage.operations")
    assert counted.attributes["storage.operation.outcome"] == outcome


@pytest.mark.parametrize("way", ["get", "open_read"])
async def test_a_cancelled_call_ends_its_span_and_is_no_error(
    telemetry: Telemetry, way: str
) -> None:
    called = asyncio.Event()

    class Hanging(MemoryDriver):
        async def get(self, _path: str, /) -> bytes:
            called.set()
            await asyncio.Event().wait()
            return b""

        async def open_read(self, path: str, _options: ReadOptions, /) -> ReadStream:
            async def chunks() -> AsyncIterator[bytes]:
                yield await self.get(path)

            return ReadStream(FileInfo(path=path, size=1, last_modified=0), chunks())

    task: asyncio.Task[None] = asyncio.ensure_future(WAYS[way](telemetry.disk(Hanging())))
    await called.wait()
    assert telemetry.spans == []
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (span,) = telemetry.spans
    assert attributes(span)["storage.operation.outcome"] == "cancelled"
    assert span.status.status_code is StatusCode.UNSET
    assert telemetry.points("storage.errors") == []


class SigningRemotely(MemoryDriver):
    """Waits for its backend before it signs."""

    def __init__(self) -> None:
        super().__init__(base_url="https://files.test", secret="s" * 32)

    async def temporary_url(self, path: str, options: SignOptions, /) -> str:
        asyncio.get_running_loop()
        await asyncio.sleep(0)
        return await super().temporary_url(path, options)


async def test_presigning_that_sync_api_gives_up_is_cancelled_and_no_error(
    telemetry: Telemetry,
) -> None:
    disk = telemetry.disk(SigningRemotely())
    with pytest.raises(RuntimeError, match="has to wait"):
        disk.sync.temporary_url("a", 60)
    (span,) = telemetry.spans
    assert attributes(span)["storage.operation.outcome"] == "cancelled"
    await asyncio.to_thread(disk.sync.temporary_url, "a", 60)
    outcomes = [attributes(span)["storage.operation.outcome"] for span in telemetry.spans]
    assert outcomes == ["cancelled", "cancelled", "success"]
    assert telemetry.points("storage.errors") == []


async def test_deletions_of_which_some_fail_are_one_operation_that_failed(
    telemetry: Telemetry,
) -> None:
    driver = Failing(StorageUnavailableException("Down"))
    disk = telemetry.disk(driver)
    outcome = await disk.delete_many(["a", "bad", "bad2"])
    assert outcome["a"] is True
    (span,) = telemetry.spans
    assert attributes(span)["storage.operation.batch.size"] == 3
    assert attributes(span)["error.type"] == "StorageUnavailableException"
    assert span.status.status_code is StatusCode.ERROR
    assert len(span.events) == 1
    assert [point.point.value for point in telemetry.points("storage.errors")] == [1]


async def test_deletions_that_fail_in_several_ways_say_so(telemetry: Telemetry) -> None:
    class Various(MemoryDriver):
        async def delete_many(self, paths: Any, /) -> Any:
            errors = (StorageUnavailableException("Down"), PermissionError("no"))
            return dict(zip(paths, errors, strict=True))

    await telemetry.disk(Various()).delete_many(["a", "b"])
    assert attributes(telemetry.spans[0])["error.type"] == "_OTHER"


# What is not recorded


def talkative(path: str) -> StorageException:
    """Return an error with a path and a key in its message, as from a careless driver."""
    try:
        try:
            raise OSError(5, "EIO", f"/srv/{path}")
        except OSError as cause:
            raise StorageUnavailableException(
                f"No answer for {path} with {SECRET_KEY}", path=path, disk="d"
            ) from cause
    except StorageException as error:
        return error


@pytest.mark.parametrize("error", ["talkative", "foreign"])
async def test_no_path_and_no_message_is_recorded_by_default(
    telemetry: Telemetry, error: str
) -> None:
    raised = talkative(SECRET_PATH) if error == "talkative" else KeyError(SECRET_PATH, SECRET_KEY)
    disk = telemetry.disk(Failing(raised))
    with pytest.raises(type(raised)):
        await disk.get(SECRET_PATH)
    with pytest.raises(type(raised)):
        await _stream(disk, SECRET_PATH)
    if error == "talkative":
        await disk.delete_many([SECRET_PATH, "bad"])
    recorded = telemetry.everything()
    assert "exception.stacktrace" in recorded
    assert SECRET_PATH not in recorded
    assert "initech" not in recorded
    assert SECRET_KEY not in recorded


async def test_no_operation_of_a_disk_records_a_path_by_default(
    telemetry: Telemetry, tmp_path: Path
) -> None:
    disk = telemetry.disk(LocalDriver(tmp_path))
    await disk.put(SECRET_PATH, b"1", metadata={"by": SECRET_KEY})
    await disk.copy(SECRET_PATH, f"{SECRET_PATH}2")
    await disk.move(f"{SECRET_PATH}2", f"{SECRET_PATH}3")
    await disk.stat(SECRET_PATH)
    await disk.get_ranges(SECRET_PATH, [(0, 1)])
    await disk.files("contracts")
    await disk.make_directory("contracts/initech")
    await disk.delete_many([SECRET_PATH])
    for call in (
        disk.get(f"{SECRET_PATH}9"),
        disk.put(f"{SECRET_PATH}3/below", b""),
        disk.put(f"{SECRET_PATH}3", b"", overwrite=False),
        disk.get("contracts/initech"),
    ):
        with pytest.raises(StorageException):
            await call
    recorded = telemetry.everything()
    assert recorded.count("exception.stacktrace") >= 1
    for secret in ("initech", "contracts", SECRET_KEY):
        assert secret not in recorded


async def test_causes_of_an_error_are_recorded_by_their_classes(telemetry: Telemetry) -> None:
    with pytest.raises(StorageUnavailableException):
        await telemetry.disk(Failing(talkative("a"))).get("a")
    (event,) = telemetry.spans[0].events
    stack = str(dict(event.attributes or {})["exception.stacktrace"])
    assert "exception.message" not in dict(event.attributes or {})
    assert telemetry.spans[0].status.description is None
    cause, error = stack.split("\nThe above was the direct cause of the following:\n\n")
    assert cause.splitlines()[-1] == "OSError"
    assert error.splitlines()[-1] == "jtc.storage.exceptions.StorageUnavailableException"


async def test_paths_option_records_paths_and_messages_of_storage_errors(
    telemetry: Telemetry,
) -> None:
    driver = MemoryDriver()
    disk = telemetry.disk(driver, paths=True)
    await disk.put("d/a", b"1")
    await disk.copy("d/a", "d/b")
    await disk.files("d")
    await disk.delete_many(["d/a"])
    with pytest.raises(StorageException):
        await telemetry.disk(Failing(StorageUnavailableException("Down", path="d/a"))).get("d/a")
    with pytest.raises(StorageException):
        await telemetry.disk(
            Failing(StorageUnavailableException("Down", path="d/a")), paths=True
        ).get("d/a")
    put, copy, listing, deletions, quiet, loud = telemetry.spans
    assert attributes(put)["storage.path"] == "d/a"
    assert attributes(copy)["storage.path"] == "d/a"
    assert attributes(copy)["storage.target.path"] == "d/b"
    assert attributes(listing)["storage.path"] == "d"
    assert "storage.path" not in attributes(deletions)
    assert quiet.status.description is None
    assert loud.status.description == "Down: 'd/a'"
    assert dict(loud.events[0].attributes or {})["exception.message"] == "Down: 'd/a'"
    for metric in ("storage.operations", "storage.errors", "storage.operation.duration"):
        for point in telemetry.points(metric):
            assert "d/a" not in point.attributes.values()


async def test_message_of_another_error_is_never_recorded(telemetry: Telemetry) -> None:
    with pytest.raises(KeyError):
        await telemetry.disk(Failing(KeyError(SECRET_KEY)), paths=True).get("a")
    assert "KeyError" in telemetry.everything()
    assert SECRET_KEY not in telemetry.everything()
