"""Generator of the examples in docs/cli.md, and of its picture: each command is run on a terminal.

A block ``console`` of the page has commands, each after ``$``; what follows is what they write.
``--check`` says whether the page and the picture are what the commands write today.
"""

from __future__ import annotations

import argparse
import copy
import difflib
import importlib
import os
import re
import shlex
import sys
import tempfile
from html import unescape
from pathlib import Path
from typing import Any

from pyte.screens import Char

DOCS = Path(__file__).parent
PAGE = DOCS / "cli.md"
PICTURE = DOCS / "cli.svg"

sys.path.insert(0, str(DOCS.parent / "tests" / "support"))

from terminal_picture import svg  # noqa: E402

from jtc.storage.cli._app import BUILT_IN, run_program  # noqa: E402
from terminal import Terminal  # noqa: E402

SHOWN_AS = "/srv/app"
"""The directory in which the examples are run, as the page has it."""

CONFIGURATION = """\
default = "media"

[disks.media]
driver = "local"
root = "media"
base_url = "https://media.example.com"
secret = "${MEDIA_SECRET}"

[disks.backup]
driver = "local"
root = "/srv/backup"
layers = [{name = "retry", attempts = 4}]
"""

ANSWERS = {"[y/N] ": "y\n"}
"""What is typed after a question."""

SESSION = [
    "jtc-storage ls -lh media:",
    "jtc-storage tree --sizes media:photos",
    "jtc-storage du -h media:",
    "jtc-storage sync --bwlimit 8M media: backup:",
    "jtc-storage rm -r media:photos/2025",
    "jtc-storage sync --delete media: backup:",
    "jtc-storage rm -r backup:",
    "jtc-storage ls medai:photos",
]
"""The commands of the picture."""

WIDTH = 100
"""The columns of the picture's terminal."""

PLAIN = Char(" ", bold=True)
PROMPT = Char(" ", fg="green", bold=True)

FILES = {
    "media/index.html": 5_120,
    "media/notes.txt": 1_234,
    "media/photos/2025/harbour.jpg": 2_411_724,
    "media/photos/2026/may/boats.jpg": 1_887_437,
    "media/photos/2026/may/gulls.jpg": 943_718,
    "media/photos/2026/may/list.csv": 611,
    "site/index.html": 2_048,
    "site/style.css": 512,
    "site/img/logo.png": 4_096,
}
"""The files of the examples with their lengths."""


def prepare(directory: Path) -> dict[str, str]:
    """Make the files of the examples; return the environment of the commands."""
    (directory / "storage.toml").write_text(
        CONFIGURATION.replace("/srv/backup", str(directory / "backup"))
    )
    for number, (name, size) in enumerate(FILES.items()):
        file = directory / name
        file.parent.mkdir(parents=True, exist_ok=True)
        line = b"All work is done at the prompt.\n" if size % 1024 else b"<p>Files</p>\n"
        file.write_bytes((line * (size // len(line) + 1))[:size])
        modified = 1_780_000_000 + 3_917 * number
        os.utime(file, (modified, modified))
    kept = {name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ}
    return {
        **kept,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "TZ": "UTC",
        "FILESYSTEM_CONFIG": "storage.toml",
        "MEDIA_SECRET": "0123456789abcdef" * 4,
    }


def run(command: str, directory: Path, environ: dict[str, str], columns: int) -> Terminal:
    """Run a command on a terminal until its end, and answer its questions."""
    arguments = shlex.split(command)
    plain = arguments[0] == "jtc-storage" and not set("|<>;&") & set(command)
    with Terminal(
        (lambda: run_program(arguments[1:])) if plain else ["/bin/sh", "-c", command],
        environ=environ,
        directory=directory,
        columns=columns,
        rows=60,
    ) as terminal:
        terminal.answers = dict(ANSWERS)
        terminal.wait()
    return terminal


def settled(text: str, directory: Path) -> str:
    """Return what a command wrote, without what differs each time."""
    text = text.replace(str(directory), SHOWN_AS)
    text = re.sub(r"(signature|sig)=[\w-]+", r"\1=…", text)
    text = re.sub(r"in \d+\.\d+ s\b", "in 0.1 s", text)
    return re.sub(r"expires=\d+", "expires=1795700000", text)


def page(text: str) -> str:
    """Return the page with what its commands write."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name).resolve()
        environ = prepare(directory)

        def block(found: re.Match[str]) -> str:
            parts = []
            for command in re.findall(r"^\$ (.*)$", found[1], re.MULTILINE):
                terminal = run(command, directory, environ, columns=160)
                written = settled(terminal.text, directory)
                parts.append(f"$ {command}\n{written}\n" if written else f"$ {command}\n")
            return f"```console\n{''.join(parts)}```"

        return re.sub(r"^```console\n(.*?)^```", block, text, flags=re.DOTALL | re.MULTILINE)


def picture() -> tuple[str, list[str]]:
    """Return the picture of the session, and its lines without what differs each time."""
    lines: list[list[Any]] = []
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name).resolve()
        environ = prepare(directory)
        for command in SESSION:
            lines += _typed(command)
            lines += _shown(command, directory, environ)
            lines.append(_typed("")[0][:0])
    texts = ["".join(each.data for each in line).rstrip() for line in lines]
    return svg(lines[:-1], "A session of jtc-storage"), [_without_speed(text) for text in texts]


def _shown(command: str, directory: Path, environ: dict[str, str]) -> list[list[Any]]:
    """Return the lines of a command's screen; of one with a bar, also those with the bar."""
    arguments = shlex.split(command)[1:]
    with Terminal(
        lambda: run_program(arguments), environ=environ, directory=directory, columns=WIDTH, rows=40
    ) as terminal:
        terminal.answers = dict(ANSWERS)
        lines = []
        if "--bwlimit" in arguments:
            terminal.wait_for(r"━.* [3-6]\d%|━.*/s")
            lines = _filled(terminal)
        terminal.wait()
        return lines + _filled(terminal)


def _filled(terminal: Terminal) -> list[list[Any]]:
    lines = [copy.copy(line) for line in terminal.lines]
    while lines and not "".join(each.data for each in lines[-1]).strip():
        lines.pop()
    return lines


def _typed(command: str) -> list[list[Any]]:
    """Return the line of a prompt and a command."""
    characters = [PROMPT._replace(data=each) for each in "$ "]
    return [characters + [PLAIN._replace(data=each) for each in command]]


def _without_speed(text: str) -> str:
    """Return a line without what differs each time: a bar and its speed, seconds."""
    return re.sub(r"in \d+\.\d+ s\b", "in 0.1 s", text.partition("━")[0])


def main() -> int:
    """Write the page and the picture, or check them."""
    # Once, and not in each of the children that run the commands.
    for name in ("jtc.storage.drivers.local_driver", "jtc.storage.layers.retry", "rich.progress"):
        importlib.import_module(name)
    for command in BUILT_IN.values():
        importlib.import_module(f"jtc.storage.cli._commands.{command.module}")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    before = PAGE.read_text(encoding="utf-8")
    after = page(before)
    drawn, texts = picture()
    if not check:
        PAGE.write_text(after, encoding="utf-8")
        PICTURE.write_text(drawn, encoding="utf-8")
        return 0
    shown = _texts_of(PICTURE.read_text(encoding="utf-8"))
    wanted = [text for line in texts if (text := "".join(line.split()))]
    difference = [
        *difflib.unified_diff(before.splitlines(), after.splitlines(), "cli.md", lineterm=""),
        *difflib.unified_diff(shown, wanted, "cli.svg", lineterm=""),
    ]
    sys.stdout.write("".join(f"{line}\n" for line in difference))
    if difference:
        sys.stdout.write("docs/cli.md or docs/cli.svg is old: run `make cli`\n")
    return bool(difference)


def _texts_of(drawn: str) -> list[str]:
    """Return the lines of a picture, as `picture` does."""
    lines: dict[str, list[str]] = {}
    for y, text in re.findall(r'<text [^>]*y="(\d+)"[^>]*>([^<]*)</text>', drawn):
        lines.setdefault(y, []).append(unescape(text).replace("\N{NO-BREAK SPACE}", " "))
    return ["".join(_without_speed("".join(texts)).split()) for texts in lines.values()]


if __name__ == "__main__":
    sys.exit(main())
