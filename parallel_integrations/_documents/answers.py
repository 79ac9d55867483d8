"""Answers of Chat and of Responses as both frameworks read them: one shape for the two APIs."""

from collections.abc import Generator, Mapping
from typing import Any, NamedTuple, TypeAlias

from parallel_integrations._documents.evidence import dump_basis, read_basis
from parallel_integrations._protocol.flow import Emit, Flow, Stream, relay
from parallel_integrations.api.chats import chat, stream_chunks
from parallel_integrations.api.responses import respond, stream_response
from parallel_integrations.models.basis import FieldBasis
from parallel_integrations.models.chat import ChatChunk, ChatRequest, ChatResponse
from parallel_integrations.models.response import (
    RespondRequest,
    RespondResponse,
    ResponseAnnotationEvent,
    ResponseEvent,
    ResponseItem,
    ResponsePart,
    ResponseStateEvent,
    UrlCitation,
    cited_pages,
)
from parallel_integrations.models.shared import Warning  # noqa: A004 - the API's own word

AnyRequest: TypeAlias = ChatRequest | RespondRequest
AnyResponse: TypeAlias = ChatResponse | RespondResponse


class ResponseChunk(NamedTuple):
    """A piece of a streamed response; like a `ChatChunk`.

    Attributes:
        text: What it adds to the answer.
        raw: The event as plain JSON.
        id: The response's id.
        response: As it stands at the beginning, and whole at the end; None in between.
    """

    text: str
    raw: dict[str, Any]
    id: str | None
    response: RespondResponse | None = None


AnyChunk: TypeAlias = ChatChunk | ResponseChunk


def answer(request: AnyRequest) -> Flow[AnyResponse]:
    """The operation that gives a whole answer."""
    if isinstance(request, RespondRequest):
        return (yield from respond(request))
    return (yield from chat(request))


def answer_chunks(request: AnyRequest) -> Stream[AnyChunk]:
    """The operation that gives an answer piece by piece."""
    if isinstance(request, RespondRequest):
        return _response_chunks(request)
    return stream_chunks(request)


def _response_chunks(request: RespondRequest) -> Stream[ResponseChunk]:
    pieces = _Pieces()

    def handle(step: Any) -> Generator[Any, Any, Any]:
        if not isinstance(step, Emit):
            return (yield step)
        if (chunk := pieces.add(step.event)) is not None:
            yield Emit(chunk)
        return None

    return relay(stream_response(request), handle)


class _Pieces:
    """What the events of a streamed response add up to."""

    def __init__(self) -> None:
        self._id: str | None = None
        self._text = ""
        self._annotations: list[UrlCitation] = []
        self._warnings: list[Warning] = []
        self._parts: dict[tuple[int | None, int | None], int] = {}

    def add(self, event: ResponseEvent) -> ResponseChunk | None:
        """The piece that an event brings; None where it brings nothing new."""
        text, response = event.delta, None
        self._warnings += event.warnings
        # Spans count from the beginning of their part, and a response may have several.
        offset = self._parts.setdefault((event.output_index, event.content_index), len(self._text))
        if isinstance(event, ResponseAnnotationEvent):
            self._annotations.append(event.annotation.moved(offset))
        elif isinstance(event, ResponseStateEvent):
            if self._id is not None and not event.is_last:
                return None
            self._id = self._id or event.response.id
            response = self._whole(event.response) if event.is_last else event.response
            if event.is_last and response.text.startswith(self._text):
                text = response.text[len(self._text) :]  # what no event brought
        if not text and response is None:
            return None
        self._text += text
        raw = event.model_dump(mode="json", exclude_unset=True, by_alias=True)
        return ResponseChunk(text, raw, self._id, response)

    def _whole(self, response: RespondResponse) -> RespondResponse:
        """The response, of what came before where it does not repeat that."""
        added: dict[str, Any] = {"warnings": [*response.warnings, *self._warnings]}
        if not response.text or (self._annotations and not response.annotations):
            part = ResponsePart(text=response.text or self._text, annotations=self._annotations)
            added["output"] = [ResponseItem(content=[part])]
        return response.model_copy(update=added)


def evidence_in(response: AnyResponse) -> dict[str, Any]:
    """What an answer rests on and what continues it, as plain JSON; what is missing is left out.

    Returns:
        `basis` and `interaction_id` of Chat, `annotations` and `response_id` of Responses.
    """
    if isinstance(response, RespondResponse):
        text = response.text
        cited = [each.inside(text) for each in response.annotations if each.url.strip()]
        found: dict[str, Any] = {
            "annotations": [each.model_dump(mode="json") for each in cited],
            "response_id": response.id,
        }
    else:
        found = {
            "basis": dump_basis(response.basis),
            "interaction_id": response.interaction_id,
        }
    return {name: value for name, value in found.items() if value}


def within(evidence: dict[str, Any], length: int) -> dict[str, Any]:
    """Evidence of a text that was cut after so many characters: spans beyond it are gone."""
    if "annotations" not in evidence:
        return evidence
    kept = [each for each in evidence["annotations"] if (each.get("end_index") or 0) <= length]
    return {**evidence, "annotations": kept}


def read_annotations(evidence: Mapping[str, Any]) -> list[UrlCitation]:
    """The citations that `evidence_in` put into metadata under `annotations`."""
    return [UrlCitation.model_validate(each) for each in evidence.get("annotations") or ()]


def sources_in(evidence: dict[str, Any]) -> list[FieldBasis]:
    """The basis of an answer, or the pages that its annotations name."""
    return [*read_basis(evidence), *cited_pages(read_annotations(evidence))]


def tokens_of(response: AnyResponse) -> tuple[int, int, int] | None:
    """Tokens of input, output and both, where the API counts them."""
    if isinstance(response, RespondResponse):
        usage = response.usage
        counts = (usage.input_tokens, usage.output_tokens) if usage else (None, None)
        total = usage.total_tokens if usage else None
    else:
        named = response.usage or {}
        counts = (named.get("prompt_tokens"), named.get("completion_tokens"))
        total = None
    read, written = counts
    if not isinstance(read, int) or not isinstance(written, int) or read + written == 0:
        return None
    return read, written, total or read + written
