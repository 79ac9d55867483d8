"""The vendor's OpenAPI document as a judge of answers, when there is one at hand."""

import json
import os
from pathlib import Path
from typing import Any

import jsonschema

# Read here, because the tests clear the environment.
_PATHS = [Path(p) for p in os.environ.get("PARALLEL_OPENAPI", "").split(os.pathsep) if p]
_SCHEMAS: dict[str, Any] = {}
for _path in reversed(_PATHS):
    _SCHEMAS.update(json.loads(_path.read_text())["components"]["schemas"])


def follows(name: str, body: Any) -> Any:
    """Check that `body` is what the document calls `name`, if it does; returns `body`."""
    if name in _SCHEMAS:
        schema = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": _SCHEMAS}}
        jsonschema.validate(_older(body), schema)
    return body


def _older(body: Any) -> Any:
    """Give an event's group the name it has in the May 2026 document beside its own."""
    if isinstance(body, list):
        return [_older(each) for each in body]
    if not isinstance(body, dict):
        return body
    older = {key: _older(value) for key, value in body.items()}
    if "event_group_id" in older:
        older["monitor_group_id"] = older["event_group_id"]
    return older
