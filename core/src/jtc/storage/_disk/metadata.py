"""Facts about one file: size, time, type, checksum."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from jtc.storage._disk.base import DiskBase
from jtc.storage.driver_support.checksums import new_digest
from jtc.storage.driver_support.derived import derived_stat, open_read, read_all
from jtc.storage.driver_support.mime_types import SNIFF_BYTES, infer_type
from jtc.storage.paths import check_path

if TYPE_CHECKING:
    from jtc.storage.models import FileInfo

__all__ = ["Facts"]

_HASH_CHUNK = 1024 * 1024
_CHUNK_WORTH_A_THREAD = 64 * 1024


class Facts(DiskBase):
    """What a disk tells about a file without giving its content."""

    __slots__ = ()

    async def size(self, path: str) -> int:
        """Return a file's length in bytes.

        Raises:
            FileNotFoundException: There is no file.
            InvalidPathException: The path breaks the path policy.
            StorageException: The storage failed.
        """
        try:
            return await self._resolved().driver.size(check_path(path))
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
            return await self._resolved().driver.last_modified(check_path(path))
        except Exception as error:
            self._fail(error, "last_modified", path)

    async def stat(self, path: str) -> FileInfo:
        """Return everything that is known of a file.

        Raises:
            FileNotFoundException: There is no file.
            InvalidPathException: The path breaks the path policy.
            StorageException: The storage failed.
        """
        try:
            return await derived_stat(self._resolved(), check_path(path))
        except Exception as error:
            self._fail(error, "stat", path)

    async def mime_type(self, path: str) -> str:
        """Return a file's MIME type: as declared, else by its content, else by its name.

        Raises:
            FileNotFoundException: There is no file.
            InvalidPathException: The path breaks the path policy.
            StorageException: The storage failed.
        """
        try:
            checked = check_path(path)
            resolved = self._resolved()
            info = await derived_stat(resolved, checked)
            if info.content_type is not None:
                return info.content_type
            head = await read_all(
                await open_read(resolved, checked, end=SNIFF_BYTES, chunk_size=SNIFF_BYTES)
            )
            return infer_type(checked, head)
        except Exception as error:
            self._fail(error, "mime_type", path)

    async def checksum(self, path: str, algorithm: str = "sha256") -> str:
        """Return a checksum of a file's content, in lower-case hexadecimal.

        Args:
            path: The file.
            algorithm: ``"crc32"``, or a name that `hashlib.new` knows. The backend's own is taken
                where it keeps one of the whole content; else the file is read.

        Raises:
            FileNotFoundException: There is no file.
            InvalidPathException: The path breaks the path policy.
            ValueError: There is no such algorithm.
            StorageException: The storage failed.
        """
        try:
            checked = check_path(path)
            digest = new_digest(algorithm)
            resolved = self._resolved()
            stream = await open_read(resolved, checked, chunk_size=_HASH_CHUNK)
            try:
                if known := stream.info.checksums.get(algorithm):
                    return known
                async for chunk in stream:
                    if len(chunk) > _CHUNK_WORTH_A_THREAD:
                        await asyncio.to_thread(digest.update, chunk)
                    else:
                        digest.update(chunk)
            finally:
                await stream.aclose()
            return digest.hexdigest()
        except Exception as error:
            self._fail(error, "checksum", path)
