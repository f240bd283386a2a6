"""A diagnosis: the disks that were looked at, and what was found."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from jtc.storage.driver_support.findings import Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Diagnosis", "Found", "LookedAt", "error", "not_visible", "notice", "warning"]

error = partial(Finding, severity=Severity.ERROR)
warning = partial(Finding, severity=Severity.WARNING)
notice = partial(Finding, severity=Severity.NOTICE)
not_visible = partial(Finding, severity=Severity.NOT_VISIBLE)


_PASSWORD = re.compile(r"(://[^/\s:@]*:)[^/\s@]+@")


class LookedAt(NamedTuple):
    """A disk that was looked at.

    Attributes:
        name: The disk's name.
        driver: The driver's name.
        layers: The names of the layers, the outermost first.
    """

    name: str
    driver: str
    layers: tuple[str, ...] = ()


class Found(NamedTuple):
    """A finding, and the disk it is about; None is the configuration or the environment."""

    disk: str | None
    finding: Finding


@dataclass
class Diagnosis:
    """What was looked at and found.

    Attributes:
        source: Where the disks are configured.
        disks: Those that were looked at.
        found: What is shown, in the order of the disks.
        ignored: The number of findings that the configuration ignores.
        ignore: The ids that are ignored everywhere.
        ignore_of: The ids that are ignored of a disk, by its name.
        secrets: What no report may show: an error may quote an option that holds another's value.
    """

    source: str
    disks: list[LookedAt] = field(default_factory=list)
    found: list[Found] = field(default_factory=list)
    ignored: int = 0
    ignore: frozenset[str] = frozenset()
    ignore_of: Mapping[str, frozenset[str]] = field(default_factory=dict)
    secrets: frozenset[str] = field(default=frozenset(), repr=False)

    def add(self, findings: Iterable[Finding], disk: str | None = None) -> None:
        """Take findings, less those that are ignored."""
        ignored = self.ignore | self.ignore_of.get(disk or "", frozenset())
        for finding in findings:
            if finding.id in ignored:
                self.ignored += 1
            else:
                self.found.append(Found(disk, self._without_secrets(finding)))

    def _without_secrets(self, finding: Finding) -> Finding:
        texts = {name: getattr(finding, name) for name in ("message", "evidence", "fix")}
        for secret in self.secrets:
            texts = {name: text.replace(secret, "***") for name, text in texts.items()}
        texts = {name: _PASSWORD.sub(r"\1***@", text) for name, text in texts.items()}
        return replace(finding, **texts)

    def count(self, severity: Severity) -> int:
        """Return the number of findings of a severity."""
        return sum(finding.severity is severity for _, finding in self.found)
