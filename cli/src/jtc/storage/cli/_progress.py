"""Progress of transfers, as a bar on standard error."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from jtc.storage.cli._output import is_terminal, show_above

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console
    from rich.progress import ProgressColumn

    from jtc.storage.transfers import TransferProgress

__all__ = ["bar"]


@contextmanager
def bar(
    title: str, *, wanted: bool = True
) -> Iterator[Callable[[TransferProgress], object] | None]:
    """Show a bar on standard error while the block runs, if that is a terminal.

    Lines that are written within the block appear above the bar.

    Args:
        title: The words before the bar.
        wanted: Whether a bar is wanted at all.

    Yields:
        The function to pass as ``progress``; None where no bar is shown.
    """
    if not wanted or not is_terminal(sys.stderr) or os.environ.get("TERM", "") in {"", "dumb"}:
        yield None
        return
    console, columns = _drawing()
    from rich.progress import Progress  # noqa: PLC0415 - slow

    with Progress(
        *columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False
    ) as progress:
        task = progress.add_task(title, total=None, files="")

        def update(state: TransferProgress) -> None:
            of = "" if state.total_files is None else f"/{state.total_files}"
            progress.update(
                task,
                completed=state.bytes,
                total=state.total_bytes,
                files=f"{state.files}{of} files",
            )

        show_above(lambda line: console.print(line, soft_wrap=True))
        try:
            yield update
        finally:
            show_above(None)


def _drawing() -> tuple[Console, tuple[ProgressColumn, ...]]:
    """Return where bars are drawn, and what they consist of."""
    from rich.console import Console  # noqa: PLC0415 - slow
    from rich.progress import (  # noqa: PLC0415 - slow
        BarColumn,
        DownloadColumn,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    console = Console(stderr=True, highlight=False, markup=False, emoji=False)
    return console, (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[files]}"),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(compact=True),
    )
