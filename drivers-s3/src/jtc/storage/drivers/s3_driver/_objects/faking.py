"""Behaviour of a fake of an S3 disk in tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jtc.storage.drivers.s3_driver._objects.metadata import declared_headers
from jtc.storage.drivers.s3_driver._objects.presigning import check_options, check_presignable
from jtc.storage.http_support.faking import traits_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jtc.storage.driver import FakeTraits
    from jtc.storage.drivers.s3_driver._settings import Settings
    from jtc.storage.options import SignOptions

__all__ = ["options_without_keys", "traits"]

_OF_KEYS = frozenset(
    {"access_key", "secret_key", "session_token", "profile", "credentials", "session", "ca_bundle"}
)

_LONGEST_METADATA = 2048
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html"""


def options_without_keys(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return a driver's options without keys, and files of keys and certificates."""
    kept = {name: value for name, value in options.items() if name not in _OF_KEYS}
    if kept.get("sse_customer_key") is not None:
        kept["sse_customer_key"] = bytes(32)
    return {"bucket": "fake", **kept}


def traits(settings: Settings) -> FakeTraits:
    """Return how a fake behaves."""

    def check(method: str, path: str, options: SignOptions) -> None:
        check_presignable(settings)
        check_options(path, options, form=method == "temporary_upload_form")

    return traits_of(settings.visibility, check, declared_headers, "AWS", _LONGEST_METADATA)
