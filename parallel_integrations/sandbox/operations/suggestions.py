"""Suggestions of tasks: ``/v1beta/tasks/suggest`` and ``/v1beta/tasks/suggest-processor``.

No model works here: fields are the parts of the sentence, and processors go by their number.
"""

import re
from typing import Any

from parallel_integrations.sandbox.operations.operation import Call, Operation, Result
from parallel_integrations.sandbox.operations.shared import Loose, Text
from parallel_integrations.sandbox.operations.tasks import FIELDS
from parallel_integrations.sandbox.server.responses import invalid

MAX_FIELDS = 10
_BETWEEN_FIELDS = re.compile(r"[,;\n]|\band\b")
_INPUT = {"name": {"type": "string", "description": "What is researched."}}


class PreviousTask(Loose):
    """``previous_task`` of a suggestion."""

    input_schema: dict[str, Any] | None = None


class SuggestBody(Loose):
    """Body of a suggestion."""

    user_intent: Text
    previous_task: PreviousTask | None = None


class Spec(Loose):
    """``task_spec`` of a suggestion of processors."""

    output_schema: dict[str, Any] | str
    input_schema: dict[str, Any] | str | None = None


class SuggestProcessorBody(Loose):
    """Body of a suggestion of processors."""

    task_spec: Spec


async def suggest(call: Call) -> Result:
    """Handle ``POST /v1beta/tasks/suggest``."""
    body = call.parse(SuggestBody)
    fields = fields_of(body.user_intent)
    if not fields:
        raise invalid("user_intent", "names nothing that could be found out")
    properties = {
        name: {"type": "string", "description": f"{text[0].upper()}{text[1:]}."}
        for name, text in fields.items()
    }
    known = body.previous_task.input_schema if body.previous_task else None
    return Result(
        {
            "title": body.user_intent.strip()[:80],
            "output_schema": _object(properties),
            "input_schema": known or _object(_INPUT),
            "warnings": [],
        }
    )


async def suggest_processor(call: Call) -> Result:
    """Handle ``POST /v1beta/tasks/suggest-processor``."""
    schema: Any = call.parse(SuggestProcessorBody).task_spec.output_schema
    if isinstance(schema, dict):
        schema = schema.get("json_schema", schema)
    properties = schema.get("properties") if isinstance(schema, dict) else None
    count = len(properties) if isinstance(properties, dict) else 1
    fitting = [name for name in ("lite", "base", "core") if count <= FIELDS[name]]
    return Result({"recommended_processors": fitting or ["pro"]})


def fields_of(intent: str) -> dict[str, str]:
    """Return name and text of each thing that a sentence lists.

    Example:
        ```python
        from parallel_integrations.sandbox.operations.suggestions import fields_of

        assert fields_of("founding year and the headquarters") == {
            "founding_year": "founding year",
            "headquarters": "headquarters",
        }
        ```
    """
    found = {}
    for part in _BETWEEN_FIELDS.split(intent):
        words = [word for word in re.findall(r"\w+", part) if word.lower() not in _ARTICLES]
        if words:
            found["_".join(words[:4]).lower()] = " ".join(words)
    return dict(list(found.items())[:MAX_FIELDS])


_ARTICLES = frozenset({"a", "an", "the", "its", "their"})


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


OPERATIONS = (
    Operation("suggest_task", "POST", "/v1beta/tasks/suggest", suggest),
    Operation("suggest_processor", "POST", "/v1beta/tasks/suggest-processor", suggest_processor),
)
