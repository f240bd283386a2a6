"""Checks of options that several drivers have."""

from __future__ import annotations

import pytest

from jtc.storage.driver_support.option_checks import checked_base_url, checked_visibility
from jtc.storage.exceptions import StorageConfigException
from jtc.storage.models import Visibility


@pytest.mark.parametrize(
    "url",
    [
        "/",
        "/storage",
        "/storage/",
        "//cdn.example.test/files",
        "http://127.0.0.1:8000",
        "HTTPS://files.example.test/a%20b/",
        "https://[::1]:8000/files",
        "https://bücher.example/bücher",
    ],
)
def test_checked_base_url_returns_paths_and_web_urls(url: str) -> None:
    assert checked_base_url(url) == url


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://a.test\r\nSet-Cookie: a=b", "contains a carriage return"),
        ("/storage\n", "ends in a newline"),
        (" /storage", "contains a space"),
        ("/a\u2028b", "contains '.u2028'"),
        ("/a\x00b", r"contains '.x00'"),
        ("/a\\b", r"contains '\\\\'"),
        ("javascript:alert(1)", "begins with '/'"),
        ("JavaScript://x/%0aalert(1)", "begins with '/'"),
        ("data:text/html,x", "begins with '/'"),
        ("file:///etc", "begins with '/'"),
        ("storage", "begins with '/'"),
        ("", "begins with '/'"),
        ("https://", "begins with '/'"),
        ("https://a.test:port", "is no URL"),
        ("https://[a", "is no URL"),
        ("https://user:key@a.test", "holds credentials"),
        ("//user@a.test", "holds credentials"),
        ("/files?version=1", "ends with its path"),
        ("/files#top", "ends with its path"),
        (None, "is a str, not NoneType"),
        (b"/files", "is a str, not bytes"),
    ],
)
def test_checked_base_url_refuses_what_no_url_begins_with(url: object, reason: str) -> None:
    with pytest.raises(StorageConfigException, match=f"^'base_url' {reason}") as caught:
        checked_base_url(url)
    assert "key@" not in str(caught.value)


def test_checked_base_url_takes_other_schemes_by_name() -> None:
    assert checked_base_url("memory://", "memory") == "memory://"
    with pytest.raises(StorageConfigException):
        checked_base_url("memory://")


def test_checked_visibility_takes_words_and_members() -> None:
    assert checked_visibility(None) is None
    assert checked_visibility("public") is Visibility.PUBLIC
    assert checked_visibility(Visibility.PRIVATE) is Visibility.PRIVATE


@pytest.mark.parametrize("value", ["", "Public", "hidden", 0o644, b"public", ["public"]])
def test_checked_visibility_refuses_other_values(value: object) -> None:
    with pytest.raises(StorageConfigException, match="'visibility' is 'public' or 'private'"):
        checked_visibility(value)
