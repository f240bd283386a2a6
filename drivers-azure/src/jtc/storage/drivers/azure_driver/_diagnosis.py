"""The diagnosis of a disk at Azure: signatures, the way to the account, the container."""

from __future__ import annotations

import asyncio
import fnmatch
import secrets
import time
from contextlib import aclosing, suppress
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import parse_qs
from xml.etree import ElementTree as ET

from jtc.storage.driver_support.diagnosing import (
    fault,
    findings_of_checks,
    findings_of_stages,
    undisturbed,
    without,
)
from jtc.storage.driver_support.findings import Finding, Severity
from jtc.storage.drivers.azure_driver._objects.probing import check
from jtc.storage.drivers.azure_driver._transport.errors import NoContainerException
from jtc.storage.exceptions import (
    StorageException,
    StoragePermissionException,
    UnsupportedOperationException,
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
from jtc.storage.http_support.requests import Refusal, Request

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from jtc.storage.driver_support.findings import DiagnosisOptions
    from jtc.storage.drivers.azure_driver._settings import Settings
    from jtc.storage.drivers.azure_driver._transport.transport import Transport
    from jtc.storage.http_support.requests import Answer

__all__ = ["diagnose"]

_DAY = 86_400.0
_SOON = 7 * _DAY
_OK = 200

# https://learn.microsoft.com/en-us/rest/api/storageservices/create-service-sas
_LETTERS = {"r": "read", "l": "list"}
_LETTERS_OF_WRITES = {"c": "create", "w": "write", "d": "delete"}

_ACCOUNT_CODES = frozenset({"AccountIsDisabled", "AccountBeingCreated", "ContainerDisabled"})
_KEYS_CODES = frozenset({"AuthenticationFailed", "InvalidAuthenticationInfo"})
_DENIED_CODE = "AuthorizationFailure"
"""Of network rules, and of a signature that does not fit; the emulator says it to wrong keys."""
_CLOSED_CODES = frozenset({"PublicAccessNotPermitted", "NoAuthenticationInformation"})


async def diagnose(
    transport: Transport, options: DiagnosisOptions
) -> AsyncGenerator[Finding, None]:
    """Yield what is wrong with a container, what signs and the way to it."""
    signature = parse_qs(transport.settings.sas_token or "").get("sig", [None])[0]
    async with aclosing(_findings(transport, options)) as findings:
        async for finding in findings:
            yield without(finding, (transport.settings.account_key, signature))


async def _findings(
    transport: Transport, options: DiagnosisOptions
) -> AsyncGenerator[Finding, None]:
    diagnosis = _Diagnosis(transport, options)
    stages = (diagnosis.options, diagnosis.credentials, diagnosis.way, diagnosis.first_request)
    found = await findings_of_stages(stages)
    for finding in found:
        yield finding
    if found and found[-1].blocks:
        return
    checks = {
        "Who may read the container": diagnosis.public_access,
        "The account's settings (an account key or Entra ID may)": diagnosis.service,
    }
    if options.probe and options.writable:
        checks["The conditions that the store keeps"] = diagnosis.conditions
    each_check = findings_of_checks(checks, of="azure", seconds=options.timeout * ATTEMPTS)
    async with aclosing(each_check) as findings:
        async for finding in findings:
            yield finding


class _Diagnosis:
    """Looks at one container."""

    def __init__(self, transport: Transport, options: DiagnosisOptions) -> None:
        self._transport, self._options = transport, options
        self._settings = transport.settings
        self._contact = Contact("")

    # What must be right before anything else is looked at

    async def options(self) -> list[Finding]:
        """Look at the options, and at what the signature itself says."""
        found = [each for each in [plain_finding(self._settings)] if each is not None]
        if self._settings.sas_token is not None:
            fields = {name: texts[0] for name, texts in parse_qs(self._settings.sas_token).items()}
            found += _of_signature(fields, self._settings, self._options)
        return found

    async def credentials(self) -> list[Finding]:
        """Say what signs; obtain a token of Entra ID, if that is it."""
        settings, problem = self._settings, None
        if settings.anonymous:
            return []
        if settings.is_entra:
            try:
                await self._transport.token()
            except (StorageException, TimeoutError) as error:
                problem = str(error) or "no answer in time"
        if problem is not None:
            return [
                fault(
                    id="azure.credentials-missing",
                    message="Entra ID gives no token.",
                    evidence=problem,
                    fix="Log in (az login), or set AZURE_CLIENT_ID, AZURE_TENANT_ID and "
                    "AZURE_CLIENT_SECRET; or use account_key",
                )
            ]
        names = {"account_key": settings.key, "sas_token": settings.sas_token}
        name = next((each for each, given in names.items() if given is not None), "credential")
        return [
            Finding(
                id="azure.credentials",
                severity=Severity.NOTICE,
                message="Requests are signed.",
                evidence=f"by {settings.sources.get(name, f'the option {name}')}",
            )
        ]

    async def way(self) -> list[Finding]:
        """Look at the way to the endpoint by a request without a signature."""
        settings = self._settings
        url = f"{settings.endpoint_url}/{settings.container}?restype=container"
        self._contact = await look_at(settings, url, seconds=self._options.timeout)
        return self._contact.findings

    async def first_request(self) -> list[Finding]:
        """List one file, and say why that is refused."""
        seconds = self._options.timeout * ATTEMPTS
        request = self._transport.requests.list_blobs(
            "", delimiter="", marker="", start_from="", most=1
        )
        try:
            async with asyncio.timeout(seconds):
                await self._transport.send(request)
        except TimeoutError:
            return [unavailable_finding("azure", f"no answer within {seconds:g} s")]
        except StorageException as error:
            return [self._refused(error)]
        found = clock_finding("azure", self._contact.clock)
        return [] if found is None else [found]

    def _refused(self, error: StorageException) -> Finding:
        refusal = error.__cause__
        if not isinstance(refusal, Refusal):
            return (
                unavailable_finding("azure", str(error))
                if error.retryable
                else _no_store(str(error))
            )
        code = refusal.code
        said = f"HTTP {refusal.status} {code}: {refusal.message.partition('RequestId')[0]}"
        said = said.strip().rstrip(":")
        is_clock = refusal.status == 403 and abs(refusal.clock) > WRONG_CLOCK  # noqa: PLR2004
        if is_clock and (found := clock_finding("azure", refusal.clock, is_refused=True)):
            return found
        if isinstance(error, NoContainerException):
            return _no_container(self._settings.container, said)
        if code in _CLOSED_CODES or (self._settings.anonymous and code == _DENIED_CODE):
            return _closed(said)
        if code in _ACCOUNT_CODES:
            return _account(said)
        if code in _KEYS_CODES or refusal.status == 401:  # noqa: PLR2004
            return _keys_refused(said)
        if isinstance(error, StoragePermissionException):
            return _denied(said, is_known=code != _DENIED_CODE)
        if self._contact.redirect:
            return redirect_finding("azure", self._contact)
        return unavailable_finding("azure", said) if error.retryable else _no_store(said)

    # What can be looked at once requests are answered

    async def public_access(self) -> list[Finding]:
        """List without a signature, and read the container's level of public access."""
        settings = self._settings
        if settings.anonymous:
            return []
        url = f"{settings.endpoint_url}/{settings.container}?restype=container&comp=list"
        seconds = self._options.timeout
        contact = await anonymous_get(settings, f"{url}&maxresults=1", seconds=seconds)
        if contact.status == _OK and b"<EnumerationResults" in contact.body:
            return [_public("Anyone may list the container and read its files.", "container")]
        request = Request(
            "Get Container Properties",
            "GET",
            settings.base,
            _headers,
            query=self._transport.requests.query(restype="container"),
        )
        access = (await self._transport.send(request)).get("x-ms-blob-public-access", "")
        if access != "blob" or settings.public_url is not None:
            return []
        return [_public("Anyone may read the files, if the URL is known.", access)]

    async def service(self) -> list[Finding]:
        """Read the account's settings of CORS and of soft deletion."""
        settings = self._settings
        request: Request[ET.Element] = Request(
            "Get Blob Service Properties",
            "GET",
            f"{settings.root}/",
            _tree,
            query=self._transport.requests.query(restype="service", comp="properties"),
        )
        tree = await self._transport.send(request)
        found = [*self._of_soft_deletion(tree)]
        if self._options.writable:
            found += self._of_cors(tree)
        return found

    def _of_soft_deletion(self, tree: ET.Element) -> list[Finding]:
        if tree.findtext("DeleteRetentionPolicy/Enabled") == "true":
            return []
        return [
            Finding(
                id="azure.soft-delete-off",
                severity=Severity.NOTICE,
                message="The account keeps nothing of deleted files.",
                evidence="DeleteRetentionPolicy is not enabled",
                fix="az storage account blob-service-properties update --enable-delete-retention "
                f"true --delete-retention-days 7 --account-name {self._settings.account}",
            )
        ]

    def _of_cors(self, tree: ET.Element) -> list[Finding]:
        origin = self._options.origin
        rules = tree.findall("Cors/CorsRule")
        if any(_allows(rule, origin) for rule in rules):
            return []
        return [
            cors_finding(
                "azure",
                origin,
                evidence=f"{len(rules)} CORS rules, none with PUT, its headers and ETag",
                fix="az storage cors add --services b --methods GET HEAD PUT OPTIONS --origins "
                f"{origin or 'https://app.example.com'} --allowed-headers '*' --exposed-headers "
                f"ETag --max-age 600 --account-name {self._settings.account}",
            )
        ]

    async def conditions(self) -> list[Finding]:
        """Write where there must be nothing, twice."""
        directory = f".jtc-check-{secrets.token_hex(8)}"
        work = check(self._transport, directory)
        # What may not be written is the doctor's own finding.
        with suppress(StoragePermissionException):
            try:
                await undisturbed(work, seconds=self._options.timeout * ATTEMPTS)
            except UnsupportedOperationException as error:
                return [
                    Finding(
                        id="azure.conditions",
                        severity=Severity.ERROR,
                        message="overwrite=False and if_match lose files at this store.",
                        evidence=str(error),
                        fix="Use Azure, or an emulator that keeps conditions: Azurite does",
                    )
                ]
        return []


def _of_signature(
    fields: Mapping[str, str], settings: Settings, options: DiagnosisOptions
) -> list[Finding]:
    """Return what a shared access signature says against its use."""
    now, found = time.time(), list[Finding]()
    ends, begins = (_seconds_of(fields.get(name, "")) for name in ("se", "st"))
    if ends is not None and ends <= now:
        return [_signature("expired", "The signature has expired.", f"se={fields['se']}")]
    if begins is not None and begins > now:
        said = f"st={fields['st']}"
        return [_signature("expired", "The signature is not valid yet.", said)]
    if ends is not None and ends - now < _SOON:
        days = (ends - now) / _DAY
        found.append(
            Finding(
                id="azure.sas-expiring",
                severity=Severity.WARNING,
                message=f"The signature expires in {days:.1f} days.",
                evidence=f"se={fields['se']}",
                fix="Make a new one in time; or use Entra ID, whose tokens renew themselves",
            )
        )
    if fields.get("spr") == "https" and not settings.is_secure:
        said = f"spr=https, endpoint_url = {settings.endpoint_url!r}"
        return [*found, _signature("scope", "The signature is for https alone.", said)]
    is_of_container = fields.get("sr", "c") == "c" and "b" in fields.get("ss", "b")
    if not is_of_container or not {"c", "o"} <= {*fields.get("srt", "co")}:
        said = ", ".join(f"{name}={fields[name]}" for name in ("sr", "ss", "srt") if name in fields)
        return [*found, _signature("scope", "The signature is not one of the container.", said)]
    letters = _LETTERS | (_LETTERS_OF_WRITES if options.writable else {})
    lacking = [word for letter, word in letters.items() if letter not in fields.get("sp", "rlcwd")]
    # Those of a stored policy are not in the signature.
    if lacking:
        message = f"The signature does not permit to {', '.join(lacking)}."
        found.append(_signature("permissions", message, f"sp={fields['sp']}"))
    return found


def _signature(kind: str, message: str, said: str) -> Finding:
    fixes = {
        "expired": "Make a new signature: az storage container generate-sas; check this machine's "
        "clock, too",
        "scope": "Make a signature of the container: az storage container generate-sas",
        "permissions": "Make a signature with --permissions rcwdl; a disk that needs less may "
        'ignore this, or have the layer "read_only"',
    }
    return fault(
        id=f"azure.sas-{kind}",
        message=message,
        evidence=said,
        fix=fixes[kind],
    )


def _seconds_of(text: str) -> float | None:
    with suppress(ValueError):
        moment = datetime.fromisoformat(text)
        return moment.timestamp() if moment.tzinfo else None
    return None


def _allows(rule: ET.Element, origin: str | None) -> bool:
    """Return whether a rule lets pages upload, and read the etag of what they uploaded."""
    lists = {
        name: [each.strip() for each in (rule.findtext(name) or "").split(",")]
        for name in ("AllowedOrigins", "AllowedMethods", "AllowedHeaders", "ExposedHeaders")
    }
    if origin is not None and not any(
        fnmatch.fnmatchcase(origin, each) for each in lists["AllowedOrigins"]
    ):
        return False
    has_headers = "*" in lists["AllowedHeaders"] or any(
        each.lower().startswith("x-ms-") for each in lists["AllowedHeaders"]
    )
    exposed = {each.lower() for each in lists["ExposedHeaders"]}
    return "PUT" in lists["AllowedMethods"] and has_headers and bool(exposed & {"etag", "*"})


def _headers(answer: Answer) -> Mapping[str, str]:
    return answer.headers


def _tree(answer: Answer) -> ET.Element:
    if b"<!DOCTYPE" in answer.document:
        raise ValueError("a document type")
    return ET.fromstring(answer.document)  # noqa: S314 - without a document type


def _no_container(container: str, said: str) -> Finding:
    return fault(
        id="azure.container-missing",
        message=f"There is no container {container!r} in this account.",
        evidence=said,
        fix=f"Correct the option container, or: az storage container create --name {container}",
    )


def _closed(said: str) -> Finding:
    return fault(
        id="azure.not-public",
        message="The container is not public, and the disk is anonymous.",
        evidence=said,
        fix="Pass account_key, sas_token or credential in place of anonymous",
    )


def _account(said: str) -> Finding:
    return fault(
        id="azure.account",
        message="The account or the container is out of service.",
        evidence=said,
        fix="Look at the account in the Azure portal",
    )


def _keys_refused(said: str) -> Finding:
    return fault(
        id="azure.credentials-refused",
        message="The store refuses the credentials.",
        evidence=said,
        fix="Check account and account_key, or make a new signature: keys may have been rotated",
    )


def _denied(said: str, *, is_known: bool) -> Finding:
    return fault(
        id="azure.permission-list" if is_known else "azure.denied",
        message="The credentials may not list the container."
        if is_known
        else "The store refuses the credentials, or where they come from.",
        evidence=said,
        fix="Grant the role Storage Blob Data Contributor, or make a signature with sp=rcwdl"
        if is_known
        else "Check the key or the signature, and that it is this container's; then the account's "
        "network rules",
    )


def _no_store(said: str) -> Finding:
    return fault(
        id="azure.endpoint",
        message="What answers at the endpoint is not Azure's API.",
        evidence=said,
        fix="Check account and endpoint_url: https://ACCOUNT.blob.core.windows.net, or the "
        "emulator's with the account as its path",
    )


def _public(message: str, access: str) -> Finding:
    return Finding(
        id="azure.public",
        severity=Severity.WARNING,
        message=message,
        evidence=f"public access: {access}",
        fix="az storage container set-permission --public-access off, unless it is meant",
    )
