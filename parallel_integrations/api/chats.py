"""Chat: web-grounded answers, whole or streamed (docs/reference/facts.md, 7)."""

import json
from collections.abc import Callable
from operator import attrgetter
from typing import Any, Final, TypeVar

import httpx
from pydantic import ValidationError
from pydantic_core import from_json

from parallel_integrations._protocol.answer_stream import (
    HalfCharacters,
    answer_stream,
    interrupted,
    unread_piece,
)
from parallel_integrations._protocol.error_mapping import reported_words
from parallel_integrations._protocol.flow import Flow, Send, Stream, exchange
from parallel_integrations._protocol.response_reading import read_response, unread
from parallel_integrations._protocol.retry import RetryPolicy
from parallel_integrations._protocol.routes import CHAT_PATH
from parallel_integrations.models.chat import SPEED_MODEL, ChatChunk, ChatRequest, ChatResponse
from parallel_integrations.models.shared import first_fault
from parallel_integrations.models.tolerant_reading import (
    decode_json,
    holds_nothing,
    json_kind,
    read_items,
    storable_json,
    warn,
)

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
        UnexpectedAnswerError: A response without any text, or with an error, whatever its status.
        ParallelError: From the client, as the retry table and the API's status demand.
    """
    ChatRequest.expect(request)
    response = yield from exchange(_send(request.model_copy(update={"stream": False})))
    answer = read_response(response, ChatResponse)
    if _error_of(answer):  # what came beside it is cut short
        raise unread(response, "the answer was broken off")
    if not answer.text.strip():
        reason = f" (finish_reason {answer.finish_reason!r})" if answer.finish_reason else ""
        raise unread(response, f"it holds no answer{reason}")
    return answer


def stream_chat(request: ChatRequest) -> Stream[ChatResponse]:
    """Get an answer chunk by chunk.

    Args:
        request: The conversation and the model.

    Returns:
        A stream for `ParallelClient.stream` or `astream`; its events are `ChatResponse` chunks,
        whose `text` adds up to the answer.

    Raises:
        StreamInterruptedError: The stream was cut, reported an error (`partial` holds the text),
            or ended without any text.
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
    reader = _ChunkReader()
    return _stream(request, reader, reader.read)


def stream_chunks(request: ChatRequest) -> Stream[ChatChunk]:
    """As `stream_chat`, with chunks that are read no further than their text needs."""
    reader = _ChunkReader()
    return _stream(request, reader, reader.skim)


def _stream(
    request: ChatRequest,
    reader: "_ChunkReader",
    read: Callable[[str, httpx.Response, list[str]], Chunk],
) -> Stream[Chunk]:
    ChatRequest.expect(request)
    send = _send(request.model_copy(update={"stream": True}))
    return answer_stream(send, read, attrgetter("text"), rest=reader.rest, end_of=_end_of)


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


def _end_of(chunk: ChatResponse | ChatChunk) -> str | None:
    response = chunk.response if isinstance(chunk, ChatChunk) else chunk
    return response.finish_reason if response is not None else None


def _error_of(chunk: ChatResponse) -> Any:
    return (chunk.model_extra or {}).get("error")


class _ChunkReader:
    """Reads the chunks of one streamed answer, each given the texts before it."""

    def __init__(self) -> None:
        self._halves = HalfCharacters()
        self._has_deltas = False
        self._raw: dict[str, Any] | None = None  # of a chunk that had to be changed

    def skim(self, data: str, response: httpx.Response, text: list[str]) -> ChatChunk:
        """A chunk, read no further than its text needs."""
        # Without the model it saves a fourth of a stream's CPU: 14 of 50 µs a chunk, in the row
        # "stream, CPU per chunk (all at once)" of `make bench`. The first chunk is read in full,
        # for what it says of the whole answer, and so is every chunk that holds anything besides
        # its text.
        if self._has_deltas and not self._halves.held:
            try:
                raw = from_json(data)
                [choice] = raw["choices"]
                added, named = choice["delta"]["content"], raw.get("id")
                if (
                    isinstance(added, str)
                    and "\0" not in added
                    and (named is None or isinstance(named, str))
                    and not choice.get("index")
                    and not choice.get("finish_reason")
                    and not raw.get("basis")
                    and not raw.get("interaction_id")
                    and not raw.get("usage")
                    and not raw.get("error")
                ):
                    return ChatChunk(added, raw, named)
            except (AttributeError, KeyError, TypeError, ValueError):
                pass  # not what most chunks are: read in full, and reported if that fails
        chunk = self.read(data, response, text)
        raw = from_json(data) if self._raw is None else self._raw
        return ChatChunk(chunk.text, raw, chunk.id, chunk)

    def read(self, data: str, response: httpx.Response, text: list[str]) -> ChatResponse:
        """A chunk, read in full."""
        self._raw = None
        # Most chunks are as documented: these get by with few calls.
        if not self._halves.held and "\\u0000" not in data:
            try:
                chunk = ChatResponse.model_validate_json(data)
            except ValidationError:
                pass
            else:
                if chunk.choices and not (chunk.model_extra or {}).get("error"):
                    choice = chunk.choices[0]
                    if choice.delta is None or choice.message is not None or choice.index:
                        self._settle(chunk, text)
                    else:
                        self._has_deltas = True
                    return chunk
        chunk = self._read_items(data, response, text)
        self._settle(chunk, text)
        return chunk

    def rest(self) -> str:
        """The data of a chunk with what was held back, once no more come; empty without any."""
        rest = self._halves.rest()
        return json.dumps({"choices": [{"delta": {"content": rest}}]}) if rest else ""

    def _read_items(self, data: str, response: httpx.Response, text: list[str]) -> ChatResponse:
        raw, fault = None, "an error"
        try:
            raw = decode_json(data)
            if holds_nothing(raw):
                self._raw = {}
                chunk = ChatResponse()
                warn(chunk, [f"A chunk was left out: it is {json_kind(raw)}"])
                return chunk
            self._join_halves(raw)
            raw = storable_json(raw)
            chunk = read_items(ChatResponse, raw)
        except ValueError as error:
            fault = first_fault(error)
        else:
            known = chunk.model_fields_set & ChatResponse.model_fields.keys()
            if not _error_of(chunk) and (known or not chunk.model_extra):
                self._raw = raw
                return chunk
        if words := reported_words(raw, response):
            raise interrupted(f"The API broke the answer off: {words}", text, response)
        raise unread_piece("A chunk", fault, data, text, response)

    def _join_halves(self, raw: Any) -> None:
        try:
            delta = next(each for each in raw["choices"] if not each.get("index"))["delta"]
            if isinstance(delta["content"], str):
                delta["content"] = self._halves.add(delta["content"])
        except (AttributeError, KeyError, TypeError, StopIteration):
            pass  # no text: the next chunk may bring the other half

    def _settle(self, chunk: ChatResponse, text: list[str]) -> None:
        """Make `delta` what a chunk adds, whatever else it has."""
        choice = chunk.first_choice
        if choice is None:
            return
        if choice.delta is not None:
            self._has_deltas = True
        elif choice.message is not None:
            # A message is the answer so far, from servers that repeat it, or a piece of it.
            said, before = choice.message.content or "", "".join(text)
            if said.startswith(before):
                said = said.removeprefix(before)
            elif self._has_deltas:
                said = ""
            choice.delta = choice.message.model_copy(update={"content": said})
        choice.message = None
