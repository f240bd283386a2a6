"""Options of the driver, checked when it is made."""

from __future__ import annotations

import pickle

import pytest

from jtc.storage import StorageManager
from jtc.storage.drivers.azure_driver import DRIVER_OPTIONS, AzureDriver
from jtc.storage.exceptions import StorageConfigException

SIGNED = {"account": "acme", "account_key": "a2V5"}


@pytest.mark.parametrize("container", ["a", "ab", "A-b", "a--b", "-abc", "abc-", "a/b", "a" * 64])
def test_container_that_azure_refuses_is_refused(container):
    with pytest.raises(StorageConfigException, match="container must be 3 to 63"):
        AzureDriver(container, **SIGNED)


@pytest.mark.parametrize("container", ["abc", "a-b-c", "0ab", "a" * 63, "$root", "$web"])
def test_container_that_azure_takes_is_taken(container):
    assert AzureDriver(container, **SIGNED).location.endswith(f"/{container}")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "needs a connection_string"),
        ({"account": "acme"}, "needs a connection_string"),
        ({"account_key": "a2V5"}, "needs the option account"),
        ({"anonymous": True}, "needs the option account"),
        ({**SIGNED, "sas_token": "sig=a"}, "given twice: choose one of account_key, sas_token"),
        ({**SIGNED, "anonymous": True}, "given twice"),
        ({"account": "acme", "account_key": "?"}, "account_key must be the base64"),
        ({"account": "acme", "sas_token": "sv=1"}, "sas_token must be a shared access"),
        ({"account": "acme.blob", "account_key": "a2V5"}, "account must be a storage account's"),
        ({"account": "acme", "credential": "other"}, "credential must be one of azure-identity"),
        (
            {"credential": "default", "endpoint_url": "http://acme.example.com", "account": "a"},
            "credential needs an endpoint_url by https",
        ),
        ({**SIGNED, "endpoint_url": "https://a.com/?sig=1"}, "must end with its path"),
        ({**SIGNED, "endpoint_url": "https://a:b@a.com"}, "must not hold credentials"),
        ({**SIGNED, "endpoint_url": "https://a.com/files"}, "leave the container out"),
        ({**SIGNED, "endpoint_url": "a.com"}, "must be a URL such as"),
        ({**SIGNED, "part_size": 1}, "part_size must be from"),
        ({**SIGNED, "part_size": 300 * 2**20}, "max_transfer_memory must be part_size at least"),
        ({**SIGNED, "max_attempts": True}, "max_attempts must be a whole number"),
        ({**SIGNED, "driver_options": {"Tier": "Hot"}}, "driver_options has no 'Tier'; azure has"),
        ({**SIGNED, "driver_options": {"LegalHold": "yes"}}, "is True or False"),
        ({**SIGNED, "driver_options": 7}, "driver_options must be a mapping"),
    ],
)
def test_option_that_is_invalid_is_refused(monkeypatch, options, message):
    for name in ("AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_ACCOUNT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(StorageConfigException, match=message):
        AzureDriver("files", **options)


def test_driver_options_have_names_of_put_blob():
    assert "AccessTier" in DRIVER_OPTIONS
    AzureDriver("files", **SIGNED, driver_options={"Tags": {"a": "b c"}, "LegalHold": True})


def test_disk_of_the_driver_is_configured_by_name():
    options = {"driver": "azure", "container": "files", **SIGNED}
    disk = StorageManager.isolated({"default": "files", "disks": {"files": options}}).disk()
    assert isinstance(disk.driver_as(AzureDriver), AzureDriver)
    assert disk.url("a b.txt") == "https://acme.blob.core.windows.net/files/a%20b.txt"
    assert disk.path("a b.txt") == "az://files/a b.txt"


def test_public_url_begins_urls():
    driver = AzureDriver("files", **SIGNED, public_url="https://cdn.example.com/x/")
    assert driver.url("a/b.txt") == "https://cdn.example.com/x/a/b.txt"


def test_repr_names_container_and_host_alone():
    driver = AzureDriver("files", **SIGNED)
    assert repr(driver) == "AzureDriver('files', endpoint='acme.blob.core.windows.net')"
    assert driver.has_own_retries
    assert not AzureDriver("files", **SIGNED, max_attempts=1).has_own_retries


def test_pickling_is_refused():
    with pytest.raises(TypeError, match="is not pickled"):
        pickle.dumps(AzureDriver("files", **SIGNED))
