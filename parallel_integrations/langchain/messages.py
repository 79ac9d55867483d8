"""Conversion of LangChain's messages to Chat's and back, with citations."""

from collections.abc import Sequence
from copy import copy
from typing import Any, Final

from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    InputTokenDetails,
    OutputTokenDetails,
    SystemMessage,
    UsageMetadata,
)
from langchain_core.messages import content as blocks
from langchain_core.messages.block_translators import register_translator
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from parallel_integrations._documents import chat_messages
from parallel_integrations._documents.answers import (
    AnyChunk,
    AnyResponse,
    evidence_in,
    read_annotations,
    tokens_of,
    within,
)
from parallel_integrations._documents.evidence import cited, read_basis
from parallel_integrations._documents.stop import StopFilter
from parallel_integrations.models.basis import Citation
from parallel_integrations.models.page_facts import page_title
from parallel_integrations.models.response import RespondResponse, UrlCitation
from parallel_integrations.models.shared import Warning  # noqa: A004 - the API's own word

PROVIDER: Final = "parallel"
CITED: Final = frozenset({"basis", "annotations"})
"""What of an answer's evidence a message keeps in `additional_kwargs`; ids are metadata."""
SENDABLE_ROLES: Final = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "ai": "assistant",
}
# What an answer holds besides its text is not sent back: thoughts, annotations, tool calls in their
# providers' forms (they are read from `tool_calls`).
UNSENT_BLOCKS: Final = frozenset(
    """
    reasoning thinking redacted_thinking citation tool_call tool_call_chunk invalid_tool_call
    tool_use input_json_delta function_call server_tool_call server_tool_call_chunk
    server_tool_result server_tool_use web_search_call web_search_tool_result
    non_standard
    """.split()
)


def to_wire(messages: Sequence[BaseMessage]) -> list[dict[str, Any]]:
    """Messages as Chat accepts them: see `sendable`."""
    return chat_messages.sendable(messages, _wire_message)


def _wire_message(place: int, message: BaseMessage, tools: dict[str, str]) -> dict[str, Any]:
    """A message; `tools` gathers the name of each tool by the id of its call."""
    text = _text(place, message)
    if isinstance(message, AIMessage):
        text = chat_messages.with_calls(text, _tool_calls(message), tools)
    if _role_name(message) in chat_messages.TOOL_ROLES:
        name = message.name or tools.get(getattr(message, "tool_call_id", ""), "")
        failed = getattr(message, "status", "") == "error"
        return chat_messages.result_turn(name, text, failed=failed)
    wire: dict[str, Any] = {"role": _role(place, message), "content": text}
    if message.name:
        wire["name"] = message.name
    return wire


def _tool_calls(message: AIMessage) -> list[chat_messages.ToolCall]:
    parsed = [
        chat_messages.ToolCall(call["id"] or "", call["name"] or "", call["args"] or {})
        for call in [*message.tool_calls, *message.invalid_tool_calls]
    ]
    return parsed or list(chat_messages.openai_calls(message.additional_kwargs))


def _role_name(message: BaseMessage) -> str:
    return message.role if isinstance(message, ChatMessage) else message.type


def _role(place: int, message: BaseMessage) -> str:
    if isinstance(message, SystemMessage):
        return "system"
    if isinstance(message, HumanMessage):
        return "user"
    if isinstance(message, AIMessage):
        return "assistant"
    role = _role_name(message)
    if role not in SENDABLE_ROLES:
        raise chat_messages.unsendable(place, f"its role is {role!r}")
    return SENDABLE_ROLES[role]


def _text(place: int, message: BaseMessage) -> str:
    if isinstance(message.content, str):
        return message.content
    parts: list[str] = []
    for block in message.content:
        text = _block_text(block)
        if text is not None:
            parts.append(text)
        elif not (isinstance(message, AIMessage) and _kind(block) in UNSENT_BLOCKS):
            raise chat_messages.unsendable(place, f"it holds a block of type {_kind(block)!r}")
    # Pages that another model may cite are apart from each other; pieces of a text are not.
    return ("\n" if "search_result" in map(_kind, message.content) else "").join(parts)


def _kind(block: Any) -> Any:
    return block.get("type") if isinstance(block, dict) else None


def _block_text(block: Any) -> str | None:
    """What a block of content says; None where that is no text."""
    match block:
        case str():
            return block
        case {"type": "text" | "text-plain" | "input_text" | "output_text", "text": str(text)}:
            return text
        case {"type": "refusal", "refusal": str(text)}:
            return text
        case {"type": "search_result", "content": [*blocks]}:
            shown = [block.get("title"), block.get("source"), *map(_block_text, blocks)]
            return "\n".join(map(str, filter(None, shown)))
    return None


def to_result(response: AnyResponse, model: str, stop: Sequence[str] = ()) -> ChatResult:
    """A response as LangChain's result, its text cut before the first of `stop`."""
    text = StopFilter(stop).whole(response.text)
    evidence = within(evidence_in(response), len(text))
    message = AIMessage(
        content=text,
        id=response.id or None,
        additional_kwargs=_cited_kwargs(evidence),
        response_metadata={
            **_model_metadata(response.model or model),
            **_closing_metadata(evidence, response.finish_reason, response.warnings),
        },
        usage_metadata=_usage(response),
    )
    return ChatResult(generations=[ChatGeneration(message=message)])


def response_ids(messages: Sequence[BaseMessage]) -> list[str | None]:
    """The id of the response that each message came with; of other providers' none."""
    found = [each.response_metadata for each in messages]
    return [
        each.get("response_id") if each.get("model_provider", PROVIDER) == PROVIDER else None
        for each in found
    ]


# Of which each chunk is a copy: all that `ChunkBuilder.add` sets is set here, too.
_MESSAGE: Final = AIMessageChunk(
    content="",
    id=None,
    response_metadata={},
    additional_kwargs={},
    tool_calls=[],
    invalid_tool_calls=[],
    tool_call_chunks=[],
)
_GENERATION: Final = ChatGenerationChunk(message=_MESSAGE, text="")


class ChunkBuilder:
    """Turns streamed chunks into LangChain's.

    Merging chunks concatenates their strings, so each must be in one chunk only: the model's name
    in the first; citations, interaction id, usage and finish reason in the last. All have one id,
    by which LangGraph joins them to one message. Those without text are left out, so that a
    fallback is used where an answer never begins.
    """

    def __init__(self, model: str, stop: Sequence[str] = ()) -> None:
        self._model = model
        self._stop = StopFilter(stop)
        self._began = False
        self._blank = ""
        self._id: str | None = None
        self._length = 0
        self._warnings: list[Warning] = []
        self._evidence: dict[str, Any] = {}
        self._finish_reason: str | None = None
        self._usage: UsageMetadata | None = None

    def add(self, chunk: AnyChunk) -> ChatGenerationChunk | None:
        """The chunk that carries this piece of text; None where it has none."""
        if (response := chunk.response) is not None:
            self._warnings += response.warnings
            self._evidence |= evidence_in(response)
            self._finish_reason = response.finish_reason or self._finish_reason
            self._usage = _usage(response) or self._usage
            if not self._began:
                self._model = response.model or self._model
                self._id = self._id or response.id or None
        text = self._blank + self._stop.add(chunk.text)
        # A fallback takes over before the first chunk only: one of blanks may be all there is.
        self._blank = text if not self._began and text.isspace() else ""
        if not text or self._blank:
            return None
        self._length += len(text)
        metadata = {} if self._began else _model_metadata(self._model)
        self._began = True
        # Copies: to have each of them validated would take a fourth of the stream's CPU time, and
        # `model_copy` looks at each name that it is given.
        message, generation = copy(_MESSAGE), copy(_GENERATION)
        vars(message).update(
            content=text,
            id=self._id,
            response_metadata=metadata,
            additional_kwargs={},
            tool_calls=[],
            invalid_tool_calls=[],
            tool_call_chunks=[],
        )
        vars(generation).update(message=message, text=text)
        return generation

    def last(self) -> ChatGenerationChunk:
        """The closing chunk, once the stream has ended properly."""
        rest = self._blank + self._stop.rest()
        evidence = within(self._evidence, self._length + len(rest))
        message = AIMessageChunk(
            content=rest,
            id=self._id,
            additional_kwargs=_cited_kwargs(evidence),
            response_metadata={
                "model_provider": PROVIDER,
                **_closing_metadata(evidence, self._finish_reason, self._warnings),
            },
            usage_metadata=self._usage,
            chunk_position="last",
        )
        return ChatGenerationChunk(message=message)


def citations(message: AIMessage) -> list[blocks.Annotation]:
    """The message's citations as standard ones: of each excerpt of a page, or of each span."""
    annotations: list[blocks.Annotation] = []
    for field, citation in cited(read_basis(message.additional_kwargs)):
        extras = {
            name: value
            for name, value in (
                ("field", field.field),
                ("confidence", field.confidence),
                ("reasoning", field.reasoning),
            )
            if value
        }
        annotation = blocks.Citation(
            type="citation", url=citation.url, title=page_title(citation), extras=extras
        )
        if not citation.excerpts:
            annotations.append(annotation)
        annotations.extend(
            {**annotation, "cited_text": str(excerpt)} for excerpt in citation.excerpts
        )
    annotations += map(_span_citation, read_annotations(message.additional_kwargs))
    return annotations


def _span_citation(annotation: UrlCitation) -> blocks.Citation:
    title = page_title(Citation(url=annotation.url, title=annotation.title))
    citation = blocks.Citation(type="citation", url=annotation.url, title=title)
    if annotation.start_index is not None and annotation.end_index is not None:
        citation["start_index"] = annotation.start_index
        citation["end_index"] = annotation.end_index
    return citation


def _content_blocks(message: AIMessage) -> list[blocks.ContentBlock]:
    if not isinstance(message.content, str):
        # langchain_core then reads the content generically.
        raise NotImplementedError
    annotations = citations(message) if CITED.intersection(message.additional_kwargs) else []
    if not message.content and not annotations:
        return []
    block = blocks.TextContentBlock(type="text", text=message.content)
    if annotations:
        block["annotations"] = annotations
    return [block]


register_translator(PROVIDER, _content_blocks, _content_blocks)


def _cited_kwargs(evidence: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in evidence.items() if name in CITED}


def _model_metadata(model: str) -> dict[str, Any]:
    return {"model_name": model, "model_provider": PROVIDER}


def _closing_metadata(
    evidence: dict[str, Any], finish_reason: str | None, warnings: Sequence[Warning]
) -> dict[str, Any]:
    # The API sends none; a response that ended properly has stopped by itself.
    ids = {name: value for name, value in evidence.items() if name not in CITED}
    metadata: dict[str, Any] = {"finish_reason": finish_reason or "stop", **ids}
    if warnings:
        metadata["warnings"] = [each.message for each in warnings]
    return metadata


def _usage(response: AnyResponse) -> UsageMetadata | None:
    if (tokens := tokens_of(response)) is None:
        return None
    read, written, total = tokens
    usage = UsageMetadata(input_tokens=read, output_tokens=written, total_tokens=total)
    if isinstance(response, RespondResponse) and response.usage is not None:
        if cached := _count(response.usage.input_tokens_details, "cached_tokens"):
            usage["input_token_details"] = InputTokenDetails(cache_read=cached)
        if reasoning := _count(response.usage.output_tokens_details, "reasoning_tokens"):
            usage["output_token_details"] = OutputTokenDetails(reasoning=reasoning)
    return usage


def _count(details: dict[str, Any] | None, name: str) -> int:
    count = (details or {}).get(name)
    return count if isinstance(count, int) else 0
