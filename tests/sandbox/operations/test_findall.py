import time
from typing import Any

import httpx
import pytest

from parallel_integrations.sandbox import Sandbox
from tests.sandbox.ids import numbered
from tests.sandbox.inbox import Inbox
from tests.sandbox.operations.findall_calls import (
    BETA,
    CONDITIONS,
    ENRICHMENT,
    OBJECTIVE,
    RUNS,
    body,
    client_of,
    create,
    finish,
    run_of,
)

HEADERS = BETA


@pytest.mark.parametrize(
    ("objective", "entity_type", "names"),
    [
        (OBJECTIVE, "statements", ["bind_names_check", "open_scope_check"]),
        ("Find all AI companies in Norway", "companies", ["ai_companies_check", "norway_check"]),
        ("exceptions", "exceptions", ["exceptions_check"]),
        ("Please list every loop which can end early", "loop", ["end_early_check"]),
        ("???", "pages", ["stated_check"]),
    ],
)
def test_ingest(http: httpx.Client, objective: str, entity_type: str, names: list[str]) -> None:
    response = http.post("/v1beta/findall/ingest", json={"objective": objective})
    schema = response.json()

    assert schema["objective"] == objective
    assert schema["entity_type"] == entity_type
    assert schema["generator"] == "core"
    assert [condition["name"] for condition in schema["match_conditions"]] == names


def test_an_ingested_schema_can_be_run(http: httpx.Client) -> None:
    schema = http.post("/v1beta/findall/ingest", json={"objective": OBJECTIVE}).json()
    kept = {name: schema[name] for name in ("objective", "entity_type", "match_conditions")}
    result = finish(http, create(http, **kept))

    assert any(candidate["match_status"] == "matched" for candidate in result["candidates"])


def test_a_run_from_its_beginning_to_its_end(http: httpx.Client, sandbox: Sandbox) -> None:
    first = http.post(RUNS, json=body(metadata={"row": 7})).json()
    assert first["findall_id"] == numbered("findall")
    assert first["status"]["status"] == "queued"
    assert first["status"]["is_active"] is True
    assert first["metadata"] == {"row": 7}
    assert first["created_at"] == "2026-05-02T10:00:00.000000Z"

    result = finish(http, first["findall_id"])
    status = result["run"]["status"]
    matched = [one for one in result["candidates"] if one["match_status"] == "matched"]
    assert status["status"] == "completed"
    assert status["termination_reason"] == "match_limit_met"
    assert status["metrics"]["matched_candidates_count"] == len(matched) == 5
    assert status["metrics"]["generated_candidates_count"] == len(result["candidates"])
    assert len({one["candidate_id"] for one in result["candidates"]}) == len(result["candidates"])


def test_verdicts_rest_on_the_words_of_the_page(http: httpx.Client, sandbox: Sandbox) -> None:
    result = finish(http, create(http, match_limit=40))

    assert {one["match_status"] for one in result["candidates"]} == {"matched", "unmatched"}
    for candidate in result["candidates"]:
        page = sandbox.corpus.get(candidate["url"])
        assert page is not None
        assert candidate["name"] == page.title
        assert list(candidate["output"]) == [one["name"] for one in CONDITIONS]
        verdicts = list(candidate["output"].values())
        assert all(one["type"] == "match_condition" for one in verdicts)
        assert all(one["value"] == ("yes" if one["is_matched"] else "no") for one in verdicts)
        matched = all(one["is_matched"] for one in verdicts)
        assert candidate["match_status"] == ("matched" if matched else "unmatched")
        for basis in candidate["basis"]:
            assert "does not reason" in basis["reasoning"]
            assert basis["confidence"] in ("low", "medium", "high")
            for citation in basis["citations"]:
                assert citation["excerpts"]
                assert all(excerpt in page.text for excerpt in citation["excerpts"])
            if candidate["output"][basis["field"]]["is_matched"]:
                assert basis["citations"]


def test_a_run_takes_its_time_and_can_be_watched() -> None:
    with (
        Sandbox(findall_seconds=1) as slow,
        client_of(slow) as http,
    ):
        findall_id = create(http)
        while not (midway := http.get(f"{RUNS}/{findall_id}/result").json())["candidates"]:
            time.sleep(0.02)
        assert midway["run"]["status"]["status"] == "running"
        assert midway["run"]["status"]["termination_reason"] is None
        end = finish(http, findall_id)
    assert 0 < len(midway["candidates"]) < len(end["candidates"])
    assert midway["last_event_id"] < end["last_event_id"]


def test_a_run_without_any_page_ends(http: httpx.Client) -> None:
    lost = [{"name": "zxqv_check", "description": "zxqv"}]
    result = finish(http, create(http, objective="zxqv", match_conditions=lost))

    assert result["candidates"] == []
    assert result["run"]["status"]["termination_reason"] == "candidates_exhausted"


def test_what_is_known_is_left_out(http: httpx.Client) -> None:
    first, second, *_ = finish(http, create(http))["candidates"]
    known = [
        {"name": first["name"].upper(), "url": ""},
        {"name": "anything", "url": second["url"].replace("https", "http")},
    ]
    again = finish(http, create(http, exclude_list=known))["candidates"]

    assert not {first["url"], second["url"]} & {one["url"] for one in again}


@pytest.mark.parametrize(
    ("generator", "usd"), [("base", 0.25 + 5 * 0.03), ("core", 2.75), ("pro", 15), ("preview", 0.1)]
)
def test_prices(http: httpx.Client, sandbox: Sandbox, generator: str, usd: float) -> None:
    finish(http, create(http, generator=generator))

    assert sandbox.ledger.usd == usd
    assert sandbox.ledger.count("create_findall_run") == 1
    assert sandbox.ledger.count("findall_match") == (0 if generator == "preview" else 5)


def test_matches_are_billed_even_if_nobody_asks(http: httpx.Client, sandbox: Sandbox) -> None:
    create(http)
    time.sleep(0.25)

    assert sandbox.ledger.count("findall_match") == 5


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", RUNS),
        ("GET", f"{RUNS}/any"),
        ("GET", f"{RUNS}/any/result"),
        ("GET", f"{RUNS}/any/schema"),
        ("GET", f"{RUNS}/any/events"),
        ("POST", f"{RUNS}/any/enrich"),
        ("POST", f"{RUNS}/any/extend"),
        ("POST", f"{RUNS}/any/cancel"),
    ],
)
@pytest.mark.parametrize("header", [None, "search-extract-2025-10-10"])
def test_without_its_header_nothing_is_played(
    sandbox: Sandbox, method: str, path: str, header: str | None
) -> None:
    headers = {"x-api-key": sandbox.api_key} | ({"parallel-beta": header} if header else {})
    response = httpx.request(method, sandbox.url + path, headers=headers, trust_env=False)

    assert response.status_code == 422
    assert "FindAll V0" in response.text
    assert "parallel-beta" in response.text
    assert sandbox.ledger.count() == 0


def test_the_body_of_the_page_about_gateways_is_read(sandbox: Sandbox) -> None:
    url = sandbox.url + "/v1/account/gateway/parallel/v1beta/findall/ingest"
    headers = {"x-api-key": sandbox.api_key}
    older = httpx.post(url, json={"query": OBJECTIVE}, headers=headers)
    newer = httpx.post(url, json={"objective": OBJECTIVE}, headers=headers)

    assert older.status_code == 200
    assert older.json() == newer.json()
    assert older.json()["objective"] == OBJECTIVE


def test_the_header_may_name_more(sandbox: Sandbox) -> None:
    headers = {"x-api-key": sandbox.api_key, "parallel-beta": "other, findall-2025-09-15"}
    response = httpx.post(sandbox.url + RUNS, json=body(), headers=headers, trust_env=False)

    assert response.status_code == 200


@pytest.mark.parametrize("path", ["", "/result", "/schema", "/events"])
def test_unknown_runs(http: httpx.Client, path: str) -> None:
    response = http.get(f"{RUNS}/findall_none{path}")

    assert response.status_code == 404
    assert response.json()["error"]["message"] == "FindAll run not found"
    assert response.json()["error"]["ref_id"].startswith("sandbox_")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("objective", ""),
        ("objective", None),
        ("entity_type", " "),
        ("match_conditions", []),
        ("match_conditions", [{"name": "a"}]),
        ("match_conditions", [CONDITIONS[0], CONDITIONS[0]]),
        ("generator", "huge"),
        ("match_limit", 4),
        ("match_limit", 1001),
        ("match_limit", "5"),
        ("exclude_list", [{"name": "a", "url": "b"}] * 10_001),
        ("metadata", {"a" * 17: "x"}),
        ("metadata", {"a": "x" * 513}),
        ("metadata", {"a": ["x"]}),
        ("webhook", {"event_types": []}),
        ("memory_scope_key", "not allowed"),
        ("enrichments", [ENRICHMENT]),
    ],
)
def test_wrong_runs(http: httpx.Client, sandbox: Sandbox, field: str, value: Any) -> None:
    response = http.post(RUNS, json=body(**{field: value}))

    assert response.status_code == 422
    assert sandbox.ledger.count() == 0


def test_ingest_reports_errors_in_the_framework_dialect(http: httpx.Client) -> None:
    response = http.post("/v1beta/findall/ingest", json={})

    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == [
        "body",
        "objective",
    ]


def test_webhooks(http: httpx.Client) -> None:
    kinds = ["findall.candidate.matched", "findall.candidate.enriched", "findall.run.completed"]
    with Inbox() as inbox:
        findall_id = create(http, webhook={"url": inbox.url, "event_types": kinds})
        http.post(f"{RUNS}/{findall_id}/enrich", json=ENRICHMENT)
        sent = inbox.wait(11)

    assert [message["type"] for message in sent].count(kinds[0]) == 5
    assert [message["type"] for message in sent].count(kinds[1]) == 5
    [end] = [message["data"] for message in sent if message["type"] == kinds[2]]
    assert end == run_of(http, findall_id)


def test_a_reset_forgets_runs(http: httpx.Client, sandbox: Sandbox) -> None:
    findall_id = create(http)
    sandbox.reset()
    time.sleep(0.1)

    assert http.get(f"{RUNS}/{findall_id}").status_code == 404
    assert sandbox.ledger.count() == 0
    assert create(http) == findall_id


def test_a_run_can_be_made_to_fail(http: httpx.Client, sandbox: Sandbox) -> None:
    with Inbox() as inbox:
        webhook = {"url": inbox.url, "event_types": ["findall.run.failed"]}
        findall_id = create(http, metadata={"sandbox": "fail"}, webhook=webhook)
        status = finish(http, findall_id)["run"]["status"]
        [message] = inbox.wait(1)

    assert (status["status"], status["termination_reason"]) == ("failed", "error_occurred")
    assert message["data"]["findall_id"] == findall_id
    more = {"additional_match_limit": 1}
    assert http.post(f"{RUNS}/{findall_id}/extend", json=more).status_code == 422
    assert http.post(f"{RUNS}/{findall_id}/cancel").status_code == 409


def test_a_run_can_take_no_time_but_not_less(http: httpx.Client) -> None:
    with pytest.raises(ValueError, match="findall_seconds"):
        Sandbox(findall_seconds=-1)
    with Sandbox(findall_seconds=0) as quick, client_of(quick) as client:
        payload = client.post(RUNS, json=body()).json()
    assert payload["status"]["status"] == "completed"
