"""File systems in other processes: pickles, forks, and workers without the configuration."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any

import fsspec
import pytest

from jtc.storage import Storage, StorageConfigException
from jtc.storage.fsspec import JtcFileSystem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WORKER = """
import pickle, sys
for given in pickle.loads(bytes.fromhex(sys.argv[1])):
    try:
        print(given.read() if hasattr(given, "read") else given.cat_file("media/a.txt"))
    except Exception as error:
        print(type(error).__name__, error)
"""


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    """Return a configuration in a file, of a disk with the file ``a.txt``."""
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.txt").write_bytes(b"content")
    file = tmp_path / "storage.toml"
    file.write_text(f'[disks.media]\ndriver = "local"\nroot = "{tmp_path}/files"\n')
    return file


@pytest.fixture
def program() -> Iterator[None]:
    """Configure `Storage` within a test only."""
    yield
    Storage._config = None
    Storage.forget("media")


def in_worker(*given: Any, **environ: str) -> list[str]:
    """Return what a process without a configuration says of each object, pickled."""
    return subprocess.run(
        [sys.executable, "-c", WORKER, pickle.dumps(given).hex()],
        env=os.environ | environ,
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()


def test_pickle_of_named_file_is_read_by_a_worker_in_another_directory(
    toml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(toml.parent)
    fs = fsspec.filesystem("jtc", config="storage.toml")
    assert in_worker(fs) == ["b'content'"]


def test_pickle_within_a_process_is_equal_and_shares_the_connections(toml: Path) -> None:
    fs = fsspec.filesystem("jtc", config=toml)
    other = pickle.loads(pickle.dumps(fs))
    assert other == fs
    assert hash(other) == hash(fs)
    assert other._disks() is fs._disks()


@pytest.mark.usefixtures("program")
def test_pickle_has_names_and_no_secrets_of_the_program_s_configuration() -> None:
    Storage.configure({"disks": {"media": {"driver": "s3", "bucket": "b", "secret_key": "5ecr3t"}}})
    assert b"5ecr3t" not in pickle.dumps(fsspec.filesystem("jtc"))


@pytest.mark.usefixtures("program")
@pytest.mark.parametrize("source", ["file", "mapping", "variable", "set_driver"])
def test_worker_without_configuration_names_the_disk_and_where_it_came_from(
    source: str, toml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mapping = {"disks": {"media": {"driver": "local", "root": str(toml.parent / "files")}}}
    if source == "variable":
        monkeypatch.setenv("FILESYSTEM_CONFIG", str(toml))
    else:
        Storage.configure(mapping if source != "file" else toml)
    if source == "set_driver":
        Storage.set_driver(Storage.disk("media").driver, "media")
    fs = fsspec.filesystem("jtc")
    expected = {
        "file": f"came from the file {str(toml)!r}",
        "mapping": "came from a mapping",
        "variable": f"came from the file {str(toml)!r}",
        "set_driver": "came from set_driver()",
    }
    of_both = in_worker(fs, fs.open("media/a.txt"), FILESYSTEM_CONFIG="")
    assert len(of_both) == 2
    for said in of_both:
        assert said.startswith("StorageConfigException"), said
        assert "disk 'media'" in said
        assert expected[source] in said
        assert "FILESYSTEM_CONFIG" in said


def test_worker_without_the_file_of_the_configuration_names_the_disk(toml: Path) -> None:
    pickled = fsspec.filesystem("jtc", config=toml)
    content, moved = pickle.dumps(pickled), toml.with_suffix(".moved")
    toml.rename(moved)
    JtcFileSystem.clear_instance_cache()
    with pytest.raises(StorageConfigException, match="disk 'media'") as caught:
        pickle.loads(content).cat_file("media/a.txt")
    assert f"came from the file {str(toml)!r}" in str(caught.value)
    assert "cannot be read" in str(caught.value)


def test_open_file_is_pickled_with_its_position_and_version(toml: Path) -> None:
    fs = fsspec.filesystem("jtc", config=toml)
    with fs.open("media/a.txt") as file:
        file.seek(3)
        pickled = pickle.dumps(file)
    assert pickle.loads(pickled).read() == b"tent"
    fs.pipe_file("media/a.txt", b"another version")
    with pytest.raises(Exception, match="version"):
        pickle.loads(pickled).read()


def test_file_open_for_writing_is_not_pickled(toml: Path) -> None:
    fs = fsspec.filesystem("jtc", config=toml)
    with fs.open("media/b.txt", "wb") as file, pytest.raises(RuntimeError):
        pickle.dumps(file)


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_file_system_works_in_worker_processes(
    method: str, fs: JtcFileSystem, root: str, kind: str
) -> None:
    if kind == "memory":
        pytest.skip("a disk in memory belongs to one process")
    fs.pipe_file(f"{root}/a.txt", b"from the parent")  # connections that no child may use
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(1, mp_context=context) as workers:
        assert workers.submit(fs.cat_file, f"{root}/a.txt").result() == b"from the parent"
        workers.submit(fs.pipe_file, f"{root}/b.txt", b"from the child").result()
    assert fs.cat_file(f"{root}/b.txt") == b"from the child"


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_file_system_of_the_parent_works_in_a_forked_child(fs: JtcFileSystem, root: str) -> None:
    fs.pipe_file(f"{root}/a.txt", b"content")
    file = fs.open(f"{root}/a.txt", block_size=2)
    assert file.read(2) == b"co"
    child = os.fork()
    if child == 0:
        outcome = 1
        try:
            outcome = int((fs.cat_file(f"{root}/a.txt"), file.read()) != (b"content", b"ntent"))
        finally:
            os._exit(outcome)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert file.read() == b"ntent"
