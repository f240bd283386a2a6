"""The driver itself: files in a dict, each an immutable record that a write replaces."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from typing import TYPE_CHECKING
from urllib.parse import quote

from jtc.storage.driver import DEFAULT_CHUNK_SIZE
from jtc.storage.driver_support.content import driver_content
from jtc.storage.driver_support.error_translation import reraise
from jtc.storage.driver_support.fork_safety import at_fork
from jtc.storage.driver_support.url_signing import SIGNING_CAPABILITIES, make_signer, needed
from jtc.storage.drivers.memory_driver._copying import checked_source, copy_of, moved
from jtc.storage.drivers.memory_driver._listing import directory_keys, entries_below, key_prefix
from jtc.storage.drivers.memory_driver._metadata import StoredFile, file_info, new_file
from jtc.storage.drivers.memory_driver._reading import open_stream
from jtc.storage.drivers.memory_driver._writing import check_conditions, read_whole
from jtc.storage.exceptions import FileNotFoundException, StorageConfigException
from jtc.storage.paths import check_directory, check_path

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from typing import Self

    from jtc.storage.driver import DriverContent, ReadStream
    from jtc.storage.driver_support.content import Content
    from jtc.storage.driver_support.url_signing import Secrets, Signer
    from jtc.storage.models import Entry, FileInfo, PresignedForm, PresignedRequest, Visibility
    from jtc.storage.options import WriteOptions

__all__ = ["MemoryDriver"]

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

_ENTRIES_IN_A_ROW = 1000
"""After so many entries a listing lets the event loop's other tasks run: about a millisecond."""


class MemoryDriver:
    """Keeps files in memory, for tests and development.

    Any number of threads and event loops may share one. As on S3, there may be files ``a`` and
    ``a/b`` at once.

    Args:
        base_url: What addresses begin with; ``memory://`` unless told.
        secret: Signs addresses, which `jtc.storage.asgi` answers: 32 bytes or more. Of several, the
            first one signs and all verify.

    Raises:
        StorageConfigException: The secret is too short, or there is no `base_url` to sign for.
    """

    unsupported: frozenset[str] = SIGNING_CAPABILITIES

    supported_options: Mapping[str, frozenset[str]] = {
        "write_file": _NEW_FILE | {"if_match"},
        "copy_file": _NEW_FILE | {"if_source_match"},
        "move_file": _NEW_FILE | {"if_source_match"},
    }

    def __init__(self, *, base_url: str | None = None, secret: Secrets | None = None) -> None:
        self._files: dict[str, StoredFile] = {}  # first, for a traceback may show this driver
        try:
            if secret is not None and base_url is None:
                raise StorageConfigException(
                    "Signed addresses need a 'base_url' that leads to them"
                )
            self._base_url = "memory://" if base_url is None else base_url.rstrip("/") + "/"
            self.signer: Signer | None = make_signer(secret, self._base_url)
        finally:
            del secret  # a traceback holds this function's variables
        if self.signer is not None:
            self.unsupported = frozenset()
        self._directories: set[str] = set()
        # From the clock: an etag of ours may be kept by a browser for longer than a process lives.
        self._versions = itertools.count(time.time_ns())
        # For changes, and for looking at several things; one look into the dict is atomic anyway.
        # Never held while anything is awaited.
        self._lock = threading.Lock()
        at_fork(self)

    @staticmethod
    def unsupported_with(options: Mapping[str, object]) -> frozenset[str]:
        """Return the capabilities that a driver with such options withholds; raises nothing."""
        return SIGNING_CAPABILITIES if options.get("secret") is None else frozenset()

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:  # noqa: ARG003 - nothing to configure
        """Return an empty driver, whatever the environment says."""
        return cls()

    def _after_fork(self) -> None:
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<MemoryDriver with {self.count()} files>"

    # What tests look at

    def flush(self) -> None:
        """Forget all files and directories."""
        with self._lock:
            self._files.clear()
            self._directories.clear()

    def count(self) -> int:
        """Return how many files there are."""
        return len(self._files)

    def all_paths(self) -> list[str]:
        """Return the paths of all files, sorted."""
        return sorted(self._files.copy())

    # The eight methods

    async def put(self, path: str, content: Content, /) -> str:
        """Store a file whole, in place of one that is there, and return its path.

        Args:
            path: Where to.
            content: Any content; it is read to its end before anything changes.

        Raises:
            InvalidPathException: The path breaks the path policy.
            TypeError: It is no content. What the content itself raises comes unchanged.
        """
        try:
            checked = check_path(path)
        except Exception as error:
            reraise(error, operation="put", path=path)
        data = content if type(content) is bytes else await read_whole(driver_content(content))
        with self._lock:
            self._files[checked] = StoredFile(data, time.time(), next(self._versions))
        return checked

    async def get(self, path: str, /) -> bytes:
        """Return a file's content.

        Raises:
            FileNotFoundException: There is no file.
            InvalidPathException: The path breaks the path policy.
        """
        try:
            return self._file(check_path(path)).content
        except Exception as error:
            reraise(error, operation="get", path=path)

    async def exists(self, path: str, /) -> bool:
        """Tell whether there is a file.

        Raises:
            InvalidPathException: The path breaks the path policy.
        """
        try:
            return check_path(path) in self._files
        except Exception as error:
            reraise(error, operation="exists", path=path)

    async def delete(self, path: str, /) -> bool:
        """Delete a file; return False where there was none.

        Raises:
            InvalidPathException: The path breaks the path policy.
        """
        try:
            return self._delete(path)
        except Exception as error:
            reraise(error, operation="delete", path=path)

    async def size(self, path: str, /) -> int:
        """Return a file's length in bytes.

        Raises:
            FileNotFoundException: There is no file.
            InvalidPathException: The path breaks the path policy.
        """
        try:
            return len(self._file(check_path(path)).content)
        except Exception as error:
            reraise(error, operation="size", path=path)

    async def last_modified(self, path: str, /) -> float:
        """Return when a file was written, in seconds since 1970 UTC.

        Raises:
            FileNotFoundException: There is no file.
            InvalidPathException: The path breaks the path policy.
        """
        try:
            return self._file(check_path(path)).last_modified
        except Exception as error:
            reraise(error, operation="last_modified", path=path)

    def url(self, path: str, /) -> str:
        """Return the percent-encoded (RFC 3986) address of a file, under `base_url`.

        Raises:
            InvalidPathException: The path breaks the path policy.
        """
        try:
            return self._base_url + quote(check_path(path))
        except Exception as error:
            reraise(error, operation="url", path=path)

    def path(self, path: str, /) -> str:
        """Return ``memory://`` and the path, as it is.

        Raises:
            InvalidPathException: The path breaks the path policy.
        """
        try:
            return f"memory://{check_path(path)}"
        except Exception as error:
            reraise(error, operation="path", path=path)

    # The capabilities

    async def stat(self, path: str, /) -> FileInfo:
        """Return a file's facts; the content type is inferred where none was declared.

        Raises:
            FileNotFoundException: There is no file.
            InvalidPathException: The path breaks the path policy.
        """
        try:
            checked = check_path(path)
            return file_info(checked, self._file(checked))
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
        """Open a file as it is now: later writes do not touch the stream.

        Args:
            path: The file.
            start: The first byte; below 0, so many bytes from the end.
            end: The byte after the last, cut at the file's end; None is the end.
            if_match: The etag that the file must have.
            chunk_size: The length of a chunk in bytes.

        Raises:
            FileNotFoundException: There is no file.
            PreconditionFailedException: `if_match` names another version.
            InvalidPathException: The path breaks the path policy.
            ValueError: The range ends before it begins, or `chunk_size` is below 1.
        """
        try:
            checked = check_path(path)
            return open_stream(
                checked,
                self._file(checked),
                start=start,
                end=end,
                if_match=if_match,
                chunk_size=chunk_size,
            )
        except Exception as error:
            reraise(error, operation="open_read", path=path)

    async def write_file(
        self, path: str, content: DriverContent, options: WriteOptions, /
    ) -> str | None:
        """Store a file whole, or leave what was there; return its etag.

        Args:
            path: Where to.
            content: Read to its end before anything changes; a blocking file in a worker thread.
            options: See `supported_options`.

        Raises:
            FileExistsException: `overwrite` is False, and there is a file.
            PreconditionFailedException: `if_match` names another version.
            InvalidPathException: The path breaks the path policy.
            Exception: What the content itself raises comes unchanged.
        """
        try:
            checked = check_path(path)
        except Exception as error:
            reraise(error, operation="write_file", path=path)
        data = await read_whole(content)
        try:
            with self._lock:
                check_conditions(self._files.get(checked), options)
                file = new_file(data, time.time(), next(self._versions), options)
                self._files[checked] = file
        except Exception as error:
            reraise(error, operation="write_file", path=path)
        return file.etag

    async def list_entries(
        self, prefix: str, /, *, recursive: bool = False, start_after: str | None = None
    ) -> AsyncIterator[Entry]:
        """Yield what is below a directory, as it is when the listing begins.

        Args:
            prefix: The directory's path, "" for the root.
            recursive: Yield files at any depth, and no directories.
            start_after: A key (a directory's ends in ``/``): yield only what comes after it.

        Yields:
            FileInfo without an inferred content type, and DirectoryInfo, in the order of keys.

        Raises:
            InvalidPathException: The prefix breaks the path policy.
        """
        try:
            checked = check_directory(prefix)
        except Exception as error:
            reraise(error, operation="list_entries", path=prefix)
        with self._lock:
            files, directories = self._files.copy(), self._directories.copy()
        entries = entries_below(
            files, directories, checked, recursive=recursive, start_after=start_after
        )
        for number, entry in enumerate(entries, start=1):
            yield entry
            if number % _ENTRIES_IN_A_ROW == 0:
                await asyncio.sleep(0)

    async def make_directory(self, path: str, /) -> None:
        """Make a directory and those above it; one that is there already is fine.

        Raises:
            InvalidPathException: The path breaks the path policy, or is the root.
        """
        try:
            keys = directory_keys(check_path(path))
            with self._lock:
                self._directories.update(keys)
        except Exception as error:
            reraise(error, operation="make_directory", path=path)

    async def delete_directory(self, path: str, /) -> None:
        """Delete a directory and everything below it; one that is not there is fine.

        Raises:
            InvalidPathException: The path breaks the path policy, or is the root.
        """
        try:
            base = key_prefix(check_path(path))
            with self._lock:
                for key in [key for key in self._files if key.startswith(base)]:
                    del self._files[key]
                made = {key for key in self._directories if key.startswith(base)}
                self._directories -= made
        except Exception as error:
            reraise(error, operation="delete_directory", path=path)

    async def copy_file(self, src: str, dst: str, options: WriteOptions, /) -> str | None:
        """Copy a file with its content type and metadata; return the new file's etag.

        Args:
            src: The file.
            dst: Where to; the same path changes nothing.
            options: What is to be different, and conditions; see `supported_options`.

        Raises:
            FileNotFoundException: There is no source.
            FileExistsException: `overwrite` is False, and there is a file at `dst`.
            PreconditionFailedException: `if_source_match` names another version.
            InvalidPathException: A path breaks the path policy.
        """
        try:
            return self._transfer(src, dst, options, move=False)
        except Exception as error:
            reraise(error, operation="copy_file", path=dst)

    async def move_file(self, src: str, dst: str, options: WriteOptions, /) -> str | None:
        """Move a file with everything it has; return the new file's etag.

        Args:
            src: The file.
            dst: Where to; the same path changes nothing.
            options: What is to be different, and conditions; see `supported_options`.

        Raises:
            FileNotFoundException: There is no source.
            FileExistsException: `overwrite` is False, and there is a file at `dst`.
            PreconditionFailedException: `if_source_match` names another version.
            InvalidPathException: A path breaks the path policy.
        """
        try:
            return self._transfer(src, dst, options, move=True)
        except Exception as error:
            reraise(error, operation="move_file", path=dst)

    async def visibility(self, path: str, /) -> Visibility:
        """Return what was last said of a file's visibility; private where nothing was.

        Raises:
            FileNotFoundException: There is no file.
            InvalidPathException: The path breaks the path policy.
        """
        try:
            return self._file(check_path(path)).visibility
        except Exception as error:
            reraise(error, operation="visibility", path=path)

    async def set_visibility(self, path: str, visibility: Visibility, /) -> None:
        """Say who may read a file by its address. The content's etag stays.

        Raises:
            FileNotFoundException: There is no file.
            InvalidPathException: The path breaks the path policy.
        """
        try:
            checked = check_path(path)
            with self._lock:
                file = self._file(checked)
                self._files[checked] = file._replace(visibility=visibility)
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
        """Delete files; return for each path whether it was there, or what is wrong with it."""
        outcome: dict[str, bool | Exception] = {}
        for path in dict.fromkeys(paths):
            try:
                outcome[path] = await self.delete(path)
            except Exception as error:
                outcome[path] = error
        return outcome

    def _file(self, path: str) -> StoredFile:
        try:
            return self._files[path]
        except KeyError:
            raise FileNotFoundException("File not found") from None

    def _delete(self, path: str) -> bool:
        checked = check_path(path)
        with self._lock:
            return self._files.pop(checked, None) is not None

    def _transfer(self, src: str, dst: str, options: WriteOptions, *, move: bool) -> str:
        source_path, path = check_path(src), check_path(dst)
        with self._lock:
            source = checked_source(src, self._files.get(source_path), options)
            if source_path == path:
                return source.etag
            check_conditions(self._files.get(path), options)
            version = next(self._versions)
            if move:
                file = moved(source, options, version=version)
                del self._files[source_path]
            else:
                file = copy_of(source, options, last_modified=time.time(), version=version)
            self._files[path] = file
        return file.etag
