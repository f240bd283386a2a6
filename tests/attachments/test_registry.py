"""Registries, and the checks of fields and their disks."""

from __future__ import annotations

import logging
import pickle
from typing import TYPE_CHECKING, Any

import pytest

from attachment_fields import PNG, SECRET, FixedRecipe, added, local_registry
from jtc.storage import Storage, StorageManager
from jtc.storage.attachments import Field, Registry
from jtc.storage.attachments.fakes import fake_disks
from jtc.storage.attachments.plain import delete, store
from jtc.storage.exceptions import StorageConfigException
from small_drivers import EightMethods

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_size": "5 MegaBytes"}, "'5MB' or '5MiB'"),
        ({"max_size": "5iB"}, "'5MB'"),
        ({"max_size": True}, "'5MB'"),
        ({"min_size": -1}, "min_size"),
        ({"min_size": "2kB", "max_size": "1kB"}, "above 'max_size'"),
        ({"types": "image/png"}, "collection of MIME types"),
        ({"types": {"png"}}, "write 'image/png'"),
        ({"variants": {"Thumb": FixedRecipe()}}, "lower-case"),
        ({"variants": {"original": FixedRecipe()}}, "is not"),
        ({"variants": {"thumb": FixedRecipe()}, "eager": ["thump"]}, "did you mean 'thumb'"),
        ({"eager": ["thumb"]}, "there is none"),
        ({"variants": {"thumb": FixedRecipe()}, "serve": "direct"}, "makes 'thumb'"),
        ({"serve": "direct", "url_lifetime": 60}, "do not expire"),
        ({"serve": "rout"}, "'route', 'direct'"),
        ({"while_missing": "waits"}, "'wait', 'original', 'placeholder'"),
        ({"keep_latest": 5}, "list of attachments"),
        ({"many": True, "keep_latest": 0}, "1 or more"),
        ({"url_lifetime": 0}, "1 second"),
        ({"properties": {"at": object()}}, "JSON"),
    ],
)
def test_field_refuses_setting_at_declaration(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(StorageConfigException, match=message) as error:
        Field("media", "avatars", **settings)
    assert "'avatars'" in str(error.value)


def test_field_sizes_are_bytes_or_text() -> None:
    for text, size in {
        "5MB": 5_000_000,
        "5MiB": 5_242_880,
        "1.5 kB": 1500,
        "2gb": 2_000_000_000,
        "10": 10,
        "10B": 10,
        7: 7,
    }.items():
        assert Field("media", "avatars", max_size=text).max_size == size


def test_field_directory_follows_the_path_policy() -> None:
    for directory in ("", "../secret", "a//b", "a/"):
        with pytest.raises(StorageConfigException):
            Field("media", directory)


def test_registry_refuses_names_and_secrets() -> None:
    with pytest.raises(StorageConfigException, match="namespace"):
        Registry(namespace="a/b", secret=SECRET)
    for secret in (None, "short", [], " " + SECRET):
        with pytest.raises(StorageConfigException) as error:
            Registry(namespace="app", secret=secret)  # type: ignore[arg-type]
        assert SECRET not in str(error.value)
    registry = Registry(namespace="app", secret=SECRET, keep=100)
    added(registry)
    assert SECRET not in repr(registry)
    assert SECRET not in repr(vars(registry))
    with pytest.raises(TypeError):
        pickle.dumps(registry)
    with pytest.raises(StorageConfigException, match="two fields"):
        added(registry)
    with pytest.raises(StorageConfigException, match="letters"):
        added(registry, "a/b")
    with pytest.raises(StorageConfigException, match="raise 'keep'"):
        added(registry, "users.cv", url_lifetime=101)
    with pytest.raises(StorageConfigException, match=r"did you mean 'users\.avatar'"):
        registry.field("user.avatar")


async def test_check_finds_private_disk_of_direct_field() -> None:
    storage = StorageManager.isolated(
        {
            "disks": {
                "private": {
                    "driver": "memory",
                    "base_url": "/files",
                    "secret": "x" * 32,
                    "visibility": "private",
                },
                "public": {
                    "driver": "memory",
                    "base_url": "https://cdn.example.org",
                    "visibility": "public",
                },
            }
        }
    )
    registry = Registry(namespace="app", secret=SECRET, storage=storage)
    registry.add("public.file", Field("public", "files", serve="direct"))
    await registry.check()
    field = Field("private", "files", serve="direct")
    registry.add("private.file", field)
    with pytest.raises(StorageConfigException, match="are private"):
        await registry.check()
    with pytest.raises(StorageConfigException, match="are private"):
        await store(field, b"content")


async def test_check_finds_disk_that_is_missing_or_cannot_refuse_to_overwrite() -> None:
    storage = StorageManager.isolated({"disks": {"other": {"driver": "memory"}}})
    registry = Registry(namespace="app", secret=SECRET, storage=storage)
    added(registry)
    with pytest.raises(StorageConfigException, match="media"):
        await registry.check()
    storage.set_driver(EightMethods(), "media")
    with pytest.raises(StorageConfigException, match="creation-only writes"):
        await registry.check()


async def test_check_warns_of_local_disk_that_is_not_durable(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    registry = local_registry(tmp_path)
    added(registry)
    with caplog.at_level(logging.WARNING):
        await registry.check()
    assert "'media' is not durable" in caplog.text
    caplog.clear()
    registry.storage.configure(
        {"disks": {"media": {"driver": "local", "root": str(tmp_path), "durable": True}}}
    )
    await registry.check()
    assert caplog.text == ""


def test_fake_disks_of_a_registry_without_fields_says_what_to_import(tmp_path: Path) -> None:
    with (
        pytest.raises(StorageConfigException, match="import the modules"),
        fake_disks(local_registry(tmp_path)),
    ):
        pass


async def test_fake_disks_stores_in_memory_and_asserts(tmp_path: Path) -> None:
    registry = local_registry(tmp_path)
    field = added(registry)
    with fake_disks(registry) as fakes:
        made = await store(field, PNG, name="me.png")
        fakes.assert_stored(made, PNG)
        with pytest.raises(AssertionError):
            fakes.assert_stored(made, b"other")
        with pytest.raises(AssertionError):
            fakes.assert_deleted(made)
        await delete(field, made)
        fakes.assert_deleted(made)
        with pytest.raises(AssertionError):
            fakes.assert_stored(made)
        fakes.disk("media").fail("put", times=1)
        with pytest.raises(Exception, match="put"):
            await store(field, PNG)
        fakes.disk("media").assert_empty()
    assert not (tmp_path / "media").exists()
    assert Storage is not registry.storage
