"""Structured output: every kind of schema, every model, and JSON as models write it."""

import json
import sys
from enum import Enum
from functools import reduce
from operator import add
from typing import Annotated, Any, NotRequired, Required

import pytest
from langchain.agents import create_agent
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable
from langchain_core.tools import tool
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from parallel_integrations import InvalidArgumentError
from parallel_integrations.langchain import ChatParallel
from parallel_integrations.langchain.structured_output import schema_violation
from parallel_integrations.models.output_schema import inlined
from parallel_integrations.sandbox import Sandbox
from tests.langchain.support import answer
from tests.support.connected import connection
from tests.support.requests import QUESTION

MODELS = ["speed", "lite", "base", "core"]


class Statement(BaseModel):
    """A statement of the language."""

    name: str = Field(description="its keyword")
    purpose: str


class StatementDict(TypedDict):
    """A statement of the language."""

    name: str
    purpose: str


JSON_SCHEMA: dict[str, Any] = {
    "title": "Statement",
    "description": "A statement of the language.",
    "type": "object",
    "properties": {"name": {"type": "string"}, "purpose": {"type": "string"}},
    "required": ["name", "purpose"],
}
FITTING = {"name": "with", "purpose": "Calls __enter__ and __exit__."}


def structured_chain(sandbox: Sandbox, schema: Any = Statement, **how: Any) -> Runnable[Any, Any]:
    return ChatParallel(**connection(sandbox)).with_structured_output(schema, **how)


@pytest.mark.parametrize("model", MODELS)
async def test_every_model_fills_a_class(sandbox: Sandbox, model: str) -> None:
    chain = ChatParallel(**connection(sandbox), model=model).with_structured_output(Statement)
    found = chain.invoke(QUESTION)
    assert isinstance(found, Statement)
    assert found.purpose
    assert await chain.ainvoke(QUESTION) == found
    assert list(chain.stream(QUESTION))[-1] == found
    assert [part async for part in chain.astream(QUESTION)][-1] == found
    sent = sandbox.requests[0].body
    assert sent["model"] == model
    assert sent["response_format"]["type"] == "json_schema"
    assert sent["response_format"]["json_schema"]["name"] == "Statement"
    assert sent["response_format"]["json_schema"]["schema"]["required"] == ["name", "purpose"]


@pytest.mark.parametrize("model", ["lite", "parallel"])
async def test_stop_sequences_do_not_cut_an_object(sandbox: Sandbox, model: str) -> None:
    cutting = ChatParallel(**connection(sandbox), model=model, stop=["e"])
    chain = cutting.with_structured_output(Statement)
    found = [chain.invoke(QUESTION), await chain.ainvoke(QUESTION)]
    found += [
        list(chain.stream(QUESTION))[-1],
        [part async for part in chain.astream(QUESTION)][-1],
    ]
    assert all(isinstance(each, Statement) for each in found)
    assert cutting.invoke(QUESTION).text == "Th"


@pytest.mark.parametrize("schema", [StatementDict, JSON_SCHEMA], ids=["TypedDict", "JSON schema"])
def test_dicts_for_dict_schemas(sandbox: Sandbox, schema: Any) -> None:
    chain = structured_chain(sandbox, schema)
    found = chain.invoke(QUESTION)
    assert found.keys() == {"name", "purpose"}
    assert list(chain.stream(QUESTION))[-1] == found


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="pydantic 1 classes end with Python 3.13")
def test_classes_of_pydantic_1(sandbox: Sandbox) -> None:
    from pydantic.v1 import BaseModel as OldModel

    class OldStatement(OldModel):
        name: str
        purpose: str

    found = structured_chain(sandbox, OldStatement).invoke(QUESTION)
    assert isinstance(found, OldStatement)
    assert structured_chain(sandbox, OldStatement).get_output_jsonschema()
    sandbox.faults.add(**answer('{"name": "with"}'))
    with pytest.raises(OutputParserException, match="purpose"):
        structured_chain(sandbox, OldStatement).invoke(QUESTION)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    "text",
    [
        json.dumps(FITTING),
        f"```json\n{json.dumps(FITTING, indent=2)}\n```",
        f"```\n{json.dumps(FITTING)}\n```\nHope this helps!",
        f"As the pages [1] say, {{roughly}}: {json.dumps(FITTING)} [2]",
        f'First {{"note": 1}}, then {json.dumps(FITTING)}',
        '{"name": "with", "purpose": "Calls __enter__\nand __exit__."}',
        json.dumps(json.dumps(FITTING)),
    ],
    ids=[
        "bare",
        "fenced",
        "fenced and chatty",
        "chatty",
        "second object",
        "line break in it",
        "encoded twice",
    ],
)
def test_json_is_found_in_fences_and_among_words(
    sandbox: Sandbox, text: str, streamed: bool
) -> None:
    for schema in (Statement, StatementDict, JSON_SCHEMA):
        sandbox.faults.add(**answer(text, streamed=streamed))
        chain = structured_chain(sandbox, schema)
        found = list(chain.stream(QUESTION))[-1] if streamed else chain.invoke(QUESTION)
        found = found.model_dump() if isinstance(found, Statement) else found
        assert found["name"] == "with"
        assert found["purpose"].startswith("Calls")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("I cannot say.", "holds no whole JSON object"),
        ('{"name": "with"}', "purpose"),
        ('{"name": 3, "purpose": "x"}', "name"),
        ('{"name": "with", "purpose": "Calls', "holds no whole JSON object"),
        ("[1, 2]", "holds no whole JSON object"),
    ],
)
@pytest.mark.parametrize(
    "schema", [Statement, StatementDict, JSON_SCHEMA], ids=["class", "TypedDict", "JSON schema"]
)
async def test_a_validation_error_is_a_parsing_error(
    sandbox: Sandbox, schema: Any, text: str, named: str
) -> None:
    sandbox.faults.add(times=2, **answer(text))
    sandbox.faults.add(times=2, **answer(text, streamed=True))
    chain = structured_chain(sandbox, schema)
    with pytest.raises(OutputParserException, match=named) as caught:
        chain.invoke(QUESTION)
    assert caught.value.llm_output == text
    assert "Statement" in str(caught.value)
    with pytest.raises(OutputParserException, match=named):
        await chain.ainvoke(QUESTION)
    with pytest.raises(OutputParserException, match=named):
        list(chain.stream(QUESTION))
    with pytest.raises(OutputParserException, match=named):
        [part async for part in chain.astream(QUESTION)]


async def test_include_raw_raises_nothing(sandbox: Sandbox) -> None:
    chain = structured_chain(sandbox, include_raw=True)
    found = chain.invoke(QUESTION)
    assert found.keys() == {"raw", "parsed", "parsing_error"}
    assert isinstance(found["raw"], AIMessage)
    assert isinstance(found["parsed"], Statement)
    assert found["parsing_error"] is None
    sandbox.faults.add(times=2, **answer("I cannot say."))
    for failed in (chain.invoke(QUESTION), await chain.ainvoke(QUESTION)):
        assert failed["raw"].text == "I cannot say."
        assert failed["parsed"] is None
        assert isinstance(failed["parsing_error"], OutputParserException)
    sandbox.faults.add(**answer("I cannot say.", streamed=True))
    *_, last = chain.stream(QUESTION)
    assert isinstance(last["parsing_error"], OutputParserException)


async def test_include_raw_streams_the_message(sandbox: Sandbox) -> None:
    chain = structured_chain(sandbox, include_raw=True)
    sandbox.faults.add(times=2, **answer(json.dumps(FITTING), streamed=True))
    awaited = [part async for part in chain.astream(QUESTION)]
    for parts in (list(chain.stream(QUESTION)), awaited):
        *pieces, last = parts
        assert len(pieces) > 3
        assert "".join(piece["raw"].text for piece in pieces) == json.dumps(FITTING)
        assert last == {"parsed": Statement(**FITTING), "parsing_error": None}
        whole = reduce(add, parts)
        assert (whole["raw"].text, whole["parsed"]) == (json.dumps(FITTING), last["parsed"])


@pytest.mark.parametrize("include_raw", [False, True])
async def test_arguments_of_a_call_reach_the_model(sandbox: Sandbox, include_raw: bool) -> None:
    chain = structured_chain(sandbox, include_raw=include_raw)
    chain.invoke(QUESTION, model="base")
    await chain.ainvoke(QUESTION, model="base")
    list(chain.stream(QUESTION, model="base"))
    chain.bind(model="base").invoke(QUESTION)
    assert [each.body["model"] for each in sandbox.requests] == ["base"] * 4


@pytest.mark.parametrize("include_raw", [False, True])
def test_a_chain_knows_its_output(sandbox: Sandbox, include_raw: bool) -> None:
    shown = structured_chain(sandbox, include_raw=include_raw).get_output_jsonschema()
    assert shown["type"] == "object"
    assert include_raw or shown["properties"].keys() == {"name", "purpose"}


def test_streaming_gives_growing_objects(sandbox: Sandbox) -> None:
    sandbox.faults.add(times=2, **answer(json.dumps(FITTING), streamed=True))
    dicts = list(structured_chain(sandbox, JSON_SCHEMA).stream(QUESTION))
    assert len(dicts) > 3
    assert dicts[0] != dicts[-1] == FITTING
    lengths = [len(str(one)) for one in dicts]
    assert lengths == sorted(lengths)
    objects = list(structured_chain(sandbox).stream(QUESTION))
    assert len(objects) > 1
    assert all(isinstance(one, Statement) for one in objects)
    assert objects[-1] == Statement(**FITTING)


def test_an_array_at_the_root(sandbox: Sandbox) -> None:
    schema = {
        "title": "Names",
        "description": "Names.",
        "type": "array",
        "items": {"type": "string"},
    }
    sandbox.faults.add(**answer('The names: ["with", "for"].'))
    assert structured_chain(sandbox, schema).invoke(QUESTION) == ["with", "for"]
    sandbox.faults.add(**answer("[1]"))
    with pytest.raises(OutputParserException, match=r"\[0\] is int, not string"):
        structured_chain(sandbox, schema).invoke(QUESTION)


def test_methods_and_strictness_are_sent(sandbox: Sandbox) -> None:
    sandbox.faults.add(**answer(json.dumps(FITTING)))
    structured_chain(sandbox, method="json_mode").invoke(QUESTION)
    structured_chain(sandbox, method="function_calling", strict=True).invoke(QUESTION)
    first, second = (request.body["response_format"] for request in sandbox.requests)
    assert first == {"type": "json_object"}
    assert second["json_schema"]["strict"] is True
    with pytest.raises(ValueError, match="'by_magic' must be one of json_schema"):
        structured_chain(sandbox, method="by_magic")
    with pytest.raises(ValueError, match="does not know tools"):
        structured_chain(sandbox, tools=[])


def test_an_agent_answers_with_a_schema(sandbox: Sandbox) -> None:
    agent = create_agent(ChatParallel(**connection(sandbox)), response_format=Statement)
    state = agent.invoke({"messages": [("human", QUESTION)]})
    assert isinstance(state["structured_response"], Statement)
    [request] = sandbox.requests  # one call: the provider's own way, no tool to answer with
    assert request.body["response_format"]["type"] == "json_schema"
    assert request.body["response_format"]["json_schema"]["name"] == "Statement"


class Colour(Enum):
    """No schema of an object."""

    RED = "red"


def test_an_enum_is_no_schema_of_an_object(sandbox: Sandbox) -> None:
    with pytest.raises(InvalidArgumentError, match="give a class with such a field"):
        structured_chain(sandbox, Colour)
    assert not sandbox.requests


class Unfinished:
    """A class whose author forgot what it should be based on."""

    name: str


class Empty(BaseModel):
    """One whose fields were forgotten."""


@pytest.mark.parametrize(
    ("schema", "why"),
    [(Unfinished, "are no fields"), ({}, "says nothing"), (Empty, "has no fields")],
)
def test_what_has_no_fields_is_no_schema(sandbox: Sandbox, schema: Any, why: str) -> None:
    with pytest.raises(InvalidArgumentError, match=why):
        structured_chain(sandbox, schema)
    assert not sandbox.requests


class Partial(TypedDict):
    """A statement of which little may be known."""

    name: Required[str]
    purpose: NotRequired[str]


def test_fields_of_a_typed_dict_may_be_missing(sandbox: Sandbox) -> None:
    chain = structured_chain(sandbox, Partial)
    sandbox.faults.add(**answer('{"name": "with"}'))
    assert chain.invoke(QUESTION) == {"name": "with"}
    sent = sandbox.requests[0].body["response_format"]["json_schema"]
    assert (sent["name"], sent["schema"]["required"]) == ("Partial", ["name"])
    sandbox.faults.add(**answer('{"purpose": "x"}'))
    with pytest.raises(OutputParserException, match="lacks 'name'"):
        chain.invoke(QUESTION)


async def test_a_schema_of_several_types(sandbox: Sandbox) -> None:
    chain = structured_chain(sandbox, {**JSON_SCHEMA, "type": ["object", "null"]})
    assert (await chain.ainvoke(QUESTION)).keys() == {"name", "purpose"}
    assert list(chain.stream(QUESTION))[-1].keys() == {"name", "purpose"}


def test_binding_tools_is_refused_plainly(sandbox: Sandbox) -> None:
    @tool
    def weather(place: str) -> str:
        """Give the weather."""
        return place

    model = ChatParallel(**connection(sandbox))
    with pytest.raises(ValueError, match="call no tools"):
        model.bind_tools([weather])
    with pytest.raises(ValueError, match="call no tools"):
        create_agent(model, tools=[weather]).invoke({"messages": [("human", QUESTION)]})
    bound = model.bind_tools([], response_format={"type": "json_object"})
    assert json.loads(bound.invoke(QUESTION).text)
    assert len(sandbox.requests) == 1


NESTED: dict[str, Any] = {
    "type": "object",
    "$defs": {
        "Part": {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}
    },
    "properties": {
        "parts": {"type": "array", "items": {"$ref": "#/$defs/Part"}},
        "kind": {"enum": ["a", "b"]},
        "maybe": {"anyOf": [{"type": "number"}, {"type": "null"}]},
        "one": {"const": 1},
        "both": {"allOf": [{"type": "object"}, {"required": ["x"]}]},
        "text": {"type": ["string", "null"]},
        "pair": {
            "type": "array",
            "prefixItems": [{"type": "string"}, {"type": "integer"}],
            "items": False,
        },
        "old": {"type": "integer", "nullable": True},
        "by_year": {
            "type": "object",
            "patternProperties": {"^[0-9]{4}$": {"type": "integer"}},
            "additionalProperties": False,
        },
    },
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ({}, None),
        ({"parts": [{"n": 1}, {"n": 2.0}], "maybe": None, "text": None, "one": 1}, None),
        ({"maybe": 1.5, "kind": "a", "both": {"x": 0}}, None),
        ({"parts": [{"n": 1}, {}]}, "parts[1] lacks 'n'"),
        ({"parts": [{"n": True}]}, "parts[0].n is bool, not integer"),
        ({"kind": "c"}, "kind is 'c', none of ['a', 'b']"),
        ({"maybe": "x"}, "maybe is str, not number"),
        ({"one": 2}, "one is 2, not 1"),
        ({"both": {}}, "both lacks 'x'"),
        ({"text": 1}, "text is int, not string or null"),
        ({"other": 1}, "other is not allowed"),
        ({"pair": ["a", 1]}, None),
        ({"pair": ["a", "b"]}, "pair[1] is str, not integer"),
        ({"pair": ["a", 1, 2]}, "pair[2] is not allowed"),
        ({"old": None, "by_year": {"2024": 1}}, None),
        ([], "it is list, not object"),
    ],
)
def test_values_that_fit_a_json_schema(value: Any, fault: str | None) -> None:
    assert schema_violation(value, inlined(NESTED)) == fault


class Counted(BaseModel):
    """A count that may be missing."""

    name: str
    count: int = 3
    tags: list[str] = []


class CountedDict(TypedDict):
    """A count that may be missing."""

    name: str
    count: Annotated[int, 3, "How many."]


COUNTED_SCHEMA = {
    "title": "Counted",
    "type": "object",
    "properties": {"name": {"type": "string"}, "count": {"type": "integer", "default": 3}},
    "required": ["name"],
}


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(("schema", "count"), [(Counted, 3), (CountedDict, 3), (COUNTED_SCHEMA, 3)])
def test_null_for_a_field_with_a_default_is_the_default(
    sandbox: Sandbox, schema: Any, count: int, streamed: bool
) -> None:
    """The schema that is sent lets the model say null where it found nothing."""
    sandbox.faults.add(**answer('{"name": "with", "count": null}', streamed=streamed))
    chain = structured_chain(sandbox, schema)
    found = list(chain.stream(QUESTION))[-1] if streamed else chain.invoke(QUESTION)
    found = found.model_dump() if isinstance(found, Counted) else found
    assert (found["name"], found.get("count")) == ("with", count)
    sandbox.faults.add(**answer('{"name": null, "count": 1}', streamed=streamed))
    with pytest.raises(OutputParserException, match="name"):
        list(chain.stream(QUESTION)) if streamed else chain.invoke(QUESTION)


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="pydantic 1 classes end with Python 3.13")
def test_null_means_the_default_for_a_class_of_pydantic_1(sandbox: Sandbox) -> None:
    from pydantic.v1 import BaseModel as OldModel

    class OldCounted(OldModel):
        name: str
        count: int = 3

    sandbox.faults.add(**answer('{"name": "with", "count": null}'))
    assert structured_chain(sandbox, OldCounted).invoke(QUESTION).count == 3


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_texts_of_an_object_are_texts_that_stores_take(sandbox: Sandbox, streamed: bool) -> None:
    text = '\ufeff{"name": "a\\u0000b", "purpose": "\\ud83d and \\ud83d\\ude00"}'
    sandbox.faults.add(**answer(text, streamed=streamed))
    chain = structured_chain(sandbox, Statement)
    found = list(chain.stream(QUESTION))[-1] if streamed else chain.invoke(QUESTION)
    assert (found.name, found.purpose) == ("a\ufffdb", "\ufffd and \U0001f600")
