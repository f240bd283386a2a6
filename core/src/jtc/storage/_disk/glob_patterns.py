"""Glob patterns over the paths of a listing."""

from __future__ import annotations

import fnmatch
import re
from typing import TYPE_CHECKING, TypeAlias

from jtc.storage._shortened import shortened
from jtc.storage.paths import check_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["compile_glob"]

_WILDCARD = re.compile(r"[*?\[]")

PartTest: TypeAlias = "Callable[[str], object] | None"
"""Matches one part of a path; None is ``**``, which matches any number of parts."""


def compile_glob(pattern: str) -> tuple[str, Callable[[str], bool], bool]:
    """Compile a pattern such as ``"reports/**/*.csv"``.

    Args:
        pattern: Parts separated by ``/``, each with the wildcards of `fnmatch`, or ``**``.

    Returns:
        The directory before the first part with a wildcard, a function that returns True for
        matching paths, and whether a listing at any depth is needed.

    Raises:
        InvalidPathException: The directory breaks the path policy.
        ValueError: The pattern is empty, or ``**`` is a part of a name.
        TypeError: The pattern is not a `str`.
    """
    if not isinstance(pattern, str):
        raise TypeError(f"A pattern is a str, not {type(pattern).__name__}")
    parts = pattern.removeprefix("/").split("/")
    if parts == [""]:
        raise ValueError("A pattern must not be empty")
    if any("**" in part and part != "**" for part in parts):
        raise ValueError(
            f"'**' is a whole part of a pattern, as in 'a/**/b', not {shortened(pattern)!r}"
        )
    fixed = next((i for i, part in enumerate(parts) if _WILDCARD.search(part)), len(parts) - 1)
    directory = check_directory("/".join(parts[:fixed]))
    tests: list[PartTest] = [
        None if part == "**" else re.compile(fnmatch.translate(part)).match
        for i, part in enumerate(parts)
        if parts[i - 1 : i] != ["**"] or part != "**"  # several in a row are the same as one
    ]
    at_any_depth = len(parts) - fixed > 1 or parts[-1] == "**"
    return directory, lambda path: _matches(path.split("/"), tests), at_any_depth


def _matches(names: Sequence[str], tests: Sequence[PartTest]) -> bool:
    """Return whether the parts of a path match, in time of their number by that of the tests."""
    if tests[-1] is None:
        tests = [*tests[:-1], None, _any_name]  # at the end it needs one part: a file's name
    reached = {0}  # the numbers of parts that the tests so far can match
    for test in tests:
        if test is None:
            reached = set(range(min(reached), len(names)))
        else:
            reached = {at + 1 for at in reached if at < len(names) and test(names[at])}
        if not reached:
            return False
    return len(names) in reached


def _any_name(_name: str) -> bool:
    return True
