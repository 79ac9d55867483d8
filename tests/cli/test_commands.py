"""The command, run as a user runs it."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from parallel_integrations.sandbox import Sandbox

CLI = "parallel_integrations._cli.commands"
QUESTION = "What is a decorator?"


def command(*args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", CLI, *args],
        capture_output=True,
        text=True,
        env={**_environment(), **environment},
        check=False,
        timeout=55,
    )


def _environment() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "PYTHONPATH": ":".join(sys.path), "COLUMNS": "100"}


def test_the_demo_without_a_key_runs_on_the_sandbox_and_says_so() -> None:
    done = command("demo", QUESTION)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Sandbox, because PARALLEL_API_KEY is not set")
    assert QUESTION in done.stdout
    for shown in ("LangChain", "ChatParallel", "LlamaIndex", "source nodes", "published_at: "):
        assert shown in done.stdout
    assert done.stdout.count("https://docs.python.org/") >= 6
    assert "confidence: high" in done.stdout
    assert "\x1b" not in done.stdout, "plain where it is no terminal"
    assert "searching" not in done.stdout


def test_the_demo_with_a_key_is_live_and_says_what_it_costs(sandbox: Sandbox) -> None:
    live = {"PARALLEL_API_KEY": sandbox.api_key, "PARALLEL_BASE_URL": sandbox.url}
    done = command("demo", QUESTION, **live, FORCE_COLOR="1")  # as on a terminal
    assert done.returncode == 0, done.stderr
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", done.stdout)
    for waiting in ("searching …", "waiting for the first words …", "researching, "):
        assert waiting in shown
    assert shown.startswith(f"Live API at {sandbox.url}, because PARALLEL_API_KEY is set")
    assert "about 0.025 USD" in shown
    assert sandbox.api_key not in done.stdout
    assert sandbox.ledger.usd == pytest.approx(0.025)


def test_the_demo_over_the_web_needs_no_account(sandbox: Sandbox) -> None:
    done = command("demo", "--web", "--web-url", f"{sandbox.url}/mcp", QUESTION)
    assert done.returncode == 0, done.stderr
    assert "without an account: nothing is billed" in done.stdout
    assert done.stdout.count("https://docs.python.org/") >= 7
    for shown in ("LangChain", "ParallelExtractLoader", "LlamaIndex", "published_at: "):
        assert shown in done.stdout
    assert sandbox.ledger.usd == 0
    assert sandbox.ledger.count() == 3
    sandbox.faults.add(path="/mcp", status=429, retry_after=3600)
    done = command("demo", "--web", "--web-url", f"{sandbox.url}/mcp", QUESTION)
    assert done.returncode == 1
    assert "RateLimitError" in done.stderr
    assert "PARALLEL_API_KEY" in done.stderr


def test_the_demo_with_a_wrong_key_says_what_to_do(sandbox: Sandbox) -> None:
    done = command("demo", PARALLEL_API_KEY="wrong-key", PARALLEL_BASE_URL=sandbox.url)
    assert done.returncode == 1
    assert "AuthenticationError: 401" in done.stderr
    assert "PARALLEL_API_KEY" in done.stderr
    assert "Traceback" not in done.stderr
    assert "wrong-key" not in done.stderr


@pytest.mark.parametrize("question", ["", "x" * 5001])
def test_the_demo_refuses_an_impossible_question(question: str) -> None:
    done = command("demo", question)
    assert done.returncode == 1
    assert "objective" in done.stderr
    assert "Traceback" not in done.stderr


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
    empty = command("sandbox", "--pages", str(tmp_path))
    assert empty.returncode == 1
    assert str(tmp_path) in empty.stderr
    with socket.create_server(("127.0.0.1", 0)) as taken:
        busy = command("sandbox", "--port", str(taken.getsockname()[1]))
    assert busy.returncode == 1
    assert "The sandbox cannot start" in busy.stderr
    assert "Traceback" not in busy.stderr
