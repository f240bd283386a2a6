"""Attachments without a mapper, as an application's type checker sees them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import BinaryIO, assert_type

from jtc.storage.attachments import Attachment, AttachmentList, Field, Registry
from jtc.storage.attachments.models import PublicAttachment
from jtc.storage.attachments.plain import delete, duplicate, store
from jtc.storage.attachments.remote import fetch, from_data_uri
from jtc.storage.attachments.uploads import begin_upload, claim_token, claim_upload


def words(file: BinaryIO) -> dict[str, int]:
    return {"words": len(file.read().split())}


async def album(file: BinaryIO) -> Mapping[str, str]:
    return {"album": file.name}


def fields() -> None:
    Field("media", "a", max_size="5MB", min_size=1, analyzers=[words, album], serve="direct")
    Field("media", "a", moved_from=["old", ("older", "b")], types={"image/*"})
    Field("media", "a", max_siz=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Field("media", "a", serve="rout")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def files(field: Field, registry: Registry) -> None:
    made = await store(field, b"content", name="a.txt", properties={"a": 1})
    assert_type(made, Attachment)
    assert_type(await duplicate(made, field), Attachment)
    assert_type(made.with_properties(a=None), Attachment)
    assert_type(made.to_public(), PublicAttachment)
    assert_type(made.to_public()["variants"]["thumb"]["width"], int | None)
    assert_type(registry.read_token(field, registry.issue_token(field, made, 1), 1), Attachment)
    await delete(field, made)
    made.name = "b.txt"


def urls(field: Field, made: Attachment, maybe: Attachment | None) -> None:
    assert_type(made.url("thumb", download="a.txt", expires_in=60), str)
    assert_type(made.srcset("thumb", "card"), str)
    assert_type(field.url_of(made), str)
    assert_type(field.url_of(maybe, "thumb"), str | None)
    assert_type(field.srcset_of(maybe), str)


def lists(photos: AttachmentList, made: Attachment) -> None:
    assert_type(photos[0], Attachment)
    assert_type(photos[1:], AttachmentList)
    assert_type(photos.with_added(made, at=0).without(made.id).moved(made.id, to=1), AttachmentList)
    assert_type(photos.find(made.id), Attachment | None)
    photos[0] = made  # type: ignore[index]  # pyright: ignore[reportIndexIssue]


async def from_clients(field: Field) -> None:
    upload = await begin_upload(field, "anna", size=5)
    assert_type((await claim_token(field, upload.token, "anna")).attachment, Attachment)
    assert_type(await claim_upload(field, upload.token, "anna"), Attachment)
    async with fetch("https://example.org/a.png", max_size="5MB") as remote:
        assert_type(await store(field, remote), Attachment)
    await store(field, from_data_uri("data:,a"))
