"""The command `check`, compared with rclone's."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from rclone import rclone

if TYPE_CHECKING:
    from conftest import Inside

SITE = {"same": "1", "sub/same": "22", "differs": "one", "new": "", "sub/new.txt": "n"}
WWW = {"same": "1", "sub/same": "22", "differs": "other", "gone": "g", "sub/gone.txt": "g"}
LINES = ["! unused", "* differs", "+ new", "+ sub/new.txt", "- gone", "- sub/gone.txt"][1:]


@pytest.fixture
def trees(inside: Inside) -> Inside:
    """Make two directories: one here, and one on the disk `media`."""
    inside.make(SITE, inside.directory / "site")
    inside.make(WWW, inside.root / "www")
    return inside


def test_check_writes_what_differs(trees: Inside) -> None:
    done = trees("check", "site", "media:www")
    assert (done.status, sorted(done.lines)) == (1, LINES)
    assert done.err == (
        "2 the same; 1 different, 2 only in the source, 2 only in the target, 0 not compared\n"
    )
    assert trees("check", "-q", "site", "media:www").err == ""


def test_check_of_equal_trees_says_so(trees: Inside) -> None:
    trees.make(SITE, trees.root / "copy")
    done = trees("check", "site", "media:copy")
    assert (done.status, done.out) == (0, "")
    assert done.err.startswith("5 the same; 0 different")


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--one-way"],
        ["--size-only"],
        ["--include", "*.txt"],
        ["--exclude", "sub/**", "--exclude", "gone"],
        ["--max-size", "1b"],
        ["--min-size", "2b"],
        ["--files-from", "list"],
    ],
)
def test_check_combined_has_the_lines_of_rclone(trees: Inside, options: list[str]) -> None:
    (trees.directory / "list").write_text("# a comment\nsame\n /sub/new.txt \n\n; gone\ngone\n")
    options = [str(trees.directory / each) if each == "list" else each for each in options]
    done = trees("check", "--combined", "-", *options, "site", "media:www")
    places = (str(trees.directory / "site"), str(trees.root / "www"))
    theirs = rclone("check", "--combined", "-", *options, *places)
    assert sorted(done.lines) == sorted(theirs.stdout.splitlines())
    assert done.lines
    assert done.status == theirs.returncode


def test_check_combined_writes_into_a_file(trees: Inside) -> None:
    trees("check", "--combined", "out", "site", "media:www")
    lines = (trees.directory / "out").read_text().splitlines()
    assert sorted(lines) == sorted([*LINES, "= same", "= sub/same"])
    done = trees("check", "--combined", "no/out", "site", "media:www")
    assert done.status == 2
    assert "--combined 'no/out' cannot be written" in done.err


def test_check_checksum_finds_what_size_and_time_hide(inside: Inside) -> None:
    inside.make({"a": "one"}, inside.directory / "site")
    inside.make({"a": "two"}, inside.root / "www")
    assert inside("check", "site", "media:www").status == 0
    done = inside("check", "--checksum", "site", "media:www")
    assert (done.status, done.lines) == (1, ["* a"])


def test_check_json_has_both_sizes(inside: Inside) -> None:
    inside.make({"a": "1", "b": "22"}, inside.directory / "site")
    inside.make({"a": "333"}, inside.root / "www")
    done = inside("check", "--json", "site", "media:www")
    assert done.json == [
        {"sign": "*", "path": "a", "source_size": 1, "target_size": 3, "error": None},
        {"sign": "+", "path": "b", "source_size": 2, "target_size": None, "error": None},
    ]


def test_check_names_what_no_listing_has(inside: Inside) -> None:
    inside.make({"a": "1", "b\nc": "2"}, inside.directory / "site")
    (inside.directory / "site" / "link").symlink_to("a")
    inside.make({"a": "1"}, inside.root / "www")
    done = inside("check", "site", "media:www")
    assert (done.status, done.out) == (1, "! b\nc\n")
    assert "'b\\nc'" in done.err
    assert "1 not compared" in done.err
    assert "'site/link' is a symbolic link, which is skipped" in done.err
    done = inside("check", "--exclude", "b*", "--exclude", "link", "site", "media:www")
    assert (done.status, done.err.count("\n")) == (0, 1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--checksum", "--size-only", "site", "media:www"], "exclude each other"),
        (["site/same", "media:www"], "'site/same' is a file"),
        (["--min-size", "big", "site", "media:www"], "--min-size is a size"),
        (["--max-age", "old", "site", "media:www"], "--max-age is a duration"),
        (["--files-from", "nothing", "site", "media:www"], "--files-from 'nothing'"),
        (["--include", "[", "site", "media:www"], "'['"),
    ],
)
def test_check_usage_errors(trees: Inside, arguments: list[str], words: str) -> None:
    done = trees("check", *arguments)
    assert done.status == 2
    assert words in done.err


def test_check_ages_are_those_of_the_files(trees: Inside) -> None:
    os.utime(trees.directory / "site/new", (0, 0))
    done = trees("check", "--max-age", "1d", "--one-way", "site", "media:www")
    assert done.lines == ["* differs", "+ sub/new.txt"]
    done = trees("check", "--min-age", "1d", "--one-way", "site", "media:www")
    assert done.lines == ["+ new"]
