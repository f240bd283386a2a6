"""Command lines of rclone's users: the target is the same tree as after rclone itself."""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING

import pytest

from jtc.storage.cli._app import BUILT_IN
from jtc.storage.cli._other_names import COMMANDS as OTHER_COMMANDS
from rclone import rclone

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Cli, Inside

SOURCE = {
    "index.html": "<p>",
    "a.txt": "new",
    "same.txt": "same",
    "sub/b.html": "<b>",
    "sub/deep/c.tmp": "temporary",
    ".git/config": "git",
    "large.bin": "x" * 5000,
    "old.log": "log",
    "empty": "",
}
TARGET = {
    "a.txt": "old",
    "same.txt": "same",
    "sub/b.html": "<b>",
    "extra.html": "extra",
    "sub/extra.tmp": "extra",
    "large.bin": "y" * 5000,
}

# The options are rclone's; those before "|" are ours alone.
COMMANDS = {
    "copy": "cp",
    "copy --include *.html": "cp --include *.html",
    "copy --exclude .git/** --exclude *.tmp": "cp --exclude .git/** --exclude *.tmp",
    "copy --ignore-existing": "cp --ignore-existing",
    "copy --size-only": "sync --size-only",
    "copy --checksum": "sync --checksum",
    "copy --immutable": "sync --immutable",
    "copy --files-from LIST": "sync --files-from LIST",
    "copy --min-size 2b --max-size 4k": "sync --min-size 2b --max-size 4k",
    "copy --max-age 1d": "sync --max-age 1d",
    "copy --min-age 1d": "sync --min-age 1d",
    "copy --dry-run": "cp --dry-run",
    "sync": "sync --delete --yes",
    "sync --exclude *.tmp": "sync --delete --yes --exclude *.tmp",
    "sync --include *.html": "sync --delete --yes --include *.html",
    "sync --max-delete 5": "sync --delete --yes --max-delete 5",
    "sync --backup-dir BACKUP": "sync --delete --yes --backup-dir BACKUP",
    "sync --immutable": "sync --delete --yes --immutable",
    "sync --dry-run": "sync --delete --dry-run",
    "move": "mv --merge",
}


@pytest.fixture
def trees(inside: Inside) -> Inside:
    """Make the source and the target twice: the copies are rclone's."""
    for place in (inside.directory / "source", inside.directory / "theirs/source"):
        inside.make(SOURCE, place)
        os.utime(place / "old.log", (1e9, 1e9))
    for place in (inside.root / "target", inside.directory / "theirs/target"):
        inside.make(TARGET, place)
        for path in place.rglob("*.*"):
            os.utime(path, (1.5e9, 1.5e9))
        for name in ("same.txt", "sub/b.html"):
            shutil.copystat(inside.directory / "source" / name, place / name)
        os.utime(inside.directory / "theirs/source/same.txt", (1.6e9, 1.6e9))
        os.utime(inside.directory / "source/same.txt", (1.6e9, 1.6e9))
        os.utime(place / "same.txt", (1.6e9, 1.6e9))
    (inside.directory / "LIST").write_text("# files\na.txt\n/sub/deep/c.tmp\n\n;no\nextra.html\n")
    return inside


@pytest.mark.parametrize("theirs", COMMANDS)
def test_command_line_makes_the_tree_that_rclone_makes(trees: Inside, theirs: str) -> None:
    base = trees.directory / "theirs"
    command, *options = theirs.split()
    places = {"BACKUP": str(base / "backup"), "LIST": str(trees.directory / "LIST")}
    options = [places.get(option, option) for option in options]
    expected = rclone(command, *options, str(base / "source"), str(base / "target"))
    places["BACKUP"] = "media:backup"
    command, *options = COMMANDS[theirs].split()
    options = [places.get(option, option) for option in options]
    done = trees(command, *options, "source", "media:target")
    assert (done.status == 0) is (expected.returncode == 0), done.err
    for ours, name in (
        (trees.root / "target", "target"),
        (trees.directory / "source", "source"),
        (trees.root / "backup", "backup"),
    ):
        assert trees.tree(ours) == trees.tree(base / name), name
    if expected.returncode == 0 and command != "mv" and "dry" not in theirs:
        again = trees(command, *options, "source", "media:target")
        assert again.status == 0
        assert " 0 files" in again.err


def test_command_line_writes_the_lines_of_rclone(trees: Inside) -> None:
    base = trees.directory / "theirs"
    theirs = rclone(
        "sync", "--combined", "-", "--dry-run", str(base / "source"), str(base / "target")
    )
    done = trees("sync", "--delete", "--combined", "-", "--dry-run", "-q", "source", "media:target")
    assert sorted(set(done.lines)) == sorted(theirs.stdout.splitlines())


@pytest.mark.parametrize("slash", ["", "/"])
def test_command_line_copies_a_file_where_rclone_does(trees: Inside, slash: str) -> None:
    base = trees.directory / "theirs"
    rclone("copy", f"{base}/source/a.txt", f"{base}/target{slash}")
    rclone("copyto", f"{base}/source/a.txt", f"{base}/target/new/name.txt")
    assert trees("put", "source/a.txt", f"media:target{slash}").status == 0
    assert trees("put", "source/a.txt", "media:target/new/name.txt").status == 0
    assert trees.tree(trees.root / "target") == trees.tree(base / "target")


def test_max_delete_refuses_before_anything_is_done(trees: Inside) -> None:
    """Unlike rclone, which copies, deletes as many, and then fails."""
    before = trees.tree()
    done = trees("sync", "--delete", "--yes", "--max-delete", "1", "source", "media:target")
    assert done.status == 1
    assert "2 files would be deleted, and --max-delete permits 1: nothing was done" in done.err
    assert trees.tree() == before


@pytest.mark.parametrize("option", ["--min-size", "--max-size", "--bwlimit"])
def test_size_without_a_unit_is_refused(trees: Inside, option: str) -> None:
    done = trees("sync", option, "100", "source", "media:target")
    assert done.status == 2
    assert f"{option} 100 needs a unit: 100B are bytes, 100K is in KiB" in done.err


def test_files_from_names_what_is_not_there(trees: Inside) -> None:
    (trees.directory / "LIST").write_text("a.txt\nb.txt\n")
    done = trees("sync", "--files-from", "LIST", "source", "media:target")
    assert done.status == 0
    assert "--files-from lists 1 that are not there: 'b.txt'" in done.err


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("copy", "'cp'"),
        ("copyto", "'cp'"),
        ("delete", "'rm'"),
        ("lsd", "'ls'"),
        ("lsf", "'ls'"),
        ("moveto", "'mv'"),
        ("purge", "'rm -r'"),
        ("size", "'du -s'"),
        ("presign", "'url'"),
    ],
)
def test_command_of_another_program_names_ours(cli: Cli, name: str, ours: str) -> None:
    done = cli(name, "media:photos")
    assert (done.status, done.out) == (2, "")
    assert f"There is no command '{name}': {ours}" in done.err


def test_commands_of_other_programs_are_none_of_ours_and_name_some() -> None:
    assert not set(OTHER_COMMANDS) & set(BUILT_IN)
    known = {*BUILT_IN, "uploads"}
    for text in OTHER_COMMANDS.values():
        for name in re.findall(r"'([a-z]+)[ a-z0-9A-Z-]*'", text):
            assert name in known, text


@pytest.mark.parametrize(
    ("command", "option", "ours"),
    [
        ("sync", "-P", "a bar is shown"),
        ("sync", "--progress", "a bar is shown"),
        ("sync", "--filter", "--include and --exclude"),
        ("sync", "--delete-after", "--delete deletes"),
        ("sync", "--s3-acl", "--visibility"),
        ("ls", "--include", "'find' chooses"),
        ("find", "--max-age", "--newer"),
    ],
)
def test_option_of_another_program_names_ours(
    cli: Cli, command: str, option: str, ours: str
) -> None:
    done = cli(command, option, "x", "media:photos", "media:other")
    assert (done.status, done.out) == (2, "")
    assert f"No such option: {option} (" in done.err
    assert ours in done.err


def test_url_of_a_bucket_is_refused_with_the_path_on_its_disk(media: tuple[Cli, Path]) -> None:
    cli, _ = media
    done = cli("ls", "media://bucket/photos")
    assert (done.status, done.out) == (2, "")
    assert "write 'media:photos'" in done.err
