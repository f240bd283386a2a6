"""Presigned URLs and forms for storage that no server serves: local files and memory.

A driver signs and `jtc.storage.asgi` verifies, both with a `UrlSigner`. The signature is
HMAC-SHA256 (RFC 2104) over the version, the method, the disk, the file, the expiry, the type, the
length and the disposition, as one JSON array: each value has its own position and its own quotes,
so that no two grants have the same signature.

The disk is identified by its `base_url`: a driver does not have its disk's name, which may differ
between processes, while the base URL of its files may not.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import math
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn, SupportsIndex, TypeAlias
from urllib.parse import parse_qsl, quote, unquote, urlencode

from jtc.storage.driver_support.mime_types import guess_type
from jtc.storage.driver_support.standalone import standalone
from jtc.storage.driver_support.traceback_scrubbing import ScrubbedLocals
from jtc.storage.exceptions import (
    StorageConfigException,
    StoragePermissionException,
    UnsupportedOperationException,
)
from jtc.storage.models import PresignedForm, PresignedRequest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jtc.storage.options import SignOptions

__all__ = [
    "SIGNING_CAPABILITIES",
    "Grant",
    "PresignedUrls",
    "Secrets",
    "UrlSigner",
    "make_signer",
    "require_signer",
    "without_secret",
]

Secrets: TypeAlias = "str | bytes | Sequence[str | bytes]"
"""A secret, or several: the first one signs, all verify. Each has 32 bytes or more."""

SIGNING_CAPABILITIES = frozenset({"temporary_urls", "temporary_uploads", "upload_forms"})
"""The capabilities that a driver without a secret lacks."""

_VERSION = "1"
_SHORTEST = 32
"""RFC 2104, section 3: a key below the hash's length weakens it, and a longer one adds little."""
_LATEST = 10**11
"""Seconds since 1970, in the year 5138: every part involved can represent it."""
_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")
_LONGEST_QUERY = 8192
_PARAMETERS = ("version", "expires", "type", "length", "min_length", "disposition", "signature")


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A permission that a signature grants.

    Attributes:
        method: ``"GET"`` (which includes HEAD), ``"PUT"`` or ``"POST"`` (a form).
        path: The file's path for the driver.
        expires: When it expires, in seconds since 1970 UTC.
        content_type: The Content-Type of the response, or of an upload.
        length: An upload's length in bytes; of a form, the largest length.
        content_disposition: The Content-Disposition of the response.
        min_length: Of a form, the smallest length in bytes.
    """

    method: str
    path: str
    expires: int
    content_type: str | None = None
    length: int | None = None
    content_disposition: str | None = None
    min_length: int | None = None

    @property
    def parameters(self) -> dict[str, str]:
        """The query parameters of a URL without the signature, in their fixed order."""
        parameters = {
            "version": _VERSION,
            "expires": str(self.expires),
            "type": self.content_type,
            "length": None if self.length is None else str(self.length),
            "min_length": None if self.min_length is None else str(self.min_length),
            "disposition": self.content_disposition,
        }
        return {name: value for name, value in parameters.items() if value is not None}


@dataclass(frozen=True, slots=True)
class UrlSigner:
    """Signs and verifies the URLs of one disk; `make_signer` makes it.

    Args:
        base_url: The beginning of the disk's URLs, without a ``/`` at the end.
        keys: The secrets; the first one signs, all verify.
    """

    base_url: str
    keys: tuple[bytes, ...] = field(repr=False)

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "A signer holds secrets and cannot be pickled: make the driver in the other process"
        )

    def download_url(self, path: str, options: SignOptions) -> str:
        """Return a presigned URL for GET; see `SupportsTemporaryUrls`.

        Raises:
            ValueError: The time, the type or the disposition is invalid.
        """
        return self._signed_url(
            Grant(
                method="GET",
                path=path,
                expires=_end(options.expires_in, options.stable_for),
                content_type=_header("content_type", options.content_type),
                content_disposition=_header("content_disposition", options.content_disposition),
            )
        )

    def upload_request(self, path: str, options: SignOptions) -> PresignedRequest:
        """Return a presigned PUT request; see `SupportsTemporaryUploads`.

        Raises:
            ValueError: The time, the type or the size is invalid.
        """
        grant = Grant(
            method="PUT",
            path=path,
            expires=_end(options.expires_in),
            content_type=_header("content_type", options.content_type),
            length=_length("size", options.size),
        )
        headers = {}
        if grant.content_type is not None:
            headers["Content-Type"] = grant.content_type
        if grant.length is not None:
            headers["Content-Length"] = str(grant.length)
        return PresignedRequest(
            method="PUT",
            url=self._signed_url(grant),
            headers=headers,
            expires_at=float(grant.expires),
        )

    def upload_form(self, path: str, options: SignOptions) -> PresignedForm:
        """Return a presigned form; see `SupportsUploadForms`.

        Without a content type it has the one of the file's name: otherwise an uploader could
        declare an image as a web page.

        Raises:
            ValueError: The time, the type or the size is invalid.
        """
        grant = Grant(
            method="POST",
            path=path,
            expires=_end(options.expires_in),
            content_type=_header("content_type", options.content_type) or guess_type(path),
            min_length=_length("min_size", options.min_size),
            length=_length("max_size", options.max_size),
        )
        return PresignedForm(
            url=self._url(path),
            fields={**grant.parameters, "signature": self._signature(self.keys[0], grant)},
            expires_at=float(grant.expires),
        )

    def verify_query(self, method: str, url: str, query: str) -> Grant:
        """Return the grant of a presigned URL.

        The decoded values count, in whichever way and order the query is encoded: clients and
        proxies encode it anew. Parameters of other names are ignored: newsletters and proxies add
        their own.

        Args:
            method: ``"GET"`` or ``"PUT"``.
            url: The file's `url`, as the disk returns it.
            query: The part after the ``?`` as it was sent.

        Raises:
            StoragePermissionException: It grants nothing, has a parameter twice, or has expired.
        """
        if len(query) > _LONGEST_QUERY:
            raise _refused()
        # A foreign parameter may be in any encoding; no signature fits a value that is not UTF-8.
        pairs = parse_qsl(query, keep_blank_values=True, errors="surrogateescape")
        ours = [(name, value) for name, value in pairs if name in _PARAMETERS]
        given = dict(ours)
        if len(given) < len(ours):
            raise _refused()
        return self.verify(method, url, given)

    def verify(self, method: str, url: str, given: Mapping[str, str]) -> Grant:
        """Return the grant of a form's fields, or of a URL's parameters.

        Args:
            method: ``"GET"``, ``"PUT"`` or ``"POST"``.
            url: The file's `url`, as the disk returns it.
            given: All parameters with their values.

        Raises:
            StoragePermissionException: They grant nothing, or have expired.
        """
        if not given.keys() <= set(_PARAMETERS) or given.get("version") != _VERSION:
            raise _refused()
        grant = Grant(
            method=method,
            path=self._path_of(url),
            expires=_number(given.get("expires", "")),
            content_type=given.get("type"),
            length=_number(given["length"]) if "length" in given else None,
            min_length=_number(given["min_length"]) if "min_length" in given else None,
            content_disposition=given.get("disposition"),
        )
        signature = given.get("signature", "").encode("utf-8", "replace")
        # All keys are tried even after one fits: the time taken must not depend on the key.
        fits = [
            hmac.compare_digest(self._signature(key, grant).encode(), signature)
            for key in self.keys
        ]
        if not any(fits):
            raise _refused()
        if time.time() >= grant.expires:
            raise StoragePermissionException("The presigned URL has expired: request another one")
        return grant

    def _signed_url(self, grant: Grant) -> str:
        signature = self._signature(self.keys[0], grant)
        return f"{self._url(grant.path)}?{_query(grant.parameters | {'signature': signature})}"

    def _url(self, path: str) -> str:
        return f"{self.base_url}/{quote(path)}"

    def _path_of(self, url: str) -> str:
        base = f"{self.base_url}/"
        if not url.startswith(base):
            raise _refused()
        return unquote(url.removeprefix(base))

    def _signature(self, key: bytes, grant: Grant) -> str:
        values = [
            _VERSION,
            grant.method,
            self.base_url,
            grant.path,
            grant.expires,
            grant.content_type,
            grant.length,
            grant.content_disposition,
            grant.min_length,
        ]
        # ASCII, with escapes: the values may contain lone surrogates.
        digest = hmac.digest(key, json.dumps(values).encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def make_signer(secret: Secrets | None, base_url: str) -> UrlSigner | None:
    """Return the signer for a driver's options, or None where there is no secret.

    Raises:
        StorageConfigException: A secret is too short, or of a wrong type.
    """
    if secret is None:
        return None
    try:
        with ScrubbedLocals():
            return _made(secret, base_url)
    except StorageConfigException:
        del secret  # a traceback holds this function's variables
        raise


def _made(secret: Secrets, base_url: str) -> UrlSigner:
    given = [secret] if isinstance(secret, (str, bytes)) else list(secret)
    if not given or not all(isinstance(each, (str, bytes)) for each in given):
        raise StorageConfigException(
            "'secret' is a str or bytes, or a list of them: the first signs, all verify"
        )
    if any(isinstance(each, str) and each != each.strip() for each in given):
        raise StorageConfigException("'secret' begins or ends with a newline or a space")
    keys = tuple(each.encode() if isinstance(each, str) else each for each in given)
    if shortest := [len(key) for key in keys if len(key) < _SHORTEST]:
        raise StorageConfigException(
            f"'secret' has {min(shortest)} bytes, and at least {_SHORTEST} are needed: make one "
            "with  python -c 'import secrets; print(secrets.token_urlsafe(32))'"
        )
    return UrlSigner(base_url.rstrip("/"), keys)


def without_secret(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return a driver's options with a made-up secret in place of one, for `FakeTraits`."""
    given = options.get("secret") is not None
    return {**options, "secret": "x" * _SHORTEST} if given else dict(options)


def require_signer(signer: UrlSigner | None) -> UrlSigner:
    """Return the signer.

    Raises:
        UnsupportedOperationException: There is none, since the driver has no secret.
    """
    if signer is None:
        raise UnsupportedOperationException(
            "The driver cannot sign URLs: give it the option 'secret'"
        )
    return signer


@standalone
class PresignedUrls:
    """Base class of drivers whose files `jtc.storage.asgi` serves: what a `UrlSigner` presigns.

    Attributes:
        signer: A driver sets it in its constructor, by `make_signer`. None without a secret.
        unsupported: `SIGNING_CAPABILITIES`. A driver that has a signer sets an empty set.
    """

    signer: UrlSigner | None
    unsupported: frozenset[str] = SIGNING_CAPABILITIES

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[Any, ...]:
        if self.signer is not None:
            raise TypeError(
                f"A {type(self).__name__} with a secret is not pickled: pickle a disk of "
                "Storage.disk(name), or make the driver in the other process"
            )
        return super().__reduce_ex__(protocol)

    async def temporary_url(self, path: str, options: SignOptions, /) -> str:
        """Return a presigned URL below `base_url` that reads a file until it expires.

        Raises:
            ValueError: The time, the type or the disposition is invalid.
            UnsupportedOperationException: The driver has no secret.
        """
        return require_signer(self.signer).download_url(path, options)

    async def temporary_upload_url(self, path: str, options: SignOptions, /) -> PresignedRequest:
        """Return a presigned PUT request that stores a file until it expires.

        Raises:
            ValueError: The time, the type or the size is invalid.
            UnsupportedOperationException: The driver has no secret.
        """
        return require_signer(self.signer).upload_request(path, options)

    async def temporary_upload_form(self, path: str, options: SignOptions, /) -> PresignedForm:
        """Return a presigned form that uploads a file of ``max_size`` bytes at most.

        Raises:
            ValueError: The time, the type or a size is invalid.
            UnsupportedOperationException: The driver has no secret.
        """
        return require_signer(self.signer).upload_form(path, options)


def _query(parameters: Mapping[str, str]) -> str:
    return urlencode(parameters, quote_via=quote, safe="")


def _end(expires_in: float, stable_for: float | None = None) -> int:
    now = time.time()
    # All URLs of one period end together: at its end, and `expires_in` later.
    start = now if stable_for is None else (now // stable_for + 1) * stable_for
    end = start + expires_in
    if not math.isfinite(end) or expires_in <= 0 or end >= _LATEST:
        raise ValueError(f"expires_in is a number of seconds above 0, not {expires_in}")
    return math.ceil(end)


def _header(name: str, value: str | None) -> str | None:
    if value is not None and not (value.isascii() and value.isprintable()):
        hint = (
            ": write the name as filename*=UTF-8''... (RFC 6266)"
            if name == "content_disposition"
            else ""
        )
        raise ValueError(f"{name} must be printable ASCII to be an HTTP header{hint}")
    return value


def _length(name: str, value: int | None) -> int | None:
    if value is not None and value < 0:
        raise ValueError(f"{name} must be 0 or more bytes, not {value}")
    return value


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise _refused()
    return int(text)


def _refused() -> StoragePermissionException:
    # Without the reason, which would help an attacker.
    return StoragePermissionException("The presigned URL or form is not valid for this disk")
