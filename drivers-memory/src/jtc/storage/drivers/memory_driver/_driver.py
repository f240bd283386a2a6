"""`MemoryDriver`: files in a dict, each an immutable record that a write replaces."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

from jtc.storage.driver import CopySource, FakeTraits
from jtc.storage.driver_support.derived import check_version, closing
from jtc.storage.driver_support.fork_safety import reset_after_fork
from jtc.storage.driver_support.option_checks import checked_base_url, checked_visibility
from jtc.storage.driver_support.standalone import standalone
from jtc.storage.driver_support.url_signing import PresignedUrls, make_signer, without_secret
from jtc.storage.drivers.memory_driver._copying import (
    changes,
    checked_source,
    copy_of,
    moved,
)
from jtc.storage.drivers.memory_driver._key_index import KeyIndex
from jtc.storage.drivers.memory_driver._listing import (
    Page,
    directory_keys,
    key_prefix,
    keys_below,
    read_page,
)
from jtc.storage.drivers.memory_driver._metadata import StoredFile, file_info, new_file
from jtc.storage.drivers.memory_driver._reading import open_stream
from jtc.storage.drivers.memory_driver._writing import check_conditions, read_whole
from jtc.storage.exceptions import (
    FileExistsException,
    FileNotFoundException,
    PathConflictException,
    PreconditionFailedException,
    StorageConfigException,
    UnsupportedOperationException,
)
from jtc.storage.models import DirectoryInfo, Visibility
from jtc.storage.options import ListOptions
from jtc.storage.paths import check_not_below

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
    from typing import Self

    from jtc.storage.driver import DriverContent, ReadStream
    from jtc.storage.driver_support.content import Content
    from jtc.storage.driver_support.findings import DiagnosisOptions, Finding
    from jtc.storage.driver_support.url_signing import Secrets
    from jtc.storage.models import Entry, FileInfo
    from jtc.storage.options import DeleteOptions, ReadOptions, WriteOptions

__all__ = ["MemoryDriver"]

_NEW_FILE = frozenset(
    {
        "content_type",
        "cache_control",
        "content_disposition",
        "content_encoding",
        "metadata",
        "visibility",
        "overwrite",
    }
)

_FIRST_KEYS = 10
_KEYS_IN_A_ROW = 1000
"""After looking at this number of keys, about a millisecond, other tasks may run."""


@standalone
class MemoryDriver(PresignedUrls):
    """Keeps files in memory, for tests and development.

    Any number of threads and event loops may share one. As on S3, there may be files ``a`` and
    ``a/b`` at once.

    Args:
        base_url: What URLs begin with; ``memory://`` by default.
        secret: Signs URLs, which `jtc.storage.asgi` answers: 32 bytes or more. Of several, the
            first one signs and all verify.
        visibility: That of new files: ``"private"``, the default, or ``"public"``.
        infer_types: Infer the content type of files for which none was declared. False is as on
            a local disk, for tests.

    Raises:
        StorageConfigException: An option is invalid, or there is no `base_url` to sign for.
    """

    lists_in_key_order = True

    supported_options: Mapping[str, frozenset[str]] = {
        "write_file": _NEW_FILE | {"if_match"},
        "copy_file": _NEW_FILE | {"if_source_match"},
        "copy_from": _NEW_FILE | {"if_source_match"},
        "move_file": _NEW_FILE | {"if_source_match"},
        "update_metadata": frozenset(
            {
                "content_type",
                "cache_control",
                "content_disposition",
                "content_encoding",
                "metadata",
                "if_match",
            }
        ),
        "open_read": frozenset({"if_none_match"}),
        "list_entries": frozenset({"directories", "itself"}),
        "temporary_url": frozenset({"stable_for"}),
        "temporary_upload_form": frozenset({"min_size"}),
    }

    def __init__(
        self,
        *,
        base_url: str | None = None,
        secret: Secrets | None = None,
        visibility: Visibility | str | None = None,
        infer_types: bool = True,
    ) -> None:
        self._files: dict[str, StoredFile] = {}  # first, for a traceback may show this driver
        self._directories: set[str] = set()
        self._keys = KeyIndex()  # of both
        try:
            if secret is not None and base_url is None:
                raise StorageConfigException("Presigned URLs need a 'base_url' that leads to them")
            self._visibility = checked_visibility(visibility) or Visibility.PRIVATE
            self._base_url = "memory://"
            if base_url is not None:
                self._base_url = checked_base_url(base_url, "memory").rstrip("/") + "/"
            self.signer = make_signer(secret, self._base_url)
        finally:
            del secret  # a traceback holds this function's variables
        self._infer_types = infer_types
        if self.signer is not None:
            self.unsupported = frozenset()
        # From the clock: an etag of ours may be kept by a browser for longer than a process lives.
        self._versions = itertools.count(time.time_ns())
        # For changes, and for looking at several things; one look into the dict is atomic anyway.
        # Never held while anything is awaited.
        self._lock = threading.Lock()
        reset_after_fork(self)

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:  # noqa: ARG003 - nothing to configure
        """Return an empty driver, whatever the environment says."""
        return cls()

    @classmethod
    def for_fake(cls, options: Mapping[str, Any] | None) -> Self:
        """Return a driver for a fake to ask; see `jtc.storage.driver.FakeTraits`.

        Raises:
            StorageConfigException: An option is invalid.
        """
        return cls(**without_secret(options or {}))

    @property
    def fake_traits(self) -> FakeTraits:
        """How a fake behaves: as this driver."""
        return FakeTraits(visibility=self._visibility, infers_types=self._infer_types)

    def _after_fork(self) -> None:
        self._lock = threading.Lock()

    @property
    def default_visibility(self) -> Visibility:
        """The visibility of new files."""
        return self._visibility

    def __repr__(self) -> str:
        return f"<MemoryDriver with {self.count()} files>"

    # For tests

    def flush(self) -> None:
        """Remove all files and directories."""
        with self._lock:
            self._files.clear()
            self._directories.clear()
            self._keys.clear()

    def count(self) -> int:
        """Return how many files there are."""
        return len(self._files)

    def all_paths(self) -> list[str]:
        """Return the paths of all files, sorted."""
        return sorted(self._files.copy())

    # The eight methods

    async def put(self, path: str, content: Content, /) -> str:
        """Store a file whole, in place of an existing one, and return its path.

        Args:
            path: Where to.
            content: Any `Content`; it is read to its end before anything changes.

        Raises:
            TypeError: It is no content. What the content itself raises comes unchanged.
        """
        if type(content) is bytes:
            data = content
        else:  # which `Disk` or `standalone` has converted
            data = await read_whole(cast("DriverContent", content))
        with self._lock:
            there = self._files.get(path)
            if there is None:
                self._keys.add(path)
                visibility = self._visibility
            else:
                visibility = there.visibility
            # In half the time of StoredFile(...), and what it makes.
            self._files[path] = tuple.__new__(
                StoredFile,
                (data, time.time(), next(self._versions), None, None, None, None, None, visibility),
            )
        return path

    async def get(self, path: str, /) -> bytes:
        """Return a file's content.

        Raises:
            FileNotFoundException: There is no file.
        """
        try:
            return self._files[path].content
        except KeyError:
            raise FileNotFoundException("File not found") from None

    async def exists(self, path: str, /) -> bool:
        """Return whether there is a file.

        Raises:
            InvalidPathException: The path breaks the path policy.
        """
        return path in self._files

    async def delete(self, path: str, /) -> bool:
        """Delete a file; return False where there was none.

        Raises:
            InvalidPathException: The path breaks the path policy.
        """
        with self._lock:
            return self._remove(path)

    async def size(self, path: str, /) -> int:
        """Return a file's length in bytes.

        Raises:
            FileNotFoundException: There is no file.
        """
        return len(self._file(path).content)

    async def last_modified(self, path: str, /) -> float:
        """Return when a file was written, in seconds since 1970 UTC.

        Raises:
            FileNotFoundException: There is no file.
        """
        return self._file(path).last_modified

    def url(self, path: str, /) -> str:
        """Return the percent-encoded (RFC 3986) URL of a file, under `base_url`.

        Raises:
            InvalidPathException: The path breaks the path policy.
        """
        return self._base_url + quote(path)

    def path(self, path: str, /) -> str:
        """Return ``memory://`` and the path, as it is.

        Raises:
            InvalidPathException: The path breaks the path policy.
        """
        return f"memory://{path}"

    # The capabilities

    async def stat(self, path: str, /) -> FileInfo:
        """Return a file's metadata; the content type is inferred where none was declared.

        Raises:
            FileNotFoundException: There is no file.
        """
        return file_info(path, self._file(path), infer=self._infer_types)

    async def open_read(self, path: str, options: ReadOptions, /) -> ReadStream:
        """Open a file as it is now: later writes do not touch the stream.

        Raises:
            FileNotFoundException: There is no file.
            PreconditionFailedException: `if_match` names another version.
            NotModifiedException: `if_none_match` names this version.
        """
        return open_stream(path, self._file(path), options, infer=self._infer_types)

    async def read_ranges(
        self, path: str, ranges: Sequence[tuple[int, int]], options: ReadOptions, /
    ) -> Sequence[bytes]:
        """Return several ranges of one version of a file.

        Raises:
            FileNotFoundException: There is no file.
            PreconditionFailedException: `if_match` names another version.
            NotModifiedException: `if_none_match` names this version.
        """
        file = self._file(path)
        check_version(file_info(path, file, infer=False), options.if_match, options.if_none_match)
        return [file.content[start:end] for start, end in ranges]

    async def write_file(
        self, path: str, content: DriverContent, options: WriteOptions, /
    ) -> str | None:
        """Store a file whole, or leave the existing one; return its etag.

        Args:
            path: Where to.
            content: Read to its end before anything changes; a blocking file in a worker thread.
            options: See `supported_options`.

        Raises:
            FileExistsException: `overwrite` is False, and there is a file.
            PreconditionFailedException: `if_match` names another version.
            Exception: What the content itself raises comes unchanged.
        """
        data = await read_whole(content)
        with self._lock:
            there = self._files.get(path)
            check_conditions(path, there, options)
            visibility = options.visibility
            if visibility is None:
                visibility = self._visibility if there is None else there.visibility
            file = new_file(data, time.time(), next(self._versions), options, visibility)
            self._store(path, file)
        return file.etag

    async def update_metadata(self, path: str, options: WriteOptions, /) -> str | None:
        """Replace what was declared of a file; return its new etag. The content stays.

        Raises:
            FileNotFoundException: There is no file.
            PreconditionFailedException: `if_match` names another version.
        """
        with self._lock:
            file = self._file(path)
            check_conditions(path, file, options)
            file = moved(file, options, version=next(self._versions))
            self._files[path] = file
        return file.etag

    async def list_entries(self, prefix: str, options: ListOptions, /) -> AsyncIterator[Entry]:
        """Yield what is below a directory when the listing begins, and not deleted before its turn.

        Yields:
            FileInfo without an inferred content type, and DirectoryInfo, in the order of keys.

        Raises:
            InvalidPathException: The prefix breaks the path policy.
        """
        await self._settle()
        if options.itself:
            if await self._has_directory(prefix):
                yield DirectoryInfo(path=prefix)
            return
        last = options.start_after or ""
        page = Page([], last, f"{last}\0" if last else "")
        length = _FIRST_KEYS  # many callers want the first entry only
        while page.start is not None:
            with self._lock:
                page = read_page(
                    self._keys, self._files, self._directories, page, prefix, options, length
                )
            for entry in page.entries:
                yield entry
            if length == _KEYS_IN_A_ROW:
                await asyncio.sleep(0)
            length = min(length * 10, _KEYS_IN_A_ROW)

    async def _has_directory(self, path: str) -> bool:
        if f"{path}/" in self._directories:
            return True
        async with closing(self.list_entries(path, ListOptions())) as entries:
            async for _ in entries:
                return True
        return False

    async def make_directory(self, path: str, /) -> None:
        """Make a directory and those above it; an existing one is no error.

        Raises:
            InvalidPathException: The path breaks the path policy, or is the root.
        """
        with self._lock:
            self._make_directories(path)

    async def delete_directory(self, path: str, /) -> None:
        """Delete a directory and everything below it; a missing one is no error.

        Raises:
            InvalidPathException: The path breaks the path policy, or is the root.
        """
        await self._settle()
        base = key_prefix(path)
        while True:
            with self._lock:
                keys = [*itertools.islice(keys_below(self._keys, base, ""), _KEYS_IN_A_ROW)]
                for key in keys or (base,):
                    self._remove(key)
                self._keys.settle(len(keys))
            if not keys:
                return
            await asyncio.sleep(0)

    async def move_directory(self, src: str, dst: str, /) -> None:
        """Move a directory and everything below it, in one step.

        Raises:
            FileNotFoundException: There is no directory `src`.
            FileExistsException: There is a file or a directory `dst`.
            InvalidPathException: `dst` is below `src`.
        """
        check_not_below(dst, src)
        await self._settle()
        base, target = key_prefix(src), key_prefix(dst)
        with self._lock:
            self._keys.settle()
            keys = self._keys_of_directory(base)
            if not keys:
                raise FileNotFoundException("There is no such directory", path=src)
            if dst in self._files or self._keys_of_directory(target):
                raise FileExistsException("There is something at the target", path=dst)
            moved = {key: target + key.removeprefix(base) for key in keys}
            # Readers take no lock: each sees all files before the move, or all after it.
            self._files = {moved.get(key, key): file for key, file in self._files.items()}
            self._directories = {moved.get(key, key) for key in self._directories}
            for key, new in moved.items():
                self._keys.remove(key)
                self._keys.add(new)
            if above := dst.rpartition("/")[0]:
                self._make_directories(above)

    async def remove_empty_directory(self, path: str, /) -> bool:
        """Remove a directory that was made and is empty; return False where there is none.

        Raises:
            PathConflictException: The directory has entries, or only a file is there.
        """
        await self._settle()
        base = key_prefix(path)
        with self._lock:
            self._keys.settle()
            if next(keys_below(self._keys, base, ""), None) is not None:
                raise PathConflictException("The directory is not empty")
            if self._remove(base):
                return True
            if path in self._files:
                raise PathConflictException("A file is there, and no directory")
            return False

    async def copy_file(self, src: str, dst: str, options: WriteOptions, /) -> str | None:
        """Copy a file with everything it has; return the new file's etag.

        Args:
            src: The file.
            dst: Where to; the same path changes nothing but by an option.
            options: What is to be different, and conditions; see `supported_options`.

        Raises:
            FileNotFoundException: There is no source.
            FileExistsException: `overwrite` is False, and there is a file at `dst`.
            PreconditionFailedException: `if_source_match` names another version.
        """
        return self._transfer(src, dst, options, move=False)

    def copy_source(self, path: str, /) -> CopySource:
        """Return where a file is, for `copy_from` of another driver in memory.

        Raises:
            InvalidPathException: The path breaks the path policy.
        """
        return CopySource(self, path)

    async def copy_from(self, dst: str, source: CopySource, options: WriteOptions, /) -> str | None:
        """Copy a file of another driver in memory; return the new file's etag.

        Raises:
            FileNotFoundException: There is no source.
            FileExistsException: `overwrite` is False, and there is a file at `dst`.
            PreconditionFailedException: `if_source_match` names another version.
            UnsupportedOperationException: The source is of another driver.
        """
        if not isinstance(source.driver, MemoryDriver):
            raise UnsupportedOperationException("The source is not in the memory of this process")
        file = checked_source(source.path, source.driver._files.get(source.path), options)  # noqa: SLF001
        with self._lock:
            there = self._files.get(dst)
            check_conditions(dst, there, options)
            visibility = self._visibility if there is None else there.visibility
            file = file._replace(visibility=visibility)
            version = next(self._versions)
            file = copy_of(file, options, last_modified=time.time(), version=version)
            self._store(dst, file)
        return file.etag

    async def move_file(self, src: str, dst: str, options: WriteOptions, /) -> str | None:
        """Move a file with everything it has; return the new file's etag.

        Args:
            src: The file.
            dst: Where to; the same path changes nothing but by an option.
            options: What is to be different, and conditions; see `supported_options`.

        Raises:
            FileNotFoundException: There is no source.
            FileExistsException: `overwrite` is False, and there is a file at `dst`.
            PreconditionFailedException: `if_source_match` names another version.
        """
        return self._transfer(src, dst, options, move=True)

    async def visibility(self, path: str, /) -> Visibility:
        """Return who may read a file by its URL.

        Raises:
            FileNotFoundException: There is no file.
        """
        return self._file(path).visibility

    async def set_visibility(self, path: str, visibility: Visibility, /) -> None:
        """Set who may read a file by its URL. The content's etag stays.

        Raises:
            FileNotFoundException: There is no file.
        """
        with self._lock:
            self._files[path] = self._file(path)._replace(visibility=visibility)

    async def delete_many(self, paths: Sequence[str], /) -> Mapping[str, bool | Exception]:
        """Delete files; return for each path whether there was a file."""
        with self._lock:
            return {path: self._remove(path) for path in paths}

    async def delete_file(self, path: str, options: DeleteOptions, /) -> bool:
        """Delete a file if it is the version that `if_match` names; False where there is none.

        Raises:
            PreconditionFailedException: The file is another version, and stays.
        """
        with self._lock:
            there = self._files.get(path)
            if there is not None and options.if_match not in {None, there.etag}:
                raise PreconditionFailedException(
                    "The file is not the version that if_match names", path=path
                )
            return self._remove(path)

    def _file(self, path: str) -> StoredFile:
        try:
            return self._files[path]
        except KeyError:
            raise FileNotFoundException("File not found") from None

    async def diagnose(self, _options: DiagnosisOptions, /) -> AsyncGenerator[Finding, None]:
        """Say that files are lost at the end of the process."""
        from jtc.storage.drivers.memory_driver import _diagnosis  # noqa: PLC0415 - seldom needed

        yield _diagnosis.LOST_AT_END

    def _store(self, path: str, file: StoredFile) -> None:
        if path not in self._files:
            self._keys.add(path)
        self._files[path] = file

    def _make_directories(self, path: str) -> None:
        for key in directory_keys(path):
            if key not in self._directories:
                self._directories.add(key)
                self._keys.add(key)

    def _keys_of_directory(self, base: str) -> list[str]:
        """Return the settled keys of a directory, if it was made, and of everything below it."""
        keys = [base] if base in self._directories else []
        return [*keys, *keys_below(self._keys, base, "")]

    def _remove(self, key: str) -> bool:
        if key in self._directories:
            self._directories.remove(key)
        elif self._files.pop(key, None) is None:
            return False
        self._keys.remove(key)
        return True

    async def _settle(self) -> None:
        """Sort the keys that were written since the last time, a millisecond's work at a time."""
        while True:
            with self._lock:
                if self._keys.settle(_KEYS_IN_A_ROW):
                    return
            await asyncio.sleep(0)

    def _transfer(self, src: str, dst: str, options: WriteOptions, *, move: bool) -> str:
        with self._lock:
            source = checked_source(src, self._files.get(src), options)
            if src == dst and options.overwrite and not changes(options):
                return source.etag
            check_conditions(dst, self._files.get(dst), options)
            version = next(self._versions)
            if move:
                file = moved(source, options, version=version)
                self._remove(src)
            else:
                file = copy_of(source, options, last_modified=time.time(), version=version)
            self._store(dst, file)
        return file.etag
