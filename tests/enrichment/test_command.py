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
def at_the_sandbox(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    monkeypatch.setenv("PARALLEL_API_KEY", sandbox.api_key)
    monkeypatch.setenv("PARALLEL_BASE_URL", sandbox.url)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    Path("rows.csv").write_text("statement\nwith\nnonlocal\nwith\nlambda\n")
    Path("schema.json").write_text(json.dumps(SCHEMA))
    return sandbox


ARGUMENTS = "rows.csv --output-schema schema.json --journal run.db -o out.jsonl".split()


def command(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["enrich", *(arguments or ARGUMENTS)])
    assert not done.stdout
    assert "Traceback" not in done.stderr
    return done.exit_code, done.stderr


def written() -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]


def test_rows_in_responses_out(sandbox: Sandbox) -> None:
    code, said = command()
    assert code == 0
    assert said.startswith("4 rows, 0.020 USD in all at most.\n")
    assert "4 of 4 rows are in out.jsonl, 0.015 USD in all." in said
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
    code, said = command()
    assert code == 0
    assert "0.015 USD of it spent or in flight before" in said
    assert Path("out.jsonl").read_bytes() == before
    assert started(sandbox) == 3
    assert sandbox.api_key not in said
    assert sandbox.api_key.encode() not in Path("run.db").read_bytes()


@pytest.mark.parametrize("schema", ["What the statement does.", "schema.txt"])
def test_a_text_as_output(schema: str) -> None:
    Path("schema.txt").write_text("What the statement does.\n")
    code, _ = command(*ARGUMENTS[:2], schema, *ARGUMENTS[3:])
    assert code == 0
    assert isinstance(written()[0]["output"]["content"], str)


def test_a_limit_stops_it_with_a_status_of_its_own(sandbox: Sandbox) -> None:
    code, said = command(*ARGUMENTS, "--max-cost", "0.01")
    assert code == 4
    assert said.startswith("4 rows, 0.010 USD in all at most.\n")
    assert "1 were not asked, because of --max-cost" in said
    assert [row["submitted"] for row in written()] == [True, True, True, False]
    assert sandbox.ledger.usd == 0.01
    assert command(*ARGUMENTS, "--max-cost", "1")[0] == 0
    assert sandbox.ledger.usd == 0.015


def test_failed_rows_have_a_status_of_their_own(sandbox: Sandbox) -> None:
    Path("rows.jsonl").write_text('{"a": "with"}\n{"a": "with", "sandbox": "fail"}\n')
    arguments = ["rows.jsonl", *ARGUMENTS[1:]]
    code, said = command(*arguments)
    assert code == 3
    assert "1 failed" in said
    assert "--retry-failed" in said
    assert [bool(row["error"]) for row in written()] == [False, True]
    assert command(*arguments)[0] == 3
    assert started(sandbox) == 2
    assert command(*arguments, "--retry-failed")[0] == 3
    assert started(sandbox) == 3


def test_without_a_key_it_says_how_to_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PARALLEL_API_KEY")
    code, said = command()
    assert code == 1
    assert "PARALLEL_API_KEY is not set" in said
    assert "parallel-integrations sandbox" in said
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
        ({4: "rows.csv"}, "three different files"),
        ({4: "schema.json"}, "The journal schema.json"),
        ({6: "missing/out.jsonl"}, "cannot be written"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_sent(
    sandbox: Sandbox, changed: dict[int, str], named: str
) -> None:
    Path("broken.json").write_text("{")
    Path("list.json").write_text("[]")
    Path("empty.txt").write_text("")
    Path("schema.json").write_text(json.dumps(SCHEMA) + " " * 4096)
    code, said = command(*[changed.get(n, each) for n, each in enumerate(ARGUMENTS)])
    assert code == 1
    assert named in said
    assert not sandbox.requests


def test_no_limit_without_a_price(sandbox: Sandbox) -> None:
    code, said = command(*ARGUMENTS, "--processor", "newer", "--max-cost", "1")
    assert code == 1
    assert "price of processor 'newer' is not known" in said
    assert not sandbox.requests


def test_what_stops_it_keeps_the_output_of_before(sandbox: Sandbox) -> None:
    Path("out.jsonl").write_text("before\n")
    sandbox.faults.add(path="*/runs", method="POST", times=1, status=402)
    code, said = command()
    assert code == 1
    assert "PaymentRequiredError: 402" in said
    assert Path("out.jsonl").read_text() == "before\n"
    assert sorted(each.name for each in Path().iterdir()) == [
        "out.jsonl",
        "rows.csv",
        "run.db",
        "schema.json",
    ]
    assert command()[0] == 0
    assert len(written()) == 4


def test_on_a_terminal_progress_is_drawn(sandbox: Sandbox) -> None:
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
        timeout=30,
        check=False,
    )
    os.close(theirs)
    said = os.read(ours, 100_000).decode()
    os.close(ours)
    assert done.returncode == 0
    assert "4/4 rows" in said
    assert "USD so far" in said
    assert "\x1b[" in said


@pytest.fixture
def slow() -> Iterator[Sandbox]:
    with Sandbox(task_seconds=1.0) as sandbox:
        yield sandbox


def begin(slow: Sandbox, *arguments: str, before: str = "") -> subprocess.Popen[str]:
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


def at_work(slow: Sandbox, *arguments: str, before: str = "") -> subprocess.Popen[str]:
    """The command once its rows are sent."""
    running = begin(slow, *arguments, before=before)
    while started(slow) < 3:
        if running.poll() is not None:
            pytest.fail(f"it ended: {running.communicate()[1]}")
        time.sleep(0.01)
    return running


def finish(running: subprocess.Popen[str]) -> tuple[int, str]:
    _, said = running.communicate(timeout=50)
    assert "Traceback" not in said
    return running.returncode, said


def files() -> list[str]:
    return sorted(each.name for each in Path().iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ended_by_a_signal_it_goes_on(slow: Sandbox, ending: signal.Signals) -> None:
    running = at_work(slow)
    running.send_signal(ending)
    code, said = finish(running)
    assert code == 128 + ending, said
    assert "goes on where this one stopped" in said
    assert files() == ["rows.csv", "run.db", "schema.json"]
    assert finish(begin(slow))[0] == 0
    assert started(slow) == 3
    assert len(written()) == 4


@pytest.mark.slow
def test_killed_it_goes_on_and_what_was_left_is_removed(slow: Sandbox) -> None:
    running = at_work(slow)
    running.kill()
    finish(running)
    assert [each.rpartition(".")[2] for each in files() if each.startswith(".")] == ["part", "lock"]
    assert finish(begin(slow))[0] == 0
    assert started(slow) == 3
    assert files() == ["out.jsonl", "rows.csv", "run.db", "schema.json"]


@pytest.mark.slow
def test_a_signal_that_is_ignored_stays_ignored(slow: Sandbox) -> None:
    before = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)"  # as nohup does
    running = at_work(slow, before=before)
    running.send_signal(signal.SIGHUP)
    code, said = finish(running)
    assert code == 0, said
    assert len(written()) == 4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({}, "out.jsonl is being written by another run"),
        ({4: "other.db"}, "out.jsonl is being written by another run"),
        ({4: "other.db", 6: "./out.jsonl"}, "out.jsonl is being written by another run"),
        ({6: "other.jsonl"}, "run.db is in use by another run"),
    ],
)
def test_a_second_run_on_the_same_files_is_refused_and_spoils_nothing(
    slow: Sandbox, changed: dict[int, str], named: str
) -> None:
    running = at_work(slow)
    running.send_signal(signal.SIGSTOP)  # so that it does not end before the second has begun
    before = files()
    again = [changed.get(n, each) for n, each in enumerate(ARGUMENTS)]
    refused, why = finish(begin(slow, *again))
    after = files()
    running.send_signal(signal.SIGCONT)
    code, said = finish(running)
    assert refused == 1
    assert named in why
    assert after == before
    assert code == 0, said
    assert started(slow) == 3
    assert len(written()) == 4


@pytest.mark.parametrize(
    ("output", "named"),
    [
        ("folder", "is a folder"),
        ("link-to-folder", "is a folder"),
        ("missing/out.jsonl", "there is no folder missing"),
        ("rows.csv/out.jsonl", "there is no folder rows.csv"),
        ("pipe", "is no file of its own kind"),
        ("run.db-journal", "three different files"),
        ("run.db-wal", "three different files"),
        ("x" * 250, "cannot be"),
    ],
)
def test_what_is_no_output_is_refused_before_anything_is_paid(
    sandbox: Sandbox, output: str, named: str
) -> None:
    Path("folder").mkdir()
    Path("link-to-folder").symlink_to("folder")
    os.mkfifo("pipe")
    before = files()
    code, said = command(*ARGUMENTS[:6], output)
    assert code == 1
    assert named in said
    assert files() == before
    assert not sandbox.requests


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is write-protected from root")
def test_a_write_protected_output_is_refused_before_anything_is_paid(sandbox: Sandbox) -> None:
    Path("out.jsonl").touch(mode=0o444)
    code, said = command()
    assert code == 1
    assert "write-protected" in said
    assert not sandbox.requests


def test_the_journal_is_not_taken_for_the_lock(sandbox: Sandbox) -> None:
    code, said = command(*ARGUMENTS[:4], ".out.jsonl.lock", *ARGUMENTS[5:])
    assert code == 1
    assert "three different files" in said
    assert not sandbox.requests


@pytest.mark.parametrize("name", [".out.jsonl.part", ".out.jsonl.0123456789abcdef.part"])
def test_a_link_that_was_laid_is_not_followed(name: str) -> None:
    Path("precious").write_text("mine")
    Path(name).symlink_to("precious")
    assert command()[0] == 0
    assert Path("precious").read_text() == "mine"
    assert len(written()) == 4


@pytest.mark.parametrize("laid", ["link", "folder", "pipe", "file"])
def test_what_stands_where_the_lock_belongs_is_left_alone(sandbox: Sandbox, laid: str) -> None:
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
    code, said = command()
    assert code == 1
    assert ".out.jsonl.lock" in said
    assert files() == before
    assert Path("precious").read_text() == "mine"
    assert not sandbox.requests


def test_who_could_not_read_the_old_output_cannot_read_the_new() -> None:
    Path("out.jsonl").touch(mode=0o600)
    assert command()[0] == 0
    assert Path("out.jsonl").stat().st_mode & 0o777 == 0o600
