"""Files of this machine as the command line writes and reads them."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jtc.storage import FileExistsException, StorageManager
from jtc.storage.cli._places.local_driver import MachineFiles
from jtc.storage.cli._places.skipped import skipped
from jtc.storage.sync_plan import State

if TYPE_CHECKING:
    from jtc.storage import Disk


@pytest.fixture
def disks(tmp_path: Path) -> tuple[Disk, Disk]:
    """Return a disk in memory, and one of this machine's files."""
    storage = StorageManager.isolated({"disks": {"memory": {"driver": "memory"}}})
    storage.set_driver(MachineFiles(tmp_path), "machine")
    return storage.disk("memory"), storage.disk("machine")


async def test_machine_files_are_written_as_cp_writes_them(
    disks: tuple[Disk, Disk], tmp_path: Path
) -> None:
    memory, machine = disks
    before = os.umask(0o027)
    try:
        await memory.put("a.html", "a", content_type="text/plain", metadata={"owner": "me"})
        await memory.copy("a.html", "new/a.html", to=machine)
    finally:
        os.umask(before)
    file = tmp_path / "new/a.html"
    assert file.stat().st_mode & 0o777 == 0o640
    assert os.listxattr(file) == []
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "new", file]


async def test_machine_files_keep_the_mode_of_what_they_replace(
    disks: tuple[Disk, Disk], tmp_path: Path
) -> None:
    memory, machine = disks
    file = tmp_path / "run.sh"
    file.write_text("old")
    file.chmod(0o751)
    await memory.put("run.sh", "new")
    await memory.copy("run.sh", "run.sh", to=machine)
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("new", 0o751)
    with pytest.raises(FileExistsException):
        await memory.copy("run.sh", "run.sh", to=machine, overwrite=False)
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("mtime", "modified"),
    [("1700000000.123456789", 1_700_000_000_123_456_789), ("-5.5", -5_500_000_000)],
)
async def test_machine_files_get_the_time_that_metadata_keep(
    disks: tuple[Disk, Disk], tmp_path: Path, mtime: str, modified: int
) -> None:
    memory, machine = disks
    await memory.put("a", "a", metadata={"mtime": mtime})
    await memory.copy("a", "a", to=machine)
    assert (tmp_path / "a").stat().st_mtime_ns == modified


@pytest.mark.parametrize("mtime", ["", "yesterday", "NaN", "Infinity", "1e400"])
async def test_machine_files_ignore_a_time_that_is_none(
    disks: tuple[Disk, Disk], tmp_path: Path, mtime: str
) -> None:
    memory, machine = disks
    await memory.put("a", "a", metadata={"mtime": mtime})
    await memory.copy("a", "a", to=machine)
    assert (tmp_path / "a").read_text() == "a"


async def test_skipped_and_left_out_is_what_a_listing_omits(
    disks: tuple[Disk, Disk], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = tmp_path / "tree"
    for name in ("fine/b c.txt", "fine/-x", "a\nb", "bad\\dir/c", ".jtc-tmp-old", ".jtc/x"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text("")
    Path(os.fsdecode(os.fsencode(tree) + b"/\xff")).write_text("")
    (tree / "link").symlink_to("fine")
    (tree / "gone").symlink_to("nothing")
    os.mkfifo(tree / "fifo")
    monkeypatch.chdir(tree)  # the name of a socket is short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
    assert {each.path: each.kind for each in skipped(str(tmp_path), "tree")} == {
        "link": "a symbolic link",
        "gone": "a symbolic link",
        "fifo": "a FIFO",
        "socket": "a socket",
    }
    differences = {each.path: each.state async for each in disks[1].compare("tree", to=disks[0])}
    refused = {path for path, state in differences.items() if state is State.ERROR}
    assert refused == {"a\nb", "bad\\dir/", "\udcff"}
    listed = [entry.path async for entry in disks[1].list("tree", recursive=True)]
    assert listed == ["tree/.jtc/x", "tree/fine/-x", "tree/fine/b c.txt"]
