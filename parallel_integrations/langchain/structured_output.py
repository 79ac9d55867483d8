"""Structured output: the schema in the request, and the parser of the answer."""

import copy
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import is_dataclass
from enum import Enum
from reprlib import repr as brief
from typing import Any, Final

from langchain_core.exceptions import OutputParserException
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import BaseMessage
from langchain_core.output_parsers import BaseCumulativeTransformOutputParser
from langchain_core.outputs import Generation
from langchain_core.runnables import Runnable, RunnableConfig, RunnableGenerator
from langchain_core.runnables.utils import AddableDict
from langchain_core.utils.function_calling import convert_to_json_schema
from langchain_core.utils.json import parse_partial_json
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import BaseModel

from parallel_integrations._documents.json_values import json_so_far, json_values, opening_of
from parallel_integrations.errors import InvalidArgumentError
from parallel_integrations.models.output_schema import (
    check_fields,
    drop_nulls,
    foreign_schema,
    inlined,
    named_schema,
    response_name,
)
from parallel_integrations.models.tolerant_reading import storable_json

METHODS: Final = ("json_schema", "function_calling", "json_mode")


def bind_schema(
    model: BaseChatModel,
    schema: dict[str, Any] | type | None,
    *,
    include_raw: bool,
    method: str,
    strict: bool | None,
) -> Runnable[LanguageModelInput, Any]:
    """The model bound to a schema, and a parser behind it.

    Raises:
        ValueError: An unknown method.
    """
    if method not in METHODS:
        raise InvalidArgumentError(f"method={method!r} must be one of {', '.join(METHODS)}")
    json_schema, beside = _json_schema({"type": "object"} if schema is None else schema)
    if method == "json_mode":
        response_format: dict[str, Any] = {"type": "json_object"}
    elif schema is None:
        raise InvalidArgumentError("schema=None goes with method='json_mode' only; give a schema")
    else:
        name = response_name(beside.get("name") or json_schema.get("title") or "output")
        named = {**beside, "name": name, "schema": json_schema}
        if strict is not None:
            named["strict"] = strict
        response_format = {"type": "json_schema", "json_schema": named}
    # For traces LangChain converts the schema, whose type it takes for a text.
    traced = json_schema if isinstance(json_schema.get("type", ""), str) else {}
    bound = model.bind(
        response_format=response_format,
        ls_structured_output_format={"kwargs": {"method": method}, "schema": traced},
    )
    is_class = isinstance(schema, type) and is_basemodel_subclass(schema)
    parser = SchemaParser(json_schema=json_schema, schema_class=schema if is_class else None)
    if not include_raw:
        return bound | parser
    # Not the parser alone: it would raise, and the message that was paid for would be lost.
    both: Runnable[Any, dict[str, Any]] = RunnableGenerator(
        parser.beside,  # type: ignore[arg-type] # LangChain passes a config to what takes one
        parser.abeside,  # type: ignore[arg-type]
    )
    return bound | both


def _json_schema(schema: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The JSON schema of a class, a dict or a function, and the name and the like beside it."""
    try:
        if isinstance(schema, type) and issubclass(schema, Enum):
            raise ValueError("an enum names the values of a field: give a class with such a field")
        if schema == {}:
            raise ValueError("it says nothing")
        # The converter would lose an array's items, and what it does not know of a dict.
        if isinstance(schema, dict):
            return named_schema(schema)
        return _converted(schema), {}
    except Exception as error:  # noqa: BLE001 - the converter raises many; nothing was sent
        raise InvalidArgumentError(
            f"schema={brief(schema)} cannot be the schema of an object: give a pydantic class, a "
            f"TypedDict, a dataclass or a JSON schema ({error})"
        ) from None


def _converted(schema: Any) -> dict[str, Any]:
    if is_basemodel_subclass(schema):
        if issubclass(schema, BaseModel):
            check_fields(schema)
        # The converter would make anything of the part in which a class contains itself.
        inlined(foreign_schema(schema) or schema.model_json_schema())
    if is_dataclass(schema):
        return inlined(foreign_schema(schema) or {})
    try:
        found = convert_to_json_schema(schema)
    except Exception:
        # It fails at a TypedDict with `NotRequired[…]` and the like.
        if (other := foreign_schema(schema)) is None:
            raise
        return inlined(other)
    if isinstance(schema, type) and not (is_basemodel_subclass(schema) or found.get("properties")):
        raise ValueError("its annotations are no fields of it")
    return inlined(found)


class SchemaParser(BaseCumulativeTransformOutputParser[Any]):
    """Finds JSON in a fence or among words, and takes only what fits the schema."""

    json_schema: dict[str, Any]
    schema_class: Any = None

    @property
    def OutputType(self) -> Any:  # noqa: N802 - the framework's own word
        """What `invoke` gives, for the schemas that runnables have of their output."""
        return self.schema_class if hasattr(self.schema_class, "model_validate") else Any

    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        """Parse the JSON in an answer; a partial answer that does not fit yet is None."""
        text = result[0].text
        if partial:
            return self._begun(text)
        # The first object that fits: a model may quote the schema, or an example, before it
        # answers.
        fault: ValueError | None = None
        for value in json_values(text, self._opening):
            try:
                return self._fitted(value)
            except ValueError as error:
                fault = fault or error
        name = self.json_schema.get("title", "the schema")
        raise OutputParserException(
            f"The answer does not fit {name}: {fault or 'it holds no whole JSON object'}",
            llm_output=text,
        ) from fault

    def parse(self, text: str) -> Any:
        """Parse a whole text."""
        return self.parse_result([Generation(text=text)])

    def beside(
        self, found: Iterator[BaseMessage], config: RunnableConfig
    ) -> Iterator[dict[str, Any]]:
        """What `include_raw` gives: the message as it comes, then the parsed value or the error."""
        pieces = []
        for piece in found:
            pieces.append(piece)
            yield AddableDict(raw=piece)
        yield self._outcome(pieces, config)

    async def abeside(
        self, found: AsyncIterator[BaseMessage], config: RunnableConfig
    ) -> AsyncIterator[dict[str, Any]]:
        """As `beside`, awaiting."""
        pieces = []
        async for piece in found:
            pieces.append(piece)
            yield AddableDict(raw=piece)
        yield self._outcome(pieces, config)

    def _outcome(self, pieces: list[Any], config: RunnableConfig) -> dict[str, Any]:
        message = pieces[0] + pieces[1:] if len(pieces) > 1 else pieces[0]
        try:
            return AddableDict(parsed=self.invoke(message, config), parsing_error=None)
        except OutputParserException as error:
            return AddableDict(parsed=None, parsing_error=error)

    def _transform(
        self,
        input: Iterator[str | BaseMessage],  # noqa: A002 - the framework's own word
    ) -> Iterator[Any]:
        text: list[str] = []
        last: Any = None
        for last in super()._transform(_collected(piece, text) for piece in input):
            yield last
        # A partial value may lack fields; the whole one must fit.
        whole = self.parse("".join(text))
        if whole != last:
            yield whole

    async def _atransform(
        self,
        input: AsyncIterator[str | BaseMessage],  # noqa: A002 - the framework's own word
    ) -> AsyncIterator[Any]:
        text: list[str] = []
        last: Any = None
        async for last in super()._atransform(_collected(piece, text) async for piece in input):
            yield last
        whole = self.parse("".join(text))
        if whole != last:
            yield whole

    @property
    def _opening(self) -> str:
        return opening_of(self.json_schema)

    def _begun(self, text: str) -> Any:
        try:
            value = storable_json(parse_partial_json(json_so_far(text, self._opening)))
        except ValueError:
            return None
        if self.schema_class is None:
            return value
        try:
            return self._fitted(value)
        except ValueError:
            return None

    def _fitted(self, value: Any) -> Any:
        if self.schema_class is None:
            if fault := schema_violation(value, self.json_schema):
                value = null_as_default(value, self.json_schema)
                if schema_violation(value, self.json_schema):
                    raise ValueError(fault)
            return value
        # Classes of pydantic 1 have another name for it; both raise a ValueError.
        read = getattr(self.schema_class, "model_validate", None) or self.schema_class.parse_obj
        try:
            return read(value)
        except ValueError as error:
            # Null for a field with a default means that nothing was found.
            found = copy.deepcopy(value)
            faults = error.errors() if hasattr(error, "errors") else ()
            with suppress(ValueError):
                if drop_nulls(found, faults):
                    return read(found)
            raise


def _collected(piece: str | BaseMessage, text: list[str]) -> str | BaseMessage:
    text.append(piece if isinstance(piece, str) else piece.text)
    return piece


_TYPES: Final[dict[str, type | tuple[type, ...]]] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}


def schema_violation(value: Any, schema: dict[str, Any]) -> str | None:
    """The first way in which a value does not fit a schema; None if it fits.

    Types, required and unknown fields, alternatives and fixed values are checked, also in what is
    nested; the bounds of numbers and lengths are not.

    Args:
        value: As `json.loads` returns it.
        schema: A JSON schema without references.
    """
    return _fault(value, schema, "")


def null_as_default(value: Any, schema: Any) -> Any:
    """A value whose nulls are replaced where a schema has a default and takes no null.

    Args:
        value: As `json.loads` returns it.
        schema: A JSON schema without references.
    """
    if not isinstance(schema, dict):
        return value
    if isinstance(value, list):
        return [null_as_default(item, schema.get("items")) for item in value]
    if not isinstance(value, dict):
        return value
    found = {}
    for name, item in value.items():
        part = schema.get("properties", {}).get(name)
        if item is not None or _fault(None, part, name) is None:
            found[name] = null_as_default(item, part)
        elif "default" in part:
            found[name] = part["default"]
        elif name in schema.get("required", ()):
            found[name] = item
    return found


def _fault(value: Any, schema: Any, where: str) -> str | None:
    if not isinstance(schema, dict):
        return f"{where or 'it'} is not allowed" if schema is False else None
    if value is None and schema.get("nullable") is True:  # as OpenAPI has it
        return None
    if "enum" in schema and value not in schema["enum"]:
        return f"{where or 'it'} is {value!r}, none of {schema['enum']}"
    if "const" in schema and value != schema["const"]:
        return f"{where or 'it'} is {value!r}, not {schema['const']!r}"
    for part in schema.get("allOf", ()):
        if fault := _fault(value, part, where):
            return fault
    for name in ("anyOf", "oneOf"):
        faults = [_fault(value, part, where) for part in schema.get(name, ())]
        if faults and None not in faults:
            return faults[0]
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(_is(value, kind) for kind in kinds):
        return f"{where or 'it'} is {type(value).__name__}, not {' or '.join(kinds)}"
    if isinstance(value, dict):
        return _field_fault(value, schema, where)
    if isinstance(value, list):
        first = schema.get("prefixItems", ())
        for number, item in enumerate(value):
            part = first[number] if number < len(first) else schema.get("items", True)
            if fault := _fault(item, part, f"{where}[{number}]"):
                return fault
    return None


def _field_fault(value: dict[str, Any], schema: dict[str, Any], where: str) -> str | None:
    for name in schema.get("required", ()):
        if name not in value:
            return f"{where or 'it'} lacks {name!r}"
    known = schema.get("properties", {})
    # What a pattern admits is taken: its regular expressions are JavaScript's.
    others = "patternProperties" in schema or schema.get("additionalProperties", True)
    for name, item in value.items():
        part = known.get(name, others)
        if fault := _fault(item, part, f"{where}.{name}" if where else name):
            return fault
    return None


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool):  # an int to Python, none to JSON
        return kind == "boolean"
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES.get(kind, object))
