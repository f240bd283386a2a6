"""Forms (``multipart/form-data``, RFC 7578) read as they arrive: one file, and short fields."""

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
_LONGEST_SKIPPED = 1024 * 1024
"""Bytes in all fields that are not used, with a few for each part."""
_PART = 100
_AS_IT_IS = {b"binary", b"8bit", b"7bit"}
"""The encodings of mail (RFC 2045, section 6) that change nothing. Forms need none."""

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
    """A form with one file, read once from its beginning to its end.

    Of a presigned form call `fields`, then iterate `file`; of any other form, call `first_file`,
    then iterate `only_file`. A part with an empty ``filename`` and no content is what a browser
    sends where no file was chosen: it is no file.

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
            raise FormError("The boundary of the form is too long") from error
        self._events = self._read(chunks)
        self._begun = b""
        self._chosen = True
        self._skipped = 0

    async def first_file(self) -> str:
        """Skip to the first file of a form, and return the name that the client gave it.

        Raises:
            FormError: There is no file, or the fields before it are too long.
        """
        filename: str | None = None
        async for kind, data in self._events:
            if kind == "part":
                filename = _filename_of(data)
                if filename:
                    return filename
                self._skip(_PART)
            elif kind == "data" and filename is None:
                self._skip(len(data))
            elif kind == "data":
                self._begun = data
                return ""
        raise FormError("The form has no file")

    async def only_file(self) -> AsyncIterator[bytes]:
        """Yield the file that `first_file` found; skip the fields behind it.

        Raises:
            FormError: The form is incomplete, has more files, or the fields are too long.
        """
        if self._begun:
            yield self._begun
        within, filename = True, None
        async for kind, data in self._events:
            if kind == "end":
                return
            if kind == "data" and within:
                yield data
                continue
            within = False
            if kind == "part":
                filename = _filename_of(data)
            if filename or (filename is not None and kind == "data"):
                raise FormError("The form has more than one file")
            self._skip(_PART if kind == "part" else len(data))
        raise FormError("The form is incomplete")

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
                    self._chosen = _filename_of(data) != ""
                    return {key: _text(value) for key, value in fields.items()}
                if name in fields or len(fields) == _MOST_FIELDS:
                    raise FormError("The form has too many fields, or one of them twice")
                fields[name] = b""
            elif kind == "data" and name is not None:
                size += len(data)
                if size > _LONGEST_FIELDS:
                    raise FormError("The fields of the form are too long")
                fields[name] += data
            else:
                break
        raise FormError("The form has no file")

    async def file(self) -> AsyncIterator[bytes]:
        """Yield the file; end only where the whole form ends, so that no part of a file is stored.

        Raises:
            FormError: No file was chosen, the form is incomplete, or has more parts after the file.
        """
        async for kind, data in self._events:
            if kind == "data":
                self._chosen = True
                yield data
            elif kind == "end" and self._chosen:
                return
            elif kind == "end":
                raise FormError("The form has no file")
            else:
                raise FormError("The form has parts behind the file")
        raise FormError("The form is incomplete")

    def _skip(self, length: int) -> None:
        self._skipped += length
        if self._skipped > _LONGEST_SKIPPED:
            raise FormError("The fields of the form are too long")

    async def _read(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[_Event]:
        async for chunk in chunks:
            try:
                self._parser.write(chunk)
            except FormParserError as error:
                raise FormError("The form is malformed") from error
            while self._ready:
                yield self._ready.popleft()

    def _begin(self) -> None:
        self._name = self._value = self._disposition = b""

    def _on_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header(self) -> None:
        name = self._name.lower()
        if name == b"content-disposition":
            self._disposition = self._value
        elif name == b"content-transfer-encoding" and self._value.strip().lower() not in _AS_IT_IS:
            raise FormError("Send each part as it is, without Content-Transfer-Encoding")
        self._name = self._value = b""

    def _on_part(self) -> None:
        self._ready.append(("part", self._disposition))

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        self._ready.append(("data", data[start:end]))


def _name_of(disposition: bytes) -> str:
    name = _parameters_of(disposition).get(b"name")
    if name is None:
        raise FormError("A part of the form has no name")
    return _text(name)


def _filename_of(disposition: bytes) -> str | None:
    """Return the name of a part's file; empty where none was chosen, None where it is a field."""
    filename = _parameters_of(disposition).get(b"filename")
    return None if filename is None else filename.decode(errors="replace")


def _parameters_of(disposition: bytes) -> dict[bytes, bytes]:
    kind, parameters = parse_options_header(disposition)
    if kind != b"form-data":
        raise FormError("A part of the form has no Content-Disposition")
    return parameters


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise FormError("A field of the form is not UTF-8") from error
