"""Findings of the first request: the endpoint, the region, the bucket, and refused keys."""

from __future__ import annotations

import asyncio
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from jtc.storage.driver_support.diagnosing import fault
from jtc.storage.driver_support.findings import Finding, Severity
from jtc.storage.drivers.s3_driver._settings import REGION
from jtc.storage.drivers.s3_driver._transport.errors import NoBucketException, S3Refusal
from jtc.storage.drivers.s3_driver._transport.operations import Request
from jtc.storage.drivers.s3_driver._transport.xml import OddAnswerException, read_document
from jtc.storage.exceptions import StorageException, StoragePermissionException
from jtc.storage.http_support.diagnosis import (
    ATTEMPTS,
    WRONG_CLOCK,
    clock_finding,
    redirect_finding,
    unavailable_finding,
)

if TYPE_CHECKING:
    from jtc.storage.drivers.s3_driver._settings import Settings
    from jtc.storage.drivers.s3_driver._transport.endpoint import Endpoint
    from jtc.storage.drivers.s3_driver._transport.transport import Transport
    from jtc.storage.http_support.diagnosis import Contact
    from jtc.storage.http_support.requests import Answer

__all__ = ["FirstRequest", "in_other_style", "look"]

_KEYS_REFUSED = frozenset({"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidSecurity"})
_KEYS_ENDED = frozenset({"ExpiredToken", "ExpiredTokenException", "InvalidToken"})
_STYLE_REFUSED = frozenset({"SecondLevelDomainForbidden", "PathStyleDomainForbidden"})


@dataclass(slots=True)
class FirstRequest:
    """What the first signed request showed.

    Attributes:
        findings: What is wrong.
        denied: Why the keys may not list the bucket; None: they may.
    """

    findings: list[Finding] = field(default_factory=list[Finding])
    denied: str | None = None


async def look(transport: Transport, contact: Contact, seconds: float) -> FirstRequest:
    """List one key of the bucket, and return what that shows.

    Args:
        transport: The bucket.
        contact: What its endpoint answered to a request without a signature.
        seconds: How long a request may take.
    """
    seen = FirstRequest()
    request: Request[tuple[str, str]] = Request(
        "ListObjectsV2", "GET", "", _listed, {}, "encoding-type=url&list-type=2&max-keys=1"
    )
    try:
        async with asyncio.timeout(seconds * ATTEMPTS):
            root, name = await transport.send(request)
    except TimeoutError:
        said = f"no answer within {seconds * ATTEMPTS:g} s"
        seen.findings.append(unavailable_finding("s3", said))
    except StorageException as error:
        if isinstance(error, StoragePermissionException) and not _is_for_keys(error, contact):
            # The keys may be good for other requests.
            seen.denied = _said(error)
            return seen
        seen.findings.append(_refused(transport, contact, error))
    else:
        settings = transport.settings
        if root == "ListAllMyBucketsResult":
            seen.findings.append(_style(settings, "path", "it lists buckets, not files"))
        elif name and ":" not in settings.bucket and name != settings.bucket:
            seen.findings.append(_endpoint_has_path(settings, f"it lists the bucket {name!r}"))
        else:
            seen.findings += _of_success(transport, contact)
    return seen


def in_other_style(settings: Settings, endpoint: Endpoint, blocking: Finding) -> Finding | None:
    """Return the finding that a host with the bucket's name is not found; None if it is another."""
    host = urlsplit(settings.endpoint_url or "").hostname
    is_added = host is not None and endpoint.host.startswith(f"{settings.bucket}.{host}")
    if blocking.id not in ("http.dns", "http.tls-wrong-name") or not is_added:
        return None
    return _style(settings, "path", blocking.evidence)


def _listed(answer: Answer) -> tuple[str, str]:
    roots = "ListBucketResult", "ListAllMyBucketsResult"
    document = read_document(answer.document, *roots)
    return document.root, document.fields.get("Name", "")


def _of_success(transport: Transport, contact: Contact) -> list[Finding]:
    settings, found = transport.settings, list[Finding]()
    if (clock := clock_finding("s3", contact.clock)) is not None:
        found.append(clock)
    target = transport.target
    region = target.endpoint.region if target is not None else settings.region
    if settings.region not in (region, "auto"):
        found.append(_region(settings, region, Severity.WARNING))
    return found


def _is_for_keys(error: StorageException, contact: Contact) -> bool:
    """Return whether the store refuses the keys themselves, or the time of the signature."""
    cause = error.__cause__
    if not isinstance(cause, S3Refusal):
        return False
    codes = _KEYS_REFUSED | _KEYS_ENDED | {"RequestTimeTooSkewed"}
    is_clock = max(abs(cause.clock), abs(contact.clock or 0.0)) > WRONG_CLOCK
    return cause.code in codes or is_clock


def _refused(transport: Transport, contact: Contact, error: StorageException) -> Finding:
    """Return the cause of a refusal that no other request escapes."""
    settings, refusal = transport.settings, error.__cause__
    if not isinstance(refusal, S3Refusal):
        is_odd = isinstance(error, OddAnswerException) or not error.retryable
        return _no_store(str(error)) if is_odd else unavailable_finding("s3", str(error))
    said = _said(error)
    is_clock = refusal.code == "RequestTimeTooSkewed" or (
        refusal.status in (400, 403) and abs(refusal.clock) > WRONG_CLOCK
    )
    if is_clock and (clock := clock_finding("s3", refusal.clock, is_refused=True)) is not None:
        return clock
    found = _by_code(settings, refusal.code, said)
    if found is not None:
        return found
    if refusal.is_elsewhere and REGION.fullmatch(refusal.region or " "):
        return _region(settings, refusal.region, Severity.ERROR)
    if contact.redirect:
        return redirect_finding("s3", contact)
    if error.retryable:
        return unavailable_finding("s3", said)
    if isinstance(error, NoBucketException):
        return _no_bucket(settings, said)
    is_s3 = refusal.code not in ("", "MethodNotAllowed", "NoSuchKey")
    return _bucket_in_host(settings, said) or (_other if is_s3 else _no_store)(said)


def _said(error: StorageException) -> str:
    """Return the store's own words."""
    refusal = error.__cause__
    if not isinstance(refusal, S3Refusal):
        return str(error)
    return f"HTTP {refusal.status} {refusal.code}: {refusal.message}".rstrip(": ")


def _by_code(settings: Settings, code: str, said: str) -> Finding | None:
    """Return what a code of S3 says that means one thing."""
    if code == "NoSuchBucket":
        return _no_bucket(settings, said)
    if code in _KEYS_ENDED:
        return _keys(said, "s3.credentials-expired", "The store takes the keys for expired.")
    if code in _KEYS_REFUSED:
        return _keys(said, "s3.credentials-refused", "The store refuses the keys.")
    if code in _STYLE_REFUSED:
        return _style(settings, "virtual", said)
    if "Transfer Acceleration" in said:
        return _not_accelerated(settings, said)
    return None


# Findings, each of which blocks


def _no_bucket(settings: Settings, said: str) -> Finding:
    url = settings.endpoint_url
    if url is not None and not settings.holds_bucket(url) and urlsplit(url).path.strip("/"):
        return _endpoint_has_path(settings, said)
    if (found := _bucket_in_host(settings, said)) is not None:
        return found
    create = ["aws", "s3api", "create-bucket", "--bucket", settings.bucket]
    return fault(
        id="s3.bucket-missing",
        message=f"There is no bucket {settings.bucket!r} at this endpoint.",
        evidence=said,
        fix="Correct AWS_BUCKET or the option bucket, or create it: "
        f"{shlex.join([*create, *settings.endpoint_arguments()])}",
    )


def _endpoint_has_path(settings: Settings, said: str) -> Finding:
    parts = urlsplit(settings.endpoint_url or "")
    return fault(
        id="s3.endpoint-path",
        message="The endpoint has a path, which the store takes for the bucket's name.",
        evidence=f"endpoint_url = {settings.endpoint_url!r}; {said}",
        fix=f"endpoint_url = '{parts.scheme}://{parts.netloc}'; for files below a prefix, use "
        f"disk.scoped(prefix) or the layer scoped",
    )


def _bucket_in_host(settings: Settings, said: str) -> Finding | None:
    """Return the finding that the endpoint has the bucket before its host, where that is so."""
    parts = urlsplit(settings.endpoint_url or "")
    host = parts.hostname or ""
    url = settings.endpoint_url
    if url is None or not host.startswith(f"{settings.bucket}.") or settings.holds_bucket(url):
        return None
    without = parts.netloc.removeprefix(f"{settings.bucket}.")
    return fault(
        id="s3.endpoint-bucket",
        message="The endpoint has the bucket in its host, and the bucket is added to it.",
        evidence=f"endpoint_url = {url!r}; {said}",
        fix=f"endpoint_url = '{parts.scheme}://{without}', and addressing_style = \"virtual\" if "
        "the store wants the bucket in the host",
    )


def _style(settings: Settings, style: str, said: str) -> Finding:
    where = "path" if style == "path" else "host"
    return fault(
        id="s3.addressing-style",
        message=f"The store wants the bucket's name in the {where} of requests.",
        evidence=f"addressing_style = {settings.addressing_style!r}; {said}",
        fix=f'addressing_style = "{style}"',
    )


def _region(settings: Settings, region: str, severity: Severity) -> Finding:
    is_refused = severity is Severity.ERROR
    source = settings.sources.get("region", "the option region")
    message = f"The bucket is in the region {region!r}"
    cost = "" if is_refused else ": each process sends its first request twice"
    regional = is_refused and settings.endpoint_url is not None
    also = ", and leave endpoint_url out or use that region's" if regional else ""
    return Finding(
        id="s3.region",
        severity=severity,
        message=f"{message}, not in {settings.region!r}{cost}.",
        evidence=f"the store says {region!r}; {source} is {settings.region!r}",
        fix=f'region = "{region}"{also}',
        blocks=is_refused,
    )


def _keys(said: str, name: str, message: str) -> Finding:
    fix = "Renew the keys where they come from"
    if name == "s3.credentials-refused":
        fix = "Check the access key and the secret key, and that they are those of this store"
    return fault(
        id=name,
        message=message,
        evidence=said,
        fix=fix,
    )


def _not_accelerated(settings: Settings, said: str) -> Finding:
    return fault(
        id="s3.acceleration-off",
        message="The bucket has no Transfer Acceleration, which the option use_accelerate needs.",
        evidence=said,
        fix=f"aws s3api put-bucket-accelerate-configuration --bucket {settings.bucket} "
        "--accelerate-configuration Status=Enabled; or leave use_accelerate out",
    )


def _other(said: str) -> Finding:
    return fault(
        id="s3.refused",
        message="The store refuses requests to this bucket.",
        evidence=said,
        fix="Look up the store's own words in its documentation",
    )


def _no_store(said: str) -> Finding:
    return fault(
        id="s3.endpoint",
        message="What answers at the endpoint is not the S3 API of a store.",
        evidence=said,
        fix="Check the host, port and path of endpoint_url: a store's console is another address "
        "than its API",
    )
