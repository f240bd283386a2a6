"""What goes where: sources and targets of `put`, `get`, `cp`, `mv` and `sync`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Inside

HERE = {"a.txt": "a", "b.txt": "b", "dir/c.txt": "c", "dir/sub/d.txt": "d"}
THERE = {"x.txt": "x", "old/c.txt": "old", "old/y.txt": "y"}
"""What is in the working directory, and on the disk `media`."""

C_D = {"c.txt": "c", "sub/d.txt": "d"}
"""The contents of ``dir``."""


def below(prefix: str, files: dict[str, str]) -> dict[str, str]:
    return {f"{prefix}{name}": content for name, content in files.items()}


FILES_TO_A_DISK = {
    "a.txt media:new.txt": {"new.txt": "a"},
    "a.txt media:new/": {"new/a.txt": "a"},
    "a.txt media:": {"a.txt": "a"},
    "a.txt media:old": {"old/a.txt": "a"},
    "a.txt media:old/": {"old/a.txt": "a"},
    "a.txt media:x.txt": {"x.txt": "a"},
    "a.txt media:old/c.txt": {"old/c.txt": "a"},
    "./a.txt media:deep/er/new.txt": {"deep/er/new.txt": "a"},
    "a.txt b.txt media:": {"a.txt": "a", "b.txt": "b"},
    "a.txt b.txt media:old": {"old/a.txt": "a", "old/b.txt": "b"},
    "a.txt b.txt media:new/": {"new/a.txt": "a", "new/b.txt": "b"},
    "a.txt dir/c.txt media:old": {"old/a.txt": "a", "old/c.txt": "c"},
}
DIRECTORIES_TO_A_DISK = {
    "dir media:": C_D,
    "dir media:new": below("new/", C_D),
    "dir/ media:new": below("new/", C_D),
    "dir media:new/": below("new/", C_D),
    "dir/. media:new": below("new/", C_D),
    "dir media:old": below("old/", C_D),
    "dir/ media:old/": below("old/", C_D),
    ". media:new": below("new/", HERE),
    "dir/sub media:new": {"new/d.txt": "d"},
}


TO_A_DISK = {**FILES_TO_A_DISK, **DIRECTORIES_TO_A_DISK}


@pytest.mark.parametrize("arguments", TO_A_DISK)
def test_sources_of_this_machine_go_to_a_disk(inside: Inside, arguments: str) -> None:
    inside.make(THERE)
    inside.make(HERE, inside.directory)
    for command in ("put", "cp"):  # the second one does the same again
        done = inside(command, *arguments.split())
        assert (done.status, done.out) == (0, "")
        assert inside.tree() == {**THERE, **TO_A_DISK[arguments]}
        assert inside.tree(inside.directory) == HERE


@pytest.mark.parametrize(
    ("arguments", "expected"),
    {
        "media:x.txt .": {"x.txt": "x"},
        "media:x.txt ./": {"x.txt": "x"},
        "media:x.txt new.txt": {"new.txt": "x"},
        "media:x.txt new/": {"new/x.txt": "x"},
        "media:x.txt dir": {"dir/x.txt": "x"},
        "media:x.txt a.txt": {"a.txt": "x"},
        "media:x.txt media:old/y.txt dir": {"dir/x.txt": "x", "dir/y.txt": "y"},
        "media:old new": {"new/c.txt": "old", "new/y.txt": "y"},
        "media:old/ new": {"new/c.txt": "old", "new/y.txt": "y"},
        "media:old dir": {"dir/c.txt": "old", "dir/y.txt": "y"},
        "media: new": below("new/", THERE),
        "media:old .": {"c.txt": "old", "y.txt": "y"},
    }.items(),
)
def test_sources_of_a_disk_come_to_this_machine(
    inside: Inside, arguments: str, expected: dict[str, str]
) -> None:
    inside.make(HERE, inside.directory)
    inside.make(THERE)
    for command in ("get", "cp"):
        done = inside(command, *arguments.split())
        assert (done.status, done.out) == (0, "")
        assert inside.tree(inside.directory) == {**HERE, **expected}
        assert inside.tree() == THERE


@pytest.mark.parametrize(
    ("arguments", "expected"),
    {
        "media:x.txt media:new.txt": {"new.txt": "x"},
        "media:x.txt media:old": {"old/x.txt": "x"},
        "media:old media:new": {"new/c.txt": "old", "new/y.txt": "y"},
        "media:old media:new/deep/": {"new/deep/c.txt": "old", "new/deep/y.txt": "y"},
    }.items(),
)
def test_copies_and_moves_within_a_disk(
    inside: Inside, arguments: str, expected: dict[str, str]
) -> None:
    source = arguments.split(maxsplit=1)[0].removeprefix("media:")
    inside.make(THERE)
    assert inside("cp", *arguments.split()).status == 0
    assert inside.tree() == {**THERE, **expected}
    assert inside("rm", "-r", *(f"media:{name}" for name in expected)).status == 0
    assert inside("mv", *arguments.split()).status == 0
    left = {name: text for name, text in THERE.items() if not name.startswith(source)}
    assert inside.tree() == {**left, **expected}


def test_moves_go_from_a_disk_to_another_and_to_this_machine(inside: Inside) -> None:
    inside.make(THERE)
    inside.make(HERE, inside.directory)
    assert inside("mv", "-v", "media:old", "media:new").lines == ["+ media:new/"]
    assert inside("mv", "media:new", "other:moved").status == 0
    assert inside.tree() == {"x.txt": "x"}
    assert inside.tree(inside.other) == {"moved/c.txt": "old", "moved/y.txt": "y"}
    assert inside("mv", "a.txt", "dir", "media:in").status == 2  # a directory among several
    assert inside("mv", "a.txt", "b.txt", "media:in/").status == 0
    assert inside("mv", "dir", "media:dir").status == 0
    assert list(inside.directory.iterdir()) == []  # and no lock
    expected = {"x.txt": "x", "in/a.txt": "a", "in/b.txt": "b", **below("dir/", C_D)}
    assert inside.tree() == expected
    assert inside.tree(inside.directory) == {}
    assert inside("mv", "media:dir", "back").status == 0
    assert inside.tree(inside.directory) == below("back/", C_D)


def test_mv_merges_directories_only_when_asked(inside: Inside) -> None:
    inside.make({"a/1": "a1", "a/2": "a2", "b/2": "b2", "b/3": "b3"})
    before = inside.tree()
    done = inside("mv", "media:a", "media:b")
    assert done.status == 2
    assert "'media:b/a'" in done.err
    assert "--merge" in done.err
    assert inside.tree() == before
    assert inside("mv", "--merge", "media:a", "media:b").status == 0
    assert inside.tree() == {"b/1": "a1", "b/2": "a2", "b/3": "b3"}


REFUSED = {
    "put dir media:x.txt": "'media:x.txt' is a file",
    "put a.txt b.txt media:new": "write 'media:new/'",
    "put a.txt b.txt media:x.txt": "'media:x.txt' is none",
    "put a.txt dir media:old": "put it by itself, to 'media:old/dir'",
    "put a.txt dir media:": "put it by itself, to 'media:dir'",
    "put dir/c.txt same/c.txt media:old": "2 of the sources are named 'c.txt'",
    "put a.txt b.txt": "'b.txt' is a path of this machine",
    "put media:x.txt media:y": "'media:x.txt' is on a disk",
    "put - media:old": "name a file",
    "put - media:": "name a file",
    "put - b.txt media:old": "'-' is not taken here",
    "get a.txt media:": "'a.txt' is a path of this machine",
    "get media:x.txt media:y": "'media:y' is on a disk",
    "get media:old a.txt": "'a.txt' is a file",
    "cp a.txt b.txt": "paths of this machine",
    "mv a.txt b.txt": "paths of this machine",
    "cp media:x.txt media:x.txt": "are the same",
    "cp media:x.txt media:": "are the same",
    "cp media:x.txt other2:x.txt": "There is no disk 'other2'",
    "mv media:x.txt media:x.txt": "are the same",
    "cp media:old media:old": "are the same",
    "cp -r media:old media:old/new": "in the directory 'media:old' itself",
    "mv media:old media:old/new": "in the directory 'media:old' itself",
    "mv media: media:new": "in the directory 'media:' itself",
    "cp media:old media:": "is in the target",
    "mv --merge media:old media:": "is in the target",
    "sync media:old media:old": "are the same",
    "sync media: media:new": "in the directory 'media:' itself",
    "sync media:old media:": "is in the target",
    "sync --yes --delete media:x.txt other:": "'media:x.txt' is a file",
    "sync dir media:x.txt": "'media:x.txt' is a file",
}


@pytest.mark.parametrize("line", REFUSED)
def test_refused_command_lines_say_what_to_do_and_change_nothing(inside: Inside, line: str) -> None:
    inside.make({**THERE, "old/sub": "file"})
    here = {**HERE, "same/c.txt": "c"}
    inside.make(here, inside.directory)
    done = inside(*line.split(), stdin="in")
    assert done.status == 2, done.err
    assert REFUSED[line] in done.err
    assert done.err.count("\n") == 1
    assert inside.tree() == {**THERE, "old/sub": "file"}
    assert inside.tree(inside.directory) == here


@pytest.mark.parametrize(
    "line",
    [
        "put no media:",
        "get media:no .",
        "cp media:no media:y",
        "mv media:no media:y",
        "sync no media:",
    ],
)
def test_missing_source_is_an_error_and_changes_nothing(inside: Inside, line: str) -> None:
    inside.make(THERE)
    done = inside(*line.split())
    assert done.status == 1
    assert "There is no file or directory" in done.err
    assert inside.tree() == THERE


def test_same_place_is_found_by_any_name(inside: Inside) -> None:
    inside.make(THERE)
    (inside.directory / "link").symlink_to(inside.root)
    for line in (
        f"cp {inside.root}/x.txt media:x.txt",
        "cp link/x.txt media:x.txt",
        "cp link/old media:old/new",
        "cp link media:new",
    ):
        assert inside(*line.split()).status == 2
    assert inside.tree() == THERE


@pytest.mark.parametrize("name", ["a b", "-dash", "a:b", "ünï", "%41", "'q'", "$x", "*", "[a]"])
def test_names_stay_as_they_are(inside: Inside, name: str) -> None:
    inside.make({f"dir/{name}": name}, inside.directory)
    assert inside("put", f"./dir/{name}", f"media:{name}").status == 0
    assert inside("put", "dir", "media:all").status == 0
    assert inside("get", f"media:all/{name}", f"./{name}").status == 0
    assert inside.tree() == {name: name, f"all/{name}": name}
    assert (inside.directory / name).read_text() == name
