"""Deletion of files whose transaction was rolled back.

Django has no hook for that. What is registered by `transaction.on_commit` is dropped with a
rollback, also with that of a savepoint, and with a connection that is closed: an object that is
dropped without having been called deletes its files.
"""

from __future__ import annotations

import logging
import threading
import weakref
from queue import SimpleQueue
from typing import TYPE_CHECKING

from django.db import connections

from jtc.storage.attachments._ingest import discard
from jtc.storage.attachments.django._registry import registry
from jtc.storage.attachments.django._rows import named
from jtc.storage.sync import run

if TYPE_CHECKING:
    from collections.abc import Collection

    from jtc.storage.attachments.django._pending import Stored
    from jtc.storage.attachments.models import Attachment

__all__ = ["keep_after_commit", "wait_for_deletions"]

_log = logging.getLogger("jtc.storage.attachments")


class _Owned:
    """The files of one save: called after the commit, or dropped without it."""

    def __init__(self, stored: Stored, using: str) -> None:
        self._left = stored.left
        self._finalizer = weakref.finalize(self, _rolled_back, stored.attachments, using)
        self._finalizer.atexit = False  # `purge` deletes those of a process that ends

    def __call__(self) -> None:
        self._finalizer.detach()
        for disk, directory in self._left:
            run(discard(registry().disk(disk), directory))


class _Deletions:
    """A thread that deletes files: the one that drops an object may be anywhere in its code."""

    def __init__(self) -> None:
        # Its `put` may interrupt itself: an object is dropped at any moment.
        self._queue: SimpleQueue[tuple[list[Attachment], str] | threading.Event] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def start(self) -> None:
        """Start the thread, once in each process."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._work, daemon=True, name="attachments")
                self._thread.start()

    def add(self, attachments: list[Attachment], using: str) -> None:
        """Delete files soon, unless a row names them."""
        self._queue.put((attachments, using))

    def wait(self) -> None:
        """Wait until those that were added before are deleted."""
        self.start()
        reached = threading.Event()
        self._queue.put(reached)
        reached.wait()

    def _work(self) -> None:
        while True:
            task = self._queue.get()
            if isinstance(task, threading.Event):
                task.set()
                continue
            attachments, using = task
            try:
                _delete(attachments)
            except Exception:
                _log.warning(
                    "Files of a transaction that was rolled back remain until the next purge: %s",
                    ", ".join(each.own_directory for each in attachments),
                    exc_info=True,
                )
            finally:
                connections[using].close()


_deletions = _Deletions()


def keep_after_commit(stored: Stored, using: str) -> _Owned:
    """Return what `transaction.on_commit` is to call; files are deleted if it is dropped."""
    if stored.attachments:
        _deletions.start()
    return _Owned(stored, using)


def wait_for_deletions() -> None:
    """Wait until the files of all transactions that were rolled back before are deleted."""
    _deletions.wait()


def _rolled_back(attachments: list[Attachment], using: str) -> None:
    if attachments:
        _deletions.add(attachments, using)


def _delete(attachments: Collection[Attachment]) -> None:
    """Delete files that no row names: a COMMIT without an answer may have succeeded."""
    found = {each.id for each in named({each.id for each in attachments})}
    for each in attachments:
        if each.id not in found:
            run(discard(registry().disk(each.disk), each.own_directory))
