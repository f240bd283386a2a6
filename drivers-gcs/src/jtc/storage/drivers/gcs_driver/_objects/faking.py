"""Behaviour of a fake of a disk at Google in tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jtc.storage.driver import SIGNING_METHODS, FakeTraits
from jtc.storage.drivers.gcs_driver._objects.metadata import declared_fields
from jtc.storage.drivers.gcs_driver._objects.presigning import check_options, check_presignable
from jtc.storage.exceptions import RejectedException
from jtc.storage.models import Visibility

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jtc.storage.drivers.gcs_driver._settings import Settings

__all__ = ["options_without_keys", "traits"]

_OF_CREDENTIALS = frozenset({"credentials_file", "credentials_info", "credentials", "ca_bundle"})

_LONGEST_METADATA = 8192
"""https://cloud.google.com/storage/quotas#objects"""


def options_without_keys(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return a driver's options without credentials, and files of them and of certificates."""
    kept = {name: value for name, value in options.items() if name not in _OF_CREDENTIALS}
    return {"bucket": "fake", **kept}


def traits(settings: Settings) -> FakeTraits:
    """Return how a fake behaves."""

    def check(method: str, path: str, options: Any) -> None:
        if method in SIGNING_METHODS:
            check_presignable(settings)
            check_options(path, options, form=method == "temporary_upload_form")
        else:
            declared_fields(options)
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
            f"The metadata takes {length} bytes, and Google keeps {_LONGEST_METADATA}",
            reason="metadata",
        )
