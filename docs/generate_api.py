"""Generator of docs/api.md from the docstrings: `make api`. A test compares page and code."""

from __future__ import annotations

import importlib
import inspect
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, is_typeddict

import griffe

from jtc.storage.layer import METHODS, Layer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "api.md"

# What users import, then what authors of drivers import; a name is shown where it comes first.
MODULES = (
    "jtc.storage",
    "jtc.storage.drivers.local_driver",
    "jtc.storage.drivers.memory_driver",
    "jtc.storage.drivers.s3_driver",
    "jtc.storage.drivers.azure_driver",
    "jtc.storage.drivers.gcs_driver",
    "jtc.storage.drivers.sftp_driver",
    "jtc.storage.drivers.opendal_driver",
    "jtc.storage.layers.clamav_layer",
    "jtc.storage.layers.limit",
    "jtc.storage.layers.otel_layer",
    "jtc.storage.layers.read_only",
    "jtc.storage.layers.retry",
    "jtc.storage.layers.scoped",
    "jtc.storage.layers.timeout",
    "jtc.storage.layers.validate",
    "jtc.storage.layers.around",
    "jtc.storage.hookspecs",
    "jtc.storage.transfers",
    "jtc.storage.sync_plan",
    "jtc.storage.files",
    "jtc.storage.asgi",
    "jtc.storage.wsgi",
    "jtc.storage.sync",
    "jtc.storage.django",
    "jtc.storage.django.staticfiles",
    "jtc.storage.fsspec",
    "jtc.storage.images",
    "jtc.storage.images.models",
    "jtc.storage.images.processor",
    "jtc.storage.images.recipes",
    "jtc.storage.attachments",
    "jtc.storage.attachments.adopt",
    "jtc.storage.attachments.asgi",
    "jtc.storage.attachments.derivations",
    "jtc.storage.attachments.django",
    "jtc.storage.attachments.django.admin",
    "jtc.storage.attachments.django.fields",
    "jtc.storage.attachments.django.forms",
    "jtc.storage.attachments.django.operations",
    "jtc.storage.attachments.drf",
    "jtc.storage.attachments.fakes",
    "jtc.storage.attachments.fields",
    "jtc.storage.attachments.importing",
    "jtc.storage.attachments.jobs",
    "jtc.storage.attachments.models",
    "jtc.storage.attachments.moving",
    "jtc.storage.attachments.msgspec",
    "jtc.storage.attachments.plain",
    "jtc.storage.attachments.purge",
    "jtc.storage.attachments.pydantic",
    "jtc.storage.attachments.queues",
    "jtc.storage.attachments.recipes",
    "jtc.storage.attachments.records",
    "jtc.storage.attachments.registry",
    "jtc.storage.attachments.sqlalchemy",
    "jtc.storage.attachments.sweeping",
    "jtc.storage.attachments.sqlalchemy.column_types",
    "jtc.storage.attachments.sqlalchemy.migrations",
    "jtc.storage.attachments.taskiq",
    "jtc.storage.attachments.remote",
    "jtc.storage.attachments.tokens",
    "jtc.storage.attachments.uploads",
    "jtc.storage.attachments.variants",
    "jtc.storage.attachments.verify",
    "jtc.storage.attachments.worker",
    "jtc.storage.cli",
    "jtc.storage.driver",
    "jtc.storage.layer",
    "jtc.storage.exceptions",
    "jtc.storage.models",
    "jtc.storage.options",
    "jtc.storage.paths",
    "jtc.storage.drivers",
    "jtc.storage.driver_support",
    "jtc.storage.driver_support.checksums",
    "jtc.storage.driver_support.content",
    "jtc.storage.driver_support.content_checks",
    "jtc.storage.driver_support.option_checks",
    "jtc.storage.driver_support.derived",
    "jtc.storage.driver_support.diagnosing",
    "jtc.storage.driver_support.error_translation",
    "jtc.storage.driver_support.file_modes",
    "jtc.storage.driver_support.findings",
    "jtc.storage.driver_support.fork_safety",
    "jtc.storage.driver_support.left_out",
    "jtc.storage.driver_support.level_listing",
    "jtc.storage.driver_support.loop_budget",
    "jtc.storage.driver_support.loop_clients",
    "jtc.storage.driver_support.mime_types",
    "jtc.storage.driver_support.pickling",
    "jtc.storage.driver_support.ranges",
    "jtc.storage.driver_support.standalone",
    "jtc.storage.driver_support.traceback_scrubbing",
    "jtc.storage.driver_support.url_signing",
    "jtc.storage.http_support",
    "jtc.storage.http_support.client",
    "jtc.storage.http_support.requests",
    "jtc.storage.http_support.settings",
    "jtc.storage.http_support.errors",
    "jtc.storage.http_support.connections",
    "jtc.storage.http_support.concurrency",
    "jtc.storage.http_support.token_bucket",
    "jtc.storage.http_support.header_values",
    "jtc.storage.http_support.driver_options",
    "jtc.storage.http_support.conditions",
    "jtc.storage.http_support.diagnosis",
    "jtc.storage.http_support.each_of",
    "jtc.storage.http_support.network",
    "jtc.storage.http_support.redaction",
    "jtc.storage.http_support.closed_loop",
    "jtc.storage.http_support.key_listing",
    "jtc.storage.http_support.presigning",
    "jtc.storage.http_support.faking",
    "jtc.storage.http_support.transfers",
    "jtc.storage.http_support.transfers.answers",
    "jtc.storage.http_support.transfers.ranges",
    "jtc.storage.http_support.transfers.read_ahead",
    "jtc.storage.http_support.transfers.reading",
    "jtc.storage.http_support.transfers.content_parts",
    "jtc.storage.http_support.transfers.sending",
    "jtc.storage.testing",
    "pytest_jtc_storage",
)

HEAD = """# API

Every public name, with what it takes, returns and raises. `make api` makes this page from the
docstrings.
"""


def generate() -> str:
    """Return the page."""
    # griffe reports undocumented parameters; the docstrings explain those that need it.
    logging.getLogger("griffe").setLevel(logging.ERROR)
    seen: set[str] = set()
    lines = [HEAD]
    for name in MODULES:
        module = importlib.import_module(name)
        lines.append(f"## `{name}`\n")
        lines.append(f"{_first_paragraph(module.__doc__)}\n")
        for public in getattr(module, "__all__", ()):
            lines.extend(_member(public, getattr(module, public), seen))
    return "\n".join(lines).rstrip() + "\n"


def _member(name: str, value: Any, seen: set[str]) -> Iterator[str]:
    value = inspect.unwrap(value) if callable(value) else value  # a memoised function, a fixture
    home = getattr(value, "__module__", None)
    if not (inspect.isclass(value) or inspect.isfunction(value)):
        yield f"### `{name}`\n"
        if isinstance(value, Mapping):
            yield f"Its keys: {', '.join(f'`{key}`' for key in value)}.\n"
        elif isinstance(value, (set, frozenset)):
            yield f"A set: {', '.join(f'`{each}`' for each in sorted(value))}.\n"
        else:
            yield f"An instance of `{type(value).__name__}`.\n" if home else f"`{value!r}`\n"
        return
    path = f"{value.__module__}.{value.__qualname__}"
    if path in seen:
        return
    seen.add(path)
    found = _load(value.__module__)[value.__qualname__]
    if inspect.isfunction(value):
        yield f"### `{name}{_signature(found)}`\n"
        yield from _text(found)
        return
    yield f"### class `{name}`\n"
    bases = ", ".join(f"`{base.__name__}`" for base in value.__bases__ if base is not object)
    if bases:
        yield f"Bases: {bases}\n"
    yield from _text(found, _keywords(value, found))
    for method, owner in _public_methods(value):
        member = _load(owner.__module__)[f"{owner.__qualname__}.{method}"]
        if member.is_attribute:
            yield f"#### `{name}.{method}`\n"
        else:
            prefix = "async " if "async" in member.labels else ""
            yield f"#### {prefix}`{name}.{method}{_signature(member)}`\n"
        yield from _text(member)


def _public_methods(cls: type) -> Iterator[tuple[str, type]]:
    """Yield a class's own and inherited public methods, where they are ours."""
    # The contract describes the methods of a layer; they are not repeated for each layer.
    done = set(METHODS) if issubclass(cls, Layer) else set()
    if issubclass(cls, Layer) and cls is not Layer:
        done |= vars(Layer).keys()
    for owner in inspect.getmro(cls):
        if not owner.__module__.startswith("jtc."):
            continue
        for name, member in vars(owner).items():
            callable_ = inspect.isfunction(member) or isinstance(
                member, (classmethod, staticmethod, property)
            )
            # The manager and the other disks have Disk's methods: the page has them once.
            repeated = owner is not cls and cls.__name__ in {"StorageManager", "BuiltDisk"}
            # So do the methods of the sync API, one for one.
            repeated |= owner.__module__ == "jtc.storage.sync._generated"
            # A decorator may add a method of its library's.
            foreign = inspect.isfunction(member) and member.__module__ != owner.__module__
            if name.startswith(("_", "test_")) or not callable_ or repeated or foreign:
                continue
            if name not in done:
                done.add(name)
                yield name, owner


def _signature(function: Any) -> str:
    parts = []
    star = False
    parameters = list(function.parameters)
    if parameters and parameters[0].name in {"self", "cls"}:
        del parameters[0]
    for i, parameter in enumerate(parameters):
        kind = parameter.kind
        if kind is griffe.ParameterKind.keyword_only and not star:
            parts.append("*")
            star = True
        prefix = {
            griffe.ParameterKind.var_positional: "*",
            griffe.ParameterKind.var_keyword: "**",
        }.get(kind, "")
        star = star or prefix == "*"
        text = f"{prefix}{parameter.name}"
        if parameter.annotation is not None:
            text += f": {parameter.annotation}"
        if parameter.default is not None and not prefix:
            text += f" = {parameter.default}"
        parts.append(text)
        last_positional_only = kind is griffe.ParameterKind.positional_only and (
            i + 1 == len(parameters)
            or parameters[i + 1].kind is not griffe.ParameterKind.positional_only
        )
        if last_positional_only:
            parts.append("/")
    returns = f" -> {function.returns}" if function.returns is not None else ""
    return f"({', '.join(parts)}){returns}"


def _keywords(cls: type, found: Any) -> list[Any]:
    """Return the attributes that the bases of a TypedDict document: at run time it has none."""
    if not is_typeddict(cls):
        return []
    module = _load(cls.__module__)
    items = []
    for base in map(str, found.bases):
        if base in module.classes:
            items += _keywords(cls, module[base])
            for section in module[base].docstring.parse("google"):
                if section.kind is griffe.DocstringSectionKind.attributes:
                    items += section.value
    return items


def _text(member: Any, inherited: Sequence[Any] = ()) -> Iterator[str]:
    if member.docstring is None:
        return
    sections = member.docstring.parse("google")
    attributes = griffe.DocstringSectionKind.attributes
    if inherited and attributes not in [section.kind for section in sections]:
        sections = [*sections, griffe.DocstringSectionAttributes([])]
    for section in sections:
        kind = section.kind
        if kind is griffe.DocstringSectionKind.text:
            yield f"{section.value.strip()}\n"
        elif kind in _TABLES:
            yield f"{_TABLES[kind]}\n"
            for item in [*inherited, *section.value]:
                name = f"`{item.name}`: " if getattr(item, "name", "") else ""
                if kind is griffe.DocstringSectionKind.raises:
                    name = f"`{item.annotation}`: "
                yield f"- {name}{' '.join(item.description.split())}"
            yield ""


_TABLES = {
    griffe.DocstringSectionKind.parameters: "Takes:",
    griffe.DocstringSectionKind.attributes: "Attributes:",
    griffe.DocstringSectionKind.returns: "Returns:",
    griffe.DocstringSectionKind.yields: "Yields:",
    griffe.DocstringSectionKind.raises: "Raises:",
}


def _first_paragraph(text: str | None) -> str:
    return " ".join((text or "").strip().partition("\n\n")[0].split())


_loaded: dict[str, Any] = {}


def _load(module: str) -> Any:
    if module not in _loaded:
        source = Path(str(inspect.getsourcefile(importlib.import_module(module))))
        _loaded[module] = griffe.visit(module, filepath=source, code=source.read_text())
    return _loaded[module]


if __name__ == "__main__":
    text = generate()
    if "--check" in sys.argv:
        sys.exit(PAGE.read_text() != text and "docs/api.md is not what the code says: make api")
    PAGE.write_text(text)
