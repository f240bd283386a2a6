"""The contract between `Disk` and a driver: eight methods, and the capabilities a driver may add.

A class with the eight methods of `StorageDriver` is a driver; nothing is inherited or imported.
Each further capability is one small Protocol. A driver claims it by having its methods with a
fitting signature, less the names in the instance's ``unsupported: frozenset[str]`` (the names are
those of `CAPABILITIES`). What a driver has no capability for, `Disk` derives where it can.

A driver may have a property ``location: str``: two drivers of one class whose locations are equal
keep the same files, so that a move between them must not copy a file onto itself and delete it. A
property ``has_own_retries: bool`` says that failed requests are tried again by the driver.
Its class may have a static method ``unsupported_with(options)``: what a driver with such options
withholds, for the fakes of tests, which make no driver.

What the types cannot say, and the conformance kit checks:

* paths: relative, checked (`jtc.storage.paths`); an official driver checks them itself as well;
* `put` and `write_file` are whole or not at all, `put` returns the path;
* a missing file is a `FileNotFoundError` (or our `FileNotFoundException`) from everything that
  needs it; `exists` and `delete` answer False; no other failure becomes False;
* a directory is not a file;
* a copy or a move onto itself changes nothing; a missing source is a FileNotFoundError also where
  `if_source_match` names a version, while a missing target fails `if_match`;
* a listing yields each entry once, lazily, in one fixed order, which `start_after` resumes.

The contract is versioned: 1.x adds Protocols and option keys, and a published method never gains
a parameter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from jtc.storage.models import Entry, FileInfo, PresignedForm, PresignedRequest, Visibility
    from jtc.storage.options import WriteOptions

__all__ = [
    "CAPABILITIES",
    "DEFAULT_CHUNK_SIZE",
    "DriverContent",
    "ReadStream",
    "StorageDriver",
    "SupportsBulkDelete",
    "SupportsClose",
    "SupportsCopy",
    "SupportsDirectories",
    "SupportsListing",
    "SupportsMove",
    "SupportsReading",
    "SupportsStat",
    "SupportsTemporaryUploads",
    "SupportsTemporaryUrls",
    "SupportsUploadForms",
    "SupportsVisibility",
    "SupportsWriting",
]

DriverContent: TypeAlias = "bytes | BinaryIO | AsyncIterator[bytes]"
"""What `write_file` gets. A `BinaryIO` blocks: read it in a worker thread, from where it stands."""

DEFAULT_CHUNK_SIZE = 262_144
"""Bytes in a stream's chunk unless told otherwise; the last one may be shorter."""


class StorageDriver(Protocol):
    """What every driver has."""

    async def put(self, path: str, content: bytes | str | BinaryIO, /) -> str:
        """Store a file whole, in place of one that is there, and return its path."""
        ...

    async def get(self, path: str, /) -> bytes:
        """Return a file's content; FileNotFoundError where there is none."""
        ...

    async def exists(self, path: str, /) -> bool:
        """Tell whether there is a file."""
        ...

    async def delete(self, path: str, /) -> bool:
        """Delete a file; False where there was none."""
        ...

    async def size(self, path: str, /) -> int:
        """Return a file's length in bytes; FileNotFoundError where there is none."""
        ...

    async def last_modified(self, path: str, /) -> float:
        """Return when a file was written, in seconds since 1970 UTC."""
        ...

    def url(self, path: str, /) -> str:
        """Return the percent-encoded address of a file, without asking whether it exists."""
        ...

    def path(self, path: str, /) -> str:
        """Return where the backend keeps a file: an absolute file name, or an address."""
        ...


class ReadStream:
    """An open file: its facts, its bytes, and the means to let go of it early.

    A class and not a bare generator, because an async generator that was never started runs no
    ``finally``, and so would leak its descriptor or connection.

    Args:
        info: The facts of these very bytes (`size` is the whole file's, whatever the range).
        chunks: The bytes asked for.
        close: Lets go of the file; called once at most, also after an error.
    """

    def __init__(
        self,
        info: FileInfo,
        chunks: AsyncIterator[bytes],
        close: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.info = info
        self._chunks = chunks
        self._close = close

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._chunks

    async def aclose(self) -> None:
        """Let go of the file. Does nothing the second time."""
        close, self._close = self._close, None
        if close is not None:
            await close()


class SupportsStat(Protocol):
    """Capability ``stat``."""

    async def stat(self, path: str, /) -> FileInfo:
        """Return a file's facts; FileNotFoundError where there is none."""
        ...


class SupportsReading(Protocol):
    """Capability ``reading``: streams and ranges."""

    async def open_read(
        self,
        path: str,
        /,
        *,
        start: int = 0,
        end: int | None = None,
        if_match: str | None = None,
        chunk_size: int = DEFAULT_CHUNK_SIZE,
    ) -> ReadStream:
        """Open a file for reading: every error that can be known is raised here.

        Args:
            path: The file.
            start: The first byte; below 0, so many bytes from the end. Past the end: no bytes.
            end: The byte after the last, cut at the file's end; None is the end.
            if_match: An etag that this driver gave; PreconditionFailedException if it differs.
            chunk_size: The length of a chunk in bytes.
        """
        ...


class SupportsWriting(Protocol):
    """Capability ``writing``: streams and options."""

    @property
    def supported_options(self) -> Mapping[str, frozenset[str]]:
        """The `WriteOptions` that are supported, by method name (``"write_file"``, …)."""
        ...

    async def write_file(
        self, path: str, content: DriverContent, options: WriteOptions, /
    ) -> str | None:
        """Store a file whole, or leave what was there; return its etag."""
        ...


class SupportsListing(Protocol):
    """Capability ``listing``."""

    def list_entries(
        self, prefix: str, /, *, recursive: bool = False, start_after: str | None = None
    ) -> AsyncIterator[Entry]:
        """Yield what is below a directory; nothing where there is none.

        A plain ``def`` that returns an async iterator (an ``async def`` with ``yield`` is one).

        Args:
            prefix: The directory's path, ``""`` for the root: whole parts, never a part of a name.
            recursive: Yield files at any depth, and no directories.
            start_after: A key: yield only what comes after it in this driver's order. A file's
                key is its path, a directory's is its path and ``/``.
        """
        ...


class SupportsDirectories(Protocol):
    """Capability ``directories``."""

    async def make_directory(self, path: str, /) -> None:
        """Make a directory and those above it; one that is there already is fine."""
        ...

    async def delete_directory(self, path: str, /) -> None:
        """Delete a directory and everything below it; one that is not there is fine."""
        ...


class SupportsCopy(Protocol):
    """Capability ``copy``."""

    async def copy_file(self, src: str, dst: str, options: WriteOptions, /) -> str | None:
        """Copy a file with its content type and metadata; return the new file's etag."""
        ...


class SupportsMove(Protocol):
    """Capability ``move``."""

    async def move_file(self, src: str, dst: str, options: WriteOptions, /) -> str | None:
        """Move a file with its content type and metadata; return the new file's etag."""
        ...


class SupportsVisibility(Protocol):
    """Capability ``visibility``."""

    async def visibility(self, path: str, /) -> Visibility:
        """Tell who may read a file by its address."""
        ...

    async def set_visibility(self, path: str, visibility: Visibility, /) -> None:
        """Say who may read a file by its address."""
        ...


class SupportsTemporaryUrls(Protocol):
    """Capability ``temporary_urls``."""

    async def temporary_url(
        self,
        path: str,
        expires_in: float,
        /,
        *,
        content_type: str | None = None,
        content_disposition: str | None = None,
    ) -> str:
        """Return an address that reads a file for so many seconds."""
        ...


class SupportsTemporaryUploads(Protocol):
    """Capability ``temporary_uploads``."""

    async def temporary_upload_url(
        self,
        path: str,
        expires_in: float,
        /,
        *,
        content_type: str | None = None,
        size: int | None = None,
    ) -> PresignedRequest:
        """Return a PUT request that stores a file within so many seconds."""
        ...


class SupportsUploadForms(Protocol):
    """Capability ``upload_forms``."""

    async def temporary_upload_form(
        self, path: str, expires_in: float, /, *, max_size: int, content_type: str | None = None
    ) -> PresignedForm:
        """Return a form that uploads a file of `max_size` bytes at most."""
        ...


class SupportsBulkDelete(Protocol):
    """Capability ``bulk_delete``."""

    async def delete_many(self, paths: Sequence[str], /) -> Mapping[str, bool | Exception]:
        """Delete files; for each path whether it was there, or what went wrong with it."""
        ...


class SupportsClose(Protocol):
    """Capability ``close``."""

    async def aclose(self) -> None:
        """Let go of connections and the like; a use afterwards opens them afresh."""
        ...


CAPABILITIES: Mapping[str, type] = {
    "stat": SupportsStat,
    "reading": SupportsReading,
    "writing": SupportsWriting,
    "listing": SupportsListing,
    "directories": SupportsDirectories,
    "copy": SupportsCopy,
    "move": SupportsMove,
    "visibility": SupportsVisibility,
    "temporary_urls": SupportsTemporaryUrls,
    "temporary_uploads": SupportsTemporaryUploads,
    "upload_forms": SupportsUploadForms,
    "bulk_delete": SupportsBulkDelete,
    "close": SupportsClose,
}
"""Every capability by its name, as `unsupported`, a disk's ``disable`` and its `capabilities` say
it."""
