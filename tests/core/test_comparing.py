"""Comparison of two directories: what listings decide, what is requested, what is refused."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jtc.storage import StorageManager
from jtc.storage._transfers import sorting
from jtc.storage._transfers.times import kept_time, mtime_text
from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.exceptions import (
    FileNotFoundException,
    InvalidPathException,
    StorageFullException,
    StorageTimeoutException,
    StorageUnavailableException,
)
from jtc.storage.models import FileInfo
from jtc.storage.options import ListOptions
from jtc.storage.sync_plan import State

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from jtc.storage import Disk
    from jtc.storage.driver import StorageDriver
    from jtc.storage.models import Entry


class Listed(MemoryDriver):
    """A memory driver whose listing is changed, and that counts requests of metadata."""

    lists_in_key_order = False

    def __init__(self, change: Callable[[list[Entry]], list[Entry]] = list) -> None:
        super().__init__()
        self.change = change
        self.stats: list[str] = []
        self.failure: Exception | None = None

    async def list_entries(self, prefix: str, options: ListOptions, /) -> AsyncIterator[Entry]:
        """List in another order."""
        for entry in self.change([each async for each in super().list_entries(prefix, options)]):
            if isinstance(entry, FileInfo):
                entry.checksums = {}
                entry.metadata = {}
            yield entry
        if self.failure is not None:
            raise self.failure

    async def stat(self, path: str, /) -> FileInfo:
        """Return metadata without the checksums, as most stores do."""
        self.stats.append(path)
        info = await super().stat(path)
        info.checksums = {}
        return info


class Ordered(Listed):
    """One that says that it lists in the order of keys."""

    lists_in_key_order = True


def disks(source: StorageDriver, target: StorageDriver) -> tuple[Disk, Disk]:
    manager = StorageManager.isolated()
    manager.set_driver(source, "source")
    manager.set_driver(target, "target")
    return manager.disk("source"), manager.disk("target")


async def found(disk: Disk, **arguments: Any) -> dict[str, str]:
    arguments = {"to": "target", **arguments}
    return {each.path: each.state.value async for each in disk.compare(**arguments)}


PATHS = st.sets(
    st.text("ab./é\U0001f600\uff5e-", min_size=1, max_size=4).filter(
        lambda path: "" not in path.split("/") and not {".", ".."} & set(path.split("/"))
    ),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(PATHS, PATHS, st.randoms(use_true_random=False), st.booleans(), st.booleans())
async def test_compare_pairs_listings_of_any_order(
    left: set[str], right: set[str], random: Any, one_ordered: bool, other_ordered: bool
) -> None:
    def shuffled(entries: list[Entry]) -> list[Entry]:
        random.shuffle(entries)
        return entries

    drivers = [
        Ordered() if is_ordered else Listed(shuffled) for is_ordered in (one_ordered, other_ordered)
    ]
    source, target = disks(*drivers)
    for disk, paths in ((source, left), (target, right)):
        for path in paths:
            await disk.put(path, b"1")
    pairs = [
        (each.path, each.source is None, each.target is None)
        async for each in source.compare(to=target)
    ]
    expected = [(path, path not in left, path not in right) for path in sorted(left | right)]
    if left and right:
        assert pairs == expected
    assert sorted(pairs) == expected


async def test_compare_sorts_long_listings_in_temporary_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sorting, "_RUN", 100)
    monkeypatch.setattr(sorting, "_BLOCK", 7)
    source, target = disks(
        Listed(lambda entries: entries[::-1]), Listed(lambda e: e[1::2] + e[::2])
    )
    for number in range(1000):
        await source.put(f"{number}", b"1")
        await target.put(f"{number + 500}", b"1" if number % 2 else b"22")
    states = await found(source, compare="size")
    assert list(states) == sorted(states)
    signs = "".join(states.values())
    assert [signs.count(sign) for sign in "+-=*"] == [500, 500, 250, 250]


@pytest.mark.parametrize(
    "change",
    [
        lambda entries: entries[::-1],
        lambda entries: [*entries, entries[0]],
        lambda entries: [entries[0], *entries],
    ],
)
@pytest.mark.parametrize("liar", ["source", "target"])
async def test_compare_refuses_listing_that_breaks_its_order(change: Any, liar: str) -> None:
    drivers = {"source": Ordered(), "target": Ordered(), liar: Ordered(change)}
    source, target = disks(drivers["source"], drivers["target"])
    for disk in (source, target):
        for path in ("a", "b", "c"):
            await disk.put(path, b"1")
    with pytest.raises(StorageUnavailableException, match="listing is wrong") as caught:
        await found(source)
    assert caught.value.disk == liar


async def test_compare_refuses_unordered_listing_with_file_twice() -> None:
    source, target = disks(Listed(lambda entries: [*entries, entries[0]]), Listed())
    for disk in (source, target):
        await disk.put("a", b"1")
        await disk.put("b", b"1")
    with pytest.raises(StorageUnavailableException, match="'a' comes after 'a'"):
        await found(source)


async def test_compare_refuses_listing_of_other_directory() -> None:
    source, _ = disks(
        MemoryDriver(), Listed(lambda _: [FileInfo(path="b/1", size=1, last_modified=0)])
    )
    await source.put("a/1", b"1")
    with pytest.raises(StorageUnavailableException, match="it has 'b/1'"):
        await found(source, prefix="a", to="target:a")


async def test_compare_fails_where_listing_fails_half_way() -> None:
    for failing in ("source", "target"):
        drivers = {"source": Listed(), "target": Listed()}
        drivers[failing].failure = StorageTimeoutException("no answer")
        source, _ = disks(drivers["source"], drivers["target"])
        await source.put("a", b"1")
        with pytest.raises(StorageTimeoutException) as caught:
            await found(source)
        assert caught.value.disk == failing


async def test_compare_refuses_missing_source_and_takes_missing_target() -> None:
    source, _ = disks(MemoryDriver(), MemoryDriver())
    await source.put("a/1", b"1")
    with pytest.raises(FileNotFoundException, match="no directory"):
        await found(source, prefix="b")
    assert await found(source, prefix="a", to="target:none") == {"1": "+"}


async def test_compare_auto_takes_checksum_before_time() -> None:
    class Summed(Listed):
        async def stat(self, path: str, /) -> FileInfo:
            info = await super().stat(path)
            info.checksums = {"sha256": sha256(await self.get(path)).hexdigest()}
            return info

    source, target = disks(Summed(), Summed())
    for path, here, there, time in (("a", b"1", b"1", "1"), ("b", b"2", b"3", "2")):
        await source.put(path, here, metadata={"mtime": "2"})
        await target.put(path, there, metadata={"mtime": time})
    assert await found(source) == {"a": "=", "b": "*"}
    assert await found(source, compare="mtime") == {"a": "*", "b": "="}


async def test_compare_auto_takes_kept_time_before_order_of_times() -> None:
    source, target = disks(Listed(), Listed())
    await source.put("same", b"1", metadata={"mtime": "1700000000.123456789"})
    await source.put("other", b"1", metadata={"mtime": "1700000000.123456789"})
    await source.put("rfc", b"1", metadata={"mtime": "1700000000.123456789"})
    await target.put("same", b"2", metadata={"mtime": "1700000000.123456789"})
    await target.put("other", b"1", metadata={"mtime": "1700000000.123458789"})
    await target.put("rfc", b"1", metadata={"mtime": "2023-11-14T22:13:20.123456789Z"})
    assert await found(source) == {"same": "=", "other": "*", "rfc": "="}
    assert await found(source, compare="mtime") == {"same": "=", "other": "*", "rfc": "="}
    assert await found(source, compare="checksum") == {"same": "*", "other": "=", "rfc": "="}
    assert await found(source, compare="size") == {"same": "=", "other": "=", "rfc": "="}


async def test_compare_auto_takes_target_that_is_older_for_different() -> None:
    source, target = disks(Listed(), Listed())
    await target.put("old", b"1")
    await source.put("old", b"1")
    await source.put("new", b"1")
    await target.put("new", b"1")
    assert await found(source) == {"new": "=", "old": "*"}


async def test_compare_takes_time_of_source_for_copy_that_keeps_it() -> None:
    source, target = disks(Listed(), Listed())
    await source.put("a", b"1")
    text = mtime_text(await source.stat("a"))
    await target.put("a", b"1", metadata={"mtime": text})
    await source.put("b", b"1")
    await target.put("b", b"1", metadata={"mtime": "1.5"})
    assert await found(source, compare="mtime") == {"a": "=", "b": "*"}


async def test_compare_trusts_no_whole_second_that_many_files_are_written_in() -> None:
    def in_one_second(entries: list[Entry]) -> list[Entry]:
        for entry in entries:
            if isinstance(entry, FileInfo):
                entry.last_modified = 1_700_000_000.0
        return entries

    source, target = disks(Listed(in_one_second), Listed(in_one_second))
    await source.put("changed", b"1", metadata={"mtime": "1000000000.5"})
    await target.put("changed", b"2", metadata={"mtime": "1000000777.5"})
    await source.put("same", b"1", metadata={"mtime": "1000000000.5"})
    await target.put("same", b"1", metadata={"mtime": "1000000000.5"})
    assert await found(source) == {"changed": "*", "same": "="}


async def test_compare_requests_only_what_listings_do_not_decide() -> None:
    drivers = Listed(), Listed()
    source, target = disks(*drivers)
    await source.put("only", b"1")
    await source.put("size", b"1")
    await target.put("size", b"12")
    await source.put("time", b"1")
    await target.put("time", b"1", metadata={"mtime": mtime_text(await source.stat("time"))})
    drivers[0].stats.clear()
    assert await found(source) == {"only": "+", "size": "*", "time": "="}
    assert [driver.stats for driver in drivers] == [[], ["time"]]


async def test_compare_asks_driver_without_checksums_for_none(tmp_path: Path) -> None:
    class Summed(MemoryDriver):
        async def stat(self, path: str, /) -> FileInfo:
            info = await super().stat(path)
            info.checksums = {"sha256": sha256(await self.get(path)).hexdigest()}
            return info

    class Counting(LocalDriver):
        stats = 0

        async def stat(self, path: str, /) -> FileInfo:
            self.stats += 1
            return await super().stat(path)

    counting = Counting(tmp_path)
    source, target = disks(counting, Summed())
    await source.put("a", b"1")
    await source.copy_directory("", "", to=target)
    for asked in (source, source.read_only()):
        counting.stats = 0
        assert await found(asked) == {"a": "="}
        assert counting.stats == 0
    await target.put("a", b"2", metadata=(await target.stat("a")).metadata)
    assert await found(source) == {"a": "="}
    assert await found(source, compare="checksum") == {"a": "*"}


async def test_compare_reports_file_that_cannot_be_looked_at() -> None:
    class Failing(Listed):
        async def stat(self, path: str, /) -> FileInfo:
            raise TimeoutError(path)

    source, target = disks(Listed(), Failing())
    for disk in (source, target):
        await disk.put("a", b"1")
    (difference,) = [each async for each in source.compare(to=target)]
    assert difference.state is State.ERROR
    assert isinstance(difference.error, StorageTimeoutException)
    assert difference.error.disk == "target"


async def test_compare_where_is_asked_of_source_before_target() -> None:
    source, target = disks(MemoryDriver(), MemoryDriver())
    for path, here, there in (("a", b"1", b"333"), ("b", b"333", b"1")):
        await source.put(path, here)
        await target.put(path, there)
    await target.put("c", b"333")
    await target.put("d", b"1")
    assert await found(source, where=lambda info: info.size < 3) == {"a": "*", "d": "-"}


async def test_compare_left_early_stops_its_requests() -> None:
    source, target = disks(Listed(), Listed())
    for disk in (source, target):
        for number in range(200):
            await disk.put(f"{number:03}", b"1")
    async for difference in source.compare(to=target):
        assert difference.path == "000"
        break


async def test_compare_names_tmpdir_where_it_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sorting, "_RUN", 10)
    monkeypatch.setattr("tempfile.SpooledTemporaryFile.write", full)
    source, target = disks(Listed(), Listed())
    for number in range(30):
        await source.put(f"{number}", b"1")
        await target.put(f"{number}", b"1")
    with pytest.raises(StorageFullException, match="TMPDIR"):
        await found(source)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"compare": "etag"}, ValueError),
        ({"include": "*.html"}, TypeError),
        ({"exclude": ["]"]}, ValueError),
        ({"to": 1}, TypeError),
        ({"to": "target:../a"}, InvalidPathException),
        ({"prefix": "../a"}, InvalidPathException),
    ],
)
def test_compare_refuses_wrong_arguments_at_once(arguments: Any, error: type[Exception]) -> None:
    source, _ = disks(MemoryDriver(), MemoryDriver())
    with pytest.raises(error):
        source.compare(**{"to": "target", **arguments})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1700000000", 1_700_000_000_000_000_000),
        ("1700000000.5", 1_700_000_000_500_000_000),
        ("1700000000.1234567891", 1_700_000_000_123_456_789),
        ("-1.5", -1_500_000_000),
        ("2023-11-14T22:13:20Z", 1_700_000_000_000_000_000),
        ("2023-11-14T23:13:20.25+01:00", 1_700_000_000_250_000_000),
        ("2023-02-30T23:13:20Z", None),
        ("yesterday", None),
        ("", None),
        ("1e9", None),
        ("٣", None),
    ],
)
def test_kept_time_reads_both_forms_of_rclone(text: str, expected: int | None) -> None:
    info = FileInfo(path="a", size=1, last_modified=1.0, metadata={"mtime": text})
    assert kept_time(info) == expected


@settings(max_examples=50)
@given(st.integers(-(10**18), 4 * 10**18))
def test_mtime_text_keeps_each_nanosecond(since: int) -> None:
    sign, digits = "-" if since < 0 else "", f"{abs(since):010}"
    info = FileInfo(path="a", size=1, last_modified=1.0)
    info.metadata = {"mtime": f"{sign}{digits[:-9]}.{digits[-9:]}"}
    again = FileInfo(path="a", size=1, last_modified=2.0, metadata={"mtime": mtime_text(info)})
    assert kept_time(again) == since
