"""Reads, writes and deletions of whole files, on drivers of eight methods and of more."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jtc.storage import (
    Disk,
    FileExistsException,
    FileNotFoundException,
    IntegrityException,
    InvalidPathException,
    PreconditionFailedException,
    StorageException,
    StorageManager,
    StoragePermissionException,
    StorageTimeoutException,
    StorageUnavailableException,
    UnsupportedOperationException,
)
from jtc.storage._capabilities import resolve
from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.drivers.memory_driver import MemoryDriver
from small_drivers import EightMethods, Writing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from jtc.storage import WriteOptions


def disk_of(driver: Any) -> Disk:
    manager = StorageManager.isolated({})
    manager.set_driver(driver, "d")
    return manager.disk("d")


@pytest.fixture(params=[EightMethods, Writing, MemoryDriver])
def disk(request: pytest.FixtureRequest) -> Disk:
    return disk_of(request.param())


async def test_a_file_is_put_looked_at_and_deleted(disk: Disk) -> None:
    assert await disk.missing("a/b")
    assert await disk.put("/a/b", "Grüße") == "a/b"
    assert await disk.exists("a/b")
    assert not await disk.missing("/a/b")
    assert await disk.get("/a/b") == "Grüße".encode()
    assert await disk.get_text("a/b") == "Grüße"
    assert await disk.get_text("a/b", encoding="latin-1") == "GrÃ¼Ã\x9fe"
    assert await disk.size("a/b") == 7
    assert await disk.last_modified("a/b") > 0
    assert (await disk.stat("/a/b")).path == "a/b"
    assert await disk.delete("/a/b") is True
    assert await disk.delete("a/b") is False


async def test_text_in_another_encoding_is_no_storage_error(disk: Disk) -> None:
    await disk.put("a", b"\xff")
    with pytest.raises(UnicodeDecodeError):
        await disk.get_text("a")


@pytest.mark.parametrize("value", [None, 1.5, "Grüße", [1, {"a": []}], {"k": True}])
async def test_json_goes_and_comes(disk: Disk, value: object) -> None:
    assert await disk.put_json("/a", value) == "a"
    assert await disk.get_json("a") == value
    assert json.loads(await disk.get("a")) == value


async def test_what_has_no_form_in_json_is_not_stored(disk: Disk) -> None:
    with pytest.raises(TypeError):
        await disk.put_json("a", object())
    with pytest.raises(ValueError, match="JSON"):
        await disk.put_json("a", float("nan"))
    assert await disk.missing("a")
    await disk.put("a", b"{")
    with pytest.raises(ValueError, match="Expecting"):
        await disk.get_json("a")


# append and prepend


@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=5)), max_size=8))
def test_appending_and_prepending_are_adding_at_the_ends(steps: list[tuple[bool, bytes]]) -> None:
    async def check() -> None:
        for driver in (EightMethods(), MemoryDriver()):
            disk = disk_of(driver)
            expected = b""
            for at_end, added in steps:
                if at_end:
                    assert await disk.append("/a", added) == "a"
                    expected += added
                else:
                    assert await disk.prepend("/a", memoryview(added)) == "a"
                    expected = added + expected
            assert (await disk.get("a") if steps else b"") == expected

    asyncio.run(check())


async def test_appends_that_run_at_the_same_time_are_all_kept() -> None:
    disk = disk_of(MemoryDriver())
    lines = [f"line {number}\n" for number in range(30)]
    await asyncio.gather(*(disk.append("log", line) for line in lines))
    assert sorted(await disk.get_text("log")) == sorted("".join(lines))
    assert set((await disk.get_text("log")).splitlines(keepends=True)) == set(lines)


async def test_an_append_keeps_what_the_file_had() -> None:
    disk = disk_of(MemoryDriver())
    await disk.put(
        "a", b"1", content_type="text/x-log", metadata={"a": "b"}, cache_control="no-store"
    )
    await disk.append("a", "2")
    info = await disk.stat("a")
    assert (info.content_type, info.metadata, info.cache_control) == (
        "text/x-log",
        {"a": "b"},
        "no-store",
    )


async def test_an_append_gives_up_where_others_change_the_file_time_after_time() -> None:
    class Busy(MemoryDriver):
        tried = 0

        async def write_file(self, path: str, content: Any, options: Any, /) -> str | None:
            self.tried += 1
            await self.put(path, b"of another writer")
            return await super().write_file(path, content, options)

    driver = Busy()
    with pytest.raises(PreconditionFailedException) as raised:
        await disk_of(driver).append("a", b"mine")
    assert raised.value.path == "a"
    assert driver.tried == 64
    assert await driver.get("a") == b"of another writer"


async def test_append_extends_a_file_that_another_one_makes_meanwhile() -> None:
    class Raced(Writing):
        """Stores another content just before a creation, which then fails with a builtin error."""

        async def write_file(self, path: str, content: Any, options: WriteOptions, /) -> str | None:
            if not options.overwrite:
                self.kept.setdefault(path, b"theirs ")
            return await super().write_file(path, content, options)

    driver = Raced()
    await disk_of(driver).append("a", b"mine")
    assert driver.kept == {"a": b"theirs mine"}


async def test_an_append_to_a_file_that_just_went_away_makes_one() -> None:
    class Vanishing(MemoryDriver):
        async def get(self, path: str, /) -> bytes:
            await self.delete(path)
            return await super().get(path)

    driver = Vanishing()
    await driver.put("a", b"old")
    await disk_of(driver).append("a", b"new")
    assert await MemoryDriver.get(driver, "a") == b"new"


@pytest.mark.parametrize("content", [None, 5, ["x"], iter([b"x"])])
async def test_only_what_can_be_written_several_times_is_appended(disk: Disk, content: Any) -> None:
    with pytest.raises(TypeError, match=r"append\(\) takes bytes or a str"):
        await disk.append("a", content)
    with pytest.raises(TypeError, match=r"prepend\(\) takes bytes or a str"):
        await disk.prepend("a", content)
    assert await disk.missing("a")


# delete_many


class Failing(EightMethods):
    async def delete(self, path: str, /) -> bool:
        if path == "locked":
            raise PermissionError(13, "locked")
        return await super().delete(path)


@pytest.mark.parametrize("bulk", [False, True])
async def test_each_of_many_deletes_has_its_own_answer(bulk: bool) -> None:
    class Bulk(Failing):
        async def delete_many(self, paths: Any, /) -> Any:
            self.asked = paths
            answers: dict[str, Any] = {}
            for path in paths:
                try:
                    answers[path] = await self.delete(path)
                except OSError as error:
                    answers[path] = error
            return answers

    driver = Bulk() if bulk else Failing()
    disk = disk_of(driver)
    await disk.put("a", b"")
    await disk.put("b", b"")
    outcome = await disk.delete_many(iter(["a", "/b", "missing", "../x", "locked", "a"]))
    assert {path: result for path, result in outcome.items() if isinstance(result, bool)} == {
        "a": True,
        "/b": True,
        "missing": False,
    }
    invalid, locked = outcome["../x"], outcome["locked"]
    assert isinstance(invalid, InvalidPathException)
    assert isinstance(locked, StoragePermissionException)
    assert isinstance(locked.__cause__, PermissionError)
    for path, error in (("../x", invalid), ("locked", locked)):
        assert (error.path, error.disk, error.operation) == (path, "d", "delete_many")
    if isinstance(driver, Bulk):
        assert driver.asked == ["a", "b", "missing", "locked"]


async def test_deleting_nothing_does_nothing(disk: Disk) -> None:
    assert await disk.delete_many([]) == {}


async def test_one_path_is_not_many(disk: Disk) -> None:
    for path in "abc":
        await disk.put(path, b"")
    with pytest.raises(TypeError, match="not one path"):
        await disk.delete_many("abc")
    assert await disk.exists("a")
    with pytest.raises(TypeError):
        await disk.delete_many(["a", 5])  # type: ignore[list-item]
    assert await disk.exists("a")


async def test_a_bug_in_a_driver_is_no_answer() -> None:
    class Buggy(EightMethods):
        async def delete(self, path: str, /) -> bool:
            raise TypeError(path)

    with pytest.raises(TypeError):
        await disk_of(Buggy()).delete_many(["a"])


async def test_no_more_than_some_deletes_run_at_once() -> None:
    class Counting(EightMethods):
        running = most = 0

        async def delete(self, path: str, /) -> bool:
            self.running += 1
            self.most = max(self.most, self.running)
            await asyncio.sleep(0)
            self.running -= 1
            return await super().delete(path)

    driver = Counting()
    outcome = await disk_of(driver).delete_many(f"f{number}" for number in range(100))
    assert len(outcome) == 100
    assert 1 < driver.most <= 16


# Errors of a driver that raises builtins only


OPERATIONS: dict[str, Callable[[Disk], Any]] = {
    "put": lambda d: d.put("/a", b"x"),
    "get": lambda d: d.get("/a"),
    "exists": lambda d: d.exists("/a"),
    "delete": lambda d: d.delete("/a"),
    "size": lambda d: d.size("/a"),
    "last_modified": lambda d: d.last_modified("/a"),
    "stat": lambda d: d.stat("/a"),
    "mime_type": lambda d: d.mime_type("/a"),
    "confirm_upload": lambda d: d.confirm_upload("/a"),
    "checksum": lambda d: d.checksum("/a"),
    "get_range": lambda d: d.get_range("/a", 0),
    "stream": lambda d: d.stream("/a"),
    "open": lambda d: d.open("/a"),
    "append": lambda d: d.append("/a", b""),
    "prepend": lambda d: d.prepend("/a", b""),
    "copy": lambda d: d.copy("/a", "b"),
    "move": lambda d: d.move("/a", "b"),
}


def broken(error: Exception) -> Any:
    async def fail(*_: object) -> Any:
        raise error

    driver: Any = EightMethods()
    for method in ("put", "get", "exists", "delete", "size", "last_modified"):
        setattr(driver, method, fail)
    return driver


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    ("error", "cls"),
    [
        (PermissionError(13, "no"), StoragePermissionException),
        (TimeoutError(), StorageTimeoutException),
        (ConnectionResetError(), StorageUnavailableException),
        (FileNotFoundError(), FileNotFoundException),
        (OSError("odd"), StorageException),
    ],
    ids=repr,
)
async def test_a_builtin_is_mapped_with_its_cause_disk_operation_and_path(
    operation: str, error: OSError, cls: type[StorageException]
) -> None:
    if isinstance(error, FileNotFoundError) and operation in {"append", "prepend"}:
        return  # that is no failure there: the put fails instead
    with pytest.raises(StorageException) as raised:
        await OPERATIONS[operation](disk_of(broken(error)))
    assert type(raised.value) is cls
    assert raised.value.__cause__ is error
    assert raised.value.errno == (error.errno or cls.errno)
    assert (raised.value.disk, raised.value.operation, raised.value.path) == ("d", operation, "/a")


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_a_bug_in_a_driver_comes_unchanged(operation: str) -> None:
    bug = TypeError("bug")
    with pytest.raises(TypeError) as raised:
        await OPERATIONS[operation](disk_of(broken(bug)))
    assert raised.value is bug
    assert raised.value.__cause__ is None


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("path", ["../a", "", "a/", "a\x00"])
async def test_no_operation_takes_a_bad_path(operation: str, path: str) -> None:
    disk = disk_of(broken(AssertionError("the driver was asked")))
    call = OPERATIONS[operation]

    class Spoiled:
        """Passes the bad path in place of the good one."""

        def __getattr__(self, name: str) -> Any:
            return lambda _path, *rest: getattr(disk, name)(path, *rest)

    with pytest.raises(InvalidPathException) as raised:
        await call(Spoiled())  # type: ignore[arg-type]
    assert (raised.value.disk, raised.value.operation, raised.value.path) == ("d", operation, path)


@pytest.mark.parametrize(
    ("call", "capability"),
    [
        (lambda d: d.files(), "listing"),
        (lambda d: d.all_files(), "listing"),
        (lambda d: d.directories(), "listing"),
        (lambda d: d.all_directories(), "listing"),
        (lambda d: d.directory_exists("a"), "listing"),
        (lambda d: d.make_directory("a"), "directories"),
        (lambda d: d.delete_directory("a"), "directories"),
        (lambda d: d.visibility("a"), "visibility"),
        (lambda d: d.set_visibility("a", "public"), "visibility"),
        (lambda d: d.temporary_url("a", 5), "temporary_urls"),
        (lambda d: d.temporary_upload_url("a", 5), "temporary_uploads"),
        (lambda d: d.temporary_upload_form("a", 5, max_size=1), "upload_forms"),
    ],
)
async def test_what_cannot_be_derived_is_unsupported_and_names_driver_and_capability(
    call: Callable[[Disk], Any], capability: str
) -> None:
    with pytest.raises(
        UnsupportedOperationException, match=f"'EightMethods'.*'{capability}'"
    ) as raised:
        await call(disk_of(EightMethods()))
    assert raised.value.disk == "d"


@pytest.mark.parametrize(
    "name", ["content_type", "metadata", "visibility", "if_match", "driver_options"]
)
async def test_an_option_beyond_the_eight_is_unsupported_by_name(name: str) -> None:
    disk = disk_of(EightMethods())
    value: Any = {"a": "b"} if name in {"metadata", "driver_options"} else "public"
    for write in (disk.put("a", b"x", **{name: value}), disk.put_json("a", 1, **{name: value})):  # type: ignore[misc]
        with pytest.raises(UnsupportedOperationException, match=repr(name)):
            await write
    assert await disk.missing("a")


async def test_conditions_reach_a_driver_that_supports_them() -> None:
    disk = disk_of(MemoryDriver())
    await disk.put("a", b"1", overwrite=False)
    with pytest.raises(FileExistsException) as raised:
        await disk.put("a", b"2", overwrite=False)
    assert (raised.value.disk, raised.value.path) == ("d", "a")
    etag = (await disk.stat("a")).etag
    await disk.put("a", b"2", if_match=etag)
    with pytest.raises(PreconditionFailedException):
        await disk.put("a", b"3", if_match=etag)
    with pytest.raises(PreconditionFailedException):
        await disk.put("new", b"3", if_match=etag)
    assert await disk.get("a") == b"2"


@pytest.mark.parametrize("operation", ["append", "prepend"])
async def test_append_to_file_that_is_replaced_at_each_attempt_names_the_way_out(
    operation: str,
) -> None:
    class Replaced(MemoryDriver):
        async def get(self, path: str) -> bytes:
            content = await super().get(path)
            await self.put(path, b"of another")
            return content

    disk = disk_of(Replaced())
    await disk.put("a", b"1")
    with pytest.raises(PreconditionFailedException, match="a file of its own") as raised:
        await getattr(disk, operation)("a", b"2")
    assert (raised.value.path, raised.value.operation) == ("a", operation)
    assert await disk.get("a") == b"of another"


# check


async def test_a_check_leaves_nothing_behind(disk: Disk) -> None:
    await disk.put("a", b"x")
    await disk.check()
    driver: Any = disk.driver
    assert list(getattr(driver, "kept", None) or driver.all_paths()) == ["a"]


async def test_a_check_finds_a_disk_that_gives_back_other_bytes() -> None:
    class Forgetful(EightMethods):
        async def get(self, path: str, /) -> bytes:
            return (await super().get(path))[:-1]

    driver = Forgetful()
    with pytest.raises(IntegrityException) as raised:
        await disk_of(driver).check()
    assert (raised.value.disk, raised.value.operation) == ("d", "check")
    assert driver.kept == {}


class Checking(EightMethods):
    """Makes a check of its own, which fails with `failure` if there is one."""

    def __init__(self, failure: Exception | None = None) -> None:
        super().__init__()
        self.failure = failure
        self.checked: list[tuple[str, dict[str, bytes]]] = []

    async def check(self, path: str, /) -> None:
        self.checked.append((path, dict(self.kept)))
        if self.failure is not None:
            raise self.failure


async def test_check_lets_driver_check_below_path_that_nothing_uses() -> None:
    driver = Checking()
    await driver.put("a", b"x")
    assert "health_check" in disk_of(driver).capabilities
    await disk_of(driver).check()
    await disk_of(driver).scoped("tenants/1").check()
    (path, kept), (scoped, _) = driver.checked
    assert re.fullmatch(r"\.jtc-check-[0-9a-f]{16}", path)
    assert kept == {"a": b"x"}
    assert re.fullmatch(r"tenants/1/\.jtc-check-[0-9a-f]{16}", scoped)


@pytest.mark.parametrize("scope", [None, "tenants/1"])
async def test_check_of_driver_that_fails_is_error_of_check(scope: str | None) -> None:
    disk = disk_of(Checking(PermissionError("no conditional writes")))
    with pytest.raises(StoragePermissionException) as raised:
        await (disk if scope is None else disk.scoped(scope)).check()
    assert (raised.value.disk, raised.value.operation) == ("d", "check")
    assert str(raised.value.path).startswith(".jtc-check-")


async def test_check_leaves_out_check_of_driver_that_is_disabled() -> None:
    driver = Checking()
    manager = StorageManager.isolated({})
    manager.set_driver(driver, "d")
    disk = Disk("d", manager, lambda: resolve(driver, disabled=["health_check"]))
    await disk.check()
    assert driver.checked == []


async def test_a_check_says_which_step_failed() -> None:
    with pytest.raises(StoragePermissionException) as raised:
        await disk_of(broken(PermissionError())).check()
    assert raised.value.operation == "put"


async def test_wrong_argument_is_noted_with_disk_path_and_operation() -> None:
    manager = StorageManager.isolated({})
    manager.set_driver(MemoryDriver(), "media")
    with pytest.raises(ValueError, match="metadata name") as caught:
        await manager.disk("media").put("a.txt", b"", metadata={"Big": "x"})
    assert caught.value.__notes__ == ["in put() of 'a.txt' on the disk 'media'"]


@pytest.mark.parametrize("visibility", ["public", "private"])
@pytest.mark.parametrize("kind", ["memory", "local"])
async def test_an_append_keeps_the_visibility(kind: str, visibility: str, tmp_path: Path) -> None:
    driver = LocalDriver(tmp_path) if kind == "local" else MemoryDriver()
    manager = StorageManager.isolated({})
    manager.set_driver(driver, "d")
    disk = manager.disk("d")
    await disk.put("a", b"1", visibility=visibility)
    await disk.append("a", b"2")
    assert await disk.get("a") == b"12"
    assert await disk.visibility("a") == visibility


class WithoutAcls(MemoryDriver):
    """Refuses to set a visibility, as a bucket without ACLs does, though it returns one."""

    async def write_file(self, path: str, content: Any, options: WriteOptions, /) -> str | None:
        if options.visibility is not None:
            raise UnsupportedOperationException("The bucket has no ACLs")
        return await super().write_file(path, content, options)


async def test_an_append_asks_for_no_visibility() -> None:
    manager = StorageManager.isolated({})
    manager.set_driver(WithoutAcls(), "d")
    await manager.disk("d").append("a", b"1")
    await manager.disk("d").append("a", b"2")
    assert await manager.disk("d").get("a") == b"12"
