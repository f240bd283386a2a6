"""Azure's XML documents, read and written."""

from __future__ import annotations

import asyncio
import email.utils
from typing import TYPE_CHECKING, NamedTuple, cast
from urllib.parse import unquote
from xml.etree.ElementTree import Element, ParseError, XMLPullParser
from xml.parsers import expat

from jtc.storage.exceptions import StorageUnavailableException

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "ListedBlob",
    "Page",
    "blocks_document",
    "delegation_document",
    "read_blocks",
    "read_error",
    "read_fields",
    "read_page",
    "read_tags",
]

_SLICE = 32 * 1024
"""Bytes that are parsed without a pause: a millisecond's work. A page has 3 million."""

_IS_DIRECTORY = "hdi_isfolder"
"""The name of metadata by which Hadoop, and accounts with directories, mark these."""

_DOCTYPE = b"<!DOCTYPE"


class ListedBlob(NamedTuple):
    """A blob in a listing.

    Attributes:
        name: The blob's name.
        size: Its length in bytes.
        last_modified: When it was written, in seconds since 1970 UTC.
        etag: As the store wrote it, without quotes.
        is_directory: Whether it stands for a directory of that name.
    """

    name: str
    size: int
    last_modified: float
    etag: str
    is_directory: bool


class Page(NamedTuple):
    """A page of a listing.

    Attributes:
        blobs: In the store's order.
        directories: The common prefixes, each with its ``/``.
        next_marker: Where the next page begins; empty after the last.
    """

    blobs: list[ListedBlob]
    directories: list[str]
    next_marker: str


class _Reader:
    """A document that is being read.

    Attributes:
        root: The outermost element's name.
        fields: Texts of elements by name, of those outside of items.
        items: The texts in each element of a name.
    """

    def __init__(self, item_name: str) -> None:
        self.root = ""
        self.fields: dict[str, str] = {}
        self.items: list[dict[str, str]] = []
        self._item_name = item_name
        self._item: dict[str, str] | None = None
        self._texts: list[str] = []
        self._parser = parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._texts.append
        # A document that defines entities is an attack, and the store's has no type at all.
        parser.StartDoctypeDeclHandler = self._refuse

    def read(self, content: bytes) -> None:
        try:
            self._parser.Parse(content, True)  # noqa: FBT003 - positional only
        except (expat.ExpatError, LookupError, ValueError) as error:
            raise _odd("it is no XML") from error

    def _refuse(self, *_: object) -> None:
        raise _odd("it has a document type")

    def _start(self, name: str, _: object) -> None:
        self._texts.clear()
        if not self.root:
            self.root = name
        elif name == self._item_name:
            self._item = {}
            self.items.append(self._item)

    def _end(self, name: str) -> None:
        if self._item is None:
            self.fields[name] = "".join(self._texts)
        elif name == self._item_name:
            self._item = None
        else:
            self._item[name] = "".join(self._texts)
        self._texts.clear()


def _read(content: bytes, root: str, item_name: str = "") -> _Reader:
    reader = _Reader(item_name)
    reader.read(content)
    if reader.root != root:
        raise _odd(f"it is a {reader.root[:40]!r}")
    return reader


def read_error(content: bytes) -> dict[str, str]:
    """Return the fields of an error's document; none where it is something else."""
    try:
        # The emulator writes a byte order mark, as Azure does.
        return _read(content, "Error").fields
    except StorageUnavailableException:
        return {}


def read_fields(content: bytes, root: str) -> dict[str, str]:
    """Return the texts of a document by their elements' names.

    Raises:
        StorageUnavailableException: It is no such document.
    """
    return _read(content, root).fields


def read_blocks(content: bytes) -> list[str]:
    """Return the ids in a block list.

    Raises:
        StorageUnavailableException: It is none.
    """
    return [item.get("Name", "") for item in _read(content, "BlockList", "Block").items]


def read_tags(content: bytes) -> list[tuple[str, str]]:
    """Return the names and values of a blob's tags.

    Raises:
        StorageUnavailableException: They are none.
    """
    items = _read(content, "Tags", "Tag").items
    return [(item.get("Key", ""), item.get("Value", "")) for item in items]


async def read_page(content: bytes) -> Page:
    """Return a page of a listing; other tasks run meanwhile.

    Raises:
        StorageUnavailableException: It cannot be understood.
    """
    # What defines entities is an attack, and the store's has no type at all, nor is it UTF-16.
    if _DOCTYPE in content or b"\0" in content[:4]:
        raise _odd("it has a document type")
    # The elements are made in C, in less than half the time of handlers in Python, and few are kept
    # at once: the garbage collector goes through all objects of a program after a number of new
    # ones.
    parser: XMLPullParser[Element] = XMLPullParser(("start",))
    root: Element | None = None
    blobs: list[ListedBlob] = []
    directories: list[str] = []

    def use(listed: list[Element]) -> None:
        for element in listed:
            if element.tag == "Blob":
                blobs.append(_listed(element))
            elif element.tag == "BlobPrefix":
                directories.append(_name(element))

    for start in range(0, len(content), _SLICE):
        begun = _begun(parser, content[start : start + _SLICE])
        root = begun if root is None else root
        if root is not None and (found := root.find("Blobs")) is not None:
            use(found[:-1])  # the last one may still lack something
            del found[:-1]
        await asyncio.sleep(0)
    _begun(parser)
    if root is None or root.tag != "EnumerationResults":
        raise _odd("it is no listing")
    if (found := root.find("Blobs")) is not None:
        use(found[:])
    return Page(blobs, directories, root.findtext("NextMarker", ""))


def _begun(parser: XMLPullParser[Element], content: bytes | None = None) -> Element | None:
    """Read on, or come to the end; return the first element that begins there."""
    first: Element | None = None
    try:
        if content is None:
            parser.close()
        else:
            parser.feed(content)
        for event in cast("Iterator[tuple[str, Element]]", parser.read_events()):
            if first is None:
                first = event[1]
    except (ParseError, LookupError, ValueError) as error:
        raise _odd("it is no XML") from error
    return first


def _listed(blob: Element) -> ListedBlob:
    properties, metadata = blob.find("Properties"), blob.find("Metadata")
    if properties is None:
        raise _odd("it has no Properties")
    text = properties.findtext
    try:
        moment = email.utils.parsedate_to_datetime(text("Last-Modified", "")).timestamp()
        size = int(text("Content-Length", ""))
    except (ValueError, OverflowError) as error:
        raise _odd("a size or a time") from error
    etag = text("Etag")
    if etag is None:
        raise _odd("it has no Etag")
    is_directory = text("ResourceType") == "directory" or (
        # A header's name, as that of metadata is, means the same in any case.
        metadata is not None
        and any(each.tag.lower() == _IS_DIRECTORY and each.text == "true" for each in metadata)
    )
    return ListedBlob(_name(blob), size, moment, etag, is_directory)


def _name(item: Element) -> str:
    name = item.find("Name")
    text = "" if name is None else name.text or ""
    # A name may have letters that XML cannot hold.
    return unquote(text) if name is not None and name.get("Encoded") == "true" else text


def blocks_document(block_ids: Iterable[str]) -> bytes:
    """Return the body of Put Block List: ids in base64, in order."""
    blocks = "".join(f"<Latest>{each}</Latest>" for each in block_ids)
    return f'<?xml version="1.0" encoding="utf-8"?><BlockList>{blocks}</BlockList>'.encode()


def delegation_document(starts: str, ends: str) -> bytes:
    """Return the body of Get User Delegation Key."""
    times = f"<Start>{starts}</Start><Expiry>{ends}</Expiry>"
    return f'<?xml version="1.0" encoding="utf-8"?><KeyInfo>{times}</KeyInfo>'.encode()


def _odd(what: str) -> StorageUnavailableException:
    return StorageUnavailableException(f"The store's answer cannot be understood: {what}")
