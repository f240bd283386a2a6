"""The report of a diagnosis: for people, as JSON, and as annotations of GitHub's workflows."""

from __future__ import annotations

import platform
import sys
from typing import TYPE_CHECKING, Any

from jtc.storage.cli._doctor.distributions import versions
from jtc.storage.cli._doctor.known_ids import IDS, anchor_of
from jtc.storage.cli._terminal.output import coloured, printable
from jtc.storage.driver_support.findings import Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jtc.storage.cli._doctor.model import Diagnosis

__all__ = ["as_github", "as_json", "as_text"]

_ORDER = list(Severity)
_COLOURS = {Severity.ERROR: "31", Severity.WARNING: "33", Severity.NOTICE: "36"}
_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning"}


def as_text(diagnosis: Diagnosis) -> Iterator[str]:
    """Yield the lines of a report for people: by disk, the worst first."""
    hidden = Severity.NOT_VISIBLE
    heads: dict[str | None, str] = {None: f"Configuration: {diagnosis.source}"}
    for disk in diagnosis.disks:
        layers = f", layers {', '.join(disk.layers)}" if disk.layers else ""
        heads[disk.name] = f"Disk {disk.name}: driver {disk.driver}{layers}"
    for name, head in heads.items():
        findings = [each.finding for each in diagnosis.found if each.disk == name]
        visible = [each for each in findings if each.severity is not hidden]
        yield coloured(printable(head), "1", sys.stdout)
        for finding in sorted(visible, key=_rank):
            yield from _lines(finding)
        if all(each.severity is Severity.NOTICE for each in visible):
            yield f"  {coloured('nothing wrong', '32', sys.stdout)}"
        yield ""
    unseen = [each for each in diagnosis.found if each.finding.severity is hidden]
    if unseen:
        yield coloured("Not visible, which is no fault", "1", sys.stdout)
        for disk_name, finding in unseen:
            yield from _lines(finding, disk_name)
        yield ""
    yield _summary(diagnosis)


def as_json(diagnosis: Diagnosis) -> dict[str, Any]:
    """Return a report as one document."""
    return {
        "source": diagnosis.source,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "distributions": versions(),
        "disks": [each._asdict() | {"layers": list(each.layers)} for each in diagnosis.disks],
        "findings": [
            {
                "id": finding.id,
                "severity": finding.severity.value,
                "disk": disk,
                "message": finding.message,
                "evidence": finding.evidence,
                "fix": finding.fix,
                "page": _page(finding),
            }
            for disk, finding in diagnosis.found
        ],
        "counts": {severity.value: diagnosis.count(severity) for severity in Severity},
        "ignored": diagnosis.ignored,
    }


def as_github(diagnosis: Diagnosis) -> Iterator[str]:
    """Yield the commands of a workflow, which annotate its run.

    https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands
    """
    for disk, finding in diagnosis.found:
        command = _COMMANDS.get(finding.severity, "notice")
        where = "" if disk is None else f" (disk {disk})"
        title = _escaped(f"{finding.id}{where}").replace(":", "%3A").replace(",", "%2C")
        parts = [finding.message, finding.evidence, finding.fix and f"Fix: {finding.fix}"]
        text = "\n".join(part for part in (*parts, _page(finding)) if part)
        yield f"::{command} title={title}::{_escaped(text)}"


def _rank(finding: Finding) -> int:
    return _ORDER.index(finding.severity)


def _lines(finding: Finding, disk: str | None = None) -> Iterator[str]:
    severity = finding.severity
    if severity is Severity.NOT_VISIBLE:
        yield printable(f"  {finding.id}" + (f" (disk {disk})" if disk else ""))
    else:
        label = coloured(f"{severity.value:8}", _COLOURS[severity], sys.stdout)
        yield f"  {label} {finding.id}"
    details = [("", finding.message), ("seen: ", finding.evidence), ("fix:  ", finding.fix)]
    if severity in _COMMANDS:
        details.append(("see:  ", _page(finding)))
    for title, text in details:
        if text:
            yield f"    {title}{printable(' '.join(text.split()))}"


def _page(finding: Finding) -> str:
    if finding.page:
        return finding.page
    return f"docs/doctor.md#{anchor_of(finding.id)}" if finding.id in IDS else ""


def _summary(diagnosis: Diagnosis) -> str:
    parts = []
    for severity in Severity:
        number = diagnosis.count(severity)
        plural = "" if number == 1 or severity is Severity.NOT_VISIBLE else "s"
        parts.append(f"{number} {severity.value}{plural}")
    if diagnosis.ignored:
        parts.append(f"{diagnosis.ignored} ignored")
    disks = len(diagnosis.disks)
    return f"{disks} disk{'' if disks == 1 else 's'}: {', '.join(parts)}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
