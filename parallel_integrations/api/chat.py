"""Chat: web-grounded answers, whole or streamed (API facts 7)."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, Literal, NamedTuple, TypeVar

import httpx
from pydantic import AliasChoices, BaseModel, Field, ValidationError
from pydantic_core import from_json

from parallel_integrations.api.basis import FieldBasis
from parallel_integrations.api.errors import StreamInterruptedError, error_body, scrub
from parallel_integrations.api.flow import (
    END,
    MORE,
    Emit,
    Flow,
    Repeat,
    Send,
    Stream,
    call,
    transport_error,
)
from parallel_integrations.api.models import (
    AnswerModel,
    ApiVersion,
    Items,
    RequestModel,
    first_fault,
)
from parallel_integrations.api.notebook import answer_html
from parallel_integrations.api.routes import CHAT_PATH
from parallel_integrations.api.sse import DONE, EventDecoder, open_stream

SPEED_MODEL: Final = "speed"
SPEED_TIMEOUT_SECONDS: Final = 60.0
RESEARCH_TIMEOUT_SECONDS: Final = 600.0
# What the API ignores (API facts 7); known here so that code written for other models runs.
IGNORED: Final = frozenset(
    """
    temperature top_p max_tokens max_completion_tokens n stop seed frequency_penalty
    presence_penalty logit_bias logprobs top_logprobs user stream stream_options stream_usage
    parallel_tool_calls tool_choice strict reasoning_effort service_tier store metadata
    """.split()
)
PER_CALL: Final = frozenset(
    """
    model model_name response_format previous_interaction_id extra_body extra_headers
    """.split()
)
TOOLS: Final = frozenset({"tools", "functions"})

T = TypeVar("T")
Chunk = TypeVar("Chunk", "ChatResponse", "ChatChunk")


class ChatMessage(RequestModel):
    """One turn of a conversation; Chat takes text only.

    Attributes:
        role: Who speaks.
        content: What is said.
        name: Who exactly, where several share a role.
    """

    role: Literal["system", "user", "assistant"]
    content: str
    name: str | None = None


class ChatSettings(BaseModel):
    """How to chat: what a developer fixes once, whatever is asked.

    Attributes:
        model: `speed` (default), `lite`, `base`, `core`; also accepted as `model_name`.
        previous_interaction_id: Continues an earlier answer by its `interaction_id`.
        extra_body: Further fields of the request's body.
        extra_headers: Sent besides the client's own; never part of repr or serialization.
        temperature: Known, ignored by the API and not sent; so are `top_p`, `max_tokens`, `stop`,
            `seed` and `n`.
    """

    model: str = Field(
        default=SPEED_MODEL, min_length=1, validation_alias=AliasChoices("model", "model_name")
    )
    previous_interaction_id: str | None = Field(default=None, min_length=1)
    extra_body: dict[str, Any] | None = None
    extra_headers: dict[str, str] | None = Field(default=None, repr=False, exclude=True)
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: list[str] | str | None = None
    seed: int | None = None
    n: int | None = None

    def model_of(self, called: Mapping[str, Any]) -> str:
        """The model of one call: its own, else the fixed one."""
        return called.get("model") or called.get("model_name") or self.model

    def request(
        self, messages: Sequence[Mapping[str, Any]], called: Mapping[str, Any]
    ) -> "ChatRequest":
        """The request of one call, whose own arguments win.

        Args:
            messages: The turns, as the wire has them.
            called: `model`, `response_format`, `previous_interaction_id`, and `extra_body` and
                `extra_headers` (merged) of this call; OpenAI's sampling parameters are known and
                left out.

        Raises:
            ValueError: Tools, or an argument that is not known.
        """
        if any(called.get(name) for name in TOOLS):
            raise ValueError(
                "Parallel's chat models call no tools. Let another model call the tools, or ask "
                "directly: the answers are grounded in the web already."
            )
        if unknown := called.keys() - IGNORED - PER_CALL - TOOLS:
            raise ValueError(
                f"{type(self).__name__} does not know {', '.join(sorted(unknown))}; fields that "
                "the API learned later go into extra_body={…}"
            )
        return ChatRequest(
            messages=[ChatMessage(**message) for message in messages],
            model=self.model_of(called),
            response_format=called.get("response_format"),
            previous_interaction_id=called.get(
                "previous_interaction_id", self.previous_interaction_id
            ),
            extra_body=_merged(self.extra_body, called.get("extra_body")),
            extra_headers=_merged(self.extra_headers, called.get("extra_headers")),
        )


class ChatRequest(RequestModel):
    """A conversation to continue.

    Attributes:
        messages: The turns so far as `ChatMessage` or dict, oldest first; at least one. A system
            prompt comes first.
        model: `speed`, or the research models `lite`, `base` and `core`; newer ones pass through.
        response_format: `{"type": "json_schema", "json_schema": {"name": …, "schema": …}}` and the
            like, as the wire has it.
        previous_interaction_id: Continues an earlier chat or task with its context.
        extra_body: Further top-level fields of the body, for what the API learns later. Sampling
            parameters (temperature, max_tokens, stop …) are ignored by the API and not sent.
        extra_headers: Sent besides the client's own.

    Raises:
        pydantic.ValidationError: No message, an unknown role, content that is not text.

    Example:
        ```python
        from parallel_integrations import ChatRequest, ParallelClient
        from parallel_integrations.api import chat

        request = ChatRequest(messages=[{"role": "user", "content": "What is a closure?"}])
        print(ParallelClient().run(chat(request)).text)
        ```
    """

    messages: list[ChatMessage] = Field(min_length=1)
    model: str = Field(default=SPEED_MODEL, min_length=1)
    response_format: dict[str, Any] | None = None
    previous_interaction_id: str | None = Field(default=None, min_length=1)
    stream: bool = False
    extra_body: dict[str, Any] | None = None
    extra_headers: dict[str, str] | None = Field(default=None, repr=False)

    def body(self, version: ApiVersion) -> dict[str, Any]:
        """The body; the same in every generation of the wire."""
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [message.model_dump(exclude_none=True) for message in self.messages],
        }
        if self.response_format is not None:
            body["response_format"] = self.response_format
        if self.previous_interaction_id is not None:
            body["previous_interaction_id"] = self.previous_interaction_id
        body.update(self.extra_body or {})
        if self.stream:
            body["stream"] = True
        return body

    def skus(self, version: ApiVersion) -> dict[str, int]:
        """One answer of the model."""
        model = (self.extra_body or {}).get("model", self.model)
        return {f"chat_{str(model).removeprefix('parallel/')}": 1}


class ChatDelta(AnswerModel):
    """A message, or what a chunk adds to one.

    Attributes:
        role: Who speaks, where said.
        content: Text, possibly none.
    """

    role: str | None = None
    content: str | None = None


class ChatChoice(AnswerModel):
    """The one answer that Chat gives.

    Attributes:
        message: The answer, or what this chunk adds (`delta` on the wire).
        finish_reason: Why it ended, where said.
        index: Its place; always 0.
    """

    message: ChatDelta | None = Field(
        default=None, validation_alias=AliasChoices("message", "delta")
    )
    finish_reason: str | None = None
    index: int | None = 0


class ChatResponse(AnswerModel):
    """An answer, or one chunk of a streamed one; the API leaves most of OpenAI's fields empty.

    Attributes:
        choices: One choice; none in chunks that carry only citations.
        basis: What the answer rests on; research models only.
        interaction_id: Continues this conversation when given as `previous_interaction_id`.
        usage: Token counts as the wire has them; documented as never filled.
        id: The API's id, mostly empty.
        model: The model's name, mostly empty.
        created: Seconds since 1970.
    """

    choices: Items[ChatChoice] = []
    basis: Items[FieldBasis] = []
    interaction_id: str | None = None
    usage: dict[str, Any] | None = None
    id: str | None = None
    model: str | None = None
    created: int | float | None = None

    @property
    def text(self) -> str:
        """The answer's text, or the text this chunk adds."""
        for choice in self.choices:
            if choice.message is not None and choice.message.content:
                return choice.message.content
        return ""

    def _repr_html_(self) -> str:
        return answer_html(self.text, self.basis)

    @property
    def finish_reason(self) -> str | None:
        """Why the answer ended, where the wire says so."""
        for choice in self.choices:
            if choice.finish_reason:
                return choice.finish_reason
        return None


class ChatChunk(NamedTuple):
    """A chunk of a streamed answer, read no further than its text needs.

    Attributes:
        text: What it adds to the answer.
        raw: The chunk as the wire has it.
        id: The API's id, mostly empty.
        response: The chunk, read in full: the first one, and those that hold more than text.
    """

    text: str
    raw: dict[str, Any]
    id: str | None
    response: ChatResponse | None = None


def chat(request: ChatRequest) -> Flow[ChatResponse]:
    """Ask for a whole answer.

    Args:
        request: The conversation and the model. Patience is 60 s for `speed`, 600 s for others,
            unless the client has its own timeout.

    Returns:
        A flow for `ParallelClient.run` or `arun`; its result is a `ChatResponse`.

    Raises:
        ParallelError: From the client, as the retry table and the API's status demand.

    Example:
        ```python
        from parallel_integrations import ChatRequest, ParallelClient
        from parallel_integrations.api import chat

        request = ChatRequest(messages=[{"role": "user", "content": "What is a coroutine?"}])
        with ParallelClient() as client:
            print(client.run(chat(request)).text)
        ```
    """
    return call(_send(request.model_copy(update={"stream": False})), ChatResponse)


def stream_chat(request: ChatRequest) -> Stream[ChatResponse]:
    """Ask for an answer chunk by chunk.

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
    """As `stream_chat`, for who wants little more of most chunks than their text."""
    return _stream(request, _skim_chunk)


def _stream(
    request: ChatRequest, read: Callable[[str, httpx.Response, list[str]], Chunk]
) -> Stream[Chunk]:
    send = _send(request.model_copy(update={"stream": True}))
    response = yield from open_stream(send)
    decoder = EventDecoder()
    text: list[str] = []
    began = False
    while True:
        try:
            received: bytes = yield MORE
        except httpx.HTTPError as failure:
            raise StreamInterruptedError(
                f"The answer was cut short: {transport_error(failure)}", partial="".join(text)
            ) from failure
        for data in decoder.feed_data(received):
            if data == DONE:
                with suppress(httpx.HTTPError):  # the answer is whole
                    yield END
                return
            chunk = read(data, response, text)
            began = True
            text.append(chunk.text)
            yield Emit(chunk)
        if not received:
            break
    if not began:
        raise StreamInterruptedError("The stream ended without a single chunk.")


def _send(request: ChatRequest) -> Send:
    patience = SPEED_TIMEOUT_SECONDS if request.model == SPEED_MODEL else RESEARCH_TIMEOUT_SECONDS
    return Send(
        "POST",
        CHAT_PATH,
        request,
        repeat=Repeat.ASK,
        timeout_seconds=patience,
        stream=request.stream,
        headers=tuple((request.extra_headers or {}).items()),
    )


def _merged(fixed: dict[str, T] | None, called: dict[str, T] | None) -> dict[str, T] | None:
    return {**(fixed or {}), **(called or {})} or None


def _skim_chunk(data: str, response: httpx.Response, text: list[str]) -> ChatChunk:
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
            pass  # not what most chunks are: it is read with all care
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
    partial = "".join(text)
    try:
        body = from_json(data)
    except ValueError:
        body = None
    if isinstance(body, dict) and body.get("error"):
        message, _, ref_id = error_body(body)
        reference = f" (ref_id {ref_id})" if ref_id else ""
        raise StreamInterruptedError(
            scrub(f"The API broke the answer off: {message}{reference}", response), partial=partial
        )
    raise StreamInterruptedError(
        scrub(f"A chunk cannot be read ({fault}): {data[:200]!r}", response), partial=partial
    )
