import json
from typing import Any

import httpx
import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parallel_integrations.sandbox import Corpus, Page, Sandbox
from parallel_integrations.sandbox.answering.schema_filler import Filler
from parallel_integrations.sandbox.answering.sentences import gather
from parallel_integrations.sandbox.web.index import Index

PAGES = [
    Page(
        "https://towers.example/tall",
        "The tall tower",
        "# The tall tower\n\nThe tall tower has a height of 324 metres and was built in 1889. "
        "Its architect preferred iron to stone.\n\nVisitors of the tall tower climb 1665 steps.",
    ),
    Page(
        "https://towers.example/leaning",
        "The leaning tower",
        "# The leaning tower\n\nThe leaning tower has a height of 57.5 metres. It leans by "
        "almost four degrees because the ground below the tower is soft.",
    ),
]
INDEX = Index(Corpus(PAGES))
QUESTION = "What height does the tall tower have?"


def fill(schema: Any, question: str = QUESTION) -> Any:
    return Filler(schema, gather(INDEX, question)).whole()


def obj(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


NODE = {
    "$defs": {
        "Node": {
            "type": "object",
            "properties": {
                "text": {"type": "string"},
                "next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]},
                "children": {"type": "array", "items": {"$ref": "#/$defs/Node"}},
                "twin": {"$ref": "#/$defs/Node"},
            },
            "required": ["text", "next", "children"],
        }
    },
    "$ref": "#/$defs/Node",
}
SCHEMAS = [
    {},
    {"type": "object"},
    obj(height={"type": "integer"}, note={"type": "string"}),
    obj(
        height={"type": "number", "minimum": 1000}, ratio={"type": "number", "exclusiveMaximum": 0}
    ),
    obj(n={"type": "integer", "minimum": 7, "multipleOf": 5}),
    obj(n={"type": ["integer", "null"], "minimum": 10_000_000}),
    obj(flag={"type": "boolean"}, maybe={"type": ["boolean", "null"]}, none={"type": "null"}),
    obj(short={"type": "string", "maxLength": 12}, long={"type": "string", "minLength": 150}),
    obj(both={"type": "string", "minLength": 10, "maxLength": 15}),
    obj(kind={"enum": ["tower", "bridge"]}, other={"enum": ["x", None]}, last={"enum": [3, 4]}),
    obj(fixed={"const": {"a": 1}}),
    obj(items={"type": "array", "items": obj(name={"type": "string"}), "minItems": 2}),
    obj(few={"type": "array", "items": {"type": "string"}, "maxItems": 1}),
    obj(unique={"type": "array", "items": {"enum": ["tower", "x"]}, "uniqueItems": True}),
    obj(
        pair={
            "type": "array",
            "prefixItems": [{"type": "string"}, {"type": "integer"}],
            "items": False,
        }
    ),
    obj(day={"type": "string", "format": "date"}, link={"type": "string", "format": "uri"}),
    obj(
        either={"oneOf": [{"type": "integer"}, {"type": "null"}]},
        any={"anyOf": [{"type": "string"}]},
    ),
    obj(merged={"allOf": [obj(a={"type": "string"}), obj(b={"type": "integer"})]}),
    obj(old={"type": "integer", "minimum": 5, "exclusiveMinimum": 7}),
    {"type": "object", "required": ["unnamed"], "additionalProperties": {"type": "string"}},
    {"type": "array", "items": {"type": "string"}, "minItems": 5},
    {"type": "string"},
    {"type": "object", "additionalProperties": {"type": "integer"}},
    NODE,
]


@pytest.mark.parametrize("question", [QUESTION, "zxqv"])
@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: json.dumps(schema)[:60])
def test_the_result_is_valid(schema: dict[str, Any], question: str) -> None:
    jsonschema.validate(fill(schema, question), _with_null_in_enums(schema))


def _with_null_in_enums(part: Any) -> Any:
    if isinstance(part, dict):
        part = {name: _with_null_in_enums(value) for name, value in part.items()}
        return {**part, "enum": [*part["enum"], None]} if "enum" in part else part
    return [_with_null_in_enums(each) for each in part] if isinstance(part, list) else part


def test_an_enum_of_which_nothing_is_found_is_null() -> None:
    schema = obj(kind={"type": "string", "enum": ["airship", "submarine"]})
    assert fill(schema) == {"kind": None}


@pytest.mark.parametrize("name", ["citations", "sources", "references", "urls"])
def test_fields_for_citations_hold_urls(name: str) -> None:
    values = fill(obj(**{name: {"type": "array", "items": {"type": "string"}}}))[name]
    assert values
    assert all(value.startswith("https://") for value in values)


def test_a_pattern_is_looked_for_in_the_pages() -> None:
    assert fill(obj(year={"type": "string", "pattern": r"^\d{4}$"})) == {"year": "1665"}
    assert fill(obj(text={"type": "string", "pattern": "("}))["text"], "no pattern at all"


N = 200_000
"""So long that anything quadratic would take minutes, past the time a test has."""


@pytest.mark.parametrize(
    "pattern", ["(a+)+$", "(\\w|\\w)*!$", "^(([a-z ])+.)+[A-Z]([a-z])+$", "x*x*x*$"]
)
def test_no_pattern_takes_more_than_linear_time(pattern: str) -> None:
    page = Page("https://a.example/", "A", f"Otters are {'a' * 400}, really.\n\n{'ax ' * N}")
    evidence = gather(Index(Corpus([page])), "otters")
    schema = obj(text={"type": ["string", "null"], "pattern": pattern})
    assert Filler(schema, evidence).whole().keys() == {"text"}


LONG_MESSAGES = [
    "\n" * N,
    "query" + " " * N,
    "\n \t" * N,
    "question:" * N,
    "query" + "\n" * N + ":",
    " " * N + "x",
]


@pytest.mark.parametrize("content", LONG_MESSAGES, ids=lambda text: repr(text[:9]))
def test_long_messages_get_a_completion(http: httpx.Client, content: str) -> None:
    messages = [{"role": "user", "content": content}]
    body = {"model": "speed", "messages": messages, "stream": True}
    assert http.post("/chat/completions", json=body, timeout=60).status_code == 200


def test_long_constants_are_streamed(http: httpx.Client) -> None:
    schema = obj(a={"const": " " * N}, b={"const": "x" * N})
    assert ask(http, named(schema), stream=True).status_code == 200


LONG_OBJECTIVES = [(text * N)[:N] for text in (", and a", "find all ", "that ", "x", "with ")]


@pytest.mark.parametrize("text", LONG_OBJECTIVES, ids=lambda text: repr(text[:9]))
def test_long_objectives_are_taken_apart(http: httpx.Client, text: str) -> None:
    headers = {"parallel-beta": "findall-2025-09-15"}
    response = http.post(
        "/v1beta/findall/ingest", json={"objective": text}, headers=headers, timeout=60
    )
    assert response.status_code == 200
    body = {"objective": text, "entity_type": "people", "match_limit": 5}
    response = http.post("/v1beta/findall/entity-search", json=body, timeout=60)
    assert response.status_code == 200


simple = st.one_of(
    st.just({"type": "string"}),
    st.builds(lambda n: {"type": "string", "maxLength": n}, st.integers(0, 30)),
    st.builds(lambda n: {"type": "integer", "minimum": n}, st.integers(-99, 9999)),
    st.builds(lambda n: {"type": "number", "exclusiveMaximum": n}, st.integers(-99, 99)),
    st.sampled_from([{"type": "boolean"}, {"type": "null"}, {"enum": ["tower", 2]}, {}]),
)
schemas = st.recursive(
    simple,
    lambda inner: st.one_of(
        st.dictionaries(st.sampled_from(["height", "name", "x"]), inner).map(lambda p: obj(**p)),
        st.builds(
            lambda items, least: {"type": "array", "items": items, "minItems": least},
            inner,
            st.integers(0, 4),
        ),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"anyOf": parts}),
    ),
    max_leaves=8,
)


@given(schemas, st.sampled_from([QUESTION, "zxqv"]))
def test_any_schema_is_filled_validly(schema: dict[str, Any], question: str) -> None:
    jsonschema.validate(fill(schema, question), schema)


def test_values_come_from_the_pages() -> None:
    found = fill(
        obj(
            height={"type": "number"},
            steps={"type": "integer"},
            population={"type": ["integer", "null"]},
            title={"type": "string"},
            url={"type": "string"},
            kind={"enum": ["bridge", "tower"]},
            weight={"type": "integer"},
        )
    )
    assert found == {
        "height": 324,
        "steps": 1665,
        "population": None,
        "title": "The tall tower",
        "url": "https://towers.example/tall",
        "kind": "tower",
        "weight": 0,
    }


def test_nothing_found_is_null_or_empty() -> None:
    schema = obj(
        text={"type": "string"},
        maybe={"type": ["string", "null"]},
        items={"type": "array", "items": {"type": "string"}},
    )
    assert fill(schema, "zxqv") == {"text": "", "maybe": None, "items": []}


def test_a_recursion_ends() -> None:
    found = fill(NODE)
    assert found["next"] is None
    assert found["children"] == []
    assert "twin" not in found


def test_schemas_that_only_refer_to_each_other_end() -> None:
    names = [f"T{n}" for n in range(9)]
    refs = {name: {"$ref": f"#/$defs/{name}"} for name in names}
    schema = {"$defs": {name: obj(**refs) for name in names}, "$ref": "#/$defs/T0"}
    fill(schema)


def ask(http: httpx.Client, response_format: Any, **more: Any) -> httpx.Response:
    messages = [{"role": "user", "content": "What does the with statement do?"}]
    return http.post(
        "/chat/completions",
        timeout=60,
        json={"model": "lite", "messages": messages, "response_format": response_format, **more},
    )


def named(schema: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


def test_every_field_has_its_basis(http: httpx.Client, sandbox: Sandbox) -> None:
    schema = obj(summary={"type": "string"}, year={"type": ["integer", "null"]})
    payload = ask(http, named(schema)).json()

    content = json.loads(payload["choices"][0]["message"]["content"])
    assert [basis["field"] for basis in payload["basis"]] == ["summary", "year"]
    summary, year = payload["basis"]
    [citation] = summary["citations"]
    assert " ".join(citation["excerpts"][0].split()) == content["summary"]
    assert (content["year"], year["citations"]) == (None, [])


@pytest.mark.parametrize(
    "response_format",
    [
        {"type": "json_object"},
        {"type": "json_schema", "json_schema": {"name": "x"}},
        named({"type": "object", "properties": {"answer": {"type": "string"}}}),
    ],
)
def test_json_also_streams_as_partial_text(http: httpx.Client, response_format: Any) -> None:
    plain = ask(http, response_format).json()["choices"][0]["message"]["content"]
    frames = ask(http, response_format, stream=True, model="speed").text.strip().split("\n\n")
    chunks = [json.loads(frame.removeprefix("data: ")) for frame in frames[:-1]]

    assert "with" in json.loads(plain)["answer"]
    assert "".join(c["choices"][0]["delta"]["content"] for c in chunks) == plain
    assert len(chunks) >= 8
    assert chunks[-1]["basis"] == [], "speed names no basis"


def test_plain_text_may_be_requested(http: httpx.Client) -> None:
    payload = ask(http, {"type": "text"}).json()
    assert payload["choices"][0]["message"]["content"].startswith("The sandbox's pages say")


@pytest.mark.parametrize("schema", [{"properties": []}, {"type": "object", "required": 3}])
def test_what_is_no_schema_is_refused(http: httpx.Client, schema: Any) -> None:
    response = ask(http, named(schema))
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"][1] == "response_format"
