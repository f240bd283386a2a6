"""Visibility: the ACL of a file, where the bucket has ACLs."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from jtc.storage import exceptions
from jtc.storage.drivers.s3_driver._driver_options import ACLS
from jtc.storage.drivers.s3_driver._objects.at_once import both
from jtc.storage.drivers.s3_driver._objects.metadata import head
from jtc.storage.drivers.s3_driver._transport.operations import is_public, set_acl
from jtc.storage.models import Visibility

if TYPE_CHECKING:
    from jtc.storage.drivers.s3_driver._transport.transport import Transport

__all__ = ["ensure_visibility", "set_visibility", "visibility_of"]


async def visibility_of(transport: Transport, key: str) -> Visibility:
    """Return who may read a file; a directory is not a file."""
    # A store with real directories has ACLs of them as well.
    _, public = await both(head(transport, key), transport.send(is_public(key)))
    transport.learned.has_acls = True
    return Visibility.PUBLIC if public else Visibility.PRIVATE


async def set_visibility(transport: Transport, key: str, visibility: Visibility) -> None:
    """Set who may read a file.

    A store that does not know ACLs may take that for a put of no content, and has lost the file.
    So one that has never answered with an ACL is asked for the file's.
    https://github.com/jamhall/s3rver/issues/34, https://github.com/leo-project/leofs/issues/1021
    """
    if transport.learned.has_acls:
        await head(transport, key)
    else:
        await both(head(transport, key), _look_at_acl(transport, key))
        transport.learned.has_acls = True
    await transport.send(set_acl(key, ACLS[visibility]))


async def _look_at_acl(transport: Transport, key: str) -> None:
    # Not to be permitted to read it is an answer as well.
    with suppress(exceptions.StoragePermissionException):
        await transport.send(is_public(key))


async def ensure_visibility(transport: Transport, key: str, visibility: Visibility | None) -> None:
    """Set the visibility of a file just written, where the store ignored it in that request.

    With None, it is that of the disk's new files, if they have one. SeaweedFS does so. The first
    file that is to be public shows it: until its ACL is set, such a file is private, never the
    other way round.
    """
    visibility = visibility or transport.settings.visibility
    if visibility is None:
        return
    learned = transport.learned
    if learned.acl_with_content is None and visibility is Visibility.PUBLIC:
        # Without permission to read ACLs it stays unknown; the store accepted the request.
        with suppress(exceptions.StorageException):
            learned.acl_with_content = await transport.send(is_public(key))
    if learned.acl_with_content is False:
        try:
            await transport.send(set_acl(key, ACLS[visibility]))
        except exceptions.StorageException as error:
            error.path = key  # the second path of a copy
            raise
