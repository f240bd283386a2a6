"""Where an account is and how to sign: connection strings and the environment."""

from __future__ import annotations

import pytest

from jtc.storage.drivers.azure_driver import AzureDriver
from jtc.storage.drivers.azure_driver._environment import completed, container_of
from jtc.storage.exceptions import StorageConfigException

KEY = "c2VjcmV0LWtleQ=="


def found(text: str, **options: object) -> dict[str, object]:
    result = completed({"connection_string": text, **options}, {})
    result.pop("sources")
    return result


def test_connection_string_of_the_portal_names_account_and_key():
    text = f"DefaultEndpointsProtocol=https;AccountName=acme;AccountKey={KEY};"
    text += "EndpointSuffix=core.windows.net"
    assert found(text) == {
        "account": "acme",
        "account_key": KEY,
        "endpoint_url": "https://acme.blob.core.windows.net",
    }


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("AccountName=acme;AccountKey=a2V5", "https://acme.blob.core.windows.net"),
        (
            "AccountName=acme;EndpointSuffix=core.chinacloudapi.cn",
            "https://acme.blob.core.chinacloudapi.cn",
        ),
        (
            "DefaultEndpointsProtocol=http;AccountName=acme",
            "http://acme.blob.core.windows.net",
        ),
        (
            "AccountName=acme;BlobEndpoint=http://127.0.0.1:10000/acme/",
            "http://127.0.0.1:10000/acme",
        ),
        (
            "BlobEndpoint=https://acme.privatelink.blob.core.windows.net",
            "https://acme.privatelink.blob.core.windows.net",
        ),
        (
            "blobendpoint=https://acme.blob.core.windows.net/?sv=1",
            "https://acme.blob.core.windows.net",
        ),
        ("UseDevelopmentStorage=true", "http://127.0.0.1:10000/devstoreaccount1"),
        (
            "UseDevelopmentStorage=true;DevelopmentStorageProxyUri=http://azurite",
            "http://azurite:10000/devstoreaccount1",
        ),
    ],
)
def test_connection_string_says_where_the_account_is(text, url):
    assert found(text)["endpoint_url"] == url


def test_connection_string_with_signature_has_no_key():
    text = "BlobEndpoint=https://acme.blob.core.windows.net/;SharedAccessSignature=sv=1&sig=a%3D"
    assert found(text) == {
        "account": "acme",
        "sas_token": "sv=1&sig=a%3D",
        "endpoint_url": "https://acme.blob.core.windows.net",
    }


def test_connection_string_of_the_emulator_makes_a_driver():
    driver = AzureDriver("container", "UseDevelopmentStorage=true")
    assert driver.location == "http://127.0.0.1:10000/devstoreaccount1/container"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("AccountKey=a2V5", "needs AccountName or BlobEndpoint"),
        ("no pairs at all", "must consist of name=value"),
        (7, "must be text, not int"),
    ],
)
def test_connection_string_that_is_invalid_is_refused_without_showing_it(text, message):
    with pytest.raises(StorageConfigException, match=message) as caught:
        AzureDriver("container", text)
    assert "a2V5" not in str(caught.value)


def test_connection_string_beside_what_it_says_is_refused():
    with pytest.raises(StorageConfigException, match="what the option account_key says"):
        AzureDriver("container", f"AccountName=acme;AccountKey={KEY}", account_key=KEY)


@pytest.mark.parametrize(
    ("environ", "location"),
    [
        (
            {
                "AZURE_STORAGE_CONNECTION_STRING": f"AccountName=acme;AccountKey={KEY}",
                "AZURE_STORAGE_ACCOUNT": "other",
                "AZURE_STORAGE_KEY": "b3RoZXI=",
            },
            "https://acme.blob.core.windows.net/files",
        ),
        (
            {"AZURE_STORAGE_ACCOUNT": "acme", "AZURE_STORAGE_KEY": KEY},
            "https://acme.blob.core.windows.net/files",
        ),
        (
            {"AZURE_STORAGE_ACCOUNT": "acme", "AZURE_STORAGE_SAS_TOKEN": "?sv=1&sig=a"},
            "https://acme.blob.core.windows.net/files",
        ),
        (
            {"AZURE_ACCOUNT_NAME": "acme", "AZURE_ACCOUNT_KEY": KEY},
            "https://acme.blob.core.windows.net/files",
        ),
        ({"AZURE_STORAGE_ACCOUNT": "acme"}, "https://acme.blob.core.windows.net/files"),
    ],
)
def test_from_env_reads_the_names_of_the_azure_cli(environ, location):
    driver = AzureDriver.from_env({"AZURE_STORAGE_CONTAINER": "files", **environ})
    assert driver.location == location
    assert driver._settings.is_entra == (len(environ) == 1)


def test_from_env_needs_a_container():
    environ = {"AZURE_STORAGE_CONNECTION_STRING": f"AccountName=acme;AccountKey={KEY}"}
    with pytest.raises(StorageConfigException, match="AZURE_STORAGE_CONTAINER"):
        AzureDriver.from_env(environ)
    assert container_of({"AZURE_CONTAINER": "django"}) == "django"


def test_options_without_an_account_take_that_of_the_environment(monkeypatch):
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", f"AccountName=acme;AccountKey={KEY}")
    assert "acme" in AzureDriver("files").location
    other = AzureDriver("files", account="other", account_key=KEY)
    assert "acme" not in other.location


def test_variable_that_is_invalid_is_named(monkeypatch):
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT", "acme")
    monkeypatch.setenv("AZURE_STORAGE_KEY", "no base64!")
    with pytest.raises(StorageConfigException, match="AZURE_STORAGE_KEY") as caught:
        AzureDriver("files")
    assert "no base64!" not in str(caught.value)
