"""What an answer rests on, as LlamaIndex's nodes and blocks, from whatever carries it."""

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
from llama_index.core.schema import NodeWithScore, TextNode
from pydantic import BaseModel

from parallel_integrations._documents.evidence import cited, normalized_url, stable_id
from parallel_integrations.llama_index.base import HIDDEN_FROM_EMBEDDING, HIDDEN_FROM_LLM
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
    """One cited excerpt, with what it stands for.

    Attributes:
        id: Stable: the same page, field and number give the same id.
        field: What it bears out.
        citation: Its page.
        excerpt: Its text; empty where the page is cited as a whole.
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
    """Every cited excerpt of every field; a page cited without any gives one empty excerpt."""
    for field, citation in cited(basis):
        url = normalized_url(citation.url)
        for number, excerpt in enumerate(citation.excerpts or [Excerpt()]):
            name = stable_id(f"{url}#cited-for-{field.field}-{number}")
            yield Passage(name, field, citation, excerpt)


def cited_nodes(basis: Iterable[FieldBasis]) -> list[NodeWithScore]:
    """The cited excerpts as source nodes; without a score, because the API ranks none."""
    return [
        NodeWithScore(
            node=TextNode(
                id_=passage.id,
                text=str(passage.excerpt),
                metadata=passage.metadata,
                excluded_embed_metadata_keys=list(CITED_FROM_EMBEDDING),
                excluded_llm_metadata_keys=list(CITED_FROM_LLM),
            )
        )
        for passage in passages(basis)
    ]


def citation_blocks(response: Any) -> list[CitationBlock]:
    """What an answer of Parallel cites, as LlamaIndex's own blocks.

    They are not part of the message's blocks, because other LLMs refuse a history that holds any.

    Args:
        response: What `evidence_of` takes.

    Returns:
        One block for each excerpt of each cited page, whose `source` is the url; its text is empty
        where a page is cited as a whole. None where the answer cites nothing, as `speed` does.

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
        for passage in passages(basis_of(response))
    ]


def evidence_of(response: Any) -> dict[str, Any]:
    """What an answer of Parallel rests on and how to continue it, whichever form it came in.

    Args:
        response: What a `ParallelLLM` gave (a chat or completion response, a message, the object
            of a structured call, the output of an agent that it drives) or a
            `ParallelQueryEngine`. Other engines with an output class make a new object, which
            carries nothing; their source nodes are what their retriever found.

    Returns:
        `basis` (a list of fields with reasoning, citations and confidence, as plain JSON) and
        `interaction_id`, where the API sent them.

    Example:
        ```python
        from llama_index.core.prompts import PromptTemplate
        from pydantic import BaseModel
        from parallel_integrations.llama_index import ParallelLLM, evidence_of

        class Statement(BaseModel):
            purpose: str

        prompt = PromptTemplate("What is the purpose of the {name} statement?")
        statement = ParallelLLM(model="lite").structured_predict(Statement, prompt, name="with")
        print(statement.purpose, evidence_of(statement)["interaction_id"])
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
            # An agent makes its message anew, of the text alone, but keeps the LLM's `raw`.
            raw = getattr(response, "raw", None)
            own = vars(response).get(ATTACHED) or (raw if isinstance(raw, dict) else {})
    found = {name: own[name] for name in EVIDENCE_KEYS if own.get(name)}
    # Of what the LLM gave, `as_structured_llm` passes on the object alone.
    return evidence_of(inner) if not found and isinstance(inner, BaseModel) else found


def basis_of(response: Any) -> list[FieldBasis]:
    """The basis of anything that `evidence_of` takes, read back."""
    return [FieldBasis.model_validate(field) for field in evidence_of(response).get("basis", ())]


def attach_evidence(value: BaseModel, evidence: dict[str, Any]) -> None:
    """Let a structured answer carry what `evidence_of` gives."""
    value.__dict__[ATTACHED] = evidence
