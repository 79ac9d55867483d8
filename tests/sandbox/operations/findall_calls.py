"""Calls of the FindAll operations, their responses checked against the document at hand."""

import json
import time
from typing import Any

import httpx

from parallel_integrations.sandbox import Sandbox

BETA = {"parallel-beta": "findall-2025-09-15"}
RUNS = "/v1beta/findall/runs"
OBJECTIVE = "Find all statements that bind names and open a scope"
CONDITIONS = [
    {"name": "binds_names_check", "description": "Statement must bind names."},
    {"name": "scope_check", "description": "Statement must concern a scope."},
]
ENRICHMENT = {
    "output_schema": {
        "type": "json",
        "json_schema": {
            "type": "object",
            "properties": {"summary": {"type": "string"}, "year": {"type": ["integer", "null"]}},
            "required": ["summary", "year"],
            "additionalProperties": False,
        },
    }
}


def client_of(sandbox: Sandbox) -> httpx.Client:
    """A client that sends the header which FindAll demands."""
    headers = {"x-api-key": sandbox.api_key, **BETA}
    return httpx.Client(base_url=sandbox.url, headers=headers, trust_env=False, verify=False)


def body(**changes: Any) -> dict[str, Any]:
    return {
        "objective": OBJECTIVE,
        "entity_type": "statements",
        "match_conditions": CONDITIONS,
        "generator": "base",
        "match_limit": 5,
        **changes,
    }


def create(http: httpx.Client, **changes: Any) -> str:
    response = http.post(RUNS, json=body(**changes))
    assert response.status_code == 200, response.text
    return str(response.json()["findall_id"])


def run_of(http: httpx.Client, findall_id: str) -> dict[str, Any]:
    run: dict[str, Any] = http.get(f"{RUNS}/{findall_id}").json()
    return dict(run)


def finish(http: httpx.Client, findall_id: str) -> dict[str, Any]:
    end = time.monotonic() + 30
    while run_of(http, findall_id)["status"]["is_active"]:
        assert time.monotonic() < end
        time.sleep(0.01)
    result: dict[str, Any] = http.get(f"{RUNS}/{findall_id}/result").json()
    return dict(result)


def frames(http: httpx.Client, findall_id: str, **params: Any) -> list[dict[str, Any]]:
    response = http.get(f"{RUNS}/{findall_id}/events", params=params)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    return [json.loads(each.removeprefix("data: ")) for each in response.text.split("\n\n") if each]
