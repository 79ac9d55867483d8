"""What the classes of this subpackage share: connection, page settings, nodes."""

from collections.abc import Iterable, Iterator
from typing import Any, Final, TypedDict, TypeVar

from llama_index.core.schema import BaseComponent, Document, TextNode
from pydantic import Field, SecretStr, model_validator

from parallel_integrations._documents.adapter import Adapter
from parallel_integrations._documents.evidence import Split, page_documents
from parallel_integrations.client import ParallelClient
from parallel_integrations.models.pages import PageResult
from parallel_integrations.models.policies import FetchPolicy, SourcePolicy
from parallel_integrations.models.search import (
    DEFAULT_RESULTS,
    MAX_RESULTS,
    SearchSettings,
)


class Component(Adapter, BaseComponent):
    """An adapter that LlamaIndex can write down, load again and send to another process."""

    @model_validator(mode="before")
    @classmethod
    def _own_class_name(cls, values: Any) -> Any:
        """Take back what `model_dump` and `to_dict` add; any other name stays unknown."""
        if isinstance(values, dict) and values.get("class_name") == cls.class_name():
            return {name: value for name, value in values.items() if name != "class_name"}
        return values

    def to_dict(self, **kwargs: Any) -> dict[str, Any]:
        """Everything but the key and the client, as plain JSON values.

        Args:
            **kwargs: As for pydantic's `model_dump`.

        Returns:
            What `from_dict` makes an equal object of; its key comes from `PARALLEL_API_KEY`.
        """
        return super().to_dict(**{"mode": "json", **kwargs})

    def __getstate__(self) -> dict[str, Any]:
        if self.client is not None:
            # LlamaIndex drops what cannot be pickled; the copy would silently call another server.
            self.client.__reduce__()
        return super().__getstate__()


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

    max_results: int = Field(default=DEFAULT_RESULTS, ge=1, le=MAX_RESULTS)
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


def as_nodes(kind: type[Node], pages: Iterable[PageResult], split: Split) -> Iterator[Node]:
    """The pages in their order, with ids and metadata that a second reading repeats."""
    for item in page_documents(pages, split):
        yield kind(
            id_=item.id,
            text=item.text,
            # LlamaIndex renders None as "None" and cannot store it in every vector store.
            metadata={name: value for name, value in item.metadata.items() if value is not None},
            excluded_embed_metadata_keys=list(HIDDEN_FROM_EMBEDDING),
            excluded_llm_metadata_keys=list(HIDDEN_FROM_LLM),
        )
