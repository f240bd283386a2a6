"""The program `jtc-storage`: its commands, which are imported when they are called."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the command that the command line names."""
    raise NotImplementedError
