"""`LocalDriver`: files below one directory of this machine."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from jtc.storage.driver import CopySource, FakeTraits
from jtc.storage.driver_support.file_modes import modes_of
from jtc.storage.driver_support.loop_budget import next_iteration, over_budget
from jtc.storage.driver_support.option_checks import checked_base_url
from jtc.storage.driver_support.standalone import standalone
from jtc.storage.driver_support.url_signing import PresignedUrls, make_signer, without_secret
from jtc.storage.drivers.local_driver._copying import (
    copy_file,
    copy_from,
    move_directory,
    move_file,
)
from jtc.storage.drivers.local_driver._deleting import (
    delete_directory,
    delete_file,
    delete_files,
    remove_empty_directory,
)
from jtc.storage.drivers.local_driver._listing import list_entries
from jtc.storage.drivers.local_driver._metadata import known_info
from jtc.storage.drivers.local_driver._path_root import PathRoot
from jtc.storage.drivers.local_driver._reading import (
    file_status,
    open_stream,
    read_file,
    read_ranges,
    stat_file,
)
from jtc.storage.drivers.local_driver._safe_open import Root
from jtc.storage.drivers.local_driver._staged_file import write_file
from jtc.storage.drivers.local_driver._stream_writer import write_stream
from jtc.storage.drivers.local_driver._updating import set_visibility, update_metadata
from jtc.storage.drivers.local_driver._worker_calls import run
from jtc.storage.exceptions import StorageConfigException, UnsupportedOperationException
from jtc.storage.models import Visibility
from jtc.storage.options import WriteOptions

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from jtc.storage.driver import DriverContent, ReadStream
    from jtc.storage.driver_support.content import Content
    from jtc.storage.driver_support.findings import DiagnosisOptions, Finding
    from jtc.storage.driver_support.url_signing import Secrets
    from jtc.storage.drivers.local_driver._worker_calls import CancelToken
    from jtc.storage.models import Entry, FileInfo
    from jtc.storage.options import DeleteOptions, ListOptions, ReadOptions

__all__ = ["LocalDriver"]

_DEFAULT_ROOT = "storage/app"
_DEFAULT_URL = "/storage"

_CONTROL = re.compile("[\x00-\x1f\x7f]")
_URL = re.compile(r"[A-Za-z][\w+.-]*://")
_UNEXPANDED = re.compile(r"~|\$\{?\w+|%\w+%")

_DECLARED = frozenset(
    {"content_type", "cache_control", "content_disposition", "content_encoding", "metadata"}
)
_NEW_FILE = _DECLARED | {"visibility", "overwrite"}
_NO_OPTIONS = WriteOptions()


@standalone
class LocalDriver(PresignedUrls):
    """Keeps files below one directory of this machine.

    Symbolic links below the root are refused, and not listed; the root itself may be one. Each
    operation is one call in a thread, of which each device has its own, unless the kernel has in
    memory all that a `get`, `exists`, `size` or `stat` reads.

    Args:
        root: The directory; a relative one is below the working directory of this moment. It is
            made when the first file is put. A ``~`` is not expanded, and refused.
        base_url: What `url` puts before a file's path: a path, or a URL by http or https. None is
            ``/storage``.
        durable: Have each write survive a power cut: the file and its directory are synced before
            a put, copy or move returns.
        secret: Signs URLs, which `jtc.storage.asgi` answers: 32 bytes or more. Of several, the
            first one signs and all verify. It needs a `base_url`, which no other disk with this
            secret may have. With it, new files are private by default, as on S3.
        visibility: That of new files, ``"public"`` or ``"private"``. Without it the umask decides,
            or they are private by `secret`.
        file_modes: The permission bits of public and private files, ``{"public": 0o644, "private":
            0o600}`` by default. Either may be left out, or be a str such as ``"0640"``.
        directory_modes: Those of new directories, ``{"public": 0o755, "private": 0o700}`` by
            default: of the visibility of new files, else public. Without `visibility` and
            `directory_modes`, the umask decides.

    Raises:
        StorageConfigException: An option is invalid, or there is a secret and no `base_url`.
    """

    lists_in_key_order = True
    keeps_checksums = False

    supported_options: Mapping[str, frozenset[str]] = {
        "open_read": frozenset({"if_none_match"}),
        "write_file": _NEW_FILE | {"if_match"},
        "update_metadata": _DECLARED | {"if_match"},
        "list_entries": frozenset({"directories", "itself", "left_out"}),
        "copy_file": _NEW_FILE | {"if_source_match"},
        "copy_from": _NEW_FILE | {"if_source_match"},
        "move_file": _NEW_FILE | {"if_source_match"},
        "temporary_url": frozenset({"stable_for"}),
        "temporary_upload_form": frozenset({"min_size"}),
    }

    def __init__(
        self,
        root: str | os.PathLike[str] = _DEFAULT_ROOT,
        base_url: str | None = None,
        *,
        durable: bool = False,
        secret: Secrets | None = None,
        visibility: Visibility | str | None = None,
        file_modes: Mapping[str, int | str] | None = None,
        directory_modes: Mapping[str, int | str] | None = None,
    ) -> None:
        if not isinstance(durable, bool):
            raise StorageConfigException(f"'durable' is true or false, not {durable!r}")
        self._base_url = _DEFAULT_URL
        modes = modes_of(visibility, file_modes, directory_modes, is_private=secret is not None)
        make_root = PathRoot if sys.platform == "win32" else Root
        self._root: Root = make_root(_checked_root(root), durable=durable, modes=modes)
        try:
            if base_url is not None:
                self._base_url = checked_base_url(base_url).rstrip("/")
            self.signer = make_signer(secret, self._base_url)
        finally:
            del secret  # a traceback holds this function's variables
        if self.signer is not None:
            self.unsupported = frozenset()
            if base_url is None:
                raise StorageConfigException(
                    "A 'secret' needs a 'base_url' that no other disk has: disks with the same of "
                    "both accept each other's presigned URLs"
                )

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Make a driver by the environment.

        It is FILESYSTEM_ROOT, FILESYSTEM_URL, FILESYSTEM_SECRET and FILESYSTEM_VISIBILITY.

        Raises:
            StorageConfigException: A variable is invalid.
        """
        options: dict[str, Any] = {
            "root": environ.get("FILESYSTEM_ROOT") or _DEFAULT_ROOT,
            "base_url": environ.get("FILESYSTEM_URL") or _DEFAULT_URL,  # of one disk
            "secret": environ.get("FILESYSTEM_SECRET") or None,
            "visibility": environ.get("FILESYSTEM_VISIBILITY") or None,
        }
        # It holds the secret, and a traceback holds this function's variables.
        del environ
        try:
            return cls(**options)
        finally:
            del options

    @classmethod
    def for_fake(cls, options: Mapping[str, Any] | None) -> Self:
        """Return a driver for a fake to ask; see `jtc.storage.driver.FakeTraits`.

        Raises:
            StorageConfigException: An option is invalid.
        """
        if options is None:
            return cls.from_env(os.environ)
        return cls(**{"base_url": _DEFAULT_URL, **without_secret(options)})

    @property
    def fake_traits(self) -> FakeTraits:
        """How a fake behaves: where no mode is configured, as with the usual umask."""
        return FakeTraits(
            visibility=self._root.modes.default or Visibility.PUBLIC, has_directories=True
        )

    @property
    def durable(self) -> bool:
        """Whether each write survives a power cut."""
        return self._root.durable

    @property
    def default_visibility(self) -> Visibility | None:
        """The visibility of new files; None where the umask decides."""
        return self._root.modes.default

    def __repr__(self) -> str:
        root: Root | None = getattr(self, "_root", None)
        if root is None:
            # A traceback with variables also shows a driver whose options were refused.
            return f"<{type(self).__name__} that could not be made>"
        return f"{type(self).__name__}(root={root.path!r}, base_url={self._base_url!r})"

    @property
    def location(self) -> str:
        """Where the files are, links resolved: drivers of one location keep the same files."""
        return os.path.normcase(os.path.realpath(self._root.path))

    async def diagnose(self, options: DiagnosisOptions, /) -> AsyncGenerator[Finding, None]:
        """Look at the root, its file system, and who reaches the files.

        Args:
            options: What may be done, and for whom.

        Raises:
            TimeoutError: The file system does not answer.
        """
        from jtc.storage.drivers.local_driver import _diagnosis  # noqa: PLC0415 - rarely used

        async with asyncio.timeout(options.timeout):
            found = await run(_diagnosis.examine, self._root, options)
        for finding in found:
            yield finding
        if options.probe and options.writable and not any(each.blocks for each in found):
            async with asyncio.timeout(options.timeout):
                found = await run(_diagnosis.look_at_names, self._root)
            for finding in found:
                yield finding

    # The eight methods

    async def put(self, path: str, content: Content, /) -> str:
        """Store a file whole, in place of an existing one, and return its path.

        Args:
            path: Where to; directories are made as needed.
            content: Any `Content`. A file object is stored from its beginning.

        Raises:
            PathConflictException: A directory is there, or a file where a directory should be.
            StorageFullException: There is no room; the old file stays.
            StorageException: Another failure; the old file stays.
        """
        if isinstance(content, AsyncIterator):
            await write_stream(self._root, path, content, _NO_OPTIONS)
        else:
            await run(
                write_file,
                self._root,
                path,
                content,
                _NO_OPTIONS,
                reads_content=not isinstance(content, bytes),
            )
        return path

    async def get(self, path: str, /) -> bytes:
        """Return a file's content.

        Raises:
            FileNotFoundException: There is no file.
        """
        cache = self._root.page_cache
        if cache is not None:
            if over_budget():
                await next_iteration()
            if (content := cache.read(path)) is not None:
                return content
        return await run(read_file, self._root, path)

    async def exists(self, path: str, /) -> bool:
        """Return whether there is a file; a directory is none, and a link is refused.

        Raises:
            InvalidPathException: The path breaks the path policy.
            StoragePermissionException: It is a symbolic link.
            StorageException: The file system failed, so the answer is unknown.
        """
        try:
            await self._status(path)
        except FileNotFoundError:
            return False
        return True

    async def delete(self, path: str, /) -> bool:
        """Delete a file; return False where there was none. Its directory stays.

        Of several that delete one file at once, one gets True.

        Raises:
            InvalidPathException: The path breaks the path policy.
            StoragePermissionException: It may not be deleted, or is a symbolic link.
            StorageException: The file system failed.
        """
        return await run(delete_file, self._root, path)

    async def size(self, path: str, /) -> int:
        """Return a file's length in bytes.

        Raises:
            FileNotFoundException: There is no file.
        """
        return (await self._status(path)).st_size

    async def last_modified(self, path: str, /) -> float:
        """Return when a file was written, in seconds since 1970 UTC.

        Raises:
            FileNotFoundException: There is no file.
        """
        return (await self._status(path)).st_mtime

    def url(self, path: str, /) -> str:
        """Return the percent-encoded (RFC 3986) URL of a file, below `base_url`.

        Raises:
            InvalidPathException: The path breaks the path policy.
        """
        return f"{self._base_url}/{quote(path)}"

    def path(self, path: str, /) -> str:
        """Return the absolute file name of a file. Opening it by that name follows links.

        Raises:
            InvalidPathException: The path breaks the path policy.
        """
        self._root.check_names(path)
        return os.path.join(self._root.path, *path.split("/"))  # noqa: PTH118 - a str

    # The capabilities

    async def stat(self, path: str, /) -> FileInfo:
        """Return a file's metadata; `content_type` is what was declared, or None.

        Raises:
            FileNotFoundException: There is no file.
        """
        status = await self._cached_status(path)
        if status is not None and (info := known_info(path, status)) is not None:
            return info
        return await run(stat_file, self._root, path)

    async def open_read(self, path: str, options: ReadOptions, /) -> ReadStream:
        """Open a file for reading in chunks; it stays open until the stream's ``aclose()``.

        Raises:
            FileNotFoundException: There is no file.
            PreconditionFailedException: `if_match` names another version.
            NotModifiedException: `if_none_match` names this version.
        """
        return await open_stream(self._root, path, options)

    async def read_ranges(
        self, path: str, ranges: Sequence[tuple[int, int]], options: ReadOptions, /
    ) -> Sequence[bytes]:
        """Return several ranges of one version of a file, which is opened once.

        Raises:
            FileNotFoundException: There is no file.
            PreconditionFailedException: `if_match` names another version.
            NotModifiedException: `if_none_match` names this version.
        """
        return await run(read_ranges, self._root, path, ranges, options)

    async def write_file(
        self, path: str, content: DriverContent, options: WriteOptions, /
    ) -> str | None:
        """Store a file whole, or leave the existing one; return its etag.

        Args:
            path: Where to; directories are made as needed.
            content: Any content. A file object is read in a worker thread, from its beginning.
            options: See `supported_options`.

        Raises:
            FileExistsException: `overwrite` is False, and there is a file.
            PreconditionFailedException: `if_match` names another version.
            UnsupportedOperationException: The file system cannot keep what was declared.
            StorageException: What `put` raises.
        """
        if isinstance(content, AsyncIterator):
            return await write_stream(self._root, path, content, options)
        reads_content = not isinstance(content, bytes)
        return await run(
            write_file, self._root, path, content, options, reads_content=reads_content
        )

    async def update_metadata(self, path: str, options: WriteOptions, /) -> str | None:
        """Replace declared fields of a file in place; return its new etag. The content stays.

        Raises:
            FileNotFoundException: There is no file.
            PreconditionFailedException: `if_match` names another version.
            UnsupportedOperationException: The file system has no extended attributes, or no locks.
        """
        return await run(update_metadata, self._root, path, options)

    def list_entries(self, prefix: str, options: ListOptions, /) -> AsyncIterator[Entry]:
        """Yield what is below a directory, in the order of keys; nothing where there is none.

        Returns:
            An iterator of FileInfo without declared fields, and DirectoryInfo.

        Raises:
            InvalidPathException: The prefix breaks the path policy.
            StorageException: The file system failed.
        """
        return list_entries(self._root, prefix, options)

    async def make_directory(self, path: str, /) -> None:
        """Make a directory and those above it; an existing one is no error.

        Raises:
            InvalidPathException: The path breaks the path policy, or is the root.
            PathConflictException: A file is in the way.
        """
        await run(_make_directory, self._root, path)

    async def delete_directory(self, path: str, /) -> None:
        """Delete a directory and everything below it; a missing one is no error.

        Raises:
            InvalidPathException: The path breaks the path policy, or is the root.
        """
        await run(delete_directory, self._root, path)

    async def move_directory(self, src: str, dst: str, /) -> None:
        """Move a directory and everything below it by one rename.

        Where the system or the file system has no rename that replaces nothing, the target is made
        first, and is an empty directory for a moment.

        Raises:
            FileNotFoundException: There is no directory `src`.
            FileExistsException: There is something at `dst`.
            InvalidPathException: A path breaks the path policy, or `dst` is below `src`.
            UnsupportedOperationException: The two are on different file systems.
        """
        await run(move_directory, self._root, src, dst)

    async def remove_empty_directory(self, path: str, /) -> bool:
        """Remove a directory if it is empty, in one system call; return False if there is none.

        Raises:
            InvalidPathException: The path breaks the path policy, or is the root.
            PathConflictException: The directory has entries, or a file is there.
            StoragePermissionException: It is a symbolic link.
        """
        return await run(remove_empty_directory, self._root, path)

    async def copy_file(self, src: str, dst: str, options: WriteOptions, /) -> str | None:
        """Copy a file with its content type, metadata and mode; return the new file's etag.

        Args:
            src: The file.
            dst: Where to; the same path changes nothing.
            options: What is to be different, and conditions; see `supported_options`.

        Raises:
            FileNotFoundException: There is no source.
            FileExistsException: `overwrite` is False, and there is a file at `dst`.
            PreconditionFailedException: `if_source_match` names another version.
        """
        return await run(copy_file, self._root, src, dst, options)

    def copy_source(self, path: str, /) -> CopySource:
        """Return where a file is, for `copy_from` of another driver of this machine.

        Raises:
            InvalidPathException: The path breaks the path policy.
        """
        return CopySource(self, path)

    async def copy_from(self, dst: str, source: CopySource, options: WriteOptions, /) -> str | None:
        """Copy a file from another root on the same device, as `copy_file` does; return its etag.

        Its mode is that of a file that `write_file` stores. Holes stay holes, and a file system
        that can share blocks does so.

        Raises:
            FileNotFoundException: There is no source.
            FileExistsException: `overwrite` is False, and there is a file at `dst`.
            PreconditionFailedException: `if_source_match` names another version.
            UnsupportedOperationException: The source is of another driver, or on another device.
        """
        if not isinstance(source.driver, LocalDriver):
            raise UnsupportedOperationException("The source is no file of this machine")
        from_root = source.driver._root  # noqa: SLF001 - a driver of this class
        for root in (from_root, self._root):
            if not root.knows_device:
                await run(_find_device, root)
        if from_root.workers is not self._root.workers:
            # A device that does not answer would keep the threads of another one.
            raise UnsupportedOperationException("The source is on another device")
        return await run(copy_from, self._root, dst, from_root, source.path, options)

    async def move_file(self, src: str, dst: str, options: WriteOptions, /) -> str | None:
        """Move a file with its content type, metadata and mode; return the new file's etag.

        Args:
            src: The file.
            dst: Where to; the same path changes nothing.
            options: What is to be different, and conditions; see `supported_options`.

        Raises:
            FileNotFoundException: There is no source.
            FileExistsException: `overwrite` is False, and there is a file at `dst`.
            PreconditionFailedException: `if_source_match` names another version.
        """
        return await run(move_file, self._root, src, dst, options)

    async def visibility(self, path: str, /) -> Visibility:
        """Return public for a file with the mode of one, or that all users of the machine may read.

        Raises:
            FileNotFoundException: There is no file.
        """
        status = await self._cached_status(path)
        mode = await run(_file_mode, self._root, path) if status is None else status.st_mode
        return self._root.modes.visibility_of(mode)

    async def set_visibility(self, path: str, visibility: Visibility, /) -> None:
        """Set a file's mode to that of `file_modes`: 0644 if public, 0600 if private.

        A file with further names (hard links), maybe outside the root, is replaced by a copy.

        Raises:
            FileNotFoundException: There is no file.
            UnsupportedOperationException: The file system keeps no modes.
        """
        await run(set_visibility, self._root, path, visibility)

    async def delete_many(self, paths: Sequence[str], /) -> Mapping[str, bool | Exception]:
        """Delete files in one call; return for each path whether there was a file, or its error."""
        return await run(delete_files, self._root, paths)

    async def delete_file(self, path: str, options: DeleteOptions, /) -> bool:
        """Delete a file if it is the version that `if_match` names; False where there is none.

        Raises:
            PreconditionFailedException: The file is another version, and stays.
            UnsupportedOperationException: The file system has no locks.
        """
        return await run(delete_file, self._root, path, options.if_match)

    async def _status(self, path: str) -> os.stat_result:
        status = await self._cached_status(path)
        return await run(file_status, self._root, path) if status is None else status

    async def _cached_status(self, path: str) -> os.stat_result | None:
        cache = self._root.page_cache
        if cache is None:
            return None
        if over_budget():
            await next_iteration()
        return cache.status(path)


def _checked_root(root: object) -> str:
    """Return the absolute path of the option `root`.

    Raises:
        StorageConfigException: It is empty, begins with ``~`` or a variable, is a URL, or has a
            control character or a space at an end.
    """
    path = os.fspath(root) if isinstance(root, os.PathLike) else root
    if not isinstance(path, str):
        raise StorageConfigException(f"'root' is a path as text, not {type(path).__name__}")
    if not path:
        # A variable that is set to nothing must not lead to wherever the program runs.
        raise StorageConfigException("'root' is empty: name a directory, or '.'")
    if found := _CONTROL.search(path):
        where = "ends in" if found.end() == len(path) else "contains"
        what = "a newline" if found[0] == "\n" else ascii(found[0])
        raise StorageConfigException(f"'root' {where} {what}")
    if path != path.strip():
        raise StorageConfigException("'root' begins or ends with a space")
    if found := _UNEXPANDED.match(path):
        raise StorageConfigException(
            f"'root' begins with {found[0]!r}, which only a shell expands: write the whole path, "
            f"or {'./' + path!r} for a directory of that name"
        )
    if _URL.match(path):
        raise StorageConfigException(f"'root' is a path, not a URL: {path!r}")
    return os.path.abspath(path)  # noqa: PTH100 - follows no link


def _file_mode(_token: CancelToken, root: Root, path: str) -> int:
    root.find_page_cache()
    return root.file_mode(path)


def _find_device(_token: CancelToken, root: Root) -> None:
    root.find_device()


def _make_directory(token: CancelToken, root: Root, path: str) -> None:
    root.make_directory(path, token).close()
