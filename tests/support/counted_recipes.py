"""Recipes that count their calls in a file, so that those of several processes are seen."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from jtc.storage.attachments.derivations import derive

if TYPE_CHECKING:
    from collections.abc import Callable

    from jtc.storage.attachments.derivations import Derivation


class Counted:
    """A recipe that reverses an original, and writes a line to a file for each call.

    Args:
        log: The file.
        seconds: How long a call takes.
        fails: What a call raises.
        during: Called in each call.
    """

    def __init__(
        self,
        log: Path,
        *,
        seconds: float = 0.0,
        fails: Exception | None = None,
        during: Callable[[], object] | None = None,
    ) -> None:
        self.log = log
        self.seconds = seconds
        self.fails = fails
        self.during = during

    @property
    def calls(self) -> int:
        """The number of calls so far, of all processes."""
        return len(self.log.read_text().splitlines()) if self.log.exists() else 0

    def __call__(self, original: Path) -> bytes:
        with self.log.open("a") as log:
            log.write("called\n")
        time.sleep(self.seconds)
        if self.during is not None:
            self.during()
        if self.fails is not None:
            raise self.fails
        return original.read_bytes()[::-1]

    def recipe(self, version: int = 1, content_type: str = "text/plain") -> Derivation:
        """Return it as a recipe."""
        return derive(self, version=version, content_type=content_type, extension=".txt")
