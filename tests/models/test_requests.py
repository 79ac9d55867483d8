"""Requests: what is refused before anything is sent, and the bytes of each generation."""

import json
import re
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from parallel_integrations import (
    ChatMessage,
    ChatRequest,
    CreateTaskGroupRequest,
    CreateTaskRunRequest,
    ExtractRequest,
    FetchPolicy,
    ParallelClient,
    ParallelError,
    SearchRequest,
    SourcePolicy,
)
from parallel_integrations.api import search
from parallel_integrations.errors import InvalidArgumentError
from parallel_integrations.sandbox import Sandbox
from tests.support.contract import Contract, Exchange

PAGE = "https://a.example/page"
TURN = {"role": "user", "content": "Why?"}
FETCH = {"max_age_seconds": 600, "timeout_seconds": 2.5, "disable_cache_fallback": True}


@pytest.mark.parametrize(
    ("model", "values", "field", "limit"),
    [
        (SearchRequest, {}, "", "give an objective"),
        (SearchRequest, {"objective": ""}, "objective", "at least 1"),
        (SearchRequest, {"objective": " \n\t"}, "objective", "at least 1"),
        (SearchRequest, {"objective": "\x1c\x1f"}, "objective", ""),
        (SearchRequest, {"objective": "x" * 5001}, "objective", "5000"),
        (SearchRequest, {"objective": 7}, "objective", "a text"),
        (SearchRequest, {"search_queries": []}, "search_queries", "at least 1"),
        (SearchRequest, {"search_queries": [" "]}, "search_queries.0", "at least 1"),
        (SearchRequest, {"search_queries": ["x"] * 6}, "search_queries", "5"),
        (SearchRequest, {"search_queries": ["ok", "x" * 201]}, "search_queries.1", "200"),
        (SearchRequest, {"objective": "q", "max_results": 0}, "max_results", "1"),
        (SearchRequest, {"objective": "q", "max_results": 41}, "max_results", "40"),
        (SearchRequest, {"objective": "q", "max_results": 10**5000}, "max_results", "40"),
        (SearchRequest, {"objective": "q", "mode": ""}, "mode", "at least 1"),
        (SearchRequest, {"objective": "q", "location": "USA"}, "location", "two letters"),
        (SearchRequest, {"objective": "q", "location": "u"}, "location", "two letters"),
        (SearchRequest, {"objective": "q", "max_chars_total": 0}, "max_chars_total", "1"),
        (
            SearchRequest,
            {"objective": "q", "max_chars_per_result": -1},
            "max_chars_per_result",
            "1",
        ),
        (SearchRequest, {"objective": "q", "session_id": "s" * 1001}, "session_id", "1000"),
        (SearchRequest, {"objective": "q", "session_id": ""}, "session_id", "at least 1"),
        (SearchRequest, {"objective": "q", "client_model": ""}, "client_model", "at least 1"),
        (SearchRequest, {"objective": "q", "max_result": 3}, "max_result", "no argument"),
        (CreateTaskRunRequest, {"input": "q", "metadata": {"a": {"b": 1}}}, "metadata.a", "a text"),
        (CreateTaskRunRequest, {"input": "q", "metadata": {1: 2}}, "metadata.[key]", "a text"),
        (ExtractRequest, {}, "urls", "missing"),
        (ExtractRequest, {"urls": []}, "urls", "at least 1"),
        (ExtractRequest, {"urls": [PAGE] * 21}, "urls", "20"),
        (ExtractRequest, {"urls": ["a.example"]}, "urls.0", "not a web address"),
        (ExtractRequest, {"urls": [PAGE, "ftp://a.example"]}, "urls.1", "not a web address"),
        (ExtractRequest, {"urls": ["https://a.example/\nHost: b"]}, "urls.0", "stands in no web"),
        (ExtractRequest, {"urls": ["https://"]}, "urls.0", "not a web address"),
        (ExtractRequest, {"urls": ["file:///etc/passwd"]}, "urls.0", "not a web address"),
        (ExtractRequest, {"urls": [PAGE], "objective": "x" * 5001}, "objective", "5000"),
        (ExtractRequest, {"urls": [PAGE], "search_queries": ["x"] * 6}, "search_queries", "5"),
        (ExtractRequest, {"urls": [PAGE], "max_chars_total": 0}, "max_chars_total", "1"),
        (
            ExtractRequest,
            {"urls": [PAGE], "full_content": {"max_chars_per_result": 0}},
            "full_content",
            "1",
        ),
        (ChatRequest, {}, "messages", "missing"),
        (ChatRequest, {"messages": []}, "messages", "at least 1"),
        (ChatRequest, {"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role", "user"),
        (ChatRequest, {"messages": [{"role": "user"}]}, "messages.0.content", "missing"),
        (ChatRequest, {"messages": [{"role": "user", "content": ["x"]}]}, "content", "a text"),
        (ChatRequest, {"messages": [TURN], "model": ""}, "model", "at least 1"),
        (ChatRequest, {"messages": [TURN], "temprature": 1}, "temprature", "no argument"),
        (
            ChatRequest,
            {"messages": [TURN], "previous_interaction_id": ""},
            "previous_interaction_id",
            "at least 1",
        ),
        (ChatMessage, {"role": "wizard", "content": "x"}, "role", "assistant"),
        (FetchPolicy, {"max_age_seconds": 599}, "max_age_seconds", "600"),
        (FetchPolicy, {"timeout_seconds": 0}, "timeout_seconds", "0"),
        (SourcePolicy, {"after_date": "yesterday"}, "after_date", "YYYY-MM-DD"),
        (SourcePolicy, {"after_date": 1700000000}, "after_date", "YYYY-MM-DD"),
        (SourcePolicy, {"after_date": "2024-02-30"}, "after_date", "YYYY-MM-DD"),
        (SourcePolicy, {"include_domains": ["ftp://a.example"]}, "include_domains.0", "not a"),
        (SourcePolicy, {"include_domains": ["a.example, b.example"]}, "include_domains.0", "item"),
        (SourcePolicy, {"include_domains": ["me@a.example"]}, "include_domains.0", "not a domain"),
        (SourcePolicy, {"include_domains": ["a.*.example"]}, "include_domains.0", "not a domain"),
        (SourcePolicy, {"exclude_domains": ["a.example:8080"]}, "exclude_domains.0", "port"),
        (SourcePolicy, {"exclude_domains": ["a.example/?q"]}, "exclude_domains.0", "query"),
        (SourcePolicy, {"exclude_domains": [" "]}, "exclude_domains.0", "not a domain"),
        (SourcePolicy, {"include_domains": ["a.example"] * 201}, "", "201 domains"),
        (
            SourcePolicy,
            {"include_domains": ["a.example"] * 101, "exclude_domains": ["b.example"] * 100},
            "",
            "at most 200",
        ),
        (SourcePolicy, {"domains": ["a.example"]}, "domains", "no argument"),
    ],
)
def test_what_cannot_be_right_is_refused_by_name(
    model: type[BaseModel], values: dict[str, Any], field: str, limit: str
) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        model(**values)
    assert isinstance(caught.value, ParallelError)
    assert isinstance(caught.value, ValueError)
    assert field in caught.value.field
    said = str(caught.value)
    assert limit in said
    assert not re.search(r"pydantic|Input should|\[type=|\n|Settings\b", said)


@pytest.mark.parametrize(
    ("model", "values"),
    [
        (SearchRequest, {"objective": "x" * 5000}),
        (SearchRequest, {"search_queries": ["x" * 200] * 5}),
        (SearchRequest, {"objective": "q", "max_results": 1}),
        (SearchRequest, {"objective": "q", "max_results": 40}),
        (SearchRequest, {"objective": "q", "session_id": "s" * 1000}),
        (SearchRequest, {"objective": "q", "mode": "not-invented-yet"}),
        (ExtractRequest, {"urls": [PAGE] * 20}),
        (ExtractRequest, {"urls": ["HTTPS://A.example/ä?b=c#d"]}),
        (ChatRequest, {"messages": [TURN], "model": "not-invented-yet"}),
        (FetchPolicy, {"max_age_seconds": 600}),
        (SourcePolicy, {"include_domains": ["a.example"] * 200}),
        (SourcePolicy, {"include_domains": [".gov", "docs.python.org/3"]}),
        (SourcePolicy, {"after_date": date(2024, 1, 1)}),
    ],
)
def test_the_limits_themselves_are_allowed(model: type[BaseModel], values: dict[str, Any]) -> None:
    model(**values)


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("www.example.com", "example.com"),
        ("https://example.com/", "example.com"),
        ("HTTP://WWW.Example.ORG", "example.org"),
        ("https://docs.python.org/3/Library/", "docs.python.org/3/Library"),
        ("*.gov", ".gov"),
        ("*.example.com", "example.com"),
        (".Gov", ".gov"),
        ("example.com.", "example.com"),
        ("www.com", "www.com"),
        (" localhost ", "localhost"),
    ],
)
def test_a_domain_may_be_written_as_people_do(written: str, sent: str) -> None:
    for policy in ({"include_domains": [written]}, {"exclude_domains": written}):
        request = SearchRequest(objective="q", source_policy=policy)
        expected = {name: [sent] for name in policy}
        assert request.body("v1")["advanced_settings"]["source_policy"] == expected


def test_text_that_is_no_json_is_refused_by_name() -> None:
    with pytest.raises(InvalidArgumentError, match="SearchRequest: Invalid JSON"):
        SearchRequest.model_validate_json("{objective")
    with pytest.raises(InvalidArgumentError, match="max_results=99 is too large"):
        SearchRequest.model_validate_json('{"objective": "q", "max_results": 99}')


def test_nothing_is_sent_for_a_refused_value(sandbox: Sandbox, client: ParallelClient) -> None:
    with pytest.raises(InvalidArgumentError):
        client.run(search(SearchRequest(objective="q", max_results=41)))
    assert not sandbox.requests


def test_a_single_string_is_a_list_of_one() -> None:
    """Language models often leave the brackets out."""
    assert SearchRequest(search_queries="asyncio").search_queries == ["asyncio"]
    assert ExtractRequest(urls=PAGE).urls == [PAGE]


def test_blanks_around_words_are_dropped() -> None:
    request = SearchRequest(objective=" why \n", search_queries=["  because "])
    assert (request.objective, request.search_queries) == ("why", ["because"])


def test_given_queries_are_kept_and_missing_ones_are_derived() -> None:
    given_both = SearchRequest(objective="Why is the sky blue?", search_queries=["sky colour"])
    assert given_both.search_queries == ["sky colour"]
    derived = SearchRequest(objective="Why is the sky blue at noon in winter?")
    assert derived.search_queries
    assert SearchRequest(search_queries=["sky colour"]).objective is None


@given(st.text(min_size=1, max_size=400))
def test_any_objective_that_is_accepted_can_be_searched(objective: str) -> None:
    """The wire refuses a search with no query, an empty one or one of more than 200 characters."""
    try:
        request = SearchRequest(objective=objective)
    except InvalidArgumentError:
        assert not objective.strip()
        return
    queries = request.search_queries
    assert queries is not None
    assert 1 <= len(queries) <= 3
    assert all(query.strip() == query and 0 < len(query) <= 200 for query in queries)
    assert SearchRequest(**request.model_dump(exclude_none=True)) == request


FULL_SEARCH = SearchRequest(
    objective="Why?",
    search_queries=["because"],
    mode="basic",
    max_results=5,
    location="us",
    max_chars_total=9000,
    max_chars_per_result=2000,
    session_id="s",
    client_model="some-model",
    source_policy=SourcePolicy(include_domains=["a.example"], after_date="2024-01-31"),
    fetch_policy=FetchPolicy(**FETCH),
)
POLICY = {"include_domains": ["a.example"], "after_date": "2024-01-31"}


def test_a_search_in_the_current_generation() -> None:
    assert FULL_SEARCH.body("v1") == {
        "objective": "Why?",
        "search_queries": ["because"],
        "mode": "basic",
        "max_chars_total": 9000,
        "session_id": "s",
        "client_model": "some-model",
        "advanced_settings": {
            "max_results": 5,
            "location": "us",
            "source_policy": POLICY,
            "fetch_policy": FETCH,
            "excerpt_settings": {"max_chars_per_result": 2000},
        },
    }


def test_a_search_in_the_beta_generation() -> None:
    assert FULL_SEARCH.body("v1beta") == {
        "objective": "Why?",
        "search_queries": ["because"],
        "mode": "one-shot",
        "max_results": 5,
        "location": "us",
        "session_id": "s",
        "client_model": "some-model",
        "excerpts": {"max_chars_per_result": 2000, "max_chars_total": 9000},
        "source_policy": POLICY,
        "fetch_policy": FETCH,
    }


def test_a_search_in_the_oldest_generation() -> None:
    body = FULL_SEARCH.body("v1beta-processor")
    assert body["processor"] == "base"
    assert "mode" not in body
    assert (body["max_results"], body["max_chars_per_result"]) == (5, 2000)
    assert body["source_policy"] == POLICY


def test_what_was_left_out_is_not_sent() -> None:
    request = SearchRequest(search_queries=["because"])
    assert request.body("v1") == {"search_queries": ["because"]}
    assert request.body("v1beta") == {"search_queries": ["because"]}
    assert SearchRequest(objective="Why?").body("v1beta") == {"objective": "Why?"}
    assert ExtractRequest(urls=[PAGE]).body("v1") == {"urls": [PAGE]}
    assert ChatRequest(messages=[TURN]).body("v1") == {"model": "speed", "messages": [TURN]}


@pytest.mark.parametrize(
    ("mode", "v1", "v1beta", "processor"),
    [
        ("basic", "basic", "one-shot", "base"),
        ("advanced", "advanced", "agentic", "pro"),
        ("turbo", "turbo", "fast", "base"),
        ("fast", "fast", "fast", "base"),
        ("one-shot", "basic", "one-shot", "base"),
        ("agentic", "advanced", "agentic", "pro"),
        ("not-invented-yet", "not-invented-yet", "not-invented-yet", "pro"),
        (None, None, None, "pro"),
    ],
)
def test_each_generation_has_its_word_for_a_mode(
    mode: str | None, v1: str | None, v1beta: str | None, processor: str
) -> None:
    request = SearchRequest(search_queries=["because"], mode=mode)
    assert request.body("v1").get("mode") == v1
    assert request.body("v1beta").get("mode") == v1beta
    assert request.body("v1beta-processor")["processor"] == processor


FULL_EXTRACT = ExtractRequest(
    urls=[PAGE],
    objective="Why?",
    search_queries=["because"],
    max_chars_total=9000,
    max_chars_per_result=2000,
    full_content={"max_chars_per_result": 50_000},
    session_id="s",
    client_model="some-model",
    fetch_policy=FetchPolicy(**FETCH),
)


def test_an_extract_in_the_current_generation() -> None:
    assert FULL_EXTRACT.body("v1") == {
        "urls": [PAGE],
        "objective": "Why?",
        "search_queries": ["because"],
        "max_chars_total": 9000,
        "session_id": "s",
        "client_model": "some-model",
        "advanced_settings": {
            "excerpt_settings": {"max_chars_per_result": 2000},
            "full_content": {"max_chars_per_result": 50_000},
            "fetch_policy": FETCH,
        },
    }


def test_an_extract_in_the_older_generations() -> None:
    for version in ("v1beta", "v1beta-processor"):
        assert FULL_EXTRACT.body(version) == {
            "urls": [PAGE],
            "objective": "Why?",
            "search_queries": ["because"],
            "session_id": "s",
            "client_model": "some-model",
            "excerpts": {"max_chars_per_result": 2000, "max_chars_total": 9000},
            "full_content": {"max_chars_per_result": 50_000},
            "fetch_policy": FETCH,
        }
        assert ExtractRequest(urls=[PAGE]).body(version) == {"urls": [PAGE]}


def test_a_chat_body_says_what_the_wire_knows() -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}}
    request = ChatRequest(
        messages=[ChatMessage(role="system", content="Be brief."), {**TURN, "name": "ada"}],
        model="core",
        response_format=schema,
        previous_interaction_id="trun_1",
        extra_body={"not_invented_yet": 1},
        stream=True,
    )
    assert request.body("v1") == {
        "model": "core",
        "messages": [{"role": "system", "content": "Be brief."}, {**TURN, "name": "ada"}],
        "response_format": schema,
        "previous_interaction_id": "trun_1",
        "not_invented_yet": 1,
        "stream": True,
    }


def test_a_body_is_made_again_each_time() -> None:
    """A repeated call, or one through a gateway, may not see what another one changed."""
    for request in (FULL_SEARCH, FULL_EXTRACT, ChatRequest(messages=[TURN], extra_body={"a": []})):
        before = json.dumps(request.body("v1"))
        request.body("v1").clear()
        assert json.dumps(request.body("v1")) == before


CHAT_PATH = "/v1beta/chat/completions"
CHAT_SCHEMA = {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}}


@pytest.mark.parametrize(
    ("path", "request_model"),
    [
        ("/v1/search", FULL_SEARCH),
        ("/v1/search", SearchRequest(objective="Why is the sky blue?")),
        ("/v1/search", SearchRequest(search_queries=["sky"], mode="agentic", max_results=40)),
        ("/v1/extract", FULL_EXTRACT),
        ("/v1/extract", ExtractRequest(urls=[PAGE])),
        ("/v1/extract", ExtractRequest(urls=[PAGE], full_content=True)),
        (CHAT_PATH, ChatRequest(messages=[TURN])),
        (CHAT_PATH, ChatRequest(messages=[TURN], model="core", stream=True)),
        (
            CHAT_PATH,
            ChatRequest(
                messages=[TURN], previous_interaction_id="trun_1", response_format=CHAT_SCHEMA
            ),
        ),
    ],
)
def test_bodies_keep_the_contract(
    path: str, request_model: SearchRequest | ExtractRequest | ChatRequest, contract: Contract
) -> None:
    body = json.dumps(request_model.body("v1")).encode()
    sent = Exchange("POST", path, (), body, 200, "application/json", b"")
    assert contract.check_request(sent) == []


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_what_json_has_no_number_for_is_refused(number: float) -> None:
    """Written as `NaN`, a body would be no JSON, and a whole group would be refused for it."""

    class Row(BaseModel):
        price: float

    for build in (
        lambda: CreateTaskRunRequest(input={"price": number}),
        lambda: CreateTaskRunRequest(input=Row(price=number)),
        lambda: CreateTaskRunRequest(input={"prices": [1.0, {"last": number}]}),
        lambda: CreateTaskRunRequest(input="q", metadata={"n": number}),
        lambda: CreateTaskRunRequest(input="q", output_schema={"type": "number", "enum": [number]}),
        lambda: CreateTaskGroupRequest(metadata={"n": number}),
        lambda: FetchPolicy(timeout_seconds=number),
        lambda: ChatRequest(
            messages=[{"role": "user", "content": "q"}], extra_body={"temperature": number}
        ),
    ):
        with pytest.raises(InvalidArgumentError, match=r"NaN|finite|greater than 0"):
            build()


def test_a_text_may_say_nan() -> None:
    assert CreateTaskRunRequest(input={"q": "Is NaN equal to Infinity?"}).input
