"""Every form in which people have a schema is understood, or refused before anything is sent."""

import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

import pytest
from langchain_core.exceptions import OutputParserException
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from parallel_integrations import (
    ChatRequest,
    CreateTaskRunRequest,
    EnrichFindallRequest,
    InvalidArgumentError,
    ParallelClient,
    RespondRequest,
)
from parallel_integrations.langchain import ChatParallel
from parallel_integrations.llama_index import ParallelLLM
from parallel_integrations.sandbox import Sandbox
from tests.support.requests import QUESTION

TURN: Final = {"role": "user", "content": QUESTION}
SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "purpose": {"type": "string"}},
    "required": ["name", "purpose"],
    "additionalProperties": False,
}
NAMED: Final = {"name": "statement", "schema": SCHEMA}
FUNCTION: Final = {"name": "statement", "description": "A statement.", "parameters": SCHEMA}
FORMS: Final[dict[str, dict[str, Any]]] = {
    "schema": SCHEMA,
    "name and schema": NAMED,
    "strict": {**NAMED, "strict": True, "description": "A statement."},
    "json_schema": {"type": "json_schema", "json_schema": NAMED},
    "flat json_schema": {"type": "json_schema", **NAMED},
    "function": FUNCTION,
    "tool": {"type": "function", "function": FUNCTION},
    "flat tool": {"type": "function", **FUNCTION},
    "input_schema": {"name": "statement", "description": "x", "input_schema": SCHEMA},
    "Parallel's own": {"type": "json", "json_schema": SCHEMA},
    "without its type": {"json_schema": SCHEMA},
}
DANGLING: Final = [
    {"type": "object", "properties": {"name": {"$ref": reference}}, "$defs": {"Name": {}}}
    for reference in (
        "#/$defs/Nam",
        "#/properties/name/anyOf/1",
        "#Name",
        "https://schema.example/name#/$defs/Name",
    )
]
NONE_OF_THEM: Final[list[dict[str, Any]]] = [
    {"name": "statement"},
    {"type": {"other": 1}},
    {"type": [["object"]]},
    {"name": "statement", "fields": ["name"]},
    {"type": "json_schema"},
    {"type": "json_schema", "json_schema": {"name": "statement"}},
    {"type": "function", "name": "statement"},
    {"name": "string", "purpose": "string"},
]
every_form = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)


class Tree(BaseModel):
    name: str
    children: "list[Tree]" = []


class Forest(BaseModel):
    trees: list[Tree]


class TreeDict(TypedDict):
    name: str
    children: "list[TreeDict]"


@dataclass
class TreeData:
    name: str
    children: "list[TreeData]"


class Name(BaseModel):
    name: str


class Pair(BaseModel):
    first: Name


@dataclass
class NameData:
    name: str


@dataclass
class PairData:
    first: NameData


class Statement(BaseModel):
    """A statement of the language."""

    name: str
    purpose: str


@dataclass
class StatementData:
    """A statement of the language."""

    name: str
    purpose: str


class StatementDict(TypedDict):
    """A statement of the language."""

    name: str
    purpose: str


def foreign_classes() -> list[Any]:
    """Classes of other kinds than pydantic 2's."""
    found: list[Any] = [StatementData, StatementDict]
    if sys.version_info < (3, 14):
        from pydantic.v1 import BaseModel as OldModel

        class OldStatement(OldModel):
            name: str
            purpose: str

        found.append(OldStatement)
    return found


def sent_schema(sandbox: Sandbox) -> Any:
    sent = sandbox.requests[-1].body["response_format"]
    assert sent["type"] == "json_schema"
    assert sent["json_schema"]["name"]
    return sent["json_schema"]["schema"]


@every_form
def test_a_chat_model_takes_every_form(sandbox: Sandbox, form: dict[str, Any]) -> None:
    model = ChatParallel(api_key=sandbox.api_key, base_url=sandbox.url)
    found = model.with_structured_output(form).invoke(QUESTION)
    assert isinstance(found, dict)
    assert found.keys() == {"name", "purpose"}
    assert sent_schema(sandbox) == SCHEMA
    if "name" in str(form.keys()):
        assert sandbox.requests[-1].body["response_format"]["json_schema"]["name"] == "statement"


@every_form
def test_a_response_format_takes_every_form(sandbox: Sandbox, form: dict[str, Any]) -> None:
    model = ChatParallel(api_key=sandbox.api_key, base_url=sandbox.url)
    model.invoke(QUESTION, response_format=form)
    assert sent_schema(sandbox) == SCHEMA
    ParallelLLM(api_key=sandbox.api_key, base_url=sandbox.url).complete(
        QUESTION, response_format=form
    )
    assert sent_schema(sandbox) == SCHEMA


@every_form
def test_a_task_takes_every_form(form: dict[str, Any]) -> None:
    wire = {"type": "json", "json_schema": SCHEMA}
    request = CreateTaskRunRequest(input="x", output_schema=form, input_schema=form)
    assert request.body("v1")["task_spec"] == {"output_schema": wire, "input_schema": wire}
    assert EnrichFindallRequest(output_schema=form).body("v1")["output_schema"] == wire


def test_classes_of_other_kinds_give_their_schema(sandbox: Sandbox) -> None:
    model = ChatParallel(api_key=sandbox.api_key, base_url=sandbox.url)
    for schema in foreign_classes():
        found: Any = model.with_structured_output(schema).invoke(QUESTION)
        found = found if isinstance(found, dict) else found.dict()
        assert found.keys() == {"name", "purpose"}
        assert sent_schema(sandbox)["required"] == ["name", "purpose"]
        body = CreateTaskRunRequest(input="x", output_schema=schema).body("v1")
        assert body["task_spec"]["output_schema"]["json_schema"]["required"] == ["name", "purpose"]
    assert ChatRequest(messages=[TURN], response_format=Statement).response_format == {
        "type": "json_schema",
        "json_schema": {
            "name": "Statement",
            "schema": {**SCHEMA, "description": "A statement of the language."},
        },
    }


@pytest.mark.parametrize("form", NONE_OF_THEM, ids=str)
def test_what_is_no_schema_is_refused_unsent(
    sandbox: Sandbox, client: ParallelClient, form: dict[str, Any]
) -> None:
    model = ChatParallel(client=client)
    for refused in (
        lambda: model.with_structured_output(form),
        lambda: ChatRequest(messages=[TURN], response_format=form),
        lambda: CreateTaskRunRequest(input="x", output_schema=form),
        lambda: model.invoke(QUESTION, response_format=form),
        lambda: ParallelLLM(client=client).complete(QUESTION, response_format=form),
    ):
        with pytest.raises(InvalidArgumentError, match="is no JSON schema: give one"):
            refused()
    assert not sandbox.requests


@pytest.mark.parametrize("schema", DANGLING, ids=lambda each: each["properties"]["name"]["$ref"])
def test_a_reference_to_nothing_is_refused_unsent(
    sandbox: Sandbox, client: ParallelClient, schema: dict[str, Any]
) -> None:
    model = ChatParallel(client=client)
    wire = {"type": "json_schema", "name": "statement", "schema": schema}
    for refused in (
        lambda: model.with_structured_output(schema),
        lambda: model.invoke(QUESTION, response_format={"name": "statement", "schema": schema}),
        lambda: ParallelLLM(client=client).complete(QUESTION, response_format=schema),
        lambda: CreateTaskRunRequest(input="x", output_schema=schema),
        lambda: CreateTaskRunRequest(
            input="x", output_schema={"type": "json", "json_schema": schema}
        ),
        lambda: RespondRequest(input="x", text_format=wire),
    ):
        with pytest.raises(InvalidArgumentError, match="leads to nothing in it"):
            refused()
    assert not sandbox.requests


def _nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"inner": schema}}
    return schema


def _doubling(levels: int) -> dict[str, Any]:
    definitions = {
        f"D{level}": {
            "type": "object",
            "properties": {name: {"$ref": f"#/$defs/D{level + 1}"} for name in ("one", "other")},
        }
        for level in range(levels)
    }
    definitions[f"D{levels}"] = {"type": "string"}
    return {"type": "object", "properties": {"a": {"$ref": "#/$defs/D0"}}, "$defs": definitions}


@pytest.mark.parametrize("schema", [_nested(3000), _doubling(40)], ids=["deep", "doubling"])
def test_a_schema_without_measure_is_refused_unsent(
    sandbox: Sandbox, client: ParallelClient, schema: dict[str, Any]
) -> None:
    wire = {"type": "json_schema", "name": "statement", "schema": schema}
    for refused in (
        lambda: ChatParallel(client=client).with_structured_output(schema),
        lambda: ParallelLLM(client=client).complete(QUESTION, response_format=schema),
        lambda: CreateTaskRunRequest(input="x", output_schema=schema),
        lambda: RespondRequest(input="x", text_format=wire),
    ):
        with pytest.raises(InvalidArgumentError, match=r"nested too deeply|15000 parts|depth"):
            refused()
    assert not sandbox.requests


def test_definitions_take_the_place_of_references(sandbox: Sandbox, client: ParallelClient) -> None:
    text, value = {"type": "string"}, {"const": {"$ref": "a value"}}
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {
            "a/b": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/Text"}]},
            "again": {"$ref": "#/properties/a~1b/anyOf/1", "description": "Once more."},
            "$ref": {"$ref": "#/%24defs/Alias"},
            "discriminator": {
                "oneOf": [{"$ref": "#/$defs/Text"}],
                "discriminator": {"propertyName": "kind", "mapping": {"t": "#/$defs/Text"}},
            },
            "definitions": value,
        },
        "$defs": {"Text": text, "Alias": {"$ref": "#/$defs/Text"}},
    }
    sent = {
        "type": "object",
        "properties": {
            "a/b": {"anyOf": [{"type": "null"}, text]},
            "again": {**text, "description": "Once more."},
            "$ref": text,
            "discriminator": {"oneOf": [text]},
            "definitions": value,
        },
    }
    model = ChatParallel(client=client)
    model.with_structured_output(schema).invoke(QUESTION)
    assert sent_schema(sandbox) == sent
    model.invoke(QUESTION, response_format={"name": "statement", "schema": schema})
    assert sent_schema(sandbox) == sent
    wrapped = {"type": "json_schema", "json_schema": {"name": "statement", "schema": schema}}
    ParallelLLM(client=client).complete(QUESTION, response_format=wrapped)
    assert sent_schema(sandbox) == sent
    for form in (schema, {"type": "json", "json_schema": schema}):
        body = CreateTaskRunRequest(input="x", output_schema=form).body("v1")
        assert body["task_spec"]["output_schema"] == {"type": "json", "json_schema": sent}
    text_format = {"type": "json_schema", "name": "statement", "schema": schema}
    assert RespondRequest(input="x", text_format=text_format).body("v1")["text"] == {
        "format": {**text_format, "schema": sent}
    }


def test_a_class_that_contains_itself_is_refused_unsent(
    sandbox: Sandbox, client: ParallelClient
) -> None:
    model: Any = ChatParallel(client=client)
    for schema in (Tree, TreeDict, TreeData, Forest, Tree.model_json_schema()):
        with pytest.raises(InvalidArgumentError, match=r"Tree\w* contains itself"):
            model.with_structured_output(schema)
    assert not sandbox.requests


def test_a_union_is_sent_without_what_its_references_were_for(
    sandbox: Sandbox, client: ParallelClient
) -> None:
    class Text(BaseModel):
        kind: Literal["text"]

    class Number(BaseModel):
        kind: Literal["number"]

    class Value(BaseModel):
        value: Annotated[Text | Number, Field(discriminator="kind")]

    model = ChatParallel(client=client)
    for schema in (Value, Value.model_json_schema()):
        with suppress(OutputParserException):
            model.with_structured_output(schema).invoke(QUESTION)
        assert "$defs" not in str(sent_schema(sandbox))


def test_nested_classes_of_every_kind_are_sent_alike(
    sandbox: Sandbox, client: ParallelClient
) -> None:
    model = ChatParallel(client=client)
    for schema in (Pair, PairData):
        model.with_structured_output(schema).invoke(QUESTION)
        first = sent_schema(sandbox)["properties"]["first"]
        assert first["properties"]["name"]["type"] == "string"


def test_what_is_no_class_for_an_object_is_refused_unsent(
    sandbox: Sandbox, client: ParallelClient
) -> None:
    from llama_index.core.prompts import PromptTemplate

    llm: Any = ParallelLLM(client=client)
    for wrong in [*foreign_classes(), NAMED, int]:
        with pytest.raises(InvalidArgumentError, match="must be a pydantic class"):
            llm.structured_predict(wrong, PromptTemplate(QUESTION))
    model: Any = ChatParallel(client=client)
    for wrong in (int, 7, "a statement", [Statement]):
        with pytest.raises(InvalidArgumentError, match="cannot be the schema of an object"):
            model.with_structured_output(wrong)
    with pytest.raises(InvalidArgumentError, match="json_mode"):
        model.with_structured_output(None)
    assert not sandbox.requests


def test_any_object_needs_no_schema(sandbox: Sandbox) -> None:
    model = ChatParallel(api_key=sandbox.api_key, base_url=sandbox.url)
    chain = model.with_structured_output(None, method="json_mode")
    sandbox.faults.add(
        body={"choices": [{"message": {"role": "assistant", "content": '{"a": 1}'}}]}, status=200
    )
    assert chain.invoke(QUESTION) == {"a": 1}
    assert sandbox.requests[-1].body["response_format"] == {"type": "json_object"}
