"""What the API documents as a request's body, of every generation, is read and rendered again."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from parallel_integrations import (
    AddTaskGroupRunsRequest,
    ChatRequest,
    ClearMemoryRequest,
    CreateFindallRunRequest,
    CreateMonitorRequest,
    CreateTaskGroupRequest,
    CreateTaskRunRequest,
    EnrichFindallRequest,
    EntitySearchRequest,
    EvictMemoryRequest,
    ExtendFindallRequest,
    ExtractRequest,
    IngestFindallRequest,
    InvalidArgumentError,
    RespondRequest,
    RetrieveMemoryRequest,
    SearchRequest,
    UpdateMonitorRequest,
)
from parallel_integrations.models import RequestModel
from parallel_integrations.models.shared import ApiVersion

# Read here, because tests clear the environment.
NAMED: Final = os.environ.get("PARALLEL_OPENAPI", "")
REAL: Final = os.environ.get("PARALLEL_REAL", "")
OBJECTIVE: Final = "Find latest information about Parallel Web Systems"
GDP: Final = {
    "type": "json",
    "json_schema": {
        "type": "object",
        "properties": {
            "gdp": {"type": "string", "description": "GDP in USD, like '$3.1 trillion'"}
        },
        "required": ["gdp"],
        "additionalProperties": False,
    },
}
POLICY: Final = {
    "include_domains": ["wikipedia.org", "usa.gov", ".edu"],
    "exclude_domains": ["reddit.com", "x.com", ".ai"],
    "after_date": "2024-01-01",
}
SERVER: Final = {
    "type": "url",
    "url": "https://dev.example.com/mcp",
    "name": "dev",
    "headers": {"Authorization": "Bearer token"},
}
WEBHOOK: Final = {"url": "https://example.com/webhook", "event_types": ["task_run.status"]}
CONDITION: Final = {"name": "soc2", "description": "Has SOC2 Type II certification."}
TURN: Final = {"role": "user", "content": "What does Parallel Web Systems do?"}

BODIES: Final[list[tuple[type[RequestModel], ApiVersion, dict[str, Any]]]] = [
    (SearchRequest, "v1", {"objective": OBJECTIVE, "search_queries": ["parallel web"]}),
    (
        SearchRequest,
        "v1",
        {
            "search_queries": ["parallel web"],
            "mode": "basic",
            "max_chars_total": 10_000,
            "session_id": "session_1",
            "client_model": "claude-opus-4-7",
            "advanced_settings": {
                "max_results": 10,
                "location": "us",
                "source_policy": POLICY,
                "fetch_policy": {"max_age_seconds": 86400, "timeout_seconds": 60},
                "excerpt_settings": {"max_chars_per_result": 1500},
            },
        },
    ),
    (SearchRequest, "v1beta", {"objective": OBJECTIVE}),
    (
        SearchRequest,
        "v1beta",
        {
            "objective": OBJECTIVE,
            "search_queries": ["parallel web"],
            "mode": "agentic",
            "max_results": 10,
            "excerpts": {"max_chars_per_result": 10_000, "max_chars_total": 50_000},
            "source_policy": POLICY,
            "location": "gb",
        },
    ),
    (SearchRequest, "v1beta", {"objective": OBJECTIVE, "mode": "fast", "max_results": 5}),
    (
        SearchRequest,
        "v1beta-processor",
        {
            "objective": OBJECTIVE,
            "search_queries": ["parallel web"],
            "processor": "base",
            "max_results": 5,
            "max_chars_per_result": 1500,
        },
    ),
    (SearchRequest, "v1beta-processor", {"objective": OBJECTIVE, "processor": "pro"}),
    (ExtractRequest, "v1", {"urls": ["https://parallel.ai"], "objective": OBJECTIVE}),
    (
        ExtractRequest,
        "v1",
        {
            "urls": ["https://parallel.ai"],
            "max_chars_total": 20_000,
            "advanced_settings": {
                "full_content": {"max_chars_per_result": 50_000},
                "excerpt_settings": {"max_chars_per_result": 5_000},
                "fetch_policy": {"max_age_seconds": 86400, "disable_cache_fallback": True},
            },
        },
    ),
    (ExtractRequest, "v1", {"urls": ["https://a.b"], "advanced_settings": {"full_content": False}}),
    (
        ExtractRequest,
        "v1beta",
        {"urls": ["https://a.b"], "objective": OBJECTIVE, "excerpts": True, "full_content": False},
    ),
    (ExtractRequest, "v1beta", {"urls": ["https://a.b"], "excerpts": False, "full_content": True}),
    (ExtractRequest, "v1beta", {"urls": ["https://a.b"]}),
    (
        ExtractRequest,
        "v1beta",
        {
            "urls": ["https://a.b"],
            "excerpts": {"max_chars_per_result": 10_000, "max_chars_total": 50_000},
            "full_content": {"max_chars_per_result": 50_000},
            "fetch_policy": {"timeout_seconds": 60},
        },
    ),
    (CreateTaskRunRequest, "v1", {"input": "What was the GDP of France?", "processor": "base"}),
    (
        CreateTaskRunRequest,
        "v1",
        {
            "input": {"country": "France", "year": 2023},
            "processor": "core",
            "task_spec": {"output_schema": GDP, "input_schema": {**GDP}},
            "metadata": {"row": "7", "n": 1, "share": 0.5, "ok": True},
            "source_policy": POLICY,
            "advanced_settings": {"location": "us", "data_sources": {"free": ["sec"]}},
            "mcp_servers": [SERVER],
            "enable_events": True,
            "webhook": WEBHOOK,
            "previous_interaction_id": "trun_1",
            "memory_scope_key": "team-1",
        },
    ),
    *(
        (
            CreateTaskRunRequest,
            "v1",
            {"input": "GDP?", "processor": "ultra", "task_spec": {"output_schema": schema}},
        )
        for schema in (
            "GDP in USD for the year, formatted like '$3.1 trillion (2023)'",
            {"type": "text", "description": "A report."},
            {"type": "text"},
            {"type": "auto"},
        )
    ),
    (CreateTaskGroupRequest, "v1", {}),
    (CreateTaskGroupRequest, "v1", {"metadata": {"job": "a"}}),
    (
        AddTaskGroupRunsRequest,
        "v1",
        {
            "default_task_spec": {"output_schema": GDP},
            "inputs": [
                {"input": "A", "processor": "lite", "metadata": {"i": 0}},
                {"input": {"x": 1}, "processor": "base", "task_spec": {"output_schema": "year"}},
            ],
        },
    ),
    (IngestFindallRequest, "v1", {"objective": "FindAll AI companies of 2024"}),
    (
        CreateFindallRunRequest,
        "v1",
        {
            "objective": "FindAll AI companies of 2024",
            "entity_type": "companies",
            "match_conditions": [CONDITION],
            "generator": "core",
            "match_limit": 50,
            "exclude_list": [{"name": "Acme", "url": "https://acme.example"}],
            "metadata": {"team": "a"},
            "webhook": {"url": "https://a.example", "event_types": ["findall.run.completed"]},
        },
    ),
    (EnrichFindallRequest, "v1", {"output_schema": GDP}),
    (
        EnrichFindallRequest,
        "v1",
        {"processor": "core", "output_schema": GDP, "mcp_servers": [SERVER]},
    ),
    (ExtendFindallRequest, "v1", {"additional_match_limit": 40}),
    (EntitySearchRequest, "v1", {"entity_type": "people", "objective": "Founders in Berlin"}),
    (
        EntitySearchRequest,
        "v1",
        {"entity_type": "companies", "objective": "In Berlin", "match_limit": 100},
    ),
    (
        CreateMonitorRequest,
        "v1",
        {
            "type": "event_stream",
            "frequency": "1d",
            "processor": "lite",
            "metadata": {"slack_thread_id": "1234567890.123456", "user_id": "U123ABC"},
            "webhook": {"url": "https://a.example", "event_types": ["monitor.event.detected"]},
            "settings": {
                "query": "Extract recent news about AI",
                "output_schema": GDP,
                "include_backfill": True,
                "advanced_settings": {"source_policy": POLICY, "location": "us"},
            },
        },
    ),
    (
        CreateMonitorRequest,
        "v1",
        {"type": "snapshot", "frequency": "1w", "settings": {"task_run_id": "trun_1"}},
    ),
    (UpdateMonitorRequest, "v1", {"frequency": "12h", "webhook": None, "metadata": None}),
    (UpdateMonitorRequest, "v1", {"type": "event_stream", "frequency": "12h"}),
    (
        UpdateMonitorRequest,
        "v1",
        {"type": "event_stream", "settings": {"query": "news", "advanced_settings": None}},
    ),
    (
        UpdateMonitorRequest,
        "v1",
        {
            "type": "event_stream",
            "settings": {"advanced_settings": {"source_policy": POLICY}},
        },
    ),
    (RetrieveMemoryRequest, "v1", {"query": "x", "limit": 5, "since": "2026-07-15T17:30:00Z"}),
    (EvictMemoryRequest, "v1", {"kind": "task", "id": "trun_1", "memory_scope_key": "a"}),
    (ClearMemoryRequest, "v1", {"memory_scope_key": "a"}),
    (ChatRequest, "v1", {"model": "speed", "messages": [TURN], "stream": True}),
    (
        ChatRequest,
        "v1",
        {
            "model": "parallel/speed",
            "messages": [{"role": "system", "content": "Be brief."}, {**TURN, "name": "ann"}],
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "gdp", "schema": GDP["json_schema"]},
            },
            "previous_interaction_id": "trun_1",
            "max_tokens": 100,
            "temperature": 0.2,
            "top_p": 1,
            "n": 1,
            "presence_penalty": 0,
            "frequency_penalty": 0,
        },
    ),
]


@pytest.mark.parametrize(
    ("model", "version", "body"), BODIES, ids=[f"{m.__name__} {v}" for m, v, _ in BODIES]
)
def test_a_documented_body_is_read_and_rendered_again(
    model: type[RequestModel], version: ApiVersion, body: dict[str, Any]
) -> None:
    for request in (
        model.model_validate(body),
        model.model_validate_json(json.dumps(body)),
        model(**body),
    ):
        assert request.body(version) == body
    again = model.model_validate(json.loads(json.dumps(model(**body).body(version))))
    assert again == model(**body)


@pytest.mark.parametrize(
    ("model", "body", "today"),
    [
        (IngestFindallRequest, {"query": "AI companies"}, {"objective": "AI companies"}),
        (
            EntitySearchRequest,
            {"entity_type": "company", "objective": "In Berlin"},
            {"entity_type": "companies", "objective": "In Berlin"},
        ),
        (
            CreateMonitorRequest,
            {"query": "AI news", "cadence": "every_two_weeks", "source_policy": POLICY},
            {
                "type": "event_stream",
                "frequency": "2w",
                "settings": {"query": "AI news", "advanced_settings": {"source_policy": POLICY}},
            },
        ),
        (
            UpdateMonitorRequest,
            {"query": "AI news", "cadence": "daily"},
            {"type": "event_stream", "frequency": "1d", "settings": {"query": "AI news"}},
        ),
        (
            CreateTaskRunRequest,
            {"input": "x", "processor": "core", "task_spec": {"output": GDP, "input": "a year"}},
            {
                "input": "x",
                "processor": "core",
                "task_spec": {"output_schema": GDP, "input_schema": "a year"},
            },
        ),
        (
            CreateFindallRunRequest,  # as an ingest gives it
            {
                "objective": "AI companies",
                "entity_type": "companies",
                "match_conditions": [CONDITION],
                "enrichments": None,
                "generator": "base",
                "match_limit": None,
            },
            {
                "objective": "AI companies",
                "entity_type": "companies",
                "match_conditions": [CONDITION],
                "generator": "base",
                "match_limit": 10,
            },
        ),
    ],
)
def test_a_body_in_older_words_is_rendered_in_those_of_today(
    model: type[RequestModel], body: dict[str, Any], today: dict[str, Any]
) -> None:
    assert model.model_validate(body).body("v1") == today
    assert model(**body).body("v1") == today


@pytest.mark.parametrize("version", ["v1", "v1beta", "v1beta-processor"])
def test_a_body_of_one_generation_can_be_sent_in_another(version: ApiVersion) -> None:
    older = SearchRequest(objective="q", search_queries=["q"], processor="base")
    beta = SearchRequest(objective="q", search_queries=["q"], mode="one-shot")
    current = SearchRequest(objective="q", search_queries=["q"], mode="basic")
    assert older.body(version) == beta.body(version) == current.body(version)


TASK: Final = {"input": "x", "processor": "lite"}
FINDALL: Final = {"objective": "x", "entity_type": "y", "match_conditions": [CONDITION]}


@pytest.mark.parametrize(
    ("model", "body", "field", "words"),
    [
        (SearchRequest, {"objective": "q", "processor": "lite"}, "processor", "mode="),
        (SearchRequest, {"objective": "q", "processor": "pro", "mode": "basic"}, "", "one of them"),
        (
            SearchRequest,
            {"objective": "q", "max_results": 5, "advanced_settings": {"max_results": 7}},
            "max_results",
            "advanced_settings.max_results=7",
        ),
        (
            SearchRequest,
            {"objective": "q", "advanced_settings": {"max_result": 7}},
            "advanced_settings.max_result",
            "did you mean 'max_results'",
        ),
        (CreateTaskRunRequest, {**TASK, "task_spec": {"output_schema": 3}}, "output_schema", "a t"),
        (
            SearchRequest,
            {
                "objective": "q",
                "advanced_settings": {"source_policy": {"include_domains": ["a b"]}},
            },
            "source_policy.include_domains.0",
            "not a domain",
        ),
        (SearchRequest, {"objective": "q", "excerpts": True}, "excerpts", "an object"),
        (SearchRequest, {"objective": "q", "advanced_settings": "x"}, "advanced_settings", "obj"),
        (ExtractRequest, {"urls": ["https://a.b"], "excerpts": "all"}, "excerpts", "True or False"),
        (ExtractRequest, {"urls": ["https://a.b"], "excerpts": {"max": 1}}, "excerpts.max", "no"),
        (CreateTaskRunRequest, {**TASK, "task_spec": "A report"}, "task_spec", "an object"),
        (
            CreateTaskRunRequest,
            {**TASK, "task_spec": {"output_shema": "x"}},
            "task_spec.output_shema",
            "output_schema",
        ),
        (
            CreateTaskRunRequest,
            {**TASK, "output_schema": "x", "task_spec": {"output_schema": "y"}},
            "output_schema",
            "differ",
        ),
        (
            CreateTaskRunRequest,
            {**TASK, "webhook": {**WEBHOOK, "secret": "s"}},
            "webhook.secret",
            "webhook settings",
        ),
        (
            CreateFindallRunRequest,
            {**FINDALL, "enrichments": [{}]},
            "enrichments",
            "enrich_findall",
        ),
        (CreateFindallRunRequest, {"query": "x", "findall_spec": {}}, "findall_spec", "ingest"),
        (CreateFindallRunRequest, {**FINDALL, "result_limit": 20}, "result_limit", "match_limit"),
        (
            CreateMonitorRequest,
            {"type": "snapshot", "frequency": "1d", "settings": {"query": "x"}},
            "settings.query",
            "SnapshotSettings",
        ),
        (
            CreateMonitorRequest,
            {"type": "event_stream", "frequency": "1d", "settings": {"qery": "x"}},
            "settings.qery",
            "did you mean 'query'",
        ),
        (UpdateMonitorRequest, {"type": "event_stream"}, "", "nothing to change"),
        (UpdateMonitorRequest, {"type": "snapshot", "frequency": "1d"}, "type", "event_stream"),
        (ChatRequest, {"messages": [TURN], "tools": []}, "tools", "call no tools"),
        (
            ChatRequest,
            {"messages": [TURN], "top_p": 1, "extra_body": "x"},
            "extra_body",
            "an object of fields",
        ),
        (SearchRequest, {"objective": "q", "processor": ["pro"]}, "processor", "'base' or 'pro'"),
        (SearchRequest, {"objective": "q", "processor": "pro", "mode": ["x"]}, "mode", "a text"),
        (
            CreateMonitorRequest,
            {"type": ["snapshot"], "frequency": "1d", "settings": {"task_run_id": "x"}},
            "type",
            "'event_stream' or 'snapshot'",
        ),
        (
            RespondRequest,
            {"input": "x", "reasoning_effort": "low", "reasoning": {"effort": "high"}},
            "reasoning_effort",
            "reasoning.effort='high'",
        ),
        (RespondRequest, {"input": "x", "reasoning": "high"}, "reasoning", "an object of fields"),
        (
            RespondRequest,
            {"input": "x", "text": {"format": {"type": "text"}, "verbosity": "low"}},
            "text.verbosity",
            "no argument",
        ),
    ],
)
def test_a_body_whose_meaning_is_not_plain_is_refused(
    model: type[RequestModel], body: dict[str, Any], field: str, words: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=words) as caught:
        model.model_validate(body)
    assert caught.value.field == field


def test_real_inputs_of_tasks_are_read() -> None:
    if not REAL:
        pytest.skip("PARALLEL_REAL names no folder of published responses")
    found = sorted(Path(REAL).glob("*input*.json"))
    assert found
    for path in found:
        body = json.loads(path.read_text("utf-8"))
        assert CreateTaskRunRequest.model_validate(body).body("v1") == body, path.name


REQUESTS: Final[dict[str, tuple[type[RequestModel], ApiVersion]]] = {
    "/v1/search": (SearchRequest, "v1"),
    "/v1beta/search": (SearchRequest, "v1beta"),
    "/v1/extract": (ExtractRequest, "v1"),
    "/v1beta/extract": (ExtractRequest, "v1beta"),
    "/v1/tasks/runs": (CreateTaskRunRequest, "v1"),
    "/v1/tasks/groups": (CreateTaskGroupRequest, "v1"),
    "/v1beta/tasks/groups": (CreateTaskGroupRequest, "v1beta"),
    "/v1/tasks/groups/{taskgroup_id}/runs": (AddTaskGroupRunsRequest, "v1"),
    "/v1beta/tasks/groups/{taskgroup_id}/runs": (AddTaskGroupRunsRequest, "v1beta"),
    "/v1beta/findall/ingest": (IngestFindallRequest, "v1"),
    "/v1beta/findall/runs": (CreateFindallRunRequest, "v1"),
    "/v1beta/findall/runs/{findall_id}/enrich": (EnrichFindallRequest, "v1"),
    "/v1beta/findall/runs/{findall_id}/extend": (ExtendFindallRequest, "v1"),
    "/v1beta/findall/candidates": (EntitySearchRequest, "v1"),
    "/v1beta/findall/entity-search": (EntitySearchRequest, "v1"),
    "/v1/monitors": (CreateMonitorRequest, "v1"),
    "/v1/monitors/{monitor_id}/update": (UpdateMonitorRequest, "v1"),
    "/v1alpha/monitors": (CreateMonitorRequest, "v1"),
    "/v1alpha/monitors/{monitor_id}": (UpdateMonitorRequest, "v1"),
    "/v1beta/memory/retrieve": (RetrieveMemoryRequest, "v1"),
    "/v1beta/memory/clear": (ClearMemoryRequest, "v1"),
    "/v1beta/memory/evict": (EvictMemoryRequest, "v1"),
    "/v1beta/chat/completions": (ChatRequest, "v1"),
    "/v1/responses": (RespondRequest, "v1"),
}
NO_REQUESTS: Final = ("/v1alpha/monitors/{monitor_id}/simulate_event",)
TRANSLATED: Final = ("/v1alpha/", "/v1beta/findall/candidates")
# What a schema cannot say: values that fit where any text would.
VALUES: Final[dict[str, Any]] = {
    "frequency": "1d",
    "urls": ["https://parallel.ai"],
    "url": "https://parallel.ai",
    "location": "us",
    "memory_scope_key": "team-1",
    "role": "user",
    "since": "2026-07-15T17:30:00Z",
    "after_date": "2024-01-01",
    "event_types": ["task_run.status"],
    "model": "parallel",
    "match_limit": 10,
    "max_results": 5,
    "limit": 5,
}
# What the API needs although its schema does not say so.
NEEDED: Final[dict[str, dict[str, Any]]] = {
    "/v1beta/search": {"objective": OBJECTIVE},
    "/v1/monitors/{monitor_id}/update": {"type": "event_stream", "frequency": "1d"},
    "/v1alpha/monitors/{monitor_id}": {"frequency": "1d"},
}
# What is documented as refused or ignored, and two fields that fit together with others only.
LEFT_OUT: Final = {
    ("/v1/responses", "background"),
    ("/v1/responses", "text"),
    ("/v1/monitors", "type"),
    ("/v1/monitors/{monitor_id}/update", "type"),
}


class Bodies:
    """Bodies that a document describes: the required fields, all fields, and every example."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document

    def of(self, place: str, schema: Any) -> Iterator[dict[str, Any]]:
        """The bodies of one operation."""
        schema = self._resolved(schema)
        always = NEEDED.get(place, {})
        for kind in schema.get("oneOf") or schema.get("anyOf") or [schema]:
            kind = self._resolved(kind)
            needed = always | {name: self._value(name, kind) for name in kind.get("required", ())}
            yield needed
            for name, field in kind.get("properties", {}).items():
                if field.get("deprecated") or (place, name) in LEFT_OUT:
                    continue
                for example in [
                    self._value(name, kind),
                    *self._resolved(field).get("examples", ()),
                ]:
                    if not isinstance(example, str) or name not in VALUES:
                        yield {**needed, name: example}

    def _resolved(self, schema: Any) -> Any:
        while "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            schema = self._document["components"]["schemas"][name]
        return schema

    def _value(self, name: str, owner: dict[str, Any]) -> Any:
        if name in VALUES:
            return VALUES[name]
        return self._sample(owner["properties"][name])

    def _sample(self, schema: Any) -> Any:
        schema = self._resolved(schema)
        if "examples" in schema:
            return schema["examples"][0]
        for word in ("oneOf", "anyOf"):
            if word in schema:
                return self._sample(schema[word][0])
        if "const" in schema or "enum" in schema:
            return schema.get("const", schema.get("enum", [None])[0])
        match schema.get("type"):
            case "object" if "properties" in schema:
                return {name: self._value(name, schema) for name in schema["properties"]}
            case "object":
                return {"label": "a"}
            case "array":
                return [self._sample(schema["items"])]
            case "integer":
                return max(schema.get("minimum", 0), 1000)
            case "number":
                return 60
            case "boolean":
                return True
        return "some text"


def test_every_body_that_the_documents_describe_is_read_and_rendered_again() -> None:
    if not NAMED:
        pytest.skip("PARALLEL_OPENAPI names no document")
    first = Path(NAMED.split(os.pathsep)[0])
    read = 0
    wrong = []
    for path in sorted(first.parent.glob("openapi*.json")):
        document = json.loads(path.read_text("utf-8"))
        for place, item in document["paths"].items():
            schema = item.get("post", {}).get("requestBody", {})
            if not schema or place in NO_REQUESTS:
                continue
            model, version = REQUESTS[place]
            for body in Bodies(document).of(place, schema["content"]["application/json"]["schema"]):
                read += 1
                try:
                    rendered = model.model_validate(body).body(version)
                except InvalidArgumentError as error:
                    wrong.append(f"{path.name} {place} {body}: {error}")
                else:
                    if rendered != body and not place.startswith(TRANSLATED):
                        wrong.append(f"{path.name} {place} {body}: {rendered}")
    assert not wrong, f"{len(wrong)} of {read}:\n" + "\n".join(wrong)
    assert read > 100
