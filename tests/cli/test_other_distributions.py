"""Commands of other distributions, by entry points: third parties', the attachments', S3's."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Cli

    from seaweedfs import SeaweedFS

MODULE = '''
import typer

from jtc.storage import Storage, StorageException

app = typer.Typer()

@app.command()
def greet(name: str, loud: bool = False) -> None:
    """Greet someone."""
    print(f"hello {name}{'!' * loud}")

@app.command()
def fail() -> None:
    raise StorageException("It failed", disk="media", path="a")

one = typer.Typer()

@one.command()
def only(name: str = "x") -> None:
    print(f"only {name}")

def function(arguments: list[str]) -> int:
    print(arguments)
    return len(arguments)

def refuse(arguments: list[str]) -> int:
    raise SystemExit("refused")

number = 7
'''


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that installs a distribution with commands."""
    monkeypatch.syspath_prepend(str(tmp_path / "site"))

    def install(distribution: str, **commands: str) -> None:
        info = tmp_path / f"site/{distribution}-1.2.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Name: {distribution}\nVersion: 1.2\n")
        entries = "".join(f"{name} = {value}\n" for name, value in commands.items())
        (info / "entry_points.txt").write_text(f"[jtc.storage.commands]\n{entries}")
        (tmp_path / "site/acme_commands.py").write_text(MODULE)
        sys.modules.pop("acme_commands", None)

    return install


def test_typer_of_another_distribution_is_a_command(cli: Cli, acme: Callable[..., None]) -> None:
    acme("acme", acme="acme_commands:app", single="acme_commands:one")
    assert cli("acme", "greet", "you", "--loud").out == "hello you!\n"
    assert cli("single", "--name", "y").out == "only y\n"
    assert "Greet someone." in cli("acme", "greet", "--help").out
    assert cli("acme", "greet").status == 2
    done = cli("acme", "fail")
    assert (done.status, done.err) == (1, "jtc-storage: It failed: 'a' (disk 'media')\n")


def test_function_of_another_distribution_takes_its_arguments(
    cli: Cli, acme: Callable[..., None]
) -> None:
    acme("acme", acme="acme_commands:function", refusing="acme_commands:refuse")
    done = cli("acme", "--help", "-x", "y", "--", "--config")
    assert (done.status, done.out) == (5, "['--help', '-x', 'y', '--', '--config']\n")
    assert cli("acme").status == 0
    assert cli("refusing").status == 1


def test_broken_entry_point_breaks_its_command_only(cli: Cli, acme: Callable[..., None]) -> None:
    acme("acme", broken="acme_commands:missing", number="acme_commands:number")
    done = cli("broken")
    assert done.status == 1
    assert "'broken' of acme cannot be imported (AttributeError" in done.err
    assert done.err.count("\n") == 1
    assert "neither a typer.Typer nor a function" in cli("number").err
    assert cli("ls").status == 0
    assert "broken" in cli("--help").out
    assert {"name": "broken", "distribution": "acme", "version": "1.2"} in cli(
        "commands", "--json"
    ).json


def test_command_of_two_distributions_is_refused(cli: Cli, acme: Callable[..., None]) -> None:
    acme("acme", same="acme_commands:app")
    acme("other", same="acme_commands:app")
    done = cli("same", "greet", "x")
    assert done.status == 1
    assert "acme" in done.err
    assert "other" in done.err


def test_entry_point_replaces_no_command_of_ours(cli: Cli, acme: Callable[..., None]) -> None:
    acme("acme", ls="acme_commands:function")
    (cli.directory / "a.txt").touch()
    assert cli("ls").out == "a.txt\n"


def test_commands_of_attachments_are_there(cli: Cli) -> None:
    assert "usage: jtc-storage attachments" in cli("attachments", "--help").out
    done = cli("attachments", "--app", "nothing.there:registry", "purge")
    assert done.status == 2
    assert "nothing.there" in done.err


def test_uploads_sweep_aborts_what_was_never_finished(
    configured: Callable[..., Cli], seaweedfs: SeaweedFS
) -> None:
    cli = configured(
        media={"driver": "s3", "bucket": seaweedfs.bucket, **seaweedfs.options},
        files={"driver": "local"},
    )
    client = seaweedfs.client()
    for number in range(2):
        client.create_multipart_upload(Bucket=seaweedfs.bucket, Key=f"sweep/{number}")

    def left() -> list[str]:
        found = client.list_multipart_uploads(Bucket=seaweedfs.bucket, Prefix="sweep/")
        return [upload["Key"] for upload in found.get("Uploads", [])]

    assert cli("uploads", "sweep", "media:", "--older-than", "1h").out == "aborted: 0\n"
    done = cli("uploads", "sweep", "media:", "--older-than", "0s", "--dry-run")
    assert done.lines[-1] == "would be aborted: 2"
    assert [line.rpartition(" ")[2] for line in done.lines[:-1]] == ["sweep/0", "sweep/1"]
    assert left() == ["sweep/0", "sweep/1"]
    swept = cli("uploads", "sweep", "media", "--older-than", "0s", "--json")
    assert [found["path"] for found in swept.json] == ["sweep/0", "sweep/1"]
    assert left() == []
    done = cli("uploads", "sweep", "files:", "--older-than", "1d")
    assert done.status == 2
    assert "LocalDriver" in done.err
    assert cli("uploads", "sweep", "media:", "--older-than", "soon").status == 2
