"""One event loop for the tests of a class that asks for it."""

from __future__ import annotations

import pytest


def pytest_itemcollected(item: pytest.Item) -> None:
    # The class cannot have this mark itself: that of `Suite`, which it inherits, goes first.
    if isinstance(item, pytest.Function) and getattr(item.cls, "one_loop", False):
        item.add_marker(pytest.mark.asyncio(loop_scope="class"), append=False)
