"""Exceptions that end the program with an exit status."""

from __future__ import annotations

__all__ = ["BROKEN_PIPE", "FAILED", "INTERRUPTED", "USAGE", "ClosedPipe", "Failed", "UsageError"]

FAILED = 1
"""Something failed, or was found: a file that differs, a finding of the doctor."""

USAGE = 2
"""The command line or the configuration is wrong."""

INTERRUPTED = 130
"""Ctrl-C, as shells report it: 128 and the number of the signal."""

BROKEN_PIPE = 141
"""The reader of standard output has ended."""


class Failed(Exception):
    """The command has failed, and has said why.

    Args:
        status: The exit status.
    """

    def __init__(self, status: int = FAILED) -> None:
        super().__init__(status)
        self.status = status


class ClosedPipe(Failed):
    """The reader of standard output has ended, as `head` does."""

    def __init__(self) -> None:
        super().__init__(BROKEN_PIPE)


class UsageError(Exception):
    """The command line is wrong; the message says how it is right."""
