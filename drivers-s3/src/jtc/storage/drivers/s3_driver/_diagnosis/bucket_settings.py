"""Findings about a bucket's settings: CORS, versions, unfinished uploads, locks, public access."""

from __future__ import annotations

import fnmatch
import json
import shlex
import time
from typing import TYPE_CHECKING

from jtc.storage.driver_support.findings import Finding, Severity
from jtc.storage.drivers.s3_driver._diagnosis.bucket_requests import read_setting, texts
from jtc.storage.drivers.s3_driver._transport.operations import list_uploads
from jtc.storage.http_support.diagnosis import anonymous_get, cors_finding
from jtc.storage.models import Visibility

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from xml.etree import ElementTree as ET

    from jtc.storage.driver_support.findings import DiagnosisOptions
    from jtc.storage.drivers.s3_driver._transport.transport import Transport

__all__ = ["BucketSettings"]

_DAY = 86_400.0
_MOST_PAGES = 10
_OK = 200


class BucketSettings:
    """The settings of one bucket, as far as the keys may look at them.

    Args:
        transport: The bucket.
        options: What may be done.

    Attributes:
        versioning: ``"Enabled"`` or ``"Suspended"``; empty where there is none, None where that is
            not visible.
        retains: Whether each new file is kept for a time that nothing shortens.
    """

    def __init__(self, transport: Transport, options: DiagnosisOptions) -> None:
        self._transport, self._options = transport, options
        self._settings = transport.settings
        self.versioning: str | None = None
        self.retains = False

    def checks(self) -> Iterator[tuple[str, Callable[[], Awaitable[list[Finding]]]]]:
        """Yield what to look at, each with the IAM action that it needs, and the check."""
        yield "The bucket's versioning (s3:GetBucketVersioning)", self._versions
        yield "The bucket's object lock (s3:GetBucketObjectLockConfiguration)", self._locks
        if self._options.writable:
            yield "The bucket's lifecycle (s3:GetLifecycleConfiguration)", self._lifecycle
            yield (
                "The bucket's unfinished uploads (s3:ListBucketMultipartUploads)",
                self._unfinished_uploads,
            )
            yield "The bucket's CORS rules (s3:GetBucketCORS)", self._cors
            yield "The bucket's encryption (s3:GetEncryptionConfiguration)", self._encryption
        if self._settings.visibility is Visibility.PUBLIC:
            yield (
                "The bucket's block of public access (s3:GetBucketPublicAccessBlock)",
                self._public_access_block,
            )
        if not self._settings.anonymous:
            yield "Whether anyone may list the bucket", self._public_listing

    async def _setting(self, operation: str, subresource: str, root: str) -> ET.Element | None:
        return await read_setting(self._transport, operation, subresource, root)

    def _command(self, action: str, *arguments: str) -> str:
        at = self._settings.endpoint_arguments()
        return shlex.join(["aws", "s3api", action, "--bucket", self._settings.bucket, *at]) + (
            " " + shlex.join(arguments) if arguments else ""
        )

    async def _versions(self) -> list[Finding]:
        found = await self._setting("GetBucketVersioning", "versioning", "VersioningConfiguration")
        status = texts(found, "Status") if found is not None else []
        self.versioning = status[0] if status else ""
        if self.versioning == "Enabled":
            return []
        is_suspended = self.versioning == "Suspended"
        fix = self._command("put-bucket-versioning", "--versioning-configuration", "Status=Enabled")
        return [
            Finding(
                id="s3.versioning-suspended" if is_suspended else "s3.versioning-off",
                severity=Severity.WARNING if is_suspended else Severity.NOTICE,
                message="Versioning was suspended: old versions stay and cost, new ones are not "
                "kept."
                if is_suspended
                else "The bucket keeps no versions: what is overwritten or deleted is gone.",
                evidence=f"Status: {self.versioning or 'none'}",
                fix=fix,
            )
        ]

    async def _locks(self) -> list[Finding]:
        found = await self._setting(
            "GetObjectLockConfiguration", "object-lock", "ObjectLockConfiguration"
        )
        if found is None or "Enabled" not in texts(found, "ObjectLockEnabled"):
            return []
        modes = texts(found, "Mode")
        self.retains = bool(modes)
        kept = [*(f"{n} days" for n in texts(found, "Days")), *texts(found, "Years")]
        return [
            Finding(
                id="s3.object-lock",
                severity=Severity.NOTICE,
                message="The bucket locks objects: what is deleted or overwritten stays as a "
                f"version{', each new one for the default time' if modes else ''}.",
                evidence=f"default retention: {' '.join([*modes, *kept]) or 'none'}",
            )
        ]

    async def _lifecycle(self) -> list[Finding]:
        found = await self._setting(
            "GetBucketLifecycleConfiguration", "lifecycle", "LifecycleConfiguration"
        )
        rules = list(found.iterfind("{*}Rule")) if found is not None else []
        for rule in rules:
            if "Enabled" in texts(rule, "Status") and texts(rule, "DaysAfterInitiation"):
                return []
        wanted = {
            "ID": "abort-unfinished-uploads",
            "Status": "Enabled",
            "Filter": {"Prefix": ""},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
        }
        fix = f"Add the rule {json.dumps(wanted)} to those of the bucket"
        if not rules:
            fix = self._command(
                "put-bucket-lifecycle-configuration",
                "--lifecycle-configuration",
                json.dumps({"Rules": [wanted]}),
            )
        return [
            Finding(
                id="s3.lifecycle-uploads",
                severity=Severity.WARNING,
                message="No lifecycle rule removes unfinished uploads, whose parts cost as well.",
                evidence=f"{len(rules)} rules, none with AbortIncompleteMultipartUpload",
                fix=fix,
            )
        ]

    async def _unfinished_uploads(self) -> list[Finding]:
        begun: list[float] = []
        after: tuple[str, str] | None = None
        for _ in range(_MOST_PAGES):
            page = await self._transport.send(list_uploads(after))
            begun += [each for *_, each in page.uploads]
            if page.next is None or page.next == after:
                break
            after = page.next
        old = [each for each in begun if time.time() - each > _DAY]
        if not old:
            return []
        days = (time.time() - min(old)) / _DAY
        return [
            Finding(
                id="s3.unfinished-uploads",
                severity=Severity.WARNING,
                message=f"{len(old)} uploads were begun more than a day ago and not finished: "
                "their parts cost as files do.",
                evidence=f"{len(begun)} unfinished uploads, the oldest of {days:.1f} days",
                fix="jtc-storage uploads sweep, or await driver.abort_stale_uploads()",
            )
        ]

    async def _cors(self) -> list[Finding]:
        found = await self._setting("GetBucketCors", "cors", "CORSConfiguration")
        rules = list(found.iterfind("{*}CORSRule")) if found is not None else []
        origin = self._options.origin
        if any(_allows(rule, origin) for rule in rules):
            return []
        rule = {
            "AllowedOrigins": [origin or "https://app.example.com"],
            "AllowedMethods": ["GET", "HEAD", "PUT", "POST"],
            "AllowedHeaders": ["*"],
            "ExposeHeaders": ["ETag"],
            "MaxAgeSeconds": 600,
        }
        fix = f"Add the rule {json.dumps(rule)} to those of the bucket"
        if not rules:
            fix = self._command(
                "put-bucket-cors", "--cors-configuration", json.dumps({"CORSRules": [rule]})
            )
        return [
            cors_finding(
                "s3",
                origin,
                evidence=f"{len(rules)} CORS rules, none with PUT, its headers and ETag",
                fix=fix,
            )
        ]

    async def _encryption(self) -> list[Finding]:
        asked = self._settings.driver_options or {}
        if self._settings.sse_customer_key is not None or "ServerSideEncryption" in asked:
            return []
        found = await self._setting(
            "GetBucketEncryption", "encryption", "ServerSideEncryptionConfiguration"
        )
        if found is not None and texts(found, "SSEAlgorithm"):
            return []
        encryption = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}
        return [
            Finding(
                id="s3.encryption-off",
                severity=Severity.NOTICE,
                message="The bucket does not encrypt new files by default.",
                evidence="no rule of encryption",
                fix=self._command(
                    "put-bucket-encryption",
                    "--server-side-encryption-configuration",
                    json.dumps(encryption),
                ),
            )
        ]

    async def _public_access_block(self) -> list[Finding]:
        found = await self._setting(
            "GetPublicAccessBlock", "publicAccessBlock", "PublicAccessBlockConfiguration"
        )
        names = ("BlockPublicAcls", "IgnorePublicAcls")
        blocking = [name for name in names if found is not None and "true" in texts(found, name)]
        if not blocking:
            return []
        return [
            Finding(
                id="s3.public-access-block",
                severity=Severity.ERROR,
                message='The disk\'s files are to be public (visibility = "public"), and the '
                "bucket blocks public access.",
                evidence=", ".join(f"{name} is true" for name in blocking),
                fix=self._command("delete-public-access-block")
                + ', or visibility = "private" and temporary_url()',
            )
        ]

    async def _public_listing(self) -> list[Finding]:
        target = await self._transport.located()
        url = f"{target.endpoint.url.rstrip('/')}?list-type=2&max-keys=1"
        if target.endpoint.base == "/":
            url = f"{target.endpoint.url}?list-type=2&max-keys=1"
        contact = await anonymous_get(self._settings, url, seconds=self._options.timeout)
        if contact.status != _OK or b"<ListBucketResult" not in contact.body:
            return []
        return [
            Finding(
                id="s3.public-listing",
                severity=Severity.ERROR,
                message="Anyone may list the bucket: all names of files are public.",
                evidence="a listing without keys was answered with HTTP 200",
                fix="Remove s3:ListBucket for the principal * from the bucket's policy, and READ "
                "for AllUsers from its ACL",
            )
        ]


def _allows(rule: ET.Element, origin: str | None) -> bool:
    """Return whether a rule lets pages upload, and read the etag of what they uploaded."""
    origins, headers = texts(rule, "AllowedOrigin"), texts(rule, "AllowedHeader")
    if origin is not None and not any(fnmatch.fnmatchcase(origin, each) for each in origins):
        return False
    has_methods = {"PUT", "POST"} & {*texts(rule, "AllowedMethod")}
    has_headers = {"*", "content-type"} & {each.lower() for each in headers}
    exposes = "etag" in {each.lower() for each in texts(rule, "ExposeHeader")}
    return bool(has_methods and has_headers and exposes)
