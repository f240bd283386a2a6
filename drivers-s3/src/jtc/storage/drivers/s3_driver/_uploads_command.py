"""The command ``jtc-storage uploads``: multipart uploads that were never finished."""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
from datetime import UTC, datetime

from jtc.storage import Storage, StorageConfigException
from jtc.storage.drivers.s3_driver._driver import S3Driver

__all__ = ["main"]

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604_800}


def main(arguments: list[str]) -> int:
    """Run the command.

    Args:
        arguments: Those after ``jtc-storage uploads``.

    Returns:
        The exit status.

    Raises:
        StorageException: There is no such disk, it is none of S3, or the store failed.
    """
    given = _parser().parse_args(arguments)
    count = asyncio.run(_sweep(given))
    if not given.json:
        sys.stdout.write(f"{'would be aborted' if given.dry_run else 'aborted'}: {count}\n")
    return 0


async def _sweep(given: argparse.Namespace) -> int:
    def report(path: str, begun: float) -> None:
        text = datetime.fromtimestamp(begun, UTC).isoformat(sep=" ", timespec="seconds")
        line = json.dumps({"path": path, "begun": begun}) if given.json else f"{text}  {path}"
        sys.stdout.write(f"{line}\n")

    name = given.disk.removesuffix(":")
    try:
        driver = Storage.disk(name).driver_as(S3Driver)
    except TypeError as error:
        raise StorageConfigException(f"{error}: it has no multipart uploads") from error
    try:
        return await driver.abort_stale_uploads(
            given.older_than, dry_run=given.dry_run, report=report
        )
    finally:
        await Storage.aclose()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="jtc-storage uploads", description="Multipart uploads that were never finished."
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    sweep = commands.add_parser(
        "sweep",
        help="abort those that a killed process left",
        description="Abort the uploads that a killed process left: the store charges for their "
        "parts. Each is listed, with the time at which it began.",
    )
    sweep.add_argument("disk", metavar="DISK", help="the disk of S3, such as media:")
    sweep.add_argument(
        "--older-than",
        metavar="AGE",
        type=_seconds,
        required=True,
        help="those that began so long ago: 12h, 1d; later ones may be under way",
    )
    sweep.add_argument("--dry-run", "-n", action="store_true", help="only list them")
    sweep.add_argument("--json", action="store_true", help="write a line of JSON for each")
    return parser


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text, re.ASCII)
    if found is None:
        raise argparse.ArgumentTypeError(f"an age is such as 90m, 12h or 1d, not {text!r}")
    return float(found[1]) * _UNITS[found[2]]
