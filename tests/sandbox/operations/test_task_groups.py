import json
import time
from collections import Counter
from typing import Any

import httpx
import pytest

from parallel_integrations.sandbox import Sandbox
from tests.sandbox.ids import numbered
from tests.sandbox.operations.test_tasks import SCHEMA, json_spec, run_body

GROUPS = "/v1/tasks/groups"


def new_group(http: httpx.Client, **body: Any) -> str:
    return str(http.post(GROUPS, json=body).json()["taskgroup_id"])


def add(http: httpx.Client, group: str, inputs: list[Any], query: str = "", **more: Any) -> Any:
    response = http.post(f"{GROUPS}/{group}/runs{query}", json={"inputs": inputs, **more})
    assert response.status_code == 200, response.text
    return response.json()


def frames(http: httpx.Client, url: str, **params: Any) -> list[dict[str, Any]]:
    response = http.get(url, params=params)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    blocks = response.text.removesuffix("\n\n").split("\n\n") if response.text else []
    return [json.loads(block.removeprefix("data: ")) for block in blocks]


def runs(http: httpx.Client, group: str, **params: Any) -> list[dict[str, Any]]:
    return frames(http, f"{GROUPS}/{group}/runs", **params)


def events(http: httpx.Client, group: str, **params: Any) -> list[dict[str, Any]]:
    return frames(http, f"{GROUPS}/{group}/events", **params)


def test_an_empty_group(http: httpx.Client, sandbox: Sandbox) -> None:
    made = http.post(GROUPS, json={"metadata": {"a": 1}})

    assert made.status_code == 200
    assert made.json() == {
        "taskgroup_id": numbered("tgrp"),
        "metadata": {"a": 1},
        "created_at": "2026-05-02T10:00:00.000000Z",
        "status": {
            "num_task_runs": 0,
            "task_run_status_counts": {},
            "is_active": False,
            "status_message": None,
            "modified_at": "2026-05-02T10:00:00.000000Z",
        },
    }
    assert http.get(f"{GROUPS}/{numbered('tgrp')}").json() == made.json()
    assert runs(http, numbered("tgrp")) == []
    [event] = events(http, numbered("tgrp"))
    assert event["status"] == made.json()["status"]
    assert [entry.operation for entry in sandbox.ledger.entries] == ["create_task_group"]


def test_runs_are_added_and_end(http: httpx.Client, sandbox: Sandbox) -> None:
    group = new_group(http)
    inputs = [run_body(word, "lite", metadata={"i": i}) for i, word in enumerate(["with", "try"])]
    added = add(http, group, [*inputs, run_body("for", metadata={"sandbox": "fail"})])

    assert added["run_ids"] == [numbered("trun", n) for n in (1, 2, 3)]
    assert (added["run_cursor"], added["event_cursor"]) == (None, None)
    assert added["status"]["task_run_status_counts"] == {"queued": 3}
    assert added["status"]["is_active"] is True

    http.get(f"/v1/tasks/runs/{added['run_ids'][0]}/result")
    status = http.get(f"{GROUPS}/{group}").json()["status"]
    assert status["task_run_status_counts"] == {"completed": 2, "failed": 1}
    assert status["is_active"] is False
    for run_id in added["run_ids"]:
        run = http.get(f"{GROUPS}/{group}/runs/{run_id}").json()
        assert run == http.get(f"/v1/tasks/runs/{run_id}").json()
        assert run["taskgroup_id"] == group
    assert sandbox.ledger.count("add_task_group_runs") == 1
    assert sandbox.ledger.count("task_run") == 2
    assert sandbox.ledger.usd == 0.01


def test_a_run_belongs_to_its_group_only(http: httpx.Client) -> None:
    group, other = new_group(http), new_group(http)
    [run_id] = add(http, group, [run_body()])["run_ids"]
    alone = http.post("/v1/tasks/runs", json=run_body()).json()["run_id"]

    for url in (f"{other}/runs/{run_id}", f"{group}/runs/{alone}", f"nowhere/runs/{run_id}"):
        response = http.get(f"{GROUPS}/{url}")
        assert response.status_code == 404
        assert response.json()["type"] == "error"


def test_a_run_s_own_spec_precedes_the_default(http: httpx.Client) -> None:
    group = new_group(http)
    own = run_body("with", task_spec=json_spec(SCHEMA))
    add(http, group, [run_body("with"), own], default_task_spec={"output_schema": "x"})
    time.sleep(0.06)
    first, second = runs(http, group, include_output="true", include_input="true")

    assert first["output"]["type"] == "text"
    assert second["output"]["type"] == "json"
    assert first["input"] == {**run_body("with"), "task_spec": {"output_schema": "x"}}
    assert second["input"] == own


def test_runs_can_be_read_on_from_any_event(http: httpx.Client) -> None:
    group = new_group(http)
    add(http, group, [run_body(word) for word in ("with", "try", "for")])
    later = add(http, group, [run_body("while")])
    time.sleep(0.06)
    every = runs(http, group)

    assert {each["type"] for each in every} == {"task_run.state"}
    assert [each["run"]["status"] for each in every] == ["completed"] * 4
    assert all(each["input"] is each["output"] is None for each in every)
    for number, event in enumerate(every, 1):
        assert runs(http, group, last_event_id=event["event_id"]) == every[number:]
    assert runs(http, group, last_event_id=later["run_cursor"]) == every[3:]
    assert runs(http, group, last_event_id="") == every


def test_runs_are_counted_by_status_without_waiting() -> None:
    with Sandbox(task_seconds=1000) as sandbox, httpx.Client(base_url=sandbox.url) as http:
        http.headers["x-api-key"] = sandbox.api_key
        group = new_group(http)
        add(http, group, [run_body()] * 3)
        assert len(runs(http, group, status="queued", include_output="true")) == 3
        assert runs(http, group, status="completed") == []
        assert runs(http, group, include_output="true")[0]["output"] is None
        began = time.perf_counter()
        seen = events(http, group, timeout=0.1)
        assert time.perf_counter() - began >= 0.1
        assert [each["type"] for each in seen] == ["task_group_status"]


def test_events_go_on_until_nothing_is_active(http: httpx.Client) -> None:
    group = new_group(http)
    add(http, group, [run_body("with"), run_body("try", metadata={"sandbox": "fail"})])
    seen = events(http, group)

    kinds = [each["type"] for each in seen]
    assert kinds == ["task_group_status", "task_run.state", "task_run.state", "task_group_status"]
    assert [each["status"]["is_active"] for each in (seen[0], seen[-1])] == [True, False]
    assert [each["run"]["status"] for each in seen[1:3]] == ["completed", "failed"]
    assert all(each["output"] is None for each in seen[1:3])
    assert len({each["event_id"] for each in seen}) == 4


def test_events_can_be_read_on_from_any_event(http: httpx.Client) -> None:
    group = new_group(http)
    add(http, group, [run_body("with"), run_body("try")])
    events(http, group)
    later = add(http, group, [run_body("for")])
    every = events(http, group)

    assert [each["type"].rpartition("_")[2] for each in every] == [
        *("status", "run.state", "run.state", "status"),
        *("status", "run.state", "status"),
    ]
    for number, event in enumerate(every, 1):
        assert events(http, group, last_event_id=event["event_id"]) == every[number:]
    assert events(http, group, last_event_id=later["event_cursor"]) == every[4:]


def test_an_open_stream_learns_of_new_runs() -> None:
    with Sandbox(task_seconds=0.4) as sandbox, httpx.Client(base_url=sandbox.url) as http:
        http.headers["x-api-key"] = sandbox.api_key
        group = new_group(http)
        add(http, group, [run_body()])
        with http.stream("GET", f"{GROUPS}/{group}/events") as response:
            lines = response.iter_lines()
            assert "task_group_status" in next(lines)
            add(http, group, [run_body(), run_body()])
            rest = [json.loads(line[6:]) for line in lines if line]
    assert rest[0]["status"]["num_task_runs"] == 3
    assert Counter(each["type"] for each in rest) == {"task_group_status": 3, "task_run.state": 3}


@pytest.mark.parametrize("query", ["", "?refresh_status=true", "?refresh_status=false"])
def test_a_status_can_be_an_old_one(http: httpx.Client, query: str) -> None:
    group = new_group(http)
    add(http, group, [run_body()])
    time.sleep(0.06)
    status = add(http, group, [run_body()], query)["status"]

    old = query.endswith("false")
    counts = {"queued": 2} if old else {"completed": 1, "queued": 1}
    assert status["task_run_status_counts"] == counts
    assert status["num_task_runs"] == 2
    if old:
        fresh = http.get(f"{GROUPS}/{group}").json()["status"]["task_run_status_counts"]
        assert fresh["completed"] == 1


@pytest.mark.parametrize(
    ("wrong", "loc"),
    [
        ({}, ["body", "inputs"]),
        ({"inputs": [run_body()] * 1001}, ["body", "inputs"]),
        ({"inputs": [run_body(), {"processor": "lite"}]}, ["body", "inputs", 1, "input"]),
        (
            {"inputs": [run_body(), run_body(previous_interaction_id="nowhere")]},
            ["body", "inputs", 1, "previous_interaction_id"],
        ),
        ({"inputs": [], "default_task_spec": {}}, ["body", "default_task_spec", "output_schema"]),
    ],
)
def test_wrong_runs_are_refused_together(
    http: httpx.Client, sandbox: Sandbox, wrong: Any, loc: list[Any]
) -> None:
    group = new_group(http)
    response = http.post(f"{GROUPS}/{group}/runs", json=wrong)

    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == loc
    assert http.get(f"{GROUPS}/{group}").json()["status"]["num_task_runs"] == 0
    assert sandbox.ledger.count("add_task_group_runs") == 0


def test_an_unknown_processor_is_forbidden(http: httpx.Client) -> None:
    group = new_group(http)
    body = {"inputs": [run_body(processor="nope")]}
    assert http.post(f"{GROUPS}/{group}/runs", json=body).status_code == 403


@pytest.mark.parametrize(
    ("path", "params", "name"),
    [
        ("runs", {"status": "done"}, "status"),
        ("runs", {"include_output": "maybe"}, "include_output"),
        ("runs", {"last_event_id": "event_sandbox_000001"}, "last_event_id"),
        ("runs", {"last_event_id": "run_sandbox_000009"}, "last_event_id"),
        ("events", {"last_event_id": "x"}, "last_event_id"),
        ("events", {"timeout": "soon"}, "timeout"),
        ("events", {"timeout": "-1"}, "timeout"),
    ],
)
def test_wrong_questions(http: httpx.Client, path: str, params: Any, name: str) -> None:
    response = http.get(f"{GROUPS}/{new_group(http)}/{path}", params=params)

    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["query", name]


@pytest.mark.parametrize("path", ["", "/runs", "/events", "/runs/trun_x"])
def test_unknown_groups(http: httpx.Client, path: str) -> None:
    response = http.get(f"{GROUPS}/nowhere{path}")

    assert response.status_code == 404
    assert response.json()["type"] == "error"
    assert http.post(f"{GROUPS}/nowhere/runs", json={"inputs": []}).status_code == 404


def test_a_lost_response_keeps_the_runs(http: httpx.Client, sandbox: Sandbox) -> None:
    group = new_group(http)
    sandbox.faults.add(path=f"{GROUPS}/*/runs", method="POST", reset="headers")
    with pytest.raises(httpx.TransportError):
        add(http, group, [run_body()] * 5)
    assert http.get(f"{GROUPS}/{group}").json()["status"]["num_task_runs"] == 5
    sandbox.faults.add(path=f"{GROUPS}/*/runs", cut_after_events=2)
    with pytest.raises(httpx.RemoteProtocolError):
        runs(http, group)


def test_thousands_of_runs(http: httpx.Client, sandbox: Sandbox) -> None:
    group = new_group(http)
    for batch in range(3):
        inputs = [run_body(f"row {batch * 1000 + n}", "lite") for n in range(1000)]
        add(http, group, inputs, "?refresh_status=false", default_task_spec={"output_schema": "x"})
    http.get(f"/v1/tasks/runs/{numbered('trun', 3000)}/result")
    seen = runs(http, group, include_output="true")

    assert [each["run"]["run_id"][-6:] for each in seen] == [f"{n:06}" for n in range(1, 3001)]
    assert all(each["output"] for each in seen)
    assert sandbox.ledger.count("add_task_group_runs") == 3
    assert sandbox.ledger.count("task_run") == 3000
    assert sandbox.ledger.usd == 15
