"""Conditions on a file's version: their headers, and what they mean where they do not hold."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from jtc.storage import exceptions

if TYPE_CHECKING:
    from jtc.storage.options import ReadOptions, WriteOptions

__all__ = [
    "EXISTS",
    "OTHER_VERSION",
    "SAME_VERSION",
    "check_read",
    "condition_headers",
    "lost_answer",
    "one_version",
    "read_headers",
]

EXISTS = "The file exists already"
SAME_VERSION = "The file still is the version that if_none_match names"
OTHER_VERSION = "The file is not the version that if_match names"

_LIST = re.compile(r'"\s*,')


def one_version(etag: str, no_etag: str) -> str:
    """Return an etag for a condition, which in HTTP would also take ``*`` or a list.

    Args:
        etag: The etag.
        no_etag: One that no file has, in the place of what would be compared with any version.
    """
    return no_etag if etag.strip() in {"", "*"} or _LIST.search(etag) else etag


def condition_headers(options: WriteOptions, no_etag: str) -> dict[str, str]:
    """Return the headers of `overwrite` and `if_match`; `no_etag` as for `one_version`."""
    headers = {} if options.overwrite else {"if-none-match": "*"}
    if options.if_match is not None:
        headers["if-match"] = one_version(options.if_match, no_etag)
    return headers


def read_headers(options: ReadOptions, no_etag: str) -> dict[str, str]:
    """Return the headers of `if_match` and `if_none_match`; `no_etag` as for `one_version`."""
    given = {"if-match": options.if_match, "if-none-match": options.if_none_match}
    return {name: one_version(etag, no_etag) for name, etag in given.items() if etag is not None}


def check_read(etag: str | None, options: ReadOptions) -> None:
    """Hold an answer to the conditions of its request: some stores ignore them.

    Raises:
        NotModifiedException: It is the version of `if_none_match`.
        PreconditionFailedException: It is not that of `if_match`.
    """
    if options.if_match is not None and etag not in {None, options.if_match}:
        raise exceptions.PreconditionFailedException(OTHER_VERSION)
    if etag is not None and etag == options.if_none_match:
        raise exceptions.NotModifiedException(SAME_VERSION)


def lost_answer(path: str) -> exceptions.StorageUnavailableException:
    """Return the error for a write that was refused after its first answer was lost."""
    return exceptions.StorageUnavailableException(
        "An answer of the store was lost: the file that is there may be the one that was sent",
        path=path,
        retryable=False,
    )
