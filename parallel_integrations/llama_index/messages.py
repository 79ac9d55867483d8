"""Conversion of LlamaIndex's messages to Chat's and back."""

from collections.abc import Sequence
from typing import Any, Final

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CitableBlock,
    MessageRole,
    TextBlock,
    ToolCallBlock,
)

from parallel_integrations._documents import chat_messages
from parallel_integrations._documents.answers import AnyChunk, AnyResponse, evidence_in, within
from parallel_integrations._documents.stop import StopFilter
from parallel_integrations.llama_index.citations import evidence_of, remember_evidence

ANSWER_FIELDS: Final = ("choices", "output")
SENDABLE_ROLES: Final = {
    MessageRole.SYSTEM: "system",
    MessageRole.DEVELOPER: "system",
    MessageRole.USER: "user",
    MessageRole.ASSISTANT: "assistant",
    MessageRole.CHATBOT: "assistant",
    MessageRole.MODEL: "assistant",
}
# Thoughts, and citations of what the text says, are not sent back as part of it; a cache point is a
# hint for other providers. Tool calls are read apart.
UNSENT_BLOCKS: Final = frozenset({"thinking", "cache", "citation", "tool_call"})


def to_wire(messages: Sequence[ChatMessage]) -> list[dict[str, Any]]:
    """Messages as Chat accepts them: see `sendable`."""
    return chat_messages.sendable(messages, _wire_message)


def _wire_message(place: int, message: ChatMessage, tools: dict[str, str]) -> dict[str, Any]:
    """A message; `tools` gathers the name of each tool by the id of its call."""
    text = chat_messages.with_calls(_text(place, message.blocks), _tool_calls(message), tools)
    if message.role.value in chat_messages.TOOL_ROLES:
        known = message.additional_kwargs
        name = known.get("name") or tools.get(known.get("tool_call_id") or "", "")
        return chat_messages.result_turn(name, text)
    return {"role": _role(place, message), "content": text}


def _tool_calls(message: ChatMessage) -> list[chat_messages.ToolCall]:
    blocks = [
        chat_messages.ToolCall(block.tool_call_id or "", block.tool_name, block.tool_kwargs)
        for block in message.blocks
        if isinstance(block, ToolCallBlock)
    ]
    return blocks or list(chat_messages.openai_calls(message.additional_kwargs))


def _role(place: int, message: ChatMessage) -> str:
    if message.role not in SENDABLE_ROLES:
        raise chat_messages.unsendable(place, f"its role is {message.role.value!r}")
    return SENDABLE_ROLES[message.role]


def _text(place: int, blocks: Sequence[Any]) -> str:
    parts: list[str] = []
    for block in blocks:
        if isinstance(block, TextBlock):
            parts.append(block.text)
        elif isinstance(block, CitableBlock):  # a document that another model may cite
            parts += [block.title, block.source, _text(place, block.content)]
        elif block.block_type not in UNSENT_BLOCKS:
            raise chat_messages.unsendable(
                place, f"it holds a block of type {type(block).__name__}"
            )
    return "\n".join(parts)  # as `ChatMessage.content` joins them


def to_response(response: AnyResponse, stop: Sequence[str] = ()) -> ChatResponse:
    """A response as LlamaIndex's, its text cut before the first of `stop`."""
    text = StopFilter(stop).whole(response.text)
    evidence = within(evidence_in(response), len(text))
    raw = response.model_dump(mode="json", exclude_unset=True, by_alias=True)
    return _response(text, raw={**raw, **evidence}, evidence=evidence)


def response_ids(messages: Sequence[ChatMessage]) -> list[str | None]:
    """The id of the response that each message came with."""
    return [evidence_of(each).get("response_id") for each in messages]


_MESSAGE: Final = ChatMessage(role=MessageRole.ASSISTANT)


class StreamedResponse:
    """Turns streamed chunks into LlamaIndex's, which hold the text so far and the new piece.

    The API may send citations and ids with any chunk; the last response has them.
    """

    def __init__(self, stop: Sequence[str] = ()) -> None:
        self._stop = StopFilter(stop)
        self._text = ""
        self._evidence: dict[str, Any] = {}
        self._raw: dict[str, Any] = {}

    def add(self, chunk: AnyChunk) -> ChatResponse | None:
        """The response that carries this chunk's text; None where it has none."""
        if (response := chunk.response) is not None:
            self._evidence |= evidence_in(response)
        self._raw = chunk.raw
        text = self._stop.add(chunk.text)
        if not text:
            return None
        self._text += text
        block = TextBlock(text=self._text)
        message = _MESSAGE.model_copy(update={"blocks": [block], "additional_kwargs": {}})
        return ChatResponse(message=message, delta=text, raw=chunk.raw)

    def last(self) -> ChatResponse:
        """The closing response, once the stream has ended properly."""
        rest = self._stop.rest()
        evidence = within(self._evidence, len(self._text) + len(rest))
        # Of the last event, what is not the answer itself; a response's has it within.
        last = self._raw.get("response", self._raw)
        beside_text = {name: value for name, value in last.items() if name not in ANSWER_FIELDS}
        raw = {**beside_text, **evidence}
        return _response(self._text + rest, delta=rest, raw=raw, evidence=evidence)


def _response(
    text: str,
    *,
    raw: dict[str, Any],
    delta: str | None = None,
    evidence: dict[str, Any],
) -> ChatResponse:
    message = ChatMessage(role=MessageRole.ASSISTANT, content=text)
    remember_evidence(message, evidence)
    raw = {**raw, "usage": _counts(raw.get("usage"))}
    return ChatResponse(message=message, delta=delta, raw=raw, additional_kwargs=evidence)


def _counts(usage: Any) -> dict[str, Any] | None:
    """The counts of a response without those that the API left empty.

    LlamaIndex's `TokenCountingHandler` adds up whatever is there, and estimates what is missing.
    """
    if not isinstance(usage, dict):
        return None
    return {name: count for name, count in usage.items() if count not in (None, "")}
