"""Chat completions, under both of their paths: extractive answers that quote their sources."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from parallel_integrations.sandbox.answering.schema_filler import Filler, SchemaError
from parallel_integrations.sandbox.answering.sentences import Evidence, basis, gather, quoted
from parallel_integrations.sandbox.operations.operation import Call, Operation, Result
from parallel_integrations.sandbox.operations.shared import Loose, earlier_questions
from parallel_integrations.sandbox.server.responses import RequestError, invalid
from parallel_integrations.sandbox.state.ledger import CHAT_USD, Entry
from parallel_integrations.sandbox.state.state import State

QUOTES = {"speed": 3, "lite": 3, "base": 4, "core": 5}
"""How many sentences each model quotes."""
RESEARCH_MODELS = frozenset({"lite", "base", "core"})
"""Models that say where their words come from and can be continued."""
CHUNKS = range(8, 41)
"""Into how many pieces a stream divides its text."""
GATEWAY_PREFIX = "parallel/"
_LABELLED_QUESTION = re.compile(r"^[^\S\n]*(?:query|question)[^\S\n]*:[^\S\n]*(\S.*)$", re.I | re.M)

_DEFAULT_SCHEMA = {
    "type": "object",
    "properties": {
        "answer": {"type": ["string", "null"]},
        "sources": {"type": "array", "items": {"type": "string", "format": "uri"}},
    },
}


class Message(Loose):
    """One message; its content is text only."""

    role: Literal["system", "user", "assistant"]
    content: str
    name: str | None = None


class NamedSchema(Loose):
    """``json_schema`` of a response format."""

    name: str
    description: str | None = None
    schema_: Annotated[dict[str, Any] | None, Field(alias="schema")] = None
    strict: bool | None = None


class TextFormat(Loose):
    """Plain text."""

    type: Literal["text"]


class ObjectFormat(Loose):
    """Any JSON object."""

    type: Literal["json_object"]


class SchemaFormat(Loose):
    """JSON that follows a schema."""

    type: Literal["json_schema"]
    json_schema: NamedSchema


class ChatBody(Loose):
    """Body of a chat request. What it does not name is ignored, as the documentation says."""

    model: str
    messages: Annotated[list[Message], Field(min_length=1)]
    stream: bool | None = None
    response_format: (
        Annotated[TextFormat | ObjectFormat | SchemaFormat, Field(discriminator="type")] | None
    ) = None
    previous_interaction_id: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    n: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """An answer before it is put on the wire."""

    text: str
    basis: Sequence[dict[str, Any]]
    interaction_id: str | None
    created: int


async def chat(call: Call) -> Result:
    """Handle ``POST /chat/completions`` and ``POST /v1beta/chat/completions``."""
    body = call.parse(ChatBody)
    model = _model(body.model, gateway=call.request.scope["state"].get("gateway"))
    completion = complete(call.state, model, body)
    await call.pause(call.state.waiting.chat_seconds(model))
    bill = Entry("chat", CHAT_USD[model], model)
    if body.stream:
        return Result(events=_stream(completion, done=call.state.stream_done), bill=bill)
    return Result(_whole(completion), bill=bill)


def _model(name: str, gateway: str | None) -> str:
    if gateway == "compat":
        # The compatible endpoint of a gateway finds the provider by this prefix.
        if not name.startswith(GATEWAY_PREFIX):
            raise RequestError(400, f"model: a gateway wants {GATEWAY_PREFIX}<model>, not {name!r}")
        name = name.removeprefix(GATEWAY_PREFIX)
    if name not in CHAT_USD:
        raise invalid("model", f"Unknown model {name!r}; there are {', '.join(CHAT_USD)}")
    return name


def complete(state: State, model: str, body: ChatBody) -> Completion:
    """Answer the last user message from the pages."""
    # Only what the user said is looked for; system prompts would drown it.
    questions = [_question(message.content) for message in body.messages if message.role == "user"]
    if not questions:
        raise invalid("messages", "At least one user message is required")
    before = earlier_questions(state, "interaction", body.previous_interaction_id)
    context = [*before, *questions[:-1]]
    evidence = gather(state.index, questions[-1], context)
    if body.response_format is None or isinstance(body.response_format, TextFormat):
        text, found = quoted(evidence, QUOTES[model])
    else:
        text, found = structured(evidence, _schema(body.response_format))
    interaction_id = None
    # Documented: only these models say where their words come from and can be continued.
    if model in RESEARCH_MODELS:
        interaction_id = state.ids.next("interaction")
        state.interactions[interaction_id] = (*context, questions[-1])
    return Completion(
        text=text,
        basis=found if model in RESEARCH_MODELS else (),
        interaction_id=interaction_id,
        created=int(state.clock().timestamp()),
    )


def _question(content: str) -> str:
    # Retrieval prompts put pages and instructions around the question they label.
    labelled = _LABELLED_QUESTION.findall(content)
    return labelled[-1].strip() if labelled else content


def _schema(form: BaseModel) -> dict[str, Any]:
    given = form.json_schema.schema_ if isinstance(form, SchemaFormat) else None
    return _DEFAULT_SCHEMA if given is None else given


def structured(evidence: Evidence, schema: dict[str, Any]) -> tuple[str, list[dict[str, Any]]]:
    """Return JSON text that follows `schema`, and the basis of each top-level field."""
    try:
        filler = Filler(schema, evidence)
    except SchemaError as error:
        raise invalid("response_format.json_schema.schema", f"No JSON schema: {error}") from error
    if filler.fields:
        values, found = filler.fill()
        return _json(values), found
    value = filler.whole()
    return _json(value), [basis("output", evidence, filler.used)]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _whole(completion: Completion) -> dict[str, Any]:
    # The service documents id, object, model, finish_reason and usage as always empty.
    message = {"role": "assistant", "content": completion.text}
    return {
        "id": "",
        "object": "",
        "model": "",
        "created": completion.created,
        "choices": [{"index": 0, "finish_reason": None, "message": message}],
        "usage": None,
        "basis": completion.basis,
        "interaction_id": completion.interaction_id,
    }


async def _stream(completion: Completion, *, done: bool) -> AsyncIterator[bytes]:
    pieces = split(completion.text)
    for number, piece in enumerate(pieces):
        last = number == len(pieces) - 1
        role = {} if number else {"role": "assistant"}
        chunk = {
            "type": "chat.completion.chunk",
            "id": "",
            "object": "chat.completion.chunk",
            "model": "",
            "created": completion.created,
            "choices": [
                {
                    "index": 0,
                    "delta": {**role, "content": piece},
                    "finish_reason": "stop" if last else None,
                }
            ],
            "usage": None,
            "basis": completion.basis if last else [],
            "interaction_id": completion.interaction_id if last else None,
        }
        yield f"data: {_json(chunk)}\n\n".encode()
        # Lets the connection send each chunk by itself and notice a client that left.
        await asyncio.sleep(0)
    if done:
        yield b"data: [DONE]\n\n"


def split(text: str) -> list[str]:
    """Return `text` in pieces, whole words where it has enough of them.

    Example:
        ```python
        from parallel_integrations.sandbox.operations.chat import split

        text = "one two three four five six seven eight nine"
        pieces = split(text)
        assert pieces[0] == "one " and len(pieces) == 8
        assert "".join(pieces) == text
        ```
    """
    parts = re.findall(r"\S+\s*|\s+", text)
    if len(parts) < CHUNKS.start:
        parts = list(text)
    count = min(len(parts), max(CHUNKS.start, min(CHUNKS.stop - 1, len(parts) // 4)))
    edges = [round(number * len(parts) / count) for number in range(count + 1)] if count else []
    joined = ["".join(parts[a:b]) for a, b in pairwise(edges)]
    return joined or [text]


OPERATIONS = tuple(
    Operation("chat", "POST", path, chat, framework_errors=True, bearer=True)
    for path in ("/chat/completions", "/v1beta/chat/completions")
)
