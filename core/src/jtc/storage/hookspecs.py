"""Hooks that a plugin may implement, and the events that they receive.

A plugin is any object with functions of these names that are marked with `hookimpl`: a module, or
an instance, registered by ``Storage.hooks.register(plugin)`` or installed under the entry-point
group ``jtc.storage.plugins``. An implementation is a plain function or an ``async def``, and takes
the event or nothing.

A before-hook that raises is a veto: the operation does not happen, and the caller gets the error.
An after-hook cannot change the result: its errors are logged and passed to `storage_hook_failed`.
Each before-hook is followed by an after-hook, or by `storage_failed`. A read of a file that is not
modified (`if_none_match`) is no failure.

`download`, `stream`, `get_range` and `open` count as get, every method that stores content as put.
A copy is a copy only, even where it is made by reading and writing; a move is a move only: a plugin
that is about each new file has hooks for all three. An operation that fails before it begins (an
invalid path, an unknown disk) has no events.

`storage_uploaded` is one hook for content that comes in from outside, whichever way it takes: after
each put, and for what a client sent to the store itself by `Disk.confirm_upload`. A copy or a move
is no upload: its content was in the storage before.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "PROJECT",
    "AfterCopy",
    "AfterDelete",
    "AfterGet",
    "AfterMove",
    "AfterPut",
    "AfterUpdate",
    "BeforeCopy",
    "BeforeDelete",
    "BeforeGet",
    "BeforeMove",
    "BeforePut",
    "BeforeUpdate",
    "Event",
    "Failed",
    "HookFailed",
    "Uploaded",
    "hookimpl",
]

PROJECT = "jtc.storage"
"""The project's name for pluggy."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks an implementation; takes pluggy's ``tryfirst``, ``trylast`` and ``specname``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One operation on one file.

    Attributes:
        id: The same in all events of one operation, unique in the process.
        disk: The disk's name.
        driver: The driver's name.
        operation: The method of `Disk` that was called, such as ``"put_file"``.
        path: The file's path on the disk; in a scoped view, below the scope.
        key: The file's path for the driver below all views and layers: a rule on it cannot be
            bypassed by a view.
    """

    id: int
    disk: str
    driver: str
    operation: str
    path: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BeforePut(Event):
    """A file is about to be stored.

    Attributes:
        size: Its length in bytes, where that is known beforehand.
        options: The options of the put as the caller passed them.
    """

    size: int | None
    options: Mapping[str, object] = field(repr=False)  # may hold keys


@dataclass(frozen=True, slots=True, kw_only=True)
class AfterPut(Event):
    """A file was stored.

    Attributes:
        size: Its length in bytes.
        etag: Its `FileInfo.etag`, if the driver said it.
        content_type: Its MIME type: as declared, else by its content, else by its name.
        options: The options of the put as the caller passed them.
        duration: How long it took, in seconds.
    """

    size: int
    etag: str | None = None
    content_type: str | None = None
    options: Mapping[str, object] = field(repr=False)
    duration: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BeforeGet(Event):
    """A file is about to be read.

    Attributes:
        options: The range and the conditions of the read, as the caller passed them.
    """

    options: Mapping[str, object] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AfterGet(Event):
    """A file was read, to its end or not; or it was not, as the caller has this version already.

    Attributes:
        size: How many bytes the caller received.
        etag: The file's `FileInfo.etag`, if the read shows it.
        content_type: Its MIME type, if the read shows it.
        not_modified: Whether the file still is the version of `if_none_match`.
        options: The range and the conditions of the read, as the caller passed them.
        duration: How long it took, in seconds; of a stream, until it was closed.
    """

    size: int
    etag: str | None = None
    content_type: str | None = None
    not_modified: bool = False
    options: Mapping[str, object] = field(repr=False)
    duration: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BeforeDelete(Event):
    """A file is about to be deleted.

    Or, by ``delete_directory``, everything below `path`; or, by ``remove_empty_directory``, an
    empty directory.

    Attributes:
        options: The condition of the deletion, as the caller passed it.
    """

    options: Mapping[str, object] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AfterDelete(Event):
    """A file was deleted.

    Attributes:
        found: Whether there was one; None of ``delete_directory``.
        options: The condition of the deletion, as the caller passed it.
        duration: How long it took, in seconds.
    """

    found: bool | None
    options: Mapping[str, object] = field(default_factory=dict, repr=False)
    duration: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _CopyEvent(Event):
    """One copy or move of one file.

    Attributes:
        to_disk: The name of the copy's disk.
        to_path: The copy's path.
        to_key: The copy's path for the driver below all views and layers.
    """

    to_disk: str
    to_path: str
    to_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BeforeCopy(_CopyEvent):
    """A file is about to be copied.

    Attributes:
        options: The options of the copy as the caller passed them.
    """

    options: Mapping[str, object] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AfterCopy(_CopyEvent):
    """A file was copied.

    Attributes:
        size: Its length in bytes, if it is known.
        etag: The copy's `FileInfo.etag`, if the driver said it.
        options: The options of the copy as the caller passed them.
        duration: How long it took, in seconds.
    """

    size: int | None = None
    etag: str | None = None
    options: Mapping[str, object] = field(repr=False)
    duration: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BeforeMove(BeforeCopy):
    """A file is about to be moved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AfterMove(AfterCopy):
    """A file was moved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _UpdateEvent(Event):
    """A change of a file's metadata or visibility, and not of its content.

    Attributes:
        options: What the caller passed to ``set_metadata``; the `visibility` of ``set_visibility``.
    """

    options: Mapping[str, object] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class BeforeUpdate(_UpdateEvent):
    """A file's metadata or visibility is about to be changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AfterUpdate(_UpdateEvent):
    """A file's metadata or visibility was changed.

    Attributes:
        etag: The file's new `FileInfo.etag`, if the driver said it.
        duration: How long it took, in seconds.
    """

    etag: str | None = None
    duration: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed(Event):
    """An operation failed, was vetoed, or was cancelled.

    Attributes:
        before: The event that the before-hooks received.
        error: The error that the caller gets; of a cancelled task, its `asyncio.CancelledError`.
        duration: How long it took, in seconds.
    """

    before: Event
    error: BaseException
    duration: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploaded(Event):
    """A file came in from outside: by a put, or by an upload that was confirmed.

    Attributes:
        size: Its length in bytes.
        etag: Its `FileInfo.etag`, if the driver said it.
        content_type: Its MIME type: as declared, else by its content, else by its name.
        options: The options of the put, or those of `Disk.confirm_upload`.
        idempotency_key: The same in all events about this version of this file, in any process: 64
            characters of ``[0-9a-f]`` that follow from the disk's name, the key and the etag. A put
            whose driver does not say an etag has one of its own.
    """

    size: int
    etag: str | None = None
    content_type: str | None = None
    options: Mapping[str, object] = field(repr=False)
    idempotency_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HookFailed:
    """An after-hook raised.

    Attributes:
        plugin: The plugin's name.
        hook: The hook's name.
        event: The event that it received.
        error: The error that it raised.
    """

    plugin: str
    hook: str
    event: Event
    error: Exception


@hookspec
def storage_before_put(event: BeforePut) -> object:
    """Receive an event before a file is stored; raise to veto it."""


@hookspec
def storage_after_put(event: AfterPut) -> object:
    """Receive an event after a file was stored."""


@hookspec
def storage_before_get(event: BeforeGet) -> object:
    """Receive an event before a file is read; raise to veto it."""


@hookspec
def storage_after_get(event: AfterGet) -> object:
    """Receive an event after a file was read."""


@hookspec
def storage_before_delete(event: BeforeDelete) -> object:
    """Receive an event before a file, or a directory, is deleted; raise to veto it."""


@hookspec
def storage_after_delete(event: AfterDelete) -> object:
    """Receive an event after a file, or a directory, was deleted."""


@hookspec
def storage_before_copy(event: BeforeCopy) -> object:
    """Receive an event before a file is copied; raise to veto it."""


@hookspec
def storage_after_copy(event: AfterCopy) -> object:
    """Receive an event after a file was copied."""


@hookspec
def storage_before_move(event: BeforeMove) -> object:
    """Receive an event before a file is moved; raise to veto it."""


@hookspec
def storage_after_move(event: AfterMove) -> object:
    """Receive an event after a file was moved."""


@hookspec
def storage_before_update(event: BeforeUpdate) -> object:
    """Receive an event before a file's metadata or visibility is changed; raise to veto it."""


@hookspec
def storage_after_update(event: AfterUpdate) -> object:
    """Receive an event after a file's metadata or visibility was changed."""


@hookspec
def storage_uploaded(event: Uploaded) -> object:
    """Receive an event after a file came in from outside, once or several times."""


@hookspec
def storage_failed(event: Failed) -> object:
    """Receive an event after an operation failed, was vetoed, or was cancelled."""


@hookspec
def storage_hook_failed(event: HookFailed) -> object:
    """Receive an event after an after-hook raised."""
