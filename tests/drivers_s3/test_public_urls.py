"""Public URLs by the options of the disk."""

from __future__ import annotations

from typing import Any

import pytest

from jtc.storage.drivers.s3_driver._objects.public_urls import base_url
from jtc.storage.drivers.s3_driver._settings import Settings
from jtc.storage.drivers.s3_driver._transport.endpoint import Endpoint

ARN = "arn:aws:s3:eu-west-1:123456789012:accesspoint/point"
ENDPOINT = Endpoint("https", "s3.test:9000", "/bucket/", "auto")


@pytest.mark.parametrize(
    ("options", "endpoint", "expected"),
    [
        ({}, ENDPOINT, "https://s3.test:9000/bucket/"),
        ({"public_url": "https://cdn.test/a"}, ENDPOINT, "https://cdn.test/a/"),
        ({"public_url": "https://cdn.test/"}, None, "https://cdn.test/"),
        ({}, None, "https://bucket.s3.eu-west-1.amazonaws.com/"),
        ({"addressing_style": "path"}, None, "https://s3.eu-west-1.amazonaws.com/bucket/"),
        ({"region": "cn-north-1"}, None, "https://bucket.s3.cn-north-1.amazonaws.com.cn/"),
        (
            {"endpoint_url": "https://h.test:1/p/", "addressing_style": "virtual"},
            None,
            "https://bucket.h.test:1/p/",
        ),
        (
            {"endpoint_url": "https://h.test/p", "bucket": ARN},
            None,
            "https://h.test/p/arn%3Aaws%3As3%3Aeu-west-1%3A123456789012%3Aaccesspoint%2Fpoint/",
        ),
    ],
)
def test_base_url_is_the_public_one_else_where_requests_go(
    options: dict[str, Any], endpoint: Endpoint | None, expected: str
) -> None:
    settings = Settings(**{"bucket": "bucket", "region": "eu-west-1", **options})
    assert base_url(settings, endpoint) == expected
