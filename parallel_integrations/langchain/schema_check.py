"""Whether a value fits a JSON schema, as far as answers of a model need it."""

from typing import Any, Final

_TYPES: Final[dict[str, type | tuple[type, ...]]] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}


def misfit(value: Any, schema: dict[str, Any]) -> str | None:
    """What of a value does not fit a schema; None where all does.

    Types, required and unknown fields, alternatives and fixed values are checked, also in what is
    nested; the bounds of numbers and lengths are not.

    Args:
        value: What `json.loads` gives.
        schema: A JSON schema; its references point into itself.

    Returns:
        The first fault, with the place it is at.
    """
    return _fault(value, schema, schema, "")


def _fault(value: Any, schema: Any, root: dict[str, Any], where: str) -> str | None:
    if not isinstance(schema, dict):
        return f"{where or 'it'} is not allowed" if schema is False else None
    if "$ref" in schema:
        return _fault(value, _target(root, schema["$ref"]), root, where)
    if "enum" in schema and value not in schema["enum"]:
        return f"{where or 'it'} is {value!r}, none of {schema['enum']}"
    if "const" in schema and value != schema["const"]:
        return f"{where or 'it'} is {value!r}, not {schema['const']!r}"
    for part in schema.get("allOf", ()):
        if fault := _fault(value, part, root, where):
            return fault
    for name in ("anyOf", "oneOf"):
        faults = [_fault(value, part, root, where) for part in schema.get(name, ())]
        if faults and None not in faults:
            return faults[0]
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(_is(value, kind) for kind in kinds):
        return f"{where or 'it'} is {type(value).__name__}, not {' or '.join(kinds)}"
    if isinstance(value, dict):
        return _field_fault(value, schema, root, where)
    if isinstance(value, list) and "items" in schema:
        for number, item in enumerate(value):
            if fault := _fault(item, schema["items"], root, f"{where}[{number}]"):
                return fault
    return None


def _field_fault(
    value: dict[str, Any], schema: dict[str, Any], root: dict[str, Any], where: str
) -> str | None:
    for name in schema.get("required", ()):
        if name not in value:
            return f"{where or 'it'} lacks {name!r}"
    known = schema.get("properties", {})
    for name, item in value.items():
        part = known.get(name, schema.get("additionalProperties", True))
        if fault := _fault(item, part, root, f"{where}.{name}" if where else name):
            return fault
    return None


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool):  # an int to Python, none to JSON
        return kind == "boolean"
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES.get(kind, object))


def _target(root: dict[str, Any], reference: str) -> Any:
    node: Any = root
    for part in reference.removeprefix("#").strip("/").split("/"):
        node = node.get(part, {}) if isinstance(node, dict) else {}
    return node
