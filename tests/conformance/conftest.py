"""One event loop for the tests of a class that asks for it, and what engines fail in."""

from __future__ import annotations

import pytest


def pytest_itemcollected(item: pytest.Item) -> None:
    # The class cannot have this mark itself: that of `Suite`, which it inherits, goes first.
    if isinstance(item, pytest.Function) and getattr(item.cls, "one_loop", False):
        item.add_marker(pytest.mark.asyncio(loop_scope="class"), append=False)
    engine_class = getattr(getattr(item, "cls", None), "engine_class", None)
    if engine_class is not None and isinstance(item, pytest.Function):
        for expected, strict in (
            (engine_class.expected_failures, True),
            (engine_class.expected_races, False),
        ):
            reason = expected.get(item.name) or expected.get(item.originalname)
            if reason is not None:
                item.add_marker(pytest.mark.xfail(reason=reason, strict=strict))
