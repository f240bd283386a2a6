"""The frame of the program: commands, exit statuses, errors, Ctrl-C and closed pipes."""

from __future__ import annotations

import os
import signal
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jtc.storage.cli._app import BUILT_IN

if TYPE_CHECKING:
    from conftest import Cli


def test_version_is_that_of_the_distribution(cli: Cli) -> None:
    done = cli("--version")
    assert (done.status, done.out) == (0, f"jtc-storage {version('jtc-storage-cli')}\n")


def test_program_without_arguments_is_a_usage_error(cli: Cli) -> None:
    done = cli()
    assert done.status == 2
    assert "jtc-storage --help" in done.err
    assert not done.out


def test_unknown_command_suggests_the_nearest(cli: Cli) -> None:
    done = cli("lss")
    assert (done.status, done.out) == (2, "")
    assert "Did you mean 'ls'?" in done.err


def test_unknown_option_is_a_usage_error_of_one_line(cli: Cli) -> None:
    done = cli("ls", "--zzz")
    assert done.status == 2
    assert done.err == ("jtc-storage: No such option: --zzz. For help: jtc-storage ls --help\n")


def test_missing_argument_shows_all_arguments(cli: Cli) -> None:
    done = cli("get", "media:a.txt")
    assert (done.status, done.out) == (2, "")
    assert "An argument is missing: jtc-storage get [OPTIONS] SOURCE... TARGET. " in done.err


def test_disk_as_an_argument_of_doctor_names_the_option(cli: Cli) -> None:
    done = cli("doctor", "media:")
    assert (done.status, done.out) == (2, "")
    assert "A disk is named by --disk" in done.err


@pytest.mark.parametrize("name", ["", *BUILT_IN])
def test_help_fits_into_eighty_columns(cli: Cli, name: str) -> None:
    done = cli(*filter(None, [name]), "--help", environ={"COLUMNS": "80"})
    assert done.status == 0
    assert [line for line in done.out.splitlines() if len(line) > 80] == []
    assert "{" not in done.out


def test_missing_place_is_one_line_with_disk_path_and_operation(media: tuple[Cli, Path]) -> None:
    cli, _ = media
    done = cli("ls", "media:nothing")
    assert (done.status, done.out) == (1, "")
    assert done.err.count("\n") == 1
    for part in ("jtc-storage: ", "'nothing'", "disk 'media'", "operation 'list'"):
        assert part in done.err


def test_debug_shows_the_traceback(media: tuple[Cli, Path]) -> None:
    cli, _ = media
    for done in (
        cli("--debug", "ls", "media:nothing"),
        cli("ls", "media:nothing", "--debug"),
        cli("ls", "media:nothing", environ={"JTC_STORAGE_DEBUG": "1"}),
    ):
        assert done.status == 1
        assert "Traceback" in done.err


def test_config_option_takes_the_place_of_the_variable(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    file = tmp_path / "other.toml"
    file.write_text(f'[disks.other]\ndriver = "local"\nroot = "{tmp_path}"\n')
    for done in (
        cli("--config", str(file), "ls", "other:"),
        cli("ls", "other:", "--config", str(file)),
    ):
        assert (done.status, done.err) == (0, "")
        assert "a.txt" in done.lines


def test_unreadable_configuration_is_a_usage_error(cli: Cli) -> None:
    done = cli("--config", "missing.toml", "ls", "s3:")
    assert done.status == 2
    assert "missing.toml" in done.err
    assert done.err.count("\n") == 1


def test_closed_pipe_ends_without_a_traceback(media: tuple[Cli, Path]) -> None:
    cli, root = media
    for number in range(3000):
        (root / f"a-file-with-a-long-name-{number}").touch()
    with subprocess.Popen(
        cli.command("ls", "media:"),
        env=cli.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_full_standard_output_is_an_error_of_one_line(media: tuple[Cli, Path]) -> None:
    cli, root = media
    (root / "a.txt").touch()
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            cli.command("ls", "media:"),
            env=cli.environ,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == (
        "jtc-storage: Standard output cannot be written: No space left on device\n"
    )


@pytest.mark.parametrize("arguments", [["--version"], ["ls"]])
def test_closed_standard_output_is_an_error_of_one_line(cli: Cli, arguments: list[str]) -> None:
    (cli.directory / "a.txt").touch()
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" >&-', "sh", *cli.command(*arguments)],
        cwd=cli.directory,
        env=cli.environ,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "jtc-storage: Standard output is closed\n")


def test_program_of_the_core_is_the_same(cli: Cli) -> None:
    assert cli.command()[1:] == ["-m", "jtc.storage"]
    ours = subprocess.run(
        ["jtc-storage", "--version"],
        env={
            **cli.environ,
            "PATH": os.pathsep.join([str(Path(cli.command()[0]).parent), os.environ["PATH"]]),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert ours.stdout == cli.process("--version").out


SLOW = """
import asyncio, sys
from jtc.storage.cli._running import run

async def work():
    print("started", flush=True)
    try:
        await asyncio.sleep(60)
    finally:
        await asyncio.sleep({seconds})
        print("tidied", flush=True)

from jtc.storage.cli import _app
_app._Commands.get_command = lambda self, ctx, name: _app._built_in("slow", self)
class slow:
    EXAMPLES = ()
    command = staticmethod(lambda: run(work()))
sys.modules["jtc.storage.cli._commands.slow"] = slow
_app.BUILT_IN["slow"] = _app._BuiltIn("slow", "", "")
sys.exit(_app.run_program(["slow"]))
"""


def interrupted(cli: Cli, *signals: int, seconds: float) -> tuple[int, str, str]:
    """Send signals to a command that waits; return its status, output and errors."""
    with subprocess.Popen(
        [cli.command()[0], "-c", SLOW.format(seconds=seconds)],
        env=cli.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "started\n"
        errors = ""
        for number in signals:
            process.send_signal(number)
            if not errors:
                errors = process.stderr.readline()
        out, rest = process.communicate(timeout=20)
    return process.returncode, out, errors + rest


def test_ctrl_c_cancels_and_waits(cli: Cli) -> None:
    status, out, errors = interrupted(cli, signal.SIGINT, seconds=0.1)
    assert (status, out) == (130, "tidied\n")
    assert errors.count("\n") == 1
    assert "interrupted" in errors


def test_second_ctrl_c_ends_at_once(cli: Cli) -> None:
    status, out, errors = interrupted(cli, signal.SIGINT, signal.SIGINT, seconds=60)
    assert (status, out) == (-signal.SIGINT, "")  # which a shell shows as 130
    assert errors.count("\n") == 1


def test_sigterm_cancels_and_waits(cli: Cli) -> None:
    status, out, _ = interrupted(cli, signal.SIGTERM, seconds=0.1)
    assert (status, out) == (143, "tidied\n")
