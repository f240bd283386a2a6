"""Conditional reads, ranges, metadata and listings of the sync API, on each kind of disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jtc.storage import (
    DirectoryInfo,
    InvalidPathException,
    NotModifiedException,
    PathConflictException,
    PreconditionFailedException,
    RejectedException,
    UnsupportedOperationException,
    Usage,
)

if TYPE_CHECKING:
    from jtc.storage.sync import SyncDisk, SyncStorage


def test_reads_under_a_condition(disk: SyncDisk) -> None:
    disk.put("a", b"0123456789")
    etag = disk.stat("a").etag
    assert disk.get("a", if_match=etag) == b"0123456789"
    assert disk.get_range("a", 2, 4, if_match=etag) == b"23"
    assert b"".join(disk.stream("a", if_match=etag)) == b"0123456789"
    assert disk.stat("a", if_match=etag).size == 10
    with pytest.raises(NotModifiedException) as raised:
        disk.get("a", if_none_match=etag)
    assert (raised.value.path, raised.value.operation) == ("a", "get")
    with pytest.raises(NotModifiedException):
        next(disk.stream("a", if_none_match=etag))
    with pytest.raises(NotModifiedException):
        disk.stat("a", if_none_match=etag)
    disk.put("a", b"another content")
    assert disk.get("a", if_none_match=etag) == b"another content"
    with pytest.raises(PreconditionFailedException):
        disk.get_range("a", 0, if_match=etag)


def test_get_ranges(disk: SyncDisk) -> None:
    disk.put("a", b"0123456789")
    etag = disk.stat("a").etag
    ranges = [(8, None), (0, 2), (1, 3), (-1, None), (99, None)]
    assert disk.get_ranges("a", ranges, if_match=etag) == [b"89", b"01", b"12", b"9", b""]
    assert disk.get_ranges("a", iter([])) == []
    with pytest.raises(NotModifiedException):
        disk.get_ranges("a", [(0, 1)], if_none_match=etag)
    with pytest.raises(ValueError, match="A range ends"):
        disk.get_ranges("a", [(2, 1)])


def test_set_metadata(disk: SyncDisk) -> None:
    disk.put("a.txt", b"content", content_type="text/x-odd", metadata={"by": "me"})
    disk.set_metadata("a.txt", metadata={"by": "you"})
    info = disk.stat("a.txt")
    assert (info.content_type, info.metadata) == ("text/x-odd", {"by": "you"})
    assert disk.get("a.txt") == b"content"
    with pytest.raises(PreconditionFailedException):
        disk.set_metadata("a.txt", content_type="x/y", if_match="another")
    with pytest.raises(TypeError, match="at least one"):
        disk.set_metadata("a.txt")


def test_what_is_in_a_directory(disk: SyncDisk) -> None:
    for path in ("a.csv", "dir/b.csv", "dir/sub/c.txt"):
        disk.put(path, path)
    assert disk.glob("**/*.csv") == ["a.csv", "dir/b.csv"]
    assert disk.usage("dir") == Usage(files=2, bytes=len("dir/b.csv") + len("dir/sub/c.txt"))
    assert disk.entry("dir/b.csv") == disk.stat("dir/b.csv")
    assert disk.entry("dir/sub") == DirectoryInfo(path="dir/sub")
    assert disk.entry("nowhere") is disk.entry("a.csv/below") is None
    listing = [entry.path for entry in disk.list(recursive=True, directories=True)]
    assert listing == ["a.csv", "dir", "dir/b.csv", "dir/sub", "dir/sub/c.txt"]


def test_remove_empty_directory(disk: SyncDisk) -> None:
    disk.put("dir/a", b"")
    disk.make_directory("made")
    if "empty_directory_removal" not in disk.capabilities:
        with pytest.raises(UnsupportedOperationException):
            disk.remove_empty_directory("made")
        return
    with pytest.raises(PathConflictException):
        disk.remove_empty_directory("dir")
    assert disk.remove_empty_directory("made") is True
    assert disk.remove_empty_directory("made") is False


def test_put_of_a_smallest_length(disk: SyncDisk) -> None:
    with pytest.raises(RejectedException):
        disk.put("a", b"", min_size=1)
    assert disk.missing("a")


def test_reserved_directory_is_refused(disk: SyncDisk) -> None:
    for call in (disk.get, disk.exists, disk.url, disk.files, disk.usage, disk.entry):
        with pytest.raises(InvalidPathException, match="reserved"):
            call(".jtc/x")


def test_temporary_urls(storage: SyncStorage) -> None:
    with storage.build({"driver": "memory", "base_url": "/s", "secret": "s" * 32}) as disk:
        urls = disk.temporary_urls(["a", "b"], 60, stable_for=1e9)
        assert urls == {path: disk.temporary_url(path, 60, stable_for=1e9) for path in "ab"}
        form = disk.temporary_upload_form("a", 60, min_size=1, max_size=9)
        assert (form.fields["min_length"], form.fields["length"]) == ("1", "9")
