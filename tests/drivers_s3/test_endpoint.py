"""Endpoints, held against the SDK's requests, which are captured and never sent."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from jtc.storage.drivers.s3_driver import S3Driver
from jtc.storage.drivers.s3_driver._settings import Settings
from jtc.storage.drivers.s3_driver._transport.endpoint import (
    Endpoint,
    endpoint_by_sdk,
    endpoint_of,
)
from jtc.storage.exceptions import StorageConfigException
from s3_sdk import sent_by_sdk

POINT = "arn:aws:s3:eu-west-1:123456789012:accesspoint/point"
AWS_REGIONS = [
    *("us-east-1", "eu-west-1", "eu-central-2", "ap-southeast-7", "mx-central-1", "us-gov-west-1"),
    *("cn-north-1", "ca-west-1", "il-central-1", "me-south-1", "af-south-1", "sa-east-1"),
]
IP_URLS = ["http://127.0.0.1:8", "http://[::1]:9000"]
URLS = [
    *IP_URLS,
    *("http://store.test", "https://store.test:443/", "http://store.test:80", "https://s.test:9"),
    *("https://127.0.0.1", "https://[2001:db8::1]"),
    *("https://store.test/below", "http://store.test:8/one/two/"),
    *("https://s3.eu-west-1.amazonaws.com", "https://s3.dualstack.us-west-2.amazonaws.com"),
    *("https://s3-fips.us-west-2.amazonaws.com", "https://s3-accelerate.amazonaws.com"),
    "https://bucket.vpce-1a2b-5e6f.s3.us-east-1.vpce.amazonaws.com",
]


BUCKETS = ["name", "with.dots", "a-b-c", "Upper_case", "1.2.3.4", "n-", "x-s3alias"]


@pytest.mark.no_cover  # the SDK takes longest, and twice as long where it is traced
@pytest.mark.parametrize("style", ["auto", "path", "virtual"])
def test_endpoint_of_is_where_the_sdk_sends_to(style: Any) -> None:
    for region, url in [
        *((region, None) for region in AWS_REGIONS),
        *((region, url) for url in URLS for region in ("us-east-1", "garage")),
    ]:
        buckets = BUCKETS
        if style == "virtual" and url in IP_URLS:
            # The SDK puts this one before an address, and there is no such host.
            buckets = [bucket for bucket in BUCKETS if bucket != "with.dots"]
        expected = sent_by_sdk(
            *buckets,
            region_name=region,
            endpoint_url=url,
            config={"s3": {"addressing_style": style}},
        )
        for bucket, there in zip(buckets, expected, strict=True):
            settings = Settings(
                bucket=bucket, region=region, endpoint_url=url, addressing_style=style
            )
            endpoint = endpoint_of(settings)
            assert endpoint is not None
            assert (f"{endpoint.url}a%20b/~c", endpoint.region) == there, (bucket, region, url)


@pytest.mark.parametrize(
    ("bucket", "url", "expected"),
    [
        (
            "b",
            "https://b.s3.eu-central-1.amazonaws.com",
            "https://b.s3.eu-central-1.amazonaws.com/",
        ),
        ("b", "https://S3.Test", "https://s3.test/b/"),
        ("b", "https://s3.test/b", "https://s3.test/b/"),
        ("b", "https://s3.test/b/", "https://s3.test/b/"),
        ("b", "https://s3.test/below/b", "https://s3.test/below/b/"),
        ("b", "https://s3.test/sub", "https://s3.test/sub/b/"),
        ("b", "https://b.s3.test:9000", "https://b.s3.test:9000/"),
        ("b", "https://b.nyc3.digitaloceanspaces.com", "https://b.nyc3.digitaloceanspaces.com/"),
        (
            "nyc3",
            "https://nyc3.digitaloceanspaces.com",
            "https://nyc3.digitaloceanspaces.com/nyc3/",
        ),
        ("b", "https://b.0a1.r2.cloudflarestorage.com", "https://b.0a1.r2.cloudflarestorage.com/"),
        ("media", "https://media.test", "https://media.test/media/"),
        ("s3", "https://s3.test", "https://s3.test/s3/"),
    ],
)
def test_endpoint_of_adds_bucket_once(bucket: str, url: str, expected: str) -> None:
    endpoint = endpoint_of(Settings(bucket=bucket, endpoint_url=url))
    assert endpoint is not None
    assert endpoint.url == expected


def test_endpoint_of_another_region_moves_on_aws_and_is_signed_for_elsewhere() -> None:
    assert endpoint_of(Settings(bucket="name"), region="eu-west-1") == Endpoint(
        "https", "name.s3.eu-west-1.amazonaws.com", "/", "eu-west-1"
    )
    settings = Settings(bucket="name", endpoint_url="http://store.test:9")
    assert endpoint_of(settings, region="garage") == Endpoint(
        "http", "store.test:9", "/name/", "garage"
    )


@pytest.mark.parametrize("url", [None, "http://store.test"])
@pytest.mark.parametrize("region", ["evil.test/", "eu-west-1\n", "EU", "a" * 65])
def test_endpoint_of_refuses_a_region_that_is_none(url: str | None, region: str) -> None:
    with pytest.raises(StorageConfigException, match="The store names a region that is none"):
        endpoint_of(Settings(bucket="name", endpoint_url=url), region=region)


def test_endpoint_of_signing_is_another_only_where_an_option_says_so() -> None:
    settings = Settings(
        bucket="name", endpoint_url="http://10.0.0.1:9", signing_endpoint_url="https://s3.test"
    )
    assert endpoint_of(settings, signing=True) == Endpoint(
        "https", "s3.test", "/name/", "us-east-1"
    )
    settings = Settings(bucket="name", endpoint_url="http://10.0.0.1:9")
    assert endpoint_of(settings, signing=True) == endpoint_of(settings)
    settings = Settings(bucket="name", signing_endpoint_url="https://s3.test")
    assert endpoint_of(settings, signing=True) == Endpoint(
        "https", "s3.test", "/name/", "us-east-1"
    )


@pytest.mark.parametrize(
    ("options", "config"),
    [
        ({"use_dualstack": True}, {"use_dualstack_endpoint": True}),
        (
            {"use_dualstack": True, "addressing_style": "path"},
            {"use_dualstack_endpoint": True, "s3": {"addressing_style": "path"}},
        ),
        ({"use_fips": True}, {"use_fips_endpoint": True}),
        (
            {"use_fips": True, "use_dualstack": True, "region": "us-gov-west-1"},
            {"use_fips_endpoint": True, "use_dualstack_endpoint": True},
        ),
        ({"use_accelerate": True}, {"s3": {"use_accelerate_endpoint": True}}),
        (
            {"use_accelerate": True, "use_dualstack": True},
            {"s3": {"use_accelerate_endpoint": True}, "use_dualstack_endpoint": True},
        ),
        ({"bucket": POINT}, {}),
        ({"bucket": POINT, "use_dualstack": True}, {"use_dualstack_endpoint": True}),
        ({"bucket": POINT.replace("t/", "t:"), "use_fips": True}, {"use_fips_endpoint": True}),
        ({"bucket": POINT, "endpoint_url": "https://vpce-1a.s3.eu-west-1.vpce.amazonaws.com"}, {}),
        ({"region": "eusc-de-east-1"}, {}),
        ({"region": "us-iso-east-1"}, {}),
        ({"region": "aws-global"}, {}),
    ],
)
def test_endpoint_by_sdk_is_where_the_sdk_sends_to(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], config: dict[str, Any]
) -> None:
    settings = Settings(**{"bucket": "name", "region": "eu-west-1", **options})
    assert endpoint_of(settings) is None
    (expected,) = sent_by_sdk(
        settings.bucket,
        region_name=settings.region,
        endpoint_url=settings.endpoint_url,
        config=config,
    )
    # What the environment says is in the settings already.
    monkeypatch.setenv("AWS_PROFILE", "missing")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://other.test")
    monkeypatch.setenv("AWS_CA_BUNDLE", "/missing")
    endpoint = endpoint_by_sdk(settings)
    assert (f"{endpoint.url}a%20b/~c", endpoint.region) == expected


def test_endpoint_by_sdk_knows_another_region_and_a_signing_host() -> None:
    settings = Settings(bucket="name", use_dualstack=True)
    assert endpoint_by_sdk(settings, region="eu-west-1").url == (
        "https://name.s3.dualstack.eu-west-1.amazonaws.com/"
    )
    settings = Settings(
        bucket=POINT, signing_endpoint_url="https://vpce-1a.s3.eu-west-1.vpce.amazonaws.com"
    )
    assert "vpce" in endpoint_by_sdk(settings, signing=True).host
    assert "vpce" not in endpoint_by_sdk(settings).host


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"bucket": "test-accessp-o0b1d075431d83bebde8xz5w8ijx1qzlbp3i3kuse10--op-s3"},
            "other signatures than those of S3",
        ),
        ({"region": "cn-north-1", "use_fips": True}, "Partition does not support FIPS"),
        ({"bucket": "with.dots", "use_accelerate": True}, "The SDK refuses these settings"),
    ],
)
def test_endpoint_by_sdk_refuses_what_our_signatures_cannot_reach(
    options: dict[str, Any], words: str
) -> None:
    with pytest.raises(StorageConfigException, match=words):
        endpoint_by_sdk(Settings(**{"bucket": "name", **options}))


def test_endpoint_by_sdk_without_sdk_names_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "botocore.session", None)
    with pytest.raises(StorageConfigException, match="pip install"):
        endpoint_by_sdk(Settings(bucket=POINT))


def test_endpoint_of_imports_no_sdk() -> None:
    program = """
import sys
from jtc.storage.drivers.s3_driver import S3Driver
from jtc.storage.drivers.s3_driver._settings import Settings
from jtc.storage.drivers.s3_driver._transport.endpoint import endpoint_of
print(endpoint_of(Settings(bucket="name")).url, "botocore" in sys.modules)
"""
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout == "https://name.s3.amazonaws.com/ False\n"


def location(url: str | None, region: str = "eu-west-1") -> str:
    driver = S3Driver("bucket", endpoint_url=url, region=region, access_key="a", secret_key="s")
    return driver.location


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://store.test:9000", "http://STORE.test:9000/"),
        ("https://store.test", "https://store.test:443"),
        ("https://fra1.digitaloceanspaces.com", "https://bucket.fra1.digitaloceanspaces.com/"),
        ("https://store.test/below", "https://store.test/below/bucket"),
        (None, "https://s3.eu-west-1.amazonaws.com"),
        (None, "https://s3.dualstack.us-west-2.amazonaws.com/"),
        (None, "https://bucket.s3.eu-west-1.amazonaws.com"),
    ],
)
def test_location_is_one_for_all_forms_of_an_endpoint(one: str | None, other: str) -> None:
    assert location(one) == location(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://store.test:9000", "http://store.test:9001"),
        ("http://store.test", "https://store.test"),
        ("https://store.test/a", "https://store.test/b"),
        (None, "https://s3.us-gov-west-1.amazonaws.com"),
        (None, "https://s3.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_location_differs_for_other_stores(one: str | None, other: str) -> None:
    assert location(one) != location(other)
