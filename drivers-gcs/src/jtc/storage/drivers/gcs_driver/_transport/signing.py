"""V4 signatures: https://cloud.google.com/storage/docs/authentication/canonical-requests."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Unsigned", "policy_fields", "unsigned_url"]

_ALGORITHM = "GOOG4-RSA-SHA256"


@dataclass(frozen=True, slots=True, repr=False)
class Unsigned:
    """A URL that lacks its signature.

    Attributes:
        url: All of it but the signature.
        text: What is signed.
    """

    url: str
    text: str

    def signed(self, signature: bytes) -> str:
        """Return the URL with its signature."""
        return f"{self.url}&X-Goog-Signature={signature.hex()}"


def _dates(start: int) -> tuple[str, str]:
    """Return a time as signatures have it, and the scope of a signature made then."""
    at = time.gmtime(start)
    return time.strftime("%Y%m%dT%H%M%SZ", at), time.strftime("%Y%m%d", at) + (
        "/auto/storage/goog4_request"
    )


def unsigned_url(
    method: str,
    base_url: str,
    path: str,
    email: str,
    life: tuple[int, int],
    *,
    query: Mapping[str, str],
    headers: Mapping[str, str],
) -> Unsigned:
    """Return a URL for a request, and what is to be signed for it.

    Args:
        method: Of HTTP.
        base_url: The scheme and the host.
        path: The bucket and the key, each after a slash.
        email: The service account that signs.
        life: When it begins to be valid, and for how many seconds it is.
        query: Further parameters.
        headers: What the client must send, by names in lower case.
    """
    date, scope = _dates(life[0])
    signed = {"host": urlsplit(base_url).netloc, **headers}
    names = ";".join(sorted(signed))
    given = {
        "X-Goog-Algorithm": _ALGORITHM,
        "X-Goog-Credential": f"{email}/{scope}",
        "X-Goog-Date": date,
        "X-Goog-Expires": str(life[1]),
        "X-Goog-SignedHeaders": names,
        **query,
    }
    pairs = sorted((quote(name, safe="-_.~"), quote(given[name], safe="-_.~")) for name in given)
    query_text = "&".join(f"{name}={value}" for name, value in pairs)
    place = quote(path, safe="/~")
    canonical = "\n".join(
        (
            method,
            place,
            query_text,
            *(f"{name}:{' '.join(signed[name].split())}" for name in sorted(signed)),
            "",
            names,
            signed.get("x-goog-content-sha256", "UNSIGNED-PAYLOAD"),
        )
    )
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    return Unsigned(f"{base_url}{place}?{query_text}", f"{_ALGORITHM}\n{date}\n{scope}\n{digest}")


def policy_fields(
    fields: Mapping[str, str],
    conditions: Sequence[object],
    email: str,
    life: tuple[int, int],
) -> dict[str, str]:
    """Return the fields of a form with its policy, which is what is to be signed.

    https://cloud.google.com/storage/docs/xml-api/post-object-forms

    Args:
        fields: What the form sends, each as it is.
        conditions: What else holds for an upload.
        email: The service account that signs.
        life: When it begins to be valid, and for how many seconds it is.
    """
    date, scope = _dates(life[0])
    sent = {
        **fields,
        "x-goog-algorithm": _ALGORITHM,
        "x-goog-credential": f"{email}/{scope}",
        "x-goog-date": date,
    }
    policy: dict[str, Any] = {
        "conditions": [*conditions, *({name: value} for name, value in sent.items())],
        "expiration": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(sum(life))),
    }
    # Letters beyond ASCII are escaped, as Google wants them.
    text = json.dumps(policy, separators=(",", ":"))
    return {**sent, "policy": base64.b64encode(text.encode()).decode()}
