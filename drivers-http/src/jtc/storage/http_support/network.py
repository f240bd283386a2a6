"""Verification of servers, and proxies."""

from __future__ import annotations

import functools
import importlib.util
import ssl
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import getproxies, proxy_bypass

if TYPE_CHECKING:
    from jtc.storage.http_support.settings import NetworkSettings

__all__ = ["proxy_for", "tls_context"]


def tls_context(settings: NetworkSettings) -> ssl.SSLContext | bool:
    """Return how servers are verified: False not at all, True where there is no TLS. Reads files.

    Raises:
        StorageConfigException: The file of `ca_bundle` has no certificates.
    """
    if not settings.verify:
        return False
    if not settings.is_secure:
        return True
    bundle = settings.ca_bundle or _bundle_of_package()
    if bundle is None:
        return _context(None, 0)
    try:
        path = Path(bundle).expanduser()
        return _context(path, path.stat().st_mtime_ns)
    except (OSError, RuntimeError):
        settings.refuse("ca_bundle", f"has no certificates: {settings.ca_bundle}")


def _bundle_of_package() -> str | None:
    found = importlib.util.find_spec("certifi") or importlib.util.find_spec("botocore")
    # Not by certifi.where(): it is not required, and both have their file at this name.
    return str(Path(found.origin).with_name("cacert.pem")) if found and found.origin else None


@functools.lru_cache(maxsize=8)
def _context(path: Path | None, _changed: int) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=path)  # None: the system's authorities


def proxy_for(settings: NetworkSettings, scheme: str, host: str) -> str | None:
    """Return the URL of the proxy to a host: the option, else the system's by scheme."""
    if settings.proxy is not None:
        return settings.proxy
    proxy = getproxies().get(scheme)
    if not proxy or proxy_bypass(host):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"
