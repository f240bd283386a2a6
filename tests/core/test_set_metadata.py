"""Changing what was declared of a file: in place, or by rewriting it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from disk_ways import Awaited, Unchanged, disk_of
from jtc.storage import (
    Disk,
    FileNotFoundException,
    IntegrityException,
    InvalidPathException,
    PreconditionFailedException,
    ReadOnlyException,
    StorageManager,
    UnsupportedOperationException,
    Visibility,
)
from jtc.storage.drivers.memory_driver import MemoryDriver
from small_drivers import EightMethods, Streaming, Writing

if TYPE_CHECKING:
    from collections.abc import Callable

    from jtc.storage import WriteOptions

DECLARED: dict[str, Any] = {
    "content_type": "text/x-odd",
    "cache_control": "no-store",
    "content_disposition": "inline",
    "metadata": {"author": "me", "pages": "3"},
}
NEW: dict[str, Any] = {
    "content_type": "text/x-other",
    "cache_control": "max-age=5",
    "content_disposition": "attachment",
    "metadata": {"title": "Grüße"},
}


class Rewriting(MemoryDriver):
    """Cannot change metadata in place; remembers the options of its writes."""

    unsupported = MemoryDriver.unsupported | {"metadata_update"}

    def __init__(self) -> None:
        super().__init__()
        self.written: list[WriteOptions] = []

    async def write_file(self, path: str, content: Any, options: WriteOptions, /) -> str | None:
        self.written.append(options)
        return await super().write_file(path, content, options)


class InPlace(MemoryDriver):
    """Must not write a file to change its metadata."""

    async def write_file(self, path: str, content: Any, options: WriteOptions, /) -> str | None:
        if await self.exists(path):
            raise AssertionError("The file was rewritten")
        return await super().write_file(path, content, options)


def faked() -> Disk:
    manager = StorageManager.isolated({})
    manager.set_driver(Rewriting(), "d")
    return manager.fake("d")


DISKS: dict[str, Callable[[], Any]] = {
    "in place": lambda: disk_of(InPlace()),
    "rewritten": lambda: disk_of(Rewriting()),
    "in place in a scope": lambda: disk_of(InPlace()).scoped("s"),
    "rewritten in a scope": lambda: disk_of(Rewriting()).scoped("s"),
    "a fake of what rewrites": faked,
    "sync": lambda: Awaited(disk_of(InPlace()).sync),
    "rewritten, sync": lambda: Awaited(disk_of(Rewriting()).sync),
}


@pytest.fixture(params=DISKS)
def disk(request: pytest.FixtureRequest) -> Any:
    return DISKS[request.param]()


def test_fake_derives_what_the_driver_it_stands_for_derives() -> None:
    assert "metadata_update" not in faked().capabilities


@pytest.mark.parametrize("field", DECLARED)
async def test_set_metadata_replaces_one_field_and_keeps_all_else(disk: Any, field: str) -> None:
    await disk.put("a.txt", b"content", visibility="public", **DECLARED)
    before = await disk.stat("a.txt")
    await disk.set_metadata("a.txt", **{field: NEW[field]})
    after = await disk.stat("a.txt")
    found = {name: getattr(after, name) for name in DECLARED}
    assert found == DECLARED | {field: NEW[field]}
    assert await disk.get("a.txt") == b"content"
    assert await disk.visibility("a.txt") is Visibility.PUBLIC
    assert after.etag != before.etag


async def test_set_metadata_replaces_all_fields_under_the_condition_of_a_version(disk: Any) -> None:
    await disk.put("a.txt", b"content", visibility="private", **DECLARED)
    old = (await disk.stat("a.txt")).etag
    await disk.set_metadata("/a.txt", if_match=old, **NEW)
    info = await disk.stat("a.txt")
    assert {name: getattr(info, name) for name in NEW} == NEW
    assert await disk.visibility("a.txt") is Visibility.PRIVATE
    with pytest.raises(PreconditionFailedException) as raised:
        await disk.set_metadata("a.txt", if_match=old, **DECLARED)
    assert (raised.value.operation, raised.value.path) == ("set_metadata", "a.txt")
    assert await disk.stat("a.txt") == info


async def test_set_metadata_to_no_metadata_removes_all_of_it(disk: Any) -> None:
    await disk.put("a.txt", b"content", **DECLARED)
    await disk.set_metadata("a.txt", metadata={})
    info = await disk.stat("a.txt")
    assert (info.metadata, info.content_type) == ({}, "text/x-odd")


async def test_set_metadata_of_missing_file_or_bad_path_says_where(disk: Any) -> None:
    with pytest.raises(FileNotFoundException) as raised:
        await disk.set_metadata("missing", content_type="x/y")
    assert (raised.value.operation, raised.value.path) == ("set_metadata", "missing")
    with pytest.raises(InvalidPathException):
        await disk.set_metadata("..", content_type="x/y")


@pytest.mark.parametrize(
    "given", [{}, {"if_match": "etag"}, {"content_type": None}, {"metadata": None, "if_match": "e"}]
)
async def test_set_metadata_of_nothing_is_a_type_error(disk: Any, given: dict[str, Any]) -> None:
    await disk.put("a.txt", b"content", **DECLARED)
    before = await disk.stat("a.txt")
    with pytest.raises(TypeError, match=r"set_metadata\(\) takes at least one of content_type"):
        await disk.set_metadata("a.txt", **given)
    assert await disk.stat("a.txt") == before


@pytest.mark.parametrize(
    ("given", "error", "match"),
    [
        ({"contenttype": "x/y"}, TypeError, "no option 'contenttype': did you mean 'content_type'"),
        ({"visibility": "public"}, TypeError, r"set_metadata\(\) has no option 'visibility'"),
        ({"content_type": 5}, TypeError, "content_type must be a str"),
        ({"metadata": {"Upper": "x"}}, ValueError, "metadata name"),
        ({"cache_control": "a\r\nb"}, ValueError, "control characters"),
    ],
)
async def test_set_metadata_checks_names_and_values(
    disk: Any, given: dict[str, Any], error: type[Exception], match: str
) -> None:
    await disk.put("a.txt", b"content", **DECLARED)
    before = await disk.stat("a.txt")
    with pytest.raises(error, match=match):
        await disk.set_metadata("a.txt", **{"cache_control": "no-cache"} | given)
    assert await disk.stat("a.txt") == before


async def test_rewriting_for_metadata_writes_once_and_only_over_the_version_that_was_read() -> None:
    driver = Rewriting()
    disk = disk_of(driver)
    await disk.put("a.txt", b"content", **DECLARED)
    etag = (await disk.stat("a.txt")).etag
    driver.written.clear()
    await disk.set_metadata("a.txt", cache_control="max-age=5")
    assert [options.if_match for options in driver.written] == [etag]
    assert driver.written[0].size == len(b"content")


async def test_rewriting_for_metadata_keeps_a_file_that_replaced_it_meanwhile() -> None:
    class Replaced(Rewriting):
        async def write_file(self, path: str, content: Any, options: WriteOptions, /) -> str | None:
            if options.if_match is not None:
                await self.put(path, b"newer")
            return await super().write_file(path, content, options)

    disk = disk_of(Replaced())
    await disk.put("a.txt", b"content", content_type="x/y")
    with pytest.raises(PreconditionFailedException):
        await disk.set_metadata("a.txt", content_type="text/x-other")
    assert await disk.get("a.txt") == b"newer"


async def test_rewriting_for_metadata_leaves_the_file_where_its_content_runs_short() -> None:
    class Short(Streaming, Writing):
        """Streams, and supports conditional writes; checks no condition, since none fails here."""

        supported_options = {"write_file": frozenset({"content_type", "overwrite", "if_match"})}  # noqa: RUF012

    driver = Short()
    driver.options = None  # type: ignore[assignment]
    disk = disk_of(driver)
    await disk.put("a", b"content")
    await disk.set_metadata("a", content_type="x/y")
    assert driver.options.content_type == "x/y"
    driver.short = 1
    with pytest.raises(IntegrityException, match="7 bytes"):
        await disk.set_metadata("a", content_type="x/z")
    assert driver.kept == {"a": b"content"}
    assert driver.opened == driver.closed


class NoVersions(Streaming, Writing):
    """Supports conditional writes, but gives no etag with its streams."""

    async def open_read(self, path: str, options: Any, /) -> Any:
        stream = await super().open_read(path, options)
        stream.info.etag = None
        return stream


class NoConditions(Streaming, Writing):
    supported_options = {"write_file": frozenset({"content_type"})}  # noqa: RUF012


@pytest.mark.parametrize(
    ("driver", "lacking"),
    [
        (EightMethods, "the option 'content_type'"),
        (Streaming, "the option 'content_type'"),
        (Writing, "the capability 'metadata_update'"),
        (NoConditions, "the capability 'metadata_update'"),
        (NoVersions, "the capability 'metadata_update'"),
    ],
)
async def test_set_metadata_is_refused_where_neither_way_is_safe(driver: Any, lacking: str) -> None:
    made = driver()
    disk = disk_of(made)
    await disk.put("a", b"content")
    with pytest.raises(UnsupportedOperationException, match=lacking) as raised:
        await disk.set_metadata("a", content_type="x/y")
    assert type(raised.value) is UnsupportedOperationException
    assert made.kept == {"a": b"content"}
    if isinstance(made, Streaming):
        assert made.opened == made.closed


async def test_set_metadata_refuses_a_field_that_the_driver_does_not_keep() -> None:
    class Metadata(MemoryDriver):
        supported_options = {  # noqa: RUF012
            **MemoryDriver.supported_options, "update_metadata": frozenset({"metadata"})
        }  # fmt: skip

    disk = disk_of(Metadata())
    await disk.put("a", b"content", **DECLARED)
    await disk.set_metadata("a", metadata={"k": "v"})
    with pytest.raises(
        UnsupportedOperationException, match="'Metadata' does not support the option 'content_type'"
    ):
        await disk.set_metadata("a", content_type="x/y", metadata={"k": "w"})
    assert (await disk.stat("a")).metadata == {"k": "v"}


@pytest.mark.parametrize("driver", [InPlace, Rewriting, EightMethods])
async def test_set_metadata_of_a_read_only_view_is_refused_whatever_is_given(driver: Any) -> None:
    disk = disk_of(driver())
    await disk.put("a", b"content")
    for given in ({}, {"content_type": "x/y"}, {"contenttype": "x/y"}):
        with pytest.raises(ReadOnlyException):
            await disk.read_only().set_metadata("a", **given)  # type: ignore[arg-type]


async def test_set_metadata_through_a_layer_that_guards_content_is_refused() -> None:
    disk = disk_of(MemoryDriver()).with_layer(Unchanged)
    await disk.put("a", b"content")
    with pytest.raises(UnsupportedOperationException, match="'content_type'"):
        await disk.set_metadata("a", content_type="x/y")
