"""The commands `put`, `get` and `cp`: options, streams, and what a user sees."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Cli, Inside


def test_put_gives_new_files_what_the_options_say(inside: Inside) -> None:
    inside.make({"a.bin": "a"}, inside.directory)
    done = inside(
        "put",
        "--type=text/plain",
        "--cache-control=max-age=60",
        "--metadata=Owner=me",
        "--metadata=note=a=b",
        "--visibility=public",
        "a.bin",
        "media:",
    )
    assert done.status == 0
    (found,) = inside("stat", "--json", "media:a.bin").json
    assert found["content_type"] == "text/plain"
    assert found["cache_control"] == "max-age=60"
    assert found["metadata"]["owner"] == "me"
    assert found["metadata"]["note"] == "a=b"
    assert (inside.root / "a.bin").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--visibility=secret", "a", "media:"], "--visibility is public or private"),
        (["--metadata=novalue", "a", "media:"], "--metadata is NAME=VALUE"),
        (["--bwlimit=fast", "a", "media:"], "--bwlimit is a size"),
        (["--exclude={", "a", "media:"], "'{'"),
        (["--transfers=0", "a", "media:"], "--transfers"),
    ],
)
def test_put_refuses_values_that_are_none(inside: Inside, arguments: list[str], words: str) -> None:
    inside.make({"a": "a"}, inside.directory)
    done = inside("put", *arguments)
    assert done.status == 2
    assert words in done.err
    assert inside.tree() == {}


def test_put_reads_standard_input(inside: Inside) -> None:
    done = inside("put", "-v", "-", "media:in/x.txt", stdin="from a pipe")
    assert (done.status, done.lines) == (0, ["+ media:in/x.txt"])
    assert inside.tree() == {"in/x.txt": "from a pipe"}
    done = inside("put", "--ignore-existing", "-", "media:in/x.txt", stdin="new")
    assert "1 unchanged" in done.err
    assert inside.tree() == {"in/x.txt": "from a pipe"}


def test_get_writes_to_standard_output(inside: Inside) -> None:
    inside.make({"a": "a\n", "b": "b\n"})
    assert inside("get", "media:a", "media:b", "-").out == "a\nb\n"
    done = inside("get", "media:missing", "-")
    assert (done.status, done.out) == (1, "")


def test_put_and_get_take_named_pipes(inside: Inside) -> None:
    pipe = inside.directory / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=("through",))
    writer.start()
    assert inside("put", "pipe", "media:x").status == 0
    writer.join()
    assert inside.tree() == {"x": "through"}
    with subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE, text=True) as reader:
        assert inside("get", "media:x", "pipe").status == 0
        assert reader.communicate()[0] == "through"
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_get_into_a_device_leaves_the_device(inside: Inside) -> None:
    inside.make({"x": "x"})
    device = Path(os.devnull).stat()
    assert inside("get", "media:x", os.devnull).status == 0
    assert Path(os.devnull).stat().st_rdev == device.st_rdev


def test_get_writes_through_a_link_and_keeps_the_time(inside: Inside) -> None:
    inside.make({"new": "new"}, inside.directory)
    os.utime(inside.directory / "new", ns=(0, 1_600_000_000_250_000_000))
    inside.make({"real": "old"}, inside.directory)
    (inside.directory / "link").symlink_to("real")
    assert inside("put", "new", "media:x").status == 0
    assert inside("get", "media:x", "link").status == 0
    assert (inside.directory / "link").is_symlink()
    assert (inside.directory / "real").read_text() == "new"


@pytest.mark.parametrize("command", ["put", "cp"])
def test_ignore_existing_keeps_files_that_are_there(inside: Inside, command: str) -> None:
    inside.make({"a": "new", "b": "new"}, inside.directory)
    inside.make({"a": "old"})
    done = inside(command, "--ignore-existing", "-v", "a", "b", "media:")
    assert (done.status, done.lines) == (0, ["+ media:b"])
    assert "put 1 file, 3 bytes; 1 unchanged, in " in done.err.replace("copied", "put")
    assert inside.tree() == {"a": "old", "b": "new"}


def test_dry_run_writes_the_lines_of_the_real_run(inside: Inside) -> None:
    inside.make({"a": "a", "b": "b"}, inside.directory)
    inside.make({"old/a": "old"})
    for command in (["put", "a", "b", "media:old"], ["cp", "a", "media:new/"]):
        before = inside.tree()
        shown = inside(command[0], "--dry-run", *command[1:])
        assert inside.tree() == before
        assert shown.err.startswith("dry run, nothing is done; it would ")
        done = inside(command[0], "-v", *command[1:])
        assert sorted(shown.lines) == sorted(done.lines)


def test_put_reports_a_file_that_fails_and_goes_on(inside: Inside) -> None:
    inside.make({"a": "a", "b": "b"}, inside.directory)
    inside.make({"a/x": "x"})  # a file cannot have the name of a directory
    done = inside("put", "a", "b", "media:")
    assert done.status == 1
    assert "'a'" in done.err
    assert "put 1 file, 1 byte; 1 failed" in done.err
    assert inside.tree() == {"a/x": "x", "b": "b"}


def test_json_has_a_line_for_each_file(inside: Inside) -> None:
    inside.make({"a": "a"}, inside.directory)
    done = inside("put", "--json", "-q", "a", "media:x")
    assert done.err == ""
    assert done.json == [{"action": "copy", "sign": "+", "path": "media:x", "size": 1}]


def test_quiet_says_nothing(inside: Inside) -> None:
    inside.make({"a": "a"}, inside.directory)
    done = inside("put", "-q", "a", "media:x")
    assert (done.status, done.out, done.err) == (0, "", "")


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """Make a directory; until the test ends, this process may not read all as root may."""
    place = Path(tempfile.mkdtemp(prefix="jtc-unprivileged-"))
    other = 65534
    if is_root := os.geteuid() == 0:
        os.chown(place, other, other)
        os.setegid(other)
        os.seteuid(other)
    try:
        yield place
    finally:
        if is_root:
            os.seteuid(0)
            os.setegid(0)
        shutil.rmtree(place)


def test_what_may_not_be_read_is_an_error_and_cancels_deletions(
    cli: Cli, unprivileged: Path
) -> None:
    site, root = unprivileged / "site", unprivileged / "disk"
    for path in (
        site / "a",
        site / "closed/b.html",
        site / "c",
        root / "closed/b.html",
        root / "d",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(path.name)
    (site / "closed").chmod(0)
    (site / "c").chmod(0)
    file = unprivileged / "storage.toml"
    tables = {"media": root, "here": site}.items()
    file.write_text("".join(f"[disks.{n}]\ndriver='local'\nroot='{r}'\n" for n, r in tables))
    cli.directory, cli.environ["FILESYSTEM_CONFIG"] = unprivileged, str(file)
    command = ("sync", "--delete", "--yes")
    for source in ("site", "here:"):
        for options in (["--exclude", "c"], ["--include", "*.html"], []):
            done = cli(*command, *options, source, "media:")
            assert done.status == 1
            assert "the files below it are left out: Permission denied: 'closed'" in done.err
            assert "nothing is deleted" in done.err
            assert (root / "closed/b.html").exists()
            assert (root / "d").exists()
    assert "'c'" in done.err
    assert (root / "a").exists()
    done = cli("sync", "--delete", "--dry-run", "--exclude", "c", "site", "media:")
    assert (done.status, done.out) == (1, "! closed\n")
    assert "nothing is deleted" in done.err
    done = cli("check", "--exclude", "c", "site", "media:")
    assert (done.status, done.out) == (1, "! closed/\n- d\n")
    done = cli("check", "--exclude", "c", "media:", "site")
    assert (done.status, done.out) == (1, "! closed/\n+ d\n")
    done = cli(*command, "--exclude", "closed/**", "--exclude", "c", "site", "media:")
    assert done.status == 0, done.err
    assert (root / "closed/b.html").exists()
    assert not (root / "d").exists()
    (site / "closed").chmod(0o755)
