"""Which way each setting goes: object calls of our own, or all by the SDK."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.configprovider import (
    BOTOCORE_DEFAUT_SESSION_VARIABLES,
    DEFAULT_S3_CONFIG_VARS,
)
from botocore.session import Session

from faulty_proxy import Fault
from jtc.storage.drivers.s3_driver import S3Driver
from jtc.storage.drivers.s3_driver._hosts import host_of
from jtc.storage.drivers.s3_driver._metadata import DRIVER_OPTIONS
from jtc.storage.drivers.s3_driver._requests import request_for
from jtc.storage.drivers.s3_driver._ways import why_by_sdk
from jtc.storage.options import WriteOptions
from s3_ways import clients_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HTTP = {"endpoint_url": "http://store.test:9000"}
HTTPS = {"endpoint_url": "https://store.test"}
AWS: dict[str, Any] = {}

# (driver options, environment, ~/.aws/config, whether it goes directly)
TABLE: list[tuple[dict[str, Any], dict[str, str], str, bool]] = [
    (AWS, {}, "", True),
    (HTTP, {}, "", True),
    (HTTPS, {}, "", True),
    ({"access_key": "a", "secret_key": "b", "session_token": "c"}, {}, "", True),
    ({"profile": "p"}, {}, "[profile p]\naws_access_key_id = a\nregion = x\n", True),
    # The bucket, the region and the endpoint.
    ({"bucket": "with.dots"}, {}, "", True),
    ({"bucket": "with.dots", "addressing_style": "virtual"}, {}, "", False),
    ({"bucket": "Upper", "addressing_style": "path", **HTTP}, {}, "", True),
    ({"bucket": "zone--use1-az4--x-s3"}, {}, "", False),
    ({"bucket": "point-abc-s3alias"}, {}, "", False),
    ({"bucket": "arn:aws:s3:us-east-1:1:accesspoint/p"}, {}, "", False),
    ({"region": "eu-central-1"}, {}, "", True),
    ({"region": "cn-north-1"}, {}, "", False),
    ({"region": "us-gov-west-1"}, {}, "", False),
    ({"region": "eu-isoe-west-1"}, {}, "", False),
    ({"region": "aws-global"}, {}, "", False),
    ({"region": "auto", **HTTPS}, {}, "", True),
    ({"endpoint_url": "https://store.test/below"}, {}, "", False),
    ({"endpoint_url": "http://[::1]:9000"}, {}, "", False),
    ({"endpoint_url": "http://127.0.0.1:1", "addressing_style": "virtual"}, {}, "", False),
    ({"endpoint_url": "https://s3-accelerate.amazonaws.com"}, {}, "", False),
    ({"endpoint_url": "https://s3.dualstack.us-east-1.amazonaws.com"}, {}, "", False),
    # Proxies.
    (HTTP, {"http_proxy": "http://proxy.test"}, "", False),
    (HTTP, {"HTTP_PROXY": "http://proxy.test"}, "", False),
    (HTTP, {"https_proxy": "http://proxy.test"}, "", True),
    (HTTPS, {"HTTPS_PROXY": "http://proxy.test"}, "", False),
    (AWS, {"https_proxy": "http://proxy.test"}, "", False),
    (HTTP, {"http_proxy": "http://proxy.test", "no_proxy": "store.test"}, "", True),
    (AWS, {"https_proxy": "http://proxy.test", "NO_PROXY": "amazonaws.com"}, "", True),
    (HTTP, {"http_proxy": "http://proxy.test", "no_proxy": "other.test"}, "", False),
    # Certificates, which only TLS needs.
    (HTTPS, {"AWS_CA_BUNDLE": "/ca.pem"}, "", False),
    (HTTPS, {"REQUESTS_CA_BUNDLE": "/ca.pem"}, "", False),
    (AWS, {}, "[default]\nca_bundle = /ca.pem\n", False),
    (HTTP, {"AWS_CA_BUNDLE": "/ca.pem", "REQUESTS_CA_BUNDLE": "/ca.pem"}, "", True),
    # Other hosts.
    (AWS, {"AWS_USE_DUALSTACK_ENDPOINT": "true"}, "", False),
    (AWS, {"AWS_USE_FIPS_ENDPOINT": "true"}, "", False),
    (AWS, {}, "[default]\nuse_dualstack_endpoint = true\n", False),
    (AWS, {}, "[default]\ns3 =\n  use_accelerate_endpoint = true\n", False),
    (AWS, {}, "[default]\ns3 =\n    payload_signing_enabled = true\n", False),
    (AWS, {}, "[default]\ns3 =\n    addressing_style = path\n", True),
    (AWS, {"AWS_S3_US_EAST_1_REGIONAL_ENDPOINT": "regional"}, "", False),
    (AWS, {"AWS_ENDPOINT_URL": "https://other.test"}, "", False),
    (AWS, {"AWS_ENDPOINT_URL_S3": "https://other.test"}, "", False),
    (HTTP, {"AWS_ENDPOINT_URL": "https://other.test"}, "", True),
    (HTTP, {"AWS_ENDPOINT_URL_S3": "https://other.test"}, "", True),
    (AWS, {}, "[default]\nservices = x\n[services x]\ns3 =\n  endpoint_url = https://o\n", False),
    (AWS, {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}, "", False),
    # Whatever else.
    (AWS, {"AWS_SDK_UA_APP_ID": "app"}, "", False),
    (AWS, {"AWS_DATA_PATH": "/models"}, "", False),
    (AWS, {"AWS_DEFAULTS_MODE": "standard"}, "", False),
    (AWS, {"AWS_AUTH_SCHEME_PREFERENCE": "sigv4a"}, "", False),
    (AWS, {"AWS_SOMETHING_OF_NEXT_YEAR": "1"}, "", False),
    (AWS, {"BOTO_EXPERIMENTAL__ADD_PROXY_HOST_HEADER": "1"}, "", False),
    (AWS, {}, "[default]\nsomething_of_next_year = 1\n", False),
    (AWS, {"AWS_SOMETHING_OF_NEXT_YEAR": ""}, "", True),
    # Keys, which the SDK finds for both ways, and what the driver's options settle.
    (AWS, {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}, "", True),
    (AWS, {"AWS_SESSION_TOKEN": "c", "AWS_PROFILE": "", "AWS_REGION": "x"}, "", True),
    (AWS, {"AWS_ROLE_ARN": "r", "AWS_WEB_IDENTITY_TOKEN_FILE": "/t"}, "", True),
    (AWS, {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.2"}, "", True),
    (AWS, {"AWS_EC2_METADATA_DISABLED": "true", "AWS_LAMBDA_FUNCTION_NAME": "f"}, "", True),
    (AWS, {"AWS_MAX_ATTEMPTS": "9", "AWS_RETRY_MODE": "adaptive"}, "", True),
    (AWS, {"AWS_REQUEST_CHECKSUM_CALCULATION": "when_supported"}, "", True),
    (AWS, {}, "# a comment = 1\n[default]\nregion = x\nsso_start_url = y\nrole_arn=z\n", True),
]


def settings_of(**options: Any) -> Any:
    return S3Driver(**{"bucket": "bucket", **options})._settings


@pytest.mark.parametrize(("options", "environ", "config", "is_direct"), TABLE)
def test_each_setting_goes_its_way(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    options: dict[str, Any],
    environ: dict[str, str],
    config: str,
    is_direct: bool,
) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "config").write_text(config)
    places = {
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
    }
    reason = why_by_sdk(settings_of(**options), environ | places)
    assert (reason is None) is is_direct, reason
    (tmp_path / "config").rename(tmp_path / "credentials")
    places["AWS_SHARED_CREDENTIALS_FILE"] = str(tmp_path / "credentials")
    reason = why_by_sdk(settings_of(**options), environ | places)
    assert (reason is None) is is_direct, reason


def test_a_configuration_that_cannot_be_read_is_left_to_the_sdk(tmp_path: Path) -> None:
    places = {"AWS_CONFIG_FILE": str(tmp_path), "AWS_SHARED_CREDENTIALS_FILE": "/none"}
    assert "cannot be read" in (why_by_sdk(settings_of(), places) or "")
    (tmp_path / "config").write_bytes(b"[default]\nregion = \xff\xfe\n")
    places["AWS_CONFIG_FILE"] = str(tmp_path / "config")
    assert "cannot be read" in (why_by_sdk(settings_of(), places) or "")


# What the SDK reads and makes no difference to where and how an object call goes.
HARMLESS = {
    *("profile", "region", "config_file", "credentials_file", "metadata_service_timeout"),
    *("metadata_service_num_attempts", "ec2_metadata_service_endpoint", "imds_use_ipv6"),
    *("ec2_metadata_service_endpoint_mode", "ec2_metadata_v1_disabled", "parameter_validation"),
    *("sts_regional_endpoints", "retry_mode", "max_attempts", "account_id_endpoint_mode"),
    *("request_min_compression_size_bytes", "disable_request_compression"),
    *("request_checksum_calculation", "response_checksum_validation"),
    *("addressing_style", "use_arn_region", "s3_disable_multiregion_access_points"),
}


def test_every_variable_that_the_sdk_reads_is_known_to_be_harmless_or_goes_to_it() -> None:
    tables = {**BOTOCORE_DEFAUT_SESSION_VARIABLES, **DEFAULT_S3_CONFIG_VARS}
    tried = 0
    for logical, (_, names, *_rest) in tables.items():
        for name in [names] if isinstance(names, str) else names or []:
            environ = {
                "AWS_CONFIG_FILE": "/none",
                "AWS_SHARED_CREDENTIALS_FILE": "/none",
                name: "/none",
            }
            assert (why_by_sdk(settings_of(), environ) is None) is (logical in HARMLESS), name
            tried += 1
    assert tried > 30


class NoBody:
    """What urllib3 gives the SDK to read."""

    def stream(self, *_: object, **__: object) -> Iterator[bytes]:
        return iter(())


@functools.cache
def _session() -> Session:
    return Session()  # one: it remembers S3's model, which takes long to read


@pytest.mark.parametrize("style", ["auto", "path", "virtual"])
@pytest.mark.parametrize("bucket", ["bucket", "with.dots", "a-b-c", "Upper_case"])
@pytest.mark.parametrize("region", ["us-east-1", "eu-west-1", "ap-southeast-7", "mx-central-1"])
@pytest.mark.parametrize(
    "endpoint",
    [
        None,
        "http://store.test",
        "https://store.test:443/",
        "https://s.test:9",
        "http://127.0.0.1:8",
    ],
)
def test_a_buckets_host_is_where_the_sdk_says(
    style: Any, bucket: str, region: str, endpoint: str | None
) -> None:
    settings = settings_of(
        bucket=bucket, region=region, endpoint_url=endpoint, addressing_style=style
    )
    host = host_of(settings)
    if host is None:
        return
    client = _session().create_client(
        "s3",
        region_name=region,
        endpoint_url=endpoint,
        aws_access_key_id="a",
        aws_secret_access_key="b",
        config=Config(
            s3={"addressing_style": "path" if settings.path_style else "virtual"},
            signature_version="s3v4",
        ),
    )
    sent: list[Any] = []

    def answer(request: Any, **_: object) -> AWSResponse:
        sent.append(request)
        return AWSResponse(request.url, 200, {}, NoBody())

    client.meta.events.register("before-send.s3.HeadObject", answer)
    client.head_object(Bucket=bucket, Key="a b/~c")
    client.close()
    (request,) = sent
    default = {"http": ":80", "https": ":443"}[host.scheme]
    assert request.url.replace(f"{default}/", "/") == (
        f"{host.scheme}://{host.name}{host.base}a%20b/~c"
    )
    assert f"/{region}/s3/" in request.headers["Authorization"].decode()


DIRECT_OPTIONS = {
    *("ContentEncoding", "ContentLanguage", "SSEKMSKeyId", "ServerSideEncryption", "StorageClass"),
}


def test_each_parameter_goes_its_way() -> None:
    for name in DRIVER_OPTIONS:
        request = request_for("put_object", {"Key": "a", "Body": b"", name: "value"})
        assert (request is not None) is (name in DIRECT_OPTIONS), name
    for operation, parameters in {
        "put_object": {"ContentType": "a\r\nb"},
        "get_object": {"Range": "ü"},
        "head_object": {"SSECustomerKey": "k"},
        "delete_object": {"VersionId": "1"},
        "upload_part": {"Body": object()},
        "list_objects_v2": {"FetchOwner": True},
        "copy_object": {},
        "delete_objects": {},
    }.items():
        assert request_for(operation, {"Key": "a", **parameters}) is None, operation
    assert request_for("put_object", {"Key": "a", "Metadata": {"a b": "c"}}) is None
    assert request_for("put_object", {"Key": "a", "Metadata": {"a": "ü"}}) is None


async def test_what_is_not_ours_works_by_the_sdk(driver, folder, store_client):
    tagged = WriteOptions(driver_options={"Tagging": "a=b"})
    await driver.write_file(f"{folder}/tagged", b"1", tagged)
    answer = store_client.get_object_tagging(Bucket="test-bucket", Key=f"{folder}/tagged")
    assert answer["TagSet"] == [{"Key": "a", "Value": "b"}]
    assert driver._bucket._by_sdk is None
    assert await driver.get(f"{folder}/tagged") == b"1"
    assert driver._bucket._by_sdk == ""


async def test_a_bucket_that_is_elsewhere_is_left_to_the_sdk(make_driver, proxy):
    driver = make_driver(endpoint_url=proxy.endpoint_url)
    await driver.put("elsewhere", b"1")
    assert clients_of(driver) is driver._bucket._direct
    proxy.faults = [Fault("GET", status=307)]
    assert await driver.get("elsewhere") == b"1"
    assert clients_of(driver) is driver._bucket._clients
    assert await driver.exists("elsewhere")
