"""Findings of a diagnosis: what is wrong with a disk, and how to put it right.

A driver may have a method ``diagnose(options)``, an async generator of findings, which the command
``doctor`` calls. It looks at the driver's own options and at its backend; it writes nothing where
`DiagnosisOptions.probe` is False, and leaves nothing where it is True.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["DiagnosisOptions", "Finding", "Severity"]


class Severity(StrEnum):
    """How bad a finding is."""

    ERROR = "error"
    """It fails, or loses or shows data."""
    WARNING = "warning"
    """It works, but not as it should."""
    NOTICE = "notice"
    """A number or a fact that an operator may want: latency, free space."""
    NOT_VISIBLE = "not visible"
    """The credentials may not look at this: no fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was found.

    Attributes:
        id: Its stable name, such as ``"s3.clock-skew"``, for ``ignore`` and for scripts.
        severity: How bad it is.
        message: What is wrong, in one sentence.
        evidence: What was seen: a value, an answer, a mode. Never a secret.
        fix: The command or the setting that puts it right; empty for a notice.
        page: The page of the documentation with its heading, such as
            ``"stores.md#clock"``, below ``docs/``.
    """

    id: str
    severity: Severity
    message: str
    evidence: str = ""
    fix: str = ""
    page: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiagnosisOptions:
    """Options of a driver's ``diagnose``.

    Attributes:
        probe: It may write, read and delete small files ``.jtc-check-…``, and measure.
    """

    probe: bool = True
