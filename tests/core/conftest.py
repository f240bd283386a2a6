"""Fixtures for the tests of the core."""

from __future__ import annotations

from installed_site import site

__all__ = ["site"]
