"""Temporary files: their errors name TMPDIR, and say nothing of the disk's own files."""

from __future__ import annotations

import errno
import io
import os
import resource
import signal
import tempfile
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage import Disk, StorageFullException, StorageManager, StorageUnavailableException
from jtc.storage.driver_support.error_translation import temporary_file_errors
from small_drivers import EightMethods, Writing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

LONG = bytes(3 * 1024 * 1024)


@pytest.fixture
def disk() -> Disk:
    manager = StorageManager.isolated({})
    manager.set_driver(EightMethods(), "d")
    return manager.disk("d")


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temporary directory of this process."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


@pytest.fixture
def longest_file() -> Iterator[int]:
    """The longest file that this process may write from now on: as a directory that is full."""
    length = 1_500_000
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (length, limits[1]))
    yield length
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, ignored)


async def chunks() -> AsyncIterator[bytes]:
    for at in range(0, len(LONG), 100_000):
        yield LONG[at : at + 100_000]


CONTENTS = [lambda: io.BytesIO(LONG), chunks]


@pytest.mark.parametrize("content", CONTENTS, ids=["file", "async"])
async def test_put_without_a_temporary_directory_names_tmpdir(
    disk: Disk, content: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/nonexistent"])
    with pytest.raises(StorageUnavailableException, match="set TMPDIR") as raised:
        await disk.put("a", content())
    assert (raised.value.path, raised.value.operation, raised.value.disk) == ("a", "put", "d")
    assert not await disk.exists("a")


@pytest.mark.parametrize("content", CONTENTS, ids=["file", "async"])
async def test_put_with_a_temporary_directory_that_is_gone_names_it(
    disk: Disk, content: Any, temporary: Path
) -> None:
    temporary.rmdir()
    with pytest.raises(StorageUnavailableException) as raised:
        await disk.put("a", content())
    assert str(temporary) in str(raised.value)
    assert "TMPDIR" in str(raised.value)


@pytest.mark.usefixtures("longest_file")
@pytest.mark.parametrize("content", CONTENTS, ids=["file", "async"])
async def test_put_with_a_full_temporary_directory_names_it(
    disk: Disk, content: Any, temporary: Path
) -> None:
    with pytest.raises(StorageFullException) as raised:
        await disk.put("a", content())
    assert str(temporary) in str(raised.value)
    assert "TMPDIR" in str(raised.value)
    assert raised.value.errno == errno.EFBIG
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_temporary_file_errors_of_no_room_say_that_the_disk_is_not_full(
    number: int, temporary: Path
) -> None:
    with pytest.raises(StorageFullException) as raised, temporary_file_errors():
        raise OSError(number, "text")
    assert os.strerror(number) in str(raised.value)
    assert "the disk itself was not written to" in str(raised.value)
    assert str(temporary) in str(raised.value)


def test_temporary_file_errors_leave_others_alone() -> None:
    with pytest.raises(KeyError), temporary_file_errors():
        raise KeyError


@pytest.mark.usefixtures("longest_file")
async def test_open_file_with_a_full_temporary_directory_names_it(
    disk: Disk, temporary: Path
) -> None:
    await disk.put("a", b"old")
    with pytest.raises(StorageFullException, match="TMPDIR") as raised:  # noqa: PT012 - the block is
        async with disk.open("a", "wb") as file:
            await file.seek(0)
            for _ in range(3):
                await file.write(LONG)
    assert (raised.value.path, raised.value.operation, raised.value.disk) == ("a", "open", "d")
    assert await disk.get("a") == b"old"
    assert list(temporary.iterdir()) == []


async def test_open_file_that_does_not_seek_needs_no_temporary_directory(
    temporary: Path,
) -> None:
    manager = StorageManager.isolated({})
    manager.set_driver(Writing(), "d")
    disk = manager.disk("d")
    temporary.rmdir()
    async with disk.open("a", "wb") as file:
        for _ in range(3):
            await file.write(LONG)
    assert await disk.get("a") == LONG * 3
