"""Uploads that no row names yet: held for a form, or sent straight to the store, and their claims.

A form that is shown again keeps its file by a token: `hold` stores the file and returns one.

To upload straight to the store, a client gets a presigned request and a token. The request stores
the file in a directory of its own where nothing reads it. A claim looks at what was really stored,
and copies it to the key of a new attachment: the client can repeat the request, but not reach that
key.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import TYPE_CHECKING, Any

from jtc.storage.attachments._ingest import (
    complete,
    discarded_on_failure,
    ingest,
    kind_of,
    needs_copy,
    new_attachment,
    new_file_options,
    stored_info,
)
from jtc.storage.attachments._names import display_name
from jtc.storage.attachments.tokens import UPLOAD_KIND, TokenException, read_payload, sign_payload
from jtc.storage.driver_support.content import Spool, driver_content
from jtc.storage.driver_support.content_checks import check_type, check_types, limits
from jtc.storage.driver_support.mime_types import (
    OCTET_STREAM,
    SNIFF_BYTES,
    checked_types,
    is_active,
)
from jtc.storage.exceptions import (
    FileNotFoundException,
    PreconditionFailedException,
    RejectedException,
)
from jtc.storage.layer import layers_of

if TYPE_CHECKING:
    from jtc.storage import Disk
    from jtc.storage.attachments.fields import Field
    from jtc.storage.attachments.models import Attachment
    from jtc.storage.driver_support.content import Content
    from jtc.storage.models import FileInfo, PresignedRequest

__all__ = [
    "Claimed",
    "DirectUpload",
    "HeldUpload",
    "begin_upload",
    "claim_token",
    "claim_upload",
    "hold",
]

_FILE = "upload"


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectUpload:
    """What a client needs to upload a file straight to the store.

    Attributes:
        request: The presigned request, which the client sends with the file as its body.
        token: What it hands back afterwards; see `claim_token`.
        disk: The name of the disk, for an application that receives the file by itself (tus).
        path: The path at which the file arrives, for the same.
    """

    request: PresignedRequest | None
    token: str
    disk: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldUpload:
    """A stored file that waits for its row.

    Attributes:
        attachment: The attachment, whose URLs show a preview.
        token: What the client hands back with the whole form.
    """

    attachment: Attachment
    token: str = dataclass_field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """What a token led to.

    Attributes:
        attachment: The attachment.
        token_id: What identifies the token: the database commits each once.
        is_new: Whether the claim stored the attachment's files: they are deleted if no transaction
            commits. The others stay, since a client may bring their token again.
        left: A disk and a directory whose files are no longer needed once the claim is committed;
            without that, `purge` deletes them.
    """

    attachment: Attachment
    token_id: str
    is_new: bool
    left: tuple[str, str] | None


async def begin_upload(
    field: Field,
    owner: object,
    *,
    size: int | None = None,
    content_type: str | None = None,
    name: str = "",
    expires_in: float = 3600,
    presigned: bool = True,
) -> DirectUpload:
    """Return a presigned request that uploads one file to a field's disk, and its token.

    Args:
        field: The field.
        owner: Who uploads: the id of a user, or of an anonymous session.
        size: The length in bytes that the upload must have; needed where the field has a limit.
        content_type: The type that the client's request must declare; of none, and of one that
            browsers run, ``application/octet-stream``. The attachment has the type that its content
            proves.
        name: The client's file name, for display.
        expires_in: For how many seconds the request and the token are valid.
        presigned: False makes no request, for an application that receives the file by itself.

    Raises:
        RejectedException: The size or the type is not one that the field accepts.
        UnsupportedOperationException: The disk cannot sign requests.
        ValueError: There is no owner, or the time is not above 0.
    """
    if size is None and field.max_size is not None and presigned:
        raise ValueError("The field limits sizes: pass the 'size' that the client's file has")
    _check_announced(field, size, content_type)
    await field.registry.check_field(field)
    upload_id, directory = field.new_directory()
    values: dict[str, Any] = {"id": upload_id, "name": display_name(name), "size": size}
    place = (field.disk_name, directory)
    token = sign_payload(field.registry, UPLOAD_KIND, field, owner, place, values, expires_in)
    path = f"{directory}/{upload_id}/{_FILE}"
    request = None
    if presigned:
        # A page that a client sends to a public disk must not be one there.
        is_plain = content_type is not None and not is_active(content_type)
        request = await field.disk.temporary_upload_url(
            path,
            expires_in,
            content_type=content_type if is_plain else OCTET_STREAM,
            size=size,
        )
    return DirectUpload(request=request, token=token, disk=field.disk_name, path=path)


def _check_announced(field: Field, size: int | None, content_type: str | None) -> None:
    if size is not None:
        limits(size=size, min_size=field.min_size, max_size=field.max_size)
    if content_type is not None and field.types is not None:
        check_type(content_type, checked_types(field.types))


async def hold(
    field: Field,
    upload: Content,
    owner: object,
    *,
    name: str | None = None,
    expires_in: float = 3600,
) -> HeldUpload:
    """Store a file for a row that is written later, such as that of a form with errors.

    No session has the file: `purge` deletes it if its token is never claimed.

    Args:
        field: The field.
        upload: The content, such as FastAPI's ``UploadFile``.
        owner: Who uploads: the id of a user, or of an anonymous session.
        name: The file name for display; None is the upload's own.
        expires_in: For how many seconds the token is valid.

    Raises:
        RejectedException: A limit or a type of the field refuses the content.
        StorageException: The storage failed.
        TypeError: The content is of a wrong type.
        ValueError: There is no owner, or the time is not above 0.
    """
    attachment = await ingest(field, upload, name=name)
    token = field.registry.issue_token(field, attachment, owner, expires_in)
    return HeldUpload(attachment=attachment, token=token)


async def claim_token(field: Field, token: str, owner: object) -> Claimed:
    """Return the attachment of a token of either kind: of a stored file, or of a direct upload.

    Raises:
        TokenException: The token is not valid for this field and owner, or has expired.
        RejectedException: Nothing was uploaded, or a limit or a type of the field refuses it.
        StorageException: The storage failed.
    """
    try:
        attachment = field.registry.read_token(field, token, owner)
    except TokenException as error:
        if error.reason != "token":
            raise
        return await _claim(field, token, owner)
    return Claimed(attachment=attachment, token_id=attachment.id, is_new=False, left=None)


async def claim_upload(field: Field, token: str, owner: object) -> Attachment:
    """Return a new attachment of what was uploaded with a token of `begin_upload`.

    Raises:
        TokenException: The token is not valid for this field and owner, or has expired.
        RejectedException: Nothing was uploaded, or a limit or a type of the field refuses it.
        StorageException: The storage failed.
    """
    return (await _claim(field, token, owner)).attachment


async def _claim(field: Field, token: str, owner: object) -> Claimed:
    values, (disk_name, directory) = read_payload(field.registry, UPLOAD_KIND, field, token, owner)
    upload = f"{directory}/{values['id']}"
    disk = field.registry.disk(disk_name)
    await _release(disk, f"{upload}/{_FILE}")
    try:
        info = await disk.confirm_upload(f"{upload}/{_FILE}")
    except FileNotFoundException as error:
        raise RejectedException(
            "Nothing was uploaded with this token yet", reason="upload"
        ) from error
    if values["size"] is not None and info.size != values["size"]:
        raise RejectedException(
            f"The upload has {info.size} bytes, not {values['size']} as announced", reason="size"
        )
    limits(size=info.size, min_size=field.min_size, max_size=field.max_size)
    try:
        attachment = await _copied(field, disk, info, values["name"])
    except PreconditionFailedException as error:
        raise RejectedException(
            "The upload was replaced while it was claimed: claim it again", reason="upload"
        ) from error
    return Claimed(
        attachment=attachment, token_id=values["id"], is_new=True, left=(disk_name, upload)
    )


async def _release(disk: Disk, path: str) -> None:
    """Have an upload scanned and stored, if the disk has a scanning layer that staged it."""
    try:
        from jtc.storage.layers.clamav_layer import Scan, release  # noqa: PLC0415 - may be missing
    except ImportError:
        return  # no disk has the layer
    if any(isinstance(layer, Scan) and layer.staging for layer in layers_of(disk.driver)):
        # Missing where it was not sent yet, or where an earlier claim has released it.
        with contextlib.suppress(FileNotFoundException):
            await release(disk, path)


async def _copied(field: Field, disk: Disk, upload: FileInfo, name: str) -> Attachment:
    head = await disk.get_range(upload.path, 0, SNIFF_BYTES, if_match=upload.etag)
    kind = kind_of(field, name, head)
    if field.types is not None:
        check_types(f"original{kind.extension}", head, checked_types(field.types))
    new = new_attachment(field, kind, name, field.properties)
    options = new_file_options(field.disk, kind.content_type, copied_from=disk)
    async with discarded_on_failure(new, field.disk):
        await disk.copy(upload.path, new.key, to=field.disk, if_source_match=upload.etag, **options)
        info = await stored_info(field.disk, new.key, upload.size)
        stored = new.changed(size=info.size, etag=info.etag)
        if not needs_copy(field, kind.content_type):
            return stored
        async with (
            field.disk.stream(new.key) as stream,
            Spool(driver_content(stream)) as whole,
        ):
            return await complete(field, stored, whole)
