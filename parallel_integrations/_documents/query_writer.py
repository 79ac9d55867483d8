"""A model that writes objective and queries: what it is told, and reading what it says."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel

from parallel_integrations.models.pages import MAX_QUERIES, MAX_QUERY_CHARACTERS

PROMPT: Final = (
    "Prepare a web search for the question below. Answer with JSON only:\n"
    '{{"objective": "<what is to be found out, in one or two sentences, with any wish about '
    'sources or dates>", "search_queries": ["<2 to 4 different keyword queries of 3 to 6 words>"]}}'
    "\n\nQuestion: {question}"
)
_OBJECT: Final = re.compile(r"\{.*\}", re.DOTALL)


def read_written(output: object) -> dict[str, Any]:
    """`objective` and `search_queries` from whatever a query writer gave.

    Args:
        output: An object or mapping with these names, a message whose text is JSON, or JSON text,
            fenced or with words around it.

    Returns:
        What of the two could be used; queries that are too long or too many are left out.

    Raises:
        ValueError: Nothing of it could.
    """
    values = _mapping(output)
    written: dict[str, Any] = {}
    objective = values.get("objective")
    if isinstance(objective, str) and objective.strip():
        written["objective"] = objective.strip()
    queries = values.get("search_queries")
    queries = [queries] if isinstance(queries, str) else queries
    if isinstance(queries, list | tuple):
        usable = [
            query.strip()
            for query in queries
            if isinstance(query, str) and 0 < len(query.strip()) <= MAX_QUERY_CHARACTERS
        ]
        if usable:
            written["search_queries"] = usable[:MAX_QUERIES]
    if not written:
        raise ValueError("the query writer gave neither objective nor search_queries")
    return written


def _mapping(output: object) -> Mapping[str, Any]:
    if isinstance(output, Mapping):
        return output
    if isinstance(output, str):
        text = output
    elif isinstance(output, BaseModel) and "search_queries" in type(output).model_fields:
        return output.model_dump()
    elif hasattr(output, "search_queries"):
        return vars(output)
    else:
        text = str(getattr(output, "text", "") or getattr(output, "content", ""))
    found = _OBJECT.search(text)
    if found is None:
        raise ValueError("the query writer gave no JSON object")
    value = json.loads(found[0])
    if not isinstance(value, dict):
        raise ValueError("the query writer gave no JSON object")
    return value
