"""Byte ranges, which mean what slices mean, and the merging of close ones."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jtc.storage.driver_support.ranges import check_range, coalesced, resolve_range

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


spans = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 15)), max_size=8).map(
    lambda pairs: [(start, start + length) for start, length in pairs]
)


@given(spans, st.integers(0, 10))
def test_coalesced_covers_each_span_once_and_joins_exactly_those_that_are_close(
    given_spans: list[tuple[int, int]], gap: int
) -> None:
    merged = coalesced(given_spans, gap)
    indexes = [index for _, members in merged for index in members]
    assert sorted(indexes) == list(range(len(given_spans)))
    for (start, end), members in merged:
        assert start == min(given_spans[index][0] for index in members)
        assert end == max(given_spans[index][1] for index in members)
    for ((_, end), _), ((start, _), _) in pairwise(merged):
        assert start > end + gap
    for (start, end), members in merged:
        # Sorted by where they begin, each begins within the gap of what is covered before it.
        covered = start
        for first, last in sorted(given_spans[index] for index in members):
            assert first <= covered + gap
            covered = max(covered, last)
        assert covered == end


def test_coalesced_of_no_spans_is_empty() -> None:
    assert coalesced([]) == []
