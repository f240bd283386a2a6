"""Azure's XML documents, read and written.

Read as they come, without a tree: the garbage collector goes through all objects of a program after
a number of new ones.
"""

from __future__ import annotations

import asyncio
import email.utils
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote
from xml.parsers import expat

from jtc.storage.exceptions import StorageUnavailableException

if TYPE_CHECKING:
    from collections.abc import Iterable

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

_METADATA = "Metadata"
_IS_DIRECTORY = f"{_METADATA}/hdi_isfolder"
"""The name of metadata by which Hadoop, and accounts with directories, mark these."""


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
        items: The texts in each element of `item_names`, with its name as the item's ``""``.
    """

    def __init__(self, *item_names: str) -> None:
        self.root = ""
        self.fields: dict[str, str] = {}
        self.items: list[dict[str, str]] = []
        self._item_names = frozenset(item_names)
        self._item: dict[str, str] | None = None
        self._below = ""
        self._texts: list[str] = []
        self._parser = parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._texts.append
        # A document that defines entities is an attack, and the store's has no type at all.
        parser.StartDoctypeDeclHandler = self._refuse

    def feed(self, data: bytes, *, last: bool) -> None:
        try:
            self._parser.Parse(data, last)
        except (expat.ExpatError, LookupError, ValueError) as error:
            raise _odd("it is no XML") from error

    def check_root(self, root: str) -> None:
        if self.root != root:
            raise _odd(f"it is a {self.root[:40]!r}")

    def _refuse(self, *_: object) -> None:
        raise _odd("it has a document type")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._texts.clear()
        if not self.root:
            self.root = name
        elif name in self._item_names:
            self._item = {"": name}
            self.items.append(self._item)
        elif name == _METADATA:
            self._below = f"{_METADATA}/"  # its names are the users', and may be those of others
        elif attributes.get("Encoded") == "true" and self._item is not None:
            self._item["Encoded"] = "true"

    def _end(self, name: str) -> None:
        if self._item is None:
            self.fields[name] = "".join(self._texts)
        elif name in self._item_names:
            self._item, self._below = None, ""
        elif name == _METADATA:
            self._below = ""
        else:
            # A header's name, as that of metadata is, means the same in any case.
            key = f"{self._below}{name.lower()}" if self._below else name
            self._item[key] = "".join(self._texts)
        self._texts.clear()


def _read(content: bytes, root: str, *item_names: str) -> _Reader:
    reader = _Reader(*item_names)
    reader.feed(content, last=True)
    reader.check_root(root)
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
    reader = _Reader("Blob", "BlobPrefix")
    blobs: list[ListedBlob] = []
    directories: list[str] = []
    done = 0

    def use(until: int) -> None:
        for item in reader.items[done:until]:
            if item[""] == "Blob":
                blobs.append(_listed(item))
            else:
                directories.append(_name(item))

    for start in range(0, max(len(content), 1), _SLICE):
        reader.feed(content[start : start + _SLICE], last=start + _SLICE >= len(content))
        # The last one may still lack something.
        use(len(reader.items) - 1)
        done = max(len(reader.items) - 1, 0)
        await asyncio.sleep(0)
    reader.check_root("EnumerationResults")
    use(len(reader.items))
    return Page(blobs, directories, reader.fields.get("NextMarker", ""))


def _listed(item: dict[str, str]) -> ListedBlob:
    try:
        moment = email.utils.parsedate_to_datetime(item["Last-Modified"]).timestamp()
        size = int(item["Content-Length"])
        is_directory = item.get("ResourceType") == "directory" or item.get(_IS_DIRECTORY) == "true"
        return ListedBlob(_name(item), size, moment, item["Etag"], is_directory)
    except KeyError as error:
        raise _odd(f"it has no {error.args[0]}") from error
    except (ValueError, OverflowError) as error:
        raise _odd("a size or a time") from error


def _name(item: dict[str, str]) -> str:
    name = item.get("Name", "")
    # A name may have letters that XML cannot hold.
    return unquote(name) if "Encoded" in item else name


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
