"""The path policy: an accepted path has one spelling, fits, and stays below the root."""

from __future__ import annotations

import json
import posixpath
from importlib import resources
from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jtc.storage import InvalidPathException, StorageManager
from jtc.storage.paths import (
    MAX_PART_BYTES,
    MAX_PATH_BYTES,
    TEMPORARY_PREFIX,
    check_directory,
    check_path,
)

CASES = json.loads((resources.files("jtc.storage.testing") / "paths.json").read_text("utf-8"))

# Letters that break policies, far more often than chance would draw them.
nasty = st.text(
    st.one_of(
        st.sampled_from(
            list("/.\\ a~%:?#\u2024\u2025\uff0e\uff0f\uff3c\u202e\u200b\u200d\ufeff\x00\n\x7f")
        ),
        st.characters(codec=None),
    ),
    max_size=40,
)


@pytest.mark.parametrize("case", CASES, ids=[repr(case["path"])[:40] for case in CASES])
def test_each_listed_path_is_treated_as_the_list_says(case: dict[str, str]) -> None:
    path = case["path"]
    if case["expect"] == "accept":
        assert check_path(path) == path.removeprefix("/")
    else:
        with pytest.raises(InvalidPathException) as raised:
            check_path(path)
        assert raised.value.path == path


@given(nasty)
@example("//a")
@example("/..")
@example("a/\u2025/b")
def test_what_is_accepted_has_one_spelling_fits_and_never_escapes(path: str) -> None:
    try:
        checked = check_path(path)
    except InvalidPathException:
        return
    assert path in {checked, f"/{checked}"}
    assert check_path(checked) == checked
    assert posixpath.normpath(f"/root/{checked}") == f"/root/{checked}"
    assert len(checked.encode()) <= MAX_PATH_BYTES
    for part in checked.split("/"):
        assert 0 < len(part.encode()) <= MAX_PART_BYTES
        assert part not in {".", ".."}
        assert not part.startswith(TEMPORARY_PREFIX)
    assert "\\" not in checked
    assert not any(ord(letter) < 32 or ord(letter) == 127 for letter in checked)
    assert checked.splitlines() == [checked]


@given(
    st.lists(
        st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=20),
        min_size=1,
        max_size=5,
    )
)
def test_letters_and_digits_of_any_script_are_names(parts: list[str]) -> None:
    path = "/".join(parts)
    assert check_path(path) == path


def test_one_leading_slash_is_dropped_and_no_more() -> None:
    assert check_path("/a/b") == "a/b"
    with pytest.raises(InvalidPathException, match="empty part"):
        check_path("//a/b")


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("", "must not be empty"),
        ("/", "must not be empty"),
        ("a//b", "empty part"),
        ("a/", "empty part"),
        ("a/../b", "'.' or '..'"),
        ("\uff0e\uff0e/x", "look like"),
        ("a\u2024/\u2025", "look like"),
        ("a\uff0f..\uff0fb", "look like"),
        ("\uff0e\uff0e\uff3cx", "look like"),
        ("a\\b", "a backslash: separate its parts"),
        ("a\nb", "U\\+000A"),
        ("\ud800", "U\\+D800"),
        (f"a/{TEMPORARY_PREFIX}1", "reserved"),
        ("é" * 128, "255 bytes"),
        ("/".join(["a" * 200] * 6), "1024 bytes"),
    ],
)
def test_the_message_says_which_rule_was_broken(path: str, reason: str) -> None:
    with pytest.raises(InvalidPathException, match=reason):
        check_path(path)


def test_the_limits_are_the_last_that_fit() -> None:
    part = "é" * 127 + "a"
    assert check_path(part) == part
    path = "/".join([*["a" * 255] * 3, "a" * 256])
    with pytest.raises(InvalidPathException):
        check_path(path)
    path = "/".join(["a" * 204] * 4 + ["a" * 204])
    assert len(path) == MAX_PATH_BYTES
    assert check_path(f"/{path}") == path
    with pytest.raises(InvalidPathException):
        check_path(f"{path}a")


@pytest.mark.parametrize("path", [None, 1, b"a", ["a"], object()])
def test_what_is_no_str_is_no_path(path: object) -> None:
    with pytest.raises(TypeError):
        check_path(path)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (PurePosixPath("a/b"), "A path is a str, not PurePosixPath: pass its as_posix()"),
        (["a", "b"], "A path is a str, not list"),
        (None, "A path is a str, not NoneType"),
    ],
)
async def test_a_disk_says_what_it_got_in_place_of_a_path(path: Any, message: str) -> None:
    disk = StorageManager.isolated({"disks": {"m": {"driver": "memory"}}}).disk("m")
    for use in (disk.put(path, b""), disk.get(path), disk.delete(path)):
        with pytest.raises(TypeError) as raised:
            await use
        assert str(raised.value) == message


def test_a_str_of_another_class_comes_back_as_a_plain_str() -> None:
    class Name(str):
        __slots__ = ()

    assert type(check_path(Name("/a"))) is str


def test_an_answer_for_a_lying_str_is_no_answer_for_an_honest_one() -> None:
    class Liar(str):
        __slots__ = ()

        def removeprefix(self, prefix: str, /) -> str:  # noqa: ARG002
            return "innocent"

    assert check_path(Liar("../evil")) == "innocent"
    with pytest.raises(InvalidPathException):
        check_path("../evil")


def test_the_root_is_a_directory_and_no_file() -> None:
    assert check_directory("") == ""
    assert check_directory("/a/b") == "a/b"
    for path in ("/", "a/", "..", "a/../b"):
        with pytest.raises(InvalidPathException):
            check_directory(path)
