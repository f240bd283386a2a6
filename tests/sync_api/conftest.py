"""Fixtures: a manager for each test, with disks in memory, on files and on a real S3 store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from jtc.storage import StorageManager

if TYPE_CHECKING:
    from pathlib import Path

    from jtc.storage.sync import SyncDisk, SyncStorage

KINDS = ("memory", "local", "s3")


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[SyncStorage]:
    """Return the sync API of a manager with the disks ``memory`` (the default) and ``local``."""
    manager = StorageManager.isolated(
        {
            "default": "memory",
            "disks": {
                "memory": {"driver": "memory"},
                "local": {"driver": "local", "root": str(tmp_path / "files")},
            },
        }
    )
    with manager.sync as storage:
        yield storage


@pytest.fixture
def make_disk(
    storage: SyncStorage, request: pytest.FixtureRequest
) -> Iterator[Callable[[str], SyncDisk]]:
    """Return what gives a disk of a kind, empty; S3 is started where it is asked for."""
    built = []

    def make(kind: str) -> SyncDisk:
        if kind != "s3":
            return storage.disk(kind)
        store = request.getfixturevalue("seaweedfs")
        config = {"driver": "s3", "bucket": store.bucket, **store.options}
        built.append(storage.build(config))
        return built[-1].scoped(request.node.name.replace("[", "-").replace("]", ""))

    yield make
    for disk in built:
        disk.close()


@pytest.fixture(params=KINDS)
def disk(make_disk: Callable[[str], SyncDisk], request: pytest.FixtureRequest) -> SyncDisk:
    """Return a disk of each kind."""
    return make_disk(request.param)
