"""`SFTPDriver`: files below one directory of an SFTP server."""

from __future__ import annotations

import asyncio
import os
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeVar, cast
from urllib.parse import quote

from jtc.storage.driver import FakeTraits
from jtc.storage.driver_support.loop_clients import LoopClients
from jtc.storage.driver_support.pickling import NotPicklableException
from jtc.storage.driver_support.standalone import standalone
from jtc.storage.driver_support.traceback_scrubbing import ScrubbedLocals
from jtc.storage.drivers.sftp_driver._copying import copy_file, move_file, set_mode
from jtc.storage.drivers.sftp_driver._directories import (
    delete_directory,
    make_directory,
    move_directory,
    remove_empty_directory,
)
from jtc.storage.drivers.sftp_driver._listing import list_entries
from jtc.storage.drivers.sftp_driver._looks import Root, info_of
from jtc.storage.drivers.sftp_driver._reading import open_stream, read_file, read_ranges
from jtc.storage.drivers.sftp_driver._sessions import Sessions
from jtc.storage.drivers.sftp_driver._settings import Settings, refuse, settings_from
from jtc.storage.drivers.sftp_driver._writing import write_file
from jtc.storage.exceptions import UnsupportedOperationException
from jtc.storage.models import Visibility
from jtc.storage.options import WriteOptions

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterator,
        Awaitable,
        Callable,
        Mapping,
        Sequence,
    )

    from jtc.storage.driver import DriverContent, ReadStream
    from jtc.storage.driver_support.content import Content
    from jtc.storage.driver_support.findings import DiagnosisOptions, Finding
    from jtc.storage.drivers.sftp_driver._looks import Status
    from jtc.storage.drivers.sftp_driver._sessions import Session
    from jtc.storage.models import Entry, FileInfo
    from jtc.storage.options import ListOptions, ReadOptions

__all__ = ["SFTPDriver"]

T = TypeVar("T")

_CLOSE_SECONDS = 8.0
_SECRETS = frozenset(
    {"password", "private_key", "passphrase", "known_hosts", "host_key", "tunnel", "config"}
)


@standalone
class SFTPDriver:
    """Files below one directory of an SFTP server.

    Any number of event loops and threads may share one: each loop gets one connection at its first
    use, which all its calls share, and which is closed by `aclose` or when the loop ends. A
    connection that drops or stalls is replaced.

    Symbolic links below the root are refused, and not listed: each part of a path is looked at
    before it is used.

    Args:
        host: The server's name or address; with `config`, maybe a name that is described there.
        port: Its port; 22 by default.
        username: The user to log in as; by default that of this process.
        password: The user's password.
        private_key: The text of a private key, or the path of its file.
        passphrase: That of the private key.
        agent: Try the keys of the SSH agent: True, False, or the path of the agent's socket. None:
            where there is neither a password nor a private key, as are the keys in ``~/.ssh``.
        root: The directory, absolute or below the user's home directory, which is the default. It
            is made at the first write. It may be a symbolic link.
        base_url: What `url` puts before a file's path, where a web server serves the files. Without
            it, files have no URLs.
        known_hosts: A file of known hosts, as its path or its text. None: ``~/.ssh/known_hosts``.
        host_key: The server's public key (``ssh-ed25519 AAAA…``) or its fingerprint
            (``SHA256:…``), or several, of which it must have one. `known_hosts` then does not
            count.
        insecure_accept_any_host_key: Accept every host key. Who is between this machine and the
            server can then read the password and all files, and change them.
        tunnel: A server to go through, as ``[user@]host[:port]``, where the same keys log in and
            its host key is in `known_hosts`; or a table of `host`, `port`, `username`, `password`,
            `private_key`, `passphrase`, `agent`, `known_hosts`, `host_key` and a `tunnel`.
        config: The path of a configuration file of OpenSSH's client, or several. None reads none.
        visibility: That of new files, ``"public"`` or ``"private"``. Without it the server decides.
        file_modes: The permission bits of public and private files, ``{"public": 0o644, "private":
            0o600}`` by default.
        directory_modes: Those of new directories, ``{"public": 0o755, "private": 0o700}`` by
            default: of the visibility of new files, else public. Without `visibility` and
            `directory_modes`, the server decides.
        durable: Have the server sync each file before it gets its name, by fsync@openssh.com. A
            directory cannot be synced by SFTP.
        replace_by_removal: On a server without posix-rename@openssh.com, replace a file by its
            removal and a rename: for a moment there is none, and a connection that ends then leaves
            none. Without it, such a server's files are never replaced.
        compression: Compress what is sent, for slow networks.
        max_concurrency: Calls and open streams of one event loop at once; others wait.
        max_attempts: How often a call is tried whose connection ends, if that is safe.
        connect_timeout: Seconds for a connection, its login included.
        request_timeout: Seconds without any answer after which a connection counts as stalled.
        pool_timeout: Seconds that a call waits for one of `max_concurrency` places.
        keepalive_interval: Seconds of silence after which the server is asked for a sign of life.

    Raises:
        StorageConfigException: An option is invalid; no connection is made.
    """

    lists_in_key_order = True
    keeps_checksums = False

    supported_options: Mapping[str, frozenset[str]] = {
        "write_file": frozenset({"visibility", "overwrite"}),
        "list_entries": frozenset({"directories", "itself", "left_out"}),
        "copy_file": frozenset({"visibility", "overwrite"}),
        "move_file": frozenset({"overwrite"}),
    }

    def __init__(
        self,
        host: str,
        port: int | None = None,
        username: str | None = None,
        password: str | None = None,
        *,
        private_key: str | os.PathLike[str] | None = None,
        passphrase: str | None = None,
        agent: bool | str | None = None,
        root: str = "",
        base_url: str | None = None,
        known_hosts: str | os.PathLike[str] | None = None,
        host_key: str | Sequence[str] | None = None,
        insecure_accept_any_host_key: bool = False,
        tunnel: str | Mapping[str, Any] | None = None,
        config: str | Sequence[str] | None = None,
        visibility: Visibility | str | None = None,
        file_modes: Mapping[str, int | str] | None = None,
        directory_modes: Mapping[str, int | str] | None = None,
        durable: bool = False,
        replace_by_removal: bool = False,
        compression: bool = False,
        max_concurrency: int = 64,
        max_attempts: int = 3,
        connect_timeout: float = 10.0,
        request_timeout: float = 30.0,
        pool_timeout: float = 60.0,
        keepalive_interval: float = 15.0,
    ) -> None:
        options = {name: value for name, value in locals().items() if name != "self"}  # first
        try:
            with ScrubbedLocals():
                self._settings = settings_from(options)
        finally:  # a traceback holds these variables
            del options, password, private_key, passphrase, tunnel
        self._root = Root(self._settings.root)
        settings = self._settings
        self._clients: LoopClients[Sessions] = LoopClients(
            lambda: Sessions(settings), Sessions.discard, close_seconds=_CLOSE_SECONDS
        )

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Make a driver by the environment.

        It is SFTP_HOST, SFTP_PORT, SFTP_USERNAME, SFTP_PASSWORD, SFTP_PRIVATE_KEY,
        SFTP_PASSPHRASE, SFTP_ROOT, SFTP_HOST_KEY, SFTP_KNOWN_HOSTS and SFTP_URL.

        Raises:
            StorageConfigException: SFTP_HOST is missing, or a variable is invalid.
        """
        names = ("username", "password", "private_key", "passphrase", "host_key", "known_hosts")
        options: dict[str, Any] = {
            name: environ.get(f"SFTP_{name.upper()}") or None for name in (*names, "host")
        }
        port = environ.get("SFTP_PORT") or None
        root, base_url = environ.get("SFTP_ROOT") or "", environ.get("SFTP_URL") or None
        del environ  # it holds the password, and a traceback holds this function's variables
        try:
            if options["host"] is None:
                refuse("SFTP_HOST", "is missing: it names the server")
            if port is not None and not port.isdecimal():
                refuse("SFTP_PORT", f"is a number, not {port!r}")
            number = None if port is None else int(port)
            return cls(**options, port=number, root=root, base_url=base_url)
        finally:
            del options

    @classmethod
    def for_fake(cls, options: Mapping[str, Any] | None) -> Self:
        """Return a driver for a fake to ask, without secrets; see `FakeTraits`.

        Raises:
            StorageConfigException: An option is invalid.
        """
        if options is None:
            environ = {"SFTP_HOST": "fake", **os.environ}
            kept = ("SFTP_HOST", "SFTP_USERNAME", "SFTP_ROOT", "SFTP_URL")
            return cls.from_env({name: environ.get(name, "") for name in kept})
        kept_options = {name: value for name, value in options.items() if name not in _SECRETS}
        return cls(**{"host": "fake", **kept_options})

    @property
    def fake_traits(self) -> FakeTraits:
        """How a fake behaves."""
        return FakeTraits(
            visibility=self._settings.modes.default or Visibility.PUBLIC, has_directories=True
        )

    @property
    def default_visibility(self) -> Visibility | None:
        """The visibility of new files; None where the server decides."""
        return self._settings.modes.default

    @property
    def has_own_retries(self) -> bool:
        """Whether the driver retries by itself, so that a layer above need not."""
        return self._settings.max_attempts > 1

    @property
    def location(self) -> str:
        """Where the files are: drivers of one location keep the same files."""
        return self._settings.location

    def __repr__(self) -> str:
        settings: Settings | None = getattr(self, "_settings", None)
        if settings is None:
            # A traceback with variables also shows a driver whose options were refused.
            return f"<{type(self).__name__} that could not be made>"
        return f"{type(self).__name__}({settings.location!r})"

    def __reduce__(self) -> NoReturn:
        raise NotPicklableException(
            "An SFTPDriver holds connections and secrets and is not pickled: pass its options, and "
            "make one there"
        )

    # The eight methods

    async def put(self, path: str, content: Content, /) -> str:
        """Store a file whole, in place of an existing one, and return its path.

        Args:
            path: Where to; directories are made as needed.
            content: Any `Content`.

        Raises:
            PathConflictException: A directory is there, or a file where a directory should be.
            UnsupportedOperationException: There is a file, and the server cannot replace it in one
                step: see `replace_by_removal`.
            StorageFullException: There is no room; the old file stays.
            StorageException: Another failure; the old file stays.
        """
        # `standalone` or `Disk` has converted it.
        driver_content = cast("DriverContent", content)
        client = await self._client()
        await write_file(client, self._root, path, driver_content, WriteOptions())
        return path

    async def get(self, path: str, /) -> bytes:
        """Return a file's content.

        Raises:
            FileNotFoundException: There is no file.
        """
        return await self._run(lambda session: read_file(session, self._root, path))

    async def exists(self, path: str, /) -> bool:
        """Return whether there is a file; a directory is none, and a link is refused.

        Raises:
            StoragePermissionException: It is a symbolic link, or the server denies it.
            StorageException: The server failed, so the answer is unknown.
        """
        return await self._run(lambda session: self._root.file(session, path)) is not None

    async def delete(self, path: str, /) -> bool:
        """Delete a file; return False where there was none. Its directory stays.

        Raises:
            StoragePermissionException: It may not be deleted, or is a symbolic link.
            StorageException: The server failed.
        """
        was_sent = False

        async def remove(session: Session) -> bool:
            nonlocal was_sent
            if await self._root.file(session, path) is None:
                return was_sent  # by the request whose answer did not come
            was_sent = True
            try:
                await session.request(session.sftp.remove, self._root.at(path))
            except FileNotFoundError:
                return False
            return True

        return await self._run(remove)

    async def size(self, path: str, /) -> int:
        """Return a file's length in bytes.

        Raises:
            FileNotFoundException: There is no file.
        """
        return (await self._status(path)).size or 0

    async def last_modified(self, path: str, /) -> float:
        """Return when a file was written, in whole seconds since 1970 UTC.

        Raises:
            FileNotFoundException: There is no file.
        """
        return float((await self._status(path)).mtime or 0)

    def url(self, path: str, /) -> str:
        """Return the percent-encoded (RFC 3986) URL of a file, below `base_url`.

        Raises:
            UnsupportedOperationException: There is no `base_url`.
        """
        if self._settings.base_url is None:
            raise UnsupportedOperationException(
                "Files of an SFTP server have no URLs: set 'base_url' where a web server serves "
                "them"
            )
        return f"{self._settings.base_url}/{quote(path)}"

    def path(self, path: str, /) -> str:
        """Return ``sftp://``, the user, the server, the root and the path, not percent-encoded."""
        return f"{self._settings.location}/{path}"

    # The capabilities

    async def stat(self, path: str, /) -> FileInfo:
        """Return a file's metadata. There is no etag: the protocol has times in whole seconds.

        Raises:
            FileNotFoundException: There is no file.
        """
        return info_of(path, await self._status(path))

    async def open_read(self, path: str, options: ReadOptions, /) -> ReadStream:
        """Open a file for reading in chunks; it stays open until the stream's ``aclose()``.

        Where the connection ends, it goes on with a new one, if the file still has its size and
        time, and that time was a minute ago or longer when it was opened.

        Raises:
            FileNotFoundException: There is no file.
            PreconditionFailedException: There is `if_match`: files have no etags.
        """
        return await open_stream(await self._client(), self._root, path, options)

    async def read_ranges(
        self, path: str, ranges: Sequence[tuple[int, int]], options: ReadOptions, /
    ) -> Sequence[bytes]:
        """Return several ranges of one version of a file, which is opened once.

        Raises:
            FileNotFoundException: There is no file.
        """
        return await self._run(
            lambda session: read_ranges(session, self._root, path, ranges, options)
        )

    async def write_file(
        self, path: str, content: DriverContent, options: WriteOptions, /
    ) -> str | None:
        """Store a file whole, or leave the existing one; return None: there are no etags.

        Args:
            path: Where to; directories are made as needed.
            content: Any content. A blocking file is read in a worker thread.
            options: See `supported_options`.

        Raises:
            FileExistsException: `overwrite` is False, and there is a file.
            UnsupportedOperationException: The server lacks what it takes to do this in one step.
            StorageException: What `put` raises.
        """
        await write_file(await self._client(), self._root, path, content, options)
        return None

    def list_entries(self, prefix: str, options: ListOptions, /) -> AsyncIterator[Entry]:
        """Yield what is below a directory, in the order of keys; nothing where there is none.

        Raises:
            StorageException: The server failed.
        """
        return list_entries(self._client, self._root, prefix, options)

    async def make_directory(self, path: str, /) -> None:
        """Make a directory and those above it; an existing one is no error.

        Raises:
            PathConflictException: A file is in the way.
        """
        await self._run(lambda session: make_directory(session, self._root, path))

    async def delete_directory(self, path: str, /) -> None:
        """Delete a directory and everything below it; a missing one is no error.

        Raises:
            StorageException: The server failed; some of it may be deleted.
        """
        await self._run(lambda session: delete_directory(session, self._root, path))

    async def move_directory(self, src: str, dst: str, /) -> None:
        """Move a directory and everything below it by one request, which replaces nothing.

        OpenSSH's server looks at the target and then renames: an empty directory that is made
        between the two is replaced.

        Raises:
            FileNotFoundException: There is no directory `src`.
            FileExistsException: There is something at `dst`.
            InvalidPathException: `dst` is below `src`.
            StorageUnavailableException: The connection ended, and whether the directory was moved
                cannot be found out.
            UnsupportedOperationException: The two are on different file systems.
        """
        await move_directory(await self._client(), self._root, src, dst)

    async def remove_empty_directory(self, path: str, /) -> bool:
        """Remove a directory if it is empty, in one request; return False if there is none.

        Raises:
            PathConflictException: The directory has entries, or a file is there.
        """
        was_sent = False

        async def remove(session: Session) -> bool:
            nonlocal was_sent
            before, was_sent = was_sent, True
            return await remove_empty_directory(session, self._root, path) or before

        return await self._run(remove)

    async def copy_file(self, src: str, dst: str, options: WriteOptions, /) -> str | None:
        """Copy a file with its mode; return None: there are no etags.

        The server copies it, if it has copy-data; else its bytes go through this process.

        Raises:
            FileNotFoundException: There is no source.
            FileExistsException: `overwrite` is False, and there is a file at `dst`.
        """
        await copy_file(await self._client(), self._root, src, dst, options)
        return None

    async def move_file(self, src: str, dst: str, options: WriteOptions, /) -> str | None:
        """Move a file with its mode and time; return None: there are no etags.

        With ``overwrite=False`` it has both names for a moment.

        Raises:
            FileNotFoundException: There is no source.
            FileExistsException: `overwrite` is False, and there is a file at `dst`.
        """
        await move_file(await self._client(), self._root, src, dst, options)
        return None

    async def visibility(self, path: str, /) -> Visibility:
        """Return public for a file with the mode of one, or that all users of the server may read.

        Raises:
            FileNotFoundException: There is no file.
        """
        status = await self._status(path)
        if status.permissions is None:
            raise UnsupportedOperationException("The SFTP server tells no file modes")
        return self._settings.modes.visibility_of(status.permissions)

    async def set_visibility(self, path: str, visibility: Visibility, /) -> None:
        """Set a file's mode to that of `file_modes`: 0644 if public, 0600 if private.

        Raises:
            FileNotFoundException: There is no file.
        """
        mode = self._settings.modes.of(visibility)
        await self._run(lambda session: set_mode(session, self._root, path, mode))

    async def diagnose(self, options: DiagnosisOptions, /) -> AsyncGenerator[Finding, None]:
        """Look for faults of the login, the host key, the root and what the server lacks.

        Args:
            options: What may be done.

        Raises:
            StorageException: The driver was closed meanwhile.
        """
        from jtc.storage.drivers.sftp_driver import _diagnosis  # noqa: PLC0415 - seldom needed

        async with aclosing(
            _diagnosis.diagnose(await self._client(), self._root, options)
        ) as findings:
            async for finding in findings:
                yield finding

    async def aclose(self) -> None:
        """Close the connections of all event loops; a later call opens them again."""
        await self._clients.aclose()

    async def _client(self) -> Sessions:
        loop = asyncio.get_running_loop()
        return self._clients.opened.get(loop) or await self._clients.get()

    async def _run(self, work: Callable[[Session], Awaitable[T]]) -> T:
        return await (await self._client()).run(work)

    async def _status(self, path: str) -> Status:
        return await self._run(lambda session: self._root.existing_file(session, path))
