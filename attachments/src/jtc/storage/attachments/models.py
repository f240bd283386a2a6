"""Records of attached files, as a database row holds them.

An `Attachment` is immutable: a row changes by assigning another one. Its JSON names the disk and
the directory that hold the files, so that a row stays valid when a field's settings change.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, SupportsIndex, TypedDict, overload

from jtc.storage.exceptions import StorageConfigException

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "Attachment",
    "AttachmentField",
    "AttachmentList",
    "PublicAttachment",
    "PublicVariant",
    "Variant",
]


class PublicVariant(TypedDict):
    """What a client may see of a variant.

    Attributes:
        url: Its URL.
        type: Its MIME type.
        width: Its width in pixels, if that is known before it is made.
        height: Its height in pixels, likewise.
    """

    url: str
    type: str
    width: int | None
    height: int | None


class PublicAttachment(TypedDict):
    """What a client may see of an attachment.

    Attributes:
        url: The URL of the original.
        name: The client's file name.
        type: The MIME type.
        size: The length in bytes.
        width: The width in pixels, of an image.
        height: The height in pixels, of an image.
        placeholder: The thumbhash of an image, in base64.
        variants: The variants of the field, by name.
    """

    url: str
    name: str
    type: str
    size: int
    width: int | None
    height: int | None
    placeholder: str | None
    variants: dict[str, PublicVariant]


class AttachmentField(Protocol):
    """The part of a declared field that its attachments use; `Field` has it."""

    @property
    def name(self) -> str:
        """The field's name within its registry."""
        ...

    def url_of(
        self,
        attachment: Attachment,
        variant: str | None = None,
        *,
        download: bool | str = False,
        expires_in: float | None = None,
    ) -> str:
        """Return the URL of an attachment; see `Attachment.url`."""
        ...

    def srcset_of(self, attachment: Attachment, *variants: str) -> str:
        """Return the candidates of a ``srcset``; see `Attachment.srcset`."""
        ...

    def variants_of(self, attachment: Attachment) -> dict[str, PublicVariant]:
        """Return what a client may see of the variants, by name."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A file that was made from an attachment's original.

    Attributes:
        recipe: The fingerprint of the recipe that made it.
        file: Its name beside the original: ``thumb-1a2b3c4d.webp``.
        content_type: Its MIME type.
        size: Its length in bytes.
        width: Its width in pixels, of an image.
        height: Its height in pixels, of an image.
    """

    recipe: str
    file: str
    content_type: str
    size: int
    width: int | None = None
    height: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object that a row holds."""
        values = {
            "recipe": self.recipe,
            "file": self.file,
            "type": self.content_type,
            "size": self.size,
            "width": self.width,
            "height": self.height,
        }
        return {name: value for name, value in values.items() if value is not None}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Variant:
        """Return the variant of a JSON object that `to_json` returned."""
        return cls(
            recipe=value["recipe"],
            file=value["file"],
            content_type=value["type"],
            size=value["size"],
            width=value.get("width"),
            height=value.get("height"),
        )


class Attachment:
    """A stored file that belongs to a record. It is immutable.

    It is no dataclass: serializers would write all of one into a response, the key among it, and
    make one of what a client sent. `to_public` has what a client may see.

    Attributes:
        id: Identifies the file, and cannot be guessed.
        disk: The name of the disk that holds it.
        directory: The directory that holds its directory: ``<namespace>/<directory of the field>``.
        file: The name of the original: ``original.jpg``.
        name: The client's file name, for display and downloads; "" where there was none.
        content_type: The MIME type, judged by the content.
        size: The length of the original in bytes.
        etag: The original's etag on its disk when it was stored.
        width: The width in pixels, of an image, after its EXIF orientation was applied.
        height: The height in pixels, of an image.
        placeholder: The thumbhash of an image, in base64.
        variants: The variants that were made before the commit, by name.
        properties: Values of the application's own: what JSON can hold.
        stored_at: When it was stored, in seconds since 1970 UTC.
        field: The declared field, which gives the attachment its URLs; None where it was loaded
            without one.
    """

    __slots__ = (
        "content_type",
        "directory",
        "disk",
        "etag",
        "field",
        "file",
        "height",
        "id",
        "name",
        "placeholder",
        "properties",
        "size",
        "stored_at",
        "variants",
        "width",
    )

    id: str
    disk: str
    directory: str
    file: str
    name: str
    content_type: str
    size: int
    etag: str | None
    width: int | None
    height: int | None
    placeholder: str | None
    variants: Mapping[str, Variant]
    properties: Mapping[str, Any]
    stored_at: float
    field: AttachmentField | None

    def __init__(
        self,
        *,
        id: str,  # noqa: A002 - the attribute's name
        disk: str,
        directory: str,
        file: str,
        name: str = "",
        content_type: str,
        size: int,
        etag: str | None = None,
        width: int | None = None,
        height: int | None = None,
        placeholder: str | None = None,
        variants: Mapping[str, Variant] | None = None,
        properties: Mapping[str, Any] | None = None,
        stored_at: float | None = None,
        field: AttachmentField | None = None,
    ) -> None:
        values = locals()
        values["variants"] = dict(variants or {})
        values["properties"] = dict(properties or {})
        values["stored_at"] = time.time() if stored_at is None else stored_at
        for attribute in self.__slots__:
            object.__setattr__(self, attribute, values[attribute])

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(
            f"An attachment is immutable: {name!r} cannot be set. Assign to the record what "
            "'changed' or 'with_properties' returns"
        )

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"An attachment is immutable: {name!r} cannot be deleted")

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Attachment):
            return self.to_json() == other.to_json()
        return NotImplemented

    def __repr__(self) -> str:
        return (
            f"Attachment(id={self.id!r}, name={self.name!r}, content_type={self.content_type!r}, "
            f"size={self.size})"
        )

    def __hash__(self) -> int:
        return hash(self.id)

    def __reduce__(self) -> tuple[Any, ...]:
        # Without the field, which belongs to this process, and leads to secrets.
        return Attachment.from_json, (self.to_json(),)

    def __copy__(self) -> Attachment:
        return self

    def __deepcopy__(self, _memo: object) -> Attachment:
        return self

    def __str__(self) -> str:
        return self.name or self.file

    def url(
        self,
        variant: str | None = None,
        *,
        download: bool | str = False,
        expires_in: float | None = None,
    ) -> str:
        """Return the URL of the original or of a variant. It asks neither database nor disk.

        The URL remains the same until a recipe changes, so browsers and CDNs cache the file. One
        that expires is the same for a quarter of its lifetime.

        Args:
            variant: The variant's name; None is the original.
            download: Whether browsers save the file, under its own name or the one given here,
                where they would show it.
            expires_in: For how many seconds the URL works at most, and at least for three
                quarters of them; None is the field's `url_lifetime`.

        Raises:
            ValueError: The field has no such variant, or the URL would work longer than files of
                dropped rows are kept.
            StorageConfigException: The attachment was loaded without its field.
        """
        return self._known_field().url_of(self, variant, download=download, expires_in=expires_in)

    def srcset(self, *variants: str) -> str:
        """Return variants as the value of the HTML attribute ``srcset``: ``url 200w, url 800w``.

        Args:
            *variants: Their names; none means all of the field's. One whose width is unknown is
                left out.

        Raises:
            ValueError: The field has no such variant.
            StorageConfigException: The attachment was loaded without its field.
        """
        return self._known_field().srcset_of(self, *variants)

    def _known_field(self) -> AttachmentField:
        if self.field is None:
            raise StorageConfigException(
                f"The attachment {self.id!r} was loaded without its field, which gives it URLs: "
                "load it by 'field.load(value)'"
            )
        return self.field

    @property
    def key(self) -> str:
        """The path of the original on its disk."""
        return f"{self.directory}/{self.id}/{self.file}"

    @property
    def own_directory(self) -> str:
        """The directory on its disk that holds the original, its variants, and nothing else."""
        return f"{self.directory}/{self.id}"

    def changed(self, **attributes: Any) -> Attachment:
        """Return the same attachment with other values of attributes.

        Raises:
            TypeError: There is no such attribute.
        """
        return Attachment(**{name: getattr(self, name) for name in self.__slots__} | attributes)

    __replace__ = changed  # copy.replace() of Python 3.13

    def with_properties(self, **properties: Any) -> Attachment:
        """Return the same attachment with properties set; one that is None is removed."""
        merged = {**self.properties, **properties}
        kept = {name: value for name, value in merged.items() if value is not None}
        return self.changed(properties=kept)

    def to_public(self) -> PublicAttachment:
        """Return what a client may see of it: JSON with neither key nor disk.

        Raises:
            StorageConfigException: The attachment was loaded without its field.
        """
        return {
            "url": self.url(),
            "name": self.name,
            "type": self.content_type,
            "size": self.size,
            "width": self.width,
            "height": self.height,
            "placeholder": self.placeholder,
            "variants": self._known_field().variants_of(self),
        }

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> Any:
        from jtc.storage.attachments.pydantic import attachment_schema  # noqa: PLC0415 - optional

        return attachment_schema(cls)

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: Any, _handler: Any) -> dict[str, Any]:
        from jtc.storage.attachments.pydantic import ATTACHMENT  # noqa: PLC0415 - optional

        return ATTACHMENT

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object that a row holds."""
        values = {
            "v": 1,
            "id": self.id,
            "disk": self.disk,
            "directory": self.directory,
            "file": self.file,
            "name": self.name,
            "type": self.content_type,
            "size": self.size,
            "etag": self.etag,
            "width": self.width,
            "height": self.height,
            "placeholder": self.placeholder,
            "variants": {name: variant.to_json() for name, variant in self.variants.items()},
            "properties": dict(self.properties),
            "stored_at": self.stored_at,
        }
        return {name: value for name, value in values.items() if value is not None}

    @classmethod
    def from_json(
        cls, value: Mapping[str, Any], field: AttachmentField | None = None
    ) -> Attachment:
        """Return the attachment of a JSON object that `to_json` returned.

        Raises:
            ValueError: A newer version of this library wrote it.
        """
        if value["v"] != 1:
            raise ValueError(
                f"The row of attachment {value['id']!r} has format {value['v']!r}, and this "
                "version of jtc-storage-attachments reads format 1: install a newer one"
            )
        return cls(
            id=value["id"],
            disk=value["disk"],
            directory=value["directory"],
            file=value["file"],
            name=value.get("name", ""),
            content_type=value["type"],
            size=value["size"],
            etag=value.get("etag"),
            width=value.get("width"),
            height=value.get("height"),
            placeholder=value.get("placeholder"),
            variants={
                name: Variant.from_json(variant)
                for name, variant in value.get("variants", {}).items()
            },
            properties=value.get("properties"),
            stored_at=value["stored_at"],
            field=field,
        )


class AttachmentList(Sequence[Attachment]):
    """Attachments of one field of one record, in their order. It is immutable.

    A row changes by assigning another list: ``user.photos = user.photos.with_added(photo)``.
    An object-relational mapper does not see changes within a JSON value.
    """

    __slots__ = ("_attachments",)

    def __init__(self, attachments: Iterable[Attachment] = ()) -> None:
        self._attachments = tuple(attachments)

    @overload
    def __getitem__(self, index: SupportsIndex) -> Attachment: ...
    @overload
    def __getitem__(self, index: slice) -> AttachmentList: ...
    def __getitem__(self, index: SupportsIndex | slice) -> Attachment | AttachmentList:
        if isinstance(index, slice):
            return AttachmentList(self._attachments[index])
        return self._attachments[index]

    def __len__(self) -> int:
        return len(self._attachments)

    def __iter__(self) -> Iterator[Attachment]:
        return iter(self._attachments)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, AttachmentList):
            return self._attachments == tuple(other)
        return NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(attachment.id for attachment in self))

    def __repr__(self) -> str:
        return f"AttachmentList({list(self._attachments)!r})"

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> Any:
        from jtc.storage.attachments.pydantic import list_schema  # noqa: PLC0415 - optional

        return list_schema(cls)

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: Any, _handler: Any) -> dict[str, Any]:
        from jtc.storage.attachments.pydantic import ATTACHMENT  # noqa: PLC0415 - optional

        return {"type": "array", "items": ATTACHMENT, "readOnly": True}

    def find(self, id: str) -> Attachment | None:  # noqa: A002 - the attribute's name
        """Return the attachment of this id, or None."""
        return next((each for each in self if each.id == id), None)

    def with_added(self, *attachments: Attachment, at: int | None = None) -> AttachmentList:
        """Return a list with more attachments, at the end or before the position `at`."""
        position = len(self) if at is None else at
        return AttachmentList([*self[:position], *attachments, *self[position:]])

    def without(self, *ids: str) -> AttachmentList:
        """Return a list without the attachments of these ids."""
        return AttachmentList(each for each in self if each.id not in ids)

    def moved(self, id: str, *, to: int) -> AttachmentList:  # noqa: A002 - the attribute's name
        """Return a list in which an attachment stands at the position `to`.

        Raises:
            KeyError: The list has no attachment of this id.
        """
        attachment = self.find(id)
        if attachment is None:
            raise KeyError(id)
        return self.without(id).with_added(attachment, at=to)
