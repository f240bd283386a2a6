"""What can be asked of a write: the keywords that users pass, and the record that drivers get."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, TypedDict

from jtc.storage._did_you_mean import closest
from jtc.storage.exceptions import UnsupportedOperationException
from jtc.storage.models import Visibility

__all__ = ["CopyOptions", "Progress", "PutOptions", "WriteOptions"]

Progress: TypeAlias = Callable[[int, int | None], object]
"""Called with the bytes done so far and the total, or None where that is unknown."""


class _NewFileOptions(TypedDict, total=False):
    """What both a put and a copy can ask for the new file. None is the same as not given.

    Attributes:
        content_type: The MIME type.
        cache_control: The HTTP header of that name to serve the file with.
        content_disposition: The HTTP header of that name to serve the file with.
        metadata: Texts by names of ``[a-z0-9-]``.
        visibility: `Visibility`, or its value.
        overwrite: False to create only; race-free.
        driver_options: A mapping that the driver's documentation explains.
    """

    content_type: str | None
    cache_control: str | None
    content_disposition: str | None
    metadata: Mapping[str, str] | None
    visibility: Visibility | str | None
    overwrite: bool
    driver_options: Mapping[str, object] | None


class PutOptions(_NewFileOptions, total=False):
    """The keywords of `Disk.put` and its relatives.

    Attributes:
        if_match: Write only if the file there has this `FileInfo.etag`; race-free.
        size: The expected length in bytes; another length is refused.
        max_size: The largest length in bytes that is accepted.
        allowed_types: MIME types (``"image/png"``, ``"image/*"``), judged by the content. What a
            browser may run (HTML, SVG, XML, JavaScript) has to be named in full.
        progress: Called while the content is read.
    """

    if_match: str | None
    size: int | None
    max_size: int | None
    allowed_types: Collection[str] | None
    progress: Progress | None


class CopyOptions(_NewFileOptions, total=False):
    """The keywords of `Disk.copy` and `Disk.move`.

    Attributes:
        if_source_match: Copy only if the source has this `FileInfo.etag`.
    """

    if_source_match: str | None


@dataclass(slots=True, kw_only=True)
class WriteOptions:
    """What a driver's `write_file`, `copy_file` and `move_file` get.

    Only what the user asked for is set, and only what the driver's `supported_options` lists;
    anything inferred, such as a MIME type by the name, is the driver's own affair. `size` is a
    hint: the length in bytes where it is known beforehand.
    """

    content_type: str | None = None
    cache_control: str | None = None
    content_disposition: str | None = None
    metadata: Mapping[str, str] | None = None
    visibility: Visibility | None = None
    overwrite: bool = True
    if_match: str | None = None
    if_source_match: str | None = None
    driver_options: Mapping[str, object] | None = None
    size: int | None = None


DISK_OPTIONS = frozenset({"size", "max_size", "allowed_types", "progress"})
"""What `Disk` itself sees to, on every driver."""

_NEW_FILE_OPTIONS = frozenset(_NewFileOptions.__annotations__)
_PUT_OPTIONS = frozenset(PutOptions.__annotations__)
_COPY_OPTIONS = frozenset(CopyOptions.__annotations__)
_METADATA_NAME = re.compile(r"[a-z0-9-]+")


def put_options(
    given: Mapping[str, Any], supported: frozenset[str], *, driver: str, method: str = "put"
) -> WriteOptions:
    """Check the keywords of a put against the contract and the driver.

    Args:
        given: The keywords as the user passed them.
        supported: The options that the driver supports for `write_file`.
        driver: The driver's name, for messages.
        method: The method that the user called, for messages.

    Raises:
        TypeError: A name is unknown, or a value has the wrong type.
        ValueError: A value cannot be.
        UnsupportedOperationException: The driver does not support an option.
    """
    return _write_options(given, _PUT_OPTIONS, supported | DISK_OPTIONS, driver, method)


def copy_options(
    given: Mapping[str, Any], supported: frozenset[str], *, driver: str, method: str = "copy"
) -> WriteOptions:
    """Check the keywords of a copy or a move, as `put_options` does those of a put.

    Raises:
        TypeError: A name is unknown, or a value has the wrong type.
        ValueError: A value cannot be.
        UnsupportedOperationException: The driver does not support an option.
    """
    return _write_options(given, _COPY_OPTIONS, supported, driver, method)


def _write_options(
    given: Mapping[str, Any],
    known: frozenset[str],
    supported: frozenset[str],
    driver: str,
    method: str,
) -> WriteOptions:
    options = WriteOptions()
    for name, value in given.items():
        if name not in known:
            raise TypeError(_unknown(name, known, method))
        if value is None or (name == "overwrite" and value is True):
            continue
        if name not in supported:
            raise UnsupportedOperationException(
                f"The driver {driver!r} does not support the option {name!r}"
            )
        if name in DISK_OPTIONS - {"size"}:
            continue
        setattr(options, name, _checked(name, value))
    if options.if_match is not None and not options.overwrite:
        raise ValueError("overwrite=False wants no file to be there, and if_match a certain one")
    return options


def _checked(name: str, value: Any) -> Any:
    match name:
        case "visibility":
            return Visibility(value)
        case "metadata":
            return _checked_metadata(value)
        case "driver_options":
            return dict(_of_type(name, value, Mapping, "a mapping"))
        case "overwrite":
            return _of_type(name, value, bool, "a bool")
        case "size":
            return _of_type(name, value, int, "a number of bytes")
    text = _of_type(name, value, str, "a str")
    if not text.isprintable():
        # These become HTTP headers: a line break would begin another one.
        raise ValueError(f"{name} must not contain control characters")
    return text


def _of_type(name: str, value: Any, expected: type, described: str) -> Any:
    if not isinstance(value, expected):
        raise TypeError(f"{name} must be {described}, not {type(value).__name__}")
    return value


def _checked_metadata(value: Any) -> dict[str, str]:
    for key, text in _of_type("metadata", value, Mapping, "a mapping").items():
        if not isinstance(key, str) or not _METADATA_NAME.fullmatch(key):
            raise ValueError(f"A metadata name has only a-z, 0-9 and '-'; {key!r} is not one")
        # A lone surrogate cannot be stored: UnicodeEncodeError, a ValueError.
        _of_type(f"metadata[{key!r}]", text, str, "a str").encode()
    return dict(value)


def _unknown(name: str, known: frozenset[str], method: str) -> str:
    close = closest(name, known)
    hint = f"did you mean {close!r}?" if close else f"there are {', '.join(sorted(known))}"
    return f"{method}() has no option {name!r}: {hint}"
