"""Declared fields: where the attachments of one column are stored, and by which rules."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from jtc.storage.attachments.models import Attachment
from jtc.storage.exceptions import StorageConfigException

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from jtc.storage import Disk
    from jtc.storage.attachments.recipes import Recipe
    from jtc.storage.attachments.registry import Registry

__all__ = ["Field", "Serve", "WhileMissing"]

Serve: TypeAlias = Literal["route", "direct"]
"""How URLs lead to files: through the application's route, or straight to a public disk."""

WhileMissing: TypeAlias = Literal["wait", "original", "placeholder"]
"""What a request for a variant gets while another process makes it."""

_VARIANT_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")


class Field:
    """The settings of one column or field with attachments.

    An integration makes it (`jtc.storage.attachments.sqlalchemy.attachment` does), names it and
    adds it to the application's `Registry`.

    Args:
        disk: The name of the disk.
        directory: The directory below the registry's namespace.
        many: Whether a record has a list of attachments, not one or none.
        max_size: The most bytes of an original, or text: ``"5MB"`` (10^6) or ``"5MiB"`` (2^20).
        min_size: The fewest bytes of an original.
        types: The MIME types that an original may have, judged by its content: ``"image/png"``,
            ``"image/*"``. None accepts any.
        variants: The recipes of the variants, by name.
        eager: The names of the variants that are made before the commit; the others are made when
            they are first requested.
        keep_latest: Of a list, how many remain: the oldest are dropped when more are added.
        serve: See `Serve`.
        while_missing: See `WhileMissing`.
        default_url: What `url_of` returns for a record without an attachment.
        url_lifetime: For how many seconds a URL works at least; None is until the file is deleted.
        properties: Properties that each new attachment has.
        moved_from: Names of disks that held the field's files before: URLs find them there until
            `move` has moved them all.

    Raises:
        StorageConfigException: A setting is invalid, or contradicts another.
    """

    def __init__(
        self,
        disk: str,
        directory: str,
        *,
        many: bool = False,
        max_size: int | str | None = None,
        min_size: int | str | None = None,
        types: Collection[str] | None = None,
        variants: Mapping[str, Recipe] | None = None,
        eager: Collection[str] = (),
        keep_latest: int | None = None,
        serve: Serve = "route",
        while_missing: WhileMissing = "wait",
        default_url: str | None = None,
        url_lifetime: float | None = None,
        properties: Mapping[str, Any] | None = None,
        moved_from: Collection[str] = (),
    ) -> None:
        self.disk_name = disk
        self.directory = directory
        self.many = many
        self.max_size = max_size
        self.min_size = min_size
        self.types = types
        self.variants: Mapping[str, Recipe] = dict(variants or {})
        self.eager = tuple(eager)
        self.keep_latest = keep_latest
        self.serve = serve
        self.while_missing = while_missing
        self.default_url = default_url
        self.url_lifetime = url_lifetime
        self.properties: Mapping[str, Any] = dict(properties or {})
        self.moved_from = tuple(moved_from)
        self._name: str | None = None
        self._registry: Registry | None = None
        for name in self.variants:
            if _VARIANT_NAME.fullmatch(name) is None:
                raise StorageConfigException(
                    f"A variant's name has lower-case letters, digits and '_', not {name!r}"
                )

    def bind(self, name: str, registry: Registry) -> None:
        """Name the field in a registry; `Registry.add` calls it.

        Raises:
            StorageConfigException: The field is in another registry.
        """
        if self._registry not in {None, registry}:
            raise StorageConfigException(f"The field {self.name!r} is in another registry")
        self._name, self._registry = name, registry

    @property
    def name(self) -> str:
        """The field's name within its registry: ``<table>.<column>``."""
        if self._name is None:
            raise StorageConfigException(f"The field of {self.directory!r} is in no registry")
        return self._name

    @property
    def registry(self) -> Registry:
        """The registry that the field was added to."""
        if self._registry is None:
            raise StorageConfigException(f"The field of {self.directory!r} is in no registry")
        return self._registry

    @property
    def disk(self) -> Disk:
        """The disk that new attachments are stored on."""
        return self.registry.disk(self.disk_name)

    def new_directory(self) -> tuple[str, str]:
        """Return a new id and the directory that holds the directories of new attachments."""
        return secrets.token_hex(16), f"{self.registry.namespace}/{self.directory}"

    def load(self, value: Mapping[str, Any]) -> Attachment:
        """Return the attachment of a row's JSON object."""
        return Attachment.from_json(value, self)

    def variant_file(self, variant: str) -> str:
        """Return the name of a variant's file: ``<variant>-<recipe><extension>``.

        Raises:
            KeyError: The field has no such variant.
        """
        recipe = self.variants[variant]
        return f"{variant}-{recipe.fingerprint}{recipe.extension}"
