"""Disks on scripted stores, whose retries do not wait."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from jtc.storage import Disk, StorageManager
from recorded_pauses import recorded_pauses
from scripted_store import ScriptedStore

MakeDisk = Callable[..., Disk]


@pytest.fixture(autouse=True)
def no_aws_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide keys, regions and profiles of this machine's user."""
    for name in os.environ:
        if name.startswith(("AWS_", "FILESYSTEM_")):
            monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Record the pauses between retries instead of waiting; the longest of the random ones."""
    return recorded_pauses(monkeypatch)


@pytest.fixture
async def store() -> AsyncIterator[ScriptedStore]:
    async with ScriptedStore() as scripted:
        yield scripted


@pytest.fixture
async def make_disk() -> AsyncIterator[MakeDisk]:
    """Make disks of a store; each is closed when the test ends."""
    managers: list[StorageManager] = []

    def make(store: ScriptedStore, **options: Any) -> Disk:
        given = {
            "driver": "s3",
            "bucket": store.bucket,
            "endpoint_url": store.endpoint_url,
            "access_key": "AKIDEXAMPLE",
            "secret_key": "SECRET-KEY",
            **options,
        }
        # None: leave an option out.
        disk = {name: value for name, value in given.items() if value is not None}
        manager = StorageManager.isolated({"default": "s3", "disks": {"s3": disk}})
        managers.append(manager)
        return manager.disk()

    yield make
    for manager in managers:
        await manager.aclose()


@pytest.fixture
def disk(store: ScriptedStore, make_disk: MakeDisk) -> Disk:
    return make_disk(store)
