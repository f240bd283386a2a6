"""Signatures by the account's key. Azurite checks those of all other tests."""

from __future__ import annotations

import base64
import hashlib
import hmac

from jtc.storage.drivers.azure_driver._transport.shared_key import authorization

KEY = b"key"


def signed_as(text: str) -> str:
    digest = hmac.new(KEY, text.encode(), hashlib.sha256).digest()
    return f"SharedKey acme:{base64.b64encode(digest).decode()}"


def test_authorization_signs_what_the_documentation_says():
    # After the example of Get Container Metadata in Microsoft's documentation.
    headers = {"x-ms-version": "2015-02-21", "x-ms-date": "Fri, 26 Jun 2015 23:39:12 GMT"}
    query = "comp=metadata&restype=container&timeout=20"
    assert authorization("acme", KEY, "GET", "/files", query, headers, 0) == signed_as(
        "GET\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:Fri, 26 Jun 2015 23:39:12 GMT\n"
        "x-ms-version:2015-02-21\n/acme/files\ncomp:metadata\nrestype:container\ntimeout:20"
    )


def test_authorization_binds_length_conditions_and_range():
    headers = {"if-match": '"a"', "range": "bytes=0-1", "content-md5": "m", "x-ms-date": "d"}
    assert authorization("acme", KEY, "PUT", "/files/a%20b", "", headers, 7) == signed_as(
        'PUT\n\n\n7\nm\n\n\n\n"a"\n\n\nbytes=0-1\nx-ms-date:d\n/acme/files/a%20b'
    )


def test_authorization_decodes_values_of_the_query():
    signed = authorization(
        "acme", KEY, "GET", "/f", "marker=a%2Fb&prefix=a+b", {"x-ms-date": "d"}, 0
    )
    assert signed == signed_as(
        "GET\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:d\n/acme/f\nmarker:a/b\nprefix:a b"
    )


def test_authorization_sorts_names_as_the_service_does():
    names = ["x-ms-meta-ab", "x-ms-meta-a-b", "x-ms-meta-ac", "x-ms-meta-a1", "x-ms-meta-a_z"]
    signed = authorization("acme", KEY, "GET", "/f", "", dict.fromkeys(names, "1"), 0)
    order = ["x-ms-meta-a_z", "x-ms-meta-a1", "x-ms-meta-ab", "x-ms-meta-a-b", "x-ms-meta-ac"]
    lines = "".join(f"{name}:1\n" for name in order)
    assert signed == signed_as(f"GET\n\n\n\n\n\n\n\n\n\n\n\n{lines}/acme/f")
