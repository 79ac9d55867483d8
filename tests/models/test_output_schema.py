"""Output schemas: a class becomes what the API accepts, the output becomes the class."""

import warnings
from datetime import date
from enum import Enum
from typing import Annotated, Any, Literal

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    create_model,
    field_validator,
)

from parallel_integrations import CreateTaskRunRequest, TaskSettings
from parallel_integrations.errors import InvalidArgumentError
from parallel_integrations.models import SchemaWarning
from parallel_integrations.models.output_schema import (
    UNSUPPORTED,
    class_schema,
    parse_output,
    wire_schema,
)


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Person(BaseModel):
    """Someone."""

    name: str = Field(description="Full name.")
    age: int | None = None


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"]
    good: bool = True


class Company(BaseModel):
    """A company."""

    founded: int
    ceo: Person = Field(description="Who leads it.")
    staff: list[Person]
    color: Color = Color.RED
    deputy: Person | None = Field(default=None, description="Who else.")
    tags: list[str] = []
    pet: Annotated[Cat | Dog, Field(discriminator="kind")] | None = None
    pattern: str = Field(default="x", description="A field may be called like a keyword.")
    numbers: dict[str, int] = {}


def walk(node: Any) -> Any:
    """Every object of a schema that is a schema."""
    if isinstance(node, dict):
        yield node
        for name, value in node.items():
            if name == "properties":
                for field in value.values():
                    yield from walk(field)
            elif name not in ("enum", "examples"):
                yield from walk(value)
    elif isinstance(node, list):
        for item in node:
            yield from walk(item)


def check_rules(schema: dict[str, Any]) -> None:
    """What the API documents about schemas."""
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["type"] == "object"
    for node in walk(schema):
        assert not node.keys() & {*UNSUPPORTED, "$ref", "$defs", "default", "title", "const"}
        if "properties" in node:
            assert node["required"] == list(node["properties"])
            assert node["additionalProperties"] is False


def test_a_class_becomes_what_the_api_accepts() -> None:
    schema = class_schema(Company)
    check_rules(schema)
    fields = schema["properties"]
    assert schema["description"] == "A company."
    assert fields["founded"] == {"type": "integer"}
    assert fields["ceo"]["description"] == "Who leads it."
    assert fields["ceo"]["properties"]["age"] == {"anyOf": [{"type": "integer"}, {"type": "null"}]}
    assert fields["staff"]["items"]["required"] == ["name", "age"]
    assert fields["color"] == {"type": ["string", "null"], "enum": ["red", "blue", None]}
    assert fields["deputy"]["description"] == "Who else."
    assert fields["deputy"]["anyOf"][1] == {"type": "null"}
    assert fields["tags"] == {
        "anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}]
    }
    assert fields["pattern"]["type"] == ["string", "null"]
    assert "discriminator" not in str(schema)
    assert fields["numbers"]["anyOf"][0]["additionalProperties"] == {"type": "integer"}


def test_what_the_api_does_not_know_is_dropped_with_a_warning() -> None:
    class Strict(BaseModel):
        code: str = Field(pattern="^a", min_length=1)
        share: float = Field(ge=0, lt=1, multiple_of=0.5)
        when: date
        few: list[int] = Field(max_length=3)

    with pytest.warns(SchemaWarning) as caught:
        settings = TaskSettings(output_schema=Strict)
    [warning] = caught
    for keyword in (
        "pattern",
        "minLength",
        "minimum",
        "exclusiveMaximum",
        "multipleOf",
        "format",
        "maxItems",
    ):
        assert keyword in str(warning.message)
    assert "Strict" in str(warning.message)
    assert warning.filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        schema = wire_schema(Strict)
    assert isinstance(schema, dict)
    check_rules(schema["json_schema"])
    assert settings.output_schema is Strict
    parsed, validation_error = parse_output(
        {"code": "b", "share": 0.5, "when": "2026-05-02", "few": []}, Strict
    )
    assert parsed is None
    assert validation_error == "code: String should match pattern '^a'"


def test_a_deep_class_is_warned_about() -> None:
    inner: type[BaseModel] = Person
    for depth in range(5):
        inner = create_model(f"Level{depth}", below=(inner, ...))
    with pytest.warns(SchemaWarning, match="6 levels deep"):
        CreateTaskRunRequest(input="q", output_schema=inner)


class Node(BaseModel):
    children: list["Node"] = []


class Left(BaseModel):
    right: "Right | None"


class Right(BaseModel):
    left: Left


@pytest.mark.parametrize("cls", [Node, Left, Right])
def test_a_class_that_contains_itself_is_refused(cls: type[BaseModel]) -> None:
    with pytest.raises(InvalidArgumentError, match="contains itself"):
        CreateTaskRunRequest(input="q", output_schema=cls)


def test_a_class_without_fields_is_refused() -> None:
    class Empty(BaseModel):
        pass

    class Open(BaseModel, extra="allow"):
        pass

    with pytest.raises(InvalidArgumentError, match="Empty has no fields"):
        TaskSettings(output_schema=Empty)
    assert TaskSettings(output_schema=Open).output_schema is Open


def test_a_class_may_occur_twice() -> None:
    class Pair(BaseModel):
        one: Person
        other: Person

    check_rules(class_schema(Pair))


def test_a_class_without_a_schema_is_refused() -> None:
    class Odd(BaseModel):
        model_config = ConfigDict(arbitrary_types_allowed=True)
        what: object = Field(default_factory=object)
        how: type[int] | complex | None = None
        thing: warnings.catch_warnings  # type: ignore[type-arg]

    with pytest.raises(InvalidArgumentError, match="no JSON schema"):
        CreateTaskRunRequest(input="q", output_schema=Odd)


def test_values_within_a_schema_are_left_alone() -> None:
    class Odd(BaseModel):
        field: dict[str, str] = Field(examples=[{"format": "x", "title": "y"}])

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        request = CreateTaskRunRequest(input="q", output_schema=Odd)
    spec = request.body("v1")["task_spec"]["output_schema"]["json_schema"]
    assert spec["properties"]["field"]["examples"] == [{"format": "x", "title": "y"}]


@pytest.mark.parametrize(
    ("schema", "wire"),
    [
        ("A year.", "A year."),
        ({"type": "text", "description": "d"}, {"type": "text", "description": "d"}),
        ({"type": "auto"}, {"type": "auto"}),
        (
            {"type": "json", "json_schema": {"type": "object"}},
            {"type": "json", "json_schema": {"type": "object"}},
        ),
        (
            {"type": "object", "properties": {}},
            {"type": "json", "json_schema": {"type": "object", "properties": {}}},
        ),
        ({"properties": {}}, {"type": "json", "json_schema": {"properties": {}}}),
        (
            {"type": ["object", "null"]},
            {"type": "json", "json_schema": {"type": ["object", "null"]}},
        ),
    ],
)
def test_other_forms_are_sent_as_they_are(schema: Any, wire: Any) -> None:
    assert wire_schema(schema) == wire
    request = CreateTaskRunRequest(input="q", output_schema=schema)
    assert request.body("v1")["task_spec"] == {"output_schema": wire}


# ------------------------------------------------------------------------------ outputs


def test_a_response_becomes_the_class() -> None:
    content = {
        "founded": 1947,
        "ceo": {"name": "A", "age": None},
        "staff": [{"name": "B", "age": 3}],
        "color": "blue",
        "deputy": None,
        "tags": ["x"],
        "pet": {"kind": "cat", "lives": 7},
        "pattern": "y",
        "numbers": {"a": 1},
    }
    parsed, validation_error = parse_output(content, Company)
    assert validation_error is None
    assert isinstance(parsed, Company)
    assert (parsed.color, parsed.pet) == (Color.BLUE, Cat(kind="cat", lives=7))


def test_a_null_for_an_optional_field_is_its_default() -> None:
    """Optional fields are requested as unions with null, so null is a proper value."""
    content: dict[str, Any] = {
        "founded": 1947,
        "ceo": {"name": "A", "age": None},
        "staff": [],
        "color": None,
        "deputy": None,
        "tags": None,
        "pet": {"kind": "cat", "lives": None},
        "pattern": None,
        "numbers": None,
    }
    jsonschema.validate(content, class_schema(Company))
    parsed, validation_error = parse_output(content, Company)
    assert validation_error is None
    assert isinstance(parsed, Company)
    assert (parsed.color, parsed.tags, parsed.pattern, parsed.pet) == (
        Color.RED,
        [],
        "x",
        Cat(kind="cat"),
    )
    assert content["tags"] is None, "the raw answer stays as it is"


def test_a_null_for_a_field_that_is_needed_is_a_validation_error() -> None:
    parsed, validation_error = parse_output({"name": None, "age": None}, Person)
    assert parsed is None
    assert validation_error == "name: Input should be a valid string"


@pytest.mark.parametrize(
    ("content", "validation_error"),
    [
        ({"age": "x"}, "name: Field required; age: Input should be a valid integer"),
        ("words", "Person: Input should be an object"),
        (None, "Person: Input should be an object"),
        ([1], "Person: Input should be an object"),
    ],
)
def test_a_validation_error_says_what_does_not_fit(content: Any, validation_error: str) -> None:
    parsed, fault = parse_output(content, Person)
    assert parsed is None
    assert fault is not None
    for part in validation_error.split("; "):
        assert part in fault


@pytest.mark.parametrize("content", [{"name": "Ada"}, [1], {"notes": {"tags": []}}])
def test_a_class_of_defaults_is_not_made_of_something_else(content: Any) -> None:
    class Notes(BaseModel):
        tags: list[str] = []

    assert parse_output(content, Notes)[0] is None
    assert parse_output({}, Notes)[0] == Notes()
    assert parse_output({"tags": None, "more": 1}, Notes)[0] == Notes()


def test_a_strict_class_is_read_as_json_is() -> None:
    class Strict(BaseModel):
        model_config = ConfigDict(strict=True)
        when: date
        color: Color
        pair: tuple[int, int]

    parsed, validation_error = parse_output(
        {"when": "2026-05-02", "color": "red", "pair": [1, 2]}, Strict
    )
    assert validation_error is None
    assert isinstance(parsed, Strict)
    assert parsed.when == date(2026, 5, 2)


def test_an_alias_is_what_is_requested_for_and_read() -> None:
    class Aliased(BaseModel):
        founded: int = Field(alias="year founded")

    assert class_schema(Aliased)["required"] == ["year founded"]
    parsed, validation_error = parse_output({"year founded": 1947}, Aliased)
    assert validation_error is None
    assert isinstance(parsed, Aliased)
    assert parsed.founded == 1947


def test_a_validator_of_the_user_s_that_breaks_does_not_cost_the_response() -> None:
    class Broken(BaseModel):
        name: str

        @field_validator("name")
        @classmethod
        def _look_up(cls, value: str) -> str:
            return {"known": "x"}[value]

    assert parse_output({"name": "new"}, Broken) == (None, "Broken: KeyError: 'new'")


@pytest.mark.parametrize("schema", [None, "words", {"type": "object"}, int])
def test_without_a_class_nothing_is_parsed(schema: Any) -> None:
    assert parse_output({"a": 1}, schema) == (None, None)


# ------------------------------------------------------------------------------ any class

PLAIN: Any = st.sampled_from([str, int, float, bool, Color, Person, Literal["a", "b"]])
TYPES: Any = st.recursive(
    PLAIN,
    lambda inner: (
        inner.map(lambda kind: list[kind])
        | inner.map(lambda kind: kind | None if not isinstance(kind, type(Literal["a"])) else kind)
        | inner.map(lambda kind: dict[str, kind])
    ),
    max_leaves=3,
)
NAMES = st.from_regex("[a-z]{1,6}", fullmatch=True).filter(
    lambda name: name not in ("json", "copy")
)


@given(st.dictionaries(NAMES, st.tuples(TYPES, st.booleans()), min_size=1, max_size=4))
def test_any_class_becomes_what_the_api_accepts(fields: dict[str, tuple[Any, bool]]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cls = create_model(
            "Made",
            **{
                f"f_{name}": (kind, ... if needed else Field(default_factory=lambda: None))
                for name, (kind, needed) in fields.items()
            },
        )
        check_rules(class_schema(cls))


@given(st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_no_response_makes_parsing_fail(content: Any) -> None:
    for cls in (Person, Company):
        for value in (content, {"name": content, "founded": content, "tags": content}):
            parsed, validation_error = parse_output(value, cls)
            assert (parsed is None) is (validation_error is not None)
