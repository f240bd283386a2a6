"""One situation has one text in the errors of all drivers."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from jtc.storage.driver_support.error_translation import translate
from jtc.storage.drivers.azure_driver._transport import errors as azure
from jtc.storage.drivers.gcs_driver._transport import errors as gcs
from jtc.storage.drivers.s3_driver._transport import errors as s3
from jtc.storage.http_support.requests import Refusal

if TYPE_CHECKING:
    from jtc.storage import StorageException


def refusals(status: int) -> dict[str, StorageException]:
    """Return the exception of each driver over HTTP for an answer without a code."""
    return {
        "azure": azure.exception_for(Refusal(status, "", ""), "media"),
        "gcs": gcs.exception_for(Refusal(status, "", ""), "media"),
        "s3": s3.exception_for(s3.S3Refusal(status, {}), "media"),
    }


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (304, "The file still is the version that if_none_match names"),
        (404, "File not found"),
        (412, "The file is not the version that if_match names"),
        (416, "The range begins past the file's end"),
    ],
)
def test_refusal_has_same_class_and_text_on_each_store(status: int, text: str) -> None:
    found = refusals(status)
    for error in found.values():
        assert str(error) == text, found
    assert len({type(error) for error in found.values()}) == 1


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (403, "Access denied"),
        (307, "redirects are not followed"),
        (503, "The store is unavailable"),
    ],
)
def test_refusal_names_same_situation_on_each_store(status: int, text: str) -> None:
    assert all(text in str(error) for error in refusals(status).values())


def test_missing_file_is_that_of_system_errors() -> None:
    missing = translate(FileNotFoundError(errno.ENOENT, "of the system"))
    assert {str(missing)} == {str(error) for error in refusals(404).values()}
