"""Findings of requests that are tried out: what the keys may do, and what the store keeps."""

from __future__ import annotations

import os
import secrets
import zlib
from contextlib import aclosing, suppress
from functools import partial
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

from jtc.storage.driver_support.diagnosing import fault, findings_of_checks, undisturbed
from jtc.storage.driver_support.findings import Finding, Severity
from jtc.storage.drivers.s3_driver._diagnosis.bucket_requests import (
    Version,
    code_of,
    delete_version,
    list_versions,
)
from jtc.storage.drivers.s3_driver._objects.conditions import PRESUMED
from jtc.storage.drivers.s3_driver._objects.deleting import delete_directory
from jtc.storage.drivers.s3_driver._objects.metadata import head
from jtc.storage.drivers.s3_driver._objects.probing import kept_conditions
from jtc.storage.drivers.s3_driver._objects.public_urls import base_url
from jtc.storage.drivers.s3_driver._objects.reading import read_all
from jtc.storage.drivers.s3_driver._objects.visibility import ensure_visibility
from jtc.storage.drivers.s3_driver._objects.writing import write_file
from jtc.storage.drivers.s3_driver._transport import operations
from jtc.storage.drivers.s3_driver._transport.errors import NoUploadException, S3Refusal
from jtc.storage.exceptions import (
    FileNotFoundException,
    StorageException,
    StoragePermissionException,
)
from jtc.storage.http_support.diagnosis import ATTEMPTS, anonymous_get
from jtc.storage.models import Visibility
from jtc.storage.options import WriteOptions

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from jtc.storage.driver_support.findings import DiagnosisOptions
    from jtc.storage.drivers.s3_driver._diagnosis.bucket_settings import BucketSettings
    from jtc.storage.drivers.s3_driver._transport.transport import Transport

__all__ = ["Probes"]

T = TypeVar("T")

_ACTIONS = {
    "list": ("s3:ListBucket", "lists no files, and exists() of a missing one raises"),
    "get": ("s3:GetObject", "reads no file"),
    "put": ("s3:PutObject", "stores no file"),
    "delete": ("s3:DeleteObject", "deletes and moves no file"),
    "abort": ("s3:AbortMultipartUpload", "leaves what it cannot finish of uploads in parts"),
}
_VERSIONS_STAY = (
    "their versions would stay: s3:ListBucketVersions and s3:DeleteObjectVersion are missing"
)
_OK, _FORBIDDEN = 200, 403
_REMOVALS = 3


class Probes:
    """Requests below one prefix of a bucket that nothing uses, where nothing is left.

    Args:
        transport: The bucket.
        options: What may be done.
        bucket: Its settings, which were looked at.
        denied: Why the keys may not list the bucket; None: they may.

    Attributes:
        prefix: Where files are written.
    """

    def __init__(
        self,
        transport: Transport,
        options: DiagnosisOptions,
        bucket: BucketSettings,
        *,
        denied: str | None,
    ) -> None:
        self._transport, self._options, self._bucket = transport, options, bucket
        self._seconds = options.timeout * ATTEMPTS
        self._content = os.urandom(64)
        self._uploads: list[tuple[str, str]] = []
        self._denied = {} if denied is None else {"list": denied}
        self._allowed = {"list"} if denied is None else set[str]()
        self._found: list[Finding] = []
        self.prefix = f".jtc-check-{secrets.token_hex(8)}"

    async def findings(self) -> AsyncGenerator[Finding, None]:
        """Yield what is found, and at the end what the keys may not do."""
        if await self._may_write():
            try:
                async for finding in self._of_writes():
                    yield finding
            finally:
                with suppress(StorageException, TimeoutError):
                    await undisturbed(self._removed(), seconds=self._seconds)
        else:
            await self._try_reading(f"{self.prefix}/missing")
        rights = self._of_rights()
        if rights and rights[0].id == "s3.bucket-denied":
            self._found.clear()  # it is why
        for finding in (*self._found, *rights):
            yield finding
        if self._bucket.versioning or self._bucket.retains:
            yield _keeps_versions()

    async def _may_write(self) -> bool:
        """Return whether files can be written so that none is left."""
        if not self._options.probe or not self._options.writable:
            return False
        reason = ""
        if self._bucket.retains:
            reason = "the bucket keeps each new file for its default retention"
        elif self._bucket.versioning and not await self._may_remove_versions():
            reason = _VERSIONS_STAY
        if reason:
            self._found.append(_not_tried("Writes are not tried out.", reason))
        return not reason

    async def _may_remove_versions(self) -> bool:
        send = self._transport.send
        listed = await self._try("versions", send(list_versions(self.prefix)))
        gone = delete_version(Version(f"{self.prefix}/missing", "null"))
        is_permitted = listed is not None and await self._is_done("versions", send(gone))
        self._denied.pop("versions", None)
        return is_permitted

    async def _keeps_version(self, key: str) -> bool:
        """Return whether a file has a version that stays; it is removed as far as possible.

        Where the bucket's versioning is not visible, the first file shows it.
        """
        if self._bucket.versioning is not None:
            return False
        answer = await self._try("get", self._transport.send(operations.head_object(key, {})))
        version = "null" if answer is None else answer.headers.get("x-amz-version-id", "null")
        if version == "null":
            return False
        self._bucket.versioning = "Enabled"
        if await self._may_remove_versions():
            return False
        self._found.append(_not_tried("Further writes are not tried out.", _VERSIONS_STAY))
        removal = delete_version(Version(key, version))
        with suppress(StorageException, TimeoutError):
            await undisturbed(self._transport.send(removal), seconds=self._seconds)
        return True

    async def _of_writes(self) -> AsyncGenerator[Finding, None]:
        send, missing = self._transport.send, f"{self.prefix}/missing"
        await self._is_done("delete", send(operations.delete_object(missing, {})))
        await self._is_done("abort", send(operations.abort_upload(missing, "none")))
        key = f"{self.prefix}/probe"
        if "delete" in self._allowed:
            if not await self._is_done("put", self._put(key, self._content)):
                await self._try_reading(missing)
                return
            if await self._keeps_version(key):
                return
        elif "abort" in self._allowed:
            await self._is_done("put", self._upload_nothing())
        else:
            reason = "it would stay: s3:DeleteObject is missing"
            self._found.append(_not_tried("A write is not tried out.", reason))
        if "abort" in self._allowed and "put" in self._allowed:
            await self._try("parts", self._upload_part())
        if "delete" not in self._allowed:
            await self._try_reading(missing)
            return
        await self._try_reading(key)
        checks: dict[str, Callable[[], Awaitable[list[Finding]]]] = {
            "Whether anyone may read files": partial(self._public, key),
            "What public URLs serve": partial(self._public_url, key),
            "The conditions that the store keeps": self._conditions,
        }
        each_check = findings_of_checks(checks, of="s3", seconds=self._seconds)
        async with aclosing(each_check) as findings:
            async for finding in findings:
                yield finding

    # Attempts

    async def _try(self, right: str, work: Awaitable[T]) -> T | None:
        """Return the result of a request; None where it failed, which is noted."""
        try:
            result = await undisturbed(work, seconds=self._seconds)
        except StoragePermissionException as error:
            cause = error.__cause__
            said = cause.message if isinstance(cause, S3Refusal) else ""
            self._denied[right] = f"HTTP {_status_of(error)} {code_of(error)} {said}".strip()
        except (NoUploadException, FileNotFoundException):
            self._allowed.add(right)
        except (StorageException, TimeoutError) as error:
            self._failed(right, error)
        else:
            self._allowed.add(right)
            return result
        return None

    async def _is_done(self, right: str, work: Awaitable[T]) -> bool:
        await self._try(right, work)
        return right in self._allowed

    def _failed(self, right: str, error: Exception) -> None:
        """Note a failure that is none of rights. An unknown upload may be refused in any words."""
        if right in ("abort", "delete") and getattr(error, "retryable", True) is False:
            self._allowed.add(right)
            return
        cause, said = error.__cause__, str(error) or f"no answer within {self._seconds:g} s"
        code = cause.code if isinstance(cause, S3Refusal) else ""
        settings = self._transport.settings
        if isinstance(cause, S3Refusal) and cause.names_checksums:
            found = ("s3.checksums", "The store refuses checksums, so nothing can be stored.")
            fix = "checksums = false"
        elif code in ("AccessControlListNotSupported", "InvalidBucketAclWithObjectOwnership"):
            found = ("s3.acls-off", "The bucket has no ACLs, and the option visibility sends one.")
            fix = 'Leave visibility out and set disable = ["visibility"]; or turn ACLs on: aws '
            fix += f"s3api put-bucket-ownership-controls --bucket {settings.bucket} "
            fix += "--ownership-controls 'Rules=[{ObjectOwnership=BucketOwnerPreferred}]'"
        else:
            found = (f"s3.{right}-failed", f"The store refuses this request: {right}.")
            fix = "Look up the store's own words in its documentation"
        if not any(each.id == found[0] for each in self._found):
            self._found.append(
                Finding(
                    id=found[0],
                    severity=Severity.ERROR,
                    message=found[1],
                    evidence=f"{said} {cause.message if isinstance(cause, S3Refusal) else ''}",
                    fix=fix,
                    blocks=right == "put",
                )
            )

    async def _put(self, key: str, content: bytes) -> None:
        await write_file(self._transport, key, content, WriteOptions())
        if self._transport.settings.visibility is not None:
            await ensure_visibility(self._transport, key, None)

    async def _begun(self) -> tuple[str, str]:
        settings = self._transport.settings
        key = f"{self.prefix}/parts"
        headers = dict(settings.driver_headers)
        request = operations.create_upload(key, headers, checksums=settings.checksums)
        upload = key, (await self._transport.send(request)).upload_id
        self._uploads.append(upload)
        return upload

    async def _upload_nothing(self) -> None:
        await self._abort(*await self._begun())

    async def _upload_part(self) -> None:
        key, upload_id = await self._begun()
        crc32 = zlib.crc32(self._content) if self._transport.settings.checksums else None
        try:
            request = operations.upload_part(key, upload_id, 1, self._content, crc32)
            await self._transport.send(request)
        finally:
            await self._abort(key, upload_id)

    async def _abort(self, key: str, upload_id: str) -> None:
        with suppress(NoUploadException, FileNotFoundException):
            await self._transport.send(operations.abort_upload(key, upload_id))
        self._uploads.remove((key, upload_id))

    async def _try_reading(self, key: str) -> None:
        """Find out whether files may be read: of a missing one, where listing shows the reason."""
        if "put" in self._allowed and "delete" in self._allowed:
            content = await self._try("get", read_all(self._transport, key))
            if content is not None and content != self._content:
                self._found.append(
                    fault(
                        id="s3.content",
                        message="The store answers with other content than was stored.",
                        evidence=f"{len(self._content)} bytes stored, {len(content)} others read",
                        fix="Look for a proxy or a cache on the way; do not use this store",
                    )
                )
            return
        await self._try("get", head(self._transport, key))
        if "list" not in self._allowed and self._denied.pop("get", None) is not None:
            self._denied["get or list"] = ""

    async def _removed(self) -> None:
        """Remove all that was written, its versions too; what fails does not keep the rest."""
        send = self._transport.send
        for upload in list(self._uploads):
            with suppress(StorageException):
                await self._abort(*upload)
        with suppress(StorageException):
            # Those whose ids were in answers that were lost.
            for key, upload_id, _ in (
                await send(operations.list_uploads(None, f"{self.prefix}/"))
            ).uploads:
                if key.startswith(f"{self.prefix}/"):
                    await send(operations.abort_upload(key, upload_id))
        if "delete" in self._allowed:
            for name in ("probe", "parts"):
                with suppress(StorageException):
                    await send(operations.delete_object(f"{self.prefix}/{name}", {}))
            if "list" in self._allowed:
                with suppress(StorageException):
                    await delete_directory(self._transport, self.prefix)
        for _ in range(_REMOVALS if self._bucket.versioning else 0):
            # Not to be permitted to is said.
            versions = await send(list_versions(f"{self.prefix}/"))
            for version in versions:
                with suppress(StorageException):
                    await send(delete_version(version))
            if not versions:
                return

    # Checks of the file that was written

    async def _public(self, key: str) -> list[Finding]:
        settings = self._transport.settings
        if settings.anonymous:
            return []
        target = await self._transport.located()
        url = f"{target.endpoint.url}{quote(key)}"
        contact = await anonymous_get(settings, url, seconds=self._options.timeout)
        is_read = contact.status == _OK and contact.body == self._content
        if settings.visibility is Visibility.PUBLIC and not is_read:
            return [_not_public(contact.status)]
        is_meant = settings.visibility is None and settings.public_url is not None
        if not is_read or settings.visibility is Visibility.PUBLIC or is_meant:
            return []
        is_private = settings.visibility is Visibility.PRIVATE
        return [
            Finding(
                id="s3.public",
                severity=Severity.ERROR if is_private else Severity.WARNING,
                message="Anyone may read the files of this disk, without keys.",
                evidence="a new file was read without keys (HTTP 200)"
                + (', though visibility = "private"' if is_private else ""),
                fix="Remove s3:GetObject for the principal * from the bucket's policy, and block "
                "public access; if it is meant, set public_url",
            )
        ]

    async def _public_url(self, key: str) -> list[Finding]:
        settings = self._transport.settings
        if settings.public_url is None:
            return []
        target = await self._transport.located()
        url = f"{base_url(settings, target.endpoint)}{quote(key)}"
        contact = await anonymous_get(settings, url, seconds=self._options.timeout)
        is_private = settings.visibility is Visibility.PRIVATE
        if contact.status == _OK and contact.body == self._content:
            return []
        if contact.status == _FORBIDDEN and is_private:
            return []
        said = f"HTTP {contact.status}"
        if contact.status == _OK:
            said += " with other content: that of another site or directory"
        elif contact.redirect:
            said += f" to {contact.redirect}"
        elif not contact.status:
            blocking = contact.findings[-1]
            said = f"{blocking.message} ({blocking.evidence})"
        return [
            Finding(
                id="s3.public-url",
                severity=Severity.ERROR,
                message="The URLs of files do not serve them: public_url is wrong, or not public.",
                evidence=f"a new file below {settings.public_url}: {said}",
                fix="Set public_url (AWS_URL) to where the bucket's files are served, with the "
                "prefix that precedes their paths; let the CDN or all users read them",
            )
        ]

    async def _conditions(self) -> list[Finding]:
        if not {"list", "get", "put", "delete", "abort"} <= self._allowed:
            return []
        work = kept_conditions(self._transport, f"{self.prefix}/conditions")
        kept = await undisturbed(work, seconds=self._seconds)
        given = self._transport.settings.conditions
        lost = (PRESUMED if given is None else frozenset(given)) - kept
        if not lost:
            return []
        is_said = given is not None
        fix = sorted(kept if given is None else frozenset(given) - lost)
        return [
            Finding(
                id="s3.conditions-lost" if is_said else "s3.conditions",
                severity=Severity.ERROR if is_said else Severity.WARNING,
                message="The option conditions names conditional requests that the store ignores: "
                "files are lost."
                if is_said
                else "The store ignores some conditional requests: until check() has run, "
                "overwrite=False and if_match may lose files.",
                evidence=f"not kept: {', '.join(sorted(lost))}",
                fix=f"conditions = {fix}".replace("'", '"'),
            )
        ]

    # Rights

    def _of_rights(self) -> list[Finding]:
        """Return what the keys may not do; one finding, where that is everything."""
        denied = {right: said for right, said in self._denied.items() if right in _ACTIONS}
        if not self._options.writable:
            denied = {right: said for right, said in denied.items() if right in ("list", "get")}
        if not denied:
            return []
        is_all = not self._allowed & {"list", "get", "put", "delete"}
        if is_all and len({*self._denied} - {"abort"}) > 1:
            return [_no_access(self._transport.settings.bucket, denied)]
        last = [*denied][-1]
        return [_no_right(right, said, blocks=right == last) for right, said in denied.items()]


def _no_right(right: str, said: str, *, blocks: bool = False) -> Finding:
    action, effect = _ACTIONS[right]
    return Finding(
        id=f"s3.permission-{right}",
        severity=Severity.ERROR,
        message=f"The keys lack {action}: the disk {effect}.",
        evidence=said,
        fix=f"Allow {action} in the IAM policy; a disk that needs it never may ignore this finding",
        blocks=blocks,
    )


def _no_access(bucket: str, denied: dict[str, str]) -> Finding:
    return fault(
        id="s3.bucket-denied",
        message=f"The bucket {bucket!r} is there, and the keys may do nothing in it: it is "
        "another account's, or no policy allows these keys.",
        evidence=f"refused: {', '.join(sorted(denied))}",
        fix="Check the name of the bucket, and the policies of the keys' user and of the bucket: "
        "docs/stores.md has one to paste",
    )


def _not_public(status: int) -> Finding:
    return Finding(
        id="s3.not-public",
        severity=Severity.ERROR,
        message='Visitors cannot read new files, which are to be public (visibility = "public").',
        evidence=f"a new file without keys: HTTP {status}",
        fix="Turn on the bucket's ACLs and turn off its block of public access; or set public_url "
        "to a CDN that reads it",
    )


def _keeps_versions() -> Finding:
    return Finding(
        id="s3.versions-kept",
        severity=Severity.NOTICE,
        message="No other file is tried out: its versions would stay in the bucket.",
        evidence="the bucket has versioning or an object lock",
        blocks=True,
    )


def _not_tried(message: str, reason: str) -> Finding:
    return Finding(
        id="s3.not-visible", severity=Severity.NOT_VISIBLE, message=message, evidence=reason
    )


def _status_of(error: StorageException) -> int:
    return error.__cause__.status if isinstance(error.__cause__, S3Refusal) else 0
