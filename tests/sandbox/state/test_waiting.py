import time
from typing import Any

import httpx
import pytest

from parallel_integrations.sandbox import Sandbox
from parallel_integrations.sandbox.state.waiting import Waiting


def test_nothing_waits_by_default() -> None:
    waiting = Waiting()
    assert waiting.search_seconds("advanced") == waiting.chat_seconds("core") == 0
    assert waiting.extract_seconds == 0
    assert waiting.task_seconds(["ultra"], otherwise=0.05) == 0.05
    assert waiting.findall_seconds(otherwise=0.05) == 0.05


def test_a_share_of_the_service_times_is_waited() -> None:
    waiting = Waiting(0.01)
    assert waiting.task_seconds(["lite", "ultra"], otherwise=0.05) == pytest.approx(9.06)
    assert waiting.search_seconds("one-shot") == pytest.approx(0.014)
    assert waiting.findall_seconds(otherwise=0.05) == pytest.approx(3)


def test_a_response_takes_its_time_and_fast_runs_end_before_slow_ones() -> None:
    with Sandbox(service_times=0.001) as sandbox:
        with httpx.Client(base_url=sandbox.url, headers={"x-api-key": "sandbox-key"}) as http:
            began = time.monotonic()
            body = {"model": "core", "messages": [{"role": "user", "content": "closures"}]}
            assert http.post("/chat/completions", json=body).status_code == 200
            assert time.monotonic() - began >= 0.15
            for processor in ("ultra", "lite-fast"):
                run = {"input": "closures", "processor": processor}
                run_id = http.post("/v1/tasks/runs", json=run).json()["run_id"]
            assert http.get(f"/v1/tasks/runs/{run_id}/result").status_code == 200
        billed = [each.detail for each in sandbox.ledger.entries if each.operation == "task_run"]
    assert billed == ["lite-fast"]


@pytest.mark.parametrize(
    ("mode", "used", "seconds"),
    [("", "advanced", 0.15), ("turbo", "turbo", 0.01), ("none-such", "advanced", 0.15)],
)
def test_the_tools_of_the_mcp_server_take_their_time_too(
    mode: str, used: str, seconds: float
) -> None:
    def call(method: str, **params: Any) -> httpx.Response:
        return http.post(
            "/mcp",
            params={"mode": mode} if mode else {},
            json={"jsonrpc": "2.0", "id": 1, "method": method, "params": params},
        )

    with Sandbox(service_times=0.05) as sandbox:
        headers = {"authorization": "Bearer sandbox-key"}
        with httpx.Client(base_url=sandbox.url, headers=headers) as http:
            http.headers["mcp-session-id"] = call("initialize").headers["mcp-session-id"]
            wanted = {"objective": "closures", "search_queries": ["closures"]}
            began = time.monotonic()
            found = call("tools/call", name="web_search", arguments=wanted).json()
            searched = time.monotonic()
            page = found["result"]["structuredContent"]["results"][0]["url"]
            for url in (page, "https://a.example/none"):
                call("tools/call", name="web_fetch", arguments={"urls": [url]})
            extracted = time.monotonic()
        billed = [(each.operation, each.detail) for each in sandbox.ledger.entries]
    assert searched - began >= seconds
    assert extracted - searched >= 0.3
    assert billed == [("search", used), ("extract", "")]


def test_a_negative_share_is_refused() -> None:
    with pytest.raises(ValueError, match="service_times"):
        Sandbox(service_times=-1)
