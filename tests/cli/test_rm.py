"""The command `rm`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Inside

FILES = {"a.txt": "a", "dir/b.txt": "b", "dir/sub/c.txt": "c", "other/d.txt": "d"}


@pytest.mark.parametrize(
    ("arguments", "left"),
    [
        (["media:a.txt"], ["dir/b.txt", "dir/sub/c.txt", "other/d.txt"]),
        (["media:a.txt", "media:dir/b.txt"], ["dir/sub/c.txt", "other/d.txt"]),
        (["-r", "media:dir"], ["a.txt", "other/d.txt"]),
        (["-r", "media:dir/"], ["a.txt", "other/d.txt"]),
        (["-r", "media:dir", "media:a.txt"], ["other/d.txt"]),
        (["-r", "--yes", "media:"], []),
    ],
)
def test_rm_deletes_what_is_named(inside: Inside, arguments: list[str], left: list[str]) -> None:
    inside.make(FILES)
    done = inside("rm", *arguments)
    assert (done.status, done.out) == (0, "")
    assert list(inside.tree()) == left


def test_rm_recursive_leaves_no_empty_directory(inside: Inside) -> None:
    inside.make(FILES)
    (inside.root / "dir/empty/deeper").mkdir(parents=True)
    assert inside("rm", "-r", "media:dir").status == 0
    assert not (inside.root / "dir").exists()
    assert inside("rm", "-ry", "media:").status == 0
    assert list(inside.root.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["media:dir"], "'media:dir' is a directory: with -r"),
        (["media:"], "'media:' is a whole disk: with -r"),
        (["--yes", "media:"], "'media:' is a whole disk: with -r"),
        (["-r", "media:"], "needs --yes"),
        (["-r", "--yes", "dir"], "path of this machine"),
        (["-r", "--yes", "."], "path of this machine"),
        (["media:a.txt", "media:dir"], "'media:dir' is a directory: with -r"),
    ],
)
def test_rm_refuses_what_may_be_a_mistake(inside: Inside, arguments: list[str], words: str) -> None:
    inside.make(FILES)
    inside.make({"dir/mine.txt": "mine"}, inside.directory)
    done = inside("rm", *arguments)
    assert done.status == 2
    assert words in done.err
    assert inside.tree() == FILES
    assert inside.tree(inside.directory) == {"dir/mine.txt": "mine"}


def test_rm_reports_a_missing_file_and_deletes_the_others(inside: Inside) -> None:
    inside.make(FILES)
    done = inside("rm", "media:nothing", "media:a.txt")
    assert done.status == 1
    assert "no file or directory 'media:nothing'" in done.err
    assert "a.txt" not in inside.tree()


def test_rm_dry_run_writes_the_lines_of_the_real_run(inside: Inside) -> None:
    inside.make(FILES)
    shown = inside("rm", "-r", "--dry-run", "media:dir")
    assert shown.status == 0
    assert inside.tree() == FILES
    done = inside("rm", "-r", "--verbose", "media:dir")
    assert done.lines == shown.lines == ["- media:dir/b.txt", "- media:dir/sub/c.txt"]
    assert "deleted 2" in done.err


def test_rm_dry_run_of_a_root_asks_nothing(inside: Inside) -> None:
    inside.make(FILES)
    assert len(inside("rm", "-rn", "media:").lines) == len(FILES)
    assert inside.tree() == FILES


def test_rm_json_has_a_line_for_each_file(inside: Inside) -> None:
    inside.make(FILES)
    done = inside("rm", "--json", "-q", "media:a.txt")
    assert done.err == ""
    assert done.json == [{"action": "delete", "sign": "-", "path": "media:a.txt", "size": None}]


def test_rm_of_several_batches_deletes_all(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jtc.storage.cli._commands.rm._AT_ONCE", 2)
    inside.make({f"dir/{number}": "" for number in range(7)} | {"else": ""})
    assert inside("rm", "-r", "media:dir").status == 0
    assert list(inside.tree()) == ["else"]
