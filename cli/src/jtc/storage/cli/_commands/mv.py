"""The command `mv`: moves."""

from typing import Annotated

import typer

from jtc.storage.cli._exits import UsageError
from jtc.storage.cli._options import (
    Concurrency,
    DryRun,
    Json,
    Quiet,
    Recursive,
    Sources,
    Target,
    Verbose,
)
from jtc.storage.cli._places.locations import locate
from jtc.storage.cli._running import run
from jtc.storage.cli._transfers.moving import move_all
from jtc.storage.cli._transfers.reporting import Report
from jtc.storage.cli._transfers.transferring import Choice
from jtc.storage.transfers import DEFAULT_CONCURRENCY, Action

EXAMPLES = (
    "jtc-storage mv s3:draft.pdf s3:final.pdf",
    "jtc-storage mv s3:a.jpg s3:b.jpg s3:photos/",
    "jtc-storage mv s3:inbox archive:2026/inbox",
)


def command(
    sources: Sources,
    target: Target,
    *,
    recursive: Recursive = False,
    merge: Annotated[
        bool, typer.Option("--merge", help="Move a directory's files into one that exists.")
    ] = False,
    transfers: Concurrency = DEFAULT_CONCURRENCY,
    dry_run: DryRun = False,
    verbose: Verbose = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Move files, or a directory, within a disk or from one to another.

    A file goes into a target that is a directory, or ends with a slash. A directory gets the
    target's name, which must be free: into an existing one, its files move with --merge.
    """
    places = [locate(source, follow=False) for source in sources]
    place = locate(target)
    if place.is_local and any(each.is_local for each in places):
        raise UsageError("Both are paths of this machine, which the system's mv moves")
    choice = Choice(concurrency=transfers, shows_bar=not quiet, dry_run=dry_run)
    report = Report(Action.MOVE, lines=verbose, json=json, quiet=quiet, dry_run=dry_run)
    run(move_all(places, place, choice, report, recursive=recursive, merge=merge))
