"""URLs of attachments: made without I/O, and verified by the route."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, unquote, urlencode

from jtc.storage.attachments._names import display_name
from jtc.storage.exceptions import StoragePermissionException

if TYPE_CHECKING:
    from jtc.storage.attachments.fields import Field
    from jtc.storage.attachments.models import Attachment, PublicVariant
    from jtc.storage.attachments.registry import Registry

__all__ = ["SignedUrl", "srcset_of", "url_of", "variants_of", "verify"]

_KIND = "attachment-url-1"
_ID = re.compile(r"[0-9a-f]{32}")
_FILE = re.compile(r"(?:original|([a-z][a-z0-9_]*)-([0-9a-f]{8}))(?:\.[a-z0-9]{1,16})?")
_NUMBER = re.compile(r"[1-9][0-9]{0,11}")
_PARAMETERS = ("expires", "download", "signature")
_LONGEST_QUERY = 8192
_PARTS = 4
"""A URL that expires is the same for this part of its lifetime."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedUrl:
    """The meaning of a URL whose signature is valid.

    Attributes:
        field: The field.
        id: The attachment's id.
        file: The name of the file in the attachment's directory.
        variant: The name of a variant; None for the original.
        recipe: The fingerprint of the variant's recipe, perhaps of a former one.
        download: The name under which the browser is to save the file; None to show it.
        expires: When the URL expires, in seconds since 1970 UTC; None for never.
    """

    field: Field
    id: str
    file: str
    variant: str | None
    recipe: str | None
    download: str | None
    expires: int | None


def url_of(
    field: Field,
    attachment: Attachment,
    variant: str | None,
    *,
    download: bool | str = False,
    expires_in: float | None = None,
) -> str:
    """Return the URL of an attachment; see `Attachment.url`."""
    file = attachment.file if variant is None else field.variant_file(variant)
    if field.serve == "direct" and not download and expires_in is None:
        return _direct_url(field, attachment, variant)
    registry = field.registry
    parameters = {}
    lifetime = field.url_lifetime if expires_in is None else expires_in
    if lifetime is not None:
        parameters["expires"] = str(_end(lifetime, registry.keep))
    if download:
        parameters["download"] = _download_name(field, attachment, download)
    parameters["signature"] = registry.signatures.sign(
        *_signed(registry, field.name, attachment.id, file, parameters)
    )
    path = f"{quote(field.name)}/{attachment.id}/{file}"
    return f"{registry.base_url}/{path}?{urlencode(parameters, quote_via=quote, safe='')}"


def srcset_of(field: Field, attachment: Attachment, variants: tuple[str, ...]) -> str:
    """Return the candidates of a ``srcset``; see `Attachment.srcset`."""
    candidates = []
    for variant in variants or tuple(field.variants):
        url = url_of(field, attachment, variant)
        width, _ = _size(field, attachment, variant)
        if width is not None:
            candidates.append(f"{url} {width}w")
    return ", ".join(candidates)


def variants_of(field: Field, attachment: Attachment) -> dict[str, PublicVariant]:
    """Return what a client may see of the variants of an attachment, by name."""
    found: dict[str, PublicVariant] = {}
    for name, recipe in field.variants.items():
        width, height = _size(field, attachment, name)
        found[name] = {
            "url": url_of(field, attachment, name),
            "type": recipe.content_type,
            "width": width,
            "height": height,
        }
    return found


def verify(registry: Registry, path: str, query: str) -> SignedUrl:
    """Return the meaning of a URL of the route.

    Parameters of other names are ignored: newsletters and proxies add their own.

    Args:
        registry: The registry whose secrets signed it.
        path: The URL's path as it was sent, or its last three parts.
        query: The part after the ``?`` as it was sent.

    Raises:
        StoragePermissionException: It is no URL of this registry, or has expired.
    """
    name, id_, file = ["", "", "", *unquote(path).split("/")][-3:]
    field = registry.fields.get(name)
    match = _FILE.fullmatch(file)
    if field is None or match is None or not _ID.fullmatch(id_) or len(query) > _LONGEST_QUERY:
        raise _refused()
    pairs = parse_qsl(query, keep_blank_values=True, errors="surrogateescape")
    ours = [(key, value) for key, value in pairs if key in _PARAMETERS]
    given = dict(ours)
    signature = given.pop("signature", "")
    if len(given) + 1 != len(ours) or not registry.signatures.fits(
        signature, *_signed(registry, name, id_, file, given)
    ):
        raise _refused()
    expires = given.get("expires")
    if expires is not None and not _NUMBER.fullmatch(expires):
        raise _refused()
    if expires is not None and time.time() >= int(expires):
        raise StoragePermissionException("The URL has expired: load the page again")
    return SignedUrl(
        field=field,
        id=id_,
        file=file,
        variant=match[1],
        recipe=match[2],
        download=given.get("download"),
        expires=None if expires is None else int(expires),
    )


def _signed(
    registry: Registry, field: str, id_: str, file: str, parameters: dict[str, str]
) -> tuple[str | None, ...]:
    return (
        _KIND,
        registry.namespace,
        field,
        id_,
        file,
        parameters.get("expires"),
        parameters.get("download"),
    )


def _direct_url(field: Field, attachment: Attachment, variant: str | None) -> str:
    disk = field.registry.disk(attachment.disk)
    if variant is None:
        return disk.url(attachment.key)
    made = attachment.variants.get(variant)
    # A variant that the field got later is in rows only after `variants regenerate`.
    file = attachment.file if made is None else made.file
    return disk.url(f"{attachment.own_directory}/{file}")


def _end(lifetime: float, longest: float) -> int:
    """Return when a URL that is made now expires."""
    if not 1 <= lifetime <= longest:
        raise ValueError(
            f"expires_in is 1 second at least, and {longest:g} at most: files of dropped rows are "
            f"kept for that long (the registry's 'keep'), not {lifetime!r}"
        )
    period = lifetime / _PARTS
    return int((time.time() // period + _PARTS) * period)


def _download_name(field: Field, attachment: Attachment, download: bool | str) -> str:
    if isinstance(download, str):
        name = download
    else:
        name = attachment.name if field.download_name is None else field.download_name(attachment)
    return display_name(name) or attachment.file


def _size(field: Field, attachment: Attachment, variant: str) -> tuple[int | None, int | None]:
    """Return the width and height of a variant, or two None if they are not known."""
    made = attachment.variants.get(variant)
    recipe = field.variants[variant]
    # What is served is the file of the current recipe, or on a public disk the one that is there.
    if made is not None and (made.recipe == recipe.fingerprint or field.serve == "direct"):
        return made.width, made.height
    size_of = getattr(recipe, "output_size", None)
    if size_of is None or attachment.width is None or attachment.height is None:
        return None, None
    size: tuple[int, int] | None = size_of(attachment.width, attachment.height)
    return (None, None) if size is None else size


def _refused() -> StoragePermissionException:
    # Without the reason, which would help an attacker.
    return StoragePermissionException("The URL is not valid for this application's attachments")
