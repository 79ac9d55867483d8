"""Schema filler: fills a JSON schema from pages, or with null, so that the result is valid."""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from parallel_integrations.sandbox.answering.schema_values import (
    empty_text,
    fits,
    fitted,
    fitting_zero,
    numbers_in,
    texts_for,
)
from parallel_integrations.sandbox.answering.sentences import Evidence, Quote, basis
from parallel_integrations.sandbox.web.words import stems, terms

ITEMS = 3
"""Items of an array, unless the schema wants more or fewer."""
MAX_DEPTH = 12
"""How deep an unavoidable recursion is followed; a schema that needs more cannot be satisfied."""

MAX_STEPS = 2000
"""Parts looked up in the pages; a schema whose parts refer to each other would have no end."""
MAX_REFS = 100
"""References followed one within the other; a longer chain would exceed Python's stack."""
MAX_MIN_ITEMS = 1000
MAX_MIN_LENGTH = 100_000
"""Longest text that is made up to satisfy ``minLength``."""

NOTHING: Any = object()
"""Stands for "the pages do not say", which is not the same as null."""


class SchemaError(ValueError):
    """What was given as a JSON schema is none, or asks for more than the sandbox fills."""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: Any, most: float = math.inf) -> bool:
    return _is_number(value) and 0 <= value <= most and value == int(value)


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _is_type(value: Any) -> bool:
    return isinstance(value, str) or (_is_names(value) and bool(value))


def _is_bound(value: Any) -> bool:
    # Older schema dialects write an exclusive bound as a boolean beside the inclusive one.
    return isinstance(value, int | float)


def _rules(
    names: str, holds: Callable[[Any], bool], what: str
) -> dict[str, tuple[Callable[[Any], bool], str]]:
    return dict.fromkeys(names.split(), (holds, what))


_MAPS = "properties $defs definitions"
_LISTS = "prefixItems allOf anyOf oneOf"
_RULES = {
    **_rules(_MAPS, lambda value: isinstance(value, Mapping), "an object"),
    **_rules(f"{_LISTS} enum", lambda value: isinstance(value, list), "a list"),
    **_rules("required", _is_names, "a list of names"),
    **_rules("type", _is_type, "a name or a list of names"),
    **_rules("$ref format pattern", lambda value: isinstance(value, str), "a text"),
    **_rules("minimum maximum", _is_number, "a number"),
    **_rules("exclusiveMinimum exclusiveMaximum", _is_bound, "a number"),
    **_rules("multipleOf", lambda value: _is_number(value) and value > 0, "a number above 0"),
    **_rules("maxItems maxLength", _is_count, "a whole number of 0 or more"),
    **_rules("minItems", lambda value: _is_count(value, MAX_MIN_ITEMS), f"0 to {MAX_MIN_ITEMS}"),
    **_rules("minLength", lambda value: _is_count(value, MAX_MIN_LENGTH), f"0 to {MAX_MIN_LENGTH}"),
}
"""What the keywords that `Filler` reads must hold, and how an error says so."""


def check_schema(root: Any) -> None:
    """Check every part of a schema that `Filler` may come upon.

    Raises:
        SchemaError: Naming the keyword.
    """
    parts, followed = [root], set()
    while parts:
        schema = parts.pop()
        if isinstance(schema, bool):
            continue
        if not isinstance(schema, Mapping):
            raise SchemaError(f"{str(schema)[:50]!r} is no schema")
        for keyword in _RULES.keys() & schema.keys():
            holds, what = _RULES[keyword]
            if not holds(schema[keyword]):
                raise SchemaError(f"{keyword!r} must be {what}, not {str(schema[keyword])[:50]!r}")
        for keyword in _MAPS.split():
            parts += schema.get(keyword, {}).values()
        for keyword in _LISTS.split():
            parts += schema.get(keyword, [])
        for keyword in ("items", "additionalProperties"):
            part = schema.get(keyword, True)
            # Before prefixItems, the schemas of the first elements were a list here.
            parts += part if isinstance(part, list) else [part]
        pointer = schema.get("$ref")
        if pointer is not None and pointer not in followed:
            followed.add(pointer)
            parts.append(_target(root, pointer))


def _target(root: Any, pointer: str) -> dict[str, Any]:
    """Return the schema a reference points to; one without rules when there is none."""
    node = root
    for part in pointer.removeprefix("#").strip("/").split("/"):
        name = part.replace("~1", "/").replace("~0", "~")
        if part and isinstance(node, Mapping):
            node = node.get(name)
        elif part and isinstance(node, list):
            place = int(name) if re.fullmatch("[0-9]{1,9}", name) else len(node)
            node = node[place] if place < len(node) else None
    return dict(node) if isinstance(node, Mapping) else {}


class Filler:
    """Fills one schema from one set of evidence.

    Raises:
        SchemaError: If the schema is none.

    Attributes:
        fields: The names of the top-level properties; [] when the schema is of no object.
        used: The quotes that the last value was taken from.
    """

    def __init__(self, schema: Any, evidence: Evidence) -> None:
        check_schema(schema)
        self._root = schema
        self._evidence = evidence
        self.used: list[Quote] = []
        self._items: list[list[Quote]] = []
        self._steps = 0
        self._blanks = 0
        top, self._top_refs = self._resolve(schema, frozenset())
        self._properties = top.get("properties", {})
        self.fields: list[str] = []
        if _type_of(top) == "object":
            self.fields += dict.fromkeys([*self._properties, *top.get("required", [])])

    def fill(self, *, with_elements: bool = False) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Return the value of each top-level property, and the basis of each.

        Args:
            with_elements: Whether the elements of arrays have a basis of their own besides.
        """
        values: dict[str, Any] = {}
        found: list[dict[str, Any]] = []
        for name in self.fields:
            self.used, self._items = [], []
            part = self._properties.get(name, True)
            values[name] = self._value(part, name, self._evidence, self._top_refs, 1)
            found.append(basis(name, self._evidence, self.used))
            if with_elements:
                found += [
                    basis(f"{name}.{number}", self._evidence, quotes)
                    for number, quotes in enumerate(self._items)
                ]
        return values, found

    def whole(self) -> Any:
        """Return the value of the whole schema."""
        return self._value(self._root, "", self._evidence, frozenset(), 0)

    def _value(
        self, schema: Any, hint: str, evidence: Evidence, refs: frozenset[str], depth: int
    ) -> Any:
        found = self._found(schema, hint, evidence, refs, depth)
        return self._empty(schema, depth) if found is NOTHING else found

    def _resolve(self, schema: Any, refs: frozenset[str]) -> tuple[dict[str, Any], frozenset[str]]:
        """Follow references and merge ``allOf``; returns the references passed on the way too."""
        if not isinstance(schema, Mapping):
            return {}, refs
        merged = dict(schema)
        while "$ref" in merged:
            pointer = str(merged.pop("$ref"))
            if pointer in refs or len(refs) > MAX_REFS:
                # Marked, not refused: where the part is optional, leaving it out satisfies the
                # schema.
                return {**merged, "x-again": True}, refs
            refs |= {pointer}
            merged = _merge(_target(self._root, pointer), merged)
        for part in merged.pop("allOf", []):
            resolved, refs = self._resolve(part, refs)
            merged = _merge(resolved, merged)
        return merged, refs

    def _branches(self, schema: dict[str, Any]) -> list[Any] | None:
        for key in ("anyOf", "oneOf"):
            if schema.get(key):
                rest = {name: value for name, value in schema.items() if name != key}
                parts = schema[key]
                return [_merge(each, rest) if isinstance(each, Mapping) else each for each in parts]
        if isinstance(schema.get("type"), list):
            return [{**schema, "type": kind} for kind in schema["type"]]
        return None

    def _found(
        self, schema: Any, hint: str, evidence: Evidence, refs: frozenset[str], depth: int
    ) -> Any:
        schema, refs = self._resolve(schema, refs)
        self._steps += 1
        if "x-again" in schema or depth > MAX_DEPTH or self._steps > MAX_STEPS:
            return NOTHING
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._choice(schema["enum"], hint, evidence)
        branches = self._branches(schema)
        if branches is not None:
            tries = (self._found(each, hint, evidence, refs, depth) for each in branches)
            return next((value for value in tries if value is not NOTHING), NOTHING)
        # The field's name and description are what its value is looked for by.
        hint = " ".join(filter(None, (hint, str(schema.get("description", ""))[:200])))
        kind = _type_of(schema)
        if kind == "object":
            return self._object(schema, evidence, refs, depth)
        if kind == "array":
            return self._array(schema, hint, evidence, refs, depth)
        if kind == "string":
            return self._string(schema, hint, evidence)
        if kind in ("integer", "number"):
            return self._number(schema, hint, evidence)
        return NOTHING

    def _object(
        self, schema: dict[str, Any], evidence: Evidence, refs: frozenset[str], depth: int
    ) -> Any:
        found: dict[str, Any] = {}
        anything = False
        required = set(schema.get("required", []))
        for name, part in schema.get("properties", {}).items():
            if self._steps > MAX_STEPS and name not in required:
                continue
            value = self._found(part, name, evidence, refs, depth + 1)
            anything |= value is not NOTHING
            again = "x-again" in self._resolve(part, refs)[0]
            if value is not NOTHING:
                found[name] = value
            elif name in required or not again:
                found[name] = self._empty(part, depth + 1)
        for name in schema.get("required", []):
            if name not in found and self._blanks <= MAX_STEPS:
                found[name] = self._empty(schema.get("additionalProperties", True), depth + 1)
        # An object of nulls only is no find: the caller may prefer null, or the next page.
        return found if anything else NOTHING

    def _array(
        self,
        schema: dict[str, Any],
        hint: str,
        evidence: Evidence,
        refs: frozenset[str],
        depth: int,
    ) -> Any:
        least, most = int(schema.get("minItems", 0)), int(schema.get("maxItems", ITEMS))
        items = [
            self._value(part, hint, evidence, refs, depth + 1)
            for part in schema.get("prefixItems", [])[:most]
        ]
        # Fewer items the deeper it gets: three in each of five levels would be 243.
        wanted = max(least, min(most, max(1, ITEMS - depth // 2)))
        each = schema.get("items", True)
        sources = self._sources(evidence) if each is not False else iter(())
        # Each page first, so that a list of things has one from each page rather than three of one.
        for source in sources:
            if len(items) >= wanted:
                break
            before = len(self.used)
            value = self._found(each, hint, source, refs, depth + 1)
            if value is not NOTHING and value not in items:
                items.append(value)
                # The API gives the elements of top-level arrays a basis, and no others.
                if depth == 1:
                    self._items.append(self.used[before:])
        if not items:
            return NOTHING
        while len(items) < least and self._blanks <= MAX_STEPS:
            items.append(self._empty(each, depth + 1))
        return items

    def _sources(self, evidence: Evidence) -> Iterator[Evidence]:
        """Yield evidence for one item after the other: a page each, then a sentence each."""
        for page in evidence.pages:
            yield evidence.only(page)
        for quote in evidence.ranked():
            yield Evidence(evidence.question, [quote])

    def _string(self, schema: dict[str, Any], hint: str, evidence: Evidence) -> Any:
        ranked = evidence.ranked(hint)
        for quote in ranked:
            for text in texts_for(schema, hint.partition(" ")[0], quote):
                fitting = fitted(schema, text, quote)
                if fitting is not None:
                    self.used.append(quote)
                    return fitting
        return NOTHING

    def _number(self, schema: dict[str, Any], hint: str, evidence: Evidence) -> Any:
        wanted = stems(" ".join(terms([hint])))
        for quote in evidence.ranked(hint):
            # A number counts only where the text speaks of what is looked for.
            if not wanted & quote.stems:
                continue
            for number in numbers_in(quote.text, whole=_type_of(schema) == "integer"):
                if fits(schema, number):
                    self.used.append(quote)
                    return number
        return NOTHING

    def _choice(self, options: list[Any], hint: str, evidence: Evidence) -> Any:
        known = [(each, stems(each)) for each in options if isinstance(each, str)]
        for quote in evidence.ranked(hint):
            for option, wanted in known:
                if wanted and wanted <= quote.stems:
                    self.used.append(quote)
                    return option
        return NOTHING

    def _empty(self, schema: Any, depth: int) -> Any:
        """Return the least the schema allows: null where it may be."""
        schema, _ = self._resolve(schema, frozenset())
        self._blanks += 1
        if depth > MAX_DEPTH or self._blanks > MAX_STEPS:
            return {} if _type_of(schema) == "object" else None
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            # The service says null whether or not it is among the values.
            return None
        branches = self._branches(schema)
        if branches is not None:
            # null says "not found" more plainly than an empty text or a 0 does.
            if any(_type_of(self._resolve(each, frozenset())[0]) == "null" for each in branches):
                return None
            return self._empty(branches[0], depth + 1)
        kind = _type_of(schema)
        if kind == "object":
            parts = schema.get("properties", {})
            names = schema.get("required", [])
            empty: dict[str, Any] = {}
            for name in names:
                if self._blanks <= MAX_STEPS:
                    empty[name] = self._empty(parts.get(name, True), depth + 1)
            return empty
        if kind == "array":
            fixed = [self._empty(each, depth + 1) for each in schema.get("prefixItems", [])]
            while len(fixed) < int(schema.get("minItems", 0)) and self._blanks <= MAX_STEPS:
                fixed.append(self._empty(schema.get("items", True), depth + 1))
            return fixed
        if kind == "string":
            return empty_text(schema)
        if kind in ("integer", "number"):
            return fitting_zero(schema)
        return False if kind == "boolean" else None


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**base, **over}
    for key in ("properties", "$defs", "definitions"):
        if key in base and key in over:
            merged[key] = {**base[key], **over[key]}
    if "required" in base and "required" in over:
        merged["required"] = list(dict.fromkeys([*base["required"], *over["required"]]))
    return merged


def _type_of(schema: Mapping[str, Any]) -> str:
    if isinstance(schema.get("type"), str):
        return str(schema["type"])
    if "properties" in schema or "required" in schema:
        return "object"
    if "items" in schema or "prefixItems" in schema:
        return "array"
    if schema.keys() & {"minimum", "maximum", "multipleOf"}:
        return "number"
    return "string"
