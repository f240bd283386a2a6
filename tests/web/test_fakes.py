"""Links of fake disks, opened by a test client."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from jtc.storage import DiskOperations, Storage, StorageManager
from jtc.storage.asgi import serve

SECRET = "a secret of the real disk, 32 bytes"

CONFIGURED: dict[str, dict[str, Any]] = {
    "local": {"driver": "local", "root": "/nowhere", "base_url": "/storage", "secret": SECRET},
    "elsewhere": {"driver": "local", "base_url": "https://example.org/files", "secret": SECRET},
    "memory": {"driver": "memory", "base_url": "/in-memory", "secret": SECRET},
    "s3": {"driver": "s3", "bucket": "media", "region": "eu-west-1"},
    "minio": {"driver": "s3", "bucket": "media", "endpoint_url": "http://localhost:9000"},
}


def client_of(disk: DiskOperations) -> httpx.AsyncClient:
    """Return a client of an application that serves a disk where its URLs lead."""
    base = urlsplit(disk.url("x")).path.removesuffix("/x")
    app = Starlette(routes=[Mount(base, serve(disk))])
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://testserver")


@pytest.mark.parametrize("name", [*CONFIGURED, "not configured"])
async def test_links_of_a_fake_are_answered_by_serve(name: str) -> None:
    manager = StorageManager.isolated({"disks": CONFIGURED})
    if name == "not configured":
        manager, name = StorageManager.isolated(), "s3"
    with manager.fake(name) as fake:
        client = client_of(manager.disk(name))
        await fake.put("a b/ä.txt", "text", visibility="private")
        path = urlsplit(fake.url("a b/ä.txt")).path
        assert (await client.get(path)).status_code == 404
        answer = await client.get(
            await fake.temporary_url("a b/ä.txt", 60, content_disposition="inline")
        )
        assert (answer.status_code, answer.text) == (200, "text")
        assert answer.headers["content-disposition"] == "inline"

        await fake.set_visibility("a b/ä.txt", "public")
        assert (await client.get(fake.url("a b/ä.txt"))).text == "text"

        request = await fake.temporary_upload_url("b.png", 60, content_type="image/png", size=3)
        sent = await client.put(request.url, content=b"123", headers=dict(request.headers))
        assert sent.status_code == 200
        fake.assert_exists("b.png", b"123")
        assert await fake.mime_type("b.png") == "image/png"
        assert (
            await client.put(request.url, content=b"1234", headers=dict(request.headers))
        ).is_error

        form = await fake.temporary_upload_form("c.txt", 60, max_size=3)
        for content, status in ((b"123", 204), (b"1234", 413)):
            sent = await client.post(form.url, data=dict(form.fields), files={"file": content})
            assert sent.status_code == status
        fake.assert_exists("c.txt", b"123")


async def test_link_of_one_fake_is_none_of_another() -> None:
    manager = StorageManager.isolated({"disks": CONFIGURED})
    with manager.fake("local") as first:
        await first.put("a.txt", "text")
        link = await first.temporary_url("a.txt", 60)
        client = client_of(manager.disk("local"))
        assert (await client.get(link)).status_code == 200
    with manager.fake("local") as second:
        await second.put("a.txt", "text")
        client = client_of(manager.disk("local"))
        assert (await client.get(link)).status_code == 403


async def test_fake_of_the_process_serves_the_default_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FILESYSTEM_SECRET", SECRET)
    monkeypatch.delenv("FILESYSTEM_DISK", raising=False)
    with Storage.fake() as fake:
        await fake.put("a.txt", "text")
        link = await fake.temporary_url("a.txt", 60)
        assert link.startswith("/storage/a.txt?")
        assert (await client_of(Storage).get(link)).text == "text"
