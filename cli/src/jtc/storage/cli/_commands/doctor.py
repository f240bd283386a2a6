"""The command `doctor`: what is wrong with the disks, and how to put it right."""

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Annotated, Any

import typer

from jtc.storage.cli._doctor.model import Diagnosis
from jtc.storage.cli._doctor.report import as_github, as_json, as_text
from jtc.storage.cli._doctor.run import diagnose
from jtc.storage.cli._exits import FAILED, Failed
from jtc.storage.cli._running import run
from jtc.storage.cli._terminal.output import write, write_json
from jtc.storage.driver_support.findings import DiagnosisOptions, Severity

EXAMPLES = (
    "jtc-storage doctor",
    "jtc-storage doctor --disk media --as-user www-data",
    "jtc-storage doctor --no-probe --format github --fail-on warning",
)


class _Format(StrEnum):
    TEXT = "text"
    JSON = "json"
    GITHUB = "github"


class _FailOn(StrEnum):
    ERROR = "error"
    WARNING = "warning"
    NEVER = "never"


_FAULTS = {
    _FailOn.ERROR: (Severity.ERROR,),
    _FailOn.WARNING: (Severity.ERROR, Severity.WARNING),
    _FailOn.NEVER: (),
}


def command(
    *,
    disk: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", show_default=False, help="Look at this disk; may be repeated."
        ),
    ] = None,
    probe: Annotated[
        bool,
        typer.Option(
            "--probe/--no-probe",
            help="Put, read and delete small files, and measure; or write nothing.",
        ),
    ] = True,
    form: Annotated[
        _Format, typer.Option("--format", help="For people, for scripts, or for GitHub's checks.")
    ] = _Format.TEXT,
    json: Annotated[bool, typer.Option("--json", help="Write JSON, as --format json.")] = False,
    fail_on: Annotated[
        _FailOn, typer.Option(help="The exit status is 1 from this severity on.")
    ] = _FailOn.ERROR,
    timeout: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="The deadline of each request.")
    ] = 5.0,
    as_user: Annotated[
        str | None,
        typer.Option(
            metavar="USER",
            show_default=False,
            help="The user of a web server, who should read the public files of local disks.",
        ),
    ] = None,
    origin: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            show_default=False,
            help="The origin of pages that upload from browsers, such as https://example.com.",
        ),
    ] = None,
) -> None:
    """Find what is wrong with the disks, and say how to put it right."""
    options = DiagnosisOptions(probe=probe, timeout=timeout, as_user=as_user, origin=origin)
    show = _WRITERS[_Format.JSON if json else form]
    run(_doctor(disk or [], options, show, fail_on))


async def _doctor(
    disks: list[str],
    options: DiagnosisOptions,
    show: Callable[[Diagnosis], object],
    fail_on: _FailOn,
) -> None:
    diagnosis = await diagnose(disks, options)
    show(diagnosis)
    if any(diagnosis.count(severity) for severity in _FAULTS[fail_on]):
        raise Failed(FAILED)


def _write_all(lines: Iterable[str]) -> None:
    for line in lines:
        write(line)


_WRITERS: dict[_Format, Callable[[Diagnosis], Any]] = {
    _Format.TEXT: lambda diagnosis: _write_all(as_text(diagnosis)),
    _Format.JSON: lambda diagnosis: write_json(as_json(diagnosis)),
    _Format.GITHUB: lambda diagnosis: _write_all(as_github(diagnosis)),
}
