"""Copies and moves, within a disk and from one to another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Unpack

from jtc.storage._disk.base import DiskBase
from jtc.storage._disk.write_pipeline import carried_options, kept_visibility, store
from jtc.storage.driver_support.content import driver_content, in_thread, raised_by_source
from jtc.storage.driver_support.content_checks import check_progress
from jtc.storage.driver_support.derived import derived_stat, is_same_version, open_read
from jtc.storage.driver_support.error_translation import reraise, translated
from jtc.storage.exceptions import (
    FileExistsException,
    FileNotFoundException,
    PreconditionFailedException,
    UnsupportedOperationException,
)
from jtc.storage.layer import unwrap_path
from jtc.storage.models import Visibility
from jtc.storage.options import DeleteOptions, ReadOptions, copy_options
from jtc.storage.paths import check_path

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from jtc.storage._capabilities import ResolvedDriver
    from jtc.storage._disk import Disk
    from jtc.storage.driver import ReadStream, StorageDriver
    from jtc.storage.models import FileInfo
    from jtc.storage.options import CopyOptions, Progress, WriteOptions

__all__ = ["Copied", "Copying"]

_CHUNK = 1024 * 1024
_OTHER_SOURCE = "The file is not the version that if_source_match names"


class Copying(DiskBase):
    """The methods `copy` and `move`."""

    __slots__ = ()

    async def copy(
        self, src: str, dst: str, *, to: Disk | str | None = None, **options: Unpack[CopyOptions]
    ) -> str:
        """Copy a file: by the backend itself within a disk, else streamed in constant memory.

        Content type and metadata are copied where the target's driver keeps them; so is an inferred
        type, where the source's backend keeps it. Within a disk, local or in memory, a copy has
        its source's visibility; on S3, the disk's default. On another disk it has that of the file
        it replaces; a new file has the disk's default, and is private where there is none. A copy
        onto itself changes nothing, and options that would change something are refused.

        Args:
            src: The file.
            dst: The path of the copy, which is stored whole or not at all.
            to: The disk, or the name of the disk, of the copy; None is this disk.
            **options: See `CopyOptions`.

        Returns:
            The path of the copy.

        Raises:
            FileNotFoundException: There is no file `src`.
            InvalidPathException: A path breaks the path policy.
            FileExistsException: `overwrite=False`, and there is a file `dst`.
            PreconditionFailedException: `if_source_match` names another version.
            UnsupportedOperationException: The driver does not support an option.
            TypeError: An option is unknown, or has a value of a wrong type.
            StorageException: The storage failed.
        """
        await self._transfer("copy", src, dst, to, options)
        return check_path(dst)

    async def move(
        self, src: str, dst: str, *, to: Disk | str | None = None, **options: Unpack[CopyOptions]
    ) -> str:
        """Move a file. See `copy`, whose arguments, result and errors it has.

        Where the backend cannot move by itself, the file is copied, then deleted: when the
        deletion fails, both exist. A driver with the capability ``conditional_delete`` never
        deletes a file that replaced it meanwhile; on others, one that is put between the last look
        and the deletion is lost.

        Raises:
            FileNotFoundException: There is no file `src`.
            PreconditionFailedException: As for `copy`; or the file was replaced meanwhile, and
                both it and the copy exist.
            StorageException: As for `copy`.
        """
        await self._transfer("move", src, dst, to, options)
        return check_path(dst)

    def _target_disk(self, to: DiskBase | str | None) -> DiskBase:
        """Return the disk that an argument `to` names: None is this one."""
        found: object = self
        if to is not None:
            found = self._manager.disk(to) if isinstance(to, str) else to
        if not isinstance(found, DiskBase):
            raise TypeError(f"'to' is a disk or its name, not {type(to).__name__}")
        return found

    async def _transfer(
        self,
        kind: str,
        src: str,
        dst: str,
        to: DiskBase | str | None,
        given: Mapping[str, Any],
        operation: str | None = None,
    ) -> Copied:
        """Copy or move a file, as the method `operation` that the user called."""
        operation = operation or kind
        try:
            target_disk = self._target_disk(to)
            transfer = _Transfer(
                kind,
                operation,
                self._ready() or await self._load(),
                check_path(src),
                target_disk._ready() or await target_disk._load(),  # noqa: SLF001
                check_path(dst),
                given,
                target_disk.name,
            )
            check_progress(given.get("progress"))
            transfer.target.check_writable()
            if kind == "move":
                transfer.source.check_writable()
            if (hooks := self._manager.hooks.active) is None:
                return await _perform(transfer)
            async with self._operation(
                hooks,
                kind,
                operation,
                transfer.src,
                transfer.source,
                to={
                    "to_disk": target_disk._own_name(),  # noqa: SLF001
                    "to_path": transfer.dst,
                    "to_key": unwrap_path(transfer.target.driver, transfer.dst)[1],
                },
                options=dict(given),
            ) as hooked:
                copied = await _perform(transfer)
                hooked.report(etag=copied.etag, size=copied.size)
                return copied
        except Exception as error:
            self._fail(error, operation, src)


class _Transfer(NamedTuple):
    """A copy or a move.

    Attributes:
        kind: ``"copy"`` or ``"move"``.
        operation: The method that the user called.
        source: The driver of the source.
        src: The path of the source.
        target: The driver of the copy.
        dst: The path of the copy.
        given: The options as the user passed them.
        target_disk: The name of the copy's disk, for errors.
    """

    kind: str
    operation: str
    source: ResolvedDriver
    src: str
    target: ResolvedDriver
    dst: str
    given: Mapping[str, Any]
    target_disk: str

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
    """

    etag: str | None = None
    size: int | None = None


async def _perform(transfer: _Transfer) -> Copied:
    source, src = transfer.source, transfer.src
    if await _is_same(transfer):
        await _check_in_place(transfer)
        return Copied()
    is_inside = source.driver is transfer.target.driver
    if transfer.kind == "copy":
        return await _copy(transfer) if is_inside else (await _stream(transfer))[0]
    if is_inside:
        supported = source.capabilities.move_options
        if "move" in source.capabilities and transfer.needs_only(supported):
            return await _by_backend(transfer, source.methods.move_file, supported)
        version = await derived_stat(source, src)
        copied = await _copy(transfer)
    elif "conditional_delete" in source.capabilities:
        copied, version = await _stream(transfer)
    else:
        version = await derived_stat(source, src)
        copied, _ = await _stream(transfer)
    await _delete_copied(source, src, version)
    return copied


async def _is_same(transfer: _Transfer) -> bool:
    """Return whether source and target are one file, even through two views or two drivers."""
    source_driver, source_path = unwrap_path(transfer.source.driver, transfer.src)
    target_driver, target_path = unwrap_path(transfer.target.driver, transfer.dst)
    if source_driver is target_driver:
        return source_path == target_path
    if type(source_driver) is not type(target_driver):
        return False
    # In a thread: a local driver reads the file system.
    places = await in_thread(lambda: (_place(source_driver), _place(target_driver)))
    if None in places:
        return False
    return f"{places[0]}/{source_path}" == f"{places[1]}/{target_path}"


def _place(driver: StorageDriver) -> str | None:
    location = getattr(driver, "location", None)
    return location if isinstance(location, str) else None


async def _check_in_place(transfer: _Transfer) -> None:
    """Check a copy or move of a file onto itself, which changes nothing: it may still fail."""
    resolved, path = transfer.source, transfer.src
    capabilities = resolved.capabilities
    supported = capabilities.put_options | capabilities.copy_options | capabilities.move_options
    options = transfer.options(supported | {"if_source_match"})
    if options.if_source_match is not None:
        info = await derived_stat(resolved, path)
        if info.etag != options.if_source_match:
            raise PreconditionFailedException(_OTHER_SOURCE, path=path)
    elif not await resolved.methods.exists(path):
        raise FileNotFoundException("File not found", path=path)
    if not options.overwrite:
        raise FileExistsException("The file exists already", path=path)
    changes = [
        name
        for name, value in transfer.given.items()
        if value is not None and name not in {"overwrite", "if_source_match", "progress"}
    ]
    if changes:
        raise UnsupportedOperationException(
            f"A {transfer.kind} of a file onto itself changes nothing, so that it cannot have "
            f"{', '.join(changes)}: call set_metadata() or set_visibility()",
            path=path,
        )


async def _delete_copied(resolved: ResolvedDriver, path: str, copied: FileInfo) -> None:
    """Delete the source of a move, unless it is another version than the one that was copied."""
    if "conditional_delete" in resolved.capabilities and copied.etag is not None:
        try:
            await resolved.methods.delete_file(path, DeleteOptions(if_match=copied.etag))
        except PreconditionFailedException as error:
            raise _replaced(path) from error
        except (UnsupportedOperationException, OSError) as error:
            # The backend lacks it: a file system without locks, a store without conditions.
            if not isinstance(translated(error), UnsupportedOperationException):
                raise
        else:
            return
    # Between this look and the deletion a file may be put, which is lost.
    try:
        now = await derived_stat(resolved, path)
    except FileNotFoundError:
        return  # deleted by another program
    if not is_same_version(now, copied):
        raise _replaced(path)
    await resolved.methods.delete(path)


def _replaced(path: str) -> PreconditionFailedException:
    return PreconditionFailedException(
        "The file was replaced while it was moved: both it and the copy are kept", path=path
    )


async def _copy(transfer: _Transfer) -> Copied:
    source, src = transfer.source, transfer.src
    capabilities = source.capabilities
    if "copy" in capabilities and transfer.needs_only(capabilities.copy_options):
        return await _by_backend(transfer, source.methods.copy_file, capabilities.copy_options)
    visibility = None
    if transfer.given.get("visibility") is None:
        visibility = await kept_visibility(source, src)
    try:
        return (await _stream(transfer, visibility))[0]
    except UnsupportedOperationException:
        if visibility is None:
            raise
        return (await _stream(transfer))[0]  # a bucket without ACLs: nothing to keep


async def _by_backend(
    transfer: _Transfer,
    method: Callable[[str, str, WriteOptions], Awaitable[str | None]],
    supported: frozenset[str],
) -> Copied:
    """Copy or move by a method of the driver, which tells nothing before its end."""
    options = transfer.options(supported)
    progress: Progress | None = transfer.given.get("progress")
    if progress is None:
        return Copied(await method(transfer.src, transfer.dst, options))
    size = (await derived_stat(transfer.source, transfer.src)).size
    etag = await method(transfer.src, transfer.dst, options)
    progress(size, size)
    return Copied(etag, size)


async def _open_source(transfer: _Transfer, if_source_match: str | None) -> ReadStream:
    options = ReadOptions(chunk_size=_CHUNK, if_match=if_source_match, read_ahead=True)
    try:
        return await open_read(transfer.source, transfer.src, options)
    except PreconditionFailedException as error:
        if if_source_match is None:
            raise
        raise PreconditionFailedException(_OTHER_SOURCE, path=transfer.src) from error


async def _stream(
    transfer: _Transfer, visibility: Visibility | None = None
) -> tuple[Copied, FileInfo]:
    """Copy by reading and writing; return the copy, and the version of the source.

    The source is read while the target writes, by drivers that take content as it comes. Errors of
    the target have the target's path and disk.
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
        # A short body must not become a whole file.
        options["size"] = stream.info.size
        content = driver_content(stream)
        try:
            etag = await store(transfer.target, transfer.dst, content, options, Visibility.PRIVATE)
        except Exception as error:
            if raised_by_source(content, error):
                raise
            reraise(
                error,
                operation=transfer.operation,
                path=transfer.dst,
                disk=transfer.target_disk,
            )
        return Copied(etag, stream.info.size), stream.info
    finally:
        await stream.aclose()
