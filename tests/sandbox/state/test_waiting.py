import time

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


def test_a_negative_share_is_refused() -> None:
    with pytest.raises(ValueError, match="service_times"):
        Sandbox(service_times=-1)
