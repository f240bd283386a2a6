"""Copies and moves, the driver's own and derived: none loses a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from jtc.storage import (
    DeleteOptions,
    Disk,
    FileExistsException,
    FileNotFoundException,
    IntegrityException,
    InvalidPathException,
    PreconditionFailedException,
    StorageException,
    StorageFullException,
    StorageManager,
    StoragePermissionException,
    StorageUnavailableException,
    UnsupportedOperationException,
    Visibility,
    WriteOptions,
)
from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.drivers.memory_driver import MemoryDriver
from small_drivers import EightMethods, Streaming, Writing

if TYPE_CHECKING:
    from pathlib import Path


class Tracking(MemoryDriver):
    """Remembers which of its methods copied or moved."""

    def __init__(self) -> None:
        super().__init__()
        self.did: list[str] = []

    async def copy_file(self, src: str, dst: str, options: WriteOptions, /) -> str | None:
        self.did.append("copy")
        return await super().copy_file(src, dst, options)

    async def move_file(self, src: str, dst: str, options: WriteOptions, /) -> str | None:
        self.did.append("move")
        return await super().move_file(src, dst, options)

    async def write_file(self, path: str, content: Any, options: WriteOptions, /) -> str | None:
        self.did.append("write")
        return await super().write_file(path, content, options)


class Streamed(MemoryDriver):
    """Has no copies from another disk in memory: each is read and written."""

    unsupported = MemoryDriver.unsupported | {"copy_from"}


def disks(**drivers: Any) -> list[Disk]:
    manager = StorageManager.isolated({})
    for name, driver in drivers.items():
        manager.set_driver(driver, name)
    return [manager.disk(name) for name in drivers]


@pytest.mark.parametrize(("size", "is_bytes"), [(256 * 1024, True), (256 * 1024 + 1, False)])
async def test_copy_to_another_disk_writes_small_file_as_bytes(size: int, is_bytes: bool) -> None:
    written: list[object] = []

    class Target(Streamed):
        async def write_file(self, path: str, content: Any, options: WriteOptions, /) -> str | None:
            written.append(content)
            return await super().write_file(path, content, options)

    source, target = disks(a=Streaming(), b=Target())
    await source.put("file", b"x" * size)
    await source.copy("file", "copy", to=target)
    assert isinstance(written[0], bytes) is is_bytes
    assert await target.get("copy") == b"x" * size


KINDS = [EightMethods, Streaming, Writing, MemoryDriver]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_file_is_copied_and_moved_within_a_disk(kind: Any) -> None:
    (disk,) = disks(d=kind())
    await disk.put("a", b"content")
    assert await disk.copy("/a", "/b/c") == "b/c"
    assert await disk.get("a") == await disk.get("b/c") == b"content"
    assert await disk.move("a", "/d") == "d"
    assert await disk.missing("a")
    assert await disk.get("d") == b"content"


@pytest.mark.parametrize("source_kind", KINDS)
@pytest.mark.parametrize("target_kind", KINDS)
@pytest.mark.parametrize("by_name", [True, False])
async def test_a_file_goes_from_any_disk_to_any_other(
    source_kind: Any, target_kind: Any, by_name: bool
) -> None:
    source, target = disks(source=source_kind(), target=target_kind())
    content = bytes(3_000_000)
    await source.put("a", content)
    to = "target" if by_name else target
    assert await source.copy("a", "b", to=to) == "b"
    assert await target.get("b") == content
    assert await source.move("a", "c", to=to) == "c"
    assert await target.get("c") == content
    assert await source.missing("a")


async def test_a_copy_to_the_default_disk_may_be_said_by_its_name() -> None:
    manager = StorageManager.isolated({})
    manager.set_driver(EightMethods())
    manager.set_driver(EightMethods(), "d")
    await manager.disk("d").put("a", b"x")
    await manager.disk("d").copy("a", "b", to="default")
    await manager.disk("d").copy("a", "c", to=manager)  # type: ignore[arg-type]
    assert await manager.get("b") == await manager.get("c") == b"x"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("operation", ["copy", "move"])
async def test_onto_itself_nothing_changes(kind: Any, operation: str) -> None:
    (disk,) = disks(d=kind())
    await disk.put("a", b"content")
    before = await disk.stat("a")
    assert await getattr(disk, operation)("a", "/a") == "a"
    assert await getattr(disk, operation)("a", "a", to=disk) == "a"
    assert await disk.stat("a") == before
    with pytest.raises(FileNotFoundException):
        await getattr(disk, operation)("missing", "missing")
    with pytest.raises(TypeError, match=rf"{operation}\(\) has no option"):
        await getattr(disk, operation)("a", "a", nonsense=1)


async def test_onto_itself_the_condition_still_counts() -> None:
    (disk,) = disks(d=MemoryDriver())
    await disk.put("a", b"content")
    etag = (await disk.stat("a")).etag
    await disk.copy("a", "a", if_source_match=etag)
    with pytest.raises(PreconditionFailedException) as raised:
        await disk.move("a", "a", if_source_match="another")
    assert raised.value.path == "a"
    assert await disk.get("a") == b"content"


@pytest.mark.parametrize("operation", ["copy", "move"])
@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"overwrite": False}, FileExistsException),
        ({"metadata": {"a": "b"}}, UnsupportedOperationException),
        ({"content_type": "text/css"}, UnsupportedOperationException),
        ({"visibility": "public"}, UnsupportedOperationException),
    ],
)
async def test_copy_onto_itself_drops_no_option(operation: str, options: Any, error: Any) -> None:
    (disk,) = disks(d=MemoryDriver())
    await disk.put("a", b"content")
    before = await disk.stat("a")
    with pytest.raises(error) as raised:
        await getattr(disk, operation)("a", "a", **options)
    assert (raised.value.path, raised.value.operation) == ("a", operation)
    assert await disk.stat("a") == before


@pytest.mark.parametrize("operation", ["copy", "move"])
@pytest.mark.parametrize("way", ["a scoped view", "from a scoped view", "another disk"])
async def test_copy_onto_itself_another_way_drops_no_option(
    operation: str, way: str, tmp_path: Path
) -> None:
    one, two = disks(one=LocalDriver(root=tmp_path), two=LocalDriver(root=tmp_path / "d"))
    await one.put("d/a", b"content")
    scoped = one.scoped("d")
    call: Any = {
        "a scoped view": lambda **o: getattr(one, operation)("d/a", "a", to=scoped, **o),
        "from a scoped view": lambda **o: getattr(scoped, operation)("a", "d/a", to=one, **o),
        "another disk": lambda **o: getattr(one, operation)("d/a", "a", to=two, **o),
    }[way]
    before = await one.stat("d/a")
    await call()
    with pytest.raises(FileExistsException):
        await call(overwrite=False)
    for metadata in ({"a": "b"}, {}):
        with pytest.raises(UnsupportedOperationException, match="cannot have metadata: call set_"):
            await call(metadata=metadata)
    assert await one.stat("d/a") == before


@pytest.mark.parametrize("method", ["copy_file", "move_file"])
@pytest.mark.parametrize("kind", ["memory", "local"])
async def test_copy_file_onto_itself_does_what_its_options_say(
    method: str, kind: str, tmp_path: Path
) -> None:
    driver: Any = MemoryDriver() if kind == "memory" else LocalDriver(root=tmp_path)
    await driver.write_file("a", b"content", WriteOptions(content_type="a/b", metadata={"a": "1"}))
    transfer = getattr(driver, method)
    with pytest.raises(FileExistsException):
        await transfer("a", "a", WriteOptions(overwrite=False))
    await transfer("a", "a", WriteOptions(cache_control="no-store"))
    await transfer("a", "a", WriteOptions(visibility=Visibility.PUBLIC))
    info = await driver.stat("a")
    assert (info.content_type, info.cache_control, info.metadata) == ("a/b", "no-store", {"a": "1"})
    assert await driver.visibility("a") == Visibility.PUBLIC
    await transfer("a", "a", WriteOptions(metadata={}))
    assert (await driver.stat("a")).metadata == {}
    assert await driver.get("a") == b"content"


async def test_one_driver_under_two_names_is_one_place() -> None:
    driver = EightMethods()
    one, two = disks(one=driver, two=driver)
    await one.put("a", b"x")
    await one.move("a", "a", to=two)
    assert driver.kept == {"a": b"x"}


async def test_the_driver_does_what_it_can() -> None:
    driver = Tracking()
    (disk,) = disks(d=driver)
    await disk.put("a", b"x")
    await disk.copy("a", "b", overwrite=True)
    await disk.move("b", "c", content_type="text/x-odd")
    assert driver.did == ["copy", "move"]
    assert (await disk.stat("c")).content_type == "text/x-odd"


async def test_what_the_driver_does_not_support_is_done_by_reading_and_writing() -> None:
    driver: Any = Tracking()
    driver.supported_options = {
        "write_file": frozenset({"content_type", "metadata"}),
        "copy_file": frozenset({"metadata"}),
        "move_file": frozenset(),
    }
    (disk,) = disks(d=driver)
    await disk.put("a", b"x", content_type="text/x-odd")
    driver.did.clear()
    await disk.copy("a", "b", metadata={"k": "v"})
    await disk.move("b", "c", metadata={"k": "v"})
    await disk.copy("a", "d", content_type="text/x-other")
    assert driver.did == ["copy", "copy", "write"]
    assert await disk.all_files() == ["a", "c", "d"]
    assert (await disk.stat("d")).content_type == "text/x-other"
    with pytest.raises(UnsupportedOperationException, match=r"'Tracking'.*'overwrite'"):
        await disk.copy("a", "e", overwrite=False)
    assert await disk.missing("e")


async def test_type_and_metadata_travel_and_visibility_within_a_disk() -> None:
    source, target = disks(source=MemoryDriver(), target=MemoryDriver())
    await source.put(
        "a.txt", b"x", content_type="text/x-odd", metadata={"k": "v"}, visibility="public",
        cache_control="no-store", content_disposition="inline",
    )  # fmt: skip
    for disk, path in ((source, "b"), (target, "c")):
        await source.copy("a.txt", path, to=disk)
        info = await disk.stat(path)
        assert (info.content_type, info.metadata) == ("text/x-odd", {"k": "v"})
        assert (info.cache_control, info.content_disposition) == ("no-store", "inline")
        assert await disk.visibility(path) == ("public" if disk is source else "private")
    await source.copy("a.txt", "d", to=target, visibility="public", metadata={"other": "x"})
    assert await target.visibility("d") == "public"
    assert (await target.stat("d")).metadata == {"other": "x"}


async def test_what_the_target_does_not_keep_is_left_behind() -> None:
    source, target = disks(source=MemoryDriver(), target=EightMethods())
    await source.put("a", b"x", content_type="text/x-odd", metadata={"k": "v"})
    await source.copy("a", "b", to=target)
    assert await target.get("b") == b"x"
    with pytest.raises(UnsupportedOperationException, match="'metadata'"):
        await source.copy("a", "c", to=target, metadata={"k": "v"})


async def test_a_copy_may_be_of_one_version_only() -> None:
    source, target, eight = disks(
        source=MemoryDriver(), target=MemoryDriver(), eight=EightMethods()
    )
    await source.put("a", b"x")
    await eight.put("a", b"x")
    etag = (await source.stat("a")).etag
    for to in (source, target):
        await source.copy("a", "b", to=to, if_source_match=etag)
        with pytest.raises(PreconditionFailedException, match="if_source_match"):
            await source.copy("a", "c", to=to, if_source_match="another")
        assert await to.missing("c")
    with pytest.raises(UnsupportedOperationException, match="if_source_match"):
        await eight.copy("a", "c", to=target, if_source_match="1")


@pytest.mark.parametrize("operation", ["copy", "move"])
async def test_a_file_that_is_there_may_be_kept(operation: str) -> None:
    source, target = disks(source=MemoryDriver(), target=MemoryDriver())
    for to in (source, target):
        await source.put("a", b"new")
        await to.put("b", b"old")
        with pytest.raises(FileExistsException) as raised:
            await getattr(source, operation)("a", "b", to=to, overwrite=False)
        assert raised.value.path == "b"
        assert (raised.value.disk, await to.get("b")) == (to.name, b"old")
        assert await source.get("a") == b"new"


@pytest.mark.parametrize("operation", ["copy", "move"])
async def test_a_short_body_does_not_become_a_file_nor_cost_its_source(operation: str) -> None:
    driver = Streaming()
    driver.short = 1
    source, eight, writing = disks(source=driver, eight=EightMethods(), writing=Writing())
    driver.kept["a"] = b"0123456789"
    for to in (source, eight, writing):
        with pytest.raises(IntegrityException) as raised:
            await getattr(source, operation)("a", "b", to=to)
        assert (raised.value.path, raised.value.disk) == ("b", to.name)
        assert await to.missing("b")
    assert driver.kept == {"a": b"0123456789"}
    assert driver.opened == driver.closed >= 3


async def test_what_fails_at_the_source_says_the_source() -> None:
    driver = Streaming()
    driver.fail_after = 0
    source, target = disks(source=driver, target=EightMethods())
    driver.kept["a"] = b"0123456789"
    with pytest.raises(StorageUnavailableException) as raised:
        await source.move("a", "b", to=target)
    error = raised.value
    assert (error.disk, error.operation, error.path) == ("source", "move", "a")
    assert error.__cause__ is driver.failure
    assert await target.missing("b")
    assert driver.kept != {}
    with pytest.raises(FileNotFoundException) as raised_missing:
        await source.copy("missing", "b", to=target)
    assert raised_missing.value.path == "missing"
    assert driver.opened == driver.closed >= 1


async def test_what_fails_at_the_target_says_the_target() -> None:
    class Full(EightMethods):
        async def put(self, path: str, content: Any, /) -> str:
            raise OSError(28, path, content)

    source, target = disks(source=Streaming(), target=Full())
    await source.put("a", b"x")
    with pytest.raises(StorageFullException) as raised:
        await source.move("a", "b", to=target)
    error = raised.value
    assert (error.disk, error.operation, error.path, error.errno) == ("target", "move", "b", 28)
    assert await source.get("a") == b"x"
    driver: Any = source.driver
    assert driver.opened == driver.closed >= 1


async def test_when_the_source_cannot_be_deleted_both_are_there() -> None:
    class Sticky(EightMethods):
        async def delete(self, path: str, /) -> bool:
            raise PermissionError(path)

    source, target = disks(source=Sticky(), target=EightMethods())
    await source.put("a", b"x")
    for to in (source, target):
        with pytest.raises(StorageException) as raised:
            await source.move("a", "b", to=to)
        assert raised.value.path == "a"
        assert await to.get("b") == await source.get("a") == b"x"


@pytest.mark.parametrize("operation", ["copy", "move"])
async def test_a_bad_path_at_either_end_is_refused(operation: str) -> None:
    (disk,) = disks(d=MemoryDriver())
    await disk.put("a", b"x")
    for src, dst in (("..", "b"), ("a", "../b"), ("a", "")):
        with pytest.raises(InvalidPathException) as raised:
            await getattr(disk, operation)(src, dst)
        assert raised.value.path == (src if src == ".." else dst)
    assert await disk.all_files() == ["a"]


class Placed(MemoryDriver):
    """Shares its files with every other driver of the same location."""

    places: ClassVar[dict[str, MemoryDriver]] = {}

    def __init__(self, location: str) -> None:
        super().__init__()
        self.location = location
        self._files = self.places.setdefault(location, self)._files


@pytest.mark.parametrize("operation", ["copy", "move"])
async def test_two_drivers_of_one_location_do_not_destroy_the_file_between_them(
    operation: str,
) -> None:
    one, other = disks(one=Placed("here"), other=Placed("here"))
    await one.put("a", b"content")
    await getattr(one, operation)("a", "a", to=other)
    assert await one.get("a") == b"content"
    with pytest.raises(FileNotFoundException):
        await getattr(one, operation)("b", "b", to="other")


async def test_a_move_between_locations_is_one(tmp_path: Path) -> None:
    here, there, below = disks(
        here=LocalDriver(tmp_path), there=LocalDriver(tmp_path), below=LocalDriver(tmp_path / "b")
    )
    await here.put("b/x", b"content")
    await here.move("b/x", "b/x", to=there)
    assert await here.get("b/x") == b"content"
    await here.move("b/x", "x", to=below)
    assert await below.get("x") == b"content"
    await here.move("b/x", "b/y", to=there)
    assert await here.all_files() == ["b/y"]


class ReplacedMeanwhile(MemoryDriver):
    """Replaces the source once a copy of it is stored."""

    source: MemoryDriver

    async def write_file(self, path: str, content: Any, options: WriteOptions, /) -> str | None:
        etag = await super().write_file(path, content, options)
        await self.source.put("report", b"new and longer")
        return etag


async def test_a_move_does_not_delete_what_replaced_its_source_meanwhile() -> None:
    target = ReplacedMeanwhile()
    target.source = MemoryDriver()
    source, _ = disks(source=target.source, target=target)
    await source.put("report", b"old")
    with pytest.raises(PreconditionFailedException, match="replaced while it was moved"):
        await source.move("report", "report", to="target")
    assert await source.get("report") == b"new and longer"
    assert await target.get("report") == b"old"


class ReplacedBeforeDeletion(MemoryDriver):
    """Another writer puts a file between the last look at the old one and its deletion."""

    def __init__(self) -> None:
        super().__init__()
        self.looks = 0

    async def stat(self, path: str, /) -> Any:
        self.looks += 1
        return await super().stat(path)

    async def delete(self, path: str, /) -> bool:
        await self.put(path, b"new and longer")
        return await super().delete(path)

    async def delete_file(self, path: str, options: DeleteOptions, /) -> bool:
        await self.put(path, b"new and longer")
        return await super().delete_file(path, options)


async def test_move_keeps_a_file_that_is_put_just_before_the_deletion() -> None:
    driver = ReplacedBeforeDeletion()
    source, target = disks(source=driver, target=Streamed())
    await source.put("report", b"old")
    with pytest.raises(PreconditionFailedException, match="replaced while it was moved") as raised:
        await source.move("report", "copy", to="target")
    assert (raised.value.disk, raised.value.path) == ("source", "report")
    assert await source.get("report") == b"new and longer"
    assert await target.get("copy") == b"old"
    assert driver.looks == 0  # the etag of what was read is enough


async def test_move_within_a_disk_by_copy_and_deletion_keeps_a_replaced_file() -> None:
    class Copies(ReplacedBeforeDeletion):
        unsupported = MemoryDriver.unsupported | {"move"}

    (disk,) = disks(disk=Copies())
    await disk.put("report", b"old")
    with pytest.raises(PreconditionFailedException, match="replaced while it was moved"):
        await disk.move("report", "copy")
    assert await disk.get("report") == b"new and longer"
    assert await disk.get("copy") == b"old"


@pytest.mark.parametrize("error", [UnsupportedOperationException("no"), OSError(95, "no")])
async def test_move_from_a_backend_without_conditions_looks_then_deletes(error: Exception) -> None:
    class Unable(MemoryDriver):
        async def delete_file(self, _path: str, _options: DeleteOptions, /) -> bool:
            raise error

    source, target = disks(source=Unable(), target=MemoryDriver())
    await source.put("report", b"old")
    await source.move("report", "copy", to="target")
    assert await source.missing("report")
    assert await target.get("copy") == b"old"


async def test_move_whose_deletion_fails_raises_its_error_and_keeps_both() -> None:
    class Sticky(MemoryDriver):
        async def delete_file(self, path: str, _options: DeleteOptions, /) -> bool:
            raise PermissionError(path)

    source, target = disks(source=Sticky(), target=MemoryDriver())
    await source.put("report", b"old")
    with pytest.raises(StoragePermissionException):
        await source.move("report", "copy", to="target")
    assert await source.get("report") == await target.get("copy") == b"old"


async def test_move_between_local_disks_keeps_a_file_that_is_put_meanwhile(tmp_path: Path) -> None:
    class Meanwhile(LocalDriver):
        async def delete_file(self, path: str, options: DeleteOptions, /) -> bool:
            await self.put(path, b"new")
            return await super().delete_file(path, options)

    source, target = disks(source=Meanwhile(tmp_path / "a"), target=LocalDriver(tmp_path / "b"))
    await source.put("d/report", b"old")
    with pytest.raises(PreconditionFailedException, match="replaced while it was moved"):
        await source.move("d/report", "copy", to="target")
    assert (await source.get("d/report"), await target.get("copy")) == (b"new", b"old")


@pytest.mark.parametrize("operation", ["copy", "move"])
@pytest.mark.parametrize("kind", [EightMethods, MemoryDriver])
async def test_copy_to_another_disk_reports_its_progress(operation: str, kind: Any) -> None:
    source, _ = disks(source=kind(), target=Streamed())
    size = 2_500_000
    await source.put("a", bytes(size))
    seen: list[Any] = []
    await getattr(source, operation)(
        "a", "b", to="target", progress=lambda *numbers: seen.append(numbers)
    )
    assert seen == [(1_048_576, size), (2_097_152, size), (size, size)]


@pytest.mark.parametrize("operation", ["copy", "move"])
async def test_copy_by_the_backend_reports_its_progress_once_at_the_end(operation: str) -> None:
    driver = Tracking()
    (disk,) = disks(disk=driver)
    await disk.put("a", b"content")
    seen: list[Any] = []

    def progress(done: int, total: int | None) -> None:
        seen.append((done, total, list(driver.did)))

    await getattr(disk, operation)("a", "b", progress=progress)
    assert seen == [(7, 7, [operation])]
    await getattr(disk, operation)("b", "b", progress=progress)
    assert len(seen) == 1  # nothing was copied


async def test_copy_progress_that_raises_stops_a_copy_to_another_disk() -> None:
    source, target = disks(source=MemoryDriver(), target=Streamed())
    await source.put("a", bytes(2_000_000))

    def progress(done: int, _total: int | None) -> None:
        raise LookupError(done)

    with pytest.raises(LookupError):
        await source.move("a", "b", to="target", progress=progress)
    assert await target.missing("b")
    assert await source.exists("a")


async def test_copy_progress_is_a_plain_function() -> None:
    (disk,) = disks(disk=MemoryDriver())
    await disk.put("a", b"1")
    wrong: Any = 1
    with pytest.raises(TypeError, match="progress is a plain function"):
        await disk.copy("a", "b", progress=wrong)
    assert await disk.missing("b")


@pytest.mark.parametrize("operation", ["copy", "move"])
@pytest.mark.parametrize("to", [None, "other"])
@pytest.mark.parametrize("name", ["plain", "picture.png"])
async def test_the_content_type_travels_also_to_a_name_that_says_another(
    operation: str, to: str | None, name: str
) -> None:
    one, other = disks(one=MemoryDriver(), other=MemoryDriver())
    await one.put("table.csv", b"1,2", content_type="text/csv")
    await getattr(one, operation)("table.csv", name, to=to)
    assert (await (other if to else one).stat(name)).content_type == "text/csv"
