"""The registry of a Django project, by its settings."""

from __future__ import annotations

from functools import cache
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from jtc.storage.attachments.registry import Registry
from jtc.storage.exceptions import StorageConfigException

__all__ = ["registry", "route_options", "uses_triggers"]

_SETTING = "STORAGE_ATTACHMENTS"
_OUTBOX = ("save", "trigger")


@cache
def registry() -> Registry:
    """Return the project's registry, with the options of the setting ``STORAGE_ATTACHMENTS``.

    They are those of `Registry`, ``outbox``, and ``route`` for those of the route. Without a
    ``secret``, ``SECRET_KEY`` signs, and ``SECRET_KEY_FALLBACKS`` are valid too.

    Raises:
        ImproperlyConfigured: The setting is missing, or an option is invalid.
    """
    options: dict[str, Any] = dict(_options())
    for other in ("outbox", "route"):
        options.pop(other, None)
    if "namespace" not in options:
        raise ImproperlyConfigured(
            f"{_SETTING} needs a 'namespace', the directory of this database's files on each disk"
        )
    options.setdefault("secret", [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS])
    try:
        return Registry(**options)
    except (StorageConfigException, TypeError) as error:
        raise ImproperlyConfigured(f"{_SETTING}: {error}") from error


def uses_triggers() -> bool:
    """Return whether triggers of the database write the outbox, by the option ``outbox``.

    Raises:
        ImproperlyConfigured: It is neither ``"save"`` nor ``"trigger"``.
    """
    chosen = _options().get("outbox", "save")
    if chosen not in _OUTBOX:
        raise ImproperlyConfigured(
            f"{_SETTING}: 'outbox' is one of {', '.join(map(repr, _OUTBOX))}, not {chosen!r}"
        )
    return bool(chosen == "trigger")


def route_options() -> dict[str, Any]:
    """Return the options of `jtc.storage.attachments.asgi.route`, by the option ``route``."""
    return dict(_options().get("route", {}))


def _options() -> dict[str, Any]:
    options: dict[str, Any] | None = getattr(settings, _SETTING, None)
    if options is None:
        raise ImproperlyConfigured(f"The setting {_SETTING} is missing: {{'namespace': 'shop'}}")
    return options
