"""Options of `AzureDriver`, checked when the driver is made."""

from __future__ import annotations

import base64
import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol
from urllib.parse import parse_qsl, urlsplit

from jtc.storage.drivers.azure_driver._driver_options import driver_headers
from jtc.storage.exceptions import StorageConfigException, UnsupportedOperationException
from jtc.storage.http_support.settings import MIB, HttpSettings, number_from

if TYPE_CHECKING:
    from collections.abc import Awaitable

__all__ = ["MIB", "MOST_BLOCKS", "AccessToken", "Credential", "Settings"]

# https://learn.microsoft.com/en-us/azure/storage/blobs/scalability-targets
MOST_BLOCKS = 50_000
_MOST_BLOCK, _MOST_PUT = 4000 * MIB, 5000 * MIB

# https://learn.microsoft.com/en-us/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata
_CONTAINER = re.compile(r"(?!.*--)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]|\$root|\$web")
_ACCOUNT = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_HOW = ("account_key", "sas_token", "credential", "anonymous")


class AccessToken(Protocol):
    """A token of Entra ID, as azure-identity returns it."""

    @property
    def token(self) -> str: ...
    @property
    def expires_on(self) -> int: ...


class Credential(Protocol):
    """A source of tokens: any credential of azure-identity, async or not."""

    def get_token(self, *scopes: str) -> AccessToken | Awaitable[AccessToken]:
        """Return a token for some scopes."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Settings(HttpSettings):
    """The options of `AzureDriver`, whose docstring explains them.

    Attributes:
        driver_headers: Those of `driver_options`.

    Raises:
        StorageConfigException: An option is invalid, or two contradict each other.
    """

    place_options: ClassVar[str] = (
        "account and endpoint_url (AZURE_STORAGE_CONNECTION_STRING in the environment)"
    )
    url_options: ClassVar[tuple[str, ...]] = (
        *("endpoint_url", "proxy", "public_url", "signing_endpoint_url"),
    )
    example_url: ClassVar[str] = "https://account.blob.core.windows.net"
    credential_options: ClassVar[str] = "account_key or sas_token"
    beyond_ascii: ClassVar[tuple[str, ...]] = ("ca_bundle", "public_url")

    container: str
    account: str | None = None
    account_key: str | None = field(default=None, repr=False)
    sas_token: str | None = field(default=None, repr=False)
    credential: object | None = field(default=None, repr=False)
    anonymous: bool = False
    public_url: str | None = None
    signing_endpoint_url: str | None = None
    multipart_threshold: int = number_from(1, _MOST_PUT, 16 * MIB)
    part_size: int = number_from(64 * 1024, _MOST_BLOCK, 8 * MIB)
    checksums: bool = True
    delete_snapshots: bool = False
    driver_options: Mapping[str, object] | None = None
    driver_headers: Mapping[str, str] = field(init=False)
    key: bytes | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.container:
            raise StorageConfigException(
                "The azure driver needs AZURE_STORAGE_CONTAINER set, or the option container"
            )
        if isinstance(self.sas_token, str):
            # As the portal shows it, or as a URL has it.
            self._set("sas_token", self.sas_token.strip().removeprefix("?") or None)
        super().__post_init__()
        if not _CONTAINER.fullmatch(self.container):
            self.refuse(
                "container",
                "must be 3 to 63 of a to z, 0 to 9 and single hyphens, without a path: for the "
                "files below a prefix, use disk.scoped(prefix)",
            )
        self._check_credentials()
        if self.endpoint_url is None:
            raise StorageConfigException("The azure driver needs the option account")
        if self.max_transfer_memory < self.part_size:
            self.refuse("max_transfer_memory", "must be part_size at least")
        self._check_driver_options()

    @property
    def base(self) -> str:
        """The path of the container at the endpoint."""
        return f"{self.root}/{self.container}"

    @property
    def root(self) -> str:
        """The path of the account at the endpoint; empty at Azure's own."""
        return urlsplit(self.endpoint_url or "").path.rstrip("/")

    @property
    def is_entra(self) -> bool:
        """Whether requests carry a token of Entra ID."""
        return self.credential is not None

    @property
    def memory_for_uploads(self) -> int:
        """Bytes that downloads leave free: a block that an upload waits for fits."""
        most = self.max_transfer_memory
        return max(most // 2, min(most, max(self.part_size, self.multipart_threshold + 1)))

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def check_url(self, name: str, url: str) -> None:
        """Refuse what is no URL, holds what would be shown, or has the container already."""
        super().check_url(name, url)
        if name == "endpoint_url" and url.rstrip("/").endswith(f"/{self.container}"):
            self.refuse(name, "is the account's: leave the container out, which is added")

    def _check_credentials(self) -> None:
        given = [name for name in _HOW if getattr(self, name) not in (None, False)]
        if len(given) > 1:
            known = ", ".join(given)
            raise StorageConfigException(f"Credentials are given twice: choose one of {known}")
        if not given:
            raise StorageConfigException(
                "The azure driver needs a connection_string, or account with account_key, "
                'sas_token, credential = "default" (Entra ID) or anonymous = true; or '
                "AZURE_STORAGE_CONNECTION_STRING in the environment"
            )
        if self.account is not None and not _ACCOUNT.fullmatch(self.account):
            self.refuse("account", "must be a storage account's name, without its host")
        self._set("key", None if self.account_key is None else self._decoded_key())
        if self.sas_token is not None and "sig" not in dict(parse_qsl(self.sas_token)):
            self.refuse("sas_token", "must be a shared access signature, such as 'sv=…&sig=…'")
        credential: Any = self.credential
        is_source = credential is None or callable(getattr(credential, "get_token", None))
        if not is_source and credential != "default":
            self.refuse("credential", 'must be one of azure-identity, or the text "default"')
        if credential is not None and not self.is_secure:
            self.refuse("credential", "needs an endpoint_url by https: its token is sent")

    def _decoded_key(self) -> bytes:
        if self.account is None:
            self.refuse("account_key", "needs the option account")
        key = b""
        with contextlib.suppress(ValueError):
            key = base64.b64decode(self.account_key or "", validate=True)
        if not key:
            self.refuse("account_key", "must be the base64 text that the portal shows")
        return key

    def _check_driver_options(self) -> None:
        if not isinstance(self.driver_options, Mapping | None):
            self.refuse("driver_options", "must be a mapping")
        reason = ""
        try:
            self._set("driver_headers", driver_headers(self.driver_options or {}))
        except (UnsupportedOperationException, ValueError) as error:
            reason = str(error)
        if reason:
            raise StorageConfigException(reason)
