"""moto's server for tests: AWS's answers, as moto remembers them."""

from __future__ import annotations

import sys
import urllib.request
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, ClassVar

from engines.engine import HOST, Engine, EngineMissing, free_ports

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["Moto"]


class Moto(Engine):
    """A store in memory that checks no keys."""

    name = "moto"
    conditions = frozenset({"put", "delete"})
    conditions_note = "`put`, `delete`; not in a race"
    expected_races: ClassVar[Mapping[str, str]] = dict.fromkeys(
        (
            "test_of_many_creators_one_wins",
            "test_of_many_deleters_one_gets_true",
            "test_an_etag_lets_one_write_through",
            "test_no_append_is_lost",
            "test_no_update_is_lost_where_each_names_the_version_it_read",
            "test_delete_if_match_of_many_deleters_one_gets_true",
            "test_check_finds_the_conditions_that_the_engine_keeps",
        ),
        "It compares and stores in two steps, so that two conditional PutObjects at once succeed",
    )

    @classmethod
    def version(cls) -> str:
        try:
            return version("moto")
        except PackageNotFoundError:
            raise EngineMissing("pip install 'moto[s3]' flask flask-cors") from None

    def run(self, data: Path) -> None:
        self.version()
        (port,) = free_ports(1)
        self.endpoint_url = f"http://{HOST}:{port}"
        command = "from moto.server import main; main()"
        self.spawn(data, sys.executable, "-c", command, "-H", HOST, "-p", str(port))

    def empty(self) -> None:
        """Forget everything, and make the bucket again."""
        for method, path in (("POST", "moto-api/reset"), ("PUT", self.bucket)):
            request = urllib.request.Request(f"{self.endpoint_url}/{path}", method=method)
            with urllib.request.urlopen(request, timeout=30):
                pass
