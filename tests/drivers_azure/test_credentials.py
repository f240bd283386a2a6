"""Entra ID: tokens that sign requests, and keys of users that sign URLs."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import time
import urllib.request
from collections.abc import Iterator
from types import SimpleNamespace

import azure.identity
import pytest

from azurite import Azurite, AzuriteMissing
from certificates import loopback_certificate
from jtc.storage import exceptions
from jtc.storage.drivers.azure_driver import AzureDriver
from jtc.storage.options import SignOptions, WriteOptions


def _part(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def token(seconds=3600.0):
    """Return what azure-identity does; Azurite looks at the claims, and at no signature."""
    now = int(time.time())
    claims = {
        "aud": "https://storage.azure.com",
        "iss": "https://sts.windows.net/ab1f708d-50f6-404c-a006-d71b2ac7a606/",
        "iat": now - 10,
        "nbf": now - 10,
        "exp": now + 3600,
        "oid": "11059fcc-5514-4800-b5f8-49808b9cfab6",
        "tid": "ab1f708d-50f6-404c-a006-d71b2ac7a606",
    }
    text = f"{_part({'alg': 'HS256', 'typ': 'JWT'})}.{_part(claims)}.c2ln"
    return SimpleNamespace(token=text, expires_on=int(now + seconds))


class Blocking:
    """A credential as those of azure.identity."""

    def __init__(self, seconds=3600.0, *refused):
        self.calls, self._seconds, self._refused = 0, seconds, [*refused]

    def get_token(self, *scopes):
        assert scopes == ("https://storage.azure.com/.default",)
        self.calls += 1
        if self._refused:
            return SimpleNamespace(token=self._refused.pop(0), expires_on=int(time.time()) + 3600)
        return token(self._seconds)


class Async(Blocking):
    """One as those of azure.identity.aio."""

    async def get_token(self, *scopes):
        await asyncio.sleep(0.01)
        return super().get_token(*scopes)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    directory = tmp_path_factory.mktemp("azurite")
    loopback_certificate(directory)
    return directory


@pytest.fixture(scope="module")
def secure(certificate) -> Iterator[Azurite]:
    try:
        Azurite.install()
    except AzuriteMissing as missing:
        pytest.skip(str(missing))
    with Azurite(certificate=certificate) as store:
        yield store


@pytest.fixture
async def entra(secure, certificate):
    """Make drivers of a store by https, closed when the test ends."""
    made = []

    def make(credential, **options):
        driver = AzureDriver(
            secure.container,
            account=secure.account,
            endpoint_url=secure.endpoint_url,
            credential=credential,
            ca_bundle=str(certificate / "certificate.pem"),
            **options,
        )
        made.append(driver)
        return driver

    yield make
    for driver in made:
        await driver.aclose()


@pytest.mark.parametrize("kind", [Blocking, Async])
async def test_credential_signs_all_requests_with_one_token(entra, kind):
    credential = kind()
    driver = entra(credential)
    await asyncio.gather(*(driver.put(f"a/{number}", b"1") for number in range(20)))
    assert await driver.get("a/7") == b"1"
    await driver.copy_file("a/7", "b", WriteOptions())
    assert await driver.delete("b")
    assert credential.calls == 1


async def test_default_credential_is_that_of_azure_identity(entra, monkeypatch):
    credential = Blocking()
    monkeypatch.setattr(azure.identity, "DefaultAzureCredential", lambda: credential)
    driver = entra("default")
    await driver.put("a", b"1")
    assert await driver.get("a") == b"1"
    assert credential.calls == 1


async def test_token_that_has_almost_ended_is_renewed(entra):
    credential = Blocking(seconds=0)
    driver = entra(credential)
    for _ in range(3):
        await driver.exists("a")
    assert credential.calls == 3


async def test_token_that_the_store_refuses_is_renewed_once(entra):
    credential = Blocking(3600, "revoked")
    driver = entra(credential, max_attempts=1)
    assert not await driver.exists("missing")
    assert credential.calls == 2
    refused = entra(Blocking(3600, *["revoked"] * 9))
    with pytest.raises(exceptions.StoragePermissionException):
        await refused.exists("a")


async def test_credential_that_fails_is_a_permission_error_without_its_secrets(entra):
    class Failing:
        async def get_token(self, *_scopes):
            raise LookupError("client secret planted-secret is wrong")

    with pytest.raises(exceptions.StoragePermissionException, match="no token") as caught:
        await entra(Failing()).exists("a")
    assert "planted-secret" not in str(caught.value)


def test_one_credential_serves_many_loops(secure, certificate):
    credential = Blocking()
    driver = AzureDriver(
        secure.container,
        account=secure.account,
        endpoint_url=secure.endpoint_url,
        credential=credential,
        ca_bundle=str(certificate / "certificate.pem"),
    )
    for _ in range(3):
        asyncio.run(driver.put("a", b"1"))
    assert credential.calls == 1


async def test_user_delegation_key_signs_urls(entra, certificate):
    driver = entra(Async())
    await driver.put("a b", b"content")
    options = SignOptions(expires_in=60, content_disposition="attachment")
    url = await driver.temporary_url("a b", options)
    assert "skoid=11059fcc" in url
    context = ssl.create_default_context(cafile=certificate / "certificate.pem")

    def fetch():
        with urllib.request.urlopen(url, context=context) as answer:
            return answer.read(), answer.headers["content-disposition"]

    assert await asyncio.to_thread(fetch) == (b"content", "attachment")
    stable = SignOptions(expires_in=60, stable_for=86_400)
    urls = {await driver.temporary_url("a b", stable) for _ in range(3)}
    assert len(urls) <= 2  # a period may end meanwhile
