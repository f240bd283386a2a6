"""`BlockingRequests`: how google-auth sends its requests for tokens, in a worker thread.

google-auth's own ways need requests or urllib3, which nothing else here does.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, NoReturn

import google.auth.exceptions
import google.auth.transport

from jtc.storage.http_support.network import tls_context

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jtc.storage.drivers.gcs_driver._settings import Settings

__all__ = ["BlockingRequests"]

_LONGEST = 1024 * 1024


class _Response(google.auth.transport.Response):
    def __init__(self, status: int, headers: Mapping[str, str], data: bytes) -> None:
        self._answer = status, headers, data

    @property
    def status(self) -> int:
        return self._answer[0]

    @property
    def headers(self) -> Mapping[str, str]:
        return self._answer[1]

    @property
    def data(self) -> bytes:
        return self._answer[2]


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def http_error_302(self, *_: Any, **__: Any) -> None:
        return None  # the answer is an error then

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


class BlockingRequests(google.auth.transport.Request):
    """Sends requests by urllib, and follows no redirects: they carry tokens.

    Args:
        settings: The proxy, the certificates and the time limit.
    """

    def __init__(self, settings: Settings) -> None:
        self._seconds = settings.request_timeout
        context = tls_context(settings)
        handlers: list[urllib.request.BaseHandler] = [_NoRedirects()]
        if not isinstance(context, bool):
            handlers.append(urllib.request.HTTPSHandler(context=context))
        if settings.proxy is not None:
            proxies = {"http": settings.proxy, "https": settings.proxy}
            handlers.append(urllib.request.ProxyHandler(proxies))
        self._opener = urllib.request.build_opener(*handlers)

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **_: Any,
    ) -> google.auth.transport.Response:
        """Send a request; an answer of any status is one.

        Raises:
            TransportError: The server was not reached.
        """
        if not url.startswith(("http://", "https://")):
            self._refuse("it is no URL by http")
        data = body.encode() if isinstance(body, str) else body
        request = urllib.request.Request(url, data, dict(headers or {}), method=method)  # noqa: S310
        seconds = min(timeout or self._seconds, self._seconds)
        try:
            with self._opener.open(request, timeout=seconds) as answer:
                return _Response(answer.status, dict(answer.headers), answer.read(_LONGEST))
        except urllib.error.HTTPError as error:
            with error:
                return _Response(error.code, dict(error.headers), error.read(_LONGEST))
        except OSError as error:
            reason = getattr(error, "reason", None) or type(error).__name__
            self._refuse(f"it was not reached ({reason})")

    @staticmethod
    def _refuse(reason: str) -> NoReturn:
        failure: Any = google.auth.exceptions.TransportError
        raise failure(reason)
