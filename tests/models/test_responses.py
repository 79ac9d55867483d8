"""Responses are read tolerantly, and what cannot be read is an error that says what came."""

import gzip
import json
import pickle
from collections.abc import Coroutine
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from parallel_integrations import (
    ChatResponse,
    ExtractRequest,
    ExtractResponse,
    ParallelClient,
    SearchResponse,
    errors,
)
from parallel_integrations._protocol.response_reading import read_response
from parallel_integrations.api import chat, extract, search
from parallel_integrations.models import Citation, Excerpt, FieldBasis, TaskRunResult
from parallel_integrations.models.tolerant_reading import read_as
from parallel_integrations.sandbox import Sandbox
from tests.support.raw_server import RawServer, Talk
from tests.support.requests import CHAT, SEARCH


async def outcome(given: Any) -> Any:
    """What `run` gave, or what `arun` gives."""
    return await given if isinstance(given, Coroutine) else given


def found(**page: Any) -> Any:
    """The one page of a search's response."""
    page = {"url": "https://a.example", **page}
    return SearchResponse.model_validate_json(json.dumps({"results": [page]})).results[0]


@pytest.mark.parametrize(
    "known", [{"start_char": 3, "end_char": 4}, {"source": "body"}, {"start_char": 0}, {}]
)
def test_what_an_excerpt_knows_besides_its_text_is_kept_by_pages_and_citations(
    known: dict[str, Any],
) -> None:
    """Of the older search, whose excerpts have offsets; a citation of it may be made of them."""
    page = found(excerpts=[{"text": "a", **known}])
    made = Citation(url=page.url, excerpts=[page.excerpts[0], {"text": "b"}, "c"])
    wire = {"url": page.url, "excerpts": [{"text": "a", **known}, {"text": "b"}, "c"]}
    basis = read_as(FieldBasis, json.dumps({"citations": [wire]}))
    for citation in (made, basis.citations[0]):
        again = Citation.model_validate_json(citation.model_dump_json())
        for each in (citation, again):
            assert each.excerpts == ["a", "b", "c"]
            assert known.items() <= vars(each.excerpts[0]).items() or not known
            assert not any(map(vars, each.excerpts[1:]))
    dumped = made.model_dump(mode="json")["excerpts"]
    assert [type(each) for each in dumped] == [dict if known else str, str, str]


def test_null_for_a_text_or_a_number_is_no_fault() -> None:
    page = {"url": "https://a.example", "excerpts": ["a"]}
    usage = [{"name": None, "count": None}]
    response = read_as(SearchResponse, json.dumps({"results": [page], "usage": usage}))
    assert response.usage[0].count == 0
    assert response.is_readable
    basis = [{"field": None, "reasoning": None, "citations": None, "confidence": None}]
    answer = {"output": {"content": "a", "basis": basis}}
    result = read_as(TaskRunResult, json.dumps(answer))
    assert result.output.basis[0].reasoning == ""
    assert result.is_readable


@pytest.mark.parametrize("name", ["publish_date", "published_at", "published_date"])
@pytest.mark.parametrize("date", ["2024-01-31", "2024-01-31T10:00:00Z", None])
def test_a_date_is_read_under_each_of_its_names(name: str, date: str | None) -> None:
    assert found(**{name: date}).publish_date == date


@pytest.mark.parametrize(
    ("excerpts", "texts"),
    [
        (["a", "b"], ["a", "b"]),
        ([{"text": "a"}, {"content": "b", "start_char": 3}], ["a", "b"]),
        (["a", {"text": "b"}], ["a", "b"]),
        ("a", ["a"]),
        ({"text": "a"}, ["a"]),
        (None, []),
        ([], []),
        ([None, "", "a"], ["a"]),
    ],
)
def test_excerpts_are_read_in_each_of_their_forms(excerpts: Any, texts: list[str]) -> None:
    assert found(excerpts=excerpts).excerpts == texts
    assert found().excerpts == []


def test_an_excerpt_keeps_its_offsets() -> None:
    wire = {"text": "a", "source": "body", "start_char": 3, "end_char": 4}
    page = found(excerpts=[wire, "b"])
    with_offsets, without = page.excerpts
    assert (with_offsets.start_char, with_offsets.end_char, with_offsets.source) == (3, 4, "body")
    assert (without.start_char, without.end_char, without.source) == (None, None, None)
    assert page.model_dump(mode="json")["excerpts"] == [wire, "b"]
    kept = pickle.loads(pickle.dumps(with_offsets))
    assert isinstance(kept, Excerpt)
    assert (kept, kept.start_char, kept.end_char) == ("a", 3, 4)
    again = SearchResponse.model_validate({"results": [page.model_dump()]}).results[0]
    assert again.excerpts[0].start_char == 3


def test_nothing_but_the_pages_is_needed() -> None:
    response = SearchResponse.model_validate_json('{"results": []}')
    assert (response.results, response.search_id, response.session_id) == ([], None, None)
    assert (response.warnings, response.usage) == ([], [])
    nulls = '{"results": null, "errors": null, "warnings": null, "usage": null, "extract_id": null}'
    extracted = ExtractResponse.model_validate_json(nulls)
    assert (extracted.results, extracted.errors) == ([], [])
    assert (extracted.warnings, extracted.usage) == ([], [])


@pytest.mark.parametrize(
    "usage", [[{"name": "sku_search", "count": 2}], {"sku_search": 2}], ids=["list", "object"]
)
def test_usage_is_read_as_list_and_as_object(usage: Any) -> None:
    response = SearchResponse.model_validate_json(json.dumps({"results": [], "usage": usage}))
    assert [(item.name, item.count) for item in response.usage] == [("sku_search", 2)]


def test_what_the_older_quickstart_repeats_is_read() -> None:
    page = {"url": "https://a.example", "rank": 1, "metadata": {"language": "en"}}
    body = {"objective": "a", "search_queries": ["b"], "results": [page]}
    response = SearchResponse.model_validate_json(json.dumps(body))
    assert (response.objective, response.search_queries) == ("a", ["b"])
    assert (response.results[0].rank, response.results[0].metadata) == (1, {"language": "en"})
    page |= {"rank": "first", "metadata": "en"}
    body |= {"objective": 5, "search_queries": "b"}
    response = read_as(SearchResponse, json.dumps(body))
    assert (response.objective, response.results[0].rank) == (None, None)
    assert response.results[0].url == "https://a.example"


def test_what_is_unknown_is_kept_aside() -> None:
    body = {
        "results": [{"url": "https://a.example", "score": 7, "site": {"language": "en"}}],
        "warnings": [{"type": "not_invented_yet", "message": "m", "since": 1}],
        "not_invented_yet": {"a": [1]},
    }
    response = SearchResponse.model_validate_json(json.dumps(body))
    assert response.model_extra == {"not_invented_yet": {"a": [1]}}
    assert response.results[0].model_extra == {"score": 7, "site": {"language": "en"}}
    assert response.warnings[0].type == "not_invented_yet"


@pytest.mark.parametrize(
    ("body", "text", "finish"),
    [
        ({"choices": [{"message": {"role": "assistant", "content": "Yes."}}]}, "Yes.", None),
        ({"choices": [{"delta": {"content": "Y"}, "finish_reason": "stop"}]}, "Y", "stop"),
        ({"choices": [{"message": {"content": None}}]}, "", None),
        ({"choices": [{"message": None}]}, "", None),
        ({"choices": [{}]}, "", None),
        ({"choices": []}, "", None),
        ({"choices": None, "basis": None, "usage": None}, "", None),
        ({}, "", None),
        ({"id": "", "object": "", "model": "", "created": 1.5, "usage": {"a": 1}}, "", None),
    ],
)
def test_a_chat_response_is_read_however_empty_it_is(
    body: dict[str, Any], text: str, finish: str | None
) -> None:
    response = ChatResponse.model_validate_json(json.dumps(body))
    assert (response.text, response.finish_reason) == (text, finish)


@pytest.mark.parametrize(
    ("confidence", "read"),
    [("high", "high"), ("HIGH", "high"), ("", None), (None, None), ("certain", "certain")],
)
def test_a_confidence_is_read_in_lower_case(confidence: str | None, read: str | None) -> None:
    basis = [{"field": "output", "reasoning": "r", "citations": None, "confidence": confidence}]
    response = ChatResponse.model_validate_json(json.dumps({"basis": basis}))
    assert response.basis[0].confidence == read
    assert response.basis[0].citations == []


def test_a_failed_page_says_what_happened() -> None:
    error = {"url": "https://a.example", "error_type": "fetch_error", "http_status_code": 404}
    response = ExtractResponse.model_validate({"results": [], "errors": [error]})
    assert str(response.errors[0]) == "https://a.example: fetch_error (HTTP 404)"


PAGE = {
    "url": "https://a.example",
    "title": "t",
    "publish_date": "2024-01-31",
    "excerpts": [{"text": "a", "start_char": 1, "end_char": 2, "source": "s"}, "b"],
    "full_content": "f",
}
COMMON = {
    "session_id": "s",
    "warnings": [{"type": "warning", "message": "m", "detail": {"a": 1}}],
    "usage": [{"name": "sku_search", "count": 1}],
}
CITATION = {"url": "https://a.example", "title": "t", "excerpts": ["e"]}
WHOLE: dict[type[BaseModel], dict[str, Any]] = {
    SearchResponse: {"search_id": "s", "results": [PAGE], **COMMON},
    ExtractResponse: {
        "extract_id": "e",
        "results": [PAGE],
        "errors": [{"url": "u", "error_type": "e", "http_status_code": 404, "content": "c"}],
        **COMMON,
    },
    ChatResponse: {
        "id": "i",
        "object": "chat.completion",
        "model": "m",
        "created": 1,
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "c"}, "finish_reason": "stop"}
        ],
        "basis": [{"field": "f", "reasoning": "r", "citations": [CITATION], "confidence": "high"}],
        "usage": {"total_tokens": 1},
        "interaction_id": "i",
    },
}
ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2)
    ),
    max_leaves=5,
)


def spoil(value: Any, draw: Any, odd: st.SearchStrategy[Any]) -> Any:
    """`value` with parts left out, replaced and added, at any depth."""
    if isinstance(value, dict):
        kept = {
            name: spoil(inner, draw, odd)
            for name, inner in value.items()
            if draw(st.integers(0, 9), label=f"keep {name}")
        }
        if not draw(st.integers(0, 5), label="add a key"):
            kept["not_invented_yet"] = draw(ODD)
        value = kept
    elif isinstance(value, list):
        value = [spoil(inner, draw, odd) for inner in value]
    return value if draw(st.integers(0, 7), label="keep") else draw(odd)


@given(st.data(), st.sampled_from(list(WHOLE)))
def test_no_spoilt_response_is_anything_but_read_or_unexpected(
    data: st.DataObject, model: type[BaseModel]
) -> None:
    content = json.dumps(spoil(WHOLE[model], data.draw, ODD)).encode()
    try:
        response = read_response(httpx.Response(200, content=content), model)
    except errors.UnexpectedAnswerError:
        return
    assert isinstance(response, model)
    response.model_dump_json()


@given(st.data(), st.sampled_from(list(WHOLE)))
def test_a_null_or_an_absence_is_never_an_error(
    data: st.DataObject, model: type[BaseModel]
) -> None:
    """Except for a page's url and the list of results, which a response is nothing without."""

    def thin(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                name: inner if name == "url" else thin(inner)
                for name, inner in value.items()
                if name in ("url", "results") or data.draw(st.booleans(), label=name)
            }
        if isinstance(value, list):
            return [thin(inner) for inner in value]
        return value if data.draw(st.booleans(), label="keep") else None

    body = {name: thin(value) for name, value in WHOLE[model].items()}
    assert isinstance(read_response(httpx.Response(200, json=body), model), model)


@given(st.binary(max_size=300), st.sampled_from(list(WHOLE)))
def test_no_bytes_are_anything_but_read_or_unexpected(
    content: bytes, model: type[BaseModel]
) -> None:
    with pytest.raises(errors.UnexpectedAnswerError):
        read_response(httpx.Response(200, content=content), model)


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ("<html>" + "please log in " * 100 + "</html>", "text/html"),
        ("", "application/json"),
        ('{"results": [{"url": "https://a.exam', "application/json"),
        ("null", "application/json"),
        ("[]", "application/json"),
        ('"results"', "application/json"),
        ('{"results": {}}', "application/json"),
        ('{"results": [{"title": "no url"}]}', "application/json"),
        ('{"results": [{"url": 7}]}', "application/json"),
        ('{"results": [' + "[" * 5000, "application/json"),
        ("{}", "application/json"),
        ("caf\xe9", "text/plain; charset=latin-1"),
    ],
)
def test_a_response_that_cannot_be_read_says_what_came(
    sandbox: Sandbox, client: ParallelClient, body: str, content_type: str
) -> None:
    sandbox.faults.add(path="/v1/search", status=200, body=body, content_type=content_type)
    with pytest.raises(errors.UnexpectedAnswerError) as caught:
        client.run(search(SEARCH))
    error = caught.value
    assert (error.status, error.content_type) == (200, content_type)
    assert error.body == body[:200]
    assert len(error.body) <= 200
    assert "200" in str(error)
    assert content_type in str(error)
    assert "POST /v1/search" in str(error)
    assert len(str(error)) < 600
    assert len(sandbox.requests) == 1, "the response was paid for: a repetition pays again"


async def test_an_unreadable_response_is_the_same_error_awaiting(
    sandbox: Sandbox, client: ParallelClient
) -> None:
    sandbox.faults.add(times=None, status=200, body="<html>", content_type="text/html")
    for flow in (search(SEARCH), extract(ExtractRequest(urls=["https://a.example"])), chat(CHAT)):
        with pytest.raises(errors.UnexpectedAnswerError, match="text/html"):
            await client.arun(flow)


async def test_garbage_that_calls_itself_gzip_is_unexpected(client: ParallelClient) -> None:
    def play(talk: Talk, _: bytes) -> None:
        talk.respond(b"this is not gzip", headers=("content-encoding: gzip",))

    with RawServer(play) as server, ParallelClient(api_key="k-e-y", base_url=server.url) as own:
        for call in (own.run, own.arun):
            with pytest.raises(errors.UnexpectedAnswerError) as caught:
                await outcome(call(search(SEARCH)))
            assert caught.value.status == 200
            assert caught.value.content_type == "application/json"
        await own.aclose()
        assert len(server.requests) == 2


def test_bytes_that_are_no_http_are_a_failed_connection() -> None:
    def play(talk: Talk, _: bytes) -> None:
        talk.send(b"SSH-2.0-OpenSSH_9.6\r\n")
        talk.finish()

    with (
        RawServer(play) as server,
        ParallelClient(api_key="k-e-y", base_url=server.url, max_retries=0) as client,
        pytest.raises(errors.ConnectionFailedError),
    ):
        client.run(search(SEARCH))


def test_a_compressed_response_is_read(client: ParallelClient) -> None:
    body = gzip.compress(b'{"results": [{"url": "https://a.example"}]}')
    with (
        RawServer(
            lambda talk, _: talk.respond(body, headers=("content-encoding: gzip",))
        ) as server,
        ParallelClient(api_key="k-e-y", base_url=server.url) as own,
    ):
        assert own.run(search(SEARCH)).results[0].url == "https://a.example"
