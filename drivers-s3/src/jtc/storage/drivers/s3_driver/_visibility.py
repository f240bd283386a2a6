"""Visibility: the ACL of a file, where the bucket has ACLs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jtc.storage.drivers.s3_driver._metadata import acl_of
from jtc.storage.exceptions import StorageException
from jtc.storage.models import Visibility

if TYPE_CHECKING:
    from jtc.storage.drivers.s3_driver._bucket import Bucket

__all__ = ["ensure_visibility", "set_visibility", "visibility_of"]

_ALL_USERS = "http://acs.amazonaws.com/groups/global/AllUsers"
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html"""


async def visibility_of(bucket: Bucket, key: str) -> Visibility:
    """Return who may read a file; a directory is not a file."""
    # A store with real directories has ACLs of them as well.
    await bucket.head(key)
    return _visibility(await bucket.call("get_object_acl", Key=key))


async def set_visibility(bucket: Bucket, key: str, visibility: Visibility) -> None:
    """Set who may read a file."""
    await bucket.head(key)
    await bucket.call("put_object_acl", Key=key, ACL=acl_of(visibility))


async def ensure_visibility(bucket: Bucket, key: str, visibility: Visibility | None) -> None:
    """Set the visibility of a file just written, where the store ignored it in that request.

    SeaweedFS does. The first file that is to be public shows it: until its ACL is set, such a file
    is private, never the other way round.
    """
    if visibility is None or bucket.takes_acl_with_content is True:
        return
    if bucket.takes_acl_with_content is None:
        if visibility is Visibility.PRIVATE:
            return
        try:
            kept = _visibility(await bucket.call("get_object_acl", Key=key))
        except StorageException:
            # Without permission to read ACLs it stays unknown; the store accepted the request.
            return
        bucket.takes_acl_with_content = kept is visibility
        if bucket.takes_acl_with_content:
            return
    try:
        await bucket.call("put_object_acl", Key=key, ACL=acl_of(visibility))
    except StorageException as error:
        error.path = key  # the second path of a copy
        raise


def _visibility(answer: dict[str, Any]) -> Visibility:
    for grant in answer.get("Grants", ()):
        if grant.get("Grantee", {}).get("URI") == _ALL_USERS and grant.get("Permission") in (
            "READ",
            "FULL_CONTROL",
        ):
            return Visibility.PUBLIC
    return Visibility.PRIVATE
