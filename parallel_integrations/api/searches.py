"""Search: ranked pages with excerpts (docs/reference/facts.md, 5)."""

import re
from typing import Final

from parallel_integrations._protocol.caching import keeping, of_session
from parallel_integrations._protocol.flow import Flow, Send, call
from parallel_integrations._protocol.retry import RetryPolicy
from parallel_integrations.errors import InvalidRequestError
from parallel_integrations.models.search import SearchRequest, SearchResponse

SEARCH_TIMEOUT_SECONDS: Final = 90.0
# Not as a key with its value, which is the request repeated.
_NAMES_MODE: Final = re.compile(r"""\bmode\b(?!["']?\s*[:=]\s*["']?fast)""")


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
        if request.mode != "fast" or not _refuses_mode(error):
            raise
        response = None
    if response is None:
        basic = request.model_copy(update={"mode": "basic"})
        response = yield from call(_send(basic), SearchResponse)
    return of_session(response, request)


def _refuses_mode(error: InvalidRequestError) -> bool:
    """Whether the mode is what the API refuses, rather than part of a request that it repeats."""
    detail = error.detail
    faults = detail.get("errors") if isinstance(detail, dict) else detail
    places = [
        fault["loc"] if isinstance(fault["loc"], list) else str(fault["loc"]).split(".")
        for fault in (faults if isinstance(faults, list) else [])
        if isinstance(fault, dict) and fault.get("loc")
    ]
    if places:
        return any("mode" in place for place in places)
    said = f"{error.message} {faults if isinstance(faults, str) else ''}"
    return _NAMES_MODE.search(said) is not None


def _send(request: SearchRequest) -> Send:
    return Send(
        "POST",
        "/v1/search",
        request,
        retry=RetryPolicy.QUERY,
        timeout_seconds=SEARCH_TIMEOUT_SECONDS,
        keep=keeping(request),
    )
