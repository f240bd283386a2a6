"""The diagnosis of a disk at Google: credentials, the way to the store, the bucket."""

from __future__ import annotations

import asyncio
import fnmatch
import json
import math
import os
import secrets
import time
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from jtc.storage.driver_support.diagnosing import (
    fault,
    findings_of_checks,
    findings_of_stages,
    undisturbed,
)
from jtc.storage.driver_support.findings import Finding, Severity
from jtc.storage.drivers.gcs_driver._objects.probing import lost_conditions
from jtc.storage.drivers.gcs_driver._transport.operations import list_objects, read_json
from jtc.storage.exceptions import (
    StorageConfigException,
    StorageException,
    StoragePermissionException,
)
from jtc.storage.http_support.diagnosis import (
    ATTEMPTS,
    WRONG_CLOCK,
    Contact,
    anonymous_get,
    clock_finding,
    cors_finding,
    look_at,
    plain_finding,
    redirect_finding,
    unavailable_finding,
)
from jtc.storage.http_support.requests import Refusal
from jtc.storage.models import Visibility

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from jtc.storage.driver_support.findings import DiagnosisOptions
    from jtc.storage.drivers.gcs_driver._settings import Settings
    from jtc.storage.drivers.gcs_driver._transport.transport import Transport

__all__ = ["diagnose"]

_OK, _UNAUTHORIZED = 200, 401

_FIELDS = "iamConfiguration,cors,retentionPolicy,softDeletePolicy,versioning"
_PERMISSIONS = {"list": "storage.objects.list", "get": "storage.objects.get"}
_OF_WRITES = {"create": "storage.objects.create", "delete": "storage.objects.delete"}


async def diagnose(
    transport: Transport, options: DiagnosisOptions
) -> AsyncGenerator[Finding, None]:
    """Yield what is wrong with a bucket, the credentials and the way to it."""
    diagnosis = _Diagnosis(transport, options)
    stages = (diagnosis.options, diagnosis.credentials, diagnosis.way, diagnosis.first_request)
    found = await findings_of_stages(stages)
    for finding in found:
        yield finding
    if found and found[-1].blocks:
        return
    checks = {
        "Whether anyone may list the bucket": diagnosis.public_listing,
        "The bucket's settings (storage.buckets.get)": diagnosis.bucket,
    }
    if options.probe and options.writable:
        checks["The conditions that the store keeps"] = diagnosis.conditions
    # What blocks comes last.
    checks["What the credentials may do"] = diagnosis.permissions
    each_check = findings_of_checks(checks, of="gcs", seconds=options.timeout * ATTEMPTS)
    async with aclosing(each_check) as findings:
        async for finding in findings:
            yield finding


class _Diagnosis:
    """Looks at one bucket."""

    def __init__(self, transport: Transport, options: DiagnosisOptions) -> None:
        self._transport, self._options = transport, options
        self._settings = transport.settings
        self._contact = Contact("")

    # What must be right before anything else is looked at

    async def options(self) -> list[Finding]:
        return [each for each in [plain_finding(self._settings)] if each is not None]

    async def credentials(self) -> list[Finding]:
        """Obtain a token, and say where the credentials come from."""
        settings, tokens = self._settings, self._transport.tokens
        if settings.anonymous:
            return []
        try:
            await tokens.headers()
        except StorageException as error:
            return [_no_token(settings, error)]
        ends_at = tokens.ends_at
        until = "that ends at no known time"
        if ends_at != math.inf:
            until = time.strftime("valid until %Y-%m-%dT%H:%M:%SZ", time.gmtime(ends_at))
        return [
            Finding(
                id="gcs.credentials",
                severity=Severity.NOTICE,
                message="A token was obtained.",
                evidence=f"by {_source(settings)}; {until}",
            )
        ]

    async def way(self) -> list[Finding]:
        """Look at the way to the endpoint by a request without a token."""
        url = f"{self._settings.endpoint_url}{self._path()}"
        self._contact = await look_at(self._settings, url, seconds=self._options.timeout)
        return self._contact.findings

    async def first_request(self) -> list[Finding]:
        """List one file, and say why that is refused."""
        seconds = self._options.timeout * ATTEMPTS
        try:
            async with asyncio.timeout(seconds):
                await self._transport.send(list_objects(self._settings.bucket, limit=1))
        except TimeoutError:
            return [unavailable_finding("gcs", f"no answer within {seconds:g} s")]
        except StorageException as error:
            found = self._refused(error)
            return [] if found is None else [found]
        found = clock_finding("gcs", self._contact.clock)
        return [] if found is None else [found]

    def _refused(self, error: StorageException) -> Finding | None:
        """Return why nothing can be done; None where only listing is not permitted."""
        settings, cause = self._settings, error.__cause__
        refusal = cause if isinstance(cause, Refusal) else getattr(cause, "__cause__", None)
        said = str(error)
        if isinstance(refusal, Refusal):
            said = f"HTTP {refusal.status} {refusal.code}: {refusal.message}".rstrip(": ")
        clock = self._contact.clock or 0.0
        if isinstance(error, StoragePermissionException):
            if abs(clock) > WRONG_CLOCK:
                return clock_finding("gcs", clock, is_refused=True)
            if settings.anonymous:
                return _closed(said)
            is_refused = isinstance(refusal, Refusal) and refusal.status == _UNAUTHORIZED
            return _keys_refused(said) if is_refused else None
        if isinstance(error, StorageConfigException) and "no bucket" in str(error):
            return _no_bucket(settings, said)
        if self._contact.redirect:
            return redirect_finding("gcs", self._contact)
        return unavailable_finding("gcs", said) if error.retryable else _no_store(said)

    # What can be looked at once requests are answered

    def _path(self, rest: str = "", **query: str) -> str:
        path = f"/storage/v1/b/{quote(self._settings.bucket, safe='')}{rest}"
        return f"{path}?{urlencode(query)}" if query else path

    async def _read(self, operation: str, rest: str, query: str) -> dict[str, Any]:
        return await self._transport.send(read_json(operation, self._path(rest), query))

    async def public_listing(self) -> list[Finding]:
        """List without a token."""
        settings = self._settings
        if settings.anonymous:
            return []
        url = f"{settings.endpoint_url}{self._path('/o', maxResults='1')}"
        contact = await anonymous_get(settings, url, seconds=self._options.timeout)
        if contact.status != _OK or not contact.body.lstrip().startswith(b"{"):
            return []
        return [
            Finding(
                id="gcs.public-listing",
                severity=Severity.ERROR,
                message="Anyone may list the bucket: all names of files are public.",
                evidence="a listing without a token was answered with HTTP 200",
                fix=f"gcloud storage buckets remove-iam-policy-binding gs://{settings.bucket} "
                "--member=allUsers --role=roles/storage.objectViewer; for files that are to be "
                "public, roles/storage.legacyObjectReader is enough",
            )
        ]

    async def permissions(self) -> list[Finding]:
        """Ask what the credentials may do, which any may ask.

        https://cloud.google.com/storage/docs/json_api/v1/buckets/testIamPermissions
        """
        wanted = _PERMISSIONS | (_OF_WRITES if self._options.writable else {})
        query = urlencode([("permissions", each) for each in sorted(wanted.values())])
        answer = await self._read("testIamPermissions", "/iam/testPermissions", query)
        given = {*answer.get("permissions", ())}
        lacking = {right: name for right, name in wanted.items() if name not in given}
        if not given and not self._settings.anonymous:
            return [_no_access(self._settings.bucket, sorted(lacking.values()))]
        last = [*lacking][-1:]
        return [
            _no_right(right, name, self._settings.bucket, blocks=[right] == last)
            for right, name in lacking.items()
        ]

    async def bucket(self) -> list[Finding]:
        """Read the bucket's settings."""
        bucket = await self._read("buckets.get", "", urlencode({"fields": _FIELDS}))
        found = [*self._of_access(bucket)]
        if "softDeletePolicy" in bucket and not _number(bucket, "softDeletePolicy"):
            found.append(
                Finding(
                    id="gcs.soft-delete-off",
                    severity=Severity.NOTICE,
                    message="The bucket keeps nothing of deleted files.",
                    evidence="softDeletePolicy.retentionDurationSeconds: 0",
                    fix=f"gcloud storage buckets update gs://{self._settings.bucket} "
                    "--soft-delete-duration=7d",
                )
            )
        if self._options.writable:
            found += self._of_cors(bucket.get("cors") or [])
        if seconds := _number(bucket, "retentionPolicy", "retentionPeriod"):
            found.append(
                Finding(
                    id="gcs.retention",
                    severity=Severity.NOTICE,
                    message="The bucket keeps each file for a time: none is tried out, and the "
                    "disk can replace or delete none that is younger.",
                    evidence=f"retentionPolicy: {seconds} s",
                    blocks=True,
                )
            )
        return found

    def _of_access(self, bucket: dict[str, Any]) -> list[Finding]:
        settings, access = self._settings, bucket.get("iamConfiguration") or {}
        is_uniform = (access.get("uniformBucketLevelAccess") or {}).get("enabled") is True
        found = []
        if settings.visibility is not None and is_uniform:
            found.append(
                fault(
                    id="gcs.uniform-access",
                    message="The bucket has uniform access, and the option visibility sends an "
                    "ACL with each file.",
                    evidence="uniformBucketLevelAccess.enabled: true",
                    fix='Leave visibility out and set disable = ["visibility"]; or turn ACLs on: '
                    f"gcloud storage buckets update gs://{settings.bucket} "
                    "--no-uniform-bucket-level-access",
                )
            )
        elif (
            settings.visibility is Visibility.PUBLIC
            and access.get("publicAccessPrevention") == "enforced"
        ):
            found.append(
                fault(
                    id="gcs.public-access-prevention",
                    message="The disk's files are to be public, and the bucket prevents it.",
                    evidence='publicAccessPrevention: enforced; visibility = "public"',
                    fix=f"gcloud storage buckets update gs://{settings.bucket} "
                    '--no-public-access-prevention; or visibility = "private" and temporary_url()',
                )
            )
        return found

    def _of_cors(self, rules: list[dict[str, Any]]) -> list[Finding]:
        origin = self._options.origin
        if any(_allows(rule, origin) for rule in rules):
            return []
        rule = {
            "origin": [origin or "https://app.example.com"],
            "method": ["GET", "HEAD", "PUT", "POST"],
            "responseHeader": ["Content-Type", "ETag", "x-goog-*"],
            "maxAgeSeconds": 600,
        }
        return [
            cors_finding(
                "gcs",
                origin,
                evidence=f"{len(rules)} CORS rules, none with PUT and ETag",
                fix=f"Write {json.dumps([*rules, rule])} to cors.json, and: gcloud storage buckets "
                f"update gs://{self._settings.bucket} --cors-file=cors.json",
            )
        ]

    async def conditions(self) -> list[Finding]:
        """Try conditions that do not hold: not all emulators keep them."""
        path = f".jtc-check-{secrets.token_hex(8)}"
        try:
            lost = await undisturbed(
                lost_conditions(self._transport, path), seconds=self._options.timeout * ATTEMPTS
            )
        except StoragePermissionException:
            return []  # said by `permissions`
        if not lost:
            return []
        return [
            Finding(
                id="gcs.conditions",
                severity=Severity.WARNING,
                message="The store ignores conditions, which Google keeps: overwrite=False and "
                "if_match may lose files.",
                evidence=f"not kept: {', '.join(lost)}",
                fix="Use Google Cloud Storage, or this emulator in tests alone",
            )
        ]


def _number(bucket: dict[str, Any], name: str, inner: str = "retentionDurationSeconds") -> int:
    policy = bucket.get(name)
    text = str(policy.get(inner, "")) if isinstance(policy, dict) else ""
    return int(text) if text.isdecimal() else 0


def _allows(rule: Mapping[str, Any], origin: str | None) -> bool:
    """Return whether a rule lets pages upload, and read the etag of what they uploaded."""
    origins, methods = rule.get("origin") or [], {*(rule.get("method") or [])}
    if origin is not None and not any(fnmatch.fnmatchcase(origin, each) for each in origins):
        return False
    headers = {str(each).lower() for each in rule.get("responseHeader") or []}
    return bool(methods & {"PUT", "*"}) and bool(headers & {"etag", "*"})


def _source(settings: Settings) -> str:
    for name in ("credentials_file", "credentials_info", "credentials"):
        if getattr(settings, name) is not None:
            return f"the option {name}"
    if file := os.environ.get("GOOGLE_APPLICATION_CREDENTIALS"):
        return f"GOOGLE_APPLICATION_CREDENTIALS ({file})"
    return "gcloud's login" if _login().is_file() else "the metadata of this machine"


def _login() -> Path:
    """Return where gcloud keeps the default credentials of applications."""
    folder = os.environ.get("CLOUDSDK_CONFIG") or "~/.config/gcloud"
    return Path(folder).expanduser() / "application_default_credentials.json"


def _no_token(settings: Settings, error: StorageException) -> Finding:
    evidence = str(error)
    given = ("credentials_file", "credentials_info", "credentials")
    if all(getattr(settings, name) is None for name in given):
        variable = os.environ.get("GOOGLE_APPLICATION_CREDENTIALS")
        there = "is not set"
        if variable:
            there = f"names {variable}, which is {'' if Path(variable).is_file() else 'not '}there"
        login = f"{_login()} is {'' if _login().is_file() else 'not '}there"
        evidence += f"; looked at: GOOGLE_APPLICATION_CREDENTIALS {there}; {login}; this machine's "
        evidence += "metadata"
    kind, message = "source", "The source of the credentials does not work."
    fix = "Put that source right, or pass credentials_file"
    if isinstance(error, StorageConfigException):
        kind, message = "missing", "There are no credentials that can be used."
        fix = "Set GOOGLE_APPLICATION_CREDENTIALS to a key's file, or: gcloud auth "
        fix += "application-default login"
    elif isinstance(error, StoragePermissionException):
        kind, message = "refused", "Google refuses the credentials."
        fix = "Make a new key of the service account; check this machine's clock, too"
    return fault(id=f"gcs.credentials-{kind}", message=message, evidence=evidence, fix=fix)


def _no_right(right: str, name: str, bucket: str, *, blocks: bool) -> Finding:
    return Finding(
        id=f"gcs.permission-{right}",
        severity=Severity.ERROR,
        message=f"The credentials lack {name}.",
        evidence="testIamPermissions does not name it",
        fix=f"gcloud storage buckets add-iam-policy-binding gs://{bucket} --member=serviceAccount:"
        "EMAIL --role=roles/storage.objectUser",
        blocks=blocks,
    )


def _no_access(bucket: str, lacking: list[str]) -> Finding:
    return fault(
        id="gcs.denied",
        message="The credentials may do nothing in the bucket.",
        evidence=f"refused: {', '.join(lacking)}",
        fix=f"Check the bucket's name; or: gcloud storage buckets add-iam-policy-binding "
        f"gs://{bucket} --member=serviceAccount:EMAIL --role=roles/storage.objectUser",
    )


def _no_bucket(settings: Settings, said: str) -> Finding:
    return fault(
        id="gcs.bucket-missing",
        message=f"There is no bucket {settings.bucket!r}.",
        evidence=said,
        fix="Correct GCS_BUCKET or the option bucket, or: gcloud storage buckets create "
        f"gs://{settings.bucket}",
    )


def _closed(said: str) -> Finding:
    return fault(
        id="gcs.not-public",
        message="The bucket is not public, and the disk is anonymous.",
        evidence=said,
        fix="Leave anonymous out, and pass credentials_file",
    )


def _keys_refused(said: str) -> Finding:
    return fault(
        id="gcs.credentials-refused",
        message="The store refuses the credentials.",
        evidence=said,
        fix="Make a new key of the service account; check that the token is for this store",
    )


def _no_store(said: str) -> Finding:
    return fault(
        id="gcs.endpoint",
        message="What answers at the endpoint is not Google's API.",
        evidence=said,
        fix="Leave endpoint_url and STORAGE_EMULATOR_HOST out, or correct them",
    )
