"""What is written: on terminals, into files, in other encodings, and without secrets."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jtc.storage.cli._exits import Failed, UsageError
from jtc.storage.cli._options import duration, size
from jtc.storage.cli._terminal import output
from jtc.storage.cli._terminal.output import size_text, time_text
from jtc.storage.cli._terminal.progress import bar
from jtc.storage.cli._terminal.questions import confirm
from jtc.storage.transfers import TransferProgress
from terminal import Terminal

if TYPE_CHECKING:
    from conftest import Cli


def on_terminal(directory: Path, function: Callable[[], int], **environ: str) -> Terminal:
    """Run a function on a terminal until its end."""
    with Terminal(
        function, environ={"PATH": os.environ["PATH"], **environ}, directory=directory
    ) as terminal:
        terminal.wait()
    return terminal


@pytest.mark.parametrize(
    ("bytes_", "text"),
    [
        (0, "0"),
        (1023, "1023"),
        (1024, "1.0K"),
        (10_189, "10K"),
        (1_048_575, "1.0M"),
        (1_500_000, "1.4M"),
        (5 * 1024**4, "5.0T"),
        (3 * 1024**7, "3072E"),
    ],
)
def test_size_text_has_two_digits_or_more(bytes_: int, text: str) -> None:
    assert size_text(bytes_) == text


def test_time_text_takes_any_time() -> None:
    assert len(time_text(0)) == len(time_text(1e18)) == 19


@pytest.mark.parametrize(
    ("text", "bytes_"),
    [("0", 0), ("512B", 512), ("1k", 1024), ("1.5M", 1_572_864), ("2GiB", 2 * 1024**3)],
)
def test_size_takes_units_of_1024(text: str, bytes_: int) -> None:
    assert size(text, "--size") == bytes_


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("1.5h", 5400),
        ("1h30m", 5400),
        ("500ms", 0.5),
        ("2w", 1_209_600),
        ("1M", 2_592_000),
    ],
)
def test_duration_takes_rclones_units(text: str, seconds: float) -> None:
    assert duration(text, "--older") == seconds


@pytest.mark.parametrize("text", ["", "-1", "1x", "h", "1h 2m", "\N{FULLWIDTH DIGIT ONE}"])
def test_sizes_and_durations_refuse_other_texts(text: str) -> None:
    with pytest.raises(UsageError, match="--size is a size"):
        size(text, "--size")
    with pytest.raises(UsageError, match="--older is a duration"):
        duration(text, "--older")


NAMES = "a\x1b[31mb", "c\u202ed", "e\nf"
SHOW = "from jtc.storage.cli._terminal.output import *; [write(printable(each)) for each in {!r}]"


def test_names_are_escaped_on_a_terminal_only(tmp_path: Path) -> None:
    def show() -> int:
        output.set_up_streams()
        for name in NAMES:
            output.write(output.printable(name))
        return 0

    terminal = on_terminal(tmp_path, show)
    assert terminal.text.splitlines() == ["a\\x1b[31mb", "c\\u202ed", "e\\nf"]
    assert b"\x1b[31m" not in terminal.raw
    piped = subprocess.run(
        [sys.executable, "-c", SHOW.format(NAMES)], capture_output=True, check=True
    )
    assert piped.stdout.decode() == "".join(f"{name}\n" for name in NAMES)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_names_are_written_in_any_encoding(media: tuple[Cli, Path], encoding: str) -> None:
    cli, root = media
    (root / "größe-写真").touch()
    done = subprocess.run(
        cli.command("ls", "media:"),
        env={**cli.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
        capture_output=True,
        check=True,
    )
    expected = "größe-写真\n".encode(encoding, "backslashreplace")
    assert (done.stdout, done.stderr) == (expected, b"")


def test_json_has_ascii_only(media: tuple[Cli, Path]) -> None:
    cli, root = media
    (root / "größe").touch()
    done = cli("ls", "--json", "media:")
    assert done.out.isascii()
    assert done.json[0]["path"] == "größe"


@pytest.mark.parametrize(
    ("environ", "shows"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
)
def test_colours_are_for_terminals_that_want_them(
    media: tuple[Cli, Path], environ: dict[str, str], shows: bool
) -> None:
    cli, root = media
    (root / "directory").mkdir()
    command = ["/usr/bin/env", *(f"{name}={value}" for name, value in environ.items())]
    with Terminal(
        [*command, *cli.command("ls", "media:")], environ=cli.environ, directory=cli.directory
    ) as terminal:
        assert terminal.wait() == 0
    assert terminal.text == "directory/"
    assert (b"\x1b[" in terminal.raw) == shows
    assert cli("ls", "media:").out == "directory/\n"


def question(yes: bool = False) -> int:
    try:
        confirm("Delete all?", yes=yes)
    except Failed as failed:
        return failed.status
    except KeyboardInterrupt:
        return 130
    return 0


@pytest.mark.parametrize(
    ("answer", "status"),
    [("y\n", 0), ("YES\n", 0), ("n\n", 1), ("\n", 1), ("\x04", 1), ("\x03", 130)],
)
def test_question_is_answered_on_the_terminal(tmp_path: Path, answer: str, status: int) -> None:
    with Terminal(question, environ={}, directory=tmp_path) as terminal:
        terminal.wait_for(r"Delete all\? \[y/N\]")
        terminal.send(answer)
        assert terminal.wait() == status


def test_question_is_never_asked_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="needs --yes"):
        confirm("Delete all?", yes=False)
    confirm("Delete all?", yes=True)
    assert capsys.readouterr() == ("", "")


def show_bar() -> int:
    with bar("copy") as progress:
        if progress is None:
            return 3
        for number in range(1, 4):
            output.write(f"line {number}")
            progress(
                TransferProgress(
                    files=number, bytes=number * 100, total_files=3, total_bytes=300, path="a"
                )
            )
    output.write("end")
    return 0


def test_bar_is_shown_on_a_terminal_and_lines_above_it(tmp_path: Path) -> None:
    terminal = on_terminal(tmp_path, show_bar)
    assert terminal.status == 0
    assert terminal.text.splitlines() == ["line 1", "line 2", "line 3", "end"]
    assert "copy" in terminal.raw.decode()
    assert "3/3 files" in terminal.raw.decode()


def test_bar_is_not_shown_elsewhere(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert show_bar() == 3
    assert capsys.readouterr() == ("", "")

    def on_dumb_terminal() -> int:
        os.environ["TERM"] = "dumb"
        return show_bar()

    assert on_terminal(tmp_path, on_dumb_terminal).status == 3


def test_traceback_shows_no_secret(configured: Callable[..., Cli]) -> None:
    for options in ({"secret_key": "hidden-key", "bucket": "b", "nothing": "x"}, {"bucket": 7}):
        cli = configured(media={"driver": "s3", "access_key": "hidden-id", **options})
        done = cli("--debug", "ls", "media:")
        assert done.status == 2
        assert "Traceback" in done.err
        assert "hidden" not in done.err


def test_warnings_of_the_library_are_plain_lines(cli: Cli) -> None:
    done = cli("ls", "local:", environ={"FILESYSTEM_DRIVER": "s3"})
    assert done.status == 0
    done = cli("disks", environ={"FILESYSTEM_DRIVER": "s3"})
    assert "jtc-storage: FILESYSTEM_DRIVER has no effect: set FILESYSTEM_DISK\n" in done.err


def test_program_writes_in_blocks_in_spite_of_pythonunbuffered(media: tuple[Cli, Path]) -> None:
    cli, root = media
    for number in range(400):
        (root / f"file-{number}").touch()
    trace = cli.directory / "trace"
    done = subprocess.run(
        ["strace", "-f", "-e", "trace=write", "-o", str(trace), *cli.command("ls", "-l", "media:")],
        env={**cli.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        check=True,
    )
    assert done.stdout.count(b"\n") == 400
    assert trace.read_text().count("write(1,") < 20
