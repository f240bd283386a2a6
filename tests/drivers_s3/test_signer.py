"""Our signatures are the SDK's own, whatever a request holds."""

from __future__ import annotations

import datetime as dt
import string
from unittest import mock
from urllib.parse import quote

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from hypothesis import given, settings
from hypothesis import strategies as st

from jtc.storage.drivers.s3_driver._credentials import Keys
from jtc.storage.drivers.s3_driver._signer import UNSIGNED, Signer

_NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=12).map(
    lambda name: f"x-amz-meta-{name}"
)
_VALUES = st.text(
    string.ascii_letters + string.digits + string.punctuation + " \t", min_size=1, max_size=40
)
_PATHS = st.text(min_size=1, max_size=60).filter(
    lambda text: not any("\ud800" <= letter <= "\udfff" for letter in text)
)
_PLAIN = st.text(string.ascii_letters + string.digits + "+/=", min_size=1, max_size=40)


@settings(max_examples=150, deadline=None)
@given(
    method=st.sampled_from(["GET", "PUT", "HEAD", "DELETE", "POST"]),
    key=_PATHS,
    query=st.dictionaries(_PATHS, _PATHS, max_size=4),
    headers=st.dictionaries(_NAMES, _VALUES, max_size=5),
    body=st.binary(max_size=100),
    access_key=_PLAIN,
    secret_key=_PLAIN,
    token=st.none() | _PLAIN,
    region=st.sampled_from(["us-east-1", "eu-west-1", "auto"]),
    second=st.integers(0, 2**32),
    secure=st.booleans(),
)
def test_a_signature_is_the_one_of_the_sdk(
    method: str,
    key: str,
    query: dict[str, str],
    headers: dict[str, str],
    body: bytes,
    access_key: str,
    secret_key: str,
    token: str | None,
    region: str,
    second: int,
    secure: bool,
) -> None:
    path = "/bucket/" + quote(key, safe="/~")
    encoded = "&".join(
        f"{name}={value}"
        for name, value in sorted(
            (quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in query.items()
        )
    )
    url = f"{'https' if secure else 'http'}://s3.test:9000{path}{'?' if query else ''}{encoded}"
    theirs = AWSRequest(method, url, headers=dict(headers), data=body)
    theirs.context["payload_signing_enabled"] = not secure
    theirs.context["has_streaming_input"] = secure
    if secure:
        theirs.headers["content-md5"] = headers["content-md5"] = "x"
    moment = dt.datetime.fromtimestamp(second, dt.UTC)
    with mock.patch("botocore.auth.get_current_datetime", return_value=moment):
        S3SigV4Auth(ReadOnlyCredentials(access_key, secret_key, token), "s3", region).add_auth(
            theirs
        )
    payload = theirs.headers["X-Amz-Content-SHA256"]
    assert (payload == UNSIGNED) is secure
    signer = Signer(region)
    # A key that is kept for another day, or another secret, must not be used.
    signer.sign(Keys("other", "other"), "GET", "/", "", {"host": "a"}, payload, now=second)
    for _ in range(2):
        signed = signer.sign(
            Keys(access_key, secret_key, token),
            method,
            path,
            encoded,
            {"host": "s3.test:9000", **headers},
            payload,
            now=second,
        )
        assert signed["authorization"] == theirs.headers["Authorization"]
        assert signed["x-amz-date"] == theirs.headers["X-Amz-Date"]
        assert signed.get("x-amz-security-token") == theirs.headers.get("X-Amz-Security-Token")
