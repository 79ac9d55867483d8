"""Extract as a LlamaIndex reader."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Unpack

from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined]
from llama_index.core.readers.base import BasePydanticReader
from llama_index.core.schema import Document
from pydantic import Field

from parallel_integrations.api import extract
from parallel_integrations.api.errors import ParallelError
from parallel_integrations.api.evidence import Split, one_line
from parallel_integrations.api.extract import (
    MOST_URLS,
    ExtractError,
    ExtractRequest,
    ExtractResponse,
    ExtractResult,
    ExtractSettings,
    FullContentSettings,
)
from parallel_integrations.api.flow import Flow
from parallel_integrations.llama_index.component import Component
from parallel_integrations.llama_index.pages import PageOptions, as_nodes

dispatcher = get_dispatcher(__name__)


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
                urls=distinct[start : start + MOST_URLS],
                objective=objective,
                search_queries=search_queries,
                **settings,
            )
            for start in range(0, max(1, len(distinct)), MOST_URLS)  # no URL at all is refused
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
