"""Entity search as the retrievers use it: its settings, and the request of one call."""

from typing import Final

from parallel_integrations._documents.evidence import PageDocument, entity_documents
from parallel_integrations._documents.queries import readable
from parallel_integrations.errors import InvalidArgumentError
from parallel_integrations.models.findall import (
    MAX_MATCHES,
    MIN_MATCHES,
    EntitySearchRequest,
    EntitySearchResponse,
    EntityType,
)

DEFAULT_ENTITIES: Final = 10


def entity_request(
    objective: str, entity_type: EntityType, max_results: int
) -> EntitySearchRequest:
    """The request for so many entities; the API lists no fewer than five, at the same price.

    Raises:
        InvalidArgumentError: A number or an objective that cannot be right.
    """
    if type(max_results) is not int or max_results < 1:  # nor True
        raise InvalidArgumentError(
            f"max_results={max_results!r:.80} must be 1 to {MAX_MATCHES}", field="max_results"
        )
    limit = max(max_results, MIN_MATCHES)
    if isinstance(objective, str):
        objective = readable(objective).strip()
        if not objective:
            raise InvalidArgumentError(
                "the query, which is the objective, is blank: describe the entities",
                field="objective",
            )
    return EntitySearchRequest(objective=objective, entity_type=entity_type, match_limit=limit)


def listed(response: EntitySearchResponse, max_results: int) -> list[PageDocument]:
    """The first entities of a response, as documents."""
    return entity_documents(response.entities)[:max_results]
