import os
import subprocess
import sys
from pathlib import Path

PLUGIN = "parallel_integrations.sandbox.pytest_plugin"
ROOT = Path(__file__).parents[2]

TESTS = """
import json, os, urllib.request

def ask(sandbox):
    assert os.environ["PARALLEL_BASE_URL"] == sandbox.url
    body = json.dumps({"search_queries": ["with"]}).encode()
    headers = {"x-api-key": os.environ["PARALLEL_API_KEY"]}
    request = urllib.request.Request(sandbox.url + "/v1/search", body, headers)
    with urllib.request.urlopen(request) as response:
        return json.load(response)["search_id"]

seen = []

def test_one(parallel_sandbox):
    seen.append(parallel_sandbox.url)
    assert ask(parallel_sandbox) == "search_sandbox_000000000000000000000001"
    assert parallel_sandbox.ledger.count("search") == 1

def test_two(parallel_sandbox):
    assert seen == [parallel_sandbox.url]
    assert parallel_sandbox.requests == []
    assert ask(parallel_sandbox) == "search_sandbox_000000000000000000000001"

def test_three():
    assert "PARALLEL_BASE_URL" not in os.environ
"""


def run(*arguments: str, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )
    return done.stdout + done.stderr


def test_each_test_gets_the_sandbox_as_new(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(TESTS)
    output = run("-m", "pytest", "-q", "-p", PLUGIN, "-W", "error", cwd=tmp_path)

    assert "3 passed" in output


def test_pytest_starts_without_the_server_s_libraries(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "sys.modules['starlette'] = sys.modules['uvicorn'] = None\n"
        f"import {PLUGIN} as plugin\n"
        "print(plugin.parallel_sandbox.__doc__ is not None, 'sqlite3' in sys.modules)\n"
    )
    assert run("-c", code, cwd=tmp_path).strip() == "True False"
