"""What the environment and ~/.aws say to a driver, held against the SDK."""

from __future__ import annotations

import logging
import traceback
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from jtc.storage.drivers.s3_driver._environment import completed
from jtc.storage.drivers.s3_driver._settings import Settings
from jtc.storage.drivers.s3_driver._transport.endpoint import endpoint_by_sdk, endpoint_of
from jtc.storage.exceptions import StorageConfigException
from s3_sdk import sent_by_sdk

OTHER = {"AWS_ENDPOINT_URL": "https://other.test"}
SERVICES = "[default]\nservices = x\nendpoint_url = https://all.test\n"
SERVICES_OF_D = SERVICES + "[services x]\nd =\n  endpoint_url = https://d.test\n"
SERVICES_OF_S3 = SERVICES + "[services x]\ns3 =\n  endpoint_url = https://s3.test\n"


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Give the variables of a configuration's two files, which do not exist yet."""
    return {
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
    }


def write(files: dict[str, str], config: str = "", credentials: str = "") -> None:
    Path(files["AWS_CONFIG_FILE"]).write_text(config)
    Path(files["AWS_SHARED_CREDENTIALS_FILE"]).write_text(credentials)


# (options, environment, ~/.aws/config, ~/.aws/credentials, expected)
TABLE: list[tuple[dict[str, Any], dict[str, str], str, str, dict[str, Any]]] = [
    ({}, {}, "", "", {"region": None, "endpoint_url": None, "ca_bundle": None}),
    # Region.
    ({}, {"AWS_DEFAULT_REGION": "d"}, "", "", {"region": "d"}),
    ({}, {"AWS_REGION": "r", "AWS_DEFAULT_REGION": "d"}, "", "", {"region": "r"}),
    ({}, {"region": "e"}, "", "", {"region": None}),
    ({}, {"AWS_REGION": ""}, "[default]\nregion = p\n", "", {"region": "p"}),
    ({}, {}, "[profile default]\nregion = p\n", "", {"region": "p"}),
    ({}, {}, "[default]\nregion = c\n", "[default]\nregion = k\n", {"region": "k"}),
    ({}, {"AWS_REGION": "r"}, "[default]\nregion = p\n", "", {"region": "r"}),
    ({"region": "o"}, {"AWS_REGION": "r"}, "[default]\nregion = p\n", "", {"region": "o"}),
    ({}, {"AWS_PROFILE": "x"}, "[profile x]\nregion = p\n", "", {"region": "p"}),
    ({}, {"AWS_DEFAULT_PROFILE": "x"}, "[profile x]\nregion = p\n", "", {"region": "p"}),
    ({}, {"AWS_PROFILE": ""}, "[default]\nregion = p\n", "", {"region": "p"}),
    (
        {"profile": "y z"},
        {"AWS_PROFILE": "x"},
        '[profile "y z"]\nregion = p\n',
        "",
        {"region": "p"},
    ),
    ({"profile": "x"}, {}, "[default]\nregion = d\n", "[x]\nregion = k\n", {"region": "k"}),
    ({"profile": "x"}, {}, "[default]\nregion = d\n[profile x]\na = 1\n", "", {"region": None}),
    (
        {},
        {},
        "# region = c\n[default]\n; x\nRegion=p\n[profile q]\nregion=q\n",
        "",
        {"region": "p"},
    ),
    # Endpoint.
    (
        {},
        {"AWS_ENDPOINT_URL_S3": "https://s.test", **OTHER},
        "",
        "",
        {"endpoint_url": "https://s.test"},
    ),
    ({}, OTHER, SERVICES_OF_S3, "", {"endpoint_url": "https://other.test"}),
    ({}, {}, SERVICES_OF_S3, "", {"endpoint_url": "https://s3.test"}),
    ({}, {}, SERVICES_OF_D, "", {"endpoint_url": "https://all.test"}),
    ({"endpoint_url": "https://o.test"}, OTHER, SERVICES, "", {"endpoint_url": "https://o.test"}),
    (
        {},
        {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true", **OTHER},
        SERVICES,
        "",
        {"endpoint_url": None},
    ),
    ({}, OTHER, SERVICES + "ignore_configured_endpoint_urls = TRUE\n", "", {"endpoint_url": None}),
    (
        {},
        {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "false"},
        SERVICES + "ignore_configured_endpoint_urls = true\n",
        "",
        {"endpoint_url": "https://all.test"},
    ),
    # Region and endpoint together.
    (
        {"endpoint_url": "https://s3.eu-central-1.amazonaws.com"},
        {"AWS_REGION": "us-west-2"},
        "",
        "",
        {"region": "eu-central-1"},
    ),
    (
        {"endpoint_url": "https://bucket.s3.dualstack.eu-west-3.amazonaws.com"},
        {},
        "",
        "",
        {"region": "eu-west-3"},
    ),
    (
        {"endpoint_url": "https://s3.eu-west-3.amazonaws.com", "region": "eu-west-1"},
        {},
        "",
        "",
        {"region": "eu-west-1"},
    ),
    # Hosts of AWS.
    ({}, {"AWS_USE_DUALSTACK_ENDPOINT": "true"}, "", "", {"use_dualstack": True}),
    ({}, {}, "[default]\nuse_dualstack_endpoint = true\n", "", {"use_dualstack": True}),
    ({}, {"AWS_USE_FIPS_ENDPOINT": "true"}, "", "", {"use_fips": True, "use_dualstack": None}),
    ({"use_fips": False}, {"AWS_USE_FIPS_ENDPOINT": "true"}, "", "", {"use_fips": False}),
    ({}, {}, "[default]\nuse_fips_endpoint = true\n", "", {"use_fips": True}),
    ({}, {"AWS_USE_FIPS_ENDPOINT": "true", **OTHER}, "", "", {"use_fips": None}),
    ({}, {}, "[default]\ns3 =\n  use_accelerate_endpoint = true\n", "", {"use_accelerate": True}),
    (
        {},
        {},
        "[default]\ns3 =\n  addressing_style = path\n  use_accelerate_endpoint=false\n",
        "",
        {"addressing_style": "path", "use_accelerate": False},
    ),
    (
        {"addressing_style": "virtual"},
        {},
        "[default]\ns3 =\n  addressing_style = path\n",
        "",
        {"addressing_style": "virtual"},
    ),
    # Certificates.
    ({}, {"AWS_CA_BUNDLE": "/a", "REQUESTS_CA_BUNDLE": "/r"}, "", "", {"ca_bundle": "/a"}),
    ({}, {"REQUESTS_CA_BUNDLE": "/r"}, "[default]\nca_bundle = /p\n", "", {"ca_bundle": "/p"}),
    ({}, {"REQUESTS_CA_BUNDLE": "/r"}, "", "", {"ca_bundle": "/r"}),
    ({"ca_bundle": "/o"}, {"AWS_CA_BUNDLE": "/a"}, "", "", {"ca_bundle": "/o"}),
    ({"verify": False}, {"AWS_CA_BUNDLE": "/a"}, "", "", {"ca_bundle": None}),
    ({"endpoint_url": "http://s3.test"}, {"AWS_CA_BUNDLE": "/a"}, "", "", {"ca_bundle": None}),
]


@pytest.mark.parametrize(("options", "environ", "config", "credentials", "expected"), TABLE)
def test_completed_fills_what_options_leave_open(
    files: dict[str, str],
    options: dict[str, Any],
    environ: dict[str, str],
    config: str,
    credentials: str,
    expected: dict[str, Any],
) -> None:
    write(files, config, credentials)
    found = completed({"region": None, "endpoint_url": None, **options}, environ | files)
    assert {name: found.get(name) for name in expected} == expected


@pytest.mark.parametrize(
    ("environ", "config"),
    [
        ({}, "[default]\nregion = eu-west-1\n"),
        ({"AWS_DEFAULT_REGION": "eu-west-2"}, "[default]\nregion = eu-west-1\n"),
        ({"AWS_PROFILE": "x"}, "[profile x]\nregion = ap-south-1\n"),
        ({"AWS_USE_DUALSTACK_ENDPOINT": "true"}, "[default]\nregion = eu-west-1\n"),
        ({}, "[default]\nregion = eu-west-1\nuse_fips_endpoint = true\n"),
        ({}, "[default]\nregion = eu-west-1\ns3 =\n  use_accelerate_endpoint = true\n"),
        ({}, "[default]\nregion = eu-west-1\ns3 =\n  addressing_style = path\n"),
        (OTHER, "[default]\nregion = eu-west-1\ns3 =\n  addressing_style = virtual\n"),
        (OTHER, SERVICES_OF_S3.replace("services", "region = x\nservices", 1)),
        ({}, SERVICES_OF_S3.replace("services", "region = x\nservices", 1)),
        ({}, SERVICES_OF_D.replace("services", "region = x\nservices", 1)),
        (
            {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true", **OTHER},
            SERVICES.replace("services", "region = eu-west-1\nservices", 1),
        ),
    ],
)
def test_completed_settings_go_where_the_sdk_goes(
    monkeypatch: pytest.MonkeyPatch, files: dict[str, str], environ: dict[str, str], config: str
) -> None:
    write(files, config)
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    settings = Settings(**completed({"bucket": "name"}, environ | files))
    for name, value in (environ | files).items():
        monkeypatch.setenv(name, value)
    (expected,) = sent_by_sdk("name", config={}, new_session=True)
    endpoint = endpoint_of(settings) or endpoint_by_sdk(settings)
    assert (f"{endpoint.url}a%20b/~c", endpoint.region) == expected


def test_completed_says_where_a_value_comes_from(files: dict[str, str]) -> None:
    write(files, "[default]\nregion = EU\n")
    with pytest.raises(StorageConfigException, match=r"^region in .*/config must be a name"):
        Settings(**completed({"bucket": "name"}, files))
    with pytest.raises(StorageConfigException, match=r"^AWS_REGION ends in a newline"):
        Settings(**completed({"bucket": "name"}, files | {"AWS_REGION": "eu-west-1\n"}))


def test_completed_has_region_and_profile_of_a_session(files: dict[str, str]) -> None:
    write(files, "[profile x]\nca_bundle = /x\n")
    session = SimpleNamespace(region_name="eu-west-1", profile_name="x")
    found = completed({"session": session}, files | {"AWS_REGION": "us-west-2"})
    assert (found["region"], found["ca_bundle"]) == ("eu-west-1", "/x")


FULL = {
    "region": "us-east-1",
    "endpoint_url": "https://s3.test",
    "addressing_style": "path",
    "ca_bundle": "/ca.pem",
}


def test_completed_reads_no_file_where_nothing_is_open(files: dict[str, str]) -> None:
    write(files, "not a file of settings")
    assert completed(FULL, files) == {**FULL, "sources": {}}
    for options in ({"verify": False}, {"endpoint_url": "http://s3.test"}):
        completed({**FULL, "ca_bundle": None, **options}, files)
    for name in FULL:
        with pytest.raises(StorageConfigException, match="/config cannot be read"):
            completed({**FULL, name: None}, files)


@pytest.mark.parametrize(
    "content",
    [b"hidden = 1\n", b"[default]\nhidden\n", b"[a]\n[a]\n", b"[default]\na = \xff\xfe\n"],
)
@pytest.mark.parametrize("name", ["config", "credentials"])
def test_broken_file_is_named_and_not_shown(
    tmp_path: Path, files: dict[str, str], name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(StorageConfigException, match=f"/{name} cannot be read") as caught:
        completed({}, files)
    assert "hidden" not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__context__ is None


def test_unreadable_file_is_named(monkeypatch: pytest.MonkeyPatch, files: dict[str, str]) -> None:
    write(files)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", refuse)  # root may read all files
    with pytest.raises(StorageConfigException, match="/config cannot be read: Permission denied"):
        completed({}, files)


def test_missing_files_say_nothing(tmp_path: Path) -> None:
    places = {"AWS_CONFIG_FILE": "/missing", "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path)}
    assert completed({"bucket": "name"}, places)["sources"] == {}
    places["AWS_CONFIG_FILE"] = "~no-such-user-here/config"
    assert completed({"bucket": "name"}, places)["sources"] == {}


def test_missing_profile_is_named(files: dict[str, str]) -> None:
    write(files, "[default]\nregion = d\n")
    for options, environ in (({"profile": "x"}, {}), ({}, {"AWS_PROFILE": "x"})):
        with pytest.raises(StorageConfigException, match=r"no profile 'x' in .*/config or"):
            completed(options, environ | files)


def test_flag_that_is_neither_true_nor_false_is_named(files: dict[str, str]) -> None:
    with pytest.raises(StorageConfigException, match="AWS_USE_FIPS_ENDPOINT must be true or false"):
        Settings(**completed({"bucket": "b"}, files | {"AWS_USE_FIPS_ENDPOINT": "yes"}))


@pytest.mark.parametrize(
    ("options", "environ", "is_logged"),
    [
        ({}, {"AWS_ENDPOINT": "https://id:hidden@s3.test"}, True),
        ({}, {"AWS_S3_ENDPOINT_URL": "https://s3.test"}, True),
        ({}, {"AWS_ENDPOINT": ""}, False),
        ({}, {"AWS_ENDPOINT": "https://s3.test", **OTHER}, False),
        ({"endpoint_url": "https://s3.test"}, {"AWS_ENDPOINT": "https://s3.test"}, False),
    ],
)
def test_wrong_name_of_endpoint_variable_is_logged(
    caplog: pytest.LogCaptureFixture,
    files: dict[str, str],
    options: dict[str, str],
    environ: dict[str, str],
    is_logged: bool,
) -> None:
    with caplog.at_level(logging.WARNING, logger="jtc.storage"):
        completed(options, environ | files)
    assert ("set AWS_ENDPOINT_URL_S3" in caplog.text) is is_logged
    assert "hidden" not in caplog.text
