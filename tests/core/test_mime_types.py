"""MIME types: proven by content, guessed by name, the same on every machine."""

from __future__ import annotations

import mimetypes
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jtc.storage.driver_support.mime_types import (
    OCTET_STREAM,
    SNIFF_BYTES,
    checked_types,
    guess_type,
    infer_type,
    is_allowed,
    is_allowed_name,
    is_text,
    judge_type,
    safe_extension,
    sniff_type,
)

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
JPEG = b"\xff\xd8\xff\xe0" + bytes(20)
GIF = b"GIF89a\x01\x00\x01\x00\x80\x00\x00"
HTML = b"<!doctype html><script>alert(1)</script>"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>'


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.png", "image/png"),
        ("a/b.c/d.PNG", "image/png"),
        ("a.tar.gz", "application/gzip"),
        ("a.txt.bz2", "application/x-bzip2"),
        ("a.xz", "application/x-xz"),
        ("a.svg.Z", "application/x-compress"),
        ("a.js", "text/javascript"),
        ("a.mjs", "text/javascript"),
        ("a.xml", "application/xml"),
        ("a.ttf", "font/ttf"),
        ("a.otf", "font/otf"),
        ("a.woff2", "font/woff2"),
        ("a.ics", "text/calendar"),
        ("a.odp", "application/vnd.oasis.opendocument.presentation"),
        ("a.geojson", "application/geo+json"),
        ("a.m3u8", "application/vnd.apple.mpegurl"),
        ("a.ts", "video/mp2t"),
        ("a.log", "text/plain"),
        ("a.vcf", "text/vcard"),
        ("a.gpx", "application/gpx+xml"),
        ("a.jfif", "image/jpeg"),
        ("a.glb", "model/gltf-binary"),
        ("a.apk", "application/vnd.android.package-archive"),
        ("a.php", "application/x-httpd-php"),
        (".png", OCTET_STREAM),
        ("a.webp", "image/webp"),
        ("a.md", "text/markdown"),
        ("a.docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        ("a.svg", "image/svg+xml"),
        ("a", OCTET_STREAM),
        ("a.", OCTET_STREAM),
        ("png", OCTET_STREAM),
        ("x.png/a", OCTET_STREAM),
        ("a.unheard-of", OCTET_STREAM),
        ("http:x.png", "image/png"),
        ("data:text/html,x.png", "image/png"),
        ("a#b?c.png", "image/png"),
    ],
)
def test_a_name_says_the_type_by_its_extension(name: str, expected: str) -> None:
    assert guess_type(name) == expected


def test_guess_type_uses_neither_the_machines_table_nor_that_of_python() -> None:
    script = (
        "import sys; sys.modules['mimetypes'] = None\n"
        "from jtc.storage.driver_support.mime_types import guess_type\n"
        "print(guess_type('a.png'), guess_type('a.odd'))"
    )
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout
    assert printed.decode().split() == ["image/png", OCTET_STREAM]


def test_guess_type_knows_every_extension_of_python() -> None:
    # Not `mimetypes.types_map`, to which other packages add the machine's own.
    of_python = mimetypes.MimeTypes(filenames=()).types_map[True]
    unknown = {
        extension
        for extension, content_type in of_python.items()
        if guess_type(f"a{extension}") == OCTET_STREAM and content_type != OCTET_STREAM
    }
    # Formats of systems of the last century.
    assert unknown <= {".loas", ".mpa", ".src", ".sv4cpio", ".sv4crc"}


@given(st.text(max_size=30))
def test_any_name_has_a_type(name: str) -> None:
    assert "/" in guess_type(name)


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (PNG, "image/png"),
        (JPEG, "image/jpeg"),
        (GIF, "image/gif"),
        (b"%PDF-1.7\n", "application/pdf"),
        (b"PK\x03\x04" + bytes(40), "application/zip"),
        (b"BM is a brand of cars", None),
        (b"ID3 is a tag", None),
        (HTML, None),
        (SVG, None),
        (b"", None),
        (bytes(100), None),
    ],
)
def test_content_proves_its_type_and_text_proves_nothing(head: bytes, expected: str | None) -> None:
    assert sniff_type(head) == expected


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=50))
def test_no_text_is_taken_for_an_image(text: str) -> None:
    found = sniff_type(text.encode())
    assert found in {None, "application/pdf", "application/postscript", "application/rtf"}


@pytest.mark.parametrize(
    ("name", "head", "expected"),
    [
        ("holiday.png", HTML, ".txt"),
        ("page.html", HTML, ".txt"),
        ("x.svg", SVG, ".txt"),
        ("x.php", b"<?php", ".txt"),
        ("data.CSV", b"a,b", ".csv"),
        ("data.json", b"{}", ".json"),
        ("x.exe", PNG, ".png"),
        ("x.png", bytes(9), ".bin"),
        ("csv", b"a,b", ".csv"),
        ("", b"", ".txt"),
        ("x.csv/../../y", b"", ".txt"),
    ],
)
def test_an_extension_promises_no_more_than_the_content_keeps(
    name: str, head: bytes, expected: str
) -> None:
    assert safe_extension(name, head) == expected


@pytest.mark.parametrize(
    ("path", "head", "expected"),
    [
        ("a.png", HTML, "text/plain"),
        ("a.html", HTML, "text/html"),
        ("a.svg", SVG, "image/svg+xml"),
        ("a.json", b"{}", "application/json"),
        ("a.txt", PNG, "image/png"),
        ("a.png", bytes(9), OCTET_STREAM),
        ("a.zip", b"words", "text/plain"),
        ("a", b"", "text/plain"),
    ],
)
def test_a_name_alone_is_not_trusted(path: str, head: bytes, expected: str) -> None:
    assert judge_type(path, head) == expected


def test_a_type_is_inferred_from_content_before_the_name() -> None:
    assert infer_type("a.txt", PNG) == "image/png"
    assert infer_type("a.txt", b"words") == "text/plain"
    assert infer_type("a.png", b"words") == "image/png"


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"])), st.integers(0, 20))
def test_text_is_text_wherever_it_is_cut(text: str, cut: int) -> None:
    assert is_text(text.encode()[:cut])


@pytest.mark.parametrize(
    "head",
    [
        b"\x00",
        b"\x7fELF\x02",
        b"caf\xe9\x00",
        b"\xff\xfea\x00\x00\x00",
        b"\xff\xfe\x00\xd8a\x00",
        b"\xef\xbb\xbfa\x01",
        b"\xff\xfe\x00\x00\xff\xff\xff\xff",
    ],
)
def test_octets_are_no_text(head: bytes) -> None:
    assert not is_text(head)


SHEET = "Größe;Preis €\r\n10;1,50\r\n"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (SHEET, "utf-8"),
        (SHEET, "utf-8-sig"),
        (SHEET, "cp1252"),
        (SHEET, "utf-16"),
        (SHEET, "utf-32"),
        ("\ufeff" + SHEET, "utf-16-be"),
        ("Größe", "latin-1"),
        ("Größe", "mac-roman"),
        ("размер;цена", "cp1251"),
        ("размер;цена", "koi8-r"),
        ("大小,价格", "gb18030"),
        ("サイズ,価格", "shift-jis"),
        ("サイズ,価格", "iso2022-jp"),
        ("크기,가격", "euc-kr"),
    ],
)
def test_text_of_any_encoding_is_text_wherever_it_is_cut(text: str, encoding: str) -> None:
    content = text.encode(encoding)
    assert sniff_type(content) is None
    # From the end of a byte order mark on.
    for cut in range(4, len(content) + 1):
        assert is_text(content[:cut])
    assert judge_type("a.csv", content) == "text/csv"
    assert judge_type("a.png", content) == "text/plain"
    assert safe_extension("a.csv", content) == ".csv"


@pytest.mark.parametrize(
    ("found", "allowed", "expected"),
    [
        ("image/png", ["image/png"], True),
        ("image/png", ["IMAGE/PNG "], True),
        ("image/png", ["image/*"], True),
        ("image/jpeg", ["image/jpg"], True),
        ("image/jpg", ["image/jpeg"], True),
        ("audio/mpeg", ["audio/mp3"], True),
        ("text/plain", ["text/plain; charset=utf-8"], True),
        ("text/plain; charset=utf-8", ["text/*"], True),
        ("image/svg+xml", ["image/*"], False),
        ("application/xml", ["text/xml"], True),
        ("text/html", ["text/*"], False),
        ("application/gpx+xml", ["application/*"], False),
        ("text/x-python", ["text/*"], False),
        ("application/x-httpd-php", ["application/*"], False),
        ("application/x-httpd-php", ["application/x-httpd-php"], True),
        ("image/png", [], False),
    ],
)
def test_is_allowed_in_any_spelling_and_never_what_may_run_by_its_family(
    found: str, allowed: list[str], expected: bool
) -> None:
    assert is_allowed(found, checked_types(allowed)) is expected


@pytest.mark.parametrize(
    ("names", "error", "message"),
    [
        ("image/png", TypeError, "collection"),
        ([b"image/png"], TypeError, "collection"),
        (["image"], ValueError, r"'image', which is no MIME type: write 'image/\*'"),
        (["image/"], ValueError, r"write 'image/\*'"),
        ([".png"], ValueError, "write 'image/png'"),
        (["jpg"], ValueError, "write 'image/jpeg'"),
        (["*/*"], ValueError, "leave it out"),
        (["image/*", "*"], ValueError, r"'\*', which is no MIME type$"),
        ([""], ValueError, "no MIME type"),
        (iter(["image/png"]), TypeError, "collection"),
        (None, TypeError, "collection"),
        (["a" * 100_000], ValueError, "^.{,700}$"),
    ],
)
def test_checked_types_refuses_what_would_refuse_every_file(
    names: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        checked_types(names)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.png", True),
        ("a.PNG", True),
        ("a", True),
        ("x.php/a", True),
        ("v1.2.final.png", True),
        ("a.jpg.png", True),
        ("a.txt.png", True),
        ("a.html.png", True),
        ("a.php", False),
        ("a.PhP", False),
        ("a.php7", False),
        ("a.phtml", False),
        ("a.png.php", False),
        ("a.php.png", False),
        ("a.php;.png", False),
        ("a.php .png", False),
        ("a.php5.jpg.png", False),
        ("a.jsp.png", False),
        ("a.cgi.png", False),
        ("a.unheard-of", False),
        ("a.png ", False),
        ("a.png.", False),
        ("a.", False),
        (".htaccess", False),
        (".png", True),
        ("a.svg", False),
        ("a.gif", True),
        ("a.pdf", False),
    ],
)
def test_is_allowed_name_needs_an_extension_of_an_allowed_type(name: str, expected: bool) -> None:
    assert is_allowed_name(name, checked_types(["image/*"])) is expected


@given(st.text(max_size=30))
def test_is_allowed_name_of_any_name_is_known(name: str) -> None:
    assert is_allowed_name(name, checked_types(["image/*"])) in {True, False}


def test_what_lies_beyond_the_beginning_does_not_count() -> None:
    assert is_text(b"x" * SNIFF_BYTES + b"\x00")
