"""Imports at the first use of a disk: in a thread, once, and in spite of forks."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import jtc.storage
from installed_site import DRIVER, Site
from jtc.storage import ReadOnlyException, Storage, StorageConfigException, StorageManager
from jtc.storage._discovery import LAYERS, PLUGINS
from jtc.storage.drivers.memory_driver import MemoryDriver

if TYPE_CHECKING:
    from collections.abc import Callable

GATED = """
    import jtc.storage

    begun, opened = jtc.storage.gate
    begun.append(__name__)
    if not opened.wait(20):
        raise RuntimeError("the loop did not run during the import")
"""
LAYER = """
    from jtc.storage import Layer

    class Plain(Layer):
        pass
"""
PLUGIN = """
    from jtc.storage.hookspecs import hookimpl

    @hookimpl
    def storage_after_put(event):
        pass
"""


class Gate:
    """Imports that go on when the event loop runs."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.opened = threading.Event()

    def open_soon(self) -> None:
        asyncio.get_running_loop().call_later(0.05, self.opened.set)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    gate = Gate()
    monkeypatch.setattr("jtc.storage.gate", (gate.begun, gate.opened), raising=False)
    return gate


def install(site: Site) -> None:
    """Install a driver, a layer and a plugin whose imports wait for the gate."""
    gated = textwrap.dedent(GATED)
    for name, source, kind in (("acme_driver", DRIVER, None), ("acme_layer", LAYER, LAYERS)):
        cls = "Driver" if kind is None else "Plain"
        group = {} if kind is None else {"group": kind}
        site.install(
            name.replace("_", "-"),
            {"acme": f"{name}:{cls}"},
            name,
            gated + textwrap.dedent(source),
            **group,
        )
    site.install(
        "acme-plugin",
        {"acme": "acme_plugin"},
        "acme_plugin",
        gated + textwrap.dedent(PLUGIN),
        group=PLUGINS,
    )


CONFIG = {"default": "d", "disks": {"d": {"driver": "acme", "layers": ["acme"]}}}
MODULES = ["acme_driver", "acme_layer", "acme_plugin"]


async def opened(file: Any) -> None:
    async with file:
        pass


@pytest.mark.parametrize(
    "disk_of",
    [
        lambda manager: manager.disk("d"),
        lambda manager: manager,
        lambda manager: manager.disk(),
        lambda manager: manager.disk("d").scoped("s").read_only(),
    ],
)
@pytest.mark.parametrize(
    "call",
    [
        lambda disk: disk.get("a"),
        lambda disk: disk.exists("a"),
        lambda disk: disk.size("a"),
        lambda disk: disk.stat("a"),
        lambda disk: disk.stream("a"),
        lambda disk: opened(disk.open("a")),
        lambda disk: disk.copy("a", "b"),
        lambda disk: disk.delete_many(["a"]),
    ],
)
async def test_first_use_of_a_disk_does_not_block_the_loop_by_imports(
    site: Site, gate: Gate, disk_of: Callable[[Any], Any], call: Callable[[Any], Any]
) -> None:
    install(site)
    manager = StorageManager.isolated(CONFIG)
    gate.open_soon()
    with contextlib.suppress(ReadOnlyException):
        await call(disk_of(manager))
    assert sorted(gate.begun) == MODULES


async def test_first_puts_of_many_tasks_import_once(site: Site, gate: Gate) -> None:
    install(site)
    manager = StorageManager.isolated(CONFIG)
    before = threading.active_count()
    tasks = [asyncio.create_task(manager.put(f"{n}", b"")) for n in range(100)]
    while not gate.begun:
        await asyncio.sleep(0.001)
    assert threading.active_count() <= before + 1
    tasks[0].cancel()
    gate.open_soon()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert results[1:] == [str(n) for n in range(1, 100)]
    assert sorted(gate.begun) == MODULES


async def test_import_that_fails_in_its_thread_is_the_error_of_the_disk(site: Site) -> None:
    site.install(
        "bad", {"bad": "bad_module:Driver"}, "bad_module", "raise SystemExit('no licence')"
    )
    manager = StorageManager.isolated({"disks": {"d": {"driver": "bad"}}})
    for _ in range(2):
        with pytest.raises(StorageConfigException, match="no licence") as raised:
            await manager.disk("d").put("a", b"")
        assert (raised.value.disk, raised.value.path) == ("d", "a")


async def test_tasks_that_wait_for_a_broken_import_have_errors_of_their_own(site: Site) -> None:
    source = "import time; time.sleep(0.1); 1 / 0"
    site.install("bad", {"bad": "bad_module:Driver"}, "bad_module", source)
    manager = StorageManager.isolated({"disks": {"d": {"driver": "bad"}}})
    paths = ["a", "b", "c"]
    errors = await asyncio.gather(*map(manager.disk("d").get, paths), return_exceptions=True)
    assert [(type(e), e.path) for e in errors] == [(StorageConfigException, p) for p in paths]  # type: ignore[union-attr]
    assert isinstance(errors[0].__cause__, ZeroDivisionError)  # type: ignore[union-attr]


async def test_first_use_works_where_no_thread_can_be_started(
    site: Site, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    install(site)
    gate.opened.set()
    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert await StorageManager.isolated(CONFIG).put("a", b"") == "a"


async def test_configuration_made_during_the_first_use_holds(
    site: Site, gate: Gate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(site)
    (tmp_path / "storage.toml").write_text('[disks.d]\ndriver = "acme"\n')
    monkeypatch.setenv("FILESYSTEM_CONFIG", str(tmp_path / "storage.toml"))
    manager = StorageManager.isolated()
    first = asyncio.create_task(manager.disk("d").put("a", b""))
    while not gate.begun:
        await asyncio.sleep(0.001)
    manager.configure({"disks": {"d": {"driver": "memory"}}})
    gate.open_soon()
    await first
    manager.disk("d").driver_as(MemoryDriver)


async def test_module_may_use_a_disk_during_its_import(site: Site) -> None:
    source = """
        from jtc.storage import StorageManager
        other = StorageManager.isolated({"disks": {"m": {"driver": "memory"}}})
        other.sync.disk("m").put("a", b"1")
    """
    site.install("acme", {"acme": "acme_using:Driver"}, "acme_using", textwrap.dedent(source))
    (site.folder / "acme_using.py").write_text(textwrap.dedent(source) + textwrap.dedent(DRIVER))
    manager = StorageManager.isolated({"disks": {"d": {"driver": "acme"}}})
    async with asyncio.timeout(20):
        await manager.disk("d").put("a", b"")


async def test_presigning_works_in_a_loop_at_the_first_use_of_a_disk() -> None:
    script = """
        import asyncio
        from jtc.storage import Storage

        keys = {"access_key": "a", "secret_key": "b"}
        Storage.configure({"disks": {"s3": {"driver": "s3", "bucket": "b", **keys}}})

        async def main():
            print(Storage.disk("s3").sync.temporary_url("a", 60)[:8])

        asyncio.run(main())
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", textwrap.dedent(script)),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert output.decode().strip() == "https://"


def test_fork_waits_for_imports_that_are_under_way(tmp_path: Path) -> None:
    (tmp_path / "slow_module.py").write_text("import time; time.sleep(0.5)\nDONE = True\n")
    script = """
        import asyncio, os
        from jtc.storage._loading import Loader

        def work():
            import slow_module

        async def main():
            loading = asyncio.create_task(Loader().load("d", work))
            await asyncio.sleep(0.1)
            child = os.fork()
            if not child:
                work()  # would never get the lock of a half imported module
                os._exit(7)
            await loading
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

        asyncio.run(main())
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.strip() == "7", done.stderr


def test_sync_api_imports_at_its_first_use(site: Site, gate: Gate) -> None:
    install(site)
    gate.opened.set()
    manager = StorageManager.isolated(CONFIG)
    assert manager.sync.get("a") == b"nowhere"
    assert manager.sync.disk("d").url("a") == "a"
    assert Storage is not manager


def test_async_methods_of_disks_import_nothing_in_the_loop() -> None:
    """Where a driver may be missing, an async method waits for `_load`."""
    inside = {"_load", "aclose"}  # after the import; of a built disk, which has its driver
    inside |= {"_apart", "_move_at_once", "_remove_empty"}  # after `_check_copies`, which loads
    wrong = []
    for source in sorted((Path(jtc.storage.__file__).parent / "_disk").glob("*.py")):
        for function in ast.walk(ast.parse(source.read_text())):
            if isinstance(function, ast.AsyncFunctionDef) and function.name not in inside:
                names = {n.attr for n in ast.walk(function) if isinstance(n, ast.Attribute)}
                if "_resolved" in names:
                    wrong.append(f"{source.name}: {function.name}")
    assert not wrong
