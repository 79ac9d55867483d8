"""Search and entity search as LlamaIndex retrievers."""

from collections.abc import Iterable
from typing import Any, ClassVar, Never, Unpack

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.callbacks import CallbackManager
from llama_index.core.llms.llm import LLM
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from pydantic import Field

from parallel_integrations._documents.adapter import ConnectionOptions, PacedAdapter, described
from parallel_integrations._documents.entities import DEFAULT_ENTITIES, entity_request, listed
from parallel_integrations._documents.evidence import PageDocument
from parallel_integrations._documents.query_writer import (
    PROMPT,
    QueriedSearch,
    falling_back,
    usable_queries,
)
from parallel_integrations.api import entity_search, search
from parallel_integrations.llama_index.arguments import (
    as_callbacks,
    as_query,
    as_query_writer,
    checking,
)
from parallel_integrations.llama_index.base import PageSearch, PageSearchOptions, as_nodes
from parallel_integrations.llama_index.events import reported
from parallel_integrations.models.findall import MAX_MATCHES, EntitySearchRequest, EntityType
from parallel_integrations.models.search import SearchResponse


@checking("str_or_query_bundle", 1, as_query, "retrieve", "aretrieve")
class ParallelRetriever(BaseRetriever):
    """Finds web pages for a question and returns them as nodes, best first.

    The question, stripped of surrounding blanks, is the search's objective; keyword queries are
    derived from it without a model, or written by the one given as `query_writer`. One of more than
    5000 characters is shortened, with a warning in the log. A call brings its own queries as
    `QueryBundle(question, custom_embedding_strs=["…", "…"])`; of these, the first 5 of at most 200
    characters are sent (a hypothetical document of HyDE is longer, and no query; nor is the
    question itself, which HyDE repeats there).

    A node's metadata is `url`, `title`, `published_at` (ISO 8601, left out where unknown) and
    `source` (= url); its id depends on the url, and with `split="excerpt"` on the text, alone.

    A node's `score` is `1 / (1 + rank)`: 1.0, 0.5, 0.33 … It says which result came first and not
    how similar it is to the question (the API gives no similarity), so that a postprocessor with
    a cutoff of 0.3 always keeps the best three.

    Args:
        query_writer: An LLM that turns each question into an objective and 2 to 4 keyword queries,
            at the price of one call to it. If it fails in any way, queries are derived from the
            question, with a warning in the log.
        callback_manager: LlamaIndex's, for its events.
        verbose: Whether LlamaIndex prints what it does.
        **settings: The connection: `api_key`, `base_url`, `timeout` in seconds (90), `max_retries`
            (2), `client`, `rate_limiter` (LlamaIndex's, as on LLMs). The nodes: `max_results`, 1 to
            40, 10 by default, which a search's price includes; `split`, `"page"` (default) for one
            node per page or `"excerpt"` for one per excerpt; `published_day=True` adds the day as a
            number (20240501, 0 where unknown); `constant_keys=True` gives every node the same
            metadata keys. The search: `mode`, `"advanced"` by default, because one search has to
            find it all (`"fast"` costs a fifth and takes about 2 seconds less); `source_policy`,
            `fetch_policy`, `location`, `max_chars_total`, `max_chars_per_result`, `session_id`,
            `client_model`, which the API chooses where left out.

    Attributes:
        settings: All of `**settings`, validated.

    Raises:
        ParallelError: From `retrieve` and `aretrieve`; never an empty list in place of an error.
        InvalidArgumentError: A setting or question past its limit, before anything is sent.
        TypeError: An unknown argument.

    Example:
        ```python
        from parallel_integrations.llama_index import ParallelRetriever

        retriever = ParallelRetriever(max_results=3)
        for node in retriever.retrieve("How does the with statement handle exceptions?"):
            print(node.score, node.metadata["title"], node.metadata["url"])
        ```
    """

    def __init__(
        self,
        *unnamed: Never,
        query_writer: LLM | None = None,
        callback_manager: CallbackManager | None = None,
        verbose: bool = False,
        **settings: Unpack[PageSearchOptions],
    ) -> None:
        self.settings = PageSearch(*unnamed, **settings)
        self.query_writer = as_query_writer(query_writer)
        super().__init__(callback_manager=as_callbacks(callback_manager), verbose=verbose)

    def __repr__(self) -> str:
        return described(self, self.settings.__repr_args__())

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        own = _own_queries(query_bundle)
        found = self._search(query_bundle, own)
        if self.query_writer is not None and own is None:
            with falling_back():
                found.rewrite(self.query_writer.complete(_prompt(query_bundle)))
        return self._ranked(self.settings.resolved_client().run(search(found.request)))

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        own = _own_queries(query_bundle)
        found = self._search(query_bundle, own)
        if self.query_writer is not None and own is None:
            with falling_back():
                found.rewrite(await self.query_writer.acomplete(_prompt(query_bundle)))
        return self._ranked(await self.settings.resolved_client().arun(search(found.request)))

    def _search(self, query_bundle: QueryBundle, own: list[str] | None) -> QueriedSearch:
        objective = self.settings.objective
        return QueriedSearch(
            self.settings, query_bundle.query_str, objective=objective, search_queries=own
        )

    def _ranked(self, response: SearchResponse) -> list[NodeWithScore]:
        return _ranked(self.settings.documents_of(reported(response).results))


class EntitySettings(PacedAdapter):
    """The validated arguments of a `ParallelEntityRetriever`."""

    shown_as: ClassVar[str] = "ParallelEntityRetriever"

    entity_type: EntityType = "companies"
    max_results: int = Field(default=DEFAULT_ENTITIES, ge=1, le=MAX_MATCHES)


class EntityOptions(ConnectionOptions, total=False):
    """Keyword arguments of `ParallelEntityRetriever`."""

    rate_limiter: Any
    """LlamaIndex's, as on LLMs: waited for before each call."""
    entity_type: EntityType
    """`"companies"` (default) or `"people"`."""
    max_results: int
    """How many, 1 to 1000; 10, and 100 are included in the price."""


@checking("str_or_query_bundle", 1, as_query, "retrieve", "aretrieve")
class ParallelEntityRetriever(BaseRetriever):
    """Lists companies or people that fit a description, within a second and unchecked.

    A node's text is the entity's description. Its metadata is that of a found page: `url`, `title`
    (the entity's name) and `source` (= url); its id depends on url and name, and is that of a
    FindAll match of the same entity. Its `score` is `1 / (1 + rank)`, as of `ParallelRetriever`.

    Args:
        callback_manager: LlamaIndex's, for its events.
        verbose: Whether LlamaIndex prints what it does.
        **settings: The connection: `api_key`, `base_url`, `timeout` in seconds, `max_retries` (2),
            `client`, `rate_limiter` (LlamaIndex's, as on LLMs). What is listed: `entity_type`,
            `"companies"` (default) or `"people"`; `max_results`, 1 to 1000, 10 by default, 100 are
            included in the price of 0.005 USD.

    Attributes:
        settings: All of `**settings`, validated.

    Raises:
        ParallelError: From `retrieve` and `aretrieve`; never an empty list in place of an error.
        InvalidArgumentError: A setting past its limit, before anything is sent.
        TypeError: An unknown argument.
    """

    def __init__(
        self,
        *unnamed: Never,
        callback_manager: CallbackManager | None = None,
        verbose: bool = False,
        **settings: Unpack[EntityOptions],
    ) -> None:
        self.settings = EntitySettings(*unnamed, **settings)
        super().__init__(callback_manager=as_callbacks(callback_manager), verbose=verbose)

    def __repr__(self) -> str:
        return described(self, self.settings.__repr_args__())

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        response = self.settings.resolved_client().run(entity_search(self._request(query_bundle)))
        return _ranked(listed(response, self.settings.max_results))

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        operation = entity_search(self._request(query_bundle))
        response = await self.settings.resolved_client().arun(operation)
        return _ranked(listed(response, self.settings.max_results))

    def _request(self, query_bundle: QueryBundle) -> EntitySearchRequest:
        settings = self.settings
        return entity_request(query_bundle.query_str, settings.entity_type, settings.max_results)


def _ranked(pages: Iterable[PageDocument]) -> list[NodeWithScore]:
    nodes = as_nodes(TextNode, pages)
    return [NodeWithScore(node=node, score=1 / (1 + rank)) for rank, node in enumerate(nodes)]


def _own_queries(query_bundle: QueryBundle) -> list[str] | None:
    """The queries that a call brings; none where there are none."""
    # HyDE puts there a hypothetical document, which is no query, and the question once more.
    question = query_bundle.query_str.strip()
    queries = usable_queries(query_bundle.custom_embedding_strs or ())
    return [each for each in queries if each != question] or None


def _prompt(query_bundle: QueryBundle) -> str:
    return PROMPT.format(question=query_bundle.query_str.strip())
