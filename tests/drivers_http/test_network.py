"""Verification of servers, and proxies."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import botocore
import pytest

from jtc.storage.exceptions import StorageConfigException
from jtc.storage.http_support import network
from jtc.storage.http_support.network import proxy_for, tls_context
from jtc.storage.http_support.settings import HttpSettings

BUNDLE = Path(botocore.__file__).with_name("cacert.pem").read_text(encoding="utf-8")
END = "-----END CERTIFICATE-----\n"
ONE_AUTHORITY = BUNDLE.partition(END)[0] + END


def test_tls_context_verifies_by_the_libraries_bundle_loaded_once() -> None:
    context = tls_context(HttpSettings())
    assert isinstance(context, ssl.SSLContext)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert len(context.get_ca_certs()) > 50
    assert tls_context(HttpSettings(endpoint_url="https://s3.test")) is context


def test_tls_context_has_the_systems_authorities_where_no_package_brings_some(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "ca.pem").write_text(ONE_AUTHORITY)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    monkeypatch.setattr(network.importlib.util, "find_spec", lambda _name: None)
    network._context.cache_clear()
    context = tls_context(HttpSettings())
    network._context.cache_clear()
    assert isinstance(context, ssl.SSLContext)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert len(context.get_ca_certs()) == 1


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"verify": False}, False),
        ({"verify": False, "ca_bundle": "/missing"}, False),
        ({"endpoint_url": "http://s3.test", "ca_bundle": "/missing"}, True),
    ],
)
def test_tls_context_without_verification_or_tls_loads_nothing(
    options: dict[str, Any], expected: bool
) -> None:
    assert tls_context(HttpSettings(**options)) is expected


def test_tls_context_of_ca_bundle_has_its_authorities_alone(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_text(ONE_AUTHORITY)
    settings = HttpSettings(ca_bundle=str(bundle))
    context = tls_context(settings)
    assert isinstance(context, ssl.SSLContext)
    assert len(context.get_ca_certs()) == 1
    assert tls_context(settings) is context
    os.utime(bundle, (1, 1))
    assert tls_context(settings) is not context


def test_tls_context_of_ca_bundle_in_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text(ONE_AUTHORITY)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert isinstance(tls_context(HttpSettings(ca_bundle="~/ca.pem")), ssl.SSLContext)


@pytest.mark.parametrize("content", [None, "", "no certificate"])
def test_tls_context_of_broken_ca_bundle_names_it(tmp_path: Path, content: str | None) -> None:
    bundle = tmp_path / "ca.pem"
    if content is not None:
        bundle.write_text(content)
    with pytest.raises(StorageConfigException, match=r"The option ca_bundle .*/ca\.pem"):
        tls_context(HttpSettings(ca_bundle=str(bundle)))
    settings = HttpSettings(ca_bundle=str(bundle), sources={"ca_bundle": "AWS_CA_BUNDLE"})
    with pytest.raises(StorageConfigException, match=r"AWS_CA_BUNDLE .*/ca\.pem"):
        tls_context(settings)


HTTP = "http://store.test:9000"
HTTPS = "https://store.test"


@pytest.mark.parametrize(
    ("endpoint_url", "environ", "expected"),
    [
        (HTTP, {}, None),
        (HTTP, {"http_proxy": "http://proxy.test"}, "http://proxy.test"),
        (HTTP, {"HTTP_PROXY": "http://id:k@proxy.test:1"}, "http://id:k@proxy.test:1"),
        (HTTP, {"http_proxy": "proxy.test:3128"}, "http://proxy.test:3128"),
        (HTTP, {"https_proxy": "http://proxy.test"}, None),
        (HTTPS, {"HTTPS_PROXY": "http://proxy.test"}, "http://proxy.test"),
        (HTTP, {"http_proxy": "http://proxy.test", "no_proxy": "store.test"}, None),
        (HTTP, {"http_proxy": "http://proxy.test", "no_proxy": "*"}, None),
        (HTTPS, {"https_proxy": "http://proxy.test", "NO_PROXY": "test"}, None),
        (HTTP, {"http_proxy": "http://proxy.test", "no_proxy": "other"}, "http://proxy.test"),
    ],
)
def test_proxy_for_is_the_systems_by_scheme_and_no_proxy(
    monkeypatch: pytest.MonkeyPatch,
    endpoint_url: str,
    environ: dict[str, str],
    expected: str | None,
) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    settings = HttpSettings(endpoint_url=endpoint_url)
    parts = urlsplit(endpoint_url)
    assert proxy_for(settings, parts.scheme, parts.hostname or "") == expected
    settings = HttpSettings(endpoint_url=endpoint_url, proxy="http://mine.test:1")
    assert proxy_for(settings, parts.scheme, parts.hostname or "") == "http://mine.test:1"
