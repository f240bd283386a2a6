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

# As for the code, but that a page may leave out annotations, and import what is not installed here.
OVERRIDE = """
[[tool.mypy.overrides]]
module = {modules}
disallow_untyped_defs = false
disallow_incomplete_defs = false
disallow_untyped_calls = false
disallow_untyped_decorators = false
disable_error_code = ["import-not-found", "import-untyped"]
"""


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


def configuration(modules: list[str]) -> str:
    """Return the code's configuration with what differs for some modules.

    With any other difference, mypy's cache would hold for one of the two only.
    """
    project = (ROOT / "pyproject.toml").read_text()
    ours = re.findall(
        r"^\[+tool\.mypy.*?(?=^\[(?!\[?tool\.mypy)|\Z)", project, re.MULTILINE | re.DOTALL
    )
    return "".join(ours) + OVERRIDE.format(modules=modules)


def test_documented_patterns_pass_mypy_strict(tmp_path: Path) -> None:
    files = [ROOT / "docs" / "examples" / f"{name}.py" for name in EXAMPLES]
    for page in PAGES:
        name = re.sub(r"\W", "_", str(page.relative_to(ROOT).with_suffix("")))
        files.append(tmp_path / f"{name}.py")
        files[-1].write_text(code_of(page.read_text()))
    config = tmp_path / "mypy.toml"
    config.write_text(configuration([file.stem for file in files]))
    done = subprocess.run(
        [sys.executable, "-m", "mypy", f"--config-file={config}", *map(str, files)],
        cwd=ROOT,
        env={"MYPYPATH": ":".join(map(str, [tmp_path, *ROOT.glob("*/src")]))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
