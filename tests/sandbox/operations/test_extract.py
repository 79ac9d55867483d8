from typing import Any

import httpx
import pytest

from parallel_integrations.sandbox import Page, Sandbox
from tests.sandbox.ids import numbered

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
    assert payload["extract_id"] == numbered("extract")
    [result] = payload["results"]
    assert result["url"] == WITH, "the address that was requested"
    assert result["title"] == 'The "with" statement'
    assert result["full_content"] is None
    assert [set(each.values()) - {each["url"]} for each in payload["errors"]] == [
        {"fetch_error", None}
    ] * 3
    assert sandbox.ledger.usd == 0.001, "what cannot be read costs nothing"
    assert payload["usage"] == [{"name": "sku_extract_excerpts", "count": 1}]
    [warning] = payload["warnings"]
    assert warning["type"] == "warning"
    assert warning["message"].startswith("Neither objective nor search_queries were provided")


def test_a_page_may_say_above_its_text_what_it_says_in_it() -> None:
    above = "Owls. Kiwis." + " More." * 100
    page = Page("https://birds.example/", "Birds", "Owls.", before=above, after="Foot.")
    with Sandbox([page]) as sandbox, httpx.Client(base_url=sandbox.url) as http:
        http.headers["x-api-key"] = sandbox.api_key
        [result] = http.post("/v1/extract", json={"urls": [page.url]}).json()["results"]
    [excerpt] = result["excerpts"]
    assert excerpt.endswith("Owls.\nFoot.")
    assert excerpt.count(" More.") <= 100


def test_an_extract_of_which_every_page_fails_costs_nothing(
    http: httpx.Client, sandbox: Sandbox
) -> None:
    payload = http.post("/v1/extract", json={"urls": [NOWHERE]}).json()

    assert (payload["results"], payload["usage"]) == ([], [])
    assert sandbox.ledger.count() == 0


@pytest.mark.parametrize("path", ["/v1/extract", "/v1beta/extract"])
def test_a_site_shows_something_at_every_address(http: httpx.Client, path: str) -> None:
    url = "https://docs.python.org/3/no-such-page.html"
    full: dict[str, Any] = {"full_content": True}
    body = full if "beta" in path else {"advanced_settings": full}
    payload = http.post(path, json={"urls": [url], "objective": "closures", **body}).json()

    [result] = payload["results"]
    assert payload["errors"] == []
    assert result["title"] == "404 Page Not Found - docs.python.org"
    assert result["publish_date"] is None
    assert result["excerpts"][0].startswith("Section Title: We couldn't find that\nContent:\n")
    assert result["full_content"].startswith("# We couldn't find that\n\n")


def test_clean_pages_fail_where_there_is_none() -> None:
    url = "https://docs.python.org/3/no-such-page.html"
    with Sandbox(clean=True) as clean:
        headers = {"x-api-key": clean.api_key}
        body = {"urls": [url, WITH]}
        payload = httpx.post(clean.url + "/v1/extract", json=body, headers=headers).json()
        page = clean.corpus.get(WITH)
    assert page is not None
    assert [each["url"] for each in payload["errors"]] == [url]
    [beginning] = payload["results"][0]["excerpts"]
    assert page.text.startswith(beginning)


def test_excerpts_follow_the_objective(http: httpx.Client, sandbox: Sandbox) -> None:
    def excerpt(**body: Any) -> str:
        [result] = http.post("/v1/extract", json={"urls": [TYPES], **body}).json()["results"]
        [found] = result["excerpts"]
        assert isinstance(found, str)
        return found

    page = sandbox.corpus.get(TYPES)
    assert page is not None
    whole = excerpt()
    assert len(whole) > len(page.text), "without an objective it is the whole page"
    focused = excerpt(objective="What are generator functions?")
    assert "generator" in focused
    assert len(focused) <= 20_000
    assert excerpt(search_queries=["generator functions"]) == focused.replace("\r", "")
    assert len(excerpt(objective="generators", max_chars_total=300)) <= 300
    limited = {"excerpt_settings": {"max_chars_per_result": 20_000}}
    assert excerpt(objective="zxqv") == excerpt(advanced_settings=limited), (
        "a page that says nothing about the objective begins at its beginning"
    )


def test_full_content(http: httpx.Client, sandbox: Sandbox) -> None:
    def content(full_content: Any, url: str = WITH) -> dict[str, Any]:
        body = {"urls": [url], "advanced_settings": {"full_content": full_content}}
        payload: dict[str, Any] = http.post("/v1/extract", json=body).json()
        return payload

    page = sandbox.corpus.get(WITH)
    assert page is not None
    whole = content(full_content=True)
    text = whole["results"][0]["full_content"]
    assert page.text in text
    assert text.endswith(page.after)
    assert {each["name"] for each in whole["usage"]} == {
        "sku_extract_excerpts",
        "sku_extract_full",
    }
    part = content({"max_chars_per_result": 100})["results"][0]["full_content"]
    assert 0 < len(part) <= 100
    assert text.startswith(part)
    assert content({})["results"][0]["full_content"] == text
    assert content(full_content=False)["results"][0]["full_content"] is None
    assert len(content(full_content=True, url=TYPES)["results"][0]["full_content"]) > 100_000


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
    assert response.json()["error"]["message"] == "Request validation error."


def test_v1beta(http: httpx.Client) -> None:
    def ask(**body: Any) -> httpx.Response:
        return http.post("/v1beta/extract", json={"urls": [WITH, NOWHERE], **body})

    payload = ask(excerpts=False, full_content=True, surprise=1).json()
    assert set(payload) == {"extract_id", "results", "errors", "warnings", "usage"}
    assert payload["results"][0]["excerpts"] is None
    assert '# The "with" statement' in payload["results"][0]["full_content"]
    assert len(payload["errors"]) == 1
    limited = ask(excerpts={"max_chars_per_result": 1000}, objective="exceptions").json()
    assert 0 < sum(map(len, limited["results"][0]["excerpts"])) <= 1000
    assert ask(urls=[WITH] * 11).status_code == 422
    assert ask(objective="o" * 3001).status_code == 422
