"""Behaviour of a fake of an S3 disk in tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jtc.storage.driver import SIGNING_METHODS, FakeTraits
from jtc.storage.drivers.s3_driver._objects.metadata import declared_headers
from jtc.storage.drivers.s3_driver._objects.presigning import check_options, check_presignable
from jtc.storage.exceptions import RejectedException
from jtc.storage.models import Visibility

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jtc.storage.drivers.s3_driver._settings import Settings

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

    def check(method: str, path: str, options: Any) -> None:
        if method in SIGNING_METHODS:
            check_presignable(settings)
            check_options(path, options, form=method == "temporary_upload_form")
        else:
            declared_headers(options)
            _check_length(options.metadata or {})

    return FakeTraits(
        visibility=settings.visibility or Visibility.PRIVATE,
        keeps_visibility=False,
        infers_types=True,
        check=check,
    )


def _check_length(metadata: Mapping[str, str]) -> None:
    length = sum(len(name.encode()) + len(text.encode()) for name, text in metadata.items())
    if length > _LONGEST_METADATA:
        raise RejectedException(
            f"The metadata takes {length} bytes, and AWS keeps {_LONGEST_METADATA}",
            reason="metadata",
        )
