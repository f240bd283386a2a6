"""Behaviour of a fake of a disk at Google in tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jtc.storage.drivers.gcs_driver._objects.metadata import declared_fields
from jtc.storage.drivers.gcs_driver._objects.presigning import check_options, check_presignable
from jtc.storage.http_support.faking import traits_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jtc.storage.driver import FakeTraits
    from jtc.storage.drivers.gcs_driver._settings import Settings
    from jtc.storage.options import SignOptions

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

    def check(method: str, path: str, options: SignOptions) -> None:
        check_presignable(settings)
        check_options(path, options, form=method == "temporary_upload_form")

    return traits_of(settings.visibility, check, declared_fields, "Google", _LONGEST_METADATA)
