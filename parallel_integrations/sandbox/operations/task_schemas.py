"""What the service documents about JSON schemas of tasks: what it refuses and what it warns of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MAX_DEPTH = 5
ADVISED_DEPTH = 3
"""Another page of the documentation stops here, so more is worth a warning."""
MAX_PROPERTIES = 100
MAX_ENUM_VALUES = 500
MAX_LONG_ENUM_VALUES = 250
"""Above so many values of one enum their characters are limited, too."""
MAX_ENUM_CHARS = 7500

UNSUPPORTED = frozenset(
    """
    contains format maxContains minContains maxItems minItems maxLength minLength maxProperties
    minProperties maximum minimum multipleOf pattern patternProperties propertyNames uniqueItems
    unevaluatedItems unevaluatedProperties
    """.split()
)
COVERED_BY_BASIS = frozenset(
    "citations confidence evidence reasoning source sources source_urls".split()
)
_UNIONS = ("anyOf", "oneOf", "allOf")
_TYPES = frozenset("object array string integer number boolean null".split())


@dataclass(slots=True)
class Review:
    """What there is to say about one schema."""

    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    properties: int = 0
    depth: int = 0
    _enum_values: int = 0

    def node(self, schema: Any, where: str, depth: int, *, in_union: bool = False) -> None:
        """Review one part of the schema and those below it."""
        if isinstance(schema, bool) and where:
            return
        if not isinstance(schema, Mapping):
            self.errors.append(f"{where or 'the root'} is no schema")
            return
        for keyword in sorted(UNSUPPORTED & schema.keys()):
            self.errors.append(f"{where or 'the root'} uses {keyword!r}, which is not supported")
        self._type(schema, where, in_union=in_union)
        self._enum(schema, where)
        if "properties" in schema:
            depth += 1
            self.depth = max(self.depth, depth)
            self._object(schema, where, depth)
        for keyword in _UNIONS:
            parts = schema.get(keyword, [])
            if not isinstance(parts, list):
                self.errors.append(f"{_join(where, keyword)} is no list")
                continue
            for number, part in enumerate(parts):
                self.node(part, _join(where, f"{keyword}.{number}"), depth, in_union=True)
        for keyword in ("items", "additionalProperties"):
            if keyword in schema:
                self.node(schema[keyword], _join(where, keyword), depth)
        for keyword in ("$defs", "definitions"):
            parts = schema.get(keyword, {})
            if not isinstance(parts, Mapping):
                self.errors.append(f"{_join(where, keyword)} is no object")
                continue
            for name, part in parts.items():
                # Definitions lie at no depth of their own: it counts where they are referred to.
                self.node(part, _join(where, f"{keyword}.{name}"), 0)

    def _type(self, schema: Mapping[str, Any], where: str, *, in_union: bool) -> None:
        # A part without a type is not refused; most generators leave it out beside $ref.
        given = schema.get("type", "object")
        kinds = given if isinstance(given, list) else [given]
        if not kinds or not all(isinstance(kind, str) and kind in _TYPES for kind in kinds):
            self.errors.append(f"{_join(where, 'type')} is {given!r}")
        elif given == "null" and not in_union:
            self.errors.append(f"{where or 'the root'}: null stands only in unions")

    def _enum(self, schema: Mapping[str, Any], where: str) -> None:
        values = schema.get("enum", [])
        if not isinstance(values, list):
            self.errors.append(f"{_join(where, 'enum')} is no list")
            return
        self._enum_values += len(values)
        # Reported once, where the limit is passed, not for every enum after it.
        if self._enum_values > MAX_ENUM_VALUES >= self._enum_values - len(values):
            self.errors.append(f"more than {MAX_ENUM_VALUES} enum values")
        chars = sum(len(value) for value in values if isinstance(value, str))
        if len(values) > MAX_LONG_ENUM_VALUES and chars > MAX_ENUM_CHARS:
            self.errors.append(
                f"{_join(where, 'enum')}: more than {MAX_ENUM_CHARS} characters "
                f"in more than {MAX_LONG_ENUM_VALUES} values"
            )

    def _object(self, schema: Mapping[str, Any], where: str, depth: int) -> None:
        parts, required = schema["properties"], schema.get("required", [])
        if not isinstance(parts, Mapping):
            self.errors.append(f"{_join(where, 'properties')} is no object")
            return
        if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
            self.errors.append(f"{_join(where, 'required')} is no list of names")
            return
        self.properties += len(parts)
        if set(parts) - set(required):
            self.warnings.append(f"{where or 'the root'}: not all fields are required")
        if schema.get("additionalProperties") is not False:
            self.warnings.append(f"{where or 'the root'}: additionalProperties is not false")
        for name, part in parts.items():
            if name in COVERED_BY_BASIS:
                self.warnings.append(f"field {name!r}: the basis says this already")
            self.node(part, _join(where, name), depth)


def review(schema: Any, most_fields: int | None = None) -> Review:
    """Return what there is to say about a JSON schema.

    Args:
        schema: The schema.
        most_fields: How many fields the processor is good for.

    Example:
        ```python
        from parallel_integrations.sandbox.operations.task_schemas import review

        assert review({"type": "object", "properties": {"day": {"format": "date"}}}).errors == [
            "day uses 'format', which is not supported"
        ]
        ```
    """
    found = Review()
    if not isinstance(schema, Mapping) or schema.get("type") != "object":
        found.errors.append("the root must be of type object")
    elif "anyOf" in schema:
        found.errors.append("the root must not be anyOf")
    elif not schema.get("properties"):
        found.errors.append("the root must have properties")
    if found.errors:
        return found
    found.node(schema, "", 0)
    if found.depth > MAX_DEPTH:
        found.errors.append(f"it is {found.depth} levels deep; at most {MAX_DEPTH} are allowed")
    elif found.depth > ADVISED_DEPTH:
        found.warnings.append(f"it is {found.depth} levels deep; {ADVISED_DEPTH} are advised")
    if found.properties > MAX_PROPERTIES:
        found.errors.append(f"more than {MAX_PROPERTIES} properties")
    elif most_fields is not None and found.properties > most_fields:
        found.warnings.append(f"{found.properties} fields; the processor is good for {most_fields}")
    return found


def input_mismatch(schema: Mapping[str, Any], value: Any) -> str | None:
    """Return how an input differs from its input schema at first sight, or None."""
    if not isinstance(value, Mapping):
        return "the input is a text, input_schema describes an object"
    names = schema.get("required")
    for name in names if isinstance(names, list) else []:
        if name not in value:
            return f"the input has no {name!r}"
    parts = schema.get("properties")
    if isinstance(parts, Mapping) and schema.get("additionalProperties") is False:
        for name in value:
            if name not in parts:
                return f"the input has {name!r}, which input_schema does not know"
    return None


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
