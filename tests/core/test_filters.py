"""Patterns of files to include and to exclude, compared with rclone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engines.engine import EngineMissing
from jtc.storage._transfers.filters import compile_filters
from rclone import Rclone, serving_rclone

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAMES = ("a", "b.html", "ab", "a.b", ".x", "é", "a b", "[a]", "{b}", "a,b", "x-", "B.html", "^a")
DIRECTORIES = ("", "a/", "b.html/", "a/b/", ".x/", "é/a/", "ab/a.b/")
TREE = sorted(f"{directory}{name}" for directory in DIRECTORIES for name in NAMES)
TREE = [path for path in TREE if f"{path}/" not in {d[: len(path) + 1] for d in DIRECTORIES}]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tree")
    for path in TREE:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


@pytest.fixture(scope="module")
def rclone() -> Iterator[Rclone]:
    try:
        with serving_rclone() as served:
            yield served
    except EngineMissing as missing:
        pytest.skip(str(missing))


def taken(include: list[str], exclude: list[str]) -> list[str] | None:
    """Return the files that are taken; None if a pattern is refused."""
    try:
        takes = compile_filters(include, exclude)
    except ValueError:
        return None
    return [path for path in TREE if takes is None or takes(path)]


PIECES = st.one_of(
    st.sampled_from(["a", "b", "ab", ".", "é", " ", "x", "B", "-", ",", "html", "^", "/"]),
    st.sampled_from(["*", "**", "?", "[ab]", "[a-x]", "[^.]", "[!a]", "[-a]", "[[:alpha:]]"]),
    st.sampled_from(["{a,b}", "{a,*.html}", "{a,}", "{{[ab]+}}", "{{a|b}}", "\\[", "\\{", "***"]),
    st.sampled_from(["{", "}", "$", "(", "+", "|"]),
)
PATTERNS = st.lists(PIECES, min_size=1, max_size=6).map("".join)


def is_pruned(pattern: str) -> bool:
    """Return whether rclone does not look into all directories that have files of a pattern.

    It lists ``a/x`` by ``--include a/x`` and not ``b/a/x``, into whose directory ``b`` it does not
    look; but ``--exclude a/x`` leaves out both. Its manual describes the latter.
    """
    inner = pattern.removeprefix("**")
    return "[^" in pattern or (not pattern.startswith("/") and ("/" in inner or "**" in inner))


def includable(patterns: list[str]) -> list[str]:
    """Leave out the patterns that may only be excluded."""
    return [pattern for pattern in patterns if not pattern.endswith("/")]


@settings(max_examples=150, deadline=None)
@given(st.lists(PATTERNS, min_size=1, max_size=3))
def test_filters_exclude_what_rclone_excludes(
    rclone: Rclone, tree: Path, patterns: list[str]
) -> None:
    assume(not any("[^" in pattern and "**" in pattern for pattern in patterns))
    said = rclone.files(tree, ExcludeRule=patterns)
    kept = taken([], patterns)
    assert kept == (None if isinstance(said, str) else said), f"rclone says {said}"
    if kept is not None and includable(patterns) == patterns:
        assert taken(patterns, []) == [path for path in TREE if path not in kept]


@settings(max_examples=60, deadline=None)
@given(st.lists(PATTERNS, min_size=1, max_size=3).map(includable))
def test_filters_include_what_rclone_includes(
    rclone: Rclone, tree: Path, patterns: list[str]
) -> None:
    assume(not any(map(is_pruned, patterns)))
    said = rclone.files(tree, IncludeRule=patterns)
    assert taken(patterns, []) == (None if isinstance(said, str) else said), f"rclone says {said}"


@settings(max_examples=60, deadline=None)
@given(st.lists(PATTERNS, max_size=2).map(includable), st.lists(PATTERNS, max_size=2))
def test_filters_exclude_before_they_include(
    rclone: Rclone, tree: Path, include: list[str], exclude: list[str]
) -> None:
    assume(not any(map(is_pruned, include + exclude)) and taken(include, exclude) is not None)
    rules = [f"- {pattern}" for pattern in exclude] + [f"+ {pattern}" for pattern in include]
    said = rclone.files(tree, FilterRule=[*rules, *(["- **"] if include else [])])
    assert taken(include, exclude) == said


def test_filters_of_no_patterns_take_all() -> None:
    assert compile_filters() is None


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        (["images/"], "write '\\*\\*' after it"),
        ([""], "empty"),
        (["a]"], "a \\] stands alone"),
        (["{a,{b}}"], "braces"),
        (["{a"], "braces"),
        (["***"], "no meaning"),
        (["[b-a]"], "range"),
        (["[[:letters:]]"], "no class"),
        (["{{a)(b}}"], "parenthesis"),
    ],
)
def test_filters_refuse_pattern_that_means_nothing(patterns: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compile_filters(patterns)


@pytest.mark.parametrize("patterns", ["*.html", 1, [1]])
def test_filters_refuse_what_is_no_list_of_texts(patterns: Any) -> None:
    with pytest.raises(TypeError):
        compile_filters(exclude=patterns)
