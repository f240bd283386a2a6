"""Options of the driver, checked when it is made."""

from __future__ import annotations

import difflib
import os
import re
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, unquote, urlsplit

import opendal

from jtc.storage.driver_support.option_checks import checked_base_url
from jtc.storage.drivers.opendal_driver._errors import OpenDALError, without_secrets
from jtc.storage.drivers.opendal_driver._services import (
    canonical_scheme,
    known_options,
    required_options,
    schemes,
)
from jtc.storage.exceptions import StorageConfigException

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["OWN_OPTIONS", "Settings", "make_operator", "make_settings", "without_keys"]

OWN_OPTIONS = frozenset(
    {
        "scheme",
        "root",
        "base_url",
        "staged",
        "etags",
        "accept_torn_writes",
        "request_timeout",
        "max_attempts",
        "max_concurrency",
    }
)
"""The options that are the driver's own; a service has none of these names but `root`."""

_SECRET = re.compile(
    "password|token|secret|key|credential|connection_string|service_account|delegation"
)
_DEFAULT = "0"
"""The number of a database that is meant where none is given."""

_NOT_PLACES = frozenset({"cluster_endpoints", "endpoint", "root", "user", "username"})

_USER_INFO = re.compile(r"//([^/@\s]*)@")


class Settings(NamedTuple):
    """What a driver was made with.

    Attributes:
        scheme: OpenDAL's name of the service.
        service: The service's options, as texts.
        secrets: Texts that nothing shows.
        base_url: What URLs begin with, or None.
        staged: Whether to write beside the target and rename; None: where the service needs it.
        etags: Whether the service's etags name versions; None: where that is known.
        accept_torn_writes: Write although a reader may see half a file.
        request_timeout: Seconds of a call.
        max_attempts: How often a call is made at most.
        max_concurrency: How many calls of one event loop are under way.
    """

    scheme: str
    service: Mapping[str, str]
    secrets: frozenset[str]
    base_url: str | None
    staged: bool | None
    etags: bool | None
    accept_torn_writes: bool
    request_timeout: float
    max_attempts: int
    max_concurrency: int

    @property
    def host(self) -> str:
        """Where the service is, without user and password; "" where no option says it."""
        return ",".join(each.partition("/")[0] for each in self._endpoints())

    @property
    def address(self) -> str:
        """The service's host, and the path of its endpoint."""
        return ",".join(self._endpoints())

    @property
    def location(self) -> str:
        """Where the files are. Without the credentials: two users may have the same files."""
        shown = {
            name: text
            for name, text in self.service.items()
            if not _SECRET.search(name) and name not in _NOT_PLACES and text != _DEFAULT
        }
        options = ",".join(f"{name}={text}" for name, text in sorted(shown.items()))
        return f"{self.scheme}://{self.address}{self.root}?{options}"

    @property
    def url_base(self) -> str:
        """What URLs begin with."""
        if self.base_url is not None:
            return self.base_url
        own, _, found = self.service.get("endpoint", "").partition("://")
        url_scheme = own if found else self.scheme
        return f"{url_scheme}://{self.address}{quote(self.root.rstrip('/'))}/"

    def _endpoints(self) -> list[str]:
        endpoint = self.service.get("endpoint") or self.service.get("cluster_endpoints") or ""
        return [_shown(each) for each in endpoint.split(",") if each]

    @property
    def root(self) -> str:
        """The directory of the service in which the files are."""
        return "/" + self.service.get("root", "/").strip("/")


def make_settings(
    scheme: str,
    service: Mapping[str, object],
    *,
    base_url: str | None,
    staged: bool | None,
    etags: bool | None,
    accept_torn_writes: bool,
    request_timeout: float,
    max_attempts: int,
    max_concurrency: int,
) -> Settings:
    """Return checked settings; nothing is sent.

    Raises:
        StorageConfigException: An option is invalid or unknown. The message names it, and no value.
    """
    if not isinstance(scheme, str) or not scheme:
        raise StorageConfigException("'scheme' is the name of a service, such as 'webdav'")
    for name, value in {"staged": staged, "etags": etags}.items():
        if value is not None and not isinstance(value, bool):
            raise StorageConfigException(f"{name!r} is true or false")
    if not isinstance(accept_torn_writes, bool):
        raise StorageConfigException("'accept_torn_writes' is true or false")
    _check_number("request_timeout", request_timeout, 0)
    _check_number("max_attempts", max_attempts, 1)
    _check_number("max_concurrency", max_concurrency, 1)
    _check_scheme(scheme)
    _check_names(scheme, service)
    texts = {name: _text(name, value) for name, value in service.items() if value is not None}
    return Settings(
        scheme=canonical_scheme(scheme),
        service=texts,
        secrets=_secrets(texts),
        base_url=None if base_url is None else checked_base_url(base_url).rstrip("/") + "/",
        staged=staged,
        etags=etags,
        accept_torn_writes=accept_torn_writes,
        request_timeout=float(request_timeout),
        max_attempts=int(max_attempts),
        max_concurrency=int(max_concurrency),
    )


def without_keys(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return a driver's options with what a fake needs in place of keys and missing ones."""
    kept = {"scheme": "memory", **options}
    scheme = canonical_scheme(str(kept["scheme"]))
    others = {"ftp", "mongodb", "mysql", "postgresql", "redis"}
    url = f"{scheme if scheme in others else 'https'}://fake.example.com/fake"
    needed = {
        "endpoint": url,
        "connection_string": url,
        "access_token": "fake",
        "region": "fake",
        "account_name": "fake",
        "disable_config_load": True,
        **dict.fromkeys(required_options(scheme), "fake"),
        "db": 0,
    }
    known = known_options(scheme) or frozenset()
    kept = {**{name: value for name, value in needed.items() if name in known}, **kept}
    kept |= {
        name: needed.get(name, "fake")
        for name, value in kept.items()
        if isinstance(value, str) and _SECRET.search(name)
    }
    return kept | {"root": "/"} if scheme == "fs" else kept  # OpenDAL makes the root


def make_operator(settings: Settings) -> opendal.AsyncOperator:
    """Return OpenDAL's client; no request is sent, and no thread started.

    Raises:
        StorageConfigException: OpenDAL refuses an option, or one is missing.
    """
    try:
        return opendal.AsyncOperator(settings.scheme, **settings.service)
    except OpenDALError as error:
        text = without_secrets(str(error), settings.secrets)
    # Without the error itself, whose text and variables have the options in them.
    said = " ".join(text.partition("=> ")[2].split("Context:")[0].replace("Source:", "").split())
    for name, value in settings.service.items():
        said = said.replace(f"'{value}'", "its value") if len(value) > 1 else said
        if name in said:
            break
    raise StorageConfigException(
        f"OpenDAL refuses the options of the service {settings.scheme!r}: {said[:300]}"
    )


def _check_scheme(scheme: str) -> None:
    available = schemes()
    if canonical_scheme(scheme) in {canonical_scheme(each) for each in available}:
        return
    close = difflib.get_close_matches(scheme, available, 1)
    hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(available)}"
    other = " The drivers of jtc-storage-sftp serve SFTP." if scheme == "sftp" else ""
    raise StorageConfigException(
        f"The installed opendal {opendal.__version__} has no service {scheme!r}: {hint}{other}"
    )


def _check_names(scheme: str, service: Mapping[str, object]) -> None:
    known = known_options(scheme)
    if known is None:
        return
    for name in service:
        if name not in known:
            choices = sorted(known | OWN_OPTIONS - {"scheme"})
            close = difflib.get_close_matches(name, choices, 1)
            hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(choices)}"
            raise StorageConfigException(
                f"OpenDAL's service {scheme!r} has no option {name!r}: {hint}"
            )


def _check_number(name: str, value: object, least: int) -> None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not (value >= least and value != 0):  # type: ignore[operator]
        raise StorageConfigException(f"{name!r} is a number above 0")


def _text(name: str, value: object) -> str:
    """Return the value of a service's option as OpenDAL takes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float, os.PathLike)):
        return os.fspath(value) if isinstance(value, os.PathLike) else str(value)
    raise StorageConfigException(
        f"The option {name!r} is a text, a number, true or false, not {type(value).__name__}"
    )


def _secrets(service: Mapping[str, str]) -> frozenset[str]:
    """Return the values that nothing shows, and the passwords within URLs."""
    found = set()
    for name, text in service.items():
        if _SECRET.search(name):
            found.add(text)
        for user_info in _USER_INFO.findall(text):
            password = user_info.partition(":")[2] or user_info
            found |= {password, unquote(password)}
    return frozenset(each for each in found if each)


def _shown(url: str) -> str:
    """Return a URL's host, port and path."""
    without_user = _USER_INFO.sub("//", url)
    parts = urlsplit(without_user)
    return (parts.netloc + parts.path if parts.netloc else parts.path).rstrip("/")
