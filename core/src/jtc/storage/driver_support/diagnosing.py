"""Checks of a diagnosis, each by itself: one that fails or hangs does not end the others."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from jtc.storage.driver_support.findings import Finding, Severity
from jtc.storage.exceptions import StorageException

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping

__all__ = [
    "fault",
    "findings_of",
    "findings_of_checks",
    "findings_of_stages",
    "undisturbed",
    "without",
]

T = TypeVar("T")

_SHORTEST_SECRET = 8


def fault(*, id: str, message: str, evidence: str, fix: str) -> Finding:  # noqa: A002
    """Return a finding that stops all others from being looked at.

    Args:
        id: Its stable name.
        message: What is wrong, in one sentence.
        evidence: What was seen.
        fix: The command or the setting that puts it right.
    """
    severity = Severity.ERROR
    return Finding(
        id=id, severity=severity, message=message, evidence=evidence, fix=fix, blocks=True
    )


async def findings_of(
    check: Awaitable[Iterable[Finding]], *, of: str, subject: str, seconds: float
) -> list[Finding]:
    """Return what a check finds; where it fails, that its subject is not visible.

    Args:
        check: The check, such as a coroutine.
        of: The driver's name, with which the finding's id begins.
        subject: What the check looks at, such as ``"The CORS rules of the bucket"``.
        seconds: How long it may take.
    """
    try:
        async with asyncio.timeout(seconds):
            return list(await check)
    except TimeoutError:
        reason = f"no answer within {seconds:g} s"
    except StorageException as error:
        reason = str(error)
    except Exception as error:
        # Its text may quote what the store sent.
        reason = f"the answer cannot be understood ({type(error).__name__})"
    return [
        Finding(
            id=f"{of}.not-visible",
            severity=Severity.NOT_VISIBLE,
            message=f"{subject} cannot be looked at.",
            evidence=reason,
        )
    ]


async def findings_of_checks(
    checks: Mapping[str, Callable[[], Awaitable[Iterable[Finding]]]], *, of: str, seconds: float
) -> AsyncGenerator[Finding, None]:
    """Yield what checks find, each by itself, up to one that blocks.

    Args:
        checks: The checks by their subjects; see `findings_of`.
        of: The driver's name.
        seconds: How long each check may take.
    """
    for subject, check in checks.items():
        found = await findings_of(check(), of=of, subject=subject, seconds=seconds)
        for finding in found:
            yield finding
        if found and found[-1].blocks:
            return


async def findings_of_stages(
    stages: Iterable[Callable[[], Awaitable[Iterable[Finding]]]],
) -> list[Finding]:
    """Return what stages find of which each needs those before: up to one that blocks.

    Beside a finding that blocks, which is the last one then, there are only those of what is wrong.
    """
    found: list[Finding] = []
    for stage in stages:
        found += await stage()
        if found and found[-1].blocks:
            return [each for each in found if each.severity is not Severity.NOTICE or each.blocks]
    return found


def without(finding: Finding, secrets: Iterable[str | None]) -> Finding:
    """Return a finding without secrets, which a server may repeat in its answers.

    Args:
        finding: The finding.
        secrets: Texts that must not be shown; None and short ones are left out.
    """
    evidence = finding.evidence
    for secret in secrets:
        if secret is not None and len(secret) >= _SHORTEST_SECRET:
            evidence = evidence.replace(secret, "***")
    return finding if evidence == finding.evidence else replace(finding, evidence=evidence)


async def undisturbed(work: Awaitable[T], *, seconds: float) -> T:
    """Wait for work that must not stop half done, also where the caller is cancelled meanwhile.

    Args:
        work: What writes, or removes what was written.
        seconds: How long it may take.

    Raises:
        CancelledError: The caller was cancelled, after the work has ended.
        TimeoutError: The work did not end in time.
    """

    async def limited() -> T:
        async with asyncio.timeout(seconds):
            return await work

    task = asyncio.ensure_future(limited())
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            try:
                await asyncio.wait({task})
            except asyncio.CancelledError:
                continue  # one is raised below, when the work has ended
        if not task.cancelled():
            task.exception()
        raise
