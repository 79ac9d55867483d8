"""`parallel-integrations enrich --describe`: from words to columns, after a question."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from parallel_integrations._cli.commands import app
from parallel_integrations.sandbox import Sandbox
from tests.enrichment.support import started

WORDS = "purpose and syntax of the statement"
ARGUMENTS = ["rows.csv", "--journal", "run.db", "-o", "out.jsonl"]


@pytest.fixture(autouse=True)
def given_files(terminal: Sandbox) -> None:
    Path("rows.csv").write_text("statement\nwith\nnonlocal\n")


def command(*arguments: str, given: str = "", words: str = WORDS) -> tuple[int, str]:
    options = ["enrich", *ARGUMENTS, "--describe", words, *arguments]
    done = CliRunner().invoke(app, options, input=given)
    assert "Traceback" not in done.stderr
    return done.exit_code, done.stderr


def test_it_proposes_asks_and_goes_on(sandbox: Sandbox) -> None:
    code, messages = command(given="y\n")
    assert code == 0, messages
    assert '"syntax_of_statement"' in messages
    assert "Processor: lite, 0.005 USD a row." in messages
    assert "2 rows, 0.010 USD in all at most." in messages
    assert messages.index("0.010 USD in all") < messages.index("Go on?")
    found = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    assert set(found[0]["output"]["content"]) == {"purpose", "syntax_of_statement"}
    assert sandbox.ledger.usd == 0.010
    sandbox.ledger.clear()
    code, messages = command()
    assert code == 0, "the same command goes on, with the schema that was agreed to"
    assert "Go on?" not in messages
    assert sandbox.ledger.usd == 0


@pytest.mark.parametrize("given", ["n\n", "", "\n"], ids=["no", "nobody there", "default"])
def test_without_a_yes_nothing_is_submitted(sandbox: Sandbox, given: str) -> None:
    code, messages = command(given=given)
    assert code == 1
    assert "Nothing was submitted. --yes goes on" in messages
    assert not Path("out.jsonl").exists()
    assert started(sandbox) == 0
    assert sandbox.ledger.usd == 0
    code, messages = command("--yes")
    assert code == 0
    assert "Go on?" not in messages
    assert started(sandbox) == 2


def test_the_processor_may_be_given(sandbox: Sandbox) -> None:
    code, messages = command("--yes", "--processor", "core")
    assert code == 0
    assert "Processor: core, 0.025 USD a row." in messages
    assert not [each for each in sandbox.requests if each.path.endswith("suggest-processor")]


def test_a_journal_of_other_words_is_not_taken(sandbox: Sandbox) -> None:
    assert command("--yes")[0] == 0
    code, messages = command("--yes", words="something else")
    assert code == 1
    assert "take another --journal" in messages
    Path("run.db.task.json").write_text("{")
    code, messages = command("--yes")
    assert code == 1
    assert "remove it to have another proposal" in messages


def test_a_server_without_proposals(sandbox: Sandbox) -> None:
    sandbox.faults.add(path="/v1beta/tasks/suggest", status=404)
    code, messages = command("--yes")
    assert code == 1
    assert "give --output-schema" in messages


@pytest.mark.parametrize("more", [["--output-schema", "What it does."], None])
def test_one_of_schema_and_words(more: list[str] | None) -> None:
    if more is None:
        done = CliRunner().invoke(app, ["enrich", *ARGUMENTS])
        code, messages = done.exit_code, done.stderr
    else:
        code, messages = command(*more)
    assert code == 2
    assert "give one of --output-schema and --describe" in messages
