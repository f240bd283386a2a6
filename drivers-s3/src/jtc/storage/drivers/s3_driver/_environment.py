"""Settings of the environment and of ``~/.aws``, as the AWS SDKs read them.

https://docs.aws.amazon.com/sdkref/latest/guide/settings-reference.html
"""

from __future__ import annotations

import functools
import logging
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jtc.storage.exceptions import StorageConfigException

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["completed"]

_log = logging.getLogger("jtc.storage")

# Variables are in upper case, names of the files in lower case.
_PLACES = {
    "endpoint_url": "AWS_ENDPOINT_URL_S3 AWS_ENDPOINT_URL services.s3.endpoint_url endpoint_url",
    "region": "AWS_REGION AWS_DEFAULT_REGION region",
    "addressing_style": "s3.addressing_style",
    "use_accelerate": "s3.use_accelerate_endpoint",
    "use_dualstack": "AWS_USE_DUALSTACK_ENDPOINT use_dualstack_endpoint s3.use_dualstack_endpoint",
    "use_fips": "AWS_USE_FIPS_ENDPOINT use_fips_endpoint",
    "ca_bundle": "AWS_CA_BUNDLE ca_bundle REQUESTS_CA_BUNDLE",
}
_IGNORED = "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS ignore_configured_endpoint_urls"
_FLAGS = {"true": True, "false": False}
_WRONG_NAMES = ("AWS_ENDPOINT", "AWS_S3_ENDPOINT", "AWS_S3_ENDPOINT_URL")

_AWS_HOST = re.compile(
    r"https?://(?:[^/]+\.)?s3[.-](?:dualstack\.)?([a-z]{2}(?:-[a-z]+)+-[0-9])\."
    r"(?:vpce\.)?amazonaws\.com"
)


def completed(options: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the options with what they leave open as the environment and ``~/.aws`` say.

    The files are read only where they may say something that is still open.

    Args:
        options: Those of `S3Driver`; None leaves one open.
        environ: The environment's variables.

    Returns:
        The options of `Settings`, whose ``sources`` are where those come from that were open.

    Raises:
        StorageConfigException: A file cannot be read, or there is no such profile.
    """
    filled = {n: value for n, value in options.items() if n not in _PLACES or value is not None}
    session, sources = filled.get("session"), dict[str, str]()
    aws = _AwsConfig(environ, filled.get("profile") or getattr(session, "profile_name", None))
    for name, places in _PLACES.items():
        if name == "region" and (region := _implied_region(filled)):
            filled = {"region": region} | filled
        if name in filled or _is_needless(name, filled):
            continue
        if name == "endpoint_url" and aws.find(_IGNORED)[0].lower() == "true":
            continue
        value, source = aws.find(places)
        if value:
            filled[name], sources[name] = _FLAGS.get(value.lower(), value), source
    for name in _WRONG_NAMES if "endpoint_url" not in filled else ():
        if environ.get(name):
            _log.warning("%s has no effect: set AWS_ENDPOINT_URL_S3, or endpoint_url", name)
    return filled | {"sources": sources}


def _is_needless(name: str, filled: Mapping[str, Any]) -> bool:
    endpoint = filled.get("endpoint_url")
    if name.startswith("use_"):
        return endpoint is not None
    is_plain = filled.get("verify") is False or str(endpoint).startswith("http:")
    return name == "ca_bundle" and is_plain


def _implied_region(filled: Mapping[str, Any]) -> str | None:
    """Return the region of a given session, or the one in the name of a host of AWS."""
    region: str | None = getattr(filled.get("session"), "region_name", None)
    match = _AWS_HOST.match(str(filled.get("endpoint_url")))
    return region or (match and match[1])


class _AwsConfig:
    """Settings of one profile.

    Args:
        environ: The environment's variables, which come before the files.
        profile: The profile's name; None for the environment's, or the default one.
    """

    def __init__(self, environ: Mapping[str, str], profile: str | None) -> None:
        self._environ = environ
        self._profile = profile or self.find("AWS_PROFILE AWS_DEFAULT_PROFILE")[0] or "default"

    def find(self, places: str) -> tuple[str, str]:
        """Return the first value that is set, and where it is set; empty where none is."""
        for place in places.split():
            found = (self._environ.get(place, ""), place)
            if place.islower():
                found = self._values.get(place, ("", ""))
            if found[0]:
                return found
        return "", ""

    @functools.cached_property
    def _values(self) -> dict[str, tuple[str, str]]:
        name = self._profile
        config = self._environ.get("AWS_CONFIG_FILE") or "~/.aws/config"
        keys = self._environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials"
        sections, of_keys = _sections(config), _sections(keys)
        plain = sections.get("default") if name == "default" else None
        found = [plain, sections.get(f"profile {name}"), of_keys.get(name)]
        if name != "default" and found == [None, None, None]:
            raise StorageConfigException(f"There is no profile {name!r} in {config} or {keys}")
        values = {key: pair for section in found for key, pair in (section or {}).items()}
        services = sections.get(f"services {values.get('services', ('',))[0]}", {})
        return values | {f"services.{key}": pair for key, pair in services.items()}


def _sections(path: str) -> dict[str, dict[str, tuple[str, str]]]:
    """Return a file's values and where they are; those of a nested ``s3`` as ``s3.name``."""
    # As the SDKs: no error where there is no home, or the directory is another user's.
    file = os.path.expanduser(path)  # noqa: PTH111
    if not os.path.isfile(file):  # noqa: PTH113
        return {}
    import configparser  # noqa: PLC0415 - only where a file is read

    parser, reason = configparser.RawConfigParser(default_section=""), None
    try:
        parser.read_string(Path(file).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        reason = getattr(error, "strerror", None) or "it is no INI file in UTF-8"
    if reason is not None:
        # Not from the parser's error, which quotes lines of the file: there may be keys in them.
        raise StorageConfigException(f"{path} cannot be read: {reason}")
    found: dict[str, dict[str, tuple[str, str]]] = {}
    for title in parser.sections():
        values = found[" ".join(title.replace('"', "").split())] = {}
        for key, value in parser.items(title):
            values[key] = value, f"{key} in {path}"
            for line in value.split("\n")[1:]:
                name, inner = map(str.strip, line.partition("=")[::2])
                values[f"{key}.{name}"] = inner, f"{key}.{name} in {path}"
    return found
