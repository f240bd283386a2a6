"""File systems that lack something: what is done in another way there, and what is refused.

FAT and a case-insensitive NTFS are real ones, mounted by FUSE drivers, since a kernel may come
without its own; what else a file system may lack is taken away by strace.
"""

from __future__ import annotations

import itertools
import shutil
from typing import TYPE_CHECKING

import pytest

from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.exceptions import (
    FileExistsException,
    FileNotFoundException,
    PreconditionFailedException,
    UnsupportedOperationException,
)
from jtc.storage.models import Visibility
from jtc.storage.options import ListOptions, WriteOptions
from jtc.storage.testing import DriverConformance
from local_ways import names_in, temporaries_below
from mounts import mounted
from victim import Victim, missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_numbers = itertools.count()


@pytest.fixture(scope="module")
def fat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A FAT file system: no links, no attributes, no permissions, `A` is `a`."""
    yield from mounted("FAT", tmp_path_factory.mktemp("fat"))


@pytest.fixture(scope="module")
def ntfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An NTFS that takes `A` for `a`, lists names in lower case and keeps no permissions."""
    yield from mounted("NTFS", tmp_path_factory.mktemp("ntfs"))


def new_driver(place: Path) -> LocalDriver:
    return LocalDriver(place / f"root{next(_numbers)}")


async def check_files(driver: LocalDriver) -> None:
    """Whole files, conditions, copies and moves, which every file system allows."""
    await driver.put("d/file", b"old")
    await driver.put("d/file", b"new content")
    assert await driver.get("d/file") == b"new content"
    create = WriteOptions(overwrite=False)
    await driver.write_file("d/created", b"1", create)
    with pytest.raises(FileExistsException):
        await driver.write_file("d/created", b"2", create)
    assert await driver.get("d/created") == b"1"
    etag = (await driver.stat("d/file")).etag
    await driver.write_file("d/file", b"second", WriteOptions(if_match=etag))
    with pytest.raises(PreconditionFailedException):
        await driver.write_file("d/file", b"third", WriteOptions(if_match=etag))
    await driver.copy_file("d/file", "e/copy", WriteOptions())
    await driver.move_file("e/copy", "e/moved", create)
    with pytest.raises(FileExistsException):
        await driver.move_file("e/moved", "d/created", create)
    assert await driver.get("e/moved") == b"second"
    assert await driver.exists("e/copy") is False
    assert [entry.path async for entry in driver.list_entries("", ListOptions(recursive=True))] == [
        "d/created",
        "d/file",
        "e/moved",
    ]
    assert await driver.delete("e/moved") is True
    assert await driver.delete("e/moved") is False
    with pytest.raises(FileNotFoundException):
        await driver.get("e/moved")


async def check_case(driver: LocalDriver) -> None:
    """Two spellings are one file, whole and with one content."""
    await driver.put("case", b"small")
    await driver.put("CASE", b"large")
    assert await driver.get("case") == await driver.get("Case") == b"large"
    with pytest.raises(FileExistsException):
        await driver.write_file("cAsE", b"", WriteOptions(overwrite=False))
    assert len([entry async for entry in driver.list_entries("", ListOptions())]) == 1
    assert await driver.delete("CASE") is True
    assert await driver.exists("case") is False


async def check_permissions_are_refused(driver: LocalDriver) -> None:
    await driver.put("file", b"")
    for visibility in (Visibility.PUBLIC, Visibility.PRIVATE):
        options = WriteOptions(visibility=visibility)
        with pytest.raises(UnsupportedOperationException):
            await driver.set_visibility("file", visibility)
        with pytest.raises(UnsupportedOperationException):
            await driver.write_file("other", b"", options)
        with pytest.raises(UnsupportedOperationException):
            await driver.copy_file("file", "other", options)
    assert await driver.exists("other") is False


@pytest.mark.row("limited file systems")
async def test_fat_keeps_files_and_refuses_what_it_cannot_keep(
    fat: Path, report: Callable[[str], None]
) -> None:
    await check_files(new_driver(fat))
    await check_case(new_driver(fat))
    await check_permissions_are_refused(new_driver(fat))
    driver = new_driver(fat)
    with pytest.raises(UnsupportedOperationException):
        await driver.write_file("file", b"", WriteOptions(content_type="text/plain"))
    assert await driver.exists("file") is False
    report(
        "FAT (FUSE): whole files, conditions, copies, moves and listings hold; `A` is `a`; "
        "declared metadata and a visibility are refused"
    )


@pytest.mark.row("limited file systems")
async def test_a_case_insensitive_ntfs_keeps_files(
    ntfs: Path, report: Callable[[str], None]
) -> None:
    await check_files(new_driver(ntfs))
    await check_case(new_driver(ntfs))
    driver = new_driver(ntfs)
    await driver.write_file("file", b"", WriteOptions(content_type="text/plain"))
    assert (await driver.stat("file")).content_type == "text/plain"
    with pytest.raises(UnsupportedOperationException):
        await driver.set_visibility("file", Visibility.PRIVATE)
    report(
        "case-insensitive NTFS (FUSE): whole files, conditions, copies, moves, listings and "
        "declared metadata hold; `A` is `a`; a visibility is refused"
    )


@pytest.mark.row("limited file systems")
@pytest.mark.full
class TestConformanceOnNtfs(DriverConformance):
    """The conformance tests, but what this file system does in its own way."""

    files_may_shadow_directories = False

    @pytest.fixture
    def driver(self, ntfs: Path) -> Iterator[LocalDriver]:
        driver = new_driver(ntfs)
        yield driver
        shutil.rmtree(driver.location, ignore_errors=True)

    @pytest.fixture(autouse=True)
    def _in_its_own_way(self, request: pytest.FixtureRequest) -> None:
        why = NTFS_HAS_NOT.get(request.function.__name__)
        if why is None and "visibility" in request.function.__name__:
            why = "it keeps no permissions; they are refused"
        if why is not None:
            pytest.skip(why)


NTFS_HAS_NOT = {
    "test_a_reader_never_sees_half_a_file": "its rename is a deletion and a link",
    "test_a_file_exists_all_the_time_while_it_is_replaced": "its rename is a deletion and a link",
    "test_get_ranges_is_of_one_version": "its rename is a deletion and a link",
    "test_event_loops_in_each_of_which_many_tasks_contend_can_use_it": (
        "its rename is a deletion and a link"
    ),
    "test_no_append_is_lost": "its rename is a deletion and a link",
    "test_no_update_is_lost_where_each_names_the_version_it_read": (
        "its rename is a deletion and a link"
    ),
    "test_legitimate_paths_are_listed_as_they_are": "it lists names in lower case",
    "test_names_are_listed_as_they_were_put": "it lists names in lower case",
    "test_the_order_is_that_of_utf8": "it lists names in lower case",
    "test_names_differ_by_case": "`A` is `a`",
    "test_list_start_after_compares_bytes_not_case_or_unicode_form": "`A` is `a`",
    "test_directory_of_any_name_is_listed_and_deleted": "it lists names in lower case",
    "test_glob_returns_the_files_that_match": "it lists names in lower case",
}


OPERATIONS = {
    "put": 'driver.put("there", b"new")',
    "create": 'driver.write_file("new", b"new", WriteOptions(overwrite=False))',
    "create again": 'driver.write_file("there", b"new", WriteOptions(overwrite=False))',
    "declare": 'driver.write_file("there", b"new", WriteOptions(content_type="text/plain"))',
    "match": 'driver.write_file("there", b"new", WriteOptions(if_match="1-1-1"))',
    "hide": 'driver.write_file("there", b"new", WriteOptions(visibility=Visibility.PRIVATE))',
    "copy": 'driver.copy_file("there", "new", WriteOptions())',
}
REFUSED = "UnsupportedOperationException"
# What is lacking, how strace takes it away, by which way, and how each operation ends.
LACKING: dict[str, tuple[list[str], str, dict[str, str]]] = {
    "unnamed files": (
        ["openat:error=EOPNOTSUPP:when={unnamed}"],
        "linux",
        {"put": "done", "create": "done", "create again": "FileExistsException"},
    ),
    "links": (
        ["linkat:error=EPERM", "renameat2:error=EINVAL"],
        "portable",
        {"put": "done", "create": "done", "create again": "FileExistsException"},
    ),
    "attributes": (
        ["fsetxattr:error=EOPNOTSUPP"],
        "linux",
        {"put": "done", "declare": REFUSED},
    ),
    "locks": (
        ["flock:error=EOPNOTSUPP"],
        "portable",
        {"put": "done", "create": "done", "match": REFUSED},
    ),
    "permissions": (["fchmod:error=EPERM"], "linux", {"copy": "done", "hide": REFUSED}),
    "copies in the kernel": (["copy_file_range:error=EOPNOTSUPP"], "linux", {"copy": "done"}),
}


@pytest.mark.row("limited file systems")
@pytest.mark.skipif(missing() is not None, reason=str(missing()))
@pytest.mark.parametrize("lacking", LACKING)
def test_what_a_file_system_lacks_is_done_in_another_way_or_refused(
    tmp_path: Path, lacking: str, report: Callable[[str], None]
) -> None:
    faults, way, outcomes = LACKING[lacking]
    for operation, expected in outcomes.items():
        root = tmp_path / operation.replace(" ", "-")
        root.mkdir()
        (root / "there").write_bytes(b"old")
        (root / "there").chmod(0o640)
        with Victim(root, way) as victim:
            unnamed = 0
            if "{unnamed}" in faults[0]:
                _, calls = victim.traced(OPERATIONS["put"], tmp_path)
                (unnamed,) = (call.ordinal for call in calls if "O_TMPFILE" in call.arguments)
                (root / "there").write_bytes(b"old")
            injected = [fault.format(unnamed=unnamed) for fault in faults]
            outcome, _ = victim.traced(OPERATIONS[operation], tmp_path, *injected)
        found = {name: (root / name).read_bytes() for name in names_in(root)}
        assert temporaries_below(root) == []
        assert outcome[0] == expected, (operation, outcome)
        changed = operation == "put" and expected == "done"
        assert found.pop("there") == (b"new" if changed else b"old")
        whole = b"old" if operation == "copy" else b"new"
        made = operation in {"create", "copy"} and expected == "done"
        assert found == ({"new": whole} if made else {})
    figures = ", ".join(
        f"{name}: {'done' if end == 'done' else end}" for name, end in outcomes.items()
    )
    report(f"without {lacking}: {figures}")
