"""Who may read and write the files of a local disk: owners, modes, and the user of a web server."""

from __future__ import annotations

import os
import stat
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from jtc.storage.driver_support.findings import DiagnosisOptions, Finding, Severity
from jtc.storage.models import Visibility
from jtc.storage.paths import RESERVED_DIRECTORY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jtc.storage.drivers.local_driver._safe_open import Root

__all__ = [
    "look_at_lock",
    "look_at_modes",
    "look_at_readers",
    "look_at_user",
    "may",
    "name_of",
    "user_name",
]

_error = partial(Finding, severity=Severity.ERROR)
_warning = partial(Finding, severity=Severity.WARNING)
_notice = partial(Finding, severity=Severity.NOTICE)

_ACL = "system.posix_acl_access"
_NEW_FILE, _NEW_DIRECTORY = 0o666, 0o777


class _Reader(NamedTuple):
    """A user, as the kernel asks for one; without a number it is any other user."""

    name: str
    user: int | None
    groups: frozenset[int]

    def may(self, status: os.stat_result, bits: int) -> bool:
        """Return whether a mode permits what `bits`, of 4, 2 and 1, say."""
        if self.user == 0:
            return True
        group = 3 if status.st_gid in self.groups else 0
        shift = 6 if self.user == status.st_uid else group
        return (status.st_mode >> shift) & bits == bits


def look_at_user(root: Root, options: DiagnosisOptions) -> Iterator[Finding]:
    """Say that the superuser cannot see what the owner of the files may do."""
    if sys.platform == "win32" or os.geteuid() or not options.writable:
        return
    owner = Path(root.path).stat().st_uid
    if owner:
        name = name_of(owner)
        yield Finding(
            id="local.other-user",
            severity=Severity.NOT_VISIBLE,
            message="This process is the superuser's, and the root is another user's: what that "
            "user may do is not seen, and no file is made, which would be the superuser's.",
            evidence=f"{root.path} is owned by {name}",
            fix=f"sudo -u {name} jtc-storage doctor",
            blocks=True,
        )


def look_at_modes(root: Root, options: DiagnosisOptions) -> Iterator[Finding]:
    """Find directories and new files that all users of the machine may change."""
    if sys.platform == "win32":
        return
    place = Path(os.path.realpath(root.path))
    for directory in (place, *place.parents):
        status = directory.stat()
        is_sticky = status.st_mode & stat.S_ISVTX and directory != place
        if status.st_mode & stat.S_IWOTH and not is_sticky:
            yield _warning(
                id="local.writable-by-all",
                message="All users of this machine may add, replace and delete files of the disk.",
                evidence=f"{directory}: mode {stat.S_IMODE(status.st_mode):04o}",
                fix=f"chmod o-w {directory}",
            )
            break
    modes = root.modes
    umask = _umask()
    if options.writable and modes.new_file is None and umask is not None and not umask & 0o002:
        yield _warning(
            id="local.umask",
            message="All users of this machine may change new files, as the umask of this process "
            "leaves them: the disk has no 'visibility'.",
            evidence=f"umask {umask:04o}",
            fix="umask 022 (UMask=0022 in the unit of systemd), or visibility = 'public'",
        )


def look_at_lock(root: Root, options: DiagnosisOptions) -> Iterator[Finding]:
    """Find a lock that this process may not take, so that conditional writes are refused."""
    lock = Path(root.path) / RESERVED_DIRECTORY / "lock"
    if sys.platform == "win32" or not options.writable:
        return
    try:
        owner = lock.parent.stat().st_uid
        is_ours = may(lock.parent, os.X_OK) and (may(lock, os.R_OK | os.W_OK) or not lock.exists())
    except PermissionError:
        is_ours, owner = False, Path(root.path).stat().st_uid
    except FileNotFoundError:
        return
    with suppress(OSError):
        owner = lock.stat().st_uid
    # To the superuser all is open: then the owner of the files is who has to take it.
    expected = Path(root.path).stat().st_uid
    if is_ours and (os.geteuid() or owner == expected):
        return
    name = name_of(os.geteuid() or expected)
    yield _error(
        id="local.lock",
        message="The lock of conditional writes is another user's: if_match and append are "
        "refused.",
        evidence=f"{lock} is owned by {name_of(owner)}, not by {name}",
        fix=f"chown -R {name} {lock.parent}, and run all programs that write as this user",
    )


def look_at_readers(root: Root, options: DiagnosisOptions) -> Iterator[Finding]:
    """Find what stops a web server from reading public files."""
    if sys.platform == "win32":
        return
    reader = _Reader("Other users", None, frozenset())
    if options.as_user is not None:
        import pwd  # noqa: PLC0415 - not on Windows

        try:
            entry = pwd.getpwnam(options.as_user)
        except KeyError:
            yield _error(
                id="local.readers",
                message="There is no such user on this machine.",
                evidence=f"--as-user {options.as_user}",
                fix="Name the user of the web server, such as www-data or nginx",
            )
            return
        groups = frozenset(os.getgrouplist(entry.pw_name, entry.pw_gid))
        reader = _Reader(options.as_user, entry.pw_uid, groups)
    place = Path(os.path.realpath(root.path))
    closed = [each for each in (place, *place.parents) if not reader.may(each.stat(), 1)]
    evidence = [f"{each} has mode {stat.S_IMODE(each.stat().st_mode):04o}" for each in closed]
    evidence += _closed_files(root, place.stat(), reader) if options.as_user else []
    if evidence:
        yield _unreachable(reader, evidence, closed, options)


def _unreachable(
    reader: _Reader, evidence: list[str], closed: list[Path], options: DiagnosisOptions
) -> Finding:
    text = "; ".join(evidence)
    if any(_has_acl(each) for each in closed):
        return Finding(
            id="local.readers",
            severity=Severity.NOT_VISIBLE,
            message=f"{reader.name} may read public files by an access control list only, which is "
            "not looked at.",
            evidence=text,
        )
    if options.as_user is None:
        return _notice(
            id="local.readers",
            message="Other users of this machine cannot read public files: a web server of "
            "another user has to get them through the application.",
            evidence=text,
        )
    return _error(
        id="local.readers",
        message=f"The user {reader.name} cannot read the public files of the disk.",
        evidence=text,
        fix="chmod o+x the directories, or add the user to their group (usermod -aG) and set "
        "visibility, file_modes and directory_modes",
    )


def _closed_files(root: Root, status: os.stat_result, reader: _Reader) -> list[str]:
    """Return why a public file that is made now would not be read by a user."""
    if sys.platform == "win32":
        return []
    modes, umask = root.modes, _umask() or 0
    file = modes.public if modes.default is Visibility.PUBLIC else _NEW_FILE & ~umask
    if modes.default is Visibility.PRIVATE:
        file = modes.public
    directory = _NEW_DIRECTORY & ~umask if modes.new_directory is None else modes.new_directory
    group = status.st_gid if status.st_mode & stat.S_ISGID else os.getegid()
    found = []
    for what, mode, bits in (("files", file, 4), ("directories", directory, 1)):
        made = os.stat_result((mode, 0, 0, 0, os.geteuid(), group, 0, 0, 0, 0))
        if not reader.may(made, bits):
            found.append(f"new {what} have mode {mode:04o}, user {made.st_uid}, group {group}")
    return found


def _has_acl(directory: Path) -> bool:
    with suppress(OSError):
        return sys.platform == "linux" and bool(os.getxattr(directory, _ACL))
    return False


def _umask() -> int | None:
    """Return the umask of this process, without changing it for a moment."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        return int(lines.partition("Umask:")[2].split(None, 1)[0], 8)
    except (OSError, ValueError, IndexError):
        return None


def may(path: str | Path, bits: int) -> bool:
    """Return whether this process may do what `bits`, as for `os.access`, say."""
    return os.access(path, bits, effective_ids=os.access in os.supports_effective_ids)


def name_of(user: int) -> str:
    """Return the name of a user, or the number if there is none."""
    if sys.platform == "win32":
        return str(user)
    import pwd  # noqa: PLC0415 - not on Windows

    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)


def user_name() -> str:
    """Return the name of this process's user."""
    if sys.platform == "win32":
        return "of this process"
    return name_of(os.geteuid())
