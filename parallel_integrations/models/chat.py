"""Chat: requests and responses (docs/reference/facts.md, 7)."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal, NamedTuple, Self, TypeAlias

from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    Field,
    field_validator,
    model_validator,
)

from parallel_integrations.errors import InvalidArgumentError
from parallel_integrations.models._validation import refused_argument
from parallel_integrations.models.basis import FieldBasis
from parallel_integrations.models.fields import Items, JsonObject
from parallel_integrations.models.headers import checked_headers
from parallel_integrations.models.notebook import output_html
from parallel_integrations.models.output_schema import class_schema, named_schema, response_name
from parallel_integrations.models.shared import ApiResponse, ApiVersion, RequestModel, ResponseModel

SPEED_MODEL: Final = "speed"


# What the API ignores (docs/reference/facts.md, 7): known, so that
# code written for other models runs.
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


def _carriable(headers: Any) -> Any:
    if not isinstance(headers, Mapping):
        raise InvalidArgumentError(
            f"extra_headers= must be a mapping, not {type(headers).__name__}"
        )
    checked_headers(headers.items(), "extra_headers")
    return headers


ExtraHeaders: TypeAlias = Annotated[dict[str, str], BeforeValidator(_carriable)]
"""Headers that one request sends besides the client's own."""


class ChatMessage(RequestModel):
    """One turn of a conversation; Chat takes text only."""

    role: Literal["system", "user", "assistant"]
    """Who speaks."""
    content: str
    """What is said."""
    name: str | None = None
    """Who exactly, where several share a role."""


class ChatSettings(BaseModel):
    """Settings of chat that a developer fixes once for all requests."""

    model: str = Field(
        default=SPEED_MODEL, min_length=1, validation_alias=AliasChoices("model", "model_name")
    )
    """`speed` (default), `lite`, `base`, `core`; also accepted as `model_name`."""
    previous_interaction_id: str | None = Field(default=None, min_length=1)
    """Continues an earlier answer by its `interaction_id`."""
    extra_body: JsonObject | None = None
    """Further fields of the request's body."""
    extra_headers: ExtraHeaders | None = Field(default=None, repr=False, exclude=True)
    """Sent besides the client's own; never part of repr or serialization."""
    temperature: float | None = None
    """Known, ignored by the API and not sent."""
    top_p: float | None = None
    """Known, ignored by the API and not sent."""
    max_tokens: int | None = None
    """Known, ignored by the API and not sent."""
    stop: list[str] | str | None = None
    """Texts before which an answer ends. Not sent, but honoured by the chat models of both
    frameworks.
    """
    seed: int | None = None
    """Known, ignored by the API and not sent."""
    n: int | None = None
    """Known, ignored by the API and not sent."""

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
            InvalidArgumentError: Tools. An `ArgumentTypeError` for an argument that is not known.
        """
        if any(called.get(name) for name in TOOLS):
            raise InvalidArgumentError(
                "Parallel's chat models call no tools. Let another model call the tools, or ask "
                "directly: the answers are grounded in the web already."
            )
        known = IGNORED | PER_CALL
        if unknown := sorted(called.keys() - known - TOOLS):
            later = "fields that the API learned later go into extra_body={…}"
            raise refused_argument(type(self), unknown[0], known, otherwise=later)
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

    OpenAI's other parameters (temperature, max_tokens …) are documented as ignored: given as
    fields, they become a part of `extra_body`.

    Raises:
        InvalidArgumentError: No message, an unknown role, content that is not text.

    Example:
        ```python
        from parallel_integrations import ChatRequest, ParallelClient
        from parallel_integrations.api import chat

        request = ChatRequest(messages=[{"role": "user", "content": "What is a closure?"}])
        print(ParallelClient().run(chat(request)).text)
        ```
    """

    messages: list[ChatMessage] = Field(min_length=1)
    """The turns so far as `ChatMessage` or dict, oldest first; at least one. A system prompt comes
    first.
    """
    model: str = Field(default=SPEED_MODEL, min_length=1)
    """`speed`, or the research models `lite`, `base` and `core`; newer ones pass through."""
    response_format: JsonObject | None = None
    """`{"type": "json_schema", "json_schema": {"name": …, "schema": …}}` as the wire has it, or
    what stands in it, a JSON schema, or a pydantic class.
    """
    previous_interaction_id: str | None = Field(default=None, min_length=1)
    """Continues an earlier chat or task with its context."""
    stream: bool = False
    """Whether the answer comes in chunks."""
    extra_body: JsonObject | None = None
    """Further top-level fields of the body, for what the API learns later. Sampling parameters
    (temperature, max_tokens, stop …) are ignored by the API and not sent.
    """
    extra_headers: ExtraHeaders | None = Field(default=None, repr=False)
    """Sent besides the client's own."""

    @field_validator("response_format", mode="before")
    @classmethod
    def _whole_format(cls, given: Any) -> Any:
        """The form that the API reads: it would drop another one silently, and be paid."""
        if isinstance(given, type) and issubclass(given, BaseModel):
            given = {"name": response_name(given.__name__), "schema": class_schema(given)}
        if not isinstance(given, Mapping) or given.get("type") in ("text", "json_object"):
            return given
        schema, beside = named_schema(given)
        wrapped = given.get("json_schema") if given.get("type") == "json_schema" else None
        if isinstance(wrapped, Mapping) and "schema" in wrapped and "name" in wrapped:
            return {**given, "json_schema": {**wrapped, "schema": schema}}
        name = response_name(beside.get("name") or schema.get("title") or "output")
        return {"type": "json_schema", "json_schema": {**beside, "name": name, "schema": schema}}

    @model_validator(mode="before")
    @classmethod
    def _documented_body(cls, values: Any) -> Any:
        """Keep OpenAI's other parameters as further fields: documented, and ignored by the API."""
        if not isinstance(values, dict):
            return values
        if isinstance(extra := values.get("extra_body"), Mapping):
            # The price, the timeout and the reading of the response follow from these. How it is
            # read is decided by the call alone.
            fields = cls.model_fields
            own = {name: extra[name] for name in extra if name in fields and name != "stream"}
            rest = {name: extra[name] for name in extra if name not in fields}
            values = {**values, **own, "extra_body": rest or None}
        ignored = {name: values[name] for name in values if name in IGNORED - {"stream"}}
        if not ignored:
            return values
        kept = {name: value for name, value in values.items() if name not in ignored}
        sent = {name: value for name, value in ignored.items() if value is not None}
        return {**kept, "extra_body": _merged(sent, values.get("extra_body"))}

    @model_validator(mode="after")
    def _refuse_blanks(self) -> Self:
        if not any(message.content.strip() for message in self.messages):
            raise ValueError("messages hold nothing but blanks: there is nothing to reply to")
        return self

    @field_validator("stream", mode="before")
    @classmethod
    def _null_is_whole(cls, value: Any) -> Any:
        return False if value is None else value

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
        return {f"chat_{self.model.removeprefix('parallel/')}": 1}


def _joined(content: Any) -> Any:
    """The text of content that comes in parts, as other servers of this wire send it."""
    if not isinstance(content, list):
        return content
    parts = [part.get("text") if isinstance(part, dict) else part for part in content]
    return "".join([part for part in parts if isinstance(part, str)])


class ChatDelta(ResponseModel):
    """A message, or what a chunk adds to one.

    Attributes:
        role: Who speaks, where said.
        content: Text, possibly none.
    """

    role: str | None = None
    content: Annotated[str | None, BeforeValidator(_joined)] = None


class ChatChoice(ResponseModel):
    """The one answer that Chat gives.

    Attributes:
        message: The answer.
        delta: What this chunk adds to it; in a stream.
        finish_reason: Why it ended, where said.
        index: Its place; always 0.
    """

    message: ChatDelta | None = None
    delta: ChatDelta | None = None
    finish_reason: str | None = None
    index: int | None = 0


class ChatResponse(ApiResponse):
    """An answer, or one chunk of a streamed one; most of OpenAI's fields come empty.

    Attributes:
        choices: One choice; none in chunks that carry only citations.
        basis: Of the answer; research models only.
        interaction_id: Continues this conversation when given as `previous_interaction_id`.
        usage: Token counts as the wire has them; documented as never filled.
        id: The API's id, mostly empty.
        model: The model's name, mostly empty.
        created: Seconds since 1970.
    """

    choices: Items[ChatChoice] = []
    basis: Items[FieldBasis] = Field(default_factory=list)
    interaction_id: str | None = None
    usage: dict[str, Any] | None = None
    id: str | None = None
    model: str | None = None
    created: int | float | None = None

    @property
    def text(self) -> str:
        """The answer's text, or the text this chunk adds."""
        for choice in self.choices:
            if not choice.index:
                for said in (choice.message, choice.delta):
                    if said is not None and said.content:
                        return said.content
                break
        return ""

    @property
    def first_choice(self) -> ChatChoice | None:
        """The answer's choice; others would be alternatives of it, not parts."""
        for choice in self.choices:
            if not choice.index:
                return choice
        return None

    def _repr_html_(self) -> str:
        return output_html(self.text, self.basis)

    @property
    def finish_reason(self) -> str | None:
        """Why the answer ended, where the wire says so."""
        return (self.first_choice and self.first_choice.finish_reason) or None


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


def _merged(fixed: Mapping[str, Any] | None, called: Any) -> Any:
    """Two mappings as one; what was given and is none stays, for the request to refuse it."""
    if called is not None and not isinstance(called, Mapping):
        return called
    return {**(fixed or {}), **(called or {})} or None
