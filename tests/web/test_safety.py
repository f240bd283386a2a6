"""Headers that keep a user upload from acting as a page of the site."""

from __future__ import annotations

import email.message
import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jtc.storage import FileInfo
from jtc.storage.asgi import attachment, serve
from jtc.storage.asgi._headers import file_headers, http_etag
from jtc.storage.driver_support.mime_types import ACTIVE_TYPES

if TYPE_CHECKING:
    from conftest import Client

    from jtc.storage import Disk

ACTIVE = [
    *sorted(ACTIVE_TYPES),
    "TEXT/HTML",
    " text/html ",
    "text/html; charset=utf-8",
    'text/html; x="',
    "text/html;a=b,image/png",
    "application/atom+xml",
    "application/x-javascript",
    "text/javascript1.5",
    "application/ecmascript",
    "text/jscript",
    "text/xsl",
    "multipart/x-mixed-replace; boundary=x",
    "message/rfc822",
]
# A browser takes the last type that it can read in such a header.
NO_TYPES = ["image/png,text/html", "text/html,", "image/png\ttext/html", "html", "", "a/b/c", "ü/a"]


def info_of(name: str = "a.bin", **declared: str | None) -> FileInfo:
    return FileInfo(path=name, size=1, last_modified=0, **declared)  # type: ignore[arg-type]


@pytest.mark.parametrize("declared", ACTIVE)
def test_what_a_browser_runs_is_saved_and_sandboxed(declared: str) -> None:
    headers = file_headers(info_of(content_type=declared))
    assert headers["content-disposition"].startswith("attachment")
    assert "sandbox" in headers["content-security-policy"]
    assert "allow" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert "," not in headers["content-type"]


@pytest.mark.parametrize("declared", NO_TYPES)
def test_what_is_no_type_is_octets(declared: str) -> None:
    headers = file_headers(info_of(content_type=declared))
    assert headers["content-type"] == "application/octet-stream"


def test_parameters_in_quotes_are_left_out() -> None:
    headers = file_headers(info_of(content_type='video/mp4; codecs="avc1, text/html"'))
    assert headers["content-type"] == "video/mp4"
    headers = file_headers(info_of(content_type="text/plain; charset=latin-1"))
    assert headers["content-type"] == "text/plain; charset=latin-1"


@pytest.mark.parametrize("inert", ["image/png", "application/pdf", "text/plain", "text/css"])
def test_other_types_are_shown(inert: str) -> None:
    headers = file_headers(info_of(content_type=inert))
    assert "content-disposition" not in headers
    assert "content-security-policy" not in headers


def test_a_declared_inline_page_is_saved_all_the_same_and_keeps_a_name_to_save_under() -> None:
    page = info_of("d/page.html", content_type="text/html", content_disposition="inline")
    assert file_headers(page)["content-disposition"] == 'attachment; filename="page.html"'
    for vague in ("attachment, inline", "attachment inline", "attachments"):
        page = info_of("d/page.html", content_disposition=vague)
        assert file_headers(page)["content-disposition"] == 'attachment; filename="page.html"'
    named = info_of("a.html", content_disposition='attachment; filename="b.html"')
    assert file_headers(named)["content-disposition"] == 'attachment; filename="b.html"'


def test_where_it_is_allowed_pages_are_shown() -> None:
    headers = file_headers(info_of("a.html"), active=True)
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert "content-disposition" not in headers
    assert "content-security-policy" not in headers


async def test_a_page_that_was_uploaded_is_no_page_of_the_site(disk: Disk, client: Client) -> None:
    page = b"<script>alert(document.cookie)</script>"
    for name in ("a.html", "a.svg", "a.xml", "a.js"):
        await disk.put(name, page)
        answer = await client(serve(disk, public=True)).get(f"/{name}")
        assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'
        assert "sandbox" in answer.headers["content-security-policy"]
        ranged = {"Range": "bytes=0-5"}
        answer = await client(serve(disk, public=True)).get(f"/{name}", headers=ranged)
        assert "sandbox" in answer.headers["content-security-policy"]
        allowed = await client(serve(disk, public=True, active=True)).get(f"/{name}")
        assert "content-disposition" not in allowed.headers


names = st.text(st.characters(exclude_categories=[]), min_size=1, max_size=40)


@given(names)
@example('a"; filename="b.exe')
@example("a\r\nSet-Cookie: x=1\r\n\r\n<html>")
@example("../../etc/passwd")
@example("C:\\Windows\\a.exe")
@example("日本語 größe 100%.txt")
@example("photo\u202egnp.exe")
@example("naïve\ud800.txt")
@example("a;b=c,d'e%41.txt")
def test_a_disposition_says_any_name_and_nothing_else(name: str) -> None:
    value = attachment(name)
    assert value.isascii()
    assert value.isprintable()
    pattern = r"attachment; filename=\"[^\"\\%]*\"(; filename\*=UTF-8''[A-Za-z0-9!#$&+.^_`|~%-]+)?"
    assert re.fullmatch(pattern, value)
    message = email.message.Message()
    message["content-disposition"] = value
    assert message.get_content_disposition() == "attachment"
    said = message.get_filename()
    assert said is not None
    assert not set(said) & set("/\\\r\n\0\u202e")
    harmless = not re.search("[\x00-\x1f\x7f-\x9f\ud800-\udfff/\\\\]", name)
    if harmless and name.isprintable():
        extended = value.partition("filename*=UTF-8''")[2]
        # The standard library's parser takes blanks off a name in quotes.
        assert unquote(extended) == name if extended else said == name.strip()


def test_an_old_client_gets_a_plain_name() -> None:
    assert attachment("größe.txt") == (
        "attachment; filename=\"gr__e.txt\"; filename*=UTF-8''gr%C3%B6%C3%9Fe.txt"
    )
    assert attachment("a b.txt", "inline") == 'inline; filename="a b.txt"'
    with pytest.raises(ValueError, match="inline"):
        attachment("a", "form-data")


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ('attachment; filename="größe.txt"', attachment("größe.txt")),
        ('inline; filename="größe.txt"', attachment("größe.txt", "inline")),
        ("attachment; filename=größe.txt", attachment("a.bin")),
        ("attachment\r\nSet-Cookie: x", attachment("a.bin")),
    ],
)
def test_a_declared_disposition_that_no_header_can_carry_is_written_anew(
    declared: str, said: str
) -> None:
    headers = file_headers(info_of(content_disposition=declared))
    assert headers["content-disposition"] == said


def test_what_another_program_declared_begins_no_header_of_its_own() -> None:
    hostile = "x\r\nSet-Cookie: a=b"
    headers = file_headers(
        info_of(content_type=hostile, cache_control=hostile, content_disposition=hostile)
    )
    assert all(value.isprintable() and value.isascii() for value in headers.values())
    assert "cache-control" not in headers


@pytest.mark.parametrize(
    ("etag", "said"),
    [
        ("1a-2b", '"1a-2b"'),
        ('"abc"', '"abc"'),
        ('W/"abc"', 'W/"abc"'),
        (None, None),
    ],
)
def test_an_etag_is_written_as_http_has_it(etag: str | None, said: str | None) -> None:
    assert http_etag(info_of(etag=etag)) == said


@pytest.mark.parametrize(("time", "year"), [(-1e9, "1970"), (1e15, "9999")])
def test_a_time_that_no_date_can_say_is_the_nearest_one(time: float, year: str) -> None:
    info = info_of()
    info.last_modified = time
    assert year in file_headers(info)["last-modified"]


@pytest.mark.parametrize("etag", ["a b", 'a"b', "ü", "", "\r\n"])
def test_an_odd_etag_is_hashed(etag: str) -> None:
    assert re.fullmatch(r'"[0-9a-f]{64}"', http_etag(info_of(etag=etag)) or "")
