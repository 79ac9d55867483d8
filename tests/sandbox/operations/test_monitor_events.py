from datetime import date
from typing import Any

import httpx
import pytest

from parallel_integrations.sandbox import Sandbox
from parallel_integrations.sandbox.state.monitors import MAX_EXECUTIONS
from tests.sandbox.inbox import Inbox
from tests.sandbox.operations.monitor_calls import (
    MONITORS,
    NEWS,
    QUERY,
    SCHEMA,
    TEXT,
    body,
    create,
    events,
    publish,
    task_run,
    update,
)


def test_a_published_page_is_an_event(http: httpx.Client, sandbox: Sandbox) -> None:
    monitor_id = create(http, processor="base")["monitor_id"]
    create(http, settings={"query": "fractions and decimals"})
    publish(sandbox, published=date(2026, 5, 1))

    [event] = events(http, monitor_id)["events"]
    assert event["event_type"] == "event_stream"
    assert event["event_date"] == "2026-05-01"
    assert event["event_group_id"].startswith("event_group_sandbox_")
    assert event["output"]["type"] == "text"
    assert "“The lighthouse keeper has retired.”" in event["output"]["content"]
    [basis] = event["output"]["basis"]
    assert basis["citations"][0]["url"] == NEWS
    assert all(excerpt in TEXT for excerpt in basis["citations"][0]["excerpts"])
    assert sandbox.ledger.usd == pytest.approx(0.01 + 0.003 + 0.01)
    found = http.post("/v1/search", json={"search_queries": [QUERY]}).json()["results"][0]
    assert (found["url"], found["title"]) == (NEWS, "The Lamp")


def test_only_what_is_new_is_reported(http: httpx.Client, sandbox: Sandbox) -> None:
    publish(sandbox)
    monitor_id = create(http)["monitor_id"]
    assert events(http, monitor_id)["events"] == []
    publish(sandbox)
    assert events(http, monitor_id)["events"] == []

    publish(sandbox, text=TEXT + " Visitors are welcome.")
    assert len(events(http, monitor_id)["events"]) == 1
    response = http.post(f"{MONITORS}/{monitor_id}/trigger")
    assert (response.status_code, response.content) == (204, b"")
    assert len(events(http, monitor_id)["events"]) == 1
    kinds = [
        e["event_type"] for e in events(http, monitor_id, include_completions="true")["events"]
    ]
    assert kinds == ["completion", "event_stream", "completion", "completion"]


def test_a_new_query_finds_what_was_published_before(http: httpx.Client, sandbox: Sandbox) -> None:
    monitor_id = create(http, settings={"query": "fractions and decimals"})["monitor_id"]
    publish(sandbox)
    update(http, monitor_id, type="event_stream", settings={"query": QUERY})
    http.post(f"{MONITORS}/{monitor_id}/trigger")

    [event] = events(http, monitor_id)["events"]
    assert NEWS in event["output"]["content"]
    assert event["event_date"] == "2026-05-02"


def test_backfill(http: httpx.Client, sandbox: Sandbox) -> None:
    settings = {"query": "with statement", "include_backfill": True}
    monitor_id = create(http, settings=settings)["monitor_id"]

    found = events(http, monitor_id)["events"]
    assert 1 <= len(found) <= 3
    assert "with" in found[0]["output"]["content"]


def test_events_follow_an_output_schema(http: httpx.Client, sandbox: Sandbox) -> None:
    settings = {"query": QUERY, "output_schema": SCHEMA}
    monitor_id = create(http, settings=settings)["monitor_id"]
    publish(sandbox)

    [event] = events(http, monitor_id)["events"]
    assert event["output"]["type"] == "json"
    assert event["output"]["content"] == {"title": "The Lamp", "year": None}
    assert [basis["field"] for basis in event["output"]["basis"]] == ["title", "year"]


def test_a_source_policy_keeps_pages_out(http: httpx.Client, sandbox: Sandbox) -> None:
    policy = {"exclude_domains": ["news.example"], "after_date": "2026-01-01"}
    advanced = {"source_policy": policy, "location": "zz"}
    settings = {"query": QUERY, "advanced_settings": advanced}
    monitor_id = create(http, settings=settings)["monitor_id"]
    publish(sandbox, published=date(2026, 5, 1))
    publish(sandbox, url="https://old.example/", published=date(2025, 5, 1))
    publish(sandbox, url="https://good.example/", published=date(2026, 5, 1))

    page = events(http, monitor_id)
    assert len(page["events"]) == 1
    assert "https://good.example/" in page["events"][0]["output"]["content"]
    assert "location 'zz'" in page["warnings"][0]["message"]


def test_an_event_can_be_referred_to(http: httpx.Client, sandbox: Sandbox) -> None:
    monitor_id = create(http)["monitor_id"]
    publish(sandbox)
    [event] = events(http, monitor_id)["events"]
    request = {"model": "lite", "messages": [{"role": "user", "content": "Anything else?"}]}
    response = http.post(
        "/chat/completions", json={**request, "previous_interaction_id": event["event_id"]}
    )

    assert NEWS in response.json()["choices"][0]["message"]["content"]


def test_events_come_in_pages_newest_first(http: httpx.Client, sandbox: Sandbox) -> None:
    monitor_id = create(http)["monitor_id"]
    for number in range(5):
        publish(sandbox, number)
    first = events(http, monitor_id, limit=2)
    # What happens meanwhile shifts nothing.
    publish(sandbox, 9)
    second = events(http, monitor_id, limit=2, cursor=first["next_cursor"])
    third = events(http, monitor_id, limit=2, cursor=second["next_cursor"])

    pages = [*first["events"], *second["events"], *third["events"]]
    ends = [event["output"]["content"].rsplit("/", 1)[1] for event in pages]
    assert ends == ["lighthouse4", "lighthouse3", "lighthouse2", "lighthouse1", "lighthouse"]
    assert third["next_cursor"] is None
    group = pages[3]["event_group_id"]
    only = events(http, monitor_id, event_group_id=group, limit=1, cursor=first["next_cursor"])
    assert (only["events"], only["next_cursor"]) == ([pages[3]], None)
    unknown = http.get(f"{MONITORS}/{monitor_id}/events", params={"event_group_id": "none"})
    assert unknown.status_code == 422
    assert unknown.json()["error"]["message"] == "Could not find event group with id none"
    assert len(events(http, monitor_id)["events"]) == 6


def test_the_oldest_executions_are_forgotten(http: httpx.Client) -> None:
    monitor_id = create(http)["monitor_id"]
    for _ in range(MAX_EXECUTIONS + 5):
        http.post(f"{MONITORS}/{monitor_id}/trigger")
    count, cursor = 0, ""
    while cursor is not None:
        page = events(http, monitor_id, include_completions="true", limit=100, cursor=cursor)
        count, cursor = count + len(page["events"]), page["next_cursor"]

    assert count == MAX_EXECUTIONS


@pytest.mark.parametrize(
    "params",
    [{"limit": 0}, {"limit": 101}, {"limit": "x"}, {"cursor": "x"}, {"include_completions": "2"}],
)
def test_wrong_event_parameters(http: httpx.Client, params: dict[str, Any]) -> None:
    monitor_id = create(http)["monitor_id"]
    response = http.get(f"{MONITORS}/{monitor_id}/events", params=params)

    assert response.status_code == 422


def test_a_snapshot_reports_what_changed(http: httpx.Client, sandbox: Sandbox) -> None:
    spec = {
        "output_schema": {
            "type": "json",
            "json_schema": {
                "type": "object",
                "properties": {"title": {"type": "string"}, "kind": {"const": "page"}},
            },
        }
    }
    run_id = task_run(http, QUERY + " statement", task_spec=spec)
    output = http.get(f"/v1/tasks/runs/{run_id}/result").json()["output"]
    monitor = create(http, type="snapshot", settings={"task_run_id": run_id})
    monitor_id = monitor["monitor_id"]
    assert monitor["settings"]["task_run_id"] == run_id
    assert monitor["settings"]["query"] == QUERY + " statement"
    assert monitor["settings"]["output_schema"] == spec["output_schema"]
    assert monitor["output"] == {"latest_snapshot": output}
    http.post(f"{MONITORS}/{monitor_id}/trigger")
    assert events(http, monitor_id)["events"] == []

    publish(sandbox)
    [event] = events(http, monitor_id)["events"]
    assert event["event_type"] == "snapshot"
    assert event["previous_output"] == output
    assert event["changed_output"]["content"] == {"title": "The Lamp"}
    assert {basis["field"] for basis in event["changed_output"]["basis"]} == {"title"}
    latest = http.get(f"{MONITORS}/{monitor_id}").json()["output"]["latest_snapshot"]
    assert latest["content"] == {"title": "The Lamp", "kind": "page"}
    assert update(http, monitor_id, frequency="3d").json()["frequency"] == "3d"
    wrong = update(http, monitor_id, type="event_stream", settings={"query": "a"})
    assert wrong.status_code == 422


def test_a_snapshot_wants_a_finished_run() -> None:
    with (
        Sandbox(task_seconds=60) as slow,
        httpx.Client(
            base_url=slow.url, headers={"x-api-key": slow.api_key}, trust_env=False
        ) as http,
    ):
        run = http.post("/v1/tasks/runs", json={"input": "with", "processor": "lite"}).json()
        settings = {"task_run_id": run["run_id"]}
        response = http.post(MONITORS, json=body(type="snapshot", settings=settings))
    assert response.status_code == 422
    assert "not completed" in response.json()["error"]["message"]


def test_webhooks(http: httpx.Client, sandbox: Sandbox) -> None:
    kinds = ["monitor.event.detected", "monitor.execution.completed"]
    with Inbox() as inbox:
        webhook = {"url": inbox.url, "event_types": kinds}
        monitor_id = create(http, webhook=webhook, metadata={"row": "7"})["monitor_id"]
        inbox.wait(1)
        publish(sandbox)
        first, second = inbox.wait(2)

    assert first["type"] == "monitor.execution.completed"
    assert first["data"]["event"] == {"type": "completion", "monitor_ts": first["timestamp"]}
    [event] = events(http, monitor_id)["events"]
    assert second["type"] == "monitor.event.detected"
    assert second["data"] == {
        "monitor_id": monitor_id,
        "event": {"event_group_id": event["event_group_id"]},
        "metadata": {"row": "7"},
    }


def test_a_monitor_can_be_made_to_fail(http: httpx.Client, sandbox: Sandbox) -> None:
    with Inbox() as inbox:
        webhook = {"url": inbox.url, "event_types": ["monitor.execution.failed"]}
        monitor_id = create(http, metadata={"sandbox": "fail"}, webhook=webhook)["monitor_id"]
        [message] = inbox.wait(1)

    [event] = events(http, monitor_id)["events"]
    assert event["event_type"] == "error"
    assert event["error_message"] == message["data"]["event"]["error"]
    assert message["data"]["event"]["type"] == "error"
    assert sandbox.ledger.count() == 0
