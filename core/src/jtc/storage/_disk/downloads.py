"""Downloads to files of this machine."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from jtc.storage._disk.base import DiskBase
from jtc.storage._disk.read_write import given_to_read, reported_fields
from jtc.storage._local_files import LocalFile
from jtc.storage.driver_support.content import raised_by_source
from jtc.storage.driver_support.content_checks import check_progress
from jtc.storage.driver_support.derived import open_read
from jtc.storage.exceptions import IntegrityException
from jtc.storage.options import ReadOptions
from jtc.storage.paths import check_path

if TYPE_CHECKING:
    import os

    from jtc.storage._capabilities import ResolvedDriver
    from jtc.storage.driver import ReadStream
    from jtc.storage.models import FileInfo
    from jtc.storage.options import Progress

__all__ = ["Downloads"]

_CHUNK = 1024 * 1024


class Downloads(DiskBase):
    """The method `download`."""

    __slots__ = ()

    async def download(
        self,
        path: str,
        local_path: str | os.PathLike[str],
        *,
        if_match: str | None = None,
        if_none_match: str | None = None,
        progress: Progress | None = None,
    ) -> FileInfo:
        """Copy a file to a path of this machine, whole or not at all.

        It is written to a temporary file ``.jtc-tmp-…`` beside the target, which only the owner may
        read, and which then replaces the target. It has the permission bits of the file that it
        replaces; a new file has those that the umask leaves. A symbolic link is replaced itself.

        Args:
            path: The file.
            local_path: Where to, in a directory that exists.
            if_match: The etag that the file must have.
            if_none_match: The etag that the file must not have, such as that of a download before.
            progress: Called with the bytes that have come so far and the file's length.

        Returns:
            The metadata of the version that was downloaded.

        Raises:
            FileNotFoundException: There is no file.
            PreconditionFailedException: The file is another version than `if_match` names.
            NotModifiedException: The file still is the version that `if_none_match` names.
            OSError: `local_path` cannot be written; the error's `filename` is this path.
            StorageException: The storage failed.
        """
        local: LocalFile | None = None
        try:
            checked = check_path(path)
            local = LocalFile(local_path)
            resolved = self._ready() or await self._load()
            given = ReadOptions(if_match=if_match, if_none_match=if_none_match)
            if (hooks := self._manager.hooks.active) is None:
                return await _download(resolved, checked, given, local, progress)
            async with self._operation(
                hooks, "get", "download", checked, resolved, local, options=given_to_read(given)
            ) as hooked:
                info = await _download(resolved, checked, given, local, progress)
                hooked.report(size=info.size, **reported_fields(info))
                return info
        except Exception as error:
            if raised_by_source(local, error):
                raise
            self._fail(error, "download", path)


async def _download(
    resolved: ResolvedDriver,
    path: str,
    given: ReadOptions,
    local: LocalFile,
    progress: Progress | None,
) -> FileInfo:
    check_progress(progress)
    options = replace(given, chunk_size=_CHUNK, read_ahead=True)
    stream = await open_read(resolved, path, options)
    try:
        try:
            size = await _write(stream, local, progress)
        finally:
            await stream.aclose()
        if size != stream.info.size:
            raise IntegrityException(
                f"The file has {stream.info.size} bytes, but {size} were read", path=path
            )
        await local.place()
    finally:
        await local.discard()
    return stream.info


async def _write(stream: ReadStream, local: LocalFile, progress: Progress | None) -> int:
    """Write a stream's bytes to a local file; return their number."""
    done = 0
    async for chunk in stream:
        await local.write(chunk)
        done += len(chunk)
        if progress is not None:
            progress(done, stream.info.size)
    return done
