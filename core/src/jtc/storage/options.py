"""Options: the keywords that users pass, and the records that drivers get."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict

from jtc.storage._did_you_mean import closest
from jtc.storage._shortened import shortened
from jtc.storage.driver_support.ranges import check_range
from jtc.storage.exceptions import UnsupportedOperationException
from jtc.storage.models import Visibility

if TYPE_CHECKING:
    from jtc.storage.exceptions import StorageException

__all__ = [
    "DEFAULT_CHUNK_SIZE",
    "DEFAULT_CONCURRENCY",
    "CopyManyOptions",
    "CopyOptions",
    "DeleteOptions",
    "ListOptions",
    "MetadataOptions",
    "Progress",
    "PutManyOptions",
    "PutOptions",
    "ReadOptions",
    "SignOptions",
    "WriteOptions",
]

DEFAULT_CHUNK_SIZE = 262_144
"""The default length in bytes of a stream's chunks; the last one may be shorter."""

DEFAULT_CONCURRENCY = 16
"""The number of files that are transferred at once. The parts of a large one count as one."""

Progress: TypeAlias = Callable[[int, int | None], object]
"""Called with the bytes done so far and the total, or None where that is unknown."""


@dataclass(slots=True, kw_only=True)
class ReadOptions:
    """Options of a driver's `open_read` and `read_ranges`.

    Attributes:
        start: The first byte; below 0, counted from the end. Beyond the end there are no bytes.
        end: The byte after the last, cut at the file's end; None is the end.
        if_match: The etag that the file must have; another is a PreconditionFailedException.
        if_none_match: The etag that the file must not have; this one is a NotModifiedException.
        chunk_size: The length of a chunk in bytes.
        read_ahead: A hint: the reader takes all bytes as fast as they come, so that a driver may
            have several requests under way. Not set for a reader that may be slow or stop early.

    Raises:
        ValueError: The range ends before it begins, or `chunk_size` is below 1.
    """

    start: int = 0
    end: int | None = None
    if_match: str | None = None
    if_none_match: str | None = None
    chunk_size: int = DEFAULT_CHUNK_SIZE
    read_ahead: bool = False

    def __post_init__(self) -> None:
        check_range(self.start, self.end)
        if self.chunk_size < 1:
            raise ValueError(f"chunk_size is 1 byte or more, not {self.chunk_size}")


@dataclass(slots=True, kw_only=True)
class DeleteOptions:
    """Options of a driver's `delete_file`.

    Attributes:
        if_match: The etag that the file must have; another is a PreconditionFailedException.

    Raises:
        TypeError: `if_match` is not a `str`.
        ValueError: It has control characters.
    """

    if_match: str | None = None

    def __post_init__(self) -> None:
        if self.if_match is not None:
            _printable("if_match", self.if_match)


@dataclass(slots=True, kw_only=True)
class ListOptions:
    """Options of a driver's `list_entries`.

    Attributes:
        recursive: Yield files at any depth, and directories only with `directories`.
        start_after: A key: yield only what comes after it in the driver's order. A file's key is
            its path, a directory's is its path and ``/``.
        directories: With `recursive`, yield directories too, each before its entries.
        itself: Yield only the directory itself, as a DirectoryInfo, if there is one.
        left_out: Called with the key of each name that is left out, and why: a directory below the
            prefix that may not be read, and what breaks the path policy. It may be called in any
            thread, and twice for one key, before an entry with a later key is yielded. Without it,
            the driver logs a warning.
    """

    recursive: bool = False
    start_after: str | None = None
    directories: bool = False
    itself: bool = False
    left_out: Callable[[str, StorageException], object] | None = None


@dataclass(slots=True, kw_only=True)
class SignOptions:
    """Options of a driver's `temporary_url`, `temporary_upload_url` and `temporary_upload_form`.

    Attributes:
        expires_in: Seconds until the result expires.
        content_type: The Content-Type of the response, or of an upload.
        content_disposition: The Content-Disposition of the response.
        stable_for: Seconds: all URLs made within one period of this length are the same.
        size: The length in bytes that an upload must have.
        min_size: The smallest length in bytes that a form accepts.
        max_size: The largest length in bytes that a form accepts.

    Raises:
        TypeError: A size is not an `int`, or a header is not a `str`.
        ValueError: A size is below 0, or `min_size` above `max_size`; or a header is empty or has
            control characters.
    """

    expires_in: float
    content_type: str | None = None
    content_disposition: str | None = None
    stable_for: float | None = None
    size: int | None = None
    min_size: int | None = None
    max_size: int | None = None

    def __post_init__(self) -> None:
        for name in ("size", "min_size", "max_size"):
            value = getattr(self, name)
            if isinstance(value, int) and value < 0:
                raise ValueError(f"{name} must be 0 or more, not {value}")
            # A bool or a float would be signed as text that no upload can match.
            if value is not None:
                check_bytes(name, value)
        for name in ("content_type", "content_disposition"):
            if (value := getattr(self, name)) is not None:
                _header(name, value)
        least, most = self.min_size, self.max_size
        if least is not None and most is not None and least > most:
            raise ValueError(f"min_size ({least}) is above max_size ({most})")


class _NewFileOptions(TypedDict, total=False):
    """Keywords of both a put and a copy. None is the same as not passed.

    Attributes:
        content_type: The MIME type.
        cache_control: The HTTP header of that name to serve the file with.
        content_disposition: The HTTP header of that name to serve the file with.
        content_encoding: How the content is compressed already, such as ``"gzip"``: the header of
            that name. A read returns the bytes that are stored.
        metadata: Texts by names of ``[a-z0-9-]``.
        visibility: `Visibility`, or its value. Without it, a put keeps that of the file it
            replaces, and a copy within a disk has its source's; on S3 they have the disk's default.
        overwrite: False refuses to replace a file, without a race.
        driver_options: A mapping that the driver's documentation describes.
    """

    content_type: str | None
    cache_control: str | None
    content_disposition: str | None
    content_encoding: str | None
    metadata: Mapping[str, str] | None
    visibility: Visibility | str | None
    overwrite: bool
    driver_options: Mapping[str, object] | None


class _CheckedOptions(_NewFileOptions, total=False):
    """Keywords of a put of one file and of many.

    Attributes:
        min_size: The smallest length in bytes that is accepted.
        max_size: The largest length in bytes that is accepted.
        allowed_types: MIME types (``"image/png"``, ``"image/*"``), judged by the content. The
            name's extension must be one of an allowed type too, or there is none. A type that a
            browser or a server may run (HTML, SVG, XML, JavaScript, PHP, Python) has to be named
            in full.
    """

    min_size: int | None
    max_size: int | None
    allowed_types: Collection[str] | None


class PutOptions(_CheckedOptions, total=False):
    """The keywords of `Disk.put` and the methods built on it.

    Attributes:
        if_match: Write only if the existing file has this `FileInfo.etag`, without a race.
        size: The expected length in bytes; another length is refused.
        progress: Called while the content is read.
    """

    if_match: str | None
    size: int | None
    progress: Progress | None


class PutManyOptions(_CheckedOptions, total=False):
    """The keywords of `Disk.put_many`, which are the same for all its files."""


class CopyOptions(_NewFileOptions, total=False):
    """The keywords of `Disk.copy` and `Disk.move`.

    Attributes:
        if_source_match: Copy only if the source has this `FileInfo.etag`.
        progress: Called while a copy is read and written, as to another disk. A copy that the
            backend makes by itself calls it once, at the end, with the file's size, which is
            asked for first; a copy onto itself, which copies nothing, does not call it.
    """

    if_source_match: str | None
    progress: Progress | None


class CopyManyOptions(_NewFileOptions, total=False):
    """The keywords of `Disk.copy_many`, `copy_directory` and `move_directory`, for all files."""


class MetadataOptions(TypedDict, total=False):
    """The keywords of `Disk.set_metadata`. None is the same as not passed.

    Attributes:
        content_type: The new MIME type.
        cache_control: The new Cache-Control to serve the file with.
        content_disposition: The new Content-Disposition to serve the file with.
        content_encoding: The new Content-Encoding to serve the file with.
        metadata: Texts by names of ``[a-z0-9-]``, which replace all existing ones.
        if_match: Change only the file with this `FileInfo.etag`, without a race.
    """

    content_type: str | None
    cache_control: str | None
    content_disposition: str | None
    content_encoding: str | None
    metadata: Mapping[str, str] | None
    if_match: str | None


@dataclass(slots=True, kw_only=True)
class WriteOptions:
    """Options of a driver's `write_file`, `copy_file`, `move_file` and `update_metadata`.

    Only options that the user passed and the driver's `supported_options` lists are set; a driver
    infers others, such as a MIME type by the name, by itself.

    Attributes:
        content_type: The MIME type.
        cache_control: The HTTP header of that name to serve the file with.
        content_disposition: The HTTP header of that name to serve the file with.
        content_encoding: How the content is compressed already, such as ``"gzip"``: the header of
            that name. A read returns the bytes that are stored.
        metadata: Texts by names of ``[a-z0-9-]``, which replace all existing ones.
        visibility: Who may read the file by its URL.
        overwrite: False refuses to replace a file, without a race.
        if_match: The etag that the file which is replaced or changed must have.
        if_source_match: Of a copy and a move: the etag that the source must have.
        driver_options: A mapping that the driver's documentation describes.
        size: A hint: the length in bytes where it is known beforehand.
        visibility_if_new: A hint, of a copy from another disk: who may read the file where it
            replaces none, and the disk has no default of its own.
    """

    content_type: str | None = None
    cache_control: str | None = None
    content_disposition: str | None = None
    content_encoding: str | None = None
    metadata: Mapping[str, str] | None = None
    visibility: Visibility | None = None
    overwrite: bool = True
    if_match: str | None = None
    if_source_match: str | None = None
    driver_options: Mapping[str, object] | None = None
    size: int | None = None
    visibility_if_new: Visibility | None = None


DISK_OPTIONS = frozenset({"size", "min_size", "max_size", "allowed_types", "progress"})
"""The options that `Disk` supports by itself, on every driver."""

_PUT_OPTIONS = frozenset(PutOptions.__annotations__)
_COPY_OPTIONS = frozenset(CopyOptions.__annotations__)
_PUT_MANY_OPTIONS = frozenset(PutManyOptions.__annotations__)
_COPY_MANY_OPTIONS = frozenset(CopyManyOptions.__annotations__)
_METADATA_OPTIONS = frozenset(MetadataOptions.__annotations__)
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
        ValueError: A value is invalid.
        UnsupportedOperationException: The driver does not support an option.
    """
    return _write_options(given, _PUT_OPTIONS, supported | DISK_OPTIONS, driver, method)


def copy_options(
    given: Mapping[str, Any], supported: frozenset[str], *, driver: str, method: str = "copy"
) -> WriteOptions:
    """Check the keywords of a copy or a move, as `put_options` does those of a put.

    Raises:
        TypeError: A name is unknown, or a value has the wrong type.
        ValueError: A value is invalid.
        UnsupportedOperationException: The driver does not support an option.
    """
    return _write_options(given, _COPY_OPTIONS, supported | {"progress"}, driver, method)


def check_many_options(given: Mapping[str, Any], *, method: str) -> None:
    """Check the keywords of a method for many files, before its driver is known.

    Args:
        given: The keywords as the user passed them.
        method: The method that the user called.

    Raises:
        TypeError: A name is unknown, or a value has the wrong type.
        ValueError: A value is invalid.
    """
    known = _PUT_MANY_OPTIONS if method == "put_many" else _COPY_MANY_OPTIONS
    _write_options(given, known, known, "", method)


def metadata_options(
    given: Mapping[str, Any], supported: frozenset[str], *, driver: str
) -> WriteOptions:
    """Check the keywords of `Disk.set_metadata`, as `put_options` does those of a put.

    Raises:
        TypeError: A name is unknown, a value has the wrong type, or there are no keywords.
        ValueError: A value is invalid.
        UnsupportedOperationException: The driver does not support an option.
    """
    if all(value is None or name == "if_match" for name, value in given.items()):
        raise TypeError("set_metadata() takes at least one of content_type, cache_control, …")
    return _write_options(given, _METADATA_OPTIONS, supported, driver, "set_metadata")


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
        raise ValueError("overwrite=False and if_match exclude each other: pass one of them")
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
            return check_bytes(name, value)
        case "if_match" | "if_source_match":
            return _printable(name, value)  # no file has the etag ""
    return _header(name, value)


def _header(name: str, value: Any) -> str:
    """Return the value of an HTTP header, which an empty text would not set."""
    if value == "":
        raise ValueError(f"{name} must not be empty: pass None to leave it out")
    return _printable(name, value)


def _printable(name: str, value: Any) -> str:
    text: str = _of_type(name, value, str, "a str")
    if not text.isprintable():
        # Values of HTTP headers: a line break would begin another header.
        raise ValueError(f"{name} must not contain control characters")
    return text


def check_bytes(name: str, value: Any) -> int:
    """Return a number of bytes.

    Raises:
        TypeError: It is none: True counts as 1 in Python, and is a mistake here.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError(f"{name} is a number of bytes, not {value!r}")
    return value


def check_concurrency(concurrency: int) -> None:
    """Check an argument `concurrency`.

    Raises:
        TypeError: It is not a number.
        ValueError: It is below 1.
    """
    if not isinstance(concurrency, int) or isinstance(concurrency, bool):
        raise TypeError(f"concurrency is a number of files, not {concurrency!r}")
    if concurrency < 1:
        raise ValueError(f"concurrency is 1 or more, not {concurrency}")


def _of_type(name: str, value: Any, expected: type, described: str) -> Any:
    if not isinstance(value, expected):
        raise TypeError(f"{name} must be {described}, not {type(value).__name__}")
    return value


def _checked_metadata(value: Any) -> dict[str, str]:
    for key, text in _of_type("metadata", value, Mapping, "a mapping").items():
        if not isinstance(key, str) or not _METADATA_NAME.fullmatch(key):
            name = shortened(repr(key))
            raise ValueError(f"The metadata name {name} may only contain a-z, 0-9 and '-'")
        # A lone surrogate cannot be stored: UnicodeEncodeError, a ValueError.
        _of_type(f"metadata[{key!r}]", text, str, "a str").encode()
    return dict(value)


def _unknown(name: str, known: frozenset[str], method: str) -> str:
    close = closest(name, known)
    hint = f"did you mean {close!r}?" if close else f"its options are {', '.join(sorted(known))}"
    return f"{method}() has no option {name!r}: {hint}"
