"""Limits of what `make simplicity` counts. They are only lowered."""

from __future__ import annotations

from textwrap import dedent
from typing import TYPE_CHECKING

from simplicity import LONGEST, circles, functions, repetitions, sources

if TYPE_CHECKING:
    from pathlib import Path

LARGEST_CIRCLE = 9
"""`Disk`, what copies to one (four modules), the manager, the fakes and the sync API import one
another."""


def write(folder: Path, **modules: str) -> None:
    package = folder / "one" / "src" / "made"
    package.mkdir(parents=True)
    for name, text in modules.items():
        (package / f"{name}.py").write_text(dedent(text), encoding="utf-8")


def test_product_has_no_function_over_fifty_lines() -> None:
    found = [each for source in sources() for each in functions(source)]
    assert found
    too_long = [each for each in found if each.lines > LONGEST]
    assert not too_long, "\n".join(map(str, too_long))


def test_product_has_no_larger_import_circle() -> None:
    found = circles(sources())
    assert all(len(names) <= LARGEST_CIRCLE for names in found), found


def test_functions_counts_signature_and_docstring_of_nested_function(tmp_path: Path) -> None:
    write(
        tmp_path,
        a='''
        class A:
            @staticmethod
            def outer(
                b: int,
            ) -> None:
                """Do nothing."""

                def inner() -> None: ...
        ''',
    )
    found = [(each.name, each.lines) for each in functions(*sources(tmp_path))]
    assert found == [("A.outer", 6), ("A.outer.inner", 1)]


def test_circles_counts_imports_for_types_and_in_functions(tmp_path: Path) -> None:
    write(
        tmp_path,
        __init__="from made.a import A",
        a="""
        from typing import TYPE_CHECKING

        if TYPE_CHECKING:
            from made import b
        """,
        b="""
        def load() -> None:
            from . import c
        """,
        c="import made.a, made.alone",
        alone="import json",
    )
    assert circles(sources(tmp_path)) == [["made.a", "made.b", "made.c"]]


def test_code_leaves_out_docstrings_comments_and_blank_lines(tmp_path: Path) -> None:
    write(
        tmp_path,
        a='''
        """A module.

        Of two paragraphs."""

        # A comment.
        A = """
        text
        """
        """What A is."""
        B = A  # another comment
        ''',
    )
    (source,) = sources(tmp_path)
    assert [source.text.splitlines()[line - 1] for line in source.code] == [
        'A = """',
        "text",
        '"""',
        "B = A  # another comment",
    ]


def test_repetitions_passes_over_imports_comments_and_indent(tmp_path: Path) -> None:
    lines = [f"x{number} = {number}" for number in range(7)]
    separated = "\n".join([*lines[:3], "", "# A comment.", "import json", *lines[3:]])
    inside = "\n".join(["if True:", *(f"    {line}" for line in lines), "    y = 1"])
    write(tmp_path, a=separated, b=inside, c="\n".join(lines[:5]))
    assert repetitions(sources(tmp_path)) == [("one/src/made/a.py:1", "one/src/made/b.py:2", 7)]
