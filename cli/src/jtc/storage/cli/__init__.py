"""The command line of jtc-storage."""

from jtc.storage.cli._app import main

__all__ = ["main"]
