"""Checks of presigned URLs and forms, and the times within which they are valid."""

from __future__ import annotations

import math
import time

from jtc.storage.exceptions import InvalidPathException

__all__ = ["check_form_key", "check_length", "check_times", "life_of"]

_LONGEST = 7 * 24 * 3600
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/ShareObjectPreSignedURL.html,
https://learn.microsoft.com/en-us/rest/api/storageservices/get-user-delegation-key (the account's
key would sign for longer), https://cloud.google.com/storage/docs/access-control/signed-urls"""
_SHORTEST_PERIOD = 0.001


def check_times(expires_in: float, stable_for: float | None = None) -> None:
    """Check how long a result is to be valid, and the period in which all results are the same.

    Raises:
        ValueError: One is out of range, or both together are.
    """
    if not 1 <= expires_in <= _LONGEST:
        raise ValueError(f"expires_in must be from 1 to {_LONGEST} seconds, not {expires_in}")
    if stable_for is not None and not _SHORTEST_PERIOD <= stable_for <= _LONGEST - expires_in:
        raise ValueError(
            f"stable_for must be from {_SHORTEST_PERIOD} seconds, and at most {_LONGEST} (7 days) "
            f"together with expires_in, not {stable_for} and {expires_in}"
        )


def life_of(expires_in: float, stable_for: float | None = None) -> tuple[int, int]:
    """Return when a result begins to be valid, and for how many seconds it is.

    With `stable_for`, all results of a period begin with it.

    Raises:
        ValueError: As of `check_times`.
    """
    check_times(expires_in, stable_for)
    now = time.time()
    if stable_for is None:
        return int(now), math.ceil(expires_in)
    start = now // stable_for * stable_for
    seconds = math.ceil(start + stable_for + expires_in) - int(start)
    return int(start), min(seconds, _LONGEST)


def check_length(name: str, value: int) -> int:
    """Return an option that is a number of bytes.

    Raises:
        ValueError: It is negative.
    """
    if value < 0:
        raise ValueError(f"{name} must be 0 or more bytes, not {value}")
    return value


def check_form_key(key: str, store: str) -> None:
    """Check that a form is for one file.

    https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTForms.html,
    https://cloud.google.com/storage/docs/xml-api/post-object-forms

    Raises:
        InvalidPathException: The store would replace a part of the key.
    """
    if "${filename}" in key:
        raise InvalidPathException(
            f"In a form, {store} replaces ${{filename}} by the uploader's own"
        )
