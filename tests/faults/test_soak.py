"""A short soak, to see that it runs; `make soak` is long enough to show growth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from soak import soak

if TYPE_CHECKING:
    from collections.abc import Callable

    from seaweedfs import SeaweedFS

MIB_AT_MOST = 24
BLOCKS_AT_MOST = 20
"""In thousands. Each operation that left one object behind would show in `make soak`."""


@pytest.mark.row("soak, 20 seconds of it")
def test_a_short_soak_finds_nothing_wrong_and_nothing_left_open(
    seaweedfs: SeaweedFS, rounds: Callable[..., int], report: Callable[[str], None]
) -> None:
    found = soak(rounds(20, brief=2), seaweedfs, samples=rounds(20, brief=4))
    report(str(found))
    assert found.wrong == []
    assert found.done.total() > 100
    assert found.faults.total() > 0
    growth = found.growth()
    assert (growth["descriptors"], growth["tasks"]) == (0, 0)
    # The executor's threads: this is their largest number.
    assert growth["threads"] <= 32
    assert growth["memory"] < MIB_AT_MOST
    assert growth["blocks"] < BLOCKS_AT_MOST
