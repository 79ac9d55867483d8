from typing import Any

import httpx
import pytest

from parallel_integrations.sandbox import Sandbox
from tests.sandbox.operations.test_tasks import RUNS, SCHEMA, create, json_spec, run_body


def nested(depth: int) -> dict[str, Any]:
    inner = {"type": "string"} if depth == 1 else nested(depth - 1)
    return {
        "type": "object",
        "properties": {"a": inner},
        "required": ["a"],
        "additionalProperties": False,
    }


def having(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


SERVER = {"name": "s", "url": "https://mcp.example"}


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({"input": None}, "input"),
        ({"input": ["a"]}, "input"),
        ({"processor": None}, "processor"),
        ({"metadata": {"k" * 17: "v"}}, "metadata"),
        ({"metadata": {"k": "v" * 513}}, "metadata"),
        ({"metadata": {"k": None}}, "metadata"),
        ({"task_spec": {}}, "task_spec"),
        ({"task_spec": {"output_schema": {"type": "xml"}}}, "task_spec"),
        ({"task_spec": {"output_schema": {"type": "json"}}}, "task_spec"),
        ({"task_spec": {"output_schema": "x", "input_schema": {"type": "auto"}}}, "task_spec"),
        ({"task_spec": {"output_schema": "x" * 15_001}}, "task_spec"),
        ({"mcp_servers": [SERVER] * 11}, "mcp_servers"),
        ({"mcp_servers": [{"name": "s"}]}, "mcp_servers"),
        ({"mcp_servers": [{**SERVER, "type": "stdio"}]}, "mcp_servers"),
        ({"webhook": {"event_types": []}}, "webhook"),
        ({"previous_interaction_id": "nowhere"}, "previous_interaction_id"),
        ({"memory_scope_key": "a b"}, "memory_scope_key"),
        ({"memory_scope_key": "a" * 129}, "memory_scope_key"),
        ({"enable_events": "yes"}, "enable_events"),
        ({"source_policy": {"include_domains": ["a.example"] * 201}}, "source_policy"),
        ({"advanced_settings": {"data_sources": {"free": "x"}}}, "advanced_settings"),
        (
            {"processor": "lite-fast", "advanced_settings": {"data_sources": {"free": ["x"]}}},
            "advanced_settings",
        ),
        (
            {"mcp_servers": [SERVER], "advanced_settings": {"data_sources": {"free": ["s"]}}},
            "advanced_settings",
        ),
    ],
)
def test_wrong_requests(
    http: httpx.Client, sandbox: Sandbox, wrong: dict[str, Any], where: str
) -> None:
    response = http.post(RUNS, json={**run_body(), **wrong})

    assert response.status_code == 422
    body = response.json()
    assert body["type"] == "error"
    error = body["error"]
    if error["detail"]:
        assert error["message"] == "Request validation error."
        assert error["detail"]["errors"][0]["loc"][:2] == ["body", where]
    else:
        assert error["message"].startswith(where)
    assert sandbox.ledger.count() == 0


@pytest.mark.parametrize("processor", ["ultra9x", "speed", "base-slow", ""])
def test_unknown_processors_are_forbidden(http: httpx.Client, processor: str) -> None:
    response = http.post(RUNS, json=run_body(processor=processor))

    assert response.status_code == 403
    assert response.json()["type"] == "error"


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "array", "items": {}}, "of type object"),
        ({"type": "object"}, "properties"),
        ({**SCHEMA, "anyOf": [{}]}, "anyOf"),
        (nested(6), "6 levels"),
        (having(**{f"f{n}": {"type": "string"} for n in range(101)}), "100 properties"),
        (having(a={"type": "null"}), "null"),
        (having(a={"type": "text"}), "a.type"),
        (having(a={"enum": [f"v{n}" for n in range(501)]}), "500 enum"),
        (having(a={"enum": ["v" * 30 + str(n) for n in range(251)]}), "7500"),
        (having(a={"type": "string", "format": "date"}), "format"),
        (having(a={"type": "array", "items": {"type": "number", "minimum": 1}}), "minimum"),
        (having(a={"anyOf": [{"type": "string", "pattern": "x"}, {"type": "null"}]}), "pattern"),
        (having(a="string"), "a is no schema"),
        ({**SCHEMA, "required": "summary"}, "required"),
        ({**SCHEMA, "properties": ["a"]}, "properties"),
        ({**SCHEMA, "$defs": []}, "$defs"),
        (having(a={"anyOf": "x"}), "anyOf"),
        (having(a={"enum": "x"}), "enum"),
    ],
)
@pytest.mark.parametrize("side", ["output_schema", "input_schema"])
def test_schemas_that_are_refused(http: httpx.Client, schema: Any, message: str, side: str) -> None:
    spec = {"output_schema": "x", side: {"type": "json", "json_schema": schema}}
    response = http.post(RUNS, json=run_body(task_spec=spec))

    assert response.status_code == 422
    assert message in response.json()["error"]["message"]
    assert response.json()["error"]["message"].startswith(f"task_spec.{side}.json_schema: ")


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({**SCHEMA, "required": ["summary"]}, "not all fields are required"),
        ({**SCHEMA, "additionalProperties": True}, "additionalProperties"),
        (nested(4), "4 levels"),
        (having(**{f"f{n}": {"type": "string"} for n in range(6)}), "6 fields"),
        (having(sources={"type": "string"}), "'sources'"),
    ],
)
def test_schemas_that_are_warned_of(http: httpx.Client, schema: Any, message: str) -> None:
    warnings = create(http, task_spec=json_spec(schema))["warnings"]

    assert {each["type"] for each in warnings} == {"spec_validation_warning"}
    assert any(message in each["message"] for each in warnings)


@pytest.mark.parametrize(
    "schema",
    [
        having(format={"type": "string"}, pattern={"type": ["string", "null"]}),
        having(a={"anyOf": [{"type": "string"}, {"type": "null"}]}),
        {**having(a={"$ref": "#/$defs/A"}), "$defs": {"A": having(b={"type": "string"})}},
    ],
)
def test_schemas_that_are_fine(http: httpx.Client, schema: Any) -> None:
    assert "warnings" not in create(http, task_spec=json_spec(schema))


@pytest.mark.parametrize("text", ["a city", {"town": "x"}, {"city": "x", "more": 1}])
def test_an_input_that_does_not_fit_is_warned_of(http: httpx.Client, text: Any) -> None:
    form = {"type": "json", "json_schema": having(city={"type": "string"})}
    spec = {"output_schema": "x", "input_schema": form}

    [warning] = create(http, text, task_spec=spec)["warnings"]
    assert warning["type"] == "input_validation_warning"
    assert "warnings" not in create(http, {"city": "x"}, task_spec=spec)


def test_a_location_is_only_warned_of(http: httpx.Client) -> None:
    run = create(http, advanced_settings={"location": "uk"})

    assert "location" in run["warnings"][0]["message"]
    assert "warnings" not in create(http, advanced_settings={"location": "gb"})
