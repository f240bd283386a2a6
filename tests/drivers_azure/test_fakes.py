"""Fakes of Azure disks in tests."""

from __future__ import annotations

import pytest

from jtc.storage import Storage, exceptions
from jtc.storage.driver import SIGNING_METHODS
from jtc.storage.drivers.azure_driver import AzureDriver

OPTIONS = {"driver": "azure", "container": "files", "account": "acme", "account_key": "a2V5"}


@pytest.fixture
def fake():
    Storage.configure({"default": "files", "disks": {"files": OPTIONS}})
    with Storage.fake("files") as disk:
        yield disk
    Storage.forget("files")
    Storage._config = None


async def test_fake_behaves_as_a_container(fake):
    await fake.put("a.txt", b"1", metadata={"a": "1"})
    assert (await fake.stat("a.txt")).content_type == "text/plain"
    assert fake.url("a.txt") == "https://acme.blob.core.windows.net/files/a.txt"
    with pytest.raises(exceptions.UnsupportedOperationException):
        await fake.set_visibility("a.txt", "public")
    with pytest.raises(ValueError, match="expires_in"):
        await fake.temporary_url("a.txt", 8 * 86_400)
    with pytest.raises(exceptions.UnsupportedOperationException, match="driver_options has no"):
        await fake.put("b", b"1", driver_options={"Tier": "Hot"})
    with pytest.raises(exceptions.RejectedException, match="Azure keeps 8192"):
        await fake.put("b", b"1", metadata={"a": "x" * 9000})
    with pytest.raises(exceptions.UnsupportedOperationException):
        await fake.temporary_upload_form("a", 60, max_size=1)


@pytest.mark.parametrize(
    "options",
    [
        None,
        {},
        {"container": "files"},
        {"container": "files", "connection_string": "AccountName=a;AccountKey=?"},
        {"container": "files", "account": "a", "credential": "default"},
        {"container": "files", "account": "a", "anonymous": True},
    ],
)
def test_fake_is_made_of_incomplete_options(options):
    driver = AzureDriver.for_fake(options)
    assert driver.fake_traits.check is not None
    assert SIGNING_METHODS
