"""What may be wrong with a local disk: its root, its file system, and who reaches its files.

It looks at the root and the directories above it, which are the administrator's, by their names.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from jtc.storage.driver_support.findings import DiagnosisOptions, Finding, Severity
from jtc.storage.drivers.local_driver._attributes import NO_ATTRIBUTES
from jtc.storage.drivers.local_driver._diagnosis_access import (
    look_at_lock,
    look_at_modes,
    look_at_readers,
    look_at_user,
    may,
    name_of,
    user_name,
)
from jtc.storage.drivers.local_driver._safe_open import mount_of
from jtc.storage.paths import RESERVED_DIRECTORY, TEMPORARY_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jtc.storage.drivers.local_driver._safe_open import Root
    from jtc.storage.drivers.local_driver._worker_calls import CancelToken

__all__ = ["examine", "look_at_names"]

_error = partial(Finding, severity=Severity.ERROR)
_warning = partial(Finding, severity=Severity.WARNING)
_notice = partial(Finding, severity=Severity.NOTICE)

_GIB = 1024**3
# Shares of a file system, and bytes above which no share is little.
_FULL, _NEARLY_FULL = (0.01, _GIB), (0.05, 20 * _GIB)
_FEW_INODES = 0.05
_FEW_DESCRIPTORS = 256
_STALE_SECONDS = 2 * 3600  # a listing removes them after one hour
_AHEAD_SECONDS = 60
_APART_SECONDS = 2.0
_MOST_NAMES = 20_000
_MOST_SECONDS = 1.0

_IN_MEMORY = frozenset({"tmpfs", "ramfs"})
_SHARED = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "glusterfs", "afs"})


def examine(token: CancelToken, root: Root, options: DiagnosisOptions) -> list[Finding]:
    """Look at a disk's root, without writing; called in a worker.

    Args:
        token: The call's.
        root: The disk's root.
        options: What may be done.

    Returns:
        What was found; one that blocks is the last.
    """
    found: list[Finding] = []
    look: Callable[[Root, DiagnosisOptions], Iterator[Finding]]
    for look in (_look_at_root, _look_at_mount):
        found += look(root, options)
        if any(finding.blocks for finding in found):
            return found
    token.check()
    for look in (
        look_at_modes,
        look_at_lock,
        look_at_readers,
        _look_at_space,
        _look_at_attributes,
        _look_at_descriptors,
        _look_at_clock,
    ):
        found += look(root, options)
    token.check()
    return [*found, *_look_at_content(root), *look_at_user(root, options)]


def _look_at_root(root: Root, options: DiagnosisOptions) -> Iterator[Finding]:
    """Find a root that is missing, leads nowhere, is no directory, or is closed to this user."""
    place = Path(root.path)
    on_the_way = [place, *place.parents]
    blocked = partial(_error, blocks=True)
    try:
        status = place.stat()
    except FileNotFoundError:
        link = next((part for part in on_the_way if part.is_symlink()), None)
        if link is not None and not link.exists():
            yield blocked(
                id="local.root-dangling",
                message="The root leads nowhere: it is, or is below, a symbolic link to what does "
                "not exist.",
                evidence=f"{link} -> {link.readlink()}",
                fix=f"mkdir -p {link.readlink()}, or correct 'root' (FILESYSTEM_ROOT)",
            )
            return
        yield _missing_root(place)
        return
    except NotADirectoryError:
        status = None
    except PermissionError:
        yield blocked(
            id="local.root-closed",
            message="This process may not reach the root.",
            evidence=f"{root.path}: Permission denied, as the user {user_name()}",
            fix="Let the process's user pass all directories above it: chmod o+x, or a group",
        )
        return
    except OSError as error:
        yield blocked(
            id="local.root-closed",
            message="The root cannot be opened.",
            evidence=f"{root.path}: {error.strerror}",
            fix="Mount it again, or correct 'root' (FILESYSTEM_ROOT)",
        )
        return
    if status is None or not stat.S_ISDIR(status.st_mode):
        yield blocked(
            id="local.root-no-directory",
            message="The root is no directory, or is below a file.",
            evidence=root.path,
            fix="Correct 'root' (FILESYSTEM_ROOT), or move the file away",
        )
        return
    yield from _look_at_entrance(root, options, status)


def _missing_root(place: Path) -> Finding:
    nearest = next(part for part in place.parents if part.is_dir())
    fix = f"mkdir -p {place}, mount what should be there, or correct 'root' (FILESYSTEM_ROOT)"
    if not may(nearest, os.W_OK | os.X_OK):
        return _error(
            id="local.root-missing",
            message="The root does not exist, and this process may not make it.",
            evidence=f"{place}; {nearest} is not writable to the user {user_name()}",
            fix=fix,
            blocks=True,
        )
    return _warning(
        id="local.root-missing",
        message="The root does not exist yet: the first write makes it, also where a mount is "
        "missing or the program runs in another directory.",
        evidence=f"{place}; the working directory is {Path.cwd()}",
        fix=fix,
        blocks=True,
    )


def _look_at_entrance(
    root: Root, options: DiagnosisOptions, status: os.stat_result
) -> Iterator[Finding]:
    """Find a root whose names this process may not read, or into which it may not write."""
    lacking = [
        word
        for word, bit in (("read", os.R_OK), ("pass", os.X_OK), ("write", os.W_OK))
        if not may(root.path, bit) and (bit != os.W_OK or options.writable)
    ]
    if not lacking:
        return
    mode, owner = stat.S_IMODE(status.st_mode), name_of(status.st_uid)
    is_user = status.st_uid != 0  # nothing is run as the superuser to get at its files
    if lacking == ["write"] and _is_read_only(root):
        return  # which is a finding of its own
    yield _error(
        id="local.root-closed",
        message=f"This process may not {' or '.join(lacking)} in the root.",
        evidence=f"{root.path}: mode {mode:04o}, owner {owner}; this user is {user_name()}",
        fix=f"chown {user_name()} {root.path}" + (f", or run it as {owner}" if is_user else ""),
        blocks=True,
    )


def _look_at_mount(root: Root, options: DiagnosisOptions) -> Iterator[Finding]:
    """Find a mount that is read-only, and name file systems that keep less."""
    if options.writable and _is_read_only(root):
        yield _error(
            id="local.read-only",
            message="The root is on a file system that is mounted read-only.",
            evidence=root.path,
            fix="Mount it with rw, or give the disk layers = ['read_only']",
            blocks=True,
        )
    kind = _kind_of(root)
    if kind in _IN_MEMORY:
        yield _warning(
            id="local.in-memory",
            message="The root is in memory: a reboot loses all files.",
            evidence=f"{root.path} is on {kind}",
            fix="Set 'root' (FILESYSTEM_ROOT) to a directory on a disk",
        )
    elif kind == "overlay":
        yield _notice(
            id="local.file-system",
            message="The root is in the layer of a container, if this is one: its files go with "
            "it, unless a volume is mounted there.",
            evidence=f"{root.path} is on {kind}",
        )
    elif kind is not None and (kind in _SHARED or kind.startswith("fuse")):
        yield _notice(
            id="local.file-system",
            message="The root is on a file system of a network, or in user space: what conditions "
            "and renames keep there depends on its locks.",
            evidence=f"{root.path} is on {kind}",
        )


def _look_at_space(root: Root, options: DiagnosisOptions) -> Iterator[Finding]:
    """Find a file system that is full, or has no more files."""
    if sys.platform == "win32" or not options.writable:
        return
    now = os.statvfs(root.path)
    free, size = now.f_bavail * now.f_frsize, now.f_blocks * now.f_frsize
    share = free / size if size else 1.0
    unit, name = (_GIB, "GiB") if size >= _GIB else (1024**2, "MiB")
    evidence = f"{free / unit:.1f} {name} of {size / unit:.1f} {name} are free ({share:.0%})"
    finding = partial(Finding, id="local.free-space", evidence=evidence)
    fix = "Delete what is not needed, or move the root to a larger disk"
    if share < _FULL[0] and free < _FULL[1]:
        message = "The file system is full."
        yield finding(severity=Severity.ERROR, message=message, fix=fix)
    elif share < _NEARLY_FULL[0] and free < _NEARLY_FULL[1]:
        message = "The file system is nearly full."
        yield finding(severity=Severity.WARNING, message=message, fix=fix)
    else:
        yield finding(severity=Severity.NOTICE, message="There is room on the file system.")
    if now.f_files and now.f_favail / now.f_files < _FEW_INODES:
        yield _warning(
            id="local.inodes",
            message="The file system has room for few more files, however small they are.",
            evidence=f"{now.f_favail} of {now.f_files} inodes are free",
            fix="Delete small files, or make a file system with more inodes (mkfs -N)",
        )


def _look_at_attributes(root: Root, options: DiagnosisOptions) -> Iterator[Finding]:
    """Find a file system that keeps no content types and no metadata."""
    if sys.platform != "linux" or not options.writable:
        return
    try:
        os.getxattr(root.path, "user.jtc.storage")
    except OSError as error:
        if error.errno in NO_ATTRIBUTES:
            yield _warning(
                id="local.attributes",
                message="The file system has no extended attributes: a put with a content type, "
                "headers or metadata is refused, and so are their copies.",
                evidence=f"{root.path} on {_kind_of(root) or 'its file system'}: "
                f"{os.strerror(error.errno or errno.ENOTSUP)}",
                fix="Move the root to ext4, XFS or Btrfs, or mount with user_xattr",
            )


def _look_at_descriptors(_root: Root, _options: DiagnosisOptions) -> Iterator[Finding]:
    """Find a process that may open few files at once."""
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415 - not on Windows

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit != resource.RLIM_INFINITY and limit < _FEW_DESCRIPTORS:
        yield _warning(
            id="local.descriptors",
            message="This process may open few files at once: operations wait for each other.",
            evidence=f"ulimit -n is {limit}",
            fix="ulimit -n 4096, or LimitNOFILE=4096 in the unit of systemd",
        )


def _look_at_clock(root: Root, _options: DiagnosisOptions) -> Iterator[Finding]:
    """Find a root that was changed in the future."""
    ahead = Path(root.path).stat().st_mtime - time.time()
    if ahead > _AHEAD_SECONDS:
        yield _warning(
            id="local.clock",
            message="The root was last changed in the future: a clock was or is wrong, and times "
            "of files do not tell which one is newer.",
            evidence=f"{ahead:.0f} seconds ahead of this machine's clock",
            fix="Set the clocks of this machine and of the file server by NTP: timedatectl",
        )


@dataclass
class _Content:
    """What is noticed on a walk through a disk's files."""

    names: int = 0
    staged: int = 0
    oldest: float = 0.0
    links: int = 0
    link: str = ""
    unreadable: int = 0
    closed: str = ""

    def look(self, entry: os.DirEntry[str]) -> None:
        """Take note of a name."""
        self.names += 1
        if entry.is_symlink():
            self.links, self.link = self.links + 1, self.link or entry.path
        elif entry.name.startswith(TEMPORARY_PREFIX):
            age = time.time() - entry.stat(follow_symlinks=False).st_ctime
            if age > _STALE_SECONDS:
                self.staged, self.oldest = self.staged + 1, max(self.oldest, age)
        elif RESERVED_DIRECTORY not in entry.path and not may(entry.path, os.R_OK):
            self.unreadable, self.closed = self.unreadable + 1, self.closed or entry.path


def _look_at_content(root: Root) -> Iterator[Finding]:
    """Find links, files that this process may not read, and what killed processes left."""
    seen = _walk(root.path)
    if (Path(root.path) / ".git").exists():
        yield _warning(
            id="local.git",
            message="The root is a git checkout: .git, with its configuration, is among the files "
            "of the disk.",
            evidence=f"{root.path}/.git",
            fix="Set 'root' (FILESYSTEM_ROOT) to a directory that has the disk's files alone",
        )
    if seen.links:
        yield _warning(
            id="local.links",
            message="There are symbolic links below the root: they are refused, and not listed.",
            evidence=f"{seen.links}, such as {seen.link}",
            fix="Move what they lead to into the root, or mount it there (mount --bind)",
        )
    if seen.unreadable:
        yield _warning(
            id="local.unreadable",
            message="There are files or directories that this process may not read.",
            evidence=f"{seen.unreadable}, such as {seen.closed}; its user is {user_name()}",
            fix=f"chown -R {user_name()} {root.path}, and run all programs that write as this user",
        )
    if seen.staged:
        yield _warning(
            id="local.staged-files",
            message="Killed processes left staged files. A listing of their directory removes "
            "them, and there was none.",
            evidence=f"{seen.staged}, the oldest {seen.oldest / 3600:.0f} hours old",
            fix="List the disk's files: jtc-storage ls -R",
        )


def _walk(path: str) -> _Content:
    """Look at the names below a directory, up to a number and for a time."""
    content, end = _Content(), time.monotonic() + _MOST_SECONDS
    waiting = [path]
    while waiting and content.names < _MOST_NAMES and time.monotonic() < end:
        with suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                with suppress(OSError):  # it is gone meanwhile
                    content.look(entry)
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                if content.names >= _MOST_NAMES:
                    break
    return content


def look_at_names(token: CancelToken, root: Root) -> list[Finding]:
    """Find a file system that takes different names for one, or has another clock.

    It makes a file and removes it; called in a worker.
    """
    directory = Path(root.path)
    name = f".jtc-check-{secrets.token_hex(8)}-\u00e9"
    file = directory / name
    try:
        with token:
            os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except OSError:
        return []  # what is wrong, the doctor finds by a put
    try:
        apart = file.stat().st_mtime - time.time()
        ignores_case = (directory / name.upper()).exists()
        decomposed = name.replace("\u00e9", "e\u0301")
        is_one = (directory / decomposed).exists()
    finally:
        file.unlink()
    found = []
    if ignores_case or is_one:
        what = "upper and lower case" if ignores_case else "composed and decomposed letters"
        found.append(
            _warning(
                id="local.names",
                message=f"The file system does not distinguish {what}: two names are one file, "
                "and one put replaces the other.",
                evidence=f"{root.path} on {_kind_of(root) or 'its file system'}",
                fix="Move the root to a file system that does, or use names of one form",
            )
        )
    if abs(apart) > _APART_SECONDS:
        found.append(
            _warning(
                id="local.clock",
                message="The file system has another clock than this machine, as on a server with "
                "a wrong time.",
                evidence=f"A new file's time is {apart:+.0f} seconds off",
                fix="Set the clocks of both by NTP: timedatectl",
            )
        )
    return found


def _is_read_only(root: Root) -> bool:
    return sys.platform != "win32" and bool(os.statvfs(root.path).f_flag & os.ST_RDONLY)


def _kind_of(root: Root) -> str | None:
    """Return the type of the root's file system, where the system says it."""
    descriptor = -1
    try:
        descriptor = os.open(root.path, os.O_RDONLY)
        mount = mount_of(descriptor)
    except OSError:
        return None
    finally:
        if descriptor >= 0:
            os.close(descriptor)
    return mount and mount[0]
