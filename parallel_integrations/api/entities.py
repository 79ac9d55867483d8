"""Entity search: a list of entities at once (docs/reference/facts.md, 10)."""

from dataclasses import replace

from parallel_integrations._protocol.flow import Flow, Send, call
from parallel_integrations._protocol.retry import RetryPolicy
from parallel_integrations.api.findall import BETAS, INGEST_TIMEOUT_SECONDS
from parallel_integrations.errors import NotFoundError
from parallel_integrations.models.entity import EntitySearchRequest, EntitySearchResponse
from parallel_integrations.models.prices import entity_skus
from parallel_integrations.models.shared import ApiVersion, RequestModel


def entity_search(request: EntitySearchRequest) -> Flow[EntitySearchResponse]:
    """List entities at once, best effort; 0.005 USD with 100 results, 0.05 per 1000 further ones.

    Falls back to the older path and names on a 404.

    Args:
        request: Which entities.

    Returns:
        A flow whose result is the `EntitySearchResponse`.

    Example:
        ```python
        from parallel_integrations import EntitySearchRequest, ParallelClient
        from parallel_integrations.api import entity_search

        request = EntitySearchRequest(
            entity_type="companies", objective="makers of Python tools", match_limit=5
        )
        with ParallelClient() as client:
            for entity in client.run(entity_search(request)).entities:
                print(entity.name, entity.url)
        ```
    """
    EntitySearchRequest.expect(request)
    send = Send(
        "POST",
        "/v1beta/findall/entity-search",
        request,
        retry=RetryPolicy.QUERY,
        timeout_seconds=INGEST_TIMEOUT_SECONDS,
        betas=BETAS,
    )
    try:
        return (yield from call(send, EntitySearchResponse))
    except NotFoundError:
        older = replace(
            send, path="/v1beta/findall/candidates", request=_OlderEntitySearch.of(request)
        )
        return (yield from call(older, EntitySearchResponse))


class _OlderEntitySearch(RequestModel):
    """The request of the path that entity search had before."""

    entity_type: str
    objective: str
    match_limit: int

    def skus(self, version: ApiVersion) -> dict[str, int]:
        return entity_skus(self.match_limit)

    @classmethod
    def of(cls, request: EntitySearchRequest) -> "_OlderEntitySearch":
        older = {"companies": "company"}.get(request.entity_type, request.entity_type)
        return cls(entity_type=older, objective=request.objective, match_limit=request.match_limit)
