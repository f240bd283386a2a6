"""What is tried with every disk: one small file, and how long it takes."""

from __future__ import annotations

import asyncio
import secrets
import statistics
import time
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from jtc.storage import (
    RejectedException,
    StorageConfigException,
    StorageException,
    StoragePermissionException,
    StorageUnavailableException,
    UnsupportedOperationException,
)
from jtc.storage.cli._doctor.model import error, not_visible, notice, warning

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from jtc.storage import Disk
    from jtc.storage.driver_support.findings import DiagnosisOptions, Finding

__all__ = ["finding_of", "probe"]

T = TypeVar("T")

_ROUNDS = 5
_SLOW_SECONDS = 1.0
_MIB = 1024 * 1024
_MEASURED_SECONDS = 0.5
_FIRST_BYTES, _MOST_BYTES = _MIB // 4, 4 * _MIB


class _Stopped(Exception):
    """A step failed, and no other one is tried.

    Attributes:
        finding: What was found.
    """

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.message)
        self.finding = finding


async def probe(disk: Disk, options: DiagnosisOptions) -> list[Finding]:
    """Put, read, list and delete a small file, and measure; without `probe`, ask for one.

    Args:
        disk: The disk.
        options: What may be done, and how long a step may take.

    Returns:
        What was found; after a step that failed, no other one is tried.
    """
    steps = _Steps(disk, options.timeout)
    found = []
    try:
        if options.probe and options.writable:
            await steps.put()
            found += await steps.read()
            found += [await steps.latency(), await steps.throughput()]
        else:
            found.append(await steps.latency())
    except _Stopped as stopped:
        found.append(stopped.finding)
    finally:
        left = await steps.remove()
    if left is not None and not any(finding.blocks for finding in found):
        found.append(left)
    return found


class _Steps:
    """The steps of a probe, each with a deadline.

    Args:
        disk: The disk.
        seconds: The deadline of each.
    """

    def __init__(self, disk: Disk, seconds: float) -> None:
        self._disk = disk
        self._seconds = seconds
        self._content = secrets.token_bytes(1024)
        self._directory = f".jtc-check-{secrets.token_hex(8)}"
        self._path = f"{self._directory}/a"
        self._may_exist = False

    async def _try(self, step: str, work: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._seconds):
                return await work
        except Exception as reason:
            raise _Stopped(finding_of(reason, step)) from reason

    async def put(self) -> None:
        """Put the file."""
        self._may_exist = True
        await self._try("put", self._disk.put(self._path, self._content))

    async def read(self) -> list[Finding]:
        """Read the file, its length and its directory."""
        found = []
        content = await self._try("get", self._disk.get(self._path))
        if content != self._content:
            found.append(
                error(
                    id="disk.get",
                    message="The disk returns other bytes than those that were put.",
                    evidence=f"{len(content)} bytes in place of {len(self._content)}",
                    fix="Look for a layer, a proxy or a cache on the way that changes content",
                )
            )
        size = await self._try("stat", self._disk.size(self._path))
        if size != len(self._content):
            found.append(
                error(
                    id="disk.stat",
                    message="The disk says a wrong length of the file that was put.",
                    evidence=f"{size} in place of {len(self._content)} bytes",
                    fix="Look for a proxy or a cache on the way that answers for the store",
                )
            )
        if "listing" in self._disk.capabilities:
            names = await self._try("list", self._disk.files(self._directory))
            if names != [self._path]:
                found.append(
                    error(
                        id="disk.list",
                        message="A listing leaves out the file that was put.",
                        evidence=f"It has {len(names)} names",
                        fix="Look for a cache on the way, or a store whose listings come late",
                    )
                )
        return found

    async def latency(self) -> Finding:
        """Measure how long a small request takes."""
        times = []
        for _ in range(_ROUNDS):
            begun = time.perf_counter()
            await self._try("stat", self._disk.exists(self._path))
            times.append(time.perf_counter() - begun)
        median = statistics.median(times)
        evidence = f"{median * 1000:.1f} ms, the median of {len(times)} requests"
        if median > _SLOW_SECONDS:
            return warning(
                id="disk.latency",
                message="Requests take long.",
                evidence=evidence,
                fix="Use a region nearby, or look at the network and the server",
            )
        return notice(id="disk.latency", message="Small requests are answered.", evidence=evidence)

    async def throughput(self) -> Finding:
        """Measure how fast a file of some MiB is put and read."""
        size, put, got = _FIRST_BYTES, 0.0, 0.0
        while True:
            content = secrets.token_bytes(size)
            begun = time.perf_counter()
            await self._try("put", self._disk.put(self._path, content))
            put = time.perf_counter() - begun
            begun = time.perf_counter()
            await self._try("get", self._disk.get(self._path))
            got = time.perf_counter() - begun
            if put + got > _MEASURED_SECONDS or size >= _MOST_BYTES:
                break
            size *= 4
        mib = size / _MIB
        return notice(
            id="disk.throughput",
            message="A larger file was put and read.",
            evidence=f"{mib / put:.0f} MiB/s put, {mib / got:.0f} MiB/s read, of {mib:g} MiB",
        )

    async def remove(self) -> Finding | None:
        """Delete the file and its directory, whatever happened before; return what failed."""
        if not self._may_exist:
            return None
        try:
            async with asyncio.timeout(self._seconds):
                await self._disk.delete(self._path)
                with suppress(UnsupportedOperationException):
                    await self._disk.delete_directory(self._directory)
        except Exception as reason:
            return finding_of(reason, "delete")
        return None


def finding_of(reason: Exception, step: str | None = None) -> Finding:
    """Return a finding for what an operation, or a driver's diagnosis, raised.

    Args:
        reason: What was raised.
        step: The step, as an id has it; None for a diagnosis.
    """
    is_late = isinstance(reason, TimeoutError) and not str(reason)
    text = "No answer within --timeout" if is_late else str(reason) or type(reason).__name__
    if isinstance(reason, StorageConfigException):
        fix = "Correct the configuration of the disk"
        message = "The disk is configured wrongly."
        said = str(reason.args[0]) if reason.args else text  # without the disk and the operation
        return error(id="disk.configuration", message=message, evidence=said, fix=fix, blocks=True)
    if isinstance(reason, StorageUnavailableException | TimeoutError | ConnectionError):
        return error(
            id="disk.unreachable",
            message="The storage does not answer, or not in time.",
            evidence=text,
            fix="Look whether its server runs, at its URL and port, and at firewalls and proxies",
            blocks=True,
        )
    if isinstance(reason, StoragePermissionException):
        return error(
            id="disk.permission",
            message=f"The storage refuses to {step or 'answer'}.",
            evidence=text,
            fix="Permit it: modes of files, a policy, or other keys (docs/stores.md)",
            blocks=True,
        )
    if isinstance(reason, RejectedException):
        return not_visible(
            id="disk.refused",
            message="A layer or a plugin refuses the file of the probe, as it would others.",
            evidence=text,
            blocks=True,
        )
    is_ours = isinstance(reason, StorageException)
    return error(
        id=f"disk.{step or ('failed' if is_ours else 'diagnosis')}",
        message=f"The storage fails to {step}." if step else "The storage fails.",
        evidence=text if is_ours else f"{type(reason).__name__}: {text}",
        fix="Correct what the error names; the log of the storage may say more",
        blocks=True,
    )
