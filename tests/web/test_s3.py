"""Files of S3 over HTTP: the requests to the store."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from jtc.storage.asgi import serve
from jtc.storage.drivers.s3_driver import S3Driver
from scripted_store import ScriptedStore
from web_disks import disk_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jtc.storage import Disk
    from web_disks import Client

CONTENT = bytes(range(256)) * 4096


@asynccontextmanager
async def stored() -> AsyncIterator[tuple[ScriptedStore, Disk]]:
    """Give a store with one file, and a disk with its bucket."""
    async with ScriptedStore() as store:
        store.store("a.bin", CONTENT)
        keys = {"region": "us-east-1", "access_key": "key", "secret_key": "secret"}
        driver = S3Driver(store.bucket, endpoint_url=store.endpoint_url, **keys)
        disk = disk_of(driver)
        try:
            yield store, disk
        finally:
            await driver.aclose()


@pytest.mark.parametrize(
    ("headers", "status", "content", "operations"),
    [
        ({}, 200, CONTENT, ["GetObject"]),
        ({"Range": "bytes=5-9"}, 206, CONTENT[5:10], ["GetObject"]),
        ({"Range": "bytes=1000000-"}, 206, CONTENT[1_000_000:], ["GetObject"]),
        ({"Range": "bytes=-7"}, 206, CONTENT[-7:], ["GetObject"]),
        ({"Range": "bytes=0-1", "If-Range": "ETAG"}, 206, CONTENT[:2], ["GetObject"]),
        ({"If-None-Match": "ETAG"}, 304, b"", ["HeadObject"]),
        ({"If-None-Match": '"x"'}, 200, CONTENT, ["HeadObject", "GetObject"]),
        ({"Range": "bytes=99999999-"}, 416, None, ["GetObject", "HeadObject", "HeadObject"]),
        (
            {"Range": "bytes=0-1", "If-Range": '"x"'},
            *(200, CONTENT, ["GetObject", "HeadObject", "GetObject"]),
        ),
    ],
)
async def test_response_takes_one_request_where_the_answer_to_it_is_enough(
    client: Client,
    headers: dict[str, str],
    status: int,
    content: bytes | None,
    operations: list[str],
) -> None:
    async with stored() as (store, disk):
        etag = store.objects["a.bin"].etag
        http = client(serve(disk, public=True))
        sent = {name: etag if value == "ETAG" else value for name, value in headers.items()}
        response = await http.get("/a.bin", headers=sent)
        assert response.status_code == status
        assert content is None or response.content == content
        assert [request.operation for request in store.requests] == operations
