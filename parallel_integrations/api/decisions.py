"""Decisions, experimental: answers with probabilities (docs/reference/facts.md, 18.2)."""

from typing import Final

from parallel_integrations._protocol.flow import Flow, Send, call
from parallel_integrations._protocol.retry import RetryPolicy
from parallel_integrations.errors import UnexpectedAnswerError
from parallel_integrations.models.decision import DecideRequest, DecideResponse

DECISION_TIMEOUT_SECONDS: Final = 60.0


def decide(request: DecideRequest) -> Flow[DecideResponse]:
    """Answer questions about a state, with probabilities and the pages that they rest on.

    Experimental: known from the vendor's pages and one program of a third party alone.

    Args:
        request: The state and the questions.

    Returns:
        A flow for `ParallelClient.run` or `arun`; its result is a `DecideResponse`. A question that
        was refused has a `RefusalAnswer`, one whose answer cannot be read a `DecisionAnswer`.

    Raises:
        UnexpectedAnswerError: The response has no answer at all.
        ParallelError: From the client, as the retry table and the API's status demand; what may
            have been billed is not repeated.

    Example:
        ```python
        from parallel_integrations import DecideRequest, ParallelClient
        from parallel_integrations.api import decide
        from parallel_integrations.models import Noul

        request = DecideRequest(
            state="The with statement swallowed my exception.",
            questions={"bug": Noul(instructions="Does the message report a bug?")},
        )
        with ParallelClient() as client:
            print(client.run(decide(request)).nouls["bug"].noul)
        ```
    """
    DecideRequest.expect(request)
    send = Send(
        "POST",
        "/v1/decisions",
        request,
        retry=RetryPolicy.CREATE,
        timeout_seconds=DECISION_TIMEOUT_SECONDS,
    )
    return _answered(send)


def _answered(send: Send) -> Flow[DecideResponse]:
    response = yield from call(send, DecideResponse)
    if not response.answers:
        raise UnexpectedAnswerError(
            f"The decision {response.decision_id or 'without an id'} holds no answer", status=200
        )
    return response
