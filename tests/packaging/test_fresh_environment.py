"""What a user gets: wheels installed by pip where nothing else is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Environment, Wheel


ACME_IS_A_DISK = """
import asyncio
from jtc.storage import FileNotFoundException, Storage, UnsupportedOperationException

assert Storage.drivers() == ["acme"], Storage.drivers()

async def main():
    disk = Storage.disk("acme")
    assert await disk.put("docs/a.txt", b"hello world") == "docs/a.txt"
    assert await disk.get("docs/a.txt") == b"hello world"
    assert await disk.exists("docs/a.txt")
    assert await disk.size("docs/a.txt") == 11

    # What follows the driver does not know of: it is derived from the eight methods.
    assert await disk.copy("docs/a.txt", "docs/b.txt") == "docs/b.txt"
    assert await disk.get_text("docs/b.txt") == "hello world"
    assert await disk.get_range("docs/a.txt", 6) == b"world"
    assert await disk.get_range("docs/a.txt", -5, None) == b"world"
    assert [chunk async for chunk in disk.stream("docs/a.txt", chunk_size=4)] == [
        b"hell", b"o wo", b"rld"
    ]
    assert (await disk.stat("docs/a.txt")).size == 11
    assert await disk.mime_type("docs/a.txt") == "text/plain"
    await disk.move("docs/b.txt", "docs/c.txt")
    assert await disk.missing("docs/b.txt")
    async def chunks():
        yield b"from "
        yield b"afar"
    await disk.put("docs/d.txt", chunks())
    assert await disk.get("docs/d.txt") == b"from afar"
    assert await disk.delete_many(["docs/c.txt", "gone"]) == {"docs/c.txt": True, "gone": False}

    for refused in (
        disk.files(),
        disk.make_directory("a"),
        disk.set_visibility("docs/a.txt", "public"),
        disk.temporary_url("docs/a.txt", 60),
        disk.put("docs/a.txt", b"", content_type="text/plain"),
    ):
        try:
            await refused
        except UnsupportedOperationException as error:
            assert error.disk == "acme" and "acme" in error.message, error
        else:
            raise AssertionError("nothing refused")
    assert await disk.get("docs/a.txt") == b"hello world"

    assert await disk.delete("docs/a.txt") and not await disk.delete("docs/a.txt")
    try:
        await disk.get("docs/a.txt")
    except FileNotFoundException as error:
        assert isinstance(error.__cause__, FileNotFoundError) and error.path == "docs/a.txt"
    else:
        raise AssertionError("no error")

    Storage.configure({"disks": {"files": {"driver": "acme", "database": "kept.db"}}})
    await Storage.disk("files").put("a.txt", b"kept")
    async with Storage.build({"driver": "acme", "database": "kept.db"}) as built:
        assert await built.get("a.txt") == b"kept"

asyncio.run(main())
"""


def test_a_third_partys_driver_is_a_disk_once_it_is_installed(
    environment: Callable[..., Environment],
) -> None:
    installed = environment("jtc-storage", "jtc-storage-acme")
    assert not {"jtc-storage-local", "jtc-storage-memory"} & installed.installed().keys()
    installed.execute(ACME_IS_A_DISK)


A_HOOK_AND_A_LAYER = """
import asyncio, json, logging, os, pathlib

trail = pathlib.Path("trail.jsonl")
os.environ["ACME_AUDIT_LOG"] = str(trail)

from jtc.storage import Storage, StoragePermissionException, UnsupportedOperationException
from jtc.storage.drivers.memory_driver import MemoryDriver

Storage.configure({
    "default": "archive",
    "disks": {
        "archive": {"driver": "memory", "layers": [{"name": "acme_deflate", "level": 9}]},
        "plain": {"driver": "memory"},
    },
})

async def refused(call):
    try:
        await call
    except StoragePermissionException as error:
        assert "legal hold" in error.message, error
        return error
    raise AssertionError("a file on legal hold is gone")

async def main():
    disk, plain = Storage.disk("archive"), Storage.disk("plain")
    text = b"To whom it may concern. " * 10_000

    # The layer: compressed within, as it was written without.
    async def chunks():
        for at in range(0, len(text), 7_000):
            yield text[at : at + 7_000]
    await disk.put("legal-hold/letter.txt", chunks(), content_type="text/plain")
    memory = disk.driver_as(MemoryDriver)
    assert await memory.size("legal-hold/letter.txt") < 2_000
    assert await disk.size("legal-hold/letter.txt") == len(text)
    assert await disk.get("legal-hold/letter.txt") == text
    assert await disk.get_range("legal-hold/letter.txt", -24) == text[:24]
    assert [e.size async for e in disk.list("legal-hold")] == [len(text)]
    await disk.copy("legal-hold/letter.txt", "letter.txt", to="plain")
    assert await plain.get("letter.txt") == text
    try:
        disk.url("letter.txt")
    except UnsupportedOperationException as error:
        assert error.disk == "archive", error
    assert "temporary_urls" not in disk.capabilities

    # The hook: what is held stays, by whichever way.
    assert (await refused(disk.delete("legal-hold/letter.txt"))).disk == "archive"
    await refused(disk.move("legal-hold/letter.txt", "gone.txt"))
    await refused(disk.delete_directory("legal-hold"))
    view = await refused(disk.scoped("legal-hold").delete("letter.txt"))
    assert view.path == "letter.txt", view
    many = await disk.delete_many(["legal-hold/letter.txt", "missing.txt"])
    assert isinstance(many["legal-hold/letter.txt"], StoragePermissionException), many
    assert many["missing.txt"] is False
    assert await disk.exists("legal-hold/letter.txt")
    assert await plain.delete("letter.txt") is True

    assert list(Storage.hooks.plugins()) == ["jtc-storage-acme-audit:acme_audit"]
    assert not Storage.hooks.broken, Storage.hooks.broken
    await Storage.aclose()

asyncio.run(main())

events = [json.loads(line) for line in trail.read_text().splitlines()]
done = ["put", "get", "get", "copy", "get", *["failed"] * 5, "delete", "delete"]
assert [entry["event"] for entry in events] == done, events
assert events[0]["path"] == "legal-hold/letter.txt" and events[0]["size"] == 240_000, events[0]
assert events[3]["to"] == ["plain", "letter.txt"], events[3]
assert {entry["error"] for entry in events[5:10]} == {"StoragePermissionException"}
assert {entry["path"] for entry in events[5:10]} == {"legal-hold/letter.txt", "legal-hold"}
assert (events[-1]["disk"], events[-1]["found"]) == ("plain", True), events[-1]
"""


EXTENDED = "jtc-storage[memory,otel]", "jtc-storage-acme-audit"


def test_a_third_partys_hook_and_layer_work_once_they_are_installed(
    environment: Callable[..., Environment],
) -> None:
    environment(*EXTENDED).execute(A_HOOK_AND_A_LAYER)


TRACED_BY_OTEL = """
import asyncio, sys
from jtc.storage import Storage

Storage.configure({
    "default": "files", "disks": {"files": {"driver": "memory", "layers": ["otel"]}}
})
assert "opentelemetry" not in sys.modules

async def main():
    await Storage.put("a.txt", b"a")
    assert await Storage.get("a.txt") == b"a"
    assert await Storage.files() == ["a.txt"]

asyncio.run(main())
assert "opentelemetry.trace" in sys.modules
assert "opentelemetry.sdk" not in sys.modules
"""


def test_an_extra_brings_the_opentelemetry_layer_and_no_sdk(
    environment: Callable[..., Environment],
) -> None:
    installed = environment(*EXTENDED)
    versions = installed.installed()
    assert versions["jtc-storage-otel"] == versions["jtc-storage"]
    assert "opentelemetry-sdk" not in versions
    installed.execute(TRACED_BY_OTEL)


DJANGO_ON_A_DISK = """
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from jtc.storage import Storage

Storage.configure({"disks": {"media": {"driver": "memory"}}})
backend = {"BACKEND": "jtc.storage.django.DiskStorage", "OPTIONS": {"disk": "media"}}
settings.configure(STORAGES={"default": backend})
name = default_storage.save("a.txt", ContentFile(b"one"))
assert Storage.sync.disk("media").get(name) == b"one"
"""


def test_an_extra_brings_the_django_backend(environment: Callable[..., Environment]) -> None:
    environment("jtc-storage[django,memory]").execute(DJANGO_ON_A_DISK)


ATTACHMENTS_WITHOUT_EXTRAS = """
import asyncio, sys
from jtc.storage import Storage
from jtc.storage.attachments import Field, Registry
from jtc.storage.attachments.plain import store
from jtc.storage.layers.clamav_layer import ClamAV

Storage.configure({"disks": {"media": {"driver": "memory"}}})
registry = Registry(namespace="app", secret="x" * 32)
field = Field("media", "avatars", types={"image/*"})
registry.add("users.avatar", field)

async def main():
    avatar = await store(field, b"GIF89a" + bytes(20), name="me.gif")
    assert avatar.width is None, "without the extra 'images', images are not looked at"
    assert avatar.to_public()["url"].startswith("/attachments/users.avatar/")

asyncio.run(main())
foreign = {name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names)
assert foreign <= {"__main__", "jtc", "pluggy"}, foreign
"""


def test_an_extra_brings_scanning_and_attachments_need_none(
    environment: Callable[..., Environment],
) -> None:
    installed = environment("jtc-storage[clamav,memory]", "jtc-storage-attachments")
    installed.execute(ATTACHMENTS_WITHOUT_EXTRAS)
    assert "jtc-storage-images" not in installed.installed()


NOTHING_BUT_OURS = """
import sys
before = set(sys.modules)
import jtc.storage
loaded = {name for name in set(sys.modules) - before if name.partition(".")[0] != "jtc"}
foreign = {name for name in loaded if name.partition(".")[0] not in sys.stdlib_module_names}
assert not foreign, foreign
drivers = {name for name in sys.modules if name.startswith("jtc.storage.drivers")}
assert not drivers, drivers
assert "jtc.storage.testing" not in sys.modules
assert not [finder for finder in sys.meta_path if "importlib_metadata" in repr(finder)]
jtc.storage.Storage.disk("local")
jtc.storage.StorageManager.isolated({"disks": {"a": {"driver": "memory"}}}).disks()
assert not {name for name in sys.modules if name.startswith("jtc.storage.drivers")}
"""


PROGRAM = """
import pathlib, subprocess, sys
program = pathlib.Path(sys.executable).with_name("jtc-storage")
for command in ([program], [sys.executable, "-I", "-m", "jtc.storage"]):
    done = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("jtc-storage 1."), done
    done = subprocess.run([*command, "ls", sys.prefix], capture_output=True, text=True, check=True)
    assert "pyvenv.cfg" in done.stdout.splitlines(), done
    assert not done.stderr
"""
NO_PROGRAM = """
import subprocess, sys
done = subprocess.run([sys.executable, "-I", "-m", "jtc.storage"], capture_output=True, text=True)
assert done.returncode == 1, done
assert done.stderr.count("\\n") == 1 and "pip install 'jtc-storage[cli]'" in done.stderr, done
"""


def test_an_extra_brings_the_command_line(environment: Callable[..., Environment]) -> None:
    environment("jtc-storage[cli]").execute(PROGRAM)
    environment("jtc-storage").execute(NO_PROGRAM)


def test_importing_it_imports_no_driver_and_no_third_party(
    environment: Callable[..., Environment],
) -> None:
    environment("jtc-storage[local,memory]", "jtc-storage-acme").execute(NOTHING_BUT_OURS)


THE_WAY_OUT = """
import asyncio, importlib
from jtc.storage import Storage, StorageConfigException

assert Storage.drivers() == []
for name in ("local", "memory", "s3"):
    try:
        asyncio.run(Storage.disk(name).get("a.txt"))
    except StorageConfigException as error:
        assert f"pip install 'jtc-storage[{name}]'" in str(error), error
    else:
        raise AssertionError("no error")
try:
    asyncio.run(Storage.get("a.txt"))
except StorageConfigException as error:
    assert "pip install 'jtc-storage[local]'" in str(error), error
else:
    raise AssertionError("no error")
try:
    Storage.disk("memory").with_layer("otel")
except StorageConfigException as error:
    assert "pip install 'jtc-storage[otel]'" in str(error), error
else:
    raise AssertionError("no error")
try:
    Storage.disk("memory").with_layer("retry")
except StorageConfigException as error:
    assert "pip install 'jtc-storage[layers]'" in str(error), error
else:
    raise AssertionError("no error")
for name, extra in {"LocalDriver": "local", "MemoryDriver": "memory", "S3Driver": "s3"}.items():
    try:
        getattr(importlib.import_module("jtc.storage.drivers"), name)
    except ImportError as error:
        assert f"pip install 'jtc-storage[{extra}]'" in str(error), error
    else:
        raise AssertionError("no error")
"""


def test_the_core_alone_says_how_to_install_a_driver(
    environment: Callable[..., Environment],
) -> None:
    environment("jtc-storage").execute(THE_WAY_OUT)


TWO_DISKS = """
import asyncio, pathlib
from jtc.storage import Storage
from jtc.storage.drivers import LocalDriver, MemoryDriver

assert {"local", "memory"} <= set(Storage.drivers())
root = pathlib.Path("files")
Storage.configure({
    "default": "here",
    "disks": {"here": {"driver": "local", "root": str(root)}, "there": {"driver": "memory"}},
})

async def main():
    await Storage.put("a.txt", "one")
    assert (root / "a.txt").read_text() == "one"
    await Storage.copy("a.txt", "b.txt", to="there")
    assert await Storage.disk("there").files() == ["b.txt"]
    Storage.driver_as(LocalDriver)
    assert Storage.disk("there").driver_as(MemoryDriver).count() == 1
    await Storage.aclose()

asyncio.run(main())
"""


def test_an_extra_brings_its_driver_in_the_cores_version(
    environment: Callable[..., Environment],
) -> None:
    installed = environment("jtc-storage[local,memory]", "jtc-storage-acme")
    versions = installed.installed()
    for name in ("jtc-storage-local", "jtc-storage-memory"):
        assert versions[name] == versions["jtc-storage"]
    assert "jtc-storage-s3" not in versions
    installed.execute(TWO_DISKS)


S3_COSTS_NOTHING_YET = """
import sys
from jtc.storage import Storage
from jtc.storage.drivers.s3_driver import S3Driver

S3Driver(bucket="media", region="eu-central-1", access_key="a", secret_key="b")
Storage.configure({"default": "media", "disks": {"media": {"driver": "s3", "bucket": "media"}}})
assert not {"aioboto3", "aiobotocore", "botocore", "aiohttp"} & set(sys.modules)
"""


def test_the_s3_driver_is_imported_and_made_without_its_sdk(
    wheels: dict[str, Wheel], new_environment: Environment
) -> None:
    parts = ("jtc-storage", "jtc-storage-http", "jtc-storage-s3")
    new_environment.install("--no-deps", *(wheels[name].file for name in parts))
    new_environment.execute(S3_COSTS_NOTHING_YET)


@pytest.fixture(scope="session")
def sibling(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another project's distribution, which ships `jtc.http` and a driver below the core's."""
    folder = tmp_path_factory.mktemp("http")
    for package in ("http", "storage/drivers/http_driver"):
        (folder / "src/jtc" / package).mkdir(parents=True)
        (folder / "src/jtc" / package / "__init__.py").write_text("METHODS = ('GET', 'PUT')\n")
    (folder / "README.md").write_text("# jtc-http\n")
    (folder / "pyproject.toml").write_text("""
[build-system]
requires = ["uv_build>=0.9,<1"]
build-backend = "uv_build"

[project]
name = "jtc-http"
version = "0.1.0"
requires-python = ">=3.11"

[tool.uv.build-backend]
module-name = ["jtc.http", "jtc.storage.drivers.http_driver"]
""")
    return folder


BOTH = """
import asyncio, importlib
for name in {modules}:
    importlib.import_module(name)
import jtc, jtc.http, jtc.storage
from jtc.storage.drivers import MemoryDriver, http_driver
from jtc.storage.drivers.local_driver import LocalDriver

assert getattr(jtc, "__file__", None) is None
assert jtc.http.METHODS == http_driver.METHODS
assert {{"local", "memory"}} <= set(jtc.storage.Storage.drivers())
assert jtc.storage.Storage.disk("memory").driver_as(MemoryDriver).count() == 0
asyncio.run(jtc.storage.Storage.disk("memory").put("a.txt", b"a"))
"""
CORE, DRIVERS, SIBLING = "jtc-storage", ("jtc-storage-local", "jtc-storage-memory"), "jtc-http"


@pytest.mark.parametrize(
    "checkouts",
    [
        pytest.param({*()}, id="all_are_wheels"),
        pytest.param({CORE, *DRIVERS, SIBLING}, id="all_are_checkouts"),
        pytest.param({CORE, SIBLING}, id="the_core_is_a_checkout"),
        pytest.param({"jtc-storage-memory"}, id="one_driver_is_a_checkout"),
    ],
)
def test_a_sibling_project_shares_the_namespace(
    wheels: dict[str, Wheel],
    build_editable: Callable[[Path], Path],
    sibling_wheel: Path,
    sibling: Path,
    new_environment: Environment,
    checkouts: set[str],
) -> None:
    new_environment.install(
        *(
            build_editable(wheels[name].folder) if name in checkouts else wheels[name].file
            for name in (CORE, *DRIVERS)
        ),
        build_editable(sibling) if SIBLING in checkouts else sibling_wheel,
    )
    for first in (["jtc.http"], ["jtc.storage.drivers.memory_driver"]):
        new_environment.execute(BOTH.format(modules=first))


@pytest.fixture(scope="session")
def sibling_wheel(sibling: Path, build: Callable[[Path], Path]) -> Path:
    return build(sibling)


def test_removing_a_driver_leaves_the_others(
    sibling_wheel: Path, new_environment: Environment
) -> None:
    new_environment.install("jtc-storage[local,memory]", sibling_wheel)
    new_environment.execute(BOTH.format(modules=[]))
    new_environment.uninstall("jtc-storage-memory")
    new_environment.execute("""
import jtc.http, jtc.storage
from jtc.storage.drivers.local_driver import LocalDriver
assert jtc.storage.Storage.drivers() == ["local"]
""")
