"""Generator of docs/engines.md from what `make engines` measured."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from collections import Counter, defaultdict
from pathlib import Path

DOCS = Path(__file__).parent
PAGE = DOCS / "engines.md"
TEMPLATE = DOCS / "engines.template.md"

sys.path.insert(0, str(DOCS.parent / "tests" / "support"))

from engines.all_of_them import ENGINES, MISSING  # noqa: E402
from engines.engine import Engine, EngineMissing  # noqa: E402


def generate(results: Path) -> str:
    """Return the page.

    Args:
        results: The JUnit XML file that pytest wrote.
    """
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    failed: defaultdict[str, list[str]] = defaultdict(list)
    for case in ET.parse(results).iter("testcase"):  # noqa: S314 - of our own tests
        name = case.get("classname", "").rpartition(".Test")[2]
        outcome = _outcome(case)
        counts[name][outcome] += 1
        if outcome == "failed":
            failed[name].append(case.get("name", ""))
    rows = [_row(each, counts[_class_of(each)]) for each in ENGINES]
    names = ("engine", "conditions", "to set", "passed", "failed for a known reason", "failed")
    page = TEMPLATE.read_text(encoding="utf-8")
    for part, text in {
        "results": _table(names, rows),
        "failures": "\n".join(_failures(each, failed[_class_of(each)]) for each in ENGINES).strip(),
        "missing": _table(("engine", "why"), [list(pair) for pair in MISSING.items()]),
    }.items():
        page = page.replace(f"{{{part}}}", text)
    return page


def _class_of(engine: type[Engine]) -> str:
    return "S3" if engine.__name__ == "SeaweedFS" else engine.__name__


def _outcome(case: ET.Element) -> str:
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    skipped = case.find("skipped")
    if skipped is None:
        return "passed"
    return "known" if skipped.get("type") == "pytest.xfail" else "skipped"


def _row(engine: type[Engine], counts: Counter[str]) -> list[str]:
    try:
        name = f"{engine.name} {engine.version()}"
    except EngineMissing as missing:
        return [engine.name, "not run", str(missing), "", "", ""]
    options = [f"`{name} = {value!r}`" for name, value in engine.extra_options.items()]
    if engine.conditions is not None:
        options.append(f"`conditions = {sorted(engine.conditions)}`")
    if engine.disable:
        options.append(f"`disable = {sorted(engine.disable)}`")
    kept = engine.conditions_note or "none"
    numbers = [str(counts[each]) for each in ("passed", "known", "failed")]
    return [name, kept, ", ".join(options).replace("'", '"') or "nothing", *numbers]


def _failures(engine: type[Engine], failed: list[str]) -> str:
    reasons: defaultdict[str, list[str]] = defaultdict(list)
    for test, reason in (*engine.expected_failures.items(), *engine.expected_races.items()):
        reasons[reason].append(test)
    lines = [
        f"- **{engine.name}**: {reason} ({_listed(tests)})" for reason, tests in reasons.items()
    ]
    if failed:
        lines.append(f"- **{engine.name}**: without a known reason: {_listed(failed)}")
    return "\n".join(lines)


def _listed(tests: list[str]) -> str:
    return ", ".join(f"`{test}`" for test in tests)


def _table(names: tuple[str, ...], rows: list[list[str]]) -> str:
    lines = [list(names), ["---"] * len(names), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> int:
    (results,) = sys.argv[1:]
    PAGE.write_text(generate(Path(results)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
