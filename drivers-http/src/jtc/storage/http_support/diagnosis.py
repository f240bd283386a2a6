"""Findings about the way to a store over HTTP: names, connections, TLS, proxies and clocks.

`look_at` makes one request without credentials, by itself, so that each step of it is seen.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import email.utils
import ipaddress
import os
import socket
import ssl
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit
from urllib.request import getproxies

from jtc.storage.driver_support.content import in_thread
from jtc.storage.driver_support.diagnosing import fault
from jtc.storage.driver_support.findings import Finding, Severity
from jtc.storage.http_support.network import proxy_for, tls_context

if TYPE_CHECKING:
    from collections.abc import Mapping
    from urllib.parse import SplitResult

    from jtc.storage.http_support.settings import HttpSettings, NetworkSettings

__all__ = [
    "ATTEMPTS",
    "WRONG_CLOCK",
    "Contact",
    "anonymous_get",
    "clock_finding",
    "cors_finding",
    "look_at",
    "plain_finding",
    "redirect_finding",
    "unavailable_finding",
]

ATTEMPTS = 3
"""A request of a driver may be sent again: it gets the time of three."""

WRONG_CLOCK = 300.0
"""Seconds by which a clock may be wrong: S3 allows 900, others less."""

_ODD_CLOCK = 60.0
_SLOW_DNS = 0.5
_GUESS_SECONDS = 1.0
"""How long a server has to show that it speaks the other one of http and https."""

_SOON_DAYS = 14.0
_LONGEST_BODY = 64 * 1024
_IN_URLS = "!#$%&'()*+,/:;=?@[]~"
_PORTS = {"http": 80, "https": 443}
_BAD_REQUEST, _REFUSED = 400, 300

# https://docs.openssl.org/3.0/man1/openssl-verification-options/
_EXPIRED, _NOT_YET, _OTHER_NAMES = 10, 9, (62, 64)


@dataclass(slots=True, eq=False)
class Contact:
    """What one request without credentials showed of the way to a store.

    Attributes:
        url: What was asked for.
        findings: What is wrong on the way; the last one blocks where there is no answer.
        status: The HTTP status; 0 without an answer.
        headers: The answer's, by names in lower case.
        body: The beginning of the answer's body.
        seconds: How long the steps took, by their names, in their order.
        clock: Seconds by which the store's clock is ahead of this machine's; None where the answer
            has no date.
    """

    url: str
    findings: list[Finding] = field(default_factory=list[Finding])
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""
    seconds: dict[str, float] = field(default_factory=dict[str, float])
    clock: float | None = None

    @property
    def redirect(self) -> str:
        """The origin that the answer sends clients to; empty where it does not."""
        if self.status // 100 != _REFUSED // 100:
            return ""
        try:
            parts = urlsplit(self.headers.get("location", ""))
        except ValueError:
            return ""
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if parts.netloc else ""


class _FoundError(Exception):
    """Ends a look by the finding that nothing can be looked at after."""

    def __init__(self, finding: Finding) -> None:
        self.finding = finding


async def look_at(settings: NetworkSettings, url: str, *, seconds: float) -> Contact:
    """Ask a URL for its headers, without credentials, and return what is found on the way.

    How long that took is one of the findings.

    Args:
        settings: How the driver connects: its proxy, certificates and limits.
        url: The URL.
        seconds: How long each step may take.

    Raises:
        StorageConfigException: The file of `ca_bundle` has no certificates.
    """
    contact = await _Look(settings, url, seconds).run("HEAD")
    if not (contact.findings and contact.findings[-1].blocks):
        contact.findings.append(_latency(contact))
    return contact


async def anonymous_get(settings: NetworkSettings, url: str, *, seconds: float) -> Contact:
    """Read a URL's beginning without credentials, as a visitor would.

    Args:
        settings: How the driver connects: its proxy, certificates and limits.
        url: The URL.
        seconds: How long each step may take.

    Raises:
        StorageConfigException: The file of `ca_bundle` has no certificates.
    """
    return await _Look(settings, url, seconds).run("GET")


def clock_finding(driver: str, clock: float | None, *, is_refused: bool = False) -> Finding | None:
    """Return the finding that this machine's clock is wrong; None where it is right.

    Args:
        driver: The driver's name.
        clock: Seconds by which the store's clock is ahead; None is not known.
        is_refused: Whether the store refuses requests meanwhile.
    """
    if clock is None or (abs(clock) <= _ODD_CLOCK and not is_refused):
        return None
    side = "behind" if clock > 0 else "ahead of"
    is_bad = is_refused or abs(clock) > WRONG_CLOCK
    return Finding(
        id=f"{driver}.clock-skew",
        severity=Severity.ERROR if is_bad else Severity.WARNING,
        message=f"This machine's clock is {abs(clock):.0f} s {side} the store's.",
        evidence=f"by the Date of an answer; this machine's is {_utc(time.time())}",
        fix="Set the clock by NTP: timedatectl set-ntp true, or chronyc makestep",
        blocks=is_refused,
    )


def redirect_finding(driver: str, contact: Contact, option: str = "endpoint_url") -> Finding:
    """Return the finding that an endpoint sends its clients to another one.

    Args:
        driver: The driver's name.
        contact: What the endpoint answered; its `redirect` is not empty.
        option: The option to set.
    """
    return fault(
        id=f"{driver}.redirect",
        message="The endpoint sends its clients elsewhere, and redirects are not followed.",
        evidence=f"HTTP {contact.status} to {contact.redirect}",
        fix=f"{option} = {contact.redirect!r}, if that is the store",
    )


def unavailable_finding(driver: str, evidence: str) -> Finding:
    """Return the finding that a store is reached, and answers by errors of its own or in no time.

    Args:
        driver: The driver's name.
        evidence: What it answered.
    """
    return fault(
        id=f"{driver}.unavailable",
        message="The store is reached, but does not do what is asked.",
        evidence=evidence,
        fix="Look at the state of the store, and try again",
    )


def cors_finding(driver: str, origin: str | None, *, evidence: str, fix: str) -> Finding:
    """Return the finding that no rule lets pages of another site upload.

    Args:
        driver: The driver's name.
        origin: The origin of the pages; None is no particular one, which is no fault.
        evidence: What the rules are.
        fix: The command that adds a rule.
    """
    whose = f"of {origin}" if origin is not None else "of other sites"
    return Finding(
        id=f"{driver}.cors",
        severity=Severity.NOTICE if origin is None else Severity.WARNING,
        message=f"Pages {whose} cannot upload by presigned URLs and read the answer.",
        evidence=evidence,
        fix=fix,
    )


def plain_finding(settings: HttpSettings) -> Finding | None:
    """Return the finding that files go over the network unencrypted; None where they do not."""
    host = urlsplit(settings.endpoint_url or "").hostname or ""
    if settings.is_secure or _is_loopback(host):
        return None
    return Finding(
        id="http.plain",
        severity=Severity.WARNING,
        message="Files go unencrypted: who is on the way may read and change them.",
        evidence=f"endpoint_url = {settings.endpoint_url!r}",
        fix="Write https:// in endpoint_url, where the store has it",
    )


class _Look:
    """One request, step by step."""

    def __init__(self, settings: NetworkSettings, url: str, seconds: float) -> None:
        self._settings, self._seconds = settings, seconds
        self._parts = urlsplit(url)
        self._host = self._parts.hostname or ""
        self._name = f"[{self._host}]" if ":" in self._host else _ascii(self._host)
        self._port = self._parts.port or _PORTS[self._parts.scheme]
        self._is_tls = self._parts.scheme == "https"
        proxy = proxy_for(settings, self._parts.scheme, self._host)
        self._proxy = urlsplit(proxy) if proxy else None
        self._contact = Contact(url)
        self._writer: asyncio.StreamWriter | None = None

    async def run(self, method: str) -> Contact:
        contact = self._contact
        try:
            reader, writer = await self._connected()
            await self._ask(method, reader, writer)
        except _FoundError as found:
            contact.status = 0
            contact.findings.append(found.finding)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            contact.findings.append(self._broken(error))
        finally:
            if self._writer is not None:
                self._writer.transport.abort()
        return contact

    # Steps

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to the store, by the proxy where there is one, and secure the connection."""
        host, port = self._host, self._port
        if self._proxy is not None:
            self._contact.findings += _proxy_findings(self._settings, self._proxy, self._host)
            host = self._proxy.hostname or ""
            port = self._proxy.port or _PORTS.get(self._proxy.scheme, _PORTS["http"])
        reader, writer = await self._opened(host, port)
        if self._proxy is not None and self._proxy.scheme == "https":
            context = await in_thread(_context, self._settings)
            await writer.start_tls(context, server_hostname=host)
        if self._proxy is not None and self._is_tls:
            await self._tunnel(reader, writer)
        if self._is_tls:
            started = time.perf_counter()
            await self._secure(writer)
            self._contact.seconds["TLS"] = time.perf_counter() - started
        return reader, writer

    async def _opened(
        self, host: str, port: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        loop, contact = asyncio.get_running_loop(), self._contact
        started = time.perf_counter()
        try:
            async with asyncio.timeout(self._seconds):
                found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError, TimeoutError) as error:
            raise _FoundError(self._no_name(host, error)) from error
        contact.seconds["DNS"] = time.perf_counter() - started
        if contact.seconds["DNS"] > _SLOW_DNS:
            contact.findings.append(_slow_name(host, contact.seconds["DNS"]))
        started = time.perf_counter()
        failure: OSError = OSError("no address")
        for *_, address in found:
            try:
                async with asyncio.timeout(min(self._seconds, self._settings.connect_timeout)):
                    place = str(address[0]), int(address[1])
                    reader, writer = await asyncio.open_connection(*place)
            except (OSError, TimeoutError) as error:
                failure = error
                continue
            self._writer = writer
            contact.seconds["connection"] = time.perf_counter() - started
            return reader, writer
        raise _FoundError(self._unreachable(host, port, failure)) from failure

    async def _tunnel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        place = f"{self._name}:{self._port}"
        head = f"CONNECT {place} HTTP/1.1\r\nhost: {place}\r\n{self._proxy_authorization()}\r\n"
        writer.write(head.encode())
        status, _ = _head(await self._read_head(reader))
        if status // 100 != 2:  # noqa: PLR2004 - success
            raise _FoundError(_proxy_refuses(status))

    async def _secure(self, writer: asyncio.StreamWriter) -> None:
        context = await in_thread(_context, self._settings)
        if context.verify_mode == ssl.CERT_NONE:
            self._contact.findings.append(_unverified())
        try:
            async with asyncio.timeout(self._seconds):
                await writer.start_tls(context, server_hostname=self._host)
        except ssl.SSLCertVerificationError as error:
            raise _FoundError(self._bad_certificate(error)) from error
        except (OSError, TimeoutError) as error:
            raise _FoundError(await self._no_tls(error)) from error
        found = writer.get_extra_info("ssl_object")
        certificate = found.getpeercert() if found is not None else None
        if certificate and (finding := _ends_soon(certificate)) is not None:
            self._contact.findings.append(finding)

    async def _ask(
        self, method: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        parts, contact = self._parts, self._contact
        target = parts.path or "/"
        target = quote(f"{target}?{parts.query}" if parts.query else target, safe=_IN_URLS)
        host = self._name + (f":{parts.port}" if parts.port else "")
        by_proxy = self._proxy is not None and not self._is_tls
        if by_proxy:
            target = f"{parts.scheme}://{host}{target}"
        lines = f"{method} {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n"
        lines += "user-agent: jtc-storage-doctor\r\naccept: */*\r\naccept-encoding: identity\r\n"
        lines += self._proxy_authorization() if by_proxy else ""
        started = time.perf_counter()
        writer.write(f"{lines}\r\n".encode())
        try:
            head = await self._read_head(reader)
        except (OSError, asyncio.IncompleteReadError) as error:
            if not self._is_tls and await self._speaks_tls():
                raise _FoundError(self._tls_needed("it closes connections without TLS")) from error
            raise
        contact.seconds["first byte"] = time.perf_counter() - started
        contact.status, contact.headers = _head(head)
        if contact.status == _BAD_REQUEST and not self._is_tls and await self._speaks_tls():
            raise _FoundError(self._tls_needed("HTTP 400"))
        if contact.status == 407 and by_proxy:  # noqa: PLR2004 - the proxy wants a login
            raise _FoundError(_proxy_refuses(contact.status))
        if (date := _seconds_of(contact.headers.get("date", ""))) is not None:
            contact.clock = date - time.time()
        if method == "GET":
            with contextlib.suppress(OSError, TimeoutError):
                contact.body = await self._body(reader)

    async def _body(self, reader: asyncio.StreamReader) -> bytes:
        length = self._contact.headers.get("content-length", "")[:12]
        most = min(int(length), _LONGEST_BODY) if length.isdecimal() else _LONGEST_BODY
        body = b""
        async with asyncio.timeout(self._seconds):
            while len(body) < most and (piece := await reader.read(most - len(body))):
                body += piece
        return body

    async def _read_head(self, reader: asyncio.StreamReader) -> bytes:
        async with asyncio.timeout(self._seconds):
            first = await reader.read(5)
            if first[:5] != b"HTTP/":
                raise asyncio.IncompleteReadError(first, None)
            return first + await reader.readuntil(b"\r\n\r\n")

    def _proxy_authorization(self) -> str:
        proxy = self._proxy
        if proxy is None or proxy.username is None:
            return ""
        login = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
        return f"proxy-authorization: Basic {base64.b64encode(login.encode()).decode()}\r\n"

    # What is wrong

    def _no_name(self, host: str, error: Exception) -> Finding:
        reason = getattr(error, "strerror", None) or f"no answer within {self._seconds:g} s"
        return fault(
            id="http.dns",
            message=f"The name {host!r} is not found.",
            evidence=f"DNS: {reason}{self._of_proxies()}",
            fix="Check the spelling of the endpoint, and the name servers of this machine",
        )

    def _unreachable(self, host: str, port: int, error: OSError) -> Finding:
        # asyncio's own text has the address in the form of Python.
        reason = (
            os.strerror(error.errno)
            if error.errno
            else f"no answer within {self._settings.connect_timeout:g} s"
        )
        is_proxy = self._proxy is not None
        what = "proxy" if is_proxy else "store"
        fix = "Check that it runs, the host and the port, and firewalls on the way"
        return fault(
            id="http.proxy-unreachable" if is_proxy else "http.unreachable",
            message=f"The {what} cannot be reached at {host}:{port}.",
            evidence=f"{reason}{self._of_proxies()}",
            fix=f"{fix}; or leave the proxy out by NO_PROXY" if is_proxy else fix,
        )

    def _broken(self, error: Exception) -> Finding:
        said = ""
        if isinstance(error, asyncio.IncompleteReadError):
            said = "the connection ended" if not error.partial else "the answer is no HTTP"
        said = said or getattr(error, "strerror", None) or f"nothing within {self._seconds:g} s"
        return fault(
            id="http.no-answer",
            message=f"{self._host}:{self._port} takes connections, but does not answer as HTTP.",
            evidence=said,
            fix="Check that the endpoint is that of the store, and its port",
        )

    def _bad_certificate(self, error: ssl.SSLCertVerificationError) -> Finding:
        code = error.verify_code
        kind, message = "untrusted", "The store's certificate is of an unknown authority."
        fix = "ca_bundle = the path of that authority's certificates, or AWS_CA_BUNDLE for S3"
        if code in (_EXPIRED, _NOT_YET):
            kind, message = "expired", "The store's certificate has expired."
            if code == _NOT_YET:
                message = "The store's certificate is not valid yet."
            fix = "Renew the certificate of the server; check also this machine's clock"
        elif code in _OTHER_NAMES:
            kind, message = "wrong-name", f"The store's certificate is not one of {self._host!r}."
            fix = "Use a name that the certificate has as the endpoint's host"
        return fault(
            id=f"http.tls-{kind}",
            message=message,
            evidence=f"{self._host}:{self._port}: {error.verify_message}",
            fix=fix,
        )

    async def _no_tls(self, error: Exception) -> Finding:
        """Return why there is no TLS: the server may speak HTTP without it."""
        reason = getattr(error, "reason", None) or type(error).__name__
        if self._proxy is None and await self._speaks_plain():
            return fault(
                id="http.tls-not-spoken",
                message="The endpoint is one of https, and the server speaks http there.",
                evidence=f"{self._host}:{self._port} answers HTTP without TLS ({reason})",
                fix="Write http:// in the endpoint, or the port where the server speaks TLS",
            )
        return fault(
            id="http.tls-failed",
            message="No secure connection to the store can be made.",
            evidence=f"{self._host}:{self._port}: {reason}",
            fix="Check the port, and which versions of TLS the server takes (1.2 and later)",
        )

    def _tls_needed(self, evidence: str) -> Finding:
        return fault(
            id="http.tls-needed",
            message="The endpoint is one of http, and the server speaks https there.",
            evidence=f"{self._host}:{self._port}: {evidence}",
            fix="Write https:// in the endpoint",
        )

    async def _speaks_plain(self) -> bool:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            async with asyncio.timeout(min(self._seconds, _GUESS_SECONDS)):
                reader, writer = await asyncio.open_connection(self._host, self._port)
                try:
                    writer.write(f"HEAD / HTTP/1.1\r\nhost: {self._name}\r\n\r\n".encode())
                    return await reader.readexactly(5) == b"HTTP/"
                finally:
                    writer.transport.abort()
        return False

    async def _speaks_tls(self) -> bool:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with contextlib.suppress(OSError):
            async with asyncio.timeout(min(self._seconds, _GUESS_SECONDS)):
                _, writer = await asyncio.open_connection(self._host, self._port, ssl=context)
                writer.transport.abort()
                return True
        return False

    def _of_proxies(self) -> str:
        """Return what the environment says of proxies where none was used, which may be needed."""
        known = {name: url for name, url in getproxies().items() if name != "no"}
        if self._proxy is not None or not known:
            return ""
        if self._parts.scheme in known:
            return "; NO_PROXY keeps the proxy of the environment from being used"
        return f"; the environment has a proxy for {', '.join(sorted(known))} only"


def _context(settings: NetworkSettings) -> ssl.SSLContext:
    found = tls_context(settings)
    if isinstance(found, ssl.SSLContext):
        return found
    context = ssl.create_default_context()
    if found is False:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _head(head: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(":") for line in lines if line)
    }
    status = (first.split(" ", 2)[1:2] or [""])[0][:3]
    return int(status) if status.isdecimal() else 0, headers


def _seconds_of(date: str) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return None


def _ascii(host: str) -> str:
    """Return a host's name as it is sent: https://www.rfc-editor.org/rfc/rfc3490."""
    try:
        return host.encode("idna").decode()
    except UnicodeError:
        return quote(host)


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


def _utc(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _latency(contact: Contact) -> Finding:
    """Return how long the steps of a request took, as a notice."""
    steps = ", ".join(f"{name} {took * 1000:.1f} ms" for name, took in contact.seconds.items())
    return Finding(
        id="http.latency",
        severity=Severity.NOTICE,
        message="A first request takes so long, step by step.",
        evidence=steps,
    )


def _slow_name(host: str, seconds: float) -> Finding:
    return Finding(
        id="http.dns-slow",
        severity=Severity.WARNING,
        message=f"The look-up of the name {host!r} is slow, and each new connection waits for it.",
        evidence=f"{seconds:.1f} s",
        fix="Check the name servers in /etc/resolv.conf; a cache such as systemd-resolved helps",
    )


def _unverified() -> Finding:
    return Finding(
        id="http.tls-unverified",
        severity=Severity.WARNING,
        message="The store's certificate is not checked: another server may take its place.",
        evidence="verify = false",
        fix="Leave verify out; for an authority of your own, set ca_bundle",
    )


def _ends_soon(certificate: Mapping[str, object]) -> Finding | None:
    ends = certificate.get("notAfter")
    if not isinstance(ends, str):
        return None
    days = (ssl.cert_time_to_seconds(ends) - time.time()) / 86_400
    if days > _SOON_DAYS:
        return None
    return Finding(
        id="http.tls-expiring",
        severity=Severity.WARNING,
        message=f"The store's certificate expires in {days:.1f} days.",
        evidence=f"valid until {ends}",
        fix="Renew the certificate of the server",
    )


def _proxy_refuses(status: int) -> Finding:
    return fault(
        id="http.proxy-refuses",
        message="The proxy refuses to connect to the store.",
        evidence=f"HTTP {status}",
        fix="Check the user and password of the proxy, and which hosts it allows; or set NO_PROXY",
    )


def _proxy_findings(settings: NetworkSettings, proxy: SplitResult, host: str) -> list[Finding]:
    """Return that requests go through a proxy: a warning where the store is on this network."""
    place = f"{proxy.scheme}://{proxy.netloc.rpartition('@')[2]}"
    names = ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY")
    given = {name: os.environ[name].partition("://")[2] for name in names if name in os.environ}
    source = next((name for name, url in given.items() if proxy.netloc in url), "the system")
    source = "the option proxy" if settings.proxy is not None else source
    is_near = host == "localhost"
    with contextlib.suppress(ValueError):
        is_near = is_near or ipaddress.ip_address(host).is_private
    if is_near and settings.proxy is None:
        return [
            Finding(
                id="http.proxy-local",
                severity=Severity.WARNING,
                message="Requests to a store on this network go through a proxy.",
                evidence=f"{place}, from {source}",
                fix=f"Add {host} to NO_PROXY",
            )
        ]
    return [
        Finding(
            id="http.proxy",
            severity=Severity.NOTICE,
            message="Requests go through a proxy.",
            evidence=f"{place}, from {source}",
        )
    ]
