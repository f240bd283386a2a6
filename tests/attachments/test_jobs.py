"""The library's own background jobs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from attachment_fields import added, local_registry, redeclared
from counted_recipes import Counted
from jtc.storage.attachments import Attachment, Registry
from jtc.storage.attachments._ingest import ingest
from jtc.storage.attachments.jobs import (
    OUTBOX,
    VARIANTS,
    add_jobs,
    enqueue_outbox,
    enqueue_variants,
)
from jtc.storage.attachments.queues import InProcessQueue, Job
from jtc.storage.exceptions import StorageConfigException
from plain_records import PlainRecords

if TYPE_CHECKING:
    from pathlib import Path


class Kept:
    """A queue of which nothing is run yet, as that of another process."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    async def enqueue(self, job: Job) -> None:
        self.texts.append(job.to_json())

    async def run(self, registry: Registry) -> None:
        for text in self.texts:
            await registry.run_job(Job.from_json(text))


@pytest.fixture
def queue() -> Kept:
    return Kept()


@pytest.fixture
def registry(tmp_path: Path, queue: Kept) -> Registry:
    registry = local_registry(tmp_path)
    registry.queue = queue
    return registry


def counted(tmp_path: Path) -> Counted:
    return Counted(tmp_path / "log")


async def test_enqueue_variants_makes_those_that_are_not_eager_once(
    registry: Registry, queue: Kept, tmp_path: Path
) -> None:
    count = counted(tmp_path)
    field = added(registry, variants={"back": count.recipe()})
    attachment = await ingest(field, b"abc", name="a.txt")
    await enqueue_variants(attachment)
    assert count.calls == 0
    for _ in range(2):  # a queue may give a job twice
        await queue.run(registry)
    assert count.calls == 1
    path = f"{attachment.own_directory}/{field.variant_file('back')}"
    assert await field.disk.get(path) == b"cba"


async def test_job_of_variants_names_neither_key_nor_disk(
    registry: Registry, queue: Kept, tmp_path: Path
) -> None:
    field = added(registry, variants={"back": counted(tmp_path).recipe()})
    attachment = await ingest(field, b"abc", name="a.txt")
    await enqueue_variants(attachment, "back")
    (text,) = queue.texts
    assert json.loads(text) == {
        "name": VARIANTS,
        "payload": {"field": field.name, "id": attachment.id, "variants": ["back"]},
    }


async def test_enqueue_variants_of_a_field_without_lazy_ones_adds_no_job(
    registry: Registry, queue: Kept
) -> None:
    attachment = await ingest(added(registry), b"abc", name="a.txt")
    await enqueue_variants(attachment)
    assert queue.texts == []


async def test_enqueue_variants_refuses_unknown_names_and_fields(
    registry: Registry, queue: Kept, tmp_path: Path
) -> None:
    field = added(registry, variants={"back": counted(tmp_path).recipe()})
    attachment = await ingest(field, b"abc", name="a.txt")
    with pytest.raises(ValueError, match="'bakc': did you mean 'back'"):
        await enqueue_variants(attachment, "bakc")
    with pytest.raises(StorageConfigException, match="without its field"):
        await enqueue_variants(Attachment.from_json(attachment.to_json()))
    assert queue.texts == []


@pytest.mark.parametrize("gone", ["file", "variant"])
async def test_job_of_what_is_gone_ends_without_error(
    registry: Registry, queue: Kept, tmp_path: Path, gone: str
) -> None:
    count = counted(tmp_path)
    field = added(registry, variants={"back": count.recipe()})
    attachment = await ingest(field, b"abc", name="a.txt")
    await enqueue_variants(attachment)
    if gone == "file":
        await field.disk.delete_directory(attachment.own_directory)
    else:
        field = redeclared(registry, variants={})
        registry = field.registry
        add_jobs(registry)
    await queue.run(registry)
    assert count.calls == 0


async def test_job_of_variant_that_cannot_be_made_is_logged_and_ends(
    registry: Registry, queue: Kept, caplog: pytest.LogCaptureFixture
) -> None:
    from jtc.storage.attachments.derivations import derive
    from jtc.storage.exceptions import RejectedException

    def refuse(_content: bytes) -> Any:
        raise RejectedException("Not of this file", reason="image")

    recipe = derive(refuse, version=1, content_type="text/plain", extension=".txt")
    field = added(registry, variants={"back": recipe})
    await enqueue_variants(await ingest(field, b"abc", name="a.txt"))
    await queue.run(registry)
    assert "'back'" in caplog.text
    assert "Not of this file" in caplog.text


async def test_enqueue_outbox_deletes_what_is_due(tmp_path: Path) -> None:
    registry = local_registry(tmp_path, keep=0)
    field = added(registry)
    records = PlainRecords(tmp_path / "app.db", registry)
    attachment = await ingest(field, b"abc", name="a.txt")
    records.save(field, 1, attachment)
    records.delete(field, 1)
    assert isinstance(registry.queue, InProcessQueue)
    await enqueue_outbox(registry)
    await registry.queue.aclose()
    assert not await field.disk.exists(attachment.key)


def test_add_jobs_again_changes_nothing(registry: Registry) -> None:
    add_jobs(registry)
    before = dict(registry.jobs)
    add_jobs(registry)
    assert registry.jobs == before
    assert set(before) == {VARIANTS, OUTBOX}
