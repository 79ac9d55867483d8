"""Fills a JSON schema with what the pages say, or with null, so that the result is valid."""

from collections.abc import Iterator, Mapping
from typing import Any

from parallel_integrations.sandbox.leaves import (
    empty_text,
    fits,
    fitted,
    fitting_zero,
    numbers_in,
    texts_for,
)
from parallel_integrations.sandbox.quoting import Evidence, Quote
from parallel_integrations.sandbox.words import stems, terms

Schema = Mapping[str, Any]

ITEMS = 3
"""Items of an array, unless the schema wants more or fewer."""
MAX_DEPTH = 12
"""How deep an unavoidable recursion is followed; a schema that needs more cannot be satisfied."""

MAX_STEPS = 2000
"""Parts looked up in the pages; a schema whose parts refer to each other would have no end."""

NOTHING: Any = object()
"""Stands for "the pages do not say", which is not the same as null."""


class Filler:
    """Fills one schema from one set of evidence.

    Attributes:
        used: The quotes taken so far; a caller that wants those of one field empties it first.
        items: The quotes of each element of the top-level arrays filled so far; emptied likewise.
    """

    def __init__(self, schema: Any, evidence: Evidence) -> None:
        self._root = schema
        self._evidence = evidence
        self.used: list[Quote] = []
        self.items: list[list[Quote]] = []
        self._steps = 0
        self._blanks = 0

    def fields(self) -> list[str]:
        """Return the names of the top-level properties; [] when the schema is of no object."""
        schema, _ = self._resolve(self._root, frozenset())
        if _type_of(schema) != "object":
            return []
        names = [*schema.get("properties", {}), *schema.get("required", [])]
        return list(dict.fromkeys(names))

    def field(self, name: str) -> Any:
        """Return the value of one top-level property."""
        schema, refs = self._resolve(self._root, frozenset())
        part = schema.get("properties", {}).get(name, True)
        return self._value(part, name, self._evidence, refs, 1)

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
            if pointer in refs:
                return {**merged, "x-again": True}, refs
            refs |= {pointer}
            merged = _merge(self._target(pointer), merged)
        for part in merged.pop("allOf", []):
            resolved, refs = self._resolve(part, refs)
            merged = _merge(resolved, merged)
        return merged, refs

    def _target(self, pointer: str) -> dict[str, Any]:
        node: Any = self._root
        for part in pointer.removeprefix("#").strip("/").split("/"):
            name = part.replace("~1", "/").replace("~0", "~")
            if part and isinstance(node, Mapping):
                node = node.get(name)
            elif part and isinstance(node, list) and name.isdigit() and int(name) < len(node):
                node = node[int(name)]
        return dict(node) if isinstance(node, Mapping) else {}

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
        for name, part in schema.get("properties", {}).items():
            value = self._found(part, name, evidence, refs, depth + 1)
            anything |= value is not NOTHING
            again = "x-again" in self._resolve(part, refs)[0]
            if value is not NOTHING:
                found[name] = value
            elif name in schema.get("required", []) or not again:
                found[name] = self._empty(part, depth + 1)
        for name in schema.get("required", []):
            if name not in found:
                found[name] = self._empty(schema.get("additionalProperties", True), depth + 1)
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
        wanted = max(least, min(most, max(1, ITEMS - depth // 2)))
        each = schema.get("items", True)
        sources = self._sources(evidence) if each is not False else iter(())
        for source in sources:
            if len(items) >= wanted:
                break
            before = len(self.used)
            value = self._found(each, hint, source, refs, depth + 1)
            if value is not NOTHING and value not in items:
                items.append(value)
                if depth == 1:
                    self.items.append(self.used[before:])
        if not items:
            return NOTHING
        while len(items) < least:
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
            # A number counts only where the text speaks of what is asked for.
            if not wanted & quote.stems:
                continue
            for number in numbers_in(quote.text, whole=_type_of(schema) == "integer"):
                if fits(schema, number):
                    self.used.append(quote)
                    return number
        return NOTHING

    def _choice(self, options: list[Any], hint: str, evidence: Evidence) -> Any:
        for quote in evidence.ranked(hint):
            for option in options:
                wanted = stems(option) if isinstance(option, str) else set()
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
            return None if None in schema["enum"] else next(iter(schema["enum"]), None)
        branches = self._branches(schema)
        if branches is not None:
            if any(_type_of(self._resolve(each, frozenset())[0]) == "null" for each in branches):
                return None
            return self._empty(branches[0], depth + 1)
        kind = _type_of(schema)
        if kind == "object":
            parts = schema.get("properties", {})
            names = schema.get("required", [])
            return {name: self._empty(parts.get(name, True), depth + 1) for name in names}
        if kind == "array":
            fixed = [self._empty(each, depth + 1) for each in schema.get("prefixItems", [])]
            while len(fixed) < int(schema.get("minItems", 0)):
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
