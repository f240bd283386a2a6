"""Visibility: the ACL of a file, where the bucket has fine-grained access."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jtc.storage.drivers.gcs_driver._settings import PREDEFINED_ACLS
from jtc.storage.drivers.gcs_driver._transport.operations import list_acl, patch_object
from jtc.storage.models import Visibility

if TYPE_CHECKING:
    from jtc.storage.drivers.gcs_driver._transport.transport import Transport

__all__ = ["set_visibility", "visibility_of"]

_EVERYONE = frozenset({"allUsers"})
_READING = frozenset({"READER", "OWNER"})


async def visibility_of(transport: Transport, path: str) -> Visibility:
    """Return who may read a file by its ACL."""
    entries = await transport.send(list_acl(transport.settings.bucket, path))
    is_public = any(
        each.get("entity") in _EVERYONE and each.get("role") in _READING for each in entries
    )
    return Visibility.PUBLIC if is_public else Visibility.PRIVATE


async def set_visibility(transport: Transport, path: str, visibility: Visibility) -> None:
    """Set who may read a file."""
    query = {"predefinedAcl": PREDEFINED_ACLS[visibility.value]}
    await transport.send(patch_object(transport.settings.bucket, path, {"acl": []}, query))
