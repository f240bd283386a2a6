"""Behaviour of a fake of an Azure disk in tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jtc.storage.drivers.azure_driver._objects.metadata import declared_headers
from jtc.storage.drivers.azure_driver._objects.presigning import check_options
from jtc.storage.http_support.faking import traits_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jtc.storage.driver import FakeTraits
    from jtc.storage.drivers.azure_driver._transport.transport import Transport
    from jtc.storage.options import SignOptions

__all__ = ["options_without_keys", "traits"]

_OF_KEYS = frozenset(
    {"connection_string", "account_key", "sas_token", "credential", "anonymous", "ca_bundle"}
)
_FAKE_KEY = "ZmFrZQ=="

_LONGEST_METADATA = 8192
"""https://learn.microsoft.com/en-us/rest/api/storageservices/setting-and-retrieving-properties-and-metadata-for-blob-resources"""


def options_without_keys(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return a driver's options without keys, and files of keys and certificates."""
    kept = {name: value for name, value in options.items() if name not in _OF_KEYS}
    if kept.get("account") is None and kept.get("endpoint_url") is None:
        kept["account"] = "fake"
    anonymous = options.get("anonymous") or False
    how = {"anonymous": True} if anonymous else {"account_key": _FAKE_KEY}
    return {"container": "fake", **kept, **how}


def traits(transport: Transport) -> FakeTraits:
    """Return how a fake behaves."""

    def check(_method: str, _path: str, options: SignOptions) -> None:
        transport.check_presignable()
        check_options(options)

    return traits_of(None, check, declared_headers, "Azure", _LONGEST_METADATA)
