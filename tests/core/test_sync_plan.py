"""Plans of a synchronization: what they hold, how they are run, what they refuse."""

from __future__ import annotations

import asyncio
import gc
import os
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage import StorageManager
from jtc.storage._transfers import left_out, plan_file, records
from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.exceptions import (
    FileExistsException,
    FileNotFoundException,
    InvalidPathException,
    PreconditionFailedException,
    ReadOnlyException,
    RejectedException,
    StorageException,
    StorageFullException,
    StoragePermissionException,
    StorageTimeoutException,
    TransferException,
    UnsupportedOperationException,
)
from jtc.storage.sync_plan import PlanCounts, State
from jtc.storage.transfers import Action, TransferProgress

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from jtc.storage import Disk
    from jtc.storage.driver import DriverContent
    from jtc.storage.models import Entry
    from jtc.storage.options import ListOptions, WriteOptions


class Store:
    """Two disks, a third one for backups, and all their files."""

    def __init__(self, source: Any = None, target: Any = None) -> None:
        self.manager = StorageManager.isolated()
        self.manager.set_driver(source or MemoryDriver(), "source")
        self.manager.set_driver(target or MemoryDriver(), "target")
        self.manager.set_driver(MemoryDriver(), "kept")
        self.source = self.manager.disk("source")
        self.target = self.manager.disk("target")
        self.kept = self.manager.disk("kept")

    async def fill(self, source: dict[str, bytes], target: dict[str, bytes]) -> None:
        for disk, files in ((self.target, target), (self.source, source)):
            for path, content in files.items():
                await disk.put(path, content)

    async def sync(self, **options: Any) -> dict[str, StorageException | None]:
        """Return the errors of a plan's run by the paths of the results."""
        async with await self.source.plan_sync(**{"to": "target", **options}) as plan:
            return {result.path: result.error async for result in plan.run()}


async def files(disk: Disk) -> dict[str, bytes]:
    return {path: await disk.get(path) for path in await disk.all_files()}


@pytest.fixture
def store() -> Store:
    return Store()


async def test_plan_sync_counts_and_lists_what_run_does(store: Store) -> None:
    await store.fill(
        {"site/a": b"1", "site/b/c": b"22", "site/same": b"0", "other": b"9"},
        {"www/a": b"333", "www/same": b"0", "www/z/old": b"7", "stays": b"8"},
    )
    await store.source.delete("site/same")
    await store.source.copy("other", "site/same")
    await store.target.put("www/same", b"9")
    plan = await store.source.plan_sync("site", to="target:www", delete=True)
    assert plan.counts == PlanCounts(new=1, changed=1, unchanged=1, deleted=1, bytes=3)
    listed = [(each.action, each.path, each.size, each.replaces) async for each in plan]
    assert listed == [
        (Action.COPY, "a", 1, True),
        (Action.COPY, "b/c", 2, False),
        (Action.DELETE, "z/old", 1, False),
    ]
    assert "'source:site' to 'target:www'" in repr(plan)
    results = [(each.action, each.path, each.to_path, each.size) async for each in plan.run()]
    assert sorted(results[:2]) == [
        (Action.COPY, "site/a", "www/a", 1),
        (Action.COPY, "site/b/c", "www/b/c", 2),
    ]
    assert results[2:] == [(Action.DELETE, "www/z/old", None, 1)]
    assert await files(store.target) == {
        "www/a": b"1",
        "www/b/c": b"22",
        "www/same": b"9",
        "stays": b"8",
    }


async def test_plan_sync_finds_nothing_after_run(store: Store, tmp_path: Path) -> None:
    store = Store(LocalDriver(tmp_path / "one"), LocalDriver(tmp_path / "two"))
    await store.fill({f"{number % 7}/{number}": b"x" * number for number in range(50)}, {})
    await (await store.source.plan_sync(to="target")).run()
    plan = await store.source.plan_sync(to="target", compare="mtime", delete=True)
    assert plan.counts == PlanCounts(unchanged=50)
    assert await files(store.source) == await files(store.target)
    info = await store.target.stat("1/1")
    modified = (await store.source.stat("1/1")).last_modified
    assert float(info.metadata["mtime"]) == pytest.approx(modified, abs=1e-6)


async def test_run_never_deletes_what_is_excluded(store: Store) -> None:
    await store.fill({"a.html": b"1"}, {"b.html": b"1", ".git/c.html": b"1", "d.txt": b"1"})
    await store.sync(include=["*.html"], exclude=[".git/**"], delete=True)
    assert sorted(await files(store.target)) == [".git/c.html", "a.html", "d.txt"]


async def test_plan_sync_where_excludes_by_metadata(store: Store) -> None:
    await store.fill({"small": b"1", "large": b"1" * 9}, {"old": b"1" * 9})
    await store.sync(where=lambda info: info.size < 5, delete=True)
    assert sorted(await files(store.target)) == ["old", "small"]


async def test_plan_sync_max_delete_refuses_before_anything_is_done(store: Store) -> None:
    await store.fill({"a": b"1"}, {"x": b"1", "y": b"1", "z": b"1"})
    with pytest.raises(RejectedException, match=r"3 files .* max_delete permits 2") as caught:
        await store.source.plan_sync(to="target", delete=True, max_delete=2)
    assert caught.value.reason == "max_delete"
    assert sorted(await files(store.target)) == ["x", "y", "z"]
    await store.sync(delete=True, max_delete=3)
    assert await files(store.target) == {"a": b"1"}


async def test_plan_sync_of_empty_source_deletes_only_by_max_delete(store: Store) -> None:
    await store.fill({"other/a": b"1"}, {"www/x": b"1"})
    with pytest.raises(FileNotFoundException, match="no directory"):
        await store.source.plan_sync("sit", to="target:www", delete=True)
    await store.source.delete("other/a")
    with pytest.raises(RejectedException, match="say it by max_delete"):
        await store.source.plan_sync(to="target:www", delete=True)
    assert await files(store.target) == {"www/x": b"1"}
    await store.sync(to="target:www", delete=True, max_delete=1)
    assert await files(store.target) == {}


@pytest.mark.parametrize(
    ("prefix", "to", "backup"),
    [
        ("a", "source:a", None),
        ("a", "source:a/b", None),
        ("a/b", "source:a", None),
        ("", "source:a", None),
        ("a", "source", None),
        ("a", "again:a/b", None),
        ("a", "view:b", None),
        ("a", "target", "target:old"),
        ("a", "target:new", "target"),
        ("a", "target", "source:a"),
    ],
)
async def test_plan_sync_refuses_directories_that_overlap(
    tmp_path: Path, prefix: str, to: str, backup: str | None
) -> None:
    store = Store(LocalDriver(tmp_path / "one"))
    store.manager.set_driver(LocalDriver(tmp_path / "one"), "again")
    await store.source.put("a/b/c", b"1")
    options: Any = {"to": to}
    if to == "view:b":
        options["to"] = store.source.scoped("a/b")
    with pytest.raises(InvalidPathException, match="within the other"):
        await store.source.plan_sync(prefix, backup=backup, **options)


async def test_plan_sync_takes_directories_whose_names_begin_alike(store: Store) -> None:
    await store.fill({"a/1": b"1"}, {})
    await store.sync(prefix="a", to="source:ab")
    assert sorted(await files(store.source)) == ["a/1", "ab/1"]


async def test_run_copies_within_a_disk_by_its_backend(store: Store) -> None:
    class Copying(MemoryDriver):
        copies = 0

        async def copy_file(self, src: str, dst: str, options: WriteOptions, /) -> str | None:
            self.copies += 1
            return await super().copy_file(src, dst, options)

    driver = Copying()
    store = Store(driver)
    await store.fill({"a/1": b"1", "a/2": b"2"}, {})
    await store.sync(prefix="a", to="source:b")
    assert driver.copies == 2
    assert (await files(store.source))["b/2"] == b"2"


async def test_plan_sync_existing_keep_replaces_nothing(store: Store) -> None:
    await store.fill({"a": b"new", "b": b"1"}, {"a": b"old!"})
    await store.sync(existing="keep")
    assert await files(store.target) == {"a": b"old!", "b": b"1"}


async def test_plan_sync_existing_refuse_has_an_error_for_each(store: Store) -> None:
    await store.fill({"a": b"new", "b": b"1"}, {"a": b"old!", "c": b"1"})
    plan = await store.source.plan_sync(to="target", existing="refuse", delete=True)
    assert plan.counts == PlanCounts(new=1, deleted=1, bytes=1, failed=1)
    errors = {result.path: result.error async for result in plan.run()}
    assert isinstance(errors["a"], FileExistsException)
    assert "1 files could not be copied" in str(errors["c"])
    assert await files(store.target) == {"a": b"old!", "b": b"1", "c": b"1"}


async def test_run_keeps_what_it_replaces_and_deletes_in_backup(store: Store) -> None:
    await store.fill({"d/a": b"new"}, {"d/a": b"old!", "d/b": b"gone"})
    await store.sync(delete=True, backup="kept:yesterday")
    assert await files(store.target) == {"d/a": b"new"}
    assert await files(store.kept) == {"yesterday/d/a": b"old!", "yesterday/d/b": b"gone"}


async def test_run_leaves_file_whose_backup_fails(store: Store) -> None:
    await store.fill({"a": b"new"}, {"a": b"old!", "b": b"gone"})
    errors = await store.sync(delete=True, backup=store.kept.read_only())
    assert isinstance(errors["a"], ReadOnlyException)
    assert await files(store.target) == {"a": b"old!", "b": b"gone"}


class Failing(MemoryDriver):
    """A target that refuses some paths."""

    async def write_file(
        self, path: str, content: DriverContent, options: WriteOptions, /
    ) -> str | None:
        if "bad" in path:
            raise TimeoutError(path)
        return await super().write_file(path, content, options)


async def test_run_deletes_nothing_where_a_copy_failed() -> None:
    store = Store(target=Failing())
    await store.fill({"bad": b"1", "good": b"1"}, {"old": b"1"})
    errors = await store.sync(delete=True)
    assert isinstance(errors["bad"], StorageTimeoutException)
    assert errors["good"] is None
    assert "not deleted, since 1 files" in str(errors["old"])
    assert sorted(await files(store.target)) == ["good", "old"]
    plan = await store.source.plan_sync(to="target", delete=True)
    with pytest.raises(TransferException, match="2 of 2 files failed") as caught:
        await plan.run()
    assert caught.value.summary is not None
    assert caught.value.summary.failed == 2


async def test_plan_sync_fails_as_a_whole_where_a_listing_fails() -> None:
    class Broken(MemoryDriver):
        lists_in_key_order = False

        async def list_entries(self, prefix: str, options: ListOptions, /) -> AsyncIterator[Entry]:
            async for entry in super().list_entries(prefix, options):
                yield entry
                raise TimeoutError("no answer")

    for drivers in ({"source": Broken()}, {"target": Broken()}):
        store = Store(**drivers)
        await store.fill({"a": b"1", "b": b"1"}, {"x": b"1", "y": b"1"})
        with pytest.raises(StorageTimeoutException):
            await store.source.plan_sync(to="target", delete=True)


class Closed(MemoryDriver):
    """A source whose directories of the name ``closed`` may not be read."""

    supported_options = {  # noqa: RUF012
        **MemoryDriver.supported_options,
        "list_entries": frozenset({"directories", "itself", "left_out"}),
    }

    async def list_entries(self, prefix: str, options: ListOptions, /) -> AsyncIterator[Entry]:
        closed = ""
        async for entry in super().list_entries(prefix, options):
            directory, slash, _ = entry.path.partition("closed/")
            if not slash:
                yield entry
            elif closed != (closed := f"{directory}closed/"):
                error = StoragePermissionException("It may not be read", path=closed[:-1])
                assert options.left_out is not None
                for _ in range(2):  # as a layer that resumes the listing
                    options.left_out(closed, error)


async def test_plan_sync_without_whole_listing_has_no_deletions() -> None:
    store = Store(Closed())
    await store.fill(
        {"site/a": b"1", "site/closed/b": b"1", "site/z": b"1"},
        {"www/a-old": b"1", "www/closed/b": b"1", "www/z-old": b"1", "www/z": b"22"},
    )
    for source, prefix in ((store.source, "site"), (store.source.scoped("site"), "")):
        plan = await source.plan_sync(prefix, to="target:www", delete=True, max_delete=0)
        assert plan.counts == PlanCounts(new=1, changed=1, bytes=2, failed=1)
        assert not plan.is_complete
        assert {each.action async for each in plan} == {Action.COPY}
        (failed,) = [each async for each in plan.failures()]
        at = f"{prefix}/closed".lstrip("/")
        assert (failed.path, failed.to_path, failed.is_directory) == (at, "www/closed", True)
        assert isinstance(failed.error, StoragePermissionException)
        assert (failed.error.path, failed.error.disk) == (at, "source")
        assert failed.error.operation == "list"
        await plan.aclose()
    with pytest.raises(TransferException, match="1 of 3 files failed"):
        await (await store.source.plan_sync("site", to="target:www", delete=True)).run()
    stays = {"www/a-old": b"1", "www/closed/b": b"1", "www/z-old": b"1"}
    assert await files(store.target) == {**stays, "www/a": b"1", "www/z": b"1"}


@pytest.mark.parametrize(
    ("patterns", "is_complete"),
    [
        ({"exclude": ["/closed/**"]}, True),
        ({"exclude": ["closed/"]}, True),
        ({"exclude": ["**"]}, True),
        ({"exclude": ["/closed/*"]}, False),
        ({"exclude": ["*-", "b", "?", "*.html"]}, False),
        ({"exclude": ["/other/**"]}, False),
        ({"include": ["*.html"]}, False),
    ],
)
async def test_plan_sync_ignores_directory_of_which_all_is_excluded(
    patterns: dict[str, list[str]], is_complete: bool
) -> None:
    store = Store(Closed())
    await store.fill({"a": b"1", "closed/b": b"1"}, {})
    async with await store.source.plan_sync(to="target", delete=True, **patterns) as plan:
        assert plan.is_complete is is_complete
        assert plan.counts.failed == (not is_complete)


async def test_plan_sync_names_few_of_very_many_that_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(left_out, "_MOST", 3)
    store = Store(Closed())
    await store.fill({f"{number}/closed/a": b"1" for number in range(8)}, {"old": b"1"})
    plan = await store.source.plan_sync(to="target", delete=True)
    assert plan.counts == PlanCounts(failed=4)
    messages = [each.error.message async for each in plan.failures() if each.error]
    # Each is reported twice, and of those that are not named that is not known.
    assert messages[3].startswith("10 more names are left out")


async def test_compare_says_nothing_of_files_in_what_is_left_out() -> None:
    store = Store(Closed(), Closed())
    await store.fill({"a/closed/1": b"1", "b": b"1"}, {"a/closed/1": b"1", "a/closed/2": b"1"})
    states = {each.path: each.state async for each in store.source.compare(to="target")}
    assert states == {"a/closed/": State.ERROR, "b": State.ONLY_SOURCE}


async def test_drivers_without_the_option_are_not_asked_what_they_leave_out(store: Store) -> None:
    class Older(MemoryDriver):
        async def list_entries(self, prefix: str, options: ListOptions, /) -> AsyncIterator[Entry]:
            assert options.left_out is None
            async for entry in super().list_entries(prefix, options):
                yield entry

    store = Store(Older())
    await store.fill({"a": b"1"}, {"old": b"1"})
    assert await store.sync(delete=True) == {"a": None, "old": None}


async def test_run_cancels_deletions_where_a_file_could_not_be_compared() -> None:
    class Unseen(MemoryDriver):
        async def stat(self, path: str, /) -> Any:
            raise PermissionError(path)

    store = Store(target=Unseen())
    await store.fill({"a": b"1"}, {"a": b"1", "old": b"1"})
    plan = await store.source.plan_sync(to="target", delete=True, compare="mtime")
    assert plan.counts == PlanCounts(failed=1, deleted=1)
    errors = {result.path: result.error async for result in plan.run()}
    assert isinstance(errors["a"], PermissionError)
    assert errors["old"] is not None
    assert sorted(await files(store.target)) == ["a", "old"]


async def test_run_refuses_source_that_changed_after_the_plan(store: Store) -> None:
    await store.fill({"a": b"planned", "b": b"1"}, {})
    plan = await store.source.plan_sync(to="target")
    await store.source.put("a", b"changed")
    errors = {result.path: result.error async for result in plan.run()}
    assert isinstance(errors["a"], PreconditionFailedException)
    assert "source's file was changed" in str(errors["a"])
    assert await files(store.target) == {"b": b"1"}


async def test_run_refuses_source_that_changed_where_there_are_no_etags() -> None:
    class Plain(MemoryDriver):
        unsupported = frozenset({"reading", "stat"})

    store = Store(source=Plain())
    await store.fill({"a": b"planned", "b": b"1"}, {})
    plan = await store.source.plan_sync(to="target")
    await store.source.put("a", b"changed and longer")
    errors = {result.path: result.error async for result in plan.run()}
    assert isinstance(errors["a"], PreconditionFailedException)
    assert await files(store.target) == {"b": b"1"}


async def test_run_reports_source_that_is_gone(store: Store) -> None:
    await store.fill({"a": b"1"}, {"old": b"1"})
    plan = await store.source.plan_sync(to="target", delete=True)
    await store.source.delete("a")
    errors = {result.path: result.error async for result in plan.run()}
    assert isinstance(errors["a"], FileNotFoundException)
    assert sorted(await files(store.target)) == ["old"]


async def test_run_replaces_no_target_that_changed_after_the_plan(store: Store) -> None:
    await store.fill({"new": b"1", "old": b"1", "gone": b"1"}, {"old": b"planned", "gone": b"22"})
    plan = await store.source.plan_sync(to="target")
    await store.target.put("new", b"of another program")
    await store.target.put("old", b"of another program")
    await store.target.delete("gone")
    errors = {result.path: result.error async for result in plan.run()}
    assert isinstance(errors["new"], FileExistsException)
    assert "target's file was changed" in str(errors["old"])
    assert errors["gone"] is None
    assert await files(store.target) == {
        "new": b"of another program",
        "old": b"of another program",
        "gone": b"1",
    }


async def test_run_skips_files_that_another_run_copied_meanwhile(store: Store) -> None:
    await store.fill({"new": b"1", "old": b"1"}, {"old": b"planned", "gone": b"1"})
    plan = await store.source.plan_sync(to="target", delete=True)
    await store.sync()
    results = {result.path: result.action async for result in plan.run()}
    assert results == {"new": Action.SKIP, "old": Action.SKIP, "gone": Action.DELETE}
    assert await files(store.target) == {"new": b"1", "old": b"1"}


async def test_run_copies_to_target_that_supports_no_options() -> None:
    class Plain(MemoryDriver):
        unsupported = frozenset({"writing", "stat", "reading", "copy", "move"})

    store = Store(target=Plain())
    await store.fill({"a": b"1"}, {})
    assert await store.sync() == {"a": None}
    assert await files(store.target) == {"a": b"1"}


async def test_run_copies_without_time_where_target_keeps_no_metadata() -> None:
    class WithoutAttributes(MemoryDriver):
        async def write_file(
            self, path: str, content: DriverContent, options: WriteOptions, /
        ) -> str | None:
            if options.metadata:
                raise UnsupportedOperationException("no attributes")
            return await super().write_file(path, content, options)

    store = Store(target=WithoutAttributes())
    await store.fill({"a": b"1", "b": b"2"}, {})
    assert await store.sync() == {"a": None, "b": None}
    assert (await store.source.plan_sync(to="target")).counts == PlanCounts(unchanged=2)


async def test_run_refuses_one_of_two_names_that_differ_in_case() -> None:
    class OneCase(MemoryDriver):
        async def write_file(
            self, path: str, content: DriverContent, options: WriteOptions, /
        ) -> str | None:
            return await super().write_file(path.lower(), content, options)

    store = Store(target=OneCase())
    await store.fill({"A": b"1", "a": b"2"}, {})
    errors = await store.sync()
    assert sorted(map(type, errors.values()), key=str) == [type(None), FileExistsException]


async def test_run_reports_conflict_of_file_and_directory(tmp_path: Path) -> None:
    store = Store(target=LocalDriver(tmp_path))
    await store.fill({"a/b": b"1", "c": b"1", "d": b"1"}, {"a": b"1", "c/d": b"1"})
    errors = await store.sync(delete=True)
    assert {path for path, error in errors.items() if error is None} == {"d"}
    assert sorted(await files(store.target)) == ["a", "c/d", "d"]


async def test_run_keeps_both_forms_of_a_name(store: Store) -> None:
    await store.fill({"caf\u00e9": b"1", "cafe\u0301": b"2"}, {})
    await store.sync(delete=True)
    assert await files(store.target) == {"caf\u00e9": b"1", "cafe\u0301": b"2"}


async def test_run_is_refused_a_second_time_and_after_close(store: Store) -> None:
    await store.fill({"a": b"1"}, {})
    plan = await store.source.plan_sync(to="target")
    await plan.run()
    with pytest.raises(RuntimeError, match="run already"):
        plan.run()
    assert [each.path async for each in plan] == ["a"]
    await plan.aclose()
    await plan.aclose()
    with pytest.raises(RuntimeError, match="closed"):
        plan.run()
    with pytest.raises(RuntimeError, match="closed"):
        aiter(plan)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"concurrency": 0}, ValueError),
        ({"concurrency": "4"}, TypeError),
        ({"max_rate": 0}, ValueError),
        ({"max_rate": True}, TypeError),
        ({"progress": 1}, TypeError),
    ],
)
async def test_run_refuses_wrong_arguments_and_may_be_called_again(
    store: Store, options: Any, error: type[Exception]
) -> None:
    await store.fill({"a": b"1"}, {})
    plan = await store.source.plan_sync(to="target")
    with pytest.raises(error):
        plan.run(**options)
    await plan.run()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"existing": "overwrite"}, ValueError),
        ({"max_delete": "1"}, TypeError),
        ({"max_delete": True}, TypeError),
        ({"where": 1}, TypeError),
        ({"compare": "etag"}, ValueError),
        ({"include": ["["]}, ValueError),
        ({"to": 1}, TypeError),
        ({"backup": 1}, TypeError),
    ],
)
async def test_plan_sync_refuses_wrong_arguments(
    store: Store, options: Any, error: type[Exception]
) -> None:
    with pytest.raises(error) as caught:
        await store.sync(**options)
    assert str(caught.value)


async def test_run_reports_progress_in_files_and_bytes(store: Store) -> None:
    await store.fill({"a": b"1" * 100, "b": b"1" * 50}, {"old": b"1"})
    seen: list[TransferProgress] = []
    plan = await store.source.plan_sync(to="target", delete=True)
    await plan.run(progress=seen.append)
    last = seen[-1]
    assert (last.files, last.bytes, last.total_files, last.total_bytes) == (3, 150, 3, 150)
    assert all(one.bytes <= other.bytes for one, other in pairwise(seen))


async def test_run_max_rate_waits_for_bytes_of_all_files_together(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    await store.fill({f"{number}": b"1" * 100_000 for number in range(4)}, {})
    plan = await store.source.plan_sync(to="target")
    monkeypatch.setattr("jtc.storage._transfers.rate_limit.asyncio.sleep", sleep)
    await plan.run(max_rate=100_000)
    # The last piece passes after all those before it; the clock hardly advances meanwhile.
    assert max(waited) == pytest.approx(4 - 16_384 / 100_000, abs=0.5)
    assert len(await files(store.target)) == 4


async def test_plan_is_spooled_to_temporary_file(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "_MEMORY", 1000)
    monkeypatch.setattr(plan_file, "_BLOCK", 10)
    old = {f"old/{number:03}": b"1" for number in range(95)}
    await store.fill({f"new/{number:03}": b"1" for number in range(95)}, old)
    plan = await store.source.plan_sync(to="target", delete=True)
    listed = [each.path async for each in plan]
    assert listed == [f"{kind}/{number:03}" for kind in ("new", "old") for number in range(95)]
    summary = await plan.run()
    assert (summary.files, summary.deleted) == (95, 95)
    assert len(await store.target.all_files()) == 95
    del plan
    gc.collect()  # a temporary file that is left open would be a warning


async def test_plan_sync_names_tmpdir_where_it_is_full(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(plan_file, "_BLOCK", 2)
    monkeypatch.setattr("tempfile.SpooledTemporaryFile.write", full)
    await store.fill({f"{number}": b"1" for number in range(5)}, {})
    with pytest.raises(StorageFullException, match="TMPDIR") as caught:
        await store.source.plan_sync(to="target")
    assert caught.value.operation == "plan_sync"


@pytest.mark.parametrize(("concurrency", "most"), [(1, 1), (8, 2), (9, 2)])
async def test_run_copies_some_large_files_while_there_are_small_ones(
    monkeypatch: pytest.MonkeyPatch, concurrency: int, most: int
) -> None:
    class Watched(MemoryDriver):
        async def write_file(
            self, path: str, content: DriverContent, options: WriteOptions, /
        ) -> str | None:
            is_large = path.startswith("large")
            under_way[is_large] += 1
            seen.append((path, under_way[True]))
            assert sum(under_way) <= concurrency
            # A large file takes as long as some small ones.
            for _ in range(20 if is_large else 4):
                await asyncio.sleep(0)
            under_way[is_large] -= 1
            return await super().write_file(path, content, options)

    monkeypatch.setattr(plan_file, "_LARGE", 100)
    under_way, seen = [0, 0], list[tuple[str, int]]()
    store = Store(target=Watched())
    source = {f"a/{number:03}": b"1" * 99 for number in range(95)}
    source |= {f"large/{number}": b"1" * 100 for number in range(25)}
    await store.fill(source, {})
    plan = await store.source.plan_sync(to="target")
    assert [each.path async for each in plan] == sorted(source)
    summary = await plan.run(concurrency=concurrency)
    assert (summary.files, summary.bytes) == (120, 95 * 99 + 25 * 100)
    assert await files(store.target) == source
    last_small = max(at for at, (path, _) in enumerate(seen) if path.startswith("a/"))
    assert seen[0][0] == "large/0"
    assert max(large for _, large in seen[: last_small - concurrency]) == most
    assert max(large for _, large in seen) > concurrency // 2


async def test_run_left_early_leaves_whole_files_and_no_deletions(store: Store) -> None:
    await store.fill({f"{number:02}": b"1" * 1000 for number in range(50)}, {"old": b"1"})
    plan = await store.source.plan_sync(to="target", delete=True)
    async with plan.run(concurrency=4) as run:
        async for _ in run:
            break
    found = await files(store.target)
    assert found.pop("old") == b"1"
    assert 1 <= len(found) < 50
    assert set(found.values()) == {b"1" * 1000}


async def test_plan_sync_can_be_cancelled() -> None:
    class Endless(MemoryDriver):
        async def list_entries(self, prefix: str, options: ListOptions, /) -> AsyncIterator[Entry]:
            async for entry in super().list_entries(prefix, options):
                yield entry
            await asyncio.Event().wait()

    store = Store(source=Endless())
    await store.fill({"a": b"1"}, {})
    planning = asyncio.create_task(store.source.plan_sync(to="target"))
    await asyncio.sleep(0.01)
    planning.cancel()
    with pytest.raises(asyncio.CancelledError):
        await planning


def test_plan_is_run_in_another_event_loop() -> None:
    store = Store()

    async def plan() -> Any:
        await store.fill({"a": b"1"}, {"old": b"1"})
        return await store.source.plan_sync(to="target", delete=True)

    made = asyncio.run(plan())
    summary = asyncio.run(_run(made))
    assert (summary.files, summary.deleted) == (1, 1)


async def _run(plan: Any) -> Any:
    return await plan.run()


async def test_run_is_refused_by_read_only_target_for_each_file(store: Store) -> None:
    await store.fill({"a": b"1"}, {})
    plan = await store.source.plan_sync(to=store.target.read_only())
    errors = [result.error async for result in plan.run()]
    assert [type(error) for error in errors] == [ReadOnlyException]


def test_sync_api_plans_and_runs() -> None:
    store = Store()
    source, target = store.source.sync, store.target.sync
    source.put("site/a", b"1")
    target.put("www/old", b"1")
    states = {each.path: each.state.value for each in source.compare("site", to="target:www")}
    assert states == {"a": "+", "old": "-"}
    with source.plan_sync("site", to=target.scoped("www"), delete=True) as plan:
        assert plan.counts == PlanCounts(new=1, deleted=1, bytes=1)
        assert [each.path for each in plan] == ["a", "old"]
        assert [result.error for result in plan.run()] == [None, None]
    assert target.all_files() == ["www/a"]
    with source.plan_sync("site", to="target:new") as plan:
        assert plan.run().wait().files == 1
    with pytest.raises(RuntimeError, match="closed"):
        plan.run()


async def test_run_gives_its_options_to_the_files_that_are_copied(store: Store) -> None:
    await store.fill({"a": b"new", "b": b"b"}, {"a": b"old!"})
    plan = await store.source.plan_sync(to="target")
    results = {each.path: each async for each in plan.run(cache_control="no-cache")}
    assert {path: each.replaces for path, each in results.items()} == {"a": True, "b": False}
    for path in ("a", "b"):
        assert (await store.target.stat(path)).cache_control == "no-cache"


async def test_run_refuses_an_unknown_option_before_it_begins(store: Store) -> None:
    await store.fill({"a": b"new"}, {})
    plan = await store.source.plan_sync(to="target")
    with pytest.raises(TypeError, match=r"run\(\) has no option 'cache_controll'"):
        plan.run(cache_controll="no-cache")  # type: ignore[call-arg]
    assert (await plan.run()).files == 1


async def test_plan_sync_sees_file_that_an_older_one_replaced(tmp_path: Path) -> None:
    store = Store(LocalDriver(tmp_path / "one"), LocalDriver(tmp_path / "two"))
    await store.fill({"a": b"new", "b": b"1"}, {})
    await store.sync()
    (tmp_path / "one" / "a").write_bytes(b"old")
    os.utime(tmp_path / "one" / "a", (1_600_000_000, 1_600_000_000))
    plan = await store.source.plan_sync(to="target")
    assert plan.counts == PlanCounts(changed=1, unchanged=1, bytes=3)
    await plan.run()
    assert await files(store.target) == {"a": b"old", "b": b"1"}


@pytest.mark.parametrize("edited", ["source", "target"])
async def test_plan_sync_finds_file_that_was_edited_in_place(tmp_path: Path, edited: str) -> None:
    store = Store(LocalDriver(tmp_path / "source"), LocalDriver(tmp_path / "target"))
    await store.kept.put("a", b"content")
    await store.kept.copy_directory("", "", to="source")  # keeps the time of the first
    await store.sync()
    plan = await store.source.plan_sync(to="target")
    assert plan.counts.unchanged == 1
    await plan.aclose()
    with (tmp_path / edited / "a").open("r+b") as file:
        file.write(b"CONTENT")
    await store.sync()
    expected = b"CONTENT" if edited == "source" else b"content"
    assert await files(store.target) == {"a": expected}
    plan = await store.source.plan_sync(to="target")
    assert plan.counts.unchanged == 1
    await plan.aclose()
