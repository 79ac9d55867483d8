"""What search does besides sending and reading."""

from typing import Any

import pytest

from parallel_integrations import InvalidRequestError, ParallelClient, SearchRequest
from parallel_integrations.api import search
from parallel_integrations.sandbox import Sandbox

REFUSED = {
    "type": "error",
    "error": {"ref_id": "search_1", "message": "mode: input should be 'basic' or 'advanced'"},
}


def fast() -> SearchRequest:
    return SearchRequest(search_queries=["with statement exceptions"], mode="fast")


def test_fast_becomes_basic_where_the_server_does_not_know_it(
    sandbox: Sandbox, client: ParallelClient
) -> None:
    sandbox.faults.add(status=422, body=REFUSED)
    assert client.run(search(fast())).results
    assert [request.body["mode"] for request in sandbox.requests] == ["fast", "basic"]


@pytest.mark.parametrize(
    "error",
    [
        {
            "message": "Request validation error.",
            "detail": {
                "errors": [
                    {
                        "type": "missing",
                        "loc": ["body", "objective"],
                        "msg": "Field required",
                        "input": {"search_queries": ["x"], "mode": "fast"},
                    }
                ]
            },
        },
        {"message": 'Cannot serve {"search_queries": ["x"], "mode": "fast"}', "detail": None},
        {"message": "Cannot serve mode=fast&max_results=1"},
        {"message": "Request validation error.", "detail": {"request": {"mode": "fast"}}},
    ],
)
def test_an_error_that_repeats_the_request_does_not_refuse_its_mode(
    sandbox: Sandbox, client: ParallelClient, error: dict[str, Any]
) -> None:
    sandbox.faults.add(status=422, body={"type": "error", "error": error})
    with pytest.raises(InvalidRequestError):
        client.run(search(fast()))
    assert len(sandbox.requests) == 1


@pytest.mark.parametrize(
    "body",
    [
        {
            "error": {
                "message": "Request validation error.",
                "detail": {
                    "errors": [
                        {
                            "type": "enum",
                            "loc": ["body", "mode"],
                            "msg": "Input should be 'basic'",
                            "input": "fast",
                        }
                    ]
                },
            }
        },
        {"detail": [{"loc": ["body", "mode"], "msg": "unexpected value"}]},
        {"detail": {"errors": [{"loc": "body.mode", "msg": "unexpected value"}]}},
        {"error": {"message": "'fast' is not a mode"}},
    ],
)
def test_a_mode_is_refused_in_many_words(
    sandbox: Sandbox, client: ParallelClient, body: dict[str, Any]
) -> None:
    sandbox.faults.add(status=422, body=body)
    assert client.run(search(fast())).results
    assert [request.body["mode"] for request in sandbox.requests] == ["fast", "basic"]


def test_only_once_and_only_for_that_reason(sandbox: Sandbox, client: ParallelClient) -> None:
    sandbox.faults.add(status=422, body={"error": {"message": "location is wrong"}})
    with pytest.raises(InvalidRequestError, match="location"):
        client.run(search(fast()))
    sandbox.faults.add(status=422, body=REFUSED)
    with pytest.raises(InvalidRequestError, match="mode"):
        client.run(search(SearchRequest(search_queries=["x"], mode="nonsense")))
    assert len(sandbox.requests) == 2


def test_a_server_that_refuses_basic_too_is_believed(
    sandbox: Sandbox, client: ParallelClient
) -> None:
    sandbox.faults.add(status=422, body=REFUSED, times=None)
    with pytest.raises(InvalidRequestError):
        client.run(search(fast()))
    assert len(sandbox.requests) == 2
