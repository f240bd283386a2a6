"""The guide for authors of drivers: its files are run, its tables are the contract's."""

from __future__ import annotations

import inspect
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

from jtc.storage import driver, driver_support, options
from jtc.storage._capabilities import methods_of
from jtc.storage.driver import BASE_OPTIONS, CAPABILITIES, METHODS
from jtc.storage.testing import DriverConformance
from jtc.storage.testing._suite import Suite

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


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the rows of the table whose first column has this heading."""
    table = GUIDE.read_text().partition(f"| {heading} |")[2].partition("\n\n")[0]
    lines = [line for line in table.splitlines() if line.startswith("| `")]
    assert lines, f"the guide has a table with the column {heading!r}"
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def names(cell: str) -> list[str]:
    return re.findall(r"`(\w+)`", cell)


def test_drivers_guide_lists_each_capability_with_its_methods() -> None:
    listed: dict[str, list[str]] = {}
    for capabilities, methods, *_ in rows("capability"):
        each = names(capabilities)
        assert each
        listed |= dict.fromkeys(each, names(methods))
    assert set(listed) == set(CAPABILITIES)
    # One row has both copies, and `supported_options` is an attribute.
    assert {m for found in listed.values() for m in found} - {"supported_options"} == {
        method for protocol in CAPABILITIES.values() for method in methods_of(protocol)
    }


def test_drivers_guide_has_rules_for_each_method_and_the_conformance_tests_name_them() -> None:
    listed = [name for methods, *_ in rows("method | rules") for name in names(methods)]
    assert len(listed) == len(set(listed))
    assert set(listed) == set(METHODS)
    every = "| every method |"
    assert every in GUIDE.read_text()
    for group in DriverConformance.__mro__:
        if issubclass(group, Suite) and "rules" in vars(group) and group is not Suite:
            assert group.rules, group
            assert set(names(group.rules)) <= set(METHODS), group


def test_drivers_guide_and_docstring_have_rules_about_the_same() -> None:
    table = GUIDE.read_text().partition("## Rules")[2].partition("## 5.")[0]
    assert driver.__doc__ is not None
    bullets = driver.__doc__.partition("These rules go beyond")[2].partition("is versioned")[0]
    code = re.compile(r"`([\w.]+(?:=\S+?)?)`")
    in_table, in_docstring = set(code.findall(table)), set(code.findall(bullets))
    # Links, Python's own names, and what the docstrings of single methods and records say.
    own = {"jtc.storage.paths", "jtc.storage.driver_support.standalone"}
    assert in_docstring - own - in_table == set()
    everywhere = inspect.getsource(driver) + inspect.getsource(options)
    everywhere += "".join(vars(Suite)["__annotations__"]) + Suite.__doc__
    missing = {name for name in in_table if name.partition("=")[0] not in everywhere}
    assert missing == {"NotADirectoryError", "mtime"}


def test_drivers_guide_lists_the_options_that_are_always_accepted() -> None:
    listed = {
        method: frozenset(names(accepted))
        for methods, _, accepted, *_ in rows("method")
        for method in names(methods)
    }
    assert {method: listed[method] for method in BASE_OPTIONS} == BASE_OPTIONS


def test_drivers_guide_lists_each_public_module_of_driver_support() -> None:
    listed = {name for module, *_ in rows("module") for name in names(module)}
    public = {
        module.name
        for module in pkgutil.iter_modules(driver_support.__path__)
        if not module.name.startswith("_")
    }
    assert listed == public
