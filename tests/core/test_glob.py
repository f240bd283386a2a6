"""Glob patterns: what matches, and which directory is listed for it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from disk_ways import Awaited, disk_of
from jtc.storage import Disk, InvalidPathException, StorageManager, UnsupportedOperationException
from jtc.storage._disk.glob_patterns import _matches, compile_glob
from jtc.storage.drivers.memory_driver import MemoryDriver
from small_drivers import EightMethods

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from jtc.storage import Entry, ListOptions


class Listed(MemoryDriver):
    """Remembers which directories were listed, and whether at any depth."""

    def __init__(self) -> None:
        super().__init__()
        self.listed: list[tuple[str, bool]] = []

    async def list_entries(self, prefix: str, options: ListOptions, /) -> AsyncIterator[Entry]:
        self.listed.append((prefix, options.recursive))
        async for entry in super().list_entries(prefix, options):
            yield entry


# A part of a pattern is a list of tokens, so that the reference below parses nothing.
TOKENS: dict[str, Callable[[str], bool] | None] = {
    "a": lambda c: c == "a",
    "b": lambda c: c == "b",
    ".": lambda c: c == ".",
    "?": lambda _: True,
    "[ab]": lambda c: c in "ab",
    "[!a]": lambda c: c != "a",
    "[a-b]": lambda c: "a" <= c <= "b",
    "*": None,  # any number of characters
}

names = st.text("abA.", min_size=1, max_size=3).filter(lambda name: name not in {".", ".."})
paths = st.lists(names, min_size=1, max_size=4).map("/".join)
tokens = st.lists(st.sampled_from(sorted(TOKENS)), min_size=1, max_size=3).filter(
    lambda part: "**" not in "".join(part) and "".join(part) not in {".", ".."}
)
patterns = st.lists(tokens | st.just("**"), min_size=1, max_size=4)


def matches_part(part: Sequence[str], name: str) -> bool:
    if not part:
        return not name
    test = TOKENS[part[0]]
    if test is None:
        return any(matches_part(part[1:], name[skip:]) for skip in range(len(name) + 1))
    return bool(name) and test(name[0]) and matches_part(part[1:], name[1:])


def expansions(pattern: Sequence[Any], depth: int) -> list[list[Any]]:
    """Return the patterns of one depth that a pattern stands for, with ``*`` in place of ``**``."""
    if not pattern:
        return [[]] if depth == 0 else []
    first, rest = pattern[0], pattern[1:]
    if first != "**":
        return [[first, *each] for each in expansions(rest, depth - 1)] if depth > 0 else []
    found = []
    # At the end it stands for the files below, at any depth: at least one part.
    for skipped in range(0 if rest else 1, depth + 1):
        found += [[["*"]] * skipped + each for each in expansions(rest, depth - skipped)]
    return found


def matches(pattern: Sequence[Any], path: str) -> bool:
    parts = path.split("/")
    return any(all(map(matches_part, each, parts)) for each in expansions(pattern, len(parts)))


@given(paths, patterns)
def test_pattern_matches_what_the_reference_matches(path: str, pattern: list[Any]) -> None:
    written = "/".join("".join(part) for part in pattern)
    directory, matching, recursive = compile_glob(written)
    assert matching(path) == matches(pattern, path)
    if matches(pattern, path):
        # And the listing that it is matched against has the path.
        assert not directory or path.startswith(f"{directory}/")
        below = path.removeprefix(f"{directory}/") if directory else path
        assert recursive or "/" not in below


@given(st.sets(paths, max_size=8), patterns)
def test_glob_returns_the_matching_files_in_their_order(
    files: set[str], pattern: list[Any]
) -> None:
    written = "/".join("".join(part) for part in pattern)

    async def check() -> None:
        disk = disk_of(MemoryDriver())
        for path in files:
            await disk.put(path, b"")
        expected = sorted(path for path in files if matches(pattern, path))
        assert await disk.glob(written) == expected
        assert await disk.glob(f"/{written}") == expected

    asyncio.run(check())


TREE = [
    "a.csv", "A.csv", "a/b.csv", "reports/2024/q1.csv", "reports/2024/q1.txt",
    "reports/q.csv", "reports/x/y/z.csv", "reports2/q.csv", "[x]/a", "we*rd",
]  # fmt: skip


def faked() -> Disk:
    manager = StorageManager.isolated({})
    manager.set_driver(MemoryDriver(), "d")
    return manager.fake("d")


@pytest.mark.parametrize(
    "make",
    [
        lambda: disk_of(MemoryDriver()),
        lambda: disk_of(MemoryDriver()).scoped("s"),
        faked,
        lambda: Awaited(disk_of(MemoryDriver()).sync),
    ],
    ids=["memory", "scope", "fake", "sync"],
)
@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.csv", ["A.csv", "a.csv"]),
        ("a.csv", ["a.csv"]),
        ("/a.csv", ["a.csv"]),
        ("nothing.csv", []),
        ("reports", []),  # a directory, and no file
        ("reports/*", ["reports/q.csv"]),
        ("reports/*.csv", ["reports/q.csv"]),
        ("reports/*/*.csv", ["reports/2024/q1.csv"]),
        ("reports/**/*.csv", ["reports/2024/q1.csv", "reports/q.csv", "reports/x/y/z.csv"]),
        ("reports/**/z.csv", ["reports/x/y/z.csv"]),
        ("reports/**/x/**", ["reports/x/y/z.csv"]),
        ("**/q.csv", ["reports/q.csv", "reports2/q.csv"]),
        ("**/**/q.csv", ["reports/q.csv", "reports2/q.csv"]),
        ("report?/q.csv", ["reports/q.csv"]),
        ("reports[0-9]/*", ["reports2/q.csv"]),
        ("reports/[!q]*/q?.[ct]*", ["reports/2024/q1.csv", "reports/2024/q1.txt"]),
        ("[[]x]/a", ["[x]/a"]),
        ("we[*]rd", ["we*rd"]),
        ("nowhere/**", []),
    ],
)
async def test_glob_of_a_tree(make: Callable[[], Any], pattern: str, expected: list[str]) -> None:
    disk = make()
    for path in TREE:
        await disk.put(path, b"")
    assert await disk.glob(pattern) == expected


@pytest.mark.parametrize(
    ("pattern", "listed"),
    [
        ("a/b/*.txt", ("a/b", False)),
        ("a/b/c.txt", ("a/b", False)),
        ("c.txt", ("", False)),
        ("*", ("", False)),
        ("/a/*/c", ("a", True)),
        ("a/**", ("a", True)),
        ("**", ("", True)),
        ("a/b/**/c*", ("a/b", True)),
        ("a/b[0-9]/c/d", ("a", True)),
    ],
)
async def test_glob_lists_only_the_directory_before_the_first_wildcard(
    pattern: str, listed: tuple[str, bool]
) -> None:
    driver = Listed()
    await disk_of(driver).glob(pattern)
    assert driver.listed == [listed]


@pytest.mark.parametrize(
    ("pattern", "error", "match"),
    [
        ("", ValueError, "must not be empty"),
        ("/", ValueError, "must not be empty"),
        ("a**", ValueError, r"'\*\*' is a whole part"),
        ("a/***/b", ValueError, r"'\*\*' is a whole part"),
        ("../*", InvalidPathException, r"'\.\.'"),
        ("a//b/*", InvalidPathException, "empty part"),
        (".jtc/*", InvalidPathException, "reserved"),
        (b"*", TypeError, "is a str, not bytes"),
    ],
)
async def test_glob_refuses_what_is_no_pattern_and_lists_nothing(
    pattern: Any, error: type[Exception], match: str
) -> None:
    driver = Listed()
    with pytest.raises(error, match=match) as raised:
        await disk_of(driver).glob(pattern)
    if isinstance(raised.value, InvalidPathException):
        assert (raised.value.operation, raised.value.disk) == ("glob", "d")
    assert driver.listed == []


async def test_glob_needs_a_listing() -> None:
    with pytest.raises(UnsupportedOperationException, match="'listing'"):
        await disk_of(EightMethods()).glob("*")


def test_glob_tests_each_part_by_each_test_at_most_once() -> None:
    calls = 0

    def is_a(name: str) -> bool:
        nonlocal calls
        calls += 1
        return name == "a"

    names = ["a"] * 20
    assert not _matches(names, [None, is_a] * 4 + [lambda name: name == "b"])
    assert calls <= 4 * len(names)
