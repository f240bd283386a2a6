"""Drivers on a real store behind a proxy with faults."""

from __future__ import annotations

from s3_fixtures import driver, folder, make_driver, proxy, store_client

__all__ = ["driver", "folder", "make_driver", "proxy", "store_client"]
