import time
from typing import Any

import httpx
import pytest

from parallel_integrations.sandbox import Sandbox
from tests.sandbox.operations.monitor_calls import task_run

MEMORY = "/v1beta/memory"
BETA = {"parallel-beta": "findall-2025-09-15"}


def memories(http: httpx.Client, **request: Any) -> list[dict[str, Any]]:
    response = http.post(f"{MEMORY}/retrieve", json=request)
    assert response.status_code == 200, response.text
    return list(response.json()["results"])


def ids(http: httpx.Client, **request: Any) -> list[str]:
    return [memory["id"] for memory in memories(http, **request)]


def monitor(http: httpx.Client, query: str, **more: Any) -> str:
    settings = {"query": query, "include_backfill": True}
    request = {"type": "event_stream", "frequency": "1d", "settings": settings, **more}
    return str(http.post("/v1/monitors", json=request).json()["monitor_id"])


def findall(http: httpx.Client, words: str, **more: Any) -> str:
    request = {
        "objective": words,
        "entity_type": "pages",
        "match_conditions": [{"name": "fits", "description": words}],
        "generator": "base",
        "match_limit": 5,
        **more,
    }
    findall_id = str(
        http.post("/v1beta/findall/runs", json=request, headers=BETA).json()["findall_id"]
    )
    path = f"/v1beta/findall/runs/{findall_id}"
    while http.get(path, headers=BETA).json()["status"]["is_active"]:
        time.sleep(0.01)
    return findall_id


def test_a_task_is_remembered(http: httpx.Client) -> None:
    run_id = task_run(http, "What does the with statement do?")
    [memory] = memories(http)

    assert memory["kind"] == "task"
    assert memory["id"] == run_id
    assert memory["input_excerpt"] == "What does the with statement do?"
    assert "with" in memory["output_excerpt"]
    assert memory["updated_at"].startswith("2026-05-02T10:00:00")


def test_a_monitor_is_remembered(http: httpx.Client) -> None:
    monitor_id = monitor(http, "with statement")
    [memory] = memories(http)
    events = http.get(f"/v1/monitors/{monitor_id}/events").json()["events"]

    assert (memory["kind"], memory["id"]) == ("monitor", monitor_id)
    assert memory["status"] == "active"
    assert [one["event_id"] for one in memory["matched_events"]] == [
        event["event_id"] for event in events
    ]
    first = memory["matched_events"][0]
    assert first["event_group_id"] == events[0]["event_group_id"]
    assert first["detected_at"] == "2026-05-02T10:00:00.000000Z"
    assert "with" in first["excerpt"]
    assert memories(http, query="zxqv") == []


def test_a_findall_run_is_remembered(http: httpx.Client) -> None:
    findall_id = findall(http, "with statement")
    [memory] = memories(http, kind="findall")

    assert memory["id"] == findall_id
    assert memory["matched_count"] == 5


def test_the_most_recent_come_first(http: httpx.Client) -> None:
    tasks = [task_run(http, f"question {number}") for number in range(12)]

    assert ids(http) == tasks[:1:-1]
    assert ids(http, limit=25) == tasks[::-1]
    assert ids(http, limit=1, query=" ") == tasks[:-2:-1]


def test_queries_and_kinds(http: httpx.Client) -> None:
    run_id = task_run(http, "fractions of numbers")
    monitor_id = monitor(http, "yield expression generators")
    findall_id = findall(http, "import statement")

    assert set(ids(http)) == {run_id, monitor_id, findall_id}
    assert ids(http, query="generators that yield")[0] == monitor_id
    assert ids(http, query="fractions")[0] == run_id
    assert ids(http, kind="monitor") == [monitor_id]
    assert ids(http, kind="task", query="import fractions of numbers") == [run_id]


def test_scopes_keep_apart(http: httpx.Client) -> None:
    mine = task_run(http, "with statement")
    ours = {
        task_run(http, "with statement", memory_scope_key="team-1"),
        monitor(http, "with statement", memory_scope_key="team-1"),
        findall(http, "with statement", memory_scope_key="team-1"),
    }

    assert ids(http) == [mine]
    assert set(ids(http, memory_scope_key="team-1")) == ours
    assert ids(http, memory_scope_key="team-2") == []


def test_since(http: httpx.Client) -> None:
    run_id = task_run(http, "with statement")

    assert ids(http, since="2026-05-02T12:00:00+02:00") == [run_id]
    assert ids(http, since="2026-05-02T10:00:01Z") == []


def test_evicting_one(http: httpx.Client) -> None:
    kept, gone = task_run(http, "one"), task_run(http, "two")
    for _ in range(2):
        response = http.post(f"{MEMORY}/evict", json={"kind": "task", "id": gone})
        assert (response.status_code, response.content) == (204, b"")

    assert ids(http) == [kept]
    assert http.get(f"/v1/tasks/runs/{gone}").status_code == 200
    for wrong in ({"id": "none"}, {"id": kept, "memory_scope_key": "team-1"}):
        response = http.post(f"{MEMORY}/evict", json={"kind": "task", **wrong})
        assert response.status_code == 404


def test_clearing_a_scope(http: httpx.Client) -> None:
    mine = task_run(http, "one")
    theirs = monitor(http, "two", memory_scope_key="team-1")
    response = http.post(f"{MEMORY}/clear", json={"memory_scope_key": "team-1"})
    assert (response.status_code, response.content) == (204, b"")

    assert ids(http, memory_scope_key="team-1") == []
    assert http.get(f"/v1/monitors/{theirs}").json()["status"] == "active"
    assert ids(http) == [mine]
    assert http.post(f"{MEMORY}/clear", json={}).status_code == 204
    assert ids(http) == []
    later = task_run(http, "three")
    assert ids(http) == [later]


@pytest.mark.parametrize(
    ("what", "wrong"),
    [
        ("retrieve", {"query": "a" * 501}),
        ("retrieve", {"limit": 0}),
        ("retrieve", {"limit": 26}),
        ("retrieve", {"kind": "chat"}),
        ("retrieve", {"since": "2026-05-02T10:00:00"}),
        ("retrieve", {"since": "2026-05-02"}),
        ("retrieve", {"since": "yesterday"}),
        ("retrieve", {"memory_scope_key": "a b"}),
        ("clear", {"memory_scope_key": "a" * 129}),
        ("evict", {"kind": "task"}),
        ("evict", {"kind": "chat", "id": "a"}),
    ],
)
def test_wrong_requests(http: httpx.Client, what: str, wrong: dict[str, Any]) -> None:
    response = http.post(f"{MEMORY}/{what}", json=wrong)

    assert response.status_code == 422


def test_memory_costs_nothing_and_is_forgotten(http: httpx.Client, sandbox: Sandbox) -> None:
    task_run(http, "one")
    before = sandbox.ledger.usd
    memories(http)
    http.post(f"{MEMORY}/clear", json={})
    assert sandbox.ledger.usd == before

    sandbox.reset()
    task_run(http, "two")
    assert len(memories(http)) == 1
