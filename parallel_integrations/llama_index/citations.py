"""Citations of a response, as LlamaIndex's nodes and blocks, from every object that holds them."""

from collections import Counter
from collections.abc import Iterable, Iterator
from threading import Lock
from typing import Any, Final, NamedTuple

from llama_index.core.agent.workflow import AgentOutput, ToolCallResult
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CitationBlock,
    CompletionResponse,
    TextBlock,
)
from llama_index.core.base.response.schema import (
    AsyncStreamingResponse,
    PydanticResponse,
    Response,
    StreamingResponse,
)
from llama_index.core.chat_engine.types import AgentChatResponse, StreamingAgentChatResponse
from llama_index.core.tools import ToolOutput
from llama_index.core.workflow import StopEvent
from pydantic import BaseModel

from parallel_integrations._documents.answers import read_annotations
from parallel_integrations._documents.evidence import cited, normalized_url, read_basis, stable_id
from parallel_integrations.llama_index.base import HIDDEN_FROM_EMBEDDING, HIDDEN_FROM_LLM, Node
from parallel_integrations.models.basis import Citation, FieldBasis
from parallel_integrations.models.fields import Excerpt
from parallel_integrations.models.page_facts import page_title
from parallel_integrations.models.response import UrlCitation

IDS: Final = ("interaction_id", "response_id")
LOCATION: Final = ("start_index", "end_index")
EVIDENCE_KEYS: Final = ("basis", "annotations", *IDS)
MAX_RECENT_ANSWERS: Final = 100
# Not a field of the user's class: like a cached property it lives in the object's __dict__ only,
# where comparing, dumping and the schema do not see it, but a copy and a pickle keep it.
ATTACHED: Final = "_parallel_evidence"

# A reasoning may be longer than a chunk; LlamaIndex refuses such metadata unless it is hidden.
CITED_FROM_LLM: Final = (*HIDDEN_FROM_LLM, "reasoning")
CITED_FROM_EMBEDDING: Final = (*HIDDEN_FROM_EMBEDDING, "field", "confidence", "reasoning")


class Passage(NamedTuple):
    """One cited excerpt, with the field that it supports.

    Attributes:
        id: Stable: the same page, field and text give the same id.
        excerpt: Empty where the page is cited as a whole.
    """

    id: str
    field: FieldBasis
    citation: Citation
    excerpt: Excerpt

    @property
    def metadata(self) -> dict[str, Any]:
        """Flat JSON scalars in one fixed order; what is unknown is left out."""
        values = {
            "url": self.citation.url,
            "title": page_title(self.citation),
            "source": self.citation.url,
            "field": self.field.field,
            "confidence": self.field.confidence,
            "reasoning": self.field.reasoning,
            "start_char": self.excerpt.start_char,
            "end_char": self.excerpt.end_char,
        }
        return {name: value for name, value in values.items() if value not in (None, "")}


def passages(basis: Iterable[FieldBasis]) -> Iterator[Passage]:
    """Every cited excerpt of every field; a page cited as a whole gives one empty excerpt."""
    seen: Counter[str] = Counter()
    for field, citation in cited(basis):
        url = normalized_url(citation.url)
        for excerpt in citation.excerpts or [Excerpt()]:
            # Of the text, not of its place: answers to different questions share a store.
            name = f"{url}#cited-for-{field.field}:{excerpt}"
            repeated = f"#{seen[name]}" if seen[name] else ""
            seen[name] += 1
            yield Passage(stable_id(name + repeated), field, citation, excerpt)


def cited_nodes(kind: type[Node], basis: Iterable[FieldBasis]) -> list[Node]:
    """The cited excerpts as documents or nodes."""
    return [
        kind(
            id_=passage.id,
            # An evaluator would take an empty text for a context.
            text=str(passage.excerpt) or page_title(passage.citation),
            metadata=passage.metadata,
            excluded_embed_metadata_keys=list(CITED_FROM_EMBEDDING),
            excluded_llm_metadata_keys=list(CITED_FROM_LLM),
        )
        for passage in passages(basis)
    ]


def span_nodes(
    kind: type[Node], annotations: Iterable[UrlCitation], answer: str = ""
) -> list[Node]:
    """The page of each cited span of an answer as a document or node.

    Its text is empty: Responses quote no page. The span is metadata: where it is, and its words.
    """
    return [
        kind(
            id_=stable_id(f"{normalized_url(each.url)}#cited-for:{each.span(answer)}:{number}"),
            text="",
            metadata=_page_metadata(each) | _location(each) | _statement(each, answer),
            excluded_embed_metadata_keys=[*CITED_FROM_EMBEDDING, *LOCATION],
            excluded_llm_metadata_keys=[*CITED_FROM_LLM, *LOCATION],
        )
        for number, each in enumerate(annotations)
    ]


def _page_metadata(citation: UrlCitation) -> dict[str, Any]:
    title = page_title(Citation(url=citation.url, title=citation.title))
    return {"url": citation.url, "title": title, "source": citation.url}


def _location(citation: UrlCitation) -> dict[str, Any]:
    if citation.start_index is None or citation.end_index is None:
        return {}
    return dict(zip(LOCATION, (citation.start_index, citation.end_index), strict=True))


def _statement(citation: UrlCitation, answer: str) -> dict[str, Any]:
    span = citation.span(answer)
    return {"statement": span} if span else {}


def citation_blocks(response: Any) -> list[CitationBlock]:
    """The citations of a response as LlamaIndex's own blocks.

    They are not part of the message's blocks, because other LLMs refuse a history that holds any.

    Args:
        response: Any object that `evidence_of` takes.

    Returns:
        One block for each excerpt of each cited page, whose `source` is the url; its text is empty
        where a page is cited as a whole. Of `parallel` one block for each cited span, whose place
        in the answer is in `additional_location_info` (`start_index`, `end_index`); its text is
        empty, because Responses quote no page. Empty without citations, as always with `speed`.

    Example:
        ```python
        from parallel_integrations.llama_index import ParallelLLM, citation_blocks

        response = ParallelLLM(model="lite").complete("How does the with statement work?")
        for block in citation_blocks(response):
            print(block.title, block.source, block.cited_content.text[:80])
        ```
    """
    evidence = evidence_of(response)
    quoted = [
        CitationBlock(
            cited_content=TextBlock(text=str(passage.excerpt)),
            source=passage.citation.url,
            title=page_title(passage.citation),
            additional_location_info={
                name: value for name, value in passage.metadata.items() if name.endswith("_char")
            },
        )
        for passage in passages(read_basis(evidence))
    ]
    spans = [
        CitationBlock(
            cited_content=TextBlock(text=""),
            source=each.url,
            title=page_title(Citation(url=each.url, title=each.title)),
            additional_location_info=_location(each),
        )
        for each in read_annotations(evidence)
    ]
    return quoted + spans


def evidence_of(response: Any) -> dict[str, Any]:
    """The citations and the id of a response, in every form that responses have.

    LlamaIndex's chat engines and memories keep nothing of an answer but its text. For them the
    evidence of the last 100 answers of this process is found by the answer's text.

    Args:
        response: Of a `ParallelLLM` a chat or completion response, a message (of a chat history,
            too), or the object of a structured call; the response of a chat engine, a query engine
            or an agent that it drives, or that calls a `ParallelQueryEngine` or a task as a tool.
            The text of an answer, whose pieces you joined, does too.
            Other engines with an output class make a new object, which holds neither; their source
            nodes are the ones that their retriever found.

    Returns:
        `basis` (a list of fields with reasoning, citations and confidence, as plain JSON) and
        `interaction_id`, where the API sent them; of `parallel` `annotations` (a list of `url`,
        `title`, `start_index`, `end_index`) and `response_id`.

    Example:
        ```python
        from parallel_integrations.llama_index import ParallelLLM, evidence_of

        response = ParallelLLM(model="lite").complete("How does the with statement work?")
        print(evidence_of(response)["interaction_id"])
        ```
    """
    for own in _kept(response):
        if found := {name: own[name] for name in EVIDENCE_KEYS if own.get(name)}:
            return found
    found = {}
    for part in _parts(response):
        inner = evidence_of(part)
        # A run that was looked up twice has its evidence once.
        joined: dict[str, Any] = {
            name: _distinct([*found.get(name, ()), *inner.get(name, ())])
            for name in ("basis", "annotations")
            if name in found or name in inner
        }
        found |= {**inner, **joined}
    return found


def _distinct(items: list[Any]) -> list[Any]:
    return [each for place, each in enumerate(items) if each not in items[:place]]


def _kept(response: Any) -> Iterator[dict[str, Any]]:
    """Where a response itself may keep its evidence, the most certain place first."""
    text: Any = None
    match response:
        case ChatResponse() | CompletionResponse():
            yield response.additional_kwargs
        case ChatMessage() if ATTACHED in vars(response):
            yield vars(response)[ATTACHED]
        case ChatMessage():
            yield response.additional_kwargs  # of a history that an earlier version kept
            text = response.content
        case AgentChatResponse() | StreamingAgentChatResponse() | Response():
            yield getattr(response, "metadata", None) or {}
            text = response.response
        case PydanticResponse() | StreamingResponse() | AsyncStreamingResponse():
            yield response.metadata or {}
            text = getattr(response, "response_txt", None)
        case AgentOutput():
            text = response.response.content
        case str():
            text = response
        case BaseModel():
            yield vars(response).get(ATTACHED, {})
    # An agent makes a new message of the text alone, but keeps the LLM's `raw`.
    if isinstance(raw := getattr(response, "raw", None), dict):
        yield raw
    if isinstance(text, str):
        yield _recent.of(text)


def _parts(response: Any) -> list[Any]:
    """What a response is made of: the LLM's, the object of a structured call, outputs of tools."""
    match response:
        case ToolOutput():
            return [response.raw_output]
        case AgentChatResponse() | StreamingAgentChatResponse():
            return list(response.sources)
        case ChatResponse() | CompletionResponse():
            # `as_structured_llm` keeps nothing of the LLM's response but the object.
            return [response.raw] if isinstance(response.raw, BaseModel) else []
        case ToolCallResult():
            return [response.tool_output]
        case AgentOutput():
            return list(response.tool_calls)
        case StopEvent():
            return [response.result]
        case list():  # the documents of a tool
            return response
    return []


def attach_evidence(value: BaseModel, evidence: dict[str, Any]) -> None:
    """Store evidence on a message or the object of a structured call, for `evidence_of` to find."""
    value.__dict__[ATTACHED] = evidence


class RecentAnswers:
    """The evidence of the last answers, by their text."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._evidence: dict[str, dict[str, Any]] = {}

    def add(self, text: str, evidence: dict[str, Any]) -> None:
        """Keep an answer's evidence in place of the oldest."""
        text = text.strip()  # as chat engines do
        with self._lock:
            before = self._evidence.pop(text, evidence)
            if not text or not evidence:
                return
            if any(before.get(name) != evidence.get(name) for name in IDS):
                # Two conversations that read alike: neither may be continued for the other.
                evidence = {name: each for name, each in evidence.items() if name not in IDS}
            self._evidence[text] = evidence
            if len(self._evidence) > MAX_RECENT_ANSWERS:
                del self._evidence[next(iter(self._evidence))]

    def of(self, text: str) -> dict[str, Any]:
        """The evidence of the answer with this text; empty without one."""
        with self._lock:
            return self._evidence.get(text.strip(), {})


_recent: Final = RecentAnswers()


def remember_evidence(message: ChatMessage, evidence: dict[str, Any]) -> None:
    """Keep an answer's evidence beside its message, where no memory counts and no LLM sends it."""
    attach_evidence(message, evidence)
    _recent.add(message.content or "", evidence)
