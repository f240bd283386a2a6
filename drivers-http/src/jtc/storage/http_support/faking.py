"""Behaviour of a fake of a disk at a store by HTTP, in tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jtc.storage.driver import SIGNING_METHODS, FakeTraits
from jtc.storage.exceptions import RejectedException
from jtc.storage.models import Visibility

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jtc.storage.options import SignOptions, WriteOptions

__all__ = ["traits_of"]


def traits_of(
    visibility: Visibility | None,
    check_signed: Callable[[str, str, SignOptions], None],
    declared: Callable[[WriteOptions], object],
    store: str,
    most: int,
) -> FakeTraits:
    """Return how a fake behaves.

    Args:
        visibility: That of new files.
        check_signed: Refuses what cannot be presigned, by method, path and options.
        declared: Makes what a request declares of options, and refuses what it cannot.
        store: The store's name, for messages.
        most: How many bytes of metadata it keeps.
    """

    def check(method: str, path: str, options: Any) -> None:
        if method in SIGNING_METHODS:
            check_signed(method, path, options)
        else:
            declared(options)
            _check_metadata(options.metadata or {}, store, most)

    return FakeTraits(
        visibility=visibility or Visibility.PRIVATE,
        keeps_visibility=False,
        infers_types=True,
        check=check,
    )


def _check_metadata(metadata: Mapping[str, str], store: str, most: int) -> None:
    length = sum(len(name.encode()) + len(text.encode()) for name, text in metadata.items())
    if length > most:
        raise RejectedException(
            f"The metadata takes {length} bytes, and {store} keeps {most}", reason="metadata"
        )
