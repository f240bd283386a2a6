"""No option is dropped: each has its effect, or is refused by an error that names it."""

from __future__ import annotations

import inspect
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage import (
    Disk,
    FileExistsException,
    FileInfo,
    IntegrityException,
    NotModifiedException,
    PreconditionFailedException,
    RejectedException,
    StorageConfigException,
    StorageManager,
    UnsupportedOperationException,
    Visibility,
)
from jtc.storage._disk import DiskOperations
from jtc.storage.drivers import LocalDriver, MemoryDriver
from jtc.storage.options import (
    DISK_OPTIONS,
    CopyManyOptions,
    CopyOptions,
    MetadataOptions,
    PutManyOptions,
    PutOptions,
    WriteOptions,
)
from small_drivers import EightMethods

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from jtc.storage.transfers import Transfers

# Coverage doubles the time, and would measure no line that other tests do not measure.
pytestmark = pytest.mark.no_cover

SECRET = "0123456789abcdef0123456789abcdef"
CONTENT = b'"content"'  # of put_json too


def _memory(_: Path) -> Any:
    return MemoryDriver(secret=SECRET, base_url="https://media.test/")


def _local(tmp: Path) -> Any:
    return LocalDriver(root=tmp / "disk", secret=SECRET, base_url="https://media.test/")


DRIVERS: dict[str, tuple[Callable[[Path], Any], list[str]]] = {
    "memory": (_memory, []),
    "local": (_local, []),
    "derived copies": (_memory, ["copy", "move", "metadata_update", "ranges"]),
    "eight methods": (lambda _: EightMethods(), []),
}


@pytest.fixture(params=DRIVERS)
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Disk:
    make, disabled = DRIVERS[request.param]
    return _disk(make(tmp_path), disabled)


def _disk(driver: Any, disabled: list[str]) -> Disk:
    manager = StorageManager.isolated({})
    manager.extend("given", lambda: driver)
    manager.configure({"disks": {"d": {"driver": "given", "disable": disabled}}})
    return manager.disk("d")


# The methods that store.


async def _put(disk: Disk, **options: Any) -> str:
    return await disk.put("new", CONTENT, **options)


async def _put_chunks(disk: Disk, **options: Any) -> str:
    return await disk.put("new", iter([CONTENT]), **options)


async def _put_json(disk: Disk, **options: Any) -> str:
    return await disk.put_json("new", "content", **options)


async def _put_file(disk: Disk, **options: Any) -> str:
    return await disk.put_file("", CONTENT, **options)


async def _put_file_as(disk: Disk, **options: Any) -> str:
    return await disk.put_file_as("", CONTENT, "new", **options)


async def _write(disk: Disk, **options: Any) -> str:
    async with disk.open("new", "wb", **options) as file:
        await file.write(CONTENT)
    return "new"


async def _create(disk: Disk, **options: Any) -> str:
    async with disk.open("new", "xb", **options) as file:
        await file.write(CONTENT)
    return "new"


async def _copy(disk: Disk, **options: Any) -> str:
    await disk.put("old", CONTENT)
    return await disk.copy("old", "new", **options)


async def _move(disk: Disk, **options: Any) -> str:
    await disk.put("old", CONTENT)
    return await disk.move("old", "new", **options)


async def _copy_to(disk: Disk, **options: Any) -> str:
    source = _disk(MemoryDriver(), [])
    await source.put("old", CONTENT)
    return await source.copy("old", "new", to=disk, **options)


async def _move_to(disk: Disk, **options: Any) -> str:
    source = _disk(MemoryDriver(), [])
    await source.put("old", CONTENT)
    return await source.move("old", "new", to=disk, **options)


async def _put_many(disk: Disk, **options: Any) -> str:
    return await _only(disk.put_many({"new": CONTENT}, **options))


async def _copy_many(disk: Disk, **options: Any) -> str:
    await disk.put("old", CONTENT)
    return await _only(disk.copy_many({"old": "new"}, **options))


async def _only(transfers: Transfers) -> str:
    (result,) = [result async for result in transfers]
    if result.error is not None:
        raise result.error
    return "new"


async def _set_metadata(disk: Disk, **options: Any) -> str:
    await disk.put("new", CONTENT)
    if "if_match" in options:
        options["content_type"] = "text/x-own"  # it takes no condition alone
    await disk.set_metadata("new", **options)
    return "new"


PUTS: dict[str, Any] = {
    "put": _put,
    "put of chunks": _put_chunks,
    "put_json": _put_json,
    "put_file": _put_file,
    "put_file_as": _put_file_as,
    "open for writing": _write,
    "open for creating": _create,
    "put_many": _put_many,
}
COPIES: dict[str, Any] = {
    "copy": _copy,
    "move": _move,
    "copy to a disk": _copy_to,
    "move to a disk": _move_to,
    "copy_many": _copy_many,
}
METADATA: dict[str, Any] = {"set_metadata": _set_metadata}
STORES = PUTS | COPIES | METADATA


# What an option does.


async def _declares(disk: Disk, store: Any, name: str, value: Any) -> None:
    path = await store(disk, **{name: value})
    assert getattr(await disk.stat(path), name) == value


async def _is_visible(disk: Disk, store: Any, _: str, value: Any) -> None:
    assert await disk.visibility(await store(disk, visibility=value)) == Visibility(value)


async def _raises(
    disk: Disk, store: Any, name: str, value: Any, error: type[Exception], text: str | None = None
) -> None:
    with pytest.raises(error, match=text):
        await store(disk, **{name: value})
    # Nothing was stored; set_metadata has a file.
    assert store is _set_metadata or await disk.missing("new")


async def _keeps_existing(disk: Disk, store: Any, name: str, value: Any) -> None:
    await disk.put("new", b"existing")
    if store is _put_file:
        return  # the name is a new one
    with pytest.raises(FileExistsException):
        await store(disk, **{name: value})
    assert await disk.get("new") == b"existing"


async def _needs_version(disk: Disk, store: Any, name: str, value: Any) -> None:
    with pytest.raises(PreconditionFailedException):
        await store(disk, **{name: value})


async def _reports(disk: Disk, store: Any, _: str, value: list[int]) -> None:
    await store(disk, progress=lambda done, _total: value.append(done))
    assert value[-1] == len(CONTENT)


def _error(error: type[Exception], text: str | None = None) -> Any:
    async def check(disk: Disk, store: Any, name: str, value: Any) -> None:
        await _raises(disk, store, name, value, error, text)

    return check


ROWS: list[tuple[str, Any, Any]] = [
    ("content_type", "text/x-own", _declares),
    ("content_type", "", _error(ValueError, "content_type must not be empty")),
    ("cache_control", "no-store", _declares),
    ("cache_control", "", _error(ValueError, "cache_control must not be empty")),
    ("content_disposition", "inline", _declares),
    ("content_disposition", "", _error(ValueError, "content_disposition must not be empty")),
    ("content_encoding", "gzip", _declares),
    ("content_encoding", "", _error(ValueError, "content_encoding must not be empty")),
    ("metadata", {"one": "1"}, _declares),
    ("metadata", {}, _declares),
    ("metadata", [], _error(TypeError, "metadata must be a mapping")),
    ("visibility", "public", _is_visible),
    ("visibility", Visibility.PRIVATE, _is_visible),
    ("visibility", "", _error(ValueError)),
    ("visibility", False, _error(ValueError)),
    ("overwrite", False, _keeps_existing),
    ("overwrite", 0, _error(TypeError, "overwrite must be a bool")),
    ("driver_options", {"anything": 1}, _error(UnsupportedOperationException, "driver_options")),
    ("driver_options", {}, _error(UnsupportedOperationException, "driver_options")),
    ("if_match", "another", _needs_version),
    ("if_match", "", _needs_version),
    ("if_match", False, _error(TypeError, "if_match must be a str")),
    ("if_source_match", "another", _needs_version),
    ("if_source_match", "", _needs_version),
    ("size", len(CONTENT) + 1, _error(IntegrityException)),
    ("size", 0, _error(IntegrityException)),
    ("size", True, _error(TypeError, "size is a number of bytes")),
    ("size", False, _error(TypeError, "size is a number of bytes")),
    ("size", -1, _error(TypeError, "size is a number of bytes")),
    ("min_size", len(CONTENT) + 1, _error(RejectedException)),
    ("min_size", False, _error(TypeError, "min_size is a number of bytes")),
    ("max_size", 0, _error(RejectedException)),
    ("max_size", True, _error(TypeError, "max_size is a number of bytes")),
    ("allowed_types", ["image/png"], _error(RejectedException)),
    ("allowed_types", [], _error(RejectedException)),
    ("allowed_types", "", _error(TypeError, "allowed_types")),
    ("progress", [], _reports),
]


def _has(method: str, option: str) -> bool:
    if method in METADATA:
        return option in MetadataOptions.__annotations__
    of_many = {"put_many": PutManyOptions, "copy_many": CopyManyOptions}
    options = of_many.get(method, PutOptions if method in PUTS else CopyOptions)
    return option in options.__annotations__


@pytest.mark.parametrize(
    ("method", "option", "value", "check"),
    [
        pytest.param(method, *row, id=f"{method}-{row[0]}-{row[1]!r}")
        for method in STORES
        for row in ROWS
        if _has(method, row[0])
    ],
)
async def test_every_option_of_a_write_has_its_effect_or_is_refused(
    disk: Disk, method: str, option: str, value: Any, check: Any
) -> None:
    if method == "open for creating" and (
        option in {"overwrite", "if_match"} or isinstance(disk.driver, EightMethods)
    ):
        pytest.skip("the mode is such an option")
    store = STORES[method]
    of_source = option == "if_source_match" and method in {"copy to a disk", "move to a disk"}
    if not isinstance(disk.driver, EightMethods) or option in DISK_OPTIONS or of_source:
        await check(disk, store, option, value)
        return
    named = rf"option ({option!r}|'content_type')|metadata_update"
    refused: tuple[type[Exception], ...] = (UnsupportedOperationException,)
    if method in {"put_many", "copy_many"}:  # a value is checked before the driver is known
        named, refused = f"{named}|{option}", (*refused, TypeError, ValueError)
    with pytest.raises(refused, match=named):
        await store(disk, **{option: value})
    assert store is _set_metadata or await disk.missing("new")
    assert not await disk.exists("old") or await disk.get("old") == CONTENT


def test_every_option_of_a_write_is_tried() -> None:
    tried = {name for name, _, _ in ROWS}
    known = {*PutOptions.__annotations__, *CopyOptions.__annotations__}
    assert known | set(MetadataOptions.__annotations__) == tried
    of_drivers = {"visibility_if_new"}  # an option of the disk itself
    assert set(WriteOptions.__dataclass_fields__) - tried == of_drivers


@pytest.mark.parametrize("options", [{"overwrite": True}, {"if_match": ""}, {"if_match": "1"}])
def test_open_for_creating_refuses_what_contradicts_it(disk: Disk, options: Any) -> None:
    with pytest.raises(TypeError, match="neither overwrite=True nor if_match"):
        disk.open("new", "xb", **options)


async def _report(_done: int, _total: int | None) -> None: ...


@pytest.mark.parametrize("progress", [0, "", _report])
async def test_put_progress_refuses_what_cannot_be_called_at_once(
    disk: Disk, progress: Any
) -> None:
    with pytest.raises(TypeError, match="progress is a plain function"):
        await disk.put("new", b"", progress=progress)


async def test_every_option_of_a_text_file_has_its_effect_or_is_refused(disk: Disk) -> None:
    texts: list[tuple[dict[str, Any], bytes]] = [
        ({"encoding": "utf-16-le"}, b"\xe4\x00\n\x00"),
        ({"encoding": "ascii", "errors": "replace"}, b"?\n"),
        ({"newline": "\r\n"}, b"\xc3\xa4\r\n"),
    ]
    for options, stored in texts:
        async with disk.open("new", "w", **options) as file:
            await file.write("\u00e4\n")
        assert await disk.get("new") == stored
        with pytest.raises(ValueError, match=next(iter(options))):
            disk.open("new", "wb", **options)
        with pytest.raises(ValueError, match=next(iter(options))):
            disk.open("new", "rb", **options)


async def test_copy_refuses_a_target_that_is_no_disk(disk: Disk) -> None:
    await disk.put("old", CONTENT)
    with pytest.raises(TypeError, match="'to' is a disk or its name, not int"):
        await disk.copy("old", "new", to=5)  # type: ignore[arg-type]
    with pytest.raises(StorageConfigException, match="No disk ''"):
        await disk.move("old", "new", to="")
    assert await disk.get("old") == CONTENT


# The methods that read, list and presign.


async def _listed(disk: Disk, **options: Any) -> list[str]:
    return [entry.path async for entry in disk.list(**options)]


async def _streamed(disk: Disk, **options: Any) -> list[bytes]:
    return [chunk async for chunk in disk.stream("new", **options)]


READS: dict[str, Callable[..., Awaitable[Any]]] = {
    "get": lambda d, **o: d.get("new", **o),
    "stat": lambda d, **o: d.stat("new", **o),
    "stream": _streamed,
    "get_range": lambda d, **o: d.get_range("new", 0, **o),
    "get_ranges": lambda d, **o: d.get_ranges("new", [(0, 1)], **o),
    "get_ranges of none": lambda d, **o: d.get_ranges("new", [], **o),
    "get_ranges of empty ones": lambda d, **o: d.get_ranges("new", [(1, 1)], **o),
    "get_range of nothing": lambda d, **o: d.get_range("new", 0, 0, **o),
}


@pytest.mark.parametrize("method", READS)
async def test_every_condition_of_a_read_is_kept(disk: Disk, method: str) -> None:
    await disk.put("new", CONTENT)
    etag = (await disk.stat("new")).etag
    read = READS[method]
    for other in ("another", ""):
        with pytest.raises(PreconditionFailedException):
            await read(disk, if_match=other)
        await read(disk, if_none_match=other)
    if etag is not None:
        await read(disk, if_match=etag)
        with pytest.raises(NotModifiedException):
            await read(disk, if_none_match=etag)
        with pytest.raises(PreconditionFailedException):
            await read(disk, if_match="another", if_none_match=etag)


async def test_every_condition_of_a_deletion_is_kept_or_refused(disk: Disk) -> None:
    await disk.put("new", CONTENT)
    refused: Any = UnsupportedOperationException
    if not isinstance(disk.driver, EightMethods):
        refused = PreconditionFailedException
    for other in ("another", ""):
        with pytest.raises(refused):
            await disk.delete("new", if_match=other)
    with pytest.raises(TypeError, match="if_match must be a str"):
        await disk.delete("new", if_match=False)  # type: ignore[arg-type]
    assert await disk.get("new") == CONTENT


async def test_every_option_of_a_stream_has_its_effect(disk: Disk) -> None:
    await disk.put("new", b"0123456789")
    assert await _streamed(disk, start=8) == [b"89"]
    assert await _streamed(disk, start=-1) == [b"9"]
    assert await _streamed(disk, end=2) == [b"01"]
    assert await _streamed(disk, end=0) == []
    assert (await _streamed(disk, chunk_size=4)) == [b"0123", b"4567", b"89"]
    with pytest.raises(ValueError, match="chunk_size"):
        await _streamed(disk, chunk_size=0)


async def test_every_option_of_a_listing_has_its_effect(disk: Disk) -> None:
    if isinstance(disk.driver, EightMethods):
        with pytest.raises(UnsupportedOperationException):
            await _listed(disk)
        return
    for path in ("a", "d/b", "z"):
        await disk.put(path, b"")
    assert await _listed(disk) == ["a", "d", "z"]
    assert await _listed(disk, recursive=True) == ["a", "d/b", "z"]
    assert await _listed(disk, recursive=True, directories=True) == ["a", "d", "d/b", "z"]
    assert await _listed(disk, prefix="d") == ["d/b"]
    assert await _listed(disk, start_after="a") == ["d", "z"]
    after = FileInfo(path="a", size=0, last_modified=0.0)
    assert await _listed(disk, start_after=after, recursive=True) == ["d/b", "z"]
    with pytest.raises(ValueError, match="empty"):
        await _listed(disk, start_after="")


SIGNED: dict[str, tuple[Callable[..., Awaitable[Any]], dict[str, list[Any]]]] = {
    "temporary_url": (
        lambda d, **o: d.temporary_url("new", **{"expires_in": 60, **o}),
        {
            "expires_in": [61, timedelta(minutes=5)],
            "content_disposition": ["inline"],
            "content_type": ["text/x-own"],
            "stable_for": [3600],
        },
    ),
    "temporary_urls": (
        lambda d, **o: d.temporary_urls(["new"], **{"expires_in": 60, **o}),
        {
            "expires_in": [61],
            "content_disposition": ["inline"],
            "content_type": ["text/x-own"],
            "stable_for": [3600],
        },
    ),
    "temporary_upload_url": (
        lambda d, **o: d.temporary_upload_url("new", **{"expires_in": 60, **o}),
        {"expires_in": [61], "content_type": ["text/x-own"], "size": [0, 5]},
    ),
    "temporary_upload_form": (
        lambda d, **o: d.temporary_upload_form("new", **{"expires_in": 60, "max_size": 9, **o}),
        {"expires_in": [61], "content_type": ["text/x-own"], "min_size": [1], "max_size": [0, 5]},
    ),
}
BAD: dict[str, list[Any]] = {
    "expires_in": [0, -1, True, None],
    "content_disposition": ["", "a\nb", 0],
    "content_type": ["", "a\nb", 0],
    "stable_for": [0, -1, True],
    "size": [True, False, -1, 1.5],
    "min_size": [True, False, -1],
    "max_size": [True, False, -1, None],
}


@pytest.mark.parametrize("method", SIGNED)
async def test_every_option_of_a_presigned_url_has_its_effect_or_is_refused(
    disk: Disk, method: str
) -> None:
    sign, options = SIGNED[method]
    if isinstance(disk.driver, EightMethods):
        with pytest.raises(UnsupportedOperationException):
            await sign(disk)
        return
    plain = await sign(disk)
    for name, values in options.items():
        for value in values:
            assert await sign(disk, **{name: value}) != plain, (name, value)
        for value in BAD[name]:
            with pytest.raises((TypeError, ValueError), match=name):
                await sign(disk, **{name: value})


MANY = {"concurrency", "progress"}
COMPARED = {"prefix", "include", "exclude", "where", "compare"}


def test_every_method_with_options_is_tried() -> None:
    """A new method or keyword fails here until a test above passes it."""
    tried = {
        "put": {"options"},
        "put_json": {"options"},
        "put_file": {"options"},
        "put_file_as": {"options"},
        "open": {"mode", "encoding", "errors", "newline", "options"},
        "copy": {"to", "options"},
        "move": {"to", "options"},
        "set_metadata": {"options"},
        "delete": {"if_match"},
        "confirm_upload": {"if_match", "options"},
        "download": {"if_match", "if_none_match", "progress"},
        "get": {"if_match", "if_none_match"},
        "stat": {"if_match", "if_none_match"},
        "get_range": {"end", "if_match", "if_none_match"},
        "get_ranges": {"if_match", "if_none_match"},
        "stream": {"start", "end", "chunk_size", "if_match", "if_none_match"},
        "list": {"prefix", "recursive", "directories", "start_after"},
        "checksum": {"algorithm"},
        "put_many": MANY | {"options"},
        # Those of many files but `options` are tried in tests of their own.
        "get_many": MANY,
        "copy_many": {*MANY, "to", "options"},
        "copy_directory": {*MANY, "to", "options"},
        "move_directory": {*MANY, "to", "options"},
        "compare": COMPARED,
        "plan_sync": {*COMPARED, "existing", "delete", "max_delete", "backup"},
        "get_text": {"encoding"},
        "with_layer": {"options"},
        **{
            name: set(options) - {"expires_in", "max_size"} for name, (_, options) in SIGNED.items()
        },
    }
    found = {}
    for name, method in inspect.getmembers(DiskOperations, inspect.isfunction):
        parameters = inspect.signature(method).parameters.values()
        optional = {
            each.name
            for each in parameters
            if each.default is not each.empty or each.kind is each.VAR_KEYWORD
        }
        if not name.startswith("_") and optional - {"directory"}:
            found[name] = optional
    assert found == tried
