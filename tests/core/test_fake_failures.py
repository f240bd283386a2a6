"""Failures and delays of fakes, on request."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from disk_methods import CALLS, operations
from jtc.storage import (
    FakeDisk,
    PreconditionFailedException,
    StorageException,
    StorageFullException,
    StorageManager,
    StorageTimeoutException,
    StorageUnavailableException,
    Visibility,
)
from small_drivers import EightMethods

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDisk]:
    for name in ("FILESYSTEM_DISK", "FILESYSTEM_CONFIG", "AWS_BUCKET"):
        monkeypatch.delenv(name, raising=False)
    with StorageManager.isolated().fake("s3") as fake:
        yield fake


@pytest.mark.parametrize("hooked", [False, True])
@pytest.mark.parametrize("name", operations())
async def test_fail_reaches_every_operation_by_its_name(
    fake: FakeDisk, name: str, hooked: bool
) -> None:
    if hooked:
        fake._manager.hooks.register(_Listening())
    await fake.put("a", b"1")
    assert fake.fail(name, times=1) is fake
    with pytest.raises(StorageUnavailableException, match="The fake was asked to fail") as raised:
        await CALLS[name](fake)
    assert raised.value.disk == "s3"
    await CALLS[name](fake)
    fake.fail(name)
    for _ in range(3):
        with pytest.raises(StorageUnavailableException):
            await CALLS[name](fake)
    fake.reset()
    await fake.put("a", b"1")
    await CALLS[name](fake)


class _Listening:
    """A plugin, with which operations go another way."""

    from jtc.storage.hookspecs import hookimpl

    @hookimpl
    async def storage_after_put(self, event: object) -> None:
        pass


@pytest.mark.parametrize("name", sorted(set(operations()) - {"url", "path"}))
async def test_delay_reaches_every_async_operation(fake: FakeDisk, name: str) -> None:
    await fake.put("a", b"1")
    fake.delay(name, 3600)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await CALLS[name](fake)
    fake.reset()
    await CALLS[name](fake)


async def test_fail_of_an_operation_is_the_error_of_one_file_of_many(fake: FakeDisk) -> None:
    fake.fail("put", paths="b")
    results = [each async for each in fake.put_many({"a": b"1", "b": b"2"})]
    failed = {each.path: type(each.error) for each in results if each.error is not None}
    assert failed == {"b": StorageUnavailableException}
    fake.assert_exists("a", b"1")
    with pytest.raises(ValueError, match="no operation 'put_many'"):
        fake.fail("put_many")


async def test_delay_is_waited_for_and_counted(fake: FakeDisk) -> None:
    fake.delay("put", 0.05, times=1)
    began = time.monotonic()
    await fake.put("a", b"1")
    assert time.monotonic() - began >= 0.05
    fake.delay("put", 3600, times=1, paths="b/*")
    await fake.put("a", b"1")


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (StorageFullException("full"), StorageFullException),
        (StorageTimeoutException, StorageTimeoutException),
        (FileExistsError("builtin"), StorageException),
        (ConnectionResetError, StorageUnavailableException),
        (RuntimeError("a bug"), RuntimeError),
        (KeyboardInterrupt, KeyboardInterrupt),
    ],
)
async def test_fail_raises_the_error_that_is_asked_for(
    fake: FakeDisk, error: Any, raised: type[BaseException]
) -> None:
    fake.fail("put", times=2, error=error)
    seen = []
    for path in ("a", "b"):
        with pytest.raises(raised) as caught:
            await fake.put(path, b"1")
        seen.append(caught.value)
    assert seen[0] is not seen[1]
    if isinstance(seen[0], StorageException):
        assert [each.path for each in seen] == ["a", "b"]
    await fake.put("a", b"1")
    fake.assert_count(1)


async def test_fail_may_be_for_some_paths_only(fake: FakeDisk) -> None:
    fake.fail("put", paths="reports/**/*.csv").fail("copy", paths="b*")
    await fake.put("a.csv", b"")
    with pytest.raises(StorageUnavailableException):
        await fake.put("reports/2026/a.csv", b"")
    await fake.put("reports/a.txt", b"")
    with pytest.raises(StorageUnavailableException):
        await fake.scoped("reports").put("a.csv", b"")
    await fake.copy("a.csv", "c.csv")
    with pytest.raises(StorageUnavailableException):
        await fake.copy("a.csv", "b.csv")
    with pytest.raises(StorageUnavailableException):
        await fake.copy("b.csv", "a.csv")


async def test_operation_fails_with_those_that_it_is_made_of(fake: FakeDisk) -> None:
    await fake.put("a", b"1")
    fake.fail("append")
    await fake.put("a", b"2")
    with pytest.raises(StorageUnavailableException):
        await fake.append("a", b"2")
    fake.reset()
    fake.fail("put").fail("list")
    for name in ("append", "put_json", "put_file", "open", "check", "files", "glob", "usage"):
        with pytest.raises(StorageUnavailableException):
            await CALLS[name](fake)
    assert await fake.get("a") == b"2"


async def test_bulk_delete_has_an_error_for_each_file_that_fails(fake: FakeDisk) -> None:
    for path in ("a", "b", "c"):
        await fake.put(path, b"")
    fake.fail("delete", paths="b").fail("delete_many", paths="c", error=TimeoutError)
    found = await fake.delete_many(["a", "b", "c", "d"])
    assert (found.pop("a"), found.pop("d")) == (True, False)
    assert [type(found[path]) for path in "bc"] == [
        StorageUnavailableException,
        StorageTimeoutException,
    ]
    assert isinstance(found["b"], StorageException)
    assert (found["b"].path, found["b"].operation) == ("b", "delete_many")
    fake.assert_count(2)
    fake.reset()
    fake.fail("delete", times=1)
    found = await fake.delete_many(["b", "c"])
    assert [isinstance(found[path], StorageException) for path in "bc"] == [True, False]


async def test_bulk_delete_of_a_driver_without_it_fails_by_both_names() -> None:
    manager = StorageManager.isolated()
    manager.set_driver(EightMethods(), "plain")
    with manager.fake("plain") as fake:
        assert "bulk_delete" not in fake.capabilities
        for name in ("delete", "delete_many"):
            await fake.put("a", b"")
            fake.fail(name, times=1)
            (result,) = (await fake.delete_many(["a"])).values()
            assert isinstance(result, StorageUnavailableException)
            assert await fake.delete_many(["a"]) == {"a": True}


async def test_layers_get_the_errors_of_a_fake(fake: FakeDisk) -> None:
    reliable = fake.with_layer("retry", attempts=3, delay=0.001, max_delay=0.001)
    fake.fail("put", times=2)
    await reliable.put("a", b"1")
    fake.fail("get", times=2)
    assert await reliable.get("a") == b"1"
    fake.fail("list", times=2)
    assert await reliable.files() == ["a"]
    fake.fail("stream", times=2)
    assert b"".join([chunk async for chunk in reliable.stream("a")]) == b"1"
    fake.fail("put", times=3)
    with pytest.raises(StorageUnavailableException):
        await reliable.put("a", b"1")
    await fake.put("a", b"1")

    quick = fake.with_layer("timeout", total=0.01)
    fake.delay("get", 3600)
    with pytest.raises(StorageTimeoutException):
        await quick.get("a")


async def test_layers_of_the_configuration_get_the_errors_of_a_fake() -> None:
    layers = [{"name": "retry", "attempts": 2, "delay": 0.001, "max_delay": 0.001}]
    manager = StorageManager.isolated({"disks": {"d": {"driver": "local", "layers": layers}}})
    with manager.fake("d").fail("put", times=1) as fake:
        await manager.disk("d").put("a", b"1")
        fake.assert_exists("a", b"1")


def test_sync_api_gets_the_errors_of_a_fake(fake: FakeDisk) -> None:
    disk = fake._manager.disk("s3").sync
    with fake.sync.fail("put", times=1).delay("get", 0.001) as handle:
        with pytest.raises(StorageUnavailableException):
            disk.put("a", b"1")
        disk.put("a", b"1")
        assert disk.get("a") == b"1"
        handle.fail("temporary_url", times=1).fail("list", times=1).fail("stream", times=1)
        with pytest.raises(StorageUnavailableException):
            disk.temporary_url("a", 60)
        assert disk.temporary_url("a", 60)
        with pytest.raises(StorageUnavailableException):
            list(disk.list())
        with pytest.raises(StorageUnavailableException):
            list(disk.stream("a"))
        handle.delay("temporary_url", 0.001, times=1)
        assert disk.temporary_url("a", 60)
        handle.fail("open", times=1)
        with pytest.raises(StorageUnavailableException), disk.open("b", "wb") as file:
            file.write(b"1")
        handle.assert_missing("b")
        handle.reset()


async def test_assertions_do_not_fail_with_the_disk(fake: FakeDisk) -> None:
    await fake.put("a", b"1")
    for name in operations():
        fake.fail(name)
    fake.assert_exists("a", b"1")
    fake.assert_missing("b")
    fake.assert_count(1)
    with pytest.raises(StorageUnavailableException):
        await fake.visibility("a")
    fake.reset()
    assert await fake.visibility("a") is Visibility.PRIVATE


async def test_failures_are_those_of_one_disk() -> None:
    manager = StorageManager.isolated()
    with manager.fake("a", "b") as fake:
        fake.disk("b").fail("put")
        await manager.disk("a").put("x", b"")
        with pytest.raises(StorageUnavailableException):
            await manager.disk("b").put("x", b"")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("puts", "did you mean 'put'"),
        ("write_file", "did you mean 'put'"),
        ("open_read", "did you mean 'stream'"),
        ("list_entries", "did you mean 'list'"),
        ("driver", "re are: "),
        ("", "there are: "),
    ],
)
def test_unknown_operation_is_refused_with_the_closest_one(
    fake: FakeDisk, name: str, hint: str
) -> None:
    for request in (lambda: fake.fail(name), lambda: fake.delay(name, 1)):
        with pytest.raises(ValueError, match=f"no operation '{name}'.*{hint}"):
            request()


@pytest.mark.parametrize(
    ("request_it", "message"),
    [
        (lambda fake: fake.fail("put", times=0), "times is a number from 1"),
        (lambda fake: fake.fail("put", error="full"), "error is an exception or its class"),
        (lambda fake: fake.fail("put", paths="a**"), "is a whole part of a pattern"),
        (lambda fake: fake.delay("put", -1), "number of seconds from 0"),
        (lambda fake: fake.delay("url", 1), r"url\(\) waits for nothing"),
    ],
)
async def test_impossible_failure_is_refused(
    fake: FakeDisk, request_it: Callable[[FakeDisk], object], message: str
) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        request_it(fake)
    await fake.put("a", b"1")


async def test_failed_conditional_write_stores_nothing(fake: FakeDisk) -> None:
    await fake.put("a", b"1")
    fake.fail("put", times=1, error=PreconditionFailedException("lost"))
    with pytest.raises(PreconditionFailedException):
        await fake.put("a", b"2", if_match=(await fake.stat("a")).etag)
    fake.assert_exists("a", b"1")
