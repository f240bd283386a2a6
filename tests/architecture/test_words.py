"""Words that code and documents do not use, with their replacements.

The terms of the field are what a reader searches for, and one idea has one word. This table is the
place to add a word. A place where a word is right is in `ALLOWED`, with its reason.
"""

from __future__ import annotations

import re
import subprocess
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# TEMPORARY: files that still have old words while they are being rewritten. Empty it, then delete.
UNFINISHED: tuple[str, ...] = ()

WORDS = {
    # Terms: one word for one idea.
    "ability|abilities": "capability",
    "honou?r(?:s|ed|ing)?": "support, supported",
    "withh(?:old|olds|olding|eld)|withheld_by": "unsupported",
    "retries_itself": "has_own_retries",
    "beneath_layers": "unwrap",
    "facts?": "metadata",
    "(?:pre)?signed_address(?:es)?": "presigned URL",
    "addresses": "URLs",
    "sync_faces?": "sync API",
    "web_faces?": "web integration",
    "kits?": "conformance tests",
    "let(?:s|ting)?_go": "close, release",
    "forbids?": "veto, refuse",
    "hears?_of": "receive",
    "strangers?": "users, clients",
    # Not plain: archaisms, personification, and words that a non-native reader has to look up.
    "told": "is passed, receives, reports",
    "tells?_(?:whether|of)": "return whether, report",
    "beneath": "below",
    "so_(?:many|often)": "the number of, count, times",
    "in_earnest": "really",
    "lest": "so that … not",
    "amid": "during",
    "whoever": "a caller that",
    "nobody": "no caller, nothing",
    "somebody": "a caller, a client",
    "everybody": "all",
    "for_ever": "forever",
    "mend(?:s|ed)?": "fix, repair",
    "dear(?:er|est|ly)?": "expensive",
    "hence|thence|whilst|thereby|thereof|therein|whereby": "so, while, by it, in it",
}
"""Regular expressions of words, with ``_`` for any white space; and what is used instead."""

ALLOWED = {
    "drivers-local/*": {"RESOLVE_BENEATH": "a flag of the kernel"},
}
"""Phrases that are right, with the reason, by the pattern of the files."""

GENERATED = {
    "docs/api.md": "made from docstrings, which are checked",
    "docs/reliability.md": "made from a template, promises and test names, which are checked",
    "docs/benchmarks.md": "made from a template and the benchmarks, which are checked",
}


def pattern(words: str) -> re.Pattern[str]:
    """Compile words, which may continue after a line break and stand in an identifier."""
    anywhere = words.replace("_", r"(?:[\s#]+|[_-])")
    return re.compile(rf"(?<![A-Za-z])(?:{anywhere})(?![A-Za-z])", re.IGNORECASE)


PATTERNS = {pattern(words): instead for words, instead in WORDS.items()}


def files() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "*.py", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    skipped = {"tests/architecture/test_words.py", *GENERATED}
    return [
        name
        for name in listed.stdout.splitlines()
        if name not in skipped and (ROOT / name).exists()
    ]


def found_in(text: str) -> list[tuple[int, str, str]]:
    """Return the line, the word and its replacement of each word that is not used."""
    return sorted(
        (text.count("\n", 0, match.start()) + 1, match[0], instead)
        for compiled, instead in PATTERNS.items()
        for match in compiled.finditer(text)
    )


@pytest.mark.parametrize("name", files())
def test_file_has_no_word_that_is_replaced(name: str) -> None:
    if name in UNFINISHED:
        pytest.skip("is being rewritten")
    text = (ROOT / name).read_text(encoding="utf-8")
    for matching, phrases in ALLOWED.items():
        if fnmatch(name, matching):
            for phrase in phrases:
                text = text.replace(phrase, " " * len(phrase))
    wrong = [f"{name}:{line}: {word!r}: use {instead}" for line, word, instead in found_in(text)]
    assert not wrong, "\n".join(wrong)


def test_allowances_are_of_phrases_that_stand_there() -> None:
    texts = {name: (ROOT / name).read_text(encoding="utf-8") for name in files()}
    for matching, phrases in ALLOWED.items():
        for phrase in phrases:
            assert found_in(phrase)
            assert any(phrase in texts[name] for name in texts if fnmatch(name, matching)), phrase


@pytest.mark.parametrize(
    "text",
    [
        "It is told",
        "test_who_is_told_first",
        "# so\n# many",
        "A signed address",
        "Withheld",
        "KITS",
    ],
)
def test_words_are_found_in_prose_in_names_and_over_line_breaks(text: str) -> None:
    assert len(found_in(text)) == 1


@pytest.mark.parametrize("text", ["capability", "whence", "stoldon", "RESOLVED", "latest"])
def test_words_are_not_found_inside_other_words(text: str) -> None:
    assert found_in(text) == []
