"""Citations of a response, as LlamaIndex's nodes and blocks, from every object that holds them."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

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
from pydantic import BaseModel

from parallel_integrations._documents.evidence import cited, normalized_url, read_basis, stable_id
from parallel_integrations.llama_index.base import HIDDEN_FROM_EMBEDDING, HIDDEN_FROM_LLM, Node
from parallel_integrations.models.basis import Citation, FieldBasis
from parallel_integrations.models.page_facts import page_title
from parallel_integrations.models.shared import Excerpt

EVIDENCE_KEYS: Final = ("basis", "interaction_id")
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
            text=str(passage.excerpt),
            metadata=passage.metadata,
            excluded_embed_metadata_keys=list(CITED_FROM_EMBEDDING),
            excluded_llm_metadata_keys=list(CITED_FROM_LLM),
        )
        for passage in passages(basis)
    ]


def citation_blocks(response: Any) -> list[CitationBlock]:
    """The citations of a response as LlamaIndex's own blocks.

    They are not part of the message's blocks, because other LLMs refuse a history that holds any.

    Args:
        response: Any object that `evidence_of` takes.

    Returns:
        One block for each excerpt of each cited page, whose `source` is the url; its text is empty
        where a page is cited as a whole. Empty without citations, as always with `speed`.

    Example:
        ```python
        from parallel_integrations.llama_index import ParallelLLM, citation_blocks

        response = ParallelLLM(model="lite").complete("How does the with statement work?")
        for block in citation_blocks(response):
            print(block.title, block.source, block.cited_content.text[:80])
        ```
    """
    return [
        CitationBlock(
            cited_content=TextBlock(text=str(passage.excerpt)),
            source=passage.citation.url,
            title=page_title(passage.citation),
            additional_location_info={
                name: value for name, value in passage.metadata.items() if name.endswith("_char")
            },
        )
        for passage in passages(read_basis(evidence_of(response)))
    ]


def evidence_of(response: Any) -> dict[str, Any]:
    """The basis and the interaction id of a response, in every form that responses have.

    Args:
        response: Of a `ParallelLLM` a chat or completion response, a message, the object of a
            structured call, or the output of an agent that it drives; of a `ParallelQueryEngine`
            its response. Other engines with an output class make a new object, which holds
            neither; their source nodes are the ones that their retriever found.

    Returns:
        `basis` (a list of fields with reasoning, citations and confidence, as plain JSON) and
        `interaction_id`, where the API sent them.

    Example:
        ```python
        from parallel_integrations.llama_index import ParallelLLM, evidence_of

        response = ParallelLLM(model="lite").complete("How does the with statement work?")
        print(evidence_of(response)["interaction_id"])
        ```
    """
    own: dict[str, Any] = {}
    inner: Any = None
    match response:
        case ChatResponse() | CompletionResponse():
            own, inner = response.additional_kwargs, response.raw
        case ChatMessage():
            own = response.additional_kwargs
        case Response() | PydanticResponse() | StreamingResponse() | AsyncStreamingResponse():
            own = response.metadata or {}
        case BaseModel():
            # An agent makes a new message of the text alone, but keeps the LLM's `raw`.
            raw = getattr(response, "raw", None)
            own = vars(response).get(ATTACHED) or (raw if isinstance(raw, dict) else {})
    found = {name: own[name] for name in EVIDENCE_KEYS if own.get(name)}
    # `as_structured_llm` keeps nothing of the LLM's response but the object.
    return evidence_of(inner) if not found and isinstance(inner, BaseModel) else found


def attach_evidence(value: BaseModel, evidence: dict[str, Any]) -> None:
    """Store evidence on the object of a structured call, for `evidence_of` to find."""
    value.__dict__[ATTACHED] = evidence
