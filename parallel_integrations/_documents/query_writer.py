"""Search queries written by a model: its prompt, reading its output, and the fallback."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from pydantic import BaseModel

from parallel_integrations._documents.adapter import Adapter
from parallel_integrations._documents.json_values import json_values
from parallel_integrations._documents.queries import readable, search_fields
from parallel_integrations._documents.searching import search_request
from parallel_integrations.models.pages import MAX_QUERIES, MAX_QUERY_CHARACTERS

PROMPT: Final = (
    "Prepare a web search for the question below. Answer with JSON only:\n"
    '{{"objective": "<what is to be found out, in one or two sentences, with any requirement on '
    'sources or dates>", "search_queries": ["<2 to 4 different keyword queries of 3 to 6 words>"]}}'
    "\n\nQuestion: {question}"
)

log = logging.getLogger("parallel_integrations")


@contextmanager
def falling_back() -> Iterator[None]:
    """Suppress any failure of a query writer, with a warning in the log.

    The search goes on with queries derived from the question: its results are worth more than
    better queries.
    """
    try:
        yield
    except Exception as error:  # noqa: BLE001 - any model may be given, and may fail in any way
        # The kind alone: the message may hold the question, or anything that the model wrote.
        log.warning(
            "the query writer failed (%s); queries are derived instead", type(error).__name__
        )


class QueriedSearch:
    """The search for one question, whose queries a model may write.

    Args:
        settings: Of the adapter.
        question: The user's.
        objective: What the developer gave in its place.
        search_queries: What the caller gave.
        **fields: Further fields of this search.

    Attributes:
        request: The search as it stands. It is there before a model is called, so that one which
            cannot be right costs no model call.
    """

    def __init__(
        self,
        settings: Adapter,
        question: str,
        *,
        objective: str | None,
        search_queries: Sequence[str] | None,
        **fields: Any,
    ) -> None:
        self._settings = settings
        self._objective = objective
        found = search_fields(question, objective=objective, search_queries=search_queries)
        self._fields = {**found, **fields}
        self.request = search_request(settings, **self._fields)

    def rewrite(self, written: object) -> None:
        """Take objective and queries from a query writer's output.

        Raises:
            ValueError: There are none; the search stays as it was.
        """
        self._fields |= read_written(written, keeping=self._objective)
        self.request = search_request(self._settings, **self._fields)


def read_written(output: object, keeping: object = None) -> dict[str, Any]:
    """`objective` and `search_queries` from the output of a query writer.

    Args:
        output: An object or mapping with these names, a message whose text is JSON, or JSON text,
            fenced or with words around it.
        keeping: An objective that the developer gave; where it is not None, no other is read.

    Returns:
        The valid ones of the two, without queries that are too long or too many.

    Raises:
        ValueError: Neither is valid.
    """
    values = _mapping(output)
    written: dict[str, Any] = {}
    objective = values.get("objective")
    if keeping is None and isinstance(objective, str) and objective.strip():
        written["objective"] = readable(objective).strip()
    queries = values.get("search_queries")
    queries = [queries] if isinstance(queries, str) else queries
    if isinstance(queries, list | tuple) and (usable := usable_queries(queries)):
        written["search_queries"] = usable
    if not written:
        raise ValueError("the query writer gave neither objective nor search_queries")
    return written


def usable_queries(queries: Iterable[object]) -> list[str]:
    """Those that can be sent: texts that are neither blank nor too long, 5 at most."""
    texts = (readable(query).strip() for query in queries if isinstance(query, str))
    return [text for text in texts if 0 < len(text) <= MAX_QUERY_CHARACTERS][:MAX_QUERIES]


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
    found: Mapping[str, Any] | None = next(json_values(text, "{"), None)
    if found is None:
        raise ValueError("the query writer gave no JSON object")
    return found
