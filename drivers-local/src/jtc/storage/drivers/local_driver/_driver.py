"""Files below one directory of this machine."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from jtc.storage.driver import DEFAULT_CHUNK_SIZE
from jtc.storage.driver_support.content import (
    SourceFile,
    SourceIterator,
    driver_content,
    raised_by_source,
)
from jtc.storage.driver_support.error_translation import reraise
from jtc.storage.driver_support.loop_budget import crowded, next_turn
from jtc.storage.driver_support.ranges import check_range
from jtc.storage.driver_support.url_signing import SIGNING_CAPABILITIES, make_signer, needed
from jtc.storage.drivers.local_driver._copying import copy_file, move_file
from jtc.storage.drivers.local_driver._deleting import delete_directory, delete_file, delete_files
from jtc.storage.drivers.local_driver._listing import list_entries
from jtc.storage.drivers.local_driver._metadata import mode_of, set_mode, visibility_of
from jtc.storage.drivers.local_driver._page_cache import facts_at_once, info_at_once, read_at_once
from jtc.storage.drivers.local_driver._reading import open_stream, read_file, stat_file
from jtc.storage.drivers.local_driver._safe_open import Root
from jtc.storage.drivers.local_driver._staged_file import write_file
from jtc.storage.drivers.local_driver._stream_writer import write_stream
from jtc.storage.drivers.local_driver._worker_calls import run
from jtc.storage.exceptions import InvalidPathException, StorageConfigException
from jtc.storage.models import Visibility
from jtc.storage.options import WriteOptions
from jtc.storage.paths import check_directory, check_path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jtc.storage.driver import DriverContent, ReadStream
    from jtc.storage.driver_support.content import Content
    from jtc.storage.driver_support.url_signing import Secrets, Signer
    from jtc.storage.drivers.local_driver._worker_calls import Turn
    from jtc.storage.models import Entry, FileInfo, PresignedForm, PresignedRequest

__all__ = ["LocalDriver"]

_DEFAULT_ROOT = "storage/app"
_DEFAULT_URL = "/storage"

_NEW_FILE = frozenset(
    {
        "content_type",
        "cache_control",
        "content_disposition",
        "metadata",
        "visibility",
        "overwrite",
    }
)
_SUPPORTED_OPTIONS = {
    "write_file": _NEW_FILE | {"if_match"},
    "copy_file": _NEW_FILE | {"if_source_match"},
    "move_file": _NEW_FILE | {"if_source_match"},
}


class LocalDriver:
    """Files below one directory of this machine.

    Symbolic links below the root are refused, and not listed; the root itself may be one. Each
    operation is one call in a thread of the loop's default executor, unless the kernel has in
    memory all that a `get`, `exists`, `size` or `stat` asks for.

    Args:
        root: The directory; a relative one is below the working directory of this moment. It is
            made when the first file is put.
        base_url: What `url` puts before a file's path.
        durable: Have each write survive a power cut: the file and its directory are synced before
            a put, copy or move returns.
        secret: Signs addresses, which `jtc.storage.asgi` answers: 32 bytes or more. Of several, the
            first one signs and all verify. With it, new files are private unless told, as on S3;
            without it, the umask decides.

    Raises:
        StorageConfigException: The root is empty, `durable` is no bool, or the secret is too short.
    """

    unsupported: frozenset[str] = SIGNING_CAPABILITIES

    def __init__(
        self,
        root: str | os.PathLike[str] = _DEFAULT_ROOT,
        base_url: str = _DEFAULT_URL,
        *,
        durable: bool = False,
        secret: Secrets | None = None,
    ) -> None:
        if not os.fspath(root):
            # A variable that is set to nothing must not lead to wherever the program runs.
            raise StorageConfigException("'root' is empty: name a directory, or '.'")
        if not isinstance(durable, bool):
            raise StorageConfigException(f"'durable' is true or false, not {durable!r}")
        self._root = Root(os.path.abspath(root), durable=durable)  # noqa: PTH100 - follows no link
        self._base_url = base_url.rstrip("/")
        try:
            self.signer: Signer | None = make_signer(secret, self._base_url)
        finally:
            del secret  # a traceback holds this function's variables
        if self.signer is not None:
            self.unsupported = frozenset()

    @staticmethod
    def unsupported_with(options: Mapping[str, object]) -> frozenset[str]:
        """Return the capabilities that a driver with such options withholds; raises nothing."""
        return SIGNING_CAPABILITIES if options.get("secret") is None else frozenset()

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Make a driver by FILESYSTEM_ROOT, FILESYSTEM_URL and FILESYSTEM_SECRET.

        Raises:
            StorageConfigException: The secret is too short.
        """
        options: dict[str, Any] = {
            "root": environ.get("FILESYSTEM_ROOT") or _DEFAULT_ROOT,
            "base_url": environ.get("FILESYSTEM_URL") or _DEFAULT_URL,
            "secret": environ.get("FILESYSTEM_SECRET") or None,
        }
        # It holds the secret, and a traceback holds this function's variables.
        del environ
        try:
            return cls(**options)
        finally:
            del options

    def __repr__(self) -> str:
        return f"{type(self).__name__}(root={self._root.path!r}, base_url={self._base_url!r})"

    @property
    def location(self) -> str:
        """Where the files are, links resolved: drivers of one location keep the same files."""
        return os.path.realpath(self._root.path)

    async def put(self, path: str, content: Content, /) -> str:
        """Store a file whole, in place of one that is there.

        Args:
            path: Where; directories are made as needed.
            content: Any `Content`. A file object is read from where it stands.

        Returns:
            The checked path.

        Raises:
            PathConflictException: A directory is there, or a file where a directory should be.
            StorageFullException: There is no room; the old file stays.
            StorageException: Another failure; the old file stays.
        """
        await self.write_file(path, driver_content(content), WriteOptions())
        return check_path(path)

    async def get(self, path: str, /) -> bytes:
        """Return a file's content.

        Raises:
            FileNotFoundException: There is no file.
        """
        try:
            checked = check_path(path)
            if self._root.near is not None:
                if crowded():
                    await next_turn()
                if (content := read_at_once(self._root, checked)) is not None:
                    return content
            return await run(read_file, self._root, checked)
        except Exception as error:
            reraise(error, operation="get", path=path)

    async def exists(self, path: str, /) -> bool:
        """Tell whether there is a file; a directory is none, and a link is refused.

        Raises:
            InvalidPathException: The path breaks the path policy.
            StoragePermissionException: It is a symbolic link.
            StorageException: The file system failed, so nobody knows.
        """
        try:
            await self._facts(check_path(path))
        except FileNotFoundError:
            return False
        except Exception as error:
            reraise(error, operation="exists", path=path)
        return True

    async def delete(self, path: str, /) -> bool:
        """Delete a file; False where there is none. Its directory stays.

        Of several that delete one file at once, one gets True.

        Raises:
            InvalidPathException: The path breaks the path policy.
            StoragePermissionException: It may not be deleted, or is a symbolic link.
            StorageException: The file system failed.
        """
        try:
            return await run(delete_file, self._root, check_path(path))
        except Exception as error:
            reraise(error, operation="delete", path=path)

    async def size(self, path: str, /) -> int:
        """Return a file's length in bytes.

        Raises:
            FileNotFoundException: There is no file.
        """
        try:
            return (await self._facts(check_path(path))).st_size
        except Exception as error:
            reraise(error, operation="size", path=path)

    async def last_modified(self, path: str, /) -> float:
        """Return when a file was written, in seconds since 1970 UTC.

        Raises:
            FileNotFoundException: There is no file.
        """
        try:
            return (await self._facts(check_path(path))).st_mtime
        except Exception as error:
            reraise(error, operation="last_modified", path=path)

    def url(self, path: str, /) -> str:
        """Return the percent-encoded address of a file below `base_url`.

        Raises:
            InvalidPathException: The path breaks the path policy.
        """
        try:
            return f"{self._base_url}/{quote(check_path(path))}"
        except Exception as error:
            reraise(error, operation="url", path=path)

    def path(self, path: str, /) -> str:
        """Return the absolute file name of a file. Opening it by that name follows links.

        Raises:
            InvalidPathException: The path breaks the path policy.
        """
        try:
            return os.path.join(self._root.path, check_path(path))  # noqa: PTH118 - a str is asked
        except Exception as error:
            reraise(error, operation="path", path=path)

    async def stat(self, path: str, /) -> FileInfo:
        """Return a file's facts; `content_type` is what was declared, or None.

        Raises:
            FileNotFoundException: There is no file.
        """
        try:
            checked = check_path(path)
            if self._root.near is not None:
                if crowded():
                    await next_turn()
                if (info := info_at_once(self._root, checked)) is not None:
                    return info
            return await run(stat_file, self._root, checked)
        except Exception as error:
            reraise(error, operation="stat", path=path)

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
        """Open a file for reading in chunks; it stays open until the stream's ``aclose()``.

        Args:
            path: The file.
            start: The first byte; below 0, so many bytes from the end.
            end: The byte after the last, cut at the file's end.
            if_match: The etag that the file must have.
            chunk_size: The length of a chunk in bytes.

        Raises:
            FileNotFoundException: There is no file.
            PreconditionFailedException: It is another version.
            ValueError: The range ends before it begins, or `chunk_size` is below 1.
        """
        try:
            check_range(start, end)
            if chunk_size < 1:
                raise ValueError(f"A chunk has at least one byte, not {chunk_size}")
            return await open_stream(
                self._root,
                check_path(path),
                start=start,
                end=end,
                if_match=if_match,
                chunk_size=chunk_size,
            )
        except Exception as error:
            reraise(error, operation="stream", path=path)

    @property
    def supported_options(self) -> Mapping[str, frozenset[str]]:
        """The options that are supported, by method."""
        return _SUPPORTED_OPTIONS

    async def write_file(
        self, path: str, content: DriverContent, options: WriteOptions, /
    ) -> str | None:
        """Store a file whole, or leave what was there; return its etag.

        Raises:
            FileExistsException: ``overwrite=False``, and there is a file.
            PreconditionFailedException: The file there is not the one that `if_match` names.
            UnsupportedOperationException: The file system cannot keep what was declared.
            StorageException: What `put` raises.
        """
        if not isinstance(content, (bytes, SourceFile, SourceIterator)):
            content = driver_content(content)
        if self.signer is not None and options.visibility is None:
            options = dataclasses.replace(options, visibility=Visibility.PRIVATE)
        try:
            checked = check_path(path)
            if isinstance(content, AsyncIterator):
                return await write_stream(self._root, checked, content, options)
            return await run(write_file, self._root, checked, content, options)
        except Exception as error:
            if raised_by_source(content, error):
                raise
            reraise(error, operation="put", path=path)

    def list_entries(
        self, prefix: str, /, *, recursive: bool = False, start_after: str | None = None
    ) -> AsyncIterator[Entry]:
        """Yield what is below a directory, in key order; a listing tells no declared facts.

        Args:
            prefix: The directory; ``""`` is the root. One that is not there holds nothing.
            recursive: Yield files at any depth, and no directories.
            start_after: Yield only what comes after this key.

        Raises:
            InvalidPathException: The prefix breaks the path policy.
            StorageException: The file system failed.
        """
        try:
            prefix = check_directory(prefix)
        except Exception as error:
            reraise(error, operation="list", path=prefix)
        return list_entries(self._root, prefix, recursive=recursive, start_after=start_after)

    async def make_directory(self, path: str, /) -> None:
        """Make a directory and those above it; one that is there already is fine.

        Raises:
            PathConflictException: A file is in the way.
        """
        try:
            await run(_make_directory, self._root, check_directory(path))
        except Exception as error:
            reraise(error, operation="make_directory", path=path)

    async def delete_directory(self, path: str, /) -> None:
        """Delete a directory and everything below it; one that is not there is fine.

        Raises:
            InvalidPathException: It is the root.
        """
        try:
            if not path:
                raise InvalidPathException("The root of a disk is not deleted")
            await run(delete_directory, self._root, check_directory(path))
        except Exception as error:
            reraise(error, operation="delete_directory", path=path)

    async def copy_file(self, src: str, dst: str, options: WriteOptions, /) -> str | None:
        """Copy a file with its declared facts and its visibility; return the new file's etag.

        Raises:
            FileNotFoundException: There is no source.
            PreconditionFailedException: It is not the version that `if_source_match` names.
            FileExistsException: ``overwrite=False``, and there is a file.
        """
        try:
            return await run(copy_file, self._root, check_path(src), check_path(dst), options)
        except Exception as error:
            reraise(error, operation="copy", path=dst)

    async def move_file(self, src: str, dst: str, options: WriteOptions, /) -> str | None:
        """Move a file with its declared facts and its visibility; return its etag.

        Raises:
            FileNotFoundException: There is no source.
            PreconditionFailedException: It is not the version that `if_source_match` names.
            FileExistsException: ``overwrite=False``, and there is a file.
        """
        try:
            return await run(move_file, self._root, check_path(src), check_path(dst), options)
        except Exception as error:
            reraise(error, operation="move", path=dst)

    async def visibility(self, path: str, /) -> Visibility:
        """Tell whether everybody on the machine may read a file.

        Raises:
            FileNotFoundException: There is no file.
        """
        try:
            return visibility_of(await self._facts(check_path(path)))
        except Exception as error:
            reraise(error, operation="visibility", path=path)

    async def set_visibility(self, path: str, visibility: Visibility, /) -> None:
        """Set a file's mode to 0644 for `Visibility.PUBLIC`, to 0600 for `Visibility.PRIVATE`.

        Raises:
            FileNotFoundException: There is no file.
            UnsupportedOperationException: The file system keeps no modes.
        """
        try:
            await run(_set_visibility, self._root, check_path(path), Visibility(visibility))
        except Exception as error:
            reraise(error, operation="set_visibility", path=path)

    async def temporary_url(
        self,
        path: str,
        expires_in: float,
        /,
        *,
        content_type: str | None = None,
        content_disposition: str | None = None,
    ) -> str:
        """Return an address below `base_url` that reads a file for so many seconds.

        Raises:
            InvalidPathException: The path breaks the path policy.
            ValueError: The time, the type or the disposition cannot be.
            UnsupportedOperationException: The driver has no secret.
        """
        try:
            return needed(self.signer).download_url(
                check_path(path),
                expires_in,
                content_type=content_type,
                content_disposition=content_disposition,
            )
        except Exception as error:
            reraise(error, operation="temporary_url", path=path)

    async def temporary_upload_url(
        self,
        path: str,
        expires_in: float,
        /,
        *,
        content_type: str | None = None,
        size: int | None = None,
    ) -> PresignedRequest:
        """Return a PUT request that stores a file within so many seconds.

        Raises:
            InvalidPathException: The path breaks the path policy.
            ValueError: The time, the type or the size cannot be.
            UnsupportedOperationException: The driver has no secret.
        """
        try:
            return needed(self.signer).upload_request(
                check_path(path), expires_in, content_type=content_type, size=size
            )
        except Exception as error:
            reraise(error, operation="temporary_upload_url", path=path)

    async def temporary_upload_form(
        self, path: str, expires_in: float, /, *, max_size: int, content_type: str | None = None
    ) -> PresignedForm:
        """Return a form that uploads a file of `max_size` bytes at most.

        Raises:
            InvalidPathException: The path breaks the path policy.
            ValueError: The time, the type or the size cannot be.
            UnsupportedOperationException: The driver has no secret.
        """
        try:
            return needed(self.signer).upload_form(
                check_path(path), expires_in, max_size=max_size, content_type=content_type
            )
        except Exception as error:
            reraise(error, operation="temporary_upload_form", path=path)

    async def delete_many(self, paths: Sequence[str], /) -> Mapping[str, bool | Exception]:
        """Delete files in one call; say for each whether it was there, or what went wrong.

        Raises:
            StorageException: The root cannot be opened; what is wrong with one file is its answer.
        """
        try:
            return await run(delete_files, self._root, list(paths))
        except Exception as error:
            reraise(error, operation="delete_many")

    async def _facts(self, path: str) -> os.stat_result:
        if self._root.near is not None:
            if crowded():
                await next_turn()
            if (facts := facts_at_once(self._root, path)) is not None:
                return facts
        return await run(_stat, self._root, path)


def _stat(_turn: Turn, root: Root, path: str) -> os.stat_result:
    root.meet()
    return root.stat_file(path)


def _make_directory(turn: Turn, root: Root, path: str) -> None:
    os.close(root.make_directory(path, turn))


def _set_visibility(turn: Turn, root: Root, path: str, visibility: Visibility) -> None:
    descriptor, _ = root.open_file(path)
    try:
        with turn:
            set_mode(descriptor, mode_of(visibility))
    finally:
        os.close(descriptor)
