"""Patterns of files to include and to exclude, with the meaning that rclone gives them.

https://rclone.org/filtering/ describes them; the tests compare with rclone itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeAlias

from jtc.storage._shortened import shortened

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Judge", "compile_both", "compile_filters"]

Judge: TypeAlias = "Callable[[str], bool]"
"""Returns whether a path is taken."""

_TOKEN = re.compile(
    r"""\\(?P<escaped>.)
      | \[(?P<negated>\^?)(?P<members>(?:\[:[a-z]+:\]|[^][\\])+)\]
      | \{\{(?P<expression>.*?\}*)\}\}
      | (?P<stars>\*+)
      | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_MEMBER = re.compile(r"\[:(?P<kind>[a-z]+):\]|(?P<first>.)(?:-(?P<last>.))?", re.DOTALL)
# RE2's classes, which are those of ASCII: https://github.com/google/re2/wiki/Syntax
_KINDS = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "ascii": r"\x00-\x7f",
    "blank": r"\t ",
    "digit": "0-9",
    "lower": "a-z",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\t\n\v\f\r ",
    "upper": "A-Z",
    "word": "0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}
# What takes these takes any: no path has such characters.
_ANY_FILES = ("\x00" * 64, "\x00" * 64 + "/" + "\x00" * 64)
_STARS = {"*": "[^/]*", "**": ".*"}


def compile_filters(include: Iterable[str] = (), exclude: Iterable[str] = ()) -> Judge | None:
    """Compile patterns of paths below the directory that is transferred.

    Args:
        include: Without any, all files are included.
        exclude: A file that one of them matches is left out, whatever `include` says.

    Returns:
        A function that returns whether a file is taken; None where there are no patterns.

    Raises:
        TypeError: It is no iterable of texts, or is one text.
        ValueError: A pattern cannot be understood.
    """
    return compile_both(include, exclude)[0]


def compile_both(
    include: Iterable[str], exclude: Iterable[str]
) -> tuple[Judge | None, Judge | None]:
    """Compile patterns, for files as `compile_filters` does, and for directories.

    Returns:
        What `compile_filters` returns, and a function that returns whether a directory of this path
        and ``/`` may have files that are not excluded, whatever their names; None where all may.
    """
    included = _any_of("include", include)
    excluded = _any_of("exclude", exclude)
    if excluded is None:
        return None if included is None else lambda path: included(path) is not None, None

    def may_have(directory: str) -> bool:
        return not all(excluded(directory + file) for file in _ANY_FILES)

    if included is None:
        return lambda path: excluded(path) is None, may_have
    return lambda path: excluded(path) is None and included(path) is not None, may_have


def _any_of(option: str, patterns: Iterable[str]) -> Callable[[str], re.Match[str] | None] | None:
    if isinstance(patterns, str) or not isinstance(patterns, Iterable):
        raise TypeError(f"{option} is a list of patterns, such as ['*.html'], not {patterns!r}")
    expressions = [_expression(option, pattern) for pattern in patterns]
    return re.compile("|".join(expressions), re.DOTALL).search if expressions else None


def _expression(option: str, pattern: str) -> str:
    """Return a pattern as a regular expression that is searched for in a path."""
    if not isinstance(pattern, str):
        raise TypeError(f"A pattern of {option} is a str, not {type(pattern).__name__}")
    try:
        if not pattern:
            raise ValueError("it is empty")
        if pattern.endswith("/"):
            if option == "include":
                raise ValueError("it names a directory: for all files below, write '**' after it")
            pattern += "**"
        start = r"\A" if pattern.startswith("/") else r"(?:\A|/)"
        expression = f"{start}{_translated(pattern.removeprefix('/'))}\\Z"
        re.compile(expression)
    except (ValueError, re.error) as error:
        raise ValueError(
            f"The pattern {shortened(pattern)!r} of {option} cannot be used: {error}"
        ) from error
    return expression


def _translated(pattern: str) -> str:
    parts: list[str] = []
    in_braces = False
    for token in _TOKEN.finditer(pattern):
        if token["other"] in {"{", "}"}:
            if in_braces is (token["other"] == "{"):
                raise ValueError("its braces do not match, or one pair is within another")
            in_braces = not in_braces
            parts.append("(?:" if in_braces else ")")
        else:
            parts.append(_part(token, in_braces=in_braces))
    if in_braces:
        raise ValueError("its braces do not match")
    return "".join(parts)


def _part(token: re.Match[str], *, in_braces: bool) -> str:
    match token.lastgroup:
        case "escaped":
            return re.escape(token["escaped"])
        case "members":
            return f"[{token['negated']}{_members(token['members'])}]"
        case "expression":
            re.compile(token["expression"])  # by itself: it must not end the group
            return f"(?:{token['expression']})"
        case "stars":
            if token[0] not in _STARS:
                raise ValueError(f"{token[0]!r} has no meaning, '*' and '**' have")
            return _STARS[token[0]]
    if (text := token[0]) in "[]\\":
        raise ValueError(f"a {text} stands alone: for the character itself, write '\\{text}'")
    if text == "," and in_braces:
        return "|"
    return "[^/]" if text == "?" else re.escape(text)


def _members(members: str) -> str:
    """Return what stands between the brackets of a class, with nothing special to Python in it."""
    parts: list[str] = []
    for member in _MEMBER.finditer(members):
        kind, first, last = member.groups()
        if kind is not None:
            if kind not in _KINDS:
                raise ValueError(f"there is no class {member[0]!r}")
            parts.append(_KINDS[kind])
        else:
            parts.append(re.escape(first) + (f"-{re.escape(last)}" if last else ""))
    return "".join(parts)
