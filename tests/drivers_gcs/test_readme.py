"""The examples of the driver's page, on a store."""

from __future__ import annotations

import ast
import inspect
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jtc.storage import Storage

if TYPE_CHECKING:
    import pytest

    from google_store import GoogleStore

PAGE = Path(__file__).parents[2] / "drivers-gcs" / "README.md"


async def test_examples_of_the_page_do_on_a_store_what_it_says(
    store: GoogleStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    account = tmp_path / "account.json"
    account.write_text(json.dumps(store.account))
    monkeypatch.setenv("GCS_BUCKET", store.bucket)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(account))
    monkeypatch.setattr("jtc.storage.drivers.gcs_driver._environment.GOOGLE", store.url)
    Storage._config = None  # that of another page
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL):
        code = compile(block, str(PAGE), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        result = eval(code, names)
        if inspect.iscoroutine(result):
            await result
    assert store.objects.keys() == {"reports/may.pdf", "reports/june.pdf"}
    assert store.objects["reports/may.pdf"].fields["metadata"] == {"author": "ü"}
    await Storage.aclose()
    Storage.forget("gcs")
    Storage._config = None
