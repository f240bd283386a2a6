"""The scripts that complete the command line in bash, zsh and fish."""

from __future__ import annotations

from jtc.storage.cli._exits import UsageError

__all__ = ["install", "script"]


def script(shell: str) -> str:
    """Return the script of a shell."""
    raise UsageError(f"There is no completion for {shell!r}")


def install(shell: str) -> str:
    """Install the script of a shell; return what was done, and what is left to do."""
    raise UsageError(f"There is no completion for {shell!r}")
