"""Search and extract as LlamaIndex readers."""

from collections.abc import Iterable, Sequence
from typing import Any, Unpack

from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined]
from llama_index.core.readers.base import BasePydanticReader
from llama_index.core.schema import Document

from parallel_integrations._documents.queries import as_objective, search_fields
from parallel_integrations._documents.reading import PageReader, extract_requests
from parallel_integrations._documents.searching import search_request
from parallel_integrations.api import search
from parallel_integrations.llama_index.base import (
    Component,
    PageOptions,
    PageSearch,
    SearchOptions,
    as_node,
    as_nodes,
)
from parallel_integrations.llama_index.events import reported
from parallel_integrations.models.extract import ExtractRequest, FullContentSettings
from parallel_integrations.models.search import SearchRequest, SearchResponse

dispatcher = get_dispatcher(__name__)


class SearchCallOptions(SearchOptions, total=False):
    """Keyword arguments of one call of a search reader."""

    objective: str | None
    """The objective of all searches; the query then decides the keyword queries alone."""


class ParallelReader(PageSearch, Component, BasePydanticReader):
    """Searches the web and loads the pages found, best first, as documents.

    A document's metadata is `url`, `title`, `published_at` (ISO 8601, left out where unknown) and
    `source` (= url); its id depends on the url alone (with `split="excerpt"` on url and text), so
    that an `IngestionPipeline` with a docstore skips pages that have not changed. With
    `DocstoreStrategy.UPSERTS_AND_DELETE` a later search deletes what it does not find again;
    `UPSERTS` is the strategy for search results. Pages without text give no document.

    Besides the connection (`api_key`, `base_url`, `timeout` in seconds, 90 by default,
    `max_retries`, 2 by default, `client`) and the settings of a search (`source_policy`,
    `fetch_policy`, `location`, `max_chars_total`, `max_chars_per_result`, `session_id`,
    `client_model`), which the API chooses where left out, it takes:

    Attributes:
        max_results: Number of results, 1 to 40; 10 by default, which a search's price includes.
        mode: `advanced` by default, because one search has to find it all; `fast` costs a fifth and
            takes about 2 seconds less.
        objective: The objective of all searches, or of one call; the query then decides the
            keyword queries alone.
        split: `"page"` (default) for one document per page, `"excerpt"` for one per excerpt, with
            `start_char` and `end_char` in its metadata where the API gives them.
        rate_limiter: LlamaIndex's, as on LLMs: waited for before each search.
        published_day: True adds the day of publication to the metadata as a number (20240501, 0
            where unknown), for stores that compare only numbers.
        constant_keys: True gives every document the same metadata keys, with values of the same
            types.

    Raises:
        ParallelError: From every load method; never an empty list in place of an error.
        InvalidArgumentError: A setting or query past its limit, before anything is sent.
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
        """The name under which LlamaIndex serializes this class."""
        return "ParallelReader"

    @dispatcher.span
    def load_data(
        self,
        query: str | None = None,
        search_queries: Sequence[str] | None = None,
        **settings: Unpack[SearchCallOptions],
    ) -> list[Document]:
        """Search once and load what was found.

        Args:
            query: The objective in natural language; of more than 5000 characters the first are
                sent, with a warning in the log. Without `search_queries`, keyword queries are
                derived from it, without a model.
            search_queries: 1 to 5 keyword queries, at most 200 characters each; they may also
                stand alone.
            **settings: `objective`, in place of the query, which then decides the keyword queries
                alone; `max_results` and the other settings of a search, for this call only.

        Returns:
            One document per page, or per excerpt with `split="excerpt"`; empty if the search
            found nothing.

        Raises:
            ParallelError: The search failed.
            InvalidArgumentError: Neither query nor search_queries, a value past its limit, or
                an unknown setting.
        """
        request = self._request(query, search_queries, **settings)
        return self._documents(self.resolved_client().run(search(request)))

    @dispatcher.span
    async def aload_data(
        self,
        query: str | None = None,
        search_queries: Sequence[str] | None = None,
        **settings: Unpack[SearchCallOptions],
    ) -> list[Document]:
        """Search once and load what was found, awaiting; everything else as in `load_data`."""
        request = self._request(query, search_queries, **settings)
        return self._documents(await self.resolved_client().arun(search(request)))

    def lazy_load_data(
        self,
        query: str | None = None,
        search_queries: Sequence[str] | None = None,
        **settings: Unpack[SearchCallOptions],
    ) -> Iterable[Document]:
        """As `load_data`, but nothing is sent before the first document is taken."""
        yield from self.load_data(query, search_queries, **settings)

    async def alazy_load_data(
        self,
        query: str | None = None,
        search_queries: Sequence[str] | None = None,
        **settings: Unpack[SearchCallOptions],
    ) -> Iterable[Document]:
        """As `aload_data`: the API sends all results in one response, so none come early."""
        return await self.aload_data(query, search_queries, **settings)

    def _request(
        self,
        query: str | None,
        search_queries: Sequence[str] | None,
        objective: str | None = None,
        **settings: Any,
    ) -> SearchRequest:
        objective = self.objective if objective is None else objective
        fields = search_fields(query, objective=objective, search_queries=search_queries)
        return search_request(self, **fields, **settings)

    def _documents(self, response: SearchResponse) -> list[Document]:
        return list(as_nodes(Document, self.documents_of(reported(response).results)))


class ExtractOptions(PageOptions, total=False):
    """Keyword arguments of `ExtractSettings`."""

    full_content: bool | FullContentSettings
    """True for whole pages, or `FullContentSettings` for how much of a page."""


class ParallelExtractReader(PageReader, Component, BasePydanticReader):
    """Reads any number of web pages, PDFs included, as documents, 20 to a call.

    Metadata and ids are those of `ParallelReader`: they depend on the page alone, so that an
    `IngestionPipeline` with a docstore skips what has not changed. Every page is given or reported
    to `on_error`: one that cannot be read, one without text, one of a call that failed beside
    others; when none can be read, that is an error. URLs of the same page (`…#a`, `…#b`) are
    read and billed once.

    Besides the connection (`api_key`, `base_url`, `timeout` in seconds, 120 by default,
    `max_retries`, 2 by default, `client`) and the settings of an extract (`fetch_policy`,
    `max_chars_total`, `max_chars_per_result`, `session_id`, `client_model`) it takes:

    Attributes:
        full_content: True (the default here) for whole pages as markdown, False for excerpts, or
            `FullContentSettings` for how much of a page.
        split: `"page"` (default) for one document per page, `"excerpt"` for one per excerpt.
        published_day: True adds the day of publication as a number (20240501, 0 where unknown).
        constant_keys: True gives every document the same metadata keys.
        rate_limiter: LlamaIndex's, as on LLMs: waited for before each call.
        max_concurrency: How many calls at once, 4 by default; 1 needs no threads.
        on_error: Called with the `ExtractError` of each page that is not given; a warning by
            default. Not part of serialization.

    Raises:
        ParallelError: From every load method, when every call fails or no page can be read.
        InvalidArgumentError: Something that is no URL, before anything is sent.
        TypeError: An unknown argument.
    """

    is_remote: bool = True
    full_content: bool | FullContentSettings = True
    """True (the default here) for whole pages as markdown, False for excerpts, or
    `FullContentSettings` for how much of a page.
    """

    @classmethod
    def class_name(cls) -> str:
        """The name under which LlamaIndex serializes this class."""
        return "ParallelExtractReader"

    @dispatcher.span
    def load_data(
        self,
        urls: Sequence[str] | str,
        objective: str | None = None,
        search_queries: Sequence[str] | None = None,
        **settings: Unpack[ExtractOptions],
    ) -> list[Document]:
        """Read pages.

        Args:
            urls: Web addresses, any number.
            objective: What you want to know from the pages; excerpts are chosen by it. Of more
                than 5000 characters the first are sent, with a warning in the log.
            search_queries: Keywords to choose excerpts by.
            **settings: `full_content` and the other settings of an extract, for this call only.

        Returns:
            One document per page, in the order of the urls, or per excerpt with
            `split="excerpt"`; pages without text give none.

        Raises:
            ParallelError: Every call failed, or no page could be read.
            InvalidArgumentError: No URL, something that is none, or a value past its limit.
        """
        return list(self.lazy_load_data(urls, objective, search_queries, **settings))

    @dispatcher.span
    async def aload_data(
        self,
        urls: Sequence[str] | str,
        objective: str | None = None,
        search_queries: Sequence[str] | None = None,
        **settings: Unpack[ExtractOptions],
    ) -> list[Document]:
        """Read pages, awaiting; everything else as in `load_data`."""
        requests = self._requests(urls, objective, search_queries, settings)
        return [as_node(Document, page) async for page in self.apages(requests)]

    def lazy_load_data(
        self,
        urls: Sequence[str] | str,
        objective: str | None = None,
        search_queries: Sequence[str] | None = None,
        **settings: Unpack[ExtractOptions],
    ) -> Iterable[Document]:
        """As `load_data`, a document at a time; at most `max_concurrency` calls go ahead."""
        for page in self.pages(self._requests(urls, objective, search_queries, settings)):
            yield as_node(Document, page)

    async def alazy_load_data(
        self,
        urls: Sequence[str] | str,
        objective: str | None = None,
        search_queries: Sequence[str] | None = None,
        **settings: Unpack[ExtractOptions],
    ) -> Iterable[Document]:
        """As `aload_data`: LlamaIndex expects an iterable here, which cannot wait."""
        return await self.aload_data(urls, objective, search_queries, **settings)

    def _requests(
        self,
        urls: Sequence[str] | str,
        objective: str | None,
        queries: Sequence[str] | None,
        settings: ExtractOptions,
    ) -> list[ExtractRequest]:
        objective = as_objective(objective)
        return extract_requests(self, urls, objective=objective, search_queries=queries, **settings)
