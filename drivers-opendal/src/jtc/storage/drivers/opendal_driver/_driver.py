"""`OpenDALDriver`: files of any service that OpenDAL reaches."""

from __future__ import annotations

import asyncio
import logging
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NoReturn, Self
from urllib.parse import quote

from jtc.storage.driver import FakeTraits
from jtc.storage.driver_support.pickling import NotPicklableException
from jtc.storage.driver_support.standalone import standalone
from jtc.storage.driver_support.traceback_scrubbing import ScrubbedLocals
from jtc.storage.drivers.opendal_driver import (
    _copying,
    _listing,
    _metadata,
    _presigning,
    _reading,
    _writing,
)
from jtc.storage.drivers.opendal_driver._calls import Calls
from jtc.storage.drivers.opendal_driver._services import (
    LOSES_CONNECTIONS,
    MAKES_DIRECTORIES,
    known_options,
)
from jtc.storage.drivers.opendal_driver._settings import Settings, make_settings, without_keys
from jtc.storage.drivers.opendal_driver._staging import Staging
from jtc.storage.exceptions import (
    FileNotFoundException,
    PathConflictException,
    StorageConfigException,
    UnsupportedOperationException,
)
from jtc.storage.models import Visibility
from jtc.storage.options import WriteOptions

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping

    from jtc.storage.driver import DriverContent, ReadStream
    from jtc.storage.driver_support.content import Content
    from jtc.storage.driver_support.findings import DiagnosisOptions, Finding
    from jtc.storage.models import Entry, FileInfo, PresignedRequest
    from jtc.storage.options import ListOptions, ReadOptions, SignOptions

__all__ = ["OpenDALDriver"]

_BETWEEN_LOOKS = 0.01
"""Seconds that a deletion waits for another one of the same file before it looks again."""

_log = logging.getLogger("jtc.storage")


@standalone
class OpenDALDriver:
    """Files of a service that OpenDAL reaches, such as WebDAV, FTP, Redis, Dropbox or OneDrive.

    Any number of event loops and threads may share one. A child that is forked from a process that
    has used OpenDAL gets an error from each call, for OpenDAL's threads do not survive a fork.

    Args:
        scheme: OpenDAL's name of the service, such as ``"webdav"``; what the installed wheel has.
        root: The directory of the service in which the files are.
        base_url: What URLs by `url` begin with; None: the service's endpoint and `root`.
        staged: Write each file below ``.jtc/opendal`` and rename it to its target. None: where the
            service shows half a file otherwise. False is for a server that does not, as the WebDAV
            of Nextcloud, Apache and nginx: it spares requests.
        etags: The service's etags name versions of files, so that conditions hold. None: of object
            stores whose documentation says so. A WebDAV server's may do so too.
        accept_torn_writes: Write to a service where neither it nor a rename keeps a reader from
            seeing half a file. Without it, writing is refused there.
        request_timeout: Seconds of a call with all its attempts; one more for each 64 KiB it moves.
        max_attempts: How often a call is made at most that failed for a time.
        max_concurrency: How many calls of one event loop are under way; others wait.
        **options: The service's own options, by OpenDAL's names, such as ``endpoint``.

    Raises:
        StorageConfigException: An option is unknown, invalid or missing; no request is sent.
    """

    supported_options: Mapping[str, frozenset[str]] = {}
    unsupported: frozenset[str] = frozenset()

    def __init__(
        self,
        scheme: str,
        *,
        root: str | None = None,
        base_url: str | None = None,
        staged: bool | None = None,
        etags: bool | None = None,
        accept_torn_writes: bool = False,
        request_timeout: float = 30.0,
        max_attempts: int = 3,
        max_concurrency: int = 32,
        **options: object,
    ) -> None:
        try:
            with ScrubbedLocals():
                self._settings = make_settings(
                    scheme,
                    options if root is None else {**options, "root": root},
                    base_url=base_url,
                    staged=staged,
                    etags=etags,
                    accept_torn_writes=accept_torn_writes,
                    request_timeout=request_timeout,
                    max_attempts=max_attempts,
                    max_concurrency=max_concurrency,
                )
                self._calls = Calls(self._settings)
        except Exception:  # its traceback holds these variables
            del options
            raise
        self._staging = Staging()
        self._deleting: set[str] = set()
        self.supported_options = self._supported_options()
        self.unsupported = self._unsupported()
        self._warn()

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Make a driver by the environment.

        OPENDAL_SCHEME, and the service's options by their names in capitals, such as
        OPENDAL_ENDPOINT and OPENDAL_PASSWORD.

        Raises:
            StorageConfigException: OPENDAL_SCHEME is missing, or a variable is invalid.
        """
        scheme = environ.get("OPENDAL_SCHEME") or ""
        if not scheme:
            del environ
            raise StorageConfigException(
                "OPENDAL_SCHEME is not set: it names the service, such as 'webdav', and "
                "OPENDAL_ENDPOINT and the like its options"
            )
        names = known_options(scheme) or frozenset({"endpoint", "root"})
        options = {name: text for name in names if (text := environ.get(f"OPENDAL_{name.upper()}"))}
        # They may hold passwords, and a traceback holds this function's variables.
        del environ
        try:
            return cls(scheme, **options)  # type: ignore[arg-type]
        except StorageConfigException:
            del options
            raise

    @classmethod
    def for_fake(cls, options: Mapping[str, Any] | None) -> Self:
        """Return a driver for a fake to ask, without keys; see `jtc.storage.driver.FakeTraits`.

        Raises:
            StorageConfigException: An option is invalid.
        """
        return cls(**without_keys(options or {}))

    @property
    def fake_traits(self) -> FakeTraits:
        """How a fake behaves: as a store without visibilities."""
        has_directories = self._settings.scheme in MAKES_DIRECTORIES
        return FakeTraits(
            visibility=Visibility.PRIVATE, infers_types=True, has_directories=has_directories
        )

    def _supported_options(self) -> Mapping[str, frozenset[str]]:
        return {
            "write_file": _writing.write_options(self._calls),
            "open_read": frozenset({"if_none_match"}),
            "list_entries": frozenset({"directories", "itself"}),
        }

    def _unsupported(self) -> frozenset[str]:
        claims = self._calls.claims
        needed = {
            "listing": "list",
            "directories": "create_dir",
            "move": "rename",
            "copy": "copy",
            "temporary_urls": "presign_read",
            "temporary_uploads": "presign_write",
        }
        lacking = {ours for ours, theirs in needed.items() if theirs not in claims}
        if self._settings.scheme in LOSES_CONNECTIONS:
            lacking.add("reading")
        if "list" not in claims:
            lacking.add("directories")
        if self._settings.scheme == "http":  # its presigned URLs never expire
            lacking |= {"temporary_urls", "temporary_uploads"}
        return frozenset(lacking)

    def _warn(self) -> None:
        if not self._calls.tears or "write" not in self._calls.claims:
            return
        if self._settings.accept_torn_writes:
            _log.warning(
                "The service %r of OpenDAL cannot store a file whole or not at all: a reader may "
                "see half a file, and a process that ends may leave one",
                self._settings.scheme,
            )

    def __repr__(self) -> str:
        settings: Settings | None = getattr(self, "_settings", None)
        if settings is None:
            return f"<{type(self).__name__} that could not be made>"
        host = f", endpoint={settings.host!r}" if settings.host else ""
        return f"{type(self).__name__}({settings.scheme!r}, root={settings.root!r}{host})"

    @property
    def has_own_retries(self) -> bool:
        """Whether the driver retries by itself, so that a layer above need not."""
        return self._settings.max_attempts > 1

    @property
    def location(self) -> str:
        """Where the files are: drivers of one location keep the same files."""
        return self._settings.location

    def __reduce__(self) -> NoReturn:
        raise NotPicklableException(
            "An OpenDALDriver holds connections and keys and is not pickled: pass its options, and "
            "make one there"
        )

    # The eight methods

    async def put(self, path: str, content: Content, /) -> str:
        """Store a file whole, in place of an existing one, and return its path.

        Raises:
            UnsupportedOperationException: The service stores no empty files, or cannot write; or
                only so that a reader may see half a file, and `accept_torn_writes` is not set.
            StorageException: The service failed.
        """
        await self.write_file(path, content, WriteOptions())  # type: ignore[arg-type]
        return path

    async def get(self, path: str, /) -> bytes:
        """Return a file's content.

        Raises:
            FileNotFoundException: There is no file.
        """
        return await _reading.read_all(self._calls, path)

    async def exists(self, path: str, /) -> bool:
        """Return whether there is a file.

        Raises:
            StorageException: The service failed.
        """
        try:
            await _metadata.look(self._calls, path)
        except FileNotFoundException:
            return False
        return True

    async def delete(self, path: str, /) -> bool:
        """Delete a file; return False where there was none.

        Of concurrent deleters in one process one gets True; services do not say it to others.

        Raises:
            StorageException: The service failed.
        """
        while path in self._deleting:  # noqa: ASYNC110 - in any loop or thread
            await asyncio.sleep(_BETWEEN_LOOKS)
        self._deleting.add(path)
        try:
            if not await self.exists(path):
                return False
            await self._calls.send(
                lambda operator: operator.delete(_metadata.key(self._calls, path))
            )
        finally:
            self._deleting.discard(path)
        return True

    async def size(self, path: str, /) -> int:
        """Return a file's length in bytes.

        Raises:
            FileNotFoundException: There is no file.
        """
        return (await _metadata.look(self._calls, path)).content_length

    async def last_modified(self, path: str, /) -> float:
        """Return when a file was written; when the driver was made where the service keeps none.

        Raises:
            FileNotFoundException: There is no file.
        """
        return _metadata.modified(self._calls, await _metadata.look(self._calls, path))

    def url(self, path: str, /) -> str:
        """Return the percent-encoded URL: below `base_url`, else at the service.

        The service's own asks for credentials, and none are in it.
        """
        return self._settings.url_base + quote(path)

    def path(self, path: str, /) -> str:
        """Return a URI of the service's scheme, host, root and path."""
        root = self._settings.root.rstrip("/")
        return f"{self._settings.scheme}://{self._settings.address}{root}/{path}"

    # The capabilities

    async def stat(self, path: str, /) -> FileInfo:
        """Return a file's metadata.

        Raises:
            FileNotFoundException: There is no file.
        """
        return await _metadata.stat(self._calls, path)

    async def open_read(self, path: str, options: ReadOptions, /) -> ReadStream:
        """Open one version of a file for reading.

        Raises:
            FileNotFoundException: There is no file.
            PreconditionFailedException: `if_match` names another version.
        """
        return await _reading.open_stream(self._calls, path, options)

    async def write_file(
        self, path: str, content: DriverContent, options: WriteOptions, /
    ) -> str | None:
        """Store a file whole, or leave the existing one.

        Args:
            path: Where to.
            content: Kept in memory where the service takes a file in one piece.
            options: See `supported_options`.

        Returns:
            None: OpenDAL does not say the etag.

        Raises:
            FileExistsException: `overwrite` is False, and there is a file.
            PreconditionFailedException: `if_match` names another version, or there is no file.
            UnsupportedOperationException: As for `put`.
        """
        if "write" not in self._calls.claims:
            raise UnsupportedOperationException(
                f"The service {self._settings.scheme!r} of OpenDAL is read-only"
            )
        if self._calls.tears and not self._settings.accept_torn_writes:
            raise UnsupportedOperationException(
                f"The service {self._settings.scheme!r} of OpenDAL cannot store a file whole or "
                "not at all. Set 'accept_torn_writes' to write so that a reader may see half a "
                "file, or staged=False if your server never shows one"
            )
        await _writing.write_file(self._calls, self._staging, path, content, options)
        return None

    def list_entries(self, prefix: str, options: ListOptions, /) -> AsyncIterator[Entry]:
        """Return an iterator over what is below a directory, sorted, a directory at a time.

        Raises:
            StorageException: The service failed.
        """
        if options.itself:
            return _listing.list_itself(self._calls, prefix)
        return _listing.list_entries(self._calls, prefix, options)

    async def make_directory(self, path: str, /) -> None:
        """Make a directory and its parents; an existing one is no error.

        Raises:
            PathConflictException: A file is there.
            StorageException: The service failed.
        """
        if self._settings.scheme in MAKES_DIRECTORIES:
            if await self.exists(path):
                raise PathConflictException("There is a file where a directory is needed")
            await self._make(path)
            return
        for made in accumulate(path.split("/"), "{}/{}".format):
            await self._make(made)

    async def _make(self, path: str) -> None:
        name = _metadata.key(self._calls, f"{path}/")
        await self._calls.send(lambda operator: operator.create_dir(name), reads=False)

    async def delete_directory(self, path: str, /) -> None:
        """Delete a directory and everything below it; a missing one is no error.

        Raises:
            StorageException: The service failed; some files may be deleted.
        """
        await _listing.delete_directory(self._calls, path)

    async def copy_file(self, src: str, dst: str, options: WriteOptions, /) -> str | None:  # noqa: ARG002
        """Have the service copy a file.

        Raises:
            FileNotFoundException: There is no source.
            StorageException: The service failed.
        """
        await _copying.copy_file(self._calls, self._staging, src, dst)
        return None

    async def move_file(self, src: str, dst: str, options: WriteOptions, /) -> str | None:  # noqa: ARG002
        """Have the service rename a file, in place of an existing one.

        Raises:
            FileNotFoundException: There is no source.
            PathConflictException: A directory is at `dst`.
            StorageException: The service failed.
        """
        await _copying.move_file(self._calls, src, dst)
        return None

    async def temporary_url(self, path: str, options: SignOptions, /) -> str:
        """Return a presigned URL that reads a file; nothing is sent.

        Raises:
            UnsupportedOperationException: The service cannot sign an option.
            ValueError: The time is below one second.
        """
        return await _presigning.download_url(self._calls, path, options)

    async def temporary_upload_url(self, path: str, options: SignOptions, /) -> PresignedRequest:
        """Return a presigned PUT request that stores a file; the client sends its `headers`.

        Raises:
            UnsupportedOperationException: The service cannot sign an option.
            ValueError: The time is below one second.
        """
        return await _presigning.upload_request(self._calls, path, options)

    async def diagnose(self, options: DiagnosisOptions, /) -> AsyncGenerator[Finding, None]:
        """Say what the service does not keep; it is asked for nothing.

        Args:
            options: Whether the application writes.
        """
        from jtc.storage.drivers.opendal_driver import _diagnosis  # noqa: PLC0415 - seldom needed

        for finding in _diagnosis.findings(self._calls, options):
            yield finding

    async def aclose(self) -> None:
        """Drop OpenDAL's client; its connections close when no call uses them."""
        self._calls.close()
