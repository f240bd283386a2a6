"""The question of `sync --delete`, on a terminal and without one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jtc.storage.cli._app import run_program
from terminal import Terminal

if TYPE_CHECKING:
    from conftest import Inside

SYNC = ("sync", "--delete", "site", "media:")


@pytest.fixture
def trees(inside: Inside) -> Inside:
    """Make a directory here, and more files than it has on the disk `media`."""
    inside.make({"a": "new"}, inside.directory / "site")
    inside.make({f"old/{number}": "" for number in range(7)})
    return inside


def answered(trees: Inside, answer: str) -> Terminal:
    with Terminal(
        lambda: run_program(SYNC),
        environ=trees.cli.environ,
        directory=trees.directory,
        columns=160,
    ) as terminal:
        terminal.answers = {"[y/N] ": answer}
        terminal.wait()
    return terminal


def test_sync_asks_with_the_numbers_and_the_first_names(trees: Inside) -> None:
    terminal = answered(trees, "y\n")
    text = " ".join(terminal.text.split())
    assert "Copy 1 new and 0 changed files, 3 bytes, and delete 7 files from 'media:'" in text
    assert "(old/0, old/1, old/2, old/3, old/4, …)? [y/N] y" in text
    assert terminal.status == 0
    assert trees.tree() == {"a": "new"}


@pytest.mark.parametrize(("answer", "status"), [("n\n", 1), ("\n", 1), ("\x03", 130)])
def test_sync_does_nothing_after_another_answer(trees: Inside, answer: str, status: int) -> None:
    before = trees.tree()
    terminal = answered(trees, answer)
    assert terminal.status == status
    assert "Traceback" not in terminal.text
    assert trees.tree() == before


def test_sync_without_a_terminal_needs_yes_before_it_looks(trees: Inside) -> None:
    before = trees.tree()
    done = trees(*SYNC)
    assert done.status == 2
    assert "add --yes" in done.err
    assert trees.tree() == before
    assert trees(*SYNC, "--dry-run").lines == ["+ a", *(f"- old/{number}" for number in range(7))]
    assert trees(*SYNC, "--yes").status == 0
    assert trees.tree() == {"a": "new"}


def test_sync_of_an_empty_source_needs_a_limit(trees: Inside) -> None:
    (trees.directory / "empty").mkdir()
    before = trees.tree()
    done = trees("sync", "--delete", "--yes", "empty", "media:")
    assert done.status == 1
    assert "The source 'empty' has no files" in done.err
    assert trees.tree() == before
    assert trees("sync", "--delete", "-y", "--max-delete", "7", "empty", "media:").status == 0
    assert trees.tree() == {}


def test_sync_backup_dir_must_be_elsewhere(trees: Inside) -> None:
    before = trees.tree()
    done = trees(*SYNC, "--yes", "--backup-dir", "media:backup")
    assert done.status == 2
    assert "--backup-dir" in done.err
    assert trees.tree() == before
