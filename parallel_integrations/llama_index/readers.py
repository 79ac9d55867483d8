"""Search as a LlamaIndex reader."""

from collections.abc import Iterable, Sequence
from typing import Unpack

from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined]
from llama_index.core.readers.base import BasePydanticReader
from llama_index.core.schema import Document

from parallel_integrations.api import search
from parallel_integrations.api.search import SearchRequest
from parallel_integrations.llama_index.component import Component
from parallel_integrations.llama_index.pages import PageSearch, SearchOptions, as_nodes

dispatcher = get_dispatcher(__name__)


class ParallelReader(PageSearch, Component, BasePydanticReader):
    """Searches the web and loads the pages found, best first, as documents.

    A document's metadata is `url`, `title`, `published_at` (ISO 8601, left out where unknown) and
    `source` (= url); its id depends on the url alone, so that an `IngestionPipeline` with a
    docstore skips pages that have not changed. With `DocstoreStrategy.UPSERTS_AND_DELETE` a later
    search deletes whatever it does not find again; `UPSERTS` is the strategy for search results.
    Pages without text give no document.

    Besides the connection (`api_key`, `base_url`, `timeout` in seconds, 90 by default,
    `max_retries`, 2 by default, `client`) and the settings of a search (`mode`, `source_policy`,
    `fetch_policy`, `location`, `max_chars_total`, `max_chars_per_result`, `session_id`,
    `client_model`), which the API chooses where left out, it takes:

    Attributes:
        max_results: Number of results, 1 to 40; 10 by default, which a search's price includes.
        split: `"page"` (default) for one document per page, `"excerpt"` for one per excerpt, with
            `start_char` and `end_char` in its metadata where the API gives them.

    Raises:
        ParallelError: From `load_data` and its twins; never an empty list in place of an error.
        pydantic.ValidationError: A setting or query past its limit, before anything is sent.
        TypeError: An unknown argument.

    Example:
        ```python
        from parallel_integrations.llama_index import ParallelReader

        reader = ParallelReader(max_results=3)
        for document in reader.load_data("How does the with statement handle exceptions?"):
            print(document.metadata["title"], document.metadata["url"])
        ```
    """

    is_remote: bool = True

    @classmethod
    def class_name(cls) -> str:
        """The name under which LlamaIndex writes this class down."""
        return "ParallelReader"

    @dispatcher.span
    def load_data(
        self,
        query: str | None = None,
        search_queries: Sequence[str] | None = None,
        **settings: Unpack[SearchOptions],
    ) -> list[Document]:
        """Search once and load what was found.

        Args:
            query: What is wanted, in natural language; at most 5000 characters. Keyword queries
                are derived from it, without a model, where there are none.
            search_queries: 1 to 5 keyword queries, at most 200 characters each; they may also
                stand alone.
            **settings: `max_results` and the other settings of a search, for this call only.

        Returns:
            One document per page, or per excerpt with `split="excerpt"`; empty if the search
            found nothing.

        Raises:
            ParallelError: The search failed.
            pydantic.ValidationError: Nothing was asked, a value is past its limit, or a setting
                is unknown.

        Example:
            ```python
            from parallel_integrations.llama_index import ParallelReader

            documents = ParallelReader().load_data(
                query="What may a class define to be a context manager?",
                search_queries=["context manager protocol", "__enter__ __exit__ methods"],
                max_results=5,
            )
            ```
        """
        request = SearchRequest.from_settings(
            self, objective=query, search_queries=search_queries, **settings
        )
        response = self.connection().run(search(request))
        return list(as_nodes(Document, response.results, self.split))

    @dispatcher.span
    async def aload_data(
        self,
        query: str | None = None,
        search_queries: Sequence[str] | None = None,
        **settings: Unpack[SearchOptions],
    ) -> list[Document]:
        """Search once and load what was found, awaiting; everything else as in `load_data`."""
        request = SearchRequest.from_settings(
            self, objective=query, search_queries=search_queries, **settings
        )
        response = await self.connection().arun(search(request))
        return list(as_nodes(Document, response.results, self.split))

    def lazy_load_data(
        self,
        query: str | None = None,
        search_queries: Sequence[str] | None = None,
        **settings: Unpack[SearchOptions],
    ) -> Iterable[Document]:
        """As `load_data`, but nothing is sent before the first document is taken."""
        yield from self.load_data(query, search_queries, **settings)

    async def alazy_load_data(
        self,
        query: str | None = None,
        search_queries: Sequence[str] | None = None,
        **settings: Unpack[SearchOptions],
    ) -> Iterable[Document]:
        """As `aload_data`: the API sends all results in one answer, so none come early."""
        return await self.aload_data(query, search_queries, **settings)
