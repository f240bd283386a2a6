"""Tokens by which clients hand back what they uploaded."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from attachment_fields import SECRET, FixedRecipe, added, local_registry
from jtc.storage.attachments import Registry, Variant
from jtc.storage.attachments._ingest import ingest
from jtc.storage.attachments.tokens import TokenException
from jtc.storage.exceptions import StorageConfigException

if TYPE_CHECKING:
    from pathlib import Path


async def test_token_gives_the_attachment_back(tmp_path: Path) -> None:
    registry = local_registry(tmp_path)
    field = added(registry, variants={"thumb": FixedRecipe()})
    made = (await ingest(field, b"content", name="ä.txt")).with_properties(album=[1, {"a": None}])
    token = registry.issue_token(field, made, owner=7)

    assert registry.read_token(field, token, owner=7) == made
    assert registry.read_token(field, token, owner="7").url() == made.url()


async def test_token_shows_neither_disk_nor_directory(tmp_path: Path) -> None:
    import base64

    registry = local_registry(tmp_path)
    field = added(registry)
    made = await ingest(field, b"content")
    payload = registry.issue_token(field, made, owner=UUID(int=5)).partition(".")[0]
    shown = base64.urlsafe_b64decode(payload + "==").decode()
    assert made.id in shown
    assert "media" not in shown
    assert "avatars" not in shown


async def test_token_of_other_field_or_owner_or_registry_is_refused(tmp_path: Path) -> None:
    registry = local_registry(tmp_path)
    field, other = added(registry), added(registry, "users.cv")
    token = registry.issue_token(field, await ingest(field, b"content"), owner="anna")
    foreign = Registry(namespace="app", secret="x" * 32)
    added(foreign)
    neighbour = Registry(namespace="other", secret=SECRET)
    added(neighbour)

    refused = [
        (registry, other, token, "anna"),
        (registry, field, token, "bert"),
        (registry, field, token[:-1] + "A", "anna"),
        (registry, field, "A" + token, "anna"),
        (registry, field, token.partition(".")[0], "anna"),
        (registry, field, "", "anna"),
        (registry, field, ".", "anna"),
        (registry, field, "ü\ud800." + token, "anna"),
        (registry, field, "x" * 100_000, "anna"),
        (foreign, foreign.field("users.avatar"), token, "anna"),
        (neighbour, neighbour.field("users.avatar"), token, "anna"),
    ]
    for where, of, text, owner in refused:
        with pytest.raises(TokenException) as error:
            where.read_token(of, text, owner)
        assert error.value.reason == "token"


async def test_token_expires(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = local_registry(tmp_path)
    field = added(registry)
    token = registry.issue_token(field, await ingest(field, b"content"), owner=1, expires_in=60)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 62)
    with pytest.raises(TokenException) as error:
        registry.read_token(field, token, owner=1)
    assert error.value.reason == "token_expired"


async def test_token_needs_owner_and_time(tmp_path: Path) -> None:
    registry = local_registry(tmp_path)
    field = added(registry)
    made = await ingest(field, b"content")
    for owner in (None, ""):
        with pytest.raises(ValueError, match="owner"):
            registry.issue_token(field, made, owner=owner)
    for seconds in (0, -1, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="expires_in"):
            registry.issue_token(field, made, owner=1, expires_in=seconds)


async def test_token_survives_a_field_that_moves_to_another_disk(tmp_path: Path) -> None:
    from jtc.storage.attachments import Field

    registry = local_registry(tmp_path)
    field = added(registry)
    made = await ingest(field, b"content")
    token = registry.issue_token(field, made, owner=1)
    later = local_registry(tmp_path)
    moved = Field("archive", "faces", moved_from=["archive", ("media", "avatars")])
    later.add("users.avatar", moved)
    assert later.read_token(moved, token, owner=1) == made


async def test_token_of_a_foreign_attachment_is_not_issued(tmp_path: Path) -> None:
    from jtc.storage.attachments import Field

    registry = local_registry(tmp_path)
    field = added(registry)
    other = Field("media", "documents")
    registry.add("users.cv", other)
    with pytest.raises(StorageConfigException, match="not in a directory"):
        registry.issue_token(other, await ingest(field, b"content"), owner=1)


async def test_token_holds_variants(tmp_path: Path) -> None:
    registry = local_registry(tmp_path)
    field = added(registry, variants={"thumb": FixedRecipe()})
    thumb = Variant(recipe="1a2b3c4d", file="thumb-1a2b3c4d.webp", content_type="x/y", size=3)
    made = (await ingest(field, b"content")).changed(variants={"thumb": thumb}, width=4, height=3)
    token = registry.issue_token(field, made, owner=1)
    assert len(token) < 1000
    assert registry.read_token(field, token, owner=1) == made


async def test_token_ends_when_purge_may_delete_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = local_registry(tmp_path, keep=3600)
    field = added(registry)
    made = await ingest(field, b"content")
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 3500)
    token = registry.issue_token(field, made, owner=7, expires_in=3600)
    assert registry.read_token(field, token, owner=7) == made
    monkeypatch.setattr(time, "time", lambda: now + 3601)
    with pytest.raises(TokenException) as refused:
        registry.read_token(field, token, owner=7)
    assert refused.value.reason == "token_expired"
