"""Ways of copying a file: by its backend, by the store of two disks, or by reading and writing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from jtc.storage._disk.write_pipeline import carried_options, kept_visibility, store
from jtc.storage.driver_support.content import driver_content, raised_by_source
from jtc.storage.driver_support.derived import derived_stat, open_read, read_all
from jtc.storage.driver_support.error_translation import reraise, translated
from jtc.storage.exceptions import (
    FileExistsException,
    FileNotFoundException,
    PreconditionFailedException,
    StorageException,
    UnsupportedOperationException,
)
from jtc.storage.models import Visibility
from jtc.storage.options import ReadOptions, copy_options

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from jtc.storage._capabilities import ResolvedDriver
    from jtc.storage.driver import ReadStream
    from jtc.storage.models import FileInfo
    from jtc.storage.options import Progress, WriteOptions

__all__ = [
    "OTHER_SOURCE",
    "Copied",
    "Series",
    "Transfer",
    "by_backend",
    "copy_to_other",
    "copy_within",
]

_CHUNK = 1024 * 1024

_WHOLE = 256 * 1024
"""A file of at most this many bytes is read before it is written: as bytes it is one call to a
thread or one request, where content that comes in chunks takes a quarter more processor time."""

OTHER_SOURCE = "The file is not the version that if_source_match names"


@dataclass(slots=True)
class Series:
    """What all copies of one call share.

    Attributes:
        operation: The method that the user called.
        apart: No copy is onto itself, which was looked at already.
        keeps_time: Copies to another disk keep their source's time as metadata; not where the
            target turned out to be unable to.
        by_store: A store may copy between the disks; not where that turned out to be impossible.
    """

    operation: str
    apart: bool = False
    keeps_time: bool = True
    by_store: bool = True


class Transfer(NamedTuple):
    """A copy or a move.

    Attributes:
        kind: ``"copy"`` or ``"move"``.
        source: The driver of the source.
        src: The path of the source.
        target: The driver of the copy.
        dst: The path of the copy.
        given: The options as the user passed them.
        target_disk: The name of the copy's disk, for errors.
        series: The call of which this is a part.
        listed: The source's metadata, from a listing.
    """

    kind: str
    source: ResolvedDriver
    src: str
    target: ResolvedDriver
    dst: str
    given: Mapping[str, Any]
    target_disk: str
    series: Series
    listed: FileInfo | None = None

    @property
    def operation(self) -> str:
        """The method that the user called."""
        return self.series.operation

    @property
    def keeps_time(self) -> bool:
        """Whether the copy keeps the source's time as metadata."""
        return (
            self.series.keeps_time
            and not self.is_within
            and "metadata" in self.target.capabilities.put_options
        )

    async def size(self) -> int:
        """Return the source's length in bytes, asking for it if it is not known."""
        return (self.listed or await derived_stat(self.source, self.src)).size

    @property
    def is_within(self) -> bool:
        """Whether source and target are behind the same driver and the same layers."""
        return self.source.driver is self.target.driver

    @property
    def progress(self) -> Progress | None:
        """The option `progress`."""
        progress: Progress | None = self.given.get("progress")
        return progress

    def options(self, supported: frozenset[str]) -> WriteOptions:
        """Return the options, of which the driver supports those given here."""
        return copy_options(self.given, supported, driver=self.target.name, method=self.operation)

    def needs_only(self, supported: frozenset[str]) -> bool:
        """Return whether each option that differs from its default is among those given here."""
        return all(
            name in supported
            for name, value in self.given.items()
            if value is not None
            and name != "progress"
            and not (name == "overwrite" and value is True)
        )


class Copied(NamedTuple):
    """A copy that was made.

    Attributes:
        etag: Its etag, if it is known.
        size: Its length in bytes, if it is known.
        version: The version of the source that was copied, if it is known.
    """

    etag: str | None = None
    size: int | None = None
    version: FileInfo | None = None


async def copy_within(transfer: Transfer) -> Copied:
    """Copy within a disk: by the backend, else by reading and writing."""
    source, src = transfer.source, transfer.src
    capabilities = source.capabilities
    if "copy" in capabilities and transfer.needs_only(capabilities.copy_options):
        return await by_backend(transfer, source.methods.copy_file, capabilities.copy_options)
    visibility = None
    if transfer.given.get("visibility") is None:
        visibility = await kept_visibility(source, src)
    try:
        return await _stream(transfer, visibility)
    except UnsupportedOperationException:
        if visibility is None:
            raise
        return await _stream(transfer)  # a bucket without ACLs: nothing to keep


async def by_backend(
    transfer: Transfer,
    method: Callable[[str, str, WriteOptions], Awaitable[str | None]],
    supported: frozenset[str],
) -> Copied:
    """Copy or move by a method of the driver, which tells nothing before its end."""
    options = transfer.options(supported)
    if transfer.progress is None:
        return Copied(await method(transfer.src, transfer.dst, options))
    size = await transfer.size()
    etag = await method(transfer.src, transfer.dst, options)
    transfer.progress(size, size)
    return Copied(etag, size)


async def copy_to_other(transfer: Transfer) -> Copied:
    """Copy to another disk: by the store that both are in, else by reading and writing.

    Returns:
        The copy. That of a move has the version that was copied.
    """
    target = transfer.target
    if "copy_source" in transfer.source.capabilities and "copy_from" in target.capabilities:
        supported = target.capabilities.options["copy_from"]
        if transfer.series.by_store and transfer.needs_only(supported):
            copied = await _by_store(transfer, transfer.options(supported), supported)
            if copied is not None:
                return copied
            transfer.series.by_store = False
    try:
        return await _stream(transfer)
    except UnsupportedOperationException:
        if not transfer.keeps_time:
            raise
        # A file system without extended attributes: there no copy can keep its time.
        copied = await _stream(transfer, keeps_time=False)
        transfer.series.keeps_time = False
        return copied


async def _by_store(
    transfer: Transfer, options: WriteOptions, supported: frozenset[str]
) -> Copied | None:
    """Have the target's store copy the file; return None if it cannot, and has changed nothing."""
    version, etag = None, None
    options.visibility_if_new = Visibility.PRIVATE
    if transfer.kind == "move" or (transfer.progress is not None and transfer.listed is None):
        version = await derived_stat(transfer.source, transfer.src)
        if options.if_source_match is None and "if_source_match" in supported:
            options.if_source_match = version.etag
    source = transfer.source.methods.copy_source(transfer.src)
    try:
        etag = await transfer.target.methods.copy_from(transfer.dst, source, options)
    except Exception as error:
        match translated(error):
            case UnsupportedOperationException():
                return None
            case FileExistsException():  # a PreconditionFailedException too
                pass
            case FileNotFoundException() | PreconditionFailedException():
                if isinstance(error, StorageException):
                    error.path = transfer.src  # below the layers it has another one
                raise
        _reraise_of_target(transfer, error)
    known = version or transfer.listed
    size = None if known is None else known.size
    if transfer.progress is not None and size is not None:
        transfer.progress(size, size)
    return Copied(etag, size, version)


async def _open_source(transfer: Transfer, if_source_match: str | None) -> ReadStream:
    options = ReadOptions(chunk_size=_CHUNK, if_match=if_source_match, read_ahead=True)
    try:
        return await open_read(transfer.source, transfer.src, options)
    except PreconditionFailedException as error:
        if if_source_match is None:
            raise
        raise PreconditionFailedException(OTHER_SOURCE, path=transfer.src) from error


async def _stream(
    transfer: Transfer, visibility: Visibility | None = None, *, keeps_time: bool | None = None
) -> Copied:
    """Copy by reading and writing.

    Unless it is small, the source is read while the target writes, by drivers that take content as
    it comes. Errors of the target have the target's path and disk.
    """
    supported = transfer.target.capabilities.put_options
    # Only a source with streams can guarantee to read exactly the version that was asked for.
    reading = "reading" in transfer.source.capabilities
    checked = transfer.options(supported | {"if_source_match"} if reading else supported)
    stream = await _open_source(transfer, checked.if_source_match)
    try:
        options = carried_options(supported, stream.info, transfer.dst)
        options["visibility"] = visibility
        options |= {name: value for name, value in transfer.given.items() if value is not None}
        options.pop("if_source_match", None)
        if transfer.keeps_time if keeps_time is None else keeps_time:
            from jtc.storage._transfers.times import with_time  # noqa: PLC0415 - where it is used

            options["metadata"] = with_time(options.get("metadata"), stream.info)
        # A short body must not become a whole file.
        options["size"] = stream.info.size
        is_small = stream.info.size <= _WHOLE
        content = driver_content(await read_all(stream) if is_small else stream)
        try:
            etag = await store(transfer.target, transfer.dst, content, options, Visibility.PRIVATE)
        except Exception as error:
            if raised_by_source(content, error):
                raise
            _reraise_of_target(transfer, error)
        return Copied(etag, stream.info.size, stream.info)
    finally:
        await stream.aclose()


def _reraise_of_target(transfer: Transfer, error: Exception) -> NoReturn:
    reraise(error, operation=transfer.operation, path=transfer.dst, disk=transfer.target_disk)
