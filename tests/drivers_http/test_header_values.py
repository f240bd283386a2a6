"""Texts as values of HTTP headers."""

from __future__ import annotations

import pytest

from jtc.storage.http_support.header_values import (
    ascii_header,
    decoded_value,
    encoded_value,
    header_text,
)


@pytest.mark.parametrize("value", ["größe.txt", "a\r\nb: c", "tab\there"])
def test_ascii_header_refuses_what_http_cannot_carry(value):
    with pytest.raises(ValueError, match="content_disposition must be printable ASCII"):
        ascii_header("content_disposition", value)


def test_ascii_header_returns_plain_values():
    assert ascii_header("content_type", "text/plain") == "text/plain"


@pytest.mark.parametrize("value", ["", " a ", "ü", "日本", "line\nbreak", "=?x?=", "plain", "a b"])
def test_encoded_value_is_ascii_that_decodes_to_the_same(value):
    stored = encoded_value(value)
    assert stored.isascii()
    assert stored.isprintable()
    assert stored == stored.strip() != ""
    assert decoded_value(stored) == value


@pytest.mark.parametrize("stored", ["=?unknown?B?w7w=?=", "=? half", "a =?b?="])
def test_decoded_value_keeps_what_is_not_encoded(stored):
    assert decoded_value(stored) == stored


def test_header_text_reads_utf8_and_latin1():
    utf8 = "ü".encode().decode("ascii", "surrogateescape")
    latin1 = "ü".encode("latin-1").decode("ascii", "surrogateescape")
    headers = {"a": utf8, "b": latin1, "c": "plain"}
    assert [header_text(headers, name) for name in "abcd"] == ["ü", "ü", "plain", None]
