import time
from typing import Any

import httpx
import pytest

from parallel_integrations.sandbox import Sandbox
from parallel_integrations.sandbox.operations import findall
from tests.sandbox.operations.findall_calls import (
    BETA,
    RUNS,
    client_of,
    create,
    finish,
    frames,
)

HEADERS = BETA


def test_events_report_the_whole_run(http: httpx.Client) -> None:
    findall_id = create(http)
    found = frames(http, findall_id)

    kinds = [frame["type"] for frame in found]
    assert kinds[0] == kinds[-1] == "findall.status"
    assert found[0]["data"]["status"]["status"] == "queued"
    assert found[-1]["data"]["status"]["status"] == "completed"
    assert kinds.count("findall.candidate.matched") == 5
    ids = [frame["event_id"] for frame in found]
    assert len(set(ids)) == len(ids)
    result = finish(http, findall_id)
    assert result["last_event_id"] == ids[-1]
    latest = {f["data"]["url"]: f["data"] for f in found if "candidate" in f["type"]}
    assert list(latest.values()) == result["candidates"]


def test_events_go_on_after_any_of_them(http: httpx.Client) -> None:
    findall_id = create(http)
    found = frames(http, findall_id)
    for place, frame in enumerate(found[:-1]):
        assert frames(http, findall_id, last_event_id=frame["event_id"]) == found[place + 1 :]

    [end] = frames(http, findall_id, last_event_id=found[-1]["event_id"])
    assert end["data"]["status"]["is_active"] is False
    assert frames(http, findall_id, last_event_id=end["event_id"])[0]["type"] == "findall.status"


@pytest.mark.parametrize(
    "params", [{"last_event_id": "nothing"}, {"timeout": "soon"}, {"timeout": -1}]
)
def test_wrong_stream_parameters(http: httpx.Client, params: dict[str, Any]) -> None:
    response = http.get(f"{RUNS}/{create(http)}/events", params=params)

    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["query", next(iter(params))]


def test_a_stream_ends_at_its_timeout_and_beats_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findall, "HEARTBEAT_SECONDS", 0.05)
    with (
        Sandbox(findall_seconds=60) as slow,
        client_of(slow) as http,
    ):
        findall_id = create(http)
        began = time.monotonic()
        found = frames(http, findall_id, timeout=0.2)
        assert time.monotonic() - began > 0.15
        beats = [frame for frame in found if frame["type"] == "findall.status"][1:]
        assert len(beats) >= 2
        assert all(frame["data"]["status"]["is_active"] for frame in beats)
        again = frames(http, findall_id, timeout=0, last_event_id=beats[-1]["event_id"])
        assert again == []
        assert http.post(f"{RUNS}/{findall_id}/cancel").status_code == 200
        [end] = frames(http, findall_id, last_event_id=beats[-1]["event_id"])
    assert end["data"]["status"]["termination_reason"] == "user_cancelled"
