"""The command `bench`."""

from __future__ import annotations

import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Cli, Inside

    from seaweedfs import SeaweedFS

FEW = ("--files", "5", "--size", "1K", "--large", "64K", "--transfers", "3")
OPERATIONS = [
    *((name, 1, 1024) for name in ("put", "stat", "get", "delete")),
    *((name, 3, 1024) for name in ("put", "stat", "get", "delete")),
    *((name, 1, 65536) for name in ("put", "get")),
]


def test_bench_measures_each_operation_and_leaves_nothing(inside: Inside) -> None:
    inside.make({"kept": "k"})
    done = inside("bench", "media:", *FEW, "--json", "--yes")
    assert done.status == 0, done.err
    found = done.json
    assert [(each["operation"], each["transfers"], each["size"]) for each in found] == OPERATIONS
    assert all(0 < each["median"] <= each["p95"] for each in found)
    assert all(each["files_per_second"] > 0 for each in found)
    assert [each["files"] for each in found] == [5] * 8 + [1] * 2
    assert [path.name for path in inside.root.iterdir()] == ["kept"]


def test_bench_of_a_directory_of_this_machine_asks_nothing(inside: Inside) -> None:
    done = inside("bench", *FEW)
    assert (done.status, done.err) == (0, "")
    lines = [line.split()[0] for line in done.lines]
    assert lines == ["size", *(name for name, *_ in OPERATIONS)]
    assert list(inside.directory.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["media:"], "Send 802 requests or more, and 33M there and back, to 'media:'?"),
        (["media:"], "needs --yes"),
        (["nowhere"], "'nowhere' is not a directory"),
        (["--size", "2G", "."], "at most 1G"),
        (["--size", "many", "."], "--size is a size"),
    ],
)
def test_bench_refuses(inside: Inside, arguments: list[str], words: str) -> None:
    done = inside("bench", *arguments)
    assert done.status == 2
    assert words in done.err
    assert list(inside.root.iterdir()) == []


def test_bench_that_is_interrupted_removes_what_it_wrote(media: tuple[Cli, Path]) -> None:
    cli, root = media
    with subprocess.Popen(
        cli.command("bench", "media:", "--files", "100000", "--yes"),
        cwd=cli.directory,
        env=cli.environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        while not list(root.glob(".jtc-bench-*/1/*")):
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        said = process.stderr.read().decode()
    assert process.returncode == 130
    assert "interrupted" in said
    assert list(root.iterdir()) == []


def test_bench_on_s3_leaves_no_object(configured: Callable[..., Cli], seaweedfs: SeaweedFS) -> None:
    cli = configured(s3={"driver": "s3", "bucket": seaweedfs.bucket, **seaweedfs.options})
    done = cli("bench", "s3:bench", *FEW, "--large", "6M", "--yes")
    assert done.status == 0, done.err
    assert len(done.lines) == 1 + len(OPERATIONS)
    client = seaweedfs.client()
    assert not client.list_objects_v2(Bucket=seaweedfs.bucket, Prefix="bench/").get("Contents")


def test_bench_that_fails_says_so_and_leaves_nothing(configured: Callable[..., Cli]) -> None:
    cli = configured(s3={"driver": "s3", "bucket": "b", "endpoint_url": "http://127.0.0.1:9",
                         "region": "us-east-1", "access_key": "k", "secret_key": "s",
                         "max_attempts": 1})  # fmt: skip
    done = cli("bench", "s3:", *FEW, "--yes")
    assert done.status == 1
    assert "cannot be reached" in done.err
