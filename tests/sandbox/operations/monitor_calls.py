"""Calls of the monitor operations, their responses checked against the document at hand."""

from typing import Any

import httpx

from parallel_integrations.sandbox import Sandbox

MONITORS = "/v1/monitors"
QUERY = "lighthouse keeper"
NEWS = "https://news.example/lighthouse"
TEXT = "The lighthouse keeper has retired. The lamp is automatic now."
SCHEMA = {
    "type": "json",
    "json_schema": {
        "type": "object",
        "properties": {"title": {"type": "string"}, "year": {"type": ["integer", "null"]}},
        "required": ["title", "year"],
    },
}


def body(**changes: Any) -> dict[str, Any]:
    kept = {"type": "event_stream", "frequency": "1d", "settings": {"query": QUERY}}
    return {**kept, **changes}


def create(http: httpx.Client, **changes: Any) -> dict[str, Any]:
    response = http.post(MONITORS, json=body(**changes))
    assert response.status_code == 201, response.text
    return dict(response.json())


def events(http: httpx.Client, monitor_id: str, **params: Any) -> dict[str, Any]:
    response = http.get(f"{MONITORS}/{monitor_id}/events", params=params)
    assert response.status_code == 200, response.text
    return dict(response.json())


def publish(sandbox: Sandbox, number: int = 0, **changes: Any) -> None:
    page = {"url": f"{NEWS}{number or ''}", "title": "The Lamp", "text": TEXT, **changes}
    sandbox.publish(**page)


def update(http: httpx.Client, monitor_id: str, **changes: Any) -> httpx.Response:
    return http.post(f"{MONITORS}/{monitor_id}/update", json=changes)


def task_run(http: httpx.Client, question: str, **more: Any) -> str:
    request = {"input": question, "processor": "lite", **more}
    run_id = str(http.post("/v1/tasks/runs", json=request).json()["run_id"])
    assert http.get(f"/v1/tasks/runs/{run_id}/result").status_code == 200
    return run_id
