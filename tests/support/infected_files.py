"""Infected files, each of which exceeds a limit of the daemon in tests/layers_clamav."""

from __future__ import annotations

import gzip
import io
import zipfile

from clamd import EICAR

__all__ = ["BEYOND", "MEGABYTE", "packed"]

MEGABYTE = 1024 * 1024


def packed(*contents: bytes, depth: int = 1) -> bytes:
    for _ in range(depth):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for number, content in enumerate(contents):
                archive.writestr(str(number), content)
        contents = (file.getvalue(),)
    return contents[0]


def encrypted(content: bytes) -> bytes:
    """Return an archive whose entry is said to be encrypted, by bit 0 of its flags."""
    archive = bytearray(packed(content))
    for magic, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        archive[archive.index(magic) + flags] |= 1
    return bytes(archive)


BEYOND = {
    "before the rest": (EICAR + bytes(3 * MEGABYTE), "unscannable"),
    "after the rest": (bytes(3 * MEGABYTE) + EICAR, "unscannable"),
    "one byte too many": (EICAR + bytes(MEGABYTE + 1 - len(EICAR)), "unscannable"),
    "longer than StreamMaxLength": (EICAR + bytes(9 * MEGABYTE), "unscannable"),
    "longer than max_size": (EICAR + bytes(25 * MEGABYTE), "size"),
    "deep in archives": (packed(EICAR, depth=30), "unscannable"),
    "in a long file of an archive": (packed(bytes(2 * MEGABYTE) + EICAR), "unscannable"),
    "in a long file of a nested archive": (
        packed(bytes(2 * MEGABYTE) + EICAR, depth=3),
        "unscannable",
    ),
    "in a compressed file": (gzip.compress(bytes(2 * MEGABYTE) + EICAR), "unscannable"),
    "behind long files of an archive": (packed(*[bytes(MEGABYTE)] * 8, EICAR), "unscannable"),
    "in an encrypted archive": (encrypted(EICAR), "virus"),
}
