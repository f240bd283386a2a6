"""Requests as they are sent: the SDK's names of operations and parameters, in HTTP's terms.

A table, and what is not in it is not ours: such a call goes to the SDK, which knows all names and
all forms of values. https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Request", "request_for"]


@dataclass(slots=True)
class Request:
    """One request to the bucket, without its host and its signature.

    Attributes:
        operation: The SDK's name of it.
        method: Such as ``"GET"``.
        key: Percent-encoded; empty for the bucket itself.
        query: Percent-encoded, sorted by name.
        headers: What is signed, by names in small letters.
        body: What is sent.
    """

    operation: str
    method: str
    key: str = ""
    query: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


_READING = {
    "IfMatch": "if-match",
    "Range": "range",
    "ChecksumMode": "x-amz-checksum-mode",
}
_CHECKSUM = {"ChecksumCRC32": "x-amz-checksum-crc32"}

_METHODS: dict[str, tuple[str, dict[str, str], dict[str, str]]] = {
    # The method, parameters that are headers, and parameters that are in the query.
    "get_object": ("GET", _READING, {}),
    "head_object": ("HEAD", _READING, {}),
    "delete_object": ("DELETE", {"IfMatch": "if-match"}, {}),
    "put_object": (
        "PUT",
        {
            **_CHECKSUM,
            "ACL": "x-amz-acl",
            "CacheControl": "cache-control",
            "ContentDisposition": "content-disposition",
            "ContentEncoding": "content-encoding",
            "ContentLanguage": "content-language",
            "ContentType": "content-type",
            "IfMatch": "if-match",
            "IfNoneMatch": "if-none-match",
            "SSEKMSKeyId": "x-amz-server-side-encryption-aws-kms-key-id",
            "ServerSideEncryption": "x-amz-server-side-encryption",
            "StorageClass": "x-amz-storage-class",
        },
        {},
    ),
    "upload_part": ("PUT", _CHECKSUM, {"PartNumber": "partNumber", "UploadId": "uploadId"}),
    "list_objects_v2": (
        "GET",
        {},
        {
            "ContinuationToken": "continuation-token",
            "Delimiter": "delimiter",
            "MaxKeys": "max-keys",
            "Prefix": "prefix",
            "StartAfter": "start-after",
        },
    ),
}
_ALWAYS = {"list_objects_v2": {"list-type": "2", "encoding-type": "url"}}

_VALUE = re.compile(r"[!-~]([ -~]*[!-~])?")
_METADATA_NAME = re.compile(r"[A-Za-z0-9_.-]+")


def request_for(operation: str, parameters: Mapping[str, Any]) -> Request | None:
    """Return a request, or None where the SDK must make it.

    Args:
        operation: Such as ``"get_object"``.
        parameters: The SDK's, without the bucket.
    """
    if operation not in _METHODS:
        return None
    method, _, _ = _METHODS[operation]
    request = Request(operation, method)
    query = dict(_ALWAYS.get(operation, ()))
    for name, value in parameters.items():
        if not _add(request, query, name, value):
            return None
    if query:
        request.query = _query(query)
    return request


def _add(request: Request, query: dict[str, str], name: str, value: Any) -> bool:
    """Add a parameter; False where it is not for us."""
    _, headers, in_query = _METHODS[request.operation]
    if name in headers:
        if not isinstance(value, str) or not _VALUE.fullmatch(value):
            return False
        request.headers[headers[name]] = value
    elif name in in_query:
        query[in_query[name]] = str(value)
    elif name == "Metadata" and request.operation == "put_object":
        return _add_metadata(request, value)
    elif name == "Key" and isinstance(value, str) and value:
        request.key = quote(value, safe="/~")
    elif name == "Body" and isinstance(value, bytes):
        request.body = value
    else:
        return False
    return True


def _add_metadata(request: Request, metadata: Mapping[str, Any]) -> bool:
    for name, value in metadata.items():
        if not _METADATA_NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            return False
        request.headers[f"x-amz-meta-{name.lower()}"] = value
    return True


def _query(parameters: Mapping[str, str]) -> str:
    return "&".join(
        [f"{name}={quote(value, safe='-_.~')}" for name, value in sorted(parameters.items())]
    )
