"""The option `driver_options`: fields of an object of Google's JSON API."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from jtc.storage.exceptions import UnsupportedOperationException
from jtc.storage.http_support.driver_options import check_names

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DRIVER_OPTIONS", "resource_options", "upload_headers"]

_HEADERS = {
    "contentLanguage": "content-language",
    "customTime": "x-goog-custom-time",
    "kmsKeyName": "x-goog-encryption-kms-key-name",
    "storageClass": "x-goog-storage-class",
}
"""The fields that an upload by a presigned URL can have, as headers of the XML API."""

_KINDS: dict[str, tuple[type, str]] = {
    "contentLanguage": (str, "a str"),
    "customTime": (dt.datetime, "a datetime"),
    "eventBasedHold": (bool, "True or False"),
    "kmsKeyName": (str, "a str"),
    "storageClass": (str, "a str"),
    "temporaryHold": (bool, "True or False"),
}

DRIVER_OPTIONS = frozenset(_KINDS)
"""The fields of an object that `driver_options` may hold.
https://cloud.google.com/storage/docs/json_api/v1/objects"""


def resource_options(options: Mapping[str, object]) -> dict[str, Any]:
    """Return the fields of an object that `driver_options` set.

    Raises:
        UnsupportedOperationException: A name is none of `DRIVER_OPTIONS`.
        ValueError: A value has a wrong type.
    """
    check_names(options, DRIVER_OPTIONS, "gcs")
    fields: dict[str, Any] = {}
    for name, value in options.items():
        kind, described = _KINDS[name]
        if not isinstance(value, kind):
            raise ValueError(  # noqa: TRY004 - as every wrong value of an option
                f"driver_options[{name!r}] is {described}, not {value!r}"
            )
        fields[name] = _time_text(value) if isinstance(value, dt.datetime) else value
    return fields


def _time_text(at: dt.datetime) -> str:
    # In local time, unless it names another.
    return at.astimezone(dt.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def upload_headers(fields: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers with which a client's upload sets fields.

    Raises:
        UnsupportedOperationException: A hold cannot be set so.
    """
    for name in fields:
        if name not in _HEADERS:
            raise UnsupportedOperationException(f"A presigned upload cannot set {name}")
    return {_HEADERS[name]: str(value) for name, value in fields.items()}
