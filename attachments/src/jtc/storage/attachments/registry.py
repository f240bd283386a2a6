"""The fields of one application, and what they share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jtc.storage import Storage
from jtc.storage.exceptions import StorageConfigException

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jtc.storage import Disk, StorageManager
    from jtc.storage.attachments.fields import Field
    from jtc.storage.attachments.records import Records
    from jtc.storage.driver_support.url_signing import Secrets

__all__ = ["Registry"]


class Registry:
    """The fields of one application, and what they share.

    Args:
        namespace: The first directory of all keys: several databases can share a bucket. It has
            letters, digits, ``-`` and ``_``.
        secret: Signs URLs and tokens; of several, the first one signs and all verify.
        base_url: Where the route is mounted: a path, or a whole URL of another host.
        keep: For how many seconds the files of a replaced or deleted row remain after the commit:
            at least as long as the URLs of any field work.
        storage: The manager of the disks; the process's by default.

    Attributes:
        records: The database's rows, once an integration has connected it.
    """

    def __init__(
        self,
        *,
        namespace: str,
        secret: Secrets,
        base_url: str = "/attachments",
        keep: float = 86_400,
        storage: StorageManager = Storage,
    ) -> None:
        self.namespace = namespace
        self.base_url = base_url.rstrip("/")
        self.keep = keep
        self.records: Records | None = None
        self._secret = secret
        self._storage = storage
        self._fields: dict[str, Field] = {}

    @property
    def fields(self) -> Mapping[str, Field]:
        """The fields, by name."""
        return self._fields

    def add(self, name: str, field: Field) -> None:
        """Add a field under a name that no other has.

        Raises:
            StorageConfigException: The name is taken, the field is in a registry already, or its
                URLs would work longer than files are kept.
        """
        if name in self._fields and self._fields[name] is not field:
            raise StorageConfigException(f"There are two fields {name!r}")
        if field.url_lifetime is not None and field.url_lifetime > self.keep:
            raise StorageConfigException(
                f"URLs of {name!r} work for {field.url_lifetime} s, and files are kept for "
                f"{self.keep} s after they were dropped: raise 'keep' or lower 'url_lifetime'"
            )
        field.bind(name, self)
        self._fields[name] = field

    def disk(self, name: str) -> Disk:
        """Return a disk by its name."""
        return self._storage.disk(name)
