"""Responses: requests, responses and events (docs/reference/facts.md, 18.1)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Final, Literal, Self, TypeAlias

from pydantic import BeforeValidator, Field, field_validator, model_validator

from parallel_integrations.errors import InvalidArgumentError, PromptTooLongError
from parallel_integrations.models._bodies import flattened
from parallel_integrations.models.basis import Citation, FieldBasis
from parallel_integrations.models.chat import ChatRequest, ChatSettings, ExtraHeaders
from parallel_integrations.models.fields import Items, JsonObject, Text
from parallel_integrations.models.notebook import output_html
from parallel_integrations.models.output_schema import inlined
from parallel_integrations.models.shared import (
    NOTHING,
    ApiResponse,
    ApiVersion,
    RequestModel,
    ResponseModel,
    StreamEvent,
)

RESPONSES_MODEL: Final = "parallel"
MAX_CHARACTERS: Final = 20_000
"""Of input and instructions together."""
DEFAULT_EFFORT: Final = "medium"

EFFORTS: Final = ("low", "medium", "high")
Effort: TypeAlias = Literal["low", "medium", "high"]
"""How much is researched for a response."""

RESPONSES_ONLY: Final = (
    "reasoning_effort",
    "previous_response_id",
    "use_previous_response_id",
)
PER_RESPONSE: Final = ("reasoning_effort", "previous_response_id")
"""What a call may give for one response, and Chat ignores or does not know."""

Label: TypeAlias = Annotated[str, Field(max_length=512)]
LabelName: TypeAlias = Annotated[str, Field(max_length=64)]


class RespondText(RequestModel):
    """A part of a message; Responses take text only."""

    type: Literal["input_text", "output_text", "text"] = "input_text"
    """Whose text it is; `text` is either's."""
    text: str
    """What is said."""


class RespondMessage(RequestModel):
    """One turn of a conversation."""

    role: Literal["user", "assistant", "system", "developer"]
    """Who speaks."""
    content: str | list[RespondText]
    """Text, or parts of text."""

    @property
    def text(self) -> str:
        """The text of all parts."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content)


class AnswerSettings(ChatSettings):
    """Settings of a chat model that a developer fixes once: of Chat's models, or of `parallel`."""

    reasoning_effort: Effort | None = None
    """Of `parallel`: `low`, `medium` (the API's default) or `high`."""
    previous_response_id: str | None = Field(default=None, min_length=1)
    """Of `parallel`: continues an earlier response by its id."""
    use_previous_response_id: bool = False
    """Of `parallel`: True continues the last response that the messages hold by its id, and sends
    only what comes after it (and the system's turns).
    """

    @model_validator(mode="after")
    def _of_one_api(self) -> Self:
        responds = self.model.lower() == RESPONSES_MODEL
        foreign = ("previous_interaction_id",) if responds else RESPONSES_ONLY
        for name in foreign:
            if getattr(self, name):
                raise ValueError(f"{name}= has no effect with model={self.model!r}")
        return self

    def answer_request(
        self,
        messages: Sequence[Mapping[str, Any]],
        called: Mapping[str, Any],
        response_ids: Sequence[str | None] = (),
    ) -> "ChatRequest | RespondRequest":
        """The request of one call, whose own arguments win.

        Args:
            messages: The turns, as Chat's wire has them.
            called: As of `ChatSettings.request`, with `reasoning_effort` and
                `previous_response_id` for `parallel`.
            response_ids: The id of the response that a turn came with, for each turn.

        Raises:
            InvalidArgumentError: Tools, an argument that is not known or has no effect, or what
                `RespondRequest` refuses.
        """
        named = {name: called[name] for name in PER_RESPONSE if name in called}
        chat = self.request(messages, {n: v for n, v in called.items() if n not in named})
        if chat.model.lower() != RESPONSES_MODEL:
            if named.get("previous_response_id"):
                raise InvalidArgumentError(
                    f"previous_response_id= has no effect with model={chat.model!r}"
                )
            return chat
        if called.get("previous_interaction_id"):
            raise InvalidArgumentError(
                f"previous_interaction_id= has no effect with model={chat.model!r}; a response is "
                "continued by previous_response_id="
            )
        form = chat.response_format
        if form is not None and form.get("type") == "json_object":
            raise InvalidArgumentError(
                "response_format: Responses answer 'json_object' in plain text; give a schema "
                "('json_schema')"
            )
        previous = named.get("previous_response_id") or self.previous_response_id
        turns = chat.messages
        system = [each.content for each in turns if each.role == "system"]
        if self.use_previous_response_id and not named.get("previous_response_id"):
            # The API has the turns up to that response: sent again, they would count against its
            # limit.
            for place in reversed(range(len(response_ids))):
                if response_ids[place]:
                    previous, turns = response_ids[place], turns[place + 1 :]
                    break
        said = [
            RespondMessage(role=each.role, content=each.content)
            for each in turns
            if each.role != "system"
        ]
        one = said[0].text if len(said) == 1 and said[0].role == "user" else None
        return RespondRequest(
            input=one or said,
            instructions="\n\n".join(system) or None,
            reasoning_effort=named.get("reasoning_effort") or self.reasoning_effort,
            previous_response_id=previous,
            text_format=form,
            model=chat.model,
            extra_body=chat.extra_body,
            extra_headers=chat.extra_headers,
        )


class RespondRequest(RequestModel):
    """A question to answer from live research, cited in its text.

    A body as documented is read too: `reasoning={"effort": …}`, `text={"format": …}`.

    Raises:
        InvalidArgumentError: What the API refuses: another model, no turn of the user's, parts
            that are no text, `background`. A `PromptTooLongError` for too many characters.

    Example:
        ```python
        from parallel_integrations import ParallelClient, RespondRequest
        from parallel_integrations.api import respond

        request = RespondRequest(input="What is a closure?", reasoning_effort="low")
        with ParallelClient() as client:
            response = client.run(respond(request))
        for citation in response.annotations:
            print(response.text[citation.start_index : citation.end_index], citation.url)
        ```
    """

    input: Annotated[str, Field(min_length=1)] | list[RespondMessage]
    """A question, or the turns of a conversation, oldest first, one of the user's at least.
    Together with `instructions` at most 20,000 characters.
    """
    instructions: str | None = None
    """Instructions for the model."""
    reasoning_effort: Effort | None = None
    """How much is researched: `low` (5 to 10 s, 0.010 USD), `medium` (15 to 20 s, 0.050 USD; the
    API's default), `high` (30 to 60 s, 0.250 USD).
    """
    previous_response_id: str | None = Field(default=None, min_length=1)
    """Continues an earlier response by its `id`, with its context."""
    text_format: JsonObject | None = None
    """`{"type": "json_schema", "name": …, "schema": …}` for an answer in JSON. The API answers to
    `json_object` with plain text.
    """
    metadata: Annotated[dict[LabelName, Label], Field(max_length=16)] | None = None
    """Labels, which come back: at most 16; keys of at most 64 characters, values of at most 512."""
    model: str = RESPONSES_MODEL
    """`parallel`; there is no other."""
    stream: bool = False
    """Set by `stream_response`."""
    extra_body: JsonObject | None = None
    """Further top-level fields of the body, for what the API learns later. OpenAI's others
    (temperature, tools, store …) are ignored by the API.
    """
    extra_headers: ExtraHeaders | None = Field(default=None, repr=False)
    """Sent besides the client's own."""

    @model_validator(mode="before")
    @classmethod
    def _documented_body(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        values = dict(values)
        if values.pop("background", None):
            raise ValueError(
                "background=True is not supported by the API; for long work use run_task (POST "
                "/v1/tasks/runs), whose run can be resumed by its id"
            )
        values = flattened(values, "reasoning", {"effort": "reasoning_effort"})
        return flattened(values, "text", {"format": "text_format"})

    @field_validator("model")
    @classmethod
    def _only_model(cls, model: str) -> str:
        if model.lower() != RESPONSES_MODEL:
            raise ValueError(
                f"must be {RESPONSES_MODEL!r}; the effort is chosen by reasoning_effort, and "
                "'speed', 'lite', 'base' and 'core' are models of Chat"
            )
        return model

    @field_validator("text_format")
    @classmethod
    def _known_format(cls, given: dict[str, Any] | None) -> dict[str, Any] | None:
        return None if given is None else _text_format(given)

    @model_validator(mode="after")
    def _acceptable(self) -> "RespondRequest":
        texts = [self.instructions or ""]
        if isinstance(self.input, str):
            texts.append(self.input)
        else:
            texts += [message.text for message in self.input]
            if not any(each.role == "user" for each in self.input):
                raise ValueError("input must hold at least one message of the user")
        if not any(text.strip() for text in texts[1:]):
            raise ValueError("input must not be blank")
        if (count := sum(map(len, texts))) > MAX_CHARACTERS:
            raise PromptTooLongError(
                f"input and instructions have {count} characters, the API takes {MAX_CHARACTERS}; "
                "shorten them, or continue an earlier response by previous_response_id"
            )
        return self

    def body(self, version: ApiVersion) -> dict[str, Any]:
        """The body; the same in every generation of the wire."""
        body = self.model_dump(
            mode="json",
            include={"model", "input", "instructions", "previous_response_id", "metadata"},
            exclude_none=True,
        )
        if self.reasoning_effort is not None:
            body["reasoning"] = {"effort": self.reasoning_effort}
        if self.text_format is not None:
            body["text"] = {"format": self.text_format}
        # How the response is read is decided by the call alone.
        body |= {name: value for name, value in (self.extra_body or {}).items() if name != "stream"}
        if self.stream:
            body["stream"] = True
        return body

    def skus(self, version: ApiVersion) -> dict[str, int]:
        """One response of the effort."""
        # `extra_body` wins on the wire, so it decides the price as well.
        reasoning = (self.extra_body or {}).get("reasoning")
        effort = reasoning.get("effort") if isinstance(reasoning, dict) else self.reasoning_effort
        return {f"response_{effort or DEFAULT_EFFORT}": 1}


def _text_format(given: Mapping[str, Any]) -> dict[str, Any]:
    """A format as Responses want it; Chat's `json_schema` holds the same one level deeper."""
    kind = given.get("type")
    if kind in ("text", "json_object"):
        return dict(given)
    if kind != "json_schema":
        raise ValueError(f"its type is {kind!r}, not 'json_schema', 'json_object' or 'text'")
    inner = given.get("json_schema")
    found = {"type": kind, **inner} if isinstance(inner, Mapping) else dict(given)
    if not isinstance(found.get("schema"), Mapping) or not found.get("name"):
        raise ValueError("a 'json_schema' format needs a 'name' and a 'schema'")
    return {**found, "schema": inlined(found["schema"])}


class UrlCitation(ResponseModel):
    """A page that supports a span of the answer's text.

    Attributes:
        url: The page.
        start_index: Where the span begins in the text, in characters.
        end_index: Where it ends.
        type: Kind of annotation; new kinds may appear.
    """

    type: Text = ""
    url: Text = ""
    title: str | None = None
    start_index: int | None = None
    end_index: int | None = None

    def span(self, text: str) -> str:
        """The span of the answer's text; empty where it is unknown or outside the text."""
        start, end = self.start_index, self.end_index
        if start is None or end is None or not 0 <= start < end <= len(text):
            return ""
        return text[start:end]

    def inside(self, text: str) -> "UrlCitation":
        """The citation, without a span that is none of the text's."""
        if self.span(text):
            return self
        return self.model_copy(update={"start_index": None, "end_index": None})

    def moved(self, offset: int) -> "UrlCitation":
        """The citation in a text in which its part begins at `offset`."""
        start, end = self.start_index, self.end_index
        if not offset or start is None or end is None:
            return self
        return self.model_copy(update={"start_index": start + offset, "end_index": end + offset})


class ResponsePart(ResponseModel):
    """A part of the answer.

    Attributes:
        annotations: Its citations; their spans count from the beginning of `text`.
        refusal: Why the model does not answer, where it refused.
    """

    type: Text = ""
    text: Text = ""
    refusal: str | None = None
    annotations: Items[UrlCitation] = Field(default_factory=list)
    logprobs: Any = None


def _text_as_part(content: Any) -> Any:
    """Content that is a mere text, as other servers of this wire send it, as its one part."""
    return [{"type": "output_text", "text": content}] if isinstance(content, str) else content


class ResponseItem(ResponseModel):
    """A message of the model's; a completed response has one."""

    id: Text = ""
    type: Text = ""
    role: Text = ""
    status: str | None = None
    content: Annotated[Items[ResponsePart], BeforeValidator(_text_as_part)] = []
    phase: str | None = None


class ResponseUsage(ResponseModel):
    """Tokens, as the API estimates them; what is billed is the request."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    input_tokens_details: dict[str, Any] | None = None
    output_tokens_details: dict[str, Any] | None = None


class ResponseFailure(ResponseModel):
    """Why there is no answer."""

    code: str | None = None
    message: Text = ""


class IncompleteDetails(ResponseModel):
    """Why an answer ends early: `max_output_tokens`, `content_filter`."""

    reason: str | None = None


class RespondResponse(ApiResponse):
    """An answer with its citations.

    Attributes:
        id: Continues the conversation when given as `previous_response_id`.
        status: `completed`, or `incomplete` with `incomplete_details`; in a stream `in_progress`
            at first.
        output: The model's messages; one.
        usage: Token counts, which the API estimates.
        error: Why it failed.
        created_at: Seconds since 1970.
        completed_at: Seconds since 1970.
        reasoning: As `text`, `temperature`, `tools` and the like, OpenAI's field with a default or
            null, whatever was requested.
    """

    essential_fields = frozenset({"error"})

    id: Text = ""
    object: str | None = None
    status: str | None = None
    model: str | None = None
    output: Items[ResponseItem] = []
    usage: ResponseUsage | None = None
    error: ResponseFailure | None = None
    incomplete_details: IncompleteDetails | None = None
    instructions: str | None = None
    metadata: dict[str, Any] | None = None
    previous_response_id: str | None = None
    created_at: float | None = None
    completed_at: float | None = None
    reasoning: Any = None
    text_settings: Any = Field(default=None, validation_alias="text", serialization_alias="text")
    temperature: Any = None
    top_p: Any = None
    parallel_tool_calls: Any = None
    tool_choice: Any = None
    tools: Any = None

    @property
    def has_failed(self) -> bool:
        """Whether the API could not answer."""
        return self.status == "failed" or self.error is not None

    def billed_skus(self, counted: Mapping[str, int]) -> Mapping[str, int]:
        """Nothing for a failure: only successes are billed (docs/reference/facts.md, 3.4)."""
        return NOTHING if self.has_failed else counted

    @property
    def parts(self) -> list[ResponsePart]:
        """The parts of all messages."""
        return [part for item in self.output for part in item.content]

    @property
    def text(self) -> str:
        """The answer's text."""
        return "".join(part.text for part in self.parts)

    @property
    def annotations(self) -> list[UrlCitation]:
        """The citations; their spans count from the beginning of `text`."""
        found, offset = [], 0
        for part in self.parts:
            found += [each.moved(offset) for each in part.annotations]
            offset += len(part.text)
        return found

    def _repr_html_(self) -> str:
        return output_html(self.text, cited_pages(self.annotations))

    @property
    def finish_reason(self) -> str | None:
        """Why the answer ended early, in the words of Chat; None where it did not."""
        reason = self.incomplete_details.reason if self.incomplete_details else None
        return "length" if reason == "max_output_tokens" else reason


def cited_pages(annotations: Iterable[UrlCitation]) -> list[FieldBasis]:
    """The cited pages, each once, as the basis of a text; none where nothing is cited."""
    pages = {
        each.url: Citation(url=each.url, title=each.title)
        for each in annotations
        if each.url.strip()
    }
    return [FieldBasis(field="output", citations=list(pages.values()))] if pages else []


class ResponseEvent(StreamEvent):
    """An event of a streamed response; of a type unknown to this version, too.

    Attributes:
        delta: What it adds to the answer's text; all together are the answer.
        sequence_number: Its place in the stream.
        item_id: The message that it is about.
        output_index: Its place among the messages.
        content_index: The part that it is about.
    """

    delta: Text = ""
    sequence_number: int | None = None
    item_id: str | None = None
    output_index: int | None = None
    content_index: int | None = None


class ResponseTextEvent(ResponseEvent):
    """More text (`response.output_text.delta`)."""

    logprobs: Any = None


class ResponseAnnotationEvent(ResponseEvent):
    """A citation (`response.output_text.annotation.added`).

    Attributes:
        annotation: Its span counts from the beginning of its part's text.
    """

    annotation: UrlCitation = UrlCitation()
    annotation_index: int | None = None


class ResponsePartEvent(ResponseEvent):
    """A message or a part of one begins or is whole.

    Attributes:
        item: The message.
        part: The part.
        text: The part's text, once that is whole.
    """

    item: ResponseItem | None = None
    part: ResponsePart | None = None
    text: str | None = None
    logprobs: Any = None


class ResponseStateEvent(ResponseEvent):
    """The response as it stands: `response.created`, `.in_progress`, `.completed`, `.incomplete`.

    Attributes:
        response: The last event of a stream has the whole response.
    """

    response: RespondResponse = RespondResponse()

    @property
    def is_last(self) -> bool:
        """Whether the answer is whole, or as whole as it will be."""
        return self.type in ("response.completed", "response.incomplete")


RESPONSE_EVENTS: Final[Mapping[str, type[ResponseEvent]]] = {
    "response.": ResponseStateEvent,
    "response.output_text.delta": ResponseTextEvent,
    "response.output_text.annotation.": ResponseAnnotationEvent,
    "response.output_text.": ResponsePartEvent,
    "response.content_part.": ResponsePartEvent,
    "response.output_item.": ResponsePartEvent,
}
"""Event type, or the beginning of one ending in a dot, to its class."""
