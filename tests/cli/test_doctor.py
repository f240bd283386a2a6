"""The command `doctor`: its report, its options, and what it leaves alone."""

from __future__ import annotations

import ast
import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage import Disk
from jtc.storage.cli._doctor import distributions
from jtc.storage.cli._doctor.known_ids import IDS, anchor_of, is_known
from jtc.storage.cli._doctor.model import Diagnosis, LookedAt, error, not_visible, notice, warning
from jtc.storage.cli._doctor.report import as_github, as_json, as_text
from jtc.storage.cli._doctor.run import diagnose
from jtc.storage.driver_support.findings import DiagnosisOptions, Severity
from mounts import mounted

if TYPE_CHECKING:
    from conftest import Cli

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "doctor.md").read_text(encoding="utf-8")


def snapshot(root: Path) -> dict[str, tuple[int, int]]:
    """Return what is below a directory, with the times of its last changes."""
    there = [root, *root.rglob("*")]
    return {str(each): (each.stat().st_mtime_ns, each.stat().st_ctime_ns) for each in there}


@pytest.fixture
def faulty(media: tuple[Cli, Path]) -> tuple[Cli, Path]:
    """Configure a disk with one warning: its root may be written by all."""
    cli, root = media
    root.chmod(0o777)
    return cli, root


# The ids

ANY_PART = "[a-z0-9-]+"


def emitted() -> set[str]:
    """Return the ids that the sources have, those with a part that varies as a pattern."""
    groups = {name.partition(".")[0] for name in IDS}
    part = re.escape(ANY_PART)
    shape = re.compile(rf"(?:{'|'.join(groups)}|{part})\.(?:[a-z-]|{part})+")
    found = set()
    for source in ROOT.glob("*/src/**/*.py"):
        if "diagnos" not in str(source) and "_doctor" not in str(source):
            continue
        nodes = list(ast.walk(ast.parse(source.read_text(encoding="utf-8"))))
        parts_of_texts = {
            p for node in nodes if isinstance(node, ast.JoinedStr) for p in node.values
        }
        for node in nodes:
            text = ""
            if node in parts_of_texts:
                continue
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                text = node.value
            elif isinstance(node, ast.JoinedStr):
                parts = (v.value if isinstance(v, ast.Constant) else ANY_PART for v in node.values)
                text = "".join(map(str, parts))
            if shape.fullmatch(text):
                found.add(text)
    return found


def test_ids_are_those_that_the_sources_have() -> None:
    patterns = [re.compile(text) for text in emitted()]
    assert len(patterns) > 30
    unlisted = {p.pattern for p in patterns if not any(p.fullmatch(name) for name in IDS)}
    assert not unlisted
    assert {name for name in IDS if not any(p.fullmatch(name) for p in patterns)} == set()


def test_page_explains_each_id_below_a_heading_of_its_own() -> None:
    headings = re.findall(r"^### `(.+)`$", PAGE, re.MULTILINE)
    assert sorted(headings) == sorted(IDS)
    for name, text in re.findall(r"^### `(.+)`\n\n((?:.+\n)+)", PAGE, re.MULTILINE):
        assert len(text) > 50, name


def test_ids_of_third_parties_may_be_ignored() -> None:
    assert is_known("shelf.quota")
    assert is_known("local.free-space")
    assert not is_known("local.free-spcae")
    assert not is_known("latency")


# The report


def sample() -> Diagnosis:
    diagnosis = Diagnosis("a file", [LookedAt("media", "s3", ("retry",)), LookedAt("tmp", "local")])
    diagnosis.add([warning(id="env.value", message="A, b: 50%.", evidence="x\ny", fix="Z")])
    seen = [
        notice(id="disk.latency", message="It is fast.", evidence="1 ms"),
        not_visible(id="local.other-user", message="Not seen."),
        error(id="disk.put", message="It fails.", evidence="\x1b[31mno\x1b[0m", fix="Do"),
    ]
    diagnosis.add(seen, "media")
    return diagnosis


def test_text_has_the_worst_first_and_what_is_not_visible_last() -> None:
    lines = list(as_text(sample()))
    text = "\n".join(lines)
    order = ["env.value", "Disk media", "disk.put", "disk.latency", "Disk tmp", "nothing wrong"]
    order += ["Not visible", "local.other-user (disk media)"]
    assert [text.index(each) for each in order] == sorted(text.index(each) for each in order)
    assert lines[-1] == "2 disks: 1 error, 1 warning, 1 notice, 1 not visible"
    assert "docs/doctor.md#diskput" in text
    assert f"### `{'disk.put'}`" in PAGE
    assert anchor_of("disk.put") == "diskput"


def test_json_is_one_document_with_versions() -> None:
    document = as_json(sample())
    assert document["distributions"]["jtc-storage"]
    assert document["python"].startswith(f"{sys.version_info.major}.{sys.version_info.minor}")
    assert document["disks"][0] == {"name": "media", "driver": "s3", "layers": ["retry"]}
    assert document["counts"] == {"error": 1, "warning": 1, "notice": 1, "not visible": 1}
    first = document["findings"][0]
    assert (first["id"], first["disk"], first["severity"]) == ("env.value", None, "warning")
    assert first["page"] == "docs/doctor.md#envvalue"


def test_github_annotations_are_escaped() -> None:
    lines = list(as_github(sample()))
    assert lines[0] == (
        "::warning title=env.value::A, b: 50%25.%0Ax%0Ay%0AFix: Z%0Adocs/doctor.md#envvalue"
    )
    assert lines[-1].startswith("::error title=disk.put (disk media)::")
    assert not any("\n" in line for line in lines)


# The command


def test_doctor_looks_at_all_disks(media: tuple[Cli, Path]) -> None:
    cli, root = media
    done = cli("doctor")
    assert (done.status, done.err) == (0, "")
    assert "Disk media: driver local" in done.lines
    assert done.lines[-1].startswith("1 disk: 0 errors, 0 warnings")
    assert list(root.iterdir()) == []


def test_doctor_fails_from_a_severity_on(faulty: tuple[Cli, Path]) -> None:
    cli, _ = faulty
    assert cli("doctor", "--no-probe").status == 0
    done = cli("doctor", "--no-probe", "--fail-on", "warning", "--json")
    assert done.status == 1
    ids = {each["id"] for each in done.json[0]["findings"]}
    assert "local.writable-by-all" in ids


def test_doctor_ignores_what_the_configuration_says(faulty: tuple[Cli, Path]) -> None:
    cli, _ = faulty
    file = Path(cli.environ["FILESYSTEM_CONFIG"])
    text = file.read_text()
    for table in ("[doctor]", "[doctor.disks.media]"):
        file.write_text(f'{text}\n{table}\nignore = ["local.writable-by-all"]\n')
        done = cli("doctor", "--no-probe", "--fail-on", "warning")
        assert done.status == 0
        assert done.lines[-1].endswith("1 ignored")


def test_doctor_refuses_a_disk_that_there_is_not(media: tuple[Cli, Path]) -> None:
    cli, _ = media
    done = cli("doctor", "--disk", "medai")
    assert (done.status, done.out) == (2, "")
    assert done.err == "jtc-storage: There is no disk 'medai'; there are: media\n"


def test_doctor_names_the_line_for_pip_of_an_official_driver(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "storage.toml"
    file.write_text('[disks.media]\ndriver = "sftp"\nhost = "localhost"\nlayers = ["otel"]\n')
    monkeypatch.setenv("FILESYSTEM_CONFIG", str(file))
    installed = distributions._distributions()
    left = tuple(pair for pair in installed if pair[0] != "jtc-storage-sftp")
    monkeypatch.setattr(distributions, "_distributions", lambda: left)
    distributions.providers.cache_clear()
    try:
        diagnosis = asyncio.run(diagnose([], DiagnosisOptions()))
    finally:
        distributions.providers.cache_clear()
    (found,) = (each.finding for each in diagnosis.found if each.disk == "media")
    assert (found.id, found.fix) == ("disk.driver-missing", "pip install 'jtc-storage[sftp]'")


def test_doctor_ends_though_a_mount_hangs(cli: Cli, tmp_path: Path) -> None:
    for place in mounted("FAT", tmp_path):
        file = tmp_path / "storage.toml"
        file.write_text(f'[disks.media]\ndriver = "local"\nroot = "{place}"\n')
        image = os.fsencode(tmp_path / "image")
        (process,) = (
            int(each.parent.name)
            for each in Path("/proc").glob("[0-9]*/cmdline")
            if image in each.read_bytes()
        )
        os.kill(process, signal.SIGSTOP)
        try:
            command = cli.command("--config", str(file), "doctor", "--timeout", "0.3", "--json")
            done = subprocess.run(
                command, env=cli.environ, stdout=subprocess.PIPE, timeout=60, check=False
            )
        finally:
            os.kill(process, signal.SIGCONT)
        assert done.returncode == 1
        found = json.loads(done.stdout)["findings"]
        assert [each["id"] for each in found] == ["disk.unreachable"]


CHANGES = (
    *("creat", "mkdir", "mkdirat", "unlink", "unlinkat", "rmdir", "rename", "renameat"),
    *("renameat2", "link", "linkat", "symlink", "symlinkat", "setxattr", "fsetxattr", "chmod"),
    *("fchmod", "fchmodat", "fchown", "fchownat", "utimensat", "ftruncate", "mknodat"),
)
OPENS_TO_WRITE = re.compile(r"O_(?:WRONLY|RDWR|CREAT|TRUNC|TMPFILE)")


def changes_below(root: Path, cli: Cli, *arguments: str) -> list[str]:
    """Return the system calls of a command that change something below a directory."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    log = root.parent / "calls"
    calls = f"trace=?openat,?openat2,{','.join(f'?{each}' for each in CHANGES)}"
    options = ["-f", "-y", "--seccomp-bpf", "-e", calls, "-o", str(log), "-s", "4096"]
    traced = [strace, *options, *cli.command(*arguments)]
    done = subprocess.run(
        traced, cwd=cli.directory, env=cli.environ, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    below = [line for line in log.read_text(errors="replace").splitlines() if str(root) in line]
    assert below, "no call was traced"
    return [line for line in below if " open" not in line or OPENS_TO_WRITE.search(line)]


def test_doctor_without_probe_writes_nothing(media: tuple[Cli, Path]) -> None:
    cli, root = media
    (root / "a").mkdir()
    (root / "a" / "b").write_text("b")
    before = snapshot(root)
    assert changes_below(root, cli, "doctor", "--no-probe") == []
    assert snapshot(root) == before
    assert changes_below(root, cli, "doctor")  # so that this test sees calls that write


def test_doctor_leaves_no_file_when_it_is_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "media"
    root.mkdir()
    file = tmp_path / "storage.toml"
    file.write_text(f'[disks.media]\ndriver = "local"\nroot = "{root}"\n')
    monkeypatch.setenv("FILESYSTEM_CONFIG", str(file))

    async def cancel() -> list[Path]:
        stopped = asyncio.Event()

        async def hang(*_: Any) -> bytes:
            stopped.set()
            await asyncio.sleep(3600)
            return b""

        monkeypatch.setattr(Disk, "get", hang)
        task = asyncio.create_task(diagnose([], DiagnosisOptions()))
        await stopped.wait()
        there = list(root.rglob("*"))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return there

    assert len(asyncio.run(cancel())) == 2
    assert list(root.iterdir()) == []


def test_doctor_of_a_read_only_disk_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "media"
    root.mkdir()
    file = tmp_path / "storage.toml"
    text = f'[disks.media]\ndriver = "local"\nroot = "{root}"\nlayers = ["read_only"]\n'
    file.write_text(text)
    monkeypatch.setenv("FILESYSTEM_CONFIG", str(file))
    before = snapshot(root)
    diagnosis = asyncio.run(diagnose([], DiagnosisOptions()))
    assert snapshot(root) == before
    assert not diagnosis.count(Severity.ERROR)
    assert "disk.latency" in {each.finding.id for each in diagnosis.found}
