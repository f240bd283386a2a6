"""Check that no two disks of a manager accept each other's presigned URLs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jtc.storage.exceptions import StorageConfigException
from jtc.storage.layer import layers_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jtc.storage._capabilities import ResolvedDriver
    from jtc.storage.driver_support.url_signing import UrlSigner

__all__ = ["check_signers"]


def check_signers(
    name: str, resolved: ResolvedDriver, others: Iterable[tuple[str, ResolvedDriver]]
) -> None:
    """Check that no other disk signs as a new one does, unless both have the same files.

    Args:
        name: The new disk's name.
        resolved: Its driver.
        others: The other disks, by name.

    Raises:
        StorageConfigException: One of them has the same `base_url` and a secret in common.
    """
    driver, signer = _signing(resolved)
    if signer is None:
        return
    for other, there in others:
        other_driver, other_signer = _signing(there)
        if (
            other != name
            and other_signer is not None
            and signer.base_url == other_signer.base_url
            and not set(signer.keys).isdisjoint(other_signer.keys)
            and not _is_same(driver, other_driver)
        ):
            raise StorageConfigException(
                f"The disks {name!r} and {other!r} have the base_url {signer.base_url!r} and a "
                "secret in common, so that each accepts the presigned URLs of the other: give each "
                "a base_url of its own",
                disk=name,
            )


def _signing(resolved: ResolvedDriver) -> tuple[object, UrlSigner | None]:
    """Return the driver below the layers, and what it signs with."""
    driver: object = resolved.driver
    for driver in layers_of(resolved.driver):
        if (signer := getattr(driver, "signer", None)) is None:
            continue
        from jtc.storage.driver_support.url_signing import UrlSigner  # noqa: PLC0415 - such drivers have it

        if isinstance(signer, UrlSigner):
            return driver, signer
    return driver, None


def _is_same(one: object, other: object) -> bool:
    place = getattr(one, "location", None)
    same_place = place is not None and place == getattr(other, "location", None)
    return one is other or (type(one) is type(other) and same_place)
