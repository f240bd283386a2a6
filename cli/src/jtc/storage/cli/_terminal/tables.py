"""Tables of texts on standard output."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from jtc.storage.cli._terminal.output import coloured, is_terminal, printable, write, write_json

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["write_table"]


def write_table(titles: Sequence[str], rows: Sequence[Sequence[str]], *, json: bool) -> None:
    """Write a table, with its titles on a terminal; or a JSON object for each row.

    Args:
        titles: The titles of the columns, which are the keys of the objects.
        rows: The rows.
        json: Write JSON.
    """
    if json:
        for row in rows:
            write_json(dict(zip(titles, row, strict=True)))
        return
    shown = [[printable(each) for each in row] for row in rows]
    heads = [list(titles)] if is_terminal(sys.stdout) else []
    widths = [max((len(row[i]) for row in heads + shown), default=0) for i in range(len(titles))]
    for number, row in enumerate(heads + shown):
        line = "  ".join(f"{each:<{width}}" for each, width in zip(row, widths, strict=True))
        write(coloured(line.rstrip(), "1") if heads and number == 0 else line.rstrip())
