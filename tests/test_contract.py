"""The published contract: what is sent and what comes back keeps it, in this whole test run.

Everything that any test says to a sandbox is checked when that test ends (`contract_kept` in
`tests/conftest.py`); here every operation is called at least once, the cassettes and the documented
examples are checked, and the check itself is. `PARALLEL_OPENAPI` names the document.
"""

import json
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import pytest

from parallel_integrations import ParallelClient, api, models
from parallel_integrations.sandbox import Sandbox
from tests.support.cassettes import CASSETTES, CassetteFormat
from tests.support.connected import connection
from tests.support.contract import (
    EVENT_STREAM,
    MAX_ITEMS,
    Contract,
    Exchange,
    Violation,
    absent_fields,
    misread,
    operation_of,
    read,
    unknown_fields,
)
from tests.support.live_check import Tape, check
from tests.support.operations import EXCUSES, OPERATIONS, Excuse, Operation
from tests.support.raw_server import RawServer
from tests.support.report import lines
from tests.support.scenarios import ANSWER_SCHEMA
from tests.support.wire_recorder import WireRecorder

# One process calls every operation once, and counts.
pytestmark = pytest.mark.xdist_group("contract")

Called: TypeAlias = dict[str, list[Violation]]
DOCUMENTED = 32
GONE = ("/v1alpha/monitors", "/v1beta/tasks/groups")
"""Paths that only the document of the older paths has."""


def test_the_tests_of_this_module_run_in_one_process(request: pytest.FixtureRequest) -> None:
    command = getattr(request.config, "workerinput", {}).get("mainargv", ())
    if not any("loadgroup" in part for part in command):
        pytest.skip("only --dist=loadgroup, as in the Makefile, keeps a module in one process")
    assert request.node.nodeid.endswith("@contract")


@pytest.fixture(scope="module")
def called(contract: Contract, wire_recorder: WireRecorder) -> Called:
    """Every operation was called, and everything that the document does not know was sent.

    Returns:
        What broke the contract, by operation.
    """
    left = [fault for each in wire_recorder.take() for fault in contract.check(each)]
    assert not left
    with Sandbox(findall_seconds=0.5) as sandbox:  # at work still when it is cancelled
        connected = connection(sandbox)
        tape = Tape()
        with httpx.Client(event_hooks={"response": [tape.record]}, trust_env=False) as http:
            client = ParallelClient(http_client=http, **connected)
            rows = check(client, tape, Contract(), full=True).rows
        assert not [fault for row in rows for fault in row.faults]
        _call_older_paths(sandbox, connected)
        _send_what_is_excused(sandbox, connected)
    outcome: Called = {}
    for exchange in wire_recorder.take():
        operation = operation_of(exchange.method, exchange.path)
        assert operation is not None
        outcome.setdefault(operation.name, []).extend(contract.check(exchange))
    contract.complete = True
    return outcome


def _call_older_paths(sandbox: Sandbox, connected: dict[str, Any]) -> None:
    objective = "the with statement"
    with ParallelClient(api_version="v1beta", **connected) as client:
        client.run(api.search(models.SearchRequest(objective=objective)))
        client.run(api.extract(models.ExtractRequest(urls=[sandbox.corpus.pages[0].url])))
    with Sandbox(quickstart=True) as oldest:
        url, api_key = oldest.url, oldest.api_key
        with ParallelClient(api_key=api_key, base_url=url, api_version="v1beta") as client:
            client.run(api.search(models.SearchRequest(objective=objective)))
    with ParallelClient(chat_path="/v1beta/chat/completions", **connected) as client:
        request = models.ChatRequest(messages=[{"role": "user", "content": objective}])
        client.run(api.chat(request))
        list(client.stream(api.stream_chat(request)))
        run = client.run(api.create_task_run(models.CreateTaskRunRequest(input=objective)))
        sandbox.faults.add(path="/v1beta/findall/entity-search", status=404)
        people = models.EntitySearchRequest(
            entity_type="people", objective=objective, match_limit=5
        )
        client.run(api.entity_search(people))
    # The twin of an operation; the client has no use for it.
    path = f"/v1beta/tasks/runs/{run.run_id}/events"
    response = httpx.get(
        sandbox.url + path, headers={"x-api-key": sandbox.api_key}, trust_env=False
    )
    assert response.is_success


def _send_what_is_excused(sandbox: Sandbox, connected: dict[str, Any]) -> None:
    turn = {"role": "user", "content": "the nonlocal statement"}
    schema = {"name": "explained", "schema": ANSWER_SCHEMA}
    with ParallelClient(**connected) as client:
        client.run(
            api.chat(
                models.ChatRequest(
                    messages=[turn],
                    response_format={"type": "json_schema", "json_schema": schema},
                    extra_body={"user": "any", "a": 1},
                )
            )
        )
        openai = models.RespondRequest(
            input="the nonlocal statement", extra_body={"temperature": 1}
        )
        client.run(api.respond(openai))
        for mode in ("turbo", "fast"):
            client.run(api.search(models.SearchRequest(objective="with", mode=mode)))
        request = models.CreateTaskRunRequest(
            input="nonlocal",
            memory_scope_key="contract",
            data_sources={"free": ["any"]},
        )
        run = client.run(api.create_task_run(request))
        client.run(api.retrieve_task_run_input(run.run_id))
        hook = models.Webhook(url="https://example.com/hook", event_types=["findall.run.completed"])
        found = models.CreateFindallRunRequest(
            objective="statements",
            entity_type="statements",
            match_conditions=[{"name": "any", "description": "It is a statement."}],
            match_limit=5,
            webhook=hook,
        )
        client.run(api.create_findall_run(found))
        watched = models.CreateMonitorRequest(
            type="event_stream", frequency="1h", settings=models.EventStreamSettings(query="with")
        )
        monitor = client.run(api.create_monitor(watched))
        change = models.UpdateMonitorRequest(
            processor="base", settings=models.EventStreamSettings(query="nonlocal")
        )
        client.run(api.update_monitor(monitor.monitor_id, change))
    headers = {"x-api-key": sandbox.api_key}
    with httpx.Client(base_url=sandbox.url, headers=headers, trust_env=False) as http:
        assert http.post("/v1/search?a=1", json={"search_queries": ["with"]}).is_success
        assert http.post("/v1/responses", json={"model": "other", "input": "with"}).is_client_error
        assert http.post("/v1beta/findall/ingest", json={"query": "statements"}).is_success
        older = {"objective": "with", "unknown": 1}
        assert http.post("/v1beta/search", json=older).is_success
        assert http.get("/v1/monitors?status=active,cancelled").is_success
        http.headers["x-api-key"] = "another"
        assert http.post("/v1/search", json={"search_queries": ["with"]}).status_code == 401


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.name)
def test_every_operation_is_called_and_keeps_the_contract(
    operation: Operation, called: Called, contract: Contract
) -> None:
    assert operation.name in called, "no test calls it: add it to the live check"
    assert not called[operation.name], "\n".join(map(str, called[operation.name]))
    assert contract.requests[operation.name] > 0
    assert contract.responses[operation.name] > 0


def test_every_operation_of_the_document_is_in_the_table(contract: Contract) -> None:
    ours = {each.place for each in OPERATIONS}
    assert len({each.place for each in OPERATIONS if not each.note}) == DOCUMENTED
    for document in contract.documents:
        unknown = set(document.operations) - ours
        assert not [each for each in unknown if not each.split()[1].startswith(GONE)]


@pytest.mark.parametrize(
    "path", sorted(CASSETTES.glob("**/*.yaml")), ids=lambda path: f"{path.parent.name}-{path.stem}"
)
def test_every_cassette_keeps_the_contract(path: Path, contract: Contract) -> None:
    for exchange in _exchanges(path):
        assert not contract.check(exchange)


@pytest.mark.parametrize("excuse", EXCUSES, ids=lambda each: f"{each.side}-{each.rule}")
def test_every_excuse_has_a_reason_and_is_still_needed(
    excuse: Excuse, called: Called, contract: Contract
) -> None:
    assert excuse.reason
    documents = [each for each in contract.documents if excuse.document in ("", each.path.name)]
    known = [place for document in documents for place in document.operations]
    if any(fnmatchcase(place, each) for place in known for each in excuse.places):
        assert contract.excused[excuse], f"the contract is kept without it: {excuse}"


def _exchanges(path: Path) -> list[Exchange]:
    data = CassetteFormat().deserialize(path.read_text("utf-8"))
    exchanges = []
    for each in data["interactions"]:
        url = httpx.URL(each["request"]["uri"])
        response = each["response"]
        [kind] = response["headers"].get("content-type", [""])
        exchanges.append(
            Exchange(
                method=each["request"]["method"],
                path=url.path,
                query=tuple(url.params.multi_items()),
                body=each["request"]["body"].encode(),
                status=response["status"]["code"],
                content_type=kind,
                response=response["body"]["string"].encode(),
            )
        )
    return exchanges


def test_every_documented_response_is_read_to_its_last_field(contract: Contract) -> None:
    """The examples of the document, or else those of the cassettes."""
    examples: list[tuple[Operation, int, str, Any]] = []
    places = {each.place: each for each in OPERATIONS}
    for document in contract.documents:
        for place, status, kind, value in document.examples():
            if place in places:  # an older document has operations that are gone
                examples.append((places[place], status, kind, value))
    if not contract.documents:
        for path in CASSETTES.glob("**/*.yaml"):
            for each in _exchanges(path):
                operation = operation_of(each.method, each.path)
                assert operation is not None
                if each.content_type.startswith("application/json"):
                    value = json.loads(each.response)
                    examples.append((operation, each.status, "application/json", value))
    assert len(examples) > 50
    for operation, status, kind, value in examples:
        assert misread(operation, status, kind, value) is None, (operation.place, status)
        if contract.documents and status < 300 and (operation.response or kind == EVENT_STREAM):
            assert not unknown_fields(read(operation, kind, value)), operation.place


def test_the_table_names_every_operation_and_every_excuse(
    called: Called, contract: Contract
) -> None:
    text = "\n".join(lines(contract))
    for operation in OPERATIONS:
        assert f"{operation.method} {operation.path}" in text
    if contract.documents:
        assert all(excuse.reason in text for excuse in EXCUSES)
    else:
        assert "no document was given" in text


DOCUMENT: dict[str, Any] = {
    "components": {
        "schemas": {
            "Request": {
                "type": "object",
                "properties": {
                    "search_queries": {"type": "array", "items": {"type": "string"}},
                    "settings": {
                        "anyOf": [{"$ref": "#/components/schemas/Settings"}, {"type": "null"}]
                    },
                    "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                },
                "required": ["search_queries"],
            },
            "Settings": {"type": "object", "properties": {"limit": {"type": "integer"}}},
            "Found": {
                "type": "object",
                "properties": {"results": {"type": "array"}, "kind": {"const": "response"}},
                "required": ["results"],
            },
            "Event": {
                "type": "object",
                "properties": {"type": {"const": "task_run.state"}, "run": {"type": "object"}},
                "required": ["type", "run"],
            },
            "ErrorResponse": {"type": "object", "required": ["error"]},
        }
    },
    "paths": {
        "/v1/search": {
            "post": {
                "parameters": [
                    {"name": "fast", "in": "query", "schema": {"type": "boolean"}},
                    {"name": "limit", "in": "query", "schema": {"type": "integer", "maximum": 9}},
                    {
                        "name": "kind",
                        "in": "query",
                        "schema": {"anyOf": [{"type": "array", "items": {"enum": ["x", "y"]}}]},
                    },
                ],
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {"schema": {"$ref": "#/components/schemas/Request"}}
                    },
                },
                "responses": {
                    "200": {
                        "content": {
                            "application/json": {"schema": {"$ref": "#/components/schemas/Found"}}
                        }
                    }
                },
            }
        },
        "/v1/tasks/runs/{run_id}/events": {
            "get": {
                "responses": {
                    "200": {
                        "content": {
                            EVENT_STREAM: {
                                "schema": {
                                    "oneOf": [{"$ref": "#/components/schemas/Event"}],
                                    "discriminator": {
                                        "propertyName": "type",
                                        "mapping": {"task_run.state": "#/components/schemas/Event"},
                                    },
                                }
                            }
                        }
                    }
                }
            }
        },
    },
}
"""A document of our own making, to see the check fail."""


def _exchange(body: Any = None, response: Any = None, **other: Any) -> Exchange:
    said: dict[str, Any] = {
        "method": "POST",
        "path": "/v1/search",
        "query": (),
        "body": json.dumps({"search_queries": ["x"]} if body is None else body).encode(),
        "status": 200,
        "content_type": "application/json",
        "response": json.dumps({"results": []} if response is None else response).encode(),
    }
    return Exchange(**{**said, **other})


def _streamed(stream: bytes, *, whole: bool = True) -> Exchange:
    path = "/v1/tasks/runs/trun_1/events"
    return Exchange("GET", path, (), b"", 200, EVENT_STREAM, stream, whole)


STATE = b'event: task_run.state\ndata: {"type":"task_run.state","run":{"run_id":"1"}}\n\n'


@pytest.mark.parametrize(
    ("exchange", "faults"),
    [
        (_exchange(), []),
        (_exchange(query=(("fast", "true"), ("limit", "9"), ("kind", "x"), ("kind", "y"))), []),
        (_exchange({"search_queries": ["x"], "labels": {"any": "name"}}), []),
        (_exchange({"search_queries": ["x"], "settings": None}), []),
        (_exchange({"search_queries": [1]}), ["request search_queries.* type"]),
        (_exchange({}), ["request search_queries required"]),
        (_exchange({"search_queries": [], "extra": 1}), ["request extra unknown"]),
        (
            _exchange({"search_queries": [], "settings": {"limit": "1", "more": 1}}),
            ["request settings.limit type", "request settings.more unknown"],
        ),
        (_exchange(body=None, method="POST", query=(("fast", "1"),)), ["request ?fast type"]),
        (_exchange(query=(("limit", "10"),)), ["request ?limit maximum"]),
        (_exchange(query=(("kind", "z"),)), ["request ?kind enum"]),
        (_exchange(query=(("quick", "true"),)), ["request ?quick unknown"]),
        (
            _exchange({}, {"results": []}, status=422),
            ["response  model", "response error required"],
        ),
        (_exchange({}, {"error": {"message": "no"}}, status=422), []),
        (_exchange(response={"results": [], "kind": "other"}), ["response kind const"]),
        (_exchange(response={"results": [], "new": 1}), ["response new unknown"]),
        (_exchange(response={"results": 1}), ["response  model", "response results type"]),
        (_exchange(status=201), ["response  status", "response error required"]),
        (_exchange(content_type="text/plain"), ["response  type"]),
        (_exchange(response={}, content_type="application/json", whole=False), []),
        (_exchange(path="/v1/nowhere"), ["request  unknown"]),
        (_streamed(STATE), []),
        (_streamed(STATE + STATE[:30], whole=False), []),
        (
            _streamed(b'data: {"type":"task_run.state"}\n\n'),
            ["response  model", "response run required"],
        ),
        (_streamed(b'data: {"type":"other"}\n\n'), ["response  model", "response type enum"]),
    ],
)
def test_what_breaks_the_contract_is_found(
    tmp_path: Path, exchange: Exchange, faults: Sequence[str]
) -> None:
    path = tmp_path / "openapi.json"
    path.write_text(json.dumps(DOCUMENT))
    mine = Contract([path])
    for _ in range(2):  # the second time from memory
        assert [f"{each.side} {each.where} {each.rule}" for each in mine.check(exchange)] == faults
    if exchange.path != "/v1/nowhere":
        assert sum(mine.responses.values()) == 2


def test_every_event_of_a_long_stream_is_checked() -> None:
    broken = b'data: {"type":"other"}\n\n'
    most = STATE * MAX_ITEMS
    mine = Contract()
    assert mine.check(_streamed(broken + most))
    assert mine.check(_streamed(most + broken))
    assert mine.check(_streamed(most + broken + most))
    assert not mine.check(_streamed(most + STATE))


@pytest.mark.parametrize("place", [0, 50, 99])
@pytest.mark.parametrize(
    "odd",
    [
        {"title": 5},
        {"more": "text"},
        {"url": None},
        {"excerpts": ["text", 5]},
        {"publish_date": {"day": 1}},
    ],
)
def test_every_item_of_a_long_list_is_checked(
    tmp_path: Path, place: int, odd: dict[str, Any]
) -> None:
    path = tmp_path / "document.json"
    document = json.loads(json.dumps(DOCUMENT))
    schema = {
        "type": "object",
        "properties": {
            "results": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["url"],
                    "properties": {
                        "url": {"type": "string"},
                        "title": {"type": "string"},
                        "publish_date": {"type": ["string", "null"]},
                        "excerpts": {"type": "array", "items": {"type": "string"}},
                    },
                },
            }
        },
    }
    content = document["paths"]["/v1/search"]["post"]["responses"]["200"]["content"]
    content["application/json"]["schema"] = schema
    path.write_text(json.dumps(document))
    page = {"url": "https://a.example/", "title": "A", "publish_date": None, "excerpts": ["a"]}
    results = [page | {"title": f"Page {number}"} for number in range(100)]
    assert not Contract([path]).check(_exchange(response={"results": results}))
    results[place] = results[place] | odd
    assert Contract([path]).check(_exchange(response={"results": results}))


def test_without_a_document_the_models_are_what_responses_are_held_against() -> None:
    mine = Contract()
    assert not mine.check(_exchange({"nonsense": 1}))
    [fault] = mine.check(_exchange(response={"results": "none"}))
    assert fault.rule == "model"
    [fault] = mine.check(_exchange(response={"what": "?"}, status=500))
    assert fault.rule == "model"


@pytest.mark.parametrize("prefix", ["", "/v1/account/gateway/parallel"])
def test_what_is_sent_to_others_than_sandboxes_is_seen(
    wire_recorder: WireRecorder, prefix: str
) -> None:
    with (
        RawServer(lambda talk, _: talk.respond(b'{"results": []}')) as server,
        ParallelClient(api_key="any", base_url=f"{server.url}{prefix}") as client,
    ):
        client.run(api.search(models.SearchRequest(objective="with")))
    [sent] = wire_recorder.take_requests()
    assert sent.path == "/v1/search"
    assert Contract().check_request(sent) == []


def test_fields_that_models_do_not_name_and_that_responses_do_not_have_are_reported() -> None:
    operation = operation_of("POST", "/v1/search")
    assert operation is not None
    value = {
        "results": [{"url": "https://a.example", "x": 1}, {"url": "https://b.example"}],
        "y": 2,
    }
    response = read(operation, "application/json", value)
    assert unknown_fields(response) == {"results.*.x", "y"}
    assert {"search_id", "results.*.title"} <= absent_fields(response)
    assert "results.*.url" not in absent_fields(response)
