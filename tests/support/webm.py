"""Videos for tests: a sequence of pictures in a WebM file that players can seek in.

Each picture is a lossy WebP, whose content is one VP8 key frame (RFC 9649, section 2.5), which is
the format of WebM (https://www.webmproject.org/docs/container, RFC 9559 for the elements).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

__all__ = ["webm"]


def webm(pictures: Sequence[bytes], width: int, height: int, milliseconds: int) -> bytes:
    """Return a video.

    Args:
        pictures: WebP files of this size.
        width: In pixels.
        height: In pixels.
        milliseconds: How long each of them is shown.
    """
    header = _element(
        0x1A45DFA3,
        _number(0x4286, 1),  # EBMLVersion
        _number(0x42F7, 1),  # EBMLReadVersion
        _number(0x42F2, 4),  # EBMLMaxIDLength
        _number(0x42F3, 8),  # EBMLMaxSizeLength
        _element(0x4282, b"webm"),  # DocType
        _number(0x4287, 2),  # DocTypeVersion
        _number(0x4285, 2),  # DocTypeReadVersion
    )
    info = _element(
        0x1549A966,
        _number(0x2AD7B1, 1_000_000),  # TimestampScale: milliseconds
        _element(0x4489, struct.pack(">d", len(pictures) * milliseconds)),  # Duration
        _element(0x4D80, b"tests"),  # MuxingApp
        _element(0x5741, b"tests"),  # WritingApp
    )
    video = _element(0xE0, _number(0xB0, width), _number(0xBA, height))
    track = (_number(0xD7, 1), _number(0x73C5, 1), _number(0x83, 1), _element(0x86, b"V_VP8"))
    tracks = _element(0x1654AE6B, _element(0xAE, *track, video))
    clusters = [
        _element(
            0x1F43B675,
            _number(0xE7, index * milliseconds),  # Timestamp
            _element(0xA3, b"\x81\x00\x00\x80", _key_frame(picture)),  # SimpleBlock of track 1
        )
        for index, picture in enumerate(pictures)
    ]
    # The index comes first, and has the same length wherever it points to.
    at = len(info) + len(tracks) + len(_cues(clusters, 0, milliseconds))
    cues = _cues(clusters, at, milliseconds)
    return header + _element(0x18538067, info, tracks, cues, *clusters)


def _cues(clusters: Sequence[bytes], at: int, milliseconds: int) -> bytes:
    points = []
    for index, cluster in enumerate(clusters):
        position = _element(0xB7, _number(0xF7, 1), _number(0xF1, at))
        points.append(_element(0xBB, _number(0xB3, index * milliseconds), position))
        at += len(cluster)
    return _element(0x1C53BB6B, *points)


def _key_frame(picture: bytes) -> bytes:
    at = len(b"RIFF....WEBP")
    while at < len(picture):
        kind, size = struct.unpack_from("<4sI", picture, at)
        if kind == b"VP8 ":
            return picture[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    raise ValueError("This WebP has no VP8 key frame: it is not lossy")


def _number(name: int, value: int) -> bytes:
    return _element(name, value.to_bytes(8, "big"))


def _element(name: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    # A size of n bytes has seven bits in each, and a marker bit for each byte.
    length = max(1, -(-(len(body) + 1).bit_length() // 7))
    size = (len(body) | 1 << (7 * length)).to_bytes(length, "big")
    return name.to_bytes((name.bit_length() + 7) // 8, "big") + size + body
