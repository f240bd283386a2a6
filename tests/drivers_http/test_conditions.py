"""Conditions on a file's version."""

from __future__ import annotations

import pytest

from jtc.storage.exceptions import NotModifiedException, PreconditionFailedException
from jtc.storage.http_support.conditions import (
    check_read,
    condition_headers,
    one_version,
    read_headers,
)
from jtc.storage.options import ReadOptions, WriteOptions


@pytest.mark.parametrize("etag", ["*", " * ", "", '"a", "b"', '"a" ,"b"'])
def test_one_version_of_what_means_several_is_none(etag: str) -> None:
    assert one_version(etag, '"none"') == '"none"'


@pytest.mark.parametrize("etag", ['"a"', "a", 'W/"a"', "a,b"])
def test_one_version_is_the_etag_itself(etag: str) -> None:
    assert one_version(etag, '"none"') == etag


def test_condition_headers_are_those_of_the_options() -> None:
    assert condition_headers(WriteOptions(), "none") == {}
    assert condition_headers(WriteOptions(overwrite=False), "none") == {"if-none-match": "*"}
    assert condition_headers(WriteOptions(if_match="*"), "none") == {"if-match": "none"}
    options = ReadOptions(if_match="a", if_none_match="*")
    assert read_headers(options, "none") == {"if-match": "a", "if-none-match": "none"}


def test_check_read_refuses_an_answer_that_ignored_its_conditions() -> None:
    check_read("a", ReadOptions(if_match="a", if_none_match="b"))
    check_read(None, ReadOptions(if_match="a", if_none_match="b"))
    with pytest.raises(PreconditionFailedException, match="if_match"):
        check_read("b", ReadOptions(if_match="a"))
    with pytest.raises(NotModifiedException, match="if_none_match"):
        check_read("a", ReadOptions(if_none_match="a"))
