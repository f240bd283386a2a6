"""`HttpSettings`: options of drivers over HTTP, and the errors that name them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest

from jtc.storage.exceptions import StorageConfigException
from jtc.storage.http_support.settings import MIB, HttpSettings, misfit, number_from

URL = "https://store.test"


@dataclass(frozen=True, kw_only=True, eq=False)
class AcmeSettings(HttpSettings):
    """Those of a driver."""

    url_options: ClassVar[tuple[str, ...]] = ("endpoint_url", "proxy", "public_url")
    with_spaces: ClassVar[tuple[str, ...]] = ("ca_bundle", "label")
    account: str
    label: str | None = None
    public_url: str | None = None
    key: str | None = field(default=None, repr=False)
    block_size: int = number_from(1, 10, 5)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"account": ""}, "The option account is empty"),
        ({"account": 5}, "The option account must be text, not int"),
        ({"account": "a\n"}, "The option account ends in a newline"),
        ({"account": "a b"}, "The option account contains a space"),
        ({"account": "ä"}, r"The option account ends in '\\xe4'"),
        ({"label": "a\tb"}, "The option label contains a tab"),
        ({"block_size": 11}, "The option block_size must be from 1 to 10, not 11"),
        ({"block_size": 1.5}, "The option block_size must be a whole number, not 1.5"),
        ({"block_size": True}, "The option block_size must be a whole number, not True"),
        ({"read_timeout": math.nan}, "The option read_timeout must be from"),
        ({"verify": 1}, "The option verify must be true or false, not 1"),
        ({"max_transfer_memory": MIB}, "The option max_transfer_memory must be from"),
        ({"endpoint_url": "store.test"}, "The option endpoint_url must be a URL such as https://s"),
        ({"endpoint_url": "https://:0"}, "The option endpoint_url must be a URL"),
        ({"endpoint_url": "ftp://a"}, "The option endpoint_url must be a URL"),
        ({"endpoint_url": "https://id:k@a"}, "The option endpoint_url must not hold credentials"),
        ({"endpoint_url": "https://a?b"}, "The option endpoint_url must end with its path"),
        ({"public_url": "https://a#b"}, "The option public_url must end with its path"),
        ({"proxy": "proxy"}, "The option proxy must be a URL"),
    ],
)
def test_settings_refuse_what_cannot_be_meant(options: dict[str, Any], expected: str) -> None:
    with pytest.raises(StorageConfigException, match=expected) as refused:
        AcmeSettings(**{"account": "a", "endpoint_url": URL, **options})
    assert "id:k" not in str(refused.value)


def test_settings_take_what_can_be_meant() -> None:
    settings = AcmeSettings(
        account="a", label="a b", proxy="http://id:k@proxy.test:1", ca_bundle="/a ö/b", block_size=1
    )
    assert settings.endpoint_url is None
    assert "id:k" not in repr(settings)
    assert settings.memory_for_uploads == 128 * MIB


def test_settings_name_where_a_value_comes_from() -> None:
    with pytest.raises(StorageConfigException, match="ACME_ACCOUNT is empty"):
        AcmeSettings(account="", sources={"account": "ACME_ACCOUNT"})


@pytest.mark.parametrize(
    ("url", "expected"), [(None, True), (URL, True), ("http://store.test", False)]
)
def test_settings_are_secure_by_https(url: str | None, expected: bool) -> None:
    assert AcmeSettings(account="a", endpoint_url=url).is_secure is expected


def test_misfit_of_a_text_that_can_be_meant_is_none() -> None:
    assert misfit("text") is None
    assert misfit("a b", spaces=True) is None
    assert misfit("ä", beyond_ascii=True) is None
