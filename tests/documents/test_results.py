"""Results in the shape that agents written for other search tools expect."""

import json
from typing import Any

import pytest

from parallel_integrations import (
    ArgumentTypeError,
    ExtractResponse,
    InvalidArgumentError,
    ParallelClient,
    SearchResponse,
    ServerError,
    as_results,
    search_results,
)
from parallel_integrations.sandbox import Sandbox

KEYS = ["title", "url", "content", "raw_content", "score", "published_at"]
FOUND = [
    {"url": "https://a.example/x", "title": None, "excerpts": ["one", "two"]},
    {"url": "https://b.example/", "title": "B", "publish_date": "2024-05-01", "excerpts": ["b"]},
    {"url": "https://a.example/x#part", "title": " ", "excerpts": ["two", "three"]},
    {"url": "https://empty.example/", "excerpts": []},
    {"url": "about:blank", "excerpts": ["c"]},
]


def test_pages_in_the_shape_of_other_search_tools() -> None:
    found = as_results(SearchResponse.model_validate({"results": FOUND}))
    assert found == {
        "results": [
            {
                "title": "a.example/x",
                "url": "https://a.example/x",
                "content": "one\n\ntwo\n\nthree",
                "raw_content": None,
                "score": 1.0,
                "published_at": None,
            },
            {
                "title": "B",
                "url": "https://b.example/",
                "content": "b",
                "raw_content": None,
                "score": 0.5,
                "published_at": "2024-05-01",
            },
            {
                "title": "blank",
                "url": "about:blank",
                "content": "c",
                "raw_content": None,
                "score": 1 / 3,
                "published_at": None,
            },
        ]
    }
    assert [list(each) for each in found["results"]] == [KEYS] * 3
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize("wrong", [None, 5, "text", {"results": FOUND}, FOUND])
def test_what_are_no_results_is_refused(wrong: Any) -> None:
    with pytest.raises(ArgumentTypeError, match=f"not {type(wrong).__name__}"):
        as_results(wrong)


def test_whole_pages_are_the_raw_content() -> None:
    pages = [
        {"url": "https://a.example/", "title": "A", "excerpts": ["e"], "full_content": "whole"},
        {"url": "https://b.example/", "title": "B", "full_content": "only whole"},
    ]
    a, b = as_results(ExtractResponse.model_validate({"results": pages}))["results"]
    assert (a["content"], a["raw_content"]) == ("e", "whole")
    assert (b["content"], b["raw_content"]) == ("only whole", "only whole")


def test_a_budget_bounds_all_texts_together() -> None:
    pages = [{"url": f"https://a.example/{n}", "excerpts": ["x" * 1000]} for n in range(5)]
    results = as_results(SearchResponse.model_validate({"results": pages}), 600)["results"]
    assert sum(len(each["content"]) for each in results) <= 600
    assert all(each["content"].endswith("1000 characters in all]") for each in results)
    few = as_results(SearchResponse.model_validate({"results": pages}), 20)["results"]
    assert [each["content"] for each in few] == ["xxxx"] * 5


async def test_a_drop_in_search_blocking_and_awaiting(
    sandbox: Sandbox, client: ParallelClient
) -> None:
    question = "How does the with statement handle exceptions?"
    found = await client.arun(search_results(question, max_results=3))
    assert found["query"] == question
    assert [list(each) for each in found["results"]] == [KEYS] * 3
    assert all(isinstance(each["title"], str) and each["title"] for each in found["results"])
    assert [request.path for request in sandbox.requests] == ["/v1/search"]

    read = await client.arun(search_results(question, max_results=3, include_raw_content=True))
    assert read["failed_results"] == []
    assert [each["content"] for each in read["results"]] == [
        each["content"] for each in found["results"]
    ]
    assert all(len(each["raw_content"]) > len(each["content"]) for each in read["results"])


def test_what_cannot_be_read_whole_is_named_and_costs_no_result(
    sandbox: Sandbox, client: ParallelClient
) -> None:
    def results(**fields: Any) -> dict[str, Any]:
        sandbox.faults.add(path="/v1/search", body={"search_id": "s", "results": FOUND})
        return client.run(search_results("q", include_raw_content=True, **fields))

    read = {
        "extract_id": "e",
        "results": [
            {"url": "HTTPS://A.example/x", "excerpts": ["not wanted"], "full_content": "whole a"},
            {"url": "https://other.example/", "full_content": "nobody requested it"},
        ],
        "errors": [{"url": "https://b.example/", "error_type": "fetch_error"}],
    }
    sandbox.faults.add(path="/v1/extract", body=read)
    found = results(session_id="job-1")
    assert [each["raw_content"] for each in found["results"]] == ["whole a", None, None]
    assert found["results"][0]["content"] == "one\n\ntwo\n\nthree"
    assert found["failed_results"] == [
        {"url": "https://b.example/", "error": "https://b.example/: fetch_error"},
        {"url": "about:blank", "error": "No text of the page came back."},
    ]
    assert sandbox.requests[-1].body["urls"] == ["https://a.example/x", "https://b.example/"]
    assert sandbox.requests[-1].body["session_id"] == "job-1"

    sandbox.faults.add(path="/v1/extract", status=500, times=9)
    found = results()
    assert [each["raw_content"] for each in found["results"]] == [None, None, None]
    assert "500" in found["failed_results"][0]["error"]


def test_a_search_that_fails_is_an_error(sandbox: Sandbox, client: ParallelClient) -> None:
    sandbox.faults.add(path="/v1/search", status=500, times=9)
    with pytest.raises(ServerError):
        client.run(search_results("q"))
    with pytest.raises(InvalidArgumentError, match="max_results"):
        search_results("q", max_results=41)
    sandbox.reset()
    estimate = client.estimate(search_results("q", max_results=5, include_raw_content=True))
    assert estimate.counts == {"search": 1, "extract": 5}
