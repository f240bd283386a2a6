"""Capabilities: what the driver claims works, and `Disk` refuses everything else."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage.driver import CAPABILITIES, METHODS
from jtc.storage.driver_support.derived import resolve
from jtc.storage.exceptions import StorageException, UnsupportedOperationException
from jtc.storage.models import Visibility
from jtc.storage.options import (
    DeleteOptions,
    ListOptions,
    MetadataOptions,
    ReadOptions,
    SignOptions,
    WriteOptions,
)
from jtc.storage.testing._suite import Suite, assert_same, metadata_update_options, needs

if TYPE_CHECKING:
    from collections.abc import Callable

    from jtc.storage import Capabilities, Disk
    from jtc.storage.driver import StorageDriver, SupportsClose

__all__ = ["CapabilityTests"]


def _fields(record: type[Any]) -> frozenset[str]:
    return frozenset(field.name for field in dataclasses.fields(record))


# What Disk cannot derive, by what it needs.
_NOT_DERIVED: dict[str, tuple[str, Callable[[Disk], Any]]] = {
    "files": ("listing", lambda disk: disk.files()),
    "all_files": ("listing", lambda disk: disk.all_files()),
    "directories": ("listing", lambda disk: disk.directories()),
    "directory_exists": ("listing", lambda disk: disk.directory_exists("d")),
    "list": ("listing", lambda disk: anext(disk.list())),
    "glob": ("listing", lambda disk: disk.glob("*.txt")),
    "usage": ("listing", lambda disk: disk.usage()),
    "make_directory": ("directories", lambda disk: disk.make_directory("d")),
    "delete if_match": (
        "conditional_delete",
        lambda disk: disk.delete("a", if_match="another-etag"),
    ),
    "remove_empty_directory": (
        "empty_directory_removal",
        lambda disk: disk.remove_empty_directory("d"),
    ),
    "visibility": ("visibility", lambda disk: disk.visibility("a")),
    "set_visibility": ("visibility", lambda disk: disk.set_visibility("a", Visibility.PUBLIC)),
    "temporary_url": ("temporary_urls", lambda disk: disk.temporary_url("a", 60)),
    "temporary_urls": ("temporary_urls", lambda disk: disk.temporary_urls(["a"], 60)),
    "temporary_upload_url": (
        "temporary_uploads",
        lambda disk: disk.temporary_upload_url("a", 60),
    ),
    "temporary_upload_form": (
        "upload_forms",
        lambda disk: disk.temporary_upload_form("a", 60, max_size=1),
    ),
}
# Options of those that Disk derives neither, by the capability and the method that must be there.
_SIGNING_OPTIONS: dict[str, tuple[str, str, Callable[[Disk], Any]]] = {
    "stable_for": (
        "temporary_urls",
        "temporary_url",
        lambda disk: disk.temporary_url("a", 60, stable_for=3600),
    ),
    "min_size": (
        "upload_forms",
        "temporary_upload_form",
        lambda disk: disk.temporary_upload_form("a", 60, max_size=9, min_size=1),
    ),
}
# The fields of the record that each method gets, and which of them it may support.
_KNOWN_OPTIONS: dict[str, frozenset[str]] = {
    "write_file": _fields(WriteOptions) - {"if_source_match"},
    "copy_file": _fields(WriteOptions) - {"if_match"},
    "copy_from": _fields(WriteOptions) - {"if_match"},
    "move_file": _fields(WriteOptions) - {"if_match"},
    "update_metadata": frozenset(MetadataOptions.__annotations__),
    "open_read": _fields(ReadOptions),
    "read_ranges": _fields(ReadOptions),
    "delete_file": _fields(DeleteOptions),
    "list_entries": _fields(ListOptions),
    "temporary_url": _fields(SignOptions),
    "temporary_upload_url": _fields(SignOptions),
    "temporary_upload_form": _fields(SignOptions),
}
_OPTIONS: dict[str, Any] = {
    "content_type": "text/plain",
    "cache_control": "no-store",
    "content_disposition": "inline",
    "content_encoding": "gzip",
    "metadata": {"one": "1"},
    "visibility": Visibility.PUBLIC,
    "overwrite": False,
    "if_match": "etag",
    "driver_options": {"any": "thing"},
}


class CapabilityTests(Suite):
    """A claim is kept, and what is not claimed is refused before anything happens."""

    rules = "every method, `check`, `aclose`"

    async def test_the_claims_are_of_known_capabilities(self, capabilities: Capabilities) -> None:
        assert capabilities.names <= set(CAPABILITIES)

    async def test_the_unsupported_capabilities_are_known(self, driver: StorageDriver) -> None:
        assert set(getattr(driver, "unsupported", ())) <= set(CAPABILITIES)

    async def test_the_claims_do_not_change(self, driver: StorageDriver) -> None:
        before = resolve(driver).capabilities
        await driver.put("a", b"content")
        assert resolve(driver).capabilities == before

    async def test_the_disk_has_the_capabilities_of_its_driver(
        self, disk: Disk, capabilities: Capabilities
    ) -> None:
        assert disk.capabilities == capabilities

    async def test_supported_options_are_options_there_are(
        self, capabilities: Capabilities
    ) -> None:
        unknown = {
            method: set(options - _KNOWN_OPTIONS.get(method, frozenset()))
            for method, options in capabilities.options.items()
            if options - _KNOWN_OPTIONS.get(method, frozenset())
        }
        assert unknown == {}, "supported_options names fields of the record that the method gets"

    @needs("writing")
    async def test_supported_options_are_of_methods_there_are(self, driver: Any) -> None:
        assert set(driver.supported_options) <= set(METHODS)

    @pytest.mark.parametrize("method", _NOT_DERIVED)
    async def test_what_is_not_claimed_is_refused(
        self, disk: Disk, capabilities: Capabilities, method: str
    ) -> None:
        capability, call = _NOT_DERIVED[method]
        if capability in capabilities:
            pytest.skip(f"the driver claims the capability {capability!r}")
        await disk.put("a", b"content")
        with pytest.raises(UnsupportedOperationException, match=capability):
            await call(disk)

    async def test_set_metadata_is_refused_where_it_cannot_be_derived(
        self, disk: Disk, capabilities: Capabilities
    ) -> None:
        if metadata_update_options(capabilities):
            pytest.skip("the driver updates metadata, or Disk rewrites the file")
        await disk.put("a", b"content")
        with pytest.raises(UnsupportedOperationException):
            await disk.set_metadata("a", content_type="text/plain")
        assert await disk.get("a") == b"content"

    async def test_set_metadata_refuses_options_that_are_not_supported(
        self, disk: Disk, capabilities: Capabilities
    ) -> None:
        supported = metadata_update_options(capabilities)
        refused = [
            name for name in MetadataOptions.__annotations__ if name not in supported | {"if_match"}
        ]
        if not refused or not supported:
            pytest.skip("all options are supported, or none is")
        await disk.put("a", b"content")
        for option in refused:
            options: Any = {option: _OPTIONS[option]}
            with pytest.raises(UnsupportedOperationException, match=option):
                await disk.set_metadata("a", **options)

    @pytest.mark.parametrize("option", _SIGNING_OPTIONS)
    async def test_an_option_of_signing_that_is_not_supported_is_refused_by_name(
        self, disk: Disk, capabilities: Capabilities, option: str
    ) -> None:
        capability, method, call = _SIGNING_OPTIONS[option]
        if capability not in capabilities or capabilities.supports(method, option):
            pytest.skip(f"the driver supports {option!r}, or signs nothing")
        with pytest.raises(UnsupportedOperationException, match=option):
            await call(disk)

    @pytest.mark.parametrize("option", _OPTIONS)
    async def test_an_option_that_is_not_supported_is_refused_by_name(
        self, disk: Disk, capabilities: Capabilities, option: str
    ) -> None:
        if option in capabilities.put_options:
            pytest.skip(f"the driver supports {option!r}")
        options: Any = {option: _OPTIONS[option]}
        with pytest.raises(UnsupportedOperationException, match=option):
            await disk.put("a", b"content", **options)
        assert await disk.exists("a") is False

    async def test_an_option_that_does_not_exist_is_a_type_error(self, disk: Disk) -> None:
        options: Any = {"contenttype": "text/plain"}
        with pytest.raises(TypeError, match="content_type"):
            await disk.put("a", b"content", **options)
        assert await disk.exists("a") is False

    async def test_options_that_ask_for_nothing_are_fine(self, disk: Disk) -> None:
        await disk.put("a", b"content", overwrite=True, content_type=None, if_match=None)
        assert await disk.get("a") == b"content"

    async def test_a_disk_can_be_checked(self, disk: Disk) -> None:
        await disk.check()

    @needs("listing")
    async def test_a_check_leaves_nothing_behind(self, disk: Disk) -> None:
        await disk.put("a", b"content")
        await disk.check()
        await disk.check()
        assert await disk.all_files() == ["a"]
        assert await disk.directories() == []
        assert await disk.get("a") == b"content"

    async def test_a_scope_is_a_disk_of_its_own(self, disk: Disk) -> None:
        scope = disk.scoped("tenants/one")
        assert await scope.put("a", b"content") == "a"
        assert await scope.get("a") == b"content"
        assert await disk.get("tenants/one/a") == b"content"

    @needs("listing")
    async def test_a_scope_lists_its_own_files_by_its_own_paths(self, disk: Disk) -> None:
        await disk.put("tenants/one/d/a", b"1")
        await disk.put("tenants/oneness/b", b"2")
        scope = disk.scoped("tenants/one")
        assert await scope.all_files() == ["d/a"]
        assert await scope.directories() == ["d"]

    async def test_a_read_only_view_reads_and_refuses_to_write(self, disk: Disk) -> None:
        await disk.put("a", b"content")
        view = disk.read_only()
        assert await view.get("a") == b"content"
        with pytest.raises(UnsupportedOperationException):
            await view.put("a", b"changed")
        with pytest.raises(UnsupportedOperationException):
            await view.delete("a")
        assert await disk.get("a") == b"content"

    async def test_a_drivers_repr_can_be_logged(self, driver: StorageDriver) -> None:
        assert repr(driver).isprintable()

    @needs("close")
    async def test_closing_twice_is_fine(self, driver: SupportsClose) -> None:
        await driver.aclose()
        await driver.aclose()

    @needs("close")
    async def test_aclose_leaves_other_event_loops_able_to_work(
        self, disk: Disk, driver: SupportsClose
    ) -> None:
        await disk.put("a", b"content")

        async def elsewhere(used: threading.Event, closed: threading.Event) -> bytes:
            await disk.get("a")
            used.set()
            await asyncio.to_thread(closed.wait, 30)
            return await disk.get("a")

        used, closed = threading.Event(), threading.Event()
        other = asyncio.create_task(asyncio.to_thread(asyncio.run, elsewhere(used, closed)))
        await asyncio.to_thread(used.wait, 30)
        await driver.aclose()
        closed.set()
        assert await asyncio.wait_for(other, 60) == b"content"
        assert await disk.get("a") == b"content"

    @needs("close")
    async def test_aclose_beside_a_stream_ends_it_or_leaves_it_whole(
        self, disk: Disk, driver: SupportsClose
    ) -> None:
        content = bytes(range(251)) * 4_000
        await disk.put("a", content)
        async with disk.stream("a", chunk_size=10_000) as stream:
            chunks = aiter(stream)
            read = await anext(chunks)
            closing = asyncio.create_task(driver.aclose())
            try:
                async for chunk in chunks:
                    read += chunk
            except StorageException:
                read = content  # to end it with one of our errors is right too
        await closing
        assert_same(read, content)
        assert_same(await disk.get("a"), content)

    @needs("close")
    async def test_a_driver_that_was_closed_opens_afresh(self, disk: Disk, driver: Any) -> None:
        await disk.put("a", b"content")
        await driver.aclose()
        assert await disk.get("a") == b"content"
