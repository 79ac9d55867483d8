"""Base class, settings and nodes that the classes of this subpackage share."""

from collections.abc import Iterable, Iterator
from copy import copy
from typing import Any, ClassVar, Final, TypedDict, TypeVar

from llama_index.core.schema import BaseComponent, Document, TextNode
from pydantic import Field, model_validator

from parallel_integrations._documents.adapter import Adapter, ConnectionOptions, PacedAdapter
from parallel_integrations._documents.evidence import DocumentSettings, PageDocument, Split
from parallel_integrations._documents.searching import RETRIEVER_MODE
from parallel_integrations.models.pages import Objective
from parallel_integrations.models.policies import FetchPolicy, SourcePolicy
from parallel_integrations.models.search import DEFAULT_RESULTS, NumResults, SearchSettings


class Component(Adapter, BaseComponent):
    """An adapter that LlamaIndex can serialize, load again and send to another process."""

    @model_validator(mode="before")
    @classmethod
    def _own_class_name(cls, values: Any) -> Any:
        """Accept the name that `model_dump` and `to_dict` add; any other stays unknown."""
        if isinstance(values, dict) and values.get("class_name") == cls.class_name():
            return {name: value for name, value in values.items() if name != "class_name"}
        return values

    def to_dict(self, **kwargs: Any) -> dict[str, Any]:
        """All settings but the key and the client, as plain JSON values.

        `from_dict` makes an equal object of them, whose key comes from `PARALLEL_API_KEY`.
        """
        return super().to_dict(**{"mode": "json", **kwargs})

    def __getstate__(self) -> dict[str, Any]:
        if self.client is not None:
            # LlamaIndex drops what cannot be pickled; the copy would silently call another server.
            self.client.__reduce__()
        # Of a copy: LlamaIndex takes what cannot be pickled away from the very object.
        return super(Component, copy(self)).__getstate__()


Node = TypeVar("Node", Document, TextNode)

# The model may cite the url once; an embedding gains nothing from it. Offsets are for code.
HIDDEN_FROM_LLM: Final = ("source", "published_day", "start_char", "end_char")
HIDDEN_FROM_EMBEDDING: Final = ("url", *HIDDEN_FROM_LLM)


class PageSearch(PacedAdapter, SearchSettings, DocumentSettings):
    """Settings of a search and its documents."""

    shown_as: ClassVar[str] = "ParallelRetriever"

    objective: Objective | None = None
    """The objective of all searches, or of one call; the query then decides the keyword queries
    alone.
    """
    max_results: NumResults = DEFAULT_RESULTS
    """Number of results, 1 to 40; 10 by default, which a search's price includes."""
    mode: str | None = Field(default=RETRIEVER_MODE, min_length=1)
    """`advanced` by default, because one search has to find it all; `fast` costs a fifth and takes
    about 2 seconds less.
    """


# The TypedDicts name the fields for editors and type checkers, which `**settings` alone does not.
# A test keeps them equal to the classes that validate them.


class PageOptions(TypedDict, total=False):
    """Keyword arguments of `PageSettings`."""

    fetch_policy: FetchPolicy | None
    """How fresh a page must be; older ones are read again."""
    max_chars_total: int | None
    """Most characters of all pages together."""
    max_chars_per_result: int | None
    """Most characters of one page."""
    session_id: str | None
    """Joins calls that belong together."""
    client_model: str | None
    """The model that reads the results, which the API adapts them to."""


class SearchOptions(PageOptions, total=False):
    """Keyword arguments of one search."""

    max_results: int
    """How many results, 1 to 40; 10, which a search's price includes."""
    mode: str | None
    """Search mode: `fast`, `turbo`, `basic` or `advanced`."""
    location: str | None
    """ISO 3166 alpha-2 code of the country to search from, e.g. `us`."""
    source_policy: SourcePolicy | None
    """Which sources may be used, and how old they may be."""


class PageSearchOptions(SearchOptions, ConnectionOptions, total=False):
    """Every keyword argument of `PageSearch`."""

    rate_limiter: Any
    """LlamaIndex's, as on LLMs: waited for before each call."""
    objective: str | None
    """The objective of all searches; the query then decides the keyword queries alone."""
    split: Split
    """`"page"` (default) for one node per page, `"excerpt"` for one per excerpt."""
    published_day: bool
    """True adds the day of publication as a number, such as 20240501."""
    constant_keys: bool
    """True gives every node the same metadata keys, with values of the same types."""


def as_nodes(kind: type[Node], pages: Iterable[PageDocument]) -> Iterator[Node]:
    """Pages as documents or nodes, in their order."""
    return (as_node(kind, page) for page in pages)


def as_node(kind: type[Node], page: PageDocument) -> Node:
    """A page as LlamaIndex's document or node."""
    return kind(
        id_=page.id,
        text=page.text,
        # LlamaIndex renders None as "None" and cannot store it in every vector store.
        metadata={name: value for name, value in page.metadata.items() if value is not None},
        excluded_embed_metadata_keys=list(HIDDEN_FROM_EMBEDDING),
        excluded_llm_metadata_keys=list(HIDDEN_FROM_LLM),
    )
