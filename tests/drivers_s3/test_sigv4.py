"""Signatures of the driver, compared with the SDK's: requests, presigned URLs and form policies."""

from __future__ import annotations

import datetime as dt
import string
from collections.abc import Iterator
from contextlib import AbstractContextManager
from unittest import mock
from urllib.parse import parse_qsl, quote, urlsplit

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4PostAuth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from hypothesis import example, given
from hypothesis import strategies as st

from jtc.storage.drivers.s3_driver._transport.credentials import Keys
from jtc.storage.drivers.s3_driver._transport.sigv4 import UNSIGNED, Signer
from jtc.storage.testing import ACCEPTED_PATHS

HOST = "s3.test:9000"
DAY = 24 * 3600

_ANY = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)
_NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=12).map(
    lambda name: f"x-amz-meta-{name}"
)
_VALUES = st.text(
    string.ascii_letters + string.digits + string.punctuation + " \t", min_size=1, max_size=40
)
_HEADERS = st.dictionaries(_NAMES, _VALUES, max_size=5)
_QUERIES = st.dictionaries(_ANY, _ANY, max_size=4)
_PLAIN = st.text(string.ascii_letters + string.digits + "+/=", min_size=1, max_size=40)
_KEYS = st.builds(Keys, _PLAIN, _PLAIN, st.none() | _PLAIN)
_REGIONS = st.sampled_from(["us-east-1", "eu-west-1", "auto"])
_MOMENTS = st.integers(0, 2**32).map(lambda second: second + 0.75)
_METHODS = st.sampled_from(["GET", "PUT", "HEAD", "DELETE", "POST"])


def at(moment: float) -> AbstractContextManager[object]:
    """Set the SDK's clock."""
    now = dt.datetime.fromtimestamp(moment, dt.UTC)
    return mock.patch("botocore.auth.get_current_datetime", return_value=now)


def theirs(keys: Keys) -> ReadOnlyCredentials:
    return ReadOnlyCredentials(keys.access_key, keys.secret_key, keys.token)


def path_of(key: str) -> str:
    return "/bucket/" + quote(key, safe="/~")


def query_of(parameters: dict[str, str]) -> str:
    quoted = [(quote(name, safe=""), quote(value, safe="")) for name, value in parameters.items()]
    return "&".join(f"{name}={value}" for name, value in sorted(quoted))


def signers(keys: Keys, region: str, moment: float) -> Iterator[Signer]:
    """Return signers that have derived a key: for other keys, for another day, and for this one."""
    others = Keys("other", "other", "other")
    for before, then in ((others, moment), (keys, moment - DAY), (keys, moment)):
        signer = Signer(region)
        signer.presign(before, "GET", "/", "", {"host": "a"}, (int(then), 1))
        yield signer


@given(
    method=_METHODS,
    key=_ANY,
    query=_QUERIES,
    headers=_HEADERS,
    body=st.binary(max_size=100),
    keys=_KEYS,
    region=_REGIONS,
    moment=_MOMENTS,
    secure=st.booleans(),
)
def test_sign_returns_the_signature_of_the_sdk(
    method: str,
    key: str,
    query: dict[str, str],
    headers: dict[str, str],
    body: bytes,
    keys: Keys,
    region: str,
    moment: float,
    secure: bool,
) -> None:
    path, encoded = path_of(key), query_of(query)
    url = f"{'https' if secure else 'http'}://{HOST}{path}{'?' if query else ''}{encoded}"
    request = AWSRequest(method, url, headers=dict(headers), data=body)
    request.context["payload_signing_enabled"] = not secure
    request.context["has_streaming_input"] = secure
    if secure:
        request.headers["content-md5"] = headers["content-md5"] = "x"
    with at(moment):
        S3SigV4Auth(theirs(keys), "s3", region).add_auth(request)
    payload = request.headers["X-Amz-Content-SHA256"]
    assert (payload == UNSIGNED) is secure
    for signer in signers(keys, region, moment):
        with mock.patch("time.time", return_value=moment):
            signed = signer.sign(keys, method, path, encoded, {"host": HOST, **headers}, payload)
        assert signed == {
            "host": HOST,
            **{name.lower(): value for name, value in request.headers.items()},
        }


def presigned(
    keys: Keys,
    method: str,
    key: str,
    query: str,
    headers: dict[str, str],
    seconds: int,
    region: str,
    moment: float,
) -> tuple[str, str]:
    """Return the query of our presigned URL, and of the SDK's."""
    path = path_of(key)
    request = AWSRequest(
        method, f"https://{HOST}{path}{'?' if query else ''}{query}", headers=dict(headers)
    )
    with at(moment):
        S3SigV4QueryAuth(theirs(keys), "s3", region, expires=seconds).add_auth(request)
    expected = urlsplit(str(request.url))
    assert expected.path == path
    first, *others = (
        signer.presign(keys, method, path, query, {"host": HOST, **headers}, (int(moment), seconds))
        for signer in signers(keys, region, moment)
    )
    assert others == [first, first]
    return first, expected.query


@given(
    method=_METHODS,
    key=_ANY,
    query=_QUERIES,
    headers=_HEADERS,
    keys=_KEYS,
    seconds=st.integers(1, 7 * DAY),
    region=_REGIONS,
    moment=_MOMENTS,
)
@example(
    method="GET",
    key="a",
    # Each of them is sorted otherwise by the text of the pair than by its name.
    query={"A": "1", "A-": "2", "X-Amz-": "3", "X-Amz-Date-": "4"},
    headers={},
    keys=Keys("id", "secret"),
    seconds=1,
    region="auto",
    moment=0.0,
)
def test_presign_returns_the_signature_of_the_sdk(
    method: str,
    key: str,
    query: dict[str, str],
    headers: dict[str, str],
    keys: Keys,
    seconds: int,
    region: str,
    moment: float,
) -> None:
    ours, expected = presigned(keys, method, key, query_of(query), headers, seconds, region, moment)
    assert "X-Amz-Signature" in expected
    # The SDK has the parameters of the signature last; in what is signed, all are sorted.
    pairs = parse_qsl(ours, keep_blank_values=True, strict_parsing=True)
    assert sorted(pairs) == sorted(parse_qsl(expected, keep_blank_values=True))
    assert ours.partition("&X-Amz-Signature=")[0] == query_of(dict(pairs[:-1]))


@pytest.mark.parametrize("token", [None, "token+/="])
def test_every_legitimate_path_is_signed_as_the_sdk_signs_it(token: str | None) -> None:
    keys = Keys("id", "secret", token)
    assert len(ACCEPTED_PATHS) > 50
    for case in ACCEPTED_PATHS:
        query = query_of({"response-content-disposition": f"attachment; filename={case.path!a}"})
        ours, expected = presigned(keys, "GET", case.path, query, {}, 60, "us-east-1", 1.0)
        assert dict(parse_qsl(ours)) == dict(parse_qsl(expected)), case.why
        request = AWSRequest("PUT", f"https://{HOST}{path_of(case.path)}")
        with at(1.0):
            S3SigV4Auth(theirs(keys), "s3", "us-east-1").add_auth(request)
        payload = request.headers["X-Amz-Content-SHA256"]
        with mock.patch("time.time", return_value=1.0):
            signed = Signer("us-east-1").sign(
                keys, "PUT", path_of(case.path), "", {"host": HOST}, payload
            )
        assert signed["authorization"] == request.headers["Authorization"], case.why
        assert_policy_is_that_of_the_sdk(keys, {"key": case.path}, [], 60, "us-east-1", 1.0)


def assert_policy_is_that_of_the_sdk(
    keys: Keys,
    fields: dict[str, str],
    conditions: list[list[str | int]],
    seconds: int,
    region: str,
    moment: float,
) -> None:
    ends = dt.datetime.fromtimestamp(moment, dt.UTC) + dt.timedelta(seconds=seconds)
    request = AWSRequest("POST", f"https://{HOST}/bucket")
    request.context["s3-presign-post-fields"] = dict(fields)
    request.context["s3-presign-post-policy"] = {
        "expiration": ends.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "conditions": [*conditions, *({name: value} for name, value in fields.items())],
    }
    with at(moment):
        S3SigV4PostAuth(theirs(keys), "s3", region).add_auth(request)
    for signer in signers(keys, region, moment):
        ours = signer.sign_policy(keys, fields, conditions, (int(moment), seconds))
        assert ours == request.context["s3-presign-post-fields"]


@given(
    key=_ANY,
    headers=_HEADERS,
    sizes=st.tuples(st.integers(0, 2**40), st.integers(0, 2**40)),
    keys=_KEYS,
    seconds=st.integers(1, 7 * DAY),
    region=_REGIONS,
    moment=_MOMENTS,
)
def test_sign_policy_returns_the_fields_of_the_sdk(
    key: str,
    headers: dict[str, str],
    sizes: tuple[int, int],
    keys: Keys,
    seconds: int,
    region: str,
    moment: float,
) -> None:
    assert_policy_is_that_of_the_sdk(
        keys,
        {"key": key, **headers},
        [["content-length-range", *sizes]],
        seconds,
        region,
        moment,
    )
