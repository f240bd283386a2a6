"""The command line of jtc-storage."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command that the command line names, and end the process with its exit status."""
    try:
        from jtc.storage.cli import _app  # noqa: PLC0415 - Ctrl-C may come during its imports
    except KeyboardInterrupt:
        sys.exit(130)
    _app.main()
