"""Capabilities of a driver: those whose methods fit, without the unsupported ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest.mock import AsyncMock

import pytest

from disk_ways import disk_of
from jtc.storage import (
    NotModifiedException,
    ReadOnlyException,
    StorageConfigException,
    StorageDriver,
    UnsupportedOperationException,
)
from jtc.storage._capabilities import methods_of, resolve
from jtc.storage.driver import BASE_OPTIONS, CAPABILITIES
from jtc.storage.drivers.memory_driver import MemoryDriver
from small_drivers import Closable, EightMethods, Streaming, Versioned, Writing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jtc.storage import Entry, FileInfo, ListOptions


def capability_names(driver: object, **options: Any) -> frozenset[str]:
    return resolve(driver, **options).capabilities.names


class Listing(EightMethods):
    async def list_entries(self, prefix: str, options: ListOptions, /) -> AsyncIterator[Entry]:
        raise NotImplementedError
        yield prefix, options


def test_eight_methods_are_a_driver_without_capabilities() -> None:
    resolved = resolve(EightMethods())
    assert resolved.name == "EightMethods"
    assert resolved.capabilities.names == frozenset()
    assert resolved.capabilities.put_options == frozenset()
    assert "listing" not in resolved.capabilities
    for protocol in CAPABILITIES.values():
        assert not any(hasattr(resolved.methods, method) for method in methods_of(protocol))


@pytest.mark.parametrize("method", methods_of(StorageDriver))
def test_each_of_the_eight_is_needed(method: str) -> None:
    with pytest.raises(StorageConfigException, match=rf"lacks {method}\(\)"):
        resolve(type("Lacking", (EightMethods,), {method: None})())


def test_object_of_another_kind_is_refused_with_all_it_lacks() -> None:
    with pytest.raises(
        StorageConfigException, match=r"'dict' is not a storage driver: it lacks put\(\), exists"
    ):
        resolve({})


def test_class_in_place_of_an_instance_is_refused() -> None:
    with pytest.raises(StorageConfigException, match=r"'EightMethods' is a class: .* an instance"):
        resolve(EightMethods)


def test_capabilities_are_found_by_methods_that_fit() -> None:
    assert capability_names(Streaming()) == {"reading"}
    assert capability_names(Writing()) == {"writing"}
    assert capability_names(Closable()) == {"close"}
    assert capability_names(Listing()) == {"listing"}
    driver = Streaming()
    assert resolve(driver).methods.open_read == driver.open_read


async def test_driver_of_the_eight_methods_and_stat_needs_nothing_more() -> None:
    """So a capability that a later version adds breaks no driver."""
    assert capability_names(Versioned()) == {"stat"}
    disk = disk_of(Versioned())
    await disk.put("a", b"0123456789")
    assert await disk.get_ranges("a", [(8, 10), (0, 1)]) == [b"89", b"0"]
    assert (await disk.stat("a")).etag == (await disk.stream("a")).info.etag
    with pytest.raises(NotModifiedException):
        await disk.get("a", if_none_match=(await disk.stat("a")).etag)
    assert (await disk.copy("a", "b"), await disk.move("b", "c")) == ("b", "c")
    assert await disk.entry("c") == await disk.stat("c")
    for capability in set(CAPABILITIES) - {"stat"}:
        with pytest.raises(UnsupportedOperationException, match=f"'{capability}'"):
            resolve(Versioned()).require(capability)


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_each_capability_is_found_by_its_methods_alone(capability: str) -> None:
    async def method(*_: Any) -> None: ...

    methods: dict[str, Any] = dict.fromkeys(methods_of(CAPABILITIES[capability]), method)
    driver = type("One", (EightMethods,), methods | {"supported_options": {}})()
    assert capability_names(driver) == {capability}
    assert capability_names(driver, disabled=[capability]) == frozenset()
    assert set(resolve(driver).capabilities.options) == {*methods_of(StorageDriver), *methods}


def test_options_are_those_of_every_driver_and_those_that_it_supports() -> None:
    capabilities = resolve(Streaming()).capabilities
    assert capabilities.options["open_read"] == BASE_OPTIONS["open_read"]
    assert capabilities.supports("open_read", "if_match")
    assert not capabilities.supports("open_read", "if_none_match")
    assert not capabilities.supports("list_entries", "recursive")  # it cannot list
    memory = resolve(MemoryDriver()).capabilities
    assert memory.supports("open_read", "if_none_match")
    assert memory.supports("list_entries", "recursive")
    assert memory.supports("list_entries", "directories")


def test_check_option_refuses_what_is_given_and_not_supported() -> None:
    resolved = resolve(Streaming(), name="mine")
    with pytest.raises(
        UnsupportedOperationException,
        match=r"'mine' does not support the option 'if_none_match' of stream\(\)",
    ):
        resolved.check_option("open_read", "if_none_match", "etag")
    for value in (None, False):
        resolved.check_option("open_read", "if_none_match", value)
    resolved.check_option("open_read", "if_match", "etag")


def test_unrelated_method_of_the_same_name_is_no_capability() -> None:
    class Unrelated(EightMethods):
        async def list_entries(self, folder: str) -> list[str]:
            return [folder]

        async def stat(self) -> None: ...

        async def copy_file(self, src: str, dst: str, /) -> None: ...

        async def open_read(self, path: str, /, *, start: int = 0) -> None: ...

        def temporary_url(self, path: str) -> str:
            return path

    assert capability_names(Unrelated()) == frozenset()


def test_more_parameters_than_needed_fit_where_they_have_defaults() -> None:
    class More(EightMethods):
        async def stat(self, path: str, depth: int = 0, /, *, deep: bool = False) -> Any: ...

    class TooMany(EightMethods):
        async def stat(self, path: str, depth: int, /) -> Any: ...

    assert capability_names(More()) == {"stat"}
    assert capability_names(TooMany()) == frozenset()


def test_inherited_methods_of_dict_are_no_capability() -> None:
    class DictDriver(EightMethods, dict):  # type: ignore[type-arg, misc]
        copy_file = dict.copy
        stat = dict.fromkeys

    assert "copy" not in capability_names(DictDriver())


def test_builtin_without_a_signature_is_no_capability() -> None:
    class Odd(EightMethods):
        aclose = max  # takes anything, and has no signature

    class Broken(EightMethods):
        @staticmethod
        def aclose() -> None: ...

    Broken.aclose.__signature__ = 5  # type: ignore[attr-defined]
    assert capability_names(Odd()) == frozenset()
    assert capability_names(Broken()) == frozenset()


def test_wrapper_that_takes_anything_has_the_capabilities_of_its_methods() -> None:
    class Logged(EightMethods):
        async def stat(self, *args: Any, **kwargs: Any) -> FileInfo:
            raise NotImplementedError

        def list_entries(self, *args: Any, **kwargs: Any) -> Any: ...

    assert capability_names(Logged()) == {"stat", "listing"}


def test_wrapper_that_forwards_all_has_the_inner_drivers_capabilities() -> None:
    class Forwarding:
        def __init__(self, inner: object) -> None:
            self.inner = inner

        def __getattr__(self, name: str) -> Any:
            return getattr(self.inner, name)

    for inner in (Streaming(), Writing(), MemoryDriver(), EightMethods()):
        assert resolve(Forwarding(inner)).capabilities == resolve(inner).capabilities


def test_a_method_kept_on_the_instance_counts() -> None:
    async def stat(path: str, /) -> Any: ...

    driver: Any = EightMethods()
    driver.stat = stat
    assert capability_names(driver) == {"stat"}


def test_a_capability_needs_all_its_methods() -> None:
    class Half(EightMethods):
        async def visibility(self, path: str, /) -> Any: ...

    assert capability_names(Half()) == frozenset()


def test_writing_needs_its_mapping_of_options() -> None:
    for supports in (None, frozenset({"overwrite"})):
        assert (
            capability_names(type("Vague", (Writing,), {"supported_options": supports})())
            == frozenset()
        )


def test_a_method_set_to_none_is_a_capability_given_up() -> None:
    driver: Any = Streaming()
    driver.open_read = None
    assert capability_names(driver) == frozenset()


def test_what_is_unsupported_or_disabled_is_not_there() -> None:
    driver: Any = MemoryDriver()
    driver.unsupported = frozenset()
    everything = capability_names(driver)
    driver.unsupported = frozenset({"visibility"})
    assert capability_names(driver) == everything - {"visibility"}
    assert capability_names(driver, disabled=["listing"]) == everything - {"visibility", "listing"}
    resolved = resolve(driver, disabled=("writing",))
    assert not hasattr(resolved.methods, "write_file")
    assert resolved.capabilities.put_options == frozenset()


@pytest.mark.parametrize("disabled", [["listings"], "listing", ["listing", "get"], [1]])
def test_what_is_no_capability_cannot_be_disabled(disabled: Any) -> None:
    with pytest.raises(
        StorageConfigException, match="'disable' is a list of capabilities: stat, reading"
    ):
        resolve(EightMethods(), disabled=disabled)


def test_a_mock_of_the_protocol_has_eight_methods_and_no_capabilities() -> None:
    assert capability_names(AsyncMock(spec=StorageDriver)) == frozenset()


def test_a_lacking_capability_is_named_with_its_driver() -> None:
    resolved = resolve(EightMethods(), name="mine")
    with pytest.raises(
        UnsupportedOperationException, match="'mine' does not have the capability 'listing'"
    ) as raised:
        resolved.require("listing")
    assert not isinstance(raised.value, ReadOnlyException)


def test_a_capability_that_is_there_is_returned() -> None:
    resolved = resolve(Listing())
    assert resolved.require("listing") is resolved.methods


def test_capabilities_have_the_options_of_each_method() -> None:
    capabilities = resolve(MemoryDriver()).capabilities
    assert "if_match" in capabilities.put_options
    assert "if_source_match" in capabilities.copy_options
    assert "if_source_match" in capabilities.move_options
    assert "bulk_delete" in capabilities


def test_every_capability_is_one_that_a_driver_can_lack_and_have() -> None:
    assert resolve(EightMethods()).capabilities.names == frozenset()
    full = MemoryDriver(base_url="/files", secret="s" * 32)
    # Nothing is open in memory that would have to be closed, and there is no backend to check.
    assert resolve(full).capabilities.names == set(CAPABILITIES) - {"close", "health_check"}
    for protocol in CAPABILITIES.values():
        assert methods_of(protocol)
