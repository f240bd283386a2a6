"""The author's guide, followed to the letter: its files are written, installed and run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

GUIDE = Path(__file__).parents[2] / "docs" / "drivers.md"
FILE = re.compile(r"^`([\w./]+)`:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_guides_driver_is_built_installed_found_by_its_name_and_conforms(
    tmp_path: Path,
) -> None:
    files = dict(FILE.findall(GUIDE.read_text()))
    assert len(files) >= 3, "the guide names its files as `path`: before their blocks"
    for name, text in files.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    installed = tmp_path / "installed"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-build-isolation", "--no-deps"]
    # The build backend's program is beside this interpreter, whether or not that is on PATH.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    subprocess.run(
        [*pip, "--target", str(installed), str(tmp_path)],
        env=os.environ | {"PATH": path},
        check=True,
    )

    def run(*arguments: str) -> str:
        # A path of its own beside this environment's: the guide's reader has installed the core.
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env={"PYTHONPATH": str(installed)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    used = run("-W", "error", "use.py")
    assert "'sqlite'" in used
    assert "Hello /files/hello.txt" in used
    tested = run("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests")
    passed = re.search(r"(\d+) passed", tested)
    assert passed is not None, tested
    assert int(passed[1]) > 100
