"""Declared fields: where the attachments of one column are stored, and by which rules."""

from __future__ import annotations

import copy
import json
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, TypeAlias, get_args, overload

from jtc.storage.attachments import _urls
from jtc.storage.attachments._names import no_such
from jtc.storage.attachments._sizes import bytes_of
from jtc.storage.attachments.models import Attachment
from jtc.storage.driver_support.mime_types import checked_types
from jtc.storage.exceptions import InvalidPathException, StorageConfigException
from jtc.storage.paths import check_path

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from jtc.storage import Disk
    from jtc.storage.attachments.models import PublicVariant
    from jtc.storage.attachments.recipes import Recipe
    from jtc.storage.attachments.registry import Registry

__all__ = ["Analyzer", "Field", "Serve", "WhileMissing"]

Analyzer: TypeAlias = Callable[[BinaryIO], Mapping[str, Any] | Awaitable[Mapping[str, Any]]]
"""Returns properties of a new attachment by its content, which it gets as a binary file.

One that is not async runs in a worker thread. What it raises refuses the upload.
"""

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
        url_lifetime: For how many seconds a URL works at most, and at least for three quarters of
            them; None is until the file is deleted.
        properties: Properties that each new attachment has.
        analyzers: Functions that return more properties by the content; see `Analyzer`.
        placeholder: Whether images get a placeholder, a few bytes that show their colours.
        download_name: Returns the name under which browsers save an attachment; the client's
            name without it.
        moved_from: Where the field's files were before, each the name of a disk or a pair of a disk
            and a directory: URLs and tokens find them there until `move` has moved them all.

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
        analyzers: Collection[Analyzer] = (),
        placeholder: bool = True,
        download_name: Callable[[Attachment], str] | None = None,
        moved_from: Collection[str | tuple[str, str]] = (),
    ) -> None:
        self.disk_name = disk
        self.directory = directory
        self.many = many
        self._name: str | None = None
        self._files: dict[str, str] = {}
        self.max_size = bytes_of(f"{self._title()}: 'max_size'", max_size)
        self.min_size = bytes_of(f"{self._title()}: 'min_size'", min_size)
        self.types = types
        self.variants: Mapping[str, Recipe] = dict(variants or {})
        self.eager = (eager,) if isinstance(eager, str) else tuple(eager)
        self.keep_latest = keep_latest
        self.serve = serve
        self.while_missing = while_missing
        self.default_url = default_url
        self.url_lifetime = url_lifetime
        self.properties: Mapping[str, Any] = dict(properties or {})
        self.analyzers = tuple(analyzers)
        self.placeholder = placeholder
        self.download_name = download_name
        self.moved_from = (moved_from,) if isinstance(moved_from, str) else tuple(moved_from)
        self._registry: Registry | None = None
        self._check()

    def _check(self) -> None:
        """Check the settings."""
        try:
            self.directory = check_path(self.directory)
            if self.types is not None:
                self.types = checked_types(self.types)
            json.dumps(self.properties)
        except (InvalidPathException, TypeError, ValueError) as error:
            raise StorageConfigException(f"{self._title()}: {error}") from error
        for problem in self._problems():
            raise StorageConfigException(f"{self._title()}: {problem}")

    def _problems(self) -> Iterator[str]:
        for name in self.variants:
            if _VARIANT_NAME.fullmatch(name) is None or name == "original":
                yield (
                    "a variant's name has lower-case letters, digits and '_', and is not "
                    f"'original', not {name!r}"
                )
        for name in self.eager:
            if name not in self.variants:
                yield f"in 'eager': {no_such('variant', name, self.variants)}"
        if self.keep_latest is not None and (not self.many or self.keep_latest < 1):
            yield "'keep_latest' is 1 or more, and for a list of attachments"
        if (
            self.min_size is not None
            and self.max_size is not None
            and self.min_size > self.max_size
        ):
            yield f"'min_size' ({self.min_size}) is above 'max_size' ({self.max_size})"
        yield from self._problems_of_serving()

    def _problems_of_serving(self) -> Iterator[str]:
        for name, chosen, choices in (
            ("serve", self.serve, get_args(Serve)),
            ("while_missing", self.while_missing, get_args(WhileMissing)),
        ):
            if chosen not in choices:
                yield f"{name!r} is one of {', '.join(map(repr, choices))}, not {chosen!r}"
        if self.serve == "direct" and (lazy := sorted(set(self.variants) - set(self.eager))):
            yield (
                f"serve='direct' has no route that makes {', '.join(map(repr, lazy))} at the first "
                "request: name all variants in 'eager', or use serve='route'"
            )
        if self.serve == "direct" and self.url_lifetime is not None:
            yield "URLs of a public disk do not expire: 'url_lifetime' is for serve='route'"
        if self.url_lifetime is not None and self.url_lifetime < 1:
            yield f"'url_lifetime' is 1 second or more, not {self.url_lifetime!r}"

    def _title(self) -> str:
        name = self._name or self.directory
        return f"The attachment field {name!r}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._name or self.directory!r}>"

    def copy(self) -> Field:
        """Return a field with the same settings, in no registry: one for each class of a mixin."""
        new = copy.copy(self)
        vars(new).update(_name=None, _registry=None)
        return new

    def bind(self, name: str, registry: Registry) -> None:
        """Name the field in a registry; `Registry.add` calls it.

        Raises:
            StorageConfigException: The field is in another registry.
        """
        if self._registry not in {None, registry}:
            raise StorageConfigException(f"The field {self.name!r} is in another registry")
        self._name, self._registry = name, registry

    def _unregistered(self) -> StorageConfigException:
        return StorageConfigException(
            f"The field of {self.directory!r} is in no registry: add it first, by connect() or "
            "registry.add()"
        )

    @property
    def name(self) -> str:
        """The field's name within its registry: ``<table>.<column>``."""
        if self._name is None:
            raise self._unregistered()
        return self._name

    @property
    def registry(self) -> Registry:
        """The registry that the field was added to."""
        if self._registry is None:
            raise self._unregistered()
        return self._registry

    @property
    def places(self) -> list[tuple[str, str]]:
        """The disks and directories that may hold the field's files, the current one first."""
        before = [
            (each, self.directory) if isinstance(each, str) else each for each in self.moved_from
        ]
        namespace = self.registry.namespace
        return [
            (disk, f"{namespace}/{directory}")
            for disk, directory in ((self.disk_name, self.directory), *before)
        ]

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

    @overload
    def url_of(
        self,
        attachment: Attachment,
        variant: str | None = ...,
        *,
        download: bool | str = ...,
        expires_in: float | None = ...,
    ) -> str: ...
    @overload
    def url_of(
        self,
        attachment: Attachment | None,
        variant: str | None = ...,
        *,
        download: bool | str = ...,
        expires_in: float | None = ...,
    ) -> str | None: ...
    def url_of(
        self,
        attachment: Attachment | None,
        variant: str | None = None,
        *,
        download: bool | str = False,
        expires_in: float | None = None,
    ) -> str | None:
        """Return `Attachment.url`, or the field's `default_url` where there is no attachment.

        Raises:
            ValueError: As for `Attachment.url`.
        """
        if attachment is None:
            return self.default_url
        return _urls.url_of(self, attachment, variant, download=download, expires_in=expires_in)

    def srcset_of(self, attachment: Attachment | None, *variants: str) -> str:
        """Return `Attachment.srcset`, or ``""`` where there is no attachment.

        Raises:
            ValueError: As for `Attachment.srcset`.
        """
        return "" if attachment is None else _urls.srcset_of(self, attachment, variants)

    def variants_of(self, attachment: Attachment) -> dict[str, PublicVariant]:
        """Return what a client may see of the variants of an attachment, by name."""
        return _urls.variants_of(self, attachment)

    def variant_file(self, variant: str) -> str:
        """Return the name of a variant's file: ``<variant>-<recipe><extension>``.

        Raises:
            ValueError: The field has no such variant.
        """
        # Kept, since a recipe with a watermark hashes that for its fingerprint.
        if (file := self._files.get(variant)) is None:
            recipe = self.variants.get(variant)
            if recipe is None:
                raise ValueError(f"{self.name!r}: {no_such('variant', variant, self.variants)}")
            file = self._files[variant] = f"{variant}-{recipe.fingerprint}{recipe.extension}"
        return file
