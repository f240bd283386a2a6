"""The option `driver_options`: parameters of Azure's Put Blob, as headers."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

from jtc.storage.http_support.driver_options import headers_of

__all__ = ["DRIVER_OPTIONS", "driver_headers"]

_DRIVER_HEADERS = {
    "AccessTier": "x-ms-access-tier",
    "ContentLanguage": "x-ms-blob-content-language",
    "EncryptionScope": "x-ms-encryption-scope",
    "ImmutabilityPolicyMode": "x-ms-immutability-policy-mode",
    "ImmutabilityPolicyUntilDate": "x-ms-immutability-policy-until-date",
    "LegalHold": "x-ms-legal-hold",
    "Tags": "x-ms-tags",
}

DRIVER_OPTIONS = frozenset(_DRIVER_HEADERS)
"""The parameters that `driver_options` may hold: those of Put Blob that Put Block List has as well,
and that have no option in `WriteOptions`.
https://learn.microsoft.com/en-us/rest/api/storageservices/put-blob"""


def driver_headers(options: Mapping[str, object]) -> dict[str, str]:
    """Return the headers of `driver_options`.

    Raises:
        UnsupportedOperationException: A name is none of `DRIVER_OPTIONS`.
        ValueError: A value has a wrong type, or letters that HTTP headers cannot carry.
    """
    return headers_of(options, _DRIVER_HEADERS, _option_text, "azure")


def _option_text(name: str, value: object) -> str:
    match value:
        case str() if name != "LegalHold":
            return value
        case bool() if name == "LegalHold":
            return str(value).lower()
        case Mapping() if name == "Tags":
            return urlencode(value)
    expected = "True or False" if name == "LegalHold" else "a str"
    raise ValueError(f"driver_options[{name!r}] is {expected}, not {value!r}")
