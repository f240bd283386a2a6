"""Translation of OpenDAL's errors into ours, without secrets."""

from __future__ import annotations

import errno
import logging
import os
import re
from typing import TYPE_CHECKING, NamedTuple

import opendal.exceptions

from jtc.storage.driver_support.error_translation import translate
from jtc.storage.exceptions import (
    FileNotFoundException,
    IntegrityException,
    InvalidPathException,
    NotModifiedException,
    PathConflictException,
    PreconditionFailedException,
    StorageConfigException,
    StorageException,
    StorageFullException,
    StoragePermissionException,
    StorageUnavailableException,
    UnsupportedOperationException,
)

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = [
    "OpenDALError",
    "is_of_lost_connection",
    "is_of_stale_connection",
    "is_temporary",
    "translated",
    "without_secrets",
]

_log = logging.getLogger("jtc.storage")

OpenDALError: tuple[type[Exception], ...] = (
    *(each for each in vars(opendal.exceptions).values() if isinstance(each, type)),
    OSError,  # of an open file, with the same text
)
"""What calls of OpenDAL raise."""

_FAILURES = 500
"""The first of the statuses that a server's own failures have."""

_SHORT = 4
"""A secret of fewer characters may be a part of any word."""

_KIND = re.compile(r"(\w+) \((permanent|temporary|persistent)\)")
_OS_ERROR = re.compile(r"\(os error (\d+)\)")
_STATUS = re.compile(r"status: (\d{3})\b|status: HTTP/[\d.]+ (\d{3})\b")
_FTP_REPLY = re.compile(r"Invalid response: \[\d+\] (\d{3})\b")

# The texts of system errors, which FTP and WebDAV servers pass on without a number.
_SYSTEM_TEXTS = {
    os.strerror(number).lower(): number
    for number in (
        errno.EISDIR,
        errno.ENOTDIR,
        errno.ENOTEMPTY,
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.ENOSPC,
        errno.EDQUOT,
        errno.ENAMETOOLONG,
    )
}

_MISSING = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR})

_BY_KIND: dict[str, tuple[type[StorageException], str]] = {
    "NotFound": (FileNotFoundException, "File not found"),
    "PermissionDenied": (
        StoragePermissionException,
        "Access denied: the service does not permit this",
    ),
    "IsADirectory": (PathConflictException, "There is a directory where a file is needed"),
    "NotADirectory": (PathConflictException, "There is a file where a directory is needed"),
    "AlreadyExists": (PathConflictException, "There is a file where a directory is needed"),
    "ConditionNotMatch": (
        PreconditionFailedException,
        "The file is not the version that if_match names",
    ),
    "RateLimited": (StorageUnavailableException, "The service asks for fewer requests"),
    "Unsupported": (UnsupportedOperationException, "The service cannot do this"),
    "ConfigInvalid": (StorageConfigException, "OpenDAL refuses the options"),
    "RangeNotSatisfied": (IntegrityException, "The file was replaced while it was read"),
    "Conflict": (PreconditionFailedException, "Another request changed the file meanwhile"),
}

# HTTP's statuses and FTP's replies.
_BY_STATUS: dict[int, tuple[type[StorageException], str]] = {
    304: (NotModifiedException, "The file still is the version that if_none_match names"),
    401: (StoragePermissionException, "The service refuses the credentials"),
    403: (StoragePermissionException, "Access denied: the service does not permit this"),
    404: (FileNotFoundException, "File not found"),
    409: (PathConflictException, "There is a file where a directory is needed, or the reverse"),
    412: (PreconditionFailedException, "The file is not the version that if_match names"),
    413: (StorageFullException, "The content is larger than the service takes"),
    414: (InvalidPathException, "The path is too long for the service"),
    421: (StorageUnavailableException, "The service ends the connection"),
    423: (StorageUnavailableException, "The file is locked"),
    429: (StorageUnavailableException, "The service asks for fewer requests"),
    452: (StorageFullException, "The service has no room left"),
    507: (StorageFullException, "The service has no room left"),
    530: (StoragePermissionException, "The service refuses the credentials"),
    552: (StorageFullException, "The service has no room left"),
}

_REFUSED_CREDENTIALS = re.compile(
    r"NOAUTH|WRONGPASS|NOPERM|password authentication failed", re.IGNORECASE
)


class _Parts(NamedTuple):
    """What the text of an error says.

    Attributes:
        kind: The name of OpenDAL's kind of error.
        is_temporary: Whether the same call may succeed later.
        system: The number of a system error, or None.
        status: The status of an answer, or None.
    """

    kind: str
    is_temporary: bool
    system: int | None
    status: int | None


def is_of_lost_connection(error: BaseException) -> bool:
    """Return whether a connection of OpenDAL's pool serves no call any more, and stays in it."""
    return "Data connection is already open" in str(error)


def is_of_stale_connection(error: BaseException) -> bool:
    """Return whether a connection was dropped before its answer, as an idle one may have been."""
    text = str(error)
    return "SendRequest" in text and "Connection refused" not in text


def is_temporary(error: BaseException) -> bool:
    """Return whether a call may be sent again after an error."""
    parts = _parts(error)
    if parts.system in _MISSING or parts.system in _SYSTEM_TEXTS.values():
        return False  # OpenDAL counts each system error as temporary
    return parts.is_temporary or parts.kind == "RateLimited"


def translated(
    error: Exception, *, reads: bool, service: str, secrets: Collection[str]
) -> StorageException:
    """Return an error of OpenDAL as one of ours, and log its whole text.

    Args:
        error: What a call raised.
        reads: The call needs a file that is there: one below a file, or a directory, is none.
        service: The service's name, for the message.
        secrets: Texts that no message shows.
    """
    text, parts = without_secrets(str(error), secrets), _parts(error)
    error.args = (text,)  # it is the context of ours
    _log.debug("OpenDAL's %s: %s", service, text)
    if reads and (parts.kind in {"IsADirectory", "NotADirectory"} or parts.system in _MISSING):
        return FileNotFoundException("File not found")
    if parts.system is not None and parts.kind != "AlreadyExists":
        return translate(OSError(parts.system, ""))
    cls, message = _BY_KIND.get(parts.kind) or _by_status(parts, text)
    detail = _detail(text) if parts.kind not in {"NotFound", "ConditionNotMatch"} else ""
    return cls(f"{message} ({service}{detail})" if detail else message)


def _by_status(parts: _Parts, text: str) -> tuple[type[StorageException], str]:
    if parts.status is not None and parts.status in _BY_STATUS:
        return _BY_STATUS[parts.status]
    if _REFUSED_CREDENTIALS.search(text):
        return StoragePermissionException, "The service refuses the credentials"
    if parts.is_temporary or (parts.status or 0) >= _FAILURES:
        return StorageUnavailableException, "The service cannot be reached or does not work"
    return StorageException, "The service failed"


def _parts(error: BaseException) -> _Parts:
    text = str(error)
    found = _KIND.match(text)
    kind, lasting = found.groups() if found else (type(error).__name__, "permanent")
    system = _OS_ERROR.search(text)
    number = int(system[1]) if system else None
    if number is None and kind in {"Unexpected", "NotFound"}:
        lower = text.lower()
        number = next((number for each, number in _SYSTEM_TEXTS.items() if each in lower), None)
    status = _STATUS.search(text) or _FTP_REPLY.search(text)
    said = next((int(each) for each in status.groups() if each), None) if status else None
    return _Parts(kind, lasting != "permanent", number, said)


def _detail(text: str) -> str:
    """Return the cause that an error names, in one short line, after a colon."""
    _, _, after = text.partition("Source:\n")
    line = (after or text.partition("=> ")[2]).strip().split("\n")[0].strip()
    status = _STATUS.search(text)
    if line.startswith("<") or not line:
        line = f"status {next(each for each in status.groups() if each)}" if status else ""
    return f": {line[:200]}" if line else ""


def without_secrets(text: str, secrets: Collection[str]) -> str:
    """Return a text in which secrets are replaced; none of it where one is too short for that."""
    if any(len(secret) < _SHORT and secret in text for secret in secrets):
        return "(hidden)"
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "(hidden)")
    return text
