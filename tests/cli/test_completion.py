"""Completion in real shells, and what the program answers them."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jtc.storage.cli._completion import paths
from terminal import Terminal

if TYPE_CHECKING:
    from conftest import Cli

SHELLS = {
    "bash": ["--norc", "--noprofile", "-i"],
    "zsh": ["-f", "-i"],
    "fish": ["--no-config", "--interactive"],
}


def answers(cli: Cli, line: str) -> list[str]:
    """Return what the program answers a shell."""
    environ = {"_JTC_STORAGE_COMPLETE": "line", "_JTC_STORAGE_LINE": line}
    return [line for line in cli(environ=environ).lines if line]


@pytest.fixture
def photos(media: tuple[Cli, Path]) -> Cli:
    cli, root = media
    (root / "photos of may").mkdir()
    (root / "photos of may/1:2.jpg").write_bytes(b"x")
    (root / "notes.txt").write_bytes(b"x")
    return cli


@pytest.mark.parametrize("shell", SHELLS)
def test_shell_completes_disks_and_paths(photos: Cli, shell: str, tmp_path: Path) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"needs {shell}: tests/install_tools.sh")
    script = tmp_path / "script"
    script.write_text(photos("--show-completion", shell).out)
    environ = {
        **photos.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path),
        "XDG_DATA_HOME": str(tmp_path),
        "PS1": "ready> ",
        "LC_ALL": "C.UTF-8",
    }
    with Terminal(
        [program, *SHELLS[shell]], environ=environ, directory=photos.directory, columns=200
    ) as terminal:
        terminal.send(f"source {script}; echo sour''ced\n")
        terminal.wait_for("sourced\n")
        terminal.send("jtc-storage ca\t")
        terminal.wait_for("jtc-storage cat")
        terminal.send("med\t")
        terminal.wait_for("cat media:")
        terminal.send("ph\t")
        terminal.wait_for(r"media:photos\\ of\\ may/")
        terminal.send("1\t")
        terminal.wait_for(r"may/1(\\?:)2.jpg")
        terminal.send("&& echo fou''nd\n")
        terminal.wait_for("xfound")


def test_commands_are_completed(cli: Cli) -> None:
    assert answers(cli, "jtc-storage l") == ["ls", "layers"]
    assert "ls" in answers(cli, "jtc-storage ")
    assert "--recursive" in answers(cli, "jtc-storage ls --")
    assert "--version" in answers(cli, "jtc-storage --v")


def test_disks_and_paths_are_completed(photos: Cli) -> None:
    (photos.directory / "medley").mkdir()
    assert answers(photos, "jtc-storage ls me") == ["media:", "medley/"]
    assert answers(photos, "jtc-storage ls media:") == ["media:notes.txt", "media:photos of may/"]
    assert answers(photos, "jtc-storage cat 'media:photos of may/") == [
        "media:photos of may/1:2.jpg"
    ]
    assert answers(photos, "jtc-storage ls ./me") == ["./medley/"]


def test_option_config_counts_in_completion(photos: Cli) -> None:
    config = photos.environ.pop("FILESYSTEM_CONFIG")
    assert answers(photos, "jtc-storage ls media:") == []
    assert answers(photos, f"jtc-storage --config {config} ls med") == ["media:"]


def test_completion_of_a_broken_disk_is_silent(cli: Cli) -> None:
    done = cli(
        environ={
            "_JTC_STORAGE_COMPLETE": "line",
            "_JTC_STORAGE_LINE": "jtc-storage ls s3:a",
            "FILESYSTEM_CONFIG": "missing.toml",
        }
    )
    assert (done.out.strip(), done.err) == ("", "")


def test_completion_of_a_silent_server_ends(
    configured: Callable[..., Cli], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        cli = configured(
            media={
                "driver": "s3",
                "bucket": "b",
                "endpoint_url": f"http://127.0.0.1:{server.getsockname()[1]}",
                "access_key": "a",
                "secret_key": "b",
            }
        )
        assert answers(cli, "jtc-storage ls media:a") == []


def test_unknown_shell_has_no_completion(cli: Cli) -> None:
    done = cli("--show-completion", "csh")
    assert done.status == 2
    assert "bash, zsh and fish" in done.err


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_install_completion_adds_one_line(cli: Cli, shell: str, tmp_path: Path) -> None:
    start = tmp_path / f".{shell}rc"
    start.write_text("alias a=b")
    environ = {"HOME": str(tmp_path), "XDG_DATA_HOME": "", "ZDOTDIR": ""}
    for _ in range(2):
        done = cli("--install-completion", shell, environ=environ)
        assert done.status == 0
    file = tmp_path / f".local/share/jtc-storage/completion.{shell}"
    assert start.read_text() == f"alias a=b\nsource {file}\n"
    assert file.read_text() == cli("--show-completion", shell).out


def test_install_completion_of_fish_is_a_file_that_it_reads(cli: Cli, tmp_path: Path) -> None:
    done = cli("--install-completion", "fish", environ={"XDG_CONFIG_HOME": str(tmp_path)})
    assert done.status == 0
    file = tmp_path / "fish/completions/jtc-storage.fish"
    assert file.read_text() == cli("--show-completion", "fish").out
