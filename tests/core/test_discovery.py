"""Discovery of drivers, layers and plugins, in real distributions in folders on the path."""

from __future__ import annotations

import importlib
import shutil
import sys
import textwrap
import threading
from importlib import metadata
from typing import TYPE_CHECKING, Any

import pytest

from installed_site import DRIVER, Site
from jtc.storage import StorageConfigException, StorageManager
from jtc.storage import _discovery as discovery
from jtc.storage._discovery import LAYERS, PLUGINS
from jtc.storage.drivers.memory_driver import MemoryDriver

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def nothing_else_installed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide every installed distribution but those of `site`."""
    discovery.installed_drivers()  # what the scan itself imports is imported by now
    monkeypatch.setattr(
        sys, "path", [str(site.folder), *(p for p in sys.path if "site-packages" not in p)]
    )
    discovery.forget_scan()


@pytest.fixture
def manager() -> StorageManager:
    return StorageManager.isolated()


async def refusal(manager: StorageManager, disk: str) -> StorageConfigException:
    """Return the error of a disk's first use."""
    with pytest.raises(StorageConfigException) as caught:
        await manager.disk(disk).get("a.txt")
    return caught.value


async def test_an_installed_driver_is_a_disk(site: Site, manager: StorageManager) -> None:
    site.install("acme-storage", {"acme": "acme_module:Driver"}, "acme_module")
    assert await manager.disk("acme").get("a.txt") == b"nowhere"
    assert "acme" in manager.drivers()


async def test_a_driver_comes_with_its_environment(
    site: Site, manager: StorageManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = (
        DRIVER
        + """
        @classmethod
        def from_env(cls, environ):
            return cls(region=environ["ACME_REGION"])
    """
    )
    monkeypatch.setenv("ACME_REGION", "north")
    site.install("acme-storage", {"acme": "acme_module:Driver"}, "acme_module", source)
    assert await manager.disk("acme").get("a.txt") == b"north"


async def test_what_an_environment_lacks_is_an_error_of_the_configuration(
    site: Site, manager: StorageManager
) -> None:
    source = (
        DRIVER
        + """
        @classmethod
        def from_env(cls, environ):
            raise LookupError("ACME_REGION is not set")
    """
    )
    site.install("acme-storage", {"acme": "acme_module:Driver"}, "acme_module", source)
    error = await refusal(manager, "acme")
    assert "ACME_REGION is not set" in error.message
    assert error.disk == "acme"
    assert isinstance(error.__cause__, LookupError)


async def test_a_function_may_make_the_driver(site: Site, manager: StorageManager) -> None:
    source = (
        DRIVER
        + """
    def make(*, place):
        return Driver(region=place)
    """
    )
    site.install("acme-storage", {"acme": "acme_module:make"}, "acme_module", source)
    manager.configure({"disks": {"here": {"driver": "acme", "place": "south"}}})
    assert await manager.disk("here").get("a.txt") == b"south"


BROKEN = {
    "an_import_that_fails": ("import there_is_no_such_module", "ModuleNotFoundError"),
    "a_syntax_error": ("def driver(:", "SyntaxError"),
    "an_error_of_its_own": ("raise RuntimeError('no licence')", "RuntimeError: no licence"),
    "a_class_that_is_missing": ("", "AttributeError"),
    "the_end_of_the_program": ("import sys; sys.exit(3)", "SystemExit: 3"),
    "a_skipped_test": ("import pytest; pytest.skip('', allow_module_level=True)", "Skipped"),
}


@pytest.mark.parametrize("case", BROKEN)
async def test_a_broken_plugin_breaks_its_own_disk_alone(
    site: Site, manager: StorageManager, case: str
) -> None:
    source, reason = BROKEN[case]
    site.install("broken-storage", {"broken": "broken_module:Driver"}, "broken_module", source)
    site.install("acme-storage", {"acme": "acme_module:Driver"}, "acme_module")
    error = await refusal(manager, "broken")
    assert "'broken' of broken-storage" in error.message
    assert reason in error.message
    assert error.disk == "broken"
    assert error.__cause__ is not None
    assert await manager.disk("acme").get("a.txt") == b"nowhere"
    assert {"acme", "broken"} <= set(manager.drivers())


@pytest.mark.parametrize("value", ["not-a-module", "broken module:Driver", ":", "broken_module:"])
async def test_a_malformed_entry_point_breaks_its_own_disk_alone(
    site: Site, manager: StorageManager, value: str
) -> None:
    site.install("broken-storage", {"broken": value}, "broken_module", "")
    site.install("acme-storage", {"acme": "acme_module:Driver"}, "acme_module")
    error = await refusal(manager, "broken")
    assert "'broken' of broken-storage" in error.message
    assert await manager.disk("acme").get("a.txt") == b"nowhere"


@pytest.mark.parametrize("value", ["acme_module", "acme_module:NAME"])
async def test_a_plugin_that_cannot_be_called_is_refused_by_name(
    site: Site, manager: StorageManager, value: str
) -> None:
    site.install("acme-storage", {"acme": value}, "acme_module", "NAME = 'acme'")
    error = await refusal(manager, "acme")
    assert error.message == "The driver 'acme' of acme-storage is neither a class nor a function"


async def test_entry_point_of_no_driver_is_refused_with_the_methods_it_lacks(
    site: Site, manager: StorageManager
) -> None:
    source = """
    class Driver:
        async def get(self, path, /):
            return b""
    """
    site.install("acme-storage", {"acme": "acme_module:Driver"}, "acme_module", source)
    error = await refusal(manager, "acme")
    assert "it lacks put(), exists(), delete(), size(), last_modified()" in error.message


async def test_two_distributions_of_one_drivers_name_are_both_named(
    site: Site, manager: StorageManager
) -> None:
    site.install("acme-storage", {"acme": "acme_module:Driver", "zinc": "acme_module:Driver"})
    site.install("other-storage", {"acme": "other_module:Driver"}, "other_module")
    (site.folder / "acme_module.py").write_text(textwrap.dedent(DRIVER))
    error = await refusal(manager, "acme")
    assert "acme-storage" in error.message
    assert "other-storage" in error.message
    assert error.disk == "acme"
    assert not {"acme_module", "other_module"} & set(sys.modules)
    assert await manager.disk("zinc").get("a.txt") == b"nowhere"
    assert manager.drivers().count("acme") == 1


@pytest.mark.parametrize("spelling", ["acme-storage", "Acme.Storage"])
async def test_one_distribution_on_two_paths_is_one_driver(
    site: Site,
    manager: StorageManager,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    spelling: str,
) -> None:
    # As with a checkout beside an installed release: the first on the path is what is imported.
    older = Site(tmp_path / "older")
    monkeypatch.setattr(sys, "path", [*sys.path, str(older.folder)])
    older.install(spelling, {"acme": "older_module:Driver"}, "older_module", "raise ImportError")
    site.install("acme-storage", {"acme": "acme_module:Driver"}, "acme_module")
    assert await manager.disk("acme").get("a.txt") == b"nowhere"


@pytest.mark.usefixtures("nothing_else_installed")
class TestWhatIsNotInstalled:
    @pytest.mark.parametrize("driver", ["local", "memory", "s3"])
    async def test_missing_official_driver_is_named_with_its_extra(
        self, manager: StorageManager, driver: str
    ) -> None:
        error = await refusal(manager, driver)
        assert f"pip install 'jtc-storage[{driver}]'" in error.message
        assert error.disk == driver

    async def test_unknown_driver_is_refused_with_those_that_are_there(
        self, site: Site, manager: StorageManager
    ) -> None:
        site.install("acme-storage", {"acme": "a:b", "bolt": "a:b"})
        error = await refusal(manager, "acne")
        assert "No driver named 'acne' is installed." in error.message
        assert "Did you mean 'acme'? There are: acme, bolt" in error.message

    async def test_where_there_is_none_one_is_proposed(self, manager: StorageManager) -> None:
        error = await refusal(manager, "acme")
        assert "pip install 'jtc-storage[local]'" in error.message
        assert manager.drivers() == []

    async def test_a_configured_disk_says_the_same(self, manager: StorageManager) -> None:
        manager.configure({"disks": {"media": {"driver": "s3", "bucket": "media"}}})
        error = await refusal(manager, "media")
        assert "pip install 'jtc-storage[s3]'" in error.message
        assert error.disk == "media"

    async def test_what_was_installed_meanwhile_is_found_after_forgetting(
        self, site: Site, manager: StorageManager
    ) -> None:
        await refusal(manager, "acme")
        site.install("acme-storage", {"acme": "acme_module:Driver"}, "acme_module")
        discovery.forget_scan()
        assert await manager.disk("acme").get("a.txt") == b"nowhere"


async def test_nothing_is_imported_before_its_disk_is_used(
    site: Site, manager: StorageManager, capsys: pytest.CaptureFixture[str]
) -> None:
    source = "print('imported')\n" + textwrap.dedent(DRIVER)
    site.install("acme-storage", {"acme": "acme_module:Driver"}, "acme_module", source)
    assert "acme" in manager.drivers()
    manager.configure({"default": "a", "disks": {"a": {"driver": "acme"}}})
    disk = manager.disk("a")
    assert manager.disks() == ["a"]
    assert "acme_module" not in sys.modules
    assert capsys.readouterr().out == ""
    await disk.get("a.txt")
    await manager.get("a.txt")
    assert capsys.readouterr().out == "imported\n"


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Count how often the metadata of all that is installed is read."""
    calls: list[dict[str, Any]] = []
    distributions = metadata.Distribution.discover

    def counting(**arguments: Any) -> Any:
        calls.append(arguments)
        return distributions(**arguments)

    monkeypatch.setattr(metadata.Distribution, "discover", counting)
    return calls


async def test_what_is_installed_is_looked_at_once(
    site: Site, manager: StorageManager, scans: list[dict[str, Any]]
) -> None:
    site.install("acme-storage", {"acme": "acme_module:Driver"}, "acme_module")
    assert scans == []
    for each in (manager, StorageManager.isolated()):
        await each.disk("acme").get("a.txt")
        await refusal(each, "acne")
        each.drivers()
        each.forget("acme")
        await each.disk("acme").get("a.txt")
    assert len(scans) == 1


def test_threads_that_begin_at_once_agree(site: Site) -> None:
    site.install("acme-storage", {"acme": "acme_module:Driver"}, "acme_module")
    barrier = threading.Barrier(8)
    found: list[object] = []

    def load() -> None:
        barrier.wait()
        found.append(discovery.load_driver("acme"))

    threads = [threading.Thread(target=load) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


async def test_a_named_driver_goes_before_an_installed_one(
    site: Site, manager: StorageManager
) -> None:
    site.install("broken-storage", {"acme": "acme_module:Driver"}, "acme_module", "raise OSError")
    (site.folder / "mine.py").write_text(textwrap.dedent(DRIVER))
    import mine  # type: ignore[import-not-found]

    manager.extend("acme", lambda: mine.Driver(region="mine"))
    assert await manager.disk("acme").get("a.txt") == b"mine"
    assert manager.drivers().count("acme") == 1
    assert "acme_module" not in sys.modules


class TestOptions:
    async def test_unknown_option_is_refused_with_the_closest_and_all(
        self, site: Site, manager: StorageManager
    ) -> None:
        site.install("acme-storage", {"acme": "acme_module:Driver"}, "acme_module")
        manager.configure({"disks": {"a": {"driver": "acme", "regoin": "north"}}})
        error = await refusal(manager, "a")
        assert error.message == (
            "The driver 'acme' has no option 'regoin'. Did you mean 'region'? "
            "It has: region, secret"
        )
        assert error.disk == "a"

    async def test_a_lacking_option_is_named(self, site: Site, manager: StorageManager) -> None:
        source = DRIVER.replace('region="nowhere", secret=None', "region, secret")
        site.install("acme-storage", {"acme": "acme_module:Driver"}, "acme_module", source)
        manager.configure({"disks": {"a": {"driver": "acme", "region": "north"}}})
        assert (
            await refusal(manager, "a")
        ).message == "The driver 'acme' needs the options: secret"

    async def test_refused_configuration_is_named_without_its_value(
        self, site: Site, manager: StorageManager
    ) -> None:
        source = DRIVER.replace("self.region = region", "raise ValueError('secret is too short')")
        site.install("acme-storage", {"acme": "acme_module:Driver"}, "acme_module", source)
        manager.configure({"disks": {"a": {"driver": "acme", "secret": "hunter2"}}})
        error = await refusal(manager, "a")
        assert "secret is too short" in error.message
        assert "hunter2" not in str(error)

    async def test_a_driver_without_environment_needs_its_options(
        self, site: Site, manager: StorageManager
    ) -> None:
        source = DRIVER.replace('region="nowhere"', "region")
        site.install("acme-storage", {"acme": "acme_module:Driver"}, "acme_module", source)
        error = await refusal(manager, "acme")
        assert "region" in error.message
        assert error.disk == "acme"


class TestDistributionsThatAreDamaged:
    """What interrupted installations leave behind breaks no other disk."""

    async def test_one_without_metadata(self, site: Site, manager: StorageManager) -> None:
        site.install("acme-storage", {"acme": "acme_module:Driver"}, "acme_module")
        site.install("ghost-storage", {"ghost": "ghost_module:Driver"})
        (site.folder / "ghost_storage-1.0.dist-info" / "METADATA").unlink()
        discovery.forget_scan()
        assert await manager.disk("acme").get("a.txt") == b"nowhere"
        error = await refusal(manager, "ghost")
        assert f"'ghost' of an unnamed distribution in {site.folder}" in error.message

    @pytest.mark.parametrize(
        "entry_points", [b"[console_scripts\nno section\n", b"[x]\nno value\n"]
    )
    async def test_one_with_malformed_entry_points(
        self, site: Site, manager: StorageManager, entry_points: bytes
    ) -> None:
        site.install("acme-storage", {"acme": "acme_module:Driver"}, "acme_module")
        site.install("ghost-storage", {}, entry_points=entry_points)
        assert await manager.disk("acme").get("a.txt") == b"nowhere"

    async def test_one_with_unreadable_entry_points_is_logged(
        self, site: Site, manager: StorageManager, caplog: pytest.LogCaptureFixture
    ) -> None:
        site.install("acme-storage", {"acme": "acme_module:Driver"}, "acme_module")
        site.install("ghost-storage", {}, entry_points=b"[x]\nghost\xff = a:b\n")
        assert await manager.disk("acme").get("a.txt") == b"nowhere"
        (record,) = [record for record in caplog.records if record.name == "jtc.storage"]
        assert "The entry points of ghost-storage cannot be read" in record.getMessage()

    async def test_one_that_was_being_removed(self, site: Site, manager: StorageManager) -> None:
        # pip renames what it removes: ~cme_storage beside acme_storage.
        site.install("acme-storage", {"acme": "acme_module:Driver"}, "acme_module")
        record = site.folder / "acme_storage-1.0.dist-info"
        shutil.copytree(record, site.folder / "~cme_storage-0.9.dist-info")
        discovery.forget_scan()
        importlib.invalidate_caches()
        assert await manager.disk("acme").get("a.txt") == b"nowhere"


PLUGIN = """
    from jtc.storage.hookspecs import hookimpl

    events = []

    @hookimpl
    def storage_after_put(event):
        events.append(event.path)
"""


async def test_installed_plugin_receives_events_and_a_broken_one_breaks_nothing(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.install("acme-audit", {"audit": "audit_plugin"}, "audit_plugin", PLUGIN, group=PLUGINS)
    site.install("bad", {"broken": "bad_plugin"}, "bad_plugin", "1 / 0", group=PLUGINS)
    site.install("odd", {"odd": "odd_plugin"}, "odd_plugin", "x = 1", group=PLUGINS)
    site.install("end", {"end": "end_plugin"}, "end_plugin", "raise SystemExit(3)", group=PLUGINS)
    ending = "class Ending:\n    def __init__(self):\n        raise SystemExit(3)"
    site.install("endless", {"made": "made:Ending"}, "made", ending, group=PLUGINS)
    manager = StorageManager.isolated({})
    manager.set_driver(MemoryDriver())
    assert "audit_plugin" not in sys.modules
    await manager.put("a.txt", b"")
    assert sys.modules["audit_plugin"].events == ["a.txt"]
    assert manager.hooks.plugins() == ["acme-audit:audit"]
    broken = manager.hooks.broken
    assert broken.keys() == {"bad:broken", "odd:odd", "end:end", "endless:made"}
    assert "division by zero" in str(broken["bad:broken"])
    assert "has no hooks" in str(broken["odd:odd"])
    assert "SystemExit: 3" in str(broken["end:end"])
    for name in broken:
        assert caplog.text.count(f"The plugin {name!r} is not used") == 1
    assert StorageManager.isolated({}).hooks.plugins() == ["acme-audit:audit"]


LAYER = """
    from jtc.storage import Layer

    class Shouting(Layer):
        def url(self, path, /):
            return self.inner.url(path).upper()
"""


async def test_an_installed_layer_is_named_in_a_configuration(site: Site) -> None:
    site.install("acme-loud", {"loud": "acme_loud:Shouting"}, "acme_loud", LAYER, group=LAYERS)
    assert "loud" in discovery.installed_layers()
    manager = StorageManager.isolated({"disks": {"d": {"driver": "memory", "layers": ["loud"]}}})
    assert manager.disk("d").url("a") == "MEMORY://A"
    manager.set_driver(MemoryDriver(), "e")
    assert manager.disk("e").with_layer("loud").url("a") == "MEMORY://A"


async def test_layer_that_ends_the_program_at_its_import_breaks_its_own_disk_alone(
    site: Site,
) -> None:
    site.install("acme-end", {"end": "acme_end:End"}, "acme_end", "exit(3)", group=LAYERS)
    manager = StorageManager.isolated(
        {"disks": {"d": {"driver": "memory", "layers": ["end"]}, "m": {"driver": "memory"}}}
    )
    assert "SystemExit: 3" in (await refusal(manager, "d")).message
    with pytest.raises(StorageConfigException, match="'end' of acme-end cannot be imported"):
        manager.disk("m").with_layer("end")
    await manager.disk("m").put("a.txt", b"")


def test_two_distributions_of_one_layers_name_are_both_named(site: Site) -> None:
    for owner in ("one", "two"):
        site.install(owner, {"loud": "acme_loud:Shouting"}, group=LAYERS)
    with pytest.raises(
        StorageConfigException, match=r"provide the layer .loud.: (one and two|two and one)"
    ):
        discovery.load_layer("loud")
