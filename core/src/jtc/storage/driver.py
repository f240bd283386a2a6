"""Contract between `Disk` and a driver: eight methods, and optional capabilities.

A class with the eight methods of `StorageDriver` is a driver; it need not inherit or import
anything. Each capability is one small Protocol. A driver has a capability if it has its methods
with a fitting signature, and the instance's ``unsupported: frozenset[str]`` (names of
`CAPABILITIES`) does not list it. `Disk` derives missing capabilities where it can.

Six attributes are optional:

* ``supported_options: Mapping[str, frozenset[str]]``: the options that a method accepts beyond
  those of `BASE_OPTIONS`, by the method's name. Other options are derived by `Disk`, or refused,
  and never passed. `SupportsWriting` requires the attribute.
* ``location: str``: two drivers of one class with equal locations have the same files, so that a
  move between them never copies a file onto itself and deletes it.
* ``has_own_retries: bool``: the driver retries failed requests by itself.
* ``lists_in_key_order: bool``: each listing is in the order of keys, by their UTF-8, where a file's
  key is its path and a directory's is its path and ``/``. Without it, what compares two listings
  sorts this one first.
* ``keeps_checksums: bool``: False says that no file's metadata has `FileInfo.checksums`, so that
  comparisons do not ask for them.
* ``for_fake(options)``, a class method, and ``fake_traits: FakeTraits``: what a fake in tests asks,
  which keeps files in memory and otherwise behaves as the driver. See `FakeTraits`.

These rules go beyond the types; the conformance tests check them. docs/drivers.md has the same ones
in a table, a row a method:

* paths are relative and checked (`jtc.storage.paths`); `Disk` checks them before it calls a driver,
  and `jtc.storage.driver_support.standalone` adds the checks to a driver that is used alone;
* `put` and `write_file` store a whole file or nothing, and `put` returns the path; a driver that is
  used alone stores a seekable file from its beginning, as `Disk` does; content is read once and
  left open, and what it raises passes unchanged;
* a missing file is a `FileNotFoundError` (or our `FileNotFoundException`) from every method that
  needs it; `exists` and `delete` return False; no other failure becomes False;
* errors are an `OSError` or ours; all others are taken for bugs, and pass unchanged;
* a driver serves several event loops and threads, blocks none, and shares no connection or lock of
  asyncio between them; a dropped connection is replaced and a read sent again; a server that stalls
  ends in a `TimeoutError`; a cancelled call raises `CancelledError`; later calls see each change;
* what a killed process leaves, the driver removes once it is too old to be under way;
* a directory is not a file;
* the directory ``.jtc`` at the root is reserved, and `Disk` leaves it out of listings; a driver may
  keep temporary files there;
* ``overwrite=False`` and `if_match` hold when several writers try at once, and after the content
  was read; a deletion with `if_match` never deletes a file that was put after the check, and
  returns False for a missing one;
* an etag names one version of a file: another content has another one, and so has a file whose
  metadata was updated, unless the backend's etags name the content only; it is None if versions
  cannot be distinguished, and then no condition is supported;
* a record that is returned belongs to the caller; `last_modified` is in UTC, and a copy's is when
  it was made;
* an open stream, and all ranges of one `read_ranges`, are of one version, or fail;
* a method that presigns changes nothing, and uses nothing that belongs to an event loop before it
  has to wait: the sync API first calls it in the caller's thread, and if it waits calls it again;
  the URL ends after `expires_in`; with `stable_for`, those of one period are the same;
* a write without a `visibility` keeps that of the file it replaces, and a copy or a moved file has
  its source's; a new file has the disk's default, else `visibility_if_new`; where a backend could
  know these by further requests only, as on S3, they have the disk's default;
* each option that a driver is passed has its effect or raises UnsupportedOperationException, also a
  value that counts as false, such as ``metadata={}``; ``if_match=""`` names no version, and fails;
* a copy or a move onto itself changes nothing unless an option asks for it, and fails with
  ``overwrite=False``; `metadata` replaces all names; a missing source is a `FileNotFoundError` also
  where `if_source_match` names a version, while a missing target fails `if_match`; a file that is
  moved is always at one of its paths;
* `remove_empty_directory` never removes a file that is put meanwhile; `move_directory` replaces
  nothing, and readers see the whole directory at one of its paths;
* a listing yields each entry once, lazily, in one fixed order, which `start_after` resumes; what is
  made or deleted meanwhile stops nothing; what is there and left out is reported by `left_out`, or
  logged, or the listing fails: who deletes what another listing lacks relies on it;
* `check` raises the backend's error; `aclose` closes the clients of all event loops, and what is
  under way ends or raises one of our errors.

The contract is versioned: 1.x adds Protocols and fields of the option records, and a published
method never gains a parameter. To add a capability, add its Protocol here, with `contract` on each
method, and its line in `CAPABILITIES`; drivers without it need no change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import (
    TYPE_CHECKING,
    Any,
    BinaryIO,
    Literal,
    NamedTuple,
    Protocol,
    TypeAlias,
    TypeVar,
    cast,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from jtc.storage.models import Entry, FileInfo, PresignedForm, PresignedRequest, Visibility
    from jtc.storage.options import (
        DeleteOptions,
        ListOptions,
        ReadOptions,
        SignOptions,
        WriteOptions,
    )

__all__ = [
    "BASE_OPTIONS",
    "CAPABILITIES",
    "EFFECTS",
    "METHODS",
    "SIGNING_METHODS",
    "CopySource",
    "DriverContent",
    "FakeTraits",
    "FullDriver",
    "Method",
    "ReadStream",
    "StorageDriver",
    "SupportsBulkDelete",
    "SupportsClose",
    "SupportsConditionalDelete",
    "SupportsCopy",
    "SupportsCopyFrom",
    "SupportsCopySource",
    "SupportsDirectories",
    "SupportsDirectoryMove",
    "SupportsEmptyDirectoryRemoval",
    "SupportsHealthCheck",
    "SupportsListing",
    "SupportsMetadataUpdate",
    "SupportsMove",
    "SupportsRanges",
    "SupportsReading",
    "SupportsStat",
    "SupportsTemporaryUploads",
    "SupportsTemporaryUrls",
    "SupportsUploadForms",
    "SupportsVisibility",
    "SupportsWriting",
]

F = TypeVar("F")

DriverContent: TypeAlias = "bytes | BinaryIO | AsyncIterator[bytes]"
"""Content for `write_file`. A `BinaryIO` blocks: read it in a worker thread, to its end, and do not
seek: it begins at its position, and `Disk` rewinds the caller's file at the first read."""

EFFECTS: Mapping[str, str] = {
    "path": "it takes a path or returns one",
    "content": "it passes a file's bytes, values that depend on them, or a URL to them",
    "write": "it changes something, or permits a client to",
}
"""Effects of the contract's methods, which layers may guard."""


class Method(NamedTuple):
    """Description of a method of the contract, for layers and `standalone`.

    Attributes:
        effects: Names of `EFFECTS`.
        kind: The result of a call: a plain ``"value"``, an ``"awaitable"``, an awaitable of a
            ``"stream"`` (`ReadStream`), or an async ``"iterator"``.
        paths: How many of the first positional arguments are paths; -1 for one sequence of paths.
        operation: The method of `Disk` that users call, for errors.
    """

    effects: frozenset[str]
    kind: Literal["value", "awaitable", "stream", "iterator"]
    paths: int
    operation: str


def contract(
    effects: str = "",
    *,
    kind: Literal["value", "awaitable", "stream", "iterator"] = "awaitable",
    paths: int = 1,
    operation: str | None = None,
) -> Callable[[F], F]:
    """Describe a method of the contract; see `Method`."""

    def describe(function: F) -> F:
        described = cast("Any", function)
        described.contract = Method(
            frozenset(effects.split()), kind, paths, operation or described.__name__
        )
        return function

    return describe


class StorageDriver(Protocol):
    """Methods of every driver."""

    @contract("path content write")
    async def put(self, path: str, content: bytes | str | BinaryIO, /) -> str:
        """Store a whole file, replacing an existing one, and return its path."""
        ...

    @contract("path content")
    async def get(self, path: str, /) -> bytes:
        """Return a file's content; FileNotFoundError if there is none."""
        ...

    @contract("path")
    async def exists(self, path: str, /) -> bool:
        """Return whether there is a file."""
        ...

    @contract("path write")
    async def delete(self, path: str, /) -> bool:
        """Delete a file; return False if there was none."""
        ...

    @contract("path content")
    async def size(self, path: str, /) -> int:
        """Return a file's length in bytes; FileNotFoundError if there is none."""
        ...

    @contract("path")
    async def last_modified(self, path: str, /) -> float:
        """Return when a file was written, in seconds since 1970 UTC."""
        ...

    @contract("path content", kind="value")
    def url(self, path: str, /) -> str:
        """Return the percent-encoded URL of a file, which need not exist."""
        ...

    @contract("path", kind="value")
    def path(self, path: str, /) -> str:
        """Return a file's place in the backend: an absolute file name, or a URI."""
        ...


class ReadStream:
    """An open file: its metadata, its bytes, and a way to close it early.

    Not a plain async generator: one that was never started runs no ``finally``, and so would leak
    its descriptor or connection.

    Args:
        info: The metadata of the version that is read (`size` is that of the whole file).
        chunks: The requested bytes.
        close: Closes the file; called at most once, after an error too.
        duplicate: Returns a new descriptor of the file of this machine that the bytes are read
            from, at the first of them; called before any is read.
    """

    def __init__(
        self,
        info: FileInfo,
        chunks: AsyncIterator[bytes],
        close: Callable[[], Awaitable[None]] | None = None,
        *,
        duplicate: Callable[[], int] | None = None,
    ) -> None:
        self.info = info
        self.duplicate = duplicate
        self._chunks = chunks
        self._close = close

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._chunks

    async def aclose(self) -> None:
        """Close the file. Does nothing the second time."""
        close, self._close = self._close, None
        if close is not None:
            await close()


class SupportsStat(Protocol):
    """Capability ``stat``."""

    @contract("path content")
    async def stat(self, path: str, /) -> FileInfo:
        """Return a file's metadata; FileNotFoundError if there is none."""
        ...


class SupportsReading(Protocol):
    """Capability ``reading``: streams and ranges."""

    @contract("path content", kind="stream", operation="stream")
    async def open_read(self, path: str, options: ReadOptions, /) -> ReadStream:
        """Open a file for reading; errors are raised here if they can be detected now.

        ``if_match`` is an etag of this driver; PreconditionFailedException if it differs.
        """
        ...


class SupportsRanges(Protocol):
    """Capability ``ranges``: several ranges of one version in fewer requests."""

    @contract("path content", operation="get_ranges")
    async def read_ranges(
        self, path: str, ranges: Sequence[tuple[int, int]], options: ReadOptions, /
    ) -> Sequence[bytes]:
        """Return the bytes ``[start, end)`` of each range, all of one version of the file.

        The ranges are not negative and may overlap; each is cut at the file's end.
        """
        ...


class SupportsWriting(Protocol):
    """Capability ``writing``: streams and options."""

    @property
    def supported_options(self) -> Mapping[str, frozenset[str]]:
        """The options that are accepted beyond `BASE_OPTIONS`, by method (``"write_file"``, …)."""
        ...

    @contract("path content write", operation="put")
    async def write_file(
        self, path: str, content: DriverContent, options: WriteOptions, /
    ) -> str | None:
        """Store a whole file, or keep the existing one; return its etag.

        A new file has the first of these: the option `visibility`, the disk's default, the option
        `visibility_if_new`, the backend's own. A replaced one keeps its own without `visibility`.
        """
        ...


class SupportsMetadataUpdate(Protocol):
    """Capability ``metadata_update``."""

    @contract("path content write", operation="set_metadata")
    async def update_metadata(self, path: str, options: WriteOptions, /) -> str | None:
        """Replace the declared fields that the options set, atomically; return the etag.

        `metadata` replaces all names and values. The content does not change.
        """
        ...


class SupportsListing(Protocol):
    """Capability ``listing``."""

    @contract("path content", kind="iterator", operation="list")
    def list_entries(self, prefix: str, options: ListOptions, /) -> AsyncIterator[Entry]:
        """Yield the entries of a directory (``""`` is the root); none if it does not exist.

        A plain ``def`` that returns an async iterator (an ``async def`` with ``yield`` is one).
        The prefix consists of whole parts, never of a part of a name.
        """
        ...


class SupportsDirectories(Protocol):
    """Capability ``directories``."""

    @contract("path write")
    async def make_directory(self, path: str, /) -> None:
        """Make a directory and its parents; an existing one is no error."""
        ...

    @contract("path write")
    async def delete_directory(self, path: str, /) -> None:
        """Delete a directory and everything below it; a missing one is no error."""
        ...


class SupportsDirectoryMove(Protocol):
    """Capability ``directory_move``."""

    @contract("path write", paths=2)
    async def move_directory(self, src: str, dst: str, /) -> None:
        """Move a directory and everything below it, empty directories too, atomically.

        Directories above the target are made. FileNotFoundError if there is no directory `src`,
        FileExistsError if there is anything at `dst`, InvalidPathException if that is below `src`
        (`jtc.storage.paths.check_not_below`); UnsupportedOperationException where the two are on
        different file systems.
        """
        ...


class SupportsEmptyDirectoryRemoval(Protocol):
    """Capability ``empty_directory_removal``."""

    @contract("path write")
    async def remove_empty_directory(self, path: str, /) -> bool:
        """Remove a directory only if it is empty, atomically; return False if there is none.

        PathConflictException if it has entries, or is a file.
        """
        ...


class SupportsCopy(Protocol):
    """Capability ``copy``."""

    @contract("path write", paths=2, operation="copy")
    async def copy_file(self, src: str, dst: str, options: WriteOptions, /) -> str | None:
        """Copy a file with its content type and metadata; return the new file's etag."""
        ...


@dataclass(frozen=True, slots=True)
class CopySource:
    """Where the file is that a driver copies from another one.

    Attributes:
        driver: The driver of the file, below all layers.
        path: Its path of the file.
    """

    driver: StorageDriver
    path: str


class SupportsCopySource(Protocol):
    """Capability ``copy_source``: the driver's files may be read by another one of its store.

    A layer that has to see what is read guards ``content``: then it does not have the capability,
    and the file is read through it. Nor has a subclass that redefines `get`, `open_read` or
    `read_ranges` and not this.
    """

    @contract("path content", kind="value")
    def copy_source(self, path: str, /) -> CopySource:
        """Return where a file is, for `copy_from` of another driver. It need not exist."""
        ...


class SupportsCopyFrom(Protocol):
    """Capability ``copy_from``: the store itself copies a file of another driver.

    A subclass that redefines `put` or `write_file` and not this does not have the capability.
    """

    @contract("path content write", operation="copy")
    async def copy_from(self, dst: str, source: CopySource, options: WriteOptions, /) -> str | None:
        """Copy a file with its content type and metadata; return the new file's etag.

        Its visibility is that of a file that `write_file` stores. UnsupportedOperationException
        where the store, or its permissions, do not let this driver copy from there: nothing is
        changed then, and `Disk` reads and writes. FileNotFoundError and PreconditionFailedException
        are about the source only.
        """
        ...


class SupportsMove(Protocol):
    """Capability ``move``."""

    @contract("path write", paths=2, operation="move")
    async def move_file(self, src: str, dst: str, options: WriteOptions, /) -> str | None:
        """Move a file with its content type and metadata; return the new file's etag."""
        ...


class SupportsVisibility(Protocol):
    """Capability ``visibility``.

    A driver may say by an attribute ``default_visibility`` which one new files have. None, or no
    such attribute, is for one that does not know.
    """

    @contract("path")
    async def visibility(self, path: str, /) -> Visibility:
        """Return who may read a file by its URL."""
        ...

    @contract("path write")
    async def set_visibility(self, path: str, visibility: Visibility, /) -> None:
        """Set who may read a file by its URL."""
        ...


class SupportsTemporaryUrls(Protocol):
    """Capability ``temporary_urls``."""

    @contract("path content")
    async def temporary_url(self, path: str, options: SignOptions, /) -> str:
        """Return a presigned URL that reads a file until it expires."""
        ...


class SupportsTemporaryUploads(Protocol):
    """Capability ``temporary_uploads``."""

    @contract("path content write")
    async def temporary_upload_url(self, path: str, options: SignOptions, /) -> PresignedRequest:
        """Return a presigned PUT request that stores a file until it expires."""
        ...


class SupportsUploadForms(Protocol):
    """Capability ``upload_forms``."""

    @contract("path content write")
    async def temporary_upload_form(self, path: str, options: SignOptions, /) -> PresignedForm:
        """Return a presigned form that uploads a file of ``max_size`` bytes at most."""
        ...


class SupportsBulkDelete(Protocol):
    """Capability ``bulk_delete``."""

    @contract("path write", paths=-1)
    async def delete_many(self, paths: Sequence[str], /) -> Mapping[str, bool | Exception]:
        """Delete files; return for each path whether there was a file, or its error."""
        ...


class SupportsConditionalDelete(Protocol):
    """Capability ``conditional_delete``: a file is deleted only if it is a certain version."""

    @contract("path write", operation="delete")
    async def delete_file(self, path: str, options: DeleteOptions, /) -> bool:
        """Delete a file if it is the version that `if_match` names, atomically.

        Return False if there was none, whatever `if_match` names; PreconditionFailedException if
        the file is another version, which then stays.
        """
        ...


class SupportsHealthCheck(Protocol):
    """Capability ``health_check``."""

    @contract("path write")
    async def check(self, path: str, /) -> None:
        """Make the driver's own checks below a path that nothing else uses, and leave it empty.

        For what no other method shows, such as which conditional requests a store keeps. A check
        that fails raises the error of the backend.
        """
        ...


class SupportsClose(Protocol):
    """Capability ``close``."""

    @contract(paths=0)
    async def aclose(self) -> None:
        """Close connections and similar resources; a later call opens them again."""
        ...


@dataclass(frozen=True, kw_only=True)
class FakeTraits:
    """How a driver differs from `MemoryDriver`, for fakes in tests.

    A fake asks the disk's driver, if it is made already, for its capabilities, options, `url` and
    `path`, and reads its attribute ``fake_traits``. Otherwise it asks one that the class method
    ``for_fake(options)`` makes of the disk's options, or of None where the environment configures
    the disk. That one is used for nothing else: it opens and creates nothing, needs no credentials,
    and has defaults for what is missing. Without the two, a fake has the capabilities of the class,
    and URLs below ``/storage/``.

    Attributes:
        visibility: That of new files.
        keeps_visibility: A put keeps the visibility of the file that it replaces, and a copy has
            its source's. Otherwise both begin with `visibility`, as on S3.
        infers_types: Without a declared content type, a file has one by its content and name.
        has_directories: A file's directory is made with it and stays when it is empty, and no path
            is both a file and a directory. Otherwise a directory is a part of its files' paths.
        check: Raises what a call with the name of a driver's method, the path and the options
            record raises for invalid values, or for those that the driver cannot store. Called for
            methods with options.
    """

    visibility: Visibility
    keeps_visibility: bool = True
    infers_types: bool = False
    has_directories: bool = False
    check: Callable[[str, str, Any], None] | None = None


CAPABILITIES: Mapping[str, type] = {
    "stat": SupportsStat,
    "reading": SupportsReading,
    "ranges": SupportsRanges,
    "writing": SupportsWriting,
    "metadata_update": SupportsMetadataUpdate,
    "listing": SupportsListing,
    "directories": SupportsDirectories,
    "directory_move": SupportsDirectoryMove,
    "empty_directory_removal": SupportsEmptyDirectoryRemoval,
    "copy": SupportsCopy,
    "copy_source": SupportsCopySource,
    "copy_from": SupportsCopyFrom,
    "move": SupportsMove,
    "visibility": SupportsVisibility,
    "temporary_urls": SupportsTemporaryUrls,
    "temporary_uploads": SupportsTemporaryUploads,
    "upload_forms": SupportsUploadForms,
    "bulk_delete": SupportsBulkDelete,
    "conditional_delete": SupportsConditionalDelete,
    "health_check": SupportsHealthCheck,
    "close": SupportsClose,
}
"""Every capability by its name, as in `unsupported`, ``disable`` and `Disk.capabilities`."""


class FullDriver(
    StorageDriver,
    SupportsStat,
    SupportsReading,
    SupportsRanges,
    SupportsWriting,
    SupportsMetadataUpdate,
    SupportsListing,
    SupportsDirectories,
    SupportsDirectoryMove,
    SupportsEmptyDirectoryRemoval,
    SupportsCopy,
    SupportsCopySource,
    SupportsCopyFrom,
    SupportsMove,
    SupportsVisibility,
    SupportsTemporaryUrls,
    SupportsTemporaryUploads,
    SupportsUploadForms,
    SupportsBulkDelete,
    SupportsConditionalDelete,
    SupportsHealthCheck,
    SupportsClose,
    Protocol,
):
    """Every method of the contract, as a type; callers check that the driver has the capability."""


METHODS: Mapping[str, Method] = {
    name: member.contract
    for protocol in (StorageDriver, *CAPABILITIES.values())
    for name, member in vars(protocol).items()
    if hasattr(member, "contract")
}
"""Descriptions of the contract's methods by their names."""

SIGNING_METHODS: frozenset[str] = frozenset(
    {"temporary_url", "temporary_upload_url", "temporary_upload_form"}
)
"""The methods that presign. Where one has nothing to wait for, it needs no event loop."""

BASE_OPTIONS: Mapping[str, frozenset[str]] = {
    "open_read": frozenset({"start", "end", "if_match", "chunk_size", "read_ahead"}),
    "delete_file": frozenset({"if_match"}),
    "list_entries": frozenset({"recursive", "start_after"}),
    "temporary_url": frozenset({"expires_in", "content_type", "content_disposition"}),
    "temporary_upload_url": frozenset({"expires_in", "content_type", "size"}),
    "temporary_upload_form": frozenset({"expires_in", "content_type", "max_size"}),
}
"""The options that every driver with the method accepts, besides its `supported_options`."""
