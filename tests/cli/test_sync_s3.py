"""Directories between this machine and a real S3 store, also stopped in the middle."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Cli

    from seaweedfs import SeaweedFS

SITE = {"index.html": b"<p>", "sub/a.txt": b"a" * 3000, "sub/deep/b.bin": b"\0\xff", "empty": b""}


@pytest.fixture
def s3(configured: Callable[..., Cli], seaweedfs: SeaweedFS) -> Cli:
    """Configure a disk `s3` of a real store."""
    options = {name: str(value) for name, value in seaweedfs.options.items()}
    return configured(s3={"driver": "s3", "bucket": seaweedfs.bucket, **options})


@pytest.fixture
def there(tmp_path: Path) -> str:
    """Name a directory of the store that no other test uses."""
    return f"cli-{tmp_path.parent.name}-{tmp_path.name}"


def make(directory: Path, files: dict[str, bytes]) -> None:
    for number, (name, content) in enumerate(files.items()):
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, ns=(0, 1_600_000_000_123_456_789 + number * 1_000_000_000))


def tree(directory: Path) -> dict[str, bytes]:
    files = [path for path in directory.rglob("*") if path.is_file()]
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


def times(directory: Path) -> dict[str, int]:
    """Return when files were modified, in microseconds."""
    files = [path for path in directory.rglob("*") if path.is_file()]
    return {str(path.relative_to(directory)): path.stat().st_mtime_ns // 1000 for path in files}


def test_directory_goes_to_s3_and_back_and_a_second_time_nothing_does(s3: Cli, there: str) -> None:
    site, back = s3.directory / "site", s3.directory / "back"
    make(site, SITE)
    assert s3("put", "site", f"s3:{there}").status == 0
    (page,) = s3("stat", "--json", f"s3:{there}/index.html").json
    assert page["content_type"] == "text/html"
    assert s3("get", f"s3:{there}", "back").status == 0
    assert tree(back) == SITE
    for before, after in zip(sorted(times(site).items()), sorted(times(back).items()), strict=True):
        assert before[0] == after[0]
        assert abs(before[1] - after[1]) <= 1
    assert [os.listxattr(path) for path in back.rglob("*")] == [[]] * 6
    for command in (
        ["put", "site", f"s3:{there}"],
        ["get", f"s3:{there}", "back"],
        ["sync", "back", f"s3:{there}"],
        ["sync", "--checksum", "site", f"s3:{there}"],
        ["sync", f"s3:{there}", "site"],
    ):
        done = s3(*command)
        assert done.status == 0, command
        assert "0 files; 4 unchanged" in done.err, command
    assert s3("check", "--checksum", "back", f"s3:{there}").status == 0


def test_sync_to_s3_replaces_deletes_and_keeps_backups(s3: Cli, there: str) -> None:
    make(s3.directory / "site", SITE)
    assert s3("put", "site", f"s3:{there}/www").status == 0
    (s3.directory / "site/empty").unlink()
    make(s3.directory / "site", {"index.html": b"<html>", "new": b"n"})
    backup = f"s3:{there}/old"
    command = [
        "sync",
        "--delete",
        "--yes",
        "-v",
        "--backup-dir",
        backup,
        "--cache-control=no-cache",
    ]
    done = s3(*command, "site", f"s3:{there}/www")
    assert (done.status, sorted(done.lines)) == (0, ["* index.html", "+ new", "- empty"])
    assert s3("check", "site", f"s3:{there}/www").status == 0
    assert s3("ls", "-R", backup).lines == ["empty", "index.html"]
    (page,) = s3("stat", "--json", f"s3:{there}/www/index.html").json
    assert page["cache_control"] == "no-cache"


def test_moves_within_s3_and_away(s3: Cli, there: str) -> None:
    make(s3.directory / "site", SITE)
    assert s3("mv", "site", f"s3:{there}/a").status == 0
    assert not (s3.directory / "site").exists()
    assert s3("mv", f"s3:{there}/a", f"s3:{there}/b").status == 0
    assert s3("ls", "-R", f"s3:{there}").lines == sorted(f"b/{name}" for name in SITE)
    assert s3("mv", f"s3:{there}/b", "back").status == 0
    assert tree(s3.directory / "back") == SITE
    assert s3("find", f"s3:{there}").lines == []


def many(number: int) -> dict[str, bytes]:
    small = {f"d{n % 7}/f{n}": bytes([n % 256]) * 2000 for n in range(number)}
    return {"a.bin": os.urandom(9 * 1024 * 1024), **small}


def stop(s3: Cli, number: signal.Signals, begun: Callable[[], bool], *arguments: str) -> int:
    """Run a command, and send it a signal once it has begun; return its exit status."""
    with subprocess.Popen(
        s3.command(*arguments), cwd=s3.directory, env=s3.environ, stderr=subprocess.PIPE
    ) as process:
        while not begun():
            assert process.poll() is None, process.communicate()[1].decode()
            time.sleep(0.02)
        process.send_signal(number)
        return process.wait()


def test_put_stopped_by_ctrl_c_leaves_whole_files_and_goes_on(
    s3: Cli, there: str, seaweedfs: SeaweedFS
) -> None:
    files = many(60)
    make(s3.directory / "site", files)
    client = seaweedfs.client()

    def stored() -> dict[str, int]:
        page = client.list_objects_v2(Bucket=seaweedfs.bucket, Prefix=f"{there}/")
        return {each["Key"][len(there) + 1 :]: each["Size"] for each in page.get("Contents", [])}

    command = ("put", "-q", "--bwlimit", "300K", "site", f"s3:{there}")
    assert stop(s3, signal.SIGINT, lambda: len(stored()) > 3, *command) == 130
    left = stored()
    assert left
    assert len(left) < len(files)
    assert {name: size for name, size in left.items() if size != len(files[name])} == {}
    uploads = client.list_multipart_uploads(Bucket=seaweedfs.bucket).get("Uploads", [])
    assert [each["Key"] for each in uploads if each["Key"].startswith(there)] == []
    client.close()
    done = s3("put", "site", f"s3:{there}")
    assert done.status == 0
    assert f"{len(left)} unchanged" in done.err
    assert s3("check", "--checksum", "site", f"s3:{there}").status == 0


def test_get_killed_in_the_middle_leaves_whole_files_and_goes_on(s3: Cli, there: str) -> None:
    files = many(60)
    make(s3.directory / "site", files)
    assert s3("put", "site", f"s3:{there}").status == 0
    back = s3.directory / "back"
    command = ("get", "-q", "--bwlimit", "300K", f"s3:{there}", "back")
    assert stop(s3, signal.SIGKILL, lambda: len(tree(back)) > 3, *command) == -9
    left = tree(back)
    assert len(left) < len(files)
    assert {name for name, content in left.items() if content != files[name]} == set()
    # One that was whole already, but had not got its time yet, is fetched again.
    made = {name: (s3.directory / "site" / name).stat().st_mtime for name in left}
    finished = sum(abs((back / name).stat().st_mtime - made[name]) < 0.01 for name in left)
    assert finished
    done = s3("get", f"s3:{there}", "back")
    assert done.status == 0
    assert f"{finished} unchanged" in done.err
    assert tree(back) == files


def test_path_with_the_name_of_the_bucket_is_answered_without_it(
    s3: Cli, seaweedfs: SeaweedFS, there: str
) -> None:
    bucket = seaweedfs.bucket
    for done in (
        s3("ls", f"s3:{bucket}/{there}"),
        s3("stat", f"s3:{bucket}/{there}"),
        s3("get", f"s3:{bucket}/{there}", "."),
        s3("rm", f"s3:{bucket}/{there}"),
    ):
        assert done.status == 1
        assert f"(the disk is the bucket '{bucket}' already: write 's3:{there}')" in done.err
    assert "bucket" not in s3("ls", f"s3:{there}").err
