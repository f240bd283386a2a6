"""Byte ranges mean what slices mean."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jtc.storage.driver_support.ranges import check_range, resolve_range

starts = st.integers(-30, 30)
ends = st.none() | st.integers(0, 30)


@given(st.binary(max_size=20), starts, ends)
def test_a_range_is_the_slice_or_is_refused(content: bytes, start: int, end: int | None) -> None:
    if start >= 0 and end is not None and end < start:
        with pytest.raises(ValueError, match="where it begins or later"):
            resolve_range(start, end, len(content))
        return
    first, last = resolve_range(start, end, len(content))
    assert 0 <= first <= last <= len(content)
    assert content[first:last] == content[start:end]


@pytest.mark.parametrize(("start", "end"), [(0, -1), (-5, -1), (5, 4)])
def test_what_ends_before_it_begins_is_no_range(start: int, end: int) -> None:
    with pytest.raises(ValueError, match=f"from {start} to {end}"):
        check_range(start, end)


@pytest.mark.parametrize(("start", "end"), [(0, 0), (5, 5), (-1, None), (-5, 3), (10**20, None)])
def test_an_empty_range_is_a_range(start: int, end: int | None) -> None:
    check_range(start, end)
