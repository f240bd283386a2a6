"""Credentials: where they come from, when they are renewed, and that they are not shown."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import time
import traceback
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from jtc.storage import exceptions
from jtc.storage.drivers.gcs_driver import GCSDriver

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from google_store import GoogleStore

VARIABLES = (
    *("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT", "STORAGE_EMULATOR_HOST"),
    *("GCS_BUCKET", "GOOGLE_CLOUD_STORAGE_BUCKET", "GS_BUCKET_NAME"),
)


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))  # a developer's own login
    monkeypatch.setenv("NO_GCE_CHECK", "true")


@pytest.fixture
def secured(store: GoogleStore) -> GoogleStore:
    store.requires_token = True
    return store


async def test_service_account_is_given_by_a_file_a_mapping_or_json(
    secured: GoogleStore, make_driver: Callable[..., GCSDriver], tmp_path: Path
) -> None:
    file = tmp_path / "account.json"
    file.write_text(json.dumps(secured.account))
    for options in (
        {"credentials_file": str(file)},
        {"credentials_info": secured.account},
        {"credentials_info": json.dumps(secured.account)},
    ):
        driver = make_driver(**options)
        assert await driver.put("a", b"1") == "a"
        assert await driver.get("a") == b"1"


async def test_application_default_credentials_are_found(
    secured: GoogleStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "account.json"
    file.write_text(json.dumps(secured.account))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    driver = GCSDriver(secured.bucket, endpoint_url=secured.url)
    assert await driver.put("a", b"1") == "a"
    await driver.aclose()


async def test_workload_identity_federation_exchanges_its_token(
    secured: GoogleStore, make_driver: Callable[..., GCSDriver], tmp_path: Path
) -> None:
    (tmp_path / "subject").write_text("token of elsewhere")
    asked: list[dict[str, Any]] = []

    def exchange(request: web.Request) -> web.Response | None:
        if request.path != "/v1/token":
            return None
        asked.append({})
        secured.tokens.add("exchanged")
        return web.json_response(
            {
                "access_token": "exchanged",
                "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
                "token_type": "Bearer",
                "expires_in": 3600,
            }
        )

    secured.before = exchange
    driver = make_driver(
        credentials_info={
            "type": "external_account",
            "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": f"{secured.url}/v1/token",
            "credential_source": {"file": str(tmp_path / "subject")},
        }
    )
    assert await driver.put("a", b"1") == "a"
    assert len(asked) == 1


async def test_without_credentials_the_error_says_how_to_get_some(store: GoogleStore) -> None:
    driver = GCSDriver(store.bucket, endpoint_url=store.url)
    with pytest.raises(exceptions.StorageConfigException, match="GOOGLE_APPLICATION_CREDENTIALS"):
        await driver.exists("a")
    assert store.requests == []
    await driver.aclose()


async def test_tokens_are_obtained_once_and_renewed_before_they_end(
    secured: GoogleStore, make_driver: Callable[..., GCSDriver]
) -> None:
    driver = make_driver()
    await asyncio.gather(*(driver.put(f"a{number}", b"1") for number in range(20)))
    assert secured.requests.count("POST /token") == 1
    tokens = driver._transport.tokens
    token = tokens._token
    assert token is not None
    assert 3200 < token.renew_at - time.time() < 3400
    assert token.ends_at - time.time() > 3500
    object.__setattr__(token, "renew_at", 0.0)
    await driver.put("a", b"1")  # does not wait for the new one
    renewal = tokens._renewal
    if renewal is not None:
        await asyncio.wrap_future(renewal)
    assert secured.requests.count("POST /token") == 2


async def test_a_token_that_the_store_refuses_is_replaced(
    secured: GoogleStore, make_driver: Callable[..., GCSDriver]
) -> None:
    driver = make_driver()
    await driver.put("a", b"1")
    secured.tokens.clear()
    assert await driver.get("a") == b"1"
    assert secured.requests.count("POST /token") == 2


async def test_refused_credentials_are_a_permission_error(
    secured: GoogleStore, make_driver: Callable[..., GCSDriver]
) -> None:
    secured.before = lambda request: (
        web.json_response({"error": "invalid_grant"}, status=400)
        if request.path == "/token"
        else None
    )
    driver = make_driver()
    for _ in range(2):
        with pytest.raises(exceptions.StoragePermissionException, match="refuses the credentials"):
            await driver.put("a", b"1")


async def test_a_token_server_that_is_down_is_an_unavailable_store(
    secured: GoogleStore, make_driver: Callable[..., GCSDriver]
) -> None:
    account = {**secured.account, "token_uri": "http://127.0.0.1:9/token"}
    with pytest.raises(exceptions.StorageUnavailableException) as caught:
        await make_driver(credentials_info=account).put("a", b"1")
    assert caught.value.retryable


async def test_a_cancelled_user_of_a_token_leaves_it_to_the_others(
    secured: GoogleStore, make_driver: Callable[..., GCSDriver]
) -> None:
    driver = make_driver()
    first = asyncio.create_task(driver.put("a", b"1"))
    second = asyncio.create_task(driver.put("b", b"1"))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == "b"
    with pytest.raises(asyncio.CancelledError):
        await first
    assert secured.requests.count("POST /token") == 1


async def test_secrets_are_in_no_repr_error_traceback_or_log(
    secured: GoogleStore,
    make_driver: Callable[..., GCSDriver],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    driver = make_driver(max_attempts=1)
    await driver.put("a", b"1")
    shown = [repr(driver), repr(driver._settings), str(driver.__dict__)]
    token = next(iter(secured.tokens))
    secured.before = lambda _: web.Response(status=500, text="no")
    for call in (driver.get("a"), driver.put("a", b"2"), driver.stat("a")):
        with pytest.raises(exceptions.StorageException) as caught:
            await call
        shown.append(_with_locals(caught.value))
    secured.before = None
    secured.tokens.clear()
    secured.requires_token = True
    bad = {**secured.account, "token_uri": "http://127.0.0.1:9/token"}
    with pytest.raises(exceptions.StorageException) as caught:
        await make_driver(credentials_info=bad).get("a")
    shown.append(_with_locals(caught.value))
    shown.append(caplog.text)
    secret = secured.account["private_key"].splitlines()[3]
    for text in shown:
        assert token not in text
        assert secret not in text


def _with_locals(error: BaseException) -> str:
    # The frames of the test itself hold the store's key.
    report = traceback.TracebackException.from_exception(error, capture_locals=True)
    text = io.StringIO()
    while report is not None:
        for frame in report.stack:
            if "/tests/" not in frame.filename:
                text.write(f"{frame.filename} {frame.locals}\n")
        text.write("".join(report.format_exception_only()))
        report = report.__cause__ or report.__context__
    return text.getvalue()


def test_from_env_reads_what_googles_libraries_read(
    monkeypatch: pytest.MonkeyPatch, store: GoogleStore
) -> None:
    with pytest.raises(exceptions.StorageConfigException, match="GCS_BUCKET"):
        GCSDriver.from_env({})
    for name in ("GCS_BUCKET", "GOOGLE_CLOUD_STORAGE_BUCKET", "GS_BUCKET_NAME"):
        driver = GCSDriver.from_env({name: "media", "GOOGLE_CLOUD_PROJECT": "ours"})
        assert repr(driver) == "GCSDriver('media')"
        assert driver._settings.project == "ours"
    host = store.url.removeprefix("http://")
    for emulator in (host, store.url):
        environ = {"GCS_BUCKET": "media", "STORAGE_EMULATOR_HOST": emulator}
        driver = GCSDriver.from_env(environ)
        assert repr(driver) == f"GCSDriver('media', endpoint={host!r})"
        assert driver._settings.anonymous
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", host)
    assert GCSDriver("media").location == f"http://{host}/media"
    assert not GCSDriver("media", credentials_info={})._settings.anonymous


def test_driver_is_not_pickled() -> None:
    import pickle

    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(GCSDriver("media"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"bucket": ""}, "GCS_BUCKET"),
        ({"bucket": "gs://media"}, "without gs://"),
        ({"anonymous": True, "credentials_file": "x"}, "given twice"),
        ({"credentials_file": "/missing.json", "now": True}, "cannot be read"),
        ({"credentials_info": {"type": "acme"}, "now": True}, "no known type"),
        ({"credentials_info": "{"}, "its JSON"),
        ({"credentials": "text"}, "google.auth"),
        ({"endpoint_url": "http://store.example.com"}, "https"),
        ({"endpoint_url": "https://store.example.com/media"}, "no path"),
        ({"public_url": "https://a:b@cdn.example.com"}, "credentials"),
        ({"part_size": 300_000}, "multiple of"),
        ({"max_transfer_memory": 8 * 1024 * 1024}, "twice the part_size"),
        ({"requester_pays": True}, "needs the option project"),
        ({"visibility": "secret"}, "visibility"),
        ({"driver_options": {"acl": []}}, "customTime"),
        ({"driver_options": {"temporaryHold": 1}}, "True or False"),
    ],
)
async def test_option_that_cannot_be_meant_is_refused(options: dict[str, Any], said: str) -> None:
    now = options.pop("now", False) if "now" in options else False
    options = {"bucket": "media", **options}
    with pytest.raises(exceptions.StorageConfigException, match=said):
        await GCSDriver(**options).exists("a")
    if not now:
        with pytest.raises(exceptions.StorageConfigException, match=said):
            GCSDriver(**options)
