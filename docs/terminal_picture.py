"""Pictures of a terminal's screen, as SVG without any file beside it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import groupby
from typing import Any

__all__ = ["svg"]

NBSP = "\N{NO-BREAK SPACE}"
"""What is drawn for a space: SVG collapses others."""

_WIDTH = 8.4
_HEIGHT = 19
_MARGIN = 16
_BAR = 34

_FONTS = "ui-monospace, SFMono-Regular, Menlo, Consolas, DejaVu Sans Mono, monospace"
_BACKGROUND = "#1b1f27"
_FOREGROUND = "#d7dce4"
_COLOURS = {
    "black": "#5c6370",
    "red": "#f47067",
    "green": "#8ddb8c",
    "brown": "#e3c36b",
    "blue": "#6cb6ff",
    "magenta": "#dcbdfb",
    "cyan": "#76e3ea",
    "white": "#f0f3f6",
}


def svg(lines: Sequence[Sequence[Any]], title: str) -> str:
    """Return a picture of lines of a screen, of which each is a sequence of pyte's characters."""
    columns = max(len(line) for line in lines)
    width = round(columns * _WIDTH + 2 * _MARGIN)
    height = len(lines) * _HEIGHT + _BAR + _MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width}" height="{height}" rx="8" fill="{_BACKGROUND}"/>',
        *(
            f'<circle cx="{_MARGIN + 18 * number}" cy="{_BAR / 2}" r="5.5" fill="{colour}"/>'
            for number, colour in enumerate(("#f47067", "#e3c36b", "#8ddb8c"))
        ),
        f'<g font-family="{_FONTS}" font-size="14" fill="{_FOREGROUND}">',
    ]
    for number, line in enumerate(lines):
        parts += _texts(line, _BAR + _HEIGHT * number + 14)
    return "\n".join([*parts, "</g>", "</svg>", ""])


def _texts(line: Sequence[Any], y: int) -> list[str]:
    """Return the texts of a line: each has its place, so that no font moves what follows."""
    texts = []
    column = 0
    for style, characters in groupby(line, key=lambda each: (each.fg, each.bold)):
        text = "".join(each.data for each in characters)
        start = column
        column += len(text)
        if not text.strip():
            continue
        colour, bold = style
        fill = _colour(colour)
        attributes = f' fill="{fill}"' if fill else ""
        attributes += ' font-weight="bold"' if bold else ""
        shown = text.rstrip()
        indent = len(shown) - len(shown.lstrip())
        x = _MARGIN + (start + indent) * _WIDTH
        length = len(shown.strip()) * _WIDTH
        texts.append(
            f'<text x="{x:.1f}" y="{y}" textLength="{length:.1f}"{attributes}>'
            f"{escape(shown.strip()).replace(' ', NBSP)}</text>"
        )
    return texts


def _colour(name: str) -> str | None:
    if name == "default":
        return None
    name = name.removeprefix("bright")
    return _COLOURS.get(name) or f"#{name}"
