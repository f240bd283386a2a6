"""Sizes of the benchmarks: large enough for stable medians, or small, to see that they run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

__all__ = ["Sizes"]


@dataclass(frozen=True)
class Sizes:
    """The numbers that a smoke run makes small.

    Attributes:
        rounds: Of small work.
        asked: Of requests to a server.
        few: Rounds of work that takes long by itself.
        fewest: The same, where it takes longest.
        calls: Operations a round.
        requests: Requests a round.
        files: Of a long listing.
        keys: The same on S3.
        paged: Files of a directory that is listed in pages.
        large: Bytes of a large file.
        streamed: Bytes of a stream: few enough that the kernel writes none of them meanwhile.
        waiting: Operations that wait at once.
        readers: Clients that read slowly.
        loads: Kinds of requests that wrk sends.
        growth: Files of a small and of a large directory.
        moved: Bytes of a large file, to a store far away.
        moved_elsewhere: The same, at other distances.
        exchanged: Requests a round, to a store far away.
        tree: Small and large files of a tree.
        printed: Keys of a listing by a program.
        weighed: Libraries whose memory is measured, to a store far away.
        weighed_near: The same elsewhere.
        equal: Whether all have equal concurrency too, to a store far away.
        photograph: Pixels of the sides of a photograph.
        weighed_ways: Ways to make its thumbnails whose memory is measured.
        distances: Other distances: milliseconds of a round trip, and megabytes per second.
    """

    rounds: int = 11
    asked: int = 7
    few: int = 5
    fewest: int = 3
    calls: int = 100
    requests: int = 128
    files: int = 50_000
    keys: int = 50_000
    paged: int = 1_000_000
    large: int = 1024 * 1024 * 1024
    streamed: int = 256 * 1024 * 1024
    waiting: int = 10_000
    readers: int = 500
    loads: int = 5
    growth: tuple[int, int] = (1_000, 100_000)
    moved: int = 256 * 1024 * 1024
    moved_elsewhere: int = 64 * 1024 * 1024
    exchanged: int = 1_000
    tree: tuple[int, int] = (10_000, 20)
    printed: int = 100_000
    weighed: int = 3
    weighed_near: int = 9
    equal: bool = True
    photograph: tuple[int, int] = (6000, 4000)
    weighed_ways: int = 9
    distances: tuple[tuple[float, float], ...] = ((0, 0), (10, 20), (100, 20), (40, 0))

    @classmethod
    def named(cls, name: str) -> Self:
        """Return the sizes ``"full"`` or ``"smoke"``."""
        if name == "full":
            return cls()
        return cls(
            rounds=2,
            asked=1,
            few=1,
            fewest=1,
            calls=10,
            requests=8,
            files=100,
            keys=100,
            paged=2_000,
            large=16 * 1024 * 1024,
            streamed=16 * 1024 * 1024,
            waiting=50,
            readers=20,
            loads=1,
            growth=(50, 100),
            moved=8 * 1024 * 1024,
            exchanged=64,
            tree=(50, 1),
            printed=200,
            weighed=1,
            weighed_near=1,
            equal=False,
            photograph=(600, 400),
            weighed_ways=1,
            distances=(),
        )
