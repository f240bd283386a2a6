"""Pages of listings: objects that are taken without the parser are what it would read."""

from __future__ import annotations

import asyncio

import pytest

from jtc.storage.drivers.s3_driver._transport import xml
from jtc.storage.exceptions import StorageUnavailableException

HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult>'
END = "<NextContinuationToken>n</NextContinuationToken></ListBucketResult>"
FIELDS = {
    "Key": "a/b c.txt",
    "LastModified": "2026-05-04T10:11:12.000Z",
    "ETag": "&quot;d41d&#34;",
    "Size": "12",
}


def contents(**changes: str | None) -> str:
    """Return an object with some other fields; None removes one."""
    fields = {name: text for name, text in {**FIELDS, **changes}.items() if text is not None}
    elements = "".join(f"<{name}>{text}</{name}>" for name, text in fields.items())
    return f"<Contents>{elements}</Contents>"


def read(page: str | bytes) -> xml.Page | str:
    try:
        return asyncio.run(xml.read_page(page.encode() if isinstance(page, str) else page))
    except StorageUnavailableException as error:
        return str(error)


PLAIN = [
    contents(),
    contents(StorageClass="STANDARD", Owner="<ID>a</ID><DisplayName>b</DisplayName>"),
    contents(ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT"),
    contents(ETag=None),
    contents(Key="größe") + contents(Size="0", LastModified="2026-05-04T10:11:12+02:00"),
    contents() * 1000 + "<CommonPrefixes><Prefix>c/</Prefix></CommonPrefixes>",
]
ODD = [
    "",
    contents(Key="a&amp;b"),
    contents(Key="a\tb"),
    contents(Key="a]]>b"),
    contents(Key="<![CDATA[a<b]]>"),
    contents(Key=None),
    contents(Size=None),
    contents(Size="x"),
    contents(Size="-1"),
    contents(Size="9" * 30),
    contents(LastModified="then"),
    contents(ETag="&lt;a"),
    contents(ETag="&nothing;"),
    contents(Other="x"),
    contents(Owner="<ID>a"),
    contents() + "<Prefix>x</Prefix>" + contents(Key="later"),
    "<!-- " + contents() + " -->",
    contents() + "<Contents x='1'><Key>z</Key></Contents>",
    contents() + "<Contents/>",
    contents() + "<Contents>",
    contents().replace("<Key>", "<Key >"),
]


@pytest.mark.parametrize("body", [*PLAIN, *ODD, contents() + "</Size>"])
def test_page_is_read_as_by_the_parser(monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    pages: list[str | bytes] = [
        HEAD + body + END,
        HEAD + "<EncodingType>url</EncodingType>" + body + END,
        "<ListBucketResult xmlns='a'>" + body + END,
        "<Error>" + body + "</Error>",
        "<?xml version='1.0' encoding='iso-8859-1'?><ListBucketResult>" + body + END,
        (HEAD + body + END).encode("utf-16"),
        (HEAD + body + END).encode().replace("ö".encode(), b"\xff"),
    ]
    taken = [read(page) for page in pages]
    monkeypatch.setattr(xml, "_take_objects", lambda content: ([], content))
    assert taken == [read(page) for page in pages]


@pytest.mark.parametrize("body", PLAIN)
def test_plain_objects_are_taken_without_the_parser(body: str) -> None:
    objects, rest = xml._take_objects((HEAD + body + END).encode())
    assert len(objects) == body.count("<Contents>")
    assert b"<Contents" not in rest


@pytest.mark.parametrize("body", ODD)
def test_odd_objects_are_left_to_the_parser(body: str) -> None:
    content = (HEAD + body + END).encode()
    assert xml._take_objects(content) == ([], content)
