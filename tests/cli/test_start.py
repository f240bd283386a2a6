"""What the program imports before it does anything: each costs a part of every start."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Cli

# Each takes 30 to 300 ms.
SLOW = {"rich", "pydantic", "aiohttp", "botocore", "httpx", "azure", "google", "obstore", "opendal"}
SLOW_HERE = {
    "jtc.storage.drivers.s3_driver",
    "jtc.storage.http_support",
    "jtc.storage.layers.retry",
    "jtc.storage._transfers",
    "jtc.storage.cli._terminal.progress",
    "jtc.storage.cli._commands.tree",
}

PROGRAM = """
import json, sys
sys.argv = ["jtc-storage", *{arguments}]
from jtc.storage.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
sys.stderr.write(json.dumps(sorted(sys.modules)))
"""


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--version"], None),
        (["ls", "-lR", "--json", "media:"], None),
        ([], "jtc-storage l"),
        ([], "jtc-storage ls media:"),
    ],
)
def test_start_imports_nothing_slow(
    media: tuple[Cli, object], arguments: list[str], line: str | None
) -> None:
    cli, _ = media
    environ = dict(cli.environ)
    if line is not None:
        environ |= {"_JTC_STORAGE_COMPLETE": "line", "_JTC_STORAGE_LINE": line}
    done = subprocess.run(
        [cli.command()[0], "-c", PROGRAM.format(arguments=arguments)],
        cwd=cli.directory,
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    )
    imported = set(json.loads(done.stderr))
    assert not imported & (SLOW | SLOW_HERE)
    assert "jtc.storage.cli._app" in imported
