"""The command, run as a user runs it."""

import errno
import io
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner, Result

from parallel_integrations import SearchMcp
from parallel_integrations._cli.commands import app
from parallel_integrations.sandbox import Sandbox

PACKAGE = "parallel_integrations"
CLI = f"{PACKAGE}._cli.commands"
QUESTION = "What is a decorator?"
FRAMEWORKS = {"langchain": "langchain_core", "llama_index": "llama_index.core"}
ENRICH = ["enrich", "README.md", "--journal", "no/run.db", "-o", "no/out.csv"]


def _environment() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "PYTHONPATH": ":".join(sys.path), "COLUMNS": "100"}


NO_KEY = {"PARALLEL_API_KEY": None, "PARALLEL_BASE_URL": None}


def invoke(*args: str, **environment: str | None) -> Result:
    """The command in this process."""
    return CliRunner().invoke(app, args, env=environment)


def test_the_demo_without_a_key_runs_on_the_sandbox_and_says_so() -> None:
    done = invoke("demo", QUESTION, **NO_KEY)
    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith("Sandbox, because PARALLEL_API_KEY is not set")
    for shown in (
        QUESTION,
        "LangChain: Par",
        "LlamaIndex: Par",
        "cited",
        "what next",
        "demo --web",
    ):
        assert shown in done.stdout
    assert done.stdout.count("https://docs.python.org/") >= 4
    assert len(done.stdout.splitlines()) <= 55, "one screen"
    assert "\x1b" not in done.stdout, "plain where it is no terminal"
    assert "searching" not in done.stdout
    assert "::=" not in done.stdout, "sentences, no grammar"
    assert "**" not in done.stdout


@pytest.mark.parametrize("columns", ["60", "80"])
def test_the_demo_breaks_neither_words_nor_what_is_to_be_copied(columns: str) -> None:
    done = invoke("demo", QUESTION, COLUMNS=columns, **NO_KEY)
    for line in done.stdout.splitlines():
        assert len(line) <= 80 or "https://" in line
    words = invoke("demo", QUESTION, COLUMNS="200", **NO_KEY).stdout.split()
    narrow = done.stdout.split()
    assert [each for each in narrow if "─" not in each] == [
        each for each in words if "─" not in each
    ]


def test_the_demo_cites_what_it_shows() -> None:
    done = invoke("demo", QUESTION, **NO_KEY)
    answer, _, cited = done.stdout.partition("\ncited\n")
    markers = set(re.findall(r"” \[(\d)\]", answer))
    assert markers
    assert markers <= set(re.findall(r"^\[(\d)\]", cited, re.MULTILINE))


def test_the_demo_says_what_the_sandbox_knows_only_where_it_finds_nothing() -> None:
    assert "Python's manual only" not in invoke("demo", QUESTION, **NO_KEY).stdout
    done = invoke("demo", "pizza dough hydration", **NO_KEY)
    assert done.exit_code == 1
    assert "Nothing was found." in done.stdout
    assert "Python's manual only" in done.stdout
    assert "Empty Response" not in done.stdout


@pytest.mark.parametrize(
    ("missing", "shown"),
    [
        (["llama_index"], ["LangChain: ParallelSearchRetriever", "LangChain: ChatParallel"]),
        (["langchain"], ["LlamaIndex: ParallelRetriever", "LlamaIndex: ParallelQueryEngine"]),
        (["langchain", "llama_index"], ["client.run(search(", "client.run(chat("]),
    ],
    ids=" and ".join,
)
def test_the_demo_needs_no_framework(
    missing: list[str],
    shown: list[str],
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for each in missing:  # neither the framework nor what needs it can be imported
        monkeypatch.setitem(sys.modules, FRAMEWORKS[each], None)
        monkeypatch.setitem(sys.modules, f"{PACKAGE}.{each}", None)
    done = invoke("demo", QUESTION, **NO_KEY)
    assert done.exit_code == 0, done.stderr
    assert all(each in done.stdout for each in shown)
    code = done.stdout.partition("\nin code:\n")[2]
    assert not any(each in code for each in missing)
    monkeypatch.setenv("PARALLEL_API_KEY", sandbox.api_key)
    monkeypatch.setenv("PARALLEL_BASE_URL", sandbox.url)
    exec(textwrap.dedent(code).replace("your own question", QUESTION), {})
    assert "https://docs.python.org/" in capsys.readouterr().out


def test_the_demo_imports_no_framework_where_there_is_none() -> None:
    script = (
        "import sys; sys.modules['langchain_core'] = sys.modules['llama_index'] = None\n"
        "from parallel_integrations._cli.commands import main\n"
        f"main(['demo', {QUESTION!r}])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True, text=True, env=_environment(), check=False, timeout=170,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "client.run(search(" in done.stdout


def test_the_demo_with_a_key_is_live_and_says_what_it_costs(sandbox: Sandbox) -> None:
    live = {"PARALLEL_API_KEY": sandbox.api_key, "PARALLEL_BASE_URL": sandbox.url}
    done = invoke("demo", QUESTION, **live, FORCE_COLOR="1")  # as on a terminal
    assert done.exit_code == 0, done.stderr
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", done.stdout)
    for waiting in ("searching …", "answering, 10 to 60 seconds"):
        assert waiting in shown
    assert shown.startswith(f"The API at {sandbox.url}, because PARALLEL_API_KEY is set")
    assert "about 0.011 USD" in shown
    assert sandbox.api_key not in done.stdout
    assert sandbox.ledger.usd == pytest.approx(0.011)


def test_the_demo_over_the_web_needs_no_account(sandbox: Sandbox) -> None:
    done = invoke("demo", "--web", "--web-url", f"{sandbox.url}/mcp", QUESTION, **NO_KEY)
    assert done.exit_code == 0, done.stderr
    assert "without an account: nothing is billed" in done.stdout
    assert done.stdout.count("https://docs.python.org/") == 3
    assert sandbox.ledger.usd == 0
    sandbox.faults.add(path="/mcp", status=429, retry_after=3600)
    done = invoke("demo", "--web", "--web-url", f"{sandbox.url}/mcp", QUESTION, **NO_KEY)
    assert done.exit_code == 1
    assert "RateLimitError" in done.stderr
    assert "PARALLEL_API_KEY" in done.stderr


def test_search_prints_pages_with_sentences(sandbox: Sandbox) -> None:
    live = {"PARALLEL_API_KEY": sandbox.api_key, "PARALLEL_BASE_URL": sandbox.url}
    done = invoke("search", QUESTION, "--max-results", "2", **live)
    assert done.exit_code == 0, done.output
    assert done.stdout.count("https://docs.python.org/") == 2
    assert "decorator" in done.stdout.lower()
    assert "0.001 USD" in done.stderr
    assert sandbox.requests[-1].body["mode"] == "fast"
    done = invoke("search", QUESTION, "--json", "--mode", "advanced", **live)
    assert len(json.loads(done.stdout)["results"]) == 5
    assert sandbox.requests[-1].body["mode"] == "advanced"
    assert invoke("search", "xyzzy plugh", **live).exit_code == 1


@pytest.mark.parametrize(
    ("number", "said"),
    [(errno.ENOSPC, ["OSError: [Errno 28] No space left on device"]), (errno.EPIPE, [])],
)
def test_what_cannot_be_printed_ends_without_a_traceback(
    number: int,
    said: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Device(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(sys, "stdout", Device())
    with pytest.raises(SystemExit) as ended:
        app(["search", QUESTION, "--sandbox", "--json"])
    assert ended.value.code == 1
    assert capsys.readouterr().err.splitlines()[1:] == said


def test_search_without_a_key_needs_no_account(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The command has no option for the server's address; the default is the live one.
    monkeypatch.setattr(SearchMcp.__init__, "__defaults__", (f"{sandbox.url}/mcp",))
    done = invoke("search", QUESTION, **NO_KEY)
    assert done.exit_code == 0, done.output
    assert "searching without an account" in done.stderr
    assert "https://docs.python.org/" in done.stdout
    assert [each.path for each in sandbox.requests][-1] == "/mcp"
    assert sandbox.ledger.usd == 0


@pytest.mark.parametrize("command", ["search", "ask"])
def test_an_address_of_ones_own_needs_its_key(command: str, sandbox: Sandbox) -> None:
    done = invoke(command, QUESTION, PARALLEL_API_KEY=None, PARALLEL_BASE_URL=sandbox.url)
    assert done.exit_code == 1
    assert "the address in PARALLEL_BASE_URL needs a key" in done.stderr
    assert not sandbox.requests


@pytest.mark.parametrize("option", [("--mode", "advanced"), ("--max-results", "20")])
def test_an_option_that_needs_an_account_is_not_dropped(option: tuple[str, str]) -> None:
    done = invoke("search", QUESTION, *option, **NO_KEY)
    assert done.exit_code == 2
    assert " ".join(option) in done.stderr
    assert "PARALLEL_API_KEY" in done.stderr


@pytest.mark.parametrize("model", ["speed", "base", "parallel"])
def test_ask_prints_an_answer_with_its_sources(sandbox: Sandbox, model: str) -> None:
    live = {"PARALLEL_API_KEY": sandbox.api_key, "PARALLEL_BASE_URL": sandbox.url}
    done = invoke("ask", "What does nonlocal do?", "--model", model, **live)
    assert done.exit_code == 0, done.output
    assert "nonlocal" in done.stdout
    assert "https://docs.python.org/" in done.stdout
    done = invoke("ask", "What does nonlocal do?", "--model", model, "--json", **live)
    answer = json.loads(done.stdout)
    assert "nonlocal" in answer["answer"]
    assert bool(answer["citations"]) == (model != "speed")
    assert answer["usd"] > 0


def test_a_question_of_any_length_and_encoding_is_taken(sandbox: Sandbox) -> None:
    key = {"PARALLEL_API_KEY": sandbox.api_key, "PARALLEL_BASE_URL": sandbox.url}
    for command in ("search", "ask"):
        done = invoke(command, "What does with \udc80 do?", **key)
        assert done.exit_code == 0, done.stderr
    done = invoke("search", "What does the with statement do? " * 200, **key)
    assert done.exit_code == 0, done.stderr
    assert len(sandbox.requests[-1].body["objective"]) <= 5000


def test_ask_without_a_key_says_what_to_do() -> None:
    done = invoke("ask", QUESTION, PARALLEL_API_KEY=None, PARALLEL_BASE_URL=None)
    assert done.exit_code == 1
    for remedy in ("PARALLEL_API_KEY is not set", "--sandbox", "parallel-integrations search"):
        assert remedy in done.stderr
    assert invoke("ask", QUESTION, "--sandbox").exit_code == 0


def test_the_version_and_the_module() -> None:
    from parallel_integrations import __version__

    assert invoke("--version").stdout == f"parallel-integrations {__version__}\n"
    done = subprocess.run(
        [sys.executable, "-m", "parallel_integrations", "--version"],
        capture_output=True, text=True, env=_environment(), check=True, timeout=170,
    )  # fmt: skip
    assert done.stdout.strip().endswith(__version__)


@pytest.mark.parametrize(
    "name", ["demo", "search", "ask", "doctor", "enrich", "evaluate", "sandbox"]
)
def test_help_fits_eighty_columns_with_an_example(name: str) -> None:
    shown = invoke(name, "--help", COLUMNS="80", TERMINAL_WIDTH="80").stdout
    assert max(len(line) for line in shown.splitlines()) <= 80
    assert f"parallel-integrations {name}" in " ".join(shown.split())


@pytest.mark.parametrize(
    "args",
    [
        ["search", QUESTION, "--max-results", "0"],
        ["search", QUESTION, "--max-results", "41"],
        ["sandbox", "--port", "-1"],
        ["sandbox", "--port", "65536"],
        ["evaluate", "--concurrency", "0"],
    ],
)
def test_a_number_out_of_range_is_refused(args: list[str]) -> None:
    done = invoke(*args)
    assert done.exit_code in (1, 2)
    assert "pydantic" not in done.output.lower()


def test_the_demo_with_a_wrong_key_says_what_to_do(sandbox: Sandbox) -> None:
    done = invoke("demo", PARALLEL_API_KEY="wrong-key", PARALLEL_BASE_URL=sandbox.url)
    assert done.exit_code == 1
    assert "AuthenticationError: 401" in done.stderr
    assert "PARALLEL_API_KEY" in done.stderr
    assert "Traceback" not in done.stderr
    assert "wrong-key" not in done.stderr


def test_the_sandbox_command_serves_a_folder_until_it_is_interrupted(tmp_path: Path) -> None:
    (tmp_path / "kiwi.md").write_text("# Kiwis\n\nA kiwi is a flightless bird.\n")
    running = subprocess.Popen(
        [sys.executable, "-u", "-m", CLI, "sandbox", "--port", "0", "--pages", str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env=_environment(),
    )
    try:
        assert running.stdout is not None
        shown = ""
        while "PARALLEL_API_KEY=" not in shown and (line := running.stdout.readline()):
            shown += line
        settings = dict(
            line.split()[1].split("=", 1) for line in shown.splitlines() if "export" in line
        )
        response = httpx.post(
            f"{settings['PARALLEL_BASE_URL']}/v1/search",
            json={"search_queries": ["flightless bird"]},
            headers={"x-api-key": settings["PARALLEL_API_KEY"]},
        )
        assert response.json()["results"][0]["title"] == "Kiwis"
    finally:
        running.send_signal(signal.SIGINT)
        rest, _ = running.communicate(timeout=10)
    assert running.returncode == 0
    assert "Stopped." in rest


def test_the_sandbox_command_explains_why_it_cannot_start(tmp_path: Path) -> None:
    empty = invoke("sandbox", "--pages", str(tmp_path))
    assert empty.exit_code == 2
    assert str(tmp_path) in empty.stderr
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        busy = invoke("sandbox", "--port", str(port))
    assert busy.exit_code == 1
    assert f"The sandbox cannot start: port {port} is taken" in busy.stderr
    assert "--port 0" in busy.stderr
    assert "Traceback" not in busy.stderr


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["demo", " "], "it is empty"),
        ([*ENRICH, "--describe", " "], "it is empty"),
        (["search", ""], "it is empty"),
        (["ask", "\t"], "it is empty"),
        (["search", "x", "--max-results", "0"], "'0' is no whole number from 1 to 40"),
        (["search", "x", "--max-results", "ten"], "'ten' is no whole number from 1 to 40"),
        (["sandbox", "--port", "65536"], "'65536' is no whole number from 0 to 65535"),
        (["sandbox", "--port", "1.5"], "'1.5' is no whole number from 0 to 65535"),
        (["evaluate", "--concurrency", "0"], "'0' is no whole number of 1 or more"),
        (["evaluate", "--max-cost", "nan"], "'nan' is no number of 0 or more"),
        (["evaluate", "--max-cost", "inf"], "'inf' is no number of 0 or more"),
        (["evaluate", "--max-cost", "-1"], "'-1' is no number of 0 or more"),
        (["evaluate", "no/questions.jsonl"], "There is no file no/questions.jsonl"),
    ],
)
def test_a_bad_argument_is_named_with_its_range(arguments: list[str], reason: str) -> None:
    done = invoke(*arguments, COLUMNS="200", **NO_KEY)
    assert done.exit_code in {1, 2}
    assert reason in done.stderr
    assert "Input should" not in done.stderr


@pytest.mark.parametrize("name", ["demo", "search", "ask", "enrich", "evaluate", "doctor"])
def test_help_breaks_lines_only_where_they_end(name: str) -> None:
    help_ = invoke(name, "--help", COLUMNS="80").stdout
    for paragraph in re.split(r"\n\s*\n", help_.partition("╭")[0].strip()):
        lines = [each.strip() for each in paragraph.splitlines()]
        for line, following in itertools.pairwise(lines):
            assert len(f"{line} {following.split()[0]}") > 76, paragraph


def test_excerpts_are_sentences_and_keep_the_operators_that_they_name() -> None:
    done = invoke("search", "Which operators precede others?", "--sandbox", COLUMNS="300")
    assert done.exit_code == 0, done.output
    assert not re.search(r"^\s+(?:\||\+--)", done.stdout, re.MULTILINE), done.stdout
    done = invoke("search", "what is yield", "--sandbox", COLUMNS="300")
    assert 'The "*" (multiplication) operator' in done.stdout
