"""The doctor finds each fault that is planted, and that one alone; on a healthy disk, none.

The rows `fault` name are those of the project's list of faults that an operator can cause.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage.cli._doctor import probes
from jtc.storage.cli._doctor.known_ids import IDS
from jtc.storage.cli._doctor.report import as_json
from jtc.storage.driver_support.findings import DiagnosisOptions, Severity
from jtc.storage.drivers import LocalDriver
from mounts import mounted
from planted_faults import (
    FOREIGN,
    SECRET,
    Ground,
    Planted,
    faults_of,
    forget_installed,
    ids_of,
)
from planted_stores import HEALTHY, STORES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OTHER_USER = 65534
OTHER_NAME = next(each.pw_name for each in pwd.getpwall() if each.pw_uid not in {0, os.geteuid()})
IS_ROOT = os.geteuid() == 0


@pytest.fixture
def ground(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Ground]:
    for name in [name for name in os.environ if name.startswith(FOREIGN)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.chdir(tmp_path)
    of_this_machine()  # before anything is planted
    installed = Ground(request, tmp_path, monkeypatch)
    path = list(sys.path)
    yield installed
    if sys.path != path:
        monkeypatch.undo()
        forget_installed()


@cache
def of_this_machine() -> set[str]:
    """Return what is wrong with where the tests have their files: in memory, or nearly full."""

    async def look() -> set[str]:
        with tempfile.TemporaryDirectory() as root:
            found = LocalDriver(root).diagnose(DiagnosisOptions(probe=False))
            faults = {Severity.ERROR, Severity.WARNING}
            return {each.id async for each in found if each.severity in faults}

    return asyncio.run(look())


# Healthy disks


def local(ground: Ground) -> None:
    root = ground.folder / "media"
    root.mkdir()
    (root / "a").mkdir()
    (root / "a" / "b.txt").write_text("b")
    ground.disks["media"] = {"driver": "local", "root": str(root)}


def memory(ground: Ground) -> None:
    ground.disks["media"] = {"driver": "memory"}


def environment(ground: Ground) -> None:
    root = ground.folder / "media"
    root.mkdir()
    ground.set(FILESYSTEM_ROOT=str(root))


def open_local(ground: Ground) -> None:
    """Have a root that any user may reach: those of pytest are its own user's."""
    folder = Path(tempfile.mkdtemp(prefix="jtc-doctor-"))
    ground.at_end(lambda: shutil.rmtree(folder))
    folder.chmod(0o755)
    ground.folder = folder
    root = folder / "media"
    root.mkdir(mode=0o755)
    ground.disks["media"] = {"driver": "local", "root": str(root), "visibility": "public"}


def signing(ground: Ground) -> None:
    local(ground)
    ground.disks["media"] |= {"secret": SECRET, "base_url": "/media"}
    ground.disks["docs"] = {"driver": "local", "root": str(ground.folder / "docs")}
    (ground.folder / "docs").mkdir()
    ground.disks["docs"] |= {"secret": SECRET + "-2", "base_url": "/docs"}


def layered(ground: Ground) -> None:
    local(ground)
    layers = ["retry", {"name": "timeout", "total": 5}, {"name": "scoped", "prefix": "a"}]
    ground.disks["media"]["layers"] = layers


def read_only(ground: Ground) -> None:
    local(ground)
    ground.root.chmod(0o555)
    ground.disks["media"]["layers"] = ["read_only"]


def s3_by_variables(ground: Ground) -> None:
    store = ground.fixture("seaweedfs")
    ground.disks["media"] = {"driver": "s3", "bucket": store.bucket, **store.options}
    ground.disks["media"]["secret_key"] = "${MEDIA_SECRET_KEY}"
    ground.set(MEDIA_SECRET_KEY=store.secret_key)
    ground.top["doctor"] = {"ignore": ["s3.lifecycle-uploads"]}


HEALTHY_DISKS: dict[str, Callable[[Ground], None]] = {
    each.__name__: each
    for each in (local, memory, environment, open_local, signing, layered, read_only)
} | HEALTHY

BASES = {"s3 by variables": s3_by_variables, **HEALTHY_DISKS}


@pytest.mark.parametrize("probe", [True, False], ids=["probe", "no probe"])
@pytest.mark.parametrize("base", HEALTHY_DISKS)
def test_doctor_finds_no_fault_on_a_healthy_disk(ground: Ground, base: str, probe: bool) -> None:
    HEALTHY_DISKS[base](ground)
    diagnosis = ground.diagnose(probe=probe)
    assert diagnosis.disks
    assert faults_of(diagnosis) - of_this_machine() == set(), as_json(diagnosis)["findings"]
    assert "disk.latency" in ids_of(diagnosis, Severity.NOTICE)


# Faults of the configuration


def default_disk(ground: Ground) -> None:
    ground.top["default"] = "medai"


def default_of_environment(ground: Ground) -> None:
    ground.set(FILESYSTEM_DISK="medai")


def unknown_capability(ground: Ground) -> None:
    ground.disks["media"]["disable"] = ["visiblity"]


def misspelt_key(ground: Ground) -> None:
    ground.top["docter"] = {"ignore": []}


def unknown_id(ground: Ground) -> None:
    ground.top["doctor"] = {"ignore": ["local.free-spcae"]}


def no_toml(ground: Ground) -> None:
    ground.text = "[disks.media\ndriver = local"


def no_file(ground: Ground) -> None:
    ground.write().unlink()


def fifo(ground: Ground) -> None:
    file = ground.write()
    file.unlink()
    os.mkfifo(file)


def device(ground: Ground) -> None:
    ground.write()
    ground.set(FILESYSTEM_CONFIG="/dev/zero")


def no_driver(ground: Ground) -> None:
    del ground.disks["media"]["driver"]


def unset_variable(ground: Ground) -> None:
    ground.disks["media"]["root"] = "${MEDIA_ROOT}"
    ground.set(MEDIA_ROOTS="/srv")


def misspelt_option(ground: Ground) -> None:
    ground.disks["media"]["visiblity"] = "public"


def missing_driver(ground: Ground) -> None:
    ground.disks["media"] = {"driver": "gridfs"}


def missing_layer(ground: Ground) -> None:
    ground.disks["media"]["layers"] = ["chaos"]


def wrong_layer_option(ground: Ground) -> None:
    ground.disks["media"]["layers"] = [{"name": "retry", "attempt": 3}]


def readable_secrets(ground: Ground) -> None:
    open_local(ground)
    ground.disks["media"] |= {"secret": SECRET, "base_url": "/media"}
    ground.write().chmod(0o644)


def equal_signers(ground: Ground) -> None:
    ground.disks["docs"] |= {"secret": SECRET, "base_url": "/media"}


def one_root(ground: Ground) -> None:
    ground.disks["docs"] = {"driver": "local", "root": ground.root}


def root_below(ground: Ground) -> None:
    ground.disks["docs"] = {"driver": "local", "root": ground.root / "a"}


def one_prefix(ground: Ground) -> None:
    layers = [{"name": "scoped", "prefix": "a"}]
    ground.disks["docs"] = {"driver": "local", "root": ground.root, "layers": layers}


def home(ground: Ground) -> None:
    ground.disks["media"]["root"] = "~/media"


# Faults of the environment


def laravel(ground: Ground) -> None:
    ground.set(FILESYSTEM_DRIVER="local")


def shadowed(ground: Ground) -> None:
    ground.set(FILESYSTEM_SECRET=SECRET)


def misspelt_variable(ground: Ground) -> None:
    ground.set(FILESYTEM_VISIBILITY="public", FILESYSTEM_VISIBLITY="public")


def newline(ground: Ground) -> None:
    ground.set(FILESYSTEM_SECRET=f"{SECRET}\n")


def quotes(ground: Ground) -> None:
    ground.disks["media"] |= {"secret": "${MEDIA_SECRET}", "base_url": "/media"}
    ground.set(MEDIA_SECRET=f'"{SECRET}"')


def empty(ground: Ground) -> None:
    ground.set(FILESYSTEM_VISIBILITY="")


def no_temporary_space(ground: Ground) -> None:
    ground.set(TMPDIR=str(ground.folder / "nothing"))
    ground.monkeypatch.setattr(tempfile, "tempdir", None)  # as when a program starts


def password_in_a_url(ground: Ground) -> None:
    ground.set(FILESYSTEM_VISIBILITY=f"https://admin:{SECRET}@example.com/")


def secret_in_the_wrong_place(ground: Ground) -> None:
    ground.set(FILESYSTEM_VISIBILITY=SECRET, FILESYSTEM_SECRET=SECRET, FILESYSTEM_URL="/media")


def javascript(ground: Ground) -> None:
    ground.set(FILESYSTEM_URL="javascript:alert(1)")


def endpoint_of_laravel(ground: Ground) -> None:
    ground.set(AWS_ENDPOINT="https://s3.example.com")


def settings_of_django_storages(ground: Ground) -> None:
    ground.set(AWS_S3_REGION_NAME="eu-central-1")


def two_regions(ground: Ground) -> None:
    ground.set(AWS_REGION="us-east-1", AWS_DEFAULT_REGION="eu-central-1")


def newline_of_a_key(ground: Ground) -> None:
    store = ground.fixture("seaweedfs")
    ground.set(MEDIA_SECRET_KEY=f"{store.secret_key}\n")


# Faults of what is installed

DRIVERS, LAYERS, PLUGINS = "jtc.storage.drivers", "jtc.storage.layers", "jtc.storage.plugins"

PLAIN = """
    from jtc.storage.drivers.memory_driver import MemoryDriver

    class Driver(MemoryDriver):
        pass
"""


def two_providers(ground: Ground) -> None:
    ground.install("shelf-one", {DRIVERS: {"shelf": ":Driver"}}, PLAIN)
    ground.install("shelf-two", {DRIVERS: {"shelf": ":Driver"}}, PLAIN)


def two_providers_of_a_disk(ground: Ground) -> None:
    two_providers(ground)
    ground.disks["media"] = {"driver": "shelf"}


def no_such_driver(ground: Ground) -> None:
    ground.set(FILESYSTEM_DISK="locla")


def slow(ground: Ground) -> None:
    ground.monkeypatch.setattr(probes, "_SLOW_SECONDS", 0.01)
    third_party(
        ground,
        """
        async def exists(self, path, /):
            import asyncio
            await asyncio.sleep(0.02)
            return True
        """,
    )


def old_version(ground: Ground) -> None:
    ground.install("jtc-storage-shelf", {}, requires="jtc-storage~=2.3")


def broken_plugin(ground: Ground) -> None:
    ground.install("shelf-hooks", {PLUGINS: {"hooks": ""}}, "import a_module_that_is_not_there")


def broken_driver(ground: Ground) -> None:
    ground.install("shelf-broken", {DRIVERS: {"shelf": ":Driver"}}, "raise SystemExit(3)")
    ground.disks["media"] = {"driver": "shelf"}


def broken_layer(ground: Ground) -> None:
    ground.install("shelf-layer", {LAYERS: {"shelf": ":Layer"}}, "import a_module_not_there")
    ground.disks["media"]["layers"] = ["shelf"]


def third_party(ground: Ground, *methods: str) -> None:
    """Have a disk whose driver is the memory driver with other methods."""
    body = "".join(f"    {line}\n" for method in methods for line in dedent(method).splitlines())
    source = f"{dedent(PLAIN)}\n{body}"
    ground.install("shelf-driver", {DRIVERS: {"shelf": ":Driver"}}, source)
    ground.disks["media"] = {"driver": "shelf"}


def hanging(ground: Ground) -> None:
    third_party(
        ground,
        """
        async def put(self, path, content, /):
            import asyncio
            await asyncio.sleep(3600)
        """,
    )


def refusing(ground: Ground) -> None:
    third_party(
        ground,
        """
        async def put(self, path, content, /):
            raise PermissionError("no")
        """,
    )


def changing(ground: Ground) -> None:
    third_party(
        ground,
        """
        async def get(self, path, /):
            return b"other"

        unsupported = frozenset({"reading", "ranges"})
        """,
    )


def wrong_size(ground: Ground) -> None:
    third_party(
        ground,
        """
        async def size(self, path, /):
            return 3
        """,
    )


def late_listing(ground: Ground) -> None:
    third_party(
        ground,
        """
        async def list_entries(self, *args):
            for _ in ():
                yield None
        """,
    )


def keeping(ground: Ground) -> None:
    third_party(
        ground,
        """
        async def delete(self, path, /):
            from jtc.storage import StorageException
            raise StorageException("The shelf is locked")
        """,
    )


def failing_diagnosis(ground: Ground) -> None:
    third_party(
        ground,
        """
        async def diagnose(self, options, /):
            raise RuntimeError("a mistake")
            yield
        """,
    )


def hanging_diagnosis(ground: Ground) -> None:
    third_party(
        ground,
        """
        async def diagnose(self, options, /):
            import asyncio
            await asyncio.sleep(3600)
            yield
        """,
    )


def failed_diagnosis(ground: Ground) -> None:
    third_party(
        ground,
        """
        async def diagnose(self, options, /):
            from jtc.storage import StorageException
            raise StorageException("The shelf fell over")
            yield
        """,
    )


# Faults of a local disk


def as_other_user(ground: Ground) -> None:
    """Go on as another user than the superuser, who may do everything."""
    if not IS_ROOT:
        pytest.skip("only the superuser can become another user")
    ground.diagnose()  # which imports all, from where that user may not read
    os.chown(ground.folder / "storage.toml", OTHER_USER, OTHER_USER)
    groups = os.getgroups()

    def back() -> None:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)

    ground.at_end(back)
    os.setgroups([])
    os.setegid(OTHER_USER)
    os.seteuid(OTHER_USER)


def missing_root(ground: Ground) -> None:
    ground.disks["media"]["root"] = ground.folder / "nothing" / "here"


def impossible_root(ground: Ground) -> None:
    ground.disks["media"]["root"] = ground.folder / "nothing"
    as_other_user(ground)


def dangling_root(ground: Ground) -> None:
    link = ground.folder / "link"
    link.symlink_to(ground.folder / "nothing")
    ground.disks["media"]["root"] = link


def file_as_root(ground: Ground) -> None:
    file = ground.folder / "file"
    file.touch()
    ground.disks["media"]["root"] = file


def closed_root(ground: Ground) -> None:
    ground.root.chmod(0o700)
    as_other_user(ground)


def root_of_another_user(ground: Ground) -> None:
    as_other_user(ground)


def superuser(ground: Ground) -> None:
    if not IS_ROOT:
        pytest.skip("only the superuser can give files away")
    os.chown(ground.root, OTHER_USER, OTHER_USER)


def open_root(ground: Ground) -> None:
    ground.root.chmod(0o777)


def open_parent(ground: Ground) -> None:
    ground.folder.chmod(0o777)


def umask(ground: Ground) -> None:
    before = os.umask(0)
    ground.at_end(lambda: os.umask(before))


def foreign_lock(ground: Ground) -> None:
    if not IS_ROOT:
        pytest.skip("only the superuser can give files away")
    lock = ground.root / ".jtc" / "lock"
    lock.parent.mkdir()
    lock.touch()
    os.chown(lock, OTHER_USER, OTHER_USER)


def closed_to_web_server(ground: Ground) -> None:
    ground.root.parent.chmod(0o750)


def private_to_web_server(ground: Ground) -> None:
    ground.disks["media"] |= {"file_modes": {"public": "0640"}}


def no_such_user(ground: Ground) -> None:
    del ground


def old_staged_file(ground: Ground) -> None:
    (ground.root / "a" / ".jtc-tmp-0123456789abcdef-1").touch()
    now = time.time
    ground.monkeypatch.setattr(time, "time", lambda: now() + 3 * 3600)


def link_outside(ground: Ground) -> None:
    (ground.root / "a" / "etc").symlink_to("/etc")


def git(ground: Ground) -> None:
    (ground.root / ".git").mkdir()


def future(ground: Ground) -> None:
    os.utime(ground.root, (time.time() + 3600,) * 2)


def unreadable_file(ground: Ground) -> None:
    ground.root.chmod(0o777)
    as_other_user(ground)
    os.seteuid(0)
    (ground.root / "report.pdf").touch(mode=0o600)
    ground.root.chmod(0o755)
    os.chown(ground.root, OTHER_USER, OTHER_USER)
    os.seteuid(OTHER_USER)


def few_descriptors(ground: Ground) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    ground.at_end(lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard)))
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))


def mount(ground: Ground, *arguments: str) -> None:
    """Mount something at the root."""
    if not IS_ROOT or shutil.which("mount") is None:
        pytest.skip("mounting needs root")
    done = subprocess.run(["mount", *arguments, ground.root], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"cannot be mounted here: {done.stderr.decode().strip()}")
    ground.at_end(lambda: subprocess.run(["umount", "--lazy", ground.root], check=True))


def read_only_mount(ground: Ground) -> None:
    mount(ground, "-t", "tmpfs", "-o", "ro,mode=755", "tmpfs")


def in_memory(ground: Ground) -> None:
    mount(ground, "-t", "tmpfs", "tmpfs")
    ground.root.chmod(0o755)


def full(ground: Ground) -> None:
    mount(ground, "-t", "tmpfs", "-o", "size=4m,mode=755", "tmpfs")
    (ground.root / "filled").write_bytes(bytes(4 * 1024 * 1024 - 8192))


def few_inodes(ground: Ground) -> None:
    mount(ground, "-t", "tmpfs", "-o", "nr_inodes=200,mode=755", "tmpfs")
    for number in range(191):
        (ground.root / f"{number}").touch()


def fat(ground: Ground) -> None:
    on_file_system(ground, "FAT")


def ntfs(ground: Ground) -> None:
    on_file_system(ground, "NTFS")


def on_file_system(ground: Ground, kind: str) -> None:
    mounting = mounted(kind, ground.folder)
    ground.disks["media"]["root"] = next(mounting)
    ground.at_end(lambda: next(mounting, None))


def dead_mount(ground: Ground) -> None:
    fat(ground)
    (process,) = file_system_processes(ground)
    os.kill(process, signal.SIGKILL)


def hung_mount(ground: Ground) -> None:
    fat(ground)
    (process,) = file_system_processes(ground)
    os.kill(process, signal.SIGSTOP)

    def go_on() -> None:
        os.kill(process, signal.SIGCONT)

    ground.at_end(go_on)


def file_system_processes(ground: Ground) -> list[int]:
    """Return the processes that serve the file system of a test."""
    image = os.fsencode(ground.folder / "image")
    found = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if image in each.read_bytes():
                found.append(int(each.parent.name))
    return found


def refusing_layer(ground: Ground) -> None:
    ground.disks["media"]["layers"] = [{"name": "validate", "max_size": 10}]


CONFIGURATION = (
    Planted("a default disk that is not configured", default_disk, {"config.default"}),
    Planted("a default disk by a variable", default_of_environment, {"config.default"}),
    Planted("a misspelt capability", unknown_capability, {"disk.configuration"}),
    Planted("a misspelt key of the file", misspelt_key, {"config.key"}),
    Planted("an unknown id is ignored", unknown_id, {"config.ignore"}),
    Planted("a file that is no TOML", no_toml, {"config.unreadable"}),
    Planted("a file that is missing", no_file, {"config.unreadable"}),
    Planted("a FIFO in place of the file", fifo, {"config.unreadable"}, fault="C20"),
    Planted("a device in place of the file", device, {"config.unreadable"}, fault="C20"),
    Planted("a disk without a driver", no_driver, {"config.disk"}),
    Planted("a variable that is not set", unset_variable, {"config.variable"}),
    Planted("a misspelt option", misspelt_option, {"disk.configuration"}),
    Planted("a driver that is not installed", missing_driver, {"disk.driver-missing"}),
    Planted("a layer that is not installed", missing_layer, {"disk.layer-missing"}),
    Planted("a misspelt option of a layer", wrong_layer_option, {"disk.configuration"}),
    Planted("secrets that all may read", readable_secrets, {"config.readable-secrets"}),
    Planted(
        "one secret of two disks", equal_signers, {"disks.equal-signers"}, "signing", fault="A3"
    ),
    Planted("one root of two disks", one_root, {"disks.same-place"}),
    Planted("a root below another one", root_below, {"disks.same-place"}),
    Planted("a prefix of another disk", one_prefix, {"disks.same-place"}),
    Planted("a root with ~", home, {"disk.configuration"}, fault="A10"),
    Planted("a layer that refuses files", refusing_layer, set(), not_visible={"disk.refused"}),
)

LOOKING = {"probe": False}

ENVIRONMENT = (
    Planted("FILESYSTEM_DRIVER", laravel, {"env.ignored"}, "environment", fault="D13"),
    Planted("a secret beside a configuration", shadowed, {"env.shadowed"}),
    Planted("a misspelt variable", misspelt_variable, {"env.misspelt"}, "environment"),
    Planted(
        "a newline at the end",
        newline,
        {"env.value", "disk.configuration"},
        "environment",
        fault="A10",
    ),
    Planted("quotes around a secret", quotes, {"env.value"}),
    Planted("a variable set to nothing", empty, {"env.value"}, "environment"),
    Planted(
        "AWS_ENDPOINT",
        endpoint_of_laravel,
        {"env.ignored"},
        "s3 by variables",
        LOOKING,
        fault="D13",
    ),
    Planted(
        "AWS_S3_REGION_NAME",
        settings_of_django_storages,
        {"env.ignored"},
        "s3 by variables",
        LOOKING,
    ),
    Planted("two regions", two_regions, {"env.shadowed"}, "s3 by variables", LOOKING, fault="D13"),
    Planted(
        "a newline after a key",
        newline_of_a_key,
        {"env.value", "disk.configuration"},
        "s3 by variables",
        fault="A10",
    ),
    Planted("no temporary space", no_temporary_space, {"env.temporary-space"}, fault="C16"),
    Planted("a password in a URL", password_in_a_url, {"disk.configuration"}, "environment"),
    Planted(
        "a secret in another variable",
        secret_in_the_wrong_place,
        {"disk.configuration"},
        "environment",
    ),
    Planted(
        "a URL that is a script", javascript, {"disk.configuration"}, "environment", fault="A10"
    ),
)

SHORT = {"timeout": 0.05}

INSTALLED = (
    Planted("two providers of one name", two_providers, {"packages.duplicate"}),
    Planted(
        "two providers of a disk's driver",
        two_providers_of_a_disk,
        {"packages.duplicate", "disk.configuration"},
    ),
    Planted("a disk of no driver", no_such_driver, {"disk.driver-missing"}, "environment"),
    Planted("a storage that is slow", slow, {"disk.latency"}),
    Planted("a version that does not fit", old_version, {"packages.versions"}),
    Planted("a broken plugin", broken_plugin, {"packages.broken-plugin"}, fault="C14"),
    Planted("a broken driver", broken_driver, {"disk.driver-broken"}, fault="C14"),
    Planted("a broken layer", broken_layer, {"disk.layer-broken"}),
    Planted("a storage that hangs", hanging, {"disk.unreachable"}, options=SHORT),
    Planted("a storage that refuses", refusing, {"disk.permission"}),
    Planted("a storage that changes content", changing, {"disk.get"}),
    Planted("a storage that says a wrong size", wrong_size, {"disk.stat"}),
    Planted("a storage whose listings are late", late_listing, {"disk.list"}),
    Planted("a storage that cannot delete", keeping, {"disk.delete"}),
    Planted("a diagnosis with a mistake", failing_diagnosis, {"disk.diagnosis"}),
    Planted("a diagnosis that hangs", hanging_diagnosis, {"disk.unreachable"}, options=SHORT),
    Planted("a diagnosis that fails", failed_diagnosis, {"disk.failed"}),
)

LOCAL = (
    Planted("a root that is missing", missing_root, {"local.root-missing"}),
    Planted(
        "a root that cannot be made", impossible_root, {"local.root-missing"}, "open_local",
        fault="D14",
    ),
    Planted("a root that leads nowhere", dangling_root, {"local.root-dangling"}, fault="D14"),
    Planted("a root that is a file", file_as_root, {"local.root-no-directory"}),
    Planted("a closed root", closed_root, {"local.root-closed"}, "open_local"),
    Planted("a root of another user", root_of_another_user, {"local.root-closed"}, "open_local"),
    Planted(
        "a root of another user than the superuser", superuser, set(),
        not_visible={"local.other-user"},
    ),
    Planted("a root that all may write", open_root, {"local.writable-by-all"}),
    Planted("a parent that all may write", open_parent, {"local.writable-by-all"}),
    Planted("a umask of 0", umask, {"local.umask"}),
    Planted("a lock of another user", foreign_lock, {"local.lock"}, fault="A5"),
    Planted(
        "a directory closed to the web server", closed_to_web_server, {"local.readers"},
        "open_local", {"as_user": OTHER_NAME},
    ),
    Planted(
        "files closed to the web server", private_to_web_server, {"local.readers"}, "open_local",
        {"as_user": OTHER_NAME},
    ),
    Planted(
        "a web server's user that there is not", no_such_user, {"local.readers"}, "open_local",
        {"as_user": "wwwdata"},
    ),
    Planted(
        "what a killed process left", old_staged_file, {"local.staged-files"},
        options={"probe": False},
    ),
    Planted("a link that leads outside", link_outside, {"local.links"}, fault="A8"),
    Planted("a git checkout", git, {"local.git"}),
    Planted("a clock that was ahead", future, {"local.clock"}, options={"probe": False}),
    Planted(
        "a file of another user", unreadable_file, {"local.unreadable"}, "open_local", fault="C9"
    ),
    Planted("few descriptors", few_descriptors, {"local.descriptors"}),
    Planted("a mount that is read-only", read_only_mount, {"local.read-only"}),
    Planted("a root in memory", in_memory, {"local.in-memory"}),
    Planted("a full file system", full, {"local.free-space", "local.in-memory", "disk.put"}),
    Planted("no more files", few_inodes, {"local.inodes", "local.in-memory"}),
    Planted("a file system without attributes", fat, {"local.attributes"}),
    Planted("a mount that is dead", dead_mount, {"local.root-closed"}, fault="C15"),
    Planted(
        "a mount that hangs", hung_mount, {"disk.unreachable"}, options={"timeout": 0.2}, fault="C3"
    ),
    Planted("a file system without cases", ntfs, {"local.names", "local.writable-by-all"}),
)  # fmt: skip

PLANTED = (*CONFIGURATION, *ENVIRONMENT, *INSTALLED, *LOCAL, *STORES)


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.name)
def test_doctor_finds_what_is_planted_and_nothing_else(ground: Ground, planted: Planted) -> None:
    BASES[planted.base](ground)
    planted.plant(ground)
    diagnosis = ground.diagnose(**planted.options)
    found: list[dict[str, Any]] = as_json(diagnosis)["findings"]
    assert faults_of(diagnosis) - (of_this_machine() - planted.found) == planted.found, found
    assert planted.not_visible <= ids_of(diagnosis, Severity.NOT_VISIBLE), found
    assert SECRET not in repr(found)
    for each in found:
        assert each["id"] in IDS
        if each["severity"] in {"error", "warning"}:
            assert each["message"].endswith(".")
            assert each["evidence"]
            assert each["fix"]


LAYER = """
    from jtc.storage.driver_support.findings import Finding, Severity
    from jtc.storage.layer import Layer

    class Shelf(Layer):
        async def diagnose(self, options, /):
            yield Finding(
                id="shelf.quota",
                severity=Severity.WARNING,
                message="The shelf is nearly full.",
                page="https://shelf.example/quota",
            )
"""


@pytest.mark.parametrize("ignore", [[], ["shelf.quota"]])
def test_doctor_reports_what_a_layer_of_a_third_party_finds(
    ground: Ground, ignore: list[str]
) -> None:
    local(ground)
    ground.install("shelf-layers", {LAYERS: {"shelf": ":Shelf"}}, LAYER)
    ground.disks["media"]["layers"] = ["retry", "shelf"]
    ground.top["doctor"] = {"disks": {"media": {"ignore": ignore}}}
    diagnosis = ground.diagnose()
    found = [each for each in as_json(diagnosis)["findings"] if each["id"] == "shelf.quota"]
    assert [each["page"] for each in found] == ["https://shelf.example/quota"] * (not ignore)
    assert (faults_of(diagnosis) - of_this_machine(), diagnosis.ignored) == (
        (set(), 1) if ignore else ({"shelf.quota"}, 0)
    )


def test_planted_faults_have_names_of_their_own() -> None:
    assert len(PLANTED) >= 20
    assert len({each.name for each in PLANTED}) == len(PLANTED)
