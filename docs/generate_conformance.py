"""Generator of docs/conformance.md from what `make conformance` counted."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from collections import Counter, defaultdict
from pathlib import Path

DOCS = Path(__file__).parent
PAGE = DOCS / "conformance.md"
TEMPLATE = DOCS / "conformance.template.md"

sys.path.insert(0, str(DOCS.parent / "tests"))

from simplicity import sources  # noqa: E402

# The suite of each row, the distribution that it tests, and what answered.
SUITES = {
    "TestMemoryDriver": ("drivers-memory", "none: this process"),
    "TestLocal": ("drivers-local", "none: ext4 or another file system of Linux"),
    "TestLocalPortable": ("drivers-local", "the same, without what only Linux has"),
    "TestLocalByPath": ("drivers-local", "the same, by paths, as on Windows"),
    "TestS3": ("drivers-s3", "SeaweedFS"),
    "TestAzure": ("drivers-azure", "Azurite"),
    "TestGCS": ("drivers-gcs", "our own test server, after Google's documentation"),
    "TestFakeGCSServer": ("drivers-gcs", "fake-gcs-server"),
    "TestSFTP": ("drivers-sftp", "OpenSSH"),
    "TestMemory": ("drivers-opendal", "none: `memory` of OpenDAL"),
    "TestFs": ("drivers-opendal", "none: `fs` of OpenDAL"),
    "TestWebDAV": ("drivers-opendal", "WebDAV: wsgidav"),
    "TestFTP": ("drivers-opendal", "FTP: pyftpdlib"),
    "TestRedis": ("drivers-opendal", "Redis"),
}


def generate(results: Path) -> str:
    """Return the page.

    Args:
        results: The JUnit XML file that pytest wrote.
    """
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    reasons: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for case in ET.parse(results).iter("testcase"):  # noqa: S314 - of our own tests
        suite = case.get("classname", "").rpartition(".")[2]
        if suite not in SUITES:
            continue
        if case.find("failure") is not None or case.find("error") is not None:
            counts[suite]["failed"] += 1
        elif (skipped := case.find("skipped")) is not None:
            counts[suite]["skipped"] += 1
            reasons[suite][skipped.get("message", "")] += 1
        else:
            counts[suite]["passed"] += 1
    page = TEMPLATE.read_text(encoding="utf-8")
    page = page.replace("{results}", _table(counts))
    return page.replace("{reasons}", _reasons(reasons))


def _table(counts: defaultdict[str, Counter[str]]) -> str:
    lines = Counter[str]()
    for source in sources():
        lines[source.distribution] += len(source.code)
    rows = ["| driver | code lines | server | passed | skipped | failed |", "|" + " --- |" * 6]
    for suite, (distribution, server) in SUITES.items():
        if suite in counts:
            found = [str(counts[suite][each]) for each in ("passed", "skipped", "failed")]
            shown = f"[{distribution}](../{distribution})"
            rows.append(f"| {' | '.join([shown, f'{lines[distribution]:,}', server, *found])} |")
    return "\n".join(rows)


def _reasons(reasons: defaultdict[str, Counter[str]]) -> str:
    parts: list[str] = []
    for suite, (distribution, server) in SUITES.items():
        if suite in reasons:
            parts.append(f"### {distribution}, {server.partition(':')[0]}\n")
            parts.extend(
                f"- {number}: {reason}" for reason, number in sorted(reasons[suite].most_common())
            )
            parts.append("")
    return "\n".join(parts).strip()


if __name__ == "__main__":
    PAGE.write_text(generate(Path(sys.argv[1])), encoding="utf-8")
