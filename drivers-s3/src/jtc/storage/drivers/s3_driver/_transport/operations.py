"""Typed requests to S3 and their typed results, by the names of S3's API.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from hashlib import md5
from typing import TYPE_CHECKING, NamedTuple, TypeVar
from urllib.parse import quote, unquote_plus

from jtc.storage.drivers.s3_driver._settings import LEAST_PART
from jtc.storage.drivers.s3_driver._transport.errors import NO_ACLS
from jtc.storage.drivers.s3_driver._transport.xml import (
    delete_document,
    parts_document,
    read_document,
    timestamp,
)
from jtc.storage.exceptions import StorageUnavailableException, UnsupportedOperationException
from jtc.storage.http_support import requests
from jtc.storage.http_support.transfers.answers import FileAnswer, quoted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jtc.storage.drivers.s3_driver._transport.credentials import Keys
    from jtc.storage.drivers.s3_driver._transport.sigv4 import Target
    from jtc.storage.http_support.requests import Answer

__all__ = [
    "DeletedObjects",
    "Part",
    "Request",
    "Stored",
    "Uploads",
    "abort_upload",
    "complete_upload",
    "copy_object",
    "copy_part",
    "crc32_text",
    "create_upload",
    "delete_object",
    "delete_objects",
    "get_object",
    "head_object",
    "is_public",
    "list_objects",
    "list_uploads",
    "put_marker",
    "put_object",
    "set_acl",
    "upload_part",
]

T = TypeVar("T")

_ALL_USERS = "http://acs.amazonaws.com/groups/global/AllUsers"
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html"""


@dataclass(slots=True, eq=False, repr=False)
class Request(requests.Request[T]):
    """A request to the bucket, whose place and path are known when it is signed.

    Attributes:
        key: The object's key; empty for the bucket.
        payload: What the signature says of the body; empty before the first attempt.
        target: Where the last attempt went.
        keys: Who signed that.
    """

    key: str = ""
    payload: str = ""
    target: Target | None = None
    keys: Keys | None = None


# Objects


class Stored(NamedTuple):
    """An object or a part that the store confirmed.

    Attributes:
        etag: In quotes.
        crc32: As the header has it, where the store says it.
    """

    etag: str
    crc32: str | None = None


def get_object(
    key: str, headers: dict[str, str], *, leave_open_from: int = -1, most: int | None = None
) -> Request[FileAnswer]:
    """Read an object, or the range that ``range`` in the headers names."""
    return Request(
        "GetObject",
        "GET",
        "",
        FileAnswer.of,
        headers,
        leave_open_from=leave_open_from,
        most=most,
        key=key,
    )


def head_object(key: str, headers: dict[str, str]) -> Request[FileAnswer]:
    """Read an object's headers."""
    return Request("HeadObject", "HEAD", "", FileAnswer.of, headers, key=key)


def put_object(
    key: str, body: bytes, headers: dict[str, str], crc32: int | None
) -> Request[Stored]:
    """Store an object whole."""
    if crc32 is not None:
        # As `crc32_text`, without the call.
        headers["x-amz-checksum-crc32"] = b64encode(crc32.to_bytes(4, "big")).decode()
    return Request("PutObject", "PUT", "", _stored, headers, body=body, key=key)


def put_marker(path: str, headers: dict[str, str]) -> Request[None]:
    """Store the empty object that stands for a directory."""
    return Request("PutObject", "PUT", "", _marked, headers, key=f"{path}/")


def copy_object(key: str, source: str, headers: dict[str, str], size: int = 0) -> Request[Stored]:
    """Have the store copy an object: `source` is the bucket's name, a ``/`` and the key."""
    headers["x-amz-copy-source"] = quote(source, safe="/~")
    return Request("CopyObject", "PUT", "", _copied, headers, copies=size, key=key)


def delete_object(key: str, headers: dict[str, str]) -> Request[None]:
    """Delete an object; a missing one is no error."""
    return Request("DeleteObject", "DELETE", "", _nothing, headers, key=key)


class DeletedObjects(NamedTuple):
    """The result of a bulk deletion.

    Attributes:
        keys: Those that are gone.
        errors: The store's codes by the keys that it refused to delete.
        is_repeated: Whether the request was sent before, and may have had an effect then.
        unnamed: Those that were to be deleted, and that the answer does not name.
    """

    keys: frozenset[str]
    errors: Mapping[str, str]
    is_repeated: bool
    unnamed: frozenset[str] = frozenset()


def delete_objects(etags: Mapping[str, str | None]) -> Request[DeletedObjects]:
    """Delete up to a thousand objects: each key with the etag that it must have, or None."""
    body = delete_document(etags)
    # Of the two integrity headers that S3 takes here, the one that all stores know.
    digest = b64encode(md5(body, usedforsecurity=False).digest()).decode()
    return Request(
        "DeleteObjects",
        "POST",
        "",
        _deleted,
        {"content-md5": digest, "content-type": "application/xml"},
        "delete=",
        body,
    )


# Uploads in parts


class Part(NamedTuple):
    """A part of an upload.

    Attributes:
        number: From 1.
        etag: In quotes.
        crc32: As the header has it, where the store says it.
    """

    number: int
    etag: str
    crc32: str | None


class CreatedUpload(NamedTuple):
    """An upload in parts that has begun.

    Attributes:
        upload_id: The store's name of it.
        has_full_checksum: Whether the store checks a CRC-32 of the whole object.
        is_repeated: Whether the request was sent before, and may have begun another one then.
    """

    upload_id: str
    has_full_checksum: bool
    is_repeated: bool


class Uploads(NamedTuple):
    """A page of the bucket's unfinished uploads.

    Attributes:
        uploads: The key, the upload's id, and when it began, in seconds since 1970 UTC.
        next: Where the next page begins: a key and an id; None after the last.
    """

    uploads: Sequence[tuple[str, str, float]]
    next: tuple[str, str] | None


def create_upload(
    key: str, headers: dict[str, str], *, checksums: bool, whole: bool = True
) -> Request[CreatedUpload]:
    """Begin an upload in parts, with a CRC-32 of each and of the whole object."""
    if checksums:
        headers = {**headers, "x-amz-checksum-algorithm": "CRC32"}
        if whole:
            headers["x-amz-checksum-type"] = "FULL_OBJECT"
    return Request("CreateMultipartUpload", "POST", "", _created, headers, "uploads=", key=key)


def upload_part(
    key: str, upload_id: str, number: int, body: bytes, crc32: int | None
) -> Request[Stored]:
    """Store a part of an upload."""
    headers = {} if crc32 is None else {"x-amz-checksum-crc32": crc32_text(crc32)}
    query = f"partNumber={number}&uploadId={_encoded(upload_id)}"
    return Request(
        "UploadPart", "PUT", "", _stored, headers, query, body, asks_first=False, key=key
    )


def copy_part(
    key: str, upload_id: str, number: int, source: str, headers: dict[str, str], size: int
) -> Request[Stored]:
    """Have the store copy a part from another object; ``x-amz-copy-source-range`` has its bytes."""
    headers["x-amz-copy-source"] = quote(source, safe="/~")
    query = f"partNumber={number}&uploadId={_encoded(upload_id)}"
    return Request("UploadPartCopy", "PUT", "", _copied_part, headers, query, copies=size, key=key)


def complete_upload(
    key: str, upload_id: str, parts: Sequence[Part], headers: dict[str, str], crc32: int | None
) -> Request[Stored]:
    """Make an object of the parts; `crc32` is the whole object's."""
    if crc32 is not None:
        headers["x-amz-checksum-type"] = "FULL_OBJECT"
        headers["x-amz-checksum-crc32"] = crc32_text(crc32)
    query = f"uploadId={_encoded(upload_id)}"
    headers["content-type"] = "application/xml"
    body = parts_document(parts)
    copies = len(parts) * LEAST_PART
    return Request(
        "CompleteMultipartUpload",
        "POST",
        "",
        _completed,
        headers,
        query,
        body,
        copies=copies,
        key=key,
    )


def abort_upload(key: str, upload_id: str) -> Request[None]:
    """Give up an upload; its parts are deleted."""
    query = f"uploadId={_encoded(upload_id)}"
    return Request("AbortMultipartUpload", "DELETE", "", _nothing, {}, query, key=key)


def list_uploads(after: tuple[str, str] | None, prefix: str = "") -> Request[Uploads]:
    """List unfinished uploads of keys with a prefix, after a key and an upload's id."""
    query = "encoding-type=url"
    if after is not None:
        query += f"&key-marker={_encoded(after[0])}"
    if prefix:
        query += f"&prefix={_encoded(prefix)}"
    if after is not None:
        query += f"&upload-id-marker={_encoded(after[1])}"
    return Request("ListMultipartUploads", "GET", "", _uploads, {}, f"{query}&uploads=")


# The bucket and ACLs


def list_objects(
    prefix: str = "",
    *,
    delimiter: str = "",
    start_after: str = "",
    continuation: str = "",
    max_keys: int = 1000,
    by_marker: bool = False,
) -> Request[bytes]:
    """List keys; the result is the document, for `xml.read_page`, which pauses while it reads.

    Args:
        prefix: What the keys begin with.
        delimiter: What ends a directory's name.
        start_after: After which key to begin.
        continuation: Where to begin, as the page before said.
        max_keys: How many keys at most.
        by_marker: Send the first version of the request, for a store that takes any for it.
    """
    parameters = {
        "continuation-token": continuation,
        "delimiter": delimiter,
        "encoding-type": "url",
        "list-type": "" if by_marker else "2",
        "marker": start_after if by_marker else "",
        "max-keys": str(max_keys),
        "prefix": prefix,
        "start-after": "" if by_marker else start_after,
    }
    query = "&".join(f"{name}={_encoded(value)}" for name, value in parameters.items() if value)
    return Request("ListObjectsV2", "GET", "", _document, {}, query)


def is_public(key: str) -> Request[bool]:
    """Read an object's ACL: whether all users may read it."""
    return Request("GetObjectAcl", "GET", "", _is_public, {}, "acl=", key=key)


def set_acl(key: str, acl: str) -> Request[None]:
    """Set an object's ACL to one of S3's canned ones."""
    return Request("PutObjectAcl", "PUT", "", _nothing, {"x-amz-acl": acl}, "acl=", key=key)


# Results


def _stored(answer: Answer) -> Stored:
    etag = answer.headers.get("etag", "")
    # As most stores write it, without a call.
    confirmed = etag if etag[:1] == '"' else _confirmed(etag)
    return Stored(confirmed, answer.headers.get("x-amz-checksum-crc32"))


def _marked(answer: Answer) -> None:
    # A gateway of MinIO makes a directory, which has no etag. Other answers are no store's.
    if "x-amz-request-id" not in answer.headers:
        _stored(answer)


def _copied(answer: Answer) -> Stored:
    return _stored_document(answer, "CopyObjectResult")


def _copied_part(answer: Answer) -> Stored:
    return _stored_document(answer, "CopyPartResult")


def _completed(answer: Answer) -> Stored:
    return _stored_document(answer, "CompleteMultipartUploadResult")


def _stored_document(answer: Answer, root: str) -> Stored:
    fields = read_document(answer.document, root).fields
    return Stored(_confirmed(fields.get("ETag")), fields.get("ChecksumCRC32"))


def _created(answer: Answer) -> CreatedUpload:
    # The second name is that of `rclone serve s3`.
    roots = "InitiateMultipartUploadResult", "InitiateMultipartUpload"
    fields = read_document(answer.document, *roots).fields
    upload_id = fields.get("UploadId")
    if not upload_id:
        raise _lacks("UploadId")
    # A store without checksums of the whole does not answer with the type.
    is_whole = answer.headers.get("x-amz-checksum-type") == "FULL_OBJECT"
    return CreatedUpload(upload_id, is_whole, answer.is_repeated)


def _deleted(answer: Answer) -> DeletedObjects:
    document = read_document(answer.document, "DeleteResult")
    return DeletedObjects(
        frozenset(item.get("Key", "") for item in document.groups["Deleted"]),
        {item.get("Key", ""): item.get("Code", "") for item in document.groups["Error"]},
        answer.is_repeated,
    )


def _uploads(answer: Answer) -> Uploads:
    document = read_document(answer.document, "ListMultipartUploadsResult")
    fields = document.fields
    decoded = unquote_plus if fields.get("EncodingType") == "url" else str
    uploads = [
        (decoded(item["Key"]), item["UploadId"], timestamp(item["Initiated"]))
        for item in document.groups["Upload"]
        if item.keys() >= {"Key", "UploadId", "Initiated"}
    ]
    following = None
    if fields.get("IsTruncated") == "true":
        following = decoded(fields.get("NextKeyMarker", "")), fields.get("NextUploadIdMarker", "")
    return Uploads(uploads, following)


def _is_public(answer: Answer) -> bool:
    try:
        grants = read_document(answer.document, "AccessControlPolicy").groups["Grant"]
    except StorageUnavailableException as error:
        # A store that does not know ACLs may answer with the file.
        raise UnsupportedOperationException(NO_ACLS) from error
    return any(
        grant.get("URI") == _ALL_USERS and grant.get("Permission") in {"READ", "FULL_CONTROL"}
        for grant in grants
    )


def _document(answer: Answer) -> bytes:
    return answer.document


def _nothing(_answer: Answer) -> None:
    return None


def _confirmed(etag: str | None) -> str:
    found = quoted(etag.removeprefix("W/")) if etag else None
    if found is None:
        raise _lacks("ETag")
    return found


def _lacks(name: str) -> StorageUnavailableException:
    return StorageUnavailableException(
        f"The store's answer cannot be understood: it has no {name}", retryable=False
    )


def crc32_text(crc32: int) -> str:
    """Return a CRC-32 as S3's headers have it."""
    return b64encode(crc32.to_bytes(4, "big")).decode()


def _encoded(value: str) -> str:
    return quote(value, safe="-_.~")
