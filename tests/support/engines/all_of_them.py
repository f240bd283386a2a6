"""Every engine that the tests can run on, and those that they cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engines.juicefs import JuiceFS
from engines.moto import Moto
from engines.rclone import Rclone
from seaweedfs import SeaweedFS

if TYPE_CHECKING:
    from engines.engine import Engine

__all__ = ["ENGINES", "MISSING"]

ENGINES: tuple[type[Engine], ...] = (SeaweedFS, Moto, Rclone, JuiceFS)

MISSING = {
    "MinIO": "no package has the server: those of npm download it. JuiceFS' gateway is its code",
    "versitygw, Garage, RustFS": "none of PyPI, npm and Debian 12 has the server",
    "Zenko CloudServer": "its package of npm, 8.0.0-beta, needs repositories of GitHub",
    "LocalStack": "`localstack-core` 2026.3 of PyPI does not start on Python 3.11",
    "s3rver": "3.7.1 of npm stores the beginning of an upload that breaks off, so that tests fail "
    "after others; it keeps no conditions",
    "OpenStack Swift": "on PyPI and in Debian; not tried yet: four servers and their rings",
    "Ceph's radosgw": "in Debian; not tried yet: it needs monitors and OSDs",
}
"""Why the tests do not run on other engines that are often used."""
