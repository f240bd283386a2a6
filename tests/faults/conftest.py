"""The frame of the fault tests: each is of a row of docs/reliability.md, and reports its figures.

    @pytest.mark.row(4)
    async def test_a_killed_put_…(report, rounds):
        kills = rounds(60, brief=8)
        …
        report(f"{kills} kills, {torn} torn")

`make test` runs the brief rounds, `make faults` the full ones, which it then writes to the page.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

FULL = os.environ.get("FAULT_ROUNDS") == "full"


class Rounds(Protocol):
    def __call__(self, full: int, *, brief: int) -> int: ...


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not FULL:
        long = [item for item in items if item.get_closest_marker("full")]
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]
    # Said here and not in a fixture, so that a skipped test has its row too.
    for item in items:
        for mark in item.iter_markers("row"):
            item.user_properties.append(("row", str(mark.args[0])))


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Adds figures to the test's row, and prints them."""
    assert request.node.get_closest_marker("row"), "Whose figures? Mark the test: row(…)"

    def add(figures: str) -> None:
        request.node.user_properties.append(("figures", figures))
        print(figures)  # noqa: T201 - `pytest -s` shows what was measured

    return add


@pytest.fixture(scope="session")
def rounds() -> Rounds:
    """Return how often to try: the first number in `make faults`, `brief` in `make test`."""
    return lambda full, *, brief: full if FULL else brief
