"""`parallel-integrations enrich`, run as a user runs it."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from parallel_integrations._cli.commands import app
from parallel_integrations.sandbox import Sandbox
from tests.enrichment.support import started

SCHEMA = {"type": "object", "properties": {"purpose": {"type": "string"}}}


@pytest.fixture(autouse=True)
def given_files(terminal: Sandbox) -> None:
    Path("rows.csv").write_text("statement\nwith\nnonlocal\nwith\nlambda\n")
    Path("schema.json").write_text(json.dumps(SCHEMA))


JOURNAL = "The journal schema.json"  # what a file holds is no argument
ARGUMENTS = "rows.csv --output-schema schema.json --journal run.db -o out.jsonl".split()


def command(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["enrich", *(arguments or ARGUMENTS)])
    assert not done.stdout
    assert "Traceback" not in done.stderr
    return done.exit_code, done.stderr


def written() -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]


def test_the_command_writes_an_output_line_for_each_row(sandbox: Sandbox) -> None:
    code, messages = command()
    assert code == 0
    assert messages.startswith("4 rows, 0.020 USD in all at most.\n")
    assert "4 of 4 rows are in out.jsonl, 0.015 USD in all." in messages
    found = written()
    assert [row["number"] for row in found] == [0, 1, 2, 3]
    assert found[0]["input"] == {"statement": "with"}
    assert found[0]["output"]["content"]["purpose"]
    assert found[0]["output"]["basis"][0]["citations"][0]["url"]
    assert found[0]["run_id"] == found[2]["run_id"]
    assert found[0]["error"] is None
    assert sorted(each.name for each in Path().iterdir()) == [
        "out.jsonl",
        "rows.csv",
        "run.db",
        "schema.json",
    ]
    before = Path("out.jsonl").read_bytes()
    code, messages = command()
    assert code == 0
    assert "0.015 USD of it spent or in flight before" in messages
    assert Path("out.jsonl").read_bytes() == before
    assert started(sandbox) == 3
    assert sandbox.api_key not in messages
    assert sandbox.api_key.encode() not in Path("run.db").read_bytes()


@pytest.mark.parametrize("schema", ["What the statement does.", "schema.txt"])
def test_the_output_may_be_described_by_a_text(schema: str) -> None:
    Path("schema.txt").write_text("What the statement does.\n")
    code, _ = command(*ARGUMENTS[:2], schema, *ARGUMENTS[3:])
    assert code == 0
    assert isinstance(written()[0]["output"]["content"], str)


def test_the_command_ends_with_status_4_at_the_cost_limit(sandbox: Sandbox) -> None:
    code, messages = command(*ARGUMENTS, "--max-cost", "0.01")
    assert code == 4
    assert messages.startswith("4 rows, 0.010 USD in all at most.\n")
    assert "1 was not submitted, because of --max-cost" in messages
    assert [row["submitted"] for row in written()] == [True, True, True, False]
    assert sandbox.ledger.usd == 0.01
    assert command(*ARGUMENTS, "--max-cost", "1")[0] == 0
    assert sandbox.ledger.usd == 0.015


def test_the_command_ends_with_status_3_where_rows_failed(sandbox: Sandbox) -> None:
    Path("rows.jsonl").write_text('{"a": "with"}\n{"a": "with", "sandbox": "fail"}\n')
    arguments = ["rows.jsonl", *ARGUMENTS[1:]]
    code, messages = command(*arguments)
    assert code == 3
    assert "1 failed" in messages
    assert "--retry-failed" in messages
    assert [bool(row["error"]) for row in written()] == [False, True]
    assert command(*arguments)[0] == 3
    assert started(sandbox) == 2
    assert command(*arguments, "--retry-failed")[0] == 3
    assert started(sandbox) == 3


def test_the_command_without_a_key_names_the_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PARALLEL_API_KEY")
    code, messages = command()
    assert code == 1
    assert messages.startswith("MissingKeyError: PARALLEL_API_KEY is not set")
    assert "parallel-integrations sandbox" in messages
    assert not Path("run.db").exists()


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({0: "missing.csv"}, "There is no file missing.csv"),
        ({0: "schema.json"}, "unknown kind"),
        ({2: "missing.json"}, "there is no file 'missing.json'"),
        ({2: "word"}, "more than one word"),
        ({2: "broken.json"}, "broken.json is no JSON"),
        ({2: "list.json"}, "list.json is no JSON schema"),
        ({2: "empty.txt"}, "empty.txt is empty"),
        ({2: '{"type": "object"'}, "what is given is no JSON"),
        ({2: '{"a":' * 5000}, "what is given is no JSON"),
        ({2: '{"properties": {}}'}, "what is given is no JSON schema"),
        ({0: "-"}, "rows: name a file"),
        ({4: "-"}, "--journal: name a file"),
        ({6: "-"}, "--output: name a file"),
        ({0: ""}, "rows: name a file"),
        ({0: "."}, "rows: name a file"),
        ({4: "."}, "--journal: name a file; '.' is none"),
        ({6: ""}, "--output: name a file"),
        ({6: "/"}, "--output: name a file; '/' is none"),
        ({4: "rows.csv"}, "cannot be both"),
        ({4: "schema.json"}, JOURNAL),
        ({6: "missing/out.jsonl"}, "cannot be written"),
    ],
)
def test_wrong_command_arguments_are_refused_before_anything_is_sent(
    sandbox: Sandbox, changed: dict[int, str], named: str
) -> None:
    Path("broken.json").write_text("{")
    Path("list.json").write_text("[]")
    Path("empty.txt").write_text("")
    Path("schema.json").write_text(json.dumps(SCHEMA) + " " * 4096)
    code, messages = command(*[changed.get(n, each) for n, each in enumerate(ARGUMENTS)])
    assert code == 1 + (named != JOURNAL)
    assert named in messages
    assert not sandbox.requests


def test_an_empty_processor_is_not_the_cheapest(sandbox: Sandbox) -> None:
    code, messages = command(*ARGUMENTS, "--processor", "")
    assert code == 2
    assert "processor=''" in messages
    assert not sandbox.requests


def test_a_schema_may_be_given_itself(sandbox: Sandbox) -> None:
    code, messages = command(*[{2: json.dumps(SCHEMA)}.get(n, a) for n, a in enumerate(ARGUMENTS)])
    assert code == 0, messages
    bodies = [each.body for each in sandbox.requests if each.path.endswith("/runs")]
    assert bodies[0]["default_task_spec"]["output_schema"]["type"] == "json"


def test_the_command_refuses_a_cost_limit_without_a_price(sandbox: Sandbox) -> None:
    code, messages = command(*ARGUMENTS, "--processor", "newer", "--max-cost", "1")
    assert code == 2
    assert "price of processor 'newer' is not known" in messages
    assert not sandbox.requests


def test_an_error_keeps_the_output_file_of_an_earlier_run(sandbox: Sandbox) -> None:
    Path("out.jsonl").write_text("before\n")
    sandbox.faults.add(path="*/runs", method="POST", times=1, status=402)
    code, messages = command()
    assert code == 1
    assert "PaymentRequiredError: 402" in messages
    assert Path("out.jsonl").read_text() == "before\n"
    assert sorted(each.name for each in Path().iterdir()) == [
        "out.jsonl",
        "rows.csv",
        "run.db",
        "schema.json",
    ]
    assert command()[0] == 0
    assert len(written()) == 4


def test_a_terminal_shows_a_progress_bar(sandbox: Sandbox) -> None:
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "parallel_integrations._cli.commands", "enrich", *ARGUMENTS],
        stderr=theirs,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": ":".join(sys.path),
            "TERM": "xterm",
            "COLUMNS": "100",
            "PARALLEL_API_KEY": sandbox.api_key,
            "PARALLEL_BASE_URL": sandbox.url,
        },
        timeout=170,
        check=False,
    )
    os.close(theirs)
    messages = os.read(ours, 100_000).decode("utf-8", "replace")  # it may end in a character
    os.close(ours)
    assert done.returncode == 0
    assert "4/4 rows" in messages
    assert "USD so far" in messages
    assert "\x1b[" in messages


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    with Sandbox(task_seconds=1.0) as sandbox:
        monkeypatch.setenv("PARALLEL_API_KEY", sandbox.api_key)
        monkeypatch.setenv("PARALLEL_BASE_URL", sandbox.url)
        yield sandbox


def start(slow: Sandbox, *arguments: str, before: str = "") -> subprocess.Popen[str]:
    """Start the command in a process of its own."""
    program = f"{before}\nfrom parallel_integrations._cli.commands import main\nmain()"
    return subprocess.Popen(
        [sys.executable, "-c", program, "enrich", *(arguments or ARGUMENTS)],
        stderr=subprocess.PIPE,
        text=True,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": ":".join(sys.path),
            "COLUMNS": "200",
            "PARALLEL_API_KEY": slow.api_key,
            "PARALLEL_BASE_URL": slow.url,
        },
    )


def start_and_send(slow: Sandbox, *arguments: str, before: str = "") -> subprocess.Popen[str]:
    """The command once its rows are sent."""
    running = start(slow, *arguments, before=before)
    while started(slow) < 3:
        if running.poll() is not None:
            pytest.fail(f"it ended: {running.communicate()[1]}")
        time.sleep(0.01)
    return running


def finish(running: subprocess.Popen[str]) -> tuple[int, str]:
    _, messages = running.communicate(timeout=170)
    assert "Traceback" not in messages
    return running.returncode, messages


def files() -> list[str]:
    return sorted(each.name for each in Path().iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_enrichment_ended_by_a_signal_is_resumed(slow: Sandbox, number: signal.Signals) -> None:
    running = start_and_send(slow)
    running.send_signal(number)
    code, messages = finish(running)
    assert code == 128 + number, messages
    assert "goes on where this one stopped" in messages
    assert files() == ["rows.csv", "run.db", "schema.json"]
    assert command()[0] == 0
    assert started(slow) == 3
    assert len(written()) == 4


@pytest.mark.slow
def test_a_killed_enrichment_is_resumed_and_its_leftover_files_are_removed(slow: Sandbox) -> None:
    running = start_and_send(slow)
    running.kill()
    finish(running)
    assert [each.rpartition(".")[2] for each in files() if each.startswith(".")] == ["part", "lock"]
    assert command()[0] == 0
    assert started(slow) == 3
    assert files() == ["out.jsonl", "rows.csv", "run.db", "schema.json"]


@pytest.mark.slow
def test_a_signal_that_was_ignored_before_stays_ignored(slow: Sandbox) -> None:
    before = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)"  # as nohup does
    running = start_and_send(slow, before=before)
    running.send_signal(signal.SIGHUP)
    code, messages = finish(running)
    assert code == 0, messages
    assert len(written()) == 4


@pytest.mark.slow
def test_a_second_run_on_the_same_files_is_refused_and_changes_nothing(slow: Sandbox) -> None:
    running = start_and_send(slow)
    running.send_signal(signal.SIGSTOP)  # so that it does not end before the others have begun
    before = files()
    came = []
    for changed in ({}, {4: "other.db"}, {4: "other.db", 6: "./out.jsonl"}, {6: "other.jsonl"}):
        again = [changed.get(number, each) for number, each in enumerate(ARGUMENTS)]
        came.append((*command(*again), files()))
    running.send_signal(signal.SIGCONT)
    code, messages = finish(running)
    assert code == 0, messages
    assert [(refused, after) for refused, _, after in came] == [(1, before)] * 4
    *of_the_output, of_the_journal = [why for _, why, _ in came]
    assert all("out.jsonl is being written by another run" in why for why in of_the_output)
    assert "run.db is in use by another run" in of_the_journal
    assert started(slow) == 3
    assert len(written()) == 4


@pytest.mark.parametrize(
    ("output", "named"),
    [
        ("folder", "is a folder"),
        ("link-to-folder", "is a folder"),
        ("missing/out.jsonl", "there is no folder missing"),
        ("rows.csv/out.jsonl", "there is no folder rows.csv"),
        ("pipe", "is no regular file"),
        ("run.db-journal", "cannot be both"),
        ("run.db-wal", "cannot be both"),
        ("x" * 250, "cannot be"),
    ],
)
def test_an_impossible_output_path_is_refused_before_anything_is_paid(
    sandbox: Sandbox, output: str, named: str
) -> None:
    Path("folder").mkdir()
    Path("link-to-folder").symlink_to("folder")
    os.mkfifo("pipe")
    before = files()
    code, messages = command(*ARGUMENTS[:6], output)
    assert code in (1, 2)
    assert named in messages
    assert files() == before
    assert not sandbox.requests


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is write-protected from root")
def test_a_write_protected_output_is_refused_before_anything_is_paid(sandbox: Sandbox) -> None:
    Path("out.jsonl").touch(mode=0o444)
    code, messages = command()
    assert code == 2
    assert "write-protected" in messages
    assert not sandbox.requests


def test_the_journal_may_not_be_the_lock_file_of_the_output(sandbox: Sandbox) -> None:
    code, messages = command(*ARGUMENTS[:4], ".out.jsonl.lock", *ARGUMENTS[5:])
    assert code == 2
    assert "cannot be both" in messages
    assert not sandbox.requests


@pytest.mark.parametrize("name", [".out.jsonl.part", ".out.jsonl.0123456789abcdef.part"])
def test_a_symbolic_link_at_the_temporary_name_is_not_followed(name: str) -> None:
    Path("precious").write_text("mine")
    Path(name).symlink_to("precious")
    assert command()[0] == 0
    assert Path("precious").read_text() == "mine"
    assert len(written()) == 4


@pytest.mark.parametrize("laid", ["link", "folder", "pipe", "file"])
def test_a_foreign_file_at_the_lock_name_is_refused_and_kept(sandbox: Sandbox, laid: str) -> None:
    Path("precious").write_text("mine")
    lock = Path(".out.jsonl.lock")
    if laid == "link":
        lock.symlink_to("precious")
    elif laid == "folder":
        lock.mkdir()
    elif laid == "pipe":
        os.mkfifo(lock)
    else:
        lock.write_text("mine")
    before = files()
    code, messages = command()
    assert code == 1
    assert ".out.jsonl.lock" in messages
    assert files() == before
    assert Path("precious").read_text() == "mine"
    assert not sandbox.requests


def test_the_new_output_keeps_the_permissions_of_the_old_one() -> None:
    Path("out.jsonl").touch(mode=0o600)
    assert command()[0] == 0
    assert Path("out.jsonl").stat().st_mode & 0o777 == 0o600
