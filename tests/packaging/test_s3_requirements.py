"""Versions that pip finds for the S3 driver beside boto3, and beside aioboto3."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name
from packaging.version import Version

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]


def pins(file: str) -> dict[str, str]:
    """Return the version of each package."""
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    pairs = (line.split("==") for line in lines if not line.startswith("#"))
    return {canonicalize_name(name): version for name, version in pairs}


NEWER = pins("constraints.txt")
OLDER = pins("constraints-aioboto3.txt")


def test_s3_driver_resolves_beside_newer_boto3(resolve: Callable[..., dict[str, str]]) -> None:
    found = resolve("boto3", extra="", constraints=NEWER)
    assert "aioboto3" not in found
    for name in ("aiobotocore", "aiohttp", "boto3", "botocore"):
        assert found[name] == NEWER[name]


def test_s3_driver_resolves_beside_aioboto3(resolve: Callable[..., dict[str, str]]) -> None:
    found = resolve(extra="[aioboto3]", constraints={**NEWER, **OLDER})
    assert found.items() >= OLDER.items()


def test_constraints_pin_newer_versions_than_aioboto3_does() -> None:
    assert OLDER.keys() - NEWER.keys() == {"aioboto3"}
    for name in ("aiobotocore", "boto3", "botocore"):
        assert Version(OLDER[name]) < Version(NEWER[name])
