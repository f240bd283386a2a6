"""Forms (``multipart/form-data``, RFC 7578) read as they arrive: short fields, then one file."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, TypeAlias

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["FormError", "FormReader", "boundary_of"]

_FILE = "file"
_MOST_FIELDS = 16
_LONGEST_FIELDS = 8192
"""Bytes in all fields together."""

_Event: TypeAlias = "tuple[str, bytes]"
"""``part`` with its Content-Disposition, ``data``, or ``end`` of the whole form."""


class FormError(Exception):
    """The form is malformed, or has parts that are not allowed."""


def boundary_of(content_type: str) -> bytes | None:
    """Return the boundary of a form's parts, or None where the type is not that of a form."""
    kind, parameters = parse_options_header(content_type)
    boundary = parameters.get(b"boundary", b"")
    return boundary if kind == b"multipart/form-data" and boundary else None


class FormReader:
    """A form whose last part is the file: call `fields` first, then iterate `file`.

    Args:
        chunks: The body of the request.
        boundary: The result of `boundary_of`.

    Raises:
        FormError: The boundary is too long.
    """

    def __init__(self, chunks: AsyncIterator[bytes], boundary: bytes) -> None:
        self._ready: deque[_Event] = deque()
        self._name = self._value = b""
        self._disposition = b""
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_header_field": self._on_name,
                    "on_header_value": self._on_value,
                    "on_header_end": self._on_header,
                    "on_headers_finished": self._on_part,
                    "on_part_data": self._on_data,
                    "on_end": lambda: self._ready.append(("end", b"")),
                },
            )
        except FormParserError as error:
            raise FormError from error
        self._events = self._read(chunks)

    async def fields(self) -> dict[str, str]:
        """Return all fields, which come before the file.

        Raises:
            FormError: There is no file, a field comes twice, or the fields are too many or too
                long.
        """
        fields: dict[str, bytes] = {}
        name, size = None, 0
        async for kind, data in self._events:
            if kind == "part":
                name = _name_of(data)
                if name == _FILE:
                    return {key: _text(value) for key, value in fields.items()}
                if name in fields or len(fields) == _MOST_FIELDS:
                    raise FormError
                fields[name] = b""
            elif kind == "data" and name is not None:
                size += len(data)
                if size > _LONGEST_FIELDS:
                    raise FormError
                fields[name] += data
            else:
                raise FormError
        raise FormError

    async def file(self) -> AsyncIterator[bytes]:
        """Yield the file; end only where the whole form ends, so that no part of a file is stored.

        Raises:
            FormError: The form is incomplete, or has more parts after the file.
        """
        async for kind, data in self._events:
            if kind == "data":
                yield data
            elif kind == "end":
                return
            else:
                raise FormError
        raise FormError

    async def _read(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[_Event]:
        async for chunk in chunks:
            try:
                self._parser.write(chunk)
            except FormParserError as error:
                raise FormError from error
            while self._ready:
                yield self._ready.popleft()

    def _begin(self) -> None:
        self._name = self._value = self._disposition = b""

    def _on_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._disposition = self._value
        self._name = self._value = b""

    def _on_part(self) -> None:
        self._ready.append(("part", self._disposition))

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        self._ready.append(("data", data[start:end]))


def _name_of(disposition: bytes) -> str:
    kind, parameters = parse_options_header(disposition)
    if kind != b"form-data" or b"name" not in parameters:
        raise FormError
    return _text(parameters[b"name"])


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise FormError from error
