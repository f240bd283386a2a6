"""Findings of a diagnosis: what is wrong with a disk, and how to put it right.

A driver, or a layer, may have a method ``diagnose(options)``, an async generator of findings, which
the command ``doctor`` calls; it is an optional attribute, like ``location``, and no capability. It
looks at the driver's own options and at its backend. It writes nothing where
`DiagnosisOptions.probe` is False, and leaves nothing where it is True. Each request has the
deadline `DiagnosisOptions.timeout`.

A fault that stops all others from being looked at, such as refused keys, is one finding with
`Finding.blocks`, and the last. What a driver raises instead, a `StorageException`, is reported as
one finding too. After either, nothing else is tried with the disk.

The doctor itself puts, reads, lists and deletes a file: a driver looks at what is its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

__all__ = ["Diagnosable", "DiagnosisOptions", "Finding", "Severity"]


class Severity(StrEnum):
    """How bad a finding is; the worst first."""

    ERROR = "error"
    """It fails, or loses or shows data."""
    WARNING = "warning"
    """It works, but not as it should."""
    NOTICE = "notice"
    """A number that an operator may want: latency, free space."""
    NOT_VISIBLE = "not visible"
    """The credentials, or the user of the process, may not look at this: no fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was found.

    Attributes:
        id: Its stable name, the driver's name and a word or two: ``"s3.clock-skew"``. It is what a
            configuration ignores, and what scripts look for.
        severity: How bad it is.
        message: What is wrong, in one sentence.
        evidence: What was seen: a value, an answer, a mode. Never a secret.
        fix: The command or the setting that puts it right; empty for a notice.
        page: A URL that explains it; empty for those of `docs/doctor.md`, whose heading is the id.
        blocks: Nothing else can be looked at until this is put right, such as a missing root or
            refused keys.
    """

    id: str
    severity: Severity
    message: str
    evidence: str = ""
    fix: str = ""
    page: str = ""
    blocks: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DiagnosisOptions:
    """Options of a driver's ``diagnose``.

    Attributes:
        probe: It may write, read and delete small files ``.jtc-check-…``, and measure.
        writable: The application writes to this disk: False below the layer ``read_only``, where
            what only a write needs is no fault, and nothing is written.
        timeout: Seconds for each request to the backend.
        as_user: The user, on this machine, who should be able to read public files: that of a web
            server. None is no particular one.
        origin: The origin of pages that upload by presigned URLs, such as
            ``"https://app.example.com"``. None is no particular one.
    """

    probe: bool = True
    writable: bool = True
    timeout: float = 5.0
    as_user: str | None = None
    origin: str | None = None


class Diagnosable(Protocol):
    """A driver or a layer that looks for faults of its own."""

    def diagnose(self, options: DiagnosisOptions, /) -> AsyncGenerator[Finding, None]:
        """Look at the options and the backend, and yield what is found, the cheapest first.

        Args:
            options: What may be done, and how long a request may take.

        Raises:
            StorageException: The backend cannot be asked at all.
        """
        ...
