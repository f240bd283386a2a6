"""Runs the examples of the documents: every Python block, from top to bottom, `await` and all."""

from __future__ import annotations

import ast
import asyncio
import inspect
import os
import tempfile
import tomllib
from pathlib import Path
from typing import Any

import pytest
from sybil import Example, Sybil
from sybil.integration.pytest import SybilItem
from sybil.parsers.markdown import CodeBlockParser, SkipParser

from jtc.storage import Storage
from jtc.storage.config import read_config


def _run_python(example: Example) -> None:
    """Run a block as a cell: names stay for the next one, and it may await."""
    source = "\n" * (example.line + example.parsed.line_offset) + example.parsed
    code = compile(source, example.path, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    result = eval(code, example.namespace)  # noqa: S307 - our own documents
    if inspect.iscoroutine(result):
        example.namespace["runner"].run(_finish(result))


async def _finish(coroutine: Any) -> None:
    await coroutine


def _check_toml(example: Example) -> None:
    table = tomllib.loads(example.parsed)
    if "disks" in table:
        read_config(table)


def _enter(namespace: dict[str, Any]) -> None:
    folder = tempfile.TemporaryDirectory()
    namespace.update(folder=folder, before=Path.cwd(), runner=asyncio.Runner())
    os.chdir(folder.name)
    # The documents speak of S3 too; that it does the same is what tests/s3 shows.
    namespace["fake"] = Storage.fake("s3")


def _leave(namespace: dict[str, Any]) -> None:
    namespace["runner"].run(Storage.aclose())
    namespace["runner"].close()
    namespace["fake"].restore()
    for disk in [*Storage.disks(), "default"]:
        Storage.forget(disk)
    Storage._config = None  # noqa: SLF001 - a fresh process has none
    os.chdir(namespace["before"])
    namespace["folder"].cleanup()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep a document's blocks in one worker: each builds on those before."""
    for item in items:
        if isinstance(item, SybilItem):
            item.add_marker(pytest.mark.xdist_group(str(item.path)))


pytest_collect_file = Sybil(
    parsers=[
        CodeBlockParser(language="python", evaluator=_run_python),
        CodeBlockParser(language="toml", evaluator=_check_toml),
        SkipParser(),
    ],
    patterns=["README.md", "docs/*.md", "drivers-*/README.md", "core/README.md"],
    setup=_enter,
    teardown=_leave,
).pytest()
