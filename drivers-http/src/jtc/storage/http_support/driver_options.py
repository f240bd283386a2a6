"""The option `driver_options` of a store whose requests declare by headers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jtc.storage.exceptions import UnsupportedOperationException
from jtc.storage.http_support.header_values import ascii_header

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

__all__ = ["check_names", "headers_of"]


def check_names(options: Mapping[str, object], known: Collection[str], driver: str) -> None:
    """Check that a driver has all options of `driver_options`.

    Raises:
        UnsupportedOperationException: It does not have one.
    """
    for name in options:
        if name not in known:
            names = ", ".join(sorted(known))
            raise UnsupportedOperationException(
                f"driver_options has no {name!r}; {driver} has {names}"
            )


def headers_of(
    options: Mapping[str, object],
    headers: Mapping[str, str],
    text_of: Callable[[str, object], str],
    driver: str,
) -> dict[str, str]:
    """Return the headers of `driver_options`.

    Args:
        options: The option's value.
        headers: The header of each name that it may have.
        text_of: Makes the header's text of a name and a value.
        driver: The driver's name, for messages.

    Raises:
        UnsupportedOperationException: A name is unknown.
        ValueError: A value has a wrong type, or letters that HTTP headers cannot carry.
    """
    check_names(options, headers, driver)
    return {
        headers[name]: ascii_header(name, text_of(name, value)) for name, value in options.items()
    }
