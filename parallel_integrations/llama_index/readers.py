"""Search and extract as LlamaIndex readers."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Unpack

from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined]
from llama_index.core.readers.base import BasePydanticReader
from llama_index.core.schema import Document
from pydantic import Field

from parallel_integrations._documents.evidence import Split, one_line
from parallel_integrations._protocol.flow import Flow
from parallel_integrations.api import extract, search
from parallel_integrations.errors import ParallelError
from parallel_integrations.llama_index.base import (
    Component,
    PageOptions,
    PageSearch,
    SearchOptions,
    as_nodes,
)
from parallel_integrations.models.extract import (
    MAX_URLS,
    ExtractError,
    ExtractRequest,
    ExtractResponse,
    ExtractResult,
    ExtractSettings,
    FullContentSettings,
)
from parallel_integrations.models.search import SearchRequest

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


class ExtractOptions(PageOptions, total=False):
    """Keyword arguments that shape one extract; `ExtractRequest` checks them."""

    full_content: bool | FullContentSettings


def _warn(error: ExtractError) -> None:
    warnings.warn(f"A page could not be read: {error}", stacklevel=2)


class ParallelExtractReader(Component, ExtractSettings, BasePydanticReader):
    """Reads any number of web pages, PDFs included, as documents, 20 to a call.

    Metadata and ids are those of `ParallelReader`: they depend on the page alone, so that an
    `IngestionPipeline` with a docstore skips what has not changed. A page that cannot be read is
    told to `on_error` and costs none of the others; when none of them can be read, that is an
    error. An address that comes twice is read once.

    Besides the connection (`api_key`, `base_url`, `timeout` in seconds, 120 by default,
    `max_retries`, 2 by default, `client`) and the settings of an extract (`fetch_policy`,
    `max_chars_total`, `max_chars_per_result`, `session_id`, `client_model`) it takes:

    Attributes:
        full_content: True (the default here) for whole pages as markdown, False for excerpts, or
            `FullContentSettings` for how much of a page.
        split: `"page"` (default) for one document per page, `"excerpt"` for one per excerpt.
        on_error: Called with the `ExtractError` of each page that cannot be read; a warning by
            default. Not part of serialization.

    Raises:
        ParallelError: From `load_data` and its twins, when a call fails or no page can be read.
        pydantic.ValidationError: Something that is no URL, before anything is sent.
        TypeError: An unknown argument.

    Example:
        ```python
        from parallel_integrations.llama_index import ParallelExtractReader

        reader = ParallelExtractReader()
        urls = ["https://docs.python.org/3/reference/compound_stmts.html"]
        for document in reader.load_data(urls):
            print(document.metadata["title"], len(document.text))
        ```
    """

    is_remote: bool = True
    full_content: bool | FullContentSettings = True
    split: Split = "page"
    on_error: Callable[[ExtractError], object] = Field(default=_warn, exclude=True, repr=False)

    @classmethod
    def class_name(cls) -> str:
        """The name under which LlamaIndex writes this class down."""
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
            objective: What is wanted from the pages; excerpts are chosen by it.
            search_queries: Keywords to choose excerpts by.
            **settings: `full_content` and the other settings of an extract, for this call only.

        Returns:
            One document per page, in the order of the urls, or per excerpt with
            `split="excerpt"`; pages without text give none.

        Raises:
            ParallelError: A call failed, or no page could be read.
            pydantic.ValidationError: No URL, something that is none, or a value past its limit.
        """
        requests = self._requests(urls, objective, search_queries, settings)
        return list(self._documents(self.connection().run(_extract_all(requests))))

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
        return list(self._documents(await self.connection().arun(_extract_all(requests))))

    def lazy_load_data(
        self,
        urls: Sequence[str] | str,
        objective: str | None = None,
        search_queries: Sequence[str] | None = None,
        **settings: Unpack[ExtractOptions],
    ) -> Iterable[Document]:
        """As `load_data`, but the next 20 pages are asked for when the ones before are taken."""
        requests = self._requests(urls, objective, search_queries, settings)
        yield from self._documents(self.connection().run(extract(each)) for each in requests)

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
        search_queries: Sequence[str] | None,
        settings: ExtractOptions,
    ) -> list[ExtractRequest]:
        distinct = list(dict.fromkeys([urls] if isinstance(urls, str) else urls))
        return [
            ExtractRequest.from_settings(
                self,
                urls=distinct[start : start + MAX_URLS],
                objective=objective,
                search_queries=search_queries,
                **settings,
            )
            for start in range(0, max(1, len(distinct)), MAX_URLS)  # no URL at all is refused
        ]

    def _documents(self, responses: Iterable[ExtractResponse]) -> Iterator[Document]:
        failed: list[ExtractError] = []
        read = 0

        def pages() -> Iterator[ExtractResult]:
            nonlocal read
            for response in responses:
                read += len(response.results)
                failed.extend(response.errors)
                yield from response.results
                for error in response.errors:
                    self.on_error(error)

        yield from as_nodes(Document, pages(), self.split)
        if failed and not read:
            raise unreadable(failed)


def unreadable(failed: Sequence[ExtractError]) -> ParallelError:
    """The error for pages none of which could be read."""
    return ParallelError(
        f"No page could be read. {'; '.join(one_line(str(each)) for each in failed)}"
    )


def _extract_all(requests: Sequence[ExtractRequest]) -> Flow[list[ExtractResponse]]:
    responses = []
    for request in requests:
        response = yield from extract(request)
        responses.append(response)
    return responses
