"""Copies and moves, within a disk and from one to another."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Unpack

from jtc.storage._disk.base import DiskBase
from jtc.storage._disk.write_pipeline import carried_options, store
from jtc.storage._layering import unwrap_path
from jtc.storage.driver_support.content import driver_content, raised_by_source
from jtc.storage.driver_support.content_checks import watched
from jtc.storage.driver_support.derived import derived_stat, open_read
from jtc.storage.driver_support.error_translation import reraise
from jtc.storage.exceptions import FileNotFoundException, PreconditionFailedException
from jtc.storage.options import copy_options
from jtc.storage.paths import check_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jtc.storage._capabilities import ResolvedDriver
    from jtc.storage._disk import Disk
    from jtc.storage.driver import StorageDriver
    from jtc.storage.models import FileInfo
    from jtc.storage.options import CopyOptions

__all__ = ["Copying"]

_CHUNK = 1024 * 1024


class Copying(DiskBase):
    """copy and move."""

    __slots__ = ()

    async def copy(
        self, src: str, dst: str, *, to: Disk | str | None = None, **options: Unpack[CopyOptions]
    ) -> str:
        """Copy a file: by the backend itself within a disk, else streamed in constant memory.

        Content type and metadata travel along where the target's driver keeps them; so does a type
        that nobody declared, where the backend keeps the one that it inferred. Visibility is
        certain by the option only: a backend's own copy may keep it or not. A copy onto itself
        changes nothing.

        Args:
            src: The file.
            dst: Its copy, which is whole or not there.
            to: The disk, or the name of the disk, that the copy goes to; None is this disk.
            **options: See `CopyOptions`.

        Returns:
            The path of the copy.

        Raises:
            FileNotFoundException: There is no file `src`.
            InvalidPathException: A path breaks the path policy.
            FileExistsException: `overwrite=False`, and there is a file `dst`.
            PreconditionFailedException: `if_source_match` names another version.
            UnsupportedOperationException: The driver does not support an option.
            TypeError: An option is unknown, or has a value of a wrong kind.
            StorageException: The storage failed.
        """
        return await self._transfer("copy", src, dst, to, options)

    async def move(
        self, src: str, dst: str, *, to: Disk | str | None = None, **options: Unpack[CopyOptions]
    ) -> str:
        """Move a file. See `copy`, whose arguments, result and errors it has.

        Where the backend does not move by itself, the file is copied, then deleted: when that
        fails, both are there.

        Raises:
            FileNotFoundException: There is no file `src`.
            PreconditionFailedException: As for `copy`; or the file was replaced meanwhile, and
                both it and the copy are there.
            StorageException: As for `copy`.
        """
        return await self._transfer("move", src, dst, to, options)

    async def _transfer(
        self,
        operation: str,
        src: str,
        dst: str,
        to: Disk | str | None,
        given: Mapping[str, Any],
    ) -> str:
        try:
            target_disk: DiskBase = self
            if to is not None:
                target_disk = self._manager().disk(to) if isinstance(to, str) else to
            source_path, target_path = check_path(src), check_path(dst)
            source, target = self._resolved(), target_disk._resolved()  # noqa: SLF001
            target.check_writable()
            if operation == "move":
                source.check_writable()
            transfer = partial(
                _transfer,
                operation,
                source,
                source_path,
                target,
                target_path,
                given,
                target_disk.name,
            )
            if (hooks := self._manager().hooks.active) is None:
                await transfer()
                return target_path
            async with self._operation(
                hooks,
                operation,
                operation,
                source_path,
                source,
                to={
                    "to_disk": target_disk._told_name(),  # noqa: SLF001
                    "to_path": target_path,
                    "to_key": unwrap_path(target.driver, target_path)[1],
                },
                options=dict(given),
            ):
                await transfer()
        except Exception as error:
            self._fail(error, operation, src)
        return target_path


async def _transfer(
    operation: str,
    source: ResolvedDriver,
    src: str,
    target: ResolvedDriver,
    dst: str,
    given: Mapping[str, Any],
    target_disk: str,
) -> None:
    if await _is_same(source, src, target, dst):
        await _stay(operation, source, src, given)
    elif source.driver is not target.driver:
        before = await derived_stat(source, src) if operation == "move" else None
        await _stream(operation, source, src, target, dst, given, target_disk)
        if before is not None:
            await _delete_copied(source, src, before)
    elif operation == "move":
        await _move(source, src, dst, given, target_disk)
    else:
        await _copy(operation, source, src, dst, given, target_disk)


async def _is_same(source: ResolvedDriver, src: str, target: ResolvedDriver, dst: str) -> bool:
    """Tell whether both are one file, also where two views or two drivers show it."""
    source_driver, source_path = unwrap_path(source.driver, src)
    target_driver, target_path = unwrap_path(target.driver, dst)
    if source_driver is target_driver:
        return source_path == target_path
    if type(source_driver) is not type(target_driver):
        return False
    # In a thread: a local driver asks the file system.
    places = await asyncio.to_thread(lambda: (_place(source_driver), _place(target_driver)))
    if None in places:
        return False
    return f"{places[0]}/{source_path}" == f"{places[1]}/{target_path}"


def _place(driver: StorageDriver) -> str | None:
    location = getattr(driver, "location", None)
    return location if isinstance(location, str) else None


async def _stay(
    operation: str, resolved: ResolvedDriver, path: str, given: Mapping[str, Any]
) -> None:
    """Do nothing, but fail as the real thing would."""
    capabilities = resolved.capabilities
    supported = capabilities.put_options | capabilities.copy_options | capabilities.move_options
    options = copy_options(
        given, supported | {"if_source_match"}, driver=resolved.name, method=operation
    )
    if options.if_source_match is not None:
        info = await derived_stat(resolved, path)
        if info.etag != options.if_source_match:
            raise PreconditionFailedException("The source is another version", path=path)
    elif not await resolved.driver.exists(path):
        raise FileNotFoundException("File not found", path=path)


async def _move(
    resolved: ResolvedDriver, src: str, dst: str, given: Mapping[str, Any], disk: str
) -> None:
    supported = resolved.capabilities.move_options
    if resolved.move is not None and _asked(given) <= supported:
        options = copy_options(given, supported, driver=resolved.name, method="move")
        await resolved.move.move_file(src, dst, options)
        return
    before = await derived_stat(resolved, src)
    await _copy("move", resolved, src, dst, given, disk)
    await _delete_copied(resolved, src, before)


async def _delete_copied(resolved: ResolvedDriver, path: str, before: FileInfo) -> None:
    """Delete the source of a move, unless it is not any more what it was before the copy.

    The contract has no conditional delete, so a moment between look and deletion remains.
    """
    try:
        now = await derived_stat(resolved, path)
    except FileNotFoundError:
        return  # somebody else deleted it
    if (now.etag, now.size, now.last_modified) != (before.etag, before.size, before.last_modified):
        raise PreconditionFailedException(
            "The file was replaced while it was moved: both it and the copy stay", path=path
        )
    await resolved.driver.delete(path)


async def _copy(
    operation: str,
    resolved: ResolvedDriver,
    src: str,
    dst: str,
    given: Mapping[str, Any],
    disk: str,
) -> None:
    supported = resolved.capabilities.copy_options
    if resolved.copy is not None and _asked(given) <= supported:
        options = copy_options(given, supported, driver=resolved.name, method=operation)
        await resolved.copy.copy_file(src, dst, options)
        return
    await _stream(operation, resolved, src, resolved, dst, given, disk)


async def _stream(
    operation: str,
    source: ResolvedDriver,
    src: str,
    target: ResolvedDriver,
    dst: str,
    given: Mapping[str, Any],
    target_disk: str,
) -> None:
    """Copy by reading and writing. What fails at the target says the target's path and disk."""
    supported = target.capabilities.put_options
    # Only a source with streams can promise to read the very version it was asked for.
    versions = frozenset({"if_source_match"} if source.reading is not None else ())
    checked = copy_options(given, supported | versions, driver=target.name, method=operation)
    stream = await open_read(source, src, chunk_size=_CHUNK, if_match=checked.if_source_match)
    try:
        asked = {k: v for k, v in given.items() if v is not None and k != "if_source_match"}
        options = carried_options(supported, stream.info, dst) | asked
        # A short body must not become a whole file.
        options["size"] = stream.info.size
        content = driver_content(stream)
        try:
            watched(dst, content, options)
            await store(target, dst, content, options)
        except Exception as error:
            if raised_by_source(content, error):
                raise
            reraise(error, operation=operation, path=dst, disk=target_disk)
    finally:
        await stream.aclose()


def _asked(given: Mapping[str, Any]) -> set[str]:
    """Return the options that ask for something."""
    return {
        name
        for name, value in given.items()
        if value is not None and not (name == "overwrite" and value is True)
    }
