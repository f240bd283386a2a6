"""Keys and signatures are in no repr, error, traceback or log."""

from __future__ import annotations

import contextlib
import logging
import traceback

import pytest

from jtc.storage import StorageManager, exceptions
from jtc.storage.drivers.azure_driver import AzureDriver
from scripted_store import ALWAYS, Answer, Rule

KEY = "cGxhbnRlZC1zZWNyZXQ="
SIGNATURE = "planted-signature"


def shown(error: BaseException) -> str:
    """Return all that an error reporter may show."""
    report = traceback.TracebackException.from_exception(error, capture_locals=True)
    errors, each = [], error
    while each is not None:
        errors.append(f"{each!r} {each.args!r} {vars(each)!r}")
        each = each.__cause__ or each.__context__
    return "".join([*report.format(), *errors])


def secrets_in(text: str) -> list[str]:
    return [each for each in (KEY, "planted-secret", SIGNATURE, "SharedKey a") if each in text]


@pytest.fixture
async def drivers(scripted):
    scripted.rule(Rule(answer=Answer(403), times=ALWAYS))
    url = f"{scripted.endpoint_url}/bucket"
    made = [
        AzureDriver("files", account="a", account_key=KEY, endpoint_url=url, max_attempts=1),
        AzureDriver("files", sas_token=f"sv=1&sig={SIGNATURE}", endpoint_url=url, max_attempts=1),
        AzureDriver(
            "files",
            sas_token=f"sv=1&sig={SIGNATURE}",
            endpoint_url="http://127.0.0.1:9/a",
            max_attempts=1,
        ),
    ]
    yield made
    for driver in made:
        await driver.aclose()


async def test_errors_and_logs_show_no_secret(drivers, caplog):
    caplog.set_level(logging.DEBUG)
    for driver in drivers:
        manager = StorageManager.isolated()
        manager.set_driver(driver, "azure")
        disk = manager.disk("azure")
        assert secrets_in(f"{driver!r} {driver.location} {driver._settings!r} {disk!r}") == []
        for call in (disk.get("a"), disk.put("a", b"1"), disk.exists("a"), disk.copy("a", "b")):
            with pytest.raises(exceptions.StorageException) as caught:
                await call
            assert secrets_in(shown(caught.value)) == []
    assert secrets_in(caplog.text) == []


@pytest.mark.parametrize(
    "options",
    [
        {"connection_string": f"AccountName=a;AccountKey={KEY};BlobEndpoint=nonsense"},
        {"account": "a", "account_key": KEY, "sas_token": f"sig={SIGNATURE}"},
        {"account": "a", "account_key": KEY, "part_size": 0},
        {"account": "a", "sas_token": f"nosig={SIGNATURE}"},
        {"account": "a", "account_key": KEY + "\n"},
    ],
)
def test_options_that_are_refused_are_not_shown(options):
    with pytest.raises(exceptions.StorageConfigException) as caught:
        AzureDriver("files", **options)
    del options
    # The variables of the test itself have them.
    text = shown(caught.value)
    ours = [line for line in text.splitlines() if "options = " not in line]
    assert secrets_in("\n".join(ours)) == []


def test_environment_that_is_refused_is_not_shown():
    error = None
    environ = {"AZURE_STORAGE_ACCOUNT": "a", "AZURE_STORAGE_KEY": KEY}
    with contextlib.suppress(exceptions.StorageConfigException):
        AzureDriver.from_env(environ)
    try:
        AzureDriver.from_env(environ | {"AZURE_STORAGE_CONTAINER": "NO"})
    except exceptions.StorageConfigException as caught:
        error = caught
    del environ
    assert error is not None
    assert secrets_in(shown(error)) == []
