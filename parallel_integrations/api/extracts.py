"""Extract: URLs in, markdown out (docs/reference/facts.md, 6)."""

from typing import Final

from parallel_integrations._protocol.caching import keeping, of_session
from parallel_integrations._protocol.flow import Flow, Send, call
from parallel_integrations._protocol.retry import RetryPolicy
from parallel_integrations.models.extract import (
    ExtractError,
    ExtractRequest,
    ExtractResponse,
    ExtractResult,
)
from parallel_integrations.models.page_facts import page_key

EXTRACT_TIMEOUT_SECONDS: Final = 120.0
NOT_RETURNED: Final = "not_returned"
UNMENTIONED: Final = "the response holds neither this page nor an error for it"


def extract(request: ExtractRequest) -> Flow[ExtractResponse]:
    """Read web pages as markdown.

    A page that cannot be read is an item of `errors`, not an exception. Both lists come in the
    order of the request's URLs; one that the response does not mention is an error, too.

    Args:
        request: Which pages and how much of them.

    Returns:
        A flow for `ParallelClient.run` or `arun`; its result is an `ExtractResponse`.

    Raises:
        ParallelError: From the client, as the retry table and the API's status demand.

    Example:
        ```python
        from parallel_integrations import ExtractRequest, ParallelClient
        from parallel_integrations.api import extract

        request = ExtractRequest(urls=["https://docs.python.org/3/reference/"])
        with ParallelClient() as client:
            response = client.run(extract(request))
        for error in response.errors:
            print(error)
        ```
    """
    ExtractRequest.expect(request)
    send = Send(
        "POST",
        "/v1/extract",
        request,
        retry=RetryPolicy.QUERY,
        timeout_seconds=EXTRACT_TIMEOUT_SECONDS,
        keep=keeping(request),
    )
    response = of_session((yield from call(send, ExtractResponse)), request)
    _account(request, response)
    return response


def _account(request: ExtractRequest, response: ExtractResponse) -> None:
    """Put what came into the order of the URLs, and name those of which nothing came."""
    urls: dict[str, str] = {}
    for url in request.urls:
        urls.setdefault(page_key(url), url)
    came = [page_key(page.url) for page in response.results]
    came += [page_key(error.url) for error in response.errors]
    missing = [key for key in urls if key not in came]
    # An address may have led to a page with another one: of which it is, the wire does not say.
    led = [key for key in came if key.strip() and key not in urls]
    stands_for = {**{key: key for key in urls}, **dict(zip(led, missing, strict=False))}
    places = {key: place for place, key in enumerate(urls)}

    def place_of(item: ExtractResult | ExtractError) -> int:
        return places.get(stands_for.get(page_key(item.url), ""), len(places))

    if len(missing) > len(led):
        response.errors += [
            ExtractError(url=urls[key], error_type=NOT_RETURNED, content=UNMENTIONED)
            for key in missing
        ]
    response.results.sort(key=place_of)
    response.errors.sort(key=place_of)
