"""A model that writes objective and queries: what it is told, and reading what it says."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel

from parallel_integrations.models.pages import MOST_QUERIES, MOST_QUERY_CHARACTERS

PROMPT: Final = (
    "Prepare a web search for the question below. Answer with JSON only:\n"
    '{{"objective": "<what is to be found out, in one or two sentences, with any wish about '
    'sources or dates>", "search_queries": ["<2 to 4 different keyword queries of 3 to 6 words>"]}}'
    "\n\nQuestion: {question}"
)
_OBJECT: Final = re.compile(r"\{.*\}", re.DOTALL)


def read_written(answer: object) -> dict[str, Any]:
    """`objective` and `search_queries` from whatever a query writer gave.

    Args:
        answer: An object or mapping with these names, a message whose text is JSON, or JSON text,
            fenced or with words around it.

    Returns:
        What of the two could be used; queries that are too long or too many are left out.

    Raises:
        ValueError: Nothing of it could.
    """
    values = _mapping(answer)
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
            if isinstance(query, str) and 0 < len(query.strip()) <= MOST_QUERY_CHARACTERS
        ]
        if usable:
            written["search_queries"] = usable[:MOST_QUERIES]
    if not written:
        raise ValueError("the query writer gave neither objective nor search_queries")
    return written


def _mapping(answer: object) -> Mapping[str, Any]:
    if isinstance(answer, Mapping):
        return answer
    if isinstance(answer, str):
        text = answer
    elif isinstance(answer, BaseModel) and "search_queries" in type(answer).model_fields:
        return answer.model_dump()
    elif hasattr(answer, "search_queries"):
        return vars(answer)
    else:
        text = str(getattr(answer, "text", "") or getattr(answer, "content", ""))
    found = _OBJECT.search(text)
    if found is None:
        raise ValueError("the query writer gave no JSON object")
    value = json.loads(found[0])
    if not isinstance(value, dict):
        raise ValueError("the query writer gave no JSON object")
    return value
