"""Chat: web-grounded answers, whole or streamed (docs/reference/facts.md, 7)."""

from collections.abc import Callable
from operator import attrgetter
from typing import Final, TypeVar

import httpx
from pydantic import ValidationError
from pydantic_core import from_json

from parallel_integrations._protocol.answer_stream import answer_stream
from parallel_integrations._protocol.error_mapping import SHOWN_CHARACTERS, reported_error
from parallel_integrations._protocol.flow import Flow, Send, Stream, call
from parallel_integrations._protocol.redaction import beginning, scrub
from parallel_integrations._protocol.retry import RetryPolicy
from parallel_integrations._protocol.routes import CHAT_PATH
from parallel_integrations.errors import StreamInterruptedError
from parallel_integrations.models.chat import SPEED_MODEL, ChatChunk, ChatRequest, ChatResponse
from parallel_integrations.models.shared import first_fault

SPEED_TIMEOUT_SECONDS: Final = 60.0
RESEARCH_TIMEOUT_SECONDS: Final = 600.0

Chunk = TypeVar("Chunk", ChatResponse, ChatChunk)


def chat(request: ChatRequest) -> Flow[ChatResponse]:
    """Get a whole answer.

    Args:
        request: The conversation and the model. The timeout is 60 s for `speed`, 600 s for
            others, unless the client has its own.

    Returns:
        A flow for `ParallelClient.run` or `arun`; its result is a `ChatResponse`.

    Raises:
        ParallelError: From the client, as the retry table and the API's status demand.
    """
    ChatRequest.expect(request)
    return call(_send(request.model_copy(update={"stream": False})), ChatResponse)


def stream_chat(request: ChatRequest) -> Stream[ChatResponse]:
    """Get an answer chunk by chunk.

    Args:
        request: The conversation and the model.

    Returns:
        A stream for `ParallelClient.stream` or `astream`; its events are `ChatResponse` chunks,
        whose `text` adds up to the answer.

    Raises:
        StreamInterruptedError: The stream was cut or reported an error; `partial` holds the text.
        ParallelError: From the client, before the first chunk.

    Example:
        ```python
        from parallel_integrations import ChatRequest, ParallelClient
        from parallel_integrations.api import stream_chat

        request = ChatRequest(messages=[{"role": "user", "content": "What is a generator?"}])
        with ParallelClient() as client:
            for chunk in client.stream(stream_chat(request)):
                print(chunk.text, end="")
        ```
    """
    return _stream(request, _read_chunk)


def stream_chunks(request: ChatRequest) -> Stream[ChatChunk]:
    """As `stream_chat`, with chunks that are read no further than their text needs."""
    return _stream(request, _skim_chunk)


def _stream(
    request: ChatRequest, read: Callable[[str, httpx.Response, list[str]], Chunk]
) -> Stream[Chunk]:
    ChatRequest.expect(request)
    send = _send(request.model_copy(update={"stream": True}))
    return answer_stream(send, read, attrgetter("text"))


def _send(request: ChatRequest) -> Send:
    timeout_seconds = (
        SPEED_TIMEOUT_SECONDS if request.model == SPEED_MODEL else RESEARCH_TIMEOUT_SECONDS
    )
    return Send(
        "POST",
        CHAT_PATH,
        request,
        retry=RetryPolicy.QUERY,
        timeout_seconds=timeout_seconds,
        stream=request.stream,
        headers=tuple((request.extra_headers or {}).items()),
    )


def _skim_chunk(data: str, response: httpx.Response, text: list[str]) -> ChatChunk:
    # Plain JSON takes 5 µs a chunk, the model 40: at a thousand chunks a second that is what the
    # caller waits for. The first chunk is read in full, for what it says of the whole answer, and
    # so is every chunk that holds anything besides its text.
    if text:
        try:
            raw = from_json(data)
            [choice] = raw["choices"]
            added, named = choice["delta"]["content"], raw.get("id")
            if (
                isinstance(added, str)
                and (named is None or isinstance(named, str))
                and not choice.get("finish_reason")
                and not raw.get("basis")
                and not raw.get("interaction_id")
                and not raw.get("usage")
                and not raw.get("error")
            ):
                return ChatChunk(added, raw, named)
        except (AttributeError, KeyError, TypeError, ValueError):
            pass  # not what most chunks are: read in full, and reported if that fails
    chunk = _read_chunk(data, response, text)
    return ChatChunk(chunk.text, from_json(data), chunk.id, chunk)


def _read_chunk(data: str, response: httpx.Response, text: list[str]) -> ChatResponse:
    try:
        chunk = ChatResponse.model_validate_json(data)
        fault = None
    except ValidationError as error:
        chunk, fault = ChatResponse(), first_fault(error)
    extra = chunk.model_extra or {}
    if fault is None and not extra.get("error"):
        return chunk
    partial = scrub("".join(text), response)
    try:
        body = from_json(data)
    except ValueError:
        body = None
    if isinstance(body, dict) and body.get("error"):
        raise StreamInterruptedError(
            f"The API broke the answer off: {reported_error(body, response)}", partial=partial
        )
    why, shown = scrub(fault or "", response), beginning(data, response, SHOWN_CHARACTERS)
    raise StreamInterruptedError(f"A chunk cannot be read ({why}): {shown!r}", partial=partial)
