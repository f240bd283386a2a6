"""Requests about a bucket's settings, which no other part of the driver sends."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote
from xml.etree import ElementTree as ET

from jtc.storage.drivers.s3_driver._transport.errors import S3Refusal
from jtc.storage.drivers.s3_driver._transport.operations import Request
from jtc.storage.drivers.s3_driver._transport.xml import read_document
from jtc.storage.exceptions import StorageException

if TYPE_CHECKING:
    from collections.abc import Collection

    from jtc.storage.drivers.s3_driver._transport.transport import Transport
    from jtc.storage.http_support.requests import Answer

__all__ = ["Version", "code_of", "delete_version", "list_versions", "read_setting", "texts"]

_NONE = frozenset(
    {
        *("NoSuchCORSConfiguration", "NoSuchLifecycleConfiguration"),
        *("ServerSideEncryptionConfigurationNotFoundError", "NoSuchEncryptionConfiguration"),
        *("ObjectLockConfigurationNotFoundError", "NoSuchPublicAccessBlockConfiguration"),
    }
)
"""What a store answers where a bucket has no such setting."""


class Version(NamedTuple):
    """A version of an object, or a marker of its deletion."""

    key: str
    version_id: str


async def read_setting(
    transport: Transport, operation: str, subresource: str, root: str
) -> ET.Element | None:
    """Return a setting of the bucket as S3's document has it; None where it has none.

    Args:
        transport: The bucket.
        operation: S3's name of the request.
        subresource: The name in the query, such as ``"cors"``.
        root: The name of the document's outermost element.

    Raises:
        StorageException: The store does not say.
    """
    read = functools.partial(_tree, roots=(root,))
    request: Request[ET.Element] = Request(operation, "GET", "", read, {}, f"{subresource}=")
    try:
        return await transport.send(request)
    except StorageException as error:
        if code_of(error) in _NONE:
            return None
        raise


def texts(element: ET.Element, name: str) -> list[str]:
    """Return the texts of all elements of a name, at any depth."""
    return [(each.text or "").strip() for each in element.iterfind(f".//{{*}}{name}")]


def code_of(error: StorageException) -> str:
    """Return the store's code for a refusal; empty for anything else."""
    return error.__cause__.code if isinstance(error.__cause__, S3Refusal) else ""


def list_versions(prefix: str) -> Request[list[Version]]:
    """List all versions of the objects below a prefix, and the markers of deletions."""
    query = f"prefix={quote(prefix, safe='')}&versions="
    return Request("ListObjectVersions", "GET", "", _versions, {}, query)


def delete_version(version: Version) -> Request[None]:
    """Delete one version for good."""
    query = f"versionId={quote(version.version_id, safe='-_.~')}"
    return Request("DeleteObject", "DELETE", "", _nothing, {}, query, key=version.key)


def _versions(answer: Answer) -> list[Version]:
    tree = _tree(answer, roots=("ListVersionsResult",))
    return [
        Version(*(each.findtext(f"{{*}}{name}", "") for name in ("Key", "VersionId")))
        for kind in ("Version", "DeleteMarker")
        for each in tree.iterfind(f"{{*}}{kind}")
    ]


def _tree(answer: Answer, roots: Collection[str]) -> ET.Element:
    # It refuses what is another document, and one with a document type: that is no attack then.
    read_document(answer.document, *roots)
    return ET.fromstring(answer.document)  # noqa: S314


def _nothing(_answer: Answer) -> None:
    return None
