"""Variables of the environment that are misspelt, ignored, or have what no value should have."""

from __future__ import annotations

import os
import shutil
import tempfile
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from jtc.storage.cli._doctor.model import warning

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jtc.storage.cli._doctor.configuration import Configuration
    from jtc.storage.driver_support.findings import Finding

__all__ = ["look_at_environment"]

_OF_LIBRARY = ("FILESYSTEM_CONFIG", "FILESYSTEM_DISK")

# What a driver reads only where nothing is configured, and what it reads in any case.
_OF_UNCONFIGURED = {
    "local": "FILESYSTEM_ROOT FILESYSTEM_URL FILESYSTEM_SECRET FILESYSTEM_VISIBILITY",
    "s3": "AWS_BUCKET AWS_URL",
    "azure": "AZURE_STORAGE_CONTAINER AZURE_CONTAINER",
    "gcs": "GCS_BUCKET GOOGLE_CLOUD_STORAGE_BUCKET GS_BUCKET_NAME",
    "sftp": "SFTP_HOST SFTP_PORT SFTP_USERNAME SFTP_PASSWORD SFTP_PRIVATE_KEY SFTP_PASSPHRASE "
    "SFTP_ROOT SFTP_HOST_KEY SFTP_KNOWN_HOSTS SFTP_URL",
    "opendal": "OPENDAL_SCHEME",
}
_OF_ALWAYS = {
    "s3": "AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_REGION AWS_DEFAULT_REGION "
    "AWS_ENDPOINT_URL AWS_ENDPOINT_URL_S3 AWS_IGNORE_CONFIGURED_ENDPOINT_URLS AWS_PROFILE "
    "AWS_DEFAULT_PROFILE AWS_CONFIG_FILE AWS_SHARED_CREDENTIALS_FILE AWS_CA_BUNDLE "
    "AWS_USE_DUALSTACK_ENDPOINT AWS_USE_FIPS_ENDPOINT",
    "azure": "AZURE_STORAGE_CONNECTION_STRING AZURE_STORAGE_ACCOUNT AZURE_STORAGE_KEY "
    "AZURE_STORAGE_SAS_TOKEN AZURE_STORAGE_BLOB_ENDPOINT AZURE_CONNECTION_STRING "
    "AZURE_ACCOUNT_NAME AZURE_ACCOUNT_KEY AZURE_SAS_TOKEN",
    "gcs": "GOOGLE_CLOUD_PROJECT GOOGLE_APPLICATION_CREDENTIALS STORAGE_EMULATOR_HOST",
}
_MAY_BE_EMPTY = {"AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"}

# Variables of other programs, which this library does not read: what to do in their place.
_IGNORED_ANYWHERE = {
    "FILESYSTEM_DRIVER": "Set FILESYSTEM_DISK: Laravel called it so until version 9",
    "FILESYSTEM_CLOUD": "Name the disk where it is used: Storage.disk(name)",
}
_IGNORED = {
    "s3": {
        "AWS_ACCESS_KEY": "Set AWS_ACCESS_KEY_ID",
        "AWS_BUCKET_NAME": "Set AWS_BUCKET",
        "AWS_ENDPOINT": "Set AWS_ENDPOINT_URL_S3, or endpoint_url",
        "AWS_S3_ENDPOINT": "Set AWS_ENDPOINT_URL_S3, or endpoint_url",
        "AWS_S3_ENDPOINT_URL": "Set AWS_ENDPOINT_URL_S3, or endpoint_url",
        "AWS_S3_ACCESS_KEY_ID": "Set AWS_ACCESS_KEY_ID",
        "AWS_S3_SECRET_ACCESS_KEY": "Set AWS_SECRET_ACCESS_KEY",
        "AWS_S3_SESSION_PROFILE": "Set AWS_PROFILE, or profile",
        "AWS_SECRET_KEY": "Set AWS_SECRET_ACCESS_KEY",
        "AWS_STORAGE_BUCKET_NAME": "Set AWS_BUCKET",
        "AWS_S3_BUCKET": "Set AWS_BUCKET",
        "AWS_S3_REGION_NAME": "Set AWS_REGION, or region",
        "AWS_USE_PATH_STYLE_ENDPOINT": "Remove it: the bucket is in the path wherever there is an "
        "endpoint_url; else set addressing_style",
        "AWS_S3_ADDRESSING_STYLE": "Set addressing_style in a configuration",
        "AWS_S3_CUSTOM_DOMAIN": "Set public_url in a configuration, or AWS_URL",
        "AWS_DEFAULT_ACL": "Set visibility in a configuration",
        "AWS_LOCATION": "Add the layer scoped: layers = [{name = 'scoped', prefix = '…'}]",
        "AWS_MAX_ATTEMPTS": "Set max_attempts in a configuration",
        "AWS_REQUEST_CHECKSUM_CALCULATION": "Set checksums in a configuration",
        "AWS_S3_VERIFY": "Set verify in a configuration",
        "AWS_S3_PROXIES": "Set proxy in a configuration, or HTTPS_PROXY",
    },
    "azure": {
        "AZURE_STORAGE_ACCOUNT_NAME": "Set AZURE_STORAGE_ACCOUNT",
        "AZURE_STORAGE_ACCOUNT_KEY": "Set AZURE_STORAGE_KEY",
        "AZURE_STORAGE_CONTAINER_NAME": "Set AZURE_STORAGE_CONTAINER",
        "AZURE_CUSTOM_DOMAIN": "Set public_url in a configuration",
        "AZURE_LOCATION": "Add the layer scoped: layers = [{name = 'scoped', prefix = '…'}]",
    },
    "gcs": {
        "GOOGLE_CLOUD_STORAGE_API_URI": "Set public_url in a configuration",
        "GOOGLE_CLOUD_STORAGE_PATH_PREFIX": "Add the layer scoped to a configuration",
        "GOOGLE_CLOUD_KEY_FILE": "Set GOOGLE_APPLICATION_CREDENTIALS",
        "GS_PROJECT_ID": "Set GOOGLE_CLOUD_PROJECT",
        "GS_LOCATION": "Add the layer scoped to a configuration",
        "GS_DEFAULT_ACL": "Set visibility in a configuration",
    },
    "sftp": {
        "SFTP_USER": "Set SFTP_USERNAME",
        "SFTP_KEY": "Set SFTP_PRIVATE_KEY",
        "SFTP_STORAGE_HOST": "Set SFTP_HOST",
        "SFTP_STORAGE_ROOT": "Set SFTP_ROOT",
    },
}
_OUR_PREFIXES = ("FILESYSTEM_", "SFTP_", "GCS_")
_SHARED_PREFIXES = ("AWS_", "AZURE_", "GOOGLE_")
_LEAST_TEMPORARY = 64 * 1024 * 1024
_QUOTES = "\"'"


def look_at_environment(config: Configuration) -> Iterator[Finding]:
    """Find what is wrong with the environment, in the light of the disks that there are.

    Args:
        config: The disks.
    """
    environ = os.environ
    drivers = {config.driver_of(name) for name in {*config.names, *config.tables}}
    read = _read_by(drivers, config)
    ignored = dict(_IGNORED_ANYWHERE)
    for driver in drivers:
        ignored |= _IGNORED.get(driver, {})
    if environ.get("FILESYSTEM_DISK"):
        del ignored["FILESYSTEM_DRIVER"]
    used = config.variables()
    for name in sorted(set(environ) - set(used)):
        if name in ignored:
            yield warning(
                id="env.ignored",
                message=f"The variable {name} has no effect.",
                evidence=f"{name} is set",
                fix=ignored[name],
            )
        elif close := _meant(name, read, drivers):
            yield warning(
                id="env.misspelt",
                message=f"The variable {name} has no effect: its name is most likely misspelt.",
                evidence=f"{name} is set, and {close} is not",
                fix=f"Call it {close}",
            )
    yield from _look_for_shadowed(config, used)
    yield from _look_at_temporary_space()
    for name in sorted(read | set(used)):
        if not environ.get(name) and used.get(name):
            continue  # its default counts
        if name in environ and (wrong := _wrong_value(name, environ[name])):
            yield warning(
                id="env.value",
                message=f"The value of the variable {name} {wrong}.",
                evidence=f"{name} has {len(environ[name])} characters",  # it may be a secret
                fix="Correct it where it is set: a .env file, a unit of systemd, a secret of "
                "Kubernetes (made by echo -n)",
            )


def _read_by(drivers: set[str], config: Configuration) -> set[str]:
    """Return the variables that are read for these drivers."""
    names = {*_OF_LIBRARY}
    for driver in drivers:
        names.update(_OF_ALWAYS.get(driver, "").split())
        if not config.tables:
            names.update(_OF_UNCONFIGURED.get(driver, "").split())
    return names


def _meant(name: str, read: set[str], drivers: set[str]) -> str | None:
    """Return the variable that a misspelt one most likely means, or None."""
    every = {*_OF_LIBRARY, *read}
    for names in (*_OF_UNCONFIGURED.values(), *_OF_ALWAYS.values()):
        every.update(names.split())
    if name in every or not name.startswith((*_OUR_PREFIXES, *_SHARED_PREFIXES)):
        return None
    # The other variables of these prefixes are mostly those of other programs.
    cutoff = 0.7 if name.startswith(_OUR_PREFIXES) else 0.88
    candidates = {each for each in every if each not in os.environ}
    if not drivers & {"local"} or not name.startswith("FILESYSTEM_"):
        candidates &= read
    return next(iter(get_close_matches(name, sorted(candidates), 1, cutoff)), None)


def _look_for_shadowed(config: Configuration, used: Mapping[str, bool]) -> Iterator[Finding]:
    """Find variables in whose place another one, or the configuration, counts."""
    environ = os.environ
    if config.tables:
        alone = [*_names(_OF_UNCONFIGURED), "FILESYSTEM_DISK"]
        if not config.has_default:
            alone.remove("FILESYSTEM_DISK")
        for name in alone:
            if environ.get(name) and name not in used:
                yield _shadowed(
                    name,
                    "FILESYSTEM_CONFIG configures all disks",
                    f"Remove it, or write ${{{name}}} where the configuration should have it",
                )
    s3 = any(config.driver_of(name) == "s3" for name in config.names)
    first, second = environ.get("AWS_REGION"), environ.get("AWS_DEFAULT_REGION")
    if s3 and first and second and first != second:
        yield _shadowed(
            "AWS_DEFAULT_REGION",
            f"AWS_REGION is {first}, and it comes first",
            "Set one of them, or both to one region",
        )


def _look_at_temporary_space() -> Iterator[Finding]:
    """Find a directory of temporary files that is not usable, or full."""
    given = next((name for name in ("TMPDIR", "TEMP", "TMP") if os.environ.get(name)), "TMPDIR")
    place = os.environ.get(given)
    try:
        used = tempfile.gettempdir()
        free = shutil.disk_usage(used).free
    except OSError:
        used, free = None, 0
    if used is not None and place and Path(place).resolve() != Path(used).resolve():
        yield _temporary(f"{given} is {place}, which cannot be written: {used} is used", given)
    elif used is None or free < _LEAST_TEMPORARY:
        yield _temporary(f"{used or place}: {free // 1024**2} MiB are free", given)


def _temporary(evidence: str, variable: str) -> Finding:
    return warning(
        id="env.temporary-space",
        message="Temporary files have no room, or not where they should: larger contents on their "
        "way to some drivers are kept there.",
        evidence=evidence,
        fix=f"Set {variable} to a directory with room, which this user may write",
    )


def _names(table: Mapping[str, str]) -> list[str]:
    return [name for names in table.values() for name in names.split()]


def _shadowed(name: str, evidence: str, fix: str) -> Finding:
    return warning(
        id="env.shadowed",
        message=f"The variable {name} has no effect: another setting counts.",
        evidence=evidence,
        fix=fix,
    )


def _wrong_value(name: str, value: str) -> str | None:
    """Return what is wrong with a value, or None."""
    if not value:
        return None if name in _MAY_BE_EMPTY else "is empty, which counts as not set"
    if value[-1] in "\r\n":
        return "ends in a newline"
    if value != value.strip():
        return "begins or ends with a space"
    if len(value) > 1 and value[0] == value[-1] and value[0] in _QUOTES:
        return "is in quotes, which are a part of it"
    return None
