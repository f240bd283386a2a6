"""Options of `GCSDriver`, checked when the driver is made."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from jtc.storage.driver_support.option_checks import checked_visibility
from jtc.storage.drivers.gcs_driver._driver_options import resource_options
from jtc.storage.exceptions import StorageConfigException, UnsupportedOperationException
from jtc.storage.http_support.settings import GIB, MIB, HttpSettings, number_from

if TYPE_CHECKING:
    from jtc.storage.models import Visibility

__all__ = ["CHUNK_UNIT", "GOOGLE", "PREDEFINED_ACLS", "Settings", "emulator_url"]

GOOGLE = "https://storage.googleapis.com"

CHUNK_UNIT = 256 * 1024
"""https://cloud.google.com/storage/docs/performing-resumable-uploads#chunked-upload"""

PREDEFINED_ACLS = {"public": "publicRead", "private": "projectPrivate"}
"""The second one is what Google gives new files by itself."""

# Letters, digits, dashes, underscores and dots: https://cloud.google.com/storage/docs/buckets#naming
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_LOOPBACK = re.compile(r"(?:.+\.)?localhost|127(?:\.[0-9]+){3}|::1")


@dataclass(frozen=True, kw_only=True, eq=False)
class Settings(HttpSettings):
    """The options of `GCSDriver`, whose docstring explains them.

    Attributes:
        driver_fields: Those of an object that `driver_options` set.

    Raises:
        StorageConfigException: An option is invalid, or two contradict each other.
    """

    place_options: ClassVar[str] = "endpoint_url (STORAGE_EMULATOR_HOST in the environment)"
    url_options: ClassVar[tuple[str, ...]] = (
        *("endpoint_url", "signing_endpoint_url", "iam_endpoint_url", "public_url", "proxy"),
    )
    example_url: ClassVar[str] = GOOGLE
    credential_options: ClassVar[str] = "credentials_file or credentials_info"
    with_spaces: ClassVar[tuple[str, ...]] = ("ca_bundle", "credentials_file")
    beyond_ascii: ClassVar[tuple[str, ...]] = ("ca_bundle", "credentials_file", "public_url")

    bucket: str
    endpoint_url: str = GOOGLE
    project: str | None = None
    credentials_file: str | None = field(default=None, repr=False)
    credentials_info: Mapping[str, Any] | None = field(default=None, repr=False)
    credentials: Any = field(default=None, repr=False)
    anonymous: bool = False
    signing_email: str | None = None
    signing_endpoint_url: str | None = None
    iam_endpoint_url: str = "https://iamcredentials.googleapis.com"
    public_url: str | None = None
    requester_pays: bool = False
    hierarchical_namespace: bool = False
    visibility: Visibility | None = None
    multipart_threshold: int = number_from(1, GIB, 8 * MIB)
    part_size: int = number_from(CHUNK_UNIT, GIB, 8 * MIB)
    driver_options: Mapping[str, object] | None = None
    driver_fields: Mapping[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        if not self.bucket:
            raise StorageConfigException(
                "The gcs driver needs GCS_BUCKET set, or the option bucket"
            )
        super().__post_init__()
        if not _BUCKET.fullmatch(self.bucket):
            self.refuse(
                "bucket",
                "must be a bucket's name, without gs:// or a path: for the files below a prefix, "
                "use disk.scoped(prefix)",
            )
        self._check_urls()
        self._check_credentials()
        self._check_values()

    @property
    def memory_for_uploads(self) -> int:
        """Bytes that downloads leave free: a part that an upload waits for fits."""
        most = self.max_transfer_memory
        return max(most // 2, min(most, max(self.part_size, self.multipart_threshold + 1)))

    @property
    def public_base(self) -> str:
        """What precedes a file's path in its URL, with a ``/`` at the end."""
        return (self.public_url or f"{self.endpoint_url}/{self.bucket}").rstrip("/") + "/"

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def _check_urls(self) -> None:
        for name in ("endpoint_url", "signing_endpoint_url", "iam_endpoint_url"):
            if (url := getattr(self, name)) is not None:
                if urlsplit(url).path.strip("/"):
                    self.refuse(name, "must have no path: the bucket is an option of its own")
                self._set(name, url.rstrip("/"))

    def _check_credentials(self) -> None:
        if isinstance(self.credentials_info, str):
            try:
                self._set("credentials_info", json.loads(self.credentials_info))
            except ValueError:
                self.refuse("credentials_info", "must be a mapping, or its JSON")
        if not isinstance(self.credentials_info, Mapping | None):
            self.refuse("credentials_info", "must be a mapping, or its JSON")
        if self.credentials is not None and not hasattr(self.credentials, "refresh"):
            self.refuse("credentials", "must be google.auth.credentials.Credentials")
        names = ("credentials_file", "credentials_info", "credentials", "anonymous")
        given = [name for name in names if getattr(self, name) not in (None, False)]
        if len(given) > 1:
            known = ", ".join(given)
            raise StorageConfigException(f"Credentials are given twice: choose one of {known}")
        host = urlsplit(self.endpoint_url).hostname or ""
        if not self.is_secure and not self.anonymous and not _LOOPBACK.fullmatch(host):
            self.refuse(
                "endpoint_url", "must be by https: the token is sent; or set anonymous = true"
            )

    def _check_values(self) -> None:
        self._set("visibility", checked_visibility(self.visibility))
        if self.part_size % CHUNK_UNIT:
            self.refuse("part_size", "must be a multiple of 262144 bytes (256 KiB)")
        if self.max_transfer_memory < 2 * self.part_size:
            self.refuse("max_transfer_memory", "must be twice the part_size at least")
        if self.requester_pays and self.project is None:
            self.refuse("requester_pays", "needs the option project: the one that pays")
        if not isinstance(self.driver_options, Mapping | None):
            self.refuse("driver_options", "must be a mapping")
        reason = ""
        try:
            self._set("driver_fields", resource_options(self.driver_options or {}))
        except (UnsupportedOperationException, ValueError) as error:
            reason = str(error)
        if reason:
            raise StorageConfigException(reason)


def emulator_url(environ: Mapping[str, str]) -> str | None:
    """Return the URL in STORAGE_EMULATOR_HOST, which Google's libraries accept without a scheme."""
    host = environ.get("STORAGE_EMULATOR_HOST")
    if not host:
        return None
    return host if "://" in host else f"http://{host}"
