"""Roots that cannot be used: what is wrong with them is said, and a missing one is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jtc.storage.exceptions import (
    PathConflictException,
    StorageException,
    StoragePermissionException,
)
from jtc.storage.options import ListOptions
from local_ways import WAYS, local_driver

pytestmark = pytest.mark.parametrize("way", WAYS)

READS: dict[str, Any] = {
    "get": lambda d: d.get("a"),
    "exists": lambda d: d.exists("a"),
    "stat": lambda d: d.stat("a"),
    "delete": lambda d: d.delete("a"),
    "list": lambda d: anext(aiter(d.list_entries("", ListOptions())), None),
}


@pytest.mark.parametrize("place", ["link", "link/below/root"])
@pytest.mark.parametrize("call", [*READS, "put"])
async def test_root_behind_a_dangling_link_is_no_empty_disk(
    tmp_path: Path, place: str, call: str, way: str
) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "target")
    driver = local_driver(tmp_path / place, way)
    calls: dict[str, Any] = {**READS, "put": lambda d: d.put("a", b"")}
    with pytest.raises(PathConflictException, match="symbolic link to what does not exist") as e:
        await calls[call](driver)
    assert repr(str(tmp_path / "link")) in str(e.value)
    (tmp_path / "target").mkdir()
    await driver.put("a", b"")  # what is missing below the target is made


@pytest.mark.parametrize("root", ["/proc/no/such", "/sys/none", "/tmp/" + "x" * 300])
async def test_put_into_a_root_that_cannot_be_made_names_the_root(root: str, way: str) -> None:
    with pytest.raises(StorageException) as raised:
        await local_driver(Path(root), way).put("a", b"")
    assert not isinstance(raised.value, FileNotFoundError)
    assert repr(root) in str(raised.value)
    assert "'root'" in str(raised.value) or "cannot be opened" in str(raised.value)


async def test_put_into_a_root_that_may_not_be_made_or_opened_names_the_root(
    unprivileged: Path, way: str
) -> None:
    root = unprivileged / "root"
    driver = local_driver(root, way)
    try:
        unprivileged.chmod(0o555)
        with pytest.raises(StoragePermissionException, match="cannot be made") as raised:
            await driver.put("a", b"")
        assert repr(str(root)) in str(raised.value)
        unprivileged.chmod(0o755)
        await driver.put("a", b"")
        unprivileged.chmod(0)
        for call in READS.values():
            with pytest.raises(StoragePermissionException, match="may not") as raised:
                await call(local_driver(root, way))
            assert repr(str(root)) in str(raised.value)
    finally:
        unprivileged.chmod(0o755)
