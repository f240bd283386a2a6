"""Metadata of files: size, time, type, checksum, and declared fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from jtc.storage._disk.base import DiskBase
from jtc.storage._disk.write_pipeline import update_metadata
from jtc.storage.driver_support.checksums import new_digest
from jtc.storage.driver_support.content import in_thread
from jtc.storage.driver_support.derived import (
    check_version,
    derived_stat,
    open_read,
    read_all,
)
from jtc.storage.driver_support.mime_types import SNIFF_BYTES, guess_type, infer_type
from jtc.storage.options import ReadOptions
from jtc.storage.paths import check_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jtc.storage._capabilities import ResolvedDriver
    from jtc.storage.models import FileInfo
    from jtc.storage.options import MetadataOptions

__all__ = ["FileMetadata"]

_HASH_CHUNK = 1024 * 1024
_CHUNK_WORTH_A_THREAD = 64 * 1024


class FileMetadata(DiskBase):
    """Methods that read or change the metadata of one file."""

    __slots__ = ()

    async def size(self, path: str) -> int:
        """Return a file's length in bytes.

        Raises:
            FileNotFoundException: There is no file.
            InvalidPathException: The path breaks the path policy.
            StorageException: The storage failed.
        """
        try:
            return await (self._ready() or await self._load()).methods.size(check_path(path))
        except Exception as error:
            self._fail(error, "size", path)

    async def last_modified(self, path: str) -> float:
        """Return when a file was written, in seconds since 1970 UTC.

        Raises:
            FileNotFoundException: There is no file.
            InvalidPathException: The path breaks the path policy.
            StorageException: The storage failed.
        """
        try:
            return await (self._ready() or await self._load()).methods.last_modified(
                check_path(path)
            )
        except Exception as error:
            self._fail(error, "last_modified", path)

    async def stat(
        self, path: str, *, if_match: str | None = None, if_none_match: str | None = None
    ) -> FileInfo:
        """Return the metadata of a file.

        Args:
            path: The file.
            if_match: The etag that the file must have.
            if_none_match: The etag that the file must not have.

        Raises:
            FileNotFoundException: There is no file.
            PreconditionFailedException: The file is another version than `if_match` names.
            NotModifiedException: The file still is the version that `if_none_match` names.
            InvalidPathException: The path breaks the path policy.
            StorageException: The storage failed.
        """
        try:
            info = await derived_stat(self._ready() or await self._load(), check_path(path))
            check_version(info, if_match, if_none_match)
        except Exception as error:
            self._fail(error, "stat", path)
        return info

    async def set_metadata(self, path: str, **options: Unpack[MetadataOptions]) -> None:
        """Replace declared fields of a file: its type, its headers, its metadata.

        Other fields are kept. If the driver cannot change metadata in place, the file is read and
        written again under the condition that it is still the same version.

        Args:
            path: The file.
            **options: See `MetadataOptions`.

        Raises:
            FileNotFoundException: There is no file.
            PreconditionFailedException: `if_match` names another version, or the file was replaced
                while it was rewritten.
            UnsupportedOperationException: The driver does not support an option.
            InvalidPathException: The path breaks the path policy.
            TypeError: There are no options, one is unknown, or has a value of a wrong type.
            StorageException: The storage failed; the file is unchanged.
        """
        try:
            checked = check_path(path)
            resolved = self._ready() or await self._load()
            resolved.check_writable()
            if (hooks := self._manager.hooks.active) is None:
                await update_metadata(resolved, checked, options)
                return
            async with self._operation(
                hooks, "update", "set_metadata", checked, resolved, options=dict(options)
            ) as hooked:
                hooked.report(etag=await update_metadata(resolved, checked, options))
        except Exception as error:
            self._fail(error, "set_metadata", path)

    async def mime_type(self, path: str) -> str:
        """Return a file's MIME type: as declared, else by its content, else by its name.

        Raises:
            FileNotFoundException: There is no file.
            InvalidPathException: The path breaks the path policy.
            StorageException: The storage failed.
        """
        try:
            checked = check_path(path)
            resolved = self._ready() or await self._load()
            return await _mime_type(resolved, await derived_stat(resolved, checked), checked)
        except Exception as error:
            self._fail(error, "mime_type", path)

    async def confirm_upload(
        self,
        path: str,
        *,
        if_match: str | None = None,
        options: Mapping[str, object] | None = None,
    ) -> FileInfo:
        """Call the hook `storage_uploaded` for a file that did not come through this disk.

        A client sent it to the store by a presigned URL or form, or the hook failed after a put.
        Call it again until it returns: each call for one version of a file has an event with the
        same idempotency key.

        Args:
            path: The file.
            if_match: The etag of the version that was uploaded, as a notification names it.
            options: The options of the event: what the application knows of the upload.

        Returns:
            The file's metadata.

        Raises:
            FileNotFoundException: There is no file.
            PreconditionFailedException: The file is another version than `if_match` names.
            InvalidPathException: The path breaks the path policy.
            StorageException: The storage failed, or the hook did in a plugin; all were called.
        """
        try:
            checked = check_path(path)
            resolved = self._ready() or await self._load()
            info = await derived_stat(resolved, checked)
            check_version(info, if_match, None)
            if (hooks := self._manager.hooks.active) is not None:
                given = dict(options or {})
                upload = self._operation(
                    hooks, "put", "confirm_upload", checked, resolved, options=given
                )
                upload.report(size=info.size, etag=info.etag)
                upload.report(content_type=await _mime_type(resolved, info, checked))
                await upload.confirm(info.etag or f"{info.size} {info.last_modified}")
        except Exception as error:
            self._fail(error, "confirm_upload", path)
        return info

    async def checksum(self, path: str, algorithm: str = "sha256") -> str:
        """Return a checksum of a file's content, in lower-case hexadecimal.

        Args:
            path: The file.
            algorithm: ``"crc32"``, or a name for `hashlib.new`. If the backend has such a checksum
                of the whole content, it is returned; else the file is read.

        Raises:
            FileNotFoundException: There is no file.
            InvalidPathException: The path breaks the path policy.
            ValueError: There is no such algorithm.
            StorageException: The storage failed.
        """
        try:
            checked = check_path(path)
            digest = new_digest(algorithm)
            resolved = self._ready() or await self._load()
            options = ReadOptions(chunk_size=_HASH_CHUNK, read_ahead=True)
            stream = await open_read(resolved, checked, options)
            try:
                if known := stream.info.checksums.get(algorithm):
                    return known
                async for chunk in stream:
                    if len(chunk) > _CHUNK_WORTH_A_THREAD:
                        await in_thread(digest.update, chunk)
                    else:
                        digest.update(chunk)
            finally:
                await stream.aclose()
            return digest.hexdigest()
        except Exception as error:
            self._fail(error, "checksum", path)


async def _mime_type(resolved: ResolvedDriver, info: FileInfo, path: str) -> str:
    if info.content_type is not None:
        return info.content_type
    if info.content_encoding is not None:
        return guess_type(path)  # the beginning is that of compressed content
    beginning = ReadOptions(end=SNIFF_BYTES, chunk_size=SNIFF_BYTES)
    return infer_type(path, await read_all(await open_read(resolved, path, beginning)))
