"""Output schemas: from a class to what the API accepts, and from an output to the class."""

import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import is_dataclass
from itertools import count
from typing import Annotated, Any, Final, TypeAlias
from urllib.parse import unquote

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    PydanticUserError,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import from_json, to_json

from parallel_integrations.models.fields import sendable

WIRE_TYPES: Final = frozenset({"json", "text", "auto"})
MAX_DEPTH: Final = 5
MAX_PARTS: Final = 15_000
"""Of a schema: a task's may have so many characters."""
UNSUPPORTED: Final = frozenset(
    """
    contains format maxContains minContains maxItems minItems maxLength minLength maxProperties
    minProperties maximum minimum exclusiveMaximum exclusiveMinimum multipleOf pattern
    patternProperties propertyNames uniqueItems unevaluatedItems unevaluatedProperties
    """.split()
)
_NOISE: Final = frozenset({"title", "default", "$defs", "definitions", "discriminator"})
_UNNAMEABLE: Final = re.compile(r"[^A-Za-z0-9_-]+")
_WRAPPERS: Final = frozenset({"json", "json_schema", "function"})
_BESIDE: Final = ("name", "description", "strict")
_JSON_TYPES: Final = frozenset("object array string number integer boolean null".split())
_KEYWORDS: Final = frozenset("properties items $ref anyOf oneOf allOf enum const".split())
_VALUES: Final = frozenset({"const", "enum", "examples"})
"""Keywords that hold values, not schemas."""


class SchemaWarning(UserWarning):
    """Something in an output schema that the API does not accept was left out."""


def named_schema(given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A JSON schema, and what stands beside it, in any of the forms that people have one in.

    These are the schema itself, OpenAI's `{"type": "json_schema", "json_schema": {…}}`, the
    `{"name": …, "schema": …}` inside of it, a function's or tool's dict, with its parameters, and
    Parallel's own `{"type": "json", "json_schema": …}`.

    Returns:
        The schema, `inlined`, and its `name`, `description` and `strict` where they were given.

    Raises:
        ValueError: It is none of them, or its references cannot be followed.
    """
    kind = given.get("type")
    kind = kind if kind is None else str(kind)  # what is no text can be no wrapper
    inner = given.get("function" if kind == "function" else "json_schema")
    if isinstance(inner, Mapping) and (kind in _WRAPPERS or kind is None):
        whole = kind == "json" or _is_schema(inner)
        return (inlined(inner), {}) if whole else named_schema(inner)
    for key in ("schema", "parameters", "input_schema"):
        inner = given.get(key)
        if isinstance(inner, Mapping) and (kind in _WRAPPERS or kind is None):
            beside = {name: given[name] for name in _BESIDE if given.get(name) is not None}
            return inlined(inner), beside
    if kind not in _WRAPPERS and _is_schema(given):
        return inlined(given), {}
    shown = f"{dict(given)!r:.100}"
    raise ValueError(
        f"{shown} is no JSON schema: give one, like {{'type': 'object', 'properties': {{…}}}}, or "
        "{'name': …, 'schema': {…}}"
    )


def _is_schema(given: Mapping[str, Any]) -> bool:
    kind = given.get("type")
    kinds = map(str, kind if isinstance(kind, list) else [kind])
    return not given or any(each in _JSON_TYPES for each in kinds) or bool(_KEYWORDS & given.keys())


def inlined(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON schema with its definitions for the references to them: the API documents none.

    Raises:
        ValueError: A reference leads to nothing in it, a definition contains itself, or it becomes
            too large or too deep.
    """
    kept = {key: value for key, value in schema.items() if key not in ("$defs", "definitions")}
    try:
        whole: dict[str, Any] = _inlined(kept, schema, (), count(1))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return whole


def _inlined(
    node: Any, root: Mapping[str, Any], inside: tuple[str, ...], parts: Iterator[int]
) -> Any:
    if isinstance(node, list):
        return [_inlined(item, root, inside, parts) for item in node]
    if not isinstance(node, Mapping):
        return node
    if next(parts) > MAX_PARTS:  # definitions that hold each other twice double with each level
        raise ValueError(f"with its references followed it has more than {MAX_PARTS} parts")
    reference = node.get("$ref")
    if not isinstance(reference, str):
        return {
            key: value if key in _VALUES else _inlined(value, root, inside, parts)
            for key, value in node.items()
            if not (key == "discriminator" and _is_openapi(value))
        }
    if reference in inside:
        name = reference.rpartition("/")[2].removeprefix("#") or "it"
        raise ValueError(f"{name} contains itself, which an output schema cannot express")
    rest = {key: value for key, value in node.items() if key != "$ref"}
    return _inlined({**_target(root, reference), **rest}, root, (*inside, reference), parts)


def _is_openapi(discriminator: Any) -> bool:
    """Whether it is the keyword, which holds references, and no field of that name."""
    return isinstance(discriminator, Mapping) and isinstance(discriminator.get("propertyName"), str)


def _target(root: Any, reference: str) -> Mapping[str, Any]:
    first, *parts = unquote(reference).split("/")
    node = root if first == "#" else None  # else an anchor, or another document
    for part in parts:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(node, list) and name.isdecimal() and int(name) < len(node):
            node = node[int(name)]
        else:
            node = node.get(name) if isinstance(node, Mapping) else None
    if not isinstance(node, Mapping):
        raise ValueError(
            f"its $ref {reference!r:.100} leads to nothing in it: put what is meant into $defs"
        )
    return node


def response_name(name: object) -> str:
    """A schema's name as OpenAI's format admits it; a generic class has brackets in its own."""
    return _UNNAMEABLE.sub("_", str(name))


def foreign_schema(cls: Any) -> dict[str, Any] | None:
    """The JSON schema of a dataclass, a TypedDict or a class of pydantic 1; None for others."""
    typed_dict = isinstance(cls, type) and issubclass(cls, dict) and hasattr(cls, "__total__")
    if typed_dict or is_dataclass(cls):
        try:
            return TypeAdapter(cls).json_schema()
        except PydanticUserError as error:
            raise ValueError(f"{cls.__name__} has no JSON schema: {error.message}") from None
    if not isinstance(cls, type) or issubclass(cls, BaseModel) or not hasattr(cls, "__fields__"):
        return None
    older = getattr(cls, "schema", None)
    return dict(older()) if callable(older) else None


def wire_schema(schema: str | dict[str, Any] | type[BaseModel]) -> str | dict[str, Any]:
    """The wire's form of an output or input schema.

    A string is sent as it is: it describes a text. `{"type": "json" | "text" | "auto", …}` is the
    wire's own form. Any other dict is taken for a JSON schema and wrapped. A pydantic class is
    turned into a JSON schema that the API accepts: `$ref` inlined, keywords outside the API's
    subset dropped, every field required, optional ones as unions with null, no additional
    properties. What was dropped is said in a `SchemaWarning` when a request is made of the class.

    Raises:
        ValueError: A class that contains itself, which the API cannot express.
    """
    if isinstance(schema, str):
        return schema
    if isinstance(schema, dict):
        # `json`, `text` and `auto` are no types of JSON schema: what is meant is certain.
        if isinstance(kind := schema.get("type"), str) and kind in WIRE_TYPES:
            return schema
        return {"type": "json", "json_schema": schema}
    return {"type": "json", "json_schema": class_schema(schema)}


def check_fields(cls: type[BaseModel]) -> None:
    """Refuse a class that nothing can be filled into.

    Raises:
        ValueError: It has no fields.
    """
    if not cls.model_fields and cls.model_config.get("extra") != "allow":
        raise ValueError(f"{cls.__name__} has no fields: there would be nothing to find out")


def class_schema(cls: type[BaseModel]) -> dict[str, Any]:
    """A pydantic class as a JSON schema within the API's subset.

    Raises:
        ValueError: A class that the API cannot express.
    """
    return _translated(cls)[0]


def _translated(cls: type[BaseModel]) -> tuple[dict[str, Any], list[str]]:
    """The schema, and what is to be said about it."""
    check_fields(cls)
    try:
        full = cls.model_json_schema()
    except PydanticUserError as error:
        raise ValueError(f"{cls.__name__} has no JSON schema: {error.message}") from None
    dropped: set[str] = set()
    schema: dict[str, Any] = _accepted(inlined(full), dropped)
    remarks = []
    if dropped:
        remarks.append(
            f"The output schema of {cls.__name__} uses {', '.join(sorted(dropped))}, which the API "
            "does not accept; left out there, still checked when the output is parsed."
        )
    depth = _depth(schema)
    if depth > MAX_DEPTH:
        remarks.append(
            f"The output schema of {cls.__name__} is {depth} levels deep; the API documents at "
            f"most {MAX_DEPTH}."
        )
    return schema, remarks


def _checked(schema: str | dict[str, Any] | type[BaseModel]) -> Any:
    """Refuse what cannot be sent and say what is left out, before anything is paid for."""
    if isinstance(schema, type):
        for remark in _translated(schema)[1]:
            warnings.warn(remark, SchemaWarning, stacklevel=4)  # where the request is made
        return schema
    return sendable(schema)


def _understood(schema: Any) -> Any:
    """What people give for a schema as one of the forms that are kept."""
    if isinstance(schema, dict):
        kind = schema.get("type")
        own = isinstance(kind, str) and kind in WIRE_TYPES
        if own and (kind != "json" or "json_schema" in schema):
            inner = schema.get("json_schema")
            return {**schema, "json_schema": inlined(inner)} if isinstance(inner, dict) else schema
        if schema.keys() == {"description"}:
            return {"type": "text", **schema}
        return named_schema(schema)[0]
    found = foreign_schema(schema)
    if found is None:
        return schema
    return _accepted(inlined(found), set())


OutputSchema: TypeAlias = Annotated[
    str | dict[str, Any] | type[BaseModel], BeforeValidator(_understood), AfterValidator(_checked)
]
"""A description of text, a JSON schema (or the wire's own `{"type": "json" …}`), or a class.

The dicts in which other APIs have a schema are understood, too (`named_schema`); of a dataclass, a
TypedDict or a class of pydantic 1, the JSON schema is taken, and outputs stay dicts.
"""


def _json_only(schema: Any) -> Any:
    wire = wire_schema(schema)
    if isinstance(wire, str) or wire.get("type") != "json":
        raise ValueError("only a JSON schema or a pydantic class will do here")
    return schema


JsonSchema: TypeAlias = Annotated[OutputSchema, AfterValidator(_json_only)]
"""An `OutputSchema` where the API takes no text."""


def parse_output(content: Any, schema: object) -> tuple[BaseModel | None, str | None]:
    """The output as an instance of the class that was requested, or what did not fit.

    Returns:
        The instance and None, or None and the fault; both None where no class was requested.
    """
    if not (isinstance(schema, type) and issubclass(schema, BaseModel)):
        return None, None
    try:
        try:
            parsed = schema.model_validate_json(to_json(content))
        except ValidationError as error:
            first = error
        else:
            # A class whose fields all have defaults takes any object.
            if content and not parsed.model_fields_set and schema.model_fields:
                return None, f"it has none of the fields of {schema.__name__}"
            return parsed, None
        # Optional fields are requested as unions with null, whatever their default: a null there
        # means that nothing was found.
        found = from_json(to_json(content))
        if drop_nulls(found, first.errors(include_url=False)):
            with suppress(ValidationError):
                return schema.model_validate_json(to_json(found)), None
    except Exception as error:  # noqa: BLE001 - a validator of the user's; the output is paid for
        return None, f"{schema.__name__}: {type(error).__name__}: {error}"
    faults = first.errors(include_url=False, include_input=False, include_context=False)
    return None, "; ".join(
        f"{'.'.join(map(str, fault['loc'])) or schema.__name__}: {fault['msg']}" for fault in faults
    )


def drop_nulls(value: Any, faults: Iterable[Any]) -> bool:
    """Take the nulls out that pydantic's faults point at; returns whether there were any."""
    return sum(_drop_null(value, fault["loc"]) for fault in faults) > 0


def _drop_null(node: Any, loc: tuple[int | str, ...]) -> bool:
    for step in loc:
        if isinstance(node, dict) and step in node:
            if node[step] is None:
                del node[step]
                return True
            node = node[step]
        elif isinstance(node, list) and isinstance(step, int) and step < len(node):
            node = node[step]
    return False


def _accepted(node: Any, dropped: set[str]) -> Any:
    if isinstance(node, list):
        return [_accepted(item, dropped) for item in node]
    if not isinstance(node, dict):
        return node
    # Dropped, not refused: the class still checks them when the output comes.
    dropped |= node.keys() & UNSUPPORTED
    kept = {
        key: value if key in _VALUES else _accepted(value, dropped)
        for key, value in node.items()
        if key not in UNSUPPORTED and key not in _NOISE and key != "properties"
    }
    # pydantic wraps a reference in an `allOf` of one where a field has a description of its own.
    if "allOf" in kept and len(kept["allOf"]) == 1:
        kept = {**kept.pop("allOf")[0], **kept}
    if "const" in kept:
        kept["enum"] = [kept.pop("const")]
    if kept.get("type") == "object" and "properties" in node:
        required = set(node.get("required", ()))
        kept["properties"] = {
            name: _accepted(field, dropped)
            if name in required
            else _with_null(_accepted(field, dropped))
            for name, field in node["properties"].items()
        }
        # Every property is required and no other admitted, as the API demands; what may be missing
        # is a union with null instead.
        kept["required"] = list(node["properties"])
        kept["additionalProperties"] = False
    return kept


def _with_null(field: dict[str, Any]) -> dict[str, Any]:
    if "anyOf" in field:
        kinds = field["anyOf"]
        known = any(kind.get("type") == "null" for kind in kinds)
        return field if known else {**field, "anyOf": [*kinds, {"type": "null"}]}
    kind = field.get("type")
    if "enum" in field:
        field = {**field, "enum": [*field["enum"], None]}
    if isinstance(kind, str) and kind not in ("object", "array"):
        return {**field, "type": [kind, "null"]}
    description = {"description": field.pop("description")} if "description" in field else {}
    return {"anyOf": [field, {"type": "null"}], **description}


def _depth(node: Any) -> int:
    if isinstance(node, list):
        return max(map(_depth, node), default=0)
    if not isinstance(node, dict):
        return 0
    own = 1 if node.get("type") == "object" else 0
    return own + max((_depth(value) for value in node.values()), default=0)
