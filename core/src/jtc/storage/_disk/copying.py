"""Copies and moves, within a disk and from one to another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack, cast

from jtc.storage._disk.base import NO_FILE, DiskBase
from jtc.storage._disk.copy_ways import (
    OTHER_SOURCE,
    Copied,
    Series,
    Transfer,
    by_backend,
    copy_to_other,
    copy_within,
)
from jtc.storage._places import may_be_one, places_in_common
from jtc.storage.driver_support.content_checks import check_progress
from jtc.storage.driver_support.derived import derived_stat, is_same_version
from jtc.storage.driver_support.error_translation import translated
from jtc.storage.exceptions import (
    FileExistsException,
    FileNotFoundException,
    PreconditionFailedException,
    UnsupportedOperationException,
)
from jtc.storage.layer import unwrap_path
from jtc.storage.options import DeleteOptions
from jtc.storage.paths import check_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jtc.storage._capabilities import ResolvedDriver
    from jtc.storage._disk import Disk
    from jtc.storage.models import FileInfo
    from jtc.storage.options import CopyOptions

__all__ = ["Copied", "Copying"]


class Copying(DiskBase):
    """The methods `copy` and `move`."""

    __slots__ = ()

    async def copy(
        self, src: str, dst: str, *, to: Disk | str | None = None, **options: Unpack[CopyOptions]
    ) -> str:
        """Copy a file: by the backend itself within a disk, else streamed in constant memory.

        Between two disks of one store (two buckets of one S3 endpoint and one source of keys, two
        directories of one file system) the store copies too, unless a layer on the way has to see
        the content. Content type and metadata are copied where the target's driver keeps them; so
        is an inferred type, where the source's backend keeps it. Within a disk, local or in memory,
        a copy has its source's visibility; on S3, the disk's default. On another disk it has that
        of the file it replaces; a new file has the disk's default, and is private where there is
        none. A copy onto itself changes nothing, and options that would change something are
        refused.

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
        and the deletion is lost. A target on another disk that is the source itself, by another
        name of the backend, is not deleted.

        Raises:
            FileNotFoundException: There is no file `src`.
            PreconditionFailedException: As for `copy`; or the file was replaced meanwhile, and
                both it and the copy exist; or the target seems to be the source.
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
        series: Series | None = None,
        listed: FileInfo | None = None,
    ) -> Copied:
        """Copy or move a file, alone or as one of a series."""
        series = series or Series(kind, keeps_time=False)
        try:
            target_disk = self._target_disk(to)
            transfer = Transfer(
                kind,
                self._ready() or await self._load(),
                check_path(src),
                target_disk._ready() or await target_disk._load(),  # noqa: SLF001
                check_path(dst),
                given,
                target_disk.name,
                series,
                listed,
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
                series.operation,
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
            self._fail(error, series.operation, src)


async def _perform(transfer: Transfer) -> Copied:
    source = transfer.source
    if not transfer.series.apart and await _is_same(transfer):
        await _check_in_place(transfer)
        return Copied()
    copy = copy_within if transfer.is_within else copy_to_other
    if transfer.kind == "copy":
        return await copy(transfer)
    supported = source.capabilities.move_options
    if transfer.is_within and "move" in source.capabilities and transfer.needs_only(supported):
        return await by_backend(transfer, source.methods.move_file, supported)
    version = None
    if transfer.is_within or "conditional_delete" not in source.capabilities:
        version = await derived_stat(source, transfer.src)
    replaced = None if transfer.is_within else await _possibly_the_source(transfer)
    copied = await copy(transfer)
    # A move to another disk returns the version that it copied.
    version = cast("FileInfo", version or copied.version)
    if replaced is not None and is_same_version(replaced, version):
        raise PreconditionFailedException(
            f"{transfer.dst!r} on the disk {transfer.target_disk!r} was the same version, of the "
            "same time: both disks may have one backend, so nothing was deleted. If they do not, "
            "delete the source",
            path=transfer.src,
        )
    await _delete_copied(source, transfer.src, version)
    return copied


async def _possibly_the_source(transfer: Transfer) -> FileInfo | None:
    """Return the metadata of the file that a move to another disk replaces.

    Two drivers may reach one backend by names that tell nothing, such as two names of one host.
    Then the copy replaces its source, and the deletion would lose both.
    """
    target = (transfer.target.driver, transfer.dst)
    if not may_be_one((transfer.source.driver, transfer.src), target):
        return None
    try:
        return await derived_stat(transfer.target, transfer.dst)
    except NO_FILE:
        return None


async def _is_same(transfer: Transfer) -> bool:
    """Return whether source and target are one file, even through two views or two drivers."""
    places = await places_in_common(
        (transfer.source.driver, transfer.src), (transfer.target.driver, transfer.dst)
    )
    return places is not None and places[0] == places[1]


async def _check_in_place(transfer: Transfer) -> None:
    """Check a copy or move of a file onto itself, which changes nothing: it may still fail."""
    resolved, path = transfer.source, transfer.src
    capabilities = resolved.capabilities
    supported = capabilities.put_options | capabilities.copy_options | capabilities.move_options
    options = transfer.options(supported | {"if_source_match"})
    if options.if_source_match is not None:
        info = await derived_stat(resolved, path)
        if info.etag != options.if_source_match:
            raise PreconditionFailedException(OTHER_SOURCE, path=path)
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
