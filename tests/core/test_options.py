"""Options: checked by name and type, and refused where a driver does not support them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from jtc.storage import UnsupportedOperationException, Visibility, WriteOptions
from jtc.storage.options import CopyOptions, PutOptions, copy_options, put_options

ALL = frozenset(WriteOptions.__dataclass_fields__)
NOTHING: frozenset[str] = frozenset()

VALUES: dict[str, Any] = {
    "content_type": "text/plain",
    "cache_control": "no-store",
    "content_disposition": "attachment",
    "metadata": {"a-1": "Grüße"},
    "visibility": "public",
    "overwrite": False,
    "if_match": "1",
    "driver_options": {"sse": "AES256"},
}


def put(given: dict[str, Any], supported: frozenset[str] = ALL) -> WriteOptions:
    return put_options(given, supported, driver="mine")


@given(st.sets(st.sampled_from(sorted(VALUES))), st.sets(st.sampled_from(sorted(VALUES))))
def test_a_put_is_refused_exactly_where_an_option_is_not_supported(
    asked: set[str], supported: set[str]
) -> None:
    assume(not asked >= {"overwrite", "if_match"})  # they contradict each other
    given_options = {name: VALUES[name] for name in asked}
    if asked <= supported:
        options = put(given_options, frozenset(supported))
        for name, value in VALUES.items():
            expected = value if name in asked else getattr(WriteOptions(), name)
            assert getattr(options, name) == expected
    else:
        with pytest.raises(UnsupportedOperationException, match="'mine'") as raised:
            put(given_options, frozenset(supported))
        assert any(repr(name) in str(raised.value) for name in asked - supported)


@pytest.mark.parametrize("name", sorted(set(PutOptions.__annotations__) - {"overwrite"}))
def test_none_asks_for_nothing(name: str) -> None:
    assert put({name: None}, NOTHING) == WriteOptions()


def test_overwriting_is_what_every_driver_does() -> None:
    assert put({"overwrite": True}, NOTHING) == WriteOptions()
    assert put_options({"overwrite": True}, NOTHING, driver="x").overwrite is True


def test_limits_are_the_disks_own_and_asked_of_no_driver() -> None:
    limits = {"max_size": 5, "allowed_types": ["a/b"], "progress": print}
    assert put(limits, NOTHING) == WriteOptions()
    assert put({"size": 3}, NOTHING).size == 3


def test_a_misspelt_option_is_an_error_with_a_suggestion() -> None:
    with pytest.raises(TypeError, match=r"put\(\) has no option 'contenttype'.*'content_type'"):
        put({"contenttype": "x"})
    with pytest.raises(TypeError, match="its options are allowed_types, cache_control"):
        put({"zzz": "x"})


def test_an_unknown_option_is_an_error_even_as_none() -> None:
    with pytest.raises(TypeError):
        put({"storage_class": None})


def test_a_copy_has_options_of_its_own() -> None:
    assert copy_options({"if_source_match": "7"}, ALL, driver="x").if_source_match == "7"
    for name in set(PutOptions.__annotations__) - set(CopyOptions.__annotations__):
        with pytest.raises(TypeError, match="copy"):
            copy_options({name: 1}, ALL, driver="x")
    with pytest.raises(TypeError, match="put"):
        put({"if_source_match": "7"})
    with pytest.raises(TypeError, match=r"move\(\) has"):
        copy_options({"nope": 1}, ALL, driver="x", method="move")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("content_type", 5),
        ("cache_control", b"no-store"),
        ("metadata", [("a", "b")]),
        ("metadata", {"a": 1}),
        ("driver_options", "sse"),
        ("overwrite", 0),
        ("size", "5"),
        ("if_match", 1),
    ],
)
def test_a_value_of_a_wrong_kind_is_a_type_error(name: str, value: object) -> None:
    with pytest.raises(TypeError, match=name):
        put({name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("content_type", "text/plain\r\nSet-Cookie: x"),
        ("content_disposition", "a\nb"),
        ("cache_control", "a\x00"),
        ("if_match", "\x7f"),
        ("metadata", {"Upper": "x"}),
        ("metadata", {"": "x"}),
        ("metadata", {"a b": "x"}),
        ("metadata", {"a\n": "x"}),
        ("metadata", {"a_b": "x"}),
        ("metadata", {1: "x"}),
        ("metadata", {"a": "\ud800"}),
        ("visibility", "hidden"),
    ],
)
def test_a_value_that_cannot_be_is_a_value_error(name: str, value: object) -> None:
    with pytest.raises(ValueError):
        put({name: value})


def test_a_visibility_may_be_said_as_a_str() -> None:
    assert put({"visibility": "private"}).visibility is Visibility.PRIVATE
    assert put({"visibility": Visibility.PUBLIC}).visibility is Visibility.PUBLIC


@pytest.mark.parametrize("name", ["metadata", "driver_options"])
def test_a_drivers_options_do_not_change_with_the_callers_mapping(name: str) -> None:
    mapping = {"a": "b"}
    options = put({name: mapping})
    mapping["a"] = "c"
    assert getattr(options, name) == {"a": "b"}


def test_to_create_a_file_and_to_replace_a_certain_one_contradict_each_other() -> None:
    with pytest.raises(ValueError, match="overwrite=False and if_match exclude"):
        put_options(
            {"overwrite": False, "if_match": "etag"},
            frozenset({"overwrite", "if_match"}),
            driver="d",
        )
