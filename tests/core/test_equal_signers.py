"""Two disks of one manager that would accept each other's presigned URLs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage import StorageManager
from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.exceptions import StorageConfigException

if TYPE_CHECKING:
    from pathlib import Path

ONE, OTHER = "1" * 32, "2" * 32
BOTH_NAMED = r"The disks '(a|b)' and '(a|b)' have the base_url '/files' and a secret in common"


def configured(tmp_path: Path, a: dict[str, Any], b: dict[str, Any]) -> StorageManager:
    tables = {
        name: {"driver": "local", "root": str(tmp_path / name), "base_url": "/files", **options}
        for name, options in (("a", a), ("b", b))
    }
    return StorageManager.isolated({"disks": tables})


@pytest.mark.parametrize("first", ["a", "b"])
@pytest.mark.parametrize(
    ("a", "b"),
    [
        ({"secret": ONE}, {"secret": ONE}),
        ({"secret": ONE}, {"secret": [OTHER, ONE]}),  # it verifies by the old one, too
        ({"secret": ONE}, {"secret": ONE, "base_url": "/files/"}),
        ({"secret": ONE, "layers": ["read_only"]}, {"secret": ONE}),
    ],
)
async def test_second_of_two_disks_with_one_signature_is_refused(
    tmp_path: Path, a: dict[str, Any], b: dict[str, Any], first: str
) -> None:
    manager = configured(tmp_path, a, b)
    second = "b" if first == "a" else "a"
    await manager.disk(first).exists("x")
    for _ in range(2):
        with pytest.raises(StorageConfigException, match=BOTH_NAMED) as caught:
            await manager.disk(second).exists("x")
        assert caught.value.disk == second
        assert ONE not in str(caught.value)
    await manager.disk(first).exists("x")


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ({}, {}),
        ({"secret": ONE}, {}),
        ({"secret": ONE}, {"secret": OTHER}),
        ({"secret": ONE}, {"secret": ONE, "base_url": "/others"}),
    ],
)
async def test_disks_with_their_own_signatures_are_used_together(
    tmp_path: Path, a: dict[str, Any], b: dict[str, Any]
) -> None:
    manager = configured(tmp_path, a, b)
    assert await manager.disk("a").exists("x") is await manager.disk("b").exists("x") is False


async def test_two_names_of_the_same_files_are_used_together(tmp_path: Path) -> None:
    root = str(tmp_path)
    manager = configured(tmp_path, {"secret": ONE, "root": root}, {"secret": ONE, "root": root})
    await manager.disk("a").put("x", b"1")
    assert await manager.disk("b").exists("x")
    driver = MemoryDriver(base_url="/memory", secret=ONE)
    manager.set_driver(driver, "c")
    manager.set_driver(driver)


async def test_set_driver_refuses_the_signature_of_another_disk(tmp_path: Path) -> None:
    manager = StorageManager.isolated()
    manager.set_driver(MemoryDriver(base_url="/files", secret=ONE), "a")
    before = MemoryDriver()
    manager.set_driver(before, "b")
    with pytest.raises(StorageConfigException, match=BOTH_NAMED):
        manager.set_driver(LocalDriver(tmp_path, "/files", secret=ONE), "b")
    assert manager.disk("b").driver is before
    manager.set_driver(LocalDriver(tmp_path, "/files", secret=ONE), "a")  # in place of it
    manager.forget("a")
    manager.set_driver(MemoryDriver(base_url="/files", secret=ONE), "b")


async def test_build_refuses_the_signature_of_another_disk(tmp_path: Path) -> None:
    manager = StorageManager.isolated({})
    table = {"driver": "local", "base_url": "/files", "secret": ONE}
    one = manager.build({**table, "root": str(tmp_path / "one")})
    with pytest.raises(StorageConfigException, match="'built' and 'another built'"):
        manager.build({**table, "root": str(tmp_path / "other")})
    again = manager.build({**table, "root": str(tmp_path / "one")})
    assert await one.exists("x") is await again.exists("x") is False
    del one, again
    assert await manager.build({**table, "root": str(tmp_path / "other")}).exists("x") is False


def test_fakes_of_such_disks_are_used_together(tmp_path: Path) -> None:
    manager = configured(tmp_path, {"secret": ONE}, {"secret": OTHER})
    with manager.fake("a", "b"):
        assert manager.disk("a").url("x") == manager.disk("b").url("x") == "/files/x"
