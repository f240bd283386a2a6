"""Changes of metadata in place."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.drivers.local_driver import _metadata as metadata
from jtc.storage.exceptions import (
    FileNotFoundException,
    PreconditionFailedException,
    RejectedException,
    StoragePermissionException,
    UnsupportedOperationException,
)
from jtc.storage.models import Visibility
from jtc.storage.options import ReadOptions, WriteOptions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


DECLARED = WriteOptions(
    content_type="text/x-odd",
    cache_control="no-store",
    content_disposition="inline",
    metadata={"k": "old", "other": "o"},
    visibility=Visibility.PRIVATE,
)


async def test_update_metadata_replaces_given_fields_only(driver: LocalDriver, root: Path) -> None:
    old = await driver.write_file("d/a", b"content", DECLARED)
    inode = (root / "d/a").stat().st_ino
    changes = WriteOptions(content_type="text/html", metadata={"k": "new"})
    new = await driver.update_metadata("d/a", changes)
    info = await driver.stat("d/a")
    assert (info.content_type, info.metadata) == ("text/html", {"k": "new"})
    assert (info.cache_control, info.content_disposition) == ("no-store", "inline")
    assert await driver.get("d/a") == b"content"
    assert await driver.visibility("d/a") is Visibility.PRIVATE
    if driver._root.updates_in_place:
        assert (root / "d/a").stat().st_ino == inode
    assert info.etag == new != old


async def test_update_metadata_of_a_file_without_any(driver: LocalDriver) -> None:
    await driver.put("a", b"content")
    await driver.update_metadata("a", WriteOptions(metadata={"k": "v"}))
    info = await driver.stat("a")
    assert (info.metadata, info.content_type) == ({"k": "v"}, None)
    await driver.update_metadata("a", WriteOptions(metadata={}))
    assert (await driver.stat("a")).metadata == {}


async def test_update_metadata_is_seen_where_the_old_was_remembered(
    driver: LocalDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata, "_SETTLED_SECONDS", -60.0)
    await driver.put("a", b"")
    for number in range(20):
        content_type = f"text/x-{number}"
        etag = await driver.update_metadata("a", WriteOptions(content_type=content_type))
        for _ in range(2):
            info = await driver.stat("a")
            assert (info.content_type, info.etag) == (content_type, etag)


async def test_update_metadata_gives_each_version_an_etag(driver: LocalDriver) -> None:
    await driver.put("a", b"1")
    etags = [
        await driver.update_metadata("a", WriteOptions(content_type="a/b")) for _ in range(100)
    ]
    assert len(set(etags)) == 100


async def test_update_metadata_if_match_refuses_another_version(driver: LocalDriver) -> None:
    old = await driver.write_file("a", b"content", DECLARED)
    new = await driver.update_metadata("a", WriteOptions(content_type="a/b", if_match=old))
    for operation in (
        driver.update_metadata("a", WriteOptions(content_type="c/d", if_match=old)),
        driver.write_file("a", b"new", WriteOptions(if_match=old)),
        driver.open_read("a", ReadOptions(if_match=old)),
    ):
        with pytest.raises(PreconditionFailedException):
            await operation
    info = await driver.stat("a")
    assert (info.etag, info.content_type) == (new, "a/b")


async def test_update_metadata_if_match_loses_no_update(driver: LocalDriver) -> None:
    await driver.put("a", b"content")

    async def add(name: str) -> None:
        while True:
            info = await driver.stat("a")
            changed = {**info.metadata, name: "1"}
            options = WriteOptions(metadata=changed, if_match=info.etag)
            try:
                await driver.update_metadata("a", options)
            except PreconditionFailedException:
                continue
            break

    names = [f"n{number}" for number in range(16)]
    await asyncio.gather(
        *map(add, names[:8]),
        *(asyncio.to_thread(asyncio.run, add(name)) for name in names[8:]),
    )
    assert (await driver.stat("a")).metadata == dict.fromkeys(names, "1")


async def test_updates_of_different_fields_at_once_are_all_kept(driver: LocalDriver) -> None:
    for _ in range(20):
        await driver.put("a", b"content")
        await asyncio.gather(
            driver.update_metadata("a", WriteOptions(content_type="a/b")),
            driver.update_metadata("a", WriteOptions(cache_control="no-store")),
            driver.update_metadata("a", WriteOptions(content_disposition="inline")),
            driver.update_metadata("a", WriteOptions(metadata={"k": "v"})),
        )
        info = await driver.stat("a")
        found = (info.content_type, info.cache_control, info.content_disposition, info.metadata)
        assert found == ("a/b", "no-store", "inline", {"k": "v"})


async def test_reader_of_a_new_etag_has_the_new_metadata(driver: LocalDriver) -> None:
    await driver.put("a", b"content")
    versions: dict[str | None, str | None] = {(await driver.stat("a")).etag: None}
    seen: list[tuple[str | None, str | None]] = []
    updating = True

    async def update() -> None:
        nonlocal updating
        for number in range(200):
            content_type = f"text/x-{number}"
            etag = await driver.update_metadata("a", WriteOptions(content_type=content_type))
            versions[etag] = content_type
        updating = False

    async def look() -> None:
        while updating:
            info = await driver.stat("a")
            seen.append((info.etag, info.content_type))

    await asyncio.gather(update(), look(), look())
    order = list(versions.values())
    assert seen
    for etag, content_type in seen:
        # Never older than the etag: what is cached by an etag is not out of date.
        assert order.index(content_type) >= order.index(versions[etag])


async def test_stream_goes_on_after_metadata_was_updated(driver: LocalDriver) -> None:
    await driver.put("a", b"0123456789")
    stream = await driver.open_read("a", ReadOptions(chunk_size=5))
    chunks = aiter(stream)
    assert await anext(chunks) == b"01234"
    await driver.update_metadata("a", WriteOptions(content_type="a/b"))
    assert await anext(chunks) == b"56789"
    await stream.aclose()


@pytest.mark.parametrize("path", ["missing", "no/such/a", "d", "d/a/below", "pipe"])
async def test_update_metadata_of_what_is_no_file_is_not_found(
    driver: LocalDriver, root: Path, path: str
) -> None:
    await driver.put("d/a", b"")
    os.mkfifo(root / "pipe")
    with pytest.raises(FileNotFoundException) as caught:
        await driver.update_metadata(path, WriteOptions(content_type="a/b"))
    assert (caught.value.path, caught.value.operation) == (path, "set_metadata")


@pytest.mark.parametrize("path", ["link", "links/file"])
async def test_update_metadata_follows_no_link(
    driver: LocalDriver, root: Path, tmp_path: Path, path: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"secret")
    root.mkdir()
    (root / "link").symlink_to(outside / "file")
    (root / "links").symlink_to(outside)
    before = (outside / "file").stat()
    with pytest.raises(StoragePermissionException):
        await driver.update_metadata(path, WriteOptions(content_type="a/b"))
    assert (outside / "file").stat().st_ctime_ns == before.st_ctime_ns
    assert os.listxattr(outside / "file") == []


def refusing(number: int) -> Callable[..., Any]:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return refuse


@pytest.mark.parametrize(
    ("call", "number", "error"),
    [
        ("setxattr", 95, UnsupportedOperationException),
        ("setxattr", 28, Exception),
        ("utime", 1, StoragePermissionException),
    ],
)
async def test_update_metadata_that_fails_changes_nothing(
    driver: LocalDriver,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    number: int,
    error: type[Exception],
) -> None:
    etag = await driver.write_file("a", b"content", DECLARED)
    before = (root / "a").stat()
    with monkeypatch.context() as patched:
        patched.setattr(os, call, refusing(number))
        with pytest.raises(error):
            await driver.update_metadata("a", WriteOptions(content_type="a/b"))
    info = await driver.stat("a")
    assert (info.etag, info.content_type) == (etag, "text/x-odd")
    assert (root / "a").stat().st_mtime_ns == before.st_mtime_ns


async def test_update_metadata_refuses_too_much_and_changes_nothing(driver: LocalDriver) -> None:
    etag = await driver.write_file("a", b"content", DECLARED)
    with pytest.raises(RejectedException):
        await driver.update_metadata("a", WriteOptions(metadata={"k": "x" * 100_000}))
    info = await driver.stat("a")
    assert (info.etag, info.metadata) == (etag, DECLARED.metadata)


async def test_update_metadata_gives_a_new_etag_after_the_clock_was_set_back(
    driver: LocalDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    etag = await driver.write_file("a", b"content", DECLARED)
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    assert await driver.update_metadata("a", WriteOptions(content_type="a/b")) != etag


@pytest.mark.parametrize(
    "record",
    [
        b"[" * 3500,
        b'{"metadata": ' + b"[" * 3000,
        b"\xff\xfe",
        b"null",
        b'{"content_type": 1, "metadata": {"a": 1}}',
        b'{"content_type": "text/html\\r\\nSet-Cookie: a=b"}',
        b'{"content_disposition": "\\ud800"}',
        b'{"metadata": {"a": "\\ud800"}}',
        b'{"metadata": {"a\\n": "b"}}',
        b"1" * 3800,
    ],
)
async def test_attribute_that_no_put_wrote_declares_nothing(tmp_path: Path, record: bytes) -> None:
    driver = LocalDriver(tmp_path)
    await driver.put("a", b"content")
    os.setxattr(tmp_path / "a", "user.jtc.storage", record)
    info = await driver.stat("a")
    assert (info.content_type, info.content_disposition, info.metadata) == (None, None, {})
    await driver.copy_file("a", "b", WriteOptions())
    await driver.update_metadata("a", WriteOptions(content_type="text/x"))
    assert (await driver.stat("a")).content_type == "text/x"
