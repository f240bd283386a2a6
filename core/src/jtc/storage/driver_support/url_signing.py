"""Signed addresses for disks that no server of their own answers for: local files and memory.

A driver signs, `jtc.storage.asgi` verifies, both with a `Signer`. What is signed is HMAC-SHA256
(RFC 2104) over the version, the method, the disk, the file, the end, the type, the length and the
disposition, as one JSON array: each value has its own place and its own quotes, so that no two
permissions are signed alike.

The disk is its `base_url`. A driver does not know its disk's name, which may differ from process to
process; the address under which its files are found may not.
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
from typing import TYPE_CHECKING, NoReturn, TypeAlias
from urllib.parse import parse_qsl, quote, unquote, urlencode

from jtc.storage.driver_support.mime_types import guess_type
from jtc.storage.driver_support.traceback_scrubbing import ForgottenLocals
from jtc.storage.exceptions import (
    StorageConfigException,
    StoragePermissionException,
    UnsupportedOperationException,
)
from jtc.storage.models import PresignedForm, PresignedRequest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["SIGNING_CAPABILITIES", "Grant", "Secrets", "Signer", "make_signer", "needed"]

Secrets: TypeAlias = "str | bytes | Sequence[str | bytes]"
"""A secret, or several: the first one signs, all verify. Each has 32 bytes or more."""

SIGNING_CAPABILITIES = frozenset({"temporary_urls", "temporary_uploads", "upload_forms"})
"""What a driver withholds that was given no secret."""

_VERSION = "1"
_SHORTEST = 32
"""RFC 2104, section 3: a key below the hash's length weakens the whole; one above adds little."""
_LATEST = 10**11
"""Seconds since 1970, in the year 5138: an end that every part of the way can say."""
_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")
_LONGEST_QUERY = 8192
_PARAMETERS = ("version", "expires", "type", "length", "disposition", "signature")


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a signature permits.

    Attributes:
        method: ``"GET"`` (which includes HEAD), ``"PUT"`` or ``"POST"`` (a form).
        path: The file, as the driver knows it.
        expires: The end, in seconds since 1970 UTC.
        content_type: To answer with, or what an upload is.
        length: An upload's length in bytes; of a form, the most bytes.
        content_disposition: To answer with.
    """

    method: str
    path: str
    expires: int
    content_type: str | None = None
    length: int | None = None
    content_disposition: str | None = None

    @property
    def parameters(self) -> dict[str, str]:
        """What an address says of itself, less the signature, in the one order there is."""
        said = {
            "version": _VERSION,
            "expires": str(self.expires),
            "type": self.content_type,
            "length": None if self.length is None else str(self.length),
            "disposition": self.content_disposition,
        }
        return {name: value for name, value in said.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs and verifies addresses of one disk; `make_signer` makes it.

    Args:
        base_url: What the disk's addresses begin with, without a ``/`` at the end.
        keys: The secrets; the first one signs, all verify.
    """

    base_url: str
    keys: tuple[bytes, ...] = field(repr=False)

    def __reduce__(self) -> NoReturn:
        raise TypeError("A signer holds secrets and is not pickled: make the driver anew there")

    def download_url(
        self,
        path: str,
        expires_in: float,
        *,
        content_type: str | None,
        content_disposition: str | None,
    ) -> str:
        """Return an address for GET; path and arguments are those of `SupportsTemporaryUrls`.

        Raises:
            ValueError: The time, the type or the disposition cannot be.
        """
        return self._url(
            Grant(
                method="GET",
                path=path,
                expires=_end(expires_in),
                content_type=_header("content_type", content_type),
                content_disposition=_header("content_disposition", content_disposition),
            )
        )

    def upload_request(
        self, path: str, expires_in: float, *, content_type: str | None, size: int | None
    ) -> PresignedRequest:
        """Return a PUT; path and arguments are those of `SupportsTemporaryUploads`.

        Raises:
            ValueError: The time, the type or the size cannot be.
        """
        grant = Grant(
            method="PUT",
            path=path,
            expires=_end(expires_in),
            content_type=_header("content_type", content_type),
            length=_length("size", size),
        )
        headers = {}
        if grant.content_type is not None:
            headers["Content-Type"] = grant.content_type
        if grant.length is not None:
            headers["Content-Length"] = str(grant.length)
        return PresignedRequest(
            method="PUT", url=self._url(grant), headers=headers, expires_at=float(grant.expires)
        )

    def upload_form(
        self, path: str, expires_in: float, *, max_size: int, content_type: str | None
    ) -> PresignedForm:
        """Return a form; path and arguments are those of `SupportsUploadForms`.

        Without a content type it has the one by the file's name: left open, it would be the
        uploader's to say that an image is a web page.

        Raises:
            ValueError: The time, the type or the size cannot be.
        """
        grant = Grant(
            method="POST",
            path=path,
            expires=_end(expires_in),
            content_type=_header("content_type", content_type) or guess_type(path),
            length=_length("max_size", max_size),
        )
        return PresignedForm(
            url=self._address(path),
            fields={**grant.parameters, "signature": self._signature(self.keys[0], grant)},
            expires_at=float(grant.expires),
        )

    def verify_query(self, method: str, address: str, query: str) -> Grant:
        """Return what a signed address permits.

        Args:
            method: ``"GET"`` or ``"PUT"``.
            address: The file's `url`, as the disk says it.
            query: What follows the ``?``, as it was sent. There is one way to write it.

        Raises:
            StoragePermissionException: It permits nothing, or nothing any more.
        """
        if len(query) > _LONGEST_QUERY:
            raise _refused()
        try:
            pairs = parse_qsl(
                query,
                keep_blank_values=True,
                strict_parsing=True,
                errors="strict",
                max_num_fields=len(_PARAMETERS),
            )
        except ValueError:
            raise _refused() from None
        given = dict(pairs)
        grant = self.verify(method, address, given)
        if _query({**grant.parameters, "signature": given["signature"]}) != query:
            raise _refused()
        return grant

    def verify(self, method: str, address: str, given: Mapping[str, str]) -> Grant:
        """Return what a form's fields, or an address's parameters, permit.

        Args:
            method: ``"GET"``, ``"PUT"`` or ``"POST"``.
            address: The file's `url`, as the disk says it.
            given: All parameters with their values.

        Raises:
            StoragePermissionException: They permit nothing, or nothing any more.
        """
        if not given.keys() <= set(_PARAMETERS) or given.get("version") != _VERSION:
            raise _refused()
        grant = Grant(
            method=method,
            path=self._path_of(address),
            expires=_number(given.get("expires", "")),
            content_type=given.get("type"),
            length=_number(given["length"]) if "length" in given else None,
            content_disposition=given.get("disposition"),
        )
        signature = given.get("signature", "").encode("utf-8", "replace")
        # All keys are tried, whichever fits: the time taken says nothing.
        fits = [
            hmac.compare_digest(self._signature(key, grant).encode(), signature)
            for key in self.keys
        ]
        if not any(fits):
            raise _refused()
        if time.time() >= grant.expires:
            raise StoragePermissionException("The signed address has expired: ask for another one")
        return grant

    def _url(self, grant: Grant) -> str:
        signature = self._signature(self.keys[0], grant)
        return f"{self._address(grant.path)}?{_query(grant.parameters | {'signature': signature})}"

    def _address(self, path: str) -> str:
        return f"{self.base_url}/{quote(path)}"

    def _path_of(self, address: str) -> str:
        base = f"{self.base_url}/"
        if not address.startswith(base):
            raise _refused()
        return unquote(address.removeprefix(base))

    def _signature(self, key: bytes, grant: Grant) -> str:
        permission = [
            _VERSION,
            grant.method,
            self.base_url,
            grant.path,
            grant.expires,
            grant.content_type,
            grant.length,
            grant.content_disposition,
        ]
        # ASCII, with escapes: what is given may be anything, also lone surrogates.
        digest = hmac.digest(key, json.dumps(permission).encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def make_signer(secret: Secrets | None, base_url: str) -> Signer | None:
    """Return the signer for a driver's options, or None where there is no secret.

    Raises:
        StorageConfigException: A secret is too short, or is none.
    """
    if secret is None:
        return None
    try:
        with ForgottenLocals():
            return _made(secret, base_url)
    except StorageConfigException:
        del secret  # a traceback holds this function's variables
        raise


def _made(secret: Secrets, base_url: str) -> Signer:
    given = [secret] if isinstance(secret, (str, bytes)) else list(secret)
    if not given or not all(isinstance(each, (str, bytes)) for each in given):
        raise StorageConfigException(
            "'secret' is a str or bytes, or a list of them: the first signs, all verify"
        )
    keys = tuple(each.encode() if isinstance(each, str) else each for each in given)
    if shortest := [len(key) for key in keys if len(key) < _SHORTEST]:
        raise StorageConfigException(
            f"'secret' has {min(shortest)} bytes, and at least {_SHORTEST} are needed: make one "
            "with  python -c 'import secrets; print(secrets.token_urlsafe(32))'"
        )
    return Signer(base_url.rstrip("/"), keys)


def needed(signer: Signer | None) -> Signer:
    """Return the signer.

    Raises:
        UnsupportedOperationException: There is none, since the driver has no secret.
    """
    if signer is None:
        raise UnsupportedOperationException(
            "The driver signs no addresses: give it the option 'secret'"
        )
    return signer


def _query(parameters: Mapping[str, str]) -> str:
    return urlencode(parameters, quote_via=quote, safe="")


def _end(expires_in: float) -> int:
    end = time.time() + expires_in
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
    # Not what is wrong: that is of use only to those who try.
    return StoragePermissionException("The signed address is not one of this disk's")
