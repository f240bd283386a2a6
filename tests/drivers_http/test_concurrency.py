"""Concurrency of transfers on paths that are simulated by a clock."""

from __future__ import annotations

import heapq

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jtc.storage.http_support.concurrency import Climb, Concurrency

PART = 2 * 2**20


class Path:
    """A path with a round trip, a throughput of each connection, and one of all together."""

    def __init__(self, *, round_trip: float, each: float, together: float) -> None:
        self.round_trip, self.each, self.together = round_trip, each, together
        self.now = 0.0

    def transfer(self, known: Concurrency, most: int, parts: int) -> list[int]:
        """Send parts; return the number that were under way at each end of one."""
        climb = Climb(known, most, lambda: self.now)
        ends: list[float] = []
        busy = []
        while parts or ends:
            while parts and len(ends) < climb.level:
                parts -= 1
                share = min(self.each, self.together / (len(ends) + 1))
                heapq.heappush(ends, self.now + self.round_trip + PART / share)
            self.now = max(self.now, heapq.heappop(ends))
            climb.moved(PART)
            busy.append(len(ends) + 1)
            if parts:
                climb.ended(len(ends) + 1)
        return busy


def test_climb_far_away_goes_up_to_the_most_in_a_few_rounds() -> None:
    known = Concurrency(32)
    busy = Path(round_trip=0.04, each=20e6, together=1e12).transfer(known, 32, 128)
    assert busy[0] == 4
    assert max(busy[:60]) == 32
    # The next transfer begins there.
    assert known.level == 32


def test_climb_where_one_connection_carries_all_stays_where_it_began() -> None:
    known = Concurrency(32)
    busy = Path(round_trip=0.0, each=1e9, together=1e9).transfer(known, 32, 500)
    assert known.level <= 5
    assert max(busy) <= 8


def test_climb_stops_near_what_the_path_carries() -> None:
    known = Concurrency(64)
    Path(round_trip=0.04, each=20e6, together=200e6).transfer(known, 64, 2000)
    assert 8 <= known.level <= 20


def test_climb_halves_once_a_round_however_often_it_is_refused() -> None:
    known = Concurrency(64)
    known.level = 32
    climb = Climb(known, 64)
    for _ in range(10):
        known.refusals += 1
        climb.ended(32)
    assert climb.level == known.level == 16
    for _ in range(16):
        climb.ended(16)
    known.refusals += 1
    climb.ended(16)
    assert climb.level == known.level == 8


def test_climb_of_a_transfer_of_few_large_parts_leaves_the_level_of_the_others() -> None:
    known = Concurrency(32)
    path = Path(round_trip=0.04, each=20e6, together=1e12)
    path.transfer(known, 1, 300)
    path.transfer(known, 32, 128)
    assert known.level == 32
    path.transfer(known, 1, 300)
    assert known.level == 32


def test_climb_is_not_raised_while_fewer_are_under_way_than_allowed() -> None:
    known = Concurrency(64)
    climb = Climb(known, 64)
    for _ in range(100):
        climb.moved(PART)
        climb.ended(2)
    assert climb.level == known.level == 4


@pytest.mark.parametrize("most", [1, 3])
def test_climb_begins_within_the_most(most: int) -> None:
    assert Climb(Concurrency(most), 32).level == most
    assert Climb(Concurrency(32), most).level == most


def known_alone(path: Path, rate: float) -> Concurrency:
    """Return what a disk knows after it read over one connection."""
    known = Concurrency(32)
    climb = Climb(known, 32, lambda: path.now)
    for _ in range(40):
        climb.moved_alone(int(rate * 0.005))
        path.now += 0.005
    return known


def test_climb_where_several_carry_less_than_one_ends_at_one_within_two_short_files() -> None:
    path = Path(round_trip=0.0, each=100e6, together=100e6)
    known = known_alone(path, 300e6)
    for _ in range(2):
        path.transfer(known, 32, 11)
    assert (known.level, known.is_settled) == (1, True)


def test_climb_goes_on_where_only_the_first_round_carries_less_than_one() -> None:
    path = Path(round_trip=0.04, each=20e6, together=1e12)
    known = known_alone(path, 20e6)
    slow = Climb(known, 32, lambda: path.now)
    path.now += 1.0
    for _ in range(4):
        slow.moved(PART)
        slow.ended(4)
    assert slow.level == 8
    path.transfer(known, 32, 128)
    assert known.level == 32


def test_climb_pays_for_what_one_connection_takes_long_for() -> None:
    known, now = Concurrency(32), 100.0
    climb = Climb(known, 32, lambda: now)
    assert not climb.pays(10**12)
    for _ in range(20):
        climb.moved_alone(100_000)
        now += 0.005
    # 20 MB/s, after the first bytes.
    assert known.alone == pytest.approx(20e6)
    assert climb.pays(4_100_000)
    assert not climb.pays(3_900_000)
    # The next transfer knows, for a while.
    assert Climb(known, 32, lambda: now).pays(4_100_000)
    now += 4
    assert not climb.pays(10**12)


def test_climb_pays_not_where_one_connection_carries_as_much_as_a_loop_does() -> None:
    known, now = Concurrency(32), 100.0
    climb = Climb(known, 32, lambda: now)
    for _ in range(20):
        climb.moved_alone(4_000_000)
        now += 0.005
    assert known.alone == pytest.approx(800e6)
    assert not climb.pays(10**12)


@given(
    disk=st.integers(1, 100),
    most=st.integers(1, 100),
    events=st.lists(st.tuples(st.integers(0, 10**7), st.floats(0, 10), st.booleans())),
)
def test_climb_is_within_its_limits_whatever_happens(
    disk: int, most: int, events: list[tuple[int, float, bool]]
) -> None:
    known, now = Concurrency(disk), 0.0
    climb = Climb(known, most, lambda: now)
    for size, seconds, is_refused in events:
        now += seconds
        known.refusals += is_refused
        climb.moved(size)
        climb.ended(climb.level)
        assert 1 <= climb.level <= min(disk, most)
        assert 1 <= known.level <= disk
