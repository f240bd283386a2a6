"""Drivers on a real store, each test below a directory of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from s3_fixtures import driver, folder, make_driver, proxy, store_client

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["driver", "folder", "make_driver", "proxy", "store_client"]


@pytest.fixture
def empty_bucket(store_client: Any) -> str:
    """Empty a bucket for the test: a new one each time would cost a quarter of a second."""
    name = "empty-bucket"
    if name not in [each["Name"] for each in store_client.list_buckets()["Buckets"]]:
        store_client.create_bucket(Bucket=name)
    _empty(store_client, name, "")
    return name


@pytest.fixture
def uploads_below(store_client: Any) -> Callable[[str], list[Any]]:
    """Return the uploads below a directory that are neither completed nor aborted."""

    def uploads(folder: str) -> list[Any]:
        page = store_client.list_multipart_uploads(Bucket="test-bucket", Prefix=folder)
        return list(page.get("Uploads", ()))

    return uploads


def _empty(client: Any, bucket: str, prefix: str) -> None:
    page = client.list_objects_v2(Bucket=bucket, Prefix=prefix, Delimiter="/")
    for item in page.get("Contents", ()):
        client.delete_object(Bucket=bucket, Key=item["Key"])
    # SeaweedFS keeps directories; it deletes them from within.
    for directory in page.get("CommonPrefixes", ()):
        _empty(client, bucket, directory["Prefix"])
        client.delete_object(Bucket=bucket, Key=directory["Prefix"])
