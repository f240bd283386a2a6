"""Progress of transfers, as a bar on standard error."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING

from jtc.storage.cli._terminal.output import is_terminal, show_above, size_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console
    from rich.progress import Progress, ProgressColumn

    from jtc.storage.transfers import TransferProgress

__all__ = ["bar"]

_SECONDS = 0.1


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
        shown = _Shown(progress, title)
        show_above(lambda line: console.print(line, soft_wrap=True))
        try:
            yield shown.update
        finally:
            show_above(None)
            shown.finish()


class _Shown:
    """A bar, which is called with each chunk of each file, and drawn ten times a second.

    Args:
        progress: Draws it.
        title: The words before it.
    """

    def __init__(self, progress: Progress, title: str) -> None:
        self._progress = progress
        self._task = progress.add_task(title, total=None, files="0 files", amount="0")
        self._due = 0.0
        self._latest: TransferProgress | None = None

    def update(self, state: TransferProgress) -> None:
        """Take how far the transfer has come."""
        self._latest = state
        if (now := monotonic()) >= self._due:
            self._due = now + _SECONDS
            self.finish()

    def finish(self) -> None:
        """Draw what was said last."""
        if (state := self._latest) is None:
            return
        of = "" if state.total_files is None else f"/{state.total_files}"
        whole = "" if state.total_bytes is None else f" of {size_text(state.total_bytes)}"
        self._progress.update(
            self._task,
            completed=state.bytes,
            total=state.total_bytes,
            files=f"{state.files}{of} files",
            amount=f"{size_text(state.bytes)}{whole}",
        )


def _drawing() -> tuple[Console, tuple[ProgressColumn, ...]]:
    """Return where bars are drawn, and what they consist of: sizes as in all other lines."""
    from rich.console import Console  # noqa: PLC0415 - slow
    from rich.progress import (  # noqa: PLC0415 - slow
        BarColumn,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text  # noqa: PLC0415 - slow
    from rich.theme import Theme  # noqa: PLC0415 - slow

    class Speed(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text(f"{size_text(int(speed))}/s" if speed else "?")

    theme = Theme({"bar.complete": "blue", "bar.pulse": "blue", "progress.remaining": "default"})
    console = Console(stderr=True, highlight=False, markup=False, emoji=False, theme=theme)
    return console, (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[files]}, {task.fields[amount]}"),
        Speed(),
        TimeRemainingColumn(compact=True),
    )
