"""Capabilities: claimed by methods that fit, less what is unsupported; resolved once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest.mock import AsyncMock

import pytest

from jtc.storage import (
    ReadOnlyException,
    StorageConfigException,
    StorageDriver,
    UnsupportedOperationException,
)
from jtc.storage._capabilities import methods_of, resolve
from jtc.storage.driver import CAPABILITIES
from jtc.storage.drivers.memory_driver import MemoryDriver
from small_drivers import Closable, EightMethods, Streaming, Writing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jtc.storage import Entry, FileInfo


def capability_names(driver: object, **options: Any) -> frozenset[str]:
    return resolve(driver, **options).capabilities.names


class Listing(EightMethods):
    async def list_entries(
        self, prefix: str, /, *, recursive: bool = False, start_after: str | None = None
    ) -> AsyncIterator[Entry]:
        raise NotImplementedError
        yield prefix, recursive, start_after


def test_eight_methods_are_a_driver_without_capabilities() -> None:
    resolved = resolve(EightMethods())
    assert resolved.name == "EightMethods"
    assert resolved.capabilities.names == frozenset()
    assert resolved.capabilities.put_options == frozenset()
    assert "listing" not in resolved.capabilities
    assert all(getattr(resolved, capability) is None for capability in CAPABILITIES)


@pytest.mark.parametrize("method", methods_of(StorageDriver))
def test_each_of_the_eight_is_needed(method: str) -> None:
    with pytest.raises(StorageConfigException, match=rf"lacks {method}\(\)"):
        resolve(type("Lacking", (EightMethods,), {method: None})())


def test_an_object_of_another_kind_is_told_all_it_lacks() -> None:
    with pytest.raises(
        StorageConfigException, match=r"'dict' is no storage driver: it lacks put\(\), exists"
    ):
        resolve({})


def test_a_class_in_place_of_an_instance_is_told_so() -> None:
    with pytest.raises(StorageConfigException, match=r"'EightMethods' is a class: .* an instance"):
        resolve(EightMethods)


def test_methods_that_fit_are_the_claim() -> None:
    assert capability_names(Streaming()) == {"reading"}
    assert capability_names(Writing()) == {"writing"}
    assert capability_names(Closable()) == {"close"}
    assert capability_names(Listing()) == {"listing"}
    resolved = resolve(Streaming())
    assert resolved.reading is resolved.driver


def test_an_unrelated_method_of_the_same_name_claims_nothing() -> None:
    class Unrelated(EightMethods):
        async def list_entries(self, folder: str) -> list[str]:
            return [folder]

        async def stat(self) -> None: ...

        async def copy_file(self, src: str, dst: str, /) -> None: ...

        async def open_read(self, path: str, /, *, start: int = 0) -> None: ...

    assert capability_names(Unrelated()) == frozenset()


def test_more_parameters_than_needed_fit_where_they_have_defaults() -> None:
    class More(EightMethods):
        async def stat(self, path: str, depth: int = 0, /, *, deep: bool = False) -> Any: ...

    class TooMany(EightMethods):
        async def stat(self, path: str, depth: int, /) -> Any: ...

    assert capability_names(More()) == {"stat"}
    assert capability_names(TooMany()) == frozenset()


def test_a_subclass_of_dict_claims_nothing_by_its_inheritance() -> None:
    class DictDriver(EightMethods, dict):  # type: ignore[type-arg, misc]
        copy_file = dict.copy
        stat = dict.fromkeys

    assert "copy" not in capability_names(DictDriver())


def test_a_builtin_without_a_signature_claims_nothing() -> None:
    class Odd(EightMethods):
        aclose = max  # takes anything, and says nothing about it

    class Broken(EightMethods):
        @staticmethod
        def aclose() -> None: ...

    Broken.aclose.__signature__ = 5  # type: ignore[attr-defined]
    assert capability_names(Odd()) == frozenset()
    assert capability_names(Broken()) == frozenset()


def test_a_wrapper_that_takes_anything_claims_what_it_has() -> None:
    class Logged(EightMethods):
        async def stat(self, *args: Any, **kwargs: Any) -> FileInfo:
            raise NotImplementedError

        def list_entries(self, *args: Any, **kwargs: Any) -> Any: ...

    assert capability_names(Logged()) == {"stat", "listing"}


def test_a_wrapper_that_forwards_all_claims_what_is_within() -> None:
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
    assert resolved.writing is None
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
        resolved.need(resolved.listing, "listing")
    assert not isinstance(raised.value, ReadOnlyException)


def test_a_capability_that_is_there_is_returned() -> None:
    resolved = resolve(Listing())
    assert resolved.need(resolved.listing, "listing") is resolved.driver


def test_the_options_of_each_method_are_told() -> None:
    capabilities = resolve(MemoryDriver()).capabilities
    assert "if_match" in capabilities.put_options
    assert "if_source_match" in capabilities.copy_options
    assert "if_source_match" in capabilities.move_options
    assert "bulk_delete" in capabilities


def test_every_capability_is_one_that_a_driver_can_lack_and_have() -> None:
    assert set(CAPABILITIES) == set(resolve(EightMethods()).__dataclass_fields__) - {
        "driver",
        "name",
        "capabilities",
        "disabled",
    }
    for protocol in CAPABILITIES.values():
        assert methods_of(protocol)
