"""Checks of the options of `DiskStorage`."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.core.exceptions import ImproperlyConfigured

from jtc.storage import InvalidPathException
from jtc.storage.django._names import path_of
from jtc.storage.paths import check_directory

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["check_options"]

_OTHER_NAMES = {
    "acl": "visibility",
    "bucket": "disk",
    "bucket_name": "disk",
    "custom_domain": "base_url",
    "default_acl": "visibility",
    "expiration": "expires_in",
    "file_overwrite": "overwrite",
    "name": "disk",
    "object_parameters": "cache_control",
    "prefix": "location",
    "querystring_auth": "signed",
    "querystring_expire": "expires_in",
    "root": "location",
}
"""Options of other storages, and ours in their place."""


def check_options(
    disk: object,
    location: object,
    expires_in: float | timedelta,
    flags: Mapping[str, object],
    unknown: Mapping[str, object],
) -> None:
    """Check options that the disk would refuse only at the first use.

    Raises:
        ImproperlyConfigured: One is invalid.
        TypeError: There is no such option.
    """
    for name in unknown:
        instead = _OTHER_NAMES.get(name)
        hint = f": use {instead!r}" if instead else ""
        raise TypeError(f"DiskStorage has no option {name!r}{hint}")
    if disk is not None and not isinstance(disk, str):
        raise ImproperlyConfigured(
            f"DiskStorage takes the name of a disk, so that migrations can name it, not {disk!r}"
        )
    for name, value in flags.items():
        # A variable of the environment is text, and "false" would count as true.
        if not isinstance(value, bool | None):
            raise ImproperlyConfigured(f"{name} is True or False, not {value!r}")
    if str(location).startswith("/"):
        raise ImproperlyConfigured(
            f"location is a directory on the disk, without a '/' before it, not {location!r}"
        )
    try:
        check_directory(path_of(location))
    except InvalidPathException as error:
        raise ImproperlyConfigured(f"location is no directory on a disk: {error}") from error
    seconds = expires_in.total_seconds() if isinstance(expires_in, timedelta) else expires_in
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not seconds > 0:
        raise ImproperlyConfigured(
            f"expires_in is a number of seconds above 0, or a timedelta, not {expires_in!r}"
        )
