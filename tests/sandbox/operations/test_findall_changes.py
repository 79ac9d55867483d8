from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from parallel_integrations.sandbox import Sandbox
from tests.sandbox.operations.findall_calls import (
    BETA,
    CONDITIONS,
    ENRICHMENT,
    RUNS,
    client_of,
    create,
    finish,
    frames,
    run_of,
)

HEADERS = BETA


@pytest.fixture
def slow() -> Iterator[Sandbox]:
    """A sandbox whose runs are still active when the next request comes, on a busy machine too."""
    with Sandbox(findall_seconds=1.0) as sandbox:
        yield sandbox


@pytest.fixture
def slow_http(slow: Sandbox) -> Iterator[httpx.Client]:
    with client_of(slow) as client:
        yield client


def test_a_preview_is_small_and_cannot_be_changed(slow_http: httpx.Client, slow: Sandbox) -> None:
    http, sandbox = slow_http, slow
    never = [{"name": "never", "description": "Must be about zxqv and bqx."}]
    findall_id = create(http, generator="preview", match_limit=500, match_conditions=never)

    assert http.get(f"{RUNS}/{findall_id}/schema").json()["match_limit"] == 10
    assert http.post(f"{RUNS}/{findall_id}/cancel").status_code == 422
    assert http.post(f"{RUNS}/{findall_id}/enrich", json=ENRICHMENT).status_code == 422
    more = {"additional_match_limit": 5}
    assert http.post(f"{RUNS}/{findall_id}/extend", json=more).status_code == 422
    assert len(finish(http, findall_id)["candidates"]) == 10
    assert sandbox.ledger.usd == 0.1
    assert http.post(f"{RUNS}/{findall_id}/cancel").status_code == 409


def test_enriching_a_finished_run(http: httpx.Client, sandbox: Sandbox) -> None:
    findall_id = create(http)
    last = finish(http, findall_id)["last_event_id"]
    response = http.post(f"{RUNS}/{findall_id}/enrich", json={**ENRICHMENT, "processor": "base"})
    schema = response.json()
    assert schema["enrichments"] == [{**ENRICHMENT, "processor": "base", "mcp_servers": None}]

    found = frames(http, findall_id, last_event_id=last)
    enriched = [f["data"] for f in found if f["type"] == "findall.candidate.enriched"]
    assert found[0]["type"] == "findall.schema.updated"
    assert [list(one["output"]) for one in enriched] == [["summary", "year"]] * 5
    result = finish(http, findall_id)
    for candidate in result["candidates"]:
        done = candidate["match_status"] == "matched"
        assert ("summary" in candidate["output"]) is done
        if done:
            assert candidate["output"]["summary"]["type"] == "enrichment"
            assert candidate["output"]["summary"]["value"]
            fields = [basis["field"] for basis in candidate["basis"]]
            assert fields == [*(one["name"] for one in CONDITIONS), "summary", "year"]
    assert result["run"]["status"]["termination_reason"] == "match_limit_met"
    assert sandbox.ledger.count("findall_enrichment") == 5
    assert sandbox.ledger.usd == pytest.approx(0.25 + 5 * 0.03 + 5 * 0.01)


def test_enriching_a_run_at_work_and_twice(http: httpx.Client, sandbox: Sandbox) -> None:
    findall_id = create(http)
    http.post(f"{RUNS}/{findall_id}/enrich", json=ENRICHMENT)
    other = {"json_schema": {"type": "object", "properties": {"title": {"type": "string"}}}}
    http.post(f"{RUNS}/{findall_id}/enrich", json={"output_schema": other, "processor": "lite"})
    result = finish(http, findall_id)

    matched = [one for one in result["candidates"] if one["match_status"] == "matched"]
    assert len(matched) == 5
    assert all(one["output"]["title"]["value"] == one["name"] for one in matched)
    assert all("summary" in one["output"] for one in matched)
    assert sandbox.ledger.count("findall_enrichment") == 10
    assert len(http.get(f"{RUNS}/{findall_id}/schema").json()["enrichments"]) == 2


def test_secrets_of_tool_servers_are_not_shown(http: httpx.Client) -> None:
    server = {"name": "docs", "url": "https://tools.example/mcp", "headers": {"token": "hidden"}}
    findall_id = create(http)
    response = http.post(
        f"{RUNS}/{findall_id}/enrich", json={**ENRICHMENT, "mcp_servers": [server]}
    )

    assert response.json()["enrichments"][0]["mcp_servers"][0]["name"] == "docs"
    assert "hidden" not in response.text


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"output_schema": "text"},
        {"output_schema": {"type": "text"}},
        {"output_schema": {"json_schema": {"type": "string"}}},
        {"output_schema": {"json_schema": {"type": "object", "properties": 7}}},
        {**ENRICHMENT, "processor": "huge"},
    ],
)
def test_wrong_enrichments_change_nothing(http: httpx.Client, wrong: dict[str, Any]) -> None:
    findall_id = create(http)
    response = http.post(f"{RUNS}/{findall_id}/enrich", json=wrong)

    assert response.status_code == 422
    assert http.get(f"{RUNS}/{findall_id}/schema").json()["enrichments"] is None
    assert finish(http, findall_id)["run"]["status"]["status"] == "completed"


def test_extending_respawns_a_run(slow_http: httpx.Client, slow: Sandbox) -> None:
    http, sandbox = slow_http, slow
    findall_id = create(http)
    before = finish(http, findall_id)
    response = http.post(f"{RUNS}/{findall_id}/extend", json={"additional_match_limit": 3})
    assert response.json()["match_limit"] == 8
    assert run_of(http, findall_id)["status"]["is_active"] is True

    after = finish(http, findall_id)
    assert after["run"]["status"]["metrics"]["matched_candidates_count"] == 8
    assert after["candidates"][: len(before["candidates"])] == before["candidates"]
    assert sandbox.ledger.count("create_findall_run") == 1
    assert sandbox.ledger.usd == pytest.approx(0.25 + 8 * 0.03)
    for wrong in ({}, {"additional_match_limit": 0}, {"additional_match_limit": "3"}):
        assert http.post(f"{RUNS}/{findall_id}/extend", json=wrong).status_code == 422


def test_extending_finds_what_was_published_since(http: httpx.Client, sandbox: Sandbox) -> None:
    findall_id = create(http, match_limit=1000)
    before = finish(http, findall_id)
    assert before["run"]["status"]["termination_reason"] == "candidates_exhausted"
    url = "https://news.example/scope"
    sandbox.publish(url=url, title="News", text="This statement will bind names in a scope.")
    http.post(f"{RUNS}/{findall_id}/extend", json={"additional_match_limit": 1})

    [new] = finish(http, findall_id)["candidates"][len(before["candidates"]) :]
    assert (new["url"], new["match_status"]) == (url, "matched")


def test_cancelling(sandbox: Sandbox) -> None:
    with (
        Sandbox(findall_seconds=60) as slow,
        client_of(slow) as http,
    ):
        findall_id = create(http)
        assert http.post(f"{RUNS}/{findall_id}/cancel").json() == {}
        status = run_of(http, findall_id)["status"]
        assert (status["status"], status["is_active"]) == ("cancelled", False)
        assert status["termination_reason"] == "user_cancelled"
        again = http.post(f"{RUNS}/{findall_id}/cancel")
        assert again.status_code == 409
        assert again.json()["error"]["message"] == "Cannot cancel a terminated FindAll run"
        assert http.post(f"{RUNS}/{findall_id}/enrich", json=ENRICHMENT).status_code == 422
        more = {"additional_match_limit": 1}
        assert http.post(f"{RUNS}/{findall_id}/extend", json=more).status_code == 422
        assert slow.ledger.usd == 0.25
