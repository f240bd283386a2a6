"""Path cases: the paths that every driver accepts or refuses, each with the reason."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ACCEPTED_PATHS", "REJECTED_PATHS", "PathCase"]


@dataclass(frozen=True, slots=True)
class PathCase:
    """A path, and why it is in the list.

    Attributes:
        path: The path; it may hold anything that a `str` can.
        why: What goes wrong elsewhere with it. Printable: it is the name of a test.
        accepted: Whether the path policy accepts it.
    """

    path: str
    why: str
    accepted: bool


def _cases() -> tuple[PathCase, ...]:
    text = Path(__file__).with_name("paths.json").read_text(encoding="utf-8")
    return tuple(
        PathCase(path=case["path"], why=case["why"], accepted=case["expect"] == "accept")
        for case in json.loads(text)
    )


ACCEPTED_PATHS = tuple(case for case in _cases() if case.accepted)
"""Legitimate paths: each is kept exactly as it is given."""

REJECTED_PATHS = tuple(case for case in _cases() if not case.accepted)
"""Paths that raise InvalidPathException from every method; none is rewritten."""
