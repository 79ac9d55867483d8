"""Extract: URLs in, markdown out (docs/reference/facts.md, 6)."""

from typing import Final

from parallel_integrations._protocol.caching import keeping, of_session
from parallel_integrations._protocol.flow import Flow, Send, call
from parallel_integrations._protocol.retry import RetryPolicy
from parallel_integrations.models.extract import (
    ExtractRequest,
    ExtractResponse,
)

EXTRACT_TIMEOUT_SECONDS: Final = 120.0


def extract(request: ExtractRequest) -> Flow[ExtractResponse]:
    """Read web pages as markdown.

    A page that cannot be read is an item of `errors`, not an exception.

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
    return of_session((yield from call(send, ExtractResponse)), request)
