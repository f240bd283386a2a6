"""MIME types: proven by content, guessed by name, the same on every machine."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jtc.storage.driver_support.mime_types import (
    OCTET_STREAM,
    SNIFF_BYTES,
    guess_type,
    infer_type,
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
        ("a.svg.Z", OCTET_STREAM),
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


def test_the_machines_own_table_does_not_count() -> None:
    script = (
        "import mimetypes; add = mimetypes.add_type; add('x/y', '.png'); add('x/y', '.odd')\n"
        "from jtc.storage.driver_support.mime_types import guess_type\n"
        "print(guess_type('a.png'), guess_type('a.odd'))"
    )
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout
    assert printed.decode().split() == ["image/png", OCTET_STREAM]


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


@pytest.mark.parametrize("head", [b"\x00", b"\xff", b"\xe4 ", b"a\x80b", b"\x7fELF\x02", b"\xc3("])
def test_octets_are_no_text(head: bytes) -> None:
    assert not is_text(head)


def test_what_lies_beyond_the_beginning_does_not_count() -> None:
    assert is_text(b"x" * SNIFF_BYTES + b"\x00")
