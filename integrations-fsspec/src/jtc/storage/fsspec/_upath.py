"""The class that universal-pathlib has for ``jtc://``, by its entry point."""

from __future__ import annotations

from upath import UPath

__all__ = ["JtcPath"]


class JtcPath(UPath):
    """A path ``jtc://disk/path``."""

    __slots__ = ()
