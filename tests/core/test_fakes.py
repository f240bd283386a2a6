"""Fakes and the guard, as an application's tests use them."""

from __future__ import annotations

import asyncio
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

import pytest_jtc_storage as fixtures
from disk_outcomes import outcomes
from jtc.storage import (
    Disk,
    PathConflictException,
    Storage,
    StorageException,
    StorageManager,
    UnsupportedOperationException,
    Visibility,
)
from jtc.storage._discovery import DRIVERS, PLUGINS
from jtc.storage.driver import FakeTraits
from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.drivers.s3_driver import S3Driver

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from installed_site import Site

pytest_plugins = ["pytester"]


class EightMethods:
    """A driver that can do nothing more than it must."""

    async def put(self, path: str, _content: object, /) -> str:
        return path

    async def get(self, path: str, /) -> bytes:
        raise FileNotFoundError(path)

    async def exists(self, _path: str, /) -> bool:
        return False

    async def delete(self, _path: str, /) -> bool:
        return False

    async def size(self, path: str, /) -> int:
        raise FileNotFoundError(path)

    async def last_modified(self, path: str, /) -> float:
        raise FileNotFoundError(path)

    def url(self, path: str, /) -> str:
        return path

    def path(self, path: str, /) -> str:
        return path


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> StorageManager:
    for name in ("FILESYSTEM_DISK", "FILESYSTEM_CONFIG", "AWS_BUCKET"):
        monkeypatch.delenv(name, raising=False)
    return StorageManager.isolated()


async def test_a_fake_needs_no_configuration_and_no_credentials(manager: StorageManager) -> None:
    with manager.fake("s3"):
        await manager.disk("s3").put("a.txt", b"1")
        assert await manager.disk("s3").get("a.txt") == b"1"


async def test_a_disk_kept_from_before_is_faked_too_and_has_its_driver_back_afterwards(
    manager: StorageManager,
) -> None:
    real = MemoryDriver()
    manager.set_driver(real, "media")
    kept = manager.disk("media")
    view = kept.scoped("a")
    with manager.fake("media") as fake:
        await kept.put("a.txt", b"1")
        await view.put("b.txt", b"2")
        fake.assert_exists("a.txt")
        fake.assert_exists("a/b.txt", b"2")
    assert real.count() == 0
    assert kept.driver is real
    fake.restore()
    assert kept.driver is real


async def test_without_a_name_the_default_disk_is_faked(
    manager: StorageManager, tmp_path: Path
) -> None:
    manager.configure(
        {"default": "media", "disks": {"media": {"driver": "local", "root": str(tmp_path)}}}
    )
    with manager.fake() as fake:
        await manager.put("a.txt", "text")
        await manager.disk("media").put("b.txt", "text")
        fake.assert_count(2)
    assert not list(tmp_path.iterdir())
    await manager.put("a.txt", "text")
    assert (tmp_path / "a.txt").exists()


async def test_a_default_disk_set_by_hand_is_faked_under_its_alias(manager: StorageManager) -> None:
    real = MemoryDriver()
    manager.set_driver(real)
    for names in ((), ("default",)):
        with manager.fake(*names) as fake:
            await manager.put("a.txt", b"1")
            fake.assert_exists("a.txt")
    assert real.count() == 0
    assert manager.driver is real


async def test_a_star_fakes_all_disks_there_are_and_will_be(
    manager: StorageManager, tmp_path: Path
) -> None:
    manager.configure({"default": "a", "disks": {"a": {"driver": "local", "root": str(tmp_path)}}})
    plain = EightMethods()
    manager.set_driver(plain, "plain")
    with manager.fake("*") as fake:
        await manager.put("a.txt", b"1")
        await manager.disk("invented").put("b.txt", b"2")
        fake.assert_exists("a.txt")
        fake.disk("invented").assert_exists("b.txt")
        assert not manager.disk("plain").capabilities.names
    assert not list(tmp_path.iterdir())
    assert manager.disk("plain").driver is plain
    with pytest.raises(StorageException, match="No disk 'invented' is configured"):
        await manager.disk("invented").get("b.txt")


async def test_several_disks_are_faked_together_and_kept_apart(manager: StorageManager) -> None:
    with manager.fake("a", "b") as fake:
        await manager.disk("a").put("x.txt", b"1")
        fake.assert_exists("x.txt")
        fake.disk("b").assert_missing("x.txt")
        fake.disk("b").assert_empty()


async def test_fakes_within_fakes_come_off_one_by_one(manager: StorageManager) -> None:
    disk = manager.disk("a")
    with manager.fake("a"):
        await disk.put("outer.txt", b"")
        with manager.fake("a") as inner:
            inner.assert_empty()
        assert await disk.exists("outer.txt")


@pytest.mark.parametrize("driver", [S3Driver, LocalDriver, MemoryDriver], ids=lambda c: c.__name__)
def test_a_fake_has_the_capabilities_of_what_it_stands_for(
    manager: StorageManager, driver: type, tmp_path: Path
) -> None:
    real = {
        S3Driver: lambda: S3Driver("bucket"),
        LocalDriver: lambda: LocalDriver(tmp_path),
        MemoryDriver: MemoryDriver,
    }[driver]()
    manager.set_driver(real, "real")
    name = driver.__name__.removesuffix("Driver").lower()
    with manager.fake(name) as fake:
        assert fake.capabilities == manager.disk("real").capabilities


async def test_what_the_real_driver_cannot_do_fails_on_the_fake_too(
    manager: StorageManager,
) -> None:
    manager.set_driver(EightMethods(), "plain")
    with manager.fake("plain") as fake:
        await fake.put("a.txt", b"1")
        with pytest.raises(UnsupportedOperationException):
            await fake.files()
        with pytest.raises(UnsupportedOperationException):
            await fake.put("a.txt", b"1", overwrite=False)


async def test_what_a_configuration_disables_stays_disabled(manager: StorageManager) -> None:
    manager.configure({"disks": {"m": {"driver": "s3", "bucket": "b", "disable": ["visibility"]}}})
    with manager.fake("m") as fake:
        assert "visibility" not in fake.capabilities
        assert "listing" in fake.capabilities


@pytest.mark.parametrize(
    "options", [{}, {"secret": "x" * 32, "base_url": "/f"}, {"base_url": "https://a.example/f"}]
)
@pytest.mark.parametrize("by_hand", [False, True])
async def test_fake_of_a_local_disk_has_the_results_and_errors_of_the_real_disk(
    manager: StorageManager, tmp_path: Path, options: dict[str, str], by_hand: bool
) -> None:
    root = tmp_path / "root"
    manager.configure({"disks": {"d": {"driver": "local", "root": str(root), **options}}})
    if by_hand:
        manager.set_driver(LocalDriver(root, **options), "d")
    disk = manager.disk("d")
    with manager.fake("d"):
        faked = await outcomes(disk)
        links = (disk.url("a b"), disk.path("a b"), disk.capabilities)
        assert ("temporary_urls" in disk.capabilities) == ("secret" in options)
    assert not root.exists()
    real = await outcomes(disk)
    assert links == (disk.url("a b"), disk.path("a b"), disk.capabilities)
    assert len(real) == len(faked) > 70
    for one, other in zip(real, faked, strict=True):
        assert one == other


async def test_fake_of_a_local_disk_without_a_secret_names_the_option(
    manager: StorageManager,
) -> None:
    with manager.fake("local") as fake:
        with pytest.raises(UnsupportedOperationException, match="it needs the option 'secret'"):
            await fake.temporary_url("a.txt", 60)
        assert fake.url("a b.txt") == "/storage/a%20b.txt"


async def test_fake_of_a_memory_disk_is_one(manager: StorageManager) -> None:
    with manager.fake("memory") as fake:
        faked = await outcomes(fake)
        assert fake.url("a.txt") == "memory://a.txt"
    real = await outcomes(manager.disk("memory"))
    for one, other in zip(real, faked, strict=True):
        assert one == other


class Telling(EightMethods):
    """A third party's driver that says how it is faked."""

    made: ClassVar[list[object]] = []
    fake_traits = FakeTraits(visibility=Visibility.PUBLIC, has_directories=True)

    def __init__(self, host: str) -> None:
        self.made.append(host)
        self.host = host

    @classmethod
    def for_fake(cls, options: Mapping[str, Any] | None) -> Telling:
        driver = object.__new__(cls)
        driver.host = str((options or {}).get("host", "localhost"))
        return driver

    def url(self, path: str, /) -> str:
        return f"https://{self.host}/{path}"

    async def visibility(self, _path: str, /) -> Visibility:
        raise NotImplementedError

    async def set_visibility(self, _path: str, _visibility: Visibility, /) -> None:
        raise NotImplementedError


async def test_third_partys_driver_says_how_it_is_faked_and_is_not_made(
    manager: StorageManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOST", "files.example")
    manager.extend("telling", Telling)
    manager.configure(
        {
            "disks": {
                "d": {"driver": "telling", "host": "${HOST}"},
                "unset": {"driver": "telling", "host": "${NOT_SET_ANYWHERE}"},
            }
        }
    )
    with manager.fake("d", "unset") as fake:
        assert fake.url("a.txt") == "https://files.example/a.txt"
        assert fake.disk("unset").url("a.txt") == "https://NOT_SET_ANYWHERE/a.txt"
        await fake.put("a.txt", "x")
        assert await fake.visibility("a.txt") == "public"
        with pytest.raises(PathConflictException):
            await fake.put("a.txt/b", "x")
        with pytest.raises(UnsupportedOperationException):
            await fake.files()
    assert not Telling.made


async def test_fakes_end_in_any_order(manager: StorageManager) -> None:
    real = MemoryDriver()
    manager.set_driver(real, "a")
    first = manager.fake("a")
    second = manager.fake("*")
    third = manager.fake("a")
    await manager.disk("a").put("third.txt", b"")
    first.restore()
    third.assert_exists("third.txt")
    await manager.disk("a").put("third too.txt", b"")
    third.restore()
    await manager.disk("a").put("second.txt", b"")
    second.restore()
    assert manager.disk("a").driver is real
    second.disk("a").assert_exists("second.txt")
    second.disk("a").assert_count(1)
    third.assert_count(2)
    first.assert_empty()
    assert real.count() == 0


async def test_handle_of_a_fake_keeps_its_own_files(manager: StorageManager) -> None:
    with manager.fake("a") as outer:
        await manager.disk("a").put("outer.txt", b"1")
        with manager.fake("a") as inner:
            await manager.disk("a").put("inner.txt", b"2")
            outer.assert_exists("outer.txt", b"1")
            outer.assert_missing("inner.txt")
            assert await outer.files() == ["outer.txt"]
            inner.assert_count(1)
        manager.set_driver(MemoryDriver(), "a")
        await manager.disk("a").put("elsewhere.txt", b"")
        outer.assert_count(1)
    for fake, path in ((outer, "outer.txt"), (inner, "inner.txt")):
        fake.assert_exists(path)
        assert await fake.exists(path)
        await fake.scoped("later").put("x.txt", b"")
        fake.assert_exists("later/x.txt")
        assert fake.sync.name == "a"
    with pytest.raises(StorageException, match="'b' is not one of these fakes: a"):
        outer.disk("b").assert_empty()


def test_threads_that_fake_one_disk_do_not_meet(manager: StorageManager) -> None:
    disk = manager.disk("a")
    barrier = threading.Barrier(3, timeout=20)

    def work(number: int) -> None:
        barrier.wait()
        with manager.fake("a").sync as fake:
            barrier.wait()
            disk.sync.put(f"{number}.txt", str(number))
            barrier.wait()
            fake.assert_exists(f"{number}.txt", str(number))
            fake.assert_count(1)
            assert disk.sync.files() == [f"{number}.txt"]
            barrier.wait()

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(work, range(3))) == [None] * 3
    with pytest.raises(StorageException, match="No driver named 'a'"):
        disk.sync.files()


async def test_tasks_that_fake_one_disk_do_not_meet(manager: StorageManager) -> None:
    disk = manager.disk("a")
    barrier = asyncio.Barrier(3)

    async def work(number: int) -> None:
        with manager.fake("a") as fake:
            await barrier.wait()
            await disk.put(f"{number}.txt", str(number))
            await asyncio.gather(disk.put("child.txt", b""), asyncio.to_thread(disk.sync.files))
            await barrier.wait()
            fake.assert_count(2)
            assert await disk.get_text(f"{number}.txt") == str(number)

    with manager.fake("a") as outer:
        await asyncio.gather(*map(work, range(3)))
        outer.assert_empty()


async def test_task_that_was_begun_within_a_fake_sees_a_later_one_within_it(
    manager: StorageManager,
) -> None:
    disk = manager.disk("a")
    work: asyncio.Queue[str] = asyncio.Queue()

    async def serve() -> None:
        while path := await work.get():
            await disk.put(path, b"")
            work.task_done()

    with manager.fake("*") as outer:
        server = asyncio.create_task(serve())
        with manager.fake("a") as inner:
            await work.put("inner.txt")
            await work.join()
            inner.assert_exists("inner.txt")
        await work.put("outer.txt")
        await work.join()
        outer.disk("a").assert_exists("outer.txt")
        await work.put("")
        await server


def test_other_threads_and_their_loops_see_the_fake(manager: StorageManager) -> None:
    with manager.fake("a") as fake:
        thread = threading.Thread(target=lambda: asyncio.run(manager.disk("a").put("t.txt", b"1")))
        thread.start()
        thread.join()
        fake.assert_exists("t.txt", b"1")


async def test_assertions_say_what_there_is(manager: StorageManager) -> None:
    with manager.fake("a") as fake:
        await fake.put("img/a.txt", "text")
        fake.assert_exists("img/a.txt", "text")
        fake.assert_count(1, "img")
        fake.assert_empty("im")
        with pytest.raises(AssertionError, match=r"no file 'b.txt' .* there are: \['img/a.txt'\]"):
            fake.assert_exists("b.txt")
        with pytest.raises(AssertionError, match="contains b'text', not b'other'"):
            fake.assert_exists("img/a.txt", b"other")
        with pytest.raises(AssertionError, match=r"There is a file 'img/a\.txt'"):
            fake.assert_missing("img/a.txt")
        with pytest.raises(AssertionError, match="There are 1 files, not 2"):
            fake.assert_count(2)
        with pytest.raises(AssertionError, match="There are 1 files, not 0"):
            fake.assert_empty()


def test_a_fake_is_a_disk(manager: StorageManager) -> None:
    with manager.fake("a") as fake:
        assert isinstance(fake, Disk)
        assert fake.driver_as(MemoryDriver).count() == 0


async def test_the_guard_refuses_real_disks_and_lets_memory_and_those_set_by_hand_pass(
    manager: StorageManager, tmp_path: Path
) -> None:
    manager.set_driver(LocalDriver(tmp_path), "by hand")
    await manager.disk("memory").put("before.txt", b"")
    with manager.guarded() as touched:
        await manager.disk("memory").put("a.txt", b"")
        await manager.disk("by hand").put("a.txt", b"")
        with manager.fake("s3"):
            await manager.disk("s3").put("a.txt", b"")
        with pytest.raises(StorageException, match=r"fake it with Storage.fake\('local'\)"):
            await manager.put("a.txt", b"")
    assert touched == ["local"]
    assert await manager.disk("memory").exists("before.txt")


async def test_the_guard_also_refuses_a_disk_that_was_used_before(
    manager: StorageManager, tmp_path: Path
) -> None:
    manager.configure({"disks": {"d": {"driver": "local", "root": str(tmp_path)}}})
    await manager.disk("d").put("a.txt", b"")
    with manager.guarded() as touched, pytest.raises(StorageException):
        await manager.disk("d").get("a.txt")
    assert touched == ["d"]
    assert await manager.disk("d").exists("a.txt")


def test_the_fixtures_work_in_a_test_run_of_their_own(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("from pytest_jtc_storage import fake_storage, storage_guard")
    pytester.makepyfile(
        """
        import asyncio
        import pytest
        from jtc.storage import Storage, StorageException

        def test_fakes(fake_storage):
            asyncio.run(Storage.disk("s3").put("a.txt", b"1"))
            fake_storage.disk("s3").assert_exists("a.txt")

        def test_fakes_begin_empty(fake_storage):
            fake_storage.disk("s3").assert_empty()

        @pytest.mark.usefixtures("storage_guard")
        def test_swallows_the_error():
            try:
                asyncio.run(Storage.disk("local").get("a.txt"))
            except StorageException:
                pass

        @pytest.mark.usefixtures("storage_guard", "fake_storage")
        def test_guarded_and_faked():
            asyncio.run(Storage.put("a.txt", b"1"))
        """
    )
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:asyncio")
    result.assert_outcomes(passed=4, errors=1)
    result.stdout.fnmatch_lines(["*touched the real disks 'local'*"])


def test_fixtures_work_beside_an_installed_plugin_that_ends_the_program(
    pytester: pytest.Pytester, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, group in (("end-plugin", PLUGINS), ("end-driver", DRIVERS)):
        module = name.replace("-", "_")
        site.install(name, {"end": f"{module}:End"}, module, "raise SystemExit(3)", group=group)
    pytester.makepyfile(
        """
        import asyncio
        from jtc.storage import Storage

        def test_fakes(fake_storage):
            asyncio.run(Storage.disk("s3").put("a.txt", b"1"))
            fake_storage.disk("s3").assert_exists("a.txt")
            asyncio.run(Storage.disk("end").put("a.txt", b"1"))

        def test_guard(storage_guard):
            Storage.disks()
        """
    )
    pytester.makeconftest("from pytest_jtc_storage import fake_storage, storage_guard")
    monkeypatch.setenv("PYTHONPATH", str(site.folder))
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:asyncio")
    result.assert_outcomes(passed=2)


def test_the_guard_watches_every_test_of_a_run_as_its_page_says(
    pytester: pytest.Pytester,
) -> None:
    settings = textwrap.dedent(fixtures.__doc__ or "").split("::\n")[1]
    pytester.makepyprojecttoml(settings.partition("\nNothing of")[0])
    pytester.makepyfile(
        """
        import asyncio
        from jtc.storage import Storage

        def test_touches_a_real_disk():
            asyncio.run(Storage.disk("local").exists("a.txt"))
        """
    )
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:asyncio")
    result.assert_outcomes(failed=1, errors=1)


def test_the_processs_own_storage_can_be_faked() -> None:
    with Storage.fake("memory") as fake:
        asyncio.run(Storage.disk("memory").put("a.txt", b"1"))
        fake.assert_count(1)
