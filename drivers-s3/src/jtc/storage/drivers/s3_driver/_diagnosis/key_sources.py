"""Findings about options and keys: where they come from, how long they last, what is odd."""

from __future__ import annotations

import configparser
import os
import re
import time
from contextlib import suppress
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from jtc.storage.driver_support.diagnosing import fault
from jtc.storage.driver_support.findings import Finding, Severity
from jtc.storage.drivers.s3_driver._transport.credentials import UnusableKeysException
from jtc.storage.drivers.s3_driver._transport.sdk_keys import NoCredentialsException
from jtc.storage.exceptions import StorageException
from jtc.storage.http_support.diagnosis import plain_finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jtc.storage.drivers.s3_driver._settings import Settings
    from jtc.storage.drivers.s3_driver._transport.credentials import Keys
    from jtc.storage.drivers.s3_driver._transport.transport import Transport

__all__ = ["contradiction", "key_findings", "option_findings"]

_SOON = 300.0
"""Seconds before their end in which keys that were asked for just now are nearly expired."""

_ACCESS_KEY = re.compile(r"(?:AKIA|ASIA)[A-Z0-9]{12,}")
"""https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html"""

# By the word of the SDK for each source of its chain.
_SOURCES = {
    "env": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "shared-credentials-file": "the profile {profile!r} of {keys}",
    "config-file": "the profile {profile!r} of {config}",
    "assume-role": "the role of the profile {profile!r} of {config}",
    "assume-role-with-web-identity": "the token in AWS_WEB_IDENTITY_TOKEN_FILE",
    "sso": "the SSO login of the profile {profile!r}",
    "login": "the login of the profile {profile!r}",
    "custom-process": "the credential_process of the profile {profile!r} of {config}",
    "container-role": "the role of the container",
    "iam-role": "the instance metadata of this machine",
}


def option_findings(settings: Settings) -> Iterator[Finding]:
    """Yield what is wrong with the options alone."""
    if settings.use_accelerate:
        reason = ""
        if settings.use_fips:
            reason = "use_accelerate and use_fips"
        elif settings.addressing_style == "path":
            reason = 'use_accelerate and addressing_style = "path"'
        elif "." in settings.bucket:
            reason = "use_accelerate and a bucket with dots in its name"
        if reason:
            yield contradiction(f"{reason} exclude each other")
            return
    if (finding := plain_finding(settings)) is not None:
        yield finding


def contradiction(reason: str) -> Finding:
    """Return the finding that options do not go together, or with the SDK that is installed."""
    return fault(
        id="s3.options",
        message="The options cannot be used together.",
        evidence=reason,
        fix="Leave one of them out",
    )


async def key_findings(transport: Transport) -> list[Finding]:
    """Return where keys were found and how long they last, or why there are none."""
    settings = transport.settings
    if settings.anonymous:
        return []
    try:
        keys = await transport.keys.renewed()
    except NoCredentialsException as error:
        return [_missing(settings, error)]
    except UnusableKeysException as error:
        return [_malformed(str(error), _source(settings, None))]
    except StorageException as error:
        return [_broken(settings, error)]
    source = _source(settings, keys)
    if odd := _oddity(keys):
        return [_malformed(odd, source)]
    return [_found(keys, source)]


def _found(keys: Keys, source: str) -> Finding:
    left = keys.ends_at - time.time()
    evidence = f"{source}; they end at no known time"
    if keys.ends_at != inf:
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(keys.ends_at))
        evidence = f"{source}; valid until {moment}"
    if left <= 0:
        return fault(
            id="s3.credentials-expired",
            message="The keys have expired.",
            evidence=evidence,
            fix="Renew them where they come from",
        )
    if left < _SOON:
        return Finding(
            id="s3.credentials-expiring",
            severity=Severity.WARNING,
            message=f"The keys expire in {left:.0f} s, though they were asked for just now.",
            evidence=evidence,
            fix="Have their source give keys that last longer",
        )
    return Finding(
        id="s3.credentials",
        severity=Severity.NOTICE,
        message="The keys were found.",
        evidence=evidence,
    )


def _oddity(keys: Keys) -> str:
    """Return what looks wrong with keys that can be sent; never a part of them."""
    texts = {"the access key": keys.access_key, "the secret key": keys.secret_key}
    if keys.token is not None:
        texts["the session token"] = keys.token
    for name, text in texts.items():
        if text[:1] in "\"'`" or text[-1:] in "\"'`":
            return f"{name} begins or ends with a quotation mark"
        if "${" in text or text.startswith("<"):
            return f"{name} is a placeholder that was not filled in"
    if _ACCESS_KEY.fullmatch(keys.secret_key):
        return "the secret key has the form of an access key: they may be interchanged"
    if keys.access_key.startswith("ASIA") and _ACCESS_KEY.fullmatch(keys.access_key):
        return "" if keys.token else "the access key is a temporary one and needs a session token"
    return ""


def _malformed(reason: str, source: str) -> Finding:
    return fault(
        id="s3.credentials-malformed",
        message="The keys cannot be meant as they are.",
        evidence=f"{reason} ({source})",
        fix="Write them without quotation marks, blanks and line breaks: printf, not echo",
    )


def _missing(settings: Settings, error: StorageException) -> Finding:
    looked_at = "the option session"
    if settings.session is None:
        looked_at = "; ".join(_places(settings, os.environ))
    return fault(
        id="s3.credentials-missing",
        message="No credentials were found.",
        evidence=f"looked at: {looked_at}",
        fix=str(error).partition(": ")[2] or "pass access_key and secret_key",
    )


def _broken(settings: Settings, error: StorageException) -> Finding:
    looked_at = f"; looked at: {'; '.join(_places(settings, os.environ))}"
    is_chain = settings.credentials is None and settings.session is None
    return fault(
        id="s3.credentials-source",
        message="The source of the keys fails.",
        evidence=f"{error}{looked_at if is_chain else ''}",
        fix="Put that source right, or use another: access_key and secret_key, profile",
    )


def _source(settings: Settings, keys: Keys | None) -> str:
    """Return where keys come from; of keys that cannot be used, what is known of that."""
    if settings.access_key is not None:
        return "the options access_key and secret_key"
    if settings.credentials is not None:
        return "the function of the option credentials"
    if settings.session is not None:
        return "the option session"
    names = _names(settings, os.environ)
    if keys is None:
        return "; ".join(_places(settings, os.environ))
    return _SOURCES.get(keys.source, keys.source or "the chain of the SDK").format(**names)


def _names(settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    return {
        "profile": settings.profile
        or environ.get("AWS_PROFILE")
        or environ.get("AWS_DEFAULT_PROFILE")
        or "default",
        "keys": environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials",
        "config": environ.get("AWS_CONFIG_FILE") or "~/.aws/config",
    }


def _places(settings: Settings, environ: Mapping[str, str]) -> Iterator[str]:
    """Yield each place that the SDK looks at, and what is there; never a value."""
    names = _names(settings, environ)
    key, secret = (environ.get(f"AWS_{each}") for each in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"))
    if key and secret:
        yield "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are set"
    elif key or secret:
        have, lack = ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY")[:: 1 if key else -1]
        yield f"AWS_{have} is set without AWS_{lack}"
    else:
        yield "AWS_ACCESS_KEY_ID is not set"
    yield _in_file(names["keys"], names["profile"], "{}")
    yield _in_file(names["config"], names["profile"], "profile {}")
    for name in (
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    ):
        yield f"{name} is {'set' if environ.get(name) else 'not set'}"
    is_off = environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true"
    off = "turned off by AWS_EC2_METADATA_DISABLED"
    yield f"the instance metadata {'is ' + off if is_off else 'has none, or does not answer'}"


def _in_file(path: str, profile: str, title: str) -> str:
    found = Path(path)
    with suppress(RuntimeError):
        found = found.expanduser()
    if not found.is_file():
        return f"{path} is not there"
    parser = configparser.RawConfigParser(default_section="")
    try:
        parser.read_string(found.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, configparser.Error):
        return f"{path} cannot be read"
    titles = {title.format(profile), profile if profile == "default" else title.format(profile)}
    section = next((each for each in titles if parser.has_section(each)), None)
    if section is None:
        return f"{path} has no profile {profile!r}"
    has_keys = parser.has_option(section, "aws_access_key_id")
    return f"{path} has the profile {profile!r} {'with' if has_keys else 'without'} keys"
