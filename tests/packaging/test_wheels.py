"""What is published: each file in one wheel, and versions that fit together."""

from __future__ import annotations

import ast
import sys
from collections import Counter
from configparser import ConfigParser
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import pytest
from packaging.requirements import Requirement

if TYPE_CHECKING:
    from conftest import Wheel

# The wheels are built once, so all that looks at them runs in one worker.
pytestmark = pytest.mark.xdist_group("packaging")

PACKAGES = {
    "jtc-storage": "jtc/storage",
    "jtc-storage-local": "jtc/storage/drivers/local_driver",
    "jtc-storage-memory": "jtc/storage/drivers/memory_driver",
    "jtc-storage-s3": "jtc/storage/drivers/s3_driver",
}
DRIVERS = {
    "jtc-storage-local": {"local": "jtc.storage.drivers.local_driver:LocalDriver"},
    "jtc-storage-memory": {"memory": "jtc.storage.drivers.memory_driver:MemoryDriver"},
    "jtc-storage-s3": {"s3": "jtc.storage.drivers.s3_driver:S3Driver"},
}
# aioboto3 pins one aiobotocore and one botocore: naming them as well could only contradict it.
BROUGHT = {"aioboto3": {"aiobotocore", "botocore"}}
EXTRAS = {name.removeprefix("jtc-storage-"): name for name in DRIVERS}

each_distribution = pytest.mark.parametrize("name", PACKAGES)
each_driver = pytest.mark.parametrize("name", DRIVERS)


@each_distribution
def test_a_wheel_holds_its_own_package_and_nothing_beside_it(
    wheels: dict[str, Wheel], name: str
) -> None:
    package = PACKAGES[name]
    assert f"{package}/__init__.py" in wheels[name].modules
    assert [file for file in wheels[name].modules if not file.startswith(f"{package}/")] == []


@each_distribution
def test_no_wheel_closes_a_namespace_that_others_share(wheels: dict[str, Wheel], name: str) -> None:
    shared = {"jtc/__init__.py", "jtc/storage/drivers/__init__.py"}
    assert not shared & wheels[name].contents.keys()


def test_no_file_is_shipped_by_two_wheels(wheels: dict[str, Wheel]) -> None:
    count = Counter(file for wheel in wheels.values() for file in wheel.contents)
    assert [file for file, times in count.items() if times > 1] == []


@each_distribution
def test_a_wheel_holds_every_source_file(wheels: dict[str, Wheel], name: str) -> None:
    source = wheels[name].folder / "src"
    files = {
        path.relative_to(source).as_posix()
        for path in (source / "jtc").rglob("*")
        if path.is_file() and path.parent.name != "__pycache__"
    }
    assert wheels[name].modules.keys() == files


@each_distribution
def test_a_wheel_holds_no_tests_of_ours(wheels: dict[str, Wheel], name: str) -> None:
    # jtc.storage.testing is the conformance kit, which drivers' authors import.
    for file in map(PurePosixPath, wheels[name].contents):
        assert not {"tests", "test"} & set(file.parts), file
        assert not file.name.startswith(("test_", "conftest")), file


@each_distribution
def test_a_package_says_that_it_is_typed(wheels: dict[str, Wheel], name: str) -> None:
    assert f"{PACKAGES[name]}/py.typed" in wheels[name].modules
    assert "Typing :: Typed" in wheels[name].metadata.get_all("Classifier", [])


@each_distribution
def test_the_licence_goes_along(wheels: dict[str, Wheel], name: str) -> None:
    wheel = wheels[name]
    assert wheel.metadata["License-Expression"] == "MIT"
    assert wheel.metadata.get_all("License-File") == ["LICENSE"]
    assert wheel.about("licenses/LICENSE") == (wheel.folder.parent / "LICENSE").read_bytes()


@each_distribution
def test_the_readme_is_the_description(wheels: dict[str, Wheel], name: str) -> None:
    assert wheels[name].metadata["Description-Content-Type"] == "text/markdown"
    description = wheels[name].metadata.get_payload(decode=True)
    assert description == (wheels[name].folder / "README.md").read_bytes()


@each_distribution
def test_a_wheel_runs_on_any_machine_with_python_3_11(wheels: dict[str, Wheel], name: str) -> None:
    assert wheels[name].file.name.endswith("-py3-none-any.whl")
    assert wheels[name].metadata["Requires-Python"] == ">=3.11"


@each_driver
def test_a_driver_is_found_by_its_entry_point(wheels: dict[str, Wheel], name: str) -> None:
    entry_points = ConfigParser()
    entry_points.read_string(wheels[name].about("entry_points.txt").decode())
    assert {group: dict(entry_points[group]) for group in entry_points.sections()} == {
        "jtc.storage.drivers": DRIVERS[name]
    }


def test_the_core_brings_no_entry_point(wheels: dict[str, Wheel]) -> None:
    assert not any(file.endswith("entry_points.txt") for file in wheels["jtc-storage"].contents)


def test_all_have_one_version(wheels: dict[str, Wheel]) -> None:
    assert len({wheels[name].metadata["Version"] for name in PACKAGES}) == 1


def test_an_extra_brings_its_driver_in_this_very_version(wheels: dict[str, Wheel]) -> None:
    core = wheels["jtc-storage"]
    version = core.metadata["Version"]
    brought: dict[str, set[str]] = {}
    for requirement in core.requirements:
        for extra in core.metadata.get_all("Provides-Extra", []):
            if requirement.marker and requirement.marker.evaluate({"extra": extra}):
                brought.setdefault(extra, set()).add(f"{requirement.name}{requirement.specifier}")
    # What the core needs in any case has a marker for the version of Python at most.
    drivers = {
        extra: {requirement for requirement in wanted if requirement.startswith("jtc-storage-")}
        for extra, wanted in brought.items()
    }
    expected = {extra: {f"{name}=={version}"} for extra, name in EXTRAS.items()}
    assert drivers == {**expected, "all": set().union(*expected.values())}


def test_the_core_alone_installs_no_driver(wheels: dict[str, Wheel]) -> None:
    for requirement in wheels["jtc-storage"].requirements:
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            assert not requirement.name.startswith("jtc-storage"), requirement


@each_driver
def test_a_driver_takes_any_core_of_its_contract(wheels: dict[str, Wheel], name: str) -> None:
    (core,) = [r for r in wheels[name].requirements if r.name == "jtc-storage"]
    assert core == Requirement("jtc-storage~=1.0")
    assert core.specifier.contains(wheels["jtc-storage"].metadata["Version"])
    assert core.specifier.contains("1.9")
    assert not core.specifier.contains("2.0")


@each_distribution
def test_what_is_imported_is_required_and_what_is_required_is_imported(
    wheels: dict[str, Wheel], name: str
) -> None:
    # The conformance kit runs inside its user's pytest, so nobody else has to install that.
    imported = set().union(
        *(
            _imported(source)
            for file, source in wheels[name].modules.items()
            if file.endswith(".py") and not file.startswith("jtc/storage/testing/")
        )
    )
    third_party = imported - set(sys.stdlib_module_names) - {"jtc"}
    required = {
        r.name.replace("-", "_") for r in wheels[name].requirements if r.name not in PACKAGES
    }
    brought = set().union(*(BROUGHT.get(each, set()) for each in required))
    assert third_party - brought == required


def _imported(source: bytes) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports here are absolute"
            names.add(node.module or "")
    return {name.partition(".")[0] for name in names}


def test_the_plugin_imports_nothing_of_ours(wheels: dict[str, Wheel]) -> None:
    acme = wheels["jtc-storage-acme"]
    for file, source in acme.modules.items():
        if file.endswith(".py"):
            assert _imported(source) <= set(sys.stdlib_module_names), file
    assert acme.requirements == []
