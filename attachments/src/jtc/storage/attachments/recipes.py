"""The `Recipe` Protocol, of what makes a variant of an original."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

__all__ = ["Recipe"]


@runtime_checkable
class Recipe(Protocol):
    """How a variant is made of an original; those of `jtc.storage.images` are recipes."""

    @property
    def fingerprint(self) -> str:
        """Eight characters of ``[0-9a-f]`` that change when the output would.

        They are in the name of each file that the recipe makes.
        """
        ...

    @property
    def content_type(self) -> str:
        """The MIME type of the output."""
        ...

    @property
    def extension(self) -> str:
        """The extension of the output, with its dot: ``.webp``."""
        ...
