"""Fixtures of the tests of the OpenDAL driver."""

from __future__ import annotations

from opendal_fixtures import ftp, redis_port, webdav

__all__ = ["ftp", "redis_port", "webdav"]
