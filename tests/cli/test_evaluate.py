"""The command `evaluate`."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from parallel_integrations._cli.commands import app
from parallel_integrations.evaluation import built_in_pages
from parallel_integrations.evaluation.questions import BUILT_IN
from parallel_integrations.sandbox import Sandbox

QUESTIONS = str(BUILT_IN / "questions.jsonl")


@pytest.fixture
def town(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    with Sandbox(pages=built_in_pages()) as sandbox:
        monkeypatch.setenv("PARALLEL_BASE_URL", sandbox.url)
        monkeypatch.setenv("PARALLEL_API_KEY", sandbox.api_key)
        yield sandbox


def command(*args: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["evaluate", *args])
    return done.exit_code, done.stdout, done.stderr


def test_the_built_in_set_needs_no_key(tmp_path: Path) -> None:
    status, out, err = command(
        "--max-results", "1,10", "--max-chars", "1000",
        "-o", str(tmp_path / "r.json"), "--html", str(tmp_path / "r.html"),
    )  # fmt: skip
    assert status == 0, err
    assert "30 questions with 2 settings: 60 searches, 0.060 USD" in err
    assert "nothing is sent or paid" in err
    assert "recommended" in out
    rows = json.loads((tmp_path / "r.json").read_text())["rows"]
    assert [row["max_results"] for row in rows] == [1, 10]
    assert "<table>" in (tmp_path / "r.html").read_text()


def test_own_questions_within_a_limit_and_on_again(town: Sandbox, tmp_path: Path) -> None:
    settings = ["--max-results", "3", "--max-chars", "1000", "--journal", str(tmp_path / "e.db")]
    status, _, err = command(QUESTIONS, *settings, "--max-cost", "0.01")
    assert status == 4
    assert "0.030 USD without what the journal holds, at most 0.01 by --max-cost" in err
    assert "20 searches were not sent because of --max-cost" in err
    status, out, _ = command(QUESTIONS, *settings)
    assert status == 0
    assert re.search(r"8\d%|9\d%|100%", out)
    assert len(town.requests) == 30


def test_what_fails_is_said(town: Sandbox) -> None:
    town.faults.add(status=400, times=1)
    status, _, err = command(QUESTIONS, "--max-results", "3,3", "--max-chars", "1000")
    assert status == 3
    assert "questions with 1 setting: 30 searches, 0.030 USD" in err
    assert "1 search failed: InvalidRequestError" in err


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["no-such-file.jsonl"], "no-such-file.jsonl"),
        ([QUESTIONS, "--max-results", "few"], "--max-results='few' must be whole numbers"),
        ([QUESTIONS, "--mode", "fast,,"], "--mode='fast,,' must be values with commas"),
        ([QUESTIONS, "--max-results", "99"], "99"),
        ([QUESTIONS, "-o", "no/such/folder/r.json"], "there is no folder no/such/folder"),
        ([QUESTIONS, "--html", "."], "The output . is a folder"),
        ([QUESTIONS, "-o", QUESTIONS], "cannot be both the questions and the JSON report"),
        ([QUESTIONS, "-o", "r", "--html", "./r"], "both the JSON report and the HTML report"),
        ([QUESTIONS, "--journal", "r", "--html", "r"], "both the HTML report and the journal"),
        ([QUESTIONS, "--journal", QUESTIONS], "both the questions and the journal"),
    ],
)
def test_mistakes_are_said_before_anything_is_sent(
    town: Sandbox, args: list[str], text: str
) -> None:
    status, _, err = command(*args)
    assert status == 2
    assert text in err.replace("\n", " ")
    assert not town.requests
