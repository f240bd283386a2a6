"""Fixtures: a file system with a disk in memory, on files, or on a real S3 store."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any

import fsspec
import pytest

from jtc.storage import StorageManager
from jtc.storage.fsspec import JtcFileSystem
from jtc.storage.fsspec._configurations import configurations

if TYPE_CHECKING:
    from collections.abc import Iterator

KINDS = ("memory", "local", "s3")

_numbers = itertools.count(1)


@pytest.fixture(scope="session", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def config(
    kind: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[dict[str, Any]]:
    """Return the configuration of a disk ``media`` of each kind, which all tests share."""
    disk: dict[str, Any] = {"driver": kind}
    if kind == "local":
        disk["root"] = str(tmp_path_factory.mktemp("media"))
    elif kind == "s3":
        store = request.getfixturevalue("seaweedfs")
        disk |= {"bucket": store.bucket, **store.options}
    config = {"default": "media", "disks": {"media": disk}}
    yield config
    close(configurations.manager(config))


@pytest.fixture
def fs(config: dict[str, Any]) -> JtcFileSystem:
    return fsspec.filesystem("jtc", config=config)


@pytest.fixture
def root() -> str:
    """Return a directory on the disk that no other test uses, nor those of the S3 driver."""
    return f"media/fsspec-{next(_numbers)}"


def close(manager: StorageManager) -> None:
    """Close the connections that fsspec's event loop has."""
    asyncio.run_coroutine_threadsafe(manager.aclose(), fsspec.asyn.get_loop()).result()
