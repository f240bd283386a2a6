"""Links below the root: probed one by one, and swapped by a process as fast as it can.

Each operation on each link is a test of its own in tests/drivers_local/test_links.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from jtc.storage.driver_support.error_translation import translate
from jtc.storage.drivers.local_driver._reading import read_file
from jtc.storage.drivers.local_driver._safe_open import Root
from jtc.storage.drivers.local_driver._staged_file import write_file
from jtc.storage.drivers.local_driver._updating import update_metadata
from jtc.storage.drivers.local_driver._worker_calls import CancelToken
from jtc.storage.exceptions import StorageException, StoragePermissionException
from jtc.storage.models import Visibility
from jtc.storage.options import ReadOptions, WriteOptions
from local_ways import WAYS, local_driver, make_readable_from_cache, names_in

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

SECRET = b"secret"

# AT_FDCWD and RENAME_EXCHANGE; both names are there at every moment, of a directory and of a link.
SWAP = """
import ctypes, os, random, sys
swap = ctypes.CDLL(None).renameat2
names = [os.fsencode(name) for name in sys.argv[1:]]
print("ready", flush=True)
while swap(-100, names[0], -100, names[1], 2) == 0:
    for _ in range(random.randrange(400)):
        pass
"""


@pytest.fixture
def attacked(tmp_path: Path) -> Iterator[Path]:
    """A root in which `d` is a directory at one moment, and a link to `outside` at the next."""
    outside = tmp_path / "outside"
    outside.mkdir()
    root = tmp_path / "root"
    (root / "d").mkdir(parents=True)
    for name in ("file", "updated"):
        (outside / name).write_bytes(SECRET)
        (root / "d" / name).write_bytes(b"own")
    (root / "link").symlink_to(outside)
    for path in (outside / "file", root / "d/file", root / "link"):
        make_readable_from_cache(path)
    with subprocess.Popen(
        [sys.executable, "-c", SWAP, root / "d", root / "link"], stdout=subprocess.PIPE
    ) as attacker:
        assert attacker.stdout is not None
        assert attacker.stdout.readline() == b"ready\n"
        yield root
        assert attacker.poll() is None, "the attack ended before the test did"
        attacker.kill()


def has_cache(root: Root) -> bool:
    return root.page_cache is not None and root.page_cache.has_content


def is_refusal(error: OSError | StorageException) -> bool:
    """Raise unless an error is for a link."""
    translated = translate(error) if isinstance(error, OSError) else error
    if isinstance(translated, StoragePermissionException):
        return True
    raise error


@pytest.mark.row(2)
@pytest.mark.parametrize("way", WAYS)
def test_raced_opens_reads_and_writes_never_leave_the_root(
    attacked: Path,
    way: str,
    report: Callable[[str], None],
    rounds: Callable[..., int],
) -> None:
    root = Root(str(attacked), portable=way == "portable")
    options = WriteOptions()

    def opened() -> bytes:
        descriptor, _ = root.open_file("d/file")
        try:
            return os.read(descriptor, 100)
        finally:
            os.close(descriptor)

    def read() -> bytes:
        return read_file(CancelToken(), root, "d/file")

    def read_in_the_loop() -> bytes | None:
        return None if root.page_cache is None else root.page_cache.read("d/file")

    def written() -> bytes:
        write_file(CancelToken(), root, "d/new", b"x", options)
        return b"own"

    def updated() -> bytes:
        update_metadata(CancelToken(), root, "d/updated", WriteOptions(content_type="a/b"))
        return b"own"

    ways = (opened, read, read_in_the_loop, written, updated)
    least = rounds(50_000, brief=3_000)
    attempts = refused = leaked = cached = 0
    deadline = time.monotonic() + 60
    # On a busy machine the attacker may hardly run for a while: then there is no race yet. While it
    # runs all the time, the page cache is of no use: the names change.
    while attempts < least or (
        (min(refused, attempts - refused) < least // 100 or (has_cache(root) and not cached))
        and time.monotonic() < deadline
    ):
        try:
            content = ways[attempts % len(ways)]()
            leaked += content not in (b"own", None)
            cached += ways[attempts % len(ways)] is read_in_the_loop and content is not None
        except (OSError, StorageException) as error:
            refused += is_refusal(error)
        attempts += 1
    leaked += names_in(attacked.parent / "outside") != ["file", "updated"]
    leaked += (attacked.parent / "outside/file").read_bytes() != SECRET
    leaked += os.listxattr(attacked.parent / "outside/updated") != []
    how = "openat2" if way == "linux" else "walk with O_NOFOLLOW"
    report(
        f"{how}: {attempts:,} raced opens, reads, writes and updates, {refused:,} refused, "
        f"{leaked} leaks"
        + (f"; {cached:,} of them read without a worker" if way == "linux" else "")
    )
    assert leaked == 0
    assert cached or not has_cache(root)
    assert min(refused, attempts - refused) >= least // 100, "there was no race"


@pytest.mark.row(2)
@pytest.mark.parametrize("way", WAYS)
async def test_links_are_refused_by_every_operation(
    tmp_path: Path, way: str, report: Callable[[str], None]
) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(SECRET)
    driver = local_driver(root, way)
    await driver.put("own", b"own")
    (root / "to a file").symlink_to(outside / "file")
    (root / "to a directory").symlink_to(outside)
    (root / "to nothing").symlink_to(outside / "new")
    (root / "to its own").symlink_to("own")
    for each in (outside / "file", *root.iterdir()):
        make_readable_from_cache(each)
    assert await driver.get("own") == b"own"  # and now it has found the page cache
    options, declared = WriteOptions(), WriteOptions(content_type="a/b")
    operations: list[Callable[[str], Awaitable[object]]] = [
        driver.get, driver.exists, driver.size, driver.last_modified, driver.stat,
        driver.visibility, driver.delete, driver.make_directory, driver.delete_directory,
        driver.remove_empty_directory,
        lambda path: driver.open_read(path, ReadOptions()),
        lambda path: driver.read_ranges(path, [(0, 1)], ReadOptions()),
        lambda path: driver.update_metadata(path, declared),
        lambda path: driver.put(path, b"x"),
        lambda path: driver.set_visibility(path, Visibility.PUBLIC),
        lambda path: driver.copy_file(path, "new", options),
        lambda path: driver.copy_file("own", path, options),
        lambda path: driver.move_file(path, "new", options),
        lambda path: driver.move_file("own", path, options),
    ]  # fmt: skip
    probes = refused = 0
    for link in ("to a file", "to a directory", "to nothing", "to its own"):
        for path in (link, f"{link}/file", f"{link}/new"):
            for operation in operations:
                probes += 1
                try:
                    await operation(path)
                except StoragePermissionException:
                    refused += 1
                except StorageException:
                    # Beyond a link to a file there is nothing in any case.
                    refused += path != link and (root / link).is_file()
    leaks = [path.name for path in outside.iterdir()] != ["file"]
    leaks |= (outside / "file").read_bytes() != SECRET
    report(f"{way}: {probes} symlink probes, {refused} refused, {int(leaks)} leaks")
    assert refused == probes
    assert not leaks
    assert sorted(path.name for path in root.iterdir() if path.is_symlink()) == [
        "to a directory",
        "to a file",
        "to its own",
        "to nothing",
    ]
