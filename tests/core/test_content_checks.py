"""Limits of a put that `Disk` applies itself, on drivers with options and without."""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jtc.storage import (
    Disk,
    FileInfo,
    IntegrityException,
    RejectedException,
    StorageManager,
    UnsupportedOperationException,
)
from jtc.storage._disk.write_pipeline import carried_options
from jtc.storage.driver_support.content import driver_content
from jtc.storage.driver_support.content_checks import watch_limits
from small_drivers import EightMethods, Writing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20_000)
HTML = b"<!doctype html>" + b"x" * 20_000
SVG = b"<svg/>"
JPEG = b"\xff\xd8\xff\xe0" + bytes(20_000)


async def iterate(content: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(content), 7000):
        yield content[at : at + 7000]


SHAPES: dict[str, Any] = {
    "bytes": lambda content: content,
    "file": io.BytesIO,
    "chunks": lambda content: [content[:5], content[5:]],
    "async": iterate,
}


@pytest.fixture(params=[EightMethods, Writing])
def driver(request: pytest.FixtureRequest) -> Any:
    driver = request.param()
    driver.kept["a"] = b"old"
    return driver


@pytest.fixture
def disk(driver: Any) -> Disk:
    manager = StorageManager.isolated({})
    manager.set_driver(driver, "d")
    return manager.disk("d")


@pytest.fixture(params=SHAPES)
def shape(request: pytest.FixtureRequest) -> Any:
    return SHAPES[request.param]


async def test_what_is_longer_than_max_size_is_rejected(
    disk: Disk, driver: Any, shape: Any
) -> None:
    with pytest.raises(RejectedException, match="longer than 9 bytes") as raised:
        await disk.put("a", shape(b"0123456789"), max_size=9)
    assert (raised.value.reason, raised.value.path) == ("size", "a")
    assert (raised.value.disk, raised.value.operation) == ("d", "put")
    assert driver.kept == {"a": b"old"}
    await disk.put("a", shape(b"0123456789"), max_size=10)
    assert driver.kept == {"a": b"0123456789"}


async def test_put_min_size_rejects_shorter_content(disk: Disk, driver: Any, shape: Any) -> None:
    with pytest.raises(RejectedException, match="shorter than 11 bytes") as raised:
        await disk.put("a", shape(b"0123456789"), min_size=11)
    assert (raised.value.reason, raised.value.path) == ("min_size", "a")
    assert driver.kept == {"a": b"old"}
    await disk.put("a", shape(b"0123456789"), min_size=10)
    assert driver.kept == {"a": b"0123456789"}


async def test_put_min_size_above_max_size_is_refused(disk: Disk, driver: Any) -> None:
    with pytest.raises(ValueError, match=r"^min_size \(20\) is above max_size \(3\)"):
        await disk.put("a", b"0123456789", min_size=20, max_size=3)
    assert driver.kept == {"a": b"old"}


async def test_put_min_size_above_size_is_rejected_before_reading(disk: Disk) -> None:
    source = io.BytesIO(b"0123456789")
    with pytest.raises(RejectedException, match="shorter than 11 bytes"):
        await disk.put("a", source, size=10, min_size=11)
    assert source.tell() == 0


@pytest.mark.parametrize("size", [0, 9, 11])
async def test_a_length_that_was_not_announced_is_refused(
    disk: Disk, driver: Any, shape: Any, size: int
) -> None:
    with pytest.raises(IntegrityException, match=f"the {size} bytes"):
        await disk.put("a", shape(b"0123456789"), size=size)
    assert driver.kept == {"a": b"old"}
    await disk.put("a", shape(b"0123456789"), size=10)
    assert driver.kept == {"a": b"0123456789"}


async def test_an_announced_length_over_the_limit_is_refused_before_reading(
    disk: Disk, driver: Any
) -> None:
    source = io.BytesIO(b"0123456789")
    with pytest.raises(RejectedException):
        await disk.put("a", source, size=10, max_size=9)
    assert source.tell() == 0
    assert driver.kept == {"a": b"old"}


@pytest.mark.parametrize(
    "limit", [{"size": -1}, {"max_size": -1}, {"min_size": -1}, {"size": "5"}, {"max_size": 1.5}]
)
async def test_a_limit_that_is_no_number_of_bytes_is_a_type_error(
    disk: Disk, limit: dict[str, Any]
) -> None:
    with pytest.raises(TypeError, match="number of bytes"):
        await disk.put("a", b"x", **limit)


@pytest.mark.parametrize(
    ("path", "content", "allowed", "accepted"),
    [
        ("a.png", PNG, ["image/png"], True),
        ("a.png", PNG, {"image/*"}, True),
        ("a.png", HTML, ["image/png"], False),
        ("a.png", HTML, ["image/*"], False),
        ("a.txt", b"words", ("text/plain",), True),
        ("a.txt", PNG, ["text/*"], False),
        ("a.csv", b"a,b", ["text/*"], True),
        ("a.html", HTML, ["text/*"], False),
        ("a.js", b"alert(1)", ["text/*"], False),
        ("a.html", HTML, ["text/html"], True),
        ("a.svg", SVG, ["image/*"], False),
        ("a.svg", SVG, ["image/svg+xml"], True),
        ("a.png", b"", ["image/png"], False),
        ("a", b"\x00\x01", ["application/octet-stream"], True),
        ("a.png", PNG, [], False),
        ("a.php", PNG, ["image/*"], False),
        ("a.php.png", PNG, ["image/*"], False),
        ("b", PNG, ["image/*"], True),
        ("a.jpg", JPEG, ["image/jpg"], True),
        ("a.csv", "Größe;€".encode("cp1252"), ["text/csv"], True),
    ],
)
async def test_only_allowed_types_are_stored_judged_by_content(
    disk: Disk, driver: Any, shape: Any, path: str, content: bytes, allowed: Any, accepted: bool
) -> None:
    if accepted:
        await disk.put(path, shape(content), allowed_types=allowed)
        assert driver.kept[path] == content
    else:
        with pytest.raises(RejectedException) as raised:
            await disk.put(path, shape(content), allowed_types=allowed)
        assert raised.value.reason == "type"
        assert driver.kept == {"a": b"old"}


def test_a_driver_that_stops_at_the_announced_size_has_had_the_type_checked() -> None:
    source: Any = driver_content(io.BytesIO(b"words"))
    watch_limits("a.png", source, {"allowed_types": ["image/png"], "size": 5})
    with pytest.raises(RejectedException):
        source.read(5)


async def test_allowed_types_as_one_str_is_a_type_error(disk: Disk) -> None:
    with pytest.raises(TypeError, match="collection"):
        await disk.put("a", b"x", allowed_types="text/plain")


async def test_progress_is_called_for_every_chunk(disk: Disk) -> None:
    seen: list[tuple[int, int | None]] = []
    await disk.put("a", iterate(PNG), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(7000, None), (14000, None), (20008, None)]
    seen.clear()
    await disk.put("a", iterate(PNG), size=20008, progress=lambda *call: seen.append(call))
    assert seen == [(7000, 20008), (14000, 20008), (20008, 20008)]
    seen.clear()
    await disk.put("a", PNG, progress=lambda *call: seen.append(call))
    assert seen == [(20008, 20008)]
    seen.clear()
    await disk.put("a", b"", progress=lambda *call: seen.append(call))
    assert seen == []


async def test_progress_may_stop_the_put(disk: Disk, driver: Any, shape: Any) -> None:
    def stop(_done: int, _total: int | None) -> None:
        raise KeyboardInterruptLike

    with pytest.raises(KeyboardInterruptLike):
        await disk.put("a", shape(b"0123456789"), progress=stop)
    assert driver.kept == {"a": b"old"}


class KeyboardInterruptLike(Exception):
    """Someone had enough."""


async def test_limits_of_puts_at_the_same_time_do_not_mix(disk: Disk, driver: Any) -> None:
    async def one(number: int) -> object:
        content = bytes(number)
        return await disk.put(f"f{number}", iterate(content), size=number, max_size=100)

    results = await asyncio.gather(*map(one, range(200)), return_exceptions=True)
    for number, result in enumerate(results):
        assert result == f"f{number}" if number <= 100 else isinstance(result, RejectedException)
    assert len(driver.kept) == 102


@given(
    content=st.binary(max_size=60),
    cut=st.integers(1, 9),
    size=st.none() | st.integers(0, 60),
    most=st.none() | st.integers(0, 60),
)
def test_a_put_is_stored_exactly_where_its_limits_allow_it(
    content: bytes, cut: int, size: int | None, most: int | None
) -> None:
    driver = EightMethods()
    manager = StorageManager.isolated({})
    manager.set_driver(driver)
    pieces = [content[at : at + cut] for at in range(0, len(content), cut)]
    fits = (size is None or size == len(content)) and (most is None or len(content) <= most)

    async def check() -> None:
        if fits:
            await manager.put("a", pieces, size=size, max_size=most)
        else:
            with pytest.raises((IntegrityException, RejectedException)):
                await manager.put("a", pieces, size=size, max_size=most)

    asyncio.run(check())
    assert driver.kept == ({"a": content} if fits else {})


async def test_driver_gets_the_size_where_it_is_known() -> None:
    driver = Writing()
    manager = StorageManager.isolated({})
    manager.set_driver(driver)
    await manager.put("a", b"12345", content_type="text/plain")
    assert driver.options.size == 5
    await manager.put("a", io.BytesIO(b"12345"), size=5)
    assert driver.options.size == 5
    await manager.put("a", io.BytesIO(b"12345"), content_type="text/plain")
    assert driver.options.size is None


async def test_an_option_that_the_driver_does_not_support_is_refused_by_name() -> None:
    manager = StorageManager.isolated({})
    driver = EightMethods()
    manager.set_driver(driver, "d")
    with pytest.raises(UnsupportedOperationException, match=r"'EightMethods'.*'overwrite'"):
        await manager.disk("d").put("a", b"x", overwrite=False)
    assert driver.kept == {}


def test_what_a_file_had_is_carried_along_but_not_what_its_name_says() -> None:
    info = FileInfo(path="a.png", size=1, last_modified=0.0, content_type="image/png")
    supported = frozenset({"content_type", "metadata", "cache_control", "content_disposition"})
    assert carried_options(supported, info, info.path) == {}
    info.content_type = "image/x-odd"
    info.metadata = {"a": "b"}
    info.cache_control = "no-store"
    info.content_disposition = "inline"
    assert carried_options(supported, info, info.path) == {
        "content_type": "image/x-odd",
        "metadata": {"a": "b"},
        "cache_control": "no-store",
        "content_disposition": "inline",
    }
    assert carried_options(frozenset({"metadata"}), info, info.path) == {"metadata": {"a": "b"}}
