"""The diagnosis of a disk by OpenDAL: what its service does not keep."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from jtc.storage.driver_support.findings import Finding, Severity
from jtc.storage.drivers.opendal_driver._services import IN_PROCESS, TESTED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jtc.storage.driver_support.findings import DiagnosisOptions
    from jtc.storage.drivers.opendal_driver._calls import Calls

__all__ = ["findings"]

_PLAIN = frozenset({"ftp", "http", "redis", "tcp"})
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def findings(calls: Calls, options: DiagnosisOptions) -> Iterator[Finding]:
    """Yield what a service lacks that other disks have.

    Args:
        calls: What calls the service.
        options: Whether the application writes.
    """
    settings = calls.settings
    scheme = settings.scheme
    if scheme not in TESTED:
        yield Finding(
            id="opendal.untested",
            severity=Severity.NOTICE,
            message=f"The service {scheme!r} was never tested with this driver.",
            evidence=f"tested are {', '.join(sorted(TESTED))}",
        )
    if scheme in IN_PROCESS:
        yield Finding(
            id="opendal.in-memory",
            severity=Severity.WARNING,
            message="The service keeps files in this process: they are lost at its end.",
            evidence=f"scheme = {scheme!r}",
            fix="Use a service that keeps files, or the driver memory in tests",
        )
    endpoint = urlsplit(settings.service.get("endpoint", ""))
    if endpoint.scheme in _PLAIN and endpoint.hostname not in _LOOPBACK:
        yield Finding(
            id="opendal.plain",
            severity=Severity.WARNING,
            message="Files and passwords go unencrypted: who is on the way may read them.",
            evidence=f"endpoint: {endpoint.scheme}://{endpoint.hostname}",
            fix="Use the encrypted form of the endpoint: https://, ftps:// or rediss://",
        )
    if options.writable:
        yield from _of_writes(calls)


def _of_writes(calls: Calls) -> Iterator[Finding]:
    scheme, is_accepted = calls.settings.scheme, calls.settings.accept_torn_writes
    if "write" not in calls.claims:
        yield Finding(
            id="opendal.read-only",
            severity=Severity.ERROR,
            message=f"The service {scheme!r} stores no files.",
            evidence="OpenDAL has no writes for it",
            fix='Add "read_only" to the layers of the disk, or use another service',
            blocks=True,
        )
    elif calls.tears:
        yield Finding(
            id="opendal.torn-writes",
            severity=Severity.WARNING if is_accepted else Severity.ERROR,
            message="A reader may see half a file while another is written in its place."
            if is_accepted
            else "The disk stores no files: the service cannot store one whole or not at all.",
            evidence=f"{scheme!r}, accept_torn_writes = {str(is_accepted).lower()}",
            fix="Use a service that stores files whole"
            if is_accepted
            else "accept_torn_writes = true, if readers never meet writers; or another service",
            blocks=not is_accepted,
        )
