import gc
import sqlite3
from datetime import date
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parallel_integrations.sandbox import Corpus, Page, Sandbox
from parallel_integrations.sandbox.web.domains import allowed, covers
from parallel_integrations.sandbox.web.index import Index
from parallel_integrations.sandbox.web.passages import choose, passages
from tests.sandbox.ids import numbered


@pytest.fixture(scope="module")
def index() -> Index:
    return Index(Corpus.python_reference())


@pytest.mark.parametrize(
    ("question", "title"),
    [
        ("what does the with statement do", 'The "with" statement'),
        ("with", 'The "with" statement'),
        ("context manager protocol", "With Statement Context Managers"),
        ("How do I write a decorator for a function?", "Function definitions"),
        ("How does Python resolve names in nested scopes?", "Naming and binding"),
        ("lambda", "Lambdas"),
        ("operator precedence table", "Operator precedence"),
    ],
)
def test_natural_questions_find_their_page(index: Index, question: str, title: str) -> None:
    assert title in [hit.page.title for hit in index.search([question])[:2]]


def test_no_match_is_an_empty_list(index: Index) -> None:
    assert index.search(["zxqv"]) == []
    assert index.search(["", "?!"]) == []


@pytest.mark.parametrize(
    "hostile",
    ['a" OR b', "NEAR(with, 2)", "title: with*", "^with -with", "'); DROP", "\x00with", "{"],
)
def test_full_text_syntax_is_only_words(index: Index, hostile: str) -> None:
    index.search([hostile])


@pytest.fixture(scope="module")
def one_page() -> Index:
    return Index(Corpus([Page("https://a.example/", "A", "alpha beta 東京都")]))


@given(text=st.text(max_size=200))
def test_any_text_may_be_searched_for(one_page: Index, text: str) -> None:
    one_page.search([text])


@pytest.mark.parametrize("query", ["東京都", "京都", "東", "москва", "Αθήνα", "zürich", "ไทย"])
def test_other_scripts_are_found(query: str) -> None:
    index = Index(
        Corpus(
            [
                Page("https://a.example/1", "Other", "Nothing to see here."),
                Page(
                    "https://a.example/2",
                    "Cities",
                    "これは東京都です。Москва. Αθήνα. Zürich. ภาษาไทย",
                ),
            ]
        )
    )
    assert [hit.page.title for hit in index.search([query])] == ["Cities"]


@given(st.text(alphabet="ab.# \n", max_size=3000))
def test_passages_are_ordered_slices_that_lose_only_white_space(text: str) -> None:
    found = passages(text)
    at = 0
    for start, end in found:
        assert not text[at:start].strip()
        assert at <= start < end
        assert text[start:end] == text[start:end].strip()
        at = end
    assert not text[at:].strip()


@given(st.text(alphabet="ab. \n", max_size=2000), st.integers(0, 1500))
def test_chosen_passages_keep_the_limit(text: str, limit: int) -> None:
    chosen = choose(text, passages(text)[::-1], limit)
    assert sum(end - start for start, end in chosen) <= limit
    assert chosen == sorted(chosen)


@pytest.mark.parametrize(
    ("domain", "url", "inside"),
    [
        ("python.org", "https://docs.python.org/3/", True),
        ("docs.python.org", "https://python.org/", False),
        ("python.org", "https://notpython.org/", False),
        ("PYTHON.org", "https://python.org/", True),
        (".org", "https://docs.python.org/", True),
        (".gov", "https://docs.python.org/", False),
        ("docs.python.org/3", "https://docs.python.org/3/x", True),
        ("docs.python.org/3", "https://docs.python.org/3.11/x", False),
        ("docs.python.org/A", "https://docs.python.org/a", False),
        ("docs.python.org/3/", "https://docs.python.org/3", True),
    ],
)
def test_domains(domain: str, url: str, inside: bool) -> None:
    assert covers(domain, url) is inside


def test_a_policy_lets_only_dated_pages_through_a_date() -> None:
    dated = Page("https://a.example/", "A", "a", date(2024, 1, 1))

    assert allowed(dated, [], [], date(2024, 1, 1))
    assert not allowed(dated, [], [], date(2024, 1, 2))
    assert not allowed(Page("https://a.example/", "A", "a"), [], [], date(2024, 1, 1))
    assert allowed(dated, ["a.example"], ["a.example"], None), "include beats exclude"


def ask(http: httpx.Client, **body: Any) -> dict[str, Any]:
    response = http.post("/v1/search", json={"search_queries": ["with statement"], **body})
    assert response.status_code == 200, response.text
    payload: dict[str, Any] = response.json()
    return payload


def test_v1_response(http: httpx.Client, sandbox: Sandbox) -> None:
    payload = ask(http, objective="What does the with statement do?")

    assert set(payload) == {"search_id", "results", "session_id", "warnings", "usage"}
    assert payload["search_id"] == numbered("search")
    assert payload["session_id"] == numbered("session")
    assert payload["warnings"] is None
    assert payload["usage"] == [{"name": "sku_search", "count": 1}]
    assert len(payload["results"]) == 10
    first = payload["results"][0]
    assert set(first) == {"url", "title", "publish_date", "excerpts"}
    page = sandbox.corpus.get(first["url"])
    assert page is not None
    assert first["publish_date"] == (page.published.isoformat() if page.published else None)


def test_excerpts_have_the_form_and_size_of_published_ones(http: httpx.Client) -> None:
    results = []
    for query in ("compare objects for equality", "import system", "generators", "what is a class"):
        results += ask(http, search_queries=[query])["results"]
    texts = [text for each in results for text in each["excerpts"]]

    assert {len(each["excerpts"]) for each in results} == {1}
    assert 50_000 < sum(map(len, texts)) / 4 < 80_000
    assert max(map(len, texts)) <= 10_000
    assert sum(text.startswith("Section Title: ") for text in texts) > 0.5 * len(texts)
    assert all("Section Title: " in text and "\nContent:\n" in text for text in texts)
    assert any(" > " in text for text in texts)
    assert any("\n ... \n" in text for text in texts)
    assert any("¶" in text and "We use cookies" in text for text in texts)
    dated = sum(each["publish_date"] is not None for each in results)
    assert 0.2 < dated / len(results) < 0.6


def test_clean_pages_are_nothing_but_text() -> None:
    headers = {"x-api-key": "sandbox-key"}
    with Sandbox(clean=True) as clean, httpx.Client(base_url=clean.url, headers=headers) as http:
        results = ask(http, objective="What does the with statement do?")["results"]
        pages = {page.url: page for page in clean.corpus}
    assert max(len(each["excerpts"]) for each in results) > 1
    for each in results:
        assert all(excerpt in pages[each["url"]].text for excerpt in each["excerpts"])
        assert sum(map(len, each["excerpts"])) <= 1500
        assert each["publish_date"]


def test_responses_repeat_but_for_their_counters(http: httpx.Client, sandbox: Sandbox) -> None:
    first = http.post("/v1/search", json={"search_queries": ["yield"]}).content
    sandbox.reset()
    assert http.post("/v1/search", json={"search_queries": ["yield"]}).content == first


def test_a_session_is_echoed(http: httpx.Client) -> None:
    assert ask(http, session_id="mine")["session_id"] == "mine"


def test_limits_of_results_and_characters(http: httpx.Client) -> None:
    def lengths(**body: Any) -> list[int]:
        return [sum(map(len, each["excerpts"])) for each in ask(http, **body)["results"]]

    assert len(lengths(advanced_settings={"max_results": 3})) == 3
    small = lengths(advanced_settings={"excerpt_settings": {"max_chars_per_result": 5}})
    assert max(small) > 500, "less than 1000 is raised to 1000"
    assert max(small) <= 1000
    wide = lengths(advanced_settings={"excerpt_settings": {"max_chars_per_result": 5000}})
    assert max(small) < max(wide) <= 5000
    assert 0 < sum(lengths(max_chars_total=2000)) <= 2000
    assert sum(lengths(max_chars_total=0)) == 0


def test_more_results_cost_more(http: httpx.Client, sandbox: Sandbox) -> None:
    payload = ask(http, advanced_settings={"max_results": 40})
    extra = len(payload["results"]) - 10

    assert extra > 20
    assert payload["usage"][1] == {"name": "sku_search_additional_results", "count": extra}
    assert sandbox.ledger.usd == pytest.approx(0.005 + 0.001 * extra)


def test_source_policy(http: httpx.Client) -> None:
    def found(**policy: Any) -> list[str]:
        payload = ask(http, advanced_settings={"source_policy": policy, "max_results": 40})
        return [result["url"] for result in payload["results"]]

    everything = found()
    assert found(include_domains=["python.org"]) == everything
    assert found(exclude_domains=["python.org"]) == []
    assert found(include_domains=[".gov"]) == []
    library = found(include_domains=["docs.python.org/3/library"])
    assert library
    assert all("/3/library/" in url for url in library)
    assert found(after_date="2999-01-01") == []
    assert found(include_domains=["python.org"], exclude_domains=["python.org"]) == everything


def test_warnings(http: httpx.Client) -> None:
    def said(**settings: Any) -> str:
        warnings = ask(http, advanced_settings=settings)["warnings"] or []
        return " ".join(warning["message"] for warning in warnings)

    assert said(location="de") == ""
    assert "'uk' is not supported" in said(location="uk")
    assert "'Germany' is not supported" in said(location="Germany")
    assert "without 'www.'" in said(source_policy={"include_domains": ["www.python.org"]})
    both = {"include_domains": ["a.com"], "exclude_domains": ["b.com"]}
    assert "exclude_domains was ignored" in said(source_policy=both)


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({}, "search_queries"),
        ({"search_queries": []}, "search_queries"),
        ({"search_queries": ["a"] * 6}, "search_queries"),
        ({"search_queries": ["a" * 201]}, "search_queries.0"),
        ({"search_queries": [" "]}, "search_queries.0"),
        ({"search_queries": "with"}, "search_queries"),
        ({"objective": "o" * 5001}, "objective"),
        ({"session_id": "s" * 1001}, "session_id"),
        ({"mode": "one-shot"}, "mode"),
        ({"max_results": 5}, "max_results"),
        ({"max_chars_total": "5"}, "max_chars_total"),
        ({"advanced_settings": {"max_results": 0}}, "max_results"),
        ({"advanced_settings": {"max_results": 41}}, "max_results"),
        ({"advanced_settings": {"surprise": 1}}, "surprise"),
        ({"advanced_settings": {"excerpt_settings": {"max_chars_total": 1}}}, "max_chars_total"),
        ({"advanced_settings": {"fetch_policy": {"max_age_seconds": 599}}}, "max_age_seconds"),
        ({"advanced_settings": {"source_policy": {"after_date": "2024-1-1"}}}, "after_date"),
        ({"advanced_settings": {"source_policy": {"after_date": "2024-02-30"}}}, "after_date"),
        (
            {"advanced_settings": {"source_policy": {"include_domains": ["https://a.com"]}}},
            "include_domains",
        ),
        (
            {
                "advanced_settings": {
                    "source_policy": {
                        "include_domains": ["a.com"] * 101,
                        "exclude_domains": ["b.com"] * 100,
                    }
                }
            },
            "source_policy",
        ),
    ],
)
def test_v1_is_strict(
    http: httpx.Client, sandbox: Sandbox, body: dict[str, Any], where: str
) -> None:
    if body and "search_queries" not in body:
        body = {"search_queries": ["with"], **body}
    response = http.post("/v1/search", json=body)

    assert response.status_code == 422
    payload = response.json()
    assert payload["type"] == "error"
    assert set(payload["error"]) == {"ref_id", "message", "detail"}
    assert payload["error"]["message"] == "Request validation error."
    [problem, *_] = payload["error"]["detail"]["errors"]
    assert set(problem) == {"type", "loc", "msg", "input"}
    assert where in ".".join(map(str, problem["loc"]))
    assert sandbox.ledger.count() == 0


@pytest.mark.parametrize("content", [b"", b"{bad", b"[]", b'"text"'])
def test_a_body_that_is_no_object_is_refused(http: httpx.Client, content: bytes) -> None:
    response = http.post("/v1/search", content=content)

    assert response.status_code == 422
    assert response.json()["type"] == "error"


@pytest.mark.parametrize("mode", ["basic", "advanced", "turbo", "fast", None])
def test_v1_modes(http: httpx.Client, sandbox: Sandbox, mode: str | None) -> None:
    ask(http, mode=mode)
    assert sandbox.ledger.usd == (0.001 if mode in ("turbo", "fast") else 0.005)


QUICKSTART = {"parallel-beta": "other, search-extract-2025-10-10"}


def test_the_quickstart_shape_is_there_on_request() -> None:
    headers = {"x-api-key": "sandbox-key", **QUICKSTART}
    body = {"objective": "What does the with statement do?", "unknown": "is ignored"}
    with Sandbox(quickstart=True) as sandbox:
        payload = httpx.post(sandbox.url + "/v1beta/search", json=body, headers=headers).json()
        without = ask_older(sandbox, body)

    assert payload["objective"] == "What does the with statement do?"
    assert payload["search_queries"] is None
    assert [result["rank"] for result in payload["results"]] == list(range(1, 11))
    for result in payload["results"]:
        page = sandbox.corpus.get(result["url"])
        assert page is not None
        assert result["metadata"] == {"site_name": "docs.python.org", "language": "en"}
        assert result["published_at"] is None or result["published_at"].endswith("T00:00:00Z")
        for excerpt in result["excerpts"]:
            assert excerpt["text"] == page.text[excerpt["start_char"] : excerpt["end_char"]]
            assert excerpt["source"] == "body"
    assert set(without) == {"search_id", "results", "usage"}


def ask_older(sandbox: Sandbox, body: dict[str, Any], **headers: str) -> dict[str, Any]:
    headers = {"x-api-key": sandbox.api_key, **headers}
    payload: dict[str, Any] = httpx.post(
        sandbox.url + "/v1beta/search", json=body, headers=headers
    ).json()
    return payload


def test_v1beta_with_its_header_responds_as_it_was_seen(sandbox: Sandbox) -> None:
    payload = ask_older(sandbox, {"objective": "generators", "max_results": 12}, **QUICKSTART)

    assert set(payload) == {"search_id", "results", "usage"}
    assert payload["usage"] == [
        {"name": "sku_search", "count": 1},
        {"name": "sku_extract_excerpts", "count": 2},
    ]
    keys = {frozenset(each) for each in payload["results"]}
    undated = frozenset({"url", "title", "excerpts"})
    assert keys == {undated, undated | {"publish_date"}}
    warned = ask_older(sandbox, {"objective": "generators", "location": "uk"}, **QUICKSTART)
    assert "'uk'" in warned["warnings"][0]["message"]


@pytest.mark.parametrize(
    "body",
    [
        {"objective": "yield", "mode": "one-shot"},
        {"search_queries": ["yield"], "mode": "agentic"},
        {"objective": "yield", "search_queries": [], "processor": "pro"},
        {"search_queries": ["yield"], "max_results": 2, "source_policy": {}, "location": "us"},
        {"objective": "yield", "excerpts": {"max_chars_per_result": 1000, "max_chars_total": 900}},
        {"objective": "yield", "max_chars_per_result": 1200},
    ],
)
def test_v1beta_without_header_has_the_documented_shape(
    http: httpx.Client, body: dict[str, Any]
) -> None:
    payload = http.post("/v1beta/search", json=body).json()

    assert set(payload) == {"search_id", "results", "usage"}
    assert len(payload["results"]) == min(10, body.get("max_results", 10))
    assert all(isinstance(text, str) for each in payload["results"] for text in each["excerpts"])
    total = sum(len(text) for each in payload["results"] for text in each["excerpts"])
    assert total <= body.get("excerpts", {}).get("max_chars_total", 80_000)


@pytest.mark.parametrize("body", [{}, {"objective": " "}, {"search_queries": []}])
def test_v1beta_refuses_what_asks_nothing(http: httpx.Client, body: dict[str, Any]) -> None:
    response = http.post("/v1beta/search", json=body)

    assert response.status_code == 422
    error = response.json()["error"]
    assert error["message"] == (
        "Either 'objective' or 'search_queries' must be provided and non-empty"
    )
    assert error["detail"] is None


def test_v1beta_refuses_a_mode_of_v1(http: httpx.Client) -> None:
    response = http.post("/v1beta/search", json={"objective": "x", "mode": "basic"})

    [problem] = response.json()["error"]["detail"]["errors"]
    assert (problem["loc"], problem["input"]) == (["body", "mode"], "basic")


def test_an_index_that_goes_closes_its_database() -> None:
    index = Index(Corpus([Page("https://kiwi.example/", "Kiwis", "A kiwi is a bird.")]))
    database = index._database
    del index
    gc.collect()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        database.execute("SELECT 1")
