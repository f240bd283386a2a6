"""Requests of the SDK, captured before they are sent."""

from __future__ import annotations

import re
from typing import Any

from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.session import Session

__all__ = ["sent_by_sdk"]

_SCOPE = re.compile(r"Credential=a/\d+/([^/]+)/s3/")
_sessions: dict[tuple[str, ...], Session] = {}


def sent_by_sdk(
    *buckets: str, config: dict[str, Any], new_session: bool = False, **options: Any
) -> list[tuple[str, str]]:
    """Return the URL of a request for the key "a b/~c" and the region that its signature names.

    Args:
        *buckets: The buckets, each of which gets a request by one client: a client takes longest.
        config: The SDK's options of a client, such as ``s3`` with the addressing style.
        new_session: Whether the environment and ``~/.aws`` are read anew.
        options: Of the client.

    Returns:
        Both for each bucket.
    """
    # One session for many calls remembers S3's model, which takes long to read.
    session = Session() if new_session else _sessions.setdefault((), Session())
    client = session.create_client(
        "s3",
        aws_access_key_id="a",
        aws_secret_access_key="b",
        config=Config(**{"signature_version": "s3v4", **config}),
        verify=False,
        **options,
    )
    sent: list[Any] = []

    def answer(request: Any, **_: object) -> AWSResponse:
        sent.append(request)
        return AWSResponse(request.url, 200, {}, None)

    client.meta.events.register("before-send.s3.GetObject", answer)
    for bucket in buckets:
        client.get_object(Bucket=bucket, Key="a b/~c")
    client.close()
    return [_url_and_region(request) for request in sent]


def _url_and_region(request: Any) -> tuple[str, str]:
    authorization = request.headers["Authorization"]
    if isinstance(authorization, bytes):
        authorization = authorization.decode()
    region = _SCOPE.search(authorization)
    assert region is not None
    # A port that its scheme has anyway says nothing.
    url = re.sub(r"^(http://[^/]+):80/|^(https://[^/]+):443/", r"\1\2/", request.url)
    return url, region[1]
