"""The diagnosis of a disk by SFTP: the login, the host key, the root, what the server lacks."""

from __future__ import annotations

import functools
import secrets
import stat
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

import asyncssh

from jtc.storage.driver_support.content import in_thread
from jtc.storage.driver_support.diagnosing import fault, findings_of_checks
from jtc.storage.driver_support.findings import Finding, Severity
from jtc.storage.drivers.sftp_driver._connecting import LoginBroken
from jtc.storage.drivers.sftp_driver._looks import is_directory
from jtc.storage.exceptions import (
    StorageConfigException,
    StorageException,
    UnsupportedOperationException,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator

    from jtc.storage.driver_support.findings import DiagnosisOptions
    from jtc.storage.drivers.sftp_driver._looks import Root
    from jtc.storage.drivers.sftp_driver._sessions import Session, Sessions
    from jtc.storage.drivers.sftp_driver._settings import Login, Settings

__all__ = ["diagnose"]

_READ_ONLY = 1
"""The flag SSH_FXE_STATVFS_ST_RDONLY: https://github.com/openssh/openssh-portable/blob/master/PROTOCOL"""
_OF_OTHERS = 0o077
_LOW_BYTES, _LOW_SHARE = 100 * 1024 * 1024, 0.02


async def diagnose(
    sessions: Sessions, root: Root, options: DiagnosisOptions
) -> AsyncGenerator[Finding, None]:
    """Yield what is wrong with the login, the root and the server."""
    settings = sessions.settings
    for finding in await in_thread(_of_options, settings):
        yield finding
    try:
        session = await sessions.session()
    except StorageException as error:
        yield await in_thread(_no_session, settings, error)
        return
    checks: dict[str, Callable[[], Awaitable[list[Finding]]]] = {
        "The root": functools.partial(_root, session, root),
        "The room of the file system (statvfs@openssh.com)": functools.partial(
            _room, session, root
        ),
    }
    if options.writable:
        checks["The extensions of the server"] = functools.partial(_extensions, session, root)
    each_check = findings_of_checks(checks, of="sftp", seconds=options.timeout)
    async with aclosing(each_check) as findings:
        async for finding in findings:
            yield finding


# Options


def _of_options(settings: Settings) -> list[Finding]:
    """Return what is wrong with the options; reads the modes of files."""
    login: Login | None = settings.login
    found: list[Finding] = []
    while login is not None:
        found += _of_login(login)
        login = login.tunnel
    return found


def _of_login(login: Login) -> Iterator[Finding]:
    if login.any_host_key:
        yield Finding(
            id="sftp.any-host-key",
            severity=Severity.WARNING,
            message="Any host key is accepted: another server may take its place.",
            evidence=f"insecure_accept_any_host_key = true, for {login.at}",
            fix="Leave it out, and set host_key to what ssh-keyscan prints and the server's owner "
            "confirms",
        )
    given = login.private_key
    if given is None or "-----BEGIN " in given:
        return
    path = Path(given).expanduser()
    mode = stat.S_IMODE(path.stat().st_mode) if path.is_file() else 0
    if mode & _OF_OTHERS:
        yield Finding(
            id="sftp.key-modes",
            severity=Severity.WARNING,
            message="Other users of this machine may read the private key.",
            evidence=f"{path} has the mode {mode:04o}",
            fix=f"chmod 600 {path}",
        )


# Logins


def _no_session(settings: Settings, error: StorageException) -> Finding:
    """Return why there is no session; reads the known hosts."""
    causes = list(_causes(error))
    login = settings.login
    if any(isinstance(each, asyncssh.HostKeyNotVerifiable) for each in causes):
        return _host_key(login, str(error))
    if any(isinstance(each, asyncssh.PermissionDenied) for each in causes):
        return fault(
            id="sftp.login-refused",
            message="The server refuses the login.",
            evidence=str(error),
            fix="Check username, and that the key is in the user's authorized_keys there, or the "
            f"password: ssh -v {login.at} says more",
        )
    if isinstance(error, StorageConfigException):
        return fault(
            id="sftp.options",
            message="A key or a file that the options name cannot be used.",
            evidence=str(error),
            fix="Correct private_key, passphrase, known_hosts or config",
        )
    if any(isinstance(each, LoginBroken) for each in causes):
        return fault(
            id="sftp.login-broken",
            message="The server ends the connection before there is a session.",
            evidence=str(error),
            fix="Look at the server's log; raise MaxStartups or MaxSessions, and check its "
            "subsystem sftp",
        )
    return fault(
        id="sftp.unreachable",
        message=f"The server {login.at} cannot be reached.",
        evidence=str(error),
        fix="Check that it runs, host and port, and firewalls on the way",
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _host_key(login: Login, said: str) -> Finding:
    is_changed = bool(login.host_keys) or _is_known(login)
    if is_changed:
        return fault(
            id="sftp.host-key-changed",
            message="The server has another host key than the one that is known: another machine "
            "may be in between.",
            evidence=said,
            fix="Ask the server's owner. If the key was changed on purpose: ssh-keygen -R "
            f"{login.host}, and enter the new one; or correct host_key",
        )
    return fault(
        id="sftp.host-key-unknown",
        message="The server's host key is not known.",
        evidence=said,
        fix=f"Compare it with what the server's owner says, then: ssh-keyscan {login.host} >> "
        "~/.ssh/known_hosts, or set host_key",
    )


def _is_known(login: Login) -> bool:
    """Return whether a file of known hosts has a key of the host."""
    hosts: str | bytes = login.known_hosts or "~/.ssh/known_hosts"
    if login.has_known_hosts_text:
        hosts = (login.known_hosts or "").encode()
    else:
        path = Path(str(hosts)).expanduser()
        if not path.is_file():
            return False
        hosts = str(path)
    try:
        return any(asyncssh.match_known_hosts(hosts, login.host, "", login.port or 22))
    except (OSError, ValueError):
        return False


# The server


async def _root(session: Session, root: Root) -> list[Finding]:
    try:
        status = await session.request(session.sftp.stat, root.path)
    except FileNotFoundError:
        path = root.path.decode(errors="replace")
        return [
            fault(
                id="sftp.root-missing",
                message=f"The root {path!r} is not there: it is made with the first file.",
                evidence="the server has no such directory",
                fix=f"Correct the option root, or: ssh {session.settings.login.at} mkdir -p {path}",
            )
        ]
    if is_directory(status):
        return []
    path = root.path.decode(errors="replace")
    return [
        fault(
            id="sftp.root-no-directory",
            message=f"The root {path!r} is no directory.",
            evidence=f"its mode is {status.permissions or 0:o}",
            fix="Correct the option root",
        )
    ]


async def _room(session: Session, root: Root) -> list[Finding]:
    found = await session.request(session.sftp.statvfs, root.path)
    free, total = (blocks * found.frsize for blocks in (found.bavail, found.blocks))
    if found.flags & _READ_ONLY:
        return [
            Finding(
                id="sftp.read-only",
                severity=Severity.ERROR,
                message="The server's file system is read-only.",
                evidence="statvfs: ST_RDONLY",
                fix='Mount it for writing, or add "read_only" to the layers of the disk',
            )
        ]
    evidence = f"{free / 2**30:.1f} GiB of {total / 2**30:.1f} GiB"
    if total and free < max(_LOW_BYTES, total * _LOW_SHARE) and free < total / 2:
        return [
            Finding(
                id="sftp.full",
                severity=Severity.WARNING,
                message="The server's file system is nearly full.",
                evidence=evidence,
                fix="Delete files there, or make the file system larger",
            )
        ]
    message = "The server's file system has room."
    return [
        Finding(id="sftp.free-space", severity=Severity.NOTICE, message=message, evidence=evidence)
    ]


async def _extensions(session: Session, root: Root) -> list[Finding]:
    """Rename and link what is not there: a server that can says so."""
    name = root.at(f".jtc-check-{secrets.token_hex(8)}")
    found: list[Finding] = []
    if not await _has(session, session.sftp.posix_rename, name):
        is_said = session.settings.replace_by_removal
        found.append(
            Finding(
                id="sftp.no-rename",
                severity=Severity.WARNING,
                message="A file that is replaced is missing for a moment."
                if is_said
                else "The server cannot replace a file in one step: puts over files are refused.",
                evidence="it has no posix-rename@openssh.com"
                + (", and replace_by_removal = true" if is_said else ""),
                fix="Use a server that has it, such as OpenSSH's"
                + ("" if is_said else "; or replace_by_removal = true"),
            )
        )
    if not await _has(session, session.sftp.link, name):
        found.append(
            Finding(
                id="sftp.no-hardlink",
                severity=Severity.WARNING,
                message="The server cannot store a file only where there is none: overwrite=False "
                "is refused.",
                evidence="it has no hardlink@openssh.com",
                fix="Use a server that has it, such as OpenSSH's",
            )
        )
    return found


async def _has(
    session: Session, request: Callable[[bytes, bytes], Awaitable[None]], name: bytes
) -> bool:
    try:
        await session.request(request, name, name + b"-2")
    except UnsupportedOperationException:
        return False
    except (StorageException, FileNotFoundError):
        return True
    return True
