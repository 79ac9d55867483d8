"""Conversion of LangChain's messages to Chat's and back, with citations."""

from collections.abc import Sequence
from typing import Any, Final

from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    UsageMetadata,
)
from langchain_core.messages import content as blocks
from langchain_core.messages.block_translators import register_translator
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from parallel_integrations._documents.chat_messages import (
    RESULT_ROLE,
    TOOL_ROLES,
    ToolCall,
    openai_calls,
    result_text,
    unsendable,
)
from parallel_integrations._documents.evidence import cited, dump_basis, read_basis
from parallel_integrations._documents.stop import StopFilter
from parallel_integrations.models.basis import FieldBasis
from parallel_integrations.models.chat import ChatChunk, ChatResponse
from parallel_integrations.models.page_facts import page_title
from parallel_integrations.models.shared import Warning  # noqa: A004 - the API's own word

PROVIDER: Final = "parallel"
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
    """.split()
)


def to_wire(messages: Sequence[BaseMessage]) -> list[dict[str, Any]]:
    """Messages as Chat accepts them: role and text. Calls and results of tools become text.

    Raises:
        ValueError: A message that Chat does not accept.
    """
    tools: dict[str, str] = {}
    return [_wire_message(place, message, tools) for place, message in enumerate(messages)]


def _wire_message(place: int, message: BaseMessage, tools: dict[str, str]) -> dict[str, Any]:
    """A message; `tools` gathers the name of each tool by the id of its call."""
    text = _text(place, message)
    if isinstance(message, AIMessage) and (calls := _tool_calls(message)):
        tools.update({call.id: call.name for call in calls})
        text = "\n".join(filter(None, [text, *(call.text for call in calls)]))
    if _role_name(message) in TOOL_ROLES:
        name = message.name or tools.get(getattr(message, "tool_call_id", ""), "")
        failed = getattr(message, "status", "") == "error"
        return {"role": RESULT_ROLE, "content": result_text(name, text, failed=failed)}
    wire: dict[str, Any] = {"role": _role(place, message), "content": text}
    if message.name:
        wire["name"] = message.name
    return wire


def _tool_calls(message: AIMessage) -> list[ToolCall]:
    parsed = [
        ToolCall(call["id"] or "", call["name"] or "", call["args"] or {})
        for call in [*message.tool_calls, *message.invalid_tool_calls]
    ]
    return parsed or list(openai_calls(message.additional_kwargs))


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
        raise unsendable(place, f"its role is {role!r}")
    return SENDABLE_ROLES[role]


def _text(place: int, message: BaseMessage) -> str:
    if isinstance(message.content, str):
        return message.content
    parts: list[str] = []
    for block in message.content:
        if isinstance(block, str):
            parts.append(block)
        elif block.get("type") in ("text", "text-plain") and isinstance(block.get("text"), str):
            parts.append(block["text"])
        elif not (isinstance(message, AIMessage) and block.get("type") in UNSENT_BLOCKS):
            raise unsendable(place, f"it holds a {block.get('type')!r} block")
    return "".join(parts)


def to_result(response: ChatResponse, model: str, stop: Sequence[str] = ()) -> ChatResult:
    """A response as LangChain's result, its text cut before the first of `stop`."""
    message = AIMessage(
        content=StopFilter(stop).whole(response.text),
        id=response.id or None,
        additional_kwargs=_basis_kwargs(response.basis),
        response_metadata={
            **_model_metadata(response.model or model),
            **_closing_metadata(response.interaction_id, response.finish_reason, response.warnings),
        },
        usage_metadata=_usage(response.usage),
    )
    return ChatResult(generations=[ChatGeneration(message=message)])


_MESSAGE: Final = AIMessageChunk(content="")
_GENERATION: Final = ChatGenerationChunk(message=_MESSAGE)


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
        self._id: str | None = None
        self._warnings: list[Warning] = []
        self._basis: list[FieldBasis] = []
        self._interaction_id: str | None = None
        self._finish_reason: str | None = None
        self._usage: dict[str, Any] | None = None

    def add(self, chunk: ChatChunk) -> ChatGenerationChunk | None:
        """The chunk that carries this piece of text; None where it has none."""
        if (response := chunk.response) is not None:
            self._warnings += response.warnings
            self._basis = response.basis or self._basis
            self._interaction_id = response.interaction_id or self._interaction_id
            self._finish_reason = response.finish_reason or self._finish_reason
            self._usage = response.usage or self._usage
            if not self._began:
                self._model = response.model or self._model
                self._id = self._id or response.id or None
        text = self._stop.add(chunk.text)
        if not text:
            return None
        metadata = {} if self._began else _model_metadata(self._model)
        self._began = True
        # Copies: to have each of them validated would take a fourth of the stream's CPU time.
        message = _MESSAGE.model_copy(
            update={
                "content": text,
                "id": self._id,
                "response_metadata": metadata,
                "additional_kwargs": {},
                "tool_calls": [],
                "invalid_tool_calls": [],
                "tool_call_chunks": [],
            }
        )
        return _GENERATION.model_copy(update={"message": message, "text": text})

    def last(self) -> ChatGenerationChunk:
        """The closing chunk, once the stream has ended properly."""
        message = AIMessageChunk(
            content=self._stop.rest(),
            id=self._id,
            additional_kwargs=_basis_kwargs(self._basis),
            response_metadata={
                "model_provider": PROVIDER,
                **_closing_metadata(self._interaction_id, self._finish_reason, self._warnings),
            },
            usage_metadata=_usage(self._usage),
            chunk_position="last",
        )
        return ChatGenerationChunk(message=message)


def citations(message: AIMessage) -> list[blocks.Annotation]:
    """The message's basis as standard citations, one for each excerpt of each cited page."""
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
    return annotations


def _content_blocks(message: AIMessage) -> list[blocks.ContentBlock]:
    if not isinstance(message.content, str):
        # langchain_core then reads the content generically.
        raise NotImplementedError
    annotations = citations(message) if message.additional_kwargs.get("basis") else []
    if not message.content and not annotations:
        return []
    block = blocks.TextContentBlock(type="text", text=message.content)
    if annotations:
        block["annotations"] = annotations
    return [block]


register_translator(PROVIDER, _content_blocks, _content_blocks)


def _basis_kwargs(basis: list[FieldBasis]) -> dict[str, Any]:
    return {"basis": dump_basis(basis)} if basis else {}


def _model_metadata(model: str) -> dict[str, Any]:
    return {"model_name": model, "model_provider": PROVIDER}


def _closing_metadata(
    interaction_id: str | None, finish_reason: str | None, warnings: Sequence[Warning]
) -> dict[str, Any]:
    # The API sends none; a response that ended properly has stopped by itself.
    metadata: dict[str, Any] = {"finish_reason": finish_reason or "stop"}
    if interaction_id:
        metadata["interaction_id"] = interaction_id
    if warnings:
        metadata["warnings"] = [each.message for each in warnings]
    return metadata


def _usage(usage: dict[str, Any] | None) -> UsageMetadata | None:
    input_tokens, output_tokens = (
        (usage or {}).get(name) for name in ("prompt_tokens", "completion_tokens")
    )
    if (
        not isinstance(input_tokens, int)
        or not isinstance(output_tokens, int)
        or input_tokens + output_tokens == 0
    ):
        return None
    return UsageMetadata(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        total_tokens=input_tokens + output_tokens,
    )
