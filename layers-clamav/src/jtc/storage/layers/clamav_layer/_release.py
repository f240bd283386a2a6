"""Functions for direct uploads: scan and store them, drop them, list them."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING, Any, Unpack

from jtc.storage.driver_support.derived import (
    closing,
    derived_stat,
    is_same_version,
    list_entries,
    open_read,
    resolve,
)
from jtc.storage.driver_support.error_translation import reraise, translated
from jtc.storage.driver_support.mime_types import guess_type
from jtc.storage.exceptions import (
    FileNotFoundException,
    PreconditionFailedException,
    RejectedException,
    StorageConfigException,
    UnsupportedOperationException,
)
from jtc.storage.layer import layers_of
from jtc.storage.layers.clamav_layer._layer import Scan
from jtc.storage.models import FileInfo
from jtc.storage.options import DeleteOptions, ListOptions, ReadOptions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from jtc.storage import DiskOperations
    from jtc.storage.driver import ReadStream
    from jtc.storage.driver_support.derived import ResolvedDriver
    from jtc.storage.layers.clamav_layer._staging import Staging
    from jtc.storage.options import PutOptions

__all__ = ["discard", "release", "staged"]

_CHUNK = 1024 * 1024


async def release(disk: DiskOperations, path: str, **options: Unpack[PutOptions]) -> str:
    """Scan a direct upload, and store it under the path that its URL or form was signed for.

    What is stored is what was scanned, and not what is staged by then: a second upload to the same
    URL stays staged, to be released by another call. A refused file is deleted. A call that was
    interrupted can be repeated until the file is no longer staged.

    Args:
        disk: The disk with the layer, or a view of it.
        path: The file's path.
        **options: As for `Disk.put`. The declared content type and metadata are kept without.

    Returns:
        The file's path.

    Raises:
        FileNotFoundException: No upload is staged for this path.
        RejectedException: The file is infected or exceeds a limit, or another layer refuses it.
        StorageConfigException: The disk has no scanning layer with `staging`.
        StorageException: As of `Disk.put`; the file stays staged.
    """
    with _errors(disk, "release", path):
        inner, staging, within = _staging_of(disk, path)
        place = staging.path_of(within)
        stream = await _open_staged(inner, place)
        try:
            given = _declared(disk, path, stream.info) | {**options, "size": stream.info.size}
            stored = await disk.put(path, stream, **given)
        except RejectedException:
            await _delete_version(inner, place, stream.info)
            raise
        finally:
            await stream.aclose()
        await _delete_version(inner, place, stream.info)
        return stored


async def discard(disk: DiskOperations, path: str) -> bool:
    """Delete a direct upload that is not released.

    Args:
        disk: The disk with the layer, or a view of it.
        path: The path that its URL or form was signed for.

    Returns:
        Whether there was one.

    Raises:
        StorageConfigException: The disk has no scanning layer with `staging`.
        StorageException: The storage failed.
    """
    with _errors(disk, "discard", path):
        inner, staging, within = _staging_of(disk, path)
        return await inner.methods.delete(staging.path_of(within))


async def staged(disk: DiskOperations) -> AsyncIterator[FileInfo]:
    """Yield the direct uploads that are not released, such as those that have to be discarded.

    Args:
        disk: The disk with the layer, or a view of one directory of it.

    Yields:
        The metadata of each, with the path that it will have.

    Raises:
        StorageConfigException: The disk has no scanning layer with `staging`.
        UnsupportedOperationException: The driver cannot list files.
        StorageException: The storage failed.
    """
    with _errors(disk, "staged"):
        inner, staging, prefix = _staging_of(disk, "")
        directory = f"{staging.directory}/{prefix}".rstrip("/")
        async with closing(list_entries(inner, directory, ListOptions(recursive=True))) as entries:
            async for entry in entries:
                if isinstance(entry, FileInfo):
                    yield dataclasses.replace(entry, path=entry.path[len(directory) + 1 :])


@contextlib.contextmanager
def _errors(disk: DiskOperations, operation: str, path: str | None = None) -> Iterator[None]:
    """Raise the errors of a block as the disk does."""
    try:
        yield
    except Exception as error:
        reraise(error, operation=operation, path=path, disk=disk.name)


def _staging_of(disk: DiskOperations, path: str) -> tuple[ResolvedDriver, Staging, str]:
    """Return the driver within the scanning layer, its staging, and its path of a file."""
    for driver in layers_of(disk.driver):
        if isinstance(driver, Scan):
            if driver.staging is not None:
                return resolve(driver.inner), driver.staging, path
            break
        if hasattr(driver, "inner_path"):
            path = driver.inner_path(path)
    raise StorageConfigException(
        "The disk has no scanning layer with a directory for direct uploads: give the layer the "
        "option staging"
    )


async def _open_staged(inner: ResolvedDriver, path: str) -> ReadStream:
    try:
        return await open_read(inner, path, ReadOptions(chunk_size=_CHUNK, read_ahead=True))
    except FileNotFoundError:
        # Without the path of the staged file, which is none of the caller's.
        raise FileNotFoundException(
            "No direct upload is staged for this file: it was not sent yet, or was released"
        ) from None


def _declared(disk: DiskOperations, path: str, info: FileInfo) -> dict[str, Any]:
    """Return the options of a put by which a file keeps what was declared of it."""
    declared = {
        "content_type": None if info.content_type == guess_type(path) else info.content_type,
        "cache_control": info.cache_control,
        "content_disposition": info.content_disposition,
        "content_encoding": info.content_encoding,
        "metadata": info.metadata or None,
    }
    supported = disk.capabilities.put_options
    return {name: value for name, value in declared.items() if value and name in supported}


async def _delete_version(inner: ResolvedDriver, path: str, version: FileInfo) -> None:
    """Delete a staged file, unless it was replaced since it was read."""
    if "conditional_delete" in inner.capabilities and version.etag is not None:
        try:
            await inner.methods.delete_file(path, DeleteOptions(if_match=version.etag))
        except PreconditionFailedException:
            return
        except (UnsupportedOperationException, OSError) as error:
            # The backend lacks it: a file system without locks, a store without conditions.
            if not isinstance(translated(error), UnsupportedOperationException):
                raise
        else:
            return
    try:
        now = await derived_stat(inner, path)
    except FileNotFoundError:
        return  # released by another call
    if is_same_version(now, version):
        await inner.methods.delete(path)
