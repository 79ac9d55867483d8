from typing import Any

import httpx
import pytest

from parallel_integrations.sandbox import Sandbox
from tests.sandbox.ids import numbered
from tests.sandbox.operations.monitor_calls import (
    MONITORS,
    QUERY,
    SCHEMA,
    body,
    create,
    events,
    publish,
    task_run,
    update,
)


def test_a_new_monitor_runs_at_once(http: httpx.Client, sandbox: Sandbox) -> None:
    monitor = create(http, metadata={"row": "7"})

    assert monitor == {
        "monitor_id": numbered("monitor"),
        "type": "event_stream",
        "status": "active",
        "frequency": "1d",
        "processor": "lite",
        "settings": {
            "query": QUERY,
            "output_schema": None,
            "include_backfill": None,
            "advanced_settings": None,
        },
        "webhook": None,
        "metadata": {"row": "7"},
        "created_at": "2026-05-02T10:00:00.000000Z",
        "last_run_at": "2026-05-02T10:00:00.000000Z",
        "output": None,
    }
    assert events(http, monitor["monitor_id"])["events"] == []
    [done] = events(http, monitor["monitor_id"], include_completions="true")["events"]
    assert done == {"event_type": "completion", "timestamp": monitor["created_at"]}
    assert sandbox.ledger.count("monitor_execution") == 1
    assert sandbox.ledger.usd == 0.003
    assert http.get(f"{MONITORS}/{monitor['monitor_id']}").json() == monitor


def listed(http: httpx.Client, query: str = "") -> list[str]:
    response = http.get(f"{MONITORS}{query}")
    assert response.status_code == 200, response.text
    page = response.json()
    return [monitor["monitor_id"][-1] for monitor in page["monitors"]]


def test_listing(http: httpx.Client) -> None:
    for _ in range(3):
        create(http)
    snapshot = {"task_run_id": task_run(http, "with statement")}
    create(http, type="snapshot", settings=snapshot)
    http.post(f"{MONITORS}/{numbered('monitor', 2)}/cancel")

    assert listed(http) == ["4", "3", "1"]
    assert listed(http, "?status=cancelled") == ["2"]
    assert listed(http, "?status=cancelled&status=active") == ["4", "3", "2", "1"]
    assert listed(http, "?status=cancelled,active") == ["4", "3", "2", "1"]
    assert listed(http, "?type=snapshot") == ["4"]
    assert listed(http, "?type=snapshot&type=event_stream&limit=10000") == ["4", "3", "1"]
    first = http.get(f"{MONITORS}?limit=2").json()
    create(http)
    second = http.get(f"{MONITORS}?limit=2&cursor={first['next_cursor']}").json()
    assert [one["monitor_id"][-1] for one in second["monitors"]] == ["1"]
    assert second["next_cursor"] is None


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=10001", "cursor=x", "status=asleep", "type=event_stream,other"]
)
def test_wrong_listings(http: httpx.Client, query: str) -> None:
    response = http.get(f"{MONITORS}?{query}")

    assert response.status_code == 422
    detail = response.json()["detail"]
    assert detail[0]["loc"] == ["query", query.partition("=")[0]]


def test_updating_changes_only_what_is_sent(http: httpx.Client) -> None:
    webhook = {"url": "https://hooks.example/a", "event_types": ["monitor.event.detected"]}
    advanced = {"location": "no", "source_policy": None}
    settings = {"query": QUERY, "advanced_settings": advanced}
    before = create(http, webhook=webhook, metadata={"a": "b"}, settings=settings)
    monitor_id = before["monitor_id"]

    assert update(http, monitor_id, frequency="2w").json() == {**before, "frequency": "2w"}
    after = update(http, monitor_id, processor="base", metadata=None).json()
    assert after == {**before, "frequency": "2w", "processor": "base", "metadata": None}
    assert update(http, monitor_id, webhook=None).json()["webhook"] is None
    new = {"query": "another lamp"}
    after = update(http, monitor_id, type="event_stream", settings=new).json()
    assert after["settings"] == {**before["settings"], "query": "another lamp"}
    new_advanced = {"advanced_settings": {"location": "de"}}
    after = update(http, monitor_id, type="event_stream", settings=new_advanced).json()
    assert after["settings"]["advanced_settings"] == {"location": "de", "source_policy": None}
    cleared = {"advanced_settings": None}
    after = update(http, monitor_id, type="event_stream", settings=cleared).json()
    assert after["settings"]["advanced_settings"] is None
    assert http.get(f"{MONITORS}/{monitor_id}").json() == after


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"type": "event_stream"},
        {"frequency": None},
        {"processor": None},
        {"settings": None, "type": "event_stream"},
        {"type": None, "frequency": "1d"},
        {"frequency": "40d"},
        {"processor": "pro"},
        {"settings": {"query": "a"}},
        {"type": "snapshot", "settings": {"query": "a"}},
        {"type": "snapshot", "frequency": "1d"},
        {"type": "event_stream", "settings": {"query": None}},
        {"type": "event_stream", "settings": {"query": ""}},
        {"type": "event_stream", "settings": {"output_schema": SCHEMA}},
        {"type": "event_stream", "settings": {"include_backfill": True}},
        {"metadata": {"a": 1}},
        {"webhook": {"url": "https://hooks.example/", "event_types": ["task_run.status"]}},
    ],
)
def test_wrong_updates_change_nothing(http: httpx.Client, changes: dict[str, Any]) -> None:
    before = create(http, metadata={"a": "b"})
    response = update(http, before["monitor_id"], **changes)

    assert response.status_code == 422
    assert http.get(f"{MONITORS}/{before['monitor_id']}").json() == before


def test_a_cancelled_monitor_rests(http: httpx.Client, sandbox: Sandbox) -> None:
    monitor_id = create(http)["monitor_id"]
    for _ in range(2):
        response = http.post(f"{MONITORS}/{monitor_id}/cancel")
        assert response.status_code == 200
        assert response.json()["status"] == "cancelled"
    publish(sandbox)

    assert events(http, monitor_id)["events"] == []
    assert http.post(f"{MONITORS}/{monitor_id}/trigger").status_code == 422
    assert update(http, monitor_id, metadata={"a": "b"}).json()["metadata"] == {"a": "b"}
    assert update(http, monitor_id, metadata={}, frequency="1d").status_code == 422
    assert sandbox.ledger.count("monitor_execution") == 1


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("GET", "/events"),
        ("POST", "/update"),
        ("POST", "/cancel"),
        ("POST", "/trigger"),
    ],
)
def test_unknown_monitors(http: httpx.Client, method: str, path: str) -> None:
    response = http.request(method, f"{MONITORS}/monitor_none{path}", json={"frequency": "1d"})

    assert response.status_code == 404
    assert response.json()["error"]["message"] == "Monitor not found"


@pytest.mark.parametrize("frequency", ["1h", "720h", "30d", "4w"])
def test_frequencies(http: httpx.Client, frequency: str) -> None:
    assert create(http, frequency=frequency)["frequency"] == frequency


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "other"},
        {"type": None},
        {"frequency": "0h"},
        {"frequency": "721h"},
        {"frequency": "31d"},
        {"frequency": "5w"},
        {"frequency": "daily"},
        {"frequency": "1.5d"},
        {"frequency": None},
        {"processor": "core"},
        {"settings": {}},
        {"settings": {"query": " "}},
        {"settings": {"task_run_id": "a"}},
        {"settings": {"query": "a", "output_schema": "text"}},
        {"settings": {"query": "a", "output_schema": {"json_schema": {"type": "string"}}}},
        {"settings": {"query": "a", "advanced_settings": {"source_policy": {"after_date": "x"}}}},
        {"type": "snapshot"},
        {"type": "snapshot", "settings": {"task_run_id": "trun_none"}},
        {"metadata": {"a": 1}},
        {"metadata": {"a" * 17: "b"}},
        {"metadata": {"a": "b" * 513}},
        {"webhook": {"url": "https://hooks.example/", "event_types": ["other"]}},
        {"memory_scope_key": ""},
    ],
)
def test_wrong_monitors(http: httpx.Client, sandbox: Sandbox, changes: dict[str, Any]) -> None:
    response = http.post(MONITORS, json=body(**changes))

    assert response.status_code == 422
    assert sandbox.ledger.count() == 0
    assert listed(http) == []


def test_a_reset_forgets_monitors(http: httpx.Client, sandbox: Sandbox) -> None:
    monitor_id = create(http)["monitor_id"]
    sandbox.reset()

    assert http.get(f"{MONITORS}/{monitor_id}").status_code == 404
    assert create(http)["monitor_id"] == monitor_id
