"""How readers, retriever and tools ask for pages, and what they make of the pages found."""

from collections.abc import Iterable, Iterator
from typing import Final, TypedDict, TypeVar

from llama_index.core.schema import Document, TextNode
from pydantic import Field, SecretStr

from parallel_integrations.adapter import Adapter
from parallel_integrations.api.evidence import Split, evidence
from parallel_integrations.api.pages import Page
from parallel_integrations.api.policies import FetchPolicy, SourcePolicy
from parallel_integrations.api.search import DEFAULT_RESULTS, MOST_RESULTS, SearchSettings
from parallel_integrations.client import ParallelClient

Node = TypeVar("Node", Document, TextNode)

# The model may cite the url once; an embedding gains nothing from it. Offsets are for code.
HIDDEN_FROM_LLM: Final = ("source", "start_char", "end_char")
HIDDEN_FROM_EMBEDDING: Final = ("url", *HIDDEN_FROM_LLM)


class PageSearch(Adapter, SearchSettings):
    """What a developer fixes about a search and its documents.

    Attributes:
        max_results: Number of results, 1 to 40; 10 by default, which a search's price includes.
        split: `"page"` for one document per page, `"excerpt"` for one per excerpt.
    """

    max_results: int = Field(default=DEFAULT_RESULTS, ge=1, le=MOST_RESULTS)
    split: Split = "page"


# All name fields for editors and type checkers, to which `**kwargs` says nothing.
class PageOptions(TypedDict, total=False):
    """Keyword arguments that shape one reading of pages."""

    fetch_policy: FetchPolicy | None
    max_chars_total: int | None
    max_chars_per_result: int | None
    session_id: str | None
    client_model: str | None


class SearchOptions(PageOptions, total=False):
    """Keyword arguments that shape one search; `PageSearch` checks them."""

    max_results: int
    mode: str | None
    location: str | None
    source_policy: SourcePolicy | None


class ConnectionOptions(TypedDict, total=False):
    """Keyword arguments of `Adapter`."""

    api_key: str | SecretStr | None
    base_url: str | None
    timeout: float | None
    max_retries: int
    client: ParallelClient | None


class PageSearchOptions(SearchOptions, ConnectionOptions, total=False):
    """Every keyword argument of `PageSearch`."""

    split: Split


def as_nodes(kind: type[Node], pages: Iterable[Page], split: Split) -> Iterator[Node]:
    """The pages in their order, with ids and metadata that a second reading repeats."""
    for item in evidence(pages, split):
        yield kind(
            id_=item.id,
            text=item.text,
            # LlamaIndex renders None as "None" and cannot store it in every vector store.
            metadata={name: value for name, value in item.metadata.items() if value is not None},
            excluded_embed_metadata_keys=list(HIDDEN_FROM_EMBEDDING),
            excluded_llm_metadata_keys=list(HIDDEN_FROM_LLM),
        )
