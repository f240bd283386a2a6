"""Versions of files: the etag, a file's generation and metageneration, and conditions by it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jtc.storage.options import WriteOptions

__all__ = [
    "etag_of",
    "if_version",
    "media_conditions",
    "target_conditions",
]

_ETAG = re.compile(r"([0-9]{1,19})\.([0-9]{1,19})")
_NO_VERSION = "1", "1"
"""A generation that no file has: they are microseconds since 1970."""


def etag_of(resource: Mapping[str, Any]) -> str:
    """Return a file's etag.

    Google's own names an object in one of its two APIs, and its generation alone would stay when
    metadata changes: that counts up its metageneration.
    https://cloud.google.com/storage/docs/metadata#generation-number
    """
    return f"{resource['generation']}.{resource.get('metageneration') or 1}"


def _version(etag: str) -> tuple[str, str]:
    found = _ETAG.fullmatch(etag)
    # A generation of 0 would be the condition that there is no file.
    return (found[1], found[2]) if found and int(found[1]) else _NO_VERSION


def if_version(etag: str | None, of: str = "") -> dict[str, str]:
    """Return the condition that a file is the version of an etag; none without one.

    Args:
        etag: The etag. One that no file can have is met by none.
        of: ``"Source"`` for the original of a copy.
    """
    if etag is None:
        return {}
    generation, metageneration = _version(etag)
    return {
        f"if{of}GenerationMatch": generation,
        f"if{of}MetagenerationMatch": metageneration,
    }


def media_conditions(etag: str | None) -> dict[str, str]:
    """Return the headers by which a read is of the version of an etag; none without one."""
    if etag is None:
        return {}
    generation, metageneration = _version(etag)
    return {
        "x-goog-if-generation-match": generation,
        "x-goog-if-metageneration-match": metageneration,
    }


def target_conditions(options: WriteOptions) -> dict[str, str]:
    """Return the conditions of `overwrite` and `if_match`."""
    return if_version(options.if_match) if options.overwrite else {"ifGenerationMatch": "0"}
