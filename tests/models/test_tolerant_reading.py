"""What was paid for is read item by item: what is malformed costs itself alone, and is named."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parallel_integrations import (
    ExtractResponse,
    ParallelClient,
    SearchRequest,
    SearchResponse,
    UnexpectedAnswerError,
    api,
)
from parallel_integrations.models import (
    EntitySearchResponse,
    MonitorEventPage,
    MonitorPage,
    RespondResponse,
    ResponseModel,
    RetrieveMemoryResponse,
    TaskGroup,
    TaskRunResult,
    TaskRunStateEvent,
)
from parallel_integrations.models.page_facts import published_at
from parallel_integrations.sandbox import Sandbox
from tests.models.test_responses_property import JSON, NEEDED, RESPONSES, places, read
from tests.support.raw_server import RawServer

URL = "https://a.example/"
GOOD = {"url": URL, "title": "t", "publish_date": "2026-05-02", "excerpts": ["e"]}
SEARCH = SearchRequest(search_queries=["with"])
ALL = pytest.mark.parametrize("cls", RESPONSES, ids=lambda cls: cls.__name__)


def at(node: Any, place: tuple[Any, ...]) -> Any:
    for step in place:
        node = node[step]
    return node


def replaced(cls: type[ResponseModel], place: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """The class's whole response with another value at one place."""
    body = copy.deepcopy(RESPONSES[cls])
    at(body, place[:-1])[place[-1]] = value
    return body


@ALL
@settings(max_examples=10)
@given(odd=JSON)
def test_any_json_beside_an_element_does_not_cost_it(cls: type[ResponseModel], odd: Any) -> None:
    for place in places(RESPONSES[cls]):
        good = at(RESPONSES[cls], place)
        if not (isinstance(good, list) and good):
            continue
        response = read(cls, replaced(cls, place, [odd, *good, odd]))
        kept = at(response.model_dump(mode="json", by_alias=False), place)
        whole = at(read(cls, RESPONSES[cls]).model_dump(mode="json"), place)
        assert any(each == whole[0] for each in kept), place
        if "excerpts" not in place:  # empty ones say nothing and are dropped
            named = [each for each in response.warnings if each.type == "unreadable"]
            assert len(kept) == len(good) + 2 or named, place


IDS = {"run_id", "findall_id", "taskgroup_id", "monitor_id"}


def is_vital(cls: type[ResponseModel], place: tuple[Any, ...]) -> bool:
    """Whether a response says nothing, or nothing certain, without what is at a place."""
    name = ".".join(step for step in place if isinstance(step, str))
    needed = {*NEEDED.get(cls, ()), *cls.main_lists, *cls.essential_fields, "run", "data", "type"}
    return place[-1] in IDS or (isinstance(place[-1], str) and name in needed)


@ALL
@settings(max_examples=10)
@given(odd=JSON)
def test_any_json_in_place_of_a_part_costs_that_part_alone(
    cls: type[ResponseModel], odd: Any
) -> None:
    two = json.loads(json.dumps(RESPONSES[cls]))  # a copy in which nothing is shared
    for name in cls.main_lists:
        two[name] += copy.deepcopy(two[name])
    whole = read(cls, two).model_dump(mode="json")
    for place in places(RESPONSES[cls])[1:]:
        if is_vital(cls, place):
            continue
        body = copy.deepcopy(two)
        at(body, place[:-1])[place[-1]] = odd
        found = read(cls, body).model_dump(mode="json")
        for name in whole.keys() - {place[0], "warnings"}:
            assert found[name] == whole[name], place
        if place[0] in cls.main_lists:
            assert found[place[0]][-1] == whole[place[0]][-1], place


TEXT = st.text(st.characters(exclude_categories=()), max_size=20)


def kept(text: str) -> str:
    """A text as a store takes it: what JSON makes of it, without what no store takes."""
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return whole.replace("\0", "\ufffd")


@given(url=TEXT, title=TEXT, excerpt=TEXT, full=TEXT, escaped=st.booleans())
def test_any_text_is_text_that_every_store_takes(
    url: str, title: str, excerpt: str, full: str, escaped: bool
) -> None:
    url = f"https://example.com/{url}#"  # a page has an address that is not blank
    page = {"url": url, "title": title, "excerpts": [excerpt], "full_content": full}
    written = json.dumps({"results": [page]}, ensure_ascii=escaped)
    # Not every server escapes what UTF-8 has no form for.
    body = written.encode("utf-8", "strict" if escaped else "replace")
    [found] = read(ExtractResponse, body).results
    for text in (found.url, found.title, *found.excerpts, found.full_content):
        assert "\0" not in text.encode().decode()
    if escaped:
        assert (found.url, found.title) == (kept(url), kept(title))
        assert found.excerpts == [kept(excerpt)] * bool(excerpt)


def test_a_page_without_an_address_is_left_out_and_blanks_around_one_are() -> None:
    """Two pages with a blank address would become one document."""
    pages = [{"url": url, "excerpts": ["Some text."]} for url in ("", " \n", f"\t{URL} ")]
    response = read(SearchResponse, {"results": pages})
    assert [page.url for page in response.results] == [URL]
    assert [each.message for each in response.warnings] == [
        "results[0] was left out: url is blank",
        "results[1] was left out: url is blank",
    ]


@pytest.mark.parametrize("text", ["\ud83d", "a\ud83d b", "\ude00\ud83d", "\0", "a\0b", "\ud83d\0"])
def test_a_report_with_half_a_character_is_read(text: str) -> None:
    """Also within JSON that came as a text."""
    inner = json.dumps({"a": text})
    for content, expected in ((text, kept(text)), ({"a": [text]}, {"a": [kept(text)]})):
        output = {"type": "json", "content": content, "basis": [{"field": text, "reasoning": text}]}
        found = read(TaskRunResult, {"run": {"run_id": "trun_1"}, "output": output})
        assert found.output.content == expected
        assert found.output.basis[0].reasoning == kept(text)
        assert not found.is_readable
    found = read(
        TaskRunResult,
        {"run": {"run_id": "trun_1"}, "output": {"type": "json", "content": inner}},
    )
    assert found.output.content == {"a": kept(text)}


@pytest.mark.parametrize(
    "body",
    [
        b'\xef\xbb\xbf{"results": [{"url": "https://a.example/"}]}',
        b'{"results": [{"url": "https://a.example/", "title": "two\nlines"}]}',
        b'{"results": [{"url": "https://a.example/", "title": "\xff"}]}',
    ],
    ids=["byte order mark", "line break", "no UTF-8"],
)
def test_json_that_a_strict_parser_refuses_is_read(body: bytes) -> None:
    assert read(SearchResponse, body).results[0].url == URL


def test_what_was_left_out_is_named_in_its_order() -> None:
    odd = [
        None,
        "text",
        {"title": "no url"},
        {"url": None},
        {**GOOD, "title": 5, "publish_date": {}, "excerpts": [7, "e", {"text": 1}]},
    ]
    response = read(SearchResponse, {"results": odd, "usage": [3], "session_id": []})
    excerpt = "it is wrong (neither a string nor an object with one under 'text')"
    assert [page.url for page in response.results] == [URL]
    assert response.results[0].excerpts == ["e"]
    assert [each.message for each in response.warnings] == [
        "results[0] was left out: it is null",
        "results[1] was left out: it is a string",
        "results[2] was left out: it has no url",
        "results[3] was left out: url is null",
        f"results[4].excerpts[0] was left out: {excerpt}",
        f"results[4].excerpts[2] was left out: {excerpt}",
        "results[4].publish_date was left out: it is wrong (no date)",
        "results[4].title was left out: it is a number",
        "session_id was left out: it is a list",
        "usage[0] was left out: it is a number",
    ]
    assert {each.type for each in response.warnings} == {"unreadable"}
    assert not response.is_readable
    assert not response.is_whole, "the cache does not keep it"


@pytest.mark.parametrize(
    ("count", "rest"), [(1000, "980 more parts were left out"), (21, "1 more part was left out")]
)
def test_many_malformed_items_name_twenty(count: int, rest: str) -> None:
    response = read(SearchResponse, {"results": [GOOD, *[None] * count]})
    assert len(response.results) == 1
    assert len(response.warnings) == 21
    assert response.warnings[-1].message == rest


@pytest.mark.parametrize(
    ("cls", "name"),
    [
        (SearchResponse, "results"),
        (EntitySearchResponse, "entities"),
        (EntitySearchResponse, "candidates"),
        (MonitorPage, "monitors"),
        (MonitorEventPage, "events"),
        (RetrieveMemoryResponse, "results"),
    ],
)
def test_a_list_of_nothing_but_malformed_items_is_an_error(
    cls: type[ResponseModel], name: str
) -> None:
    read(cls, {name: []})
    with pytest.raises(UnexpectedAnswerError, match=f"{name}.0"):
        read(cls, {name: [None, "text", 7]})


def test_a_listed_output_that_is_none_is_not_taken_for_none() -> None:
    """The whole event is unreadable, so that the output is fetched alone."""
    run = {"run_id": "trun_1", "status": "completed"}
    for output in ("text", 7, [], {}, {"type": 1}):
        with pytest.raises(UnexpectedAnswerError, match="output"):
            read(TaskRunStateEvent, {"run": run, "output": output})
    event = read(TaskRunStateEvent, {"run": {**run, "status": 7}, "output": {"content": "So."}})
    assert (event.run.status, event.output.content) == ("", "So.")


@pytest.mark.parametrize("odd", ["maybe", [], {}, 7])
def test_whether_a_group_is_at_work_is_never_guessed(odd: Any) -> None:
    for status in ({"is_active": odd, "num_task_runs": 1}, {"num_task_runs": odd or "x"}, odd):
        if status in ({}, {"num_task_runs": 7}):
            continue
        with pytest.raises(UnexpectedAnswerError):
            read(TaskGroup, {"taskgroup_id": "tgrp_1", "status": status})


DATES = [
    ({"publish_date": None, "published_at": "2026-05-01T10:00:00Z"}, "2026-05-01T10:00:00Z"),
    ({"publish_date": "", "published_date": "2026-05-01"}, "2026-05-01"),
    ({"publish_date": "soon", "published_at": "2026"}, "2026"),
    ({"publish_date": [], "published_at": "2026-05"}, "2026-05"),
    ({"publish_date": {"y": 2026}, "published_at": 2026}, "2026"),
    ({"publish_date": "2026-02"}, "2026-02"),
    ({"publish_date": 2026}, "2026"),
    ({"publish_date": 20260501}, "2026-05-01"),
    ({"publish_date": 1777629600}, "2026-05-01T10:00:00+00:00"),
    ({"publish_date": 1777629600000}, "2026-05-01T10:00:00+00:00"),
    ({"published_date": 2026}, "2026"),
    ({"publish_date": "2026-05-01", "published_at": "2020"}, "2026-05-01"),
    ({"publish_date": True}, None),
    ({"publish_date": 3.5}, None),
    ({"publish_date": 10**30}, None),
    ({"publish_date": 10**400}, None),
    ({"publish_date": -(10**400)}, None),
    ({"publish_date": ["2026"]}, None),
]


@pytest.mark.parametrize(("dates", "iso"), DATES, ids=lambda each: json.dumps(each))
def test_a_date_is_read_in_every_form(dates: dict[str, Any], iso: str | None) -> None:
    page = {"url": URL, "title": "t", **dates}
    [found] = read(SearchResponse, {"results": [page]}).results
    assert published_at(found.publish_date) == iso
    assert found.title == "t"


ERRORS = [
    {"error": {"message": "quota is used up", "ref_id": "r1"}},
    {"error": "quota is used up"},
    {"detail": "quota is used up"},
    {"results": [], "error": "quota is used up"},
]


@pytest.mark.parametrize("body", ERRORS, ids=json.dumps)
def test_an_error_with_status_200_is_an_error(
    sandbox: Sandbox, client: ParallelClient, body: dict[str, Any]
) -> None:
    sandbox.faults.add(body=body)
    with pytest.raises(UnexpectedAnswerError, match="quota is used up") as caught:
        client.run(api.search(SEARCH))
    assert caught.value.status == 200


@ALL
@pytest.mark.parametrize("body", [*ERRORS[:3], {}, None, [], "quota"], ids=json.dumps)
def test_no_response_is_made_of_an_error_or_of_nothing(cls: type[ResponseModel], body: Any) -> None:
    if cls is RespondResponse and body == ERRORS[0]:
        return  # has such a field, which the operation looks at
    with pytest.raises(UnexpectedAnswerError):
        read(cls, body)


def test_results_beside_an_error_are_kept_and_the_error_is_named() -> None:
    response = read(SearchResponse, {"results": [GOOD], "error": {"message": "one source failed"}})
    assert len(response.results) == 1
    assert "one source failed" in response.warnings[0].message


def test_an_order_that_reports_an_error_is_none() -> None:
    with (
        RawServer(lambda talk, _: talk.respond(b'{"error": "quota is used up"}')) as server,
        ParallelClient(api_key="k", base_url=server.url) as client,
        pytest.raises(UnexpectedAnswerError, match="quota is used up"),
    ):
        client.run(api.clear_memory())
