"""Functions that store a file for an attribute, in the transaction of a session."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeAlias

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from jtc.storage.attachments._copies import duplicate as copied
from jtc.storage.attachments._ingest import discard, ingest
from jtc.storage.attachments.fields import Field
from jtc.storage.attachments.models import Attachment
from jtc.storage.attachments.sqlalchemy._columns import field_of
from jtc.storage.attachments.sqlalchemy._homes import home_of
from jtc.storage.attachments.sqlalchemy._staging import (
    begin_staging,
    own_session,
    stage,
    sync_session,
)
from jtc.storage.attachments.sqlalchemy._tables import insert_once
from jtc.storage.attachments.tokens import TokenException, token_used
from jtc.storage.attachments.uploads import claim_token
from jtc.storage.attachments.uploads import hold as held
from jtc.storage.exceptions import StorageConfigException

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.orm import Session

    from jtc.storage.attachments.sqlalchemy._columns import MappedField
    from jtc.storage.attachments.sqlalchemy._staging import AnySession
    from jtc.storage.attachments.uploads import Claimed, HeldUpload
    from jtc.storage.driver_support.content import Content

__all__ = ["claim", "duplicate", "hold", "store"]

AttachmentAttribute: TypeAlias = (
    InstrumentedAttribute[Attachment | None] | InstrumentedAttribute["Sequence[Attachment]"]
)
"""An attribute such as ``User.avatar`` or ``User.photos``."""


async def store(
    attribute: AttachmentAttribute,
    upload: Content,
    *,
    session: AnySession,
    name: str | None = None,
    properties: Mapping[str, Any] | None = None,
) -> Attachment:
    """Store an upload for an attribute, to be assigned to it and committed in this session.

    The file belongs to the session's transaction, which begins if it has not: it is deleted when
    the transaction ends without a commit, or commits without a row that names it.

    Args:
        attribute: The attribute, such as ``User.avatar``.
        upload: The content, such as FastAPI's ``UploadFile``.
        session: The session that the row is written by.
        name: The file name for display; None is the upload's own.
        properties: Properties that the attachment has besides those of the field.

    Raises:
        RejectedException: A limit or a type of the field refuses the content.
        StorageException: The storage failed, or the session's transaction ended meanwhile.
        TypeError: The attribute was not declared by `attachment` or `attachments`.
    """
    target = field_of(attribute)
    staging = begin_staging(sync_session(session))
    attachment = await ingest(target.field, upload, name=name, properties=properties)
    return await stage(staging, attachment, target)


async def hold(
    attribute: AttachmentAttribute,
    upload: Content,
    *,
    owner: object,
    name: str | None = None,
    expires_in: float = 3600,
) -> HeldUpload:
    """Store a file for an attribute of a row that another request writes, and return its token.

    Args:
        attribute: The attribute, such as ``User.avatar``.
        upload: The content, such as FastAPI's ``UploadFile``.
        owner: Who uploads: the id of a user, or of an anonymous session.
        name: The file name for display; None is the upload's own.
        expires_in: For how many seconds `claim` accepts the token.

    Raises:
        RejectedException: A limit or a type of the field refuses the content.
        StorageException: The storage failed.
        TypeError: The attribute was not declared by `attachment` or `attachments`.
        ValueError: There is no owner, or the time is not above 0.
    """
    field = field_of(attribute).field
    return await held(field, upload, owner, name=name, expires_in=expires_in)


async def claim(
    attribute: AttachmentAttribute, token: str, *, owner: object, session: AnySession
) -> Attachment:
    """Return the attachment of a token, to be assigned in this session; a token is used once.

    The use of the token is a row that this transaction writes: after a rollback the token can be
    used again.

    Args:
        attribute: The attribute that the file was uploaded for.
        token: What `Registry.issue_token` returned, or `begin_upload` of the module `uploads`.
        owner: Whose the token is.
        session: The session that the row is written by.

    Raises:
        TokenException: The token is not valid for this attribute and owner, has expired, or was
            used.
        RejectedException: Nothing was uploaded, or a limit or a type of the field refuses it.
        StorageException: The storage failed, or the session's transaction ended meanwhile.
    """
    target = field_of(attribute)
    own = own_session(session)
    staging = begin_staging(sync_session(own))
    claimed = await claim_token(target.field, token, owner)
    attachment = claimed.attachment
    disk = target.field.registry.disk(attachment.disk)
    try:
        if not await disk.exists(attachment.key):
            raise TokenException("The file of the token is gone: upload it again", reason="token")
        if isinstance(own, AsyncSession):
            await own.run_sync(_use, target, claimed)
        else:
            _use(own, target, claimed)
    except BaseException:
        if claimed.is_new:
            await discard(disk, attachment.own_directory)
        raise
    return await stage(staging, attachment, target, is_claimed=not claimed.is_new)


def _use(session: Session, target: MappedField, claimed: Claimed) -> None:
    """Write that a token was used; of two transactions the second one waits, and fails."""
    connection = session.connection(bind_arguments={"mapper": target.mapper})
    tables = home_of(target.field).tables
    now = time.time()
    values = {"token": claimed.token_id, "used_at": now}
    if not insert_once(connection, tables.tokens, values):
        raise token_used()
    if claimed.left is not None:
        disk, directory = claimed.left
        upload = directory.rpartition("/")[2]
        row = {"disk": disk, "directory": directory, "attachment": upload, "dropped_at": now}
        connection.execute(insert(tables.outbox), row)


async def duplicate(
    attachment: Attachment, *, session: AnySession, to: AttachmentAttribute | None = None
) -> Attachment:
    """Store a copy of an attachment, to be assigned to another row in this session.

    Args:
        attachment: The attachment, as it was loaded from a row.
        session: The session that the row is written by.
        to: The attribute that the copy is for; None is that of the attachment.

    Raises:
        FileNotFoundException: Its file is not stored.
        RejectedException: A limit or a type of the other attribute refuses the content.
        StorageConfigException: The attachment was loaded without its field.
    """
    source = attachment.field
    if not isinstance(source, Field):
        raise StorageConfigException("An attachment that was loaded without its field has no disk")
    target = home_of(source).target_of(source) if to is None else field_of(to)
    staging = begin_staging(sync_session(session))
    return await stage(staging, await copied(attachment, source, target.field), target)
