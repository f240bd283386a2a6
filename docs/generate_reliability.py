"""Generator of docs/reliability.md from what `make faults` measured: tests/faults/conftest.py."""

from __future__ import annotations

import os
import platform
import sys
import tomllib
import xml.etree.ElementTree as ET
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
PAGE = DOCS / "reliability.md"
TEMPLATE = DOCS / "reliability.template.md"
PROMISES = DOCS / "promises.toml"
DURABLE = "durable"

NOT_RUN = "**not run**"
SKIPPED = "**skipped**"
BROKEN = "**broken**"


def generate(results: list[Path]) -> str:
    """Return the page.

    Args:
        results: JUnit XML files that pytest wrote.
    """
    rows = _rows(results)
    promises = tomllib.loads(PROMISES.read_text(encoding="utf-8"))["promise"]
    numbers = {str(promise["number"]) for promise in promises}
    beyond = [name for name in rows if name not in numbers | {DURABLE}]
    page = TEMPLATE.read_text(encoding="utf-8")
    for name, text in {
        "conditions": _conditions(),
        "promises": _table(
            ("", "promised", "measured in this run", "peers, measured before"),
            [
                (
                    promise["number"],
                    promise["text"],
                    _figures(rows.get(str(promise["number"]), [])),
                    promise["peers"],
                )
                for promise in promises
            ],
        ),
        "beyond": _table(
            ("", "measured in this run"), [(name, _figures(rows[name])) for name in beyond]
        ),
        "durable": _figures(rows.get(DURABLE, [])),
    }.items():
        page = page.replace("{{" + name + "}}", text)
    return page


def _rows(results: list[Path]) -> dict[str, list[str]]:
    """Return what the tests of each row say."""
    rows: dict[str, list[str]] = defaultdict(list)
    suites: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for path in results:
        for case in ET.parse(path).getroot().iter("testcase"):  # noqa: S314 - pytest wrote it
            said: dict[str, list[str]] = defaultdict(list)
            for each in case.iter("property"):
                said[each.attrib["name"]].append(each.attrib["value"])
            _, _, suite = case.attrib["classname"].rpartition(".")
            for row in said["row"]:
                if suite.startswith("Test"):  # a whole suite, such as the conformance tests
                    suites[row, suite][_outcome(case)] += 1
                else:
                    rows[row].extend(_said(case, said["figures"]))
    for (row, suite), counts in suites.items():
        counted = ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(counts.items()))
        rows[row].append(f"{suite}: {counted}")
    return rows


def _outcome(case: Any) -> str:
    if case.find("failure") is not None or case.find("error") is not None:
        return BROKEN
    return "passed" if case.find("skipped") is None else "not applicable"


def _said(case: Any, figures: list[str]) -> list[str]:
    name = str(case.attrib["name"]).replace("_", " ")
    if _outcome(case) == BROKEN:
        return [f"{BROKEN}: {name}"]
    if (skipped := case.find("skipped")) is not None:
        return [f"{SKIPPED}, {skipped.attrib['message']}: {name}"]
    return figures or [f"holds: {name}"]


def _figures(said: list[str]) -> str:
    return ";<br>".join(sorted(said)) or NOT_RUN


def _table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines
    )


def _conditions() -> str:
    kernel = ".".join(platform.release().split(".")[:2])
    return (
        f"on {platform.system()} {kernel}, Python {platform.python_version()}, "
        f"{os.cpu_count()} processors"
    )


def main() -> None:
    """Write the page of the files that are named."""
    page = generate([Path(name) for name in sys.argv[1:]])
    PAGE.write_text(page, encoding="utf-8")
    bad = [mark for mark in (NOT_RUN, SKIPPED, BROKEN) if mark in page]
    print(f"Wrote {PAGE.name}" + (f"; it has rows that are {' and '.join(bad)}" if bad else ""))


if __name__ == "__main__":
    main()
