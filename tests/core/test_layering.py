"""Layers: which methods they pass, guard and add, and how a disk gets them."""

from __future__ import annotations

import contextlib
import gc
import inspect
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage import (
    Layer,
    ReadOnlyException,
    StorageConfigException,
    StorageManager,
    UnsupportedOperationException,
)
from jtc.storage._capabilities import methods_of, resolve
from jtc.storage.driver import CAPABILITIES, EFFECTS, METHODS, StorageDriver
from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.layer import layers_of, unwrap, unwrap_path
from jtc.storage.layers.scoped import Scoped
from small_drivers import EightMethods

if TYPE_CHECKING:
    from collections.abc import Callable

    from jtc.storage import Disk, SignOptions

CONTRACT = {
    name
    for protocol in (StorageDriver, *CAPABILITIES.values())
    for name, member in vars(protocol).items()
    if inspect.isfunction(member) and not name.startswith("_")
}


class Rot13(Layer, guards={"content"}):
    """Rotates the letters of a file by 13; defines no other method that touches content."""

    async def put(self, path: str, content: Any, /) -> str:
        content = content if isinstance(content, bytes) else content.read()
        return await self.inner.put(path, turned(content))

    async def get(self, path: str, /) -> bytes:
        return turned(await self.inner.get(path))

    async def size(self, path: str, /) -> int:
        return await self.inner.size(path)

    def url(self, _path: str, /) -> str:
        raise UnsupportedOperationException("What is at the URL is not the content")


def turned(content: bytes) -> bytes:
    lower = b"abcdefghijklmnopqrstuvwxyz"
    return content.translate(bytes.maketrans(lower, lower[13:] + lower[:13]))


class Counting(Layer):
    """Counts calls, whatever they are."""

    def __init__(self, inner: StorageDriver, start: int = 0) -> None:
        self.calls = start
        super().__init__(inner)

    def wrap(self, _name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*args: Any, **options: Any) -> Any:
            self.calls += 1
            return method(*args, **options)

        return counting


def disk_with(driver: StorageDriver) -> Disk:
    manager = StorageManager.isolated({})
    manager.set_driver(driver, "d")
    return manager.disk("d")


# The table


def test_the_table_has_every_method_of_the_contract_and_no_other() -> None:
    assert set(METHODS) == CONTRACT
    for method in METHODS.values():
        assert method.effects <= set(EFFECTS)


def test_whatever_gets_a_path_has_the_effect_of_one() -> None:
    without = {name for name, method in METHODS.items() if "path" not in method.effects}
    assert without == {"aclose"}


# What a layer has of the driver within


def test_a_layer_that_changes_nothing_has_the_inner_drivers_own_methods() -> None:
    driver = MemoryDriver(base_url="/files", secret="s" * 32)
    layer: Any = Layer(driver)
    for name in CONTRACT & set(dir(driver)):
        assert getattr(layer, name) == getattr(driver, name)
    assert resolve(layer).capabilities == resolve(driver).capabilities


@pytest.mark.parametrize("effect", EFFECTS)
def test_a_layer_has_no_method_with_an_effect_that_it_guards(effect: str) -> None:
    class Guarding(Layer, guards={effect}, passes=methods_of(StorageDriver)):
        def inner_path(self, path: str) -> str:
            return path.upper()

    driver = MemoryDriver(base_url="/files", secret="s" * 32)
    layer: Any = Guarding(driver)
    beyond_the_eight = (CONTRACT & set(dir(driver))) - set(methods_of(StorageDriver))
    for name in beyond_the_eight:
        assert hasattr(layer, name) == (effect not in METHODS[name].effects), name


async def test_what_is_unsupported_is_derived_through_the_layer() -> None:
    driver = MemoryDriver()
    disk = disk_with(driver).with_layer(Rot13)
    await disk.put("a.txt", [b"he", b"llo"])
    assert await driver.get("a.txt") == b"uryyb"
    assert await disk.get("a.txt") == b"hello"
    assert await disk.get_range("a.txt", 1, 3) == b"el"
    assert b"".join([chunk async for chunk in disk.stream("a.txt", chunk_size=2)]) == b"hello"
    assert (await disk.stat("a.txt")).checksums == {}
    await disk.copy("a.txt", "b.txt")
    assert await disk.get("b.txt") == b"hello"
    assert not disk.capabilities.names & {"reading", "writing", "listing", "temporary_urls"}
    with pytest.raises(UnsupportedOperationException, match="'listing'"):
        await disk.files()
    with pytest.raises(UnsupportedOperationException, match="'content_type'"):
        await disk.put("a.txt", b"", content_type="text/x-odd")


async def test_a_layer_around_every_call_is_around_all_of_them() -> None:
    layer = Counting(MemoryDriver())
    await layer.put("a", b"1")
    disk = disk_with(layer)
    await disk.put("a", b"1", content_type="x/y")
    assert await disk.files() == ["a"]
    assert await disk.copy("a", "b") == "b"
    assert disk.url("a") == "memory://a"
    assert layer.calls == 5


def test_what_a_layer_defines_is_a_capability_only_where_the_inner_driver_has_it() -> None:
    assert resolve(Scoped(EightMethods(), "s")).capabilities.names == frozenset()
    assert resolve(Scoped(MemoryDriver(), "s")).capabilities == (
        resolve(MemoryDriver()).capabilities
    )


def test_a_layer_can_add_a_capability() -> None:
    class Signing(Layer, adds={"temporary_urls"}):
        async def temporary_url(self, path: str, options: SignOptions, /) -> str:
            return f"{self.inner.url(path)}?{options.expires_in}"

    assert "temporary_urls" in resolve(Signing(EightMethods())).capabilities
    assert "temporary_urls" in resolve(Counting(Signing(MemoryDriver()))).capabilities


def test_capability_that_a_driver_lacks_its_layers_lack_too() -> None:
    driver = MemoryDriver()
    driver.unsupported = frozenset({"listing"})  # type: ignore[attr-defined]
    for layer in (Layer(driver), Scoped(driver, "s"), Counting(driver)):
        assert "listing" not in resolve(layer).capabilities


def test_a_wrapper_of_any_other_kind_can_be_a_layer() -> None:
    class Wrapper:
        def __init__(self, inner: Any) -> None:
            self.inner = inner

        def __getattr__(self, name: str) -> Any:
            return getattr(self.inner, name)

    memory = MemoryDriver()
    disk = disk_with(memory).with_layer(Wrapper)
    assert isinstance(disk.driver, Wrapper)
    assert disk.driver_as(MemoryDriver) is memory


def test_unwrap_returns_the_driver_below_all_layers() -> None:
    driver = MemoryDriver()
    inner = Scoped(driver, "a")
    outer = Counting(inner)
    assert unwrap(driver) is driver
    assert unwrap(outer) is driver
    assert list(layers_of(outer)) == [outer, inner, driver]
    assert list(layers_of(driver)) == [driver]
    assert unwrap_path(outer, "x") == (driver, "a/x")


def test_unwrap_stops_at_a_wrapper_that_is_no_layer_and_layers_of_does_not() -> None:
    """A wrapper may change what a path means, which only a `Layer` says."""

    class Wrapper:
        def __init__(self, inner: Any) -> None:
            self.inner = inner

        def __getattr__(self, name: str) -> Any:
            return getattr(self.inner, name)

    driver = MemoryDriver()
    wrapper: Any = Wrapper(driver)
    layer = Scoped(wrapper, "a")
    assert unwrap(layer) is wrapper
    assert unwrap_path(layer, "x") == (wrapper, "a/x")
    assert list(layers_of(layer)) == [layer, wrapper, driver]


# Layers that are written wrongly


def test_a_guarded_method_of_the_eight_has_to_be_defined() -> None:
    with pytest.raises(TypeError, match=r"Half guards content.*get\(\), size\(\), url\(\)"):

        class Half(Layer, guards={"content"}):
            async def put(self, path: str, _content: Any, /) -> str:
                return path


def test_a_layer_that_guards_paths_says_which_path_is_which() -> None:
    with pytest.raises(TypeError, match=r"inner_path\(\)"):

        class Lost(Layer, guards={"path"}, passes=methods_of(StorageDriver)):
            pass


@pytest.mark.parametrize(
    ("keywords", "named"),
    [
        ({"guards": {"contents"}}, "guards=contents"),
        ({"guards": "content"}, "guards='content'"),
        ({"passes": ["get_range"]}, "passes=get_range"),
        ({"adds": ["list"]}, "adds=list"),
    ],
)
def test_unknown_name_in_a_class_statement_is_refused(keywords: dict[str, Any], named: str) -> None:
    with pytest.raises(TypeError, match=named):
        type("Wrong", (Layer,), {}, **keywords)


def test_what_a_layer_guards_its_subclasses_guard_too() -> None:
    class Stricter(Rot13, guards={"write"}):
        async def delete(self, _path: str, /) -> bool:
            return False

    assert Stricter.guards == {"content", "write"}
    assert not hasattr(Stricter(MemoryDriver()), "make_directory")


def test_a_layer_around_no_driver_is_refused() -> None:
    with pytest.raises(StorageConfigException, match="not a storage driver"):
        Layer(object())  # type: ignore[arg-type]


# On a disk


async def test_layers_stand_around_a_driver_in_their_order_the_first_outermost() -> None:
    manager = StorageManager.isolated(
        {
            "disks": {
                "d": {
                    "driver": "memory",
                    "layers": [
                        {"name": "scoped", "prefix": "a"},
                        {"name": "scoped", "prefix": "b"},
                    ],
                }
            }
        }
    )
    disk = manager.disk("d")
    await disk.put("x", b"1")
    assert disk.driver_as(MemoryDriver).all_paths() == ["b/a/x"]
    outermost: Any = disk.driver
    assert (outermost.directory, outermost.inner.directory) == ("a", "b")
    assert unwrap_path(disk.driver, "x")[1] == "b/a/x"
    assert await disk.all_files() == ["x"]
    assert (outermost.disk, outermost.driver_name) == ("d", "memory")


async def test_layer_finds_another_disk_of_its_manager_and_keeps_no_manager() -> None:
    disks = {
        "a": {"driver": "memory", "layers": [{"name": "scoped", "prefix": "x"}]},
        "b": {"driver": "memory"},
    }
    manager = StorageManager.isolated({"default": "a", "disks": disks})
    for disk in (manager.disk("a"), manager.disk("b").with_layer(Scoped, prefix="y")):
        await disk.put("file", b"1")
        layer = disk.driver_as(Scoped)
        assert layer.find_disk is not None
        other = layer.find_disk("b")
        assert other.name == "b"
        assert await other.exists("y/file") == (disk.name == "b")
    assert Scoped(MemoryDriver(), "x").find_disk is None
    layer = manager.disk("a").driver_as(Scoped)
    find, gone = layer.find_disk, weakref.ref(manager)
    del manager, disk, other
    gc.collect()
    assert gone() is None
    assert find is not None
    with pytest.raises(StorageConfigException, match="does not exist any more"):
        find("b")


async def test_a_layer_is_named_without_options_as_a_text() -> None:
    manager = StorageManager.isolated(
        {"disks": {"d": {"driver": "memory", "layers": ["read_only"]}}}
    )
    with pytest.raises(ReadOnlyException) as raised:
        await manager.disk("d").put("a", b"")
    assert raised.value.disk == "d"


async def test_options_of_layers_have_their_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    manager = StorageManager.isolated(
        {
            "disks": {
                "d": {"driver": "memory", "layers": [{"name": "scoped", "prefix": "${TENANT}"}]}
            }
        }
    )
    monkeypatch.delenv("TENANT", raising=False)
    with pytest.raises(StorageConfigException, match=r"layers\.scoped\.prefix.*'TENANT'"):
        await manager.disk("d").exists("a")
    monkeypatch.setenv("TENANT", "acme")
    await manager.disk("d").put("a", b"")
    assert manager.disk("d").driver_as(MemoryDriver).all_paths() == ["acme/a"]


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ("read_only", "list of names"),
        ([7], "list of names"),
        ([{}], "list of names"),
        ([{"name": ""}], "list of names"),
        ([{"prefix": "a"}], "list of names"),
        ([{"name": "scoped", 1: "a"}], "name is a str"),
    ],
)
def test_what_is_no_list_of_layers_is_refused_when_it_is_read(layers: Any, message: str) -> None:
    with pytest.raises(StorageConfigException, match=message) as raised:
        StorageManager.isolated({"disks": {"d": {"driver": "memory", "layers": layers}}})
    assert raised.value.disk == "d"


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("nothing_like_it", "No layer named 'nothing_like_it' is installed. There are: .*scoped"),
        ("otel", r"No layer named 'otel'.*pip install 'jtc-storage\[otel\]'"),
        ({"name": "scoped", "prefx": "a"}, "no option 'prefx'. Did you mean 'prefix'"),
        ("scoped", "The layer 'scoped' needs the options: prefix"),
        ({"name": "scoped", "prefix": "../x"}, "'scoped' refuses its configuration"),
    ],
)
async def test_layer_that_cannot_be_made_is_refused_with_its_disk(
    layer: Any, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jtc.storage import _discovery as discovery

    found = {**discovery._scan()}
    layers = {name: entries for name, entries in found[discovery.LAYERS].items() if name != "otel"}
    monkeypatch.setattr(discovery, "_scan", lambda: found | {discovery.LAYERS: layers})
    manager = StorageManager.isolated({"disks": {"d": {"driver": "memory", "layers": [layer]}}})
    with pytest.raises(StorageConfigException, match=message) as raised:
        await manager.disk("d").exists("a")
    assert raised.value.disk == "d"


async def test_capability_that_is_disabled_stays_so_below_layers() -> None:
    manager = StorageManager.isolated(
        {
            "disks": {
                "d": {
                    "driver": "memory",
                    "disable": ["listing", "reading"],
                    "layers": [{"name": "scoped", "prefix": "s"}],
                },
                "bare": {"driver": "memory", "disable": ["listing"]},
            }
        }
    )
    assert not manager.disk("d").capabilities.names & {"listing", "reading"}
    await manager.disk("d").put("a", b"12345")
    assert await manager.disk("d").get_range("a", 1, 3) == b"23"
    view = manager.disk("bare").scoped("s")
    assert "listing" not in view.capabilities
    assert "copy" in view.capabilities
    assert view.driver_as(MemoryDriver) is manager.disk("bare").driver


SIGNED = {"base_url": "http://127.0.0.1/files", "secret": "s" * 32}


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ({}, "to sign URLs it needs the option 'secret'"),
        (SIGNED | {"disable": ["temporary_uploads"]}, "the disk's configuration disables it"),
        (
            SIGNED | {"disable": ["temporary_uploads"], "layers": ["retry"]},
            "the disk's configuration disables it",
        ),
        (
            SIGNED | {"layers": ["retry", {"name": "validate", "max_size": 9}, "otel"]},
            "the layer Validate around it takes it away",
        ),
    ],
)
async def test_what_stands_between_a_disk_and_a_capability_is_named(
    table: dict[str, Any], reason: str
) -> None:
    disk = StorageManager.isolated({"disks": {"d": {"driver": "memory"} | table}}).disk("d")
    with pytest.raises(UnsupportedOperationException) as raised:
        await disk.temporary_upload_url("a.txt", 60)
    assert raised.value.message == (
        f"The driver 'memory' does not have the capability 'temporary_uploads': {reason}"
    )


async def test_no_secret_is_asked_for_where_none_would_help() -> None:
    with pytest.raises(UnsupportedOperationException) as raised:
        await disk_with(EightMethods()).temporary_url("a.txt", 60)
    assert raised.value.message.endswith("does not have the capability 'temporary_urls'")
    manager = StorageManager.isolated({"disks": {"d": {"driver": "theirs"}}})
    manager.extend("theirs", EightMethods)
    with manager.fake("d") as fake, pytest.raises(UnsupportedOperationException) as raised:
        await fake.temporary_url("a.txt", 60)
    assert raised.value.message.endswith("does not have the capability 'temporary_urls'")


def test_with_layer_refuses_an_unknown_layer_at_once() -> None:
    disk = disk_with(MemoryDriver())
    with pytest.raises(StorageConfigException, match="No layer named 'retri'") as raised:
        disk.with_layer("retri")
    assert (raised.value.disk, raised.value.operation) == ("d", "with_layer")
    with pytest.raises(StorageConfigException, match="no option"):
        disk.with_layer(Counting, starts=1)


async def test_a_layer_of_ones_own_is_made_with_its_options_for_each_driver_in_turn() -> None:
    manager = StorageManager.isolated({})
    counted = manager.disk("d").with_layer(Counting, start=5)
    for _ in range(2):
        manager.set_driver(MemoryDriver(), "d")
        await counted.put("a", b"")
        assert counted.driver_as(Counting).calls == 6


async def test_layers_are_around_what_an_environment_without_configuration_gives() -> None:
    manager = StorageManager.isolated()
    disk = manager.disk("memory").with_layer("scoped", prefix="s")
    await disk.put("a", b"")
    assert await manager.disk("memory").all_files() == ["s/a"]


# In tests


async def test_a_fake_keeps_the_layers_of_its_disk() -> None:
    manager = StorageManager.isolated(
        {
            "disks": {
                "d": {
                    "driver": "s3",
                    "bucket": "b",
                    "secret_key": "${NOT_SET_IN_TESTS}",
                    "layers": [{"name": "scoped", "prefix": "tenant/1"}],
                }
            }
        }
    )
    with manager.fake("d") as fake:
        await manager.disk("d").put("a/x.txt", "1")
        fake.assert_exists("a/x.txt", "1")
        fake.assert_missing("tenant/1/a/x.txt")
        fake.assert_count(1)
        fake.assert_count(1, "a")
        fake.assert_empty("b")
        assert fake.driver_as(MemoryDriver).all_paths() == ["tenant/1/a/x.txt"]
        assert "temporary_urls" in fake.capabilities


def test_what_any_parent_guards_is_guarded() -> None:
    class Reads(Layer, guards={"write"}, passes={"put", "delete", "delete_many", "copy_file"}):
        pass

    class Changes(
        Layer, guards={"content", "write"}, passes={"get", "put", "size", "url", "delete"}
    ):
        async def copy_file(self, _src: str, _dst: str, _options: Any, /) -> str | None:
            return None

    class Both(Reads, Changes, adds={"copy"}):
        pass

    assert Both.guards == {"content", "write"}
    assert Both.passes == {"get", "put", "size", "url", "delete", "copy_file"}
    capabilities = resolve(Both(MemoryDriver())).capabilities
    assert capabilities.names == {"copy"}


def test_threads_that_meet_at_the_first_use_share_one_layer() -> None:
    both_are_here = threading.Barrier(2)

    class Slow(Layer):
        def __init__(self, inner: Any) -> None:
            super().__init__(inner)
            with contextlib.suppress(threading.BrokenBarrierError):
                both_are_here.wait(0.2)  # a second one never comes

    manager = StorageManager.isolated({})
    manager.set_driver(MemoryDriver(), "d")
    disk = manager.disk("d").with_layer(Slow)
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(lambda _: disk.driver, range(2))
    assert first is second is disk.driver
