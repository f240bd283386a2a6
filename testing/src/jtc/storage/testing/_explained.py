"""Explanation of failed tests: the rule, the call that broke it, and where the rule is written."""

from __future__ import annotations

import ast
import asyncio
import functools
import inspect
import textwrap
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

__all__ = ["GUIDE", "explained", "rule_of"]

F = TypeVar("F", bound="Callable[..., Any]")

GUIDE = "docs/drivers.md"
"""Where the rules are written, a row a method; the docstrings of `jtc.storage.driver` agree."""

_GROUPS = Path(__file__).parent / "_groups"
_STORAGES = {"storage", "disk", "driver", "broken", "networked", "alone", "view", "scope", "other"}
_STORAGES |= {"with_urls", "capabilities"}
_EXPECTING = {"raises", "must_raise"}
_PLAIN = (str, bytes, int, float, bool, tuple, list, dict, type(None))
_LONGEST = 300


def explained(test: F, rows: str) -> F:
    """Return a test that adds an explanation to what it raises.

    Args:
        test: A test of a group, an ``async def``.
        rows: The rows of the guide's table of rules that the group tests.
    """
    if not inspect.iscoroutinefunction(test):
        return test

    @functools.wraps(test)
    async def run(*args: Any, **kwargs: Any) -> None:
        __tracebackhide__ = True
        try:
            await test(*args, **kwargs)
        except (Exception, asyncio.CancelledError, pytest.fail.Exception) as error:
            error.add_note(_explanation(error, test, rows))
            raise

    return run  # type: ignore[return-value]


def rule_of(test: Callable[..., Any]) -> str:
    """Return the rule that a test checks: the sentence of its docstring, or else of its name."""
    if test.__doc__:
        return inspect.cleandoc(test.__doc__).splitlines()[0]
    return test.__name__.removeprefix("test_").replace("_", " ")


def _explanation(error: BaseException, test: Callable[..., Any], rows: str) -> str:
    lines = [f"Rule: {rule_of(test)}", f"Call: {_call_of(error)}"]
    if not isinstance(error, AssertionError | pytest.fail.Exception):
        at = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{at.filename}:{at.lineno} in {at.name}"
        lines.append(f"Raised: {type(error).__module__}.{type(error).__qualname__}, at {place}")
    lines.append(f"Written in: {GUIDE}#rules, row {rows}; help('jtc.storage.driver')")
    return "\n".join(lines)


def _call_of(error: BaseException) -> str:
    """Return the statement of the tests that failed, with the values of its variables."""
    frames = list(traceback.walk_tb(error.__traceback__))
    for frame, line in reversed(frames):
        if _is_in_tests(frame):
            statement = _statement(frame, line)
            if statement is not None:
                text = textwrap.shorten(ast.unparse(statement).partition("\n")[0], _LONGEST)
                values = ", ".join(_values(statement, frame))
                return f"{text} where {values}" if values else text
    return "none: the test itself failed"


def _is_in_tests(frame: FrameType) -> bool:
    code = frame.f_code
    return Path(code.co_filename).parent == _GROUPS and not code.co_name.startswith("<")


def _statement(frame: FrameType, line: int) -> ast.stmt | None:
    """Return the statement at a line, or the last one before it that calls the storage."""
    source, first = inspect.getsourcelines(frame.f_code)
    function = ast.parse(textwrap.dedent("".join(source))).body[0]
    at = line - first + 1
    before = [
        node
        for node in ast.walk(function)
        if isinstance(node, ast.stmt) and node is not function and node.lineno <= at
    ]
    # The failed statement is the innermost one that reaches to the line.
    before.sort(key=lambda node: (node.lineno, -(node.end_lineno or 0)))
    for node in reversed(before):
        called = _expected(node)
        if not isinstance(called, ast.FunctionDef | ast.AsyncFunctionDef) and _calls(called):
            return called
    return before[-1] if before else None


def _expected(node: ast.stmt) -> ast.stmt:
    """Return what is in a block that expects an error, or the statement itself."""
    if isinstance(node, ast.With) and any(
        isinstance(name, ast.Name | ast.Attribute) and _name(name) in _EXPECTING
        for item in node.items
        for name in ast.walk(item)
    ):
        return node.body[0]
    return node


def _calls(node: ast.stmt) -> bool:
    return any(
        isinstance(child, ast.Call) and any(_name(name) in _STORAGES for name in ast.walk(child))
        for child in ast.walk(node)
    )


def _name(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")


def _values(statement: ast.stmt, frame: FrameType) -> Iterator[str]:
    known = frame.f_locals
    for name in dict.fromkeys(n.id for n in ast.walk(statement) if isinstance(n, ast.Name)):
        if name in known and isinstance(known[name], _PLAIN):
            yield f"{name} = {textwrap.shorten(repr(known[name]), 100)}"
