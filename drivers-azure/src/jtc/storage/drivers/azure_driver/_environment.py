"""Where an account is and how to sign, as Azure's tools write it and name it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from jtc.storage.exceptions import StorageConfigException

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["completed", "container_of"]

# https://learn.microsoft.com/en-us/azure/storage/common/storage-configure-connection-string
_KEYS = {
    "accountname": "account",
    "accountkey": "account_key",
    "sharedaccesssignature": "sas_token",
    "blobendpoint": "endpoint_url",
}
_SUFFIX = "core.windows.net"
_EMULATOR = "devstoreaccount1"
# Of the emulator, and public:
# https://learn.microsoft.com/en-us/azure/storage/common/storage-connect-azurite
_EMULATOR_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)

# The Azure CLI's names first, then those that django-storages suggests.
# https://learn.microsoft.com/en-us/cli/azure/azure-cli-configuration
_VARIABLES = {
    "connection_string": ("AZURE_STORAGE_CONNECTION_STRING", "AZURE_CONNECTION_STRING"),
    "account": ("AZURE_STORAGE_ACCOUNT", "AZURE_ACCOUNT_NAME"),
    "account_key": ("AZURE_STORAGE_KEY", "AZURE_ACCOUNT_KEY"),
    "sas_token": ("AZURE_STORAGE_SAS_TOKEN", "AZURE_SAS_TOKEN"),
    "endpoint_url": ("AZURE_STORAGE_BLOB_ENDPOINT",),
}
_CONTAINER = ("AZURE_STORAGE_CONTAINER", "AZURE_CONTAINER")
_WHERE = ("connection_string", "account", "endpoint_url")
_HOW = ("account_key", "sas_token", "credential", "anonymous")


def container_of(environ: Mapping[str, str]) -> str:
    """Return the container that the environment names; nothing where it names none."""
    return next((environ[name] for name in _CONTAINER if environ.get(name)), "")


def completed(options: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """Return a driver's options with what a connection string or the environment adds.

    The environment is read only where the options do not say which account it is.

    Args:
        options: Those of the driver, by name.
        environ: The environment.

    Raises:
        StorageConfigException: The connection string is invalid, or says what an option says too.
    """
    found = {name: value for name, value in options.items() if value is not None}
    sources: dict[str, str] = {}
    if not any(found.get(name) for name in _WHERE):
        sources = _variables(environ, is_signed=any(found.get(name) for name in _HOW))
        found |= {name: environ[variable] for name, variable in sources.items()}
    text = found.pop("connection_string", None)
    if text is not None:
        source = sources.get("connection_string", "The option connection_string")
        parsed = _parsed(text, source)
        if twice := sorted(parsed.keys() & found.keys()):
            raise StorageConfigException(f"{source} has what the option {twice[0]} says: drop one")
        sources |= dict.fromkeys(parsed, source)
        found |= parsed
    if found.get("endpoint_url") is None and found.get("account"):
        found["endpoint_url"] = f"https://{found['account']}.blob.{_SUFFIX}"
    if found.get("account") is None and found.get("endpoint_url"):
        found["account"] = _account_at(found["endpoint_url"])
    return {**found, "sources": sources}


def _variables(environ: Mapping[str, str], *, is_signed: bool) -> dict[str, str]:
    """Return which variables say what, by the options' names.

    Args:
        environ: The environment.
        is_signed: Whether the options say how to sign.
    """
    found = {
        name: variable
        for name, variables in _VARIABLES.items()
        if (variable := next((each for each in variables if environ.get(each)), None))
    }
    if is_signed:
        return {name: found[name] for name in found.keys() & {"account", "endpoint_url"}}
    if "connection_string" in found:  # it has it all, as the Azure CLI reads them
        return {"connection_string": found["connection_string"]}
    return found


def _parsed(text: object, source: str) -> dict[str, str]:
    """Return the options in a connection string."""
    if not isinstance(text, str):
        raise StorageConfigException(f"{source} must be text, not {type(text).__name__}")
    fields: dict[str, str] = {}
    for part in filter(None, (each.strip() for each in text.split(";"))):
        name, equals, value = part.partition("=")
        if not equals:
            raise StorageConfigException(f"{source} must consist of name=value;name=value")
        fields[name.strip().lower()] = value.strip()
    if fields.get("usedevelopmentstorage", "").lower() == "true":
        proxy = fields.get("developmentstorageproxyuri", "http://127.0.0.1").rstrip("/")
        fields = {
            "accountname": _EMULATOR,
            "accountkey": _EMULATOR_KEY,
            "blobendpoint": f"{proxy}:10000/{_EMULATOR}",
        }
    found = {option: fields[name] for name, option in _KEYS.items() if fields.get(name)}
    if "endpoint_url" in found:
        # Some portals write the signature there as well.
        found["endpoint_url"] = found["endpoint_url"].partition("?")[0].rstrip("/")
    elif "account" in found:
        scheme = fields.get("defaultendpointsprotocol", "https").lower()
        suffix = fields.get("endpointsuffix") or _SUFFIX
        found["endpoint_url"] = f"{scheme}://{found['account']}.blob.{suffix}"
    else:
        raise StorageConfigException(f"{source} needs AccountName or BlobEndpoint")
    return found


def _account_at(endpoint_url: object) -> str | None:
    """Return the account in a URL: the first part of Azure's hosts, else the path."""
    if not isinstance(endpoint_url, str):
        return None
    try:
        parts = urlsplit(endpoint_url)
    except ValueError:
        return None
    name, _, rest = (parts.hostname or "").partition(".")
    return name if rest.startswith("blob.") else parts.path.strip("/") or None
