from typing import Any

import httpx
import pytest

from parallel_integrations.sandbox import Sandbox
from tests.sandbox.operations.test_tasks import RUNS, create, frames


@pytest.mark.parametrize("path", ["/v1", "/v1beta"])
def test_events_are_repeated_after_the_end(path: str) -> None:
    # So slow that the first request comes in time on a busy machine.
    with (
        Sandbox(task_seconds=2) as sandbox,
        httpx.Client(base_url=sandbox.url, headers={"x-api-key": sandbox.api_key}) as http,
    ):
        run = create(http, enable_events=True)
        url = f"{path}/tasks/runs/{run['run_id']}/events"
        live, again = frames(http.get(url)), frames(http.get(url))

    for seen in (live, again):
        assert seen[0]["type"] == seen[-1]["type"] == "task_run.state"
        assert seen[0]["event_id"] is seen[0]["output"] is None
        assert seen[-1]["run"]["status"] == "completed"
        assert seen[-1]["output"]["basis"]
    assert live[0]["run"]["is_active"] is True
    assert again[0]["run"]["status"] == "completed"

    def messages(seen: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [each for each in seen if "progress_msg" in each["type"]]

    assert messages(live) == messages(again)
    kinds = [each["type"].rpartition(".")[2] for each in messages(live)]
    assert kinds[:4] == ["exec_status", "plan", "search", "result"]
    assert messages(live)[0]["message"] == "Starting research"
    assert kinds[-1] == "exec_status"
    stats = [each for each in live if each["type"] == "task_run.progress_stats"]
    meters = [each["progress_meter"] for each in stats]
    assert meters == sorted(meters)
    assert stats[-1]["source_stats"]["num_sources_read"] > 0
    assert [each for each in again if "stats" in each["type"]] == stats[-1:]


@pytest.mark.parametrize(
    ("more", "progress"),
    [
        ({}, False),
        ({"processor": "pro"}, True),
        ({"processor": "pro-fast", "enable_events": False}, False),
    ],
)
def test_events_are_recorded_only_when_enabled(
    http: httpx.Client, more: dict[str, Any], progress: bool
) -> None:
    run = create(http, **more)
    seen = frames(http.get(f"{RUNS}/{run['run_id']}/events"))

    assert any("progress" in each["type"] for each in seen) is progress
    assert seen[-1]["output"] is not None


def test_events_of_a_failed_run_end_with_why(http: httpx.Client) -> None:
    run = create(http, metadata={"sandbox": "fail"}, enable_events=True)
    last = frames(http.get(f"{RUNS}/{run['run_id']}/events"))[-1]

    assert last["run"]["status"] == "failed"
    assert last["run"]["error"]["message"]
    assert last["output"] is None


def test_a_cut_stream_is_sent_again_from_the_start(http: httpx.Client, sandbox: Sandbox) -> None:
    run = create(http, enable_events=True)
    http.get(f"{RUNS}/{run['run_id']}/result")
    url = f"{RUNS}/{run['run_id']}/events"
    whole = http.get(url).text
    sandbox.faults.add(path=url, cut_after_events=3)
    received: list[bytes] = []
    with http.stream("GET", url) as response, pytest.raises(httpx.RemoteProtocolError):
        received.extend(response.iter_raw())

    assert b"".join(received).decode() == "".join(f"{e}\n\n" for e in whole.split("\n\n")[:3])
    assert http.get(url).text == whole
