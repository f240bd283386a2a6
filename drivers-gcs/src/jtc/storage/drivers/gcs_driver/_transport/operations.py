"""The requests to a bucket and its objects.

By the JSON API, except for reads: only the XML API answers with all metadata beside the content.
https://cloud.google.com/storage/docs/json_api/v1, https://cloud.google.com/storage/docs/xml-api
"""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from jtc.storage.exceptions import StorageUnavailableException
from jtc.storage.http_support.requests import Answer, Request
from jtc.storage.http_support.transfers.answers import FileAnswer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")

__all__ = [
    "OF_BUCKET",
    "ListedPage",
    "Media",
    "Resource",
    "Rewritten",
    "begin_upload",
    "cancel_upload",
    "delete_folder",
    "delete_object",
    "get_folder",
    "get_media",
    "get_object",
    "insert_object",
    "list_acl",
    "list_folders",
    "list_objects",
    "make_folder",
    "move_object",
    "patch_object",
    "query_upload",
    "read_json",
    "rewrite_object",
    "upload_chunk",
]

OF_BUCKET = frozenset({"list", "insert"})
"""Operations that need no object: a 404 is the bucket's."""

_FIELDS = (
    "size,timeCreated,generation,metageneration,contentType,cacheControl,contentDisposition,"
    "contentEncoding,contentLanguage,metadata,md5Hash,crc32c,customTime,storageClass"
)
_LISTED = "items(name,size,timeCreated,generation,metageneration),prefixes,nextPageToken"
_JSON = {"content-type": "application/json; charset=UTF-8"}
_NO_CONTENT_FROM = 0

_CONTINUES, _CANCELLED = 308, 499
_OF_UPLOADS = frozenset({_CONTINUES, _CANCELLED})
"""Answers to uploads that are no refusals: the store lacks some bytes, or has given it up."""

_RECEIVED = re.compile(r"bytes=0-([0-9]+)")


class Resource(dict[str, Any]):
    """An object of Google's JSON API, by https://cloud.google.com/storage/docs/json_api/v1/objects.

    Attributes:
        is_repeated: Whether the request was sent before, and may have had an effect then.
    """

    is_repeated = False


@dataclass(slots=True, eq=False, repr=False)
class ListedPage:
    """A page of a listing.

    Attributes:
        items: Its objects.
        prefixes: Its directories, each with a ``/`` at its end.
        token: Where the next page begins; empty at the last.
    """

    items: list[dict[str, Any]]
    prefixes: list[str]
    token: str


@dataclass(slots=True, eq=False, repr=False)
class Rewritten:
    """An answer to a request that copies.

    Attributes:
        resource: The new object; None where there is more to copy.
        token: What the next request continues by.
        copied: How many bytes are copied so far.
    """

    resource: Resource | None
    token: str
    copied: int


def _object_path(bucket: str, key: str) -> str:
    return f"/storage/v1/b/{quote(bucket, safe='')}/o/{quote(key, safe='')}"


def _query(values: Mapping[str, object]) -> str:
    given = sorted((name, str(value)) for name, value in values.items() if value is not None)
    return urlencode(given, quote_via=quote)


def _not_understood() -> StorageUnavailableException:
    message = "The store's answer cannot be understood: it is no JSON of Google's, or lacks fields"
    return StorageUnavailableException(message, retryable=False)


def _document(answer: Answer) -> dict[str, Any]:
    try:
        document = json.loads(answer.document)
    except (ValueError, RecursionError) as error:
        raise _not_understood() from error
    if not isinstance(document, dict):
        raise _not_understood()
    return document


def _resource(answer: Answer) -> Resource:
    resource = Resource(_document(answer))
    if not str(resource.get("generation", "")).isdigit():
        raise _not_understood()
    resource.is_repeated = answer.is_repeated
    return resource


def read_json(operation: str, path: str, query: str) -> Request[dict[str, Any]]:
    """Read what Google's JSON API has at a path."""
    return Request(operation, "GET", path, _document, query=query)


def _nothing(answer: Answer) -> bool:
    return answer.is_repeated


def get_object(bucket: str, key: str, conditions: Mapping[str, str]) -> Request[Resource]:
    """Request an object's metadata."""
    query = _query({**conditions, "fields": _FIELDS})
    return Request("get", "GET", _object_path(bucket, key), _resource, query=query)


class Media(FileAnswer):
    """An object's content, or a range of it, by the XML API."""

    __slots__ = ()

    @property
    def etag(self) -> str | None:
        """The generation and the metageneration, as in the JSON API."""
        generation = self.headers.get("x-goog-generation", "")
        metageneration = self.headers.get("x-goog-metageneration", "1")
        return f"{generation}.{metageneration}" if generation.isdecimal() else None

    @property
    def size(self) -> int | None:
        """The stored length in bytes."""
        stored = self.headers.get("x-goog-stored-content-length", "")
        return int(stored) if stored.isdecimal() else super().size


def get_media(
    bucket: str,
    key: str,
    headers: Mapping[str, str],
    leave_open_from: int = _NO_CONTENT_FROM,
    most: int | None = None,
    method: str = "GET",
) -> Request[Media]:
    """Request content, as it is stored: compressed content is not decompressed.

    https://cloud.google.com/storage/docs/transcoding#decompressive_transcoding
    """
    path = f"/{quote(bucket, safe='')}/{quote(key, safe='/')}"
    sent = {"accept-encoding": "gzip", **headers}
    return Request(
        "media",
        method,
        path,
        Media.of,
        headers=sent,
        leave_open_from=None if method == "HEAD" else leave_open_from,
        most=most,
    )


def insert_object(
    bucket: str, fields: Mapping[str, Any], content: bytes, query: Mapping[str, object]
) -> Request[Resource]:
    """Store an object in one request: its metadata and its content as two parts.

    https://cloud.google.com/storage/docs/uploading-objects#rest-upload-objects
    """
    boundary = secrets.token_hex(16)
    kind = fields.get("contentType", "application/octet-stream")
    body = b"".join(
        (
            f"--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n".encode(),
            json.dumps(fields).encode(),
            f"\r\n--{boundary}\r\nContent-Type: {kind}\r\n\r\n".encode(),
            content,
            f"\r\n--{boundary}--\r\n".encode(),
        )
    )
    return Request(
        "insert",
        "POST",
        f"/upload/storage/v1/b/{quote(bucket, safe='')}/o",
        _resource,
        headers={"content-type": f"multipart/related; boundary={boundary}"},
        query=_query({**query, "fields": _FIELDS, "uploadType": "multipart"}),
        body=body,
        asks_first=False,
    )


def patch_object(
    bucket: str, key: str, fields: Mapping[str, Any], query: Mapping[str, object]
) -> Request[Resource]:
    """Change fields of an object; None removes one."""
    return Request(
        "patch",
        "PATCH",
        _object_path(bucket, key),
        _resource,
        headers=dict(_JSON),
        query=_query(query),
        body=json.dumps(fields).encode(),
    )


def delete_object(bucket: str, key: str, query: Mapping[str, object]) -> Request[bool]:
    """Delete an object; the result is whether the request was repeated."""
    return Request("delete", "DELETE", _object_path(bucket, key), _nothing, query=_query(query))


def _rewritten(answer: Answer) -> Rewritten:
    document = _document(answer)
    token = str(document.get("rewriteToken") or "")
    copied = str(document.get("totalBytesRewritten") or 0)
    if not document.get("done"):
        if not token or not copied.isdigit():
            raise _not_understood()
        return Rewritten(None, token, int(copied))
    resource = Resource(document.get("resource") or {})
    if not str(resource.get("generation", "")).isdigit():
        raise _not_understood()
    resource.is_repeated = answer.is_repeated
    return Rewritten(resource, "", int(copied) if copied.isdigit() else 0)


def rewrite_object(
    source_bucket: str,
    source: str,
    bucket: str,
    key: str,
    fields: Mapping[str, Any] | None,
    query: Mapping[str, object],
) -> Request[Rewritten]:
    """Copy an object, or a part of it; None for its fields keeps those of the source."""
    body = b"" if fields is None else json.dumps(fields).encode()
    path = f"{_object_path(source_bucket, source)}/rewriteTo/b/{quote(bucket, safe='')}/o/"
    return Request(
        "rewrite",
        "POST",
        path + quote(key, safe=""),
        _rewritten,
        headers=dict(_JSON),
        query=_query(query),
        body=body,
        copies=0,
    )


def move_object(
    bucket: str, source: str, key: str, query: Mapping[str, object]
) -> Request[Resource]:
    """Give an object another name: https://cloud.google.com/storage/docs/json_api/v1/objects/move."""
    path = f"{_object_path(bucket, source)}/moveTo/o/{quote(key, safe='')}"
    return Request("move", "POST", path, _resource, headers=dict(_JSON), query=_query(query))


def _listed(answer: Answer) -> ListedPage:
    document = _document(answer)
    items, prefixes = document.get("items") or [], document.get("prefixes") or []
    token = document.get("nextPageToken") or ""
    is_page = isinstance(items, list) and isinstance(prefixes, list) and isinstance(token, str)
    if not is_page or not all(isinstance(each, dict) and "name" in each for each in items):
        raise _not_understood()
    return ListedPage(items, [str(each) for each in prefixes], token)


def list_objects(
    bucket: str,
    prefix: str = "",
    *,
    delimiter: str = "",
    start: str = "",
    token: str = "",
    limit: int,
    folders: bool = False,
) -> Request[ListedPage]:
    """List objects whose names begin with a prefix.

    Args:
        bucket: The bucket's name.
        prefix: The beginning.
        delimiter: Names are cut behind it, and are prefixes then.
        start: The first name that may come.
        token: Of the page before.
        limit: How many may come.
        folders: Whether folders are prefixes too, also empty ones.
    """
    query = {
        "delimiter": delimiter or None,
        "fields": _LISTED,
        "includeFoldersAsPrefixes": "true" if folders and delimiter else None,
        "maxResults": limit,
        "pageToken": token or None,
        "prefix": prefix or None,
        "startOffset": start or None,
    }
    path = f"/storage/v1/b/{quote(bucket, safe='')}/o"
    return Request("list", "GET", path, _listed, query=_query(query))


def _folder_path(bucket: str, name: str) -> str:
    return f"/storage/v1/b/{quote(bucket, safe='')}/folders/{quote(name, safe='')}"


def get_folder(bucket: str, name: str) -> Request[bool]:
    """Ask whether there is a folder."""
    return Request("folder", "GET", _folder_path(bucket, name), _nothing)


def make_folder(bucket: str, name: str) -> Request[bool]:
    """Make a folder and those above it."""
    path = f"/storage/v1/b/{quote(bucket, safe='')}/folders"
    body = json.dumps({"name": name}).encode()
    headers, query = dict(_JSON), "recursive=true"
    return Request("insert", "POST", path, _nothing, headers=headers, query=query, body=body)


def delete_folder(bucket: str, name: str) -> Request[bool]:
    """Delete a folder, which must be empty."""
    return Request("folder", "DELETE", _folder_path(bucket, name), _nothing)


def list_folders(bucket: str, prefix: str, token: str) -> Request[ListedPage]:
    """List the folders at any depth whose names begin with a prefix."""
    query = _query({"pageToken": token or None, "prefix": prefix})
    path = f"/storage/v1/b/{quote(bucket, safe='')}/folders"
    return Request("list", "GET", path, _listed, query=query)


def _acl(answer: Answer) -> list[dict[str, Any]]:
    items = _document(answer).get("items") or []
    return [each for each in items if isinstance(each, dict)]


def list_acl(bucket: str, key: str) -> Request[list[dict[str, Any]]]:
    """List who may do what with an object."""
    return Request("acl", "GET", f"{_object_path(bucket, key)}/acl", _acl)


def _session(answer: Answer) -> str:
    """Return an upload's id; where it says that the upload goes on is not followed."""
    location = answer.headers.get("location", "")
    found = parse_qs(urlsplit(location).query).get("upload_id")
    return found[0] if found else answer.headers.get("x-guploader-uploadid", "")


def begin_upload(
    bucket: str, key: str, fields: Mapping[str, Any], query: Mapping[str, object]
) -> Request[str]:
    """Begin an upload in chunks; the result is its id.

    https://cloud.google.com/storage/docs/performing-resumable-uploads
    """
    kind = cast("str", fields.get("contentType", "application/octet-stream"))
    given = {**query, "name": key, "uploadType": "resumable"}
    return Request(
        "insert",
        "POST",
        f"/upload/storage/v1/b/{quote(bucket, safe='')}/o",
        _session,
        headers={**_JSON, "x-upload-content-type": kind},
        query=_query(given),
        body=json.dumps({**fields, "name": key}).encode(),
    )


def _uploaded(answer: Answer) -> Resource | int:
    if answer.status != _CONTINUES:
        return _resource(answer)
    received = _RECEIVED.fullmatch(answer.headers.get("range", ""))
    return int(received[1]) + 1 if received else 0


def _upload(
    bucket: str,
    key: str,
    upload_id: str,
    method: str,
    result: Callable[[Answer], T],
    headers: dict[str, str],
    body: bytes,
) -> Request[T]:
    query = {"name": key, "uploadType": "resumable", "upload_id": upload_id}
    return Request(
        "upload",
        method,
        f"/upload/storage/v1/b/{quote(bucket, safe='')}/o",
        result,
        headers=headers,
        query=_query(query),
        body=body,
        asks_first=False,
        accepts=_OF_UPLOADS,
    )


def upload_chunk(
    bucket: str,
    key: str,
    upload_id: str,
    first: int,
    body: bytes,
    *,
    total: int | None,
    headers: Mapping[str, str],
) -> Request[Resource | int]:
    """Send a chunk; the result is the object, or how many bytes the store has while it lacks some.

    Args:
        bucket: The bucket's name.
        key: The object.
        upload_id: The upload.
        first: Where the chunk begins.
        body: The chunk.
        total: The length of the whole, with the last chunk.
        headers: Further ones.
    """
    length = "*" if total is None else str(total)
    extent = f"bytes {first}-{first + len(body) - 1}/{length}" if body else f"bytes */{length}"
    sent = {**headers, "content-range": extent}
    return _upload(bucket, key, upload_id, "PUT", _uploaded, sent, body)


def query_upload(
    bucket: str, key: str, upload_id: str, total: int | None
) -> Request[Resource | int]:
    """Ask how much of an upload the store has."""
    return upload_chunk(bucket, key, upload_id, 0, b"", total=total, headers={})


def cancel_upload(bucket: str, key: str, upload_id: str) -> Request[bool]:
    """Give an upload up."""
    return _upload(bucket, key, upload_id, "DELETE", _nothing, {}, b"")
