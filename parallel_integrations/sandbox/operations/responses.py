"""Responses: extractive answers whose quotes are annotated with the page they are from."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator

from parallel_integrations.sandbox.answering.sentences import NOTHING_FOUND, Evidence, gather
from parallel_integrations.sandbox.operations.chat import split, structured
from parallel_integrations.sandbox.operations.operation import Call, Operation, Result
from parallel_integrations.sandbox.operations.shared import Loose, earlier_questions
from parallel_integrations.sandbox.server.responses import RequestError, frame, invalid
from parallel_integrations.sandbox.state.ledger import RESPONSE_USD, Entry

MODEL = "parallel"
MAX_CHARACTERS = 20_000
QUOTES = {"low": 3, "medium": 4, "high": 5}
"""How many sentences are quoted, by effort."""
CHARACTERS_PER_TOKEN = 4
FAILURE = {"code": "server_error", "message": "This response was set to fail"}

Label = Annotated[str, StringConstraints(max_length=512)]
LabelName = Annotated[str, StringConstraints(max_length=64)]


class Part(Loose):
    """A part of a message; text only."""

    type: Literal["input_text", "output_text", "text"] | None = None
    text: str | None = None


class Message(Loose):
    """One message."""

    role: Literal["user", "assistant", "system", "developer"]
    content: str | list[Part]

    @property
    def text(self) -> str:
        """The text of its parts."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text or "" for part in self.content)


class TextFormat(Loose):
    """Plain text, which is also what a request for any JSON object gets."""

    type: Literal["text", "json_object"]


class SchemaFormat(Loose):
    """JSON that follows a schema."""

    type: Literal["json_schema"]
    name: str
    schema_: Annotated[dict[str, Any], Field(alias="schema")]
    strict: bool | None = None
    description: str | None = None


class TextSettings(Loose):
    """Form of the answer."""

    format: Annotated[TextFormat | SchemaFormat, Field(discriminator="type")] | None = None


class Reasoning(Loose):
    """How much to research."""

    effort: Literal["low", "medium", "high"] | None = None


class ResponseBody(Loose):
    """Body of a request; what it does not name is dropped, as the documentation says."""

    model: str
    input: Annotated[str, Field(min_length=1)] | Annotated[list[Message], Field(min_length=1)]
    instructions: str | None = None
    previous_response_id: str | None = None
    stream: bool | None = None
    text: TextSettings | None = None
    metadata: Annotated[dict[LabelName, Label], Field(max_length=16)] | None = None
    reasoning: Reasoning | None = None
    background: bool | None = None

    @model_validator(mode="after")
    def _acceptable(self) -> "ResponseBody":
        if self.model.lower() != MODEL:
            raise ValueError(f"model {self.model!r} is not supported; use {MODEL!r}")
        if self.background:
            raise ValueError("background mode is not supported")
        if not self.questions:
            raise ValueError("input must hold at least one user message")
        texts = [self.input] if isinstance(self.input, str) else [each.text for each in self.input]
        if sum(map(len, [self.instructions or "", *texts])) > MAX_CHARACTERS:
            raise ValueError(f"input and instructions exceed {MAX_CHARACTERS} characters")
        return self

    @property
    def questions(self) -> list[str]:
        """What the user said, oldest first."""
        if isinstance(self.input, str):
            return [self.input]
        return [message.text for message in self.input if message.role == "user"]

    @property
    def effort(self) -> str:
        """The effort, or the default one."""
        return (self.reasoning and self.reasoning.effort) or "medium"


async def respond(call: Call) -> Result:
    """Handle ``POST /v1/responses``."""
    body = call.parse(ResponseBody)
    response = _response(call, body)
    # Only successes are billed.
    failed = response["status"] == "failed"
    bill = None if failed else Entry("respond", RESPONSE_USD[body.effort], body.effort)
    return (
        Result(events=_events(response), bill=bill) if body.stream else Result(response, bill=bill)
    )


def _response(call: Call, body: ResponseBody) -> dict[str, Any]:
    state = call.state
    before = earlier_questions(state, "response", body.previous_response_id)
    context = [*before, *body.questions[:-1]]
    evidence = gather(state.index, body.questions[-1], context)
    form = body.text.format if body.text else None
    if isinstance(form, SchemaFormat):
        text, annotations = _structured(evidence, form.schema_)
    else:
        text, annotations = _quoted(evidence, QUOTES[body.effort])
    response_id = state.ids.next("resp")
    state.interactions[response_id] = (*context, body.questions[-1])
    now = int(state.clock().timestamp())
    # What becomes of it can be chosen, so that a client's handling of it can be tested.
    fate = (body.metadata or {}).get("sandbox")
    status = {"fail": "failed", "incomplete": "incomplete"}.get(fate or "", "completed")
    cut = len(text) // 2 if status == "incomplete" else len(text)
    message = {
        "id": state.ids.next("msg"),
        "type": "message",
        "role": "assistant",
        "status": "completed" if status == "completed" else "incomplete",
        "content": [
            {
                "type": "output_text",
                "text": text[:cut],
                "annotations": [each for each in annotations if each["end_index"] <= cut],
            }
        ],
    }
    read = sum(map(len, [body.instructions or "", *body.questions])) // CHARACTERS_PER_TOKEN
    written = cut // CHARACTERS_PER_TOKEN
    usage = {
        "input_tokens": read,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": written,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": read + written,
    }
    failed = status == "failed"
    return {
        "id": response_id,
        "object": "response",
        "created_at": now,
        "completed_at": now if status == "completed" else None,
        "status": status,
        "model": MODEL,
        "output": [] if failed else [message],
        "usage": None if failed else usage,
        "error": FAILURE if failed else None,
        "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
        "instructions": body.instructions,
        "metadata": body.metadata or {},
        "previous_response_id": body.previous_response_id,
        # As documented: OpenAI's other fields are defaults, whatever was requested.
        "reasoning": None,
        "text": None,
        "parallel_tool_calls": False,
        "tool_choice": "auto",
        "tools": [],
        "temperature": None,
        "top_p": None,
    }


def _quoted(evidence: Evidence, count: int) -> tuple[str, list[dict[str, Any]]]:
    """A text of `count` quotes, each annotated with its page."""
    quotes = evidence.best(count)
    if not quotes:
        return NOTHING_FOUND, []
    text = "The sandbox's pages say:"
    annotations = []
    for quote in quotes:
        text += "\n\n"
        start = len(text)
        text += f"“{quote.text}”"
        annotations.append(_annotation(quote.page.url, quote.page.title, start, len(text)))
    return text, annotations


def _structured(evidence: Evidence, schema: dict[str, Any]) -> tuple[str, list[dict[str, Any]]]:
    """JSON that follows a schema; the value of a field is annotated with the pages it is from."""
    try:
        text, basis = structured(evidence, schema)
    except RequestError as error:
        raise invalid("text.format.schema", error.problems[0]["msg"]) from error
    values = json.loads(text)
    annotations = []
    place = 0  # behind the fields before, which may hold others of the same name
    for field in basis:
        start, end = 0, len(text)
        if isinstance(values, dict) and field["field"] in values:
            name, value = (
                json.dumps(each, ensure_ascii=False)
                for each in (field["field"], values[field["field"]])
            )
            start = text.index(f"{name}: {value}", place) + len(f"{name}: ")
            place = end = start + len(value)
        annotations += [
            _annotation(each["url"], each["title"], start, end) for each in field["citations"]
        ]
    return text, annotations


def _annotation(url: str, title: str, start: int, end: int) -> dict[str, Any]:
    return {
        "type": "url_citation",
        "url": url,
        "title": title,
        "start_index": start,
        "end_index": end,
    }


async def _events(response: dict[str, Any]) -> AsyncIterator[bytes]:
    for number, event in enumerate(_sequence(response)):
        yield frame({**event, "sequence_number": number}, named=True)
        # Lets the connection send each event by itself and notice a client that left.
        await asyncio.sleep(0)


def _sequence(response: dict[str, Any]) -> list[dict[str, Any]]:
    begun = {**response, "status": "in_progress", "output": [], "usage": None, "completed_at": None}
    begun |= {"error": None, "incomplete_details": None}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
    ]
    for item in response["output"]:
        [part] = item["content"]
        place = {"item_id": item["id"], "output_index": 0, "content_index": 0}
        empty = {**part, "text": "", "annotations": []}
        opened = {**item, "status": "in_progress", "content": []}
        events += [
            {"type": "response.output_item.added", "output_index": 0, "item": opened},
            {"type": "response.content_part.added", **place, "part": empty},
        ]
        events += [
            {"type": "response.output_text.delta", **place, "delta": piece, "logprobs": []}
            for piece in split(part["text"])
        ]
        events.append(
            {"type": "response.output_text.done", **place, "text": part["text"], "logprobs": []}
        )
        events += [
            {
                "type": "response.output_text.annotation.added",
                **place,
                "annotation_index": number,
                "annotation": annotation,
            }
            for number, annotation in enumerate(part["annotations"])
        ]
        events += [
            {"type": "response.content_part.done", **place, "part": part},
            {"type": "response.output_item.done", "output_index": 0, "item": item},
        ]
    events.append({"type": f"response.{response['status']}", "response": response})
    return events


OPERATIONS = (
    Operation(
        "respond",
        "POST",
        "/v1/responses",
        respond,
        openai_errors=True,
        bearer=True,
    ),
)
