"""Commands of the workflow and of the pre-commit hooks: those that developers run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
CI_RUN = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
PRE_COMMIT = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))


# It runs where there is no make of ours: plain pip and pytest.
ELSEWHERE = "other-systems"


def steps() -> list[dict[str, Any]]:
    jobs = (job for name, job in WORKFLOW["jobs"].items() if name != ELSEWHERE)
    return [step for job in jobs for step in job["steps"]]


def hooks() -> list[dict[str, Any]]:
    return [hook for repo in PRE_COMMIT["repos"] for hook in repo["hooks"]]


def targets(command: str) -> set[str]:
    """Return the targets that a command has make do; empty if it is no call of make."""
    called = re.fullmatch(r"(?:sudo )?make((?: [a-z-]+)+)", command)
    return set(called[1].split()) if called else set()


def test_workflow_runs_make_targets_and_ci_run() -> None:
    commands = [step["run"] for step in steps() if "run" in step]
    assert "bash .ci/run" in commands
    assert all(targets(command) for command in commands if command != "bash .ci/run"), commands


def test_workflow_tests_the_local_driver_on_other_systems() -> None:
    job = WORKFLOW["jobs"][ELSEWHERE]
    assert job["strategy"]["matrix"]["os"] == ["windows-latest", "macos-latest"]
    (tested,) = (step["run"] for step in job["steps"] if "pytest -n0" in step.get("run", ""))
    files = [word for word in tested.split() if word.startswith("tests/")]
    assert files
    assert all((ROOT / name).is_file() for name in files)


def test_workflow_sets_up_each_python_that_make_check_runs() -> None:
    (versions,) = (
        step["with"]["python-version"].split()
        for step in steps()
        if step.get("uses", "").startswith("actions/setup-python@")
    )
    others = re.search(r"^OTHERS := (.*)$", MAKEFILE, re.MULTILINE)
    assert others
    # The default of several is the last: the oldest that is supported.
    assert versions == [*others[1].split(), "3.11"]


def test_pre_commit_hooks_run_make_targets_on_whole_tree() -> None:
    assert [repo["repo"] for repo in PRE_COMMIT["repos"]] == ["local"]
    for hook in hooks():
        assert targets(hook["entry"]), hook
        assert hook["language"] == "system"
        assert hook["pass_filenames"] is False


@pytest.mark.parametrize(
    "command",
    [
        *(step["run"] for step in steps() if targets(step.get("run", ""))),
        *(hook["entry"] for hook in hooks()),
        *(line for line in CI_RUN.splitlines() if targets(line)),
    ],
)
def test_commands_name_existing_make_targets(command: str) -> None:
    phony = re.search(r"^\.PHONY:((?:.*\\\n)*.*)$", MAKEFILE, re.MULTILINE)
    assert phony
    assert targets(command) <= set(phony[1].replace("\\\n", " ").split())


def test_ci_run_calls_make() -> None:
    assert any(targets(line) for line in CI_RUN.splitlines())
