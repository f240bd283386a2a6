"""Attachments from URLs and data URIs, which users may have chosen.

A server that fetches a URL for its users must not fetch from its own network: from the database,
the metadata service of the cloud, the router. So each address is checked at the moment at which a
connection to it is made, for each redirect anew: a name that resolves to another address the second
time gains nothing.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import ipaddress
import socket
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import unquote, unquote_to_bytes, urljoin, urlsplit

import aiohttp

from jtc.storage.attachments._sizes import bytes_of
from jtc.storage.exceptions import RejectedException

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Collection

__all__ = ["RemoteUpload", "fetch", "from_data_uri"]

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_OK = 200
_LOWEST_FREE_PORT = 1024
_WEB_PORTS = frozenset({80, 443})
_HEADERS = {"Accept-Encoding": "identity", "User-Agent": "jtc-storage-attachments"}
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# Besides what `is_global` says, which differs between versions of Python.
_NOT_PUBLIC = tuple(
    ipaddress.ip_network(network)
    for network in (
        "168.63.129.16/32",  # Azure's agents answer there, from within each machine
        "192.0.0.0/24",  # Oracle's metadata service among others
        "64:ff9b:1::/48",  # NAT64 of one's own network (RFC 8215)
    )
)

_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


class RemoteUpload:
    """The content of a URL while it is received, to be passed to `store`.

    Attributes:
        filename: The file name that the server or the URL gives it.
        url: The URL after all redirects.
    """

    def __init__(self, response: aiohttp.ClientResponse, max_size: int) -> None:
        disposition = response.content_disposition
        named = None if disposition is None else disposition.filename
        path = urlsplit(str(response.url)).path
        self.filename = named or unquote(path.rpartition("/")[2]) or "download"
        self.url = str(response.url)
        self._content = response.content
        self._left = max_size

    async def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes, none at the end.

        Raises:
            RejectedException: It is longer than permitted, or the server breaks off.
        """
        with _as_rejected(self.url):
            chunk = await self._content.read(size)
        self._left -= len(chunk)
        if self._left < 0:
            raise _too_long(self.url)
        return chunk


@contextlib.asynccontextmanager
async def fetch(
    url: str,
    *,
    max_size: int | str = "50MB",
    max_seconds: float = 30,
    max_redirects: int = 5,
    allowed_networks: Collection[str] = (),
    ssl_context: ssl.SSLContext | None = None,
) -> AsyncIterator[RemoteUpload]:
    """Open a URL of a user's choice, as content for `store`.

    ::

        async with fetch(url) as upload:
            me.avatar = await store(User.avatar, upload, session=session)

    Only public IPs are connected to, by http and https, at the ports 80 and 443 and from 1024
    on. Neither cookies nor credentials are sent, and no proxy of the environment is used.

    Args:
        url: The URL.
        max_size: The most bytes of the content; the field's own limit applies as well.
        max_seconds: For how many seconds all of it may take, redirects included.
        max_redirects: How many redirects are followed.
        allowed_networks: Networks that are not public and permitted all the same, such as
            ``"10.1.0.0/16"``.
        ssl_context: For servers with certificates of an authority of one's own.

    Raises:
        RejectedException: The URL is not one of these, does not lead to a file, or the content is
            too long. Its `reason` is ``"url"``, ``"address"``, ``"remote"`` or ``"size"``.
    """
    most = bytes_of("max_size", max_size) or 0
    networks = [ipaddress.ip_network(each) for each in allowed_networks]
    refused: list[str] = []
    async with _session(networks, refused, ssl_context, max_seconds) as session:
        try:
            with _as_rejected(url):
                response = await _follow(session, url, max_redirects)
        except RejectedException as error:
            if refused:
                raise RejectedException(
                    f"The URL leads to {refused[0]}, which is not a public address",
                    reason="address",
                ) from error
            raise
        async with response:
            _check(response, most)
            yield RemoteUpload(response, most)


def _session(
    networks: list[_Network],
    refused: list[str],
    ssl_context: ssl.SSLContext | None,
    max_seconds: float,
) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            socket_factory=_checked_sockets(networks, refused),
            ssl=True if ssl_context is None else ssl_context,
            use_dns_cache=False,
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=_HEADERS,
        timeout=aiohttp.ClientTimeout(total=max_seconds),
        auto_decompress=False,
        trust_env=False,
    )


def from_data_uri(uri: str, *, max_size: int | str = "5MB") -> bytes:
    """Return the content of a data URI (RFC 2397), as content for `store`.

    Its media type is ignored: an attachment has the type that its content proves.

    Args:
        uri: The URI, ``data:image/png;base64,…``.
        max_size: The most bytes of the content.

    Raises:
        RejectedException: It is no data URI, or the content is too long.
    """
    most = bytes_of("max_size", max_size) or 0
    media_type, comma, data = uri[5:].partition(",")
    if uri[:5].lower() != "data:" or not comma:
        raise RejectedException("It is no data URI: data:image/png;base64,…", reason="url")
    if len(data) > 3 * most + 4:  # a byte has three characters at most
        raise _too_long("The data URI")
    try:
        if media_type.lower().endswith(";base64"):
            text = unquote(data)
            content = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        else:
            content = unquote_to_bytes(data)
    except (binascii.Error, ValueError) as error:
        raise RejectedException("The data URI is not valid base64", reason="url") from error
    if len(content) > most:
        raise _too_long("The data URI")
    return content


async def _follow(
    session: aiohttp.ClientSession, url: str, max_redirects: int
) -> aiohttp.ClientResponse:
    """Return the response after all redirects."""
    for _ in range(max_redirects + 1):
        _check_url(url)
        response = await session.get(url, allow_redirects=False)
        location = response.headers.get("location")
        if response.status not in _REDIRECTS or location is None:
            return response
        response.close()
        url = urljoin(url, location)
    raise RejectedException(f"The URL has more than {max_redirects} redirects", reason="remote")


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise RejectedException("It is no URL", reason="url") from error
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise RejectedException("Only URLs by http and https are fetched", reason="url")
    if parts.username is not None or parts.password is not None:
        raise RejectedException("A URL with a user name is not fetched", reason="url")
    if port is not None and port not in _WEB_PORTS and port < _LOWEST_FREE_PORT:
        raise RejectedException(f"The port {port} is not one of a web server", reason="url")


def _check(response: aiohttp.ClientResponse, max_size: int) -> None:
    if response.status != _OK:
        raise RejectedException(f"The server answered {response.status}", reason="remote")
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise RejectedException("The server compressed its response unasked", reason="remote")
    if (response.content_length or 0) > max_size:
        raise _too_long(str(response.url))


def _checked_sockets(networks: list[_Network], refused: list[str]) -> Any:
    """Return a function that makes the socket for an address, or refuses to."""

    def make(address: Any) -> socket.socket:
        family, kind, protocol, _, target = address
        if not _is_permitted(ipaddress.ip_address(target[0]), networks):
            refused.append(target[0])
            raise OSError(f"{target[0]} is not a public address")
        return socket.socket(family, kind, protocol)

    return make


def _is_permitted(address: _Address, networks: list[_Network]) -> bool:
    if any(address in network for network in networks):
        return True
    if isinstance(address, ipaddress.IPv6Address):
        # Each leads to an address of IPv4, by the system or by a gateway.
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if address in _NAT64:
            inner = ipaddress.IPv4Address(address.packed[-4:])
        if inner is not None:
            return _is_permitted(inner, networks)
    return (
        address.is_global
        and not address.is_multicast
        and not address.is_reserved
        and not any(address in network for network in _NOT_PUBLIC)
    )


@contextlib.contextmanager
def _as_rejected(url: str) -> Any:
    try:
        yield
    except TimeoutError as error:
        raise RejectedException(
            f"{_host(url)} did not send the file in time", reason="remote"
        ) from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        if isinstance(error, RejectedException):
            raise
        raise RejectedException(
            f"The file could not be fetched from {_host(url)}", reason="remote"
        ) from error


def _host(url: str) -> str:
    return urlsplit(url).hostname or "the server"


def _too_long(what: str) -> RejectedException:
    return RejectedException(f"{what} is longer than permitted", reason="size")
