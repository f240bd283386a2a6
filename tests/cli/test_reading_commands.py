"""The commands that read: ls, tree, cat, stat, du, find, url."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Cli


@pytest.fixture
def site(media: tuple[Cli, Path]) -> Cli:
    """Put a small site on the disk `media`."""
    cli, root = media
    for path, size in {
        "index.html": 10,
        "img/a.png": 2048,
        "img/b.png": 3_000_000,
        "img/old/c.png": 1,
        "img-2/d.png": 5,
    }.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x" * size)
        os.utime(file, (1_000_000_000, 1_000_000_000))
    return cli


def test_ls_lists_files_and_directories(site: Cli) -> None:
    assert site("ls", "media:").lines == ["img-2/", "img/", "index.html"]
    assert site("ls", "media:img/").lines == ["a.png", "b.png", "old/"]
    assert site("ls", "media:img/a.png").lines == ["a.png"]


def test_ls_recursive_lists_paths_below(site: Cli) -> None:
    assert site("ls", "-R", "media:img").lines == ["a.png", "b.png", "old/c.png"]


def test_ls_long_shows_sizes_and_times(site: Cli) -> None:
    first, _, last = site("ls", "-l", "media:img", environ={"TZ": "UTC"}).lines
    assert first.split() == ["2048", "2001-09-09", "01:46:40", "a.png"]
    assert last.split() == ["-", "-", "old/"]
    assert [line.split()[0] for line in site("ls", "-lh", "media:img").lines] == [
        "2.0K",
        "2.9M",
        "-",
    ]


def test_ls_json_is_a_line_each(site: Cli) -> None:
    first, _, last = site("ls", "--json", "media:img").json
    assert {name: first[name] for name in ("path", "type", "size", "last_modified")} == {
        "path": "a.png",
        "type": "file",
        "size": 2048,
        "last_modified": 1_000_000_000.0,
    }
    assert last == {"path": "old", "type": "directory"}


def test_tree_draws_what_is_below(site: Cli) -> None:
    assert site("tree", "media:").lines == [
        "media:",
        "├── img-2/",
        "│   └── d.png",
        "├── img/",
        "│   ├── a.png",
        "│   ├── b.png",
        "│   └── old/",
        "│       └── c.png",
        "└── index.html",
        "",
        "3 directories, 5 files, 2.9M",
    ]
    assert "│       └── c.png" not in site("tree", "-L", "2", "media:").lines


def test_cat_writes_contents_and_ranges(media: tuple[Cli, Path]) -> None:
    cli, root = media
    (root / "a").write_bytes(b"0123456789")
    (root / "b").write_bytes(b"\xff\n")
    for arguments, expected in {
        ("media:a",): "0123456789",
        ("media:a", "media:a"): "01234567890123456789",
        ("--range", "0-2", "media:a"): "012",
        ("--range", "7-", "media:a"): "789",
        ("--range", "-2", "media:a"): "89",
    }.items():
        assert cli("cat", *arguments).out == expected
    assert cli("cat", "--range", "5-2", "media:a").status == 2


def test_cat_goes_on_after_a_missing_file(media: tuple[Cli, Path]) -> None:
    cli, root = media
    (root / "a").write_bytes(b"a")
    done = cli("cat", "media:nothing", "media:a")
    assert (done.status, done.out) == (1, "a")
    assert "'nothing'" in done.err
    assert done.err.count("\n") == 1


def test_stat_shows_metadata(site: Cli) -> None:
    (found,) = site("stat", "--json", "media:img/a.png").json
    assert (found["path"], found["size"]) == ("media:img/a.png", 2048)
    text = site("stat", "media:img/b.png", "media:img", environ={"TZ": "UTC"}).out
    assert "size: 3000000 (2.9M)" in text
    assert "last modified: 2001-09-09 01:46:40" in text
    assert "type: directory" in text


def test_du_adds_up_each_directory(site: Cli) -> None:
    assert [line.split() for line in site("du", "media:").lines] == [
        ["5", "1", "media:img-2"],
        ["1", "1", "media:img/old"],
        ["3002049", "3", "media:img"],
        ["3002064", "5", "media:"],
    ]
    assert site("du", "-sh", "media:").out.split() == ["2.9M", "5", "media:"]
    assert [line.split()[2] for line in site("du", "-d", "1", "media:").lines] == [
        "media:img-2",
        "media:img",
        "media:",
    ]
    assert site("du", "-s", "--json", "media:img").json == [
        {"path": "media:img", "bytes": 3002049, "files": 3}
    ]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--name", "*.png", "--size", "+1M"], ["media:img/b.png"]),
        (["--size", "-5"], ["media:img/old/c.png"]),
        (["--size", "2K"], ["media:img/a.png"]),
        (["--type", "d"], ["media:img-2", "media:img", "media:img/old"]),
        (["--name", "c*", "--name", "d*"], ["media:img-2/d.png", "media:img/old/c.png"]),
        (["--older", "7d", "--name", "index*"], ["media:index.html"]),
        (["--newer", "7d"], []),
    ],
)
def test_find_takes_what_passes_all_tests(
    site: Cli, arguments: list[str], expected: list[str]
) -> None:
    done = site("find", "media:", *arguments)
    assert (done.status, done.lines) == (0, expected)


def test_find_writes_paths_that_commands_take(site: Cli) -> None:
    assert site("find", "media:img/old", "-0").out == "media:img/old/c.png\0"
    assert site("find", "media:img/old/", "--json").json[0]["path"] == "media:img/old/c.png"
    (site.directory / "x").mkdir()
    (site.directory / "x/y").touch()
    assert site("find").lines == ["./x", "./x/y"]


def test_url_is_public_or_presigned(configured: Callable[..., Cli], tmp_path: Path) -> None:
    cli = configured(
        media={
            "driver": "local",
            "root": str(tmp_path),
            "base_url": "https://files.test",
            "secret": "0123456789abcdef" * 4,
        }
    )
    assert cli("url", "media:a b.txt").out == "https://files.test/a%20b.txt\n"
    signed = cli("url", "--expires", "1h", "media:a")
    assert signed.out.startswith("https://files.test/a?")
    method, *headers = cli("url", "--upload", "--type", "image/png", "media:a").lines
    assert method.startswith("PUT https://files.test/a?")
    assert "image/png" in " ".join(headers)
    (form,) = cli("url", "--upload", "--json", "media:a").json
    assert form["method"] == "PUT"
    assert cli("url", "--expires", "soon", "media:a").status == 2
    assert cli("url", "./a").status == 2


def test_url_goes_on_after_a_path_that_is_refused(media: tuple[Cli, Path]) -> None:
    cli, _ = media
    done = cli("url", "media:../a", "media:b")
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert "'../a'" in done.err
    assert done.out.endswith("/b\n")


def test_disks_shows_no_option_of_a_disk(configured: Callable[..., Cli], tmp_path: Path) -> None:
    cli = configured(
        media={"driver": "s3", "bucket": "b", "secret_key": "hidden", "layers": ["read_only"]},
        kept={"driver": "${KIND:-local}", "root": str(tmp_path)},
    )
    done = cli("disks", "--json")
    assert "hidden" not in done.out
    kept, media = done.json
    assert (media["name"], media["driver"], media["layers"]) == ("media", "s3", "read_only")
    assert (kept["driver"], kept["layers"]) == ("${KIND:-local}", "")
    assert str(tmp_path) in media["source"]


def test_installed_parts_are_listed_with_their_distributions(cli: Cli) -> None:
    drivers = {row["name"]: row["distribution"] for row in cli("drivers", "--json").json}
    assert drivers["local"] == "jtc-storage-local"
    layers = {row["name"]: row["distribution"] for row in cli("layers", "--json").json}
    assert (layers["read_only"], layers["retry"]) == ("jtc-storage", "jtc-storage-layers")
    commands = {row["name"]: row["distribution"] for row in cli("commands", "--json").json}
    assert commands["ls"] == "jtc-storage-cli"
