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


# The folders that a wheel installs; the first has the package's `py.typed`.
PACKAGES = {
    "jtc-storage": ("jtc/storage",),
    "jtc-storage-attachments": ("jtc/storage/attachments",),
    "jtc-storage-clamav": ("jtc/storage/layers/clamav_layer",),
    "jtc-storage-cli": ("jtc/storage/cli",),
    "jtc-storage-django": ("jtc/storage/django",),
    "jtc-storage-images": ("jtc/storage/images",),
    "jtc-storage-layers": ("jtc/storage/layers",),
    "jtc-storage-local": ("jtc/storage/drivers/local_driver",),
    "jtc-storage-memory": ("jtc/storage/drivers/memory_driver",),
    "jtc-storage-otel": ("jtc/storage/layers/otel_layer",),
    "jtc-storage-s3": ("jtc/storage/drivers/s3_driver",),
    "jtc-storage-azure": ("jtc/storage/drivers/azure_driver",),
    "jtc-storage-fsspec": ("jtc/storage/fsspec",),
    "jtc-storage-gcs": ("jtc/storage/drivers/gcs_driver",),
    "jtc-storage-http": ("jtc/storage/http_support",),
    "jtc-storage-opendal": ("jtc/storage/drivers/opendal_driver",),
    "jtc-storage-sftp": ("jtc/storage/drivers/sftp_driver",),
    "jtc-storage-testing": ("jtc/storage/testing", "pytest_jtc_storage"),
    "jtc-storage-web": ("jtc/storage/asgi", "jtc/storage/wsgi"),
}
# Modules in a package that others share, which the core marks as typed.
MODULES_OF_A_NAMESPACE = "jtc-storage-layers"
ENTRY_POINTS = {
    "jtc-storage-attachments": {
        "commands": {"attachments": "jtc.storage.attachments.__main__:command"}
    },
    "jtc-storage-clamav": {"layers": {"clamav": "jtc.storage.layers.clamav_layer:ClamAV"}},
    "jtc-storage-layers": {
        "layers": {
            name: f"jtc.storage.layers.{name}:{name.title()}"
            for name in ("limit", "retry", "timeout", "validate")
        }
    },
    "jtc-storage-local": {"drivers": {"local": "jtc.storage.drivers.local_driver:LocalDriver"}},
    "jtc-storage-memory": {"drivers": {"memory": "jtc.storage.drivers.memory_driver:MemoryDriver"}},
    "jtc-storage-otel": {"layers": {"otel": "jtc.storage.layers.otel_layer:OpenTelemetry"}},
    "jtc-storage-azure": {"drivers": {"azure": "jtc.storage.drivers.azure_driver:AzureDriver"}},
    "jtc-storage-gcs": {"drivers": {"gcs": "jtc.storage.drivers.gcs_driver:GCSDriver"}},
    "jtc-storage-opendal": {
        "drivers": {"opendal": "jtc.storage.drivers.opendal_driver:OpenDALDriver"}
    },
    "jtc-storage-sftp": {"drivers": {"sftp": "jtc.storage.drivers.sftp_driver:SFTPDriver"}},
    "jtc-storage-s3": {
        "commands": {"uploads": "jtc.storage.drivers.s3_driver._uploads_command:main"},
        "drivers": {"s3": "jtc.storage.drivers.s3_driver:S3Driver"},
    },
}
# What is imported under another name than the distribution's.
IMPORTED_AS = {
    "azure-identity": "azure",
    "google-auth": "google",
    "djangorestframework": "rest_framework",
    "opentelemetry-api": "opentelemetry",
    "universal-pathlib": "upath",
}
# Each aiobotocore takes a few versions of botocore: naming those as well could only contradict it.
BROUGHT = {
    "aiobotocore": {"botocore"},
    "aiohttp": {"yarl"},
    "django": {"asgiref"},
    "jtc-storage-web": {"starlette"},
    "pydantic": {"pydantic_core"},
}
# It holds libvips, which pyvips loads.
NEVER_IMPORTED = {"pyvips-binary"}
# Packages without which a distribution works too, and the extra of each.
OPTIONAL = {
    "jtc-storage-attachments": {
        "aiohttp": "remote",
        "alembic": "alembic",
        "django": "django",
        "djangorestframework": "drf",
        "pydantic": "pydantic",
        "sqlalchemy": "sqlalchemy",
        "taskiq": "taskiq",
    },
    "jtc-storage-azure": {"azure-identity": "entra"},
    "jtc-storage-fsspec": {"universal-pathlib": "upath"},
    "jtc-storage-images": {"pillow-heif": "heic"},
    "jtc-storage-s3": {"aioboto3": "aioboto3"},
}
# Drivers bring jtc-storage-http; their authors require it by its name.
NO_EXTRA = {"jtc-storage", "jtc-storage-http"}
EXTRAS = {name.removeprefix("jtc-storage-"): name for name in PACKAGES.keys() - NO_EXTRA}
# Who wants all drivers and layers, and files over HTTP, tests nothing and may have no Django.
NOT_IN_ALL = {"attachments", "cli", "django", "fsspec", "images", "testing"}

each_distribution = pytest.mark.parametrize("name", PACKAGES)
each_extension = pytest.mark.parametrize("name", ENTRY_POINTS)


@each_distribution
def test_a_wheel_holds_its_own_package_and_nothing_beside_it(
    wheels: dict[str, Wheel], name: str
) -> None:
    packages = PACKAGES[name]
    if name != MODULES_OF_A_NAMESPACE:
        assert {f"{package}/__init__.py" for package in packages} <= wheels[name].modules.keys()
    inside = tuple(f"{package}/" for package in packages)
    assert [file for file in wheels[name].modules if not file.startswith(inside)] == []


@each_distribution
def test_no_wheel_closes_a_namespace_that_others_share(wheels: dict[str, Wheel], name: str) -> None:
    shared = {"jtc/__init__.py", "jtc/storage/layers/__init__.py"}
    if name != "jtc-storage":
        shared.add("jtc/storage/drivers/__init__.py")
    assert not shared & wheels[name].contents.keys()


def test_private_modules_are_imported_by_their_own_distribution_only(
    wheels: dict[str, Wheel],
) -> None:
    owners = {
        file.removesuffix(".py").removesuffix("/__init__").replace("/", "."): name
        for name, wheel in wheels.items()
        for file in wheel.modules
        if file.endswith(".py")
    }
    wrong = []
    for name, wheel in wheels.items():
        for file, source in wheel.modules.items():
            if not file.endswith(".py"):
                continue
            for module in _imported_modules(source):
                private = any(part.startswith("_") for part in module.split("."))
                if private and owners.get(module, name) != name:
                    wrong.append(f"{file} imports {module}")
    assert wrong == []


def test_no_file_is_shipped_by_two_wheels(wheels: dict[str, Wheel]) -> None:
    count = Counter(file for wheel in wheels.values() for file in wheel.contents)
    assert [file for file, times in count.items() if times > 1] == []


@each_distribution
def test_a_wheel_holds_every_source_file(wheels: dict[str, Wheel], name: str) -> None:
    source = wheels[name].folder / "src"
    files = {
        path.relative_to(source).as_posix()
        for path in source.rglob("*")
        if path.is_file() and path.parent.name != "__pycache__"
    }
    assert wheels[name].modules.keys() == files


@each_distribution
def test_a_wheel_holds_no_tests_of_ours(wheels: dict[str, Wheel], name: str) -> None:
    # jtc.storage.testing has the conformance tests, which authors of drivers import.
    for file in map(PurePosixPath, wheels[name].contents):
        assert not {"tests", "test"} & set(file.parts), file
        assert not file.name.startswith(("test_", "conftest")), file


@each_distribution
def test_a_package_says_that_it_is_typed(wheels: dict[str, Wheel], name: str) -> None:
    marked = "jtc-storage" if name == MODULES_OF_A_NAMESPACE else name
    for package in PACKAGES[name]:
        assert f"{package}/py.typed" in wheels[marked].modules
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


@each_extension
def test_a_driver_or_a_layer_is_found_by_its_entry_point(
    wheels: dict[str, Wheel], name: str
) -> None:
    assert _entry_points(wheels[name]) == {
        f"jtc.storage.{group}": entries for group, entries in ENTRY_POINTS[name].items()
    }


def test_the_core_brings_layers_of_its_own_and_no_driver(wheels: dict[str, Wheel]) -> None:
    ((group, entries),) = _entry_points(wheels["jtc-storage"]).items()
    assert group == "jtc.storage.layers"
    assert {"scoped", "read_only"} == entries.keys()
    for name, value in entries.items():
        module = value.partition(":")[0]
        assert module == f"jtc.storage.layers.{name}"
        assert f"{module.replace('.', '/')}.py" in wheels["jtc-storage"].modules


def _entry_points(wheel: Wheel) -> dict[str, dict[str, str]]:
    entry_points = ConfigParser()
    entry_points.read_string(wheel.about("entry_points.txt").decode())
    return {group: dict(entry_points[group]) for group in entry_points.sections()}


def test_all_have_one_version(wheels: dict[str, Wheel]) -> None:
    assert len({wheels[name].metadata["Version"] for name in PACKAGES}) == 1


def test_an_extra_brings_what_it_names_in_this_very_version(wheels: dict[str, Wheel]) -> None:
    core = wheels["jtc-storage"]
    version = core.metadata["Version"]
    brought: dict[str, set[str]] = {}
    for requirement in core.requirements:
        for extra in core.metadata.get_all("Provides-Extra", []):
            if requirement.marker and requirement.marker.evaluate({"extra": extra}):
                brought.setdefault(extra, set()).add(f"{requirement.name}{requirement.specifier}")
    # What the core needs in any case has a marker for the version of Python at most.
    ours = {
        extra: {requirement for requirement in wanted if requirement.startswith("jtc-storage-")}
        for extra, wanted in brought.items()
    }
    expected = {extra: {f"{name}=={version}"} for extra, name in EXTRAS.items()}
    all_of_them = set().union(*(expected[extra] for extra in EXTRAS.keys() - NOT_IN_ALL))
    assert ours == {**expected, "all": all_of_them}


def test_the_core_alone_installs_nothing_else_of_ours(wheels: dict[str, Wheel]) -> None:
    for requirement in wheels["jtc-storage"].requirements:
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            assert not requirement.name.startswith("jtc-storage"), requirement


@each_extension
def test_a_driver_or_a_layer_takes_any_core_of_its_contract(
    wheels: dict[str, Wheel], name: str
) -> None:
    (core,) = [r for r in wheels[name].requirements if r.name == "jtc-storage"]
    assert core == Requirement("jtc-storage~=1.0")
    assert core.specifier.contains(wheels["jtc-storage"].metadata["Version"])
    assert core.specifier.contains("1.9")
    assert not core.specifier.contains("2.0")


@each_distribution
def test_what_is_imported_is_required_and_what_is_required_is_imported(
    wheels: dict[str, Wheel], name: str
) -> None:
    imported = set().union(
        *(
            _imported(source)
            for file, source in wheels[name].modules.items()
            if file.endswith(".py")
        )
    )
    third_party = imported - set(sys.stdlib_module_names) - {"jtc"}
    optional = OPTIONAL.get(name, {}).keys()
    named = {r.name for r in wheels[name].requirements}
    required = {
        _imported_name(each) for each in named - PACKAGES.keys() - optional - NEVER_IMPORTED
    }
    brought = set().union(*(BROUGHT.get(each, set()) for each in named))
    assert third_party - brought - {_imported_name(each) for each in optional} == required


@each_distribution
def test_optional_packages_are_those_of_extras(wheels: dict[str, Wheel], name: str) -> None:
    optional = {
        r.name: extra
        for r in wheels[name].requirements
        for extra in wheels[name].metadata.get_all("Provides-Extra", [])
        if r.name not in PACKAGES
        and r.marker is not None
        and r.marker.evaluate({"extra": extra})
        and not r.marker.evaluate({"extra": ""})
    }
    assert optional == OPTIONAL.get(name, {})


def _imported_name(distribution: str) -> str:
    return IMPORTED_AS.get(distribution, distribution.replace("-", "_"))


def _imported(source: bytes) -> set[str]:
    return {name.partition(".")[0] for name in _imported_modules(source)}


def _imported_modules(source: bytes) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                continue  # a worker process imports its package alone, and that only itself
            names.add(node.module or "")
            # A module may be imported as a name of its package.
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_the_plugin_imports_nothing_of_ours(wheels: dict[str, Wheel]) -> None:
    acme = wheels["jtc-storage-acme"]
    for file, source in acme.modules.items():
        if file.endswith(".py"):
            assert _imported(source) <= set(sys.stdlib_module_names), file
    assert acme.requirements == []


def test_a_third_party_depends_on_the_contract_and_is_found_by_its_entry_points(
    wheels: dict[str, Wheel],
) -> None:
    audit = wheels["jtc-storage-acme-audit"]
    assert audit.requirements == [Requirement("jtc-storage~=1.0")]
    assert _entry_points(audit) == {
        "jtc.storage.plugins": {"acme_audit": "acme_audit:AuditTrail"},
        "jtc.storage.layers": {"acme_deflate": "acme_audit:Deflate"},
    }
