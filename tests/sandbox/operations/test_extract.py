from typing import Any

import httpx
import pytest

from parallel_integrations.sandbox import Sandbox

WITH = "https://docs.python.org/3/reference/compound_stmts.html#with"
TYPES = "https://docs.python.org/3/reference/datamodel.html?topic=types"
NOWHERE = "https://nowhere.example/page"


def test_a_missing_page_is_only_an_item_in_errors(http: httpx.Client, sandbox: Sandbox) -> None:
    response = http.post(
        "/v1/extract", json={"urls": [WITH, NOWHERE, "ftp://a.example/", "http://[bad"]}
    )

    assert response.status_code == 200
    payload = response.json()
    assert set(payload) == {"extract_id", "results", "errors", "session_id", "warnings", "usage"}
    assert payload["extract_id"] == "extract_sandbox_000001"
    [result] = payload["results"]
    assert result["url"] == WITH, "the address that was requested"
    assert result["title"] == 'The "with" statement'
    assert result["full_content"] is None
    assert [(e["error_type"], e["http_status_code"]) for e in payload["errors"]] == [
        ("fetch_error", 404),
        ("fetch_error", None),
        ("fetch_error", None),
    ]
    assert sandbox.ledger.usd == 0.004
    assert payload["usage"] == [{"name": "sku_extract_excerpts", "count": 4}]


def test_excerpts_follow_the_objective(http: httpx.Client, sandbox: Sandbox) -> None:
    def excerpts(**body: Any) -> list[str]:
        [result] = http.post("/v1/extract", json={"urls": [TYPES], **body}).json()["results"]
        found: list[str] = result["excerpts"]
        return found

    page = sandbox.corpus.get(TYPES)
    assert page is not None
    [beginning] = excerpts()
    assert page.text.startswith(beginning)
    assert len(beginning) > 5000
    focused = excerpts(objective="What are generator functions?")
    assert any("generator" in excerpt for excerpt in focused)
    assert sum(map(len, focused)) <= 3000
    assert all(excerpt in page.text for excerpt in focused)
    assert excerpts(search_queries=["generator functions"])
    assert sum(map(len, excerpts(objective="generators", max_chars_total=300))) <= 300
    assert excerpts(objective="zxqv") == excerpts(
        advanced_settings={"excerpt_settings": {"max_chars_per_result": 3000}}
    ), "a page that says nothing about the objective begins at its beginning"


def test_full_content(http: httpx.Client, sandbox: Sandbox) -> None:
    def content(full_content: Any) -> dict[str, Any]:
        body = {"urls": [WITH], "advanced_settings": {"full_content": full_content}}
        payload: dict[str, Any] = http.post("/v1/extract", json=body).json()
        return payload

    page = sandbox.corpus.get(WITH)
    assert page is not None
    whole = content(full_content=True)
    assert whole["results"][0]["full_content"] == page.text
    assert "only repeat the full content" in whole["warnings"][0]["message"]
    part = content({"max_chars_per_result": 100})["results"][0]["full_content"]
    assert 0 < len(part) <= 100
    assert page.text.startswith(part)
    assert content({})["results"][0]["full_content"] == page.text
    assert content(full_content=False)["results"][0]["full_content"] is None


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"urls": []},
        {"urls": [WITH] * 21},
        {"urls": WITH},
        {"urls": [WITH], "objective": "o" * 5001},
        {"urls": [WITH], "search_queries": ["q"] * 6},
        {"urls": [WITH], "excerpts": True},
        {"urls": [WITH], "advanced_settings": {"surprise": 1}},
        {"urls": [WITH], "advanced_settings": {"full_content": "yes"}},
        {"urls": [WITH], "advanced_settings": {"fetch_policy": {"max_age_seconds": 1}}},
    ],
)
def test_v1_is_strict(http: httpx.Client, body: dict[str, Any]) -> None:
    response = http.post("/v1/extract", json=body)

    assert response.status_code == 422
    assert response.json()["error"]["ref_id"].startswith("extract_sandbox_")


def test_v1beta(http: httpx.Client) -> None:
    def ask(**body: Any) -> httpx.Response:
        return http.post("/v1beta/extract", json={"urls": [WITH, NOWHERE], **body})

    payload = ask(excerpts=False, full_content=True, surprise=1).json()
    assert set(payload) == {"extract_id", "results", "errors", "warnings", "usage"}
    assert payload["results"][0]["excerpts"] is None
    assert payload["results"][0]["full_content"].startswith("# The")
    assert len(payload["errors"]) == 1
    limited = ask(excerpts={"max_chars_per_result": 1000}, objective="exceptions").json()
    assert 0 < sum(map(len, limited["results"][0]["excerpts"])) <= 1000
    assert ask(urls=[WITH] * 11).status_code == 422
    assert ask(objective="o" * 3001).status_code == 422
