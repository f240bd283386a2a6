"""The store's XML documents, read and written.

Read as they come, without a tree: the garbage collector goes through all objects of a program after
a number of new ones, and a tree of a page's six thousand made it do so again and again.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import re
from collections import defaultdict
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote_plus
from xml.parsers import expat

from jtc.storage.drivers.s3_driver._transport.errors import S3Refusal
from jtc.storage.exceptions import StorageUnavailableException

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


__all__ = [
    "ListedObject",
    "OddAnswerException",
    "Page",
    "continuation_of",
    "delete_document",
    "parts_document",
    "read_document",
    "read_error",
    "read_page",
    "tags_document",
    "timestamp",
]

_SLICE = 32 * 1024
"""Bytes that are parsed without a pause: a millisecond's work. A page has 350,000."""

_GROUPS = frozenset({"Contents", "CommonPrefixes", "Deleted", "Error", "Grant", "Upload"})
"""Elements below the root, or one level deeper, that have others in them and occur repeatedly."""

_TEXT = rb"[^<>&\x00-\x1f]*"
_OBJECT = re.compile(
    rb"<Contents>(?:"
    rb"<Key>(?P<key>%(text)s)</Key>"
    rb"|<LastModified>(?P<modified>%(text)s)</LastModified>"
    rb"|<ETag>(?P<etag>[^<>\x00-\x1f]*)</ETag>"
    rb"|<Size>(?P<size>[0-9]{1,18})</Size>"
    rb"|<StorageClass>%(text)s</StorageClass>"
    rb"|<Checksum(?P<checksum>[A-Za-z]+)>%(text)s</Checksum(?P=checksum)>"
    rb"|<Owner>(?:<(?P<owner>[A-Za-z]+)>%(text)s</(?P=owner)>)*</Owner>"
    rb")*</Contents>" % {b"text": _TEXT}
)
"""An object as stores write it. Whatever looks different is left to the parser."""

_UTF8 = re.compile(rb"\s*(?:<\?xml version=.1\.0.(?: encoding=.(?i:utf-8).)?\s*\?>)?\s*<[A-Za-z]")

_CONTINUATION = b"<NextContinuationToken>"
_SERVER_ERROR = 500
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;", "\n": "&#10;"})


class OddAnswerException(StorageUnavailableException):
    """What was answered is not what a store answers to that request."""


class ListedObject(NamedTuple):
    """An object in a listing.

    Attributes:
        key: The object's key.
        size: Its length in bytes.
        last_modified: When it was written, in seconds since 1970 UTC.
        etag: As the store wrote it.
    """

    key: str
    size: int
    last_modified: float
    etag: str | None


class Page(NamedTuple):
    """A page of a listing.

    Attributes:
        objects: In the store's order.
        directories: The common prefixes, each with its ``/``.
        continuation: Where the next page begins, if the store says it.
        is_truncated: Whether there is a next page.
        is_by_marker: Whether it answers the first version of the request.
    """

    objects: list[ListedObject]
    directories: list[str]
    continuation: str | None
    is_truncated: bool
    is_by_marker: bool


class Document:
    """A document of the store that is being read.

    Attributes:
        root: The outermost element's name.
        groups: The texts in elements of `_GROUPS`, by the group's name and theirs.
        fields: The texts of all other elements, by name.
    """

    def __init__(self) -> None:
        self.root = ""
        self.groups: defaultdict[str, list[dict[str, str]]] = defaultdict(list)
        self.fields: dict[str, str] = {}
        self._item: dict[str, str] | None = None
        self._texts: list[str] = []
        self._parser = parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._texts.append
        # A document that defines entities is an attack, and a store's has no type at all.
        parser.StartDoctypeDeclHandler = self._refuse

    def feed(self, data: bytes, *, last: bool) -> None:
        """Read the next bytes.

        Raises:
            StorageUnavailableException: They are no XML.
        """
        try:
            self._parser.Parse(data, last)
        except (expat.ExpatError, LookupError, ValueError) as error:
            raise _odd("it is no XML") from error

    def check_root(self, *roots: str) -> None:
        """Refuse a document with another root; an ``Error`` after all is raised as a refusal.

        A copy, and the completion of an upload, may fail after the store has answered 200:
        https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html
        """
        if self.root == "Error":
            raise S3Refusal(_SERVER_ERROR, self.fields)
        if self.root not in roots:
            raise _odd(f"it is a {self.root[:40]!r}")

    def _refuse(self, *_: object) -> None:
        raise _odd("it has a document type")

    def _start(self, name: str, _: object) -> None:
        self._texts.clear()
        if not self.root:
            self.root = name
        elif name in _GROUPS:
            self._item = {}
            self.groups[name].append(self._item)

    def _end(self, name: str) -> None:
        if self._item is None:
            self.fields[name] = "".join(self._texts)
        elif name in _GROUPS:
            self._item = None
        else:
            self._item[name] = "".join(self._texts)


def read_document(content: bytes, *roots: str) -> Document:
    """Return a document that has one of these roots.

    Raises:
        S3Refusal: It is an error.
        StorageUnavailableException: It is no XML, or its root is another.
    """
    document = Document()
    document.feed(content, last=True)
    document.check_root(*roots)
    return document


def read_error(content: bytes) -> dict[str, str]:
    """Return the fields of an error's document; none where it is something else."""
    document = Document()
    try:
        document.feed(content, last=True)
    except StorageUnavailableException:
        return {}
    return document.fields if document.root == "Error" else {}


async def read_page(content: bytes) -> Page:
    """Return a page of a listing; other tasks run meanwhile.

    Raises:
        StorageUnavailableException: It cannot be understood.
    """
    listed, content = _take_objects(content)
    await asyncio.sleep(0)
    document = Document()
    objects: list[ListedObject] = []
    found = document.groups["Contents"]
    for start in range(0, max(len(content), 1), _SLICE):
        document.feed(content[start : start + _SLICE], last=start + _SLICE >= len(content))
        # The last one may still lack something.
        while len(found) > len(objects) + 1:
            objects.append(_listed(found[len(objects)]))
        await asyncio.sleep(0)
    try:
        document.check_root("ListBucketResult")
    except S3Refusal as refusal:
        raise _odd(f"it is an error, {refusal.code!r}") from refusal
    objects = listed or objects + [_listed(item) for item in found[len(objects) :]]
    directories = [item.get("Prefix", "") for item in document.groups["CommonPrefixes"]]
    if document.fields.get("EncodingType") == "url":
        # Requested, as a key may have letters that XML cannot hold.
        objects = [
            each._replace(key=unquote_plus(each.key))
            if "%" in each.key or "+" in each.key
            else each
            for each in objects
        ]
        directories = [unquote_plus(each) for each in directories]
    return Page(
        objects,
        directories,
        document.fields.get("NextContinuationToken"),
        document.fields.get("IsTruncated") == "true",
        "Marker" in document.fields and "KeyCount" not in document.fields,
    )


def continuation_of(content: bytes) -> str | None:
    """Return where a listing goes on, before the page is read; None where only that will tell.

    A text in XML has no ``<`` in it, so what stands between these two tags is the element's.
    """
    start = content.find(_CONTINUATION)
    if start < 0:
        return None
    start += len(_CONTINUATION)
    token = content[start : content.find(b"<", start)]
    # An entity, or another encoding, is the parser's.
    return token.decode() if token.isascii() and b"&" not in token else None


def _take_objects(content: bytes) -> tuple[list[ListedObject], bytes]:
    """Take the objects out of a page, if all look as stores mostly write them.

    A parser calls three functions for each of an object's elements, which is half of the time of a
    listing.

    Returns:
        The objects, and the page without them for the parser; none and the page otherwise.
    """
    if b"<!" in content or not _UTF8.match(content):
        return [], content
    objects: list[ListedObject] = []
    end = start = content.find(b"<Contents>")
    try:
        while (found := _OBJECT.match(content, end)) is not None:
            key, modified, etag, size = found.group("key", "modified", "etag", "size")
            objects.append(
                ListedObject(key.decode(), int(size), _moment(modified.decode()), _unescaped(etag))
            )
            end = found.end()
    except (AttributeError, TypeError, ValueError, OddAnswerException):
        return [], content  # it lacks something, or has an odd one: the parser says what
    if content.find(b"<Contents", end) >= 0:
        return [], content
    return objects, content[:start] + content[end:]


def _unescaped(etag: bytes | None) -> str | None:
    if etag is None:
        return None
    text = etag.decode().replace("&quot;", '"').replace("&#34;", '"')
    if "&" in text:
        raise ValueError("another entity")
    return text


def _listed(item: dict[str, str]) -> ListedObject:
    try:
        modified = timestamp(item["LastModified"])
        return ListedObject(item["Key"], int(item["Size"]), modified, item.get("ETag"))
    except KeyError as error:
        raise _odd(f"it has no {error.args[0]}") from error
    except ValueError as error:
        raise _odd("a size") from error


def timestamp(text: str) -> float:
    """Return a time of ISO 8601 in seconds since 1970 UTC.

    Raises:
        StorageUnavailableException: It is no such time.
    """
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise _odd("a time") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()


# Files of one deployment have few times.
_moment = lru_cache(maxsize=256)(timestamp)


def delete_document(etags: Mapping[str, str | None]) -> bytes:
    """Return the body of DeleteObjects: keys, each with the etag that it must have, or None."""
    objects = "".join(
        f"<Object><Key>{_text(key)}</Key>"
        f"{'' if etag is None else f'<ETag>{_text(etag)}</ETag>'}</Object>"
        for key, etag in etags.items()
    )
    return _document("Delete", objects)


def parts_document(parts: Iterable[tuple[int, str, str | None]]) -> bytes:
    """Return the body of CompleteMultipartUpload: numbers, etags and CRC-32s, in order."""
    elements = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{_text(etag)}</ETag>"
        f"{'' if crc32 is None else f'<ChecksumCRC32>{_text(crc32)}</ChecksumCRC32>'}</Part>"
        for number, etag, crc32 in parts
    )
    return _document("CompleteMultipartUpload", elements)


def tags_document(tags: Iterable[tuple[str, str]]) -> str:
    """Return the value of a form's field ``tagging``.

    https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html
    """
    elements = "".join(
        f"<Tag><Key>{_text(key)}</Key><Value>{_text(value)}</Value></Tag>" for key, value in tags
    )
    return f"<Tagging><TagSet>{elements}</TagSet></Tagging>"


def _document(root: str, content: str) -> bytes:
    return f'<{root} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{content}</{root}>'.encode()


def _text(value: str) -> str:
    # XML reads a line break of either kind as one, and has no other control letters.
    return value.translate(_ENTITIES)


def _odd(what: str) -> OddAnswerException:
    return OddAnswerException(f"The store's answer cannot be understood: {what}")
