"""Uploads that clients send straight to the store."""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from attachment_fields import SECRET, added
from jtc.storage import StorageManager
from jtc.storage.attachments import Registry
from jtc.storage.attachments.plain import store
from jtc.storage.attachments.tokens import TokenException
from jtc.storage.attachments.uploads import begin_upload, claim_token, claim_upload
from jtc.storage.exceptions import RejectedException
from jtc.storage.hookspecs import Uploaded, hookimpl

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jtc.storage.attachments.uploads import DirectUpload
    from seaweedfs import SeaweedFS

PDF = b"%PDF-1.7\n" + bytes(range(100))


@pytest.fixture
async def registry(seaweedfs: SeaweedFS, folder: str) -> AsyncIterator[Registry]:
    """Return a registry whose disk is a real S3 store."""
    options = {"driver": "s3", "bucket": seaweedfs.bucket, **seaweedfs.options}
    storage = StorageManager.isolated({"disks": {"media": options}})
    yield Registry(namespace=folder, secret=SECRET, storage=storage)
    await storage.aclose()


async def send(upload: DirectUpload, content: bytes) -> int:
    """Send a file as a client does; return the status."""
    request = upload.request
    assert request is not None
    async with (
        aiohttp.ClientSession() as session,
        session.request(
            request.method, request.url, headers=dict(request.headers), data=io.BytesIO(content)
        ) as response,
    ):
        return response.status


async def test_claim_upload_makes_an_attachment_that_the_client_cannot_reach(
    registry: Registry,
) -> None:
    field = added(registry, max_size="1MB", types={"application/*"}, properties={"from": "web"})
    upload = await begin_upload(
        field, "anna", size=len(PDF), content_type="application/pdf", name="../me.pdf"
    )
    assert await send(upload, PDF) == 200

    claimed = await claim_token(field, upload.token, "anna")
    made = claimed.attachment
    assert claimed.is_new
    assert (made.name, made.content_type, made.file) == (
        "me.pdf",
        "application/pdf",
        "original.pdf",
    )
    assert (made.size, made.properties) == (len(PDF), {"from": "web"})
    # The client sends another file by the same request: the attachment stays as it is.
    assert await send(upload, PDF[:-1] + b"x") == 200
    assert await field.disk.get(made.key) == PDF
    assert upload.path.rpartition("/")[0] == claimed.left[1]  # type: ignore[index]
    assert made.own_directory != claimed.left[1]  # type: ignore[index]


async def test_claim_upload_twice_has_one_token_id_and_two_files(registry: Registry) -> None:
    field = added(registry)
    upload = await begin_upload(field, 1, size=len(PDF))
    await send(upload, PDF)
    first, second = await asyncio.gather(
        claim_token(field, upload.token, 1), claim_token(field, upload.token, 1)
    )
    assert first.token_id == second.token_id
    assert first.attachment.id != second.attachment.id


async def test_claim_upload_judges_what_was_stored(registry: Registry) -> None:
    field = added(registry, types={"application/*"})
    page = b"<script>alert(1)</script>"
    upload = await begin_upload(
        field, 1, size=len(page), content_type="application/pdf", name="me.pdf"
    )
    assert await send(upload, page) == 200
    with pytest.raises(RejectedException) as refused:
        await claim_upload(field, upload.token, 1)
    assert refused.value.reason == "type"
    assert await field.disk.all_files(registry.namespace) == [upload.path]


async def test_claim_upload_runs_analyzers_on_the_content(registry: Registry) -> None:
    def length(file: Any) -> dict[str, Any]:
        return {"length": len(file.read())}

    field = added(registry, analyzers=[length])
    content = PDF + bytes(2_000_000)
    upload = await begin_upload(field, 1, size=len(content))
    assert await send(upload, content) == 200
    assert (await claim_upload(field, upload.token, 1)).properties == {"length": len(content)}


async def test_claim_upload_before_the_upload_is_refused(registry: Registry) -> None:
    field = added(registry)
    upload = await begin_upload(field, 1, size=5)
    with pytest.raises(RejectedException) as refused:
        await claim_upload(field, upload.token, 1)
    assert refused.value.reason == "upload"
    with pytest.raises(TokenException):
        await claim_upload(field, upload.token, 2)
    with pytest.raises(TokenException):
        registry.read_token(field, upload.token, 1)


async def test_claim_token_of_a_stored_file_reads_no_storage(registry: Registry) -> None:
    field = added(registry)
    made = await store(field, io.BytesIO(PDF))
    token = registry.issue_token(field, made, 1)
    await field.disk.delete_directory(made.own_directory)
    claimed = await claim_token(field, token, 1)
    assert (claimed.attachment, claimed.token_id, claimed.is_new) == (made, made.id, False)


async def test_begin_upload_refuses_what_the_field_would(registry: Registry) -> None:
    field = added(registry, max_size=1000, min_size=10, types={"application/*"})
    for given, reason in (
        ({"size": 1001}, "size"),
        ({"size": 9}, "min_size"),
        ({"size": 50, "content_type": "text/html"}, "type"),
    ):
        with pytest.raises(RejectedException) as refused:
            await begin_upload(field, 1, **given)  # type: ignore[arg-type]
        assert refused.value.reason == reason
    with pytest.raises(ValueError, match="limits sizes"):
        await begin_upload(field, 1)


async def test_claim_upload_of_a_file_that_the_application_received(registry: Registry) -> None:
    field = added(registry, max_size=1000)
    upload = await begin_upload(field, 1, presigned=False)
    assert upload.request is None
    await registry.disk(upload.disk).put(upload.path, PDF)
    assert (await claim_upload(field, upload.token, 1)).size == len(PDF)
    await registry.disk(upload.disk).put(upload.path, bytes(1001))
    with pytest.raises(RejectedException, match="longer"):
        await claim_upload(field, upload.token, 1)


async def test_begin_upload_makes_no_page_on_the_store(registry: Registry) -> None:
    field = added(registry)
    page = b"<script>alert(1)</script>"
    for declared in (None, "text/html", "image/svg+xml"):
        upload = await begin_upload(field, 1, size=len(page), content_type=declared)
        assert upload.request is not None
        assert upload.request.headers["Content-Type"] == "application/octet-stream"
        assert await send(upload, page) == 200
        assert (await field.disk.stat(upload.path)).content_type == "application/octet-stream"


async def test_claim_upload_of_a_file_that_is_replaced_meanwhile_is_refused(
    registry: Registry,
) -> None:
    field = added(registry)
    upload = await begin_upload(field, 1, size=len(PDF))
    replaced = PDF[:-1] + b"x"
    await send(upload, PDF)

    class Replacing:
        @hookimpl
        async def storage_uploaded(self, event: Uploaded) -> None:
            if event.path == upload.path and event.operation == "confirm_upload":
                await send(upload, replaced)

    registry.storage.hooks.register(Replacing())
    with pytest.raises(RejectedException) as refused:
        await claim_upload(field, upload.token, 1)
    assert refused.value.reason == "upload"
    assert await field.disk.all_files(registry.namespace) == [upload.path]
    # The second time the content is the same, and so is the etag.
    made = await claim_upload(field, upload.token, 1)
    assert await field.disk.get(made.key) == replaced
