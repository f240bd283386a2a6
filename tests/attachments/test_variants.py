"""Making of variants."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from attachment_fields import added, local_registry, redeclared
from counted_recipes import Counted
from jtc.storage import Disk, Layer, images
from jtc.storage.attachments import Attachment, Field, Registry
from jtc.storage.attachments._flights import BusyError
from jtc.storage.attachments._ingest import ingest
from jtc.storage.attachments._leases import Leases, RememberedFailure
from jtc.storage.attachments._variants import (
    VariantMaker,
    make_eager,
    make_variant,
    stale_files,
    use_maker,
)
from jtc.storage.attachments.derivations import derive
from jtc.storage.attachments.variants import make_variants
from jtc.storage.exceptions import (
    FileNotFoundException,
    IntegrityException,
    RejectedException,
    StorageConfigException,
    StorageUnavailableException,
)

if TYPE_CHECKING:
    from collections.abc import Callable


async def names(attachment: Attachment, registry: Registry) -> list[str]:
    """Return the names of the files in an attachment's directory."""
    files = await registry.disk(attachment.disk).files(attachment.own_directory)
    return sorted(path.rpartition("/")[2] for path in files)


async def test_make_variant_on_each_driver_makes_it_once(
    registry: Registry, tmp_path: Path
) -> None:
    counted = Counted(tmp_path / "log", seconds=0.05)
    field = added(registry, variants={"back": counted.recipe()})
    attachment = await ingest(field, b"abc", name="a.txt")

    made = await asyncio.gather(*(make_variant(field, attachment, "back") for _ in range(20)))
    again = await make_variant(field, attachment, "back")

    file = field.variant_file("back")
    assert counted.calls == 1
    assert {each.file for each in made} == {again.file} == {file}
    assert (again.size, again.content_type) == (3, "text/plain")
    assert await field.disk.get(f"{attachment.own_directory}/{file}") == b"cba"
    assert await names(attachment, registry) == sorted([attachment.file, file])


async def test_make_variant_by_several_makers_makes_it_once(
    registry: Registry, tmp_path: Path
) -> None:
    counted = Counted(tmp_path / "log", seconds=0.1)
    recipes = {"back": counted.recipe()}
    attachment = await ingest(added(registry, variants=recipes), b"abc", name="a.txt")
    fields = [redeclared(registry, variants=recipes) for _ in range(5)]
    made = await asyncio.gather(*(make_variant(field, attachment, "back") for field in fields))
    assert {each.size for each in made} == {3}
    assert counted.calls == 1
    file = fields[0].variant_file("back")
    assert await names(attachment, registry) == sorted([attachment.file, file])


async def test_make_variant_in_two_loops_makes_it_once(tmp_path: Path) -> None:
    registry = local_registry(tmp_path)
    counted = Counted(tmp_path / "log", seconds=0.2)
    field = added(registry, variants={"back": counted.recipe()})
    attachment = await ingest(field, b"abc", name="a.txt")

    async def several() -> None:
        await asyncio.gather(*(make_variant(field, attachment, "back") for _ in range(25)))

    thread = threading.Thread(target=lambda: asyncio.run(several()))
    thread.start()
    await several()
    await asyncio.to_thread(thread.join)
    assert counted.calls == 1


CHILD = """
import asyncio, sys
from pathlib import Path
sys.path[:0] = {path!r}
from attachment_fields import added, local_registry, redeclared
from counted_recipes import Counted
from jtc.storage.attachments import Attachment
from jtc.storage.attachments._variants import VariantMaker, make_variant, use_maker

root = Path({root!r})
registry = local_registry(root)
use_maker(registry, VariantMaker(lease={lease}))
field = added(registry, variants={{"back": Counted(root / "log", seconds={seconds}).recipe()}})
attachment = Attachment.from_json({attachment!r}, field)

async def main():
    await asyncio.gather(*(make_variant(field, attachment, "back") for _ in range(25)))

print("ready", flush=True)
sys.stdin.readline()
asyncio.run(main())
"""


def child(root: Path, attachment: Attachment, **values: Any) -> subprocess.Popen[str]:
    """Return a process that makes the variant once it gets a line."""
    script = CHILD.format(
        path=[str(Path(__file__).parents[1] / "support")],
        root=str(root),
        attachment=attachment.to_json(),
        **{"lease": 15.0, "seconds": 0.3, **values},
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def begin(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def end(process: subprocess.Popen[str]) -> int:
    with process:
        return process.wait(30)


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def test_make_variant_in_two_processes_makes_it_once(tmp_path: Path) -> None:
    registry = local_registry(tmp_path)
    counted = Counted(tmp_path / "log", seconds=0.3)
    field = added(registry, variants={"back": counted.recipe()})
    attachment = await ingest(field, b"abc", name="a.txt")
    process = child(tmp_path, attachment)
    begin(process)
    await asyncio.gather(*(make_variant(field, attachment, "back") for _ in range(25)))
    assert await asyncio.to_thread(end, process) == 0
    assert counted.calls == 1
    assert await names(attachment, registry) == sorted(
        [attachment.file, field.variant_file("back")]
    )


async def test_make_variant_takes_over_from_killed_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jtc.storage.attachments._leases._RESOLUTION", 0.0)
    registry = local_registry(tmp_path)
    use_maker(registry, VariantMaker(lease=0.3))
    counted = Counted(tmp_path / "log")
    field = added(registry, variants={"back": counted.recipe()})
    attachment = await ingest(field, b"abc", name="a.txt")
    process = child(tmp_path, attachment, seconds=60, lease=0.3)
    begin(process)
    await eventually(lambda: counted.calls == 1)
    stem = field.variant_file("back").partition(".")[0]
    marker = tmp_path / "media" / attachment.own_directory / f".making-{stem}"
    await eventually(lambda: json.loads(marker.read_bytes())["writes"] >= 2)
    process.send_signal(signal.SIGKILL)
    await asyncio.to_thread(end, process)

    assert (await make_variant(field, attachment, "back")).size == 3
    assert counted.calls == 2
    assert await names(attachment, registry) == sorted(
        [attachment.file, field.variant_file("back")]
    )


async def test_make_variant_that_kills_its_makers_is_given_up(registry: Registry) -> None:
    def work(_: Path) -> bytes:
        raise AssertionError

    recipe = derive(work, version=1, content_type="text/plain", extension=".txt")
    field = added(registry, variants={"back": recipe})
    attachment = await ingest(field, b"abc", name="a.txt")
    marker = f"{attachment.own_directory}/.making-back-{recipe.fingerprint}"
    leases = Leases(field.disk, seconds=-10, remember=300)
    for _ in range(3):
        assert await leases.take(marker) is not None  # and it is never released
    use_maker(registry, VariantMaker(lease=-10))
    for _ in range(2):
        with pytest.raises(RememberedFailure) as caught:
            await make_variant(field, attachment, "back")
        assert caught.value.reason == "killed"


async def test_make_variant_remembers_failure_in_all_processes(
    registry: Registry, tmp_path: Path
) -> None:
    counted = Counted(tmp_path / "log", fails=RejectedException("Bad", reason="image"))
    field = added(registry, variants={"back": counted.recipe()})
    attachment = await ingest(field, b"abc", name="a.txt")
    results = await asyncio.gather(
        *(make_variant(field, attachment, "back") for _ in range(100)), return_exceptions=True
    )
    assert {getattr(each, "reason", None) for each in results} == {"image"}
    use_maker(registry, VariantMaker())  # as another process has it
    for _ in range(10):
        with pytest.raises(RememberedFailure) as caught:
            await make_variant(field, attachment, "back")
        assert caught.value.reason == "image"
    assert counted.calls == 1

    use_maker(registry, VariantMaker(remember=-10))
    counted.fails = None
    assert (await make_variant(field, attachment, "back")).size == 3
    assert await names(attachment, registry) == sorted(
        [attachment.file, field.variant_file("back")]
    )


async def test_make_variant_of_failing_function_is_logged_and_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    registry = local_registry(tmp_path)
    counted = Counted(tmp_path / "log", fails=ZeroDivisionError("of the function"))
    field = added(registry, variants={"back": counted.recipe()})
    attachment = await ingest(field, b"abc", name="a.txt")
    for _ in range(3):
        with pytest.raises(RejectedException):
            await make_variant(field, attachment, "back")
    assert caplog.text.count("ZeroDivisionError: of the function") == 1


async def test_make_variant_does_not_remember_unavailable_storage(tmp_path: Path) -> None:
    registry = local_registry(tmp_path)
    counted = Counted(tmp_path / "log", fails=StorageUnavailableException("Down"))
    field = added(registry, variants={"back": counted.recipe()})
    attachment = await ingest(field, b"abc", name="a.txt")
    with pytest.raises(StorageUnavailableException):
        await make_variant(field, attachment, "back")
    assert await names(attachment, registry) == [attachment.file]
    counted.fails = None
    assert (await make_variant(field, attachment, "back")).size == 3


async def test_make_variant_of_deleted_attachment_leaves_nothing(registry: Registry) -> None:
    field = added(registry, variants={"back": Counted(Path("/dev/null")).recipe()})
    attachment = await ingest(field, b"abc", name="a.txt")
    await field.disk.delete_directory(attachment.own_directory)
    with pytest.raises(FileNotFoundException):
        await make_variant(field, attachment, "back")
    assert await field.disk.all_files(registry.namespace) == []
    assert not await field.disk.directory_exists(attachment.own_directory)


async def test_make_variant_removes_its_output_if_original_was_deleted_meanwhile(
    registry: Registry, tmp_path: Path
) -> None:
    loop = asyncio.get_running_loop()

    def delete() -> None:
        deletion = field.disk.delete_directory(attachment.own_directory)
        asyncio.run_coroutine_threadsafe(deletion, loop).result()

    field = added(registry, variants={"back": Counted(tmp_path / "log", during=delete).recipe()})
    attachment = await ingest(field, b"abc", name="a.txt")
    with pytest.raises(FileNotFoundException):
        await make_variant(field, attachment, "back")
    assert await field.disk.all_files(registry.namespace) == []
    assert not await field.disk.directory_exists(attachment.own_directory)


async def test_make_variant_goes_on_if_one_who_waits_is_cancelled(tmp_path: Path) -> None:
    registry = local_registry(tmp_path)
    go_on = threading.Event()
    counted = Counted(tmp_path / "log", during=lambda: go_on.wait(20))
    field = added(registry, variants={"back": counted.recipe()})
    attachment = await ingest(field, b"abc", name="a.txt")
    first = asyncio.create_task(make_variant(field, attachment, "back"))
    second = asyncio.create_task(make_variant(field, attachment, "back"))
    await eventually(lambda: counted.calls == 1)
    first.cancel()
    await asyncio.wait([first])
    assert first.cancelled()
    go_on.set()
    assert (await second).size == 3
    assert counted.calls == 1


def test_make_variant_whose_loop_ends_leaves_no_marker(tmp_path: Path) -> None:
    registry = local_registry(tmp_path)
    counted = Counted(tmp_path / "log", seconds=0.3)
    field = added(registry, variants={"back": counted.recipe()})

    async def begin_only() -> Attachment:
        attachment = await ingest(field, b"abc", name="a.txt")
        making = asyncio.create_task(make_variant(field, attachment, "back"))
        await eventually(lambda: counted.calls == 1)
        making.cancel()
        return attachment

    attachment = asyncio.run(begin_only())
    left = asyncio.run(names(attachment, registry))
    assert not [name for name in left if name.startswith(".")]
    assert asyncio.run(make_variant(field, attachment, "back")).size == 3


async def test_make_variant_beyond_queue_is_refused(tmp_path: Path) -> None:
    registry = local_registry(tmp_path)
    use_maker(registry, VariantMaker(most=1, queue=2))
    go_on = threading.Event()
    counted = Counted(tmp_path / "log", during=lambda: go_on.wait(20))
    field = added(registry, variants={"back": counted.recipe()})
    attachments = [await ingest(field, b"abc", name="a.txt") for _ in range(5)]
    making = [asyncio.create_task(make_variant(field, each, "back")) for each in attachments]
    await eventually(lambda: sum(each.done() for each in making) == 2)
    assert [type(each.exception()) for each in making if each.done()] == [BusyError] * 2
    go_on.set()
    results = await asyncio.gather(*making, return_exceptions=True)
    assert len([each for each in results if not isinstance(each, Exception)]) == 3
    assert counted.calls == 3


async def test_make_variant_on_disk_without_conditions_takes_over(tmp_path: Path) -> None:
    registry = local_registry(tmp_path)
    field = added(registry, variants={"back": Counted(tmp_path / "log").recipe()})
    attachment = await ingest(field, b"abc", name="a.txt")
    marker = f"{attachment.own_directory}/.making-back-{field.variants['back'].fingerprint}"

    leases = Leases(unconditional(field.disk), seconds=15, remember=300)
    lease = await leases.take(marker)
    assert lease is not None
    assert await leases.take(marker) is None
    async with lease:
        pass
    assert await names(attachment, registry) == [attachment.file]
    abandoned = Leases(unconditional(field.disk), seconds=-10, remember=300)
    assert await abandoned.take(marker) is not None
    assert await abandoned.take(marker) is not None


def unconditional(disk: Disk) -> Disk:
    """Return a view of a disk whose driver has no conditional writes."""

    class Unconditional(Layer):
        def __init__(self, inner: Any) -> None:
            super().__init__(inner)
            options = self.supported_options
            self.supported_options = {
                name: each - {"overwrite", "if_match"} for name, each in options.items()
            }
            self.unsupported = self.unsupported | {"conditional_delete"}

    return disk.with_layer(Unconditional)


async def test_lease_measures_age_by_clock_of_store(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    leases = Leases(registry.disk("media"), seconds=60, remember=300)
    marker = f"{registry.namespace}/files/1/.making-back-1a2b3c4d"
    assert await leases.take(marker) is not None
    skewed = SimpleNamespace(time=lambda: time.time() + 3600)
    monkeypatch.setattr("jtc.storage.attachments._leases.time", skewed)
    other = Leases(registry.disk("media"), seconds=60, remember=300)
    assert await other.take(marker) is None
    assert await registry.disk("media").all_files(registry.namespace) == [marker]


async def test_lease_is_taken_by_one_of_several_at_once(registry: Registry) -> None:
    marker = f"{registry.namespace}/files/1/.making-back-1a2b3c4d"
    several = [Leases(registry.disk("media"), seconds=60, remember=300) for _ in range(8)]
    taken = await asyncio.gather(*(leases.take(marker) for leases in several))
    assert len([each for each in taken if each is not None]) == 1


async def test_lease_is_taken_over_by_one_of_several_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jtc.storage.attachments._leases._RESOLUTION", 0.0)
    disk = local_registry(tmp_path).disk("media")
    marker = "app/files/1/.making-back-1a2b3c4d"
    assert await Leases(disk, seconds=60, remember=300).take(marker) is not None
    minute_ago = time.time() - 61
    os.utime(tmp_path / "media" / marker, (minute_ago, minute_ago))
    several = [Leases(disk, seconds=60, remember=300) for _ in range(8)]
    taken = await asyncio.gather(*(leases.take(marker) for leases in several))
    assert len([each for each in taken if each is not None]) == 1


async def test_lease_that_is_lost_while_it_is_renewed_is_left_alone(tmp_path: Path) -> None:
    disk = local_registry(tmp_path).disk("media")
    marker = "app/files/1/.making-back-1a2b3c4d"
    lease = await Leases(disk, seconds=0.15, remember=300).take(marker)
    assert lease is not None
    async with lease:
        await disk.put(marker, b"of another process")
        await asyncio.sleep(0.2)
    assert await disk.get(marker) == b"of another process"
    # What cannot be read as a marker is as one of a process that was killed.
    assert await Leases(disk, seconds=-10, remember=300).take(marker) is not None


async def test_lease_of_store_whose_clock_was_set_back_ends(tmp_path: Path) -> None:
    disk = local_registry(tmp_path).disk("media")
    marker = "app/files/1/.making-back-1a2b3c4d"
    assert await Leases(disk, seconds=0.2, remember=300).take(marker) is not None
    tomorrow = time.time() + 86_400
    os.utime(tmp_path / "media" / marker, (tomorrow, tomorrow))
    other = Leases(disk, seconds=0.2, remember=300)
    assert await other.take(marker) is None
    await asyncio.sleep(0.25)
    assert await other.take(marker) is not None


async def test_lease_that_was_taken_over_is_left_to_its_new_holder(registry: Registry) -> None:
    disk = registry.disk("media")
    marker = f"{registry.namespace}/files/1/.making-back-1a2b3c4d"
    first = await Leases(disk, seconds=-10, remember=300).take(marker)
    second = await Leases(disk, seconds=-10, remember=300).take(marker)
    assert first is not None
    assert second is not None
    async with second:
        async with first:
            pass
        assert await disk.exists(marker)
    assert not await disk.exists(marker)


async def test_make_eager_stores_variants_and_lists_them(
    registry: Registry, tmp_path: Path
) -> None:
    calls: list[str] = []

    async def size(original: bytes) -> bytes:
        calls.append("size")
        return str(len(original)).encode()

    def lines(original: Path) -> Path:
        made = original.with_suffix(".lines")
        made.write_text(str(original.read_bytes().count(b"\n")))
        return made

    field = added(
        registry,
        variants={
            "size": derive(
                size, version=1, content_type="text/plain", extension=".txt", takes="bytes"
            ),
            "lines": derive(lines, version=1, content_type="text/plain", extension=".txt"),
        },
        eager=["size", "lines"],
    )
    local = tmp_path / "local"
    local.write_bytes(b"1\n23\n")
    for source in (b"1\n23\n", io.BytesIO(b"1\n23\n"), local):
        attachment = await ingest(field, b"1\n23\n", name="a.txt")
        made = await make_eager(field, attachment, source)
        assert {name: each.size for name, each in made.variants.items()} == {"size": 1, "lines": 1}
        loaded = Attachment.from_json(made.to_json(), field)
        assert loaded.variants == made.variants
        directory = attachment.own_directory
        assert await field.disk.get(f"{directory}/{made.variants['size'].file}") == b"5"
        assert await field.disk.get(f"{directory}/{made.variants['lines'].file}") == b"2"


async def test_ingest_whose_eager_variant_fails_leaves_nothing(
    registry: Registry, tmp_path: Path
) -> None:
    good = Counted(tmp_path / "log")
    bad = Counted(tmp_path / "log", fails=ZeroDivisionError())
    field = added(
        registry,
        variants={"good": good.recipe(), "bad": bad.recipe()},
        eager=["good", "bad"],
    )
    with pytest.raises(ZeroDivisionError):
        await ingest(field, b"abc", name="a.txt")
    assert good.calls == 2
    assert await field.disk.all_files(registry.namespace) == []


def picture(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(file, "PNG")
    return file.getvalue()


async def test_make_eager_of_image_stores_variants_and_dimensions(tmp_path: Path) -> None:
    registry = local_registry(tmp_path)
    recipes = {"thumb": images.cover(20, 20), "card": images.fit(80, 80).png()}
    field = added(registry, variants=recipes)
    attachment = await ingest(field, picture(160, 120), name="a.png")
    field.eager = ("thumb", "card")
    made = await make_eager(field, attachment, picture(160, 120))
    assert (made.width, made.height) == (160, 120)
    assert made.placeholder is not None
    sizes = {name: (each.width, each.height) for name, each in made.variants.items()}
    assert sizes == {"thumb": (20, 20), "card": (80, 60)}
    for name, kind in (("thumb", "WEBP"), ("card", "PNG")):
        content = await field.disk.get(f"{made.own_directory}/{made.variants[name].file}")
        assert Image.open(io.BytesIO(content)).format == kind


@pytest.mark.parametrize("upload", [bytes, io.BytesIO])
async def test_ingest_of_image_beyond_the_memory_of_a_spool_makes_variants(
    registry: Registry, upload: Any
) -> None:
    content = picture(160, 120)
    content += b"\0" * (2 << 20)
    field = added(
        registry,
        types=images.WEB,
        variants={"thumb": images.cover(20, 20)},
        eager=["thumb"],
        analyzers=[lambda file: {"beginning": file.read(4).hex()}],
    )
    attachment = await ingest(field, upload(content), name="a.png")
    assert (attachment.width, attachment.height) == (160, 120)
    assert attachment.properties == {"beginning": "89504e47"}
    assert attachment.variants["thumb"].width == 20
    assert await field.disk.get(attachment.key) == content
    document = added(registry, "users.document")
    assert (await ingest(document, upload(picture(90, 60) + b"\0" * (2 << 20)))).width == 90


async def test_make_eager_of_broken_image_is_refused_where_images_are_wanted(
    tmp_path: Path,
) -> None:
    registry = local_registry(tmp_path)
    broken = picture(160, 120)[:60]
    documents = added(registry, "users.document")
    attachment = await ingest(documents, broken, name="a.png")
    assert (await make_eager(documents, attachment, broken)).width is None
    for name, settings in (
        ("users.typed", {"types": ["image/png"]}),
        ("users.varied", {"variants": {"thumb": images.cover(20, 20)}}),
    ):
        field = added(registry, name, **settings)
        with pytest.raises(RejectedException) as caught:
            await make_eager(field, attachment, broken)
        assert caught.value.reason in {"image", "type"}


async def test_make_variant_of_broken_image_is_refused_and_remembered(tmp_path: Path) -> None:
    registry = local_registry(tmp_path)
    attachment = await ingest(added(registry), picture(160, 120)[:60], name="a.png")
    field = redeclared(registry, variants={"thumb": images.cover(20, 20)})
    with pytest.raises(RejectedException) as caught:
        await make_variant(field, attachment, "thumb")
    assert not isinstance(caught.value, RememberedFailure)
    with pytest.raises(RememberedFailure) as remembered:
        await make_variant(field, attachment, "thumb")
    assert remembered.value.reason == caught.value.reason
    sound = await ingest(field, picture(160, 120), name="a.png")
    assert (await make_variant(field, sound, "thumb")).content_type == "image/webp"


async def test_make_variant_that_is_stored_incomplete_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = local_registry(tmp_path)
    field = added(registry, variants={"back": Counted(tmp_path / "log").recipe()})
    attachment = await ingest(field, b"abc", name="a.txt")
    put = Disk.put

    async def halved(disk: Disk, path: str, content: Any, **options: Any) -> str:
        shorter = content[:1] if "/back-" in path else content
        return await put(disk, path, shorter, **options)

    monkeypatch.setattr(Disk, "put", halved)
    with pytest.raises(IntegrityException):
        await make_variant(field, attachment, "back")
    monkeypatch.undo()
    assert await names(attachment, registry) == [attachment.file]


async def test_make_variants_makes_those_that_the_row_does_not_list(
    registry: Registry, tmp_path: Path
) -> None:
    eager, lazy, other = [Counted(tmp_path / name) for name in ("eager", "lazy", "other")]
    recipes = {"eager": eager.recipe(), "lazy": lazy.recipe(), "other": other.recipe()}
    field = added(registry, variants=recipes, eager=["eager"])
    attachment = await ingest(field, b"abc", name="a.txt")
    await make_variants(attachment, "lazy")
    assert (eager.calls, lazy.calls, other.calls) == (1, 1, 0)
    await make_variants(attachment)
    assert (eager.calls, lazy.calls, other.calls) == (1, 1, 1)
    with pytest.raises(ValueError, match="'lasy'"):
        await make_variants(attachment, "lasy")
    with pytest.raises(StorageConfigException, match="without its field"):
        await make_variants(Attachment.from_json(attachment.to_json()))


async def test_stale_files_are_those_of_former_recipes(tmp_path: Path) -> None:
    registry = local_registry(tmp_path)
    counted = Counted(tmp_path / "log")
    old = added(registry, variants={"back": counted.recipe(1), "gone": counted.recipe(1)})
    attachment = await ingest(old, b"abc", name="a.txt")
    for name in ("back", "gone"):
        await make_variant(old, attachment, name)
    await old.disk.put(f"{attachment.own_directory}/.making-gone-00000000", b"{}")
    new = Field("media", "avatars", variants={"back": counted.recipe(2)})
    registry.add("users.picture", new)
    await make_variant(new, attachment, "back")
    marker = f".making-{new.variant_file('back')[:-4]}"
    await old.disk.put(f"{attachment.own_directory}/{marker}", b"{}")

    found = await names(attachment, registry)
    former = [old.variant_file("back"), old.variant_file("gone"), ".making-gone-00000000"]
    assert stale_files(new, attachment, found) == sorted([*former, marker])
    found.remove(new.variant_file("back"))
    assert stale_files(new, attachment, found) == sorted(former)
    kept = await make_eager_listed(old, attachment)
    assert old.variant_file("back") not in stale_files(new, kept, found)


async def make_eager_listed(field: Field, attachment: Attachment) -> Attachment:
    """Return an attachment whose row names the variant `back`."""
    field.eager = ("back",)
    return await make_eager(field, attachment, b"abc")


async def test_make_variant_of_changed_recipe_makes_another_file(tmp_path: Path) -> None:
    registry = local_registry(tmp_path)
    counted = Counted(tmp_path / "log")
    field = added(registry, variants={"back": counted.recipe(1)})
    attachment = await ingest(field, b"abc", name="a.txt")
    first = await make_variant(field, attachment, "back")
    changed = redeclared(registry, variants={"back": counted.recipe(2)})
    second = await make_variant(changed, attachment, "back")
    assert first.recipe != second.recipe
    assert {first.file, second.file} <= set(await names(attachment, registry))


@pytest.mark.parametrize(
    "wrong",
    [
        {"content_type": "plain"},
        {"extension": "txt"},
        {"extension": ".TXT"},
        {"extension": "./txt"},
        {"takes": "stream"},
    ],
)
def test_derive_refuses_wrong_arguments(wrong: dict[str, Any]) -> None:
    given = {"version": 1, "content_type": "text/plain", "extension": ".txt", **wrong}
    with pytest.raises(StorageConfigException, match=next(iter(wrong))):
        derive(len, **given)


def test_derive_fingerprint_changes_with_version_and_type() -> None:
    def made(**changed: Any) -> str:
        given = {"version": 1, "content_type": "text/plain", "extension": ".txt", **changed}
        return derive(len, **given).fingerprint

    prints = [made(), made(version=2), made(content_type="text/csv"), made(extension=".csv")]
    assert len(set(prints)) == 4
    assert made() == made(version="1")
    assert all(len(each) == 8 and int(each, 16) >= 0 for each in prints)
