"""Which disks send object calls themselves, and which leave all to the SDK.

Whatever the SDK's configuration holds and the direct way does not implement sends a disk to the
SDK. So does what nobody here has heard of: only what is known to make no difference is let pass.
Options: https://docs.aws.amazon.com/sdkref/latest/guide/settings-reference.html
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from jtc.storage.drivers.s3_driver._hosts import host_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jtc.storage.drivers.s3_driver._hosts import Host
    from jtc.storage.drivers.s3_driver._settings import Settings

__all__ = ["why_by_sdk"]

# About keys and where they come from, which the SDK finds out on both ways; about other programs;
# or settled by an option of the driver, which comes before both file and environment.
_IRRELEVANT_KEYS = frozenset(
    {
        *("region", "output", "profile", "credential_source", "credential_process"),
        *("source_profile", "external_id", "mfa_serial", "duration_seconds"),
        *("web_identity_token_file", "aws_security_token", "aws_account_id"),
        *("sts_regional_endpoints", "account_id_endpoint_mode", "parameter_validation"),
        *("retry_mode", "max_attempts", "addressing_style", "signature_version"),
        *("request_checksum_calculation", "response_checksum_validation"),
        *("disable_request_compression", "request_min_compression_size_bytes"),
        *("max_concurrent_requests", "max_queue_size", "max_bandwidth"),
        *("multipart_threshold", "multipart_chunksize", "preferred_transfer_client"),
        *("use_arn_region", "s3_use_arn_region", "s3_disable_multiregion_access_points"),
    }
)
_IRRELEVANT_STARTS = (
    *("aws_access_key_", "aws_secret_access_", "aws_session_token", "role_", "sso_", "cli_"),
    *("ec2_metadata_", "metadata_service_", "imds_"),
)
_IRRELEVANT_VARIABLES = re.compile(
    r"AWS_(?:BUCKET|URL|REGION|DEFAULT_REGION|DEFAULT_PROFILE|CONFIG_FILE|SHARED_CREDENTIALS_FILE"
    r"|ENDPOINT_URL_STS|ENDPOINT_URL_SSO(?:_OIDC)?|DEFAULT_OUTPUT|PAGER|SDK_LOAD_CONFIG|VAULT"
    r"|SESSION_EXPIRATION|CREDENTIAL_EXPIRATION|S3_USE_ARN_REGION"
    r"|S3_DISABLE_MULTIREGION_ACCESS_POINTS"
    r"|(?:LAMBDA|XRAY|EXECUTION|CONTAINER|ECS|CLI|SSO|CDK|SAM|AMPLIFY|CODEBUILD|BATCH)_\w+)"
)
_ENDPOINT_KEYS = frozenset({"endpoint_url", "services", "ignore_configured_endpoint_urls"})
"""An `endpoint_url` of the driver's own comes before them."""

_ASSIGNMENT = re.compile(r"\s*([^\s=:]+)\s*[=:]")


def why_by_sdk(settings: Settings, environ: Mapping[str, str]) -> str | None:
    """Return what sends a disk to the SDK; None where nothing does. Reads files.

    Args:
        settings: The disk's.
        environ: The environment's variables.
    """
    host = host_of(settings)
    if host is None:
        return "the bucket's name, region or endpoint"
    for name in _variables(environ):
        if _matters(name, settings, host):
            return f"the variable {name.upper()}"
    if host.scheme == "https" and environ.get("REQUESTS_CA_BUNDLE"):
        return "the variable REQUESTS_CA_BUNDLE"
    if _goes_by_proxy(host):
        return "a proxy"
    for variable, place in (
        ("AWS_CONFIG_FILE", "~/.aws/config"),
        ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"),
    ):
        path = Path(environ.get(variable) or place)
        for name in _assigned(path):
            if _matters(name, settings, host):
                return f"{name} in {path}"
    return None


def _variables(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield the names of the SDK's own variables, as its configuration file has them."""
    for name, value in environ.items():
        if not value:
            continue
        if name.startswith("AWS_"):
            if _IRRELEVANT_VARIABLES.fullmatch(name):
                continue
            shorter = name.removeprefix("AWS_").lower()
            if f"aws_{shorter}".startswith(_IRRELEVANT_STARTS):
                continue
            yield "endpoint_url" if shorter == "endpoint_url_s3" else shorter
        elif name.startswith(("BOTO_", "BOTOCORE_")):
            yield name.lower()


def _assigned(path: Path) -> Iterator[str]:
    """Yield the names of a configuration file's settings."""
    try:
        text = path.expanduser().read_text()
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, ValueError, RuntimeError):
        yield "something that cannot be read"
        return
    for line in text.splitlines():
        if line.lstrip().startswith(("#", ";")):
            continue
        found = _ASSIGNMENT.match(line)
        # "s3 =" is followed by lines of its own.
        if found and found[1].lower() != "s3":
            yield found[1].lower()


def _matters(name: str, settings: Settings, host: Host) -> bool:
    if name in _IRRELEVANT_KEYS or name.startswith(_IRRELEVANT_STARTS):
        return False
    if name == "ca_bundle":
        return host.scheme == "https"
    return not (name in _ENDPOINT_KEYS and settings.endpoint_url is not None)


def _goes_by_proxy(host: Host) -> bool:
    """Tell whether the SDK would ask a proxy: the system's, by the address's scheme."""
    # aiohttp imports it too.
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415

    return bool(getproxies().get(host.scheme)) and not proxy_bypass(host.name)
