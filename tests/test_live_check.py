"""The live check, held against the sandbox by its base URL: nothing here is live."""

import gzip
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from parallel_integrations import ConflictError, ParallelClient, api
from parallel_integrations.sandbox import Sandbox
from tests.support import live_check
from tests.support.contract import VARIABLE, Contract
from tests.support.live_check import CHEAP, DEAR, Tape, main, price_usd

NOT_CALLED: Final = frozenset(
    {
        # Made of operations that are called.
        *("all_monitor_events", "all_monitors", "run_findall", "run_task", "run_task_group"),
        *("wait_findall_run", "wait_task_group", "stream_task", "resume_task"),
        # Not of the wire.
        *("parse_webhook", "verify_webhook", "webhook_id"),
    }
)


@dataclass
class Checked:
    """One run of the check."""

    status: int
    out: str
    err: str
    report: str

    def row(self, operation: str) -> str:
        """What the table says of an operation, with what stands below it."""
        lines = self.out.splitlines()
        start = next(i for i, line in enumerate(lines) if line.startswith(f"{operation} "))
        end = start + 1
        while end < len(lines) and lines[end].startswith("    "):
            end += 1
        return "\n".join(lines[start:end])


RunCheck = Callable[..., Checked]


@pytest.fixture(scope="module")
def session_sandbox() -> Iterator[Sandbox]:
    """A sandbox whose FindAll runs are still at work when they are cancelled."""
    with Sandbox(findall_seconds=0.5) as running:
        yield running


@pytest.fixture
def run_check(
    sandbox: Sandbox,
    contract: Contract,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> RunCheck:
    """Runs the check with this in the environment."""

    def run(**environment: str) -> Checked:
        monkeypatch.setenv("PARALLEL_API_KEY", sandbox.api_key)
        monkeypatch.setenv("PARALLEL_BASE_URL", sandbox.url)
        monkeypatch.setenv("PARALLEL_MCP_URL", f"{sandbox.url}/mcp")
        monkeypatch.setenv("REPORT", str(tmp_path / "report.md"))
        paths = [str(each.path) for each in contract.documents]
        monkeypatch.setenv(VARIABLE, os.pathsep.join(paths))
        for name, value in {"YES": "1", **environment}.items():
            monkeypatch.setenv(name, value)
        report = tmp_path / "report.md"
        report.unlink(missing_ok=True)
        status = main()
        out, err = capsys.readouterr()
        return Checked(status, out, err, report.read_text() if report.exists() else "")

    return run


@pytest.fixture(autouse=True)
def nothing_is_left(sandbox: Sandbox) -> Iterator[None]:
    """Whatever happened: no monitor and no FindAll run goes on."""
    yield
    sandbox.faults.clear()
    with ParallelClient(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        assert client.run(api.list_monitors()).monitors == []
        made = {re.search("findall_sandbox_[0-9]+", each.path) for each in sandbox.requests}
        for findall_id in {found[0] for found in made if found}:
            run = client.run(api.retrieve_findall_run(findall_id))
            assert run.status is not None
            assert not run.status.is_active


def test_everything_is_called_once_and_keeps_the_contract(
    run_check: RunCheck, sandbox: Sandbox
) -> None:
    checked = run_check(FULL="1")
    assert checked.status == 0, checked.out
    for name in set(api.__all__) - NOT_CALLED:
        assert "BROKEN" not in checked.row(name)
    for name in ("search (MCP, no key)", "extract (MCP, no key)"):
        assert "BROKEN" not in checked.row(name)
    assert [each.path for each in sandbox.requests].count("/mcp") > 2
    assert "0 broken" in checked.out
    assert sandbox.api_key not in checked.out + checked.err + checked.report
    assert sandbox.ledger.usd <= sum(map(price_usd, {**CHEAP, **DEAR}.values())) < 1


def test_what_is_dear_is_left_out_unless_requested_for(
    run_check: RunCheck, sandbox: Sandbox
) -> None:
    checked = run_check()
    assert checked.status == 0, checked.out
    assert not [r for r in sandbox.requests if "findall/runs" in r.path or "monitors" in r.path]
    assert "left out  FindAll: 0.460 USD more, with FULL=1" in checked.out
    assert "0.064 USD  altogether" in checked.out
    assert sandbox.ledger.usd <= 0.064


def test_it_says_what_it_costs_and_asks_first(
    run_check: RunCheck, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builtins.input", lambda _: "n")
    checked = run_check(YES="0")
    assert checked.status == 1
    assert "altogether" in checked.out
    assert sandbox.requests == []
    monkeypatch.setattr("builtins.input", lambda _: "y")
    assert run_check(YES="").status == 0


def test_it_needs_a_key(run_check: RunCheck, monkeypatch: pytest.MonkeyPatch) -> None:
    checked = run_check(PARALLEL_API_KEY="  ")
    assert checked.status == 1
    assert "PARALLEL_API_KEY" in checked.err


def test_the_report_can_be_attached_to_an_issue(run_check: RunCheck, sandbox: Sandbox) -> None:
    body = {"results": [{"url": "https://private.example/", "new": 7}], "session_id": "s-123456"}
    sandbox.faults.add(path="/v1/search", body=body)
    sandbox.faults.add(path="/v1/extract", status=403, echo_key=True)
    sandbox.faults.add(path="/v1/tasks/runs/*/result", status=422, times=None)
    checked = run_check()
    assert checked.status == 1
    report = checked.report
    assert "| search | " in report
    assert re.search(r"^## search: (BROKEN|differs)$", report, re.M)
    shape = '{"results": [{"url": "text", "new": "number"}], "session_id": "text"}'
    assert shape in report
    assert "## extract: BROKEN" in report
    assert "PermissionDeniedError" in report
    assert "/v1/tasks/runs/[run_id]/result" in report
    assert re.search(r"- USD: 0\.064 at most, 0\.0\d+ by the requests, 0\.0\d+ as the resp", report)
    assert "another address (not shown)" in report
    for private in (sandbox.api_key, sandbox.url, "private.example", "s-123456", "_sandbox_0"):
        assert private not in report, private


def test_what_agrees_is_one_line_of_the_report(run_check: RunCheck) -> None:
    checked = run_check()
    agreed = re.findall(r"^\| (\w.*?) \|.* as agreed \|$", checked.report, re.M)
    assert {"decide", "entity_search", "search (MCP, no key)"} <= {*agreed}
    assert not [name for name in agreed if f"## {name}: " in checked.report]
    assert '"type": "response.completed"' in checked.report


def test_without_its_address_mcp_is_left_out(run_check: RunCheck, sandbox: Sandbox) -> None:
    checked = run_check(PARALLEL_MCP_URL="")
    assert checked.status == 0, checked.out
    assert "left out  MCP" in checked.out
    assert "/mcp" not in {each.path for each in sandbox.requests}


def test_mcp_is_called_without_the_key(run_check: RunCheck, sandbox: Sandbox) -> None:
    run_check()
    keys = ("authorization", "x-api-key")
    sent = [each for each in sandbox.requests if each.path == "/mcp"]
    assert sent
    assert not [each for each in sent if any(name in each.headers for name in keys)]
    assert os.environ["PARALLEL_API_KEY"] == sandbox.api_key


def test_one_failure_costs_only_what_depends_on_it(run_check: RunCheck, sandbox: Sandbox) -> None:
    sandbox.faults.add(path="/v1/tasks/runs", status=402)
    checked = run_check()
    assert checked.status == 1
    assert "402" in checked.row("create_task_run")
    assert "PaymentRequiredError" in checked.row("create_task_run")
    assert "not tried" in checked.row("retrieve_task_run")
    assert "as agreed" in checked.row("create_task_group")


@pytest.mark.parametrize("path", ["/v1/monitors/*/events", "/v1beta/findall/runs/*/extend"])
def test_a_failure_in_the_middle_keeps_nothing_running(
    run_check: RunCheck, sandbox: Sandbox, path: str
) -> None:
    sandbox.faults.add(path=path, status=422)
    checked = run_check(FULL="1")
    assert checked.status == 1
    assert "as agreed" in checked.row("cancel_monitor")
    cancelled = checked.row("cancel_findall")
    assert "as agreed" in cancelled or "had ended already" in cancelled


@pytest.mark.parametrize("stop", [KeyboardInterrupt, RuntimeError])
def test_an_end_in_the_middle_keeps_nothing_running(
    run_check: RunCheck,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    stop: type[BaseException],
) -> None:
    def ends(*args: Any) -> None:
        raise stop

    monkeypatch.setattr(api, "trigger_monitor", ends)
    if stop is KeyboardInterrupt:
        checked = run_check(FULL="1")
        assert checked.status == 1
        assert "interrupted" in checked.out
    else:
        with pytest.raises(stop):
            run_check(FULL="1")
    assert [r for r in sandbox.requests if r.path.endswith("/cancel")]


def test_a_run_that_has_ended_already_needs_no_cancelling(
    run_check: RunCheck, sandbox: Sandbox
) -> None:
    sandbox.faults.add(path="/v1beta/findall/runs/*/cancel", status=409)
    checked = run_check(FULL="1")
    assert checked.status == 0, checked.out
    assert "it had ended already" in checked.row("cancel_findall")
    with (
        ParallelClient(api_key=sandbox.api_key, base_url=sandbox.url) as client,
        suppress(ConflictError),  # the sandbox only said so, but meanwhile it may have
    ):
        client.run(api.cancel_findall("findall_sandbox_000000000000000000000001"))


def test_an_account_may_be_without_memory(run_check: RunCheck, sandbox: Sandbox) -> None:
    sandbox.faults.add(path="/v1beta/memory/*", status=404, times=None)
    checked = run_check()
    assert checked.status == 0, checked.out
    assert "this account does not have it" in checked.row("retrieve_memory")


def test_what_differs_is_reported(run_check: RunCheck, sandbox: Sandbox) -> None:
    sandbox.faults.add(path="/v1/search", body={"results": [], "new": 1, "session_id": "s"})
    sandbox.faults.add(path="/v1/extract", body={"results": "none"})
    checked = run_check()
    assert checked.status == 1
    assert "unknown to our models: new" in checked.row("search")
    assert "absent: search_id" in checked.row("search")
    assert "UnexpectedAnswerError" in checked.row("extract")


def test_what_breaks_the_document_is_reported(
    run_check: RunCheck, sandbox: Sandbox, contract: Contract
) -> None:
    body = {"results": [], "session_id": "s", "search_id": 1, "warnings": None}
    sandbox.faults.add(path="/v1/search", body=body, status=201)
    checked = run_check()
    row = checked.row("search")
    assert checked.status == 1
    assert ("201 is not declared" in row) == bool(contract.documents)


def test_the_key_is_not_printed_even_where_the_server_echoes_it(
    run_check: RunCheck, sandbox: Sandbox
) -> None:
    sandbox.faults.add(path="/v1/search", status=403, echo_key=True)
    checked = run_check()
    assert checked.status == 1
    assert "PermissionDeniedError" in checked.row("search")
    assert sandbox.api_key not in checked.out + checked.err


def test_what_was_made_is_cancelled_even_where_the_response_cannot_be_read(
    run_check: RunCheck, sandbox: Sandbox
) -> None:
    body = {"monitor_id": "monitor_sandbox_000000000000000000000001", "error": "half made"}
    sandbox.faults.add(path="/v1/monitors", method="POST", body=body)
    checked = run_check(FULL="1")
    assert checked.status == 1
    assert "UnexpectedAnswerError" in checked.row("create_monitor")
    assert "200" in checked.row("cancel_monitor")


def test_the_address_may_have_a_path(run_check: RunCheck, sandbox: Sandbox) -> None:
    # Below this path the sandbox acts as a gateway.
    checked = run_check(PARALLEL_BASE_URL=f"{sandbox.url}/v1/account/gateway/parallel")
    assert checked.status == 0, checked.out


def test_the_tape_holds_what_was_said_uncompressed() -> None:
    def response(request: httpx.Request) -> httpx.Response:
        packed = gzip.compress(b'{"results": []}')
        headers = {"content-encoding": "gzip", "content-type": "application/json"}
        return httpx.Response(200, headers=headers, content=iter([packed[:9], packed[9:]]))

    tape = Tape()
    transport = httpx.MockTransport(response)
    with httpx.Client(transport=transport, event_hooks={"response": [tape.record]}) as http:
        http.post("https://api.example/base/v1/search?a=1", content=b"{}")
    [exchange] = tape.take("/base")
    assert (exchange.path, exchange.query, exchange.body) == ("/v1/search", (("a", "1"),), b"{}")
    assert exchange.response == b'{"results": []}'
    assert exchange.whole


def test_it_runs_as_a_module(sandbox: Sandbox, tmp_path: Path) -> None:
    environment = {
        "PATH": os.environ.get("PATH", ""),
        "PYTHONPATH": os.pathsep.join(sys.path),
        "PARALLEL_API_KEY": sandbox.api_key,
        "PARALLEL_BASE_URL": sandbox.url,
        "YES": "1",
        "REPORT": str(tmp_path / "report.md"),
    }
    done = subprocess.run(
        [sys.executable, "-m", live_check.__name__],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=170,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout
