"""Copies and moves between two disks of one store: what the store does, and what layers prevent."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage import (
    Disk,
    FileExistsException,
    FileNotFoundException,
    Layer,
    PreconditionFailedException,
    RejectedException,
    Storage,
    StorageFullException,
    StorageManager,
    StorageUnavailableException,
    UnsupportedOperationException,
    Visibility,
    WriteOptions,
)
from jtc.storage.drivers.memory_driver import MemoryDriver

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from jtc.storage import ListOptions, ReadOptions
    from jtc.storage.driver import CopySource, ReadStream
    from jtc.storage.models import Entry


class Counting(MemoryDriver):
    """Counts what is read, written and copied. It has a copy of its own, so that it has one."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.did: list[str] = []

    async def open_read(self, path: str, options: ReadOptions, /) -> ReadStream:
        self.did.append("read")
        return await super().open_read(path, options)

    async def write_file(self, path: str, content: Any, options: WriteOptions, /) -> str | None:
        self.did.append("write")
        return await super().write_file(path, content, options)

    def copy_source(self, path: str, /) -> CopySource:
        return super().copy_source(path)

    async def copy_from(self, dst: str, source: CopySource, options: WriteOptions, /) -> str | None:
        self.did.append("copy")
        return await super().copy_from(dst, source, options)


class Upper(Layer, guards={"content"}):
    """Changes what is read and written."""

    async def put(self, path: str, content: Any, /) -> str:
        return await self.inner.put(
            path, bytes(content.read() if hasattr(content, "read") else content).upper()
        )

    async def get(self, path: str, /) -> bytes:
        return (await self.inner.get(path)).upper()

    async def size(self, path: str, /) -> int:
        return await self.inner.size(path)

    def url(self, path: str, /) -> str:
        return self.inner.url(path)


class Watching(Layer):
    """Sees every call, as an audit log does."""

    def __init__(self, inner: Any, *, seen: list[tuple[str, str]]) -> None:
        self.seen = seen
        super().__init__(inner)

    def wrap(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            if arguments:
                self.seen.append((name, arguments[0]))
            return method(*arguments)

        return call


BY_STORE, STREAMED = ["copy"], ["read", "write"]


@pytest.fixture
def manager() -> StorageManager:
    manager = StorageManager.isolated({})
    for name in ("source", "target"):
        manager.set_driver(Counting(), name)
    return manager


@pytest.fixture
def source(manager: StorageManager) -> Disk:
    return manager.disk("source")


@pytest.fixture
def target(manager: StorageManager) -> Disk:
    return manager.disk("target")


def did(*disks: Disk) -> list[str]:
    """Return what the drivers did since the last time."""
    calls = []
    for disk in disks:
        driver = disk.driver_as(Counting)
        calls += driver.did
        driver.did.clear()
    return sorted(calls)


async def put(disk: Disk, path: str = "a", content: bytes = b"content", **options: Any) -> None:
    await disk.put(path, content, **options)
    did(disk)


async def test_copy_between_two_drivers_of_one_store_reads_nothing(
    source: Disk, target: Disk
) -> None:
    await put(source, content_type="text/x", metadata={"k": "v"})
    assert await source.copy("a", "d/b", to=target) == "d/b"
    assert did(source, target) == BY_STORE
    info = await target.stat("d/b")
    assert (await target.get("d/b"), info.content_type, info.metadata) == (
        b"content",
        "text/x",
        {"k": "v"},
    )


async def test_move_between_two_drivers_of_one_store_reads_nothing(
    source: Disk, target: Disk
) -> None:
    await put(source)
    await source.move("a", "b", to=target)
    assert did(source, target) == BY_STORE
    assert await source.missing("a")
    assert await target.get("b") == b"content"


@pytest.mark.parametrize("operation", ["copy", "move"])
async def test_store_copy_keeps_its_conditions(source: Disk, target: Disk, operation: str) -> None:
    transfer = getattr(source, operation)
    await put(source, content=b"old")
    old = (await source.stat("a")).etag
    await put(source, content=b"new")
    await put(target, "b", b"there")
    with pytest.raises(FileExistsException) as exists:
        await transfer("a", "b", to=target, overwrite=False)
    with pytest.raises(PreconditionFailedException) as changed:
        await transfer("a", "c", to=target, if_source_match=old)
    with pytest.raises(FileNotFoundException) as missing:
        await transfer("x", "c", to=target)
    errors = exists.value, changed.value, missing.value
    assert [(each.disk, each.path, each.operation) for each in errors] == [
        ("target", "b", operation),
        ("source", "a", operation),
        ("source", "x", operation),
    ]
    assert (await source.get("a"), await target.get("b")) == (b"new", b"there")
    assert await target.missing("c")
    current = (await source.stat("a")).etag
    await transfer("a", "c", to=target, if_source_match=current, overwrite=False)
    assert await target.get("c") == b"new"


async def test_copy_of_a_directory_to_another_disk_of_the_store_reads_nothing(
    source: Disk, target: Disk
) -> None:
    for number in range(3):
        await put(source, f"d/{number}", metadata={"k": "v"})
    await source.copy_directory("d", "m", to=target)
    assert did(source, target) == BY_STORE * 3
    assert (await target.stat("m/0")).metadata == {"k": "v"}
    await source.move_directory("d", "n", to=target)
    assert did(source, target) == BY_STORE * 3
    assert await source.all_files() == []
    assert await target.all_files() == ["m/0", "m/1", "m/2", "n/0", "n/1", "n/2"]


async def test_synchronization_within_a_store_reads_nothing(source: Disk, target: Disk) -> None:
    await put(source, "d/a", metadata={"k": "v"}, content_type="text/x")
    plan = await source.plan_sync("d", to="target:m")
    assert [result.error async for result in plan.run()] == [None]
    assert did(source, target) == BY_STORE
    copied = await target.stat("m/a")
    assert (copied.content_type, copied.metadata["k"]) == ("text/x", "v")
    again = await source.plan_sync("d", to="target:m")
    assert (again.counts.unchanged, again.counts.new, again.counts.changed) == (1, 0, 0)


async def test_synchronization_at_a_limited_rate_is_read_and_written(
    source: Disk, target: Disk
) -> None:
    await put(source, "d/a")
    plan = await source.plan_sync("d", to="target:m")
    assert [result.error async for result in plan.run(max_rate=10_000_000)] == [None]
    assert did(source, target) == STREAMED


async def test_store_copy_errors_have_the_paths_of_views(source: Disk, target: Disk) -> None:
    await put(source, "one/a")
    await put(target, "two/b")
    one, two = source.scoped("one"), target.scoped("two")
    with pytest.raises(FileExistsException) as exists:
        await one.copy("a", "b", to=two, overwrite=False)
    assert (exists.value.disk, exists.value.path) == ("target", "b")
    with pytest.raises(FileNotFoundException) as missing:
        await one.copy("x", "b", to=two)
    assert (missing.value.disk, missing.value.path) == ("source", "x")


async def test_store_copy_is_private_unless_the_target_says_otherwise(source: Disk) -> None:
    public, plain = Counting(visibility="public"), Counting()
    manager = StorageManager.isolated({})
    manager.set_driver(public, "public")
    manager.set_driver(plain, "plain")
    await put(source, visibility="public")
    await plain.write_file("old", b"", WriteOptions(visibility=Visibility.PUBLIC))
    for disk, path in (("public", "new"), ("plain", "new"), ("plain", "old")):
        await source.copy("a", path, to=manager.disk(disk))
    assert await manager.disk("public").visibility("new") is Visibility.PUBLIC
    assert await manager.disk("plain").visibility("new") is Visibility.PRIVATE
    assert await manager.disk("plain").visibility("old") is Visibility.PUBLIC


@pytest.mark.parametrize("operation", ["copy", "move"])
async def test_store_copy_reports_its_progress_once(
    source: Disk, target: Disk, operation: str
) -> None:
    await put(source)
    seen: list[Any] = []
    await getattr(source, operation)("a", "b", to=target, progress=lambda *n: seen.append(n))
    assert seen == [(7, 7)]
    assert did(source, target) == BY_STORE


PLAIN: dict[str, Callable[[Disk], Disk]] = {
    "none": lambda disk: disk,
    "scoped": lambda disk: disk.scoped("d"),
    "retry": lambda disk: disk.with_layer("retry"),
    "timeout": lambda disk: disk.with_layer("timeout", total=9),
    "limit": lambda disk: disk.with_layer("limit", operations=5),
}
ON_SOURCE: dict[str, Callable[[Disk], Disk]] = {
    **PLAIN,
    "read_only": lambda disk: disk.read_only(),
    "validate": lambda disk: disk.with_layer("validate", max_size=3),
}


@pytest.mark.parametrize("layer", ON_SOURCE)
async def test_layer_of_the_source_that_changes_no_reading_lets_the_store_copy(
    source: Disk, target: Disk, layer: str
) -> None:
    await put(source, "d/a" if layer == "scoped" else "a")
    await ON_SOURCE[layer](source).copy("a", "b", to=target)
    assert did(source, target) == BY_STORE
    assert await target.get("b") == b"content"


@pytest.mark.parametrize("layer", PLAIN)
async def test_layer_of_the_target_that_guards_nothing_lets_the_store_copy(
    source: Disk, target: Disk, layer: str
) -> None:
    await put(source)
    await source.copy("a", "b", to=PLAIN[layer](target))
    assert did(source, target) == BY_STORE
    assert await target.get("d/b" if layer == "scoped" else "b") == b"content"


async def test_layer_that_changes_content_is_not_bypassed(source: Disk, target: Disk) -> None:
    await put(source)
    await source.with_layer(Upper).copy("a", "b", to=target)
    await source.copy("a", "c", to=target.with_layer(Upper))
    await source.with_layer(Upper).move("a", "d", to=target.with_layer(Upper))
    assert "copy" not in did(source, target)
    assert [await target.get(path) for path in "bcd"] == [b"CONTENT"] * 3


async def test_layer_that_redefines_reading_and_guards_nothing_is_not_bypassed(
    source: Disk, target: Disk
) -> None:
    class Reversed(Layer):
        async def get(self, path: str, /) -> bytes:
            return (await self.inner.get(path))[::-1]

        async def open_read(self, path: str, options: ReadOptions, /) -> ReadStream:
            content = await self.get(path)
            stream = await self.inner.open_read(path, options)

            async def chunks() -> AsyncIterator[bytes]:
                yield content

            return type(stream)(stream.info, chunks(), stream.aclose)

    await put(source)
    await source.with_layer(Reversed).copy("a", "b", to=target)
    assert await target.get("b") == b"tnetnoc"


async def test_layer_that_validates_is_not_bypassed(source: Disk, target: Disk) -> None:
    await put(source)
    small = target.with_layer("validate", max_size=3)
    for transfer in (source.copy, source.move):
        with pytest.raises(RejectedException):
            await transfer("a", "b", to=small)
    assert "copy" not in did(source, target)
    assert await target.missing("b")
    assert await source.exists("a")


async def test_layer_that_watches_sees_both_ends_of_a_store_copy(
    source: Disk, target: Disk
) -> None:
    await put(source)
    read: list[tuple[str, str]] = []
    written: list[tuple[str, str]] = []
    await source.with_layer(Watching, seen=read).copy(
        "a", "b", to=target.with_layer(Watching, seen=written)
    )
    assert (read, written) == ([("copy_source", "a")], [("copy_from", "b")])


@pytest.mark.parametrize("capability", ["copy_source", "copy_from"])
async def test_store_copy_can_be_disabled(capability: str) -> None:
    disable = {"driver": "memory", "disable": [capability]}
    manager = StorageManager.isolated({"disks": {"one": disable, "two": disable}})
    one, two = manager.disk("one"), manager.disk("two")
    assert capability not in one.capabilities
    await one.put("a", bytes(2_000_000))
    seen: list[Any] = []
    await one.copy("a", "b", to=two, progress=lambda *numbers: seen.append(numbers))
    assert len(seen) == 2  # as it is read and written


@pytest.mark.parametrize("error", [UnsupportedOperationException("no"), OSError(95, "no")])
async def test_store_that_cannot_copy_has_the_file_read_and_written(
    source: Disk, error: Exception
) -> None:
    class Unable(Counting):
        async def copy_from(self, _dst: str, _source: Any, _options: Any, /) -> str | None:
            self.did.append("refused")
            raise error

    manager = StorageManager.isolated({})
    manager.set_driver(Unable(), "unable")
    target = manager.disk("unable")
    await put(source)
    await source.copy("a", "b", to=target, overwrite=False)
    await source.move("a", "c", to=target)
    assert did(source, target) == sorted([*STREAMED, "refused"] * 2)
    assert await target.get("b") == await target.get("c") == b"content"
    assert await source.missing("a")


async def test_store_that_fails_to_copy_is_the_targets_error(source: Disk) -> None:
    class Full(Counting):
        async def copy_from(self, _dst: str, _source: Any, _options: Any, /) -> str | None:
            raise OSError(28, "no room")

    manager = StorageManager.isolated({})
    manager.set_driver(Full(), "full")
    await put(source)
    with pytest.raises(StorageFullException) as raised:
        await source.move("a", "b", to=manager.disk("full"))
    assert (raised.value.disk, raised.value.path) == ("full", "b")
    assert did(source, manager.disk("full")) == []
    assert await source.exists("a")


async def test_move_by_the_store_keeps_a_file_that_is_put_meanwhile(target: Disk) -> None:
    class Replaced(Counting):
        def copy_source(self, path: str, /) -> CopySource:
            found = super().copy_source(path)
            file = self._files[path]
            self._files[path] = file._replace(content=b"newer", version=next(self._versions))
            return found

    manager = StorageManager.isolated({})
    manager.set_driver(Replaced(), "replaced")
    source = manager.disk("replaced")
    await put(source)
    with pytest.raises(PreconditionFailedException) as raised:
        await source.move("a", "b", to=target)
    assert (raised.value.disk, raised.value.path) == ("replaced", "a")
    assert await source.get("a") == b"newer"
    assert await target.missing("b")


class Encrypted(MemoryDriver):
    """Keeps another content than it is given, and says nothing of copies."""

    async def write_file(self, path: str, content: Any, options: WriteOptions, /) -> str | None:
        del content
        return await super().write_file(path, b"secret", options)

    async def open_read(self, path: str, options: ReadOptions, /) -> ReadStream:
        stream = await super().open_read(path, options)

        async def chunks() -> AsyncIterator[bytes]:
            async for _ in stream:
                yield b"public"

        info = dataclasses.replace(stream.info, size=6)
        return type(stream)(info, chunks(), stream.aclose)


async def test_subclass_that_redefines_content_has_no_store_copy(source: Disk) -> None:
    manager = StorageManager.isolated({})
    for name in ("one", "other"):
        manager.set_driver(Encrypted(), name)
    one = manager.disk("one")
    assert not {"copy_source", "copy_from"} & one.capabilities.names
    await put(source)
    await source.copy("a", "a", to=one)
    await one.copy("a", "b", to=source)
    assert await one.driver_as(Encrypted).get("a") == b"secret"
    assert await source.get("b") == b"public"


def test_subclass_that_redefines_nothing_of_content_has_store_copies() -> None:
    class Named(MemoryDriver):
        async def list_entries(self, prefix: str, options: ListOptions, /) -> AsyncIterator[Entry]:
            async for entry in super().list_entries(prefix, options):
                yield entry

    manager = StorageManager.isolated({})
    manager.set_driver(Named(), "named")
    assert {"copy_source", "copy_from"} <= manager.disk("named").capabilities.names


async def test_fakes_of_two_disks_read_and_write_a_copy() -> None:
    with Storage.fake("one") as one, Storage.fake("two") as two:
        await one.put("a", b"content")
        await one.copy("a", "b", to=two)
        two.fail("put")
        with pytest.raises(StorageUnavailableException):
            await one.copy("a", "c", to=two)
        assert await two.get("b") == b"content"
        assert await two.missing("c")
