"""What mutated responses have brought to light, each in its smallest form."""

import json
from typing import Any

import pytest

from parallel_integrations import (
    CreateTaskRunRequest,
    IngestFindallRequest,
    ParallelClient,
    ParallelError,
    SearchRequest,
    ServerError,
    TaskFailedError,
    UnexpectedAnswerError,
    api,
)
from parallel_integrations.api.findall import start_findall
from parallel_integrations.sandbox import Sandbox

SEARCH = SearchRequest(search_queries=["with"])


def refused(client: ParallelClient, flow: Any) -> ParallelError:
    """The error of a call, which can be printed."""
    with pytest.raises(ParallelError) as caught:
        client.run(flow)
    str(caught.value).encode()
    return caught.value


@pytest.mark.parametrize(
    "later",
    [
        "Mon, 01 Jan 99999999999 00:00:00 GMT",
        "Mon, 01 Jan 2026 00:00:00 +99999999999999999999",
        "Fri, 31 Dec 9999 23:59:59 -2359",
        "Mon, 01 Jan 0001 00:00:00 +2359",
        "Mon, 32 Foo 2026",
        "9" * 400,
    ],
)
def test_a_retry_after_beyond_all_calendars(
    later: str, sandbox: Sandbox, client: ParallelClient
) -> None:
    sandbox.faults.add(status=422, retry_after=later)
    assert refused(client, api.search(SEARCH)).__class__.__name__ == "InvalidRequestError"


@pytest.mark.parametrize("charset", ["utf-16", "utf-32", "idna", "rot13", "hex", "utf-7", "none"])
def test_an_error_in_an_encoding_that_it_is_not_in(
    charset: str, sandbox: Sandbox, client: ParallelClient
) -> None:
    kind = f"text/plain; charset={charset}"
    sandbox.faults.add(status=402, body=b"no \xff credit +2AA-", content_type=kind)
    refused(client, api.search(SEARCH))


@pytest.mark.parametrize(
    "error", [{"message": "\ud800"}, {"ref_id": "\udc00\ud800"}, {"detail": [{"msg": "\ud800"}]}]
)
def test_half_a_character_in_an_error(
    error: dict[str, Any], sandbox: Sandbox, client: ParallelClient
) -> None:
    sandbox.faults.add(status=402, body=json.dumps({"error": error}))
    refused(client, api.search(SEARCH))


@pytest.mark.parametrize("name", ["message", "ref_id"])
def test_an_error_that_does_not_come_to_an_end(
    name: str, sandbox: Sandbox, client: ParallelClient
) -> None:
    body = json.dumps({"error": {name: "x" * 100_000}})
    sandbox.faults.add(status=402, body=body)
    assert len(str(refused(client, api.search(SEARCH)))) < 5000


@pytest.mark.parametrize("body", [{"error": "x" * 100_000}, {"detail": "x" * 100_000}])
def test_an_error_of_one_endless_text(
    body: dict[str, Any], sandbox: Sandbox, client: ParallelClient
) -> None:
    sandbox.faults.add(status=402, body=json.dumps(body))
    assert len(str(refused(client, api.search(SEARCH)))) < 5000


@pytest.mark.parametrize(
    "change", [{"error": {"message": "x" * 100_000}}, {"error": {"ref_id": "x" * 100_000}}]
)
def test_a_failed_run_that_says_too_much(
    change: dict[str, Any], sandbox: Sandbox, client: ParallelClient
) -> None:
    created = client.run(api.create_task_run(CreateTaskRunRequest(input="with", processor="lite")))
    run = {"run_id": created.run_id, "status": "failed", "is_active": False}
    sandbox.faults.add(path="*/result", status=404)
    sandbox.faults.add(path=f"/v1/tasks/runs/{created.run_id}", body=json.dumps({**run, **change}))
    error = refused(client, api.wait_task_run(created.run_id))
    assert isinstance(error, TaskFailedError)
    assert "failed" in str(error)
    assert len(str(error)) < 10_000


def test_an_error_nested_ten_thousand_levels_deep(sandbox: Sandbox) -> None:
    with ParallelClient(api_key=sandbox.api_key, base_url=sandbox.url, max_retries=0) as client:
        for body in (b"[" * 10_000, b'{"error":' * 10_000, b"[" * 10_000 + b"]" * 10_000):
            sandbox.faults.add(status=500, body=body)
            assert isinstance(refused(client, api.search(SEARCH)), ServerError)


@pytest.mark.parametrize("run_id", ["", " ", "\u2028", ".", ".."])
def test_something_was_created_without_an_id(
    run_id: str, sandbox: Sandbox, client: ParallelClient
) -> None:
    """Waiting for it would be refused as a caller's mistake, which it is not."""
    sandbox.faults.add(path="/v1/tasks/runs", body={"run_id": run_id, "status": "queued"})
    request = CreateTaskRunRequest(input="with", processor="lite")
    error = refused(client, api.run_task(request))
    assert isinstance(error, UnexpectedAnswerError)
    assert "run_id" in str(error)


@pytest.mark.parametrize("change", [{"match_conditions": []}, {"objective": ""}])
def test_a_objective_is_understood_as_nothing(
    change: dict[str, Any], sandbox: Sandbox, client: ParallelClient
) -> None:
    """What the API made up is no mistake of the caller."""
    condition = {"name": "n", "description": "d"}
    schema = {"objective": "o", "entity_type": "e", "match_conditions": [condition]}
    sandbox.faults.add(path="/v1beta/findall/ingest", body={**schema, **change})
    request = IngestFindallRequest(objective="with")
    flow = start_findall(request, generator="preview", match_limit=5)
    assert isinstance(error := refused(client, flow), UnexpectedAnswerError)
    assert next(iter(change)) in str(error)
    assert len(sandbox.requests) == 1
