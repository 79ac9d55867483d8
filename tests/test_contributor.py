"""What a contributor meets first: the workflow, the templates, and what `make` says."""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text("utf-8"))


def test_the_workflow_calls_targets_that_there_are() -> None:
    workflow = read(ROOT / ".github" / "workflows" / "ci.yml")
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    called = [name for step in steps for name in re.findall(r"^make ([\w-]+)", step.get("run", ""))]
    assert called
    assert [name for name in called if not re.search(rf"^{name}:", MAKEFILE, re.MULTILINE)] == []


def test_the_templates_hold_what_a_bug_report_needs() -> None:
    folder = ROOT / ".github" / "ISSUE_TEMPLATE"
    forms = [read(path) for path in sorted(folder.glob("*.yml")) if path.stem != "config"]
    for form in forms:
        ids = [each["id"] for each in form["body"] if each["type"] != "markdown"]
        assert len(set(ids)) == len(ids) > 1
    bug = next(form for form in forms if form["labels"] == ["bug"])
    labels = " ".join(each["attributes"].get("label", "") for each in bug["body"])
    for word in ("called", "came back", "expected", "doctor"):
        assert word in labels
    template = (ROOT / ".github" / "pull_request_template.md").read_text("utf-8")
    for target in re.findall(r"make (\w+)", template):
        assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE)


def test_make_says_when_it_installs(tmp_path: Path) -> None:
    command = ["make", "--dry-run", f"VENV={tmp_path / 'venv'}", "check"]
    steps = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    lines = steps.splitlines()
    for number, line in enumerate(lines):
        if " pip install " in line and "--upgrade" not in line:
            assert lines[number - 1].startswith('echo "Installing'), line


def test_the_addresses_of_the_project_are_true() -> None:
    """No repository is named that there is not."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["urls"]
    assert {url.split("/")[2] for url in project["urls"].values()} == {"docs.parallel.ai"}
