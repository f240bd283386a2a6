"""The documents' Python blocks, and the examples, checked by mypy."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    page
    for pattern in ("README.md", "docs/*.md", "*/README.md")
    for page in ROOT.glob(pattern)
    if "```python" in page.read_text()
    and page.name != "django-attachments.md"  # models and forms need the plugin of Django's stubs
)
EXAMPLES = ("people_api", "storage_example", "upload_api")
CACHE = ROOT / ".mypy_cache" / "docs"

# As for the code, but that a page may leave out annotations, and import what is not installed here.
FLAGS = (
    "--strict",
    "--allow-untyped-defs",
    "--allow-incomplete-defs",
    "--allow-untyped-calls",
    "--allow-untyped-decorators",
    "--ignore-missing-imports",
)


def code_of(page: str) -> str:
    """Return a page's blocks, each on its own lines as a function within that of the block before.

    So a block may await, sees the names of those before it, and may give one another type.
    """
    depth, inside, lines = 0, False, []
    for line in page.splitlines():
        if line == "```python":
            inside = True
            lines.append(f"{'    ' * depth}async def block_{depth}() -> None:")
            depth += 1
        elif line.startswith("```"):
            inside = False
            lines.append("")
        else:
            lines.append(f"{'    ' * depth}{line}" if inside and line else "")
    return "\n".join(lines)


def test_documented_patterns_pass_mypy_strict(tmp_path: Path) -> None:
    for page in PAGES:
        name = re.sub(r"\W", "_", str(page.relative_to(ROOT).with_suffix("")))
        (tmp_path / f"{name}.py").write_text(code_of(page.read_text()))
    done = subprocess.run(
        [
            *(
                sys.executable,
                "-m",
                "mypy",
                *FLAGS,
                "--cache-dir",
                str(ROOT / ".mypy_cache" / "docs"),
            ),
            str(tmp_path),
            *(str(ROOT / "docs" / "examples" / f"{name}.py") for name in EXAMPLES),
        ],
        cwd=ROOT,
        env={"MYPYPATH": ":".join(map(str, ROOT.glob("*/src")))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
