"""Suggestions of option names: misspelt ones, and those of other storage libraries."""

from __future__ import annotations

import inspect

import pytest

from jtc.storage import PutOptions, StorageConfigException, StorageManager
from jtc.storage._did_you_mean import _SYNONYMS, closest
from jtc.storage.drivers.azure_driver import AzureDriver
from jtc.storage.drivers.gcs_driver import GCSDriver
from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.drivers.s3_driver import S3Driver
from jtc.storage.drivers.sftp_driver import SFTPDriver

PUT = frozenset(PutOptions.__annotations__)
LOCAL = frozenset(inspect.signature(LocalDriver).parameters)
S3 = frozenset(inspect.signature(S3Driver).parameters)
AZURE = frozenset(inspect.signature(AzureDriver).parameters)
GCS = frozenset(inspect.signature(GCSDriver).parameters)
SFTP = frozenset(inspect.signature(SFTPDriver).parameters)
DRIVERS = frozenset({"azure", "gcs", "local", "memory", "opendal", "s3", "sftp"})


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        # Flysystem and Laravel
        ("ContentType", "content_type"),
        ("mimetype", "content_type"),
        ("CacheControl", "cache_control"),
        ("ContentDisposition", "content_disposition"),
        ("Metadata", "metadata"),
        # boto3
        ("ACL", "visibility"),
        ("ContentLength", "size"),
        ("IfMatch", "if_match"),
        ("IfNoneMatch", "overwrite"),
        # fsspec, pathlib and JavaScript
        ("acl", "visibility"),
        ("contentType", "content_type"),
        ("content-type", "content_type"),
        ("exist_ok", "overwrite"),
        ("mode", "overwrite"),
        # misspelt
        ("overwritee", "overwrite"),
        ("visiblity", "visibility"),
        ("zebra", None),
    ],
)
def test_closest_names_the_put_option(name: str, meant: str | None) -> None:
    assert closest(name, PUT) == meant


@pytest.mark.parametrize("name", ["path", "location", "root_dir", "base_path", "ROOT"])
def test_closest_names_the_local_root(name: str) -> None:
    assert closest(name, LOCAL) == "root"


@pytest.mark.parametrize("name", ["permissions", "file_permissions_mode", "filePermissions"])
def test_closest_names_the_modes_of_local_files(name: str) -> None:
    assert closest(name, LOCAL) == "file_modes"


def test_closest_names_the_url_option_of_each_driver() -> None:
    assert closest("url", LOCAL) == closest("public_url", LOCAL) == "base_url"
    assert closest("url", S3) == closest("base_url", S3) == "public_url"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        # Laravel
        ("key", "access_key"),
        ("secret", "secret_key"),
        ("token", "session_token"),
        ("endpoint", "endpoint_url"),
        ("use_path_style_endpoint", "addressing_style"),
        # boto3
        ("bucket_name", "bucket"),
        ("region_name", "region"),
        ("aws_access_key_id", "access_key"),
        ("aws_secret_access_key", "secret_key"),
        ("aws_session_token", "session_token"),
        ("profile_name", "profile"),
        ("max_pool_connections", "max_connections"),
        # django-storages
        ("AWS_STORAGE_BUCKET_NAME", "bucket"),
        ("AWS_S3_REGION_NAME", "region"),
        ("AWS_S3_ENDPOINT_URL", "endpoint_url"),
        ("AWS_S3_CUSTOM_DOMAIN", "public_url"),
        ("AWS_S3_ADDRESSING_STYLE", "addressing_style"),
    ],
)
def test_closest_names_the_s3_option(name: str, meant: str) -> None:
    assert closest(name, S3) == meant


@pytest.mark.parametrize(
    ("known", "name", "meant"),
    [
        # Laravel
        (GCS, "project_id", "project"),
        (GCS, "key_file_path", "credentials_file"),
        (SFTP, "privateKey", "private_key"),
        (SFTP, "hostFingerprint", "host_key"),
        (SFTP, "timeout", "request_timeout"),
        # django-storages
        (AZURE, "azure_container", "container"),
        (AZURE, "account_name", "account"),
        (AZURE, "token_credential", "credential"),
        (AZURE, "custom_domain", "public_url"),
        (GCS, "GS_BUCKET_NAME", "bucket"),
        (GCS, "default_acl", "visibility"),
        (GCS, "custom_endpoint", "endpoint_url"),
        # boto3, fsspec and asyncssh
        (AZURE, "bucket", "container"),
        (GCS, "token", "credentials_file"),
        (SFTP, "user", "username"),
        (DRIVERS, "abfs", "azure"),
        (DRIVERS, "google", "gcs"),
        (DRIVERS, "ssh", "sftp"),
        (DRIVERS, "webdav", "opendal"),
    ],
)
def test_closest_names_options_of_other_stores_and_their_drivers(
    known: frozenset[str], name: str, meant: str
) -> None:
    assert closest(name, known) == meant


def test_closest_prefers_another_spelling_to_a_synonym() -> None:
    assert closest("URL", {"url", "base_url"}) == "url"


def test_synonyms_are_of_options_and_drivers_that_exist() -> None:
    assert _SYNONYMS.keys() <= PUT | LOCAL | S3 | AZURE | GCS | SFTP | DRIVERS
    for theirs in _SYNONYMS.values():
        assert all(name == name.lower().replace("_", "") for name in theirs.split())


async def test_put_with_an_option_of_another_library_suggests_ours() -> None:
    manager = StorageManager.isolated({"default": "d", "disks": {"d": {"driver": "memory"}}})
    with pytest.raises(TypeError, match=r"no option 'ContentType': did you mean 'content_type'\?"):
        await manager.put("a", b"x", ContentType="text/plain")  # type: ignore[call-arg]


def test_disk_with_an_option_of_another_library_suggests_ours() -> None:
    with pytest.raises(StorageConfigException, match=r"no option 'path'\. Did you mean 'root'\?"):
        StorageManager().build({"driver": "local", "path": "/srv/files"})
