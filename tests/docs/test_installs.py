"""Extras that documents, examples and messages tell to install: they exist."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"\b(jtc-storage(?:-[a-z0-9]+)*)\[([a-z0-9, ]+)\]")
TEXTS = sorted(
    path
    for pattern in ("*.md", "*/README.md", "docs/*.md", "docs/examples/**/*.py", "*/src/**/*.py")
    for path in ROOT.glob(pattern)
)


def extras() -> dict[str, set[str]]:
    """Return the extras of each distribution."""
    files = ROOT.glob("*/pyproject.toml")
    projects = [tomllib.loads(path.read_text())["project"] for path in files]
    return {each["name"]: {*each.get("optional-dependencies", ())} for each in projects}


def test_extras_named_in_documents_exist() -> None:
    known = extras()
    named = {
        (match[1], extra.strip(), str(path.relative_to(ROOT)))
        for path in TEXTS
        for match in NAMED.finditer(path.read_text())
        for extra in match[2].split(",")
    }
    assert ("jtc-storage", "attachments", "docs/attachments.md") in named
    assert sorted(each for each in named if each[1] not in known.get(each[0], ())) == []
