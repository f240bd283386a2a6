"""The store's XML: pages of listings, and the codes of errors.

Read as it comes, without a tree: the garbage collector goes through all objects of a program after
so many new ones, and a tree of a page's six thousand made it do so again and again.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Any
from urllib.parse import unquote_plus
from xml.parsers import expat

from jtc.storage.drivers.s3_driver._answers import Answer
from jtc.storage.exceptions import StorageUnavailableException

__all__ = ["continuation_of", "error_code", "parsed_page"]

_SLICE = 32 * 1024
"""Bytes that are parsed without a pause: a millisecond's work. A page has 350,000."""

_GROUPS = frozenset({"Contents", "CommonPrefixes"})
_FIELDS = frozenset({"Key", "LastModified", "ETag", "Size", "Prefix"})
_CONTINUATION = b"<NextContinuationToken>"
_PAGE_FIELDS = frozenset({"NextContinuationToken", "EncodingType", "IsTruncated"})


async def parsed_page(answer: Any) -> Any:
    """Return an answer to ListObjectsV2 as the SDK parses it; other tasks run meanwhile.

    Args:
        answer: With the ``Document``, or parsed by the SDK.

    Raises:
        StorageUnavailableException: It cannot be understood.
    """
    if "Document" not in answer:
        return answer
    document = answer["Document"]
    parser = _Parser(_GROUPS, _FIELDS, _PAGE_FIELDS)
    finished = 0
    items: list[dict[str, Any]] = parser.items["Contents"]
    for start in range(0, max(len(document), 1), _SLICE):
        parser.feed(document[start : start + _SLICE], last=start + _SLICE >= len(document))
        # The last one may still lack something.
        for item in items[finished:-1]:
            _finish(item)
        finished = max(len(items) - 1, 0)
        await asyncio.sleep(0)
    if parser.root != "ListBucketResult":
        raise _odd(f"it is a {parser.root[:40]!r}")
    for item in items[finished:]:
        _finish(item)
    page = parser.fields
    if page.get("EncodingType") == "url":
        # Asked for, as a key may have letters that XML cannot hold.
        for group, name in (("Contents", "Key"), ("CommonPrefixes", "Prefix")):
            for item in parser.items[group]:
                item[name] = unquote_plus(item[name])
    return Answer(page, IsTruncated=page.get("IsTruncated") == "true", **parser.items)


def continuation_of(document: bytes) -> str | None:
    """Return where a listing goes on, before the page is parsed; None where only that will tell.

    A text in XML has no ``<`` in it, so what stands between these two tags is the element's.
    """
    start = document.find(_CONTINUATION)
    if start < 0:
        return None
    start += len(_CONTINUATION)
    token = document[start : document.find(b"<", start)]
    # An entity, or another encoding, is the parser's.
    return token.decode() if token.isascii() and b"&" not in token else None


def _finish(item: dict[str, Any]) -> None:
    try:
        if "Size" in item:
            item["Size"] = int(item["Size"])
        if "LastModified" in item:
            moment = dt.datetime.fromisoformat(item["LastModified"])
            item["LastModified"] = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    except ValueError as error:
        raise _odd("a size or a time") from error


def error_code(document: bytes) -> str:
    """Return the code in an error's answer; empty where there is none."""
    parser = _Parser(frozenset(), frozenset(), frozenset({"Code"}))
    try:
        parser.feed(document, last=True)
    except StorageUnavailableException:
        return ""
    return parser.fields.get("Code", "") if parser.root == "Error" else ""


class _Parser:
    """Takes texts out of a document of two levels.

    Args:
        groups: Elements below the root that have others in them.
        inner: The elements in groups whose texts are wanted.
        outer: The elements below the root whose texts are wanted.

    Attributes:
        root: The outermost element's name.
        items: The texts of each group's elements, by the group's name.
        fields: The texts of the wanted elements below the root.
    """

    def __init__(
        self, groups: frozenset[str], inner: frozenset[str], outer: frozenset[str]
    ) -> None:
        self.root = ""
        self.items: dict[str, list[dict[str, Any]]] = {name: [] for name in groups}
        self.fields: dict[str, str] = {}
        self._inner = inner
        self._outer = outer
        self._item: dict[str, Any] | None = None
        self._texts: list[str] = []
        self._expat = parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._texts.append
        # A document that defines entities is an attack, and a store's has no type at all.
        parser.StartDoctypeDeclHandler = self._refuse

    def feed(self, data: bytes, *, last: bool) -> None:
        try:
            self._expat.Parse(data, last)
        except (expat.ExpatError, LookupError, ValueError) as error:
            raise _odd("it is no XML") from error

    def _refuse(self, *_: object) -> None:
        raise _odd("it has a document type")

    def _start(self, name: str, _: object) -> None:
        self._texts.clear()
        if name in self.items:
            self._item = Answer()
            self.items[name].append(self._item)
        elif not self.root:
            self.root = name

    def _end(self, name: str) -> None:
        if self._item is None:
            if name in self._outer:
                self.fields[name] = "".join(self._texts)
        elif name in self._inner:
            self._item[name] = "".join(self._texts)
        elif name in self.items:
            self._item = None


def _odd(what: str) -> StorageUnavailableException:
    return StorageUnavailableException(f"The store's answer cannot be understood: {what}")
