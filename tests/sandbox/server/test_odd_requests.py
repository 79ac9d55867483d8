"""Whatever a request holds, the sandbox responds with a result or an error body, never a 500."""

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any, Final
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from parallel_integrations.sandbox import Corpus, Page, Sandbox
from parallel_integrations.sandbox.operations import OPERATIONS
from tests.support.contract import Contract, Exchange
from tests.support.wire_recorder import WireRecorder

SCHEMA: Final = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "founded": {"type": ["integer", "null"]}},
    "required": ["name"],
    "additionalProperties": False,
}
JSON_FORM: Final = {"type": "json", "json_schema": SCHEMA}
POLICIES: Final[dict[str, Any]] = {
    "source_policy": {"include_domains": ["a.example"], "after_date": "2020-01-01"},
    "fetch_policy": {"max_age_seconds": 600, "timeout_seconds": 1.5},
}
SEARCH: Final[dict[str, Any]] = {"search_queries": ["otters"], "objective": "Find otters."}
EXTRACT: Final[dict[str, Any]] = {"urls": ["https://a.example/otters"], "objective": "otters"}
CHAT: Final[dict[str, Any]] = {
    "model": "lite",
    "messages": [{"role": "user", "content": "How do otters sleep?"}],
    "stream": False,
    "max_tokens": 5,
    "response_format": {
        "type": "json_schema",
        "json_schema": {"name": "x", "strict": True, "schema": SCHEMA},
    },
}
WEBHOOK: Final = {"url": "https://a.example/hook", "event_types": ["task_run.status"]}
TASK: Final[dict[str, Any]] = {
    "input": {"animal": "otter", "weight": 1.5},
    "processor": "base",
    "task_spec": {"output_schema": JSON_FORM, "input_schema": JSON_FORM},
    "metadata": {"a": 1, "b": 2.5},
    "source_policy": {"exclude_domains": ["b.example"]},
    "advanced_settings": {"location": "us", "data_sources": {"free": ["x"]}},
    "mcp_servers": [{"name": "m", "url": "https://a.example", "headers": {"a": "b"}}],
    "enable_events": True,
    "webhook": WEBHOOK,
    "memory_scope_key": "scope",
}
MONITOR: Final[dict[str, Any]] = {
    "type": "event_stream",
    "frequency": "1d",
    "processor": "lite",
    "webhook": {"url": "https://a.example/hook", "event_types": ["monitor.event.detected"]},
    "metadata": {"a": "b"},
    "settings": {
        "query": "otters",
        "output_schema": JSON_FORM,
        "include_backfill": True,
        "advanced_settings": {"location": "us", "source_policy": {}},
    },
}
FINDALL: Final[dict[str, Any]] = {
    "objective": "Find otters",
    "entity_type": "otters",
    "match_conditions": [{"name": "c", "description": "otters that sleep"}],
    "generator": "base",
    "match_limit": 5,
    "exclude_list": [{"name": "x", "url": "https://a.example/x"}],
    "metadata": {"a": True},
}
LISTED: Final = {"objective": "otters", "entity_type": "people", "match_limit": 5}
EVICT: Final = {"kind": "task", "id": "x", "memory_scope_key": "scope"}

BODIES: Final[dict[str, dict[str, Any]]] = {
    "/v1beta/tasks/suggest": {
        "user_intent": "weight and habitat",
        "previous_task": {"input_schema": SCHEMA},
    },
    "/v1beta/tasks/suggest-processor": {
        "task_spec": {"output_schema": JSON_FORM, "input_schema": JSON_FORM}
    },
    "/mcp": {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"capabilities": {}}},
    "/v1/search": {
        **SEARCH,
        "max_chars_total": 2000,
        "advanced_settings": {
            **POLICIES,
            "max_results": 3,
            "location": "us",
            "excerpt_settings": {"max_chars_per_result": 1000},
        },
    },
    "/v1beta/search": {**SEARCH, **POLICIES, "max_results": 3, "excerpts": {"max_chars_total": 5}},
    "/v1/extract": {
        **EXTRACT,
        "session_id": "s",
        "advanced_settings": {"full_content": {"max_chars_per_result": 10}},
    },
    "/v1beta/extract": {
        **EXTRACT,
        "full_content": True,
        "excerpts": {"max_chars_per_result": 1000},
    },
    "/chat/completions": CHAT,
    "/v1beta/chat/completions": {**CHAT, "response_format": {"type": "json_object"}},
    "/v1/responses": {
        "model": "parallel",
        "input": [{"role": "user", "content": [{"type": "input_text", "text": "Do otters swim?"}]}],
        "instructions": "Be brief.",
        "text": {"format": {"type": "json_schema", "name": "x", "schema": SCHEMA}},
        "reasoning": {"effort": "low"},
        "metadata": {"a": "b"},
    },
    "/v1/decisions": {
        "state": {"animal": "otter"},
        "questions": {
            "swims": {"type": "noul", "instructions": "Does it swim?"},
            "kind": {"type": "choice", "instructions": "Which?", "criteria": {"a": "A", "b": "B"}},
            "fit": {"type": "score", "instructions": "How fit?", "criteria": ["bad", "good"]},
        },
        "mode": "fast",
        "include_excerpts": True,
    },
    "/v1/tasks/runs": TASK,
    "/v1/tasks/groups": {"metadata": {"a": 1.5}},
    "/v1/tasks/groups/{taskgroup_id}/runs": {
        "inputs": [{"input": "otters", "processor": "lite"}],
        "default_task_spec": {"output_schema": "Otters"},
    },
    "/v1beta/findall/ingest": {"objective": "Find otters"},
    "/v1beta/findall/runs": FINDALL,
    "/v1beta/findall/runs/{findall_id}/enrich": {
        "output_schema": JSON_FORM,
        "processor": "core",
        "mcp_servers": [{"name": "m", "url": "https://a.example", "allowed_tools": ["t"]}],
    },
    "/v1beta/findall/runs/{findall_id}/extend": {"additional_match_limit": 5},
    "/v1beta/findall/runs/{findall_id}/cancel": {},
    "/v1beta/findall/entity-search": LISTED,
    "/v1beta/findall/candidates": LISTED,
    "/v1/monitors": MONITOR,
    "/v1/monitors/{monitor_id}/update": {"type": "event_stream", "settings": {"query": "x"}},
    "/v1/monitors/{monitor_id}/cancel": {},
    "/v1/monitors/{monitor_id}/trigger": {},
    "/v1beta/memory/retrieve": {"query": "otters", "limit": 5, "since": "2020-01-01T00:00:00Z"},
    "/v1beta/memory/clear": {"memory_scope_key": "scope"},
    "/v1beta/memory/evict": EVICT,
}
"""A good body for every operation that takes one."""

ODD_VALUES: Final[tuple[Any, ...]] = (
    None,
    True,
    -1,
    1.5,
    -(10**4299),
    1e308,
    "",
    "\x00\u2028²",
    "http://[",
    "9" * 5000,
    [[]],
    [None, 1, "a", {}],
    {"": {"": []}},
    {"type": []},
)
"""What stands in the place of each part of a good body in turn."""


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    pages = [
        Page("https://a.example/otters", "Otters", "# Otters\n\nOtters sleep in 1889 pools."),
        Page("http://[", "Malformed", "# Malformed\n\nThis page has no proper address at all."),
    ]
    with Sandbox(Corpus(pages), task_seconds=0, findall_seconds=0) as sandbox:
        yield sandbox


@pytest.fixture(autouse=True)
def contract_kept(wire_recorder: WireRecorder, contract: Contract) -> Iterator[None]:
    """Requests break the contract here on purpose; the responses must keep it all the same."""
    yield
    seen = {_sort(one): one for one in wire_recorder.take()}.values()
    wire_recorder.take_requests()
    found = [each for one in seen for each in contract.check_response(one)]
    # A run's input is shown as it was sent, and more event types are taken than the schema names.
    broken = [each for each in found if not each.place.endswith("/input")]
    assert not broken, "the contract is broken:\n" + "\n".join(map(str, dict.fromkeys(broken)))


def _sort(one: Exchange) -> object:
    """Refusals by an operation that differ in words or in what they quote alone are of a sort."""
    if one.accepted or one.content_type != "application/json":
        return one
    return one.method, one.path, one.status, _types(json.loads(one.response))


def _types(value: Any) -> object:
    if isinstance(value, dict):
        return tuple((name, name in ("input", "ctx") or _types(value[name])) for name in value)
    return frozenset(map(_types, value)) if isinstance(value, list) else type(value)


@dataclass(frozen=True)
class Response:
    """What the sandbox sent."""

    path: str
    status: int
    content_type: str
    content: bytes

    def json(self) -> Any:
        return json.loads(self.content)


class Client:
    """Sends what it is given as it is. Thousands of requests cost half as much as with httpx."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._http = HTTPConnection(sandbox.url.removeprefix("http://"), timeout=60)
        self._headers = {"x-api-key": sandbox.api_key, "parallel-beta": "findall-2025-09-15"}

    def request(self, method: str, path: str, content: bytes | None = None) -> Response:
        self._http.request(method, path, content, self._headers)
        response = self._http.getresponse()
        content_type = response.headers.get("content-type", "")
        return Response(path, response.status, content_type, response.read())

    def close(self) -> None:
        self._http.close()


@pytest.fixture(scope="module")
def client(running: Sandbox) -> Iterator[Client]:
    client = Client(running)
    yield client
    client.close()


@pytest.fixture(scope="module")
def known(client: Client) -> dict[str, str]:
    """Ids for the paths that name something."""
    return new_ids(client)


def new_ids(client: Client) -> dict[str, str]:
    return {
        "run_id": made(client, "/v1/tasks/runs", TASK)["run_id"],
        "taskgroup_id": made(client, "/v1/tasks/groups", {})["taskgroup_id"],
        "findall_id": made(client, "/v1beta/findall/runs", FINDALL)["findall_id"],
        "monitor_id": made(client, "/v1/monitors", MONITOR)["monitor_id"],
    }


def made(client: Client, path: str, body: Any) -> Any:
    response = client.request("POST", path, json.dumps(body).encode())
    assert response.status < 300, response.content
    return response.json()


def send(client: Client, path: str, content: bytes) -> Response:
    """Post something and read what comes of it, whatever it is."""
    response = client.request("POST", path, content)
    checked(response, content)
    if path.endswith("/v1/tasks/runs") and response.status == 202:
        run = f"{path}/{response.json()['run_id']}"
        for below in ("", "/input", "/result", "/events"):
            checked(client.request("GET", run + below), content)
    return response


def checked(response: Response, sent: object) -> None:
    said = f"{response.path} responds {response.status} to {sent!r:.500}"
    assert response.status < 500, said
    if response.content_type == "application/json":
        body = json.loads(response.content, parse_constant=lambda text: pytest.fail(said + text))
        if response.status >= 400:
            # Responses has OpenAI's envelope.
            error = body.get("error")
            is_openai = isinstance(error, dict) and "code" in error
            assert "detail" in body or is_openai or body["type"] == "error", said


def test_every_operation_that_takes_a_body_is_tried() -> None:
    assert {each.path for each in OPERATIONS if each.method == "POST"} == BODIES.keys()


@pytest.mark.parametrize("path", BODIES)
def test_a_good_body_is_good(path: str, client: Client, known: dict[str, str]) -> None:
    body = {**BODIES[path]}
    if path == "/v1beta/memory/evict":
        body["id"] = known["run_id"]
    ids = {**known, "monitor_id": made(client, "/v1/monitors", MONITOR)["monitor_id"]}
    response = send(client, path.format(**ids), json.dumps(body).encode())
    # The runs of this sandbox end at once, and what has ended cannot be cancelled.
    ended = path == "/v1beta/findall/runs/{findall_id}/cancel"
    assert response.status == 409 if ended else response.status < 300, response.content


WHOLE: Final[dict[str, bytes]] = {
    "empty": b"",
    "white space": b" \n",
    "a list": b"[]",
    "a text": b'"text"',
    "a number": b"1",
    "null": b"null",
    "cut off": b'{"objective": "otters',
    "not UTF-8": b'{"objective": "\xff\xfe"}',
    "UTF-16": '{"objective": "otters"}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"objective": "otters"}',
    "NaN": b'{"objective": NaN}',
    "minus infinity": b'{"metadata": {"a": -Infinity}}',
    "NaN alone": b"NaN",
    "an endless number": b"9" * 500_000,
    "deep lists": b"[" * 500_000,
    "deep lists, closed": b"[" * 5000 + b"]" * 5000,
    "deep objects": b'{"a":' * 100_000,
    "deep values": b'{"objective":' + b"[" * 3000 + b"]" * 3000 + b"}",
    "a lone surrogate": b'{"objective": "\\ud800"}',
    "a form": b"objective=otters",
}


@pytest.mark.parametrize("content", WHOLE.values(), ids=WHOLE)
def test_a_body_that_is_no_object(
    content: bytes, client: Client, known: dict[str, str], running: Sandbox
) -> None:
    billed = running.ledger.count()
    for path, good in BODIES.items():
        # Operations that need no body do not read it either.
        if good:
            response = send(client, path.format(**known), content)
            assert 400 <= response.status < 500
            assert response.json()
    assert running.ledger.count() == billed


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    parts: Any = ()
    if isinstance(value, dict):
        parts = value.items()
    elif isinstance(value, list):
        parts = enumerate(value)
    for name, part in parts:
        yield (*path, name)
        yield from places(part, (*path, name))


def changed(body: Any, place: tuple[Any, ...], value: Any) -> Any:
    new = copy.deepcopy(body)
    inner = new
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value
    return new


@pytest.mark.parametrize("path", BODIES)
def test_an_odd_value_in_every_place(path: str, client: Client, known: dict[str, str]) -> None:
    for place in places(BODIES[path]):
        for value in ODD_VALUES:
            text = json.dumps(changed(BODIES[path], place, value))
            send(client, path.format(**known), text.encode())


@pytest.mark.parametrize("path", [path for path in BODIES if BODIES[path]])
def test_what_is_no_json_is_refused_wherever_it_stands(
    path: str, client: Client, known: dict[str, str]
) -> None:
    for place in [*places(BODIES[path]), ("unknown",)]:
        for raw in ("NaN", "-Infinity", "1e999", '"\\udc00"'):
            text = json.dumps(changed(BODIES[path], place, "@")).replace('"@"', raw)
            assert send(client, path.format(**known), text.encode()).status == 422


@pytest.mark.parametrize("path", [path for path in BODIES if BODIES[path]])
def test_the_last_of_two_equal_keys_counts(
    path: str, client: Client, known: dict[str, str]
) -> None:
    good = json.dumps(BODIES[path])[1:-1]
    for name in BODIES[path]:
        twice = f'{{"{name}": [], {good}}}'.encode()
        once = f"{{{good}}}".encode()
        target = path.format(**known)
        statuses = {send(client, target, each).status for each in (twice, once)}
        assert len(statuses) == 1 or path.endswith("/enrich"), (path, name)


keywords = st.sampled_from(
    """$ref $defs definitions properties required additionalProperties items prefixItems allOf
    anyOf oneOf enum const type format pattern minimum maximum exclusiveMinimum exclusiveMaximum
    multipleOf minItems maxItems minLength maxLength description title default""".split()
)
values = st.one_of(
    st.sampled_from(
        [
            None, True, -1, 0, 1, 3, 1.5, 5e-324, 1e308, 10**400, "", "object", "array", "string",
            "number", "integer", "date", "email", "uri", "#", "#/properties/a", "#/$defs/²",
            "(a+)+$", "(", "\\d", "(?=a)", [], {}, ["a", "b"], ["object", "null"], [[]], [{}], "a",
        ]
    )
)  # fmt: skip
parts = st.recursive(
    values,
    lambda inner: st.one_of(
        st.dictionaries(keywords, inner, max_size=5),
        st.dictionaries(st.sampled_from(["a", "name", "otters", ""]), inner, max_size=3),
        st.lists(inner, max_size=3),
    ),
    max_leaves=12,
)
schemas = st.dictionaries(keywords, parts, max_size=6)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(schema=schemas, with_properties=st.booleans())
def test_any_object_given_as_a_schema(
    schema: dict[str, Any], with_properties: bool, client: Client, known: dict[str, str]
) -> None:
    if with_properties:
        schema = {"type": "object", "properties": {"a": schema, "otters": {"type": "string"}}}
    format_ = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    form = {"type": "json", "json_schema": schema}
    settings_ = {"query": "otters", "include_backfill": True, "output_schema": form}
    for path, body in {
        "/chat/completions": {**CHAT, "response_format": format_},
        "/v1/tasks/runs": {**TASK, "task_spec": {"output_schema": form}},
        "/v1beta/findall/runs/{findall_id}/enrich": {"output_schema": form},
        "/v1/monitors": {**MONITOR, "settings": settings_},
    }.items():
        target = path.format(**known)
        if "findall" in path:
            run = made(client, "/v1beta/findall/runs", FINDALL)
            target = path.format(findall_id=run["findall_id"])
        send(client, target, json.dumps(body).encode())


GREEDY: Final[dict[str, Any]] = {
    "a chain of references": {
        "$defs": {f"T{n}": {"anyOf": [{"$ref": f"#/$defs/T{n + 1}"}]} for n in range(3000)},
        "properties": {"a": {"$ref": "#/$defs/T0"}},
    },
    "a chain of references to merge": {
        "$defs": {f"T{n}": {"allOf": [{"$ref": f"#/$defs/T{n + 1}"}]} for n in range(3000)},
        "properties": {"a": {"$ref": "#/$defs/T0"}},
    },
    "arrays of arrays": {
        "properties": {
            "a": {
                "type": "array", "minItems": 1000,
                "items": {"type": "array", "minItems": 1000, "items": {"$ref": "#/properties/a"}},
            }
        }
    },
    "objects of objects": {
        "properties": {
            f"p{n}": {"type": "object", "properties": {f"p{m}": {"$ref": f"#/properties/p{m}"}
            for m in range(100)}, "required": [f"p{m}" for m in range(100)]} for n in range(100)
        },
    },
    "many fields": {"properties": {f"p{n}": {} for n in range(5000)}},
    "many required fields": {
        "properties": {"a": {
            "properties": {f"p{n}": {} for n in range(5000)},
            "required": [f"p{n}" for n in range(5000)],
        }}
    },
    "many choices": {"properties": {"a": {"enum": [f"choice {n}" for n in range(5000)]}}},
    "branches of branches": {
        "$defs": {
            f"T{n}": {"anyOf": [{"$ref": f"#/$defs/T{n + 1}"}, {"$ref": f"#/$defs/T{n + 1}"}]}
            for n in range(60)
        },
        "properties": {"a": {"$ref": "#/$defs/T0"}},
    },
    "a text of a gigabyte": {"properties": {"a": {"type": "string", "minLength": 10**9}}},
    "a billion items": {"properties": {"a": {"type": "array", "minItems": 10**9}}},
}  # fmt: skip


@pytest.mark.parametrize("schema", GREEDY.values(), ids=GREEDY)
def test_a_schema_that_asks_for_too_much_ends(schema: Any, client: Client) -> None:
    body = {**CHAT, "response_format": {"type": "json_schema", "json_schema": {"name": "x"}}}
    body["response_format"]["json_schema"]["schema"] = {"type": "object", **schema}
    response = send(client, "/chat/completions", json.dumps(body).encode())
    assert len(response.content) < 10_000_000


ODD_NUMBERS: Final = ["9" * 5000, "-1", "²", "nan", "1e999", ""]


@pytest.mark.parametrize("number", ODD_NUMBERS, ids=lambda number: ascii(number)[:9])
def test_odd_numbers_in_the_query(number: str, client: Client) -> None:
    known = new_ids(client)  # of which other tests have made nothing long
    for each in OPERATIONS:
        if each.method != "GET":
            continue
        path = each.path.format(**known)
        ids = [number, f"event_sandbox_{number}", f"run_sandbox_{number}"]
        ids += [f"{known['findall_id']}_event_{number}", f"before_sandbox_{number}"]
        for name in ("timeout", "last_event_id", "cursor", "limit"):
            for value in ids:
                # A wait of nothing, unless the number itself is the wait.
                query = {"timeout": "0", name: value}
                checked(client.request("GET", f"{path}?{urlencode(query)}"), query)


@pytest.mark.parametrize("each", OPERATIONS, ids=lambda each: f"{each.method} {each.path}")
def test_odd_ids_in_the_path(each: Any, client: Client) -> None:
    for odd in ("%00", "%ED%A0%80", "%FF", "..%2f", "x" * 5000, "%C2%B2", "%0A"):
        names = ("run_id", "taskgroup_id", "findall_id", "monitor_id")
        path = each.path.format(**dict.fromkeys(names, odd))
        checked(client.request(each.method, path, b"{}"), path)
