"""Helpers of the LangChain tests: a scripted agent, scripted responses, recording callbacks."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, ToolCall, ToolMessage
from langchain_core.tools import BaseTool


def answer(
    text: str | Sequence[str],
    *,
    streamed: bool = False,
    each: dict[str, Any] | None = None,
    last: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """A chat response for `sandbox.faults.add`: whole, or one chunk for each of several pieces.

    Args:
        text: What the model says.
        streamed: Whether it is an event stream.
        each: Further fields of every chunk, or of the whole response.
        last: A further chunk after the text, which carries these fields and no choice.
    """
    pieces = [text] if isinstance(text, str) else list(text)
    if not streamed:
        message = {"role": "assistant", "content": "".join(pieces)}
        return {"body": {"choices": [{"index": 0, "message": message}], **(each or {})}}
    if len(pieces) == 1:
        pieces = [pieces[0][n : n + 7] for n in range(0, len(pieces[0]), 7)]
    chunks: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "delta": {"content": piece}}], **(each or {})} for piece in pieces
    ]
    if last is not None:
        chunks.append({"choices": [], **last})
    body = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks)
    return {"body": f"{body}data: [DONE]\n\n", "content_type": "text/event-stream"}


def called(tool: BaseTool, args: dict[str, Any], **config: Any) -> ToolMessage:
    """What an agent gets from a tool."""
    call = ToolCall(name=tool.name, args=args, id="call-1", type="tool_call")
    message = tool.invoke(call, config)
    assert isinstance(message, ToolMessage)
    return message


def collected(chunks: list[AIMessageChunk]) -> AIMessageChunk:
    """The message that a stream's chunks add up to."""
    return sum(chunks[1:], chunks[0])


async def four_code_paths(runnable: Any, given: Any) -> tuple[Any, list[Any], Any, list[Any]]:
    """What a runnable gives: blocking and streamed, then awaited and streamed."""
    return (
        await asyncio.to_thread(runnable.invoke, given),
        await asyncio.to_thread(lambda: list(runnable.stream(given))),
        await runnable.ainvoke(given),
        [each async for each in runnable.astream(given)],
    )


class Scripted(GenericFakeChatModel):
    """Returns its scripted messages, whatever the input."""

    def bind_tools(self, tools: Any, **kwargs: Any) -> "Scripted":
        return self


def script(*calls: tuple[str, dict[str, Any]]) -> Iterator[AIMessage]:
    """Messages that call tools one after the other, then "Done."."""
    for number, (name, args) in enumerate(calls):
        call = ToolCall(name=name, args=args, id=f"call-{number}", type="tool_call")
        yield AIMessage("", tool_calls=[call])
    yield AIMessage("Done.")


class Listener(BaseCallbackHandler):
    """Keeps custom events and what models are started with."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Any]] = []
        self.started: list[dict[str, Any]] = []

    def on_custom_event(self, name: str, data: Any, *, run_id: UUID, **kwargs: Any) -> None:
        self.events.append((name, data))

    def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> None:
        self.started.append({"serialized": serialized, **kwargs})


class AsyncListener(AsyncCallbackHandler):
    """Keeps custom events, awaiting."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Any]] = []

    async def on_custom_event(self, name: str, data: Any, *, run_id: UUID, **kwargs: Any) -> None:
        self.events.append((name, data))
