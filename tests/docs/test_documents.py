"""The documents' examples: every Python block, from top to bottom, `await` and all."""

from __future__ import annotations

import ast
import asyncio
import codeop
import contextlib
import inspect
import os
import tempfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, SkipParser

from clamd import ClamdMissing, RealClamd
from jtc.storage import Storage, StorageManager
from jtc.storage._config import read_config
from jtc.storage._hooks import Hooks

if TYPE_CHECKING:
    from tests.seaweedfs import SeaweedFS

    from openssh import OpenSSH


def _run_python(example: Example) -> None:
    """Run a block as a cell: names stay for the next one, and it may await."""
    source = "\n" * (example.line + example.parsed.line_offset) + example.parsed
    code = compile(
        source, example.path, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True
    )
    result = eval(code, example.namespace)
    if inspect.iscoroutine(result):
        example.namespace["runner"].run(_finish(result))


async def _finish(coroutine: Any) -> None:
    await coroutine


def _check_toml(example: Example) -> None:
    table = tomllib.loads(example.parsed)
    if "disks" in table:
        read_config(table)


ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    str(path.relative_to(ROOT))
    for pattern in (
        "README.md",
        "docs/*.md",
        "attachments/README.md",
        "core/README.md",
        "drivers-*/README.md",
        "images/README.md",
        "integrations-*/README.md",
        "layers/README.md",
        "layers-*/README.md",
        "web/README.md",
    )
    for path in ROOT.glob(pattern)
    if path.name != "scanning.md"  # needs clamd, below
)
SYBIL = Sybil(
    parsers=[
        CodeBlockParser(language="python", evaluator=_run_python),
        CodeBlockParser(language="toml", evaluator=_check_toml),
        SkipParser(),
    ],
    path=str(ROOT),
)


def _enter(namespace: dict[str, Any]) -> None:
    folder = tempfile.TemporaryDirectory()
    # As a script has it: frameworks look up the module of a handler.
    namespace.update(__name__="__main__", folder=folder)
    namespace.update(before=Path.cwd(), runner=asyncio.Runner())
    os.chdir(folder.name)
    # The documents speak of S3 too; that it does the same is what tests/drivers_s3 shows.
    namespace["fake"] = Storage.fake("s3")
    namespace["fake_gcs"] = Storage.fake("gcs")  # and so do tests/drivers_gcs of Google's
    namespace["fake_sftp"] = Storage.fake("sftp")
    namespace["fake_azure"] = Storage.fake("azure")


def _leave(namespace: dict[str, Any]) -> None:
    namespace["runner"].run(Storage.aclose())
    namespace["runner"].close()
    Storage._fakes = []  # those of a document too, which need not end
    Storage._changed()
    for disk in [*Storage.disks(), "default"]:
        Storage.forget(disk)
    Storage._config = None
    Storage.hooks = Hooks()
    os.chdir(namespace["before"])
    namespace["folder"].cleanup()


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_examples_of_a_document_do_what_it_says(name: str) -> None:
    document = SYBIL.parse(ROOT / name)
    _enter(document.namespace)
    try:
        for example in document.examples():
            example.evaluate()
    finally:
        _leave(document.namespace)


def test_examples_of_s3_page_do_on_a_store_what_it_says(
    seaweedfs: SeaweedFS, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_BUCKET", seaweedfs.bucket)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", seaweedfs.endpoint_url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", seaweedfs.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", seaweedfs.secret_key)
    document = SYBIL.parse(ROOT / "drivers-s3" / "README.md")
    _enter(document.namespace)
    document.namespace["fake"].restore()
    try:
        for example in document.examples():
            example.evaluate()
    finally:
        _leave(document.namespace)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "File not found: 'reports/missing.pdf' (disk 's3', operation 'get')"
    assert printed[1].startswith("404 NoSuchKey The specified key does not exist. ")


def test_examples_of_sftp_page_do_on_a_server_what_it_says(
    openssh: OpenSSH, monkeypatch: pytest.MonkeyPatch
) -> None:
    openssh.empty()
    monkeypatch.setenv("SFTP_HOST", "127.0.0.1")
    monkeypatch.setenv("SFTP_PORT", str(openssh.port))
    monkeypatch.setenv("SFTP_USERNAME", openssh.username)
    monkeypatch.setenv("SFTP_PRIVATE_KEY", openssh.private_key)
    monkeypatch.setenv("SFTP_HOST_KEY", openssh.host_key)
    monkeypatch.setenv("SFTP_ROOT", str(openssh.files))
    document = SYBIL.parse(ROOT / "drivers-sftp" / "README.md")
    _enter(document.namespace)
    document.namespace["fake_sftp"].restore()
    try:
        for example in document.examples():
            example.evaluate()
    finally:
        _leave(document.namespace)
    assert (openssh.files / "done" / "may.csv").read_bytes() == b"1;2;3"


def test_examples_of_fsspec_page_do_on_s3_what_they_do_on_files(
    seaweedfs: SeaweedFS, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure = StorageManager.configure
    layers = [{"name": "scoped", "prefix": "fsspec-page"}]
    disk = {"driver": "s3", "bucket": seaweedfs.bucket, "layers": layers, **seaweedfs.options}
    config = {"default": "media", "disks": {"media": disk}}
    monkeypatch.setattr(StorageManager, "configure", lambda self, _: configure(self, config))
    document = SYBIL.parse(ROOT / "docs" / "fsspec.md")
    _enter(document.namespace)
    try:
        for example in document.examples():
            if "processes" not in example.parsed:  # whose configuration is not changed
                example.evaluate()
        assert not any(Path.cwd().glob("files/*"))
        assert Storage.sync.disk("media").exists("field.zarr/c/0/0")
    finally:
        _leave(document.namespace)


def test_examples_of_scanning_page_do_with_clamd_what_it_says(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    document = SYBIL.parse(ROOT / "docs" / "scanning.md")
    try:
        daemon = RealClamd(AlertExceedsMax="yes").__enter__()
    except ClamdMissing as missing:
        pytest.skip(str(missing))
    with contextlib.closing(daemon):
        monkeypatch.setenv("CLAMD", daemon.socket)
        _enter(document.namespace)
        try:
            for example in document.examples():
                example.evaluate()
        finally:
            _leave(document.namespace)
    assert "A file is stored unscanned" in caplog.text


def _paste(block: str) -> None:
    """Compile a block line by line, as the interactive interpreter of Python 3.11 and 3.12 does."""
    compiler = codeop.CommandCompiler()
    compiler.compiler.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    statement: list[str] = []
    for line in [*block.splitlines(), ""]:
        statement.append(line)
        if compiler("\n".join(statement)) is not None:
            statement.clear()
    assert not "".join(statement), "the last statement is incomplete"


@pytest.mark.parametrize(
    "name",
    ["README.md", "core/README.md", "docs/operating.md", "docs/web.md", "drivers-s3/README.md"],
)
def test_example_can_be_pasted_into_interactive_interpreter(name: str) -> None:
    parser = CodeBlockParser(language="python", evaluator=lambda example: _paste(example.parsed))
    examples = list(Sybil(parsers=[parser], path=str(ROOT)).parse(ROOT / name).examples())
    assert examples
    for example in examples:
        example.evaluate()


def test_paste_refuses_statement_right_after_a_block() -> None:
    with pytest.raises(SyntaxError):
        _paste("for each in [1]:\n    print(each)\nprint(2)\n")
