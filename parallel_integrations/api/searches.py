"""Search: ranked pages with excerpts (docs/reference/facts.md, 5)."""

from typing import Final

from parallel_integrations._protocol.caching import keeping, of_session
from parallel_integrations._protocol.flow import Flow, Send, call
from parallel_integrations._protocol.retry import RetryPolicy
from parallel_integrations.errors import InvalidRequestError
from parallel_integrations.models.search import SearchRequest, SearchResponse

SEARCH_TIMEOUT_SECONDS: Final = 90.0


def search(request: SearchRequest) -> Flow[SearchResponse]:
    """Search the web.

    Args:
        request: What to search for and how. A server that does not know `mode="fast"` yet is sent
            the request once more with `basic`.

    Returns:
        A flow for `ParallelClient.run` or `arun`; its result is a `SearchResponse`.

    Raises:
        ParallelError: From the client, as the retry table and the API's status demand.

    Example:
        ```python
        from parallel_integrations import ParallelClient, SearchRequest
        from parallel_integrations.api import search

        with ParallelClient() as client:
            response = client.run(search(SearchRequest(objective="What is a context manager?")))
        for page in response.results:
            print(page.title, page.url, page.excerpts[0][:80])
        ```
    """
    SearchRequest.expect(request)
    try:
        response = yield from call(_send(request), SearchResponse)
    except InvalidRequestError as error:
        # Older servers refuse the mode by name, unbilled (docs/reference/facts.md, 14).
        if request.mode != "fast" or "mode" not in f"{error.message} {error.detail}":
            raise
        response = None
    if response is None:
        basic = request.model_copy(update={"mode": "basic"})
        response = yield from call(_send(basic), SearchResponse)
    return of_session(response, request)


def _send(request: SearchRequest) -> Send:
    return Send(
        "POST",
        "/v1/search",
        request,
        retry=RetryPolicy.QUERY,
        timeout_seconds=SEARCH_TIMEOUT_SECONDS,
        keep=keeping(request),
    )
