"""Cache-Control of responses that are for one client only: RFC 9111, section 5.2."""

from __future__ import annotations

import re

__all__ = ["private_caching"]

_DIRECTIVE = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?:[ \t]*=[ \t]*(\"[^\"]*\"|[^,\s\"]*))?")
_SECONDS = re.compile("[0-9]{1,10}")
_STRICTER = ("no-cache", "no-store", "no-transform", "must-revalidate", "immutable")
"""What a private response keeps of a declared Cache-Control."""

_STALE = ("stale-while-revalidate", "stale-if-error")
"""They let a cache send a response that is no longer fresh, for example after the URL expired."""


def private_caching(declared: str | None, lifetime: float | None = None) -> str:
    """Return a Cache-Control that lets no shared cache keep a response, nor any for too long.

    Args:
        declared: The Cache-Control of the file; its stricter directives are kept.
        lifetime: Seconds until the request's URL expires; None for a request without an expiry.
    """
    directives: dict[str, str | None] = {}
    for match in _DIRECTIVE.finditer(declared or ""):
        directives.setdefault(match[1].lower(), match[2])
    kept = ["private"]
    fresh = _seconds(directives["max-age"]) if "max-age" in directives else None
    if fresh is not None:
        if lifetime is not None and fresh > lifetime:
            fresh = max(0, int(lifetime))
            directives["must-revalidate"] = None
        kept.append(f"max-age={fresh}")
    elif declared is None or (
        lifetime is not None and not directives.keys() & {"no-cache", "no-store"}
    ):
        kept.append("no-cache")  # without a max-age, a cache may choose one
    kept += [name for name in _STRICTER if name in directives]
    if lifetime is None:
        kept += [f"{name}={_seconds(directives[name])}" for name in _STALE if name in directives]
    return ", ".join(kept)


def _seconds(value: str | None) -> int:
    """Return a number of seconds; 0 for an invalid one (RFC 9111, section 4.2.1)."""
    value = (value or "").strip('"')
    return int(value) if _SECONDS.fullmatch(value) else 0
