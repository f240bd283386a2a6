"""The diagnosis of an S3 disk: keys, the way to the store, the bucket and what the keys may do."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from jtc.storage.driver_support.diagnosing import findings_of_checks, findings_of_stages, without
from jtc.storage.driver_support.findings import Severity
from jtc.storage.drivers.s3_driver._diagnosis import first_request, key_sources
from jtc.storage.drivers.s3_driver._diagnosis.bucket_settings import BucketSettings
from jtc.storage.drivers.s3_driver._diagnosis.probes import Probes
from jtc.storage.exceptions import StorageException
from jtc.storage.http_support.diagnosis import Contact, look_at

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from jtc.storage.driver_support.findings import DiagnosisOptions, Finding
    from jtc.storage.drivers.s3_driver._transport.transport import Transport

__all__ = ["diagnose"]


async def diagnose(
    transport: Transport, options: DiagnosisOptions
) -> AsyncGenerator[Finding, None]:
    """Yield what is wrong with a bucket, its keys and the way to it."""
    async with aclosing(_findings(transport, options)) as findings:
        async for finding in findings:
            keys = transport.keys.current
            secrets = () if keys is None else (keys.secret_key, keys.token)
            yield without(finding, secrets)


async def _findings(
    transport: Transport, options: DiagnosisOptions
) -> AsyncGenerator[Finding, None]:
    """Yield findings by stages, each of which needs the ones before."""
    stages = _Stages(transport, options)
    found = await findings_of_stages(
        (stages.options, stages.keys, stages.way, stages.first_request)
    )
    for finding in found:
        yield finding
    if found and found[-1].blocks:
        return
    async with aclosing(_of_bucket(transport, options, stages.denied)) as findings:
        async for finding in findings:
            yield finding


async def _of_bucket(
    transport: Transport, options: DiagnosisOptions, denied: str | None
) -> AsyncGenerator[Finding, None]:
    """Yield what the bucket's settings and requests that are tried out show."""
    bucket = BucketSettings(transport, options)
    hidden: list[Finding] = []
    checks = findings_of_checks(dict(bucket.checks()), of="s3", seconds=options.timeout)
    async with aclosing(checks) as findings:
        async for finding in findings:
            if finding.severity is Severity.NOT_VISIBLE:
                hidden.append(finding)
            else:
                yield finding
    probes = Probes(transport, options, bucket, denied=denied)
    async with aclosing(probes.findings()) as findings:
        async for finding in findings:
            if finding.id == "s3.bucket-denied":
                hidden.clear()  # it is why
            while hidden and finding.blocks:
                yield hidden.pop(0)
            yield finding
    for finding in hidden:
        yield finding


class _Stages:
    """What must be right before the bucket is looked at."""

    def __init__(self, transport: Transport, options: DiagnosisOptions) -> None:
        self._transport, self._seconds = transport, options.timeout
        self._contact = Contact("")
        self.denied: str | None = None

    async def options(self) -> list[Finding]:
        return [*key_sources.option_findings(self._transport.settings)]

    async def keys(self) -> list[Finding]:
        return await key_sources.key_findings(self._transport)

    async def way(self) -> list[Finding]:
        """Look at the way to the endpoint by a request without a signature."""
        settings = self._transport.settings
        try:
            endpoint = (await self._transport.located()).endpoint
        except StorageException as error:
            return [key_sources.contradiction(str(error))]
        url = endpoint.url.rstrip("/")
        self._contact = await look_at(settings, url, seconds=self._seconds)
        *found, last = self._contact.findings
        if last.blocks:
            last = first_request.in_other_style(settings, endpoint, last) or last
        return [*found, last]

    async def first_request(self) -> list[Finding]:
        """Sign a request, and note why the keys may not list the bucket."""
        seen = await first_request.look(self._transport, self._contact, self._seconds)
        self.denied = seen.denied
        return seen.findings
