"""Options that every driver over HTTP has, checked when the driver is made."""

from __future__ import annotations

import re
from collections.abc import Mapping  # noqa: TC003 - a field
from dataclasses import Field, dataclass, field, fields
from typing import Any, ClassVar, NoReturn, Protocol
from urllib.parse import urlsplit

from jtc.storage.exceptions import StorageConfigException

__all__ = ["GIB", "MIB", "HttpSettings", "NetworkSettings", "misfit", "number_from"]

MIB = 1024 * 1024
GIB = 1024 * MIB

_HOST = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]+")
_KINDS = {"bool": (bool,), "int": (int,), "float": (int, float)}
_WORDS = {"bool": "true or false", "int": "a whole number", "float": "a number"}
_BLANKS = {"\n": "a newline", "\r": "a carriage return", "\t": "a tab", " ": "a space"}


class NetworkSettings(Protocol):
    """What connections are made by: `HttpSettings` has it."""

    @property
    def is_secure(self) -> bool: ...  # noqa: D102
    @property
    def verify(self) -> bool: ...  # noqa: D102
    @property
    def ca_bundle(self) -> str | None: ...  # noqa: D102
    @property
    def proxy(self) -> str | None: ...  # noqa: D102
    @property
    def connect_timeout(self) -> float: ...  # noqa: D102
    @property
    def read_timeout(self) -> float: ...  # noqa: D102
    @property
    def pool_timeout(self) -> float: ...  # noqa: D102
    @property
    def max_connections(self) -> int: ...  # noqa: D102
    @property
    def max_transfer_memory(self) -> int: ...  # noqa: D102
    def refuse(self, name: str, reason: str) -> NoReturn: ...  # noqa: D102


def number_from(lowest: float, highest: float, default: float) -> Any:
    """Return the field of a number within limits.

    Args:
        lowest: The lowest that it may be.
        highest: The highest.
        default: What it is if nothing is passed.
    """
    return field(default=default, metadata={"range": (lowest, highest)})


@dataclass(frozen=True, kw_only=True, eq=False)
class HttpSettings:
    """Options that every driver over HTTP has; a driver's own are fields of a subclass.

    A subclass that overrides `__post_init__` calls this one first, which checks the types and
    limits of all fields.

    Attributes:
        place_options: What to check where the store is not reached: options, and the variables
            that they come from.
        url_options: The names of the options that are URLs.
        example_url: What such a URL looks like.
        credential_options: The options that take what a URL must not hold.
        with_spaces: The names of the options whose text may have spaces.
        beyond_ascii: The names of the options whose text may have any letters.
        endpoint_url: The store's URL. None: it follows from other options.
        proxy: The URL of an HTTP proxy, user and password included. None: HTTPS_PROXY, HTTP_PROXY
            and NO_PROXY.
        ca_bundle: The path of a PEM file with the certificates of authorities.
        verify: Check the certificate of the store.
        max_concurrency: How many parts of one transfer go at once, at most.
        max_connections: How many connections an event loop opens, at most.
        max_transfer_memory: Bytes that the parts of an event loop's transfers take, at most.
        max_attempts: How often a request is sent, at most.
        connect_timeout: Seconds for a connection.
        read_timeout: Seconds without a byte of an answer.
        request_timeout: Seconds of a request with its retries; more with content.
        copy_timeout: Those of a copy that the store makes.
        pool_timeout: Seconds to wait for a free connection.
        sources: Where values come from that are no options: a variable, or a key of a file.

    Raises:
        StorageConfigException: An option is invalid.
    """

    place_options: ClassVar[str] = "the option endpoint_url"
    url_options: ClassVar[tuple[str, ...]] = ("endpoint_url", "proxy")
    example_url: ClassVar[str] = "https://store.example.com"
    credential_options: ClassVar[str] = "them as options"
    with_spaces: ClassVar[tuple[str, ...]] = ("ca_bundle",)
    beyond_ascii: ClassVar[tuple[str, ...]] = ("ca_bundle",)

    endpoint_url: str | None = None
    proxy: str | None = field(default=None, repr=False)
    ca_bundle: str | None = None
    verify: bool = True
    max_concurrency: int = number_from(1, 1000, 32)
    max_connections: int = number_from(1, 10_000, 64)
    max_transfer_memory: int = number_from(8 * MIB, 1024 * GIB, 256 * MIB)
    max_attempts: int = number_from(1, 100, 3)
    connect_timeout: float = number_from(0.001, 3600.0, 3.0)
    read_timeout: float = number_from(0.001, 3600.0, 20.0)
    request_timeout: float = number_from(0.001, 86_400.0, 30.0)
    copy_timeout: float = number_from(0.001, 86_400.0, 60.0)
    pool_timeout: float = number_from(0.001, 86_400.0, 60.0)
    sources: Mapping[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        for each in fields(self):
            self._check_type(each, getattr(self, each.name, None))
        for name in self.url_options:
            if (url := getattr(self, name)) is not None:
                self.check_url(name, url)

    @property
    def is_secure(self) -> bool:
        """Whether requests go by https."""
        return self.endpoint_url is None or urlsplit(self.endpoint_url).scheme == "https"

    @property
    def memory_for_uploads(self) -> int:
        """Bytes that downloads leave free: a part that an upload waits for fits.

        Else two copies, each from the disk that the other one goes to, could wait for each other. A
        subclass whose parts may be larger than half of `max_transfer_memory` returns more.
        """
        return self.max_transfer_memory // 2

    def refuse(self, name: str, reason: str) -> NoReturn:
        """Raise the exception for an option, which is named by where it comes from.

        Raises:
            StorageConfigException: Always.
        """
        raise StorageConfigException(f"{self.sources.get(name, f'The option {name}')} {reason}")

    def check_url(self, name: str, url: str) -> None:
        """Refuse what is no URL, or holds what would be shown wherever the URL is.

        Raises:
            StorageConfigException: The option's value cannot be meant.
        """
        if not _is_url(url):
            self.refuse(name, f"must be a URL such as {self.example_url}")
        if "@" in url and name != "proxy":
            self.refuse(name, f"must not hold credentials: pass {self.credential_options}")
        if "?" in url or "#" in url:
            self.refuse(name, "must end with its path")

    def _check_type(self, option: Field[Any], value: Any) -> None:
        name, kind = option.name, str(option.type).removesuffix(" | None")
        if kind in _KINDS:
            if type(value) not in _KINDS[kind]:  # True is an int as well
                self.refuse(name, f"must be {_WORDS[kind]}, not {value!r}")
            lowest, highest = option.metadata.get("range", (False, True))
            if not lowest <= value <= highest:  # so is NaN refused
                self.refuse(name, f"must be from {lowest} to {highest}, not {value}")
        elif kind == "str" and (value is not None or option.type == "str"):
            spaces, beyond_ascii = name in self.with_spaces, name in self.beyond_ascii
            reason = misfit(value, spaces=spaces, beyond_ascii=beyond_ascii)
            if reason is not None:
                self.refuse(name, reason)


def _is_url(url: str) -> bool:
    """Return whether a text is a URL of HTTP with a host."""
    try:
        parts = urlsplit(url)
        is_port = parts.port != 0
    except ValueError:
        return False
    is_host = _HOST.fullmatch(parts.hostname or "") is not None
    return is_host and is_port and parts.scheme in ("http", "https")


def misfit(value: object, *, spaces: bool = False, beyond_ascii: bool = False) -> str | None:
    """Return why a value cannot be meant, such as ``"ends in a newline"``; None: it can.

    Args:
        value: What was passed for a text.
        spaces: Whether it may have spaces.
        beyond_ascii: Whether it may have any letters that can be printed.
    """
    if not isinstance(value, str) or not value:
        return "is empty" if value == "" else f"must be text, not {type(value).__name__}"
    for index, char in reversed([*enumerate(value)]):
        is_shown = char.isprintable() and (char.isascii() or beyond_ascii)
        if not is_shown or (char.isspace() and not spaces):
            where = "ends in" if index == len(value) - 1 else "contains"
            return f"{where} {_BLANKS.get(char, ascii(char))}"
    return None
