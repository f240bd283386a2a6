"""The manager: its disks, each of which is made once, kept apart from the others, and closed."""

from __future__ import annotations

import asyncio
import copy
import gc
import importlib
import inspect
import multiprocessing
import pickle
import pkgutil
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

import jtc.storage
from jtc.storage import (
    BuiltDisk,
    Disk,
    FileNotFoundException,
    ReadOnlyException,
    Storage,
    StorageConfigException,
    StorageManager,
    UnsupportedOperationException,
)
from jtc.storage.drivers.memory_driver import MemoryDriver
from small_drivers import Closable, EightMethods

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No configuration in the environment, and a directory where nothing may appear."""
    for name in ("FILESYSTEM_DISK", "FILESYSTEM_CONFIG", "FILESYSTEM_ROOT", "FILESYSTEM_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Made(Closable):
    """Remembers what was made of it."""

    made: list[Made]

    def __init__(self, label: str = "", failure: Exception | None = None) -> None:
        super().__init__(failure)
        self.label = label
        type(self).made.append(self)

    @classmethod
    def from_env(cls, environ: Any) -> Made:
        return cls(environ.get("MADE_LABEL", "from the environment"))


@pytest.fixture
def kind() -> type[Made]:
    return type("Fresh", (Made,), {"made": []})


@pytest.fixture
def manager(kind: type[Made]) -> StorageManager:
    manager = StorageManager.isolated()
    manager.extend("made", kind)
    return manager


# One manager


def test_there_is_one_manager_in_a_process() -> None:
    assert StorageManager() is Storage
    assert StorageManager() is StorageManager()
    assert jtc.storage.Storage is Storage
    found = []
    threads = [threading.Thread(target=lambda: found.append(StorageManager())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(one is Storage for one in found)


def test_an_isolated_manager_is_another_one() -> None:
    one, other = StorageManager.isolated(), StorageManager.isolated()
    assert one is not Storage
    assert one is not other
    one.set_driver(EightMethods(), "x")
    assert one.disks() == ["x"]
    assert other.disks() == []
    assert "x" not in Storage.disks()


def test_a_copy_of_a_disk_or_manager_is_itself(manager: StorageManager) -> None:
    disk = manager.disk("a")
    for kept in (manager, disk, disk.scoped("x"), Storage):
        assert copy.copy(kept) is kept
        assert copy.deepcopy({"disk": kept})["disk"] is kept


def test_every_method_of_a_disk_is_on_the_manager_with_the_same_signature() -> None:
    for name in dir(Disk):
        if name.startswith("_"):
            continue
        assert hasattr(StorageManager, name), name
        ours = inspect.getattr_static(Disk, name)
        if inspect.isfunction(ours):
            theirs = inspect.getattr_static(StorageManager, name)
            assert inspect.signature(theirs) == inspect.signature(ours), name


async def test_the_managers_methods_are_the_default_disks(manager: StorageManager) -> None:
    manager.set_driver(MemoryDriver())
    await manager.put("a", b"x")
    assert await manager.disk().get("a") == b"x"
    assert await manager.disk("default").get("a") == b"x"
    assert [entry.path async for entry in manager.list()] == ["a"]


# Disks by their names


async def test_a_thousand_tasks_on_two_disks_never_mix(manager: StorageManager) -> None:
    class Yielding(EightMethods):
        async def put(self, path: str, content: Any, /) -> str:
            await asyncio.sleep(0)
            return await super().put(path, content)

        async def get(self, path: str, /) -> bytes:
            await asyncio.sleep(0)
            return await super().get(path)

    drivers = {"one": Yielding(), "two": Yielding()}
    for name, driver in drivers.items():
        manager.set_driver(driver, name)

    async def work(number: int) -> None:
        name = ("one", "two")[number % 2]
        await manager.disk(name).put(f"f{number}", f"{name} {number}")
        await manager.disk(("two", "one")[number % 2]).exists("f")
        assert await manager.disk(name).get_text(f"f{number}") == f"{name} {number}"

    await asyncio.gather(*map(work, range(1000)))
    for parity, driver in enumerate(drivers.values()):
        assert set(driver.kept) == {f"f{number}" for number in range(parity, 1000, 2)}


async def test_asking_for_a_disk_never_raises_and_using_it_does(manager: StorageManager) -> None:
    disk = manager.disk("nowhere")
    assert disk.name == "nowhere"
    assert repr(disk) == "<Disk 'nowhere'>"
    disk.scoped("a").read_only()
    for use in (
        lambda: disk.get("a"),
        lambda: disk.put("a", b""),
        lambda: disk.exists("a"),
        lambda: disk.delete("a"),
        disk.files,
        lambda: disk.stream("a"),
        lambda: disk.scoped("b").get("a"),
    ):
        with pytest.raises(StorageConfigException, match="No driver named 'nowhere'") as raised:
            await use()
        assert raised.value.disk == "nowhere"
    for look in (lambda: disk.driver, lambda: disk.capabilities, lambda: disk.url("a")):
        with pytest.raises(StorageConfigException):
            look()


async def test_disk_without_configuration_says_where_to_name_it() -> None:
    manager = StorageManager.isolated()
    with pytest.raises(StorageConfigException) as raised:
        await manager.disk("media").get("a")
    assert "Nothing is configured" in raised.value.message
    assert "Storage.configure() or FILESYSTEM_CONFIG" in raised.value.message


def test_a_disk_is_immutable(manager: StorageManager) -> None:
    with pytest.raises(AttributeError, match="immutable"):
        manager.disk("a")._name = "b"  # type: ignore[misc]
    with pytest.raises(AttributeError):
        manager.disk("a").anything = 1  # type: ignore[attr-defined]


async def test_a_disk_kept_from_before_follows_every_change(
    manager: StorageManager, kind: type[Made]
) -> None:
    kept, scoped, default = manager.disk("x"), manager.disk("x").scoped("s"), manager.disk()
    manager.configure({"default": "x", "disks": {"x": {"driver": "made", "label": "first"}}})
    assert kept.driver_as(kind).label == "first"
    assert scoped.driver_as(kind).label == "first"
    assert default.driver_as(kind).label == "first"
    manager.configure({"disks": {"x": {"driver": "made", "label": "second"}}})
    assert kept.driver_as(kind).label == "second"
    by_hand = EightMethods()
    manager.set_driver(by_hand, "x")
    assert kept.driver is by_hand
    await scoped.put("a", b"1")
    assert by_hand.kept == {"s/a": b"1"}
    manager.forget("x")
    assert kept.driver_as(kind).label == "second"
    assert [driver.label for driver in kind.made] == ["first", "second", "second"]


def test_a_driver_set_by_hand_stays_when_the_rest_is_configured_anew(
    manager: StorageManager,
) -> None:
    driver = EightMethods()
    manager.set_driver(driver, "x")
    manager.configure({"disks": {"x": {"driver": "made"}}})
    assert manager.disk("x").driver is driver


def test_the_default_disk_may_be_set_by_hand_over_a_configured_one(
    manager: StorageManager, kind: type[Made]
) -> None:
    manager.configure({"default": "x", "disks": {"x": {"driver": "made"}}})
    assert manager.name == "x"
    driver = EightMethods()
    manager.set_driver(driver)
    assert (manager.name, manager.driver) == ("default", driver)
    assert manager.disk("x").driver_as(kind) is kind.made[0]
    manager.forget()
    assert manager.driver is kind.made[0]


def test_what_is_no_driver_cannot_be_set(manager: StorageManager) -> None:
    with pytest.raises(StorageConfigException, match="not a storage driver") as raised:
        manager.set_driver(object(), "x")  # type: ignore[arg-type]
    assert raised.value.disk == "x"
    assert manager.disks() == []


def test_forgetting_what_was_never_there_does_nothing(manager: StorageManager) -> None:
    manager.forget("nowhere")
    manager.forget()


def test_disks_and_drivers_are_listed(manager: StorageManager) -> None:
    assert {"local", "made", "memory", "s3"} <= set(manager.drivers())
    assert manager.drivers() == sorted(manager.drivers())
    manager.set_driver(EightMethods(), "z")
    manager.configure({"disks": {"b": {"driver": "made"}, "a": {"driver": "made"}}})
    assert manager.disks() == ["a", "b", "z"]
    assert repr(manager) == "<StorageManager disks=['a', 'b', 'z']>"


def test_threads_that_race_for_the_first_use_get_one_driver(manager: StorageManager) -> None:
    started = threading.Barrier(8)
    made = []

    def slow(**_: Any) -> EightMethods:
        made.append(EightMethods())
        threading.Event().wait(0.02)
        return made[-1]

    manager.extend("slow", slow)
    found: list[object] = []

    def use() -> None:
        started.wait()
        found.append(manager.disk("slow").driver)

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert found == made * 8


# Configurations and the environment


async def test_once_configured_only_configured_disks_exist(
    manager: StorageManager, bare: Path
) -> None:
    manager.configure({"disks": {"x": {"driver": "made"}}})
    for disk in (manager.disk(), manager.disk("local"), manager.disk("memory")):
        with pytest.raises(StorageConfigException, match=r"No disk .* is configured; there are: x"):
            await disk.put("a", b"x")
    with pytest.raises(StorageConfigException, match="name another one as its default"):
        await manager.put("a", b"x")
    with pytest.raises(StorageConfigException) as raised:
        await manager.disk("memory").put("a", b"x")
    assert "default" not in str(raised.value)
    manager.configure({})
    with pytest.raises(StorageConfigException, match="there are: none"):
        await manager.put("a", b"x")
    assert list(bare.iterdir()) == []


async def test_without_a_configuration_a_disk_is_the_driver_of_its_name_with_its_environment(
    manager: StorageManager, kind: type[Made], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MADE_LABEL", "said outside")
    assert manager.disk("made").driver_as(kind).label == "said outside"
    manager.extend("plain", EightMethods)
    await manager.disk("plain").put("a", b"x")


def test_the_environment_says_which_disk_is_the_default(
    manager: StorageManager, kind: type[Made], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert manager.name == "local"
    monkeypatch.setenv("FILESYSTEM_DISK", "made")
    assert manager.name == "made"
    assert manager.disk().driver_as(kind)
    monkeypatch.setenv("FILESYSTEM_DISK", "")
    assert manager.name == "local"
    manager.configure({"disks": {"x": {"driver": "made"}}})
    monkeypatch.setenv("FILESYSTEM_DISK", "x")
    assert manager.name == "x"
    manager.configure({"default": "y", "disks": {n: {"driver": "made"} for n in "xy"}})
    assert manager.name == "y"


def test_the_reserved_name_in_the_environment_is_no_driver(
    manager: StorageManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FILESYSTEM_DISK", "default")
    with pytest.raises(StorageConfigException, match="'default'"):
        _ = manager.driver


def test_the_environment_names_a_toml_file(
    manager: StorageManager, kind: type[Made], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "storage.toml"
    file.write_text('default = "media"\n[disks.media]\ndriver = "made"\nlabel = "${LABEL:-toml}"\n')
    monkeypatch.setenv("FILESYSTEM_CONFIG", str(file))
    assert manager.disks() == ["media"]
    assert manager.disk().driver_as(kind).label == "toml"
    with pytest.raises(StorageConfigException, match="No disk 'made' is configured"):
        _ = manager.disk("made").driver
    manager.configure({"disks": {}})
    assert manager.disks() == []


async def test_a_configuration_that_cannot_be_read_is_said_at_use_and_hides_nothing(
    manager: StorageManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FILESYSTEM_CONFIG", "/nowhere/storage.toml")
    assert "cannot be read" in repr(manager)
    assert manager.name == "default"
    view = manager.scoped("a").read_only()
    for disk in (manager, manager.disk("x"), view):
        with pytest.raises(
            StorageConfigException, match=r"'/nowhere/storage\.toml' cannot"
        ) as raised:
            await disk.get("a")
        assert raised.value.operation == "get"
        assert raised.value.disk is not None


async def test_an_unset_variable_fails_its_own_disk_alone_and_at_its_first_use(
    manager: StorageManager, kind: type[Made], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HIDDEN", raising=False)
    manager.configure(
        {
            "disks": {
                "good": {"driver": "made", "label": "x"},
                "bad": {"driver": "made", "label": "${HIDDEN}"},
            }
        }
    )
    await manager.disk("good").put("a", b"x")
    bad = manager.disk("bad")
    with pytest.raises(StorageConfigException, match=r"'label' needs .* 'HIDDEN'") as raised:
        await bad.get("a")
    assert raised.value.disk == "bad"
    monkeypatch.setenv("HIDDEN", "now")
    assert bad.driver_as(kind).label == "now"


async def test_a_mistake_in_one_disk_is_said_with_its_name(manager: StorageManager) -> None:
    manager.configure(
        {
            "disks": {
                "option": {"driver": "made", "lable": "x"},
                "driver": {"driver": "nowhere"},
                "capability": {"driver": "made", "disable": ["listings"]},
                "good": {"driver": "made", "disable": ["close"]},
            }
        }
    )
    for name, message in {
        "option": "Did you mean 'label'",
        "driver": "No driver named 'nowhere'",
        "capability": "'disable' is a list of capabilities",
    }.items():
        with pytest.raises(StorageConfigException, match=message) as raised:
            await manager.disk(name).get("a")
        assert raised.value.disk == name
    assert "close" not in manager.disk("good").capabilities


async def test_what_a_disk_disables_is_unsupported_by_the_name_of_its_driver() -> None:
    manager = StorageManager.isolated(
        {"disks": {"m": {"driver": "memory", "disable": ["listing", "visibility"]}}}
    )
    with pytest.raises(UnsupportedOperationException, match=r"'memory' .* 'listing'") as raised:
        await manager.disk("m").files()
    assert raised.value.disk == "m"
    with pytest.raises(UnsupportedOperationException, match="'visibility'"):
        await manager.disk("m").visibility("a")


def test_what_cannot_be_called_makes_no_driver(manager: StorageManager) -> None:
    with pytest.raises(StorageConfigException, match="neither a class nor a function"):
        manager.extend("x", "driver")  # type: ignore[arg-type]


# Built disks


async def test_a_built_disk_has_no_name_to_be_found_by(
    manager: StorageManager, kind: type[Made]
) -> None:
    manager.configure({})
    async with manager.build({"driver": "made", "label": "tenant"}) as disk:
        assert isinstance(disk, BuiltDisk)
        await disk.put("a", b"x")
        assert disk.driver_as(kind).label == "tenant"
        assert manager.disks() == []
    assert kind.made[0].closed == 1
    assert await disk.get("a") == b"x"
    other = manager.build({"driver": "made"})
    assert other.driver is not disk.driver
    with pytest.raises(FileNotFoundException) as raised:
        await other.get("a")
    assert raised.value.disk == "built"


@pytest.mark.parametrize("config", [{}, {"driver": "nowhere"}, {"driver": "made", "x": 1}, "made"])
def test_a_disk_that_cannot_be_built_raises_at_once(manager: StorageManager, config: Any) -> None:
    with pytest.raises(StorageConfigException) as raised:
        manager.build(config)
    assert raised.value.disk == "built"


async def test_a_built_disk_that_fails_to_close_says_so(manager: StorageManager) -> None:
    manager.extend("bad", lambda: Closable(ConnectionError()))
    manager.extend("eight", EightMethods)
    disk = manager.build({"driver": "bad"})
    with pytest.raises(jtc.storage.StorageUnavailableException) as raised:
        await disk.aclose()
    assert raised.value.operation == "aclose"
    await manager.build({"driver": "eight"}).aclose()


# Closing


async def test_closing_closes_all_that_was_made_and_nothing_set_by_hand(
    manager: StorageManager, kind: type[Made]
) -> None:
    config = {"disks": {name: {"driver": "made", "label": name} for name in "abc"}}
    manager.configure(config)
    for name in "abc":
        await manager.disk(name).put("x", b"")
    mine, replaced = Closable(), Closable()
    manager.set_driver(replaced, "hand")
    manager.set_driver(mine, "hand")
    manager.set_driver(EightMethods(), "b")  # retires the one that was made
    manager.forget("c")
    built = manager.build({"driver": "made", "label": "built"})
    view = manager.build({"driver": "made", "label": "seen through a view"}).scoped("x")
    gc.collect()
    await manager.aclose()
    assert {driver.label: driver.closed for driver in kind.made} == {
        "a": 1,
        "b": 1,
        "c": 1,
        "built": 1,
        "seen through a view": 1,
    }
    assert mine.closed == replaced.closed == 0
    await manager.aclose()
    assert {driver.label: driver.closed for driver in kind.made} == {
        "a": 2,  # it may have been opened afresh
        "b": 1,
        "c": 1,
        "built": 2,
        "seen through a view": 2,
    }
    assert built.name == view.name == "built"


async def test_a_disk_used_after_closing_works(manager: StorageManager, kind: type[Made]) -> None:
    async with manager as same:
        assert same is manager
        await manager.disk("made").put("a", b"x")
    assert kind.made[0].closed == 1
    assert await manager.disk("made").get("a") == b"x"


async def test_closing_goes_on_after_an_error_and_raises_all(
    manager: StorageManager,
) -> None:
    made = []

    def bad() -> Closable:
        made.append(Closable(OSError(f"failure {len(made)}")))
        return made[-1]

    for number in range(3):
        manager.extend(f"bad{number}", bad)
        _ = manager.disk(f"bad{number}").driver
    manager.extend("eight", EightMethods)
    _ = manager.disk("eight").driver
    with pytest.raises(ExceptionGroup) as raised:
        await manager.aclose()
    assert len(raised.value.exceptions) == 3
    assert [driver.closed for driver in made] == [1, 1, 1]


async def test_disks_may_be_built_by_threads_while_others_are_closed(
    manager: StorageManager,
) -> None:
    manager.extend("eight", EightMethods)
    kept = []
    stop = threading.Event()

    def build() -> None:
        while not stop.is_set() and len(kept) < 3000:
            kept.append(manager.build({"driver": "eight"}))

    thread = threading.Thread(target=build)
    thread.start()
    for _ in range(50):
        await manager.aclose()
    stop.set()
    thread.join()


# The driver behind a disk


def test_driver_as_finds_the_driver_below_what_wraps_it(manager: StorageManager) -> None:
    driver = MemoryDriver()
    manager.set_driver(driver, "m")
    disk = manager.disk("m")
    assert disk.driver is driver
    for view in (disk, disk.read_only(), disk.scoped("a").scoped("b").read_only()):
        assert view.driver_as(MemoryDriver) is driver
    with pytest.raises(TypeError, match="'m' has the driver MemoryDriver, not EightMethods"):
        disk.driver_as(EightMethods)


# The package


def modules() -> list[str]:
    names = ["jtc.storage"]
    without = (
        "jtc.storage.drivers.",
        "jtc.storage.testing",
        # Programs, and what the command line finds by its name.
        "jtc.storage.__main__",
        "jtc.storage.cli.__main__",
        "jtc.storage.cli._commands",
        # Django finds these by their names, once a project is set up.
        "jtc.storage.attachments.django.management",
        "jtc.storage.attachments.django.migrations",
        "jtc.storage.attachments.django.models",
        # It needs universal-pathlib, which finds it by its entry point.
        "jtc.storage.fsspec._upath",
    )
    # They export modules.
    http = "jtc.storage.http_support"
    support = ("jtc.storage.driver_support", http, f"{http}.transfers")
    ideas = ("_completion", "_doctor", "_places", "_terminal", "_transfers")
    support += ("jtc.storage._transfers", *(f"jtc.storage.cli.{idea}" for idea in ideas))
    found = pkgutil.walk_packages(jtc.storage.__path__, "jtc.storage.")
    named = (module.name for module in found if not module.name.startswith(without))
    return names + [name for name in named if name not in support]


@pytest.mark.parametrize("name", modules())
def test_all_that_a_module_exports_is_there_and_said_once(name: str) -> None:
    module = importlib.import_module(name)
    exported = module.__all__
    assert len(set(exported)) == len(exported)
    for one in exported:
        assert hasattr(module, one), one
    if name == "jtc.storage":
        public = {
            n for n, v in vars(module).items() if not n.startswith("_") and not inspect.ismodule(v)
        }
        assert public == set(exported)


def test_importing_the_package_loads_no_driver_and_nothing_of_others() -> None:
    script = (
        "import sys; before = set(sys.modules)\n"
        "import jtc.storage\n"
        "jtc.storage.Storage.disk('s3'); jtc.storage.Storage.scoped('a').read_only()\n"
        "print(*sorted(set(sys.modules) - before), sep='\\n')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, text=True
    )
    loaded = done.stdout.split()
    assert "jtc.storage._manager" in loaded
    foreign = {
        name for name in loaded if name.partition(".")[0] not in {*sys.stdlib_module_names, "jtc"}
    }
    assert foreign == set()
    assert not [
        name for name in loaded if name.startswith(("jtc.storage.drivers", "jtc.storage.testing"))
    ]
    # What takes long, and only a few calls need.
    assert not {"importlib.metadata", "tomllib", "difflib", "tempfile", "json"} & {*loaded}


async def test_forgetting_the_default_disk_takes_the_driver_of_the_disk_that_it_is(
    manager: StorageManager,
) -> None:
    manager.configure({"default": "m", "disks": {"m": {"driver": "memory"}}})
    await manager.put("a.txt", b"1")
    manager.forget()
    assert await manager.missing("a.txt")


async def test_misspelt_disk_is_refused_with_the_closest_name() -> None:
    manager = StorageManager.isolated({"disks": {"avatars": {"driver": "memory"}}})
    with pytest.raises(StorageConfigException, match="did you mean 'avatars'"):
        await manager.disk("avatar").exists("a")


def test_disk_of_another_manager_is_not_pickled() -> None:
    manager = StorageManager.isolated({})
    for disk in (manager, manager.disk("a"), manager.disk("a").scoped("s"), manager.sync):
        with pytest.raises(TypeError, match="pass their names"):
            pickle.dumps(disk)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_named_disk_is_pickled_as_its_name_and_views(protocol: int) -> None:
    def again(disk: Any) -> Any:
        return pickle.loads(pickle.dumps(disk, protocol))

    a = Storage.disk("a")
    Storage.set_driver(MemoryDriver(), "a")
    try:
        Storage.sync.disk("a").put("x/y/f.txt", b"1")
        assert again(a).sync.get("x/y/f.txt") == b"1"
        assert again(a.scoped("x").scoped("y")).sync.get("f.txt") == b"1"
        assert again(again(a.sync.scoped("x"))).get("y/f.txt") == b"1"
        view = again(a.scoped("x/y").read_only())
        assert (view.name, view.sync.get("f.txt")) == ("a", b"1")
        with pytest.raises(ReadOnlyException):
            view.sync.delete("f.txt")
    finally:
        Storage.forget("a")
    assert again(Storage) is Storage
    assert again(Storage.sync).disk("a").name == "a"
    for each in (Storage.disk(), Storage.scoped("s"), Storage.read_only()):
        assert again(each).name == "default"


def test_disk_without_a_name_is_not_pickled(tmp_path: Path) -> None:
    secret = "a secret that no pickle may have, of 32 bytes"
    options = {"root": str(tmp_path), "base_url": "/files", "secret": secret}
    built = Storage.build({"driver": "local", **options})
    layered = Storage.disk("a").with_layer("validate", allowed_types=[secret])
    with Storage.fake("a") as fake:
        for disk in (built, layered, fake):
            for view in (disk, disk.scoped("s"), disk.read_only(), disk.sync):
                for way in (pickle.dumps, partial(pickle.dumps, protocol=0)):
                    with pytest.raises(TypeError, match=r"Pickle that one, or") as raised:
                        way(view)
                    assert secret not in str(raised.value)
            assert copy.deepcopy(disk) is copy.copy(disk) is disk


def read_in_another_process(disks: list[Any]) -> list[bytes]:
    """Read a file of each disk, for a test."""
    return [disk.get("a.txt") for disk in disks]


def test_named_disk_is_passed_to_a_spawned_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FILESYSTEM_ROOT", str(tmp_path))
    monkeypatch.setenv("FILESYSTEM_DISK", "local")
    monkeypatch.delenv("FILESYSTEM_CONFIG", raising=False)
    (tmp_path / "s").mkdir()
    for folder in (tmp_path, tmp_path / "s"):
        (folder / "a.txt").write_bytes(folder.name.encode())
    local = Storage.disk("local").sync
    disks = [local, local.scoped("s"), local.read_only(), Storage.sync]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        contents = pool.submit(read_in_another_process, disks).result()
    root = tmp_path.name.encode()
    assert contents == [root, b"s", root, root]
