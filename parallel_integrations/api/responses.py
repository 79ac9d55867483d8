"""Responses: researched answers with citations in their text (docs/reference/facts.md, 18.1)."""

from typing import Any, Final

import httpx

from parallel_integrations._protocol.answer_stream import (
    HalfCharacters,
    answer_stream,
    interrupted,
    unread_piece,
)
from parallel_integrations._protocol.error_mapping import reported_error
from parallel_integrations._protocol.events import class_of
from parallel_integrations._protocol.flow import Flow, Send, Stream, call
from parallel_integrations._protocol.redaction import scrub, without_echo
from parallel_integrations._protocol.retry import RetryPolicy, conditions_of
from parallel_integrations.errors import StreamInterruptedError, UnexpectedAnswerError
from parallel_integrations.models.response import (
    RESPONSE_EVENTS,
    RespondRequest,
    RespondResponse,
    ResponseEvent,
    ResponseStateEvent,
)
from parallel_integrations.models.shared import first_fault
from parallel_integrations.models.tolerant_reading import (
    decode_json,
    holds_nothing,
    json_kind,
    read_items,
    storable_json,
    warn,
)

RESPONSE_TIMEOUT_SECONDS: Final = 150.0
"""The API itself gives up after 120 s."""


def respond(request: RespondRequest) -> Flow[RespondResponse]:
    """Get a whole answer, researched and cited; 0.010 to 0.250 USD by effort.

    Args:
        request: The question and how much to research; 150 s are waited for the answer, unless the
            client has a timeout of its own.

    Returns:
        A flow for `ParallelClient.run` or `arun`; its result is a `RespondResponse`.

    Raises:
        UnexpectedAnswerError: The API reports that it failed, or there is no text.
        ParallelError: From the client, as the retry table and the API's status demand; what may
            have been billed is not repeated.
    """
    RespondRequest.expect(request)
    return _whole(_send(request, stream=False))


def stream_response(request: RespondRequest) -> Stream[ResponseEvent]:
    """Get an answer event by event.

    Args:
        request: The question and how much to research.

    Returns:
        A stream for `ParallelClient.stream` or `astream`; the `delta` of its events add up to the
            answer. `ResponseAnnotationEvent` brings a citation, the last one, a
            `ResponseStateEvent`, the whole response.

    Raises:
        StreamInterruptedError: The stream was cut, or the API reports that it failed; `partial`
            holds the text so far.
        ParallelError: From the client, before the first event.

    Example:
        ```python
        from parallel_integrations import ParallelClient, RespondRequest
        from parallel_integrations.api import stream_response

        request = RespondRequest(input="What is a generator?", reasoning_effort="low")
        with ParallelClient() as client:
            for event in client.stream(stream_response(request)):
                print(event.delta, end="")
        ```
    """
    RespondRequest.expect(request)
    read = _EventReader().read
    return answer_stream(_send(request, stream=True), read, _text_of, _is_last, end_of=_end_of)


def _send(request: RespondRequest, *, stream: bool) -> Send:
    return Send(
        "POST",
        "/v1/responses",
        request.model_copy(update={"stream": stream}),
        retry=RetryPolicy.CREATE,
        timeout_seconds=RESPONSE_TIMEOUT_SECONDS,
        stream=stream,
        headers=tuple((request.extra_headers or {}).items()),
    )


def _whole(send: Send) -> Flow[RespondResponse]:
    response = yield from call(send, RespondResponse)
    # A failure comes with status 200: the retry table does not see it, and it may be billed.
    if response.has_failed:
        raise UnexpectedAnswerError(f"The API could not answer: {_reason(response)}", status=200)
    if not response.text.strip():
        raise UnexpectedAnswerError(
            f"The response {response.id or 'without an id'} holds no text (status "
            f"{response.status!r}, {_end_of_response(response) or 'no reason given'})",
            status=200,
        )
    return response


def _text_of(event: ResponseEvent) -> str:
    if isinstance(event, ResponseStateEvent) and event.is_last:
        return event.delta or event.response.text  # all of it, where no event brought a piece
    return event.delta


def _end_of(event: ResponseEvent) -> str | None:
    return _end_of_response(event.response) if isinstance(event, ResponseStateEvent) else None


def _end_of_response(response: RespondResponse) -> str | None:
    refused = next(filter(None, (part.refusal for part in response.parts)), None)
    return f"it was refused: {refused}" if refused else response.finish_reason


def _is_last(event: ResponseEvent) -> bool:
    return isinstance(event, ResponseStateEvent) and event.is_last


class _EventReader:
    """Reads the events of one streamed response, each given the texts before it."""

    def __init__(self) -> None:
        self._halves = HalfCharacters()

    def read(self, data: str, response: httpx.Response, text: list[str]) -> ResponseEvent:
        """An event of its data."""
        try:
            body: Any = decode_json(without_echo(data.encode(), response))
            if holds_nothing(body):
                event = ResponseEvent()
                warn(event, [f"An event was left out: it is {json_kind(body)}"])
                return event
            kind = body.get("type") if isinstance(body, dict) else None
            if kind is None and isinstance(body, dict) and body.get("object") == "response":
                # A server without streams sends it bare.
                kind = "response.failed" if body.get("status") == "failed" else "response.completed"
                body = {"type": kind, "response": body}
            if kind == "error" or (kind is None and isinstance(body, dict) and body.get("error")):
                raise _failed(reported_error(storable_json(body), response), text, response)
            self._join_halves(body)
            event = read_items(class_of(kind, RESPONSE_EVENTS, ResponseEvent), storable_json(body))
        except ValueError as error:
            fault = first_fault(error)
        else:
            if isinstance(event, ResponseStateEvent):
                conditions_of(response).result = event.response
            if event.type == "response.failed" and isinstance(event, ResponseStateEvent):
                raise _failed(scrub(_reason(event.response), response), text, response)
            return event
        raise unread_piece("An event", fault, data, text, response)

    def _join_halves(self, body: Any) -> None:
        """Make a character whole whose halves came in two events; the text ends with its part."""
        if not isinstance(body, dict):
            return
        if isinstance(piece := body.get("delta"), str):
            body["delta"] = self._halves.add(piece)
        elif self._halves.held:
            body["delta"] = self._halves.rest()


def _reason(response: RespondResponse) -> str:
    failure = response.error
    if failure is None or not (failure.message or failure.code):
        return "no reason given"
    return f"{failure.message or 'no message'}{f' ({failure.code})' if failure.code else ''}"


def _failed(reason: str, text: list[str], response: httpx.Response) -> StreamInterruptedError:
    return interrupted(f"The API broke the answer off: {reason}", text, response)
