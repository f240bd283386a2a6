"""The layer `validate`: what it accepts, and what it refuses."""

from __future__ import annotations

import asyncio
import io
import re
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage import (
    Layer,
    PreconditionFailedException,
    RejectedException,
    StorageConfigException,
    StorageManager,
    UnsupportedOperationException,
    WriteOptions,
)
from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.layers.validate import Validate
from small_drivers import EightMethods, Streaming

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from jtc.storage import Disk

PNG = b"\x89PNG\r\n\x1a\n" + bytes(24)
GIF = b"GIF89a" + bytes(20)


def through(driver: Any, **rules: Any) -> Disk:
    manager = StorageManager.isolated({})
    manager.set_driver(driver, "d")
    return manager.disk("d").with_layer("validate", **rules)


@pytest.fixture(params=["memory", "local", "streaming", "eight"])
def driver(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    return {
        "memory": MemoryDriver,
        "local": lambda: LocalDriver(tmp_path),
        "streaming": Streaming,
        "eight": EightMethods,
    }[request.param]()


async def iterate(content: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(content), 700):
        yield content[at : at + 700]


SHAPES: dict[str, Callable[[bytes], Any]] = {
    "bytes": lambda content: content,
    "a file": io.BytesIO,
    "chunks": iterate,
    "a long way": lambda content: iterate(content + bytes(2_000_000)),
}

REFUSED: dict[str, tuple[dict[str, Any], str, bytes, str]] = {
    "too long": ({"max_size": 999}, "a.bin", bytes(1000), "size"),
    "another content": ({"allowed_types": ["image/png"]}, "a.png", GIF, "type"),
    "text as an image": ({"allowed_types": ["image/*"]}, "a.png", b"hello", "type"),
    "empty as an image": ({"allowed_types": ["image/*"]}, "a.png", b"", "type"),
    "a script by its name": ({"allowed_types": ["image/*"]}, "a.html", PNG, "type"),
    "a program by its name": ({"allowed_types": ["image/*"]}, "a.php", PNG, "type"),
    "a program before the extension": ({"allowed_types": ["image/*"]}, "a.php.png", PNG, "type"),
    "an unknown extension": ({"allowed_types": ["image/*"]}, "a.unheard-of", PNG, "type"),
    "svg as any image": ({"allowed_types": ["image/*"]}, "a.svg", b"<svg/>", "type"),
    "a wrong extension": ({"allowed_extensions": ["png"]}, "dir.png/a.exe", PNG, "name"),
    "no extension": ({"allowed_extensions": ["png"]}, "png", PNG, "name"),
    "a wrong name": ({"name_pattern": "[a-z]+"}, "a/B", b"", "name"),
    "a predicate": ({"predicate": lambda _p, head: "virus" if b"EICAR" in head else None},
                            "a", b"..EICAR..", "predicate"),
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("case", REFUSED)
async def test_refused_file_leaves_nothing_behind(driver: Any, case: str, shape: str) -> None:
    rules, path, content, reason = REFUSED[case]
    if case == "empty as an image" and shape == "a long way":
        pytest.skip("zeros are not nothing")
    disk = through(driver, **rules)
    with pytest.raises(RejectedException) as raised:
        await disk.put(path, SHAPES[shape](content))
    assert raised.value.reason == reason
    assert (raised.value.disk, raised.value.path, raised.value.operation) == ("d", path, "put")
    assert not await driver.exists(path)
    # What was there before stays.
    await driver.put(path, b"old")
    with pytest.raises(RejectedException):
        await disk.put(path, SHAPES[shape](content))
    assert await driver.get(path) == b"old"


@pytest.mark.parametrize("shape", ["bytes", "a file", "chunks"])
async def test_file_that_breaks_no_rule_is_stored(driver: Any, shape: str) -> None:
    seen: list[tuple[str, bytes]] = []
    disk = through(
        driver,
        max_size=1000,
        allowed_types=["image/png", "text/plain"],
        allowed_extensions=["PNG", ".txt"],
        name_pattern=re.compile(r"[a-z.]+"),
        predicate=lambda path, head: seen.append((path, head)),
    )
    for path, content in (("img/a.png", PNG), ("a.txt", b"hello"), ("b.txt", b"")):
        await disk.put(path, SHAPES[shape](content))
        assert await disk.get(path) == content
        assert seen.pop() == (path, content)
    assert seen == []


async def test_predicate_gets_the_beginning_of_long_content(driver: Any) -> None:
    heads: list[int] = []
    disk = through(driver, predicate=lambda _path, head: heads.append(len(head)))
    await disk.put("a", iterate(bytes(100_000)))
    await disk.put("a", bytes(100_000))
    await disk.put("a", iterate(bytes(3_000_000)))
    assert heads == [8192, 8192, 8192]


async def test_declared_type_must_be_allowed() -> None:
    disk = through(MemoryDriver(), allowed_types=["image/png"])
    with pytest.raises(RejectedException) as raised:
        await disk.put("a", PNG, content_type="text/html; charset=utf-8")
    assert raised.value.reason == "type"
    await disk.put("a", PNG, content_type="image/png")


async def test_set_metadata_needs_an_allowed_type(driver: Any) -> None:
    disk = through(driver, allowed_types=["image/*"])
    if not disk.capabilities.supports("write_file", "content_type"):
        pytest.skip("the driver keeps no content type")
    await disk.put("a.png", PNG)
    for refused in ("text/html", "image/svg+xml", "image/x,text/html"):
        with pytest.raises(RejectedException) as raised:
            await disk.set_metadata("a.png", content_type=refused)
        assert raised.value.reason == "type"
        assert raised.value.operation == "set_metadata"
    assert (await disk.stat("a.png")).content_type not in {"text/html", "image/svg+xml"}
    await disk.set_metadata("a.png", content_type="image/gif", cache_control="no-store")
    assert (await disk.stat("a.png")).content_type == "image/gif"


@pytest.mark.parametrize(
    "declared", ["image/x,text/html", "image/png;a=b, text/html", "image/svg+xml,x"]
)
async def test_several_declared_types_are_refused(declared: str) -> None:
    disk = through(MemoryDriver(), allowed_types=["image/*"])
    with pytest.raises(RejectedException) as raised:
        await disk.put("a.png", PNG, content_type=declared)
    assert raised.value.reason == "type"


@pytest.mark.parametrize("operation", ["copy", "move"])
async def test_type_that_a_copy_keeps_must_be_allowed(operation: str) -> None:
    driver = MemoryDriver()
    await through(driver, max_size=100).put("a.png", PNG, content_type="text/html")
    disk = through(driver, allowed_types=["image/png"])
    with pytest.raises(RejectedException) as raised:
        await getattr(disk, operation)("a.png", "b.png")
    assert raised.value.reason == "type"
    assert await disk.all_files() == ["a.png"]
    await getattr(disk, operation)("a.png", "b.png", content_type="image/png")
    assert (await disk.stat("b.png")).content_type == "image/png"


@pytest.mark.parametrize("name", ["a.xhtml", "a.xht", "a.shtml"])
async def test_name_of_a_page_is_not_plain_text(name: str) -> None:
    with pytest.raises(RejectedException):
        await through(MemoryDriver(), allowed_types=["text/*"]).put(name, b"<script/>")


@pytest.mark.parametrize("fault", [StopIteration, StopAsyncIteration])
@pytest.mark.parametrize("shape", ["a file", "chunks"])
async def test_predicate_that_raises_stop_iteration_neither_hangs_nor_truncates(
    driver: Any, shape: str, fault: type[Exception]
) -> None:
    def faulty(_path: str, _head: bytes) -> None:
        raise fault

    disk = through(driver, predicate=faulty)
    with pytest.raises((RuntimeError, fault)):
        async with asyncio.timeout(30):
            await disk.put("a", SHAPES[shape](b"1" * 10_000))
    assert not await driver.exists("a")


async def test_announced_size_is_refused_before_anything_is_read() -> None:
    async def never() -> AsyncIterator[bytes]:
        raise AssertionError("it was read")
        yield b""

    disk = through(MemoryDriver(), max_size=10)
    with pytest.raises(RejectedException):
        await disk.put("a", never(), size=11)


@pytest.mark.parametrize("operation", ["copy", "move"])
@pytest.mark.parametrize("kind", [MemoryDriver, EightMethods])
async def test_copy_is_judged_under_its_new_name(operation: str, kind: Any) -> None:
    driver = kind()
    await driver.put("a.txt", b"<script>")
    await driver.put("b.png", PNG)
    transfer = getattr(through(driver, allowed_types=["image/png", "text/plain"]), operation)
    await transfer("b.png", "c.png")
    for src, dst in (("a.txt", "a.html"), ("a.txt", "c.js")):
        with pytest.raises(RejectedException):
            await transfer(src, dst)
        assert not await driver.exists(dst)
        assert await driver.exists(src)
    for rules in ({"max_size": 3}, {"min_size": 9}, {"predicate": lambda _path, _head: "no"}):
        with pytest.raises(RejectedException):
            await getattr(through(driver, **rules), operation)("a.txt", "d.txt")
    with pytest.raises(FileNotFoundError):
        await transfer("missing", "d.txt")


class Replaced(Layer):
    """Replaces the source right before each copy, as another process may."""

    async def copy_file(self, src: str, dst: str, options: WriteOptions, /) -> str | None:
        await self.inner.put(src, b"<script>")
        return await self.inner.copy_file(src, dst, options)

    async def move_file(self, src: str, dst: str, options: WriteOptions, /) -> str | None:
        await self.inner.put(src, b"<script>")
        return await self.inner.move_file(src, dst, options)


@pytest.mark.parametrize("operation", ["copy", "move"])
@pytest.mark.parametrize("kind", ["memory", "local"])
async def test_source_that_is_replaced_after_it_was_judged_is_refused(
    operation: str, kind: str, tmp_path: Path
) -> None:
    driver = MemoryDriver() if kind == "memory" else LocalDriver(tmp_path)
    await driver.put("in/a.png", PNG)
    disk = through(Replaced(driver), allowed_types=["image/png"])
    with pytest.raises(PreconditionFailedException):
        await getattr(disk, operation)("in/a.png", "public/a.png")
    assert await disk.all_files() == ["in/a.png"]


async def test_copy_from_another_disk_is_judged() -> None:
    manager = StorageManager.isolated({})
    manager.set_driver(MemoryDriver(), "free")
    manager.set_driver(Validate(MemoryDriver(), allowed_types=["image/png"]), "images")
    await manager.disk("free").put("a", b"hello")
    with pytest.raises(RejectedException):
        await manager.disk("free").copy("a", "b", to="images")
    await manager.disk("free").put("a", PNG)
    assert await manager.disk("free").copy("a", "b", to="images") == "b"


async def test_presigned_uploads_are_unsupported() -> None:
    manager = StorageManager.isolated({})
    signing = MemoryDriver(secret="s" * 32, base_url="https://files.example.test")
    manager.set_driver(signing, "d")
    assert "temporary_uploads" in manager.disk("d").capabilities
    checked = manager.disk("d").with_layer("validate", max_size=1)
    with pytest.raises(UnsupportedOperationException):
        await checked.temporary_upload_url("a", 60)


async def test_method_that_stores_nothing_is_the_drivers_own() -> None:
    driver = MemoryDriver()
    disk = through(driver, allowed_types=["image/png"])
    await driver.put("a.html", b"<p>")
    await disk.set_visibility("a.html", "private")
    await disk.make_directory("dir.html")
    assert await disk.remove_empty_directory("dir.html")
    await disk.make_directory("dir.html")
    assert await disk.get("a.html") == b"<p>"
    assert await disk.delete_many(["a.html"]) == {"a.html": True}
    await disk.delete_directory("dir.html")


async def test_put_file_is_judged_by_the_generated_name() -> None:
    disk = through(MemoryDriver(), allowed_types=["image/png"], allowed_extensions=["png"])
    assert (await disk.put_file("up", io.BytesIO(PNG))).endswith(".png")
    with pytest.raises(RejectedException):
        await disk.put_file("up", io.BytesIO(b"<script>"))


async def through_a_coroutine(_path: str, _head: bytes) -> None:
    """An async predicate, which could not be awaited."""


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({}, "There is no rule"),
        ({"max_size": -1}, "max_size"),
        ({"max_size": "1 MB"}, "max_size"),
        ({"max_size": True}, "max_size"),
        ({"min_size": True}, "min_size"),
        ({"min_size": -1}, "min_size"),
        ({"min_size": 2, "max_size": 1}, r"min_size \(2\) is above max_size \(1\)"),
        ({"allowed_types": "image/png"}, "allowed_types"),
        ({"allowed_types": ["image"]}, r"write 'image/\*'"),
        ({"allowed_extensions": [1]}, "allowed_extensions"),
        ({"name_pattern": "("}, "name_pattern"),
        ({"predicate": "magic"}, "predicate"),
        ({"predicate": through_a_coroutine}, "predicate"),
    ],
)
def test_invalid_rule_is_refused(rules: dict[str, Any], message: str) -> None:
    with pytest.raises(StorageConfigException, match=message):
        Validate(MemoryDriver(), **rules)


async def test_allowed_types_match_in_any_case() -> None:
    await through(MemoryDriver(), allowed_types=["Image/PNG"]).put("a.png", PNG)


async def test_validate_alone_judges_a_file_whole_wherever_it_is() -> None:
    driver = MemoryDriver()
    file = io.BytesIO(b"#!/bin/sh rm -rf")
    file.seek(12)
    with pytest.raises(RejectedException):
        await Validate(driver, max_size=5).put("a", file)
    assert driver.count() == 0


@pytest.mark.parametrize("shape", ["bytes", "a file", "chunks"])
async def test_validate_min_size_refuses_shorter_files(driver: Any, shape: str) -> None:
    disk = through(driver, min_size=4)
    await disk.put("a", b"old content")
    for short in (b"", b"123"):
        with pytest.raises(RejectedException) as raised:
            await disk.put("a", SHAPES[shape](short))
        assert raised.value.reason == "min_size"
        with pytest.raises(RejectedException):
            async with disk.open("a", "wb") as file:
                await file.write(short)
    assert await disk.get("a") == b"old content"
    await disk.put("a", SHAPES[shape](b"1234"))
    assert await disk.get("a") == b"1234"
    with pytest.raises(RejectedException):
        await disk.put_file("", SHAPES[shape](b""))
