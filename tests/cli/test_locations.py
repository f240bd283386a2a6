"""Paths of the command line: disks, files of this machine, and drives of Windows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jtc.storage.cli._exits import UsageError
from jtc.storage.cli._places.locations import locate, split

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Cli


@pytest.mark.parametrize(
    ("text", "disk", "path"),
    [
        ("s3:", "s3", ""),
        ("s3:a/b:c", "s3", "a/b:c"),
        ("s3:/a", "s3", "/a"),
        ("./a:b", None, "./a:b"),
        ("../a:b", None, "../a:b"),
        ("/a:b", None, "/a:b"),
        ("dir/a:b", None, "dir/a:b"),
        ("a", None, "a"),
        (".", None, "."),
        (":a", None, ":a"),
        ("c:/x", "c", "/x"),
        ("c:\\x", "c", "\\x"),
    ],
)
def test_split_names_a_disk_before_the_first_colon(text: str, disk: str | None, path: str) -> None:
    assert split(text, windows=False) == (disk, path)


@pytest.mark.parametrize(
    ("text", "disk", "path"),
    [
        ("C:\\x", None, "C:\\x"),
        ("C:/x", None, "C:/x"),
        ("C:", None, "C:"),
        (".\\a:b", None, ".\\a:b"),
        ("s3:a", "s3", "a"),
        ("media:C/x", "media", "C/x"),
    ],
)
def test_split_on_windows_takes_a_letter_for_a_drive(
    text: str, disk: str | None, path: str
) -> None:
    assert split(text, windows=True) == (disk, path)


@pytest.mark.parametrize("text", ["", "-"])
def test_split_refuses_what_is_no_place(text: str) -> None:
    with pytest.raises(UsageError):
        split(text)


def test_locate_drops_slashes_at_the_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("FILESYSTEM_CONFIG", raising=False)
    assert locate("memory:a/").path == locate("memory:a").path == "a"
    assert locate("memory:").path == locate("memory:/").path == ""
    (tmp_path / "a").mkdir()
    for text in (f"{tmp_path}/a", f"{tmp_path}/a/", f"{tmp_path}/a//"):
        location = locate(text)
        assert (location.disk.path("a"), location.path) == (str(tmp_path / "a"), "a")


def test_locate_takes_a_missing_path_below_its_nearest_directory(tmp_path: Path) -> None:
    location = locate(f"{tmp_path}/x/y/z")
    assert location.path == "x/y/z"
    assert location.disk.path("x") == str(tmp_path / "x")


def test_locate_follows_links_of_this_machine(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/file").write_text("a")
    (tmp_path / "link").symlink_to("real/file")
    assert locate(f"{tmp_path}/link").path == "file"
    assert locate(f"{tmp_path}/link", follow=False).path == "link"


def test_unknown_disk_suggests_the_nearest_and_how_to_name_a_file(
    configured: Callable[..., Cli], tmp_path: Path
) -> None:
    cli = configured(media={"driver": "local", "root": str(tmp_path)})
    done = cli("ls", "medai:a.txt")
    assert done.status == 2
    assert "Did you mean 'media:a.txt'?" in done.err
    assert "'./medai:a.txt'" in done.err


def test_driver_is_no_disk_where_disks_are_configured(
    configured: Callable[..., Cli], tmp_path: Path
) -> None:
    cli = configured(media={"driver": "local", "root": str(tmp_path)})
    assert cli("ls", "memory:").status == 2
    del cli.environ["FILESYSTEM_CONFIG"]
    assert cli("ls", "memory:").status == 0


def test_file_with_a_colon_is_one_of_this_machine(cli: Cli) -> None:
    (cli.directory / "a:b").write_text("x")
    assert cli("ls", "./a:b").out == "a:b\n"
    assert cli("ls", f"{cli.directory}/a:b").out == "a:b\n"
