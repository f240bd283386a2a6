"""What the environment says of a disk at Google."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jtc.storage.drivers.gcs_driver._settings import GOOGLE, emulator_url

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["bucket_of", "completed"]

_BUCKET_VARIABLES = ("GCS_BUCKET", "GOOGLE_CLOUD_STORAGE_BUCKET", "GS_BUCKET_NAME")


def bucket_of(environ: Mapping[str, str]) -> str:
    """Return the bucket's name; an empty one where no variable has it."""
    return next((value for name in _BUCKET_VARIABLES if (value := environ.get(name))), "")


def completed(options: dict[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """Return options with what the environment says of those that are left open."""
    options, sources = dict(options), {}
    if options["endpoint_url"] is None:
        options["endpoint_url"] = GOOGLE
        if (url := emulator_url(environ)) is not None:
            options["endpoint_url"], sources["endpoint_url"] = url, "STORAGE_EMULATOR_HOST"
            names = ("credentials_file", "credentials_info", "credentials")
            options["anonymous"] |= all(options[name] is None for name in names)
    if options["project"] is None:
        options["project"] = environ.get("GOOGLE_CLOUD_PROJECT") or None
        sources["project"] = "GOOGLE_CLOUD_PROJECT"
    return {**options, "sources": sources}
