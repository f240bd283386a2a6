"""The hooks: what a plugin may implement, and what it is told.

A plugin is any object with functions of these names that are marked with `hookimpl`: a module, or
an instance, registered by ``Storage.hooks.register(plugin)`` or installed under the entry-point
group ``jtc.storage.plugins``. An implementation is a plain function or an ``async def``, and takes
the event or nothing.

A before-hook that raises is a veto: the operation does not happen, and the caller gets the error.
An after-hook tells of what has happened, and cannot change it: what it raises is logged and told to
`storage_hook_failed`. Each before-hook is followed by an after-hook, or by `storage_failed`.

`stream`, `get_range` and `open` count as get, everything that stores content as put. A copy is a
copy only, also where it is done by reading and writing; a move is a move only. What fails before it
begins (a path that breaks the policy, a disk that is not there) is no operation.
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
    "BeforeCopy",
    "BeforeDelete",
    "BeforeGet",
    "BeforeMove",
    "BeforePut",
    "Event",
    "Failed",
    "HookFailed",
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
        id: The same in all that is told of one operation, unique in the process.
        disk: The disk's name.
        driver: The driver's name.
        operation: The method of `Disk` that was called, such as ``"put_file"``.
        path: The file, as the disk knows it; in a scoped view, below the scope.
        key: The file, as the driver beneath all views and layers knows it: what a rule goes by
            that no view may get round.
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
        options: The options of the put, as the caller gave them.
    """

    size: int | None
    options: Mapping[str, object] = field(repr=False)  # may hold keys


@dataclass(frozen=True, slots=True, kw_only=True)
class AfterPut(Event):
    """A file was stored.

    Attributes:
        size: Its length in bytes.
        duration: How long it took, in seconds.
    """

    size: int
    duration: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BeforeGet(Event):
    """A file is about to be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AfterGet(Event):
    """A file was read, to its end or not.

    Attributes:
        size: How many bytes were given to the caller.
        duration: How long it took, in seconds; of a stream, until it was closed.
    """

    size: int
    duration: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BeforeDelete(Event):
    """A file is about to be deleted; or, by ``delete_directory``, all that is below `path`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AfterDelete(Event):
    """A file was deleted.

    Attributes:
        found: Whether there was one; None of a directory.
        duration: How long it took, in seconds.
    """

    found: bool | None
    duration: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BeforeCopy(Event):
    """A file is about to be copied.

    Attributes:
        to_disk: The name of the copy's disk.
        to_path: The copy.
        to_key: The copy, as its driver knows it.
        options: The options of the copy, as the caller gave them.
    """

    to_disk: str
    to_path: str
    to_key: str
    options: Mapping[str, object] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AfterCopy(Event):
    """A file was copied.

    Attributes:
        to_disk: The name of the copy's disk.
        to_path: The copy.
        to_key: The copy, as its driver knows it.
        duration: How long it took, in seconds.
    """

    to_disk: str
    to_path: str
    to_key: str
    duration: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BeforeMove(BeforeCopy):
    """A file is about to be moved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AfterMove(AfterCopy):
    """A file was moved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed(Event):
    """An operation failed, was vetoed, or was cancelled.

    Attributes:
        error: What the caller gets; of a cancelled task, its `asyncio.CancelledError`.
        duration: How long it took, in seconds.
    """

    error: BaseException
    duration: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HookFailed:
    """An after-hook raised.

    Attributes:
        plugin: The plugin's name.
        hook: The hook's name.
        event: What it was told.
        error: What it raised.
    """

    plugin: str
    hook: str
    event: Event
    error: Exception


@hookspec
def storage_before_put(event: BeforePut) -> object:
    """Hear of a file that is about to be stored; raise to forbid it."""


@hookspec
def storage_after_put(event: AfterPut) -> object:
    """Hear of a file that was stored."""


@hookspec
def storage_before_get(event: BeforeGet) -> object:
    """Hear of a file that is about to be read; raise to forbid it."""


@hookspec
def storage_after_get(event: AfterGet) -> object:
    """Hear of a file that was read."""


@hookspec
def storage_before_delete(event: BeforeDelete) -> object:
    """Hear of a file, or a directory, that is about to be deleted; raise to forbid it."""


@hookspec
def storage_after_delete(event: AfterDelete) -> object:
    """Hear of a file, or a directory, that was deleted."""


@hookspec
def storage_before_copy(event: BeforeCopy) -> object:
    """Hear of a file that is about to be copied; raise to forbid it."""


@hookspec
def storage_after_copy(event: AfterCopy) -> object:
    """Hear of a file that was copied."""


@hookspec
def storage_before_move(event: BeforeMove) -> object:
    """Hear of a file that is about to be moved; raise to forbid it."""


@hookspec
def storage_after_move(event: AfterMove) -> object:
    """Hear of a file that was moved."""


@hookspec
def storage_failed(event: Failed) -> object:
    """Hear of an operation that failed, was vetoed, or was cancelled."""


@hookspec
def storage_hook_failed(event: HookFailed) -> object:
    """Hear of an after-hook that raised."""
