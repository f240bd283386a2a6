"""The pages on hooks and layers: every hook, event, layer and method is listed."""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path

import pytest

from jtc.storage import hookspecs
from jtc.storage._discovery import installed_layers
from jtc.storage.layer import EFFECTS, METHODS

DOCS = Path(__file__).parents[2] / "docs"
HOOKS = (DOCS / "hooks.md").read_text()
LAYERS = (DOCS / "layers.md").read_text()

SPECS = {
    name: function
    for name, function in vars(hookspecs).items()
    if name.startswith("storage_") and inspect.isfunction(function)
}
EVENTS = {
    name: cls
    for name, cls in vars(hookspecs).items()
    if dataclasses.is_dataclass(cls) and cls is not hookspecs.Event and not name.startswith("_")
}


def test_there_are_hooks_to_look_for() -> None:
    assert len(SPECS) == 15
    assert len(EVENTS) == 15


@pytest.mark.parametrize("name", SPECS)
def test_every_hook_stands_there_with_its_arguments(name: str) -> None:
    parameters = inspect.signature(SPECS[name]).parameters.values()
    arguments = ", ".join(f"{p.name}: {p.annotation}" for p in parameters)
    assert f"| `{name}({arguments})` |" in HOOKS


def test_no_hook_stands_there_that_does_not_exist() -> None:
    assert set(re.findall(r"`(storage_\w+)\(", HOOKS)) == set(SPECS)


@pytest.mark.parametrize("name", EVENTS)
def test_every_event_stands_there_with_its_fields(name: str) -> None:
    common = {field.name for field in dataclasses.fields(hookspecs.Event)}
    own = [f.name for f in dataclasses.fields(EVENTS[name]) if f.name not in common]
    (row,) = re.findall(rf"^\| `{name}` \| (.*)\|$", HOOKS, flags=re.MULTILINE)
    assert re.findall(r"`(\w+)`", row) == own
    for field in common:
        assert f"`{field}`" in HOOKS


@pytest.mark.parametrize("name", SPECS)
def test_docstring_of_a_hook_offers_a_veto_only_before_the_operation(name: str) -> None:
    (line,) = (inspect.getdoc(SPECS[name]) or "").splitlines()
    assert ("; raise to " in line) == name.startswith("storage_before_")


@pytest.mark.parametrize("name", sorted(set(installed_layers()) & {
    "limit", "otel", "read_only", "retry", "scoped", "timeout", "validate",
}))  # fmt: skip
def test_every_official_layer_has_a_chapter_with_an_example(name: str) -> None:
    chapter = LAYERS.split(f"\n### {name}\n")[1].split("\n#")[0]
    assert "```python" in chapter


def test_every_method_stands_there_with_its_effects() -> None:
    found: dict[str, set[str]] = {}
    for row in re.findall(r"^\| (`.*`) \|(.*)\|$", LAYERS, flags=re.MULTILINE):
        effects = {
            effect for effect, cell in zip(EFFECTS, row[1].split("|"), strict=True) if "x" in cell
        }
        found |= dict.fromkeys(re.findall(r"`(\w+)`", row[0]), effects)
    assert found == {name: set(method.effects) for name, method in METHODS.items()}
