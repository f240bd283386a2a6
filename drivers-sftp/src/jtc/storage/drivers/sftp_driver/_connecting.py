"""Connections to a server: login, host keys, and what goes wrong with them in words."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import asyncssh

from jtc.storage.driver_support.content import in_thread
from jtc.storage.driver_support.traceback_scrubbing import ScrubbedLocals
from jtc.storage.exceptions import (
    StorageConfigException,
    StorageException,
    StoragePermissionException,
    StorageTimeoutException,
    StorageUnavailableException,
)

if TYPE_CHECKING:
    from jtc.storage.drivers.sftp_driver._settings import Login, Settings

__all__ = ["LoginBroken", "open_connections"]

_KEEPALIVES = 3
"""Signs of life that a server may leave out before its connection counts as lost."""


async def open_connections(settings: Settings) -> list[asyncssh.SSHClientConnection]:
    """Log in at the server of the settings, through its tunnel if there is one.

    Returns:
        The connections, that to the server last.

    Raises:
        StoragePermissionException: The host key is not the known one, or the login is refused.
        StorageTimeoutException: It takes longer than `connect_timeout`.
        StorageUnavailableException: The server cannot be reached.
        StorageConfigException: A key or a file that an option names cannot be used.
    """
    jumps = [settings.login]
    while jumps[0].tunnel is not None:
        jumps.insert(0, jumps[0].tunnel)
    connections: list[asyncssh.SSHClientConnection] = []
    with ScrubbedLocals():
        try:
            for jump in jumps:
                tunnel = connections[-1] if connections else None
                connections.append(await _log_in(settings, jump, tunnel))
        except BaseException:
            for connection in connections:
                connection.abort()
            raise
    return connections


async def _log_in(
    settings: Settings, login: Login, tunnel: asyncssh.SSHClientConnection | None
) -> asyncssh.SSHClientConnection:
    client = _Client(login)
    try:
        options = await in_thread(_options, settings, login)
        # It connects, exchanges keys and logs in within this time.
        async with asyncio.timeout(settings.connect_timeout):
            connection = await asyncssh.connect(
                login.host, client_factory=lambda: client, tunnel=tunnel or (), **options
            )
    except (asyncssh.Error, OSError) as error:
        _reraise(error, settings, login, client)
    return connection


class _Client(asyncssh.SSHClient):
    """Judges a host key that is in no file of known hosts.

    Attributes:
        refused: The key that was refused, as its kind and its fingerprint.
    """

    def __init__(self, login: Login) -> None:
        self._pinned = [key for key in login.host_keys if key.startswith("SHA256:")]
        self.refused: str | None = None

    def validate_host_public_key(
        self,
        host: str,  # noqa: ARG002
        addr: str,  # noqa: ARG002
        port: int,  # noqa: ARG002
        key: asyncssh.SSHKey,
    ) -> bool:
        """Return whether the key has a fingerprint that an option names."""
        fingerprint = key.get_fingerprint()
        if fingerprint in self._pinned:
            return True
        self.refused = f"{key.get_algorithm()} {fingerprint}"
        return False


def _options(settings: Settings, login: Login) -> dict[str, Any]:
    """Return what asyncssh takes; reads files, and decrypts a key.

    Raises:
        StorageConfigException: A key or a file cannot be used.
    """
    options: dict[str, Any] = {
        "config": [str(Path(path).expanduser()) for path in settings.config] or None,
        "connect_timeout": None,
        "login_timeout": None,
        "keepalive_interval": settings.keepalive_interval,
        "keepalive_count_max": _KEEPALIVES,
        "compression_algs": ["zlib@openssh.com", "zlib"] if settings.compression else ["none"],
        "known_hosts": _known_hosts(login),
    }
    for name in ("port", "username", "password"):
        if (value := getattr(login, name)) is not None:
            options[name] = value
    if not login.tries_agent:
        options["agent_path"] = None
    elif isinstance(login.agent, str):
        options["agent_path"] = login.agent
    if login.private_key is not None:
        options["client_keys"] = [_private_key(login)]
    elif login.password is not None:
        options["client_keys"] = None  # a key that the server refuses counts as an attempt
    return options


def _known_hosts(login: Login) -> Any:
    if login.any_host_key:
        return None
    if login.host_keys:
        keys = [
            asyncssh.import_public_key(key)
            for key in login.host_keys
            if not key.startswith("SHA256:")
        ]
        return (keys, [], [])
    if login.known_hosts is None:
        path = Path("~/.ssh/known_hosts").expanduser()
        return str(path) if path.is_file() else b""
    if login.has_known_hosts_text:
        return login.known_hosts.encode()
    path = Path(login.known_hosts).expanduser()
    if not os.access(path, os.R_OK):
        raise StorageConfigException(f"The file that 'known_hosts' names cannot be read: {path}")
    return str(path)


def _private_key(login: Login) -> asyncssh.SSHKey:
    given = login.private_key or ""
    try:
        if "-----BEGIN " in given:
            return asyncssh.import_private_key(given, login.passphrase)
        return asyncssh.read_private_key(Path(given).expanduser(), login.passphrase)
    except OSError as error:
        raise StorageConfigException(
            "The file that 'private_key' names cannot be read", errno=error.errno
        ) from error
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError, ValueError):
        # Without its cause: that one's text may have a part of the key.
        raise StorageConfigException(
            "The 'private_key' is none that can be used, or its 'passphrase' is missing or wrong"
        ) from None


def _reraise(error: Exception, settings: Settings, login: Login, client: _Client) -> NoReturn:
    """Raise what a login failed by as one of our exceptions.

    Raises:
        StorageException: Always.
    """
    if isinstance(error, StorageException):
        raise error
    if isinstance(error, asyncssh.HostKeyNotVerifiable):
        raise _unknown_host(login, client) from error
    if isinstance(error, asyncssh.PermissionDenied):
        user = f" of {login.username!r}" if login.username else ""
        raise StoragePermissionException(
            f"The SSH server {login.at} refuses the login{user}: check 'username', and 'password' "
            "or 'private_key'"
        ) from error
    if isinstance(error, TimeoutError):
        raise StorageTimeoutException(
            f"The SSH server {login.at} completed no login within {settings.connect_timeout:g} "
            "s ('connect_timeout')"
        ) from error
    if isinstance(error, (asyncssh.ConfigParseError, asyncssh.KeyImportError)):
        raise StorageConfigException(f"The options of the SSH connection: {error}") from error
    if isinstance(error, (asyncssh.Error, ConnectionResetError)):
        raise LoginBroken(
            f"The SSH server {login.at} ended the connection before the login. It may have too "
            f"many that are not logged in (MaxStartups): {_words(error)}"
        ) from error
    raise StorageUnavailableException(
        f"The SSH server {login.at} cannot be reached: {_words(error)}"
    ) from error


class LoginBroken(StorageUnavailableException):
    """A connection that ended before the login; another one may succeed."""


def _unknown_host(login: Login, client: _Client) -> StoragePermissionException:
    key = client.refused or "a key that is revoked or of another kind"
    where = (
        "'host_key'"
        if login.host_keys
        else "the text of 'known_hosts'"
        if login.known_hosts and login.has_known_hosts_text
        else login.known_hosts or "~/.ssh/known_hosts"
    )
    return StoragePermissionException(
        f"The SSH server {login.at} has the host key {key}, which is not in {where}: nothing was "
        "sent to it. If the server's owner confirms this fingerprint, pass it as 'host_key', or "
        "add the key to the file (ssh-keyscan). If it was another one before, another machine may "
        "be in between"
    )


def _words(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return str(getattr(error, "reason", "")) or type(error).__name__
